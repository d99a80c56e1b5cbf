//! Keeping the work: project files, and the recovery folder that survives a crash.
//!
//! Every few seconds after a change a job writes everything into the recovery folder. It takes the mask at the same
//! step as the history that was handed to it; if the mask was painted on meanwhile, the next turn is tried.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use eframe::egui;

use super::mirror::Mirror;
use super::steps::{Opened, Parsed, Purpose, Value};
use super::tab::{FaceTab, Job};
use super::work::Work;
use crate::face::edit::Face;
use crate::face::mask::{History, Labels};
use crate::face::project::{self, Project, ProjectEdit, ProjectView};
use crate::face::recovery::{Orphan, Session, find_orphan};
use crate::gpu::{Gpu, MaskTexture, PictureTexture};
use crate::job::Out;
use crate::photo;
use crate::ui::question;

/// How long a change waits before it is kept.
const KEEP_SECS: f64 = 2.0;

/// The work as it was at one moment, cheap to take; the masks are read later.
pub struct Kept {
    photo_name: String,
    photo_bytes: Arc<Vec<u8>>,
    photo_id: u64,
    faces: Vec<Face>,
    current: usize,
    edits: Vec<Option<KeptEdit>>,
    view: ProjectView,
}

struct KeptEdit {
    source: Arc<Labels>,
    mirror: Arc<Mirror>,
    /// How many changes the mirror had been told of.
    told: u64,
    history: History,
}

impl Kept {
    /// The whole project; none when a mask was painted on since.
    fn project(self) -> Option<Project> {
        let edit = |edit: KeptEdit| {
            Some(ProjectEdit {
                source: edit.source,
                target: edit.mirror.at(edit.told)?,
                history: edit.history,
            })
        };
        let edits = self.edits.into_iter().map(|kept| match kept {
            None => Some(None),
            Some(kept) => edit(kept).map(Some),
        });
        Some(Project {
            photo_name: self.photo_name,
            faces: self.faces,
            current: self.current,
            edits: edits.collect::<Option<_>>()?,
            view: self.view,
        })
    }
}

/// A project that was opened.
pub struct OpenedProject {
    pub opened: Opened,
    /// None for work that was brought back.
    pub path: Option<PathBuf>,
    pub faces: Vec<Face>,
    pub current: usize,
    pub edits: Vec<Option<(Parsed, History)>>,
    pub view: ProjectView,
    /// Where the work came from, to be removed once it is kept again.
    pub orphan: Option<Orphan>,
}

/// Makes what the window needs of a project.
pub fn restore(
    project: Project,
    photo_bytes: Vec<u8>,
    path: Option<PathBuf>,
    orphan: Option<Orphan>,
    gpu: &Gpu,
) -> Result<OpenedProject> {
    let photo = photo::decode(&photo_bytes).context("Failed to open the project's photo")?;
    let size = (photo.rgb.width, photo.rgb.height);
    let mut edits = Vec::new();
    for (face, edit) in project.edits.into_iter().enumerate() {
        let Some(edit) = edit else {
            edits.push(None);
            continue;
        };
        let found = (edit.target.width, edit.target.height);
        photo::ensure_same_size("mask", found, size)?;
        let parsed = Parsed::new(face, edit.source, edit.target, gpu);
        edits.push(Some((parsed, edit.history)));
    }
    let texture = Arc::new(PictureTexture::new(gpu, &photo.rgb));
    Ok(OpenedProject {
        opened: Opened {
            path: Some(PathBuf::from(project.photo_name)),
            photo: Arc::new(photo),
            bytes: Arc::new(photo_bytes),
            texture,
        },
        path,
        faces: project.faces,
        current: project.current,
        edits,
        view: project.view,
        orphan,
    })
}

impl Parsed {
    /// A face's masks, ready to be painted on.
    pub fn new(face: usize, source: Arc<Labels>, target: Labels, gpu: &Gpu) -> Self {
        Self {
            face,
            source,
            mirror: Arc::new(Mirror::new(target.clone())),
            texture: Arc::new(MaskTexture::new(gpu, &target)),
            style: Default::default(),
            target,
        }
    }
}

fn keep(kept: Kept, session: &Session, old: Option<Orphan>, out: &Out<Value>) -> Result<()> {
    let (bytes, id) = (Arc::clone(&kept.photo_bytes), kept.photo_id);
    match kept.project() {
        Some(project) => {
            session.save(&project, &bytes, id)?;
            old.into_iter().for_each(Orphan::discard);
            out.value(Value::Kept(None))?;
        }
        None => out.value(Value::Kept(Some(old)))?,
    }
    Ok(())
}

fn save(kept: Kept, path: PathBuf, session: Option<&Session>, out: &Out<Value>) -> Result<()> {
    out.progress(0.2, "Saving the project")?;
    let bytes = Arc::clone(&kept.photo_bytes);
    let project = kept
        .project()
        .context("The mask was painted on while it was being saved. Save again")?;
    photo::save_atomically(&path, &project::encode(&project, Some(&bytes))?)?;
    if let Some(session) = session {
        session.clear();
    }
    out.value(Value::Saved(Purpose::SaveProject, path))?;
    Ok(())
}

