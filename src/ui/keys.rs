//! Every keyboard shortcut in one table: what it does, its words, its keys.
//!
//! Left out: keys of the user's own choice.

use eframe::egui::{self, Event, Key, KeyboardShortcut, Modifiers};

/// What a key can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Open,
    SaveResult,
    SaveMask,
    Undo,
    Redo,
    Brush,
    Eraser,
    Fill,
    Pick,
    SmallerBrush,
    LargerBrush,
    ToggleMask,
    ToggleLive,
    Render,
    Fit,
    ActualSize,
    Cancel,
    /// Makes the class with this position in the list the one that is painted.
    Class(u8),
    NextTab,
    PreviousTab,
    /// Shows the tab with this position.
    Tab(u8),
}

const fn plain(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::NONE, key)
}

const fn command(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND, key)
}

const SHIFT_COMMAND: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

/// The table: action, words, keys. An action may stand in it more than once; the first keys are shown.
/// Those with more modifiers come before those with fewer.
const TABLE: [(Action, &str, KeyboardShortcut); 21] = [
    (
        Action::PreviousTab,
        "Previous tab",
        KeyboardShortcut::new(SHIFT_COMMAND, Key::Tab),
    ),
    (Action::NextTab, "Next tab", command(Key::Tab)),
    (
        Action::Redo,
        "Redo",
        KeyboardShortcut::new(SHIFT_COMMAND, Key::Z),
    ),
    (
        Action::SaveMask,
        "Save the mask",
        KeyboardShortcut::new(SHIFT_COMMAND, Key::S),
    ),
    (Action::Redo, "Redo", command(Key::Y)),
    (Action::Undo, "Undo", command(Key::Z)),
    (Action::SaveResult, "Save the result", command(Key::S)),
    (Action::Open, "Open a photo", command(Key::O)),
    (Action::ActualSize, "Actual size", command(Key::Num1)),
    (Action::Fit, "Fit to the window", command(Key::Num0)),
    (Action::Brush, "Brush", plain(Key::B)),
    (Action::Eraser, "Eraser", plain(Key::E)),
    (Action::Fill, "Fill", plain(Key::G)),
    (Action::Pick, "Pick a part", plain(Key::I)),
    (
        Action::SmallerBrush,
        "Smaller brush",
        plain(Key::OpenBracket),
    ),
    (
        Action::LargerBrush,
        "Larger brush",
        plain(Key::CloseBracket),
    ),
    (Action::ToggleMask, "Show or hide the mask", plain(Key::M)),
    (Action::ToggleLive, "Live result", plain(Key::L)),
    (Action::Render, "Render now", plain(Key::R)),
    (Action::Fit, "Fit to the window", plain(Key::F)),
    (Action::Cancel, "Cancel", plain(Key::Escape)),
];

/// Held to see the photo as it was.
pub const COMPARE: Key = Key::C;

const DIGITS: [Key; 10] = [
    Key::Num1,
    Key::Num2,
    Key::Num3,
    Key::Num4,
    Key::Num5,
    Key::Num6,
    Key::Num7,
    Key::Num8,
    Key::Num9,
    Key::Num0,
];

/// What the keys pressed since the last frame ask for. Nothing while text is being typed.
pub fn pressed(ctx: &egui::Context) -> Vec<Action> {
    if ctx.text_edit_focused() {
        return Vec::new();
    }
    ctx.input_mut(|input| {
        let mut actions = Vec::new();
        for (action, _, shortcut) in TABLE {
            while input.consume_shortcut(&shortcut) {
                actions.push(action);
            }
        }
        // By place on the keyboard: with Shift a digit key gives another character.
        actions.extend(input.events.iter().filter_map(digit));
        actions
    })
}

fn digit(event: &Event) -> Option<Action> {
    let Event::Key {
        key,
        physical_key,
        pressed: true,
        modifiers,
        ..
    } = event
    else {
        return None;
    };
    let key = physical_key.unwrap_or(*key);
    let position = DIGITS.iter().position(|digit| *digit == key)?;
    if modifiers.alt && !modifiers.command && !modifiers.shift {
        return u8::try_from(position).ok().map(Action::Tab);
    }
    let shifted = if modifiers.shift { DIGITS.len() } else { 0 };
    let position = u8::try_from(position + shifted).ok()?;
    (!modifiers.command && !modifiers.alt).then_some(Action::Class(position))
}

/// The keys that show the tab at a position.
pub fn tab_keys(ctx: &egui::Context, position: usize) -> String {
    let key = DIGITS.get(position).copied().unwrap_or(Key::Num0);
    ctx.format_shortcut(&KeyboardShortcut::new(Modifiers::ALT, key))
}

/// The keys for the class at a position in the list.
pub fn class_keys(position: usize) -> String {
    let digit = (position + 1) % 10;
    match position / 10 {
        0 => digit.to_string(),
        1 => format!("⇧{digit}"),
        _ => String::new(),
    }
}

/// An action's words with its keys, for tooltips.
pub fn tip(ctx: &egui::Context, action: Action) -> String {
    let found = TABLE.iter().find(|(of, ..)| *of == action);
    found.map_or_else(String::new, |(_, words, keys)| {
        format!("{words} ({})", ctx.format_shortcut(keys))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(key: Key, modifiers: Modifiers) -> Vec<Action> {
        let ctx = egui::Context::default();
        let mut input = egui::RawInput::default();
        input.events.push(Event::ModifiersChanged(modifiers));
        input.events.push(Event::Key {
            key,
            physical_key: Some(key),
            pressed: true,
            repeat: false,
            modifiers,
        });
        let mut actions = Vec::new();
        let mut output = ctx.run_ui(input, |ui| actions.extend(pressed(ui.ctx())));
        output.textures_delta.clear();
        actions
    }

    #[test]
    fn keys_with_more_modifiers_win() {
        assert_eq!(press(Key::Z, Modifiers::COMMAND), [Action::Undo]);
        assert_eq!(press(Key::Z, SHIFT_COMMAND), [Action::Redo]);
        assert_eq!(press(Key::Y, Modifiers::COMMAND), [Action::Redo]);
        assert_eq!(press(Key::Z, Modifiers::NONE), []);
    }

    #[test]
    fn digits_choose_classes() {
        assert_eq!(press(Key::Num1, Modifiers::NONE), [Action::Class(0)]);
        assert_eq!(press(Key::Num0, Modifiers::NONE), [Action::Class(9)]);
        assert_eq!(press(Key::Num3, Modifiers::SHIFT), [Action::Class(12)]);
        assert_eq!(press(Key::Num1, Modifiers::COMMAND), [Action::ActualSize]);
        assert_eq!(press(Key::Num2, Modifiers::ALT), [Action::Tab(1)]);
        assert_eq!(press(Key::Tab, Modifiers::COMMAND), [Action::NextTab]);
        assert_eq!(press(Key::Tab, SHIFT_COMMAND), [Action::PreviousTab]);
        assert_eq!(class_keys(9), "0");
        assert_eq!(class_keys(10), "⇧1");
    }

    #[test]
    fn no_two_actions_share_their_keys() {
        for (i, (a, _, keys)) in TABLE.iter().enumerate() {
            let same = TABLE[..i].iter().find(|(_, _, other)| other == keys);
            assert!(same.is_none(), "{a:?}");
            assert_ne!(keys.logical_key, COMPARE);
        }
    }
}
