//! What the face tab hands to jobs: the steps of [`crate::face::edit`] in the order the window needs them.
//!
//! Nothing here runs on the window's thread. The tab calls the steps through [`Steps`], so tests can do without models.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::keeping::{self, OpenedProject};
use super::mirror::Mirror;
use crate::face::compare;
use crate::face::edit::{self, EditRequest, Face, FaceModels, Quality, RenderedPatch};
use crate::face::generator::StyleCodes;
use crate::face::labels::CLASS_COUNT;
use crate::face::mask::{Guard, Labels, Packed, Part, Patch, Placement};
use crate::face::project;
use crate::face::recovery::Orphan;
use crate::gpu::{Gpu, MaskTexture, PictureTexture};
use crate::job::{self, Out};
use crate::photo::{self, Format, Photo, SaveOptions};
use crate::raster::Rgb;
use crate::ui::clipboard::Clipboard;

/// What jobs of the face tab send.
pub enum Value {
    Models(Arc<dyn Steps>),
    /// A path from a dialog.
    Chosen(Purpose, PathBuf),
    /// The system shows no dialogs.
    NoDialog(Purpose),
    /// The photos of a folder; the first is opened next.
    Folder(Vec<PathBuf>),
    Opened(Box<Opened>),
    Faces(Vec<Face>),
    Parsed(Box<Parsed>),
    Rendered(Box<Rendered>),
    Reference(Box<Reference>),
    /// What is known of the render of a face's mask at a revision.
    Report(usize, u64, Report),
    Saved(Purpose, PathBuf),
    /// The result is on the clipboard.
    Copied,
    Project(Box<OpenedProject>),
    /// Work that another program left.
    Orphan(Box<Orphan>),
    /// None: the work was kept. Else it has to be tried again, and this still has to be removed then.
    Kept(Option<Option<Orphan>>),
    Changed(Box<Changed>),
    Lifted(Lifted),
    Placed(Placed),
    /// A snapshot of a face's mask.
    Snapshot(usize, Packed),
}

/// New labels of a rectangle.
pub struct Changed {
    pub face: usize,
    /// Of the mask they were made from.
    pub revision: u64,
    pub name: String,
    /// None: nothing to change.
    pub patch: Option<Patch>,
    /// What the user should know about it.
    pub note: Option<String>,
}

/// A part that was lifted off the mask.
pub struct Lifted {
    pub session: u64,
    pub part: Arc<Part>,
    pub classes: Vec<u8>,
    pub name: String,
}

/// The labels with a part in a new place.
pub struct Placed {
    pub session: u64,
    pub patch: Option<Patch>,
}

/// What a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    OpenPhoto,
    OpenFolder,
    OpenReference,
    /// A mask to copy a part from.
    OpenPart,
    /// A mask to take the place of this one.
    OpenMask,
    OpenRecipe,
    SaveProject,
    SaveMask,
    SaveResult,
    SaveRecipe,
}

/// Asks the user for a path; none when there is none. May take as long as the user does.
pub type Dialog = Arc<dyn Fn(&Question) -> Option<PathBuf> + Send + Sync>;

/// What a dialog asks for.
#[derive(Clone, Debug)]
pub struct Question {
    pub purpose: Purpose,
    pub folder: Option<PathBuf>,
    /// For saving: the name to propose.
    pub name: String,
}

/// A photo that was read.
pub struct Opened {
    /// None for the sample portrait.
    pub path: Option<PathBuf>,
    pub photo: Arc<Photo>,
    /// The file it was read from.
    pub bytes: Arc<Vec<u8>>,
    pub texture: Arc<PictureTexture>,
}

/// A face that was parsed.
pub struct Parsed {
    pub face: usize,
    pub source: Arc<Labels>,
    pub target: Labels,
    /// The same labels for the jobs.
    pub mirror: Arc<Mirror>,
    pub style: StyleCell,
    pub texture: Arc<MaskTexture>,
}

