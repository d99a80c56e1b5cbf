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

/// A window with one finished run that is saved in the folder.
fn window_with_saved_run(folder: &TempDir) -> Harness<'static, App> {
    let mut harness = window();
    {
        let lab = harness.state_mut().lab_mut();
        lab.set_folder(folder.path());
        let draft = lab.draft_mut();
        (draft.digits, draft.width, draft.batch) = (800, 4, 20);
    }
    harness.get_by_label("Start run").click();
    harness.run_steps(2);
    until(&mut harness, |app| !app.lab().is_busy());
    harness.get_by_label("Save").click();
    harness.run_steps(2);
    until(&mut harness, |app| !app.lab().is_busy());
    harness.get_by_label_contains("saved");
    harness
}

fn show_saved(harness: &mut Harness<'static, App>) {
    harness.get_by_label("Saved").click();
    harness.run_steps(3);
    until(harness, |app| !app.lab().is_busy());
}

#[test]
fn a_saved_run_is_opened_again_and_trained_on() {
    let folder = TempDir::new().unwrap();
    let mut harness = window_with_saved_run(&folder);
    harness.get_by_label("Remove run").click();
    harness.run_steps(2);
    assert!(harness.state().lab().told().is_empty());

    show_saved(&mut harness);
    harness.get_by_label("Mark 1 Switchable, batch 20").click();
    harness.run_steps(2);
    harness.get_by_label("Open run").click();
    harness.run_steps(2);
    until(&mut harness, |app| !app.lab().is_busy());
    let told = harness.state().lab().told();
    assert_eq!(told, [("1 Switchable, batch 20".to_string(), 40)]);
    harness.get_by_label_contains("Done, step 40 of 40");
    harness.get_by_label_contains("0 of 18 decided");

    // Opened twice it is one run still.
    show_saved(&mut harness);
    harness.get_by_label("Open run").click();
    harness.run_steps(2);
    until(&mut harness, |app| !app.lab().is_busy());
    assert_eq!(harness.state().lab().told().len(), 1);

    harness.get_by_label("Train on").click();
    harness.run_steps(2);
    until(&mut harness, |app| !app.lab().is_busy());
    harness.get_by_label_contains("Done, step 50 of 50");
    assert_eq!(harness.state().lab().told()[0].1, 50);
    // What was trained since is not saved yet, and goes into the same folder.
    harness.get_by_label("Save").click();
    harness.run_steps(2);
    until(&mut harness, |app| !app.lab().is_busy());
    let log = folder.path().join("1-Switchable-batch-20/log.csv");
    assert_eq!(std::fs::read_to_string(log).unwrap().lines().count(), 51);
}

#[test]
fn a_stopped_run_goes_on_where_it_was() {
    let mut harness = window();
    {
        let draft = harness.state_mut().lab_mut().draft_mut();
        (draft.digits, draft.width, draft.batch) = (20_000, 4, 10);
    }
    harness.get_by_label("Start run").click();
    harness.run_steps(2);
    until(&mut harness, |app| app.lab().told()[0].1 > 2);
    harness.get_by_label("Stop").click();
    harness.run_steps(2);
    until(&mut harness, |app| !app.lab().is_busy());
    let told = harness.state().lab().told()[0].1;
    harness.get_by_label_contains("Stopped, step");
    harness.get_by_label("Go on").click();
    harness.run_steps(2);
    until(&mut harness, |app| app.lab().told()[0].1 > told);
    harness.get_by_label_contains("Training, step");
}

#[test]
fn saved_runs_are_deleted_when_agreed_and_broken_ones_are_told() {
    let folder = TempDir::new().unwrap();
    let broken = folder.path().join("broken");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("config.json"), "{").unwrap();
    let mut harness = window_with_saved_run(&folder);
    show_saved(&mut harness);
    harness.get_by_label_contains("does not hold the settings of a run");
    let run = folder.path().join("1-Switchable-batch-20");
    for (answer, is_kept) in [("Keep", true), ("Delete", false)] {
        if is_kept {
            harness.get_by_label("Mark 1 Switchable, batch 20").click();
            harness.run_steps(2);
        }
        harness.get_by_label("Delete…").click();
        harness.run_steps(3);
        harness.get_by_label("Delete this run?");
        harness.get_by_label(answer).click();
        harness.run_steps(3);
        until(&mut harness, |app| !app.lab().is_busy());
        assert_eq!(run.exists(), is_kept);
    }
    harness.run_steps(3);
    until(&mut harness, |app| !app.lab().is_busy());
    harness.get_by_label("None in this folder");
    assert!(broken.exists());
}
