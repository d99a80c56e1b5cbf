//! The window as a whole: which tab is shown, the bars around it, settings and messages.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use eframe::egui::{self, Align, Align2, Layout, vec2};

use super::Options;
use super::clipboard::{Clipboard, SystemClipboard};
use super::commands::{KeysPage, Palette};
use super::dialog::{self, FileDialog};
use super::face::{Dialog, FaceTab, Purpose, Question, Source, Steps};
use super::job_bar::Log;
use super::keys::{self, Action};
use super::lab::LabTab;
use super::motion::{self, MotionTab};
use super::pose::{self, PoseTab};
use super::question;
use super::settings::{self, Settings};
use super::tab::{Tab, TabName};
use super::theme::{self, icon};
use super::weights_window::WeightsWindow;
use crate::face::edit::FaceModels;
use crate::gpu::Gpu;
use crate::photo;
use crate::weights::{DeviceKind, Store};

/// Opened when the user names no photo.
const SAMPLE: &[u8] = include_bytes!("../../assets/samples/redhead.jpg");

const ICON: &[u8] = include_bytes!("../../assets/icon.png");

/// Below this the panels would be cramped.
const MIN_SIZE: egui::Vec2 = vec2(1024.0, 700.0);

/// What the window starts with.
pub struct Setup {
    /// None opens the sample portrait.
    pub photo: Option<PathBuf>,
    /// Loads the models of the face tab; runs in a job.
    pub load: Box<dyn FnOnce() -> Result<Arc<dyn Steps>> + Send>,
    /// Asks for paths.
    pub dialog: Dialog,
    /// Where pictures are copied to and pasted from.
    pub clipboard: Arc<dyn Clipboard>,
    /// Where work is kept in case of a crash; none: nowhere.
    pub recovery: Option<PathBuf>,
    /// Loads the model of the motion tab; runs in a job.
    pub motion: motion::Load,
    /// Loads the models of the pose tab when it is first seen; runs in a job.
    pub pose: pose::Load,
    /// Asks for files.
    pub files: FileDialog,
}

/// The window.
pub struct App {
    face: FaceTab,
    pose: PoseTab,
    motion: MotionTab,
    lab: LabTab,
    settings: Settings,
    log: Log,
    is_log_open: bool,
    are_settings_open: bool,
    weights: WeightsWindow,
    closing: Closing,
    palette: Palette,
    keys_page: KeysPage,
}

/// Whether the window may close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    No,
    /// There is unsaved work: the user is asked.
    Asked,
    Agreed,
}

impl App {
    /// # Errors
    /// When the window is not drawn by wgpu.
    pub fn new(cc: &eframe::CreationContext<'_>, setup: Setup) -> Result<Self> {
        let state = cc
            .wgpu_render_state
            .as_ref()
            .context("Failed to reach the graphics device")?;
        let ctx = &cc.egui_ctx;
        theme::install(ctx);
        let mut settings = Settings::load(cc.storage);
        keys::install(ctx, &settings.keys);
        let gpu = Gpu::from_render_state(state);
        let mut face = FaceTab::new(
            ctx,
            gpu.clone(),
            setup.load,
            setup.dialog,
            setup.clipboard,
            setup.recovery,
        );
        if setup.photo.is_some() {
            settings.tab = TabName::Face;
        }
        face.open(setup.photo.map_or(Source::Sample(SAMPLE), Source::File));
        Ok(Self {
            face,
            pose: PoseTab::new(ctx, gpu.clone(), setup.pose, setup.files.clone()),
            motion: MotionTab::new(ctx, gpu, setup.motion, setup.files),
            lab: LabTab::new(ctx),
            settings,
            log: Log::default(),
            is_log_open: false,
            are_settings_open: false,
            weights: WeightsWindow::new(ctx),
            closing: Closing::No,
            palette: Palette::default(),
            keys_page: KeysPage::default(),
        })
    }

    /// The face tab.
    pub fn face(&self) -> &FaceTab {
        &self.face
    }

    /// The lab tab.
    pub fn lab(&self) -> &LabTab {
        &self.lab
    }

    /// The lab tab, to shorten its runs in tests.
    pub fn lab_mut(&mut self) -> &mut LabTab {
        &mut self.lab
    }