/// An answer to a stroke.
pub struct Rendered {
    pub face: usize,
    /// Of the mask it was made from.
    pub revision: u64,
    pub quality: Quality,
    pub secs: f32,
    /// What it ran on.
    pub device: &'static str,
    /// None: the mask asks for no change.
    pub patch: Option<(Arc<RenderedPatch>, Arc<PictureTexture>)>,
    /// What differs from the photo, as a heat map; of full renders only.
    pub heat: Option<Arc<PictureTexture>>,
}

/// What is known of a full render.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub changed_pixels: usize,
    /// The part of the painted pixels that the result's own parse agrees with; none until it is parsed.
    pub agreement: Option<f32>,
    /// The most memory that the program has held, in MB; none where the system does not tell.
    pub memory_mb: Option<u64>,
}

impl Report {
    /// As part of a line.
    pub fn text(&self) -> String {
        let mut text = format!(" · {} pixels changed", grouped(self.changed_pixels));
        if let Some(agreement) = self.agreement {
            text += &format!(" · mask agrees {:.0} %", 100.0 * agreement);
        }
        if let Some(mb) = self.memory_mb {
            text += &format!(" · {mb} MB at most");
        }
        text
    }
}

/// A number with its thousands apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Another photo whose style is used.
pub struct Reference {
    pub name: String,
    pub style: Style,
    /// The aligned face, small, to show.
    pub thumbnail: Rgb,
}

/// The style of a face. Only the steps that made it know what is inside.
pub type Style = Arc<dyn Any + Send + Sync>;

/// Another face's style, and which classes take how much of it.
#[derive(Clone)]
pub struct OtherStyle {
    pub style: Style,
    /// From 0, nothing, to 1.
    pub share: f32,
    pub takes: [bool; CLASS_COUNT],
}

/// The steps that need models.
pub trait Steps: Send + Sync {
    /// What renders run on, within a sentence.
    fn device(&self) -> &'static str;
    /// Largest first; empty when there is none.
    fn find_faces(&self, photo: &Rgb, out: &Out<Value>) -> Result<Vec<Face>>;
    /// A label map of the photo's size.
    fn parse(&self, photo: &Rgb, face: &Face, out: &Out<Value>) -> Result<Labels>;
    fn style(&self, photo: &Rgb, face: &Face, labels: &Labels) -> Result<Style>;
    /// None: nothing changed.
    fn render(
        &self,
        request: &EditRequest<'_>,
        own: &Style,
        other: Option<&OtherStyle>,
        quality: Quality,
        out: &Out<Value>,
    ) -> Result<Option<RenderedPatch>>;
}

impl Steps for FaceModels {
    fn device(&self) -> &'static str {
        FaceModels::device(self)
    }

    fn find_faces(&self, photo: &Rgb, out: &Out<Value>) -> Result<Vec<Face>> {
        edit::find_faces(self, photo, out)
    }

    fn parse(&self, photo: &Rgb, face: &Face, out: &Out<Value>) -> Result<Labels> {
        edit::parse(self, photo, face, out)
    }

    fn style(&self, photo: &Rgb, face: &Face, labels: &Labels) -> Result<Style> {
        Ok(Arc::new(edit::style_of(self, photo, face, labels)?))
    }

    fn render(
        &self,
        request: &EditRequest<'_>,
        own: &Style,
        other: Option<&OtherStyle>,
        quality: Quality,
        out: &Out<Value>,
    ) -> Result<Option<RenderedPatch>> {
        let own = codes(own)?;
        let mixed = other.map(|other| {
            let takes = |class: u8| {
                other
                    .takes
                    .get(usize::from(class))
                    .is_some_and(|takes| *takes)
            };
            let mixed = own.mixed(codes(&other.style)?, other.share, takes);
            mixed.context("Failed to mix the styles")
        });
        let mixed = mixed.transpose()?;
        edit::render(self, request, mixed.as_ref().unwrap_or(own), quality, out)
    }
}

