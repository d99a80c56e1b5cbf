//! Every tool once: shapes, fills, locks, the mirror, changes of a whole part, moving and copying one.

use super::*;

#[test]
fn shapes_are_filled_and_escape_gives_them_up() {
    let mut window = Window::new();
    window.key(Key::Num0, Modifiers::NONE); // hair
    let before = window.labels();
    let hair = window.count(id::HAIR);

    window.click("Rectangle");
    window.stroke(&[[10.0, 20.0], [40.0, 60.0], [50.0, 80.0]]);
    assert!(
        window.count(id::HAIR).abs_diff(hair + 40 * 60) <= 210,
        "a pixel at the rim"
    );
    assert_eq!(window.label(30, 50), id::HAIR);
    window.key(Key::Z, Modifiers::COMMAND);
    window.settle();

    window.key(Key::O, Modifiers::NONE);
    window.press_and_move(&[[10.0, 20.0], [50.0, 80.0]]);
    window.key(Key::Escape, Modifiers::NONE);
    window.release([50.0, 80.0]);
    window.settle();
    assert_eq!(window.labels(), before);
    window.stroke(&[[10.0, 20.0], [50.0, 80.0]]);
    let ellipse = window.count(id::HAIR) - hair;
    assert!(ellipse.abs_diff(1885) < 170, "π · 20 · 30, not {ellipse}");
    window.key(Key::Z, Modifiers::COMMAND);

    window.key(Key::P, Modifiers::NONE);
    for point in [[10.0, 20.0], [50.0, 20.0], [50.0, 80.0], [200.0, 300.0]] {
        window.stroke(&[point]);
    }
    window.key(Key::Backspace, Modifiers::NONE);
    window.key(Key::Enter, Modifiers::NONE);
    window.settle();
    let triangle = window.count(id::HAIR) - hair;
    assert!(triangle.abs_diff(1200) < 120, "40 · 60 / 2, not {triangle}");
    window.key(Key::Z, Modifiers::COMMAND);

    window.key(Key::L, Modifiers::NONE);
    window.stroke(&[[10.0, 20.0], [50.0, 20.0], [50.0, 80.0], [10.0, 80.0]]);
    assert!((window.count(id::HAIR) - hair).abs_diff(2400) < 210);
    window.key(Key::Z, Modifiers::COMMAND);
    window.settle();
    assert_eq!(window.labels(), before);
}

#[test]
fn locked_parts_and_all_but_one_part_stay() {
    let mut window = Window::new();
    window.key(Key::Num0, Modifiers::NONE);
    let nose = window.count(id::NOSE);
    window.click("Lock nose");
    window.stroke(&[[100.0, 250.0], [220.0, 250.0]]);
    assert_eq!(window.count(id::NOSE), nose);
    assert_eq!(window.label(110, 250), id::HAIR);
    window.key(Key::Z, Modifiers::COMMAND);
    window.click("Unlock nose");

    window.click("Paint over");
    window.harness.run_steps(3);
    let skin = window.harness.get_all_by_label("Skin").last().unwrap();
    skin.click();
    window.harness.run_steps(3);
    let (skin, eyes) = (window.count(id::SKIN), window.count(id::R_EYE));
    window.stroke(&[[100.0, 194.0], [220.0, 194.0]]);
    assert_eq!(window.count(id::R_EYE), eyes);
    assert!(window.count(id::SKIN) < skin);
}

#[test]
fn the_mirror_paints_the_other_side_too() {
    let mut window = Window::new();
    window.key(Key::X, Modifiers::NONE);
    window.key(Key::Num3, Modifiers::NONE); // right eyebrow
    let (left, right) = (window.count(id::L_BROW), window.count(id::R_BROW));
    window.stroke(&[[110.0, 230.0], [130.0, 230.0]]);
    let (more_left, more_right) = (
        window.count(id::L_BROW) - left,
        window.count(id::R_BROW) - right,
    );
    assert!(more_right > 600 && more_left.abs_diff(more_right) < 60);
    assert_eq!(window.label(120, 230), id::R_BROW);
    assert_eq!(window.label(200, 230), id::L_BROW);
    window.key(Key::Z, Modifiers::COMMAND);
    assert_eq!(window.count(id::L_BROW), left, "both sides are one step");
}

#[test]
fn the_stabiliser_cuts_corners_and_ends_at_the_pointer() {
    let mut window = Window::new();
    window.key(Key::Num0, Modifiers::NONE);
    for _ in 0..40 {
        window.focus_slider("Steady");
        window.key(Key::ArrowRight, Modifiers::NONE);
    }
    window.stroke(&[[60.0, 250.0], [60.0, 300.0], [200.0, 300.0]]);
    assert_eq!(window.label(200, 300), id::HAIR);
    let source = Arc::clone(&window.edit().source);
    assert_eq!(
        Some(&window.label(51, 309)),
        source.get(51, 309),
        "the outer corner is not reached"
    );
}

