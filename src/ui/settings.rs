//! What the window remembers from one start to the next. Work is never kept here.

use std::path::PathBuf;

use eframe::egui;
use serde::{Deserialize, Serialize};

use super::tab::TabName;

/// The key in eframe's storage; a change that old settings cannot be read into gets a new number.
pub const KEY: &str = "vitruvian_settings_v1";

/// Brush diameters in photo pixels.
pub const BRUSH_PX: std::ops::RangeInclusive<f32> = 1.0..=250.0;

/// Everything that is remembered. Fields that an older version did not write take their default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The tab that was shown last.
    pub tab: TabName,
    pub theme: egui::ThemePreference,
    /// Where the last photo was opened.
    pub folder: Option<PathBuf>,
    /// Brush diameter in photo pixels.
    pub brush_px: f32,
    /// Of the mask's tint, in [0, 1].
    pub mask_opacity: f32,
    pub outline: bool,
    /// Render after each stroke.
    pub live: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tab: TabName::default(),
            theme: egui::ThemePreference::Dark,
            folder: None,
            brush_px: 24.0,
            mask_opacity: 0.45,
            outline: true,
            live: true,
        }
    }
}

impl Settings {
    /// The stored settings, or the defaults where there are none or they cannot be read.
    pub fn load(storage: Option<&dyn eframe::Storage>) -> Self {
        let stored = storage.and_then(|storage| eframe::get_value(storage, KEY));
        stored.map(Self::checked).unwrap_or_default()
    }

    pub fn save(&self, storage: &mut dyn eframe::Storage) {
        eframe::set_value(storage, KEY, self);
    }

    /// Brings values that were edited by hand back into their ranges.
    fn checked(mut self) -> Self {
        let default = Self::default();
        let in_range = |value: f32, low: f32, high: f32, default: f32| {
            if value.is_finite() {
                value.clamp(low, high)
            } else {
                default
            }
        };
        self.brush_px = in_range(
            self.brush_px,
            *BRUSH_PX.start(),
            *BRUSH_PX.end(),
            default.brush_px,
        );
        self.mask_opacity = in_range(self.mask_opacity, 0.0, 1.0, default.mask_opacity);
        self
    }
}

/// The settings window's content.
pub fn settings_ui(ui: &mut egui::Ui, settings: &mut Settings) {
    egui::Grid::new("settings")
        .num_columns(2)
        .spacing([24.0, 10.0])
        .show(ui, |ui| {
            ui.label("Appearance");
            ui.horizontal(|ui| {
                for (theme, name) in [
                    (egui::ThemePreference::Dark, "Dark"),
                    (egui::ThemePreference::Light, "Light"),
                    (egui::ThemePreference::System, "As the system"),
                ] {
                    ui.selectable_value(&mut settings.theme, theme, name);
                }
            });
            ui.end_row();

            ui.label("Mask outline");
            ui.checkbox(&mut settings.outline, "Draw a line around each part");
            ui.end_row();

            ui.label("Live result");
            ui.checkbox(&mut settings.live, "Render after each stroke");
            ui.end_row();
        });
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[derive(Default)]
    struct Memory(HashMap<String, String>);

    impl eframe::Storage for Memory {
        fn get_string(&self, key: &str) -> Option<String> {
            self.0.get(key).cloned()
        }
        fn set_string(&mut self, key: &str, value: String) {
            self.0.insert(key.to_owned(), value);
        }
        fn remove_string(&mut self, key: &str) {
            self.0.remove(key);
        }
        fn flush(&mut self) {}
    }

    #[test]
    fn settings_come_back_and_bad_ones_do_no_harm() {
        let mut storage = Memory::default();
        assert_eq!(Settings::load(Some(&storage)), Settings::default());

        let settings = Settings {
            brush_px: 77.0,
            folder: Some("/photos".into()),
            ..Default::default()
        };
        settings.save(&mut storage);
        assert_eq!(Settings::load(Some(&storage)), settings);

        let mut stored = |text: &str| {
            storage.0.insert(KEY.to_owned(), text.to_owned());
            Settings::load(Some(&storage))
        };
        assert_eq!(stored("nonsense"), Settings::default());
        assert_eq!(stored("(brush_px: 9000.0, live: false)").brush_px, 250.0);
        let older = stored("(live: false)");
        assert!(!older.live && older.outline);
    }
}
