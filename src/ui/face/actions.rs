//! What the face tab does for each action, from whichever key, button or list it comes.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use eframe::egui;
use std::path::PathBuf;

use super::classes;
use super::moving::group_of;
use super::steps::{self, Purpose, Source};
use super::tab::{FaceTab, Job, Side};
use super::tools::{Tool, scaled_brush};
use super::work::Work;
use crate::face::labels;
use crate::face::mask::{
    Axis, Fit, Labels, Patch, Reshape, Rules, Tip, copy_part, open_mask, reshape,
};
use crate::ui::keys::Action;
use crate::ui::settings::Settings;

impl FaceTab {
    /// Does what a key or a button asks for.
    pub fn act(&mut self, ctx: &egui::Context, action: Action, settings: &mut Settings) {
        if let Some(tool) = Tool::of(action) {
            self.choose_tool(tool, settings);
            return;
        }
        match action {
            Action::Open => self.ask(Purpose::OpenPhoto, settings),
            Action::SaveProject => {
                let own = self.work.as_ref().map(|work| work.project_path.clone());
                self.with_work(|tab, work| tab.settle_tools(work, settings.live));
                match own {
                    Some(Some(path)) => self.save_project(path),
                    Some(None) => self.ask(Purpose::SaveProject, settings),
                    None => {}
                }
            }
            Action::OpenFolder => self.ask(Purpose::OpenFolder, settings),
            Action::PastePhoto => {
                self.open_unless_unsaved(Source::Clipboard(Arc::clone(&self.clipboard)));
            }
            Action::OpenMask if self.has_edit() => self.ask(Purpose::OpenMask, settings),
            Action::NextPhoto => self.turn_page(1),
            Action::PreviousPhoto => self.turn_page(-1),
            Action::Export if self.work.is_some() => self.is_export_open = true,
            Action::CopyResult if self.work.is_some() => self.copy_result(settings.live),
            Action::SaveRecipe if self.has_edit() => self.ask(Purpose::SaveRecipe, settings),
            Action::ApplyRecipe if self.has_edit() => self.ask(Purpose::OpenRecipe, settings),
            Action::SaveResult if self.work.is_some() => self.ask(Purpose::SaveResult, settings),
            Action::SaveMask if self.has_edit() => self.ask(Purpose::SaveMask, settings),
            Action::CopyPart if self.has_edit() => self.ask(Purpose::OpenPart, settings),
            Action::Undo => self.step(true, settings.live),
            Action::Redo => self.step(false, settings.live),
            Action::Snapshot => self.with_work(|tab, work| tab.take_snapshot(work)),
            Action::ShowHistory => {
                self.side = match self.side {
                    Side::Parts => Side::History,
                    Side::History => Side::Parts,
                };
            }
            Action::Finish => self.finish(settings),
            Action::RemovePoint => self.remove_outline_point(),
            Action::SmallerBrush => settings.brush_px = scaled_brush(settings.brush_px, -1.0),
            Action::LargerBrush => settings.brush_px = scaled_brush(settings.brush_px, 1.0),
            Action::ToggleMirror => settings.tools.mirror = !settings.tools.mirror,
            Action::BrushTip => {
                settings.tools.tip = match settings.tools.tip {
                    Tip::Round => Tip::Square,
                    Tip::Square => Tip::Round,
                };
            }
            Action::FillEverywhere => settings.tools.fill_all = !settings.tools.fill_all,
            Action::FillToEdges => settings.tools.fill_to_edges = !settings.tools.fill_to_edges,
            Action::Bend => self.is_bending = !self.is_bending,
            Action::FrameFace if self.work.is_some() => self.framing = !self.framing,
            Action::ToggleLock => self.classes.toggle_lock(self.classes.active),
            Action::Grow => self.reshape(Reshape::Grow(settings.tools.reshape_px), settings),
            Action::Shrink => self.reshape(Reshape::Shrink(settings.tools.reshape_px), settings),
            Action::Smooth => {
                self.reshape(Reshape::Smooth(2.0 * settings.tools.reshape_px), settings);
            }
            Action::FillHoles => {
                self.reshape(Reshape::FillHoles(speck_area(settings)), settings);
            }
            Action::RemoveIslands => {
                self.reshape(Reshape::RemoveIslands(speck_area(settings)), settings);
            }
            Action::ToggleMask => self.mask_hidden = !self.mask_hidden,
            Action::ToggleOutline => self.outline_only = !self.outline_only,
            Action::Solo => self.classes.toggle_solo(),
            Action::NextView => self.result_view = self.result_view.next(),
            Action::ToggleRegion => self.is_region_shown = !self.is_region_shown,
            Action::ToggleLive => {
                settings.live = !settings.live;
                if settings.live {
                    self.render_if_stale();
                }
            }
            Action::Render => self.render_if_stale(),
            Action::Fit => self.canvas.fit(),
            Action::ActualSize => {
                if let (Some(place), Some(work)) = (self.last_place, &self.work) {
                    self.canvas
                        .actual_size(place, work.size(), ctx.pixels_per_point());
                }
            }
            Action::Cancel => self.cancel(settings.live),
            Action::Class(position) => {
                if let Some(class) = classes::at_position(position) {
                    self.classes.activate(class);
                }
            }
            _ => {}
        }
    }

    /// Runs `each` with the photo taken out, so that its parts and the tab's can be used together.
    pub(super) fn with_work(&mut self, each: impl FnOnce(&mut Self, &mut Work)) {
        if let Some(mut work) = self.work.take() {
            each(self, &mut work);
            self.work = Some(work);
        }
    }

