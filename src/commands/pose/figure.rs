//! `vitruvian pose figure`: people of some photos with face and hands enlarged, as they are annotated or as found.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use super::evaluate::annotation_file;
use crate::cli::pose::FigureArgs;
use crate::commands::{for_each_file, note, print};
use crate::job::Out;
use crate::photo;
use crate::pose::annotations::{Annotations, read_annotations};
use crate::pose::estimate::{PoseConfig, detect};
use crate::pose::figure::{MAX_ROWS, is_detailed, labelled, row, stacked};
use crate::pose::keypoints::Person;
use crate::pose::networks::Networks;
use crate::raster::Rgb;
use crate::weights::Store;

#[derive(Serialize)]
struct Figured {
    people: usize,
    #[serde(skip)]
    path: PathBuf,
}

impl fmt::Display for Figured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.people == 1 { "person" } else { "people" };
        write!(f, "{} {noun}: {}", self.people, self.path.display())
    }
}

/// Where people come from.
enum Origin {
    Annotated(Annotations),
    Found(Box<Networks>),
}

pub fn run(args: &FigureArgs) -> Result<()> {
    let origin = match &args.annotations {
        Some(data) => {
            let path = annotation_file(data)?;
            let annotations = read_annotations(&path)?;
            for text in &annotations.notes {
                note(text, &path);
            }
            Origin::Annotated(annotations)
        }
        None => Origin::Found(Box::new(Networks::load(&Store::find())?)),
    };
    let mut rows: Vec<Rgb> = Vec::new();
    let done = for_each_file(&args.photos, args.json, |_, path| {
        let photo = photo::open(path)?;
        let mut people = match &origin {
            Origin::Annotated(annotations) => annotated(annotations, path)?,
            Origin::Found(networks) => found(networks, &photo.rgb)?,
        };
        people.retain(is_detailed);
        let room = MAX_ROWS - rows.len();
        ensure!(room > 0, "The figure is full: it has {MAX_ROWS} rows");
        people.truncate(room.min(usize::from(args.people)));
        rows.extend(people.iter().map(|person| row(&photo.rgb, person)));
        Ok(Figured {
            people: people.len(),
            path: path.to_path_buf(),
        })
    });
    if rows.is_empty() {
        done?;
        bail!("Nobody in these photos has a face or a hand to show");
    }
    photo::save(&args.output, &photo::Photo::from_rgb(stacked(&rows)))?;
    if !args.json {
        print(args.output.display());
    }
    done
}

/// The people that the annotations have for a photo, told by its file name or its number.
fn annotated(annotations: &Annotations, path: &Path) -> Result<Vec<Person>> {
    let Some(image) = annotations.of_file(path) else {
        bail!("The annotations say nothing of this photo");
    };
    Ok(image.people.iter().map(labelled).collect())
}

fn found(networks: &Networks, photo: &Rgb) -> Result<Vec<Person>> {
    let out: Out<()> = Out::to_stderr("pose");
    let people = detect(networks, photo, &PoseConfig::default(), &out)?;
    Ok(people.into_iter().map(|zoomed| zoomed.person).collect())
}
