//! A question with two answers, asked in front of everything else.

use eframe::egui::{self, Align, Layout};

use super::theme;

/// Shows the question. Returns whether it was agreed to; none while it is open. Escape and a click beside it refuse.
pub fn question_ui(
    ctx: &egui::Context,
    title: &str,
    text: &str,
    agree: &str,
    refuse: &str,
) -> Option<bool> {
    let modal = egui::Modal::new(egui::Id::unique(title))
        .frame(theme::question_frame(ctx))
        .show(ctx, |ui| {
            ui.set_width(340.0);
            ui.heading(title);
            ui.add_space(theme::SPACE);
            ui.label(text);
            ui.add_space(theme::SPACE_LARGE);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let agreed = ui.add(theme::primary_button(ui, agree)).clicked();
                let refused = ui.button(refuse).clicked();
                (agreed, refused)
            })
            .inner
        });
    match modal.inner {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => modal.should_close().then_some(false),
    }
}