    fn choose_tool(&mut self, tool: Tool, settings: &Settings) {
        if self.tool == tool {
            return;
        }
        self.with_work(|tab, work| tab.settle_tools(work, settings.live));
        self.tool = tool;
        if tool == Tool::Move {
            let class = self.classes.active;
            self.with_work(|tab, work| tab.lift(work, class, None, settings));
        }
    }

    /// What guards the parts, and the mirror.
    pub(super) fn rules(&self, work: &Work, settings: &Settings) -> Rules {
        let face = work.face().filter(|_| settings.tools.mirror);
        Rules {
            guard: self.classes.guard(),
            axis: face.map(|face| Axis::of_crop(&face.image_from_crop)),
        }
    }

    /// Ends what a tool has begun, so that something else may change the mask.
    pub(super) fn settle_tools(&mut self, work: &mut Work, live: bool) {
        self.outline = None;
        self.end_stroke(work, live);
        self.end_moving_now(work, live);
    }

    fn finish(&mut self, settings: &Settings) {
        self.with_work(|tab, work| {
            tab.finish_outline(work, settings);
            tab.end_moving(work, true, settings.live);
        });
    }

    fn reshape(&mut self, change: Reshape, settings: &Settings) {
        let class = self.classes.active;
        let words = match change {
            Reshape::Grow(_) => "Grow",
            Reshape::Shrink(_) => "Shrink",
            Reshape::Smooth(_) => "Smooth",
            Reshape::FillHoles(_) => "Fill holes of",
            Reshape::RemoveIslands(_) => "Remove specks of",
        };
        if self.classes.is_locked(class) {
            self.notice = Some("This part is locked. Unlock it to change it".into());
            return;
        }
        let guard = self.classes.guard();
        let name = format!("{words} {}", self.classes.active_name());
        self.with_work(|tab, work| {
            tab.settle_tools(work, settings.live);
            tab.change_mask(work, name, move |mask| {
                Ok(reshape(mask, class, change, guard))
            });
        });
    }

    /// Takes the part that is painted from a mask file.
    pub(super) fn copy_part(&mut self, path: PathBuf, settings: &Settings) {
        let (classes, name) = group_of(self.classes.active, settings.tools.whole_mouth);
        let guard = self.classes.guard();
        self.with_work(|tab, work| {
            tab.settle_tools(work, settings.live);
            tab.change_mask(work, format!("Copy {name}"), move |mask| {
                let other = open_mask(&path, Fit::Any)?.labels;
                let has = other.data.iter().any(|label| classes.contains(label));
                let missing = labels::by_id(classes.first().copied().unwrap_or(0));
                let missing = missing.map_or("", |class| class.title).to_lowercase();
                has.then_some(())
                    .with_context(|| format!("The other mask has no {missing}"))?;
                Ok(copy_part(mask, &other, &classes, guard))
            });
        });
    }

    /// Changes the mask in a job: `change` gives the new labels of a rectangle, or none for no change.
    pub(super) fn change_mask(
        &mut self,
        work: &Work,
        name: String,
        change: impl FnOnce(&Labels) -> Result<Option<Patch>> + Send + 'static,
    ) {
        if let Some(edit) = work.edit() {
            let (face, revision) = (work.current, edit.revision);
            let mirror = Arc::clone(&edit.mirror);
            self.jobs.start(Job::Change, move |out| {
                steps::change_mask(&mirror, (face, revision), name, change, out)
            });
        }
    }

    /// The mask was changed by a job.
    pub(super) fn take_change(&mut self, change: steps::Changed, live: bool) {
        self.with_work(|tab, work| {
            let Some(edit) = work.edit_of(change.face) else {
                return;
            };
            let Some(mut patch) = change.patch else {
                tab.notice = Some(format!("{}: nothing to change", change.name));
                return;
            };
            if edit.revision != change.revision {
                tab.notice = Some(format!("{}: the mask has changed. Try again", change.name));
                return;
            }
            patch.swap(&mut edit.target);
            edit.show(&tab.gpu, patch.rect);
            edit.commit(&patch, change.name);
            tab.notice = change.note.or(tab.notice.take());
            tab.mask_changed(work, live);
        });
    }

    fn render_if_stale(&mut self) {
        self.with_work(|tab, work| tab.render_again(work, true));
    }

    /// Takes back what is being drawn, else stops what runs.
    fn cancel(&mut self, live: bool) {
        let edit = self.work.as_mut().and_then(Work::edit_mut);
        if let (Some(painting), Some(edit)) = (self.painting.take(), edit) {
            painting.abandon(edit, &self.gpu);
        } else if self.outline.take().is_some() {
        } else if self.moving.is_some() {
            self.with_work(|tab, work| tab.end_moving(work, false, live));
        } else if self.framing {
            self.framing = false;
            self.frame_from = None;
        } else {
            for job in [
                Job::Render,
                Job::Reference,
                Job::Analyse,
                Job::Open,
                Job::Change,
            ] {
                self.jobs.cancel(job);
            }
        }
    }

    fn step(&mut self, back: bool, live: bool) {
        // A stroke that is being painted ends first: it would not fit the mask after the step.
        self.with_work(|tab, work| {
            tab.settle_tools(work, live);
            let gpu = tab.gpu.clone();
            if work.edit_mut().is_some_and(|edit| edit.step(&gpu, back)) {
                tab.mask_changed(work, live);
            }
        });
    }
}

fn speck_area(settings: &Settings) -> usize {
    (settings.tools.speck_px * settings.tools.speck_px) as usize
}
