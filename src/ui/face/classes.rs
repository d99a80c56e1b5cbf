//! The list of parts at the left: colour, name, key, whether it is locked, whether it is shown, and whether it takes
//! the other photo's style.

use eframe::egui::{self, Align2, Color32, FontId, Rect, Sense, Stroke, StrokeKind, pos2, vec2};

use crate::face::labels::{self, CLASS_COUNT, Class, id};
use crate::face::mask::Guard;
use crate::face::project::ProjectView;
use crate::gpu::CLASS_SLOTS;
use crate::ui::keys;
use crate::ui::theme::LIST_ROW_HEIGHT as ROW_HEIGHT;
use crate::ui::theme::{self, icon};

/// The order of the list, and so of the digit keys: what is painted most comes first.
pub const ORDER: [u8; CLASS_COUNT] = [
    id::SKIN,
    id::L_BROW,
    id::R_BROW,
    id::L_EYE,
    id::R_EYE,
    id::NOSE,
    id::U_LIP,
    id::MOUTH,
    id::L_LIP,
    id::HAIR,
    id::L_EAR,
    id::R_EAR,
    id::EYE_G,
    id::EAR_R,
    id::HAT,
    id::NECK,
    id::NECK_L,
    id::CLOTH,
    id::BACKGROUND,
];

/// Which parts are chosen, shown and restyled.
pub struct Classes {
    /// The class that the brush paints.
    pub active: u8,
    shown: [bool; CLASS_COUNT],
    /// The only class that is shown; none for all that are.
    solo: Option<u8>,
    /// Which are never painted over.
    locked: [bool; CLASS_COUNT],
    /// The only class that is painted over; none for all.
    pub only_over: Option<u8>,
    /// Which take the other photo's style.
    restyled: [bool; CLASS_COUNT],
}

impl Default for Classes {
    fn default() -> Self {
        Self {
            active: id::HAIR,
            shown: [true; CLASS_COUNT],
            solo: None,
            locked: [false; CLASS_COUNT],
            only_over: None,
            restyled: [true; CLASS_COUNT],
        }
    }
}

/// The class at a position of the list.
pub fn at_position(position: u8) -> Option<u8> {
    ORDER.get(usize::from(position)).copied()
}

fn color(class: &Class) -> Color32 {
    let [r, g, b] = class.screen;
    Color32::from_rgb(r, g, b)
}

impl Classes {
    /// Makes a class the one that is painted; a hidden one is shown again.
    pub fn activate(&mut self, class: u8) {
        if let Some(shown) = self.shown.get_mut(usize::from(class)) {
            self.active = class;
            *shown = true;
            if self.solo.is_some() {
                self.solo = Some(class);
            }
        }
    }

