//! The motion tab: a recording plays, walkers are focused, bent and drawn, futures follow, files go out and in.

use vitruvian::job::Out;
use vitruvian::motion::scene::Scene;
use vitruvian::motion::{Futures, OBS_LEN, PRED_LEN, Past, SAMPLES, distance, velocity};
use vitruvian::ui::TabName;
use vitruvian::ui::motion::{Id, Predicted, Predictor, Value, Work as Recording};

use super::*;

/// Goes straight on, a little to either side.
pub struct Ahead;

impl Predictor for Ahead {
    fn predict(
        &self,
        pasts: &[Past],
        _scene: Option<&Scene>,
        _is_quick: bool,
        _out: &Out<Value>,
    ) -> anyhow::Result<Vec<Futures>> {
        Ok(pasts.iter().map(velocity::going_on).collect())
    }

    fn name(&self) -> String {
        "Straight ahead".to_owned()
    }
}

/// The motion tab with the plaza, paused where several walkers can be predicted.
fn plaza() -> Window {
    let mut window = Window::with(Stub::blind());
    window.key(Key::Num3, Modifiers::ALT);
    window.until(|w| w.recording().is_some());
    window.key(Key::Space, Modifiers::NONE);
    for _ in 0..20 {
        window.key(Key::ArrowRight, Modifiers::NONE);
    }
    window.ready();
    window
}

impl Window {
    fn recording(&self) -> Option<&Recording> {
        self.harness.state().motion().work()
    }

    fn predicted(&self) -> &Predicted {
        self.harness.state().motion().predicted().unwrap()
    }

    /// Runs frames until the shown moment is predicted and its heat map is there.
    fn ready(&mut self) {
        self.until(|w| {
            let tab = w.harness.state().motion();
            let revision = tab.work().map(|work| work.revision);
            let is_new = tab
                .predicted()
                .is_some_and(|p| Some(p.revision) == revision && p.is_full);
            let heat = tab
                .density()
                .map(|d| (d.key.frame, d.key.revision, d.key.focus));
            let shown = tab
                .work()
                .map(|work| (work.frame(), work.revision, work.focus));
            is_new && heat == shown && !tab.is_busy()
        });
    }

    /// Where a point of the ground is on the screen; the picture is fitted.
    fn ground(&self, world: [f64; 2]) -> Pos2 {
        let work = self.recording().unwrap();
        let [x, y] = work.scene.to_pixel(world).map(|v| v as f32);
        let rect = self.canvas("Walkers");
        let size = vec2(work.size[0] as f32, work.size[1] as f32);
        let zoom = ((rect.size() - vec2(24.0, 24.0)) / size).min_elem();
        rect.center() + (vec2(x, y) - size / 2.0) * zoom
    }

    fn drag(&mut self, points: &[Pos2]) {
        self.harness.hover_at(points[0]);
        self.harness.step();
        self.button(points[0], PointerButton::Primary, true, Modifiers::NONE);
        self.harness.step();
        for point in &points[1..] {
            self.harness.hover_at(*point);
            self.harness.step();
        }
        self.button(
            *points.last().unwrap(),
            PointerButton::Primary,
            false,
            Modifiers::NONE,
        );
        self.harness.step();
    }

    fn tap(&mut self, at: Pos2) {
        self.drag(&[at]);
        self.harness.step();
    }

    /// A walker with nobody near.
    fn lonely(&self) -> (Id, Past) {
        let walkers = &self.predicted().walkers;
        let here = |past: &Past| past[OBS_LEN - 1];
        let room = |past: &Past| {
            let others = walkers.iter().map(|w| distance(here(&w.past), here(past)));
            others.filter(|d| *d > 0.0).fold(f64::INFINITY, f64::min)
        };
        let inside = |past: &Past| {
            (3.0..21.0).contains(&here(past)[0]) && (3.0..13.0).contains(&here(past)[1])
        };
        let best = walkers
            .iter()
            .filter(|w| inside(&w.past))
            .max_by(|a, b| room(&a.past).total_cmp(&room(&b.past)));
        best.map(|w| (w.id, w.past)).unwrap()
    }
}

#[test]
fn the_first_look_shows_the_plaza_playing() {
    let mut window = Window::with(Stub::blind());
    window.key(Key::Tab, Modifiers::COMMAND);
    window.key(Key::Tab, Modifiers::COMMAND);
    assert_eq!(window.harness.state().shown(), TabName::Motion);
    window.until(|w| w.harness.state().motion().predicted().is_some());
    let work = window.recording().unwrap();
    assert!(work.is_playing && work.name == "Plaza");
    let before = work.secs;
    window.harness.run_steps(30);
    let after = window.recording().unwrap().secs;
    assert!(
        (after - before - 0.5).abs() < 0.05,
        "30 frames are half a second"
    );
    assert!(window.predicted().walkers.len() >= 5);

    window.click("Pause");
    let paused = window.recording().unwrap().secs;
    window.harness.run_steps(5);
    assert_eq!(window.recording().unwrap().secs, paused);
    window.key(Key::Tab, Modifiers::COMMAND | Modifiers::SHIFT);
    window.key(Key::Tab, Modifiers::COMMAND | Modifiers::SHIFT);
    assert_eq!(window.harness.state().shown(), TabName::Face);
}

