//! The three hints of the first start.

use std::collections::HashMap;

use super::*;

const SAMPLE: usize = 1024;
const TITLES: [&str; 3] = ["Paint here", "See it there", "Save it"];

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

/// The first start: the sample portrait.
fn first_start() -> Window {
    let stub = Stub::new(SAMPLE, SAMPLE);
    let mut window = Window::open(stub, None, TempDir::new().unwrap());
    window.settle();
    window
}

impl Window {
    /// Which hints are on the screen.
    fn hints(&mut self) -> Vec<&'static str> {
        self.harness.run_steps(3);
        let shown = |title: &&&str| self.harness.query_by_label(title).is_some();
        TITLES.iter().filter(shown).copied().collect()
    }

    fn remembered(&mut self) -> String {
        let mut memory = Memory::default();
        eframe::App::save(self.harness.state_mut(), &mut memory);
        memory.0.into_values().collect()
    }
}

#[test]
fn each_hint_goes_when_the_user_has_done_what_it_says_and_none_comes_back() {
    let mut window = first_start();
    assert_eq!(window.hints(), ["Paint here"]);
    window.stroke(&[[420.0, 330.0], [600.0, 330.0]]);
    assert_eq!(window.hints(), ["See it there"]);
    window.harness.key_down(Key::C);
    window.harness.run_steps(2);
    window.harness.key_up(Key::C);
    assert_eq!(window.hints(), ["Save it"]);
    assert!(window.remembered().contains("hint:save"));

    let path = window.folder.path().join("first.png");
    window.answer(Some(path.clone()));
    window.key(Key::E, Modifiers::COMMAND);
    window.settle();
    assert!(path.is_file());
    assert_eq!(window.hints(), [""; 0]);
    assert!(window.remembered().contains("hint:done"));
    window.key(Key::Z, Modifiers::COMMAND);
    window.stroke(&[[420.0, 400.0], [600.0, 400.0]]);
    assert_eq!(window.hints(), [""; 0]);

    window.key(Key::F1, Modifiers::SHIFT);
    assert_eq!(window.hints(), ["Paint here"], "asked for again");
    window.stroke(&[[420.0, 500.0], [600.0, 500.0]]);
    assert_eq!(window.hints(), ["See it there"]);
}

#[test]
fn hints_can_be_passed_over_and_ended() {
    let mut window = first_start();
    window.hints();
    window.click("Next hint");
    assert_eq!(window.hints(), ["See it there"]);
    window.click("Next hint");
    assert_eq!(window.hints(), ["Save it"]);
    window.key(Key::F1, Modifiers::SHIFT);
    assert_eq!(window.hints(), ["Paint here"]);
    window.click("No more hints");
    assert_eq!(window.hints(), [""; 0]);
    assert!(window.remembered().contains("hint:done"));
}

#[test]
fn on_a_photo_of_their_own_nobody_is_taught_unless_they_ask() {
    let mut window = Window::new();
    assert_eq!(window.hints(), [""; 0]);
    window.key(Key::K, Modifiers::COMMAND);
    window.harness.run_steps(3);
    window.harness.event(Event::Text("hints again".into()));
    window.harness.run_steps(3);
    window.key(Key::Enter, Modifiers::NONE);
    assert_eq!(window.hints(), ["Paint here"]);
}