/// What [`FaceModels`] keeps in a style.
fn codes(style: &Style) -> Result<&StyleCodes> {
    style
        .downcast_ref()
        .context("The style comes from another model")
}

/// Shows a dialog and waits for the answer.
pub fn choose(
    dialog: &dyn Fn(&Question) -> Option<PathBuf>,
    question: &Question,
    out: &Out<Value>,
) -> Result<()> {
    /// Nobody closes a dialog faster: one that is gone by then was never shown.
    const NEVER_SHOWN: Duration = Duration::from_millis(400);
    let start = Instant::now();
    match dialog(question) {
        Some(path) => out.value(Value::Chosen(question.purpose, path))?,
        None if start.elapsed() < NEVER_SHOWN => out.value(Value::NoDialog(question.purpose))?,
        None => {}
    }
    Ok(())
}

/// Where a photo comes from.
#[derive(Clone)]
pub enum Source {
    /// A photo, a project or a folder.
    File(PathBuf),
    /// Several photos to go through.
    Files(Vec<PathBuf>),
    Sample(&'static [u8]),
    Clipboard(Arc<dyn Clipboard>),
}

/// Reads a photo and uploads it.
pub fn open(source: Source, gpu: &Gpu, out: &Out<Value>) -> Result<()> {
    out.progress(0.1, "Opening the photo")?;
    let source = match source {
        Source::File(path) if path.is_dir() => Source::Files(photo::pictures_in(&path)?),
        other => other,
    };
    let read = |path: PathBuf| -> Result<_> {
        let bytes = photo::read_bounded(&path).map_err(|err| at_path(err, &path))?;
        Ok((Some(path), bytes))
    };
    let (path, bytes) = match source {
        Source::File(path) => read(path)?,
        Source::Files(paths) => {
            let first = paths
                .first()
                .cloned()
                .context("There is no photo to open")?;
            out.value(Value::Folder(paths))?;
            read(first)?
        }
        Source::Sample(bytes) => (None, bytes.to_vec()),
        Source::Clipboard(clipboard) => {
            let pasted = clipboard.paste()?;
            let bytes = photo::encode(&pasted, Format::Png, &SaveOptions::default())?;
            (Some(PathBuf::from(PASTED)), bytes)
        }
    };
    if let Some(path) = path.as_ref().filter(|_| project::is_project(&bytes)) {
        let opened = project::decode(&bytes).and_then(|(project, photo)| {
            let photo = photo.context("The project is damaged: its photo is missing")?;
            keeping::restore(project, photo, Some(path.clone()), None, gpu)
        });
        let opened = opened.map_err(|err| at_path(err, path))?;
        out.value(Value::Project(Box::new(opened)))?;
        return Ok(());
    }
    let photo = match &path {
        Some(path) => photo::decode(&bytes).map_err(|err| at_path(err, path))?,
        None => photo::decode(&bytes)?,
    };
    out.progress(0.7, "Opening the photo")?;
    let texture = Arc::new(PictureTexture::new(gpu, &photo.rgb));
    let photo = Arc::new(photo);
    out.value(Value::Opened(Box::new(Opened {
        path,
        photo,
        bytes: Arc::new(bytes),
        texture,
    })))?;
    Ok(())
}

/// What a photo from the clipboard is called.
const PASTED: &str = "Pasted photo.png";

fn at_path(err: anyhow::Error, path: &Path) -> anyhow::Error {
    anyhow!("Failed to open the photo. {err:#}: {}", path.display())
}

/// Finds the faces of a photo, then parses the first.
pub fn analyse(steps: &dyn Steps, photo: &Photo, gpu: &Gpu, out: &Out<Value>) -> Result<()> {
    out.progress(0.0, "Looking for faces")?;
    let faces = steps.find_faces(&photo.rgb, &out.part(0.0, 0.4))?;
    let first = faces.first().cloned();
    out.value(Value::Faces(faces))?;
    match first {
        Some(face) => parse(steps, photo, &face, 0, gpu, &out.part(0.4, 1.0)),
        None => Ok(()),
    }
}

/// Parses one face.
pub fn parse(
    steps: &dyn Steps,
    photo: &Photo,
    face: &Face,
    index: usize,
    gpu: &Gpu,
    out: &Out<Value>,
) -> Result<()> {
    out.progress(0.0, "Parsing the face")?;
    let target = steps.parse(&photo.rgb, face, out)?;
    let parsed = Parsed::new(index, Arc::new(target.clone()), target, gpu);
    let (source, style) = (Arc::clone(&parsed.source), Arc::clone(&parsed.style));
    out.value(Value::Parsed(Box::new(parsed)))?;
    // While the user looks for the brush. If it fails, the first render tells.
    out.progress(0.9, "Reading the style of the face")?;
    if let Ok(own) = steps.style(&photo.rgb, face, &source) {
        style.get_or_init(|| own);
    }
    Ok(())
}

/// The style of the face that is edited: computed once, by whichever job needs it first.
pub type StyleCell = Arc<OnceLock<Style>>;

/// Everything that rendering one face needs.
#[derive(Clone)]
pub struct RenderInput {
    pub steps: Arc<dyn Steps>,
    pub photo: Arc<Photo>,
    pub face_index: usize,
    pub face: Face,
    pub source: Arc<Labels>,
    pub target: Arc<Mirror>,
    pub revision: u64,
    pub style: StyleCell,
    pub other_style: Option<OtherStyle>,
}

impl RenderInput {
    /// The style of the photo's own face.
    fn own_style(&self, out: &Out<Value>) -> Result<Style> {
        if let Some(style) = self.style.get() {
            return Ok(Arc::clone(style));
        }
        out.progress(0.0, "Reading the style of the face")?;
        let style = self
            .steps
            .style(&self.photo.rgb, &self.face, &self.source)?;
        Ok(Arc::clone(self.style.get_or_init(|| style)))
    }

