//! The window driven by accessible names, keys and pointer events, with stub models and a fixed clock.

mod access;
mod commands;
mod files;
mod hints;
mod history;
mod keeping;
mod lab;
mod looks;
mod motion;
mod painting;
mod photos;
mod pose;
mod tools;
mod views;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eframe::egui::{self, Event, Key, Modifiers, PointerButton, Pos2, Rect, Vec2, pos2, vec2};
use egui_kittest::kittest::Queryable as _;
use egui_kittest::{Harness, SnapshotOptions};
use tempfile::TempDir;
use vitruvian::face::labels::id;
use vitruvian::face::mask::{Labels, read_mask};
use vitruvian::photo::{self, Photo};
use vitruvian::raster::{Rgb, resize_rgb};
use vitruvian::ui::clipboard::Clipboard;
use vitruvian::ui::dialog::Ask;
use vitruvian::ui::face::{Dialog, Edit, Question, Work};
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
    clipboard: Arc<Board>,
}

/// A clipboard that belongs to the test.
#[derive(Default)]
struct Board(Mutex<Option<Photo>>);

impl Clipboard for Board {
    fn copy(&self, picture: &Photo) -> anyhow::Result<()> {
        *self.0.lock().unwrap() = Some(picture.clone());
        Ok(())
    }

    fn paste(&self) -> anyhow::Result<Photo> {
        let held = self.0.lock().unwrap().clone();
        held.ok_or_else(|| anyhow::anyhow!("There is no picture on the clipboard"))
    }
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

    /// A window that keeps its work in a folder.
    fn new_kept_in(recovery: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("portrait.png");
        photo::save_png(&path, &photo()).unwrap();
        let stub = Stub::new(PHOTO[0], PHOTO[1]);
        let mut window = Self::open_kept(stub, Some(path), folder, Some(recovery.to_path_buf()));
        window.settle();
        window
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
        Self::open_kept(stub, photo, folder, None)
    }

    fn open_kept(
        stub: Arc<Stub>,
        photo: Option<PathBuf>,
        folder: TempDir,
        recovery: Option<PathBuf>,
    ) -> Self {
        let answers: Arc<Mutex<Vec<Option<PathBuf>>>> = Arc::default();
        let clipboard: Arc<Board> = Arc::default();
        let (given, steps) = (Arc::clone(&answers), Arc::clone(&stub));
        let dialog: Dialog = Arc::new(move |_: &Question| given.lock().unwrap().pop().flatten());
        let setup = Setup {
            photo,
            load: Box::new(move || steps.load()),
            dialog,
            clipboard: Arc::clone(&clipboard) as Arc<dyn Clipboard>,
            recovery,
            motion: Box::new(|| Ok(Arc::new(motion::Ahead))),
            pose: Box::new(|| Ok(Arc::new(pose::Everywhere))),
            files: {
                let given = Arc::clone(&answers);
                Arc::new(move |_: &Ask| given.lock().unwrap().pop().flatten().into_iter().collect())
            },
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
            clipboard,
        }
    }

    /// Runs frames until no job runs.
    /// Until nothing is going on. One job's end may be the next one's cause, so a single quiet frame says little.
    fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..5_000 {
            self.harness.step();
            quiet = if self.harness.state().face().is_busy() {
                0
            } else {
                quiet + 1
            };
            if quiet > 5 {
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

    /// A slider and the number beside it have the same name; the slider comes first.
    fn focus_slider(&self, name: &str) {
        let mut both = self.harness.get_all_by_label(name);
        both.next().unwrap().focus();
    }

    /// How many pixels have a class.
    fn count(&self, class: u8) -> usize {
        let labels = &self.edit().target.data;
        labels.iter().filter(|label| **label == class).count()
    }
}
