//! Opens a recording or has one made up, and prepares it to be shown: on its picture, or on paper where there is none.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::steps::Value;
use super::work::Opened;
use crate::gpu::{Gpu, MaskTexture, PictureTexture};
use crate::job::Out;
use crate::motion;
use crate::motion::moments::{Moment, Steps, moments};
use crate::motion::scene::{Homography, Scene};
use crate::motion::simulate::{Place, simulate};
use crate::motion::tracks::Tracks;
use crate::raster::{Grid, Rgb, resize_labels};

/// Where a recording comes from.
pub enum Source {
    Simulated(Place),
    /// Files, and the tracks that are open, for a picture that comes alone.
    Files(Vec<PathBuf>, Option<(String, Option<PathBuf>, Arc<Tracks>)>),
}

/// Reads a recording, or makes one up.
pub fn open(source: Source, gpu: &Gpu, out: &Out<Value>) -> Result<()> {
    let (name, path, tracks, scene) = match source {
        Source::Simulated(place) => {
            out.progress(
                0.1,
                format!("Sending walkers to the {}", place.name().to_lowercase()),
            )?;
            let made = simulate(place, 1)?;
            (
                place.name().to_owned(),
                None,
                Arc::new(made.tracks),
                made.scene,
            )
        }
        Source::Files(paths, current) => {
            out.progress(0.1, "Reading the tracks")?;
            let found = motion::open::open(&paths)?;
            let (name, path, tracks) = match (found.tracks, current) {
                (Some((path, tracks)), _) => {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    (name.into_owned(), Some(path), Arc::new(tracks))
                }
                (None, Some(current)) => current,
                (None, None) => anyhow::bail!(
                    "None of these files has tracks. Open a text or CSV file with frame, walker, x and y in each line"
                ),
            };
            (name, path, tracks, found.scene)
        }
    };
    out.progress(0.6, "Preparing the recording")?;
    let mut all = moments(&tracks, Steps::Even);
    if all.is_empty() {
        all = moments(&tracks, Steps::Listed);
    }
    let mut notes = tracks.notes.clone();
    if all.is_empty() {
        notes.push(format!(
            "Nobody was seen for {} steps in a row, so nothing can be predicted",
            motion::OBS_LEN
        ));
    }
    let metres_a_unit = match (&scene.homography, &scene.picture) {
        (None, Some(_)) => {
            let metres = metres_a_unit(&all);
            notes.push(format!(
                "No homography: a pixel is taken for {metres:.3} m, so that people walk at 1.3 m/s"
            ));
            metres
        }
        _ => 1.0,
    };
    let (scene, paper) = match &scene.picture {
        Some(_) => (scene, None),
        None => {
            let (scene, paper) = on_paper(scene, &tracks)?;
            (scene, Some(paper))
        }
    };
    let picture = paper.as_ref().or(scene.picture.as_ref());
    let picture = picture.context("Failed to prepare the picture")?;
    let ground = scene.walkable.as_ref().map(|walkable| {
        let blocked = walkable.map(|can| u8::from(!can));
        let labels = resize_labels(&blocked, picture.width, picture.height);
        Arc::new(MaskTexture::new(gpu, &labels))
    });
    let opened = Opened {
        ground,
        name,
        path,
        size: [picture.width, picture.height],
        texture: Arc::new(PictureTexture::new(gpu, picture)),
        tracks,
        scene: Arc::new(scene),
        metres_a_unit,
        moments: all,
    };
    out.value(Value::Opened(Box::new(opened)))?;
    if !notes.is_empty() {
        out.value(Value::Notes(notes))?;
    }
    Ok(())
}

/// How many metres a unit must be for people who move to walk at 1.3 m/s.
fn metres_a_unit(moments: &[Moment]) -> f64 {
    let walkers = moments.iter().flat_map(|m| &m.walkers);
    let mut steps: Vec<f64> = walkers
        .map(|w| {
            motion::distance(w.past[0], w.past[motion::OBS_LEN - 1]) / (motion::OBS_LEN - 1) as f64
        })
        .filter(|step| *step > 0.0)
        .collect();
    steps.sort_by(f64::total_cmp);
    let median = steps.get(steps.len() / 2).copied();
    median.map_or(1.0, |step| 1.3 * motion::DT_SECS / step)
}

