//! The built program, run as a user would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("killed by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|err| panic!("{err}: {}\n{}", self.stdout, self.stderr))
    }

    /// Fails unless the program ended with code 1 and one clear line that has `words`, and without a panic.
    #[track_caller]
    pub fn assert_failed_with(&self, words: &str) {
        assert_eq!(self.code, 1, "{}\n{}", self.stdout, self.stderr);
        let errors: Vec<&str> = self
            .stderr
            .lines()
            .filter(|line| line.starts_with("error: "))
            .collect();
        assert!(
            errors.iter().any(|line| line.contains(words)),
            "no {words:?} in {:?}",
            self.stderr
        );
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }

    #[track_caller]
    pub fn assert_ok(&self) -> &Self {
        assert_eq!(self.code, 0, "{}\n{}", self.stdout, self.stderr);
        self
    }
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vitruvian"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env("VITRUVIAN_WEIGHTS", root("weights"));
    command
}

pub fn vitruvian(arguments: &[&str]) -> Run {
    Run::of(command(arguments).output().unwrap())
}

/// A path inside the source tree.
pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn bad_usage_is_code_2_and_help_is_code_0() {
    assert_eq!(vitruvian(&["--nonsense"]).code, 2);
    assert_eq!(vitruvian(&["weights"]).code, 2);
    let help = vitruvian(&["--help"]);
    help.assert_ok();
    assert!(help.stdout.contains("weights"), "{}", help.stdout);
    assert!(vitruvian(&["--version"]).stdout.starts_with("vitruvian "));
}

#[test]
fn shipped_weights_are_listed_and_fit() {
    let listed = vitruvian(&["weights", "list", "--json"]);
    let rows = listed.assert_ok().json();
    let names: Vec<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| row["name"].as_str())
        .collect();
    assert!(
        names.contains(&"face_detector") && names.contains(&"face_mesh"),
        "{names:?}"
    );

    let checked = vitruvian(&["weights", "check", "--json"]);
    for row in checked.assert_ok().json().as_array().unwrap() {
        assert_eq!(row["missing"].as_array().map(Vec::len), Some(0), "{row}");
        assert_eq!(row["unused"].as_array().map(Vec::len), Some(0), "{row}");
    }
}

#[test]
fn every_weight_file_is_in_the_table() {
    let table = std::fs::read_to_string(root("weights/README.md")).unwrap();
    for row in vitruvian(&["weights", "list", "--json"])
        .json()
        .as_array()
        .unwrap()
    {
        let name = row["name"].as_str().unwrap();
        assert!(
            table.contains(&format!("| `{name}` |")),
            "weights/README.md has no row for {name}"
        );
    }
}

#[test]
fn pytorch_weights_are_imported_and_the_failure_of_one_file_stops_no_other() {
    let out = tempfile::tempdir().unwrap();
    let (legacy, zip) = (
        root("tests/data/weights/legacy.pth"),
        root("tests/data/weights/zip.pth"),
    );
    let run = vitruvian(&[
        "weights",
        "import",
        text(&legacy),
        "no/such.pth",
        text(&zip),
        "-o",
        text(out.path()),
    ]);
    run.assert_failed_with("1 of 3 files failed");
    run.assert_failed_with("no/such.pth");
    let files = ["legacy", "zip"]
        .map(|name| std::fs::read(out.path().join(format!("{name}.safetensors"))).unwrap());
    assert!(files.iter().all(|bytes| bytes.len() > 100));
}

