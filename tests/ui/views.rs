//! What the canvases show: parts alone and hidden, outlines, the result in its ways, snapshots; by their pixels.

use super::*;

// The photo is made of 40-pixel tiles; these lie well inside theirs.
const HAIR: [f32; 2] = [150.0, 56.0];
const NOSE: [f32; 2] = [156.0, 255.0];
const PAINTED: [f32; 2] = [92.0, 258.0];
/// Painted after the snapshot.
const LATER: [f32; 2] = [220.0, 258.0];
const BACKGROUND: [f32; 2] = [12.0, 12.0];

fn rgb(pixel: &image::Rgba<u8>) -> [u8; 3] {
    [pixel[0], pixel[1], pixel[2]]
}

fn apart(a: [u8; 3], b: [u8; 3]) -> u8 {
    let each = a.iter().zip(b).map(|(a, b)| a.abs_diff(b));
    each.max().unwrap_or(0)
}

fn of_photo([x, y]: [f32; 2]) -> [u8; 3] {
    photo().get(x as usize, y as usize).unwrap()
}

impl Window {
    /// What a canvas shows at points of the photo.
    fn pixels<const N: usize>(&mut self, canvas: &str, points: [[f32; 2]; N]) -> [[u8; 3]; N] {
        self.harness.remove_cursor();
        self.harness.run_steps(2);
        let shown = self.harness.render().unwrap();
        points.map(|point| {
            let pos = self.on(canvas, point);
            rgb(shown.get_pixel(pos.x as u32, pos.y as u32))
        })
    }

    fn tinted<const N: usize>(&mut self, points: [[f32; 2]; N]) -> [bool; N] {
        let shown = self.pixels("Mask canvas", points);
        std::array::from_fn(|i| apart(shown[i], of_photo(points[i])) > 12)
    }

    fn painted() -> Self {
        let mut window = Self::new();
        window.key(Key::Num0, Modifiers::NONE);
        window.stroke(&[PAINTED]);
        window
    }
}

#[test]
fn parts_are_hidden_and_shown_alone() {
    let mut window = Window::new();
    window.key(Key::Num0, Modifiers::NONE);
    let points = [HAIR, NOSE, BACKGROUND];
    assert_eq!(window.tinted(points), [true, true, false]);
    window.click("Hide nose");
    assert_eq!(window.tinted(points), [true, false, false]);
    window.key(Key::S, Modifiers::NONE);
    window.click("Show nose");
    assert_eq!(window.tinted(points), [true, false, false], "hair alone");
    window.key(Key::Num6, Modifiers::NONE);
    assert_eq!(window.tinted(points), [false, true, false], "nose alone");
    window.key(Key::S, Modifiers::NONE);
    assert_eq!(window.tinted(points), [true, true, false]);
    window.key(Key::M, Modifiers::NONE);
    assert_eq!(window.tinted(points), [false; 3]);
    window.key(Key::M, Modifiers::NONE);
    assert_eq!(window.tinted(points), [true, true, false]);
}

#[test]
fn outlines_leave_the_photo_as_it_is_but_for_a_line() {
    let mut window = Window::new();
    window.key(Key::Num6, Modifiers::NONE);
    window.key(Key::M, Modifiers::SHIFT);
    assert_eq!(window.tinted([HAIR, NOSE, BACKGROUND]), [false; 3]);
    // From the middle of the nose to the cheek there is one line.
    let across: [[f32; 2]; 32] = std::array::from_fn(|i| [NOSE[0] - i as f32, NOSE[1]]);
    let line = window.tinted(across);
    let first = line.iter().position(|on| *on).unwrap();
    let last = line.iter().rposition(|on| *on).unwrap();
    let edge = (0..32).find(|i| window.label(156 - i, 255) != id::NOSE);
    let edge = edge.unwrap();
    assert!(
        first.abs_diff(edge) <= 3 && last - first <= 5,
        "{first} {last} {edge}"
    );
}

