//! Every action in one table: what it does, in which group, its words, its keys. The keys can be changed.
//!
//! Tooltips, the command palette, the page of all keys and the keyboard itself read this table, so they always agree.
//! The user's own keys are kept in the settings and handed to the window once ([`install`]). Tabs may give the same keys
//! to different actions, since only the shown tab takes keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use eframe::egui::{self, Event, Key, KeyboardShortcut, Modifiers};
use serde::{Deserialize, Serialize};

use super::tab::TabName;

/// What a key, a button or the palette can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Action {
    Open,
    SaveProject,
    SaveResult,
    SaveMask,
    OpenFolder,
    NextPhoto,
    PreviousPhoto,
    PastePhoto,
    OpenMask,
    Export,
    CopyResult,
    SaveRecipe,
    ApplyRecipe,
    Undo,
    Redo,
    Snapshot,
    ShowHistory,
    Brush,
    Eraser,
    Fill,
    Pick,
    Polygon,
    Lasso,
    Rectangle,
    Ellipse,
    Move,
    Finish,
    RemovePoint,
    SmallerBrush,
    LargerBrush,
    ToggleMirror,
    ToggleLock,
    Grow,
    Shrink,
    Smooth,
    FillHoles,
    RemoveIslands,
    CopyPart,
    ToggleMask,
    ToggleOutline,
    Solo,
    NextView,
    ToggleRegion,
    ToggleLive,
    Render,
    Fit,
    ActualSize,
    Cancel,
    NextInList,
    PreviousInList,
    NextPerson,
    PreviousPerson,
    NextLook,
    ToggleLoupe,
    FirstPhoto,
    LastPhoto,
    FindAgain,
    FindAll,
    OpenAnnotations,
    SavePeople,
    Delete,
    Palette,
    ShowKeys,
    ShowSettings,
    ShowMessages,
    ShowWeights,
    ShowHints,
    FrameFace,
    BrushTip,
    FillEverywhere,
    FillToEdges,
    Bend,
    Select,
    DrawWalker,
    Play,
    StepBack,
    StepForward,
    ToStart,
    ToEnd,
    RemoveWalker,
    ToggleHeat,
    StartRun,
    PauseRun,
    HardenRun,
    SaveRun,
    RemoveRun,
    NextPage,
    /// Makes the class with this position in the list the one that is painted.
    Class(u8),
    NextTab,
    PreviousTab,
    /// Shows the tab with this position.
    Tab(u8),
}

/// A line of the table.
pub struct Command {
    pub action: Action,
    pub group: &'static str,
    pub words: &'static str,
    /// The first is the one that is shown and can be changed.
    pub keys: &'static [KeyboardShortcut],
    /// The tab it belongs to; none for what every tab understands.
    pub tab: Option<TabName>,
}

impl Command {
    /// Whether its keys are listened to while `tab` is shown.
    pub fn is_of(&self, tab: TabName) -> bool {
        self.tab.is_none_or(|own| own == tab)
    }

    /// Whether there is a tab in which both are listened to.
    fn meets(&self, other: &Self) -> bool {
        self.tab.is_none_or(|own| other.is_of(own))
    }
}

const fn plain(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::NONE, key)
}

const fn shift(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::SHIFT, key)
}

const fn command(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND, key)
}

const fn shift_command(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(SHIFT_COMMAND, key)
}

const SHIFT_COMMAND: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

const fn line(
    action: Action,
    group: &'static str,
    words: &'static str,
    keys: &'static [KeyboardShortcut],
) -> Command {
    Command {
        action,
        group,
        words,
        keys,
        tab: None,
    }
}

/// A line of one tab only.
const fn of_tab(
    tab: TabName,
    action: Action,
    group: &'static str,
    words: &'static str,
    keys: &'static [KeyboardShortcut],
) -> Command {
    Command {
        action,
        group,
        words,
        keys,
        tab: Some(tab),
    }
}

const FACE: TabName = TabName::Face;
const POSE: TabName = TabName::Pose;
const MOTION: TabName = TabName::Motion;
const LAB: TabName = TabName::Lab;