#[test]
fn a_closed_pipe_is_no_crash() {
    let mut child = command(&["weights", "list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let run = Run::of(child.wait_with_output().unwrap());
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
}

fn sample() -> String {
    text(&root("assets/samples/redhead.jpg")).to_string()
}

fn rgb(path: &Path) -> image::RgbImage {
    image::open(path).unwrap().into_rgb8()
}

#[test]
fn a_face_is_found_and_parsed_at_the_photos_own_size() {
    let out = tempfile::tempdir().unwrap();
    let mask = out.path().join("mask.png");
    let run = vitruvian(&["face", "parse", &sample(), "--json", "-o", text(&mask)]);
    let row = &run.assert_ok().json()[0];
    let bbox: Vec<f64> = row["faces"][0]["box"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(serde_json::Value::as_f64)
        .collect();
    assert!(
        bbox[0] > 100.0 && bbox[2] < 924.0 && bbox[1] > 100.0 && bbox[3] < 1024.0,
        "{bbox:?}"
    );
    let mask = image::open(mask).unwrap();
    assert_eq!(
        (mask.width(), mask.height(), mask.color()),
        (1024, 1024, image::ColorType::L8)
    );
    let mask = mask.into_luma8();
    // What is where in this portrait: forehead, nose, both eyes (the subject's left is on the right), a lip, hair.
    for (x, y, classes) in [
        (510, 280, &[1][..]),
        (510, 560, &[2]),
        (640, 480, &[4]),
        (380, 480, &[5]),
        (510, 790, &[11, 12]),
        (300, 200, &[13]),
    ] {
        let class = mask.get_pixel(x, y)[0];
        assert!(
            classes.contains(&class),
            "{class} at {x}, {y}, not {classes:?}"
        );
    }
}

#[test]
fn the_aligned_crop_is_written_with_its_mask() {
    let out = tempfile::tempdir().unwrap();
    let mask = out.path().join("mask.png");
    vitruvian(&["face", "parse", &sample(), "--crop", "-o", text(&mask)]).assert_ok();
    for path in [mask, out.path().join("mask-crop.png")] {
        assert_eq!(image::image_dimensions(path).unwrap(), (512, 512));
    }
    let run = vitruvian(&[
        "face",
        "parse",
        &sample(),
        "--face",
        "2",
        "-o",
        text(&out.path().join("no.png")),
    ]);
    run.assert_failed_with("There is no face 2: 1 found");
}

/// Two portraits side by side: the mask of one has one nose, the mask of all has two.
#[test]
fn all_faces_can_be_parsed_at_once() {
    let out = tempfile::tempdir().unwrap();
    let [photo, one, all] = ["both.png", "one.png", "all.png"].map(|name| out.path().join(name));
    let mut both = image::RgbImage::new(2048, 1024);
    image::imageops::replace(&mut both, &rgb(Path::new(&sample())), 0, 0);
    image::imageops::replace(&mut both, &rgb(&root("assets/samples/beard.jpg")), 1024, 0);
    both.save(&photo).unwrap();
    vitruvian(&["face", "parse", text(&photo), "-o", text(&one)]).assert_ok();
    vitruvian(&["face", "parse", text(&photo), "--all", "-o", text(&all)]).assert_ok();
    let has_nose = |path: &Path| {
        let mask = image::open(path).unwrap().into_luma8();
        let nose = |x0: u32| {
            mask.enumerate_pixels()
                .any(|(x, _, id)| id[0] == 2 && (x0..x0 + 1024).contains(&x))
        };
        (nose(0), nose(1024))
    };
    assert!(has_nose(&one) == (true, false) || has_nose(&one) == (false, true));
    assert_eq!(has_nose(&all), (true, true));
}

#[test]
fn an_edit_changes_what_was_painted_and_nothing_far_from_it() {
    let out = tempfile::tempdir().unwrap();
    let [mask, after, again] =
        ["mask.png", "after.png", "again.png"].map(|name| out.path().join(name));
    let strokes = [
        "--paint",
        "mouth:30:440,770:590,770",
        "--write-mask",
        text(&mask),
    ];
    let edit = |rest: &[&str], output: &Path| {
        vitruvian(&[&["face", "edit", &sample(), "-o", text(output)], rest].concat())
    };
    edit(&strokes, &after).assert_ok();
    assert_eq!(
        image::open(&mask).unwrap().into_luma8().get_pixel(510, 770)[0],
        10
    );

    let (before, edited) = (rgb(Path::new(&sample())), rgb(&after));
    let differs = |x: u32, y: u32| before.get_pixel(x, y) != edited.get_pixel(x, y);
    let changed = before
        .enumerate_pixels()
        .filter(|(x, y, _)| differs(*x, *y))
        .count();
    assert!(changed > 3000, "only {changed} pixels changed");
    // The stroke spans 425 to 605 and 755 to 785. Its margin and feather are a few per cent of the crop.
    let stray = before
        .enumerate_pixels()
        .find(|(x, y, _)| differs(*x, *y) && !((300..730).contains(x) && (640..900).contains(y)));
    assert!(stray.is_none(), "{stray:?} changed");

    // The mask that was written is the same edit, and the same edit gives the same picture.
    edit(&["--mask", text(&mask)], &again).assert_ok();
    assert!(rgb(&again) == edited);
}

#[test]
fn an_unchanged_mask_leaves_the_photo_as_it_is() {
    let out = tempfile::tempdir().unwrap();
    let [mask, after] = ["mask.png", "after.png"].map(|name| out.path().join(name));
    vitruvian(&["face", "parse", &sample(), "-o", text(&mask)]).assert_ok();
    let run = vitruvian(&[
        "face",
        "edit",
        &sample(),
        "--mask",
        text(&mask),
        "-o",
        text(&after),
    ]);
    assert!(
        run.assert_ok().stdout.contains("no change"),
        "{}",
        run.stdout
    );
    assert!(rgb(&after) == rgb(Path::new(&sample())));
}
