//! Which keys ask for which action, in which tab, and after the user has changed them.

use super::*;

fn press_with(bindings: &Bindings, key: Key, modifiers: Modifiers) -> Vec<Action> {
    press_in(TabName::Face, bindings, key, modifiers)
}

fn press_in(tab: TabName, bindings: &Bindings, key: Key, modifiers: Modifiers) -> Vec<Action> {
    let ctx = egui::Context::default();
    install(&ctx, bindings);
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
    let mut output = ctx.run_ui(input, |ui| actions.extend(pressed(ui.ctx(), tab)));
    output.textures_delta.clear();
    actions
}

fn press(key: Key, modifiers: Modifiers) -> Vec<Action> {
    press_with(&Bindings::default(), key, modifiers)
}

#[test]
fn keys_with_more_modifiers_win() {
    assert_eq!(press(Key::Z, Modifiers::COMMAND), [Action::Undo]);
    assert_eq!(press(Key::Z, SHIFT_COMMAND), [Action::Redo]);
    assert_eq!(press(Key::Y, Modifiers::COMMAND), [Action::Redo]);
    assert_eq!(press(Key::Z, Modifiers::NONE), []);
    assert_eq!(press(Key::G, Modifiers::NONE), [Action::Fill]);
    assert_eq!(press(Key::G, Modifiers::SHIFT), [Action::Smooth]);
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
fn no_two_actions_share_their_keys_and_each_has_one_line() {
    for tab in TabName::ALL {
        let all = Bindings::default().sorted(tab);
        for (i, (keys, action)) in all.iter().enumerate() {
            let same = all[..i].iter().find(|(other, _)| other == keys);
            assert!(same.is_none(), "{action:?} and {same:?}");
            assert!(keys.logical_key != COMPARE || keys.modifiers.any());
        }
    }
    for (i, command) in TABLE.iter().enumerate() {
        assert!(TABLE[..i].iter().all(|c| c.action != command.action));
        assert!(!command.keys.is_empty(), "{:?}", command.action);
    }
}

#[test]
fn only_the_shown_tab_takes_keys_and_another_tab_keeps_its_own() {
    let usual = Bindings::default();
    let press = |tab, key| press_in(tab, &usual, key, Modifiers::NONE);
    assert_eq!(press(TabName::Face, Key::V), [Action::Move]);
    assert_eq!(press(TabName::Motion, Key::V), [Action::Select]);
    assert_eq!(press(TabName::Lab, Key::V), []);
    assert_eq!(press(TabName::Motion, Key::Space), [Action::Play]);
    let mut own = Bindings::default();
    own.set(Action::Bend, plain(Key::V));
    assert_eq!(
        own.of(Action::Move),
        [],
        "taken, as both are of the face tab"
    );
    assert_eq!(own.of(Action::Select), [plain(Key::V)]);
    own.set(Action::Palette, plain(Key::D));
    assert_eq!(
        own.of(Action::DrawWalker),
        [],
        "the palette opens everywhere"
    );
}

#[test]
fn own_keys_replace_those_of_the_table_and_are_taken_from_others() {
    let mut bindings = Bindings::default();
    bindings.set(Action::Brush, plain(Key::E));
    assert_eq!(
        press_with(&bindings, Key::E, Modifiers::NONE),
        [Action::Brush]
    );
    assert_eq!(press_with(&bindings, Key::B, Modifiers::NONE), []);
    assert_eq!(bindings.of(Action::Eraser), []);
    let ctx = egui::Context::default();
    install(&ctx, &bindings);
    assert_eq!(tip(&ctx, Action::Brush), "Brush (E)");
    assert_eq!(keys_text(&ctx, Action::SmallerBrush), "[");
    assert_eq!(keys_text(&ctx, Action::StepBack), "←");
    assert!(keys_text(&ctx, Action::ShowSettings).ends_with(','));
    assert_eq!(tip(&ctx, Action::Eraser), "Eraser");
    let text = serde_json::to_string(&bindings).unwrap();
    assert_eq!(serde_json::from_str::<Bindings>(&text).unwrap(), bindings);
    bindings.reset();
    assert_eq!(
        press_with(&bindings, Key::E, Modifiers::NONE),
        [Action::Eraser]
    );
}
