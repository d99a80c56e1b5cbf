//! Slow work on its own thread, with progress and cancel. The only file that starts threads.
//!
//! A [`Slot`] belongs to whoever waits for the result and runs one job at a time; the work reports through [`Out`].
//! Work without a window uses [`Out::silent`] or [`Out::to_stderr`], tests [`Out::collecting`]: steps cannot tell.
//! Left out: pools, priorities and futures. A step spreads its own loops with rayon where that pays.

use std::io::{IsTerminal as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, anyhow};

/// Messages that may wait for the receiver; a job that runs further ahead blocks.
const CHANNEL_LEN: usize = 64;

/// What a job sends.
pub enum Update<T> {
    /// Fraction done in [0, 1] and what is being done, in plain words.
    Progress(f32, String),
    /// A result; a job may send several, each replacing the one before.
    Value(T),
    /// The last message of every job that was not cancelled.
    Ended(Result<()>),
}

/// The receiver no longer wants the result: return it up with `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Cancelled")]
pub struct Cancelled;

/// Where work reports to. Call it at least every 100 ms of work: it is how a job learns of cancel.
pub struct Out<T> {
    sink: Arc<Sink<T>>,
    /// The part of the whole job that this reporter covers.
    span: (f32, f32),
}

enum Sink<T> {
    Silent,
    Stderr(String, Mutex<String>),
    Collect(Mutex<Vec<Update<T>>>),
    Channel(SyncSender<Update<T>>, Arc<AtomicBool>, Wake),
}

/// Told of each message, and whether it is more than progress.
type Wake = Arc<dyn Fn(bool) + Send + Sync>;

impl<T> Out<T> {
    fn new(sink: Sink<T>) -> Self {
        let (sink, span) = (Arc::new(sink), (0.0, 1.0));
        Self { sink, span }
    }

    /// Drops every report.
    pub fn silent() -> Self {
        Self::new(Sink::Silent)
    }

    /// Prints progress as `label: note` to stderr: one line rewritten on a terminal, else a line for each new note.
    pub fn to_stderr(label: impl Into<String>) -> Self {
        Self::new(Sink::Stderr(label.into(), Mutex::default()))
    }

    /// Keeps every report for [`Out::take_collected`].
    pub fn collecting() -> Self {
        Self::new(Sink::Collect(Mutex::default()))
    }

    /// What a collecting reporter has received since the last call; empty for all others.
    pub fn take_collected(&self) -> Vec<Update<T>> {
        match &*self.sink {
            Sink::Collect(updates) => std::mem::take(&mut lock(updates)),
            _ => Vec::new(),
        }
    }

    /// A reporter for one part of the job: its 0 to 1 is `from` to `to` of this one.
    pub fn part(&self, from: f32, to: f32) -> Self {
        let (start, len) = (self.span.0, self.span.1 - self.span.0);
        let span = (start + len * from, start + len * to);
        let sink = Arc::clone(&self.sink);
        Self { sink, span }
    }

    /// Reports the fraction done in [0, 1] and what is being done.
    pub fn progress(&self, fraction: f32, note: impl Into<String>) -> Result<(), Cancelled> {
        let fraction = self.span.0 + (self.span.1 - self.span.0) * fraction.clamp(0.0, 1.0);
        self.send(Update::Progress(fraction, note.into()))
    }

    /// Hands over a result.
    pub fn value(&self, value: T) -> Result<(), Cancelled> {
        self.send(Update::Value(value))
    }

    fn send(&self, update: Update<T>) -> Result<(), Cancelled> {
        match &*self.sink {
            Sink::Silent => {}
            Sink::Stderr(label, last) => print_progress(label, &mut lock(last), &update),
            Sink::Collect(updates) => lock(updates).push(update),
            Sink::Channel(sender, cancelled, wake) => {
                let is_news = !matches!(update, Update::Progress(..));
                let sent = !cancelled.load(Relaxed) && sender.send(update).is_ok();
                (sent && !cancelled.load(Relaxed))
                    .then_some(())
                    .ok_or(Cancelled)?;
                wake(is_news);
            }
        }
        Ok(())
    }
}

/// Holds one job at a time. Dropping it cancels.
pub struct Slot<T> {
    name: String,
    wake: Wake,
    current: Option<(Receiver<Update<T>>, Arc<AtomicBool>)>,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    running: bool,
    waiting: Option<Box<dyn FnOnce() + Send>>,
}

