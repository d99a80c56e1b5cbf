//! `vitruvian face`: masks of photos, edits by mask, and scores of the networks behind them.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use candle_core::Device;
use serde::Serialize;

use super::{evaluate, for_each_file, note, output_paths};
use crate::cli::{EditArgs, EditQuality, FaceChoice, FaceCommand, ParseArgs, Stroke};
use crate::face::dense_mapping::{DenseMapping, one_hot};
use crate::face::edit::{self, EditRequest, Face, FaceModels, Quality, Window};
use crate::face::mask::{self, Fit, Labels, MaskFormat, open_mask, save_mask, write_mask};
use crate::face::recipe::Recipe;
use crate::job::Out;
use crate::photo::{self, Photo};
use crate::raster::{Rgb, Similarity, rgb_to_tensor, tensor_to_rgb, warp_rgb};
use crate::weights::{Checkpoint, DeviceKind, Store};

/// Side of the aligned crop that `--crop` writes, as in CelebAMask-HQ.
const CROP_SIDE_PX: usize = 512;

pub fn run(command: &FaceCommand, device: DeviceKind) -> Result<()> {
    let models = || FaceModels::load(&Store::find(), &device.open(0)?);
    match command {
        FaceCommand::Parse(args) => parse(args, models),
        FaceCommand::Edit(args) => edit(args, models),
        FaceCommand::Apply(args) => super::apply::run(args, models),
        FaceCommand::Evaluate(command) => evaluate::run(command, models),
    }
}

#[derive(Serialize)]
struct FaceFound {
    /// [x0, y0, x1, y1] in pixels of the photo.
    r#box: [f32; 4],
    score: f32,
}

impl FaceFound {
    fn of(face: &Face) -> Self {
        Self {
            r#box: face.bbox_in_image,
            score: face.score,
        }
    }
}

#[derive(Serialize)]
struct Parsed {
    /// The mask, or the folder of its parts.
    mask: PathBuf,
    files: Vec<PathBuf>,
    width: usize,
    height: usize,
    faces: Vec<FaceFound>,
    notes: Vec<&'static str>,
}

impl fmt::Display for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.mask.display())
    }
}

fn parse(args: &ParseArgs, models: impl FnOnce() -> Result<FaceModels>) -> Result<()> {
    let format = args.form.format;
    let outputs = match format {
        // The folder itself: the parts' names are made from the photo's.
        MaskFormat::Parts => output_paths(&args.photos, &args.output.join(""), "png")?,
        _ => output_paths(&args.photos, &args.output, format.extension())?,
    };
    let models = models()?;
    for_each_file(&args.photos, args.json, |index, path| {
        let output = outputs.get(index).context("No place to write to")?;
        let out = reporter(path);
        let photo = open(path)?;
        let (faces, labels) = if args.all {
            parse_all(&models, &photo.rgb, &out)?
        } else {
            let face = choose(&models, &photo.rgb, &args.choice, &out.part(0.0, 0.5))?;
            let (rgb, face) = if args.crop {
                cut_out(&photo.rgb, &face)
            } else {
                (photo.rgb, face)
            };
            let labels = edit::parse(&models, &rgb, &face, &out.part(0.5, 1.0))?;
            if args.crop {
                photo::save_png(&beside(output, "crop"), &rgb)?;
            }
            (vec![face], labels)
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let files = save_mask(output, &labels, format, &name)?;
        Ok(Parsed {
            mask: match format {
                MaskFormat::Parts => args.output.clone(),
                _ => output.clone(),
            },
            files,
            width: labels.width,
            height: labels.height,
            faces: faces.iter().map(FaceFound::of).collect(),
            notes: photo.notes,
        })
    })
}

/// Every face in one mask; where two crops overlap the larger face wins, unless it says background.
fn parse_all(models: &FaceModels, photo: &Rgb, out: &Out<()>) -> Result<(Vec<Face>, Labels)> {
    let faces = edit::find_faces(models, photo, &out.part(0.0, 0.3))?;
    ensure!(!faces.is_empty(), NO_FACE);
    let mut all = Labels::new(photo.width, photo.height, 0);
    for (i, face) in faces.iter().enumerate() {
        let share = |i: usize| 0.3 + 0.7 * i as f32 / faces.len() as f32;
        let labels = edit::parse(models, photo, face, &out.part(share(i), share(i + 1)))?;
        let free = all
            .data
            .iter_mut()
            .zip(labels.data)
            .filter(|(old, _)| **old == 0);
        free.for_each(|(old, new)| *old = new);
    }
    Ok((faces, all))
}

#[derive(Serialize)]
struct Edited {
    output: PathBuf,
    /// [x, y, width, height] of the pixels that were rendered; none if the mask asks for no change.
    changed: Option<[usize; 4]>,
    face: FaceFound,
    notes: Vec<&'static str>,
}

impl fmt::Display for Edited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.changed {
            Some(_) => write!(f, "{}", self.output.display()),
            None => write!(f, "{} (the mask asks for no change)", self.output.display()),
        }
    }
}

