//! What the jobs of the pose tab do: open photos, find people, look inside, cut crops, make thumbnails, save.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::work::Source;
use crate::gpu::{Gpu, HeatmapTexture, Layer, PictureTexture};
use crate::job::Out;
use crate::people::crop::Region;
use crate::photo::{self, Listing};
use crate::pose::annotation_export::{Annotated, annotations_json};
use crate::pose::annotations::{
    AnnotatedImage, Annotations, ImageId, read_annotations, results_json,
};
use crate::pose::estimate::{Method, PoseConfig, detect};
use crate::pose::group_people::SIDE_PX;
use crate::pose::inside::{Inside, look_inside};
use crate::pose::keypoints::Person;
use crate::pose::networks::Networks;
use crate::pose::zoomnet::Zoomed;
use crate::raster::{Rgb, resize_rgb};
use crate::ui::dialog::{self, Ask, FileDialog};
use crate::ui::picture::save_stack;
use crate::weights::Store;

/// Side of the crops in the loupe, in pixels.
pub const CROP_PX: usize = 256;
/// Longest sides of a thumbnail, in pixels.
pub const THUMB_PX: [usize; 2] = [160, 104];

/// The models of the tab.
pub trait PoseSteps: Send + Sync {
    /// Everyone in a photo, surest first.
    ///
    /// # Errors
    /// Cancelled, or a failure of a network.
    fn detect(&self, photo: &Rgb, method: Method, out: &Out<Value>) -> Result<Vec<Zoomed>>;

    /// Heat maps and grouping.
    ///
    /// # Errors
    /// A failure of a network.
    fn look_inside(&self, photo: &Rgb) -> Result<Inside>;
}

/// Loads the models; runs in a job.
pub type Load = Box<dyn FnOnce() -> Result<Arc<dyn PoseSteps>> + Send>;

struct PoseModels {
    networks: Networks,
}

/// The networks that the program ships.
///
/// # Errors
/// When a weight file is missing or cannot be read.
pub fn load() -> Result<Arc<dyn PoseSteps>> {
    let networks = Networks::load(&Store::find())?;
    Ok(Arc::new(PoseModels { networks }))
}

impl PoseSteps for PoseModels {
    fn detect(&self, photo: &Rgb, method: Method, out: &Out<Value>) -> Result<Vec<Zoomed>> {
        let config = PoseConfig {
            method,
            ..PoseConfig::default()
        };
        detect(&self.networks, photo, &config, out)
    }

    fn look_inside(&self, photo: &Rgb) -> Result<Inside> {
        look_inside(
            &self.networks.multipose,
            &self.networks.grouper,
            photo,
            SIDE_PX,
        )
    }
}

/// What a path is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    OpenPhotos,
    OpenFolder,
    OpenAnnotations,
    SavePng,
    /// People as found and corrected, with scores.
    SaveResults,
    /// The same as labels to train or measure with.
    SaveAnnotations,
}

/// A photo that is shown.
pub struct Shown {
    pub index: usize,
    pub rgb: Arc<Rgb>,
    pub texture: Arc<PictureTexture>,
}

/// What the networks saw of one person: face, left hand, right hand.
pub struct Crops {
    pub index: usize,
    pub person: usize,
    pub pictures: [Option<(Region, Rgb)>; 3],
}

/// Labels to compare with, found by the names of photos at once: such files may speak of a hundred thousand.
pub struct Labels {
    pub path: PathBuf,
    images: BTreeMap<ImageId, AnnotatedImage>,
    by_name: HashMap<String, ImageId>,
    /// What was left out of them, in plain words.
    pub notes: Vec<String>,
}

impl Labels {
    fn new(path: PathBuf, annotations: Annotations) -> Self {
        let named = annotations.images.iter().filter_map(|(id, image)| {
            let name = Path::new(&image.file_name).file_name()?;
            Some((name.to_string_lossy().into_owned(), id.clone()))
        });
        Self {
            path,
            by_name: named.collect(),
            images: annotations.images,
            notes: annotations.notes,
        }
    }