/// The table.
#[rustfmt::skip]
pub const TABLE: &[Command] = &[
    line(Action::Open, "File", "Open a photo or a project", &[command(Key::O)]),
    line(Action::SaveProject, "File", "Save the project", &[command(Key::S)]),
    line(Action::SaveResult, "File", "Save the result", &[command(Key::E)]),
    of_tab(FACE, Action::SaveMask, "File", "Save the mask", &[shift_command(Key::S)]),
    of_tab(FACE, Action::OpenFolder, "File", "Open a folder of photos", &[shift_command(Key::O)]),
    of_tab(FACE, Action::NextPhoto, "File", "Next photo of the folder", &[plain(Key::PageDown)]),
    of_tab(FACE, Action::PreviousPhoto, "File", "Previous photo of the folder", &[plain(Key::PageUp)]),
    of_tab(FACE, Action::PastePhoto, "File", "Paste a photo", &[command(Key::V)]),
    of_tab(FACE, Action::OpenMask, "File", "Open a mask for this photo", &[shift_command(Key::M)]),
    of_tab(FACE, Action::Export, "File", "Export with choices", &[shift_command(Key::E)]),
    of_tab(FACE, Action::CopyResult, "File", "Copy the result", &[shift_command(Key::C)]),
    of_tab(FACE, Action::SaveRecipe, "File", "Save the edit as a recipe", &[shift_command(Key::R)]),
    of_tab(FACE, Action::ApplyRecipe, "File", "Apply a saved edit", &[shift_command(Key::A)]),
    line(Action::Palette, "Window", "Find an action", &[command(Key::K), shift_command(Key::P)]),
    line(Action::ShowKeys, "Window", "Show all keys", &[plain(Key::F1)]),
    line(Action::NextTab, "Window", "Next tab", &[command(Key::Tab)]),
    line(Action::PreviousTab, "Window", "Previous tab", &[shift_command(Key::Tab)]),
    line(Action::ShowSettings, "Window", "Settings", &[command(Key::Comma)]),
    line(Action::ShowMessages, "Window", "Messages so far", &[plain(Key::F2)]),
    line(Action::ShowWeights, "Window", "Weights: what is found, what is missing", &[plain(Key::F3)]),
    line(Action::ShowHints, "Window", "Show the hints again", &[shift(Key::F1)]),
    line(Action::Undo, "Edit", "Undo", &[command(Key::Z)]),
    line(Action::Redo, "Edit", "Redo", &[shift_command(Key::Z), command(Key::Y)]),
    line(Action::Cancel, "Edit", "Cancel", &[plain(Key::Escape)]),
    of_tab(FACE, Action::Snapshot, "Edit", "Take a snapshot", &[shift_command(Key::N)]),
    of_tab(FACE, Action::ShowHistory, "Edit", "Show the history", &[plain(Key::H)]),
    of_tab(FACE, Action::Brush, "Tools", "Brush", &[plain(Key::B)]),
    of_tab(FACE, Action::Eraser, "Tools", "Eraser", &[plain(Key::E)]),
    of_tab(FACE, Action::Fill, "Tools", "Fill", &[plain(Key::G)]),
    of_tab(FACE, Action::Pick, "Tools", "Pick a part", &[plain(Key::I)]),
    of_tab(FACE, Action::Polygon, "Tools", "Polygon", &[plain(Key::P)]),
    of_tab(FACE, Action::Lasso, "Tools", "Lasso", &[plain(Key::L)]),
    of_tab(FACE, Action::Rectangle, "Tools", "Rectangle", &[plain(Key::U)]),
    of_tab(FACE, Action::Ellipse, "Tools", "Ellipse", &[plain(Key::O)]),
    of_tab(FACE, Action::Move, "Tools", "Move and bend a part", &[plain(Key::V)]),
    of_tab(FACE, Action::Finish, "Tools", "Finish the shape or the move", &[plain(Key::Enter)]),
    of_tab(FACE, Action::RemovePoint, "Tools", "Remove the last point", &[plain(Key::Backspace)]),
    of_tab(FACE, Action::SmallerBrush, "Tools", "Smaller brush", &[plain(Key::OpenBracket)]),
    of_tab(FACE, Action::LargerBrush, "Tools", "Larger brush", &[plain(Key::CloseBracket)]),
    of_tab(FACE, Action::BrushTip, "Tools", "Round or square brush", &[plain(Key::Q)]),
    of_tab(FACE, Action::FillEverywhere, "Tools", "Fill the part everywhere", &[plain(Key::D)]),
    of_tab(FACE, Action::FillToEdges, "Tools", "Fill up to edges of the photo", &[shift(Key::D)]),
    of_tab(FACE, Action::Bend, "Tools", "Bend instead of move", &[plain(Key::W)]),
    of_tab(FACE, Action::FrameFace, "Tools", "Frame a face that was not found", &[plain(Key::A)]),
    of_tab(FACE, Action::ToggleMirror, "Tools", "Mirrored painting", &[plain(Key::X)]),
    of_tab(FACE, Action::ToggleLock, "Part", "Lock or unlock the part", &[plain(Key::K)]),
    of_tab(FACE, Action::Grow, "Part", "Grow the part", &[plain(Key::Equals), plain(Key::Plus)]),
    of_tab(FACE, Action::Shrink, "Part", "Shrink the part", &[plain(Key::Minus)]),
    of_tab(FACE, Action::Smooth, "Part", "Smooth the part", &[shift(Key::G)]),
    of_tab(FACE, Action::FillHoles, "Part", "Fill holes of the part", &[shift(Key::H)]),
    of_tab(FACE, Action::RemoveIslands, "Part", "Remove specks of the part", &[shift(Key::I)]),
    of_tab(FACE, Action::CopyPart, "Part", "Copy the part from another mask", &[shift_command(Key::V)]),
    of_tab(FACE, Action::ToggleMask, "View", "Show or hide the mask", &[plain(Key::M)]),
    of_tab(FACE, Action::ToggleOutline, "View", "Outlines without tint", &[shift(Key::M)]),
    of_tab(FACE, Action::Solo, "View", "Show this part alone", &[plain(Key::S)]),
    line(Action::Fit, "View", "Fit to the window", &[plain(Key::F), command(Key::Num0)]),
    line(Action::ActualSize, "View", "Actual size", &[command(Key::Num1)]),
    of_tab(FACE, Action::NextView, "Result", "Next view of the result", &[plain(Key::T)]),
    of_tab(FACE, Action::ToggleRegion, "Result", "Show the edited region", &[shift(Key::T)]),
    of_tab(FACE, Action::ToggleLive, "Result", "Live result", &[shift(Key::R)]),
    of_tab(FACE, Action::Render, "Result", "Render now", &[plain(Key::R)]),
    of_tab(POSE, Action::NextInList, "Pose", "Next photo", &[plain(Key::ArrowRight), plain(Key::PageDown)]),
    of_tab(POSE, Action::PreviousInList, "Pose", "Previous photo", &[plain(Key::ArrowLeft), plain(Key::PageUp)]),
    of_tab(POSE, Action::FirstPhoto, "Pose", "First photo", &[plain(Key::Home)]),
    of_tab(POSE, Action::LastPhoto, "Pose", "Last photo", &[plain(Key::End)]),
    of_tab(POSE, Action::NextPerson, "Pose", "Next person, joint or pass", &[plain(Key::ArrowDown), plain(Key::N)]),
    of_tab(POSE, Action::PreviousPerson, "Pose", "Previous person, joint or pass", &[plain(Key::ArrowUp), shift(Key::N)]),
    of_tab(POSE, Action::NextLook, "Pose", "What is drawn: poses, maps or grouping", &[plain(Key::W)]),
    of_tab(POSE, Action::ToggleLoupe, "Pose", "Face and hands close up", &[plain(Key::L)]),
    of_tab(POSE, Action::FindAgain, "Pose", "Find people again", &[plain(Key::R)]),
    of_tab(POSE, Action::FindAll, "Pose", "Find people in all photos", &[shift(Key::R)]),
    of_tab(POSE, Action::OpenAnnotations, "Pose", "Open annotations to compare with", &[shift_command(Key::O)]),
    of_tab(POSE, Action::SavePeople, "Pose", "Export people as annotations", &[shift_command(Key::E)]),
    of_tab(POSE, Action::Delete, "Pose", "Remove the keypoint or the person", &[plain(Key::Delete), plain(Key::Backspace)]),
    of_tab(MOTION, Action::Play, "Motion", "Play or pause", &[plain(Key::Space)]),
    of_tab(MOTION, Action::StepBack, "Motion", "One step back", &[plain(Key::ArrowLeft)]),
    of_tab(MOTION, Action::StepForward, "Motion", "One step forward", &[plain(Key::ArrowRight)]),
    of_tab(MOTION, Action::ToStart, "Motion", "To the start", &[plain(Key::Home)]),
    of_tab(MOTION, Action::ToEnd, "Motion", "To the end", &[plain(Key::End)]),
    of_tab(MOTION, Action::Select, "Motion", "Select walkers", &[plain(Key::V)]),
    of_tab(MOTION, Action::DrawWalker, "Motion", "Draw a walker", &[plain(Key::D)]),
    of_tab(MOTION, Action::RemoveWalker, "Motion", "Remove the walker, or what was changed", &[plain(Key::Delete), plain(Key::Backspace)]),
    of_tab(MOTION, Action::ToggleHeat, "Motion", "Heat map", &[plain(Key::H)]),
    of_tab(LAB, Action::StartRun, "Lab", "Start a run", &[plain(Key::N)]),
    of_tab(LAB, Action::PauseRun, "Lab", "Pause the run, or go on", &[plain(Key::P)]),
    of_tab(LAB, Action::HardenRun, "Lab", "Harden the run", &[plain(Key::H)]),
    of_tab(LAB, Action::SaveRun, "Lab", "Save the run", &[plain(Key::S)]),
    of_tab(LAB, Action::RemoveRun, "Lab", "Remove the run", &[plain(Key::Delete)]),
    of_tab(LAB, Action::NextPage, "Lab", "Runs, saved runs or theory", &[plain(Key::T)]),
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

/// The keys that the user chose, by action; none where an action is to have no key. Actions that are not in it keep
/// those of the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bindings(BTreeMap<Action, Option<KeyboardShortcut>>);

impl Bindings {
    /// The keys of an action; the first is shown.
    pub fn of(&self, action: Action) -> Vec<KeyboardShortcut> {
        match self.0.get(&action) {
            Some(own) => own.iter().copied().collect(),
            None => command_of(action).map_or_else(Vec::new, |c| c.keys.to_vec()),
        }
    }

    /// Gives an action these keys and takes them from the actions that had them where it is listened to.
    pub fn set(&mut self, action: Action, keys: KeyboardShortcut) {
        let own = command_of(action);
        let meets = |other: &&Command| own.is_none_or(|own| own.meets(other));
        for command in TABLE.iter().filter(|c| c.action != action).filter(meets) {
            if self.of(command.action).contains(&keys) {
                self.0.insert(command.action, None);
            }
        }
        self.0.insert(action, Some(keys));
    }

    /// Back to the table.
    pub fn reset(&mut self) {
        self.0.clear();
    }

    /// Whether any key is the user's own.
    pub fn is_changed(&self) -> bool {
        !self.0.is_empty()
    }

    /// The keys of a tab with their actions, those with more modifiers first: egui lets fewer match more.
    fn sorted(&self, tab: TabName) -> Vec<(KeyboardShortcut, Action)> {
        let of = |c: &Command| {
            let action = c.action;
            self.of(action).into_iter().map(move |keys| (keys, action))
        };
        let mut all: Vec<_> = TABLE.iter().filter(|c| c.is_of(tab)).flat_map(of).collect();
        let count = |m: Modifiers| [m.alt, m.shift, m.command, m.ctrl].map(usize::from);
        all.sort_by_key(|(keys, _)| std::cmp::Reverse(count(keys.modifiers).iter().sum::<usize>()));
        all
    }
}

/// The line of an action.
pub fn command_of(action: Action) -> Option<&'static Command> {
    TABLE.iter().find(|command| command.action == action)
}

