//! The window driven by accessible names, keys and pointer events, with stub models and a fixed clock.

use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eframe::egui::{self, Event, Key, Modifiers, PointerButton, Pos2, Rect, Vec2, pos2, vec2};
use egui_kittest::kittest::Queryable as _;
use egui_kittest::{Harness, SnapshotOptions};
use tempfile::TempDir;
use vitruvian::face::labels::id;
use vitruvian::face::mask::{Labels, read_mask};
use vitruvian::photo;
use vitruvian::raster::{Rgb, resize_rgb};
use vitruvian::ui::face::{Dialog, Edit, Question, Steps, Work};
use vitruvian::ui::{App, Setup};

use crate::stub::{EDITED, RESTYLED, Stub};

const SIZE: Vec2 = vec2(1024.0, 700.0);
const PHOTO: [usize; 2] = [320, 400];

/// A window with a photo of 320 × 400 pixels, unless told otherwise.
struct Window {
    harness: Harness<'static, App>,
    stub: Arc<Stub>,
    folder: TempDir,
    /// What the next dialogs answer.
    answers: Arc<Mutex<Vec<Option<PathBuf>>>>,
}

fn photo() -> Rgb {
    let at = |i: usize| {
        let (x, y) = (i % PHOTO[0] / 40, i / PHOTO[0] / 40);
        [60 + 20 * x, 60 + 15 * y, 90 + (x * 7 + y * 3) % 90].map(|v| v as u8)
    };
    let data = (0..PHOTO[0] * PHOTO[1]).flat_map(at).collect();
    Rgb::from_vec(PHOTO[0], PHOTO[1], data).unwrap()
}

impl Window {
    fn new() -> Self {
        Self::with(Stub::new(PHOTO[0], PHOTO[1]))
    }

