//! The command palette and the page of all keys.

use super::*;

impl Window {
    /// The page of keys is longer than the window is high.
    fn scroll_to(&mut self, name: &str) {
        self.harness.get_by_label(name).scroll_to_me();
        self.harness.run_steps(20);
    }
}

#[test]
fn the_palette_finds_and_does() {
    let mut window = Window::new();
    window.key(Key::K, Modifiers::COMMAND);
    window.harness.run_steps(3);
    window.harness.event(Event::Text("mirrored".into()));
    window.harness.run_steps(3);
    window.key(Key::Enter, Modifiers::NONE);
    window.harness.run_steps(3);
    assert!(window.harness.query_by_label("Find an action").is_some());
    window.key(Key::Num3, Modifiers::NONE);
    let left = window.count(id::L_BROW);
    window.stroke(&[[110.0, 230.0], [130.0, 230.0]]);
    assert!(window.count(id::L_BROW) > left, "the mirror is on");
}

#[test]
fn keys_can_be_changed() {
    let mut window = Window::new();
    window.key(Key::F1, Modifiers::NONE);
    window.harness.run_steps(3);
    window.scroll_to("Keys of undo");
    window.click("Keys of undo");
    window.key(Key::Q, Modifiers::NONE);
    window.harness.run_steps(2);
    let before = window.labels();
    window.key(Key::F1, Modifiers::NONE);
    window.harness.run_steps(2);
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[80.0, 150.0], [120.0, 150.0]]);
    window.key(Key::Z, Modifiers::COMMAND);
    assert_ne!(window.labels(), before, "the old keys do nothing");
    window.key(Key::Q, Modifiers::NONE);
    assert_eq!(window.labels(), before);
}

#[test]
fn keys_that_are_taken_change_hands_and_do_nothing_meanwhile() {
    let mut window = Window::new();
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[80.0, 150.0], [120.0, 150.0]]);
    let painted = window.labels();
    window.key(Key::F1, Modifiers::NONE);
    window.harness.run_steps(3);
    window.scroll_to("Keys of take a snapshot");
    window.click("Keys of take a snapshot");
    window.key(Key::Z, Modifiers::COMMAND);
    window.harness.run_steps(2);
    assert_eq!(window.labels(), painted, "nothing was undone");
    window.key(Key::F1, Modifiers::NONE);
    window.harness.run_steps(2);
    window.key(Key::Z, Modifiers::COMMAND);
    window.settle();
    assert_eq!(window.edit().snapshots.len(), 1);
    assert_eq!(window.labels(), painted);
}

#[test]
fn escape_closes_a_question() {
    let mut window = Window::new();
    window.answer(None);
    window.click("Save mask…");
    window.settle();
    assert!(window.harness.query_by_label("File").is_some());
    window.key(Key::Escape, Modifiers::NONE);
    window.harness.run_steps(3);
    assert!(window.harness.query_by_label("File").is_none());
}