    /// What is said of a photo: by its file name, else by the number in it.
    pub fn of(&self, name: &str) -> Option<&AnnotatedImage> {
        match self.by_name.get(name) {
            Some(id) => self.images.get(id),
            None => self.images.get(&ImageId::of_file(Path::new(name))),
        }
    }
}

/// What comes from the jobs.
pub enum Value {
    Models(Arc<dyn PoseSteps>),
    Listed(Listing),
    Shown(Shown),
    Failed(usize, String),
    Found {
        index: usize,
        people: Vec<Zoomed>,
        size: [usize; 2],
        secs: f32,
    },
    Inside(usize, Arc<Inside>),
    /// Of a photo, the heat map of a joint.
    Heat(usize, usize, Arc<HeatmapTexture>),
    Crops(Box<Crops>),
    Thumb(usize, Option<Rgb>),
    Labels(Box<Labels>),
    Chosen(Purpose, Vec<PathBuf>),
    NoDialog(Purpose, Ask),
    Saved(Purpose, PathBuf),
}

impl Value {
    /// Whether it belongs to one of the photos that were open when it was asked for.
    pub(super) fn is_of_a_photo(&self) -> bool {
        match self {
            Self::Shown(_)
            | Self::Failed(..)
            | Self::Found { .. }
            | Self::Inside(..)
            | Self::Heat(..)
            | Self::Crops(_)
            | Self::Thumb(..) => true,
            Self::Models(_)
            | Self::Listed(_)
            | Self::Labels(_)
            | Self::Chosen(..)
            | Self::NoDialog(..)
            | Self::Saved(..) => false,
        }
    }
}

/// Looks through what the user has named.
pub fn list(paths: &[PathBuf], out: &Out<Value>) -> Result<()> {
    out.progress(0.1, "Looking through the files")?;
    out.value(Value::Listed(photo::list(paths)?))?;
    Ok(())
}

/// Opens a photo to be shown.
pub fn open(index: usize, source: &Source, gpu: &Gpu, out: &Out<Value>) -> Result<()> {
    out.progress(0.1, format!("Opening {}", source.name()))?;
    match source.open() {
        Ok(photo) => {
            out.progress(0.6, "Preparing the photo")?;
            out.value(Value::Shown(Shown {
                index,
                texture: Arc::new(PictureTexture::new(gpu, &photo.rgb)),
                rgb: Arc::new(photo.rgb),
            }))?;
            Ok(())
        }
        Err(error) => {
            out.value(Value::Failed(index, format!("{error:#}")))?;
            Err(error)
        }
    }
}

/// Finds the people of a photo.
pub fn find(
    index: usize,
    photo: &Rgb,
    (steps, method): (&dyn PoseSteps, Method),
    out: &Out<Value>,
) -> Result<()> {
    let start = Instant::now();
    let people = steps.detect(photo, method, out)?;
    out.value(Value::Found {
        index,
        people,
        size: [photo.width, photo.height],
        secs: start.elapsed().as_secs_f32(),
    })?;
    Ok(())
}

/// The same for many photos, one after another; those that cannot be opened are told and the rest goes on.
pub fn find_all(
    photos: &[(usize, Source)],
    steps: (&dyn PoseSteps, Method),
    out: &Out<Value>,
) -> Result<()> {
    let mut failed = 0;
    for (turn, (index, source)) in photos.iter().enumerate() {
        let share = |turn: usize| turn as f32 / photos.len() as f32;
        let note = format!("Photo {} of {}: {}", turn + 1, photos.len(), source.name());
        out.progress(share(turn), note)?;
        let found = source.open().and_then(|photo| {
            find(
                *index,
                &photo.rgb,
                steps,
                &out.part(share(turn), share(turn + 1)),
            )
        });
        match found {
            Ok(()) => {}
            Err(error) if error.is::<crate::job::Cancelled>() => return Err(error),
            Err(error) => {
                out.value(Value::Failed(*index, format!("{error:#}")))?;
                failed += 1;
            }
        }
    }
    anyhow::ensure!(
        failed == 0,
        "{failed} of {} photos could not be looked at; the strip marks them",
        photos.len()
    );
    Ok(())
}

