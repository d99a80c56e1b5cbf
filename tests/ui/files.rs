//! Exporting with choices, masks in other forms, the clipboard, folders, and saved edits.

use vitruvian::face::mask::{Fit, MaskFormat, open_mask, save_mask};
use vitruvian::face::recipe::Recipe;

use super::*;

/// Paints hair over a part of the face.
fn paint(window: &mut Window) {
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[80.0, 150.0], [120.0, 150.0]]);
}

const SHIFT_COMMAND: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

#[test]
fn results_and_masks_are_exported_as_chosen() {
    let mut window = Window::new();
    paint(&mut window);
    window.key(Key::E, SHIFT_COMMAND);
    window.click("JPEG");
    window.answer(Some(window.folder.path().join("out")));
    window.click("Export result…");
    window.settle();
    // The name had no ending: it got that of the format.
    let path = window.folder.path().join("out.jpg");
    assert!(window.message().contains("out.jpg"), "{}", window.message());
    let [r, g, b] = photo::open(&path).unwrap().rgb.get(100, 150).unwrap();
    let near = std::iter::zip([r, g, b], EDITED).all(|(a, b)| a.abs_diff(b) < 40);
    assert!(near, "{r} {g} {b}");
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes[..3], [0xFF, 0xD8, 0xFF]);

    window.click("More files");
    window.click("Export…");
    window.click("TIFF");
    window.click("16");
    let path = window.folder.path().join("deep.tif");
    window.answer(Some(path.clone()));
    window.click("Export result…");
    window.settle();
    let deep = photo::open(&path).unwrap();
    assert!(deep.deep.is_some());
    assert_eq!(deep.rgb.get(100, 150), Some(EDITED));
    assert_eq!(deep.rgb.get(300, 390), photo().get(300, 390));

    // What was chosen is kept; Escape leaves the window.
    window.key(Key::E, SHIFT_COMMAND);
    window.harness.get_by_label("Export mask…");
    window.key(Key::Escape, Modifiers::NONE);
    window.settle();
    assert!(window.harness.query_by_label("Export mask…").is_none());
}

#[test]
fn a_mask_of_another_tool_is_opened_and_can_be_undone() {
    let mut window = Window::new();
    let found = window.labels();
    paint(&mut window);
    let painted = window.labels();
    window.key(Key::Z, Modifiers::COMMAND);
    let path = window.folder.path().join("bisenet.png");
    save_mask(&path, &painted, MaskFormat::BiSeNet, "").unwrap();
    window.answer(Some(path));
    window.key(Key::M, SHIFT_COMMAND);
    window.settle();
    assert_eq!(window.labels(), painted);
    assert!(window.message().contains("BiSeNet"), "{}", window.message());
    assert!(window.edit().result.is_some());
    window.key(Key::Z, Modifiers::COMMAND);
    window.settle();
    assert_eq!(window.labels(), found);

    // Of another shape: it says so and changes nothing.
    let path = window.folder.path().join("small.png");
    save_mask(&path, &Labels::new(50, 50, 1), MaskFormat::Id, "").unwrap();
    window.answer(Some(path));
    window.click("More files");
    window.click("Open mask…");
    window.settle();
    assert!(window.message().contains("50 × 50"), "{}", window.message());
    assert_eq!(window.labels(), found);
    // A name that ends so gives run lengths.
    let path = window.folder.path().join("mask.json");
    window.answer(Some(path.clone()));
    window.click("Save mask…");
    window.settle();
    assert_eq!(open_mask(&path, Fit::Any).unwrap().labels, found);
}