/// A sheet with a grid to show tracks on that come without a picture.
fn on_paper(scene: Scene, tracks: &Tracks) -> Result<(Scene, Rgb)> {
    const LONG_SIDE_PX: f64 = 1600.0;
    const PAPER: [u8; 3] = [44, 46, 50];
    const LINE: [u8; 3] = [56, 58, 63];
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for point in tracks.tracks.iter().flat_map(|t| &t.points) {
        for k in 0..2 {
            low[k] = low[k].min(point.at[k]);
            high[k] = high[k].max(point.at[k]);
        }
    }
    let extent = (high[0] - low[0]).max(high[1] - low[1]).max(1.0);
    let margin = 0.08 * extent;
    let unit = (extent + 2.0 * margin) / LONG_SIDE_PX;
    let side = |k: usize| {
        (((high[k] - low[k]).max(0.0) + 2.0 * margin) / unit)
            .ceil()
            .max(64.0) as usize
    };
    let mut paper = Rgb::new(side(0), side(1), PAPER);
    // Lines a metre apart, or ten, …
    let grid = 10f64.powf((extent / 40.0).log10().ceil().max(0.0));
    let origin = [low[0] - margin, low[1] - margin];
    let is_line = |pixel: usize, k: usize| {
        let at = (origin[k] + pixel as f64 * unit) / grid;
        at.floor() != (at - unit / grid).floor()
    };
    let columns: Vec<bool> = (0..paper.width).map(|x| is_line(x, 0)).collect();
    for y in 0..paper.height {
        let all = is_line(y, 1);
        for x in (0..paper.width).filter(|x| all || columns[*x]) {
            paper.set(x, y, LINE);
        }
    }
    // A mask without a picture keeps the way to the ground that it came with.
    let homography = Homography::new([
        [unit, 0.0, origin[0]],
        [0.0, unit, origin[1]],
        [0.0, 0.0, 1.0],
    ])?;
    let keeps_mask = scene.walkable.is_none() || scene.homography.is_none();
    Ok((
        Scene {
            picture: None,
            homography: Some(homography),
            walkable: if keeps_mask {
                None
            } else {
                mask_on(&scene, &homography, &paper)
            },
        },
        paper,
    ))
}

/// The mask of a scene as seen on the paper.
fn mask_on(scene: &Scene, homography: &Homography, paper: &Rgb) -> Option<Grid<bool>> {
    scene.walkable.as_ref()?;
    let mut mask = Grid::new(paper.width, paper.height, true);
    for (i, cell) in mask.data.iter_mut().enumerate() {
        let pixel = [
            (i % paper.width) as f64 + 0.5,
            (i / paper.width) as f64 + 0.5,
        ];
        *cell = scene
            .is_walkable(homography.to_world(pixel))
            .unwrap_or(true);
    }
    Some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::tracks::parse;

    #[test]
    fn tracks_without_a_picture_lie_on_paper_with_room_around_them() {
        let walk: String = (0..20)
            .map(|i| format!("{} 1 {} 5\n", i * 10, 100 + i))
            .collect();
        let tracks = parse(&walk).unwrap();
        let (scene, paper) = on_paper(Scene::default(), &tracks).unwrap();
        for point in &tracks.tracks[0].points {
            let [x, y] = scene.to_pixel(point.at);
            assert!(x > 20.0 && x < paper.width as f64 - 20.0, "{x}");
            assert!(y > 20.0 && y < paper.height as f64 - 20.0, "{y}");
        }
        // One unit in 0.4 s must be 0.52 m.
        let scale = metres_a_unit(&moments(&tracks, Steps::Even));
        assert!((scale - 0.52).abs() < 1e-6, "{scale}");
    }
}
