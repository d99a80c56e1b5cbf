//! The list of weights: what is found, what is missing, what is wrong with it.

use std::path::PathBuf;

use anyhow::Result;
use candle_core::Device;
use eframe::egui::{self, Align2, RichText, vec2};

use super::theme::{self, icon};
use crate::job::{Out, Slot, Update};
use crate::weights::{Store, WeightsError};

/// The weights that the window works with, and what each is for.
const WANTED: [(&str, &str); 4] = [
    ("face_detector", "Finds faces"),
    ("face_mesh", "Aligns the face"),
    ("face_parser", "Finds the parts of the face"),
    ("face_generator", "Paints the new face"),
];

/// One wanted file.
pub struct Row {
    name: &'static str,
    purpose: &'static str,
    state: State,
}

enum State {
    Found { path: PathBuf, tensors: usize },
    Missing,
    Wrong(String),
}

/// What the window knows; nothing until it was opened once.
pub struct WeightsWindow {
    pub open: bool,
    slot: Slot<Vec<Row>>,
    rows: Option<Vec<Row>>,
    folders: Vec<PathBuf>,
}

impl WeightsWindow {
    pub fn new(ctx: &egui::Context) -> Self {
        let ctx = ctx.clone();
        Self {
            open: false,
            slot: Slot::new("weights list", move |_| ctx.request_repaint()),
            rows: None,
            folders: Store::find().folders().to_vec(),
        }
    }

    pub fn logic(&mut self) {
        for update in self.slot.poll() {
            if let Update::Value(rows) = update {
                self.rows = Some(rows);
            }
        }
    }

    /// Looks at the files again.
    pub fn refresh(&mut self) {
        self.slot
            .start(|out| out.value(look(out)?).map_err(Into::into));
    }

    pub fn window_ui(&mut self, ctx: &egui::Context) {
        let mut open = self.open;
        let mut refresh = false;
        egui::Window::new("Weights")
            .open(&mut open)
            .pivot(Align2::RIGHT_TOP)
            .default_pos(ctx.content_rect().right_top() + vec2(-theme::SPACE_LARGE, 52.0))
            .collapsible(false)
            .resizable(false)
            .default_width(460.0)
            .show(ctx, |ui| {
                match &self.rows {
                    Some(rows) => rows.iter().for_each(|row| row_ui(ui, row)),
                    None => {
                        ui.weak("Looking…");
                    }
                }
                ui.add_space(theme::SPACE);
                ui.weak("Looked for in");
                for folder in &self.folders {
                    let text = folder.display().to_string();
                    ui.add(
                        egui::Label::new(RichText::new(text).small())
                            .wrap()
                            .selectable(true),
                    );
                }
                ui.add_space(theme::SPACE);
                refresh = ui.button("Look again").clicked();
            });
        self.open = open;
        if refresh {
            self.refresh();
        }
    }
}

fn row_ui(ui: &mut egui::Ui, row: &Row) {
    let colors = theme::colors(ui);
    let (icon, color, text) = match &row.state {
        State::Found { path, tensors } => (
            icon::DONE,
            colors.good,
            format!("{tensors} tensors, {}", path.display()),
        ),
        State::Missing => (icon::MISSING, colors.error, "Missing".to_owned()),
        State::Wrong(why) => (icon::WARNING, colors.warning, why.clone()),
    };
    ui.horizontal_top(|ui| {
        ui.label(RichText::new(icon).color(color).size(17.0));
        ui.vertical(|ui| {
            ui.label(RichText::new(row.purpose).family(theme::strong()));
            ui.add(
                egui::Label::new(RichText::new(format!("{} · {text}", row.name)).small()).wrap(),
            );
        });
    });
    ui.add_space(theme::SPACE_SMALL);
}

fn look(out: &Out<Vec<Row>>) -> Result<Vec<Row>> {
    let store = Store::find();
    let mut rows = Vec::new();
    for (name, purpose) in WANTED {
        out.progress(0.0, "Looking for weights")?;
        let state = match store.open(name, &Device::Cpu) {
            Ok(checkpoint) => State::Found {
                path: checkpoint.path().to_path_buf(),
                tensors: checkpoint.tensors().len(),
            },
            Err(WeightsError::Missing { .. }) => State::Missing,
            Err(error) => State::Wrong(error.to_string()),
        };
        rows.push(Row {
            name,
            purpose,
            state,
        });
    }
    Ok(rows)
}
