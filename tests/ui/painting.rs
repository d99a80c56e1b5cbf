//! Strokes, undo, the live result, and what both canvases show.

use super::*;

#[test]
fn the_sample_portrait_opens_parsed_and_ready_to_paint() {
    let mut window = Window::open(Stub::new(1024, 1024), None, TempDir::new().unwrap());
    window.settle();
    assert_eq!(window.work().size(), [1024, 1024]);
    assert_eq!(window.work().faces.as_ref().unwrap().len(), 1);
    assert_eq!(window.labels(), *window.edit().source);
    assert_eq!(window.label(330, 560), id::SKIN);
    window
        .harness
        .get_by_label_contains("Sample portrait · 1024 × 1024");
}

#[test]
fn a_stroke_paints_without_gaps_and_the_result_follows() {
    let mut window = Window::new();
    let before = window.labels();
    let uploaded = window.edit().texture.uploaded_bytes();
    assert_eq!(before.get(160, 250), Some(&id::NOSE));
    window.key(Key::Num0, Modifiers::NONE); // hair
    window.stroke(&[[100.0, 250.0], [220.0, 250.0]]);

    let radius = 12.0;
    let distance = |x: usize, y: usize| {
        let (x, y) = (x as f32 + 0.5, y as f32 + 0.5);
        (x - x.clamp(100.0, 220.0)).hypot(y - 250.0)
    };
    for y in 0..PHOTO[1] {
        for x in 0..PHOTO[0] {
            let (now, was) = (window.label(x, y), before.get(x, y));
            if distance(x, y) < radius - 0.1 {
                assert_eq!(now, id::HAIR, "({x}, {y})");
            } else if distance(x, y) > radius + 0.1 {
                assert_eq!(Some(&now), was, "({x}, {y})");
            }
        }
    }
    let uploaded = window.edit().texture.uploaded_bytes() - uploaded;
    assert!(
        uploaded <= 26 * 26 + 146 * 26,
        "{uploaded} bytes for a stroke of 144 × 24 pixels"
    );
    assert!(window.work().unsaved);

    let result = window.edit().result.as_ref().unwrap();
    let (patch, rect) = (&result.patch.rgb, result.patch.rect);
    assert_eq!(patch.get(160 - rect.x, 250 - rect.y), Some(EDITED));
    assert!(window.edit().is_result_current());
}

#[test]
fn undo_and_redo_are_exact_by_key_and_by_button() {
    let mut window = Window::new();
    let mut states = vec![window.labels()];
    for (key, y) in [(Key::Num1, 80.0), (Key::Num0, 200.0), (Key::Num6, 330.0)] {
        window.key(key, Modifiers::NONE);
        window.stroke(&[[40.0, y], [160.0, y - 30.0], [280.0, y]]);
        states.push(window.labels());
    }
    for state in states.iter().rev().skip(1) {
        window.key(Key::Z, Modifiers::COMMAND);
        window.settle();
        assert_eq!(window.labels(), *state);
    }
    assert!(
        window.edit().result.is_none(),
        "nothing is changed, so there is nothing to show"
    );
    window.key(Key::Z, Modifiers::COMMAND);
    assert_eq!(window.labels(), states[0]);

    window.key(Key::Z, Modifiers::COMMAND | Modifiers::SHIFT);
    assert_eq!(window.labels(), states[1]);
    window.click("Redo");
    assert_eq!(window.labels(), states[2]);
    window.click("Undo");
    assert_eq!(window.labels(), states[1]);
    window.settle();
    assert!(window.edit().result.is_some());
}

#[test]
fn mask_and_result_are_saved_as_shown() {
    let mut window = Window::new();
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[100.0, 250.0], [220.0, 250.0]]);

    let mask_path = window.folder.path().join("mask.png");
    window.answer(Some(mask_path.clone()));
    window.click("Save mask…");
    window.settle();
    assert_eq!(read_mask(&mask_path, None).unwrap(), window.labels());
    assert!(!window.work().unsaved);
    assert!(window.message().starts_with("Mask saved to"));

    let result_path = window.folder.path().join("result.png");
    window.answer(Some(result_path.clone()));
    window.key(Key::E, Modifiers::COMMAND);
    window.settle();
    let (saved, original) = (photo::open(&result_path).unwrap().rgb, photo());
    for y in 0..PHOTO[1] {
        for x in 0..PHOTO[0] {
            let is_edited = window.label(x, y) != *window.edit().source.get(x, y).unwrap();
            let should = if is_edited {
                Some(EDITED)
            } else {
                original.get(x, y)
            };
            assert_eq!(saved.get(x, y), should, "({x}, {y})");
        }
    }
}

#[test]
fn the_eraser_brings_back_the_mask_as_it_was_found() {
    let mut window = Window::new();
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[60.0, 250.0], [260.0, 250.0]]);
    assert_eq!(window.label(160, 250), id::HAIR);
    window.click("Eraser");
    window.stroke(&[[60.0, 250.0], [200.0, 250.0]]);
    let source = Arc::clone(&window.edit().source);
    for x in 60..200 {
        assert_eq!(Some(&window.label(x, 250)), source.get(x, 250));
    }
    assert_eq!(window.label(250, 250), id::HAIR);
}

