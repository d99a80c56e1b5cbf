//! `vitruvian face apply`: one saved edit on many photos, several at a time, with a report that lets it go on where it
//! was stopped.
//!
//! Photos are independent, so a cluster's scheduler gives each job a share (`--shard 2/8`), and a photo that fails is
//! noted and left. A photo is done if a report in the folder says that the same recipe with the same choices was applied
//! to a file of the same size and time, and the result is there. Memory is bounded twice: by the number of photos at
//! once, and by a budget that each photo's share is taken from before it is opened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{print, print_error, print_json, print_line};
use crate::cli::face::ApplyArgs;
use crate::face::compare;
use crate::face::edit::{self, EditRequest, FaceModels, Quality};
use crate::face::recipe::{Recipe, Replay};
use crate::job::{self, Out};
use crate::photo::{self, Format};

/// Memory that the networks need while they work on one photo, in MB.
const NETWORKS_MB: u64 = 700;
/// Memory for a pixel of an opened photo: pixels of 8 and 16 bits, masks, the result, and what encoders hold.
const BYTES_PER_PIXEL: u64 = 40;
/// How often the report is written while photos are being done.
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// What became of one photo.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    photo: PathBuf,
    output: PathBuf,
    status: Status,
    /// Faces that the edit was made on.
    #[serde(default)]
    faces: usize,
    /// Pixels that differ from the photo.
    #[serde(default)]
    changed_pixels: usize,
    #[serde(default)]
    seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What the result was made of: recipe, choices, and the photo's size and time.
    #[serde(default)]
    made_of: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Done,
    /// Done by an earlier run.
    Skipped,
    Failed,
}

/// `report.json`.
#[derive(Serialize, Deserialize)]
struct Report {
    recipe: PathBuf,
    recipe_sha256: String,
    /// Which share of the photos this is about, such as `2/8`.
    shard: String,
    done: usize,
    skipped: usize,
    failed: usize,
    seconds: f64,
    photos: Vec<Entry>,
}

pub fn run(args: &ApplyArgs, models: impl FnOnce() -> Result<FaceModels>) -> Result<()> {
    let start = Instant::now();
    let recipe = Recipe::open(&args.recipe)?;
    let sha256 = hex(&Sha256::digest(recipe.encode()?));
    std::fs::create_dir_all(&args.output)
        .with_context(|| format!("Failed to make the folder {}", args.output.display()))?;
    let all = targets(args)?;
    let (index, count) = args.shard;
    let mine: Vec<&(PathBuf, PathBuf)> = all.iter().skip(index - 1).step_by(count).collect();
    ensure!(
        !mine.is_empty(),
        "There is no photo in share {index}/{count}"
    );
    let before = match args.again {
        true => BTreeMap::new(),
        false => reports_in(&args.output),
    };
    let choices = format!("{sha256} {:?} {}", args.save.options(), args.all_faces);
    let models = models()?;
    models.generator()?;

    let budget = Budget::of_this_machine();
    let workers = args
        .jobs
        .map_or_else(job::cores, usize::from)
        .min(budget.most_photos())
        .min(mine.len());
    let work = Batch {
        replay: recipe.replay(),
        models,
        args,
        budget,
    };
    let name = match count {
        1 => "report.json".to_owned(),
        _ => format!("report-{index}-of-{count}.json"),
    };
    let report = Mutex::new(Progress {
        path: args.output.join(name),
        written: Instant::now(),
        report: Report {
            recipe: args.recipe.clone(),
            recipe_sha256: sha256,
            shard: format!("{index}/{count}"),
            done: 0,
            skipped: 0,
            failed: 0,
            seconds: 0.0,
            photos: Vec::new(),
        },
        total: mine.len(),
        start,
        failure: None,
    });
    job::in_parallel("apply", workers, mine.len(), |i| {
        let Some((photo, output)) = mine.get(i).map(|pair| (&pair.0, &pair.1)) else {
            return;
        };
        let made_of = fingerprint(&choices, photo);
        let earlier = before.get(output);
        let earlier = earlier.filter(|entry| entry.made_of == made_of && output.is_file());
        let entry = match earlier {
            Some(entry) => Entry {
                status: Status::Skipped,
                ..entry.clone()
            },
            None => work.entry(photo, output, made_of),
        };
        lock(&report).add(entry);
    });
    let mut progress = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    progress.write()?;
    let report = progress.report;
    if args.json {
        print_json(&report)?;
    } else {
        print(format_args!(
            "{} done, {} done before, {} failed in {:.1} s",
            report.done, report.skipped, report.failed, report.seconds
        ));
    }
    if let Some(error) = progress.failure {
        return Err(error.context("Failed to write the report on the way"));
    }
    if report.failed > 0 {
        bail!("{} of {} photos failed", report.failed, report.photos.len());
    }
    Ok(())
}

