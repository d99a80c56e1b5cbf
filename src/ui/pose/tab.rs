//! The pose tab: what it holds, what it does with what arrives from its jobs, and when it starts which.

use std::collections::HashMap;
use std::sync::Arc;

use eframe::egui::{self, ColorImage, Rect, TextureHandle, TextureOptions};

use super::inside::{self, Look};
use super::loupe::Loupe;
use super::steps::{self, Labels, Load, PoseSteps, Purpose, Shown, Value};
use super::views::Grab;
use super::work::{Entry, Poses, Source, forget_old, touch};
use super::{draw, files::Waiting};
use crate::gpu::{Gpu, HeatmapLayer, HeatmapTexture, Layer, Lines, LinesLayer, PictureLayer};
use crate::pose::annotations::AnnotatedImage;
use crate::pose::compare::{Comparison, compare};
use crate::pose::estimate::Method;
use crate::pose::inside::Inside;
use crate::raster::Rgb;
use crate::ui::canvas::Canvas;
use crate::ui::dialog::{FileDialog, PathQuestion};
use crate::ui::job_bar::{Arrival, JobKind, Jobs, Log};
use crate::ui::settings::{PoseView, Settings};

/// Shown until the user opens something.
const SAMPLES: [(&str, &[u8]); 2] = [
    (
        "astronaut.jpg",
        include_bytes!("../../../assets/samples/astronaut.jpg"),
    ),
    (
        "photographer.jpg",
        include_bytes!("../../../assets/samples/photographer.jpg"),
    ),
];
/// Small pictures that are kept: 26 MB.
const MAX_THUMBS: usize = 400;

/// What the tab starts jobs for; of several that run the bar shows the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    Save,
    List,
    Annotations,
    Models,
    Open,
    Find,
    FindAll,
    Inside,
    Heat,
    Crops,
    Thumbs,
    Dialog,
}

impl JobKind for Job {
    fn name(self) -> &'static str {
        match self {
            Self::Save => "save poses",
            Self::List => "list photos",
            Self::Annotations => "read annotations",
            Self::Models => "load pose weights",
            Self::Open => "open photo",
            Self::Find => "find people",
            Self::FindAll => "find all people",
            Self::Inside => "group keypoints",
            Self::Heat => "heat map",
            Self::Crops => "cut crops",
            Self::Thumbs => "thumbnails",
            Self::Dialog => "file dialog",
        }
    }

    fn can_cancel(self) -> bool {
        matches!(
            self,
            Self::List | Self::Open | Self::Find | Self::FindAll | Self::Inside
        )
    }
}

/// The tab.
pub struct PoseTab {
    pub(super) gpu: Gpu,
    pub(super) jobs: Jobs<Job, Value>,
    pub(super) dialog: FileDialog,
    /// Until the tab is seen for the first time.
    load: Option<Load>,
    pub(super) models: Option<Arc<dyn PoseSteps>>,
    /// Why nobody is found.
    pub(super) model_error: Option<String>,
    pub(super) photos: Vec<Entry>,
    pub(super) current: usize,
    pub(super) shown: Option<Shown>,
    /// Small pictures; none for those that cannot be opened.
    pub(super) thumbs: HashMap<usize, Option<TextureHandle>>,
    /// The photos of the strip that can be seen.
    pub(super) in_strip: std::ops::Range<usize>,
    pub(super) canvas: Canvas,
    pub(super) last_place: Option<Rect>,
    /// The person in focus, and one of their keypoints.
    pub(super) person: Option<usize>,
    pub(super) keypoint: Option<usize>,
    pub(super) grab: Option<Grab>,
    pub(super) look: Look,
    /// Whose heat map is shown: a joint, or the centres after them.
    pub(super) joint: usize,
    /// How far the grouping is stepped through.
    pub(super) pass: usize,
    pub(super) inside: Option<(usize, Arc<Inside>)>,
    heat: Option<(usize, usize, Arc<HeatmapTexture>)>,
    pub(super) loupe: Loupe,
    /// Grows with each list of photos that is opened.
    list: u64,
    /// What was begun for the photo on the screen, so that what failed or was cancelled is not begun again.
    begun: Vec<Job>,
    pub(super) truth: Option<Box<Labels>>,
    /// Of photo and revision.
    compared: Option<(usize, u64, Comparison)>,
    /// Revisions of the photos whose people are being written.
    pub(super) saving: Vec<(usize, u64)>,
    pub(super) path_question: Option<PathQuestion<Purpose>>,
    /// What waits for the user to give up corrections.
    pub(super) waiting: Option<Waiting>,
}