    fn with(stub: Arc<Stub>) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("portrait.png");
        photo::save_png(&path, &photo()).unwrap();
        let mut window = Self::open(stub, Some(path), folder);
        window.settle();
        window
    }

    fn open(stub: Arc<Stub>, photo: Option<PathBuf>, folder: TempDir) -> Self {
        let answers: Arc<Mutex<Vec<Option<PathBuf>>>> = Arc::default();
        let (given, steps) = (Arc::clone(&answers), Arc::clone(&stub));
        let dialog: Dialog = Arc::new(move |_: &Question| given.lock().unwrap().pop().flatten());
        let setup = Setup {
            photo,
            load: Box::new(move || Ok(steps as Arc<dyn Steps>)),
            dialog,
        };
        let harness = Harness::builder()
            .with_size(SIZE)
            .with_step_dt(1.0 / 60.0)
            .wgpu()
            .build_eframe(|cc| App::new(cc, setup).unwrap());
        Self {
            harness,
            stub,
            folder,
            answers,
        }
    }

    /// Runs frames until no job runs.
    fn settle(&mut self) {
        for _ in 0..5_000 {
            self.harness.step();
            if !self.harness.state().face().is_busy() {
                self.harness.run_steps(2);
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("the jobs did not end");
    }

    fn until(&mut self, condition: impl Fn(&Self) -> bool) {
        for _ in 0..5_000 {
            self.harness.step();
            if condition(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("waited in vain");
    }

    fn answer(&self, path: Option<PathBuf>) {
        self.answers.lock().unwrap().push(path);
    }

    fn work(&self) -> &Work {
        self.harness.state().face().work().unwrap()
    }

    fn edit(&self) -> &Edit {
        self.work().edit().unwrap()
    }

    fn labels(&self) -> Labels {
        self.edit().target.clone()
    }

    fn label(&self, x: usize, y: usize) -> u8 {
        *self.edit().target.get(x, y).unwrap()
    }

    fn message(&self) -> &str {
        self.harness.state().last_message().unwrap_or_default()
    }

    fn canvas(&self, name: &str) -> Rect {
        self.harness.get_by_label(name).rect()
    }

    /// Where a point of the fitted photo is on a canvas: centred, with 12 points free around it.
    fn on(&self, canvas: &str, [x, y]: [f32; 2]) -> Pos2 {
        let rect = self.canvas(canvas);
        let size = vec2(self.work().size()[0] as f32, self.work().size()[1] as f32);
        let zoom = ((rect.size() - vec2(24.0, 24.0)) / size).min_elem();
        rect.center() + (vec2(x, y) - size / 2.0) * zoom
    }

    fn at(&self, point: [f32; 2]) -> Pos2 {
        self.on("Mask canvas", point)
    }

    fn button(&self, pos: Pos2, button: PointerButton, pressed: bool, modifiers: Modifiers) {
        self.harness.event(Event::PointerButton {
            pos,
            button,
            pressed,
            modifiers,
        });
    }

    /// Moves the pressed primary button through points of the photo; ends with the button held.
    fn press_and_move(&mut self, points: &[[f32; 2]]) {
        let points: Vec<Pos2> = points.iter().map(|point| self.at(*point)).collect();
        self.harness.hover_at(points[0]);
        self.harness.step();
        self.button(points[0], PointerButton::Primary, true, Modifiers::NONE);
        for point in &points[1..] {
            self.harness.hover_at(*point);
        }
        self.harness.step();
    }

    fn release(&mut self, point: [f32; 2]) {
        self.button(
            self.at(point),
            PointerButton::Primary,
            false,
            Modifiers::NONE,
        );
        self.harness.step();
    }

    fn stroke(&mut self, points: &[[f32; 2]]) {
        self.press_and_move(points);
        self.release(*points.last().unwrap());
        self.settle();
    }

    fn click(&mut self, name: &str) {
        self.harness.get_by_label(name).click();
        self.harness.step();
        self.harness.step();
    }

    fn key(&mut self, key: Key, modifiers: Modifiers) {
        self.harness.key_press_modifiers(modifiers, key);
        self.harness.step();
    }
}

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
        .get_by_label_contains("Sample portrait, 1024 × 1024");
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
    window.key(Key::S, Modifiers::COMMAND);
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

#[test]
fn everything_fits_at_the_smallest_size() {
    let mut window = Window::new();
    window.click("Live"); // shows one more button
    window.stroke(&[[80.0, 150.0], [120.0, 150.0]]);
    let screen = Rect::from_min_size(pos2(0.0, 0.0), SIZE);
    let mut last_right = 0.0;
    for name in [
        "Open…",
        "Save result…",
        "Save mask…",
        "Undo",
        "Redo",
        "Live",
        "Render",
        "Weights",
        "Settings",
    ] {
        let rect = window.harness.get_by_label(name).rect();
        assert!(screen.contains_rect(rect), "{name} at {rect:?}");
        assert!(rect.left() >= last_right, "{name} lies on the one before");
        last_right = rect.right();
    }
    for name in ["Background", "Choose a style photo", "Messages"] {
        assert!(
            screen.contains_rect(window.harness.get_by_label(name).rect()),
            "{name}"
        );
    }
}

/// A part of the window as a small picture.
fn snapshot(window: &mut Window, name: &str, rect: Rect) {
    window.harness.remove_cursor();
    window.harness.run_steps(3);
    let shown = window.harness.render().unwrap();
    let [x, y, w, h] =
        [rect.left(), rect.top(), rect.width(), rect.height()].map(|v| v.round() as u32);
    let part = image::imageops::crop_imm(&shown, x, y, w, h).to_image();
    // Drivers round the edges of lines and circles differently.
    let options = SnapshotOptions::new().threshold(1.6).max_failed_pixels(60);
    egui_kittest::image_snapshot_options(&part, name, &options);
}

#[test]
fn snapshots() {
    let mut window = Window::new();
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[100.0, 250.0], [160.0, 290.0], [220.0, 250.0]]);
    let side = Rect::from_min_max(pos2(0.0, 42.0), pos2(216.0, 668.0));
    snapshot(&mut window, "side_panel", side);
    let canvas = window.canvas("Mask canvas");
    snapshot(&mut window, "mask_canvas", canvas);

    let result = window.canvas("Result canvas");
    let line = pos2(result.left() + 1.0, result.top() + 80.0);
    window.harness.hover_at(line);
    window.button(line, PointerButton::Primary, true, Modifiers::NONE);
    let middle = window.on("Result canvas", [160.0, 100.0]);
    window.harness.hover_at(pos2(line.x + 60.0, line.y));
    window.harness.hover_at(middle);
    window.button(middle, PointerButton::Primary, false, Modifiers::NONE);
    window.harness.step();
    snapshot(&mut window, "before_after", result);
}

/// Prints what a frame costs while a wide brush paints on large photos.
/// `cargo test --release --test main frame_times -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, not a test"]
fn frame_times() {
    for side in [512, 1024, 2048, 4096, 8192] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("large.png");
        photo::save_png(&path, &Rgb::new(side, side, [120, 110, 100])).unwrap();
        let mut window = Window::open(Stub::new(side, side), Some(path), folder);
        window.settle();
        window.click("Live");
        for _ in 0..30 {
            window.key(Key::CloseBracket, Modifiers::NONE);
        }
        let uploaded = window.edit().texture.uploaded_bytes();
        let middle = side as f32 / 2.0;
        let mut times = Vec::new();
        window.press_and_move(&[[middle - side as f32 * 0.2, middle]]);
        for i in 0..120 {
            let angle = i as f32 * 0.1;
            let radius = side as f32 * 0.2;
            let point = window.at([middle - radius * angle.cos(), middle + radius * angle.sin()]);
            window.harness.hover_at(point);
            let start = std::time::Instant::now();
            window.harness.step();
            let shapes = window.harness.output().shapes.clone();
            drop(window.harness.ctx.tessellate(shapes, 1.0));
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        window.release([middle, middle]);
        times.sort_by(f64::total_cmp);
        let uploaded = (window.edit().texture.uploaded_bytes() - uploaded) / times.len() as u64;
        println!(
            "{side}²: frame median {:.2} ms, 95 % {:.2} ms, {} kB uploaded a frame, {} kB of undo",
            times[times.len() / 2],
            times[times.len() * 95 / 100],
            uploaded / 1024,
            window.edit().history.bytes() / 1024,
        );
    }
}