impl FaceTab {
    fn kept(&self, work: &Work) -> Kept {
        let edits = (0..work.faces.as_ref().map_or(0, Vec::len)).map(|face| {
            let edit = work.edits().find(|(index, _)| *index == face)?.1;
            let mut history = edit.history.clone();
            if face == work.current
                && let Some((before, name)) = self.moving.as_ref().and_then(|m| m.as_step())
            {
                history.push(before, name, &edit.target);
            }
            Some(KeptEdit {
                source: Arc::clone(&edit.source),
                mirror: Arc::clone(&edit.mirror),
                told: edit.mirror.told(),
                history,
            })
        });
        Kept {
            photo_name: work.name(),
            photo_bytes: Arc::clone(&work.bytes),
            photo_id: work.id,
            faces: work.faces.clone().unwrap_or_default(),
            current: work.current,
            edits: edits.collect(),
            view: self.classes.view(),
        }
    }

    /// Looks for work that a program left which is no longer there.
    pub(super) fn look_for_orphan(&mut self) {
        if let Some(session) = &self.session {
            let session = Arc::clone(session);
            self.jobs.start(Job::Recover, move |out| {
                if let Some(orphan) = find_orphan(session.base()) {
                    out.value(Value::Orphan(Box::new(orphan)))?;
                }
                Ok(())
            });
        }
    }

    /// Keeps the work when it is time to.
    pub(super) fn keep_if_due(&mut self, ctx: &egui::Context) {
        if !self.is_unkept {
            return;
        }
        let now = ctx.input(|i| i.time);
        let due = *self.keep_at_secs.get_or_insert(now + KEEP_SECS);
        if now < due || self.painting.is_some() || self.jobs.is_busy(Job::Keep) {
            let wait = (due - now).clamp(0.1, KEEP_SECS);
            ctx.request_repaint_after(std::time::Duration::from_secs_f64(wait));
            return;
        }
        let (Some(session), Some(work)) = (&self.session, &self.work) else {
            return;
        };
        let (kept, session) = (self.kept(work), Arc::clone(session));
        let old = self.orphan_taken.take();
        self.is_unkept = false;
        self.keep_at_secs = None;
        self.jobs
            .start(Job::Keep, move |out| keep(kept, &session, old, out));
    }

    /// The work was kept; or not, since it was painted on, and what it came from still has to be removed.
    pub(super) fn take_kept(&mut self, failed: Option<Option<Orphan>>) {
        if let Some(old) = failed {
            self.orphan_taken = old;
            self.is_unkept = true;
        }
    }

    /// Saves to the project's own file, or asks for one.
    pub(super) fn save_project(&mut self, path: PathBuf) {
        self.with_work(|tab, work| {
            work.project_path = Some(path.clone());
            let (kept, session) = (tab.kept(work), tab.session.clone());
            tab.jobs.start(Job::SaveProject, move |out| {
                save(kept, path, session.as_deref(), out)
            });
        });
    }

    /// Shows a project.
    pub(super) fn take_project(&mut self, project: OpenedProject) {
        self.show_photo(project.opened);
        self.classes.set_view(&project.view);
        self.orphan_taken = project.orphan;
        let is_recovered = self.orphan_taken.is_some();
        self.is_unkept = is_recovered;
        self.with_work(|_, work| {
            work.project_path = project.path;
            work.unsaved = is_recovered;
            work.set_faces(project.faces);
            work.current = project.current;
            for (parsed, history) in project.edits.into_iter().flatten() {
                work.set_restored(parsed, history);
            }
        });
        let is_parsed = self.has_edit();
        if is_parsed {
            self.start_render();
        } else {
            self.with_work(|tab, work| tab.parse_face(work));
        }
    }

    /// Nothing has to be kept any more: the window closes as it should.
    pub fn discard_kept(&mut self) {
        self.jobs.cancel(Job::Keep);
        if let Some(session) = &self.session {
            session.clear();
        }
    }

    /// Offers work that was found.
    pub(super) fn orphan_question_ui(&mut self, ctx: &egui::Context) {
        let Some(orphan) = &self.orphan else {
            return;
        };
        let minutes = orphan
            .when
            .elapsed()
            .map_or(0, |since| since.as_secs() / 60);
        let when = match minutes {
            0 => "less than a minute ago".to_owned(),
            1 => "a minute ago".to_owned(),
            2..120 => format!("{minutes} minutes ago"),
            _ => format!("{} hours ago", minutes / 60),
        };
        let text = format!("Vitruvian ended without saving. It kept what you had painted {when}.");
        let answer = question::question_ui(
            ctx,
            "Bring your work back?",
            &text,
            "Bring it back",
            "Give it up",
        );
        let (Some(agreed), Some(orphan)) = (answer, self.orphan.take_if(|_| answer.is_some()))
        else {
            return;
        };
        let gpu = self.gpu.clone();
        self.jobs.start(Job::Open, move |out| {
            if !agreed {
                orphan.discard();
                return Ok(());
            }
            out.progress(0.2, "Bringing the work back")?;
            let (project, bytes) = orphan.read()?;
            let restored = restore(project, bytes, None, Some(orphan), &gpu)?;
            out.value(Value::Project(Box::new(restored)))?;
            Ok(())
        });
    }
}
