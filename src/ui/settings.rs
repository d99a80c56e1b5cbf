//! What the window remembers from one start to the next. Work is never kept here.

use std::path::PathBuf;

use eframe::egui;
use serde::{Deserialize, Serialize};

use super::keys::Bindings;
use super::tab::TabName;
use crate::face::mask::{MaskFormat, Tip};
use crate::gpu::ColorMap;
use crate::photo::{Format, SaveOptions};
use crate::pose::estimate::Method;
use crate::pose::keypoints::Part;

/// The key in eframe's storage; a change that old settings cannot be read into gets a new number.
pub const KEY: &str = "vitruvian_settings_v1";

/// Brush diameters in photo pixels.
pub const BRUSH_PX: std::ops::RangeInclusive<f32> = 1.0..=300.0;

/// Standard deviations of the kernel of a heat map of destinations, in metres.
pub const BANDWIDTH_M: std::ops::RangeInclusive<f32> = 0.1..=3.0;

/// What the motion tab shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MotionView {
    pub pasts: bool,
    pub futures: bool,
    pub truth: bool,
    pub destinations: bool,
    /// Where nobody can walk.
    pub ground: bool,
    pub heat: bool,
    pub contours: bool,
    pub bandwidth_m: f32,
    /// Of the heat map, in [0, 1].
    pub heat_opacity: f32,
    pub color_map: ColorMap,
    /// How much faster than life it plays.
    pub speed: f32,
}

impl Default for MotionView {
    fn default() -> Self {
        Self {
            pasts: true,
            futures: true,
            truth: true,
            destinations: false,
            ground: false,
            heat: true,
            contours: false,
            bandwidth_m: 0.45,
            heat_opacity: 0.7,
            color_map: ColorMap::default(),
            speed: 1.0,
        }
    }
}

/// How far the hints of the first start have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HintStep {
    #[default]
    Paint,
    Compare,
    Save,
    Done,
}

impl HintStep {
    /// How many hints there are.
    pub const COUNT: usize = 3;

    /// The first is 1.
    pub const fn number(self) -> usize {
        self as usize + 1
    }

    pub const fn next(self) -> Self {
        match self {
            Self::Paint => Self::Compare,
            Self::Compare => Self::Save,
            Self::Save | Self::Done => Self::Done,
        }
    }
}

/// What the pose tab shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoseView {
    pub body: bool,
    pub feet: bool,
    pub face: bool,
    pub left_hand: bool,
    pub right_hand: bool,
    /// Labels beside what was found.
    pub truth: bool,
    /// Crops of face and hands at the side.
    pub loupe: bool,
    /// People below this are not shown, in [0, 1].
    pub person_score: f32,
    /// Nor keypoints below this.
    pub keypoint_score: f32,
    /// Of the heat map, in [0, 1].
    pub heat_opacity: f32,
    pub color_map: ColorMap,
    /// How people are found.
    pub method: Method,
}

impl PoseView {
    /// Whether a part is to be seen.
    pub fn shows(&self, part: Part) -> bool {
        match part {
            Part::Body => self.body,
            Part::Foot => self.feet,
            Part::Face => self.face,
            Part::LeftHand => self.left_hand,
            Part::RightHand => self.right_hand,
        }
    }
}

impl Default for PoseView {
    fn default() -> Self {
        Self {
            body: true,
            feet: true,
            face: true,
            left_hand: true,
            right_hand: true,
            truth: true,
            loupe: true,
            person_score: 0.15,
            keypoint_score: 0.15,
            heat_opacity: 0.75,
            color_map: ColorMap::default(),
            method: Method::default(),
        }
    }
}

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
    pub tools: ToolSettings,
    pub export: ExportSettings,
    pub keys: Bindings,
    pub motion: MotionView,
    pub hint: HintStep,
    pub pose: PoseView,
}

/// How results and masks are written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportSettings {
    pub format: Format,
    pub options: SaveOptions,
    pub mask: MaskFormat,
}

/// How the painting tools work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolSettings {
    pub tip: Tip,
    /// Length of the stabiliser's string in points of the screen; 0 is off.
    pub steady_points: f32,
    /// Paint the other side of the face too.
    pub mirror: bool,
    /// Fill the class everywhere, connected or not.
    pub fill_all: bool,
    /// Fill stops at edges of the photo.
    pub fill_to_edges: bool,
    /// What counts as an edge: a change of brightness, 1 to 255.
    pub edge: f32,
    /// The lips and the mouth between them move together.
    pub whole_mouth: bool,
    /// By how much a part grows, shrinks or is smoothed, in photo pixels.
    pub reshape_px: f32,
    /// Side of the largest hole that is filled and speck that is removed, in photo pixels.
    pub speck_px: f32,
}

impl Default for ToolSettings {
    fn default() -> Self {
        Self {
            tip: Tip::Round,
            steady_points: 0.0,
            mirror: false,
            fill_all: false,
            fill_to_edges: false,
            edge: 40.0,
            whole_mouth: true,
            reshape_px: 3.0,
            speck_px: 12.0,
        }
    }
}

/// Longest string of the stabiliser.
pub const STEADY_POINTS: std::ops::RangeInclusive<f32> = 0.0..=60.0;

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
            tools: ToolSettings::default(),
            export: ExportSettings::default(),
            keys: Bindings::default(),
            motion: MotionView::default(),
            hint: HintStep::default(),
            pose: PoseView::default(),
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
        let (tools, usual) = (&mut self.tools, ToolSettings::default());
        let longest = *STEADY_POINTS.end();
        tools.steady_points = in_range(tools.steady_points, 0.0, longest, usual.steady_points);
        tools.edge = in_range(tools.edge, 1.0, 255.0, usual.edge);
        tools.reshape_px = in_range(tools.reshape_px, 1.0, 200.0, usual.reshape_px);
        tools.speck_px = in_range(tools.speck_px, 1.0, 500.0, usual.speck_px);
        let options = &mut self.export.options;
        options.quality = options.quality.clamp(1, 100);
        let (pose, usual) = (&mut self.pose, default.pose);
        pose.person_score = in_range(pose.person_score, 0.0, 1.0, usual.person_score);
        pose.keypoint_score = in_range(pose.keypoint_score, 0.0, 1.0, usual.keypoint_score);
        pose.heat_opacity = in_range(pose.heat_opacity, 0.0, 1.0, usual.heat_opacity);
        let (motion, default) = (&mut self.motion, default.motion);
        motion.bandwidth_m = in_range(
            motion.bandwidth_m,
            *BANDWIDTH_M.start(),
            *BANDWIDTH_M.end(),
            default.bandwidth_m,
        );
        motion.heat_opacity = in_range(motion.heat_opacity, 0.0, 1.0, default.heat_opacity);
        motion.speed = in_range(motion.speed, 0.25, 4.0, default.speed);
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
            tab: TabName::Motion,
            hint: HintStep::Save,
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
        assert_eq!(stored("(brush_px: 9000.0, live: false)").brush_px, 300.0);
        let older = stored("(live: false)");
        assert!(!older.live && older.outline);
    }
}
