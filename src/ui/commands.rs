//! Finding and changing actions: the command palette and the page of all keys.

use eframe::egui::{self, Align, Event, Key, KeyboardShortcut, Layout, RichText, vec2};

use super::keys::{self, Action, Bindings, Command, TABLE};
use super::tab::TabName;
use super::theme::{self, icon};
use crate::face::labels;

/// The searchable list of everything that can be done.
#[derive(Default)]
pub struct Palette {
    is_open: bool,
    text: String,
    chosen: usize,
}

/// One line of the palette.
struct Line {
    action: Action,
    group: &'static str,
    words: String,
    /// The tab it belongs to; none for every tab.
    tab: Option<TabName>,
}

/// What can be found: the table, and each class to paint with. What the shown tab does comes first.
fn lines(shown: TabName) -> Vec<Line> {
    let of = |command: &Command| Line {
        action: command.action,
        group: command.group,
        words: command.words.to_owned(),
        tab: command.tab,
    };
    let classes = (0..labels::CLASS_COUNT as u8).filter_map(|position| {
        let class = super::face::class_at_position(position)?;
        let title = labels::by_id(class)?.title.to_lowercase();
        Some(Line {
            action: Action::Class(position),
            group: "Part",
            words: format!("Paint {title}"),
            tab: Some(TabName::Face),
        })
    });
    let mut lines: Vec<Line> = TABLE.iter().map(of).chain(classes).collect();
    lines.sort_by_key(|line| line.tab.is_some_and(|tab| tab != shown));
    lines
}

/// Whether every word of `text` begins a word of `words`, or is somewhere in it.
fn matches(words: &str, text: &str) -> bool {
    let words = words.to_lowercase();
    text.to_lowercase()
        .split_whitespace()
        .all(|part| words.contains(part))
}

impl Palette {
    pub fn open(&mut self) {
        self.is_open = true;
        self.text.clear();
        self.chosen = 0;
    }

    /// Shows it. Returns the action that was chosen, and the tab that does it; none for every tab.
    pub fn palette_ui(
        &mut self,
        ctx: &egui::Context,
        shown: TabName,
    ) -> Option<(Action, Option<TabName>)> {
        if !self.is_open {
            return None;
        }
        let found: Vec<Line> = lines(shown)
            .into_iter()
            .filter(|line| matches(&format!("{} {}", line.group, line.words), &self.text))
            .collect();
        let (up, down, enter) = ctx.input_mut(|i| {
            let mut pressed = |key| i.consume_key(egui::Modifiers::NONE, key);
            (
                pressed(Key::ArrowUp),
                pressed(Key::ArrowDown),
                pressed(Key::Enter),
            )
        });
        let last = found.len().saturating_sub(1);
        self.chosen = (self.chosen + usize::from(down))
            .saturating_sub(usize::from(up))
            .min(last);
        let mut done = enter
            .then(|| found.get(self.chosen).map(|line| (line.action, line.tab)))
            .flatten();
        let modal = egui::Modal::new(egui::Id::unique("palette"))
            .frame(theme::question_frame(ctx).inner_margin(12))
            .show(ctx, |ui| {
                ui.set_width(460.0);
                let field = egui::TextEdit::singleline(&mut self.text)
                    .hint_text(format!("{}  What do you want to do?", icon::SEARCH))
                    .margin(vec2(8.0, 6.0))
                    .desired_width(f32::INFINITY);
                let response = ui.add(field).accessible_name("Find an action");
                response.request_focus();
                if response.changed() {
                    self.chosen = 0;
                }
                ui.add_space(theme::SPACE_SMALL);
                let area = egui::ScrollArea::vertical().max_height(330.0);
                area.auto_shrink([false, true]).show(ui, |ui| {
                    for (index, line) in found.iter().enumerate() {
                        let is_chosen = index == self.chosen;
                        let keys = match line.action {
                            Action::Class(position) => keys::class_keys(usize::from(position)),
                            action => keys::keys_text(ui.ctx(), action),
                        };
                        let mut words = egui::text::LayoutJob::default();
                        let font = egui::TextStyle::Button.resolve(ui.style());
                        for (text, color) in [
                            (line.words.as_str(), theme::colors(ui).text),
                            ("   ", theme::colors(ui).weak),
                            (line.group, theme::colors(ui).weak),
                        ] {
                            let format = egui::TextFormat::simple(font.clone(), color);
                            words.append(text, 0.0, format);
                        }
                        let item = egui::Button::selectable(is_chosen, words)
                            .shortcut_text(keys)
                            .min_size(vec2(ui.available_width(), theme::ROW_HEIGHT));
                        let response = ui.add(item).accessible_name(&line.words);
                        if is_chosen && (up || down) {
                            response.scroll_to_me(None);
                        }
                        if response.clicked() {
                            done = Some((line.action, line.tab));
                        }
                    }
                    if found.is_empty() {
                        ui.weak("Nothing is called that. Try another word: mask, brush, save");
                    }
                });
            });
        if done.is_some() || modal.should_close() {
            self.is_open = false;
        }
        done
    }
}

/// The page of all keys, where they can be changed.
#[derive(Default)]
pub struct KeysPage {
    pub is_open: bool,
    /// The action that waits for its new keys.
    waiting: Option<Action>,
}

