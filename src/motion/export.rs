//! Predictions as files: CSV rows as `vitruvian motion predict` writes them, and JSON with everything known.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::metrics::Scores;
use super::{Future, Futures, Past};
use crate::photo::save_atomically;

/// One walker of a moment as it is written.
#[derive(Clone, Debug, Serialize)]
pub struct ExportedWalker {
    pub agent: String,
    pub past: Past,
    /// K futures.
    pub futures: Vec<Future>,
    /// How likely each is.
    pub weights: Vec<f32>,
    /// What the walker did, where it is known.
    pub truth: Option<Future>,
}

/// What was predicted at one frame.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    /// Name of the track file.
    pub file: String,
    /// The last observed frame.
    pub frame: i64,
    pub walkers: Vec<ExportedWalker>,
    pub scores: Option<Scores>,
}

impl ExportedWalker {
    /// Puts together what is known of a walker.
    pub fn new(agent: String, past: Past, futures: &Futures, truth: Option<Future>) -> Self {
        Self {
            agent,
            past,
            futures: futures.samples.clone(),
            weights: futures.weights.clone(),
            truth,
        }
    }
}

/// Writes `file,agent,frame,sample,step,x,y`.
///
/// # Errors
/// As [`save_atomically`].
pub fn save_csv(path: &Path, exported: &Exported) -> Result<()> {
    let mut text = String::from("file,agent,frame,sample,step,x,y\n");
    let quoted = |name: &str| match name.contains([',', '"', '\n']) {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.to_owned(),
    };
    let (file, frame) = (quoted(&exported.file), exported.frame);
    for walker in &exported.walkers {
        let agent = quoted(&walker.agent);
        for (sample, future) in walker.futures.iter().enumerate() {
            for (step, [x, y]) in future.iter().enumerate() {
                let step = step + 1;
                writeln!(text, "{file},{agent},{frame},{sample},{step},{x:.4},{y:.4}")?;
            }
        }
    }
    save_atomically(path, text.as_bytes())
}

/// Writes everything as JSON.
///
/// # Errors
/// As [`save_atomically`].
pub fn save_json(path: &Path, exported: &Exported) -> Result<()> {
    save_atomically(path, &serde_json::to_vec_pretty(exported)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::{OBS_LEN, PRED_LEN, SAMPLES};

    #[test]
    fn csv_has_a_row_for_each_step_and_json_can_be_read_back() {
        let folder = tempfile::TempDir::new().unwrap();
        let futures = Futures {
            samples: vec![std::array::from_fn(|i| [i as f64, 0.5]); SAMPLES],
            weights: vec![0.05; SAMPLES],
        };
        let walker = ExportedWalker::new(
            "7, the tall one".into(),
            [[0.0; 2]; OBS_LEN],
            &futures,
            None,
        );
        let exported = Exported {
            file: "plaza.txt".into(),
            frame: 120,
            walkers: vec![walker],
            scores: None,
        };
        let (csv, json) = (folder.path().join("a.csv"), folder.path().join("a.json"));
        save_csv(&csv, &exported).unwrap();
        save_json(&json, &exported).unwrap();
        let text = std::fs::read_to_string(&csv).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + SAMPLES * PRED_LEN);
        assert_eq!(
            lines[12],
            "plaza.txt,\"7, the tall one\",120,0,12,11.0000,0.5000"
        );
        let read: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        assert_eq!(read["walkers"][0]["futures"][19][11][0], 11.0);
        assert_eq!(read["frame"], 120);
    }
}
