//! A hint: a small card that points at what it speaks of, with a button to go on and one to have no more of them.

use eframe::egui::{self, Align, Align2, Layout, Pos2, RichText, Shape, Stroke, pos2, vec2};

use super::theme::{self, icon};

/// What a hint says.
pub struct Hint<'a> {
    /// Its number and how many there are.
    pub step: [usize; 2],
    pub title: &'a str,
    pub text: &'a str,
    /// Where its tip is.
    pub points_at: Pos2,
    /// The side of the card that the tip is on: `TOP` or `BOTTOM`.
    pub side: Align,
}

/// What the user made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// On to the next one.
    Next,
    /// No more hints.
    Enough,
}

const WIDTH: f32 = 264.0;
const TIP: f32 = 9.0;

impl Hint<'_> {
    /// Shows it. Returns the answer once there is one.
    pub fn ui(&self, ctx: &egui::Context) -> Option<Answer> {
        let is_below = self.side == Align::TOP;
        let screen = ctx.content_rect().shrink(theme::SPACE);
        // The card is centred on its tip as far as the window allows.
        let half = WIDTH / 2.0 + theme::SPACE_LARGE;
        let middle = self
            .points_at
            .x
            .clamp(screen.left() + half, screen.right() - half);
        let (pivot, y) = match is_below {
            true => (Align2::CENTER_TOP, self.points_at.y + TIP),
            false => (Align2::CENTER_BOTTOM, self.points_at.y - TIP),
        };
        let area = egui::Area::new(egui::Id::unique("hint"))
            .order(egui::Order::Middle)
            .pivot(pivot)
            .fixed_pos(pos2(middle, y));
        let shown = area.show(ctx, |ui| {
            let colors = theme::colors(ui);
            let frame = egui::Frame::popup(ui.style())
                .stroke(Stroke::new(1.0, colors.accent))
                .inner_margin(12);
            frame.show(ui, |ui| self.card_ui(ui)).inner
        });
        self.tip_ui(ctx, shown.response.rect, is_below);
        shown.inner
    }

    fn card_ui(&self, ui: &mut egui::Ui) -> Option<Answer> {
        let [step, count] = self.step;
        let mut answer = None;
        ui.set_width(WIDTH);
        ui.horizontal(|ui| {
            ui.label(RichText::new(self.title).heading());
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let name = "No more hints";
                if theme::icon_button_ui(ui, icon::CLOSE, name, name).clicked() {
                    answer = Some(Answer::Enough);
                }
            });
        });
        ui.add(egui::Label::new(self.text).wrap());
        ui.add_space(theme::SPACE);
        ui.horizontal(|ui| {
            let weak = theme::colors(ui).weak;
            ui.label(RichText::new(format!("{step} of {count}")).color(weak));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let words = if step == count { "Done" } else { "Next" };
                if ui.button(words).accessible_name("Next hint").clicked() {
                    answer = Some(Answer::Next);
                }
            });
        });
        answer
    }

    /// The triangle between the card and what it points at.
    fn tip_ui(&self, ctx: &egui::Context, card: egui::Rect, is_below: bool) {
        let colors = theme::colors_of(&ctx.global_style().visuals);
        let edge = if is_below { card.top() } else { card.bottom() };
        let x = self
            .points_at
            .x
            .clamp(card.left() + 20.0, card.right() - 20.0);
        let base = [pos2(x - TIP, edge), pos2(x + TIP, edge)];
        let inwards = vec2(0.0, if is_below { 1.5 } else { -1.5 });
        let id = egui::LayerId::new(egui::Order::Middle, egui::Id::unique("hint"));
        let painter = ctx.layer_painter(id);
        painter.add(Shape::convex_polygon(
            vec![base[0] + inwards, self.points_at, base[1] + inwards],
            colors.panel,
            Stroke::NONE,
        ));
        let line = Stroke::new(1.0, colors.accent);
        painter.line_segment([base[0], self.points_at], line);
        painter.line_segment([base[1], self.points_at], line);
    }
}
