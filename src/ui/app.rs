//! The window as a whole: which tab is shown, the bars around it, settings and messages.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use eframe::egui::{self, Align, Align2, Layout, vec2};

use super::Options;
use super::face::{Dialog, FaceTab, Purpose, Question, Source, Steps};
use super::job_bar::Log;
use super::keys;
use super::question;
use super::settings::{self, Settings};
use super::theme::{self, icon};
use super::weights_window::WeightsWindow;
use crate::face::edit::FaceModels;
use crate::gpu::Gpu;
use crate::weights::Store;
use candle_core::Device;

/// Opened when the user names no photo.
const SAMPLE: &[u8] = include_bytes!("../../assets/samples/redhead.jpg");

const ICON: &[u8] = include_bytes!("../../assets/icon.png");

/// Below this the panels would be cramped.
const MIN_SIZE: egui::Vec2 = vec2(1024.0, 700.0);

/// The areas of the program, each a tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tab {
    Face,
}

impl Tab {
    const ALL: [(Self, &str); 1] = [(Self::Face, "Face")];
}

/// What the window starts with.
pub struct Setup {
    /// None opens the sample portrait.
    pub photo: Option<PathBuf>,
    /// Loads the models of the face tab; runs in a job.
    pub load: Box<dyn FnOnce() -> Result<Arc<dyn Steps>> + Send>,
    /// Asks for paths.
    pub dialog: Dialog,
}

/// The window.
pub struct App {
    tab: Tab,
    face: FaceTab,
    settings: Settings,
    log: Log,
    is_log_open: bool,
    are_settings_open: bool,
    weights: WeightsWindow,
    closing: Closing,
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
        let settings = Settings::load(cc.storage);
        let mut face = FaceTab::new(ctx, Gpu::from_render_state(state), setup.load, setup.dialog);
        face.open(setup.photo.map_or(Source::Sample(SAMPLE), Source::File));
        Ok(Self {
            tab: Tab::Face,
            face,
            settings,
            log: Log::default(),
            is_log_open: false,
            are_settings_open: false,
            weights: WeightsWindow::new(ctx),
            closing: Closing::No,
        })
    }

    /// The face tab.
    pub fn face(&self) -> &FaceTab {
        &self.face
    }

    /// What the user was told last.
    pub fn last_message(&self) -> Option<&str> {
        self.log.last()
    }

    fn top_bar_ui(&mut self, ui: &mut egui::Ui) {
        ui.horizontal_centered(|ui| {
            if Tab::ALL.len() > 1 {
                for (tab, name) in Tab::ALL {
                    ui.selectable_value(&mut self.tab, tab, name);
                }
                ui.separator();
            }
            match self.tab {
                Tab::Face => self.face.toolbar_ui(ui, &mut self.settings),
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if theme::icon_button_ui(ui, icon::SETTINGS, "Settings", "Settings").clicked() {
                    self.are_settings_open = !self.are_settings_open;
                }
                if theme::icon_button_ui(
                    ui,
                    icon::WEIGHTS,
                    "Weights",
                    "Weights: what is found and what is missing",
                )
                .clicked()
                {
                    self.weights.open = !self.weights.open;
                    if self.weights.open {
                        self.weights.refresh();
                    }
                }
            });
        });
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
        self.weights.window_ui(ctx);
        self.face.questions_ui(ctx);
        self.close_question_ui(ctx);
    }

    /// Keeps the window open while there is work that was not saved, until the user agrees.
    fn close_question_ui(&mut self, ctx: &egui::Context) {
        let is_asked_for = ctx.input(|i| i.viewport().close_requested());
        if is_asked_for && self.face.has_unsaved() && self.closing != Closing::Agreed {
            ctx.send_viewport_cmd(egui::ViewportCommand::CancelClose);
            self.closing = Closing::Asked;
        }
        if self.closing != Closing::Asked {
            return;
        }
        let text = "The strokes on this photo have not been saved and would be lost.";
        match question::question_ui(
            ctx,
            "Close Vitruvian?",
            text,
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
        self.face.logic(ctx, &mut self.settings, &mut self.log);
        self.weights.logic();
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let ctx = ui.ctx().clone();
        ctx.set_theme(self.settings.theme);
        let dropped = ctx.input(|i| {
            i.raw
                .dropped_files
                .first()
                .map(|file| file.path().to_path_buf())
        });
        if let Some(path) = dropped {
            self.face.open_path(path);
        }
        for action in keys::pressed(&ctx) {
            self.face.act(&ctx, action, &mut self.settings);
        }

        let bar = |vertical| {
            egui::Frame::new()
                .fill(theme::colors(ui).panel)
                .inner_margin(egui::Margin::symmetric(10, vertical))
        };
        let (top, bottom, side) = (bar(6), bar(2), bar(8));
        egui::Panel::top("top bar")
            .frame(top)
            .exact_size(42.0)
            .show(ui, |ui| self.top_bar_ui(ui));
        egui::Panel::bottom("job bar")
            .frame(bottom)
            .exact_size(32.0)
            .show(ui, |ui| {
                self.is_log_open |= self.face.job_bar_ui(ui, &mut self.log);
            });
        match self.tab {
            Tab::Face => {
                egui::Panel::left("side")
                    .frame(side)
                    .resizable(false)
                    .exact_size(theme::SIDE_WIDTH)
                    .show(ui, |ui| self.face.side_ui(ui, &mut self.settings));
                egui::CentralPanel::no_frame()
                    .show(ui, |ui| self.face.main_ui(ui, &mut self.settings));
            }
        }
        self.windows_ui(&ctx);
        drop_hint_ui(&ctx);
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        self.settings.save(storage);
    }
}

/// Says that a file held over the window can be dropped.
fn drop_hint_ui(ctx: &egui::Context) {
    if ctx.input(|i| i.raw.hovered_files.is_empty()) {
        return;
    }
    let layer = egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("drop hint"));
    let (painter, rect) = (ctx.layer_painter(layer), ctx.content_rect());
    painter.rect_filled(rect, 0.0, theme::on_photo::CHIP);
    let font = egui::FontId::new(20.0, theme::strong());
    let color = theme::on_photo::TEXT;
    painter.text(
        rect.center(),
        Align2::CENTER_CENTER,
        "Drop to open the photo",
        font,
        color,
    );
}

fn load_models() -> Result<Arc<dyn Steps>> {
    Ok(Arc::new(FaceModels::load(&Store::find(), &Device::Cpu)?))
}

/// A dialog of the system. It blocks its thread until the user has answered.
fn system_dialog(question: &Question) -> Option<PathBuf> {
    const PICTURES: [&str; 9] = [
        "png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "gif", "pnm",
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
            .add_filter("Pictures", &PICTURES)
            .pick_file(),
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
        load: Box::new(load_models),
        dialog: Arc::new(system_dialog),
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
