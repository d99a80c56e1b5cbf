//! `vitruvian pose group` and `vitruvian pose evaluate-grouping`: the bottom-up way by itself.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;

use super::evaluate::annotation_file;
use crate::cli::pose::{EvaluateGroupingArgs, GroupArgs};
use crate::commands::{for_each_file, print, print_error, print_json, with_path};
use crate::photo;
use crate::pose::annotations::{ImageId, read_annotations, results_json};
use crate::pose::group_people::{GroupingNetworks, group_people};
use crate::pose::grouping_compare::{Comparison, WAYS, all_ways};
use crate::pose::keypoints::Person;
use crate::weights::Store;

#[derive(Serialize)]
struct Grouped {
    people: usize,
    #[serde(skip)]
    path: PathBuf,
}

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.people == 1 { "person" } else { "people" };
        write!(f, "{} {noun}: {}", self.people, self.path.display())
    }
}

/// Groups each photo; what was found is written even when some photos failed.
pub fn group(args: &GroupArgs) -> Result<()> {
    let networks = GroupingNetworks::load(&Store::find())?;
    let mut found: Vec<(ImageId, Vec<Person>)> = Vec::new();
    let done = for_each_file(&args.photos, args.json, |_, path| {
        let photo = photo::open(path)?;
        let people = group_people(&networks, &photo.rgb, usize::from(args.side))?;
        let count = people.len();
        found.push((ImageId::of_file(path), people));
        Ok(Grouped {
            people: count,
            path: path.to_path_buf(),
        })
    });
    let json = results_json(found.iter().map(|(id, people)| (id, people.as_slice())))?;
    photo::save_atomically(&args.output, json.as_bytes())?;
    done
}

#[derive(Serialize)]
struct Evaluated {
    side_px: u16,
    #[serde(flatten)]
    comparison: Comparison,
    /// Mean milliseconds a photo, from pixels to maps and from maps to people.
    maps_ms: f64,
    grouping_ms: f64,
}

/// Measures all ways on the photos that can be read; the others are told and left out.
pub fn evaluate(args: &EvaluateGroupingArgs) -> Result<()> {
    let path = annotation_file(&args.data)?;
    let annotations = read_annotations(&path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let networks = GroupingNetworks::load(&Store::find())?;
    let (mut truth, mut failures) = (Vec::new(), 0);
    let mut people: [Vec<Vec<Person>>; WAYS.len()] = Default::default();
    let (mut maps_time, mut grouping_time) = (Duration::ZERO, Duration::ZERO);
    for image in annotations.images.values() {
        // A file may name photos beside it and nothing else.
        let name = Path::new(&image.file_name).file_name().unwrap_or_default();
        let beside = folder.join(name);
        let file = if beside.is_file() {
            beside
        } else {
            folder.join("images").join(name)
        };
        let ways = photo::open(&file)
            .and_then(|photo| all_ways(&networks, &photo.rgb, usize::from(args.side)));
        match ways {
            Ok(ways) => {
                truth.push(image.people.clone());
                maps_time += ways.maps_time;
                grouping_time += ways.graph_time;
                for (all, own) in people.iter_mut().zip(ways.people) {
                    all.push(own);
                }
            }
            Err(error) => {
                print_error(&with_path(error, &file));
                failures += 1;
            }
        }
    }
    if truth.is_empty() {
        bail!(
            "None of the annotated photos could be opened: put them beside {} or in images/",
            path.display()
        );
    }
    let mean_ms = |time: Duration| 1e3 * time.as_secs_f64() / truth.len() as f64;
    let evaluated = Evaluated {
        side_px: args.side,
        maps_ms: mean_ms(maps_time),
        grouping_ms: mean_ms(grouping_time),
        comparison: Comparison::of(&truth, WAYS.into_iter().zip(people).collect()),
    };
    if args.json {
        print_json(&evaluated)?;
    } else {
        print(&evaluated.comparison);
        print(format_args!(
            "at {} pixels; maps {:.0} ms and grouping {:.0} ms a photo",
            args.side, evaluated.maps_ms, evaluated.grouping_ms
        ));
    }
    match failures {
        0 => Ok(()),
        n => bail!("{n} photos could not be looked at; the figures are those of the others"),
    }
}