/// Each photo with where its result goes. Folders stand for the pictures in them.
fn targets(args: &ApplyArgs) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut photos = Vec::new();
    for path in &args.photos {
        match path.is_dir() {
            true => photos.extend(photo::pictures_in(path)?),
            false => photos.push(path.clone()),
        }
    }
    let mut taken: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let mut targets = Vec::new();
    for photo in photos {
        let stem = photo.file_stem().context("This has no file name")?;
        let format = args.format.map(Format::from);
        let format = format
            .or_else(|| Format::of_path(&photo))
            .unwrap_or_default();
        let output = args
            .output
            .join(stem)
            .with_added_extension(format.extension());
        super::refuse_to_replace(std::slice::from_ref(&photo), &output)?;
        if let Some(other) = taken.insert(output.clone(), photo.clone()) {
            bail!(
                "{} and {} would both be written to {}",
                other.display(),
                photo.display(),
                output.display()
            );
        }
        targets.push((photo, output));
    }
    Ok(targets)
}

/// What all photos share.
struct Batch<'a> {
    replay: Replay,
    models: FaceModels,
    args: &'a ApplyArgs,
    budget: Budget,
}

impl Batch<'_> {
    fn entry(&self, photo: &Path, output: &Path, made_of: String) -> Entry {
        let start = Instant::now();
        // A damaged file must not take the others with it.
        let result = job::catching(|| self.apply(photo, output));
        let seconds = start.elapsed().as_secs_f64();
        let (done, error) = match result {
            Ok(done) => (Some(done), None),
            Err(error) => (None, Some(format!("{:#}", super::with_path(error, photo)))),
        };
        let (faces, changed_pixels) = done.unwrap_or_default();
        Entry {
            photo: photo.to_path_buf(),
            output: output.to_path_buf(),
            status: match error {
                None => Status::Done,
                Some(_) => Status::Failed,
            },
            faces,
            changed_pixels,
            seconds,
            error,
            made_of,
        }
    }

    /// The number of faces and of changed pixels.
    fn apply(&self, path: &Path, output: &Path) -> Result<(usize, usize)> {
        let [width, height] = photo::size_of(path).unwrap_or_default();
        let _share = self.budget.take(width as u64 * height as u64);
        let (models, out) = (&self.models, Out::<()>::silent());
        let mut photo = photo::open(path)?;
        let mut faces = match self.args.aligned {
            true => vec![super::face::whole(&photo.rgb)?],
            false => edit::find_faces(models, &photo.rgb, &out)?,
        };
        ensure!(!faces.is_empty(), "No face found");
        if !self.args.all_faces {
            faces.truncate(1);
        }
        let mut changed = 0;
        for face in &faces {
            let source = edit::parse(models, &photo.rgb, face, &out)?;
            let Some(mut change) = self.replay.apply(face, &source) else {
                continue;
            };
            let mut target = source.clone();
            change.swap(&mut target);
            let style = edit::style_of(models, &photo.rgb, face, &source)?;
            let request = EditRequest::new(&photo.rgb, face, &source, &target);
            let patch = edit::render(models, &request, &style, Quality::Full, &out)?;
            if let Some(patch) = patch {
                changed += compare::changed_pixels(&photo.rgb, &patch);
                photo.paste(&patch.rgb, patch.rect.x, patch.rect.y);
            }
        }
        photo::save_with(output, &photo, &self.args.save.options())?;
        Ok((faces.len(), changed))
    }
}

/// The report as it grows.
struct Progress {
    path: PathBuf,
    written: Instant,
    report: Report,
    total: usize,
    start: Instant,
    failure: Option<anyhow::Error>,
}

impl Progress {
    fn add(&mut self, entry: Entry) {
        let so_far = self.report.photos.len() + 1;
        let name = entry
            .photo
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let what = match entry.status {
            Status::Skipped => "done before".to_owned(),
            Status::Failed => "failed".to_owned(),
            Status::Done => format!(
                "{} pixels changed in {:.1} s",
                entry.changed_pixels, entry.seconds
            ),
        };
        print_line(
            std::io::stderr(),
            format_args!("{so_far}/{} {name}: {what}", self.total),
        );
        if let Some(error) = &entry.error {
            print_error(&anyhow::anyhow!(error.clone()));
        }
        self.report.photos.push(entry);
        if self.written.elapsed() > REPORT_EVERY
            && let Err(error) = self.write()
        {
            self.failure = Some(error);
        }
    }