    /// What the user was told last.
    pub fn last_message(&self) -> Option<&str> {
        self.log.last()
    }

    /// The pose tab.
    pub fn pose(&self) -> &PoseTab {
        &self.pose
    }

    /// The motion tab.
    pub fn motion(&self) -> &MotionTab {
        &self.motion
    }

    /// The tab that is shown.
    pub fn shown(&self) -> TabName {
        self.settings.tab
    }

    /// The shown tab, and the settings it works with.
    fn tab(&mut self) -> (&mut dyn Tab, &mut Settings) {
        let tab: &mut dyn Tab = match self.settings.tab {
            TabName::Face => &mut self.face,
            TabName::Pose => &mut self.pose,
            TabName::Motion => &mut self.motion,
            TabName::Lab => &mut self.lab,
        };
        (tab, &mut self.settings)
    }

    fn tabs(&mut self) -> [&mut dyn Tab; 4] {
        [
            &mut self.face,
            &mut self.pose,
            &mut self.motion,
            &mut self.lab,
        ]
    }

    fn tabs_ui(&mut self, ui: &mut egui::Ui) {
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.x = theme::SPACE_SMALL;
            for (index, tab) in TabName::ALL.into_iter().enumerate() {
                let title = egui::RichText::new(tab.title()).family(theme::strong());
                let tip = format!("{} ({})", tab.tip(), keys::tab_keys(ui.ctx(), index));
                ui.selectable_value(&mut self.settings.tab, tab, title)
                    .on_hover_text(tip);
            }
        });
        ui.separator();
    }

    fn top_bar_ui(&mut self, ui: &mut egui::Ui) {
        ui.horizontal_centered(|ui| {
            self.tabs_ui(ui);
            let (tab, settings) = self.tab();
            tab.toolbar_ui(ui, settings);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                for (icon, name, action) in [
                    (icon::SETTINGS, "Settings", Action::ShowSettings),
                    (icon::KEYBOARD, "Keys", Action::ShowKeys),
                    (icon::SEARCH, "Find an action", Action::Palette),
                    (icon::WEIGHTS, "Weights", Action::ShowWeights),
                ] {
                    let tip = keys::tip(ui.ctx(), action);
                    if theme::icon_button_ui(ui, icon, name, &tip).clicked() {
                        self.act(ui.ctx(), action);
                    }
                }
            });
        });
    }

    /// Does what a key or the palette asks for.
    fn act(&mut self, ctx: &egui::Context, action: Action) {
        match action {
            Action::Palette => self.palette.open(),
            Action::ShowKeys => self.keys_page.is_open = !self.keys_page.is_open,
            Action::ShowSettings => self.are_settings_open = !self.are_settings_open,
            Action::ShowMessages => self.is_log_open = !self.is_log_open,
            Action::ShowWeights => {
                self.weights.open = !self.weights.open;
                if self.weights.open {
                    self.weights.refresh();
                }
            }
            Action::ShowHints => {
                self.settings.tab = TabName::Face;
                self.face.show_hints_again(&mut self.settings);
            }
            Action::NextTab => self.settings.tab = self.settings.tab.neighbour(1),
            Action::PreviousTab => self.settings.tab = self.settings.tab.neighbour(-1),
            Action::Tab(index) => {
                let tab = TabName::ALL.get(usize::from(index));
                self.settings.tab = tab.copied().unwrap_or(self.settings.tab);
            }
            _ => {
                let (tab, settings) = self.tab();
                tab.act(ctx, action, settings);
            }
        }
    }

    /// Closes the windows that lie over the tab. Returns whether there was one.
    fn close_windows(&mut self) -> bool {
        let open = [
            &mut self.are_settings_open,
            &mut self.is_log_open,
            &mut self.keys_page.is_open,
            &mut self.weights.open,
        ];
        let mut any = false;
        open.into_iter()
            .for_each(|open| any |= std::mem::take(open));
        any
    }

    fn windows_ui(&mut self, ctx: &egui::Context) {
        let corner = ctx.content_rect().right_top() + vec2(-theme::SPACE_LARGE, 52.0);
        egui::Window::new("Settings")
            .open(&mut self.are_settings_open)
            .pivot(Align2::RIGHT_TOP)
            .default_pos(corner)
            .collapsible(false)
            .resizable(false)
            .show(ctx, |ui| settings::settings_ui(ui, &mut self.settings));
        egui::Window::new("Messages")
            .open(&mut self.is_log_open)
            .pivot(Align2::RIGHT_BOTTOM)
            .default_pos(ctx.content_rect().right_bottom() - vec2(theme::SPACE_LARGE, 44.0))
            .collapsible(false)
            .show(ctx, |ui| self.log.log_ui(ui));
        self.keys_page.page_ui(ctx, &mut self.settings.keys);
        if let Some((action, tab)) = self.palette.palette_ui(ctx, self.settings.tab) {
            self.settings.tab = tab.unwrap_or(self.settings.tab);
            self.act(ctx, action);
        }
        self.weights.window_ui(ctx);
        let (tab, settings) = self.tab();
        tab.questions_ui(ctx, settings);
        self.close_question_ui(ctx);
    }

    /// Keeps the window open while there is work that was not saved, until the user agrees.
    fn close_question_ui(&mut self, ctx: &egui::Context) {
        let is_asked_for = ctx.input(|i| i.viewport().close_requested());
        let unsaved: Vec<&str> = self
            .tabs()
            .into_iter()
            .filter_map(|tab| tab.unsaved())
            .collect();
        if is_asked_for && !unsaved.is_empty() && self.closing != Closing::Agreed {
            ctx.send_viewport_cmd(egui::ViewportCommand::CancelClose);
            self.closing = Closing::Asked;
        }
        if self.closing != Closing::Asked {
            return;
        }
        match question::question_ui(
            ctx,
            "Close Vitruvian?",
            &unsaved.join("\n"),
            "Close anyway",
            "Keep working",
        ) {
            Some(true) => {
                self.closing = Closing::Agreed;
                ctx.send_viewport_cmd(egui::ViewportCommand::Close);
            }
            Some(false) => self.closing = Closing::No,
            None => {}
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        let tabs: [&mut dyn Tab; 4] = [
            &mut self.face,
            &mut self.pose,
            &mut self.motion,
            &mut self.lab,
        ];
        for tab in tabs {
            tab.logic(ctx, &mut self.settings, &mut self.log);
        }
        self.weights.logic();
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let ctx = ui.ctx().clone();
        ctx.set_theme(self.settings.theme);
        let dropped: Vec<PathBuf> = ctx.input(|i| {
            let files = i.raw.dropped_files.iter();
            files.map(|file| file.path().to_path_buf()).collect()
        });
        if !dropped.is_empty() {
            self.tab().0.open_dropped(dropped);
        }
        // A question that is open takes the keys itself, and so does the page on which keys are changed.
        let is_asked = ctx.memory(|memory| memory.top_modal_layer().is_some());
        if !is_asked && !self.keys_page.is_waiting() {
            let (tab, settings) = self.tab();
            tab.take_keys(&ctx, settings);
            for action in keys::pressed(&ctx, self.settings.tab) {
                if action == Action::Cancel && self.close_windows() {
                    continue;
                }
                self.act(&ctx, action);
            }
        }

        let bar = |vertical| {
            egui::Frame::new()
                .fill(theme::colors(ui).panel)
                .inner_margin(egui::Margin::symmetric(10, vertical))
        };
        let (top, bottom) = (bar(6), bar(2));
        egui::Panel::top("top bar")
            .frame(top)
            .exact_size(42.0)
            .show(ui, |ui| self.top_bar_ui(ui));
        egui::Panel::bottom("job bar")
            .frame(bottom)
            .exact_size(32.0)
            .show(ui, |ui| {
                let tab: &mut dyn Tab = match self.settings.tab {
                    TabName::Face => &mut self.face,
                    TabName::Pose => &mut self.pose,
                    TabName::Motion => &mut self.motion,
                    TabName::Lab => &mut self.lab,
                };
                self.is_log_open |= tab.job_bar_ui(ui, &mut self.log);
            });
        let (tab, settings) = self.tab();
        tab.body_ui(ui, settings);
        let hint = tab.drop_hint();
        self.windows_ui(&ctx);
        drop_hint_ui(&ctx, hint);
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        self.settings.save(storage);
    }

    fn on_exit(&mut self) {
        self.face.discard_kept();
    }
}