fn edit(args: &EditArgs, models: impl FnOnce() -> Result<FaceModels>) -> Result<()> {
    let outputs = output_paths(&args.photos, &args.output, "png")?;
    let masks = args
        .mask
        .as_deref()
        .map(|mask| masks_for(&args.photos, mask))
        .transpose()?;
    ensure!(
        args.save_recipe.is_none() || args.photos.len() == 1,
        "A recipe is the edit of one photo. Give one photo with --save-recipe"
    );
    let models = models()?;
    let published = args
        .generator
        .as_ref()
        .map(|path| Checkpoint::open(path, &Device::Cpu)?.load(DenseMapping::load));
    let published = published.transpose()?;
    for_each_file(&args.photos, args.json, |index, path| {
        let output = outputs.get(index).context("No place to write to")?;
        let out = reporter(path);
        let mut photo = open(path)?;
        let fit = Fit::Exact([photo.rgb.width, photo.rgb.height]);
        let given = masks.as_ref().and_then(|masks| masks.get(index));
        let given = given.map(|mask| read(mask, fit)).transpose()?;
        let source = args.source_mask.as_ref();
        let source = source.map(|mask| read(mask, fit)).transpose()?;

        let face = choose(&models, &photo.rgb, &args.choice, &out.part(0.0, 0.2))?;
        let source = match source {
            Some(source) => source,
            None => edit::parse(&models, &photo.rgb, &face, &out.part(0.2, 0.4))?,
        };
        let mut target = given.unwrap_or_else(|| source.clone());
        args.paint
            .iter()
            .for_each(|stroke| paint(&mut target, stroke));
        if let Some(path) = &args.write_mask {
            write_mask(path, &target)?;
        }

        if let Some(recipe) = &args.save_recipe {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Recipe::of(&face, &source, &target, &name)?.save(recipe)?;
        }
        let request = EditRequest::new(&photo.rgb, &face, &source, &target);
        let quality = match args.render {
            EditQuality::Preview => Quality::Preview,
            EditQuality::Full => Quality::Full,
        };
        let out = out.part(0.4, 1.0);
        let patch = match &published {
            Some(network) => edit::render_with(&request, quality, &out, |window, _, _| {
                render_published(network, &request, window)
            })?,
            None => {
                let style = edit::style_of(&models, &photo.rgb, &face, &source)?;
                edit::render(&models, &request, &style, quality, &out)?
            }
        };
        if let Some(patch) = &patch {
            photo.paste(&patch.rgb, patch.rect.x, patch.rect.y);
        }
        photo::save_with(output, &photo, &args.save.options())?;
        Ok(Edited {
            output: output.clone(),
            changed: patch.map(|patch| {
                [
                    patch.rect.x,
                    patch.rect.y,
                    patch.rect.width,
                    patch.rect.height,
                ]
            }),
            face: FaceFound::of(&face),
            notes: photo.notes,
        })
    })
}

