//! Asking for files: a dialog of the system, or a line of text in the window where the system shows none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eframe::egui::{self, Align, Layout};

use super::theme;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    pub title: &'static str,
    pub kind: AskKind,
    /// Where to begin.
    pub folder: Option<PathBuf>,
    /// Proposed for a file that is saved.
    pub name: String,
}

/// Whether files are read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskKind {
    /// One or more files: what they are called, and their endings.
    Open(&'static str, &'static [&'static str]),
    /// A folder with files.
    Folder,
    Save,
}

/// Asks and waits for the answer; empty when the user has chosen nothing.
pub type FileDialog = Arc<dyn Fn(&Ask) -> Vec<PathBuf> + Send + Sync>;

/// What came of a question.
pub enum Answer {
    Paths(Vec<PathBuf>),
    /// The system showed no dialog: ask in the window.
    NoDialog,
    /// The user has chosen nothing.
    Nothing,
}

/// Shows a dialog. Blocks: call it from a job.
pub fn answer(dialog: &FileDialog, ask: &Ask) -> Answer {
    /// Nobody closes a dialog faster: one that is gone by then was never shown.
    const NEVER_SHOWN: Duration = Duration::from_millis(400);
    let start = Instant::now();
    let paths = dialog(ask);
    match paths.is_empty() {
        false => Answer::Paths(paths),
        true if start.elapsed() < NEVER_SHOWN => Answer::NoDialog,
        true => Answer::Nothing,
    }
}

/// A dialog of the system.
pub fn system(ask: &Ask) -> Vec<PathBuf> {
    let mut dialog = rfd::FileDialog::new().set_title(ask.title);
    if let Some(folder) = &ask.folder {
        dialog = dialog.set_directory(folder);
    }
    match ask.kind {
        AskKind::Open(name, endings) => {
            let files = dialog.add_filter(name, endings).pick_files();
            files.unwrap_or_default()
        }
        AskKind::Folder => dialog.pick_folder().into_iter().collect(),
        AskKind::Save => {
            let file = dialog.set_file_name(&ask.name).save_file();
            file.into_iter().collect()
        }
    }
}

/// A question that is asked in the window itself.
pub struct PathQuestion<P> {
    pub purpose: P,
    ask: Ask,
    text: String,
}

impl<P> PathQuestion<P> {
    pub fn new(purpose: P, ask: Ask) -> Self {
        let path = ask.folder.clone().unwrap_or_default().join(&ask.name);
        Self {
            purpose,
            text: path.to_string_lossy().into_owned(),
            ask,
        }
    }

    /// Shows it. Returns the answer once there is one; none was chosen when that is empty.
    pub fn ui(&mut self, ctx: &egui::Context) -> Option<Vec<PathBuf>> {
        let modal = egui::Modal::new(egui::Id::unique("path question"))
            .frame(theme::question_frame(ctx))
            .show(ctx, |ui| {
                ui.set_width(460.0);
                ui.heading(self.ask.title);
                ui.add_space(theme::SPACE);
                let label = ui.label(match self.ask.kind {
                    AskKind::Folder => "Folder",
                    _ => "File",
                });
                let field = egui::TextEdit::singleline(&mut self.text).desired_width(f32::INFINITY);
                let response = ui.add(field).labelled_by(label.id);
                let entered =
                    response.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
                if ui.memory(|memory| memory.focused().is_none()) && !entered {
                    response.request_focus();
                }
                ui.add_space(theme::SPACE_LARGE);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let verb = match self.ask.kind {
                        AskKind::Open(..) | AskKind::Folder => "Open",
                        AskKind::Save => "Save",
                    };
                    let is_given = !self.text.trim().is_empty();
                    let done = ui
                        .add_enabled(is_given, theme::primary_button(ui, verb))
                        .clicked();
                    let cancelled = ui.button("Cancel").clicked();
                    (done || (entered && is_given), cancelled)
                })
                .inner
            });
        match modal.inner {
            (true, _) => Some(vec![self.text.trim().into()]),
            (_, true) => Some(Vec::new()),
            _ => modal.should_close().then(Vec::new),
        }
    }
}
