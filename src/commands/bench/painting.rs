//! What painting costs: strokes of a 300 px brush on masks from 512² to 8192², as the window paints them.
//!
//! One "frame" is one move of the pointer: painting it into the label map and uploading the touched rectangle. Then
//! 1,000 strokes fill the history. Left out: the window around it; `frame_times` in the tests measures whole frames.

use std::fmt;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use crate::commands::{print, print_json};
use crate::face::mask::{History, Labels, Stroke};
use crate::gpu::{Gpu, MaskTexture};
use crate::job::peak_memory_mb;

const SIDES: [usize; 5] = [512, 1024, 2048, 4096, 8192];
const BRUSH_PX: f32 = 300.0;
const FRAMES: usize = 120;
const STROKES: usize = 1_000;

#[derive(Serialize)]
struct Row {
    side_px: usize,
    frame_median_ms: f64,
    frame_95_percent_ms: f64,
    uploaded_kb_per_frame: u64,
    history_steps: usize,
    history_mb: f64,
    peak_memory_mb: Option<u64>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = format!("{}²", self.side_px);
        write!(
            f,
            "{side:>6}: frame {:6.3} ms, 95 % {:6.3} ms, {:4} kB uploaded; {} steps in {:.1} MB",
            self.frame_median_ms,
            self.frame_95_percent_ms,
            self.uploaded_kb_per_frame,
            self.history_steps,
            self.history_mb,
        )?;
        match self.peak_memory_mb {
            Some(mb) => write!(f, ", program {mb} MB at most"),
            None => Ok(()),
        }
    }
}

pub fn run(json: bool) -> Result<()> {
    let gpu = Gpu::headless()?;
    let mut rows = Vec::new();
    for side in SIDES {
        let row = measure(&gpu, side);
        if !json {
            print(&row);
        }
        rows.push(row);
    }
    if json {
        print_json(&rows)?;
    }
    Ok(())
}

/// A circle around the middle of the mask.
fn point(side: usize, step: usize) -> [f32; 2] {
    let (middle, angle) = (side as f32 / 2.0, step as f32 * 0.1);
    let radius = side as f32 * 0.25;
    [middle + radius * angle.cos(), middle + radius * angle.sin()]
}

fn measure(gpu: &Gpu, side: usize) -> Row {
    let mut mask = Labels::new(side, side, 1);
    let texture = MaskTexture::new(gpu, &mask);
    let uploaded = texture.uploaded_bytes();
    let mut stroke = Stroke::new(13, BRUSH_PX / 2.0);
    let mut times_ms: Vec<f64> = (0..FRAMES)
        .map(|step| {
            let start = Instant::now();
            let rect = stroke.to(&mut mask, point(side, step));
            texture.update(gpu, &mask, rect);
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times_ms.sort_by(f64::total_cmp);
    let at = |part: usize| {
        times_ms
            .get(times_ms.len() * part / 100)
            .copied()
            .unwrap_or(0.0)
    };
    let uploaded = (texture.uploaded_bytes() - uploaded) / FRAMES as u64;

    let mut history = History::default();
    for i in 0..STROKES {
        let mut stroke = Stroke::new((i % 19) as u8, BRUSH_PX / 2.0);
        for step in 0..4 {
            stroke.to(&mut mask, point(side, i * 7 + step));
        }
        if let Some(before) = stroke.finish(&mask) {
            history.push(&before, "Paint", &mask);
        }
    }
    Row {
        side_px: side,
        frame_median_ms: at(50),
        frame_95_percent_ms: at(95),
        uploaded_kb_per_frame: uploaded / 1024,
        history_steps: history.len(),
        history_mb: history.bytes() as f64 / f64::from(1 << 20),
        peak_memory_mb: peak_memory_mb(),
    }
}
