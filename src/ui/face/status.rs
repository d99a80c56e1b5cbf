//! What the tab says of itself: in the bar at the bottom, and where the result is not there yet.

use super::steps::Report;
use super::tab::{FaceTab, Job};
use super::work::Work;

impl FaceTab {
    /// What the result canvas says while it has nothing to show.
    pub(super) fn waiting_text(&self, work: &Work) -> &'static str {
        match (&work.faces, work.edit()) {
            _ if self.models_error.is_some() => "No weights: parsing and rendering are off",
            (None, _) => "Looking for faces…",
            (Some(faces), _) if faces.is_empty() => "The result appears here",
            (Some(_), None) => "Parsing the face…",
            (Some(_), Some(_)) if self.jobs.is_busy(Job::Render) => "Rendering…",
            (Some(_), Some(_)) => "Paint on the left, the result appears here",
        }
    }

    /// The photo's name and size, and whether there is work to save.
    pub(super) fn photo_text(&self) -> String {
        let Some(work) = &self.work else {
            return String::new();
        };
        let (name, [width, height]) = (work.name(), work.size());
        let unsaved = if work.unsaved { " · not saved" } else { "" };
        format!("{name} · {width} × {height}{unsaved}")
    }

    /// What the bar says when nothing happens.
    pub fn idle_text(&self) -> String {
        let Some(edit) = self.work.as_ref().and_then(Work::edit) else {
            return String::new();
        };
        match self.last_render {
            Some((secs, device)) if edit.result.is_some() => {
                let more = self.report.as_ref().map(Report::text).unwrap_or_default();
                format!("Rendered in {secs:.1} s on {device}{more} · hold C to compare")
            }
            _ => format!(
                "Painting {} · Alt-click picks a part · space and drag moves the photo",
                self.classes.active_title().to_lowercase()
            ),
        }
    }
}