impl PoseTab {
    /// Loads nothing yet: that begins when the tab is seen.
    pub fn new(ctx: &egui::Context, gpu: Gpu, load: Load, dialog: FileDialog) -> Self {
        Self {
            gpu,
            jobs: Jobs::new(ctx),
            dialog,
            load: Some(load),
            models: None,
            model_error: None,
            photos: Vec::new(),
            current: 0,
            shown: None,
            thumbs: HashMap::new(),
            in_strip: 0..0,
            canvas: Canvas::default(),
            last_place: None,
            person: None,
            keypoint: None,
            grab: None,
            look: Look::Poses,
            joint: 0,
            pass: 0,
            inside: None,
            heat: None,
            loupe: Loupe::default(),
            list: 0,
            begun: Vec::new(),
            truth: None,
            compared: None,
            saving: Vec::new(),
            path_question: None,
            waiting: None,
        }
    }

    /// The photos that are open.
    pub fn photos(&self) -> &[Entry] {
        &self.photos
    }

    /// The place of the photo on the screen among them.
    pub fn current(&self) -> usize {
        self.current
    }

    /// The people of the photo on the screen.
    pub fn poses(&self) -> Option<&Poses> {
        self.photos.get(self.current)?.poses.as_ref()
    }

    pub(super) fn poses_mut(&mut self) -> Option<&mut Poses> {
        self.photos.get_mut(self.current)?.poses.as_mut()
    }

    /// The selected person, and the selected one of their keypoints.
    pub fn selected(&self) -> (Option<usize>, Option<usize>) {
        (self.person, self.keypoint)
    }

    /// How the found people of the photo compare with the labelled ones.
    pub fn comparison(&self) -> Option<&Comparison> {
        let (index, _, comparison) = self.compared.as_ref()?;
        (*index == self.current).then_some(comparison)
    }

    /// What the bottom-up way sees in the photo, and the step that is shown.
    pub fn inside(&self) -> Option<(&Inside, usize)> {
        let (index, inside) = self.inside.as_ref()?;
        (*index == self.current).then_some((&**inside, self.pass))
    }

    /// How many crops the loupe shows.
    pub fn crops(&self) -> usize {
        self.loupe.count(self.current)
    }

    /// Small pictures that are there.
    pub fn thumbs(&self) -> usize {
        self.thumbs.values().flatten().count()
    }

    /// Whether any job runs.
    pub fn is_busy(&self) -> bool {
        self.jobs.any_busy()
    }

    /// Loads the models and opens the samples, the first time that the tab is seen.
    pub(super) fn begin(&mut self) {
        if let Some(load) = self.load.take() {
            self.jobs.start(Job::Models, move |out| {
                out.progress(0.1, "Loading the weights")?;
                out.value(Value::Models(load()?))?;
                Ok(())
            });
            if self.photos.is_empty() && !self.jobs.is_busy(Job::List) {
                self.open_samples();
            }
        }
    }

    pub(super) fn open_samples(&mut self) {
        let samples = SAMPLES.map(|(name, bytes)| Source::Sample(name, bytes));
        self.open_sources(samples.into());
    }

    /// Replaces the photos.
    pub(super) fn open_sources(&mut self, sources: Vec<Source>) {
        for job in [Job::Thumbs, Job::FindAll, Job::Heat] {
            self.jobs.cancel(job);
        }
        self.list += 1;
        self.photos = sources.into_iter().map(Entry::new).collect();
        self.thumbs.clear();
        self.in_strip = 0..0;
        (self.shown, self.inside, self.heat, self.compared) = (None, None, None, None);
        self.loupe.forget();
        self.show(0);
    }