    /// None: nothing changed.
    pub(super) fn render(
        &self,
        quality: Quality,
        out: &Out<Value>,
    ) -> Result<Option<RenderedPatch>> {
        let own = self.own_style(out)?;
        let other = self.other_style.as_ref();
        self.target.read(|target| {
            let request = EditRequest {
                photo: &self.photo.rgb,
                face: &self.face,
                source_mask: &self.source,
                target_mask: target,
                restyled: other.map_or([false; CLASS_COUNT], |other| other.takes),
            };
            self.steps.render(&request, &own, other, quality, out)
        })
    }
}

/// Renders a quick answer, then the full one.
pub fn render(input: &RenderInput, gpu: &Gpu, out: &Out<Value>) -> Result<()> {
    let start = Instant::now();
    for (quality, from, to) in [(Quality::Preview, 0.0, 0.3), (Quality::Full, 0.3, 1.0)] {
        let out = out.part(from, to);
        out.progress(0.0, "Rendering")?;
        let patch = input.render(quality, &out)?.map(|patch| {
            let texture = PictureTexture::patch(gpu, &patch.rgb, patch.rect);
            (Arc::new(patch), Arc::new(texture))
        });
        let done = patch.is_none();
        let full = patch
            .as_ref()
            .filter(|_| quality == Quality::Full)
            .map(|(patch, _)| Arc::clone(patch));
        let heat = full.as_ref().map(|patch| {
            let heat = compare::difference(&input.photo.rgb, patch);
            Arc::new(PictureTexture::patch(gpu, &heat, patch.rect))
        });
        out.value(Value::Rendered(Box::new(Rendered {
            face: input.face_index,
            revision: input.revision,
            quality,
            secs: start.elapsed().as_secs_f32(),
            device: input.steps.device(),
            patch,
            heat,
        })))?;
        if let Some(patch) = full {
            report(input, &patch, &out)?;
        }
        if done {
            break;
        }
    }
    Ok(())
}

/// Measures a full render: at once what is cheap, then whether the result parses as it was painted.
fn report(input: &RenderInput, patch: &RenderedPatch, out: &Out<Value>) -> Result<()> {
    let (face, revision) = (input.face_index, input.revision);
    let mut report = Report {
        changed_pixels: compare::changed_pixels(&input.photo.rgb, patch),
        agreement: None,
        memory_mb: job::peak_memory_mb(),
    };
    out.value(Value::Report(face, revision, report.clone()))?;
    let mut result = input.photo.rgb.clone();
    result.paste(&patch.rgb, patch.rect.x, patch.rect.y);
    out.progress(0.9, "Parsing the result")?;
    let parsed = input
        .steps
        .parse(&result, &input.face, &out.part(0.9, 1.0))?;
    report.agreement = input
        .target
        .read(|target| compare::agreement(&input.source, target, &parsed));
    out.value(Value::Report(face, revision, report))?;
    Ok(())
}

/// Side of the picture that shows whose style is used.
const THUMBNAIL_PX: usize = 96;

/// Reads the style of the largest face of another photo.
pub fn open_reference(steps: &dyn Steps, path: &Path, out: &Out<Value>) -> Result<()> {
    out.progress(0.0, "Opening the style photo")?;
    let photo = photo::open(path)?;
    let faces = steps.find_faces(&photo.rgb, &out.part(0.2, 0.5))?;
    let face = faces.first().context("No face in the style photo")?;
    let labels = steps.parse(&photo.rgb, face, &out.part(0.5, 0.9))?;
    out.progress(0.9, "Reading the style")?;
    let style = steps.style(&photo.rgb, face, &labels)?;
    let name = path.file_name().unwrap_or_default();
    out.value(Value::Reference(Box::new(Reference {
        name: name.to_string_lossy().into_owned(),
        style,
        thumbnail: thumbnail(&photo.rgb, face),
    })))?;
    Ok(())
}

fn thumbnail(photo: &Rgb, face: &Face) -> Rgb {
    let mut image_from_thumbnail = face.image_from_crop;
    let side = THUMBNAIL_PX as f64;
    image_from_thumbnail.a /= side;
    image_from_thumbnail.b /= side;
    crate::raster::warp_rgb(photo, &image_from_thumbnail, THUMBNAIL_PX, THUMBNAIL_PX)
}

/// Works out a change of the mask: `of` is its face and revision.
pub fn change_mask(
    mask: &Mirror,
    (face, revision): (usize, u64),
    name: String,
    change: impl FnOnce(&Labels) -> Result<Option<Patch>>,
    out: &Out<Value>,
) -> Result<()> {
    out.progress(0.1, name.clone())?;
    let patch = mask.read(change)?;
    out.value(Value::Changed(Box::new(Changed {
        face,
        revision,
        name,
        patch,
        note: None,
    })))?;
    Ok(())
}

/// Lifts a part off the mask.
pub fn lift(
    mask: &Mirror,
    classes: &[u8],
    session: u64,
    name: String,
    out: &Out<Value>,
) -> Result<()> {
    let base = Arc::new(mask.read(Clone::clone));
    let part = Part::lift(base, classes).with_context(|| format!("There is no {name} to move"))?;
    let part = Arc::new(part);
    out.value(Value::Lifted(Lifted {
        session,
        part,
        classes: classes.to_vec(),
        name,
    }))?;
    Ok(())
}

/// Works out the labels with a part in a new place.
pub fn place(
    part: &Part,
    placement: &Placement,
    guard: Guard,
    session: u64,
    out: &Out<Value>,
) -> Result<()> {
    let patch = part.placed(placement, guard);
    out.value(Value::Placed(Placed { session, patch }))?;
    Ok(())
}

/// Keeps the mask.
pub fn snapshot(mask: &Mirror, face: usize, out: &Out<Value>) -> Result<()> {
    let packed = mask.read(Packed::of);
    out.value(Value::Snapshot(face, packed))?;
    Ok(())
}