impl<T: Send + 'static> Slot<T> {
    /// `name` is the thread's, after the step; `wake` is called after each message, with false when it is progress
    /// that may be shown a little later (a window asks for a repaint).
    pub fn new(name: impl Into<String>, wake: impl Fn(bool) + Send + Sync + 'static) -> Self {
        let (name, wake) = (name.into(), Arc::new(wake));
        let (current, queue) = (None, Arc::default());
        Self {
            name,
            wake,
            current,
            queue,
        }
    }

    /// Runs `work` on its own thread. A job that still runs is cancelled and `work` starts as soon as it has
    /// stopped; of several waiting only the newest is kept. Nothing more is received from the older ones.
    pub fn start(&mut self, work: impl FnOnce(&Out<T>) -> Result<()> + Send + 'static) {
        self.cancel();
        let (sender, receiver) = sync_channel(CHANNEL_LEN);
        let cancelled = Arc::new(AtomicBool::new(false));
        self.current = Some((receiver, Arc::clone(&cancelled)));
        let out = Out::new(Sink::Channel(
            sender.clone(),
            cancelled,
            Arc::clone(&self.wake),
        ));
        let job = Box::new(move || {
            let result = catching(|| work(&out));
            out.send(Update::Ended(result)).ok();
        });

        let mut queue = lock(&self.queue);
        if queue.running {
            queue.waiting = Some(job);
            return;
        }
        let shared = Arc::clone(&self.queue);
        let spawned = std::thread::Builder::new()
            .name(self.name.clone())
            .spawn(move || {
                let mut next: Option<Box<dyn FnOnce() + Send>> = Some(job);
                while let Some(job) = next {
                    job();
                    let mut queue = lock(&shared);
                    next = queue.waiting.take();
                    queue.running = next.is_some();
                }
            });
        queue.running = spawned.is_ok();
        if let Err(err) = spawned.context("Failed to start a thread") {
            sender.try_send(Update::Ended(Err(err))).ok();
        }
    }

    /// Everything that has arrived since the last call, oldest first; never waits.
    pub fn poll(&mut self) -> Vec<Update<T>> {
        let mut updates = Vec::new();
        while let Some((receiver, _)) = &self.current {
            match receiver.try_recv() {
                Ok(update) => updates.push(update),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    updates.push(Update::Ended(Err(anyhow!(
                        "The work stopped without a result"
                    ))));
                }
            }
            if matches!(updates.last(), Some(Update::Ended(_))) {
                self.current = None;
            }
        }
        updates
    }

    /// Whether a job runs or waits whose end has not been polled yet.
    pub fn is_busy(&self) -> bool {
        self.current.is_some()
    }
}

impl<T> Slot<T> {
    /// Asks the job to stop; nothing more is received from it.
    pub fn cancel(&mut self) {
        if let Some((_, cancelled)) = self.current.take() {
            cancelled.store(true, Relaxed);
        }
        lock(&self.queue).waiting = None;
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// The most memory that this program has held so far, in MB; none where the system does not tell.
pub fn peak_memory_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kb: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kb / 1024)
}

/// Memory that can still be had without swapping, in MB; none where the system does not tell.
pub fn available_memory_mb() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kb: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kb / 1024)
}

/// How many things can be computed at once.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Does `work` for 0 to `count` - 1 on up to `workers` threads named `name`, and returns when all is done. Each thread
/// takes the next number when it is free. If a thread cannot be started, the others do its share.
pub fn in_parallel(name: &str, workers: usize, count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let run = || {
        loop {
            let index = next.fetch_add(1, Relaxed);
            if index >= count {
                break;
            }
            work(index);
        }
    };
    std::thread::scope(|scope| {
        let started = (1..workers.max(1)).map(|i| {
            let builder = std::thread::Builder::new().name(format!("{name} {i}"));
            builder.spawn_scoped(scope, run).is_ok()
        });
        started.for_each(drop);
        run();
    });
}

/// Runs work that may panic and gives the panic as an error.
pub fn catching<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panic_message(&*panic)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> anyhow::Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    anyhow!(
        "The work failed unexpectedly: {}",
        text.unwrap_or("no message")
    )
}