    /// Goes to a photo.
    pub(super) fn show(&mut self, index: usize) {
        self.current = index.min(self.photos.len().saturating_sub(1));
        (self.person, self.keypoint, self.grab) = (None, None, None);
        self.pass = 0;
        self.begun.clear();
        for job in [Job::Open, Job::Find, Job::Inside, Job::Crops] {
            self.jobs.cancel(job);
        }
        touch(&mut self.photos, self.current);
        forget_old(&mut self.photos, self.current);
    }

    /// Goes some photos further.
    pub(super) fn go(&mut self, steps: isize) {
        let last = self.photos.len().saturating_sub(1);
        let index = self.current.saturating_add_signed(steps).min(last);
        if index != self.current {
            self.show(index);
        }
    }

    /// Looks for the people of the photo again, giving up what was found and corrected.
    pub(super) fn find_again(&mut self) {
        if let Some(entry) = self.photos.get_mut(self.current) {
            (entry.poses, entry.error) = (None, None);
            (self.person, self.keypoint, self.grab) = (None, None, None);
            self.compared = None;
            self.loupe.forget();
            self.begun.clear();
        }
    }

    /// Looks for people in all photos in which nobody has looked yet.
    pub(super) fn find_all(&mut self, method: Method) {
        let open = |(_, entry): &(usize, &Entry)| entry.poses.is_none() && entry.error.is_none();
        let photos = self.photos.iter().enumerate().filter(open);
        let photos: Vec<_> = photos.map(|(i, e)| (i, e.source.clone())).collect();
        if let (Some(models), false) = (&self.models, photos.is_empty()) {
            let models = Arc::clone(models);
            self.jobs.start(Job::FindAll, move |out| {
                steps::find_all(&photos, (&*models, method), out)
            });
        }
    }

    /// In how many photos besides the one on the screen nobody has looked.
    pub(super) fn others_unlooked(&self) -> usize {
        let others = self.photos.iter().enumerate();
        let others = others.filter(|(index, _)| *index != self.current);
        let open = |entry: &Entry| entry.poses.is_none() && entry.error.is_none();
        others.filter(|(_, entry)| open(entry)).count()
    }

    /// Takes what has arrived from the jobs, and starts what is wanted next.
    pub(super) fn take_arrivals(
        &mut self,
        ctx: &egui::Context,
        settings: &mut Settings,
        log: &mut Log,
    ) {
        let list = self.list;
        for (job, arrival) in self.jobs.poll() {
            match arrival {
                // Other photos were opened by what arrived just before.
                Arrival::Value(value) if list != self.list && value.is_of_a_photo() => {}
                Arrival::Value(value) => self.take(ctx, value, settings, log),
                Arrival::Ended(Some(error)) => {
                    if job == Job::Models {
                        self.model_error = Some(format!("{error:#}"));
                    }
                    log.error(&error);
                }
                Arrival::Ended(None) => {}
            }
        }
        self.start_what_is_wanted(&settings.pose);
        self.compare_what_is_shown();
    }

    fn take(&mut self, ctx: &egui::Context, value: Value, settings: &mut Settings, log: &mut Log) {
        match value {
            Value::Models(models) => self.models = Some(models),
            Value::Listed(listing) => self.listed(listing, settings, log),
            Value::Shown(shown) => {
                self.canvas.fit();
                self.shown = Some(shown);
            }
            Value::Failed(index, why) => {
                if let Some(entry) = self.photos.get_mut(index) {
                    entry.error = Some(why);
                }
            }
            Value::Found {
                index,
                people,
                size,
                secs,
            } => {
                if let Some(entry) = self.photos.get_mut(index)
                    && entry.poses.is_none()
                {
                    entry.poses = Some(Poses::new(people, size, secs));
                }
                touch(&mut self.photos, index);
                forget_old(&mut self.photos, self.current);
            }
            Value::Inside(index, inside) => self.inside = Some((index, inside)),
            Value::Heat(index, joint, texture) => self.heat = Some((index, joint, texture)),
            Value::Crops(crops) => self.loupe.take(ctx, *crops),
            Value::Thumb(index, small) => {
                let texture = small.map(|small| {
                    let name = format!("thumbnail {index}");
                    ctx.load_texture(name, color_image(&small), TextureOptions::LINEAR)
                });
                self.thumbs.insert(index, texture);
                self.forget_thumbs();
            }
            Value::Labels(labels) => self.take_truth(labels, log),
            Value::Chosen(purpose, paths) => self.path_chosen(purpose, paths, &settings.pose),
            Value::NoDialog(purpose, ask) => {
                self.path_question = Some(PathQuestion::new(purpose, ask));
            }
            Value::Saved(purpose, path) => self.saved(purpose, &path, log),
        }
    }

