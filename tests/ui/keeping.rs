//! Project files, and work that survives a program that is killed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vitruvian::face::mask::History;

use super::*;

/// Every step of a history by name.
fn names(history: &History) -> Vec<String> {
    let steps = (0..history.len()).map(|i| history.step(i).unwrap().name.clone());
    steps.collect()
}

#[test]
fn a_project_opens_as_it_was_saved() {
    let mut window = Window::new();
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[60.0, 250.0], [120.0, 250.0]]);
    window.key(Key::Num6, Modifiers::NONE);
    window.stroke(&[[200.0, 250.0], [260.0, 250.0]]);
    window.stroke(&[[200.0, 100.0], [260.0, 100.0]]);
    window.key(Key::Z, Modifiers::COMMAND);
    window.click("Lock nose");
    window.settle();
    let path = window.folder.path().join("portrait.vitruvian");
    window.answer(Some(path.clone()));
    window.key(Key::S, Modifiers::COMMAND);
    window.settle();
    assert!(!window.work().unsaved, "{}", window.message());
    let (mask, steps) = (window.labels(), names(&window.edit().history));
    assert_eq!(steps, ["Paint hair", "Paint nose", "Paint nose"]);
    let photo = Arc::clone(&window.work().photo);
    // From now on it is saved without a question.
    window.stroke(&[[30.0, 350.0]]);
    window.key(Key::Z, Modifiers::COMMAND);
    window.key(Key::S, Modifiers::COMMAND);
    window.settle();
    assert!(window.message().starts_with("Project saved to"));

    // The project is there before the models are.
    let stub = Stub::blind();
    stub.late.store(true, SeqCst);
    let mut window = Window::open(Arc::clone(&stub), Some(path), TempDir::new().unwrap());
    window.until(|window| window.harness.state().face().work().is_some());
    assert_eq!(stub.renders.load(SeqCst), 0);
    stub.late.store(false, SeqCst);
    window.settle();
    assert_eq!(window.labels(), mask);
    assert_eq!(window.work().photo, photo);
    assert_eq!(window.work().name(), "portrait.png");
    assert_eq!(names(&window.edit().history)[..2], steps[..2]);
    assert_eq!(window.edit().history.position(), 2);
    // Rendered again by itself.
    window.until(|window| window.edit().is_result_current());
    assert!(window.edit().result.is_some());
    window.harness.get_by_label("Unlock nose");
    window.key(Key::Z, Modifiers::COMMAND);
    window.key(Key::Z, Modifiers::COMMAND);
    window.settle();
    assert_eq!(window.labels(), *window.edit().source);
}

const FOLDER: &str = "VITRUVIAN_TEST_RECOVERY";

/// Run by the test below in a process of its own.
#[test]
#[ignore = "paints until it is killed"]
fn paints_until_killed() {
    let folder = std::env::var_os(FOLDER).unwrap();
    let mut window = Window::new_kept_in(Path::new(&folder));
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[60.0, 250.0], [120.0, 250.0]]);
    loop {
        window.harness.step();
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn work_comes_back_after_the_program_was_killed() {
    let folder = TempDir::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ui::keeping::paints_until_killed", "--ignored"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_kept = || {
        let sessions = std::fs::read_dir(folder.path()).into_iter().flatten();
        sessions
            .flatten()
            .any(|s| s.path().join("work.vitruvian").exists())
    };
    let start = Instant::now();
    while !is_kept() {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "nothing was kept"
        );
        assert!(child.try_wait().unwrap().is_none(), "the program has ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Unix: SIGKILL. Nothing can be written any more.
    child.kill().unwrap();
    child.wait().unwrap();

    let mut painted = Window::new();
    painted.key(Key::Num0, Modifiers::NONE);
    painted.stroke(&[[60.0, 250.0], [120.0, 250.0]]);

    let mut window = Window::new_kept_in(folder.path());
    window.click("Bring it back");
    window.settle();
    assert_eq!(window.labels(), painted.labels());
    assert_eq!(names(&window.edit().history), ["Paint hair"]);
    assert!(window.work().unsaved);
    window.key(Key::Z, Modifiers::COMMAND);
    assert_eq!(window.labels(), *window.edit().source);
}

#[test]
fn work_that_nobody_wants_is_removed() {
    let folder = TempDir::new().unwrap();
    let mut window = Window::new_kept_in(folder.path());
    window.stroke(&[[60.0, 250.0], [120.0, 250.0]]);
    window.until(|_| std::fs::read_dir(folder.path()).unwrap().count() == 1);
    window.settle();
    drop(window);
    let mut window = Window::new_kept_in(folder.path());
    window.click("Give it up");
    window.settle();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(window.harness.query_by_label("Bring it back").is_none());
}
