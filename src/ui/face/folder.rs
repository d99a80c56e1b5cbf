//! Going through the photos of a folder, or through several that were dropped.

use std::path::PathBuf;

use eframe::egui;

use super::steps::Source;
use super::tab::FaceTab;
use crate::ui::keys::{self, Action};
use crate::ui::settings::Settings;
use crate::ui::theme::{self, icon};

/// The photos, and which of them is shown.
pub struct Folder {
    files: Vec<PathBuf>,
    at: usize,
}

impl Folder {
    /// Its first photo is shown.
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self { files, at: 0 }
    }

    /// Such as `3 of 12`.
    pub fn text(&self) -> String {
        format!("{} of {}", self.at + 1, self.files.len())
    }

    fn neighbour(&self, by: isize) -> Option<&PathBuf> {
        self.files.get(self.at.checked_add_signed(by)?)
    }
}

impl FaceTab {
    /// Photos that the user goes through.
    pub fn folder(&self) -> Option<&Folder> {
        self.folder.as_ref()
    }

    /// A photo is about to be opened: it is one of the folder's, or the folder is left.
    pub(super) fn follow_folder(&mut self, source: &Source) {
        let Source::File(path) = source else {
            self.folder = None;
            return;
        };
        let at = |folder: &Folder| folder.files.iter().position(|file| file == path);
        match self
            .folder
            .as_mut()
            .and_then(|folder| Some((at(folder)?, folder)))
        {
            Some((at, folder)) => folder.at = at,
            None => self.folder = None,
        }
    }

    /// Opens the photo before or after; asks first if there is work that was not saved.
    pub(super) fn turn_page(&mut self, by: isize) {
        match &self.folder {
            None => self.notice = Some("Open a folder to go through its photos".into()),
            Some(folder) => match folder.neighbour(by) {
                Some(path) => self.open_path(path.clone()),
                None if by < 0 => self.notice = Some("This is the first photo".into()),
                None => self.notice = Some("This is the last photo".into()),
            },
        }
    }

    /// Which photo this is, with buttons for the ones beside it; nothing where only one was opened.
    pub(super) fn folder_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        let Some(folder) = &self.folder else {
            return;
        };
        let text = folder.text();
        let mut asked = None;
        for (action, icon, name) in [
            (Action::PreviousPhoto, icon::LEFT, "Previous photo"),
            (Action::NextPhoto, icon::RIGHT, "Next photo"),
        ] {
            if action == Action::NextPhoto {
                ui.label(egui::RichText::new(&text).color(theme::colors(ui).weak));
            }
            let tip = keys::tip(ui.ctx(), action);
            if theme::icon_button_ui(ui, icon, name, &tip).clicked() {
                asked = Some(action);
            }
        }
        if let Some(action) = asked {
            self.act(ui.ctx(), action, settings);
        }
    }
}