    /// The farthest from the photo on the screen go first.
    fn forget_thumbs(&mut self) {
        while self.thumbs.len() > MAX_THUMBS {
            let far = |index: &usize| index.abs_diff(self.current);
            let Some(farthest) = self.thumbs.keys().copied().max_by_key(|i| far(i)) else {
                return;
            };
            self.thumbs.remove(&farthest);
        }
    }

    /// Starts a job once for the photo on the screen.
    fn once(&mut self, job: Job) -> bool {
        let is_new = !self.begun.contains(&job) && !self.jobs.is_busy(job);
        if is_new {
            self.begun.push(job);
        }
        is_new
    }

    fn start_what_is_wanted(&mut self, view: &PoseView) {
        let index = self.current;
        let Some(entry) = self.photos.get(index) else {
            return;
        };
        let (is_found, is_broken) = (entry.poses.is_some(), entry.error.is_some());
        let source = entry.source.clone();
        self.start_thumbs();
        let Some(rgb) = self.shown_rgb() else {
            if !is_broken && self.once(Job::Open) {
                let gpu = self.gpu.clone();
                self.jobs
                    .start(Job::Open, move |out| steps::open(index, &source, &gpu, out));
            }
            return;
        };
        let Some(models) = self.models.clone() else {
            return;
        };
        if !is_found && !is_broken && self.once(Job::Find) {
            let (rgb, models) = (Arc::clone(&rgb), Arc::clone(&models));
            let method = view.method;
            self.jobs.start(Job::Find, move |out| {
                steps::find(index, &rgb, (&*models, method), out)
            });
        }
        if self.look != Look::Poses && self.inside().is_none() && self.once(Job::Inside) {
            let (rgb, models) = (Arc::clone(&rgb), Arc::clone(&models));
            self.jobs.start(Job::Inside, move |out| {
                steps::inside(index, &rgb, &*models, out)
            });
        }
        if self.look == Look::Heat
            && self.heat_texture().is_none()
            && !self.jobs.is_busy(Job::Heat)
            && let Some((of, inside)) = &self.inside
            && *of == index
        {
            let (inside, joint, gpu) = (Arc::clone(inside), self.joint, self.gpu.clone());
            self.jobs.start(Job::Heat, move |out| {
                steps::heat(index, joint, &inside, &gpu, out)
            });
        }
        self.start_crops(view, index, rgb);
    }

    /// Cuts out what the networks saw of the person in focus, else of the surest.
    fn start_crops(&mut self, view: &PoseView, index: usize, rgb: Arc<Rgb>) {
        let Some(person) = self.person_in_loupe(view) else {
            return;
        };
        let regions = self
            .poses()
            .and_then(|poses| poses.people.get(person))
            .map_or([None; 3], |state| state.regions);
        if view.loupe && self.loupe.asks(index, person) {
            self.jobs.start(Job::Crops, move |out| {
                steps::crops(index, person, &rgb, regions, out)
            });
        }
    }

    /// Whom the loupe looks at.
    pub(super) fn person_in_loupe(&self, view: &PoseView) -> Option<usize> {
        let surest = || self.poses()?.seen(view.person_score).next();
        self.person.or_else(|| surest().map(|(index, _)| index))
    }

    fn start_thumbs(&mut self) {
        if self.jobs.is_busy(Job::Thumbs) {
            return;
        }
        /// Made by one job, so that the strip can be scrolled on.
        const AT_ONCE: usize = 8;
        let missing = self
            .in_strip
            .clone()
            .filter(|index| !self.thumbs.contains_key(index));
        let mut missing: Vec<usize> = missing.collect();
        missing.sort_by_key(|index| index.abs_diff(self.current));
        missing.truncate(AT_ONCE);
        let of = |index: usize| Some((index, self.photos.get(index)?.source.clone()));
        let photos: Vec<_> = missing.into_iter().filter_map(of).collect();
        if !photos.is_empty() {
            self.jobs
                .start(Job::Thumbs, move |out| steps::thumbs(&photos, out));
        }
    }

