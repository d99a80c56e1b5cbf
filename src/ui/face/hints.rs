//! The first start explains itself: three hints on the sample portrait, one at a time. Each goes when the user has done
//! what it says or has had enough of it, and none comes back unless it is asked for.

use eframe::egui::{self, Align, Rect, vec2};

use super::result::ResultView;
use super::tab::FaceTab;
use super::work::Work;
use crate::ui::hint::{Answer, Hint};
use crate::ui::keys::{self, Action};
use crate::ui::settings::{HintStep, Settings};

/// What the hints need to know of this start of the program.
#[derive(Default)]
pub struct Hints {
    /// They were asked for: they are shown on any photo.
    are_asked: bool,
    /// Steps that had been made when they began.
    since: usize,
    /// The photo was looked at as it was.
    pub was_compared: bool,
    /// The result was saved.
    pub was_saved: bool,
    /// Where the result is, in the last frame.
    pub result_place: Option<Rect>,
    /// Where the button is that saves it.
    pub save_place: Option<Rect>,
}

impl FaceTab {
    /// Begins with the first hint again, also on a photo of the user's own.
    pub fn show_hints_again(&mut self, settings: &mut Settings) {
        settings.hint = HintStep::Paint;
        self.hints.are_asked = true;
        self.hints.since = self.strokes();
    }

    fn strokes(&self) -> usize {
        let edit = self.work.as_ref().and_then(Work::edit);
        edit.map_or(0, |edit| edit.history.position())
    }

    /// Whether the user has done what the hint says.
    fn has_done(&self, step: HintStep) -> bool {
        match step {
            HintStep::Paint => self.strokes() > self.hints.since,
            HintStep::Compare => {
                self.hints.was_compared
                    || self.split > 0.0
                    || self.result_view != ResultView::Slider
            }
            HintStep::Save => self.hints.was_saved,
            HintStep::Done => false,
        }
    }

    fn next_hint(&mut self, settings: &mut Settings) {
        settings.hint = settings.hint.next();
        (self.hints.was_compared, self.hints.was_saved) = (false, false);
    }

    /// Shows the hint whose turn it is.
    pub(super) fn hints_ui(&mut self, ctx: &egui::Context, settings: &mut Settings) {
        let is_sample = self.work.as_ref().is_some_and(|work| work.path.is_none());
        let is_wanted = settings.hint != HintStep::Done && (is_sample || self.hints.are_asked);
        if !is_wanted || !self.has_edit() {
            return;
        }
        if self.has_done(settings.hint) {
            self.next_hint(settings);
        }
        // A question or a list in front of the window comes first.
        if ctx.memory(|memory| memory.top_modal_layer().is_some()) || egui::Popup::is_any_open(ctx)
        {
            return;
        }
        let (Some(mask), Some(result)) = (self.last_place, self.hints.result_place) else {
            return;
        };
        let keys = |action| keys::keys_text(ctx, action);
        let (title, text, points_at, side) = match settings.hint {
            HintStep::Paint => (
                "Paint here",
                format!(
                    "Draw over the forehead: the brush paints {}. Choose another part at the left, {} undoes.",
                    self.classes.active_name(),
                    keys(Action::Undo)
                ),
                // Below the mouth, whatever the window's size.
                mask.center_bottom() - vec2(0.0, 150.0),
                Align::TOP,
            ),
            HintStep::Compare => (
                "See it there",
                "The photo follows each stroke. Drag the line at the left edge to compare, or hold C \
                 to see the photo as it was."
                    .to_owned(),
                result.left_center() + vec2(6.0, 24.0),
                Align::TOP,
            ),
            HintStep::Save => (
                "Save it",
                format!(
                    "{} saves the photo with its new face, {} all of your work, to go on later.",
                    keys(Action::SaveResult),
                    keys(Action::SaveProject)
                ),
                self.hints.save_place
                    .map_or(mask.center_top(), |button| button.center_bottom()),
                Align::TOP,
            ),
            HintStep::Done => return,
        };
        let hint = Hint {
            step: [settings.hint.number(), HintStep::COUNT],
            title,
            text: &text,
            points_at,
            side,
        };
        match hint.ui(ctx) {
            Some(Answer::Next) => self.next_hint(settings),
            Some(Answer::Enough) => settings.hint = HintStep::Done,
            None => {}
        }
    }
}