fn bindings_id() -> egui::Id {
    egui::Id::unique("keys")
}

/// Makes the user's keys known to tooltips and to [`pressed`].
pub fn install(ctx: &egui::Context, bindings: &Bindings) {
    let bindings = Arc::new(bindings.clone());
    ctx.data_mut(|data| data.insert_temp(bindings_id(), bindings));
}

fn installed(ctx: &egui::Context) -> Arc<Bindings> {
    ctx.data(|data| data.get_temp(bindings_id()))
        .unwrap_or_default()
}

/// Keys that a button, a slider or a list takes itself while it has the focus.
const OF_THE_FOCUS: [Key; 8] = [
    Key::Enter,
    Key::Space,
    Key::ArrowLeft,
    Key::ArrowRight,
    Key::ArrowUp,
    Key::ArrowDown,
    Key::Home,
    Key::End,
];

/// What the keys pressed since the last frame ask for while `tab` is shown. Nothing while text is being typed.
pub fn pressed(ctx: &egui::Context, tab: TabName) -> Vec<Action> {
    if ctx.text_edit_focused() {
        return Vec::new();
    }
    let keys = installed(ctx).sorted(tab);
    let has_focus = ctx.memory(|memory| memory.focused().is_some());
    ctx.input_mut(|input| {
        let mut actions = Vec::new();
        // The window's frame turns the usual keys for pasting into what is pasted.
        let before = input.events.len();
        let is_pasted = |e: &Event| matches!(e, Event::Paste(_) | Event::PasteImage(_));
        input.events.retain(|event| !is_pasted(event));
        let pasting = keys.iter().find(|(keys, _)| *keys == command(Key::V));
        actions.extend(
            pasting
                .filter(|_| input.events.len() < before)
                .map(|pair| pair.1),
        );
        for (shortcut, action) in keys {
            if has_focus && OF_THE_FOCUS.contains(&shortcut.logical_key) {
                continue;
            }
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

/// Keys as they are written on a keyboard.
pub fn written(ctx: &egui::Context, keys: &KeyboardShortcut) -> String {
    let symbol = match keys.logical_key {
        Key::ArrowLeft => "←",
        Key::ArrowRight => "→",
        Key::ArrowUp => "↑",
        Key::ArrowDown => "↓",
        Key::Escape => "Esc",
        key => key.symbol_or_name(),
    };
    let whole = ctx.format_shortcut(keys);
    let is_short = whole.ends_with(keys.logical_key.symbol_or_name());
    let plain = match is_short {
        true => keys.logical_key.symbol_or_name(),
        false => keys.logical_key.name(),
    };
    format!("{}{symbol}", whole.strip_suffix(plain).unwrap_or_default())
}

/// The keys of an action, as they are written on a keyboard; empty when it has none.
pub fn keys_text(ctx: &egui::Context, action: Action) -> String {
    let keys = installed(ctx).of(action);
    keys.first()
        .map_or_else(String::new, |keys| written(ctx, keys))
}

/// Other words for an action, with its keys.
pub fn tip_as(ctx: &egui::Context, action: Action, words: &str) -> String {
    match keys_text(ctx, action) {
        keys if keys.is_empty() => words.to_owned(),
        keys => format!("{words} ({keys})"),
    }
}

/// An action's words with its keys, for tooltips.
pub fn tip(ctx: &egui::Context, action: Action) -> String {
    let words = command_of(action).map_or("", |command| command.words);
    let keys = keys_text(ctx, action);
    if keys.is_empty() {
        words.to_owned()
    } else {
        format!("{words} ({keys})")
    }
}

#[cfg(test)]
mod tests;