#[test]
fn fills_go_everywhere_or_up_to_an_edge() {
    let mut window = Window::new();
    window.click("Fill");
    window.key(Key::Num0, Modifiers::NONE);
    let brow = [126.0, 167.0];
    assert_eq!(window.label(126, 167), id::R_BROW);
    window.click("Everywhere");
    window.stroke(&[brow]);
    assert_eq!(window.count(id::R_BROW), 0);
    window.key(Key::Z, Modifiers::COMMAND);
    window.click("Everywhere");

    // The photo is made of 40-pixel tiles; the brightness steps by 20 and 15.
    window.click("Up to edges");
    for _ in 0..3 {
        window.focus_slider("Edge");
        for _ in 0..12 {
            window.key(Key::ArrowLeft, Modifiers::NONE);
        }
    }
    let skin = window.count(id::SKIN);
    window.stroke(&[[100.0, 260.0]]);
    window.settle();
    let filled = skin - window.count(id::SKIN);
    assert!((1000..=1764).contains(&filled), "one tile, not {filled}");
}

#[test]
fn a_part_grows_and_is_cleaned_from_its_menu_and_by_key() {
    let mut window = Window::new();
    window.key(Key::Num6, Modifiers::NONE); // nose
    let nose = window.count(id::NOSE);
    window.key(Key::Equals, Modifiers::NONE);
    window.settle();
    let grown = window.count(id::NOSE);
    assert!(grown > nose + 300, "{nose} → {grown}");
    window.click("Change the part");
    window.harness.run_steps(3);
    window.click("Shrink");
    window.settle();
    assert!(window.count(id::NOSE).abs_diff(nose) < 40);
    window.stroke(&[[30.0, 60.0]]);
    let specks = window.count(id::NOSE);
    for _ in 0..2 {
        window.key(Key::I, Modifiers::SHIFT);
        window.settle();
    }
    assert_eq!(
        window.count(id::NOSE),
        specks,
        "the dab is larger than a speck"
    );
    window.key(Key::K, Modifiers::NONE);
    window.key(Key::Equals, Modifiers::NONE);
    window.settle();
    assert!(window.message().contains("locked"), "{}", window.message());
}

#[test]
fn moving_a_part_is_one_step_and_is_rendered_when_it_is_let_go() {
    let mut window = Window::new();
    window.key(Key::V, Modifiers::NONE);
    window.settle();
    let before = window.labels();
    let lips = window.count(id::U_LIP);
    window.press_and_move(&[[160.0, 291.0], [160.0, 301.0]]);
    window.until(|window| window.label(160, 281) != id::U_LIP);
    window.release([160.0, 311.0]);
    window.settle();
    let top = |window: &Window| (0..PHOTO[1]).find(|y| window.label(160, *y) == id::U_LIP);
    let was = (0..PHOTO[1])
        .find(|y| before.get(160, *y) == Some(&id::U_LIP))
        .unwrap();
    let now = top(&window).unwrap();
    assert!(now.abs_diff(was + 10) <= 1, "{was} → {now}");
    assert!(window.count(id::U_LIP).abs_diff(lips) < 12);
    // Rendered before it is noted.
    window.until(|window| window.edit().result.is_some());
    assert_eq!(window.edit().history.len(), 0);
    // A side handle makes it wider about its middle.
    let wide = |window: &Window| {
        let row = |y: usize| {
            (0..PHOTO[0])
                .filter(|x| window.label(*x, y) == id::U_LIP)
                .count()
        };
        (0..PHOTO[1]).map(row).max().unwrap()
    };
    let width = wide(&window);
    let right = [160.0 + width as f32 / 2.0, 0.0];
    let mouth: Vec<usize> = (0..PHOTO[1])
        .filter(|y| (0..PHOTO[0]).any(|x| matches!(window.label(x, *y), 10..=12)))
        .collect();
    let middle = (mouth[0] + mouth[mouth.len() - 1]) as f32 / 2.0 + 0.5;
    window.press_and_move(&[[right[0], middle], [right[0] + 8.0, middle]]);
    window.release([right[0] + 16.0, middle]);
    window.settle();
    let wider = wide(&window);
    assert!(
        (width + 10..width + 24).contains(&wider),
        "{width} → {wider}"
    );
    window.key(Key::Enter, Modifiers::NONE);
    window.settle();
    assert_eq!(window.edit().history.len(), 1);
    window.key(Key::Z, Modifiers::COMMAND);
    window.settle();
    assert_eq!(window.labels(), before);

    // Escape puts it back, without a step.
    window.stroke(&[[160.0, 291.0], [170.0, 301.0]]);
    assert_ne!(window.labels(), before);
    window.key(Key::Escape, Modifiers::NONE);
    window.settle();
    assert_eq!(window.labels(), before);
    assert!(window.edit().result.is_none());
}

#[test]
fn a_part_is_copied_from_another_mask() {
    let mut window = Window::new();
    let mut other = window.labels();
    for y in 150..160 {
        other.row_mut(y)[100..150].fill(id::NOSE);
    }
    let path = window.folder.path().join("other.png");
    vitruvian::face::mask::write_mask(&path, &other).unwrap();
    window.key(Key::Num6, Modifiers::NONE);
    window.answer(Some(path));
    window.key(Key::V, Modifiers::COMMAND | Modifiers::SHIFT);
    window.settle();
    assert_eq!(window.labels(), other);
    assert_eq!(window.edit().history.step(0).unwrap().name, "Copy nose");
}