/// Writes a progress update; `last` is what was written before. A closed stderr is no reason to stop working.
fn print_progress<T>(label: &str, last: &mut String, update: &Update<T>) {
    let Update::Progress(fraction, note) = update else {
        return;
    };
    let mut stderr = std::io::stderr().lock();
    if stderr.is_terminal() {
        let end = if *fraction >= 1.0 { "\n" } else { "" };
        write!(
            stderr,
            "\r\x1b[K{label}: {:3.0} % {note}{end}",
            100.0 * fraction
        )
        .ok();
        stderr.flush().ok();
    } else if note != last {
        writeln!(stderr, "{label}: {note}").ok();
        last.clone_from(note);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Polls until the job has ended; fails after 10 s.
    fn wait<T: Send + 'static>(slot: &mut Slot<T>) -> Vec<Update<T>> {
        let mut all = Vec::new();
        for _ in 0..10_000 {
            all.extend(slot.poll());
            if matches!(all.last(), Some(Update::Ended(_))) {
                assert!(!slot.is_busy());
                return all;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("the job did not end");
    }

    fn until(condition: impl Fn() -> bool) {
        for _ in 0..10_000 {
            if condition() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("waited in vain");
    }

    #[test]
    fn messages_arrive_in_order_on_a_named_thread_and_each_wakes() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&wakes);
        let mut slot = Slot::new("parse", move |is_news| {
            counter.fetch_add(if is_news { 1000 } else { 1 }, Relaxed);
        });
        slot.start(|out| {
            out.progress(0.0, std::thread::current().name().unwrap_or_default())?;
            for i in 0..200 {
                out.value(i)?;
            }
            out.part(0.5, 1.0).part(0.0, 0.5).progress(0.5, "late")?;
            Ok(())
        });
        assert!(slot.is_busy());
        let updates = wait(&mut slot);
        assert_eq!(updates.len(), 203);
        assert!(matches!(&updates[0], Update::Progress(_, name) if name == "parse"));
        for (i, update) in updates[1..201].iter().enumerate() {
            assert!(matches!(update, Update::Value(v) if *v == i));
        }
        assert!(matches!(&updates[201], Update::Progress(f, _) if (f - 0.625).abs() < 1e-6));
        assert!(matches!(&updates[202], Update::Ended(Ok(()))));
        // Two of progress, 200 values and the end.
        until(|| wakes.load(Relaxed) == 201_002);
    }

    #[test]
    fn starting_again_cancels_the_old_job_and_keeps_only_the_newest_waiting() {
        let ran = Arc::new(Mutex::new(Vec::new()));
        let running = Arc::new(AtomicUsize::new(0));
        let mut slot = Slot::new("render", |_| {});
        for i in 0..20 {
            let (ran, running) = (Arc::clone(&ran), Arc::clone(&running));
            slot.start(move |out| {
                assert_eq!(running.fetch_add(1, Relaxed), 0, "two jobs at once");
                ran.lock().unwrap().push(i);
                for _ in 0..3 {
                    std::thread::sleep(Duration::from_millis(10));
                    if out.progress(0.0, "").is_err() {
                        break;
                    }
                }
                running.fetch_sub(1, Relaxed);
                out.value(i)?;
                Ok(())
            });
        }
        let updates = wait(&mut slot);
        let values = updates.iter().filter_map(|u| match u {
            Update::Value(v) => Some(*v),
            _ => None,
        });
        assert_eq!(values.collect::<Vec<_>>(), [19], "only the newest is heard");
        let ran = ran.lock().unwrap();
        assert_eq!(ran.last(), Some(&19));
        assert!(ran.len() < 20, "the ones between never start: {ran:?}");
    }

    #[test]
    fn dropping_the_slot_frees_a_job_that_waits_for_room_in_the_channel() {
        let (sent, stopped) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (counter, flag) = (Arc::clone(&sent), Arc::clone(&stopped));
        let mut slot = Slot::new("blocked", |_| {});
        slot.start(move |out| {
            while out.value(vec![0_u8; 8]) == Ok(()) {
                counter.fetch_add(1, Relaxed);
            }
            flag.store(true, Relaxed);
            Ok(())
        });
        until(|| sent.load(Relaxed) == CHANNEL_LEN);
        assert!(!stopped.load(Relaxed));
        drop(slot);
        until(|| stopped.load(Relaxed));
        assert_eq!(sent.load(Relaxed), CHANNEL_LEN);
    }

    #[test]
    fn cancel_silences_the_job_and_the_slot_can_be_used_again() {
        let mut slot = Slot::new("again", |_| {});
        slot.start(|out| {
            loop {
                out.value(1)?;
            }
        });
        slot.cancel();
        assert!(!slot.is_busy());
        assert!(slot.poll().is_empty());
        slot.start(|out| Ok(out.value(2)?));
        let updates = wait(&mut slot);
        assert!(matches!(
            updates[..],
            [Update::Value(2), Update::Ended(Ok(()))]
        ));
    }

    #[test]
    fn a_panic_arrives_as_an_error_and_the_next_job_runs() {
        let mut slot = Slot::<()>::new("panics", |_| {});
        slot.start(|_| panic!("no face {}", 7));
        let updates = wait(&mut slot);
        assert!(
            matches!(&updates[..], [Update::Ended(Err(err))] if format!("{err:#}").contains("no face 7"))
        );
        slot.start(|_| Err(anyhow!("inner").context("Failed to parse")));
        let updates = wait(&mut slot);
        assert!(
            matches!(&updates[..], [Update::Ended(Err(err))] if format!("{err:#}") == "Failed to parse: inner")
        );
    }

    #[test]
    fn the_same_work_runs_inline() {
        fn step<T>(out: &Out<T>) -> Result<u32> {
            out.progress(0.5, "half")?;
            Ok(4)
        }
        assert_eq!(step(&Out::<()>::silent()).unwrap(), 4);
        let out = Out::collecting();
        let value = step(&out.part(0.5, 1.0)).unwrap();
        out.value(value).unwrap();
        let updates = out.take_collected();
        assert!(matches!(&updates[0], Update::Progress(f, note) if *f == 0.75 && note == "half"));
        assert!(matches!(updates[1], Update::Value(4)));
        assert!(out.take_collected().is_empty());
    }
}