    fn shown_rgb(&self) -> Option<Arc<Rgb>> {
        let shown = self.shown.as_ref()?;
        (shown.index == self.current).then(|| Arc::clone(&shown.rgb))
    }

    fn heat_texture(&self) -> Option<&Arc<HeatmapTexture>> {
        let (index, joint, texture) = self.heat.as_ref()?;
        (*index == self.current && *joint == self.joint).then_some(texture)
    }

    /// Labels of the photo on the screen.
    pub(super) fn truth_here(&self) -> Option<&AnnotatedImage> {
        let entry = self.photos.get(self.current)?;
        self.truth.as_ref()?.of(&entry.name)
    }

    fn compare_what_is_shown(&mut self) {
        let (Some(poses), Some(truth)) = (self.poses(), self.truth_here()) else {
            self.compared = None;
            return;
        };
        let key = (self.current, poses.revision);
        let done = self.compared.as_ref();
        if done.is_some_and(|(index, revision, _)| (*index, *revision) == key) {
            return;
        }
        // Places in the comparison are those in the list; who was taken out stands for nobody.
        let kept: Vec<(usize, _)> = poses.kept().map(|(i, state)| (i, &state.person)).collect();
        let people: Vec<_> = kept.iter().map(|(_, person)| *person).collect();
        let short = compare(&people, &truth.people);
        let mut matches = vec![None; poses.people.len()];
        for ((index, _), found) in kept.into_iter().zip(short.matches) {
            if let Some(slot) = matches.get_mut(index) {
                *slot = found;
            }
        }
        let missed = short.missed;
        self.compared = Some((key.0, key.1, Comparison { matches, missed }));
    }

    /// Compares anew, with other labels.
    pub(super) fn forget_comparison(&mut self) {
        self.compared = None;
    }

    /// What is drawn, bottom first.
    pub(super) fn stack(&self, shown: &Shown, view: &PoseView, ppp: f32) -> Vec<Layer> {
        let mut stack = vec![Layer::Picture(PictureLayer::new(Arc::clone(
            &shown.texture,
        )))];
        if shown.index != self.current {
            return stack;
        }
        let mut segments = Vec::new();
        match (self.look, self.inside()) {
            (Look::Poses, _) => {
                if let Some(poses) = self.poses() {
                    segments = draw::skeletons(poses, view, self.person, self.keypoint);
                }
                if let Some(truth) = self.truth_here().filter(|_| view.truth) {
                    let matched = self.person.zip(self.comparison());
                    let matched = matched.and_then(|(p, c)| c.matches.get(p)?.as_ref());
                    let only = matched.map(|m| m.truth);
                    segments.extend(draw::truths(&truth.people, view, only));
                }
            }
            (Look::Heat, Some((inside, _))) => {
                if let Some(texture) = self.heat_texture() {
                    stack.push(Layer::Heatmap(Box::new(HeatmapLayer {
                        texture: Arc::clone(texture),
                        grid_from_image: inside.grid_from_image,
                        color_map: view.color_map,
                        range: [0.0, 1.0],
                        opacity: view.heat_opacity,
                        fade_in: 0.15,
                        levels: Vec::new(),
                        contour_px: 1.0,
                    })));
                }
                segments = inside::candidates_of(inside, self.joint);
            }
            (Look::Grouping, Some((inside, pass))) => segments = inside::segments(inside, pass),
            _ => {}
        }
        let mut lines = LinesLayer::new(Arc::new(Lines::new(&self.gpu, &segments)), ppp);
        (lines.border_px, lines.border_color) = (0.8 * ppp, [0.0, 0.0, 0.0, 0.4]);
        stack.push(Layer::Lines(lines));
        stack
    }
}

/// Pixels as egui takes them.
pub(super) fn color_image(picture: &Rgb) -> ColorImage {
    ColorImage::from_rgb([picture.width, picture.height], &picture.data)
}