#[test]
fn a_walker_in_focus_has_numbers_and_a_heat_map_of_their_own() {
    let mut window = plaza();
    let all = window.predicted();
    let known = all.walkers.iter().filter(|w| w.truth.is_some()).count();
    assert_eq!(all.scores.as_ref().unwrap().people, known);
    assert!(
        known > 3
            && all
                .walkers
                .iter()
                .all(|w| w.futures.samples.len() == SAMPLES)
    );
    let wide = window.harness.state().motion().density().unwrap().peak;

    let (id, past) = window.lonely();
    window.tap(window.ground(past[OBS_LEN - 1]));
    assert_eq!(window.recording().unwrap().focus, Some(id));
    window.ready();
    // The same probability on one walker's twenty destinations: denser.
    let own = window.harness.state().motion().density().unwrap().peak;
    assert!(own > 2.0 * wide, "{own} {wide}");
    window.key(Key::Escape, Modifiers::NONE);
    assert_eq!(window.recording().unwrap().focus, None);
}

#[test]
fn a_past_is_bent_the_futures_follow_and_it_can_be_taken_back() {
    let mut window = plaza();
    let (id, past) = window.lonely();
    let tip = past[OBS_LEN - 1];
    let to = [tip[0] + 0.6, tip[1] + 0.8];
    let [from, middle, end] = [tip, [tip[0] + 0.3, tip[1] + 0.4], to].map(|p| window.ground(p));
    window.drag(&[from, middle, end]);
    window.ready();
    let bent = |w: &Window| {
        let walker = w.predicted().walkers.iter().find(|w| w.id == id).unwrap();
        (walker.past, walker.futures.samples[0][0], walker.truth)
    };
    let (now, next, truth) = bent(&window);
    assert!(distance(now[OBS_LEN - 1], to) < 0.03, "{now:?}");
    assert_eq!(now[0], past[0]);
    assert_eq!(
        truth, None,
        "what was recorded is no truth for a changed past"
    );
    let step = distance(now[OBS_LEN - 2], now[OBS_LEN - 1]);
    assert!(
        (distance(next, now[OBS_LEN - 1]) - step).abs() < 1e-6,
        "the future goes on from there"
    );

    window.key(Key::Z, Modifiers::COMMAND);
    window.ready();
    assert_eq!(bent(&window).0, past);
    window.key(Key::Y, Modifiers::COMMAND);
    window.ready();
    assert_eq!(bent(&window).0, now);
    window.click("Back to the recording");
    window.ready();
    assert_eq!(bent(&window).0, past);
}

#[test]
fn a_drawn_walker_walks_on() {
    let mut window = plaza();
    let before = window.predicted().walkers.len();
    window.key(Key::D, Modifiers::NONE);
    let stroke = [[4.0, 7.0], [5.0, 7.0], [6.0, 7.0], [7.0, 7.0], [8.5, 7.0]];
    window.drag(&stroke.map(|p| window.ground(p)));
    window.ready();
    assert_eq!(window.predicted().walkers.len(), before + 1);
    let drawn = window
        .predicted()
        .walkers
        .iter()
        .find(|w| w.id == Id::Drawn(0))
        .unwrap();
    // 1.3 m/s along the stroke, and on from its end.
    let step = distance(drawn.past[6], drawn.past[7]);
    assert!((step - 0.52).abs() < 0.01, "{step}");
    let middle = drawn.futures.samples[SAMPLES / 2][PRED_LEN - 1];
    assert!(
        middle[0] > 14.0 && (middle[1] - 7.0).abs() < 0.5,
        "{middle:?}"
    );
    window.key(Key::Delete, Modifiers::NONE);
    window.ready();
    assert_eq!(window.predicted().walkers.len(), before);
}

#[test]
fn predictions_are_exported_and_tracks_are_opened() {
    let mut window = plaza();
    let csv = window.folder.path().join("out.csv");
    window.answer(Some(csv.clone()));
    window.click("Export");
    window.click("Predictions (CSV)…");
    window.until(|w| csv.exists() && !w.harness.state().motion().is_busy());
    let walkers = window.predicted().walkers.len();
    let rows = std::fs::read_to_string(&csv).unwrap().lines().count();
    assert_eq!(rows, 1 + walkers * SAMPLES * PRED_LEN);

    let png = window.folder.path().join("out.png");
    window.answer(Some(png.clone()));
    window.key(Key::E, Modifiers::COMMAND);
    window.until(|_| png.exists());
    window.until(|w| w.message().starts_with("Picture saved"));
    let picture = photo::open(&png).unwrap().rgb;
    assert_eq!(
        [picture.width, picture.height],
        window.recording().unwrap().size
    );

    // A recording of one walker, without a picture; before that the drawn walker is asked about.
    window.key(Key::D, Modifiers::NONE);
    window.drag(&[[4.0, 7.0], [6.0, 7.0]].map(|p| window.ground(p)));
    let path = window.folder.path().join("one.txt");
    let lines: String = (0..30)
        .map(|i| format!("{} 7 {} 2\n", i * 10, 0.5 * i as f64))
        .collect();
    std::fs::write(&path, lines).unwrap();
    window.answer(Some(path));
    window.click("Open…");
    window.until(|w| {
        w.harness
            .query_by_label("Open another recording?")
            .is_some()
    });
    window.click("Open anyway");
    window.until(|w| w.recording().is_some_and(|work| work.name == "one.txt"));
    window.key(Key::Space, Modifiers::NONE);
    window.ready();
    assert_eq!(window.predicted().walkers.len(), 1);
    let scores = window.predicted().scores.clone().unwrap();
    // Who goes straight on is met by the nearest of 20 headings: 1.47° off over 0.5 m, 1.0 m, … 6 m.
    assert!((scores.fde - 0.154).abs() < 1e-3 && (scores.ade - 0.0834).abs() < 1e-3);
    assert_eq!(scores.off_walkable, None, "there is no mask");
}
