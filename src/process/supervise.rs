//! One child's life: started, watched, ended.

use std::future::{Future, pending};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::{Pin, pin};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::time::{Instant, sleep_until};

use super::family::{OBSERVE_EVERY, families};
use super::idle::Signs;
use super::output::Output;
use super::proc::Row;
use super::{Ended, Ending, Spec, command, proc, sweep};
use crate::clock;

/// Time between the polite signal and the firm one.
const GRACE: Duration = Duration::from_secs(3);

/// Time after which a child that survives even SIGKILL (stuck in the kernel) is left to it.
const GIVE_UP: Duration = Duration::from_secs(10);

/// Time that the rest of the output may take once nobody is left to write more.
const DRAIN: Duration = Duration::from_millis(500);

/// Runs a child to its end.
///
/// # Errors
///
/// It cannot be started or watched, or its log cannot be written.
pub fn run(spec: &Spec) -> Result<Ended> {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")
    };
    // On a thread of its own, so that it may be called from within a runtime.
    std::thread::scope(|scope| {
        let ended = scope.spawn(|| runtime()?.block_on(run_async(spec, pending())));
        ended
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs a child to its end, or until it is asked to stop.
///
/// # Errors
///
/// As [`run`].
pub async fn run_async(spec: &Spec, stop: impl Future<Output = ()>) -> Result<Ended> {
    run_until(spec, stop, pending()).await
}

/// Runs a child to its end, until it is asked to stop, or until it is killed without asking.
///
/// # Errors
///
/// As [`run`].
pub async fn run_until(
    spec: &Spec,
    stop: impl Future<Output = ()>,
    kill: impl Future<Output = ()>,
) -> Result<Ended> {
    proc::become_subreaper();
    let begun = clock::monotonic();
    let mut output = Output::open(&spec.log)?;
    let (mut watched, mut pipe) = Watched::start(spec)?;
    let (stop, kill) = (pin!(stop), pin!(kill));
    let watch = watched.watch(spec, &mut pipe, &mut output, stop, kill);
    let watch = watch.await;
    let leftovers = watched.end_rest().await;
    drain(&mut pipe, &mut output).await;
    if families().is_closing() {
        // An end that closing brought about is no verdict on anything, and nobody may act upon it.
        pending::<()>().await;
    }
    let ending = watch?;
    Ok(Ended {
        ending,
        tail: output.tail(),
        took: clock::monotonic().duration_since(begun),
        leftovers,
    })
}

/// A child that runs, and is entered in the families until this is dropped.
struct Watched {
    child: Child,
    pid: i32,
    /// What the process table says of it; nothing where there is no such table.
    row: Option<Row>,
    mark: String,
}

impl Drop for Watched {
    fn drop(&mut self) {
        families().leave(self.pid, &self.mark);
    }
}

/// How far the end of a child has come.
#[derive(Clone, Copy)]
enum Stage {
    Running,
    /// Asked politely; killed at the given time.
    Asked(Ending, Instant),
    /// Killed; given up at the given time.
    Killed(Ending, Instant),
}

/// What the child did next.
enum Happened {
    Output(usize),
    Exited(ExitStatus),
    Stop,
    Kill,
    TimedOut,
    Silent,
    StageOver,
    Tick,
}

impl Watched {
    fn start(spec: &Spec) -> Result<(Self, pipe::Receiver)> {
        let mut families = families();
        if families.is_closing() {
            bail!("nothing is started any more");
        }
        let (child, reader) = command::spawn(spec)?;
        let pid = child.id().context("the child has no pid")?.cast_signed();
        let row = families.enter(pid, &spec.mark);
        let watched = Self {
            child,
            pid,
            row,
            mark: spec.mark.clone(),
        };
        drop(families);
        let pipe = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))
            .context("cannot watch the child's output")?;
        Ok((watched, pipe))
    }

    async fn watch(
        &mut self,
        spec: &Spec,
        pipe: &mut pipe::Receiver,
        output: &mut Output,
        mut stop: Pin<&mut impl Future<Output = ()>>,
        mut kill: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Ending> {
        let wall = after(Some(spec.wall));
        let idle = spec.idle.as_ref();
        let mut silent = after(idle.map(|idle| idle.time));
        let mut signs = idle.map(|idle| Signs::of(idle, &spec.mark));
        let mut observe = after(Some(OBSERVE_EVERY));
        let mut stage = Stage::Running;
        let mut open = true;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let running = matches!(stage, Stage::Running);
            let stage_ends = match stage {
                Stage::Running => None,
                Stage::Asked(_, at) | Stage::Killed(_, at) => Some(at),
            };
            let happened = tokio::select! {
                count = pipe.read(&mut buffer), if open => Happened::Output(count.unwrap_or(0)),
                status = self.child.wait() => Happened::Exited(status.context("cannot wait for the child")?),
                () = &mut stop, if running => Happened::Stop,
                () = &mut kill, if !matches!(stage, Stage::Killed(..)) => Happened::Kill,
                () = until(wall), if running => Happened::TimedOut,
                () = until(silent), if running => Happened::Silent,
                () = until(stage_ends) => Happened::StageOver,
                () = until(observe) => Happened::Tick,
            };
            stage = match (happened, stage) {
                (Happened::Output(0), stage) => {
                    open = false;
                    stage
                }
                (Happened::Output(count), stage) => {
                    silent = after(idle.map(|idle| idle.time));
                    signs.iter_mut().for_each(Signs::printed);
                    // A full disk must not leave the child unwatched: it is ended like any other.
                    if let Err(error) = output.take(&buffer[..count]) {
                        self.signal_group(Signal::KILL);
                        return Err(error);
                    }
                    stage
                }
                (Happened::Tick, stage) => {
                    observe = after(Some(OBSERVE_EVERY));
                    families().observe();
                    stage
                }
                (Happened::Exited(status), Stage::Running) => return Ok(ending(status)),
                (Happened::Exited(_), Stage::Asked(ending, _) | Stage::Killed(ending, _)) => {
                    return Ok(ending);
                }
                (Happened::Stop, _) => self.ask(Ending::Stopped),
                (Happened::TimedOut, _) => self.ask(Ending::TimedOut),
                (Happened::Silent, stage) if signs.as_mut().is_some_and(Signs::are_seen) => {
                    silent = after(idle.map(|idle| idle.time));
                    stage
                }
                (Happened::Silent, _) => self.ask(Ending::Silent),
                (Happened::Kill, Stage::Asked(ending, _)) => self.kill(ending),
                (Happened::Kill, _) => self.kill(Ending::Stopped),
                (Happened::StageOver, Stage::Asked(ending, _)) => self.kill(ending),
                (Happened::StageOver, Stage::Killed(ending, _)) => return Ok(ending),
                // There is no end to a stage that has none.
                (Happened::StageOver, Stage::Running) => Stage::Running,
            };
        }
    }

    fn ask(&self, ending: Ending) -> Stage {
        // What is an orphan in a moment must be known by now.
        families().observe_now();
        self.signal_group(Signal::TERM);
        // A stopped process hears nothing before it goes on.
        self.signal_group(Signal::CONT);
        Stage::Asked(ending, Instant::now() + GRACE)
    }

    fn kill(&self, ending: Ending) -> Stage {
        self.signal_group(Signal::KILL);
        Stage::Killed(ending, Instant::now() + GIVE_UP)
    }

    /// Signals the child's process group, while the child is not reaped and its pid therefore its own.
    fn signal_group(&self, signal: Signal) {
        if self.child.id().is_some()
            && let Some(group) = Pid::from_raw(self.pid)
        {
            // The whole group may be gone already, with the child a zombie.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    /// Ends what the child has left behind, and the child itself where watching it failed.
    async fn end_rest(&mut self) -> usize {
        self.signal_group(Signal::KILL);
        sweep::end_all(&self.mark, self.row.as_ref()).await
    }
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, Some(signal)) => Ending::Signalled(signal),
        // Neither is no status that Unix has.
        (None, None) => Ending::Exited(255),
    }
}

/// Takes what is left in the pipe. A process that nobody could end may hold it open for ever.
async fn drain(pipe: &mut pipe::Receiver, output: &mut Output) {
    let end = Instant::now() + DRAIN;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = tokio::select! {
            count = pipe.read(&mut buffer) => count.unwrap_or(0),
            () = sleep_until(end) => 0,
        };
        // The verdict on the child stands; a log that lacks its end is no reason to lose it.
        if count == 0 || output.take(&buffer[..count]).is_err() {
            return;
        }
    }
}

fn after(time: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(time?)
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
