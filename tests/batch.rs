//! `face apply` on several photos, and the forms that pictures and masks are written in, by the built program.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::{Run, root, text, vitruvian};

/// A portrait as an aligned crop of this side.
fn aligned(name: &str, side: u32, to: &Path) {
    let photo = image::open(root(&format!("assets/samples/{name}.jpg"))).unwrap();
    let small = photo.resize_exact(side, side, image::imageops::FilterType::Triangle);
    small.into_rgb8().save(to).unwrap();
}

fn report(folder: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

fn changed(a: &Path, b: &Path) -> Vec<(u32, u32)> {
    let (a, b) = (
        image::open(a).unwrap().into_rgb8(),
        image::open(b).unwrap().into_rgb8(),
    );
    let pairs = a.enumerate_pixels().zip(b.pixels());
    pairs
        .filter(|((_, _, a), b)| a != b)
        .map(|((x, y, _), _)| (x, y))
        .collect()
}

#[test]
fn a_recipe_is_applied_to_many_photos_and_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("in")).unwrap();
    for name in ["redhead", "beard"] {
        aligned(name, 256, &at(&format!("in/{name}.png")));
    }
    std::fs::write(at("in/notes.png"), "no picture").unwrap();
    let (recipe, single, out) = (at("open.json"), at("single.png"), at("out"));
    let photo = at("in/redhead.png");
    vitruvian(&[
        "face",
        "edit",
        text(&photo),
        "--aligned",
        "--paint",
        "mouth:10:110,193:148,193",
        "--save-recipe",
        text(&recipe),
        "-o",
        text(&single),
    ])
    .assert_ok();

    let apply = |rest: &[&str]| -> Run {
        let (recipe, input, out) = (text(&recipe), at("in"), text(&out));
        let flags = [
            "face",
            "apply",
            recipe,
            text(&input),
            "-o",
            out,
            "--aligned",
        ];
        vitruvian(&[&flags, rest].concat())
    };
    let run = apply(&[]);
    run.assert_failed_with("1 of 3 photos failed");
    run.assert_failed_with("notes.png");
    assert!(run.stderr.contains("3/3 "), "{}", run.stderr);
    let first = report(&out, "report.json");
    assert_eq!(
        (first["done"].as_u64(), first["failed"].as_u64()),
        (Some(2), Some(1))
    );
    let row = |report: &Value, name: &str| {
        let rows = report["photos"].as_array().unwrap().clone();
        let is_it = |row: &&Value| row["photo"].as_str().unwrap().ends_with(name);
        rows.iter().find(is_it).unwrap().clone()
    };
    assert!(
        row(&first, "notes.png")["error"]
            .as_str()
            .unwrap()
            .contains("not a picture")
    );
    // On the photo it was made on it does what the edit did.
    let (own, again) = (
        changed(&photo, &single),
        changed(&photo, &out.join("redhead.png")),
    );
    let both = again.iter().filter(|p| own.contains(p)).count();
    assert!(
        own.len() > 200 && both * 10 > own.len() * 8,
        "{both} of {}",
        own.len()
    );
    assert_eq!(row(&first, "redhead.png")["changed_pixels"], again.len());
    // On another its own mouth changes and nothing far from it.
    let other = changed(&at("in/beard.png"), &out.join("beard.png"));
    assert!(other.len() > 100, "{}", other.len());
    let stray = other
        .iter()
        .find(|(x, y)| !((60..200).contains(x) && (140..250).contains(y)));
    assert!(stray.is_none(), "{stray:?}");

    // The photo that failed is mended, and is the second of three shares.
    aligned("laugh", 256, &at("in/notes.png"));
    let share = apply(&["--shard", "2/3", "--json"]).assert_ok().json();
    assert_eq!(
        (
            share["done"].as_u64(),
            share["photos"].as_array().map(Vec::len)
        ),
        (Some(1), Some(1))
    );
    assert_eq!(report(&out, "report-2-of-3.json")["done"], 1);
    // Again: nothing is left to do, whichever run did it.
    let written = || {
        std::fs::metadata(out.join("beard.png"))
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = written();
    let again = apply(&["--json"]).assert_ok().json();
    assert_eq!(
        (again["done"].as_u64(), again["skipped"].as_u64()),
        (Some(0), Some(3))
    );
    assert_eq!(written(), before);
}

#[test]
fn masks_are_written_in_every_form_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let photo = at("00007.png");
    aligned("redhead", 128, &photo);
    let parse = |form: &str, to: &Path| {
        let flags = ["face", "parse", text(&photo), "--aligned", "--format", form];
        vitruvian(&[&flags, &["-o", text(to)][..]].concat()).assert_ok();
    };
    parse("bisenet", &at("bisenet.png"));
    parse("parts", &at("parts"));
    parse("rle", &at("mask.json"));
    let json: Value = serde_json::from_slice(&std::fs::read(at("mask.json")).unwrap()).unwrap();
    assert_eq!(json["images"][0]["file_name"], "00007.png");
    let hair = image::open(at("parts/00007_hair.png"))
        .unwrap()
        .into_luma8();
    assert!(hair.pixels().all(|p| matches!(p[0], 0 | 255)));
    let masks: [PathBuf; 3] = [
        at("bisenet.png"),
        at("parts/00007_nose.png"),
        at("mask.json"),
    ];
    // All of them say the same, so none asks for a change of another.
    for (source, mask) in [(0, 1), (1, 2)] {
        let run = vitruvian(&[
            "face",
            "edit",
            text(&photo),
            "--aligned",
            "--source-mask",
            text(&masks[source]),
            "--mask",
            text(&masks[mask]),
            "-o",
            text(&at("same.png")),
        ]);
        assert!(
            run.assert_ok().stdout.contains("no change"),
            "{}",
            run.stdout
        );
    }
}

#[test]
fn a_photo_of_16_bits_keeps_them_outside_the_edit() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    aligned("redhead", 256, &at("small.png"));
    let mut deep = image::open(at("small.png")).unwrap().into_rgb16();
    for (i, value) in deep.iter_mut().enumerate() {
        *value = value.saturating_add((i % 100) as u16);
    }
    deep.save(at("deep.png")).unwrap();
    let edit = |rest: &[&str], to: &str| {
        let (photo, to) = (at("deep.png"), at(to));
        let flags = ["face", "edit", text(&photo), "--aligned", "-o", text(&to)];
        let stroke = ["--paint", "mouth:10:110,193:148,193", "--render", "preview"];
        vitruvian(&[&flags, &stroke[..], rest].concat())
    };
    edit(&[], "out.png").assert_ok();
    let out = match image::open(at("out.png")).unwrap() {
        image::DynamicImage::ImageRgb16(out) => out,
        other => panic!("{:?}", other.color()),
    };
    let pairs = out.enumerate_pixels().zip(deep.pixels());
    let differ: Vec<_> = pairs
        .filter(|((_, _, a), b)| a != b)
        .map(|((x, y, _), _)| (x, y))
        .collect();
    assert!(differ.len() > 200, "{}", differ.len());
    let stray = differ
        .iter()
        .find(|(x, y)| !((60..200).contains(x) && (140..250).contains(y)));
    assert!(stray.is_none(), "{stray:?}");
    edit(&["--bits", "16"], "out.jpg").assert_failed_with("PNG or TIFF");
}
