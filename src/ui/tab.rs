//! What the window asks of each of its tabs, and their names.
//!
//! A tab owns its data, its jobs and its layers. The logic of every tab runs; only the shown one is drawn and takes keys
//! and files.

use std::path::PathBuf;

use eframe::egui;
use serde::{Deserialize, Serialize};

use super::job_bar::Log;
use super::keys::Action;
use super::settings::Settings;

/// The tabs, one for each area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TabName {
    #[default]
    Face,
    Pose,
    Motion,
    Lab,
}

impl TabName {
    /// In the order they are shown in.
    pub const ALL: [Self; 4] = [Self::Face, Self::Pose, Self::Motion, Self::Lab];

    /// What is written on the tab.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Face => "Face",
            Self::Pose => "Pose",
            Self::Motion => "Motion",
            Self::Lab => "Lab",
        }
    }

    /// What the tab is for.
    pub const fn tip(self) -> &'static str {
        match self {
            Self::Face => "Edit a face by painting its parts",
            Self::Pose => "Find everyone's body, feet, face and hands, and correct them",
            Self::Motion => "Predict where people will walk",
            Self::Lab => "Watch normalisations train side by side",
        }
    }

    /// The tab `steps` to the right, around the end.
    pub fn neighbour(self, steps: isize) -> Self {
        let here = Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0);
        let there = (here as isize + steps).rem_euclid(Self::ALL.len() as isize);
        Self::ALL.get(there as usize).copied().unwrap_or(self)
    }
}

/// A tab of the window.
pub trait Tab {
    /// Takes what has arrived from the jobs. Runs also while the tab or the window is hidden.
    fn logic(&mut self, ctx: &egui::Context, settings: &mut Settings, log: &mut Log);

    /// The tab's buttons in the bar at the top.
    fn toolbar_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings);

    /// Everything between the bars.
    fn body_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings);

    /// The bar at the bottom. Returns whether the log was asked for.
    fn job_bar_ui(&mut self, ui: &mut egui::Ui, log: &mut Log) -> bool;

    /// Questions that wait for an answer.
    fn questions_ui(&mut self, ctx: &egui::Context, settings: &mut Settings);

    /// Takes keys that only this tab has, before the table of all keys is asked.
    fn take_keys(&mut self, _ctx: &egui::Context, _settings: &mut Settings) {}

    /// Does what a key asks for.
    fn act(&mut self, ctx: &egui::Context, action: Action, settings: &mut Settings);

    /// Opens files that were dropped on the window.
    fn open_dropped(&mut self, paths: Vec<PathBuf>);

    /// What dropping a file will do.
    fn drop_hint(&self) -> &'static str;

    /// What would be lost if the window were closed now.
    fn unsaved(&self) -> Option<&'static str>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_neighbour_of_the_last_tab_is_the_first() {
        for (i, tab) in TabName::ALL.into_iter().enumerate() {
            let next = TabName::ALL[(i + 1) % TabName::ALL.len()];
            assert_eq!(tab.neighbour(1), next);
            assert_eq!(next.neighbour(-1), tab);
        }
    }
}
