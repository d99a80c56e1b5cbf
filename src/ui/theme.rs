//! The one place for colours, spacing, radii, type and icons. A calm dark theme, and a light one.
//!
//! Colours are named by what they are for, so that a widget never asks which theme is on.

use std::sync::Arc;

use eframe::egui::{
    self, Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Stroke,
    TextStyle, Theme, vec2,
};

/// Colours of one theme.
pub struct Colors {
    /// Behind photos: neutral, so that it does not tint what the eye sees.
    pub canvas: Color32,
    pub panel: Color32,
    /// Buttons on a panel.
    pub raised: Color32,
    /// Where text is typed.
    pub field: Color32,
    pub hovered: Color32,
    pub pressed: Color32,
    /// Thin lines between areas.
    pub line: Color32,
    pub text: Color32,
    /// Text that explains or waits.
    pub weak: Color32,
    pub accent: Color32,
    /// Text on the accent.
    pub on_accent: Color32,
    /// Behind what is chosen.
    pub chosen: Color32,
    pub good: Color32,
    pub warning: Color32,
    pub error: Color32,
}

const DARK: Colors = Colors {
    canvas: Color32::from_rgb(22, 22, 23),
    panel: Color32::from_rgb(32, 33, 36),
    raised: Color32::from_rgb(46, 48, 53),
    field: Color32::from_rgb(24, 25, 27),
    hovered: Color32::from_rgb(58, 61, 67),
    pressed: Color32::from_rgb(70, 74, 82),
    line: Color32::from_rgb(50, 52, 57),
    text: Color32::from_rgb(222, 224, 228),
    weak: Color32::from_rgb(152, 156, 165),
    accent: Color32::from_rgb(92, 158, 235),
    on_accent: Color32::from_rgb(12, 20, 32),
    chosen: Color32::from_rgb(45, 66, 95),
    good: Color32::from_rgb(120, 190, 135),
    warning: Color32::from_rgb(226, 178, 92),
    error: Color32::from_rgb(236, 122, 112),
};

const LIGHT: Colors = Colors {
    canvas: Color32::from_rgb(208, 209, 211),
    panel: Color32::from_rgb(245, 245, 246),
    raised: Color32::from_rgb(228, 229, 232),
    field: Color32::from_rgb(255, 255, 255),
    hovered: Color32::from_rgb(217, 219, 223),
    pressed: Color32::from_rgb(204, 207, 213),
    line: Color32::from_rgb(212, 214, 218),
    text: Color32::from_rgb(32, 35, 40),
    weak: Color32::from_rgb(98, 104, 114),
    accent: Color32::from_rgb(32, 104, 190),
    on_accent: Color32::from_rgb(255, 255, 255),
    chosen: Color32::from_rgb(205, 223, 245),
    good: Color32::from_rgb(38, 122, 62),
    warning: Color32::from_rgb(150, 96, 8),
    error: Color32::from_rgb(186, 48, 40),
};

/// The colours of the theme that is on.
pub fn colors(ui: &egui::Ui) -> &'static Colors {
    colors_of(ui.visuals())
}

/// The colours of the theme that these visuals were made for.
pub fn colors_of(visuals: &egui::Visuals) -> &'static Colors {
    if visuals.dark_mode { &DARK } else { &LIGHT }
}

/// Drawn over photos, which look the same in both themes.
pub mod on_photo {
    use eframe::egui::Color32;

    pub const LINE: Color32 = Color32::from_rgb(250, 250, 250);
    pub const SHADOW: Color32 = Color32::from_black_alpha(140);
    pub const TEXT: Color32 = Color32::from_rgb(245, 245, 245);
    pub const CHIP: Color32 = Color32::from_black_alpha(170);
}

/// Space inside a group of widgets, in points.
pub const SPACE_SMALL: f32 = 4.0;
/// Space between groups.
pub const SPACE: f32 = 8.0;
/// Space between areas.
pub const SPACE_LARGE: f32 = 14.0;
/// Rounding of buttons, fields and chips.
pub const RADIUS: u8 = 5;
/// Height of buttons and rows.
pub const ROW_HEIGHT: f32 = 24.0;
/// Height of a line in the list of parts: all 19 and what is below them fit into the smallest window.
pub const LIST_ROW_HEIGHT: f32 = 22.0;
/// Width of the class list.
pub const SIDE_WIDTH: f32 = 244.0;

