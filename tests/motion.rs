//! `vitruvian motion` as a user runs it, with the weights of a small network that knows nothing: what counts here is
//! which rows come out, not where they lead.

use crate::cli::{text, vitruvian};
use candle_core::{DType, Device};
use candle_nn::{VarBuilder, VarMap};
use vitruvian::motion::dscmp::{Dscmp, DscmpConfig};
use vitruvian::motion::predict::notes_of;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        text(&self.0.path().join(name)).to_string()
    }

    fn with(&self, name: &str, content: &str) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    fn weights(&self) -> String {
        let config = DscmpConfig {
            hidden: 8,
            width: 16,
            ..DscmpConfig::default()
        };
        let vars = VarMap::new();
        Dscmp::load(
            &config,
            VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu),
        )
        .unwrap();
        let data = vars.data().lock().unwrap();
        let tensors = data
            .iter()
            .map(|(name, var)| (name.clone(), var.as_tensor().clone()));
        let path = self.0.path().join("w.safetensors");
        let notes = notes_of(&config, 0, "none").unwrap();
        vitruvian::weights::save(&path, &tensors.collect(), &notes, DType::F32).unwrap();
        text(&path).to_string()
    }
}

fn walk(agent: &str, steps: std::ops::Range<i64>) -> String {
    steps
        .map(|s| format!("{} {agent} {} 1.5\n", s * 12, 0.4 * s as f64))
        .collect()
}

#[test]
fn every_agent_with_eight_steps_is_predicted_and_a_bad_file_stops_nothing() {
    let folder = Folder::new();
    let good = folder.with(
        "good.txt",
        &(walk("7", 0..20) + &walk("8", 3..11) + &walk("9", 0..7)),
    );
    let bad = folder.with("bad.txt", "0 1 2 3\n12 1 2\n");
    let (out, weights) = (folder.path("out.csv"), folder.weights());
    let run = vitruvian(&[
        "motion",
        "predict",
        &bad,
        &good,
        "--checkpoint",
        &weights,
        "-o",
        &out,
    ]);
    run.assert_failed_with("line 2");
    assert!(
        run.stdout.contains("3 predictions for 2 agents"),
        "{}",
        run.stdout
    );
    let table = std::fs::read_to_string(&out).unwrap();
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("file,agent,frame,sample,step,x,y"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 3 * 20 * 12);
    let frames = |agent: &str| {
        let mut frames: Vec<&str> = rows
            .iter()
            .filter(|r| r[1] == agent)
            .map(|r| r[2])
            .collect();
        frames.dedup();
        frames.join(" ")
    };
    // Agent 7 at the first and the last frame with eight steps, agent 8 at its only one, 9 never.
    assert_eq!(
        (frames("7"), frames("8"), frames("9")),
        ("84 228".into(), "120".into(), String::new())
    );
    assert_eq!(rows[0][..5], ["good.txt", "7", "84", "0", "1"]);
    let every = vitruvian(&[
        "motion",
        "predict",
        &good,
        "--checkpoint",
        &weights,
        "-o",
        &out,
        "--frames",
        "every",
    ]);
    assert!(
        every
            .assert_ok()
            .stdout
            .contains("14 predictions for 2 agents")
    );
}

#[test]
fn what_cannot_be_predicted_is_told() {
    let folder = Folder::new();
    let short = folder.with("short.txt", &walk("1", 0..7));
    let (out, weights) = (folder.path("out.csv"), folder.weights());
    vitruvian(&[
        "motion",
        "predict",
        &short,
        "--checkpoint",
        &weights,
        "-o",
        &out,
    ])
    .assert_failed_with("Nobody is seen for 8 steps");
    assert!(!std::path::Path::new(&out).exists());
    let other = text(&crate::cli::root("weights/face_parser.safetensors")).to_string();
    vitruvian(&[
        "motion",
        "predict",
        &short,
        "--checkpoint",
        &other,
        "-o",
        &out,
    ])
    .assert_failed_with("no weights of the motion network");
    vitruvian(&[
        "motion",
        "evaluate",
        &folder.path("nowhere"),
        "--runs",
        &folder.path("runs"),
    ])
    .assert_failed_with("There are no weights");
}

#[test]
fn a_figure_has_two_pictures_a_scene() {
    let folder = Folder::new();
    let tracks = folder.with("walk.txt", &walk("1", 0..20));
    std::fs::create_dir(folder.path("place")).unwrap();
    folder.with("place/H_pixel_to_world.txt", "0.1 0 0\n0 0.1 0\n0 0 1\n");
    let panel = format!("{tracks},{}", folder.path("place"));
    let (out, weights) = (folder.path("figure.png"), folder.weights());
    let arguments = [
        "motion", "figure", "--panel", &panel, "--panel", &panel, "--width", "64",
    ];
    let rest = ["--checkpoint", &weights, "-o", &out];
    vitruvian(&[&arguments[..], &rest].concat()).assert_ok();
    let picture = vitruvian::photo::open(out.as_ref()).unwrap();
    assert_eq!((picture.rgb.width, picture.rgb.height), (152, 152));
    let late = format!("{panel},99999");
    vitruvian(&[&["motion", "figure", "--panel", &late][..], &rest].concat())
        .assert_failed_with("At frame 99999 nobody");
}
