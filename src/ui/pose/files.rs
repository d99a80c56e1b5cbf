//! What goes in and out of the pose tab: photos, annotations, exports, and the questions before work is lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui;

use super::steps::{self, Labels, Purpose};
use super::tab::{Job, PoseTab};
use super::work::Source;
use crate::photo::{EXTENSIONS, Listing};
use crate::pose::annotation_export::Annotated;
use crate::ui::dialog::{Ask, AskKind};
use crate::ui::job_bar::Log;
use crate::ui::question::question_ui;
use crate::ui::settings::{PoseView, Settings};

/// What waits until the user gives up corrections.
pub enum Waiting {
    Photos(Vec<Source>),
    Samples,
    FindAgain,
}

impl PoseTab {
    /// Opens photos, folders or annotations.
    pub fn open_paths(&mut self, paths: Vec<PathBuf>) {
        self.jobs
            .start(Job::List, move |out| steps::list(&paths, out));
    }

    pub(super) fn listed(&mut self, listing: Listing, settings: &mut Settings, log: &mut Log) {
        listing.notes.into_iter().for_each(|note| log.warn(note));
        let first = listing.photos.first().or(listing.json.first());
        if let Some(folder) = first.and_then(|path| path.parent()) {
            settings.folder = Some(folder.to_path_buf());
        }
        if listing.json.len() > 1 {
            log.warn("Only the first of the JSON files was opened");
        }
        if let Some(path) = listing.json.into_iter().next() {
            self.jobs
                .start(Job::Annotations, move |out| steps::annotations(path, out));
        }
        if !listing.photos.is_empty() {
            let sources = listing.photos.into_iter().map(Source::File).collect();
            self.wait(Waiting::Photos(sources));
        }
    }