/// The family for headings and chosen things.
pub fn strong() -> FontFamily {
    FontFamily::Name("strong".into())
}

/// Names of the icons in `assets/fonts/phosphor-icons.ttf`. The font has a few more than are in use at any time.
#[allow(dead_code)]
pub mod icon {
    pub const OPEN: &str = "\u{E256}";
    pub const SAVE: &str = "\u{E248}";
    pub const EXPORT: &str = "\u{E20C}";
    pub const UNDO: &str = "\u{E08A}";
    pub const REDO: &str = "\u{E08C}";
    pub const BRUSH: &str = "\u{E6F0}";
    pub const ERASER: &str = "\u{E21E}";
    pub const PICK: &str = "\u{E568}";
    pub const FILL: &str = "\u{E392}";
    pub const FIT: &str = "\u{E626}";
    pub const SETTINGS: &str = "\u{E270}";
    pub const WEIGHTS: &str = "\u{E1DA}";
    pub const LOG: &str = "\u{E2CE}";
    pub const SHOWN: &str = "\u{E220}";
    pub const HIDDEN: &str = "\u{E224}";
    pub const LIVE: &str = "\u{E2DE}";
    pub const STYLE: &str = "\u{E5B8}";
    pub const CLOSE: &str = "\u{E4F6}";
    pub const WARNING: &str = "\u{E4E0}";
    pub const ERROR: &str = "\u{E4E2}";
    pub const DONE: &str = "\u{E184}";
    pub const MISSING: &str = "\u{E4F8}";
    pub const SPLIT: &str = "\u{E0A0}";
    pub const FACE: &str = "\u{E6FC}";
    pub const PHOTO: &str = "\u{E2CA}";
    pub const POLYGON: &str = "\u{E6D0}";
    pub const LASSO: &str = "\u{EDC6}";
    pub const RECTANGLE: &str = "\u{E3F0}";
    pub const ELLIPSE: &str = "\u{E18A}";
    pub const MOVE: &str = "\u{E0A4}";
    pub const LOCKED: &str = "\u{E308}";
    pub const UNLOCKED: &str = "\u{E30A}";
    pub const MIRROR: &str = "\u{ED6A}";
    pub const MORE: &str = "\u{E1FE}";
    pub const SNAPSHOT: &str = "\u{E10E}";
    pub const HISTORY: &str = "\u{E1A0}";
    pub const KEYBOARD: &str = "\u{E2D8}";
    pub const SEARCH: &str = "\u{E30C}";
    pub const LEFT: &str = "\u{E138}";
    pub const RIGHT: &str = "\u{E13A}";
    pub const DOWN: &str = "\u{E136}";
    pub const PASTE: &str = "\u{E196}";
    pub const COPY: &str = "\u{E1CA}";
    pub const SQUARE: &str = "\u{E45E}";
    pub const HEAT: &str = "\u{E242}";
    pub const COLUMNS: &str = "\u{E546}";
    pub const TRASH: &str = "\u{E4A6}";
    pub const RESTORE: &str = "\u{E036}";
    pub const REGION: &str = "\u{E69A}";
    pub const COMPARE: &str = "\u{E18C}";
    pub const PROJECT: &str = "\u{EB2A}";
    pub const DEVICE: &str = "\u{E628}";
    pub const BEND: &str = "\u{E6DE}";
    pub const HELP: &str = "\u{E3E8}";
    // For the other areas' tabs.
    pub const PERSON: &str = "\u{E3A8}";
    pub const PEOPLE: &str = "\u{E4D6}";
    pub const WALK: &str = "\u{E73A}";
    pub const PATH: &str = "\u{E39C}";
    pub const CHART: &str = "\u{E154}";
    pub const PLAY: &str = "\u{E3D0}";
    pub const PAUSE: &str = "\u{E39E}";
    pub const STOP: &str = "\u{E46C}";
    pub const BACK: &str = "\u{E5A4}";
    pub const FORWARD: &str = "\u{E5A6}";
    pub const LAB: &str = "\u{E79E}";
    pub const SELECT: &str = "\u{E1DC}";
    pub const PENCIL: &str = "\u{E3B4}";
}