#[test]
fn the_result_is_shown_in_three_ways_and_blinks_while_c_is_held() {
    let mut window = Window::painted();
    let points = [PAINTED, LATER];
    let [edited, same] = window.pixels("Result canvas", points);
    assert!(apart(edited, EDITED) < 4 && apart(same, of_photo(LATER)) < 4);

    window.harness.key_down(Key::C);
    let before = window.pixels("Result canvas", [PAINTED]);
    assert!(
        apart(before[0], of_photo(PAINTED)) < 4,
        "the photo while held"
    );
    window.harness.key_up(Key::C);
    let after = window.pixels("Result canvas", [PAINTED]);
    assert!(apart(after[0], EDITED) < 4);

    window.key(Key::T, Modifiers::NONE);
    let [before] = window.pixels("Before canvas", [PAINTED]);
    let [after] = window.pixels("Result canvas", [PAINTED]);
    assert!(apart(before, of_photo(PAINTED)) < 4 && apart(after, EDITED) < 4);

    window.key(Key::T, Modifiers::NONE);
    assert!(window.harness.query_by_label("Before canvas").is_none());
    // Within what was rendered, but not painted: two pixels beside the stroke's rim.
    let rect = window.edit().result.as_ref().unwrap().patch.rect;
    let corner = [rect.x as f32 + 1.0, rect.y as f32 + 1.0];
    let [hot, cold] = window.pixels("Result canvas", [PAINTED, corner]);
    assert!(hot[0] == 255, "{hot:?} is hot");
    let most = cold.iter().max().unwrap() - cold.iter().min().unwrap();
    assert!(cold[0] < 60 && most < 4, "{cold:?} is grey and dark");

    window.key(Key::T, Modifiers::NONE);
    let [edited] = window.pixels("Result canvas", [PAINTED]);
    assert!(apart(edited, EDITED) < 4);
}

#[test]
fn before_and_after_compare_with_a_snapshot() {
    let mut window = Window::painted();
    window.key(Key::N, Modifiers::COMMAND | Modifiers::SHIFT);
    window.settle();
    window.stroke(&[LATER]);
    let points = [PAINTED, LATER];
    let before = |window: &mut Window| {
        window.harness.key_down(Key::C);
        let shown = window.pixels("Result canvas", points);
        window.harness.key_up(Key::C);
        window.harness.step();
        shown
    };
    let photo = before(&mut window);
    assert!(apart(photo[0], of_photo(PAINTED)) < 4);
    window.click("Compare with Snapshot 1");
    let snapshot = before(&mut window);
    assert!(
        apart(snapshot[0], EDITED) < 4,
        "the snapshot has the first stroke"
    );
    assert!(
        apart(snapshot[1], of_photo(LATER)) < 4,
        "and not the second"
    );
    let now = window.pixels("Result canvas", points);
    assert!(now.iter().all(|pixel| apart(*pixel, EDITED) < 4));
}

#[test]
fn what_is_exported_opens_again_as_a_photo() {
    let mut window = Window::painted();
    let path = window.folder.path().join("new face.png");
    window.answer(Some(path.clone()));
    window.key(Key::E, Modifiers::COMMAND);
    window.settle();
    assert!(window.message().contains("saved"), "{}", window.message());
    window.answer(Some(path));
    window.key(Key::O, Modifiers::COMMAND);
    window.settle();
    assert_eq!(window.work().name(), "new face.png");
    assert_eq!(window.edit().history.len(), 0);
    let [x, y] = PAINTED.map(|v| v as usize);
    assert_eq!(window.work().photo.rgb.get(x, y), Some(EDITED));
    let [shown] = window.pixels("Result canvas", [PAINTED]);
    assert!(apart(shown, EDITED) < 4);
    let same = [LATER, BACKGROUND].map(|point| {
        let [x, y] = point.map(|v| v as usize);
        (window.work().photo.rgb.get(x, y).unwrap(), of_photo(point))
    });
    assert!(same.iter().all(|(now, was)| now == was));
}

#[test]
fn the_bar_tells_what_the_last_render_ran_on() {
    let mut window = Window::painted();
    window.until(|window| {
        window
            .harness
            .query_by_label_contains("s on paper")
            .is_some()
    });
    window
        .harness
        .get_by_label_contains("portrait.png · 320 × 400 · not saved");
}
