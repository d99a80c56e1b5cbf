//! The time line below the canvas: play, scrub, speed.

use eframe::egui::{self, Align2, FontId, Rect, RichText, Sense, Stroke, pos2, vec2};

use super::tab::MotionTab;
use super::work::{Id, Work};
use crate::ui::keys::{self, Action};
use crate::ui::settings::Settings;
use crate::ui::theme::{self, icon};

/// How much faster than life it can play.
const SPEEDS: [f32; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];

impl MotionTab {
    /// Moves time on while it plays.
    pub(super) fn play(&mut self, ui: &egui::Ui, settings: &Settings) {
        if let Some(work) = &mut self.work
            && work.is_playing
        {
            // A window that was hidden does not jump.
            let dt = f64::from(ui.input(|i| i.stable_dt)).min(0.2);
            work.advance(dt * f64::from(settings.motion.speed));
            ui.ctx().request_repaint();
        }
    }

    pub(super) fn timeline_ui(&mut self, ui: &mut egui::Ui, settings: &mut Settings) {
        let Some(work) = &mut self.work else { return };
        ui.horizontal_centered(|ui| {
            if theme::icon_button_ui(
                ui,
                icon::LEFT,
                "Step back",
                &keys::tip(ui.ctx(), Action::StepBack),
            )
            .clicked()
            {
                work.go(-1);
            }
            let (symbol, name) = match work.is_playing {
                true => (icon::PAUSE, "Pause"),
                false => (icon::PLAY, "Play"),
            };
            let tip = keys::tip_as(ui.ctx(), Action::Play, name);
            let play =
                egui::Button::new(RichText::new(symbol).size(18.0)).min_size(vec2(36.0, 28.0));
            if ui
                .add(play)
                .accessible_name(name)
                .on_hover_text(tip)
                .clicked()
            {
                work.is_playing = !work.is_playing;
            }
            if theme::icon_button_ui(
                ui,
                icon::RIGHT,
                "Step forward",
                &keys::tip(ui.ctx(), Action::StepForward),
            )
            .clicked()
            {
                work.go(1);
            }
            let clock = format!("{:.1} s of {:.1} s", work.secs, work.length_secs());
            let width = 108.0;
            ui.add_sized(
                [width, 20.0],
                egui::Label::new(RichText::new(clock).color(theme::colors(ui).weak)),
            );
            let speed_width = 84.0;
            let rail = ui.available_width() - speed_width - 2.0 * theme::SPACE;
            scrub_ui(ui, work, rail.max(60.0));
            let speed = &mut settings.motion.speed;
            egui::ComboBox::from_id_salt("speed")
                .width(speed_width - 12.0)
                .selected_text(format!("{speed} ×"))
                .show_ui(ui, |ui| {
                    for choice in SPEEDS {
                        ui.selectable_value(speed, choice, format!("{choice} ×"));
                    }
                })
                .response
                .accessible_name("Speed")
                .on_hover_text("How fast it plays");
        });
    }
}

/// The rail with its handle, and marks where the user has changed something.
fn scrub_ui(ui: &mut egui::Ui, work: &mut Work, width: f32) {
    let (rect, response) = ui.allocate_exact_size(vec2(width, 24.0), Sense::click_and_drag());
    let length = work.length_secs().max(1e-6);
    response.widget_info(|| egui::WidgetInfo::slider(true, work.secs, "Time"));
    if let Some(pointer) = response.interact_pointer_pos() {
        let share = ((pointer.x - rect.left()) / rect.width()).clamp(0.0, 1.0);
        work.secs = f64::from(share) * length;
        work.is_playing = false;
        // On a frame: between two there is nothing to predict.
        work.go(0);
    }
    let colors = theme::colors(ui);
    let painter = ui.painter();
    let x = |secs: f64| rect.left() + (secs / length) as f32 * rect.width();
    let y = rect.center().y;
    let rail = |from: f32, to: f32| Rect::from_min_max(pos2(from, y - 2.0), pos2(to, y + 2.0));
    painter.rect_filled(rail(rect.left(), rect.right()), 2.0, colors.raised);
    painter.rect_filled(rail(rect.left(), x(work.secs)), 2.0, colors.accent);
    let mut changed: Vec<i64> = work.edits.pasts.keys().map(|(frame, _)| *frame).collect();
    changed.dedup();
    for frame in changed {
        painter.circle_filled(pos2(x(work.secs_of(frame)), y), 3.5, colors.warning);
    }
    let fill = if response.hovered() || response.dragged() {
        colors.text
    } else {
        colors.weak
    };
    painter.circle(
        pos2(x(work.secs), y),
        7.0,
        fill,
        Stroke::new(1.5, colors.panel),
    );
    if let Some(pointer) = response.hover_pos() {
        let secs = f64::from((pointer.x - rect.left()) / rect.width()).clamp(0.0, 1.0) * length;
        let at = pos2(pointer.x, rect.top() - 2.0);
        let text = format!("{secs:.1} s");
        painter.text(
            at,
            Align2::CENTER_BOTTOM,
            text,
            FontId::proportional(11.5),
            colors.text,
        );
    }
    response.on_hover_cursor(egui::CursorIcon::PointingHand);
}

/// Whether a walker can be taken away or brought back to what was recorded.
pub(super) fn removal_words(work: &Work) -> Option<&'static str> {
    let id = work.focus?;
    let is_changed = work.edits.pasts.contains_key(&(work.frame(), id));
    is_changed.then_some(match id {
        Id::Drawn(_) => "Remove this walker",
        Id::Track(_) => "Back to the recording",
    })
}