/// Says that a file held over the window can be dropped.
fn drop_hint_ui(ctx: &egui::Context, hint: &str) {
    if ctx.input(|i| i.raw.hovered_files.is_empty()) {
        return;
    }
    let layer = egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("drop hint"));
    let (painter, rect) = (ctx.layer_painter(layer), ctx.content_rect());
    painter.rect_filled(rect, 0.0, theme::on_photo::CHIP);
    let font = egui::FontId::new(20.0, theme::strong());
    let color = theme::on_photo::TEXT;
    painter.text(rect.center(), Align2::CENTER_CENTER, hint, font, color);
}

fn load_models(device: DeviceKind) -> Result<Arc<dyn Steps>> {
    let device = device.open(0)?;
    Ok(Arc::new(FaceModels::load(&Store::find(), &device)?))
}

/// A dialog of the system. It blocks its thread until the user has answered.
fn system_dialog(question: &Question) -> Option<PathBuf> {
    const PICTURES: [&str; 10] = [
        "png",
        "jpg",
        "jpeg",
        "webp",
        "tif",
        "tiff",
        "bmp",
        "gif",
        "pnm",
        "vitruvian",
    ];
    let mut dialog = rfd::FileDialog::new();
    if let Some(folder) = &question.folder {
        dialog = dialog.set_directory(folder);
    }
    match question.purpose {
        Purpose::OpenPhoto => dialog
            .set_title("Open a photo")
            .add_filter("Pictures", &PICTURES)
            .pick_file(),
        Purpose::OpenReference => dialog
            .set_title("Choose a style photo")
            .add_filter("Pictures", &photo::EXTENSIONS)
            .pick_file(),
        Purpose::OpenPart => dialog
            .set_title("Copy the part from a mask")
            .add_filter("Masks", &["png", "json"])
            .pick_file(),
        Purpose::OpenFolder => dialog.set_title("Open a folder of photos").pick_folder(),
        Purpose::OpenMask => dialog
            .set_title("Open a mask for this photo")
            .add_filter("Masks", &["png", "json"])
            .pick_file(),
        Purpose::OpenRecipe => dialog
            .set_title("Apply a saved edit")
            .add_filter("Recipes", &["json"])
            .pick_file(),
        Purpose::SaveRecipe => dialog
            .set_title("Save the edit as a recipe")
            .set_file_name(&question.name)
            .save_file(),
        Purpose::SaveProject => dialog
            .set_title("Save the project")
            .set_file_name(&question.name)
            .save_file(),
        Purpose::SaveMask => dialog
            .set_title("Save the mask")
            .set_file_name(&question.name)
            .save_file(),
        Purpose::SaveResult => dialog
            .set_title("Save the result")
            .set_file_name(&question.name)
            .save_file(),
    }
}

