//! `vitruvian bench face`: the steps of an edit on a sample portrait, as the window runs them.
//!
//! The edit opens a closed mouth. Left out: reading the photo, drawing the window.

use anyhow::{Context as _, Result};
use candle_core::Device;

use super::median_ms;
use crate::commands::{print, print_json};
use crate::face::edit::{EditRequest, FaceModels, Quality, find_faces, parse, render, style_of};
use crate::job::Out;
use crate::photo;
use crate::weights::Store;

const SAMPLE: &[u8] = include_bytes!("../../../assets/samples/redhead.jpg");
/// Left, top, right, bottom of the painted pixels, between the sample's lips, and their class.
const OPENED: [usize; 4] = [455, 762, 575, 786];
const MOUTH: u8 = 10;

/// Measures every step and prints milliseconds, a line each, or JSON.
///
/// # Errors
/// When weights are missing or a network fails.
pub fn run(json: bool) -> Result<()> {
    let models = FaceModels::load(&Store::find(), &Device::Cpu)?;
    let photo = photo::decode(SAMPLE)?.rgb;
    let quiet = Out::<()>::silent();
    let faces = find_faces(&models, &photo, &quiet)?;
    let face = faces.first().context("No face was found in the sample")?;
    let source = parse(&models, &photo, face, &quiet)?;
    let style = style_of(&models, &photo, face, &source)?;
    let mut target = source.clone();
    let [x0, y0, x1, y1] = OPENED;
    for y in y0..y1 {
        for x in x0..x1 {
            target.set(x, y, MOUTH);
        }
    }
    let request = EditRequest::new(&photo, face, &source, &target);
    let rendered = |quality| render(&models, &request, &style, quality, &quiet).map(drop);
    type Step<'a> = &'a dyn Fn() -> Result<()>;
    let steps: [(&str, Step); 5] = [
        ("find faces", &|| {
            find_faces(&models, &photo, &quiet).map(drop)
        }),
        ("parse", &|| parse(&models, &photo, face, &quiet).map(drop)),
        ("read the style", &|| {
            style_of(&models, &photo, face, &source).map(drop)
        }),
        ("render, preview", &|| rendered(Quality::Preview)),
        ("render, full", &|| rendered(Quality::Full)),
    ];
    let threads = rayon::current_num_threads();
    let mut times_ms = serde_json::Map::new();
    if !json {
        print(format_args!("{threads} threads, median times"));
    }
    for (name, step) in steps {
        let ms = median_ms(step).with_context(|| format!("Failed to {name}"))?;
        if !json {
            print(format_args!("{name:<20} {ms:>8.1} ms"));
        }
        times_ms.insert(name.to_owned(), ms.into());
    }
    if json {
        print_json(&serde_json::json!({ "threads": threads, "times_ms": times_ms }))?;
    }
    Ok(())
}
