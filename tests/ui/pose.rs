//! The pose tab: photos are opened and gone through, people found, keypoints corrected, exported and compared with
//! labels, the grouping stepped through.

use vitruvian::job::Out;
use vitruvian::people::crop::Region;
use vitruvian::people::movenet::FEATURES;
use vitruvian::pose::annotations::{ImageId, read_annotations, read_results};
use vitruvian::pose::candidates::{Candidate, Proposal};
use vitruvian::pose::estimate::Method;
use vitruvian::pose::grouping::{Edge, Group, Grouping, Pass};
use vitruvian::pose::inside::{CENTRES, Inside};
use vitruvian::pose::keypoints::{KEYPOINTS, Part, Person};
use vitruvian::pose::zoomnet::Zoomed;
use vitruvian::raster::{Grid, Similarity};
use vitruvian::ui::TabName;
use vitruvian::ui::pose::{PoseSteps, Poses, Value};

use super::*;

const SIZE: [usize; 2] = [320, 240];

/// Finds two people side by side wherever it looks, and nobody in black photos.
pub struct Everywhere;

/// Where the stub puts a keypoint: those of the body far from each other, the others closer.
fn spot(person: usize, index: usize) -> [f32; 2] {
    let left = 20.0 + 150.0 * person as f32;
    let part = Part::of(index).unwrap();
    let i = (index - part.range().start) as f32;
    let (columns, step, top) = match part {
        Part::Body => (4.0, 26.0, 16.0),
        Part::Foot => (6.0, 16.0, 150.0),
        Part::Face => (34.0, 3.0, 166.0),
        Part::LeftHand => (21.0, 4.0, 190.0),
        Part::RightHand => (21.0, 4.0, 210.0),
    };
    [
        left + step * (i % columns),
        top + step * (i / columns).floor(),
    ]
}

fn found(person: usize) -> Zoomed {
    let score = 0.8 - 0.3 * person as f32;
    let mut found = Person::new([0.0; 4], score);
    for index in 0..KEYPOINTS {
        found.set(index, spot(person, index), 0.9);
    }
    let left = 20.0 + 150.0 * person as f32;
    found.bbox_in_image = [left, 16.0, left + 110.0, 220.0];
    Zoomed {
        person: found,
        face_region: Some(Region::upright([left + 50.0, 170.0], 110.0)),
        hand_regions: [
            Some(Region::upright([left + 40.0, 190.0], 90.0).mirrored(true)),
            None,
        ],
    }
}

impl PoseSteps for Everywhere {
    fn detect(&self, photo: &Rgb, method: Method, out: &Out<Value>) -> anyhow::Result<Vec<Zoomed>> {
        out.progress(0.5, "Looking for people")?;
        let is_black = photo.data.iter().all(|v| *v < 5);
        Ok(if is_black {
            Vec::new()
        } else {
            // The bottom-up way of this stub sees one person only.
            let count = if method == Method::BottomUp { 1 } else { 2 };
            (0..count).map(found).collect()
        })
    }

    fn look_inside(&self, _photo: &Rgb) -> anyhow::Result<Inside> {
        let candidate = |joint: usize, x: f32| Candidate {
            joint,
            at: [x, 10.0 * joint as f32],
            score: 0.9,
            features: [0.0; FEATURES],
            votes: Vec::new(),
        };
        let edge = |groups, same| Edge {
            groups,
            same,
            whole: 0.9,
        };
        let group = |members| Group {
            members,
            whole: 0.9,
            quality: 0.7,
        };
        let heat = |joint: usize| {
            let mut heat = Grid::new(20, 15, 0.0);
            heat.set(joint, 7, 1.0);
            heat
        };
        Ok(Inside {
            heat: (0..=CENTRES).map(heat).collect(),
            grid_from_image: [[0.0625, 0.0, 0.5], [0.0, 0.0625, 0.5], [0.0, 0.0, 1.0]],
            proposal: Proposal {
                candidates: vec![
                    candidate(5, 40.0),
                    candidate(7, 40.0),
                    candidate(5, 90.0),
                    candidate(7, 90.0),
                ],
                centres: Vec::new(),
                size_px: (160, 120),
                image_from_view: Similarity::scale_shift(2.0, 0.0, 0.0),
            },
            grouping: Grouping {
                passes: vec![
                    Pass {
                        before: (0..4).map(|i| vec![i]).collect(),
                        edges: vec![edge([0, 1], 0.9), edge([2, 3], 0.8)],
                        merged: vec![0, 1],
                    },
                    Pass {
                        before: vec![vec![0, 1], vec![2, 3]],
                        edges: Vec::new(),
                        merged: Vec::new(),
                    },
                ],
                groups: vec![group(vec![0, 1]), group(vec![2, 3])],
            },
            people: vec![found(0).person],
        })
    }
}

