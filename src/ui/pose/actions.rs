//! What keys and buttons of the pose tab do, and the words in the bar at the bottom.

use eframe::egui;

use super::files::Waiting;
use super::inside::{self, Look};
use super::steps::Purpose;
use super::tab::{Job, PoseTab};
use crate::pose::inside::CENTRES;
use crate::ui::keys::Action;
use crate::ui::settings::Settings;

impl PoseTab {
    /// What the bar says when nothing happens.
    pub(super) fn idle_text(&self) -> String {
        let text = match self.look {
            _ if self.photos.is_empty() => "",
            Look::Poses => "Click a person or a keypoint · drag a keypoint to correct it",
            Look::Heat => "↑ ↓ other joints · W goes on to the grouping",
            Look::Grouping => "↑ ↓ step through the passes",
        };
        match self.photos.len() > 1 && !text.is_empty() {
            true => format!("{text} · ← → other photos"),
            false => text.to_owned(),
        }
    }

    /// How long finding took.
    pub(super) fn status_text(&self) -> String {
        let Some(poses) = self.poses() else {
            return String::new();
        };
        let count = poses.kept().count();
        let noun = if count == 1 { "person" } else { "people" };
        match poses.secs {
            secs if secs < 9.95 => format!("{count} {noun} in {:.0} ms", secs * 1e3),
            secs => format!("{count} {noun} in {secs:.0} s"),
        }
    }

    /// Does what a key or a button asks for.
    pub(super) fn do_action(
        &mut self,
        ctx: &egui::Context,
        action: Action,
        settings: &mut Settings,
    ) {
        let least = settings.pose.person_score;
        match action {
            Action::Open => self.ask(Purpose::OpenPhotos, settings),
            Action::OpenAnnotations => self.ask(Purpose::OpenAnnotations, settings),
            Action::SaveProject | Action::SavePeople if self.can_save() => {
                self.ask(Purpose::SaveAnnotations, settings);
            }
            Action::SaveResult if self.shown.is_some() => self.ask(Purpose::SavePng, settings),
            Action::Undo | Action::Redo => {
                if self.grab.take().is_none()
                    && let Some(poses) = self.poses_mut()
                {
                    poses.step(action == Action::Undo);
                }
            }
            Action::Fit => self.canvas.fit(),
            Action::ActualSize => {
                if let (Some(place), Some(shown)) = (self.last_place, &self.shown) {
                    let size = [shown.rgb.width, shown.rgb.height];
                    self.canvas.actual_size(place, size, ctx.pixels_per_point());
                }
            }
            Action::NextInList => self.go(1),
            Action::PreviousInList => self.go(-1),
            Action::FirstPhoto => self.go(isize::MIN),
            Action::LastPhoto => self.go(isize::MAX),
            Action::NextPerson => self.next(1, least),
            Action::PreviousPerson => self.next(-1, least),
            Action::NextLook => self.look = self.look.next(),
            Action::ToggleLoupe => settings.pose.loupe = !settings.pose.loupe,
            Action::FindAgain if self.shown.is_some() => self.wait(Waiting::FindAgain),
            Action::FindAll => self.find_all(settings.pose.method),
            Action::Delete => self.delete(),
            Action::Cancel => self.cancel(),
            _ => {}
        }
    }

    /// Goes to the next of what is looked at.
    fn next(&mut self, steps: isize, least: f32) {
        match self.look {
            Look::Poses => self.next_person(steps, least),
            Look::Heat => self.joint = self.joint.saturating_add_signed(steps).min(CENTRES),
            Look::Grouping => self.step_pass(steps),
        }
    }

    fn step_pass(&mut self, steps: isize) {
        if let (Look::Grouping, Some((inside, pass))) = (self.look, self.inside()) {
            let last = inside::last_step(inside);
            self.pass = pass.saturating_add_signed(steps).min(last);
        }
    }

    /// Selects another person, around the end.
    fn next_person(&mut self, steps: isize, least: f32) {
        let Some(poses) = self.poses() else { return };
        let all: Vec<usize> = poses.seen(least).map(|(index, _)| index).collect();
        let here = self.person.and_then(|p| all.iter().position(|i| *i == p));
        let next = match here {
            Some(here) => (here as isize + steps).rem_euclid(all.len().max(1) as isize) as usize,
            None if steps < 0 => all.len().saturating_sub(1),
            None => 0,
        };
        (self.person, self.keypoint) = (all.get(next).copied(), None);
    }

    /// Removes the keypoint that is selected, else the person.
    fn delete(&mut self) {
        let (Some(person), Look::Poses) = (self.person, self.look) else {
            return;
        };
        let keypoint = self.keypoint.take();
        self.grab = None;
        let Some(poses) = self.poses_mut() else {
            return;
        };
        match keypoint {
            Some(keypoint) => {
                poses.begin(person);
                poses.place(person, keypoint, None);
            }
            None => {
                poses.remove(person);
                self.person = None;
            }
        }
    }

    /// Takes back the drag that is under way, else lets go of what is selected, else stops what runs.
    fn cancel(&mut self) {
        if self.grab.take().is_some() {
            if let Some(poses) = self.poses_mut() {
                poses.abandon();
            }
        } else if self.keypoint.take().is_none() && self.person.take().is_none() {
            for job in [Job::List, Job::Find, Job::FindAll, Job::Inside] {
                self.jobs.cancel(job);
            }
        }
    }
}