/// Looks at a photo the bottom-up way.
pub fn inside(index: usize, photo: &Rgb, steps: &dyn PoseSteps, out: &Out<Value>) -> Result<()> {
    out.progress(0.1, "Computing heat maps and grouping")?;
    let inside = steps.look_inside(photo)?;
    out.value(Value::Inside(index, Arc::new(inside)))?;
    Ok(())
}

/// Uploads the heat map of a joint.
pub fn heat(
    index: usize,
    joint: usize,
    inside: &Inside,
    gpu: &Gpu,
    out: &Out<Value>,
) -> Result<()> {
    let grid = inside
        .heat
        .get(joint)
        .context("There is no such heat map")?;
    let texture = Arc::new(HeatmapTexture::new(gpu, grid)?);
    out.value(Value::Heat(index, joint, texture))?;
    Ok(())
}

/// Cuts out what the networks saw of a person.
pub fn crops(
    index: usize,
    person: usize,
    photo: &Rgb,
    regions: [Option<Region>; 3],
    out: &Out<Value>,
) -> Result<()> {
    let cut = |region: Region| {
        region
            .is_usable()
            .then(|| (region, region.view(photo, CROP_PX)))
    };
    out.value(Value::Crops(Box::new(Crops {
        index,
        person,
        pictures: regions.map(|region| region.and_then(cut)),
    })))?;
    Ok(())
}

/// Makes small pictures, nearest first. What cannot be opened gets none; opening it says why.
pub fn thumbs(photos: &[(usize, Source)], out: &Out<Value>) -> Result<()> {
    for (index, source) in photos {
        let small = source.open().ok().map(|photo| small(&photo.rgb));
        out.value(Value::Thumb(*index, small))?;
    }
    Ok(())
}

fn small(photo: &Rgb) -> Rgb {
    let [width, height] = [photo.width, photo.height].map(|v| v.max(1) as f32);
    let zoom = (THUMB_PX[0] as f32 / width).min(THUMB_PX[1] as f32 / height);
    let side = |v: f32| ((v * zoom).round() as usize).max(1);
    resize_rgb(photo, side(width), side(height))
}

/// Reads labels to compare with.
pub fn annotations(path: PathBuf, out: &Out<Value>) -> Result<()> {
    out.progress(0.1, "Reading the annotations")?;
    let read = read_annotations(&path)?;
    out.value(Value::Labels(Box::new(Labels::new(path, read))))?;
    Ok(())
}

/// Asks for paths.
pub fn choose(dialog: &FileDialog, purpose: Purpose, ask: Ask, out: &Out<Value>) -> Result<()> {
    match dialog::answer(dialog, &ask) {
        dialog::Answer::Paths(paths) => out.value(Value::Chosen(purpose, paths))?,
        dialog::Answer::NoDialog => out.value(Value::NoDialog(purpose, ask))?,
        dialog::Answer::Nothing => {}
    }
    Ok(())
}

/// Writes people as COCO-WholeBody results or annotations; keypoints of at least `least` are labelled.
pub fn save_people(
    purpose: Purpose,
    path: PathBuf,
    photos: &[Annotated],
    least: f32,
    out: &Out<Value>,
) -> Result<()> {
    out.progress(0.2, "Saving the people")?;
    let json = if purpose == Purpose::SaveAnnotations {
        annotations_json(photos, least)?
    } else {
        let people: Vec<Vec<Person>> = photos
            .iter()
            .map(|photo| photo.people.iter().map(|(p, _)| p.clone()).collect())
            .collect();
        let ids = photos.iter().map(|photo| &photo.id);
        results_json(ids.zip(people.iter().map(Vec::as_slice)))?
    };
    photo::save_atomically(&path, json.as_bytes())?;
    out.value(Value::Saved(purpose, path))?;
    Ok(())
}

/// Draws the stack and writes it.
pub fn save_png(
    stack: &[Layer],
    size: [usize; 2],
    path: PathBuf,
    gpu: &Gpu,
    out: &Out<Value>,
) -> Result<()> {
    save_stack(stack, size, &path, gpu, out)?;
    out.value(Value::Saved(Purpose::SavePng, path))?;
    Ok(())
}