#[test]
fn pictures_go_over_the_clipboard() {
    let mut window = Window::new();
    window.key(Key::V, Modifiers::COMMAND);
    window.settle();
    assert!(window.message().contains("no picture on the clipboard"));
    paint(&mut window);
    window.key(Key::C, SHIFT_COMMAND);
    window.settle();
    assert_eq!(window.message(), "The result is on the clipboard");
    let copied = window.clipboard.0.lock().unwrap().clone().unwrap();
    assert_eq!(copied.rgb.get(100, 150), Some(EDITED));
    assert_eq!(copied.rgb.get(300, 390), photo().get(300, 390));

    // Pasting asks, since the strokes were not saved. The real window sends no key but what is pasted.
    window.harness.event(Event::Paste("some text".into()));
    window.settle();
    window.click("Keep working");
    window.settle();
    assert!(window.work().unsaved);
    window.key(Key::V, Modifiers::COMMAND);
    window.settle();
    window.click("Open anyway");
    window.settle();
    assert_eq!(window.work().photo.rgb, copied.rgb);
    assert_eq!(window.work().name(), "Pasted photo.png");
    assert!(!window.work().unsaved);
}

#[test]
fn a_folder_is_gone_through_photo_by_photo() {
    let mut window = Window::new();
    let folder = TempDir::new().unwrap();
    for (i, width) in [(1, 200), (2, 220), (10, 240)] {
        let path = folder.path().join(format!("p{i}.png"));
        photo::save_png(&path, &resize_rgb(&photo(), width, 100)).unwrap();
    }
    window.key(Key::PageDown, Modifiers::NONE);
    window.settle();
    assert!(window.message().contains("Open a folder"));
    window.answer(Some(folder.path().to_path_buf()));
    window.key(Key::O, SHIFT_COMMAND);
    window.settle();
    let at = |window: &Window| {
        let folder = window.harness.state().face().folder().unwrap();
        (folder.text(), window.work().size()[0])
    };
    assert_eq!(at(&window), ("1 of 3".into(), 200));
    window.key(Key::PageDown, Modifiers::NONE);
    window.settle();
    window.click("Next photo");
    window.settle();
    assert_eq!(at(&window), ("3 of 3".into(), 240));
    window.key(Key::PageDown, Modifiers::NONE);
    window.settle();
    assert_eq!(window.message(), "This is the last photo");
    // Work that was not saved is asked for, and the place stays.
    window.key(Key::Num1, Modifiers::NONE); // skin, where there is hair
    window.stroke(&[[120.0, 50.0]]);
    window.key(Key::PageUp, Modifiers::NONE);
    window.settle();
    window.click("Keep working");
    window.settle();
    assert_eq!(at(&window), ("3 of 3".into(), 240));
    // Another photo leaves the folder.
    window.key(Key::Z, Modifiers::COMMAND);
    window.answer(Some(window.folder.path().join("portrait.png")));
    window.key(Key::O, Modifiers::COMMAND);
    window.settle();
    window.click("Open anyway");
    window.settle();
    assert!(window.harness.state().face().folder().is_none());
    assert_eq!(window.work().size(), PHOTO);
}

#[test]
fn an_edit_is_saved_as_a_recipe_and_applied_again() {
    let mut window = Window::new();
    paint(&mut window);
    let painted = window.labels();
    let path = window.folder.path().join("hair.json");
    window.answer(Some(path.clone()));
    window.click("More files");
    window.click("Save edit as recipe…");
    window.settle();
    assert!(
        window.work().unsaved,
        "the photo's own work is not saved by that"
    );
    assert_eq!(Recipe::open(&path).unwrap().made_from, "portrait.png");
    window.key(Key::Z, Modifiers::COMMAND);
    window.settle();
    window.answer(Some(path));
    window.key(Key::A, SHIFT_COMMAND);
    window.settle();
    let again = window.labels();
    let differ = std::iter::zip(&again.data, &painted.data)
        .filter(|(a, b)| a != b)
        .count();
    let changed = std::iter::zip(&window.edit().source.data, &painted.data)
        .filter(|(a, b)| a != b)
        .count();
    assert!(
        changed > 500 && differ * 10 < changed,
        "{differ} of {changed}"
    );
    assert_eq!(
        window.edit().history.step(0).map(|s| s.name.as_str()),
        Some("Apply a saved edit")
    );
}