fn save_photo(path: &Path, shade: u8) {
    photo::save_png(path, &Rgb::new(SIZE[0], SIZE[1], [shade, shade, shade / 2])).unwrap();
}

/// The pose tab with three photos of a folder: two with people, one black.
fn album() -> Window {
    let mut window = Window::with(Stub::blind());
    let folder = window.folder.path().join("album");
    std::fs::create_dir(&folder).unwrap();
    for (name, shade) in [
        ("photo_7.png", 120),
        ("photo_8.png", 60),
        ("photo_10.png", 0),
    ] {
        save_photo(&folder.join(name), shade);
    }
    window.key(Key::Num2, Modifiers::ALT);
    window.answer(Some(folder));
    window.click("Open");
    window.click("Folder…");
    window.until(|w| w.harness.state().pose().photos().len() == 3 && w.poses().is_some());
    window.calm();
    window
}

impl Window {
    fn poses(&self) -> Option<&Poses> {
        let tab = self.harness.state().pose();
        tab.poses().filter(|p| p.size == SIZE)
    }

    fn keypoint(&self, person: usize, index: usize) -> ([f32; 2], f32) {
        self.poses().unwrap().people[person].person.get(index)
    }

    /// Until no job of the pose tab runs.
    fn calm(&mut self) {
        let mut quiet = 0;
        for _ in 0..5_000 {
            self.harness.step();
            let is_busy = self.harness.state().pose().is_busy();
            quiet = if is_busy { 0 } else { quiet + 1 };
            if quiet > 5 {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("the jobs did not end");
    }

    /// Where a point of the fitted photo is on the screen.
    fn in_photo(&self, [x, y]: [f32; 2]) -> Pos2 {
        let rect = self.canvas("Photo with people");
        let size = vec2(SIZE[0] as f32, SIZE[1] as f32);
        let zoom = ((rect.size() - vec2(24.0, 24.0)) / size).min_elem();
        rect.center() + (vec2(x, y) - size / 2.0) * zoom
    }

    fn pull(&mut self, points: &[[f32; 2]]) {
        let points: Vec<Pos2> = points.iter().map(|p| self.in_photo(*p)).collect();
        let last = points[points.len() - 1];
        self.harness.hover_at(points[0]);
        self.harness.step();
        self.button(points[0], PointerButton::Primary, true, Modifiers::NONE);
        self.harness.step();
        for point in &points[1..] {
            self.harness.hover_at(*point);
            self.harness.step();
        }
        self.button(last, PointerButton::Primary, false, Modifiers::NONE);
        self.harness.step();
        self.harness.step();
    }

    fn export(&mut self, item: &str, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        self.answer(Some(path.clone()));
        self.click("Export");
        self.click(item);
        self.until(|w| path.exists() && w.message().contains("saved to"));
        path
    }
}

fn near(a: [f32; 2], b: [f32; 2]) -> bool {
    (a[0] - b[0]).abs() < 0.6 && (a[1] - b[1]).abs() < 0.6
}

#[test]
fn the_first_look_shows_a_sample_with_its_people() {
    let mut window = Window::with(Stub::blind());
    assert!(window.harness.state().pose().photos().is_empty());
    window.key(Key::Tab, Modifiers::COMMAND);
    assert_eq!(window.harness.state().shown(), TabName::Pose);
    window.until(|w| w.harness.state().pose().poses().is_some());
    window.calm();
    let tab = window.harness.state().pose();
    assert_eq!(tab.photos()[tab.current()].name, "astronaut.jpg");
    assert_eq!(tab.poses().unwrap().size, [512, 512]);
    assert_eq!(tab.thumbs(), tab.photos().len());
    assert_eq!(tab.crops(), 2, "the face and one hand of the surest");
}

#[test]
fn arrow_keys_go_through_a_folder_and_everyone_is_found_once() {
    let mut window = album();
    let names: Vec<String> = window
        .harness
        .state()
        .pose()
        .photos()
        .iter()
        .map(|e| e.name.clone())
        .collect();
    assert_eq!(names, ["photo_7.png", "photo_8.png", "photo_10.png"]);
    assert_eq!(window.poses().unwrap().people.len(), 2);
    window.key(Key::ArrowRight, Modifiers::NONE);
    window.until(|w| w.harness.state().pose().current() == 1 && w.poses().is_some());
    window.key(Key::End, Modifiers::NONE);
    window.until(|w| w.harness.state().pose().current() == 2 && w.poses().is_some());
    assert!(
        window.poses().unwrap().people.is_empty(),
        "nobody is in the black one"
    );
    window.calm();
    window.key(Key::ArrowRight, Modifiers::NONE);
    assert_eq!(
        window.harness.state().pose().current(),
        2,
        "there is none after the last"
    );
    window.click("Photo 1: photo_7.png");
    assert_eq!(window.harness.state().pose().current(), 0);
    assert!(window.poses().is_some(), "it is remembered");
    assert_eq!(window.harness.state().pose().thumbs(), 3);
}

#[test]
fn a_keypoint_is_selected_dragged_taken_back_and_exported() {
    let mut window = album();
    // The left wrist of the second person.
    let from = spot(1, 9);
    window.pull(&[from]);
    assert_eq!(window.harness.state().pose().selected(), (Some(1), Some(9)));
    assert!(window.harness.query_by_label("left wrist").is_some());
    assert!(window.harness.query_by_label("0.900").is_some());

    let to = [from[0] + 12.0, from[1] + 9.0];
    window.pull(&[from, [from[0] + 5.0, from[1] + 4.0], to]);
    assert!(
        near(window.keypoint(1, 9).0, to),
        "{:?}",
        window.keypoint(1, 9)
    );
    assert_eq!(window.keypoint(1, 9).1, 1.0);
    assert_eq!(window.keypoint(1, 8).0, spot(1, 8), "nothing else moved");
    assert!(window.poses().unwrap().unsaved);
    window.key(Key::Z, Modifiers::COMMAND);
    assert_eq!(window.keypoint(1, 9), (from, 0.9));
    window.key(Key::Y, Modifiers::COMMAND);
    assert!(near(window.keypoint(1, 9).0, to));

    // Escape in the middle of a drag leaves everything as it was.
    let now = window.keypoint(1, 9).0;
    let point = window.in_photo(spot(0, 3));
    window.harness.hover_at(point);
    window.harness.step();
    window.button(point, PointerButton::Primary, true, Modifiers::NONE);
    window.harness.step();
    window.harness.hover_at(point + vec2(40.0, 30.0));
    window.harness.step();
    assert_ne!(window.keypoint(0, 3).0, spot(0, 3));
    window.key(Key::Escape, Modifiers::NONE);
    window.button(
        point + vec2(40.0, 30.0),
        PointerButton::Primary,
        false,
        Modifiers::NONE,
    );
    window.harness.step();
    assert_eq!(window.keypoint(0, 3), (spot(0, 3), 0.9));

    // Without the nose, and without the first person's right ankle's doubt: labels, then results.
    window.pull(&[spot(0, 0)]);
    window.key(Key::Delete, Modifiers::NONE);
    assert_eq!(window.keypoint(0, 0).1, 0.0);
    let path = window.export("Annotations (JSON)…", "labels.json");
    assert!(!window.poses().unwrap().unsaved);
    let read = read_annotations(&path).unwrap();
    let people = &read.images[&ImageId::Number(7)].people;
    assert_eq!(people.len(), 2);
    let rounded = now.map(|v| (f64::from(v) * 100.0).round() / 100.0);
    assert_eq!(people[1].keypoints[9], [rounded[0], rounded[1], 2.0]);
    assert_eq!(people[0].keypoints[0], [0.0; 3]);
    let [x, y] = spot(0, 100).map(f64::from);
    assert_eq!(people[0].keypoints[100], [x, y, 2.0]);

    let path = window.export("Results (JSON)…", "results.json");
    let found = read_results(&path).unwrap();
    let second = &found.people[&ImageId::Number(7)][1];
    assert_eq!(second.keypoints[9], [rounded[0], rounded[1], 1.0]);
    assert!((second.score - 0.5).abs() < 1e-6);

    let path = window.export("Picture (PNG)…", "drawn.png");
    let drawn = photo::open(&path).unwrap().rgb;
    assert_eq!([drawn.width, drawn.height], SIZE);
    let [x, y] = now.map(|v| v as usize);
    assert_ne!(drawn.get(x, y), Some([120, 120, 60]), "the wrist is drawn");
}

#[test]
fn corrections_are_not_lost_without_a_question() {
    let mut window = album();
    let from = spot(0, 9);
    window.pull(&[from, [from[0] + 4.0, from[1]], [from[0] + 9.0, from[1]]]);
    let other = window.folder.path().join("other.png");
    save_photo(&other, 90);
    window.answer(Some(other.clone()));
    window.key(Key::O, Modifiers::COMMAND);
    window.until(|w| w.harness.query_by_label("Open other photos?").is_some());
    window.click("Keep working");
    assert_eq!(window.harness.state().pose().photos().len(), 3);

    window.key(Key::R, Modifiers::NONE);
    window.click("Find anyway");
    window.until(|w| w.poses().is_some_and(|p| !p.can_undo()));
    window.calm();
    assert_eq!(window.keypoint(0, 9).0, from, "found anew");
    window.answer(Some(other));
    window.key(Key::O, Modifiers::COMMAND);
    window.until(|w| w.harness.state().pose().photos().len() == 1);
}

#[test]
fn people_are_hidden_and_removed_and_parts_switched_off() {
    let mut window = album();
    window.click("Hide person 1");
    assert_eq!(window.poses().unwrap().hidden, [true, false]);
    // What is hidden is not under the pointer.
    window.pull(&[spot(0, 9)]);
    assert_eq!(window.harness.state().pose().selected(), (None, None));
    window.click("Show person 1");
    // The loupe has a title of the same name; the check box comes first.
    let mut both = window.harness.get_all_by_label("Left hand");
    both.next().unwrap().click();
    drop(both);
    window.harness.run_steps(2);
    window.pull(&[spot(0, 95)]);
    assert_ne!(window.harness.state().pose().selected().1, Some(95));
    window.click("Person 2");
    assert_eq!(window.harness.state().pose().selected(), (Some(1), None));
    window.key(Key::N, Modifiers::NONE);
    assert_eq!(
        window.harness.state().pose().selected(),
        (Some(0), None),
        "around the end"
    );
    window.key(Key::Delete, Modifiers::NONE);
    assert_eq!(window.poses().unwrap().kept().count(), 1);
    assert!(window.harness.query_by_label("Person 1").is_none());
    window.key(Key::Z, Modifiers::COMMAND);
    assert_eq!(window.poses().unwrap().kept().count(), 2);
}

#[test]
fn another_way_of_finding_people_looks_again_and_is_kept() {
    let mut window = album();
    assert_eq!(window.poses().unwrap().kept().count(), 2);
    window.click("How people are found");
    window.click("Keypoints, grouped");
    window.calm();
    assert_eq!(window.poses().unwrap().kept().count(), 1);
    window.key(Key::ArrowRight, Modifiers::NONE);
    window.calm();
    let kept = window.poses().map(|poses| poses.kept().count());
    assert_eq!(kept, Some(1), "for the next photo too");
}

#[test]
fn labels_are_compared_with_what_was_found() {
    let mut window = album();
    let person = |image: u64, person: usize, shift: f32| {
        let list: Vec<f64> = (0..17)
            .flat_map(|i| {
                let [x, y] = spot(person, i);
                [f64::from(x + shift), f64::from(y), 2.0]
            })
            .collect();
        serde_json::json!({ "image_id": image, "category_id": 1, "area": 10000.0,
            "bbox": [0, 0, 100, 100], "keypoints": list })
    };
    let file = serde_json::json!({
        "images": [{ "id": 1, "file_name": "photo_7.png" }, { "id": 9, "file_name": "else.png" }],
        "annotations": [person(1, 1, 0.0), person(1, 0, 6.0), person(1, 0, 900.0), person(9, 0, 0.0)],
    });
    let path = window.folder.path().join("people.json");
    std::fs::write(&path, file.to_string()).unwrap();
    window.answer(Some(path));
    window.key(Key::O, Modifiers::COMMAND | Modifiers::SHIFT);
    window.until(|w| w.harness.state().pose().comparison().is_some());
    assert_eq!(window.message(), "Labels of 1 of 3 photos");
    let oks = |window: &Window, person: usize| {
        let comparison = window.harness.state().pose().comparison().unwrap();
        let found = comparison.matches[person].as_ref();
        found.map(|m| (m.truth, m.oks))
    };
    assert_eq!(oks(&window, 1), Some((0, 1.0)));
    let (truth, shifted) = oks(&window, 0).unwrap();
    assert!(truth == 1 && shifted > 0.3 && shifted < 0.9, "{shifted}");
    assert_eq!(
        window.harness.state().pose().comparison().unwrap().missed,
        [2]
    );
    assert!(
        window
            .harness
            .query_by_label_contains("· 1 missed")
            .is_some()
    );

    // A correction towards the label makes it more alike.
    let from = spot(0, 9);
    window.pull(&[from, [from[0] + 4.0, from[1]], [from[0] + 6.0, from[1]]]);
    window.harness.step();
    assert!(oks(&window, 0).unwrap().1 > shifted);
    window.key(Key::ArrowRight, Modifiers::NONE);
    window.until(|w| w.harness.state().pose().current() == 1 && w.poses().is_some());
    assert!(window.harness.state().pose().comparison().is_none());
    assert!(
        window
            .harness
            .query_by_label("They say nothing of this photo")
            .is_some()
    );
}

#[test]
fn the_grouping_is_stepped_through() {
    let mut window = album();
    window.click("Grouping");
    window.until(|w| w.harness.state().pose().inside().is_some());
    window.calm();
    let step = |w: &Window| w.harness.state().pose().inside().unwrap().1;
    assert_eq!(step(&window), 0);
    assert!(window.harness.query_by_label("Candidates").is_some());
    window.key(Key::ArrowDown, Modifiers::NONE);
    assert_eq!(step(&window), 1);
    window.harness.step();
    assert!(
        window
            .harness
            .query_by_label("4 groups, 2 pairs considered, 2 merge")
            .is_some()
    );
    for _ in 0..9 {
        window.key(Key::ArrowDown, Modifiers::NONE);
    }
    assert_eq!(step(&window), 3, "candidates, two passes, groups");
    window.click("Previous pass");
    assert_eq!(step(&window), 2);
    window.click("Heat map");
    window.calm();
    assert!(
        window
            .harness
            .query_by_label_contains("MultiPose")
            .is_some()
    );
    window.key(Key::W, Modifiers::NONE);
    window.key(Key::W, Modifiers::NONE);
    window.harness.step();
    assert!(window.harness.query_by_label("Person 1").is_some());
}

#[test]
fn a_photo_that_cannot_be_read_is_told_and_stops_no_other() {
    let mut window = Window::with(Stub::blind());
    let folder = window.folder.path().join("mixed");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("1.png"), "no picture").unwrap();
    std::fs::write(folder.join("3.png"), "no picture").unwrap();
    save_photo(&folder.join("2.png"), 120);
    save_photo(&folder.join("4.png"), 120);
    window.key(Key::Num2, Modifiers::ALT);
    window.answer(Some(folder));
    window.click("Open");
    window.click("Folder…");
    window.until(|w| w.harness.state().pose().photos().len() == 4);
    window.calm();
    assert!(window.harness.state().pose().photos()[0].error.is_some());
    assert!(window.message().contains("1.png"), "{}", window.message());
    window.key(Key::R, Modifiers::SHIFT);
    window.calm();
    let photos = window.harness.state().pose().photos();
    let known: Vec<bool> = photos.iter().map(|e| e.poses.is_some()).collect();
    assert_eq!(known, [false, true, false, true]);
    assert!(photos[2].error.is_some());
    assert!(
        window.message().starts_with("1 of 3 photos"),
        "{}",
        window.message()
    );
}

#[test]
fn everything_of_the_pose_tab_fits_at_the_smallest_size() {
    let window = album();
    let screen = Rect::from_min_size(pos2(0.0, 0.0), super::SIZE);
    let mut last_right = 0.0;
    for name in [
        "Open",
        "Export",
        "Undo",
        "Redo",
        "Poses",
        "Heat map",
        "Grouping",
        "Fit",
        "Find again",
        "Loupe",
        "Weights",
        "Settings",
    ] {
        let rect = window.harness.get_by_label(name).rect();
        assert!(screen.contains_rect(rect), "{name} at {rect:?}");
        assert!(rect.left() >= last_right, "{name} lies on the one before");
        last_right = rect.right();
    }
    for name in [
        "Person 2",
        "Labels, dashed",
        "Face as the network saw it",
        "Right hand as the network saw it",
        "Photo 3: photo_10.png",
    ] {
        let rect = window.harness.get_by_label(name).rect();
        assert!(screen.contains_rect(rect), "{name} at {rect:?}");
    }
}