    /// Does it at once where nothing is lost, else asks first.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        let is_lost = match waiting {
            Waiting::FindAgain => self.poses().is_some_and(|poses| poses.can_undo()),
            _ => self.has_unsaved(),
        };
        if is_lost {
            self.waiting = Some(waiting);
        } else {
            self.do_waiting(waiting);
        }
    }

    fn do_waiting(&mut self, waiting: Waiting) {
        match waiting {
            Waiting::Photos(sources) => self.open_sources(sources),
            Waiting::Samples => self.open_samples(),
            Waiting::FindAgain => self.find_again(),
        }
    }

    /// Whether there are corrections that were not exported.
    pub(super) fn has_unsaved(&self) -> bool {
        let poses = self.photos.iter().filter_map(|e| e.poses.as_ref());
        poses.into_iter().any(|poses| poses.unsaved)
    }

    /// Whether there is anybody to export.
    pub(super) fn can_save(&self) -> bool {
        self.photos.iter().any(|e| e.poses.is_some()) && !self.jobs.is_busy(Job::Save)
    }

    pub(super) fn take_truth(&mut self, labels: Box<Labels>, log: &mut Log) {
        for note in &labels.notes {
            log.warn(note.clone());
        }
        let known = self.photos.iter().filter(|e| labels.of(&e.name).is_some());
        let (known, all) = (known.count(), self.photos.len());
        if known == 0 {
            log.warn(format!(
                "{} says nothing of these photos; open the photos that it names",
                labels.path.display()
            ));
        } else {
            log.done(format!("Labels of {known} of {all} photos"));
        }
        self.truth = Some(labels);
        self.forget_comparison();
    }

    /// Asks for paths.
    pub(super) fn ask(&mut self, purpose: Purpose, settings: &Settings) {
        if self.jobs.is_busy(Job::Dialog) {
            return;
        }
        let (title, kind, ending) = match purpose {
            Purpose::OpenPhotos => (
                "Open photos",
                AskKind::Open("Photos and annotations", &PHOTOS),
                "",
            ),
            Purpose::OpenFolder => ("Open a folder of photos", AskKind::Folder, ""),
            Purpose::OpenAnnotations => (
                "Open annotations to compare with",
                AskKind::Open("COCO annotations", &["json"]),
                "",
            ),
            Purpose::SavePng => ("Export the picture", AskKind::Save, "-poses.png"),
            Purpose::SaveResults => ("Export the people as results", AskKind::Save, "results"),
            Purpose::SaveAnnotations => (
                "Export the people as annotations",
                AskKind::Save,
                "annotations",
            ),
        };
        let current = self.photos.get(self.current);
        let stem = current.map_or("photo", |entry| {
            let (stem, _) = entry.name.rsplit_once('.').unwrap_or((&entry.name, ""));
            stem
        });
        let name = match purpose {
            Purpose::SavePng => format!("{stem}{ending}"),
            // With one photo its own file, else one for all.
            Purpose::SaveResults | Purpose::SaveAnnotations if self.photos.len() == 1 => {
                format!("{stem}-{ending}.json")
            }
            Purpose::SaveResults | Purpose::SaveAnnotations => format!("{ending}.json"),
            _ => String::new(),
        };
        let ask = Ask {
            title,
            kind,
            folder: settings.folder.clone(),
            name,
        };
        let dialog = Arc::clone(&self.dialog);
        self.jobs.start(Job::Dialog, move |out| {
            steps::choose(&dialog, purpose, ask, out)
        });
    }

    pub(super) fn path_chosen(&mut self, purpose: Purpose, paths: Vec<PathBuf>, view: &PoseView) {
        let first = paths.first().cloned();
        match (purpose, first) {
            (Purpose::OpenPhotos | Purpose::OpenFolder, _) => self.open_paths(paths),
            (Purpose::OpenAnnotations, Some(path)) => self
                .jobs
                .start(Job::Annotations, move |out| steps::annotations(path, out)),
            (Purpose::SavePng, Some(path)) => {
                if let Some(shown) = &self.shown {
                    let stack = self.stack(shown, view, 1.5);
                    let size = [shown.rgb.width, shown.rgb.height];
                    let gpu = self.gpu.clone();
                    self.jobs.start(Job::Save, move |out| {
                        steps::save_png(&stack, size, path, &gpu, out)
                    });
                }
            }
            (Purpose::SaveResults | Purpose::SaveAnnotations, Some(path)) => {
                let photos = self.annotated(view);
                self.saving = self.revisions();
                let least = view.keypoint_score;
                self.jobs.start(Job::Save, move |out| {
                    steps::save_people(purpose, path, &photos, least, out)
                });
            }
            _ => {}
        }
    }

    /// Everyone who is sure enough, hidden or not, of all photos that were looked at.
    fn annotated(&self, view: &PoseView) -> Vec<Annotated> {
        let of = |entry: &super::work::Entry| {
            let poses = entry.poses.as_ref()?;
            let kept = poses.kept().filter(|(_, state)| {
                state.person.score >= view.person_score || state.placed.contains(&true)
            });
            Some(Annotated {
                id: entry.source.id(),
                file_name: entry.name.clone(),
                size: poses.size,
                people: kept
                    .map(|(_, state)| (state.person.clone(), state.placed.clone()))
                    .collect(),
            })
        };
        self.photos.iter().filter_map(of).collect()
    }

    fn revisions(&self) -> Vec<(usize, u64)> {
        let all = self.photos.iter().enumerate();
        all.filter_map(|(i, e)| Some((i, e.poses.as_ref()?.revision)))
            .collect()
    }

    pub(super) fn saved(&mut self, purpose: Purpose, path: &Path, log: &mut Log) {
        let what = match purpose {
            Purpose::SavePng => "Picture",
            Purpose::SaveAnnotations => "Annotations",
            _ => "Results",
        };
        if purpose != Purpose::SavePng {
            // What was corrected while the file was written is not in it.
            for (index, revision) in std::mem::take(&mut self.saving) {
                if let Some(poses) = self.photos.get_mut(index).and_then(|e| e.poses.as_mut())
                    && poses.revision == revision
                {
                    poses.unsaved = false;
                }
            }
        }
        log.done(format!("{what} saved to {}", path.display()));
    }

    pub(super) fn show_questions(&mut self, ctx: &egui::Context, view: &PoseView) {
        if let Some(mut question) = self.path_question.take() {
            match question.ui(ctx) {
                Some(paths) if !paths.is_empty() => self.path_chosen(question.purpose, paths, view),
                Some(_) => {}
                None => self.path_question = Some(question),
            }
        }
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        let (title, text, agree) = match waiting {
            Waiting::FindAgain => (
                "Find people again?",
                "The corrections in this photo would be lost.",
                "Find anyway",
            ),
            _ => ("Open other photos?", LOST, "Open anyway"),
        };
        match question_ui(ctx, title, text, agree, "Keep working") {
            Some(true) => self.do_waiting(waiting),
            Some(false) => {}
            None => self.waiting = Some(waiting),
        }
    }
}

/// What is said before corrections are given up.
pub const LOST: &str =
    "The keypoints and people you corrected have not been exported and would be lost.";

/// Everything that can be opened at once.
const PHOTOS: [&str; EXTENSIONS.len() + 1] = {
    let mut all = ["json"; EXTENSIONS.len() + 1];
    let mut i = 0;
    while i < EXTENSIONS.len() {
        all[i] = EXTENSIONS[i];
        i += 1;
    }
    all
};