/// What MaskGAN's published generator makes of the whole face, cut to the window.
fn render_published(network: &DenseMapping, request: &EditRequest, window: &Window) -> Result<Rgb> {
    let side = CROP_SIDE_PX;
    let photo =
        rgb_to_tensor(&request.face.crop(request.photo, side), &Device::Cpu)?.unsqueeze(0)?;
    let one_hot = |mask: &Labels| one_hot(&request.face.crop_labels(mask, side), &Device::Cpu);
    let style = network.style(&photo, &one_hot(request.source_mask)?)?;
    let picture = network.render(&one_hot(request.target_mask)?, &style)?;
    let picture = tensor_to_rgb(&picture.squeeze(0)?)?;
    let [x0, y0, x1, _] = window.in_crop.map(|v| v * side as f64);
    let crop_from_window = Similarity::scale_shift((x1 - x0) / window.side_px as f64, x0, y0);
    Ok(warp_rgb(
        &picture,
        &crop_from_window,
        window.side_px,
        window.side_px,
    ))
}

/// The mask of each photo: the file itself, or in a folder the PNG that is called like the photo.
fn masks_for(photos: &[PathBuf], mask: &Path) -> Result<Vec<PathBuf>> {
    if !mask.is_dir() {
        ensure!(
            photos.len() == 1,
            "Several photos need a folder of masks, not one mask: {}",
            mask.display()
        );
        return Ok(vec![mask.to_path_buf()]);
    }
    let name = |photo: &PathBuf| Some(mask.join(photo.file_stem()?).with_added_extension("png"));
    photos
        .iter()
        .map(|photo| name(photo).context("This has no file name"))
        .collect()
}

fn paint(mask: &mut Labels, stroke: &Stroke) {
    let mut brush = mask::Stroke::new(stroke.class, stroke.width_px / 2.0);
    for point in &stroke.points_in_image {
        brush.to(mask, *point);
    }
}

const NO_FACE: &str = "No face found. Say where it is with --box X0,Y0,X1,Y1, or --aligned if the photo is an aligned crop";

/// The face that the flags mean.
fn choose(models: &FaceModels, photo: &Rgb, choice: &FaceChoice, out: &Out<()>) -> Result<Face> {
    if choice.aligned {
        return whole(photo);
    }
    if let Some(bbox) = choice.bbox {
        let [x0, y0, x1, y1] = bbox;
        let (width, height) = (photo.width as f32, photo.height as f32);
        ensure!(
            x0 < width && y0 < height && x1 > 0.0 && y1 > 0.0,
            "The box lies outside the photo, which is {width} × {height} pixels"
        );
        return Ok(edit::face_from_box(bbox));
    }
    let mut faces = edit::find_faces(models, photo, out)?;
    let (wanted, count) = (usize::from(choice.face), faces.len());
    match count {
        0 => bail!(NO_FACE),
        _ if wanted > count => bail!("There is no face {wanted}: {count} found"),
        _ => Ok(faces.swap_remove(wanted - 1)),
    }
}

/// The face of a photo that is an aligned crop.
pub(super) fn whole(photo: &Rgb) -> Result<Face> {
    let (width, height) = (photo.width, photo.height);
    ensure!(
        width == height,
        "An aligned crop is square, but this photo is {width} × {height} pixels"
    );
    Ok(Face::whole(photo))
}

/// The aligned crop as a photo of its own.
fn cut_out(photo: &Rgb, face: &Face) -> (Rgb, Face) {
    let crop = face.crop(photo, CROP_SIDE_PX);
    let face = Face::whole(&crop);
    (crop, face)
}

/// Opens a photo and says on stderr what was converted.
fn open(path: &Path) -> Result<Photo> {
    let photo = photo::open(path)?;
    photo.notes.iter().for_each(|text| note(text, path));
    Ok(photo)
}

/// Opens a mask in any form and says on stderr how it was understood.
fn read(path: &Path, fit: Fit) -> Result<Labels> {
    let opened = open_mask(path, fit)?;
    opened.note.iter().for_each(|text| note(text, path));
    Ok(opened.labels)
}

/// `mask.png` → `mask-crop.png`.
fn beside(path: &Path, what: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{what}.png"))
}

fn reporter(path: &Path) -> Out<()> {
    Out::to_stderr(path.file_name().unwrap_or_default().to_string_lossy())
}