    fn write(&mut self) -> Result<()> {
        let report = &mut self.report;
        let count = |status| report.photos.iter().filter(|e| e.status == status).count();
        (report.done, report.skipped, report.failed) = (
            count(Status::Done),
            count(Status::Skipped),
            count(Status::Failed),
        );
        report.seconds = self.start.elapsed().as_secs_f64();
        report.photos.sort_by(|a, b| a.photo.cmp(&b.photo));
        let json = serde_json::to_vec_pretty(report).context("Failed to write JSON")?;
        photo::save_atomically(&self.path, &json)?;
        self.written = Instant::now();
        Ok(())
    }
}

/// What earlier runs did in this folder, by output. Reports that cannot be read count for nothing.
fn reports_in(folder: &Path) -> BTreeMap<PathBuf, Entry> {
    let is_report = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("report") && name.ends_with(".json")
    };
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .map(|file| file.path())
        .filter(is_report)
        .filter_map(|path| std::fs::read(path).ok())
        .filter_map(|bytes| serde_json::from_slice::<Report>(&bytes).ok())
        .flat_map(|report| report.photos)
        // Another run's success must not hide behind it.
        .filter(|entry| entry.status != Status::Failed)
        .map(|entry| (entry.output.clone(), entry))
        .collect()
}

/// Tells a result's ingredients from others.
fn fingerprint(choices: &str, photo: &Path) -> String {
    let metadata = std::fs::metadata(photo).ok();
    let size = metadata.as_ref().map_or(0, std::fs::Metadata::len);
    let changed = metadata.and_then(|metadata| metadata.modified().ok());
    let since = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let nanos = since.map_or(0, |since| since.as_nanos());
    let text = format!("{choices} {} {size} {nanos}", photo.display());
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Memory that photos at work may take together, in bytes.
struct Budget {
    total: u64,
    free: Mutex<u64>,
    returned: Condvar,
}

impl Budget {
    fn new(total: u64) -> Self {
        Self {
            total,
            free: Mutex::new(total),
            returned: Condvar::new(),
        }
    }

    /// Two thirds of what is free now.
    fn of_this_machine() -> Self {
        const UNKNOWN_MB: u64 = 4096;
        let free_mb = job::available_memory_mb().unwrap_or(UNKNOWN_MB);
        Self::new((free_mb * 2 / 3) << 20)
    }

    /// How many small photos fit at once, at least one.
    fn most_photos(&self) -> usize {
        usize::try_from(self.total / (NETWORKS_MB << 20)).map_or(1, |most| most.max(1))
    }

    /// Waits until there is room for a photo of so many pixels, or until no other photo is at work.
    fn take(&self, pixels: u64) -> Share<'_> {
        let bytes = (pixels * BYTES_PER_PIXEL + (NETWORKS_MB << 20)).min(self.total);
        let mut free = lock(&self.free);
        while *free < bytes {
            free = self
                .returned
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *free -= bytes;
        let budget = self;
        Share { budget, bytes }
    }
}

/// Gives its bytes back when it is dropped.
struct Share<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *lock(&self.budget.free) += self.bytes;
        self.budget.returned.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[test]
    fn photos_wait_for_memory_and_a_huge_one_gets_its_turn() {
        // Room for two small photos.
        let budget = Budget::new(2 * (NETWORKS_MB << 20) + (200 << 20));
        assert_eq!(budget.most_photos(), 2);
        let (at_once, most, done) = (
            AtomicUsize::new(0),
            AtomicUsize::new(0),
            AtomicUsize::new(0),
        );
        job::in_parallel("test", 4, 12, |i| {
            let _share = budget.take(if i == 5 {
                u64::from(u32::MAX)
            } else {
                1_000_000
            });
            most.fetch_max(at_once.fetch_add(1, SeqCst) + 1, SeqCst);
            std::thread::sleep(Duration::from_millis(3));
            at_once.fetch_sub(1, SeqCst);
            done.fetch_add(1, SeqCst);
        });
        assert_eq!(done.load(SeqCst), 12);
        assert!(most.load(SeqCst) <= 2, "{most:?}");
        assert_eq!(*lock(&budget.free), budget.total);
    }
}