/// Opens the window and stays until it is closed.
///
/// # Errors
/// When there is no display or no graphics driver.
pub fn run(options: Options) -> Result<()> {
    run_with(Setup {
        photo: options.photo,
        load: Box::new(move || load_models(options.device)),
        dialog: Arc::new(system_dialog),
        clipboard: Arc::new(SystemClipboard::default()),
        recovery: eframe::storage_dir("vitruvian").map(|folder| folder.join("recovery")),
        motion: Box::new(motion::load),
        pose: Box::new(pose::load),
        files: Arc::new(dialog::system),
    })
}

/// The same with models and dialogs of the caller's choice.
///
/// # Errors
/// When there is no display or no graphics driver.
pub fn run_with(setup: Setup) -> Result<()> {
    let viewport = egui::ViewportBuilder::default()
        .with_app_id("vitruvian")
        .with_title("Vitruvian")
        .with_inner_size([1280.0, 800.0])
        .with_min_inner_size(MIN_SIZE)
        .with_icon(eframe::icon_data::from_png_bytes(ICON).unwrap_or_default())
        .with_drag_and_drop(true);
    let options = eframe::NativeOptions {
        viewport,
        ..Default::default()
    };
    let create: eframe::AppCreator<'_> = Box::new(|cc| Ok(Box::new(App::new(cc, setup)?)));
    eframe::run_native("Vitruvian", options, create)
        .map_err(|err| anyhow!("Failed to open the window: {err}"))
}