#[test]
fn fill_pick_and_brush_size() {
    let mut window = Window::new();
    // Alt and click picks what lies there.
    let nose = window.at([160.0, 240.0]);
    window.harness.hover_at(nose);
    window
        .harness
        .event(Event::ModifiersChanged(Modifiers::ALT));
    window.button(nose, PointerButton::Primary, true, Modifiers::ALT);
    window.button(nose, PointerButton::Primary, false, Modifiers::ALT);
    window
        .harness
        .event(Event::ModifiersChanged(Modifiers::NONE));
    window.harness.step();
    window.harness.get_by_label_contains("Painting nose");

    window.key(Key::G, Modifiers::NONE);
    let eye = [126.0, 194.0];
    assert_eq!(window.label(126, 194), id::R_EYE);
    window.stroke(&[eye]);
    assert_eq!(window.label(126, 194), id::NOSE);
    let nose_pixels = |labels: &Labels| labels.data.iter().filter(|l| **l == id::NOSE).count();
    let eye_pixels = window
        .edit()
        .source
        .data
        .iter()
        .filter(|l| **l == id::R_EYE)
        .count();
    assert_eq!(
        nose_pixels(&window.labels()),
        nose_pixels(&window.edit().source) + eye_pixels
    );

    // One dab with a brush that was made larger, and its width in pixels.
    window.key(Key::B, Modifiers::NONE);
    window.key(Key::CloseBracket, Modifiers::NONE);
    let dab = |window: &mut Window, y: f32| {
        window.key(Key::Num0, Modifiers::SHIFT);
        window.key(Key::Num9, Modifiers::SHIFT);
        window.stroke(&[[160.5, y + 0.5]]);
        (0..PHOTO[0])
            .filter(|x| window.label(*x, y as usize) == id::BACKGROUND)
            .count()
    };
    assert_eq!(dab(&mut window, 300.0), 27 + background(&window, 300));
    let wheel = Event::MouseWheel {
        unit: egui::MouseWheelUnit::Line,
        delta: vec2(0.0, -1.0),
        phase: egui::TouchPhase::Move,
        source: egui::MouseWheelSource::Unknown,
        modifiers: Modifiers::CTRL | Modifiers::COMMAND,
    };
    window.harness.event(wheel.clone());
    window.harness.event(wheel);
    window.harness.step();
    assert_eq!(dab(&mut window, 180.0), 21 + background(&window, 180));
}

/// Background pixels of a row as it was parsed.
fn background(window: &Window, y: usize) -> usize {
    window
        .edit()
        .source
        .row(y)
        .iter()
        .filter(|l| **l == id::BACKGROUND)
        .count()
}

fn wheel(lines: f32) -> Event {
    Event::MouseWheel {
        unit: egui::MouseWheelUnit::Line,
        delta: vec2(0.0, lines),
        phase: egui::TouchPhase::Move,
        source: egui::MouseWheelSource::Unknown,
        modifiers: Modifiers::NONE,
    }
}

#[test]
fn zoom_and_pan_do_not_paint_and_both_canvases_follow() {
    let mut window = Window::new();
    let before = window.labels();
    window.key(Key::Num0, Modifiers::NONE);
    let pivot = window.at([160.0, 250.0]);
    window.harness.hover_at(pivot);
    window.harness.event(wheel(4.0));
    window.harness.step();
    // The pivot has stayed: a dab there paints there.
    window.button(pivot, PointerButton::Primary, true, Modifiers::NONE);
    window.button(pivot, PointerButton::Primary, false, Modifiers::NONE);
    window.settle();
    assert_eq!(window.label(160, 250), id::HAIR);
    window.key(Key::Z, Modifiers::COMMAND);
    assert_eq!(window.labels(), before);

    // Space and drag moves the photo by 50 points, which is less than 50 pixels now.
    window.harness.key_down(Key::Space);
    window.button(pivot, PointerButton::Primary, true, Modifiers::NONE);
    window.harness.hover_at(pivot + vec2(25.0, 0.0));
    window.harness.hover_at(pivot + vec2(50.0, 0.0));
    window.button(
        pivot + vec2(50.0, 0.0),
        PointerButton::Primary,
        false,
        Modifiers::NONE,
    );
    window.harness.key_up(Key::Space);
    window.settle();
    assert_eq!(window.labels(), before);
    window.button(
        pivot + vec2(50.0, 0.0),
        PointerButton::Primary,
        true,
        Modifiers::NONE,
    );
    window.button(
        pivot + vec2(50.0, 0.0),
        PointerButton::Primary,
        false,
        Modifiers::NONE,
    );
    window.settle();
    assert_eq!(window.label(160, 250), id::HAIR);
    assert_eq!(window.label(160, 275), *before.get(160, 275).unwrap());

    window.key(Key::F, Modifiers::NONE);
    window.stroke(&[[40.0, 40.0]]);
    assert_eq!(window.label(40, 40), id::HAIR);
}