/// Fonts and both styles. Call once for each context.
pub fn install(ctx: &egui::Context) {
    ctx.set_fonts(fonts());
    ctx.set_style_of(Theme::Dark, style(&DARK, egui::Visuals::dark()));
    ctx.set_style_of(Theme::Light, style(&LIGHT, egui::Visuals::light()));
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let own: [(&str, &'static [u8]); 3] = [
        (
            "inter",
            include_bytes!("../../assets/fonts/Inter-Regular.otf"),
        ),
        (
            "inter-semibold",
            include_bytes!("../../assets/fonts/Inter-SemiBold.otf"),
        ),
        (
            "icons",
            include_bytes!("../../assets/fonts/phosphor-icons.ttf"),
        ),
    ];
    for (name, bytes) in own {
        let data = Arc::new(FontData::from_static(bytes));
        fonts.font_data.insert(name.to_owned(), data);
    }
    let fallback = fonts.families.entry(FontFamily::Proportional).or_default();
    let family = |first: &str, fallback: &[String]| {
        let own = [first.to_owned(), "icons".to_owned()];
        own.into_iter().chain(fallback.iter().cloned()).collect()
    };
    let semibold = family("inter-semibold", fallback);
    *fallback = family("inter", fallback);
    fonts.families.insert(strong(), semibold);
    fonts
}

fn style(colors: &Colors, mut visuals: egui::Visuals) -> egui::Style {
    let radius = CornerRadius::same(RADIUS);
    visuals.panel_fill = colors.panel;
    visuals.window_fill = colors.panel;
    visuals.window_stroke = Stroke::new(1.0, colors.line);
    visuals.window_corner_radius = CornerRadius::same(2 * RADIUS);
    visuals.menu_corner_radius = CornerRadius::same(RADIUS + 2);
    visuals.extreme_bg_color = colors.canvas;
    visuals.text_edit_bg_color = Some(colors.field);
    visuals.faint_bg_color = colors.raised;
    visuals.hyperlink_color = colors.accent;
    visuals.warn_fg_color = colors.warning;
    visuals.error_fg_color = colors.error;
    visuals.weak_text_color = Some(colors.weak);
    visuals.selection.bg_fill = colors.chosen;
    visuals.selection.stroke = Stroke::new(1.0, colors.text);
    visuals.slider_trailing_fill = true;
    visuals.handle_shape = egui::style::HandleShape::Rect { aspect_ratio: 0.42 };
    visuals.interact_cursor = Some(egui::CursorIcon::PointingHand);

    let widgets = &mut visuals.widgets;
    let states = [
        (&mut widgets.noninteractive, colors.panel, colors.text),
        (&mut widgets.inactive, colors.raised, colors.text),
        (&mut widgets.hovered, colors.hovered, colors.text),
        (&mut widgets.active, colors.pressed, colors.text),
        (&mut widgets.open, colors.hovered, colors.text),
    ];
    for (widget, fill, text) in states {
        widget.bg_fill = fill;
        widget.weak_bg_fill = fill;
        widget.bg_stroke = Stroke::NONE;
        widget.fg_stroke = Stroke::new(1.0, text);
        widget.corner_radius = radius;
        widget.expansion = 0.0;
    }
    widgets.noninteractive.bg_stroke = Stroke::new(1.0, colors.line);
    widgets.hovered.fg_stroke = Stroke::new(1.0, colors.accent);
    widgets.active.fg_stroke = Stroke::new(1.0, colors.accent);
    // What has the focus looks like what is pressed; the ring says where the keyboard is.
    widgets.active.bg_stroke = Stroke::new(1.0, colors.accent);

    let mut style = egui::Style {
        visuals,
        ..Default::default()
    };
    style.spacing.item_spacing = vec2(SPACE, SPACE_SMALL);
    style.spacing.button_padding = vec2(8.0, 4.0);
    style.spacing.interact_size = vec2(28.0, ROW_HEIGHT);
    style.spacing.slider_rail_height = 4.0;
    style.spacing.slider_width = 110.0;
    style.spacing.window_margin = Margin::same(14);
    style.spacing.menu_margin = Margin::same(6);
    style.spacing.tooltip_width = 320.0;
    style.interaction.selectable_labels = false;
    style.text_styles = [
        (
            TextStyle::Small,
            FontId::new(11.5, FontFamily::Proportional),
        ),
        (TextStyle::Body, FontId::new(13.0, FontFamily::Proportional)),
        (
            TextStyle::Button,
            FontId::new(13.0, FontFamily::Proportional),
        ),
        (TextStyle::Heading, FontId::new(15.0, strong())),
        (
            TextStyle::Monospace,
            FontId::new(12.0, FontFamily::Monospace),
        ),
    ]
    .into();
    style
}

/// The frame of a panel at the side.
pub fn side_frame(ui: &egui::Ui) -> egui::Frame {
    egui::Frame::new()
        .fill(colors(ui).panel)
        .inner_margin(Margin::symmetric(10, 8))
}

/// The frame of a question.
pub fn question_frame(ctx: &egui::Context) -> egui::Frame {
    egui::Frame::popup(&ctx.global_style()).inner_margin(Margin::same(20))
}

/// A title above a group of widgets.
pub fn title_ui(ui: &mut egui::Ui, text: &str) -> egui::Response {
    let font = FontId::new(12.0, strong());
    let color = colors(ui).weak;
    ui.label(egui::RichText::new(text).font(font).color(color))
}

/// A button that is only an icon: `name` is what a screen reader says, `tip` what the pointer shows.
pub fn icon_button_ui(ui: &mut egui::Ui, icon: &str, name: &str, tip: &str) -> egui::Response {
    let icon = egui::RichText::new(icon).size(16.0);
    let button = egui::Button::new(icon)
        .min_size(vec2(ROW_HEIGHT + 4.0, ROW_HEIGHT))
        .frame_when_inactive(false);
    ui.add(button).accessible_name(name).on_hover_text(tip)
}

/// The button that a panel or a question is there for.
pub fn primary_button(ui: &egui::Ui, text: &str) -> egui::Button<'static> {
    let colors = colors(ui);
    let text = egui::RichText::new(text).family(strong());
    egui::Button::new(text.color(colors.on_accent)).fill(colors.accent)
}

