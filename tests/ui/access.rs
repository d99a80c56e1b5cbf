//! The window without eyes and without a mouse: every control has a name, and the keyboard reaches it.

use std::collections::BTreeSet;

use egui::accesskit::Role;
use egui_kittest::kittest::NodeT as _;

use super::*;

const CONTROLS: [Role; 8] = [
    Role::Button,
    Role::CheckBox,
    Role::ComboBox,
    Role::Link,
    Role::RadioButton,
    Role::Slider,
    Role::SpinButton,
    Role::TextInput,
];

impl Window {
    /// Name and role of each control that can be used.
    fn controls(&self) -> Vec<(String, Role)> {
        let nodes = self.harness.root().children_recursive();
        nodes
            .map(|node| node.accesskit_node())
            .filter(|node| CONTROLS.contains(&node.role()) && !node.is_disabled())
            .map(|node| (node.label().unwrap_or_default(), node.role()))
            .collect()
    }

    fn check_names(&mut self, place: &str) {
        self.harness.run_steps(3);
        let controls = self.controls();
        assert!(
            controls.len() > 10,
            "{place} has its controls: {controls:?}"
        );
        let nameless = |(name, _): &&(String, Role)| {
            // A letter: an icon alone says nothing.
            !name
                .chars()
                .any(|c| c.is_alphanumeric() && c.is_ascii() || "ηζ".contains(c))
        };
        let nameless: Vec<_> = controls.iter().filter(nameless).collect();
        assert!(nameless.is_empty(), "{place}: {nameless:?}");
    }

    fn focused(&self) -> Option<String> {
        let mut nodes = self.harness.root().children_recursive();
        let node = nodes.find(|node| node.accesskit_node().is_focused())?;
        node.accesskit_node().label()
    }
}

#[test]
fn everything_in_the_face_tab_has_a_name() {
    let mut window = Window::new();
    window.check_names("parts");
    for key in [
        Key::G,
        Key::V,
        Key::P,
        Key::L,
        Key::U,
        Key::O,
        Key::I,
        Key::E,
    ] {
        window.key(key, Modifiers::NONE);
        window.settle();
        window.check_names(&format!("tool {key:?}"));
    }
    window.key(Key::N, Modifiers::COMMAND | Modifiers::SHIFT);
    window.settle();
    assert_eq!(window.edit().snapshots.len(), 1);
    window.check_names("history");
    window.click("Change the part");
    window.check_names("menu of a part");
}

#[test]
fn everything_in_the_other_tabs_and_windows_has_a_name() {
    let mut window = Window::new();
    for index in [Key::Num2, Key::Num3, Key::Num4] {
        window.key(index, Modifiers::ALT);
        window.check_names(&format!("tab {:?}", window.harness.state().shown()));
    }
    window.click("Theory");
    window.check_names("theory");
    window.until(|w| !w.harness.state().lab().is_busy());
    for (key, modifiers) in [
        (Key::F1, Modifiers::NONE),
        (Key::F2, Modifiers::NONE),
        (Key::F3, Modifiers::NONE),
        (Key::Comma, Modifiers::COMMAND),
    ] {
        let before = window.controls().len();
        window.key(key, modifiers);
        window.check_names(&format!("{key:?}"));
        assert!(window.controls().len() > before, "{key:?} opens a window");
        window.key(Key::Escape, Modifiers::NONE);
        window.harness.run_steps(2);
        assert_eq!(window.controls().len(), before, "Escape closes it");
    }
    window.key(Key::K, Modifiers::COMMAND);
    window.check_names("palette");
}

#[test]
fn tab_reaches_every_control() {
    for tab in [Key::Num1, Key::Num2, Key::Num3, Key::Num4] {
        let mut window = Window::new();
        window.key(tab, Modifiers::ALT);
        if tab == Key::Num2 {
            window.until(|w| w.harness.state().pose().poses().is_some());
            window.until(|w| !w.harness.state().pose().is_busy());
        }
        if tab == Key::Num3 {
            window.harness.run_steps(3);
            window.key(Key::Space, Modifiers::NONE); // or controls come and go
        }
        window.harness.run_steps(3);
        let wanted: BTreeSet<String> = window
            .controls()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let mut reached = BTreeSet::new();
        for _ in 0..2 * wanted.len() + 60 {
            window.key(Key::Tab, Modifiers::NONE);
            reached.extend(window.focused());
        }
        let missed: Vec<_> = wanted.difference(&reached).collect();
        assert!(missed.is_empty(), "{tab:?}: {missed:?}");
    }
}

#[test]
fn a_button_with_the_focus_takes_space_and_the_slider_the_arrows() {
    let mut window = Window::new();
    window.key(Key::Num3, Modifiers::ALT);
    window.until(|w| w.harness.state().motion().work().is_some());
    window.key(Key::Space, Modifiers::NONE);
    let playing = |window: &Window| window.harness.state().motion().work().unwrap().is_playing;
    assert!(!playing(&window), "nothing has the focus: Space pauses");
    let box_name = "Contours";
    window.harness.get_by_label(box_name).focus();
    window.harness.run_steps(2);
    let shown = |window: &Window| {
        window
            .harness
            .get_by_label(box_name)
            .accesskit_node()
            .toggled()
    };
    let before = shown(&window);
    window.key(Key::Space, Modifiers::NONE);
    window.harness.run_steps(2);
    assert_ne!(shown(&window), before);
    assert!(!playing(&window), "the box has taken Space");
}