#[test]
fn a_new_stroke_cancels_the_running_render() {
    let mut window = Window::new();
    window.stub.slow.store(true, SeqCst);
    window.key(Key::Num6, Modifiers::NONE);
    window.press_and_move(&[[60.0, 250.0], [120.0, 250.0]]);
    window.release([120.0, 250.0]);
    window.until(|window| window.stub.renders.load(SeqCst) == 1);
    assert!(window.harness.state().face().is_busy());

    window.press_and_move(&[[200.0, 250.0], [260.0, 250.0]]);
    assert!(
        !window.harness.state().face().is_busy(),
        "cancelled with the first dab"
    );
    window.stub.slow.store(false, SeqCst);
    window.release([260.0, 250.0]);
    window.settle();
    assert!(window.edit().is_result_current());
    let patch = &window.edit().result.as_ref().unwrap().patch;
    assert!(patch.rect.contains(60, 250) && patch.rect.contains(260, 250));
    // Two looks at the first mask would be one too many: the quick one and the full one of the second follow.
    assert_eq!(window.stub.renders.load(SeqCst), 3);
}

#[test]
fn escape_takes_back_the_stroke_being_painted() {
    let mut window = Window::new();
    let before = window.labels();
    window.press_and_move(&[[60.0, 250.0], [120.0, 260.0]]);
    assert_ne!(window.labels(), before);
    window.key(Key::Escape, Modifiers::NONE);
    window.release([120.0, 260.0]);
    window.settle();
    assert_eq!(window.labels(), before);
    assert_eq!(window.stub.renders.load(SeqCst), 0);
}

#[test]
fn a_failed_render_costs_neither_mask_nor_result() {
    let mut window = Window::new();
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[60.0, 250.0], [120.0, 250.0]]);
    let rect = window.edit().result.as_ref().unwrap().patch.rect;
    window.stub.fails.store(true, SeqCst);
    window.stroke(&[[200.0, 250.0], [260.0, 250.0]]);
    assert_eq!(window.message(), "The generator is out of paint");
    assert_eq!(window.label(230, 250), id::HAIR);
    assert_eq!(window.edit().result.as_ref().unwrap().patch.rect, rect);
    window.click("Dismiss");
    assert_eq!(window.message(), "");

    // Saving needs the full result, so it fails too, and says so; then it works again.
    let path = window.folder.path().join("result.png");
    window.answer(Some(path.clone()));
    window.click("Save result…");
    window.settle();
    assert_eq!(window.message(), "The generator is out of paint");
    assert!(!path.exists());
    window.stub.fails.store(false, SeqCst);
    window.answer(Some(path.clone()));
    window.click("Save result…");
    window.settle();
    assert_eq!(photo::open(&path).unwrap().rgb.get(230, 250), Some(EDITED));
}

#[test]
fn without_live_nothing_is_rendered_until_asked_for() {
    let mut window = Window::new();
    window.click("Live");
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[60.0, 250.0], [120.0, 250.0]]);
    assert_eq!(window.stub.renders.load(SeqCst), 0);
    window.click("Render");
    window.settle();
    assert!(window.edit().is_result_current());
    let renders = window.stub.renders.load(SeqCst);
    window.key(Key::R, Modifiers::NONE);
    window.settle();
    assert_eq!(
        window.stub.renders.load(SeqCst),
        renders,
        "it is current already"
    );
}

#[test]
fn a_stroke_within_one_slow_frame_is_painted_wherever_the_pointer_goes_next() {
    let mut window = Window::new();
    window.key(Key::Num0, Modifiers::NONE);
    let hair = window.count(id::HAIR);
    let ends = [window.at([90.0, 258.0]), window.at([130.0, 258.0])];
    window.harness.hover_at(ends[0]);
    window.button(ends[0], PointerButton::Primary, true, Modifiers::NONE);
    window.harness.hover_at(ends[1]);
    window.button(ends[1], PointerButton::Primary, false, Modifiers::NONE);
    window.harness.hover_at(pos2(500.0, 690.0));
    window.settle();
    assert!(window.count(id::HAIR) > hair + 800);
    // What lies in front of the canvas takes the press.
    window.key(Key::F1, Modifiers::NONE);
    window.harness.run_steps(3);
    let before = window.labels();
    let front = window.harness.get_by_label("Back to the usual keys").rect();
    assert!(window.canvas("Mask canvas").contains(front.left_center()));
    window.harness.hover_at(front.left_center());
    window.button(
        front.left_center(),
        PointerButton::Primary,
        true,
        Modifiers::NONE,
    );
    window.button(
        front.left_center(),
        PointerButton::Primary,
        false,
        Modifiers::NONE,
    );
    window.settle();
    assert!(
        window.labels() == before,
        "nothing is painted through a window"
    );
}
