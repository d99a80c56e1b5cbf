//! Which face, which photo, and what becomes of the work on the last one.

use super::*;

#[test]
fn without_a_face_the_user_draws_the_box() {
    let mut window = Window::with(Stub::blind());
    assert_eq!(
        window.message(),
        "No face found. Drag a box around the face"
    );
    assert!(window.work().edit().is_none());
    window.press_and_move(&[[300.0, 380.0], [100.0, 150.0], [60.0, 80.0]]);
    window.release([60.0, 80.0]);
    window.settle();
    let bbox = window.work().face().unwrap().bbox_in_image;
    let near = std::iter::zip(bbox, [60.0, 80.0, 300.0, 380.0]).all(|(a, b)| (a - b).abs() < 0.5);
    assert!(near, "{bbox:?}");
    assert_eq!(window.label(110, 236), id::SKIN);
    // From now on the pointer paints.
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[110.0, 236.0]]);
    assert_eq!(window.label(110, 236), id::HAIR);
}

#[test]
fn of_several_faces_a_click_chooses_and_each_keeps_its_edits() {
    let stub = Stub {
        faces: vec![[10.0, 40.0, 150.0, 240.0], [200.0, 250.0, 310.0, 390.0]],
        ..Default::default()
    };
    let mut window = Window::with(Arc::new(stub));
    assert_eq!(
        window.message(),
        "2 faces found. Click on a face to edit it"
    );
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[80.0, 150.0]]);
    let first = window.labels();

    window.stroke(&[[255.0, 330.0]]);
    assert_eq!(window.work().current, 1);
    assert_eq!(
        window.labels(),
        *window.edit().source,
        "the click chose and did not paint"
    );
    window.stroke(&[[255.0, 330.0]]);
    assert_eq!(window.label(255, 330), id::HAIR);

    window.stroke(&[[30.0, 100.0]]);
    assert_eq!(window.work().current, 0);
    assert_eq!(window.labels(), first);
    let path = window.folder.path().join("both.png");
    window.answer(Some(path.clone()));
    window.click("Save result…");
    window.settle();
    let saved = photo::open(&path).unwrap().rgb;
    assert_eq!(saved.get(80, 150), Some(EDITED));
    assert_eq!(saved.get(255, 330), Some(EDITED));
}

#[test]
fn the_window_asks_for_a_path_where_the_system_cannot() {
    let mut window = Window::new();
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[80.0, 150.0]]);
    window.answer(None);
    window.click("Save mask…");
    window.settle();
    let proposed = window.harness.get_by_label("File").value().unwrap();
    assert_eq!(
        PathBuf::from(proposed),
        window.folder.path().join("portrait_mask.png")
    );
    window.click("Save");
    window.settle();
    let saved = read_mask(&window.folder.path().join("portrait_mask.png"), None).unwrap();
    assert_eq!(saved, window.labels());
}

#[test]
fn opening_another_photo_asks_before_it_drops_strokes() {
    let mut window = Window::new();
    let other = window.folder.path().join("other.png");
    photo::save_png(&other, &resize_rgb(&photo(), 200, 100)).unwrap();
    window.stroke(&[[80.0, 150.0], [120.0, 150.0]]);
    window.answer(Some(other.clone()));
    window.key(Key::O, Modifiers::COMMAND);
    window.settle();
    window.click("Keep working");
    window.settle();
    assert_eq!(window.work().size(), PHOTO);

    window.answer(Some(other));
    window.key(Key::O, Modifiers::COMMAND);
    window.settle();
    window.click("Open anyway");
    window.settle();
    assert_eq!(window.work().size(), [200, 100]);
    assert!(!window.work().unsaved);
}

#[test]
fn closing_asks_before_it_drops_strokes() {
    let mut window = Window::new();
    let close = |window: &mut Window| {
        let viewports = &mut window.harness.input_mut().viewports;
        let root = viewports.entry(egui::ViewportId::ROOT).or_default();
        root.events.push(egui::ViewportEvent::Close);
        window.harness.step();
        let root = &window.harness.output().viewport_output[&egui::ViewportId::ROOT];
        let is_kept = root.commands.contains(&egui::ViewportCommand::CancelClose);
        let root = window
            .harness
            .input_mut()
            .viewports
            .entry(egui::ViewportId::ROOT);
        root.or_default().events.clear();
        window.harness.run_steps(2);
        !is_kept
    };
    assert!(close(&mut window), "nothing to lose");
    window.stroke(&[[80.0, 150.0], [120.0, 150.0]]);
    assert!(!close(&mut window));
    window.click("Keep working");
    assert!(!close(&mut window));
    window.click("Close anyway");
    assert!(close(&mut window), "the user has agreed");
}

#[test]
fn another_photo_gives_its_style_to_the_chosen_parts() {
    let mut window = Window::new();
    let other = window.folder.path().join("other.png");
    photo::save_png(&other, &resize_rgb(&photo(), 320, 400)).unwrap();
    window.answer(Some(other));
    window.click("Choose a style photo");
    window.settle();
    let shown = |window: &Window, x: usize, y: usize| {
        let patch = Arc::clone(&window.edit().result.as_ref().unwrap().patch);
        patch.rgb.get(x - patch.rect.x, y - patch.rect.y)
    };
    let (nose, skin) = ([160, 230], [110, 230]);
    assert_eq!(shown(&window, nose[0], nose[1]), Some(RESTYLED));
    assert_eq!(shown(&window, skin[0], skin[1]), Some(RESTYLED));

    window.click("None");
    window.settle();
    assert!(window.edit().result.is_none());
    window.click("Style of nose");
    window.settle();
    assert_eq!(shown(&window, nose[0], nose[1]), Some(RESTYLED));
    assert_eq!(
        shown(&window, skin[0], skin[1]),
        photo().get(skin[0], skin[1])
    );

    window.click("Remove the style photo");
    window.settle();
    assert!(window.edit().result.is_none());
    window.harness.get_by_label("Choose a style photo");
}

#[test]
fn a_file_that_cannot_be_opened_leaves_the_work_alone() {
    let mut window = Window::new();
    let before = window.labels();
    let bad = window.folder.path().join("notes.jpg");
    std::fs::write(&bad, "no picture at all").unwrap();
    window.answer(Some(bad));
    window.click("Open…");
    window.settle();
    assert!(
        window.message().contains("notes.jpg"),
        "{}",
        window.message()
    );
    assert_eq!(window.work().size(), PHOTO);
    assert_eq!(window.labels(), before);
}