impl KeysPage {
    /// Whether the next keys are to become those of an action.
    pub fn is_waiting(&self) -> bool {
        self.is_open && self.waiting.is_some()
    }

    /// Shows it. Returns whether keys were changed.
    pub fn page_ui(&mut self, ctx: &egui::Context, bindings: &mut Bindings) -> bool {
        let mut changed = false;
        if let Some(action) = self.waiting.filter(|_| self.is_open) {
            match pressed_keys(ctx) {
                Some(keys) if keys.logical_key == Key::Escape => self.waiting = None,
                Some(keys) => {
                    bindings.set(action, keys);
                    self.waiting = None;
                    changed = true;
                }
                None => {}
            }
        }
        let mut is_open = self.is_open;
        let room = ctx.content_rect().size() - vec2(120.0, 140.0);
        egui::Window::new("Keys")
            .open(&mut is_open)
            .collapsible(false)
            .default_size(vec2(440.0, room.y.min(620.0)))
            .default_pos(ctx.content_rect().center() - vec2(220.0, room.y.min(620.0) / 2.0))
            .show(ctx, |ui| {
                ui.horizontal(|ui| {
                    ui.weak("Click on keys to change them");
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                        let reset = egui::Button::new("Back to the usual keys");
                        if ui.add_enabled(bindings.is_changed(), reset).clicked() {
                            bindings.reset();
                            changed = true;
                        }
                    });
                });
                egui::ScrollArea::vertical()
                    .auto_shrink(false)
                    .show(ui, |ui| {
                        self.table_ui(ui, bindings);
                    });
            });
        self.is_open = is_open;
        if changed {
            keys::install(ctx, bindings);
        }
        changed
    }

    fn table_ui(&mut self, ui: &mut egui::Ui, bindings: &Bindings) {
        let mut group = "";
        for command in TABLE {
            if command.group != group {
                group = command.group;
                ui.add_space(theme::SPACE);
                theme::title_ui(ui, group);
            }
            ui.horizontal(|ui| {
                ui.label(command.words);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let is_waiting = self.waiting == Some(command.action);
                    let keys: Vec<String> = bindings
                        .of(command.action)
                        .iter()
                        .map(|keys| keys::written(ui.ctx(), keys))
                        .collect();
                    let text = match (is_waiting, keys.is_empty()) {
                        (true, _) => "Press the new keys…".to_owned(),
                        (false, true) => "none".to_owned(),
                        (false, false) => keys.join(" or "),
                    };
                    let button = egui::Button::selectable(is_waiting, RichText::new(text));
                    let name = format!("Keys of {}", command.words.to_lowercase());
                    if ui.add(button).accessible_name(name).clicked() {
                        self.waiting = (!is_waiting).then_some(command.action);
                    }
                });
            });
        }
        ui.add_space(theme::SPACE);
        theme::title_ui(ui, "Always");
        for (words, keys) in [
            (
                "Paint with the part at that place of the list",
                "1 … 0, ⇧1 … ⇧9",
            ),
            ("See the photo as it was, while held", "C"),
            ("Move the photo, while held", "Space"),
            ("Pick the part under the pointer", "Alt and click"),
            ("Size of the brush", "Ctrl and wheel"),
        ] {
            ui.horizontal(|ui| {
                ui.label(words);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| ui.weak(keys));
            });
        }
    }
}

/// Takes the next keys that are pressed, so that they do nothing else.
fn pressed_keys(ctx: &egui::Context) -> Option<KeyboardShortcut> {
    ctx.input_mut(|input| {
        let at = input.events.iter().position(
            |event| matches!(event, Event::Key { pressed: true, key, .. } if !is_modifier(*key)),
        )?;
        let Event::Key { key, modifiers, .. } = input.events.remove(at) else {
            return None;
        };
        let modifiers = egui::Modifiers {
            ctrl: false,
            mac_cmd: false,
            ..modifiers
        };
        Some(KeyboardShortcut::new(modifiers, key))
    })
}

fn is_modifier(key: Key) -> bool {
    let name = key.name();
    ["Shift", "Ctrl", "Control", "Alt", "Super"]
        .iter()
        .any(|modifier| name.starts_with(modifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_palette_finds_by_any_words() {
        let found = |text: &str| -> Vec<Action> {
            lines(TabName::Face)
                .into_iter()
                .filter(|line| matches(&line.words, text))
                .map(|line| line.action)
                .collect()
        };
        assert_eq!(found("save mask"), [Action::SaveMask]);
        assert_eq!(found("MASK save"), [Action::SaveMask]);
        assert!(found("hair").contains(&Action::Class(9)));
        assert_eq!(found("no such thing"), []);
        assert_eq!(found("").len(), TABLE.len() + labels::CLASS_COUNT);
        assert_eq!(found("heat"), [Action::ToggleHeat], "also of other tabs");
    }

    #[test]
    fn what_the_shown_tab_does_comes_first() {
        let of_other_tabs = |line: &Line| line.tab.is_some_and(|tab| tab != TabName::Lab);
        let lines = lines(TabName::Lab);
        let first = lines.iter().position(of_other_tabs).unwrap();
        assert!(lines[first..].iter().all(of_other_tabs));
        assert!(
            lines[..first]
                .iter()
                .any(|line| line.action == Action::StartRun)
        );
    }
}
