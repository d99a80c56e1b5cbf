//! What the face tab asks paths for, and what it does with them.

use std::path::PathBuf;
use std::sync::Arc;

use super::saving;
use super::steps::{self, OtherStyle, Purpose, Question};
use super::tab::{FaceTab, Job};
use crate::face::project::EXTENSION;
use crate::face::recipe::Recipe;
use crate::ui::settings::Settings;

impl FaceTab {
    /// Asks for a path in a dialog of the system.
    pub(super) fn ask(&mut self, purpose: Purpose, settings: &Settings) {
        if self.jobs.is_busy(Job::Dialog) {
            return;
        }
        let question = Question {
            purpose,
            folder: settings.folder.clone(),
            name: self.proposed_name(purpose, settings),
        };
        let dialog = Arc::clone(&self.dialog);
        self.jobs.start(Job::Dialog, move |out| {
            steps::choose(&*dialog, &question, out)
        });
    }

    fn proposed_name(&self, purpose: Purpose, settings: &Settings) -> String {
        let Some(work) = &self.work else {
            return String::new();
        };
        let export = &settings.export;
        match purpose {
            Purpose::SaveProject => work.proposed_name("edit", EXTENSION),
            Purpose::SaveMask => work.proposed_name("mask", export.mask.extension()),
            Purpose::SaveResult => work.proposed_name("edited", export.format.extension()),
            Purpose::SaveRecipe => work.proposed_name("recipe", "json"),
            Purpose::OpenPhoto
            | Purpose::OpenFolder
            | Purpose::OpenReference
            | Purpose::OpenPart
            | Purpose::OpenMask
            | Purpose::OpenRecipe => String::new(),
        }
    }

    /// Asks for a path in the window itself.
    pub(super) fn ask_here(&mut self, purpose: Purpose, settings: &Settings) {
        let folder = settings.folder.clone().unwrap_or_default();
        let path = folder.join(self.proposed_name(purpose, settings));
        self.path_asked = Some((purpose, path.to_string_lossy().into_owned()));
    }

    pub(super) fn path_chosen(&mut self, purpose: Purpose, path: PathBuf, settings: &Settings) {
        match purpose {
            Purpose::OpenPart => self.copy_part(path, settings),
            Purpose::OpenPhoto | Purpose::OpenFolder => self.open_path(path),
            Purpose::OpenReference => self.open_reference(path),
            Purpose::OpenMask => self.open_mask(path, settings),
            Purpose::OpenRecipe => self.apply_recipe(path, settings),
            Purpose::SaveProject => self.save_project(path),
            Purpose::SaveMask => self.save_mask(path, settings),
            Purpose::SaveResult => self.save_result(path, settings),
            Purpose::SaveRecipe => self.save_recipe(path),
        }
    }

    fn open_reference(&mut self, path: PathBuf) {
        if let Some(steps) = &self.steps {
            let steps = Arc::clone(steps);
            self.jobs.start(Job::Reference, move |out| {
                steps::open_reference(&*steps, &path, out)
            });
        }
    }

    fn open_mask(&mut self, path: PathBuf, settings: &Settings) {
        let guard = self.classes.guard();
        self.with_work(|tab, work| {
            tab.settle_tools(work, settings.live);
            if let Some(edit) = work.edit() {
                let of = (work.current, edit.revision);
                let mirror = Arc::clone(&edit.mirror);
                tab.jobs.start(Job::Change, move |out| {
                    saving::replace_mask(&mirror, of, &path, guard, out)
                });
            }
        });
    }

    fn apply_recipe(&mut self, path: PathBuf, settings: &Settings) {
        self.with_work(|tab, work| {
            tab.settle_tools(work, settings.live);
            let Some(face) = work.face().cloned() else {
                return;
            };
            tab.change_mask(work, "Apply a saved edit".into(), move |mask| {
                Ok(Recipe::open(&path)?.apply(&face, mask))
            });
        });
    }

    fn save_mask(&mut self, path: PathBuf, settings: &Settings) {
        if let Some(work) = &self.work
            && let Some(edit) = work.edit()
        {
            let (mirror, format) = (Arc::clone(&edit.mirror), settings.export.mask);
            let name = work.name();
            self.jobs.start(Job::SaveMask, move |out| {
                saving::write_mask(&mirror, path, format, &name, out)
            });
        }
    }

    fn save_recipe(&mut self, path: PathBuf) {
        if let Some(work) = &self.work
            && let (Some(edit), Some(face)) = (work.edit(), work.face().cloned())
        {
            let (source, target) = (Arc::clone(&edit.source), Arc::clone(&edit.mirror));
            let name = work.name();
            self.jobs.start(Job::SaveRecipe, move |out| {
                saving::save_recipe(&face, &source, &target, &name, path, out)
            });
        }
    }

    fn save_result(&mut self, path: PathBuf, settings: &Settings) {
        if let Some(work) = &self.work {
            let parts = work.result_parts(self.steps.as_ref(), self.other_style().as_ref());
            let photo = Arc::clone(&work.photo);
            let (format, options) = (settings.export.format, settings.export.options);
            self.jobs.start(Job::SaveResult, move |out| {
                saving::save_result(&photo, parts, path, format, options, out)
            });
        }
    }

    /// Puts the result on the clipboard.
    pub(super) fn copy_result(&mut self, live: bool) {
        self.with_work(|tab, work| tab.settle_tools(work, live));
        if let Some(work) = &self.work {
            let parts = work.result_parts(self.steps.as_ref(), self.other_style().as_ref());
            let (photo, clipboard) = (Arc::clone(&work.photo), Arc::clone(&self.clipboard));
            self.jobs.start(Job::Clipboard, move |out| {
                saving::copy_result(&photo, parts, &*clipboard, out)
            });
        }
    }

    pub(super) fn other_style(&self) -> Option<OtherStyle> {
        self.reference.other_style(&self.classes)
    }
}