    /// Name of the class that is painted.
    pub fn active_title(&self) -> &'static str {
        labels::by_id(self.active).map_or("", |class| class.title)
    }

    /// The same within a sentence.
    pub fn active_name(&self) -> String {
        self.active_title().to_lowercase()
    }

    /// Shows the active class alone, or all again.
    pub fn toggle_solo(&mut self) {
        self.solo = match self.solo {
            Some(_) => None,
            None => Some(self.active),
        };
    }

    /// What a project remembers of it.
    pub fn view(&self) -> ProjectView {
        let classes = 0..CLASS_COUNT as u8;
        ProjectView {
            active_class: self.active,
            locked_classes: classes.filter(|class| self.is_locked(*class)).collect(),
        }
    }

    /// As a project remembers it.
    pub fn set_view(&mut self, view: &ProjectView) {
        self.locked = [false; CLASS_COUNT];
        view.locked_classes
            .iter()
            .for_each(|class| self.toggle_lock(*class));
        self.activate(view.active_class);
    }

    /// What tools may paint over.
    pub fn guard(&self) -> Guard {
        let all = self.only_over.map_or(Guard::ALL, Guard::only);
        let locked = self
            .locked
            .iter()
            .enumerate()
            .filter(|(_, locked)| **locked);
        locked.fold(all, |guard, (class, _)| guard.never(class as u8))
    }

    /// Whether a class is never painted over.
    pub fn is_locked(&self, class: u8) -> bool {
        self.locked.get(usize::from(class)).is_some_and(|l| *l)
    }

    pub fn toggle_lock(&mut self, class: u8) {
        if let Some(locked) = self.locked.get_mut(usize::from(class)) {
            *locked = !*locked;
        }
    }

    /// Colours for the overlay. The background is never tinted.
    pub fn palette(&self) -> [[f32; 4]; CLASS_SLOTS] {
        let mut palette = [[0.0; 4]; CLASS_SLOTS];
        let classes = labels::CLASSES.iter().zip(self.shown);
        for (slot, (class, shown)) in palette.iter_mut().zip(classes) {
            let [r, g, b] = class.screen.map(|v| f32::from(v) / 255.0);
            let shown = self.solo.map_or(shown, |solo| solo == class.id);
            let is_tinted = shown && class.id != id::BACKGROUND;
            *slot = [r, g, b, if is_tinted { 1.0 } else { 0.0 }];
        }
        palette
    }

    /// Which classes take the other photo's style.
    pub fn restyled(&self) -> [bool; CLASS_COUNT] {
        self.restyled
    }

    /// Sets all at once.
    pub fn restyle_all(&mut self, on: bool) {
        self.restyled = [on; CLASS_COUNT];
    }

    pub fn restyles_all(&self) -> bool {
        self.restyled.iter().all(|on| *on)
    }

    /// The list. Returns whether the choice of restyled classes changed.
    pub fn list_ui(&mut self, ui: &mut egui::Ui, has_reference: bool) -> bool {
        let mut restyled = false;
        ui.spacing_mut().item_spacing.y = 0.0;
        for (position, class) in ORDER.iter().enumerate() {
            if let Some(class) = labels::by_id(*class) {
                restyled |= self.row_ui(ui, position, class, has_reference);
            }
        }
        restyled
    }

    fn row_ui(
        &mut self,
        ui: &mut egui::Ui,
        position: usize,
        class: &Class,
        has_reference: bool,
    ) -> bool {
        let colors = theme::colors(ui);
        let index = usize::from(class.id);
        let size = vec2(ui.available_width(), ROW_HEIGHT);
        let (rect, row) = ui.allocate_exact_size(size, Sense::click());
        let is_active = self.active == class.id;
        let title = class.title;
        row.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, is_active, title));
        let fill = match (is_active, row.hovered()) {
            (true, _) => colors.chosen,
            (false, true) => colors.hovered,
            (false, false) => Color32::TRANSPARENT,
        };
        let painter = ui.painter();
        painter.rect_filled(rect, theme::RADIUS, fill);
        if row.has_focus() {
            let focus = Stroke::new(1.0, colors.accent);
            painter.rect_stroke(rect, theme::RADIUS, focus, StrokeKind::Inside);
        }
        let swatch =
            Rect::from_center_size(pos2(rect.left() + 15.0, rect.center().y), vec2(13.0, 13.0));
        painter.rect_filled(swatch, 3.0, color(class));
        painter.rect_stroke(
            swatch,
            3.0,
            Stroke::new(1.0, colors.line),
            StrokeKind::Outside,
        );
        let family = if is_active {
            theme::strong()
        } else {
            egui::FontFamily::Proportional
        };
        painter.text(
            pos2(rect.left() + 31.0, rect.center().y),
            Align2::LEFT_CENTER,
            title,
            FontId::new(13.0, family),
            colors.text,
        );
        painter.text(
            pos2(
                rect.right() - if has_reference { 86.0 } else { 60.0 },
                rect.center().y,
            ),
            Align2::RIGHT_CENTER,
            keys::class_keys(position),
            FontId::proportional(11.5),
            colors.weak,
        );
        let is_clicked = row.clicked();
        let tip = format!(
            "Paint {} ({})",
            title.to_lowercase(),
            keys::class_keys(position)
        );
        row.on_hover_text(tip);

        let toggle = |place: f32, icon: &str, name: String, tip: &str, strong: bool| {
            let square = Rect::from_center_size(
                pos2(rect.right() - place, rect.center().y),
                vec2(24.0, ROW_HEIGHT),
            );
            let response = ui.interact(square, ui.scope_id().with((position, tip)), Sense::click());
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
            let color = match (response.hovered() || response.has_focus(), strong) {
                (true, _) => colors.accent,
                (false, true) => colors.text,
                (false, false) => colors.weak,
            };
            let font = FontId::proportional(15.0);
            ui.painter()
                .text(square.center(), Align2::CENTER_CENTER, icon, font, color);
            response.on_hover_text(tip).clicked()
        };
        let lower = title.to_lowercase();
        if class.id != id::BACKGROUND {
            let shown = self.shown.get(index).copied().unwrap_or(true);
            let (icon, word) = if shown {
                (icon::SHOWN, "Hide")
            } else {
                (icon::HIDDEN, "Show")
            };
            let name = format!("{word} {lower}");
            if toggle(
                16.0,
                icon,
                name,
                "Show or hide this part of the mask",
                !shown,
            ) && let Some(shown) = self.shown.get_mut(index)
            {
                *shown = !*shown;
            }
        }
        let is_locked = self.is_locked(class.id);
        let (icon, word) = if is_locked {
            (icon::LOCKED, "Unlock")
        } else {
            (icon::UNLOCKED, "Lock")
        };
        let name = format!("{word} {lower}");
        let tip = "Never paint over this part";
        if toggle(40.0, icon, name, tip, is_locked) {
            self.toggle_lock(class.id);
        }
        let mut restyled = false;
        if has_reference {
            let on = self.restyled.get(index).copied().unwrap_or(true);
            let name = format!("Style of {lower}");
            if toggle(
                64.0,
                if on { icon::STYLE } else { "–" },
                name,
                "Take the style from the other photo",
                on,
            ) && let Some(on) = self.restyled.get_mut(index)
            {
                *on = !*on;
                restyled = true;
            }
        }
        if is_clicked {
            self.activate(class.id);
        }
        restyled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_listed_once_and_can_be_reached_by_key() {
        let mut sorted = ORDER;
        sorted.sort_unstable();
        assert!(
            sorted
                .iter()
                .enumerate()
                .all(|(i, class)| usize::from(*class) == i)
        );
        let keys: Vec<_> = (0..CLASS_COUNT).map(keys::class_keys).collect();
        assert!(keys.iter().all(|keys| !keys.is_empty()));
        assert_eq!(at_position(0), Some(id::SKIN));
        assert_eq!(at_position(19), None);
    }

    #[test]
    fn locks_and_the_only_class_make_one_guard() {
        let mut classes = Classes::default();
        assert_eq!(classes.guard(), Guard::ALL);
        classes.toggle_lock(id::HAIR);
        assert!(!classes.guard().allows(id::HAIR) && classes.guard().allows(id::SKIN));
        classes.only_over = Some(id::SKIN);
        assert!(classes.guard().allows(id::SKIN) && !classes.guard().allows(id::NOSE));
        classes.toggle_lock(id::SKIN);
        assert!(!classes.guard().allows(id::SKIN));
    }

    #[test]
    fn hidden_classes_are_not_tinted_and_painting_one_shows_it() {
        let mut classes = Classes::default();
        assert_eq!(classes.palette()[usize::from(id::BACKGROUND)][3], 0.0);
        classes.shown[usize::from(id::NOSE)] = false;
        assert_eq!(classes.palette()[usize::from(id::NOSE)][3], 0.0);
        classes.activate(id::NOSE);
        assert_eq!(classes.palette()[usize::from(id::NOSE)][3], 1.0);
        classes.activate(77);
        assert_eq!(classes.active, id::NOSE);
        classes.toggle_solo();
        let tinted = classes.palette().iter().filter(|c| c[3] > 0.0).count();
        assert_eq!((tinted, classes.palette()[2][3]), (1, 1.0));
        classes.toggle_solo();
        assert_eq!(classes.palette().iter().filter(|c| c[3] > 0.0).count(), 18);
    }
}
