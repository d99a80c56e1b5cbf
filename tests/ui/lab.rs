//! The lab tab: runs side by side, pausing, hardening, export, and the page of theory.

use std::time::Duration;

use eframe::egui::vec2;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use tempfile::TempDir;
use vitruvian::ui::{App, Setup};

use crate::stub::Stub;

fn window() -> Harness<'static, App> {
    let stub = Stub::new(32, 32);
    let setup = Setup {
        photo: None,
        load: Box::new(move || Ok(stub as std::sync::Arc<dyn vitruvian::ui::face::Steps>)),
        dialog: std::sync::Arc::new(|_| None),
        clipboard: std::sync::Arc::<super::Board>::default(),
        recovery: None,
        motion: Box::new(|| Ok(std::sync::Arc::new(super::motion::Ahead))),
        pose: Box::new(|| Ok(std::sync::Arc::new(super::pose::Everywhere))),
        files: std::sync::Arc::new(|_| Vec::new()),
    };
    let mut harness = Harness::builder()
        .with_size(vec2(1280.0, 800.0))
        .with_step_dt(1.0 / 60.0)
        .wgpu()
        .build_eframe(|cc| App::new(cc, setup).unwrap());
    harness.run_steps(2);
    harness.get_by_label("Lab").click();
    harness.run_steps(3);
    harness
}

fn until(harness: &mut Harness<'static, App>, condition: impl Fn(&App) -> bool) {
    for _ in 0..3_000 {
        harness.step();
        if condition(harness.state()) {
            harness.run_steps(2);
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("waited in vain");
}

#[test]
fn two_runs_train_side_by_side_and_are_exported() {
    let mut harness = window();
    let folder = TempDir::new().unwrap();
    {
        let draft = harness.state_mut().lab_mut();
        draft.set_folder(folder.path());
        let draft = draft.draft_mut();
        (draft.digits, draft.width, draft.batch) = (800, 4, 20);
    }
    harness.get_by_label("Start run").click();
    harness.run_steps(2);
    harness.get_by_label("Start run").click();
    harness.run_steps(2);
    assert_eq!(harness.state().lab().told().len(), 2);
    until(&mut harness, |app| !app.lab().is_busy());
    let told = harness.state().lab().told();
    assert!(told.iter().all(|(_, samples)| *samples == 40), "{told:?}");
    harness.get_by_label_contains("of 18 decided");
    harness.get_by_label("Export").click();
    harness.run_steps(2);
    until(&mut harness, |app| !app.lab().is_busy());
    let csv = std::fs::read_to_string(folder.path().join("curves.csv")).unwrap();
    assert_eq!(csv.lines().count(), 81);
}

#[test]
fn what_cannot_be_trained_is_told_beside_the_button() {
    let mut harness = window();
    harness.state_mut().lab_mut().draft_mut().norm = "bn".parse().unwrap();
    harness.state_mut().lab_mut().draft_mut().batch = 1;
    harness.get_by_label("Start run").click();
    harness.run_steps(3);
    harness.get_by_label_contains("one digit at a time");
    assert!(harness.state().lab().told().is_empty());
}

#[test]
fn the_theory_page_solves_what_the_sliders_say() {
    let mut harness = window();
    harness.get_by_label("Theory").click();
    harness.run_steps(3);
    until(&mut harness, |app| !app.lab().is_busy());
    harness.get_by_label_contains("γ settles at 0.909");
    harness.get_by_label_contains("Excess risk");
}