/// Plots on a panel: on the ground of fields, with a grid that stays behind its curves.
pub fn plot_style(ui: &mut egui::Ui) {
    let colors = colors(ui);
    let visuals = ui.visuals_mut();
    visuals.extreme_bg_color = colors.field;
    visuals.widgets.noninteractive.fg_stroke.color = colors.weak;
}

/// The name of a setting, before its widget.
pub fn field_label_ui(ui: &mut egui::Ui, text: &str) -> egui::Response {
    let color = colors(ui).weak;
    ui.label(egui::RichText::new(text).color(color))
}

/// What an area says while there is nothing in it: what it is for, and how to begin.
pub fn empty_ui(ui: &egui::Ui, rect: egui::Rect, icon: &str, heading: &str, text: &str) {
    let colors = colors(ui);
    let (center, painter) = (rect.center(), ui.painter());
    let wrapped = |text: &str, font: FontId, color: Color32| {
        let width = (rect.width() - 4.0 * SPACE_LARGE).clamp(80.0, 460.0);
        let mut job = egui::text::LayoutJob::simple(text.to_owned(), font, color, width);
        job.halign = egui::Align::Center;
        painter.layout_job(job)
    };
    let parts = [
        wrapped(icon, FontId::proportional(44.0), colors.weak),
        wrapped(heading, FontId::new(15.0, strong()), colors.text),
        wrapped(text, FontId::proportional(13.0), colors.weak),
    ];
    let height: f32 = parts.iter().map(|part| part.size().y + SPACE).sum();
    let mut top = center.y - height / 2.0;
    for part in parts {
        let next = top + part.size().y + SPACE;
        painter.galley(egui::pos2(center.x, top), part, colors.text);
        top = next;
    }
}
