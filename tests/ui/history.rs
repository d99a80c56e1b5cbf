//! The list of steps and the snapshots.

use super::*;

#[test]
fn any_step_can_be_gone_to_by_name() {
    let mut window = Window::new();
    let mut states = vec![window.labels()];
    for (key, y) in [(Key::Num1, 80.0), (Key::Num0, 200.0), (Key::Num6, 330.0)] {
        window.key(key, Modifiers::NONE);
        window.stroke(&[[40.0, y], [280.0, y]]);
        states.push(window.labels());
    }
    window.click("History");
    window.harness.run_steps(2);
    window.click("Paint skin");
    window.settle();
    assert_eq!(window.labels(), states[1]);
    window.click("Paint nose");
    window.settle();
    assert_eq!(window.labels(), states[3]);
    window.click("As it was found");
    window.settle();
    assert_eq!(window.labels(), states[0]);
    assert!(window.edit().result.is_none());
    window.click("Paint hair");
    window.settle();
    assert_eq!(window.labels(), states[2]);
    assert!(window.edit().is_result_current());
}

#[test]
fn a_thousand_steps_can_be_undone() {
    let mut window = Window::new();
    window.click("Live");
    let before = window.labels();
    for i in 0..1_000 {
        let key = if i % 2 == 0 { Key::Num0 } else { Key::Num1 };
        if i < 2 {
            window.key(key, Modifiers::NONE);
        }
        let (x, y) = ((i * 37 % 300) as f32 + 10.0, (i * 53 % 380) as f32 + 10.0);
        if i % 25 == 0 {
            window.key(key, Modifiers::NONE);
        }
        let pos = window.at([x, y]);
        window.harness.hover_at(pos);
        window.button(pos, PointerButton::Primary, true, Modifiers::NONE);
        window.button(pos, PointerButton::Primary, false, Modifiers::NONE);
        if i % 25 == 24 {
            window.harness.step();
        }
    }
    window.settle();
    // Dabs that fell on their own colour changed nothing and are no steps.
    let steps = window.edit().history.len();
    assert!(steps > 300, "{steps}");
    assert_eq!(window.edit().history.forgotten(), 0);
    assert!(window.edit().history.bytes() < 2 << 20);
    window.click("History");
    window.harness.run_steps(2);
    for i in 0..steps {
        window
            .harness
            .key_press_modifiers(Modifiers::COMMAND, Key::Z);
        if i % 50 == 49 {
            window.harness.step();
        }
    }
    window.settle();
    assert_eq!(window.labels(), before);
}

#[test]
fn snapshots_can_be_compared_with_and_gone_back_to() {
    let mut window = Window::new();
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[60.0, 250.0], [120.0, 250.0]]);
    let first = window.labels();
    window.key(Key::N, Modifiers::COMMAND | Modifiers::SHIFT);
    window.settle();
    assert_eq!(window.edit().snapshots.len(), 1);
    window.stroke(&[[200.0, 250.0], [260.0, 250.0]]);
    let second = window.labels();
    window.click("Compare with Snapshot 1");
    assert_eq!(
        window.edit().before_result().unwrap().patch.rect.right(),
        132
    );
    window.click("Go back to Snapshot 1");
    window.settle();
    assert_eq!(window.labels(), first);
    window.key(Key::Z, Modifiers::COMMAND);
    window.settle();
    assert_eq!(window.labels(), second, "going back is a step too");
    window.click("Remove Snapshot 1");
    assert!(window.edit().before_result().is_none());
}
