//! Tests side by side: one warm worktree per slot, one thread per running test, one jobserver over all.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::bench::{Bench, Job, MOST_SLOTS, Ran};
use super::fault::Tried;
use super::lock::Alone;
use super::test_worktree::end_left_behind;
use crate::error::{Exit, UserError};
use crate::git::Repo;
use crate::model::keep::Keep;
use crate::model::train::slots::Pace;

/// The slots of one assembly.
pub(super) struct Slots<'a> {
    repo: &'a Repo,
    alone: &'a Alone,
    timeout: Duration,
    /// What their worktrees keep.
    keep: Keep,
    idle: Vec<Bench>,
    busy: Vec<Busy>,
    made: usize,
    /// Most that ran at the same time.
    pub(super) peak: usize,
    /// Fixed number of slots; measured where there is none.
    jobs: Option<usize>,
    pub(super) pace: Pace,
    sender: Sender<News>,
    news: Receiver<News>,
    jobserver: Option<jobserver::Client>,
    signals: Option<Signals>,
}

/// A test that runs.
struct Busy {
    number: u64,
    stop: Option<oneshot::Sender<()>>,
    thread: JoinHandle<()>,
    is_whole: bool,
    /// Fewest and most that ran at the same time, itself included.
    fewest: usize,
    most: usize,
    /// The token of its first process, where that is not the assembly's own.
    _token: Option<jobserver::Acquired>,
}

/// What a thread of ours has to say.
enum News {
    Ended(u64, Box<(Bench, Tried<Ran>)>),
    Asked(Exit),
}

/// A test that has ended.
pub(super) struct Ended {
    pub(super) number: u64,
    pub(super) ran: Tried<Ran>,
}

impl<'a> Slots<'a> {
    /// Returns slots of which none is made yet; what a killed run left running in its own is ended.
    ///
    /// # Errors
    ///
    /// There are no resources for the wait.
    pub(super) fn new(
        repo: &'a Repo,
        alone: &'a Alone,
        (timeout, keep): (Duration, Keep),
        jobs: Option<usize>,
    ) -> Result<Self> {
        end_left_behind(repo, alone)?;
        let (sender, news) = channel();
        Ok(Self {
            repo,
            alone,
            timeout,
            keep,
            idle: Vec::new(),
            busy: Vec::new(),
            made: 0,
            peak: 0,
            jobs: jobs.map(|jobs| jobs.clamp(1, MOST_SLOTS)),
            pace: Pace::default(),
            sender,
            news,
            jobserver: None,
            signals: None,
        })
    }

    /// Returns how many tests may run side by side.
    pub(super) fn most(&self) -> usize {
        self.jobs.unwrap_or_else(|| self.pace.slots())
    }

    /// Returns how many more tests may be started.
    pub(super) fn free(&self) -> usize {
        self.most().saturating_sub(self.busy.len())
    }

    /// Returns whether any test runs.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.is_empty()
    }

    /// Starts a test under a number by which it is known.
    pub(super) fn start(&mut self, number: u64, mut job: Job) -> Result<()> {
        if self.signals.is_none() {
            self.signals = Some(Signals::listen(self.sender.clone())?);
        }
        let mut bench = self.take_bench(&job);
        let tokens = self.jobserver()?;
        // The first test goes on the token that the assembly itself has; each further one takes one out of
        // the pool if there is any, so that slots and their compilers share the cores.
        let token = if self.busy.is_empty() {
            None
        } else {
            tokens.try_acquire().unwrap_or(None)
        };
        job.jobserver = Some(tokens);
        let (stop, asked) = oneshot::channel();
        let is_whole = job.is_whole;
        let sender = self.sender.clone();
        let name = format!("slot {}", self.busy.len());
        let work = move || {
            let ran = bench.test(&job, asked);
            // Nobody listens once the assembly is broken off.
            let _ = sender.send(News::Ended(number, Box::new((bench, ran))));
        };
        let thread = std::thread::Builder::new().name(name).spawn(work);
        self.busy.push(Busy {
            number,
            stop: Some(stop),
            thread: thread.context("cannot start a thread")?,
            is_whole,
            fewest: usize::MAX,
            most: 0,
            _token: token,
        });
        self.count();
        Ok(())
    }

    /// Returns the slot whose files are nearest to a job's.
    fn take_bench(&mut self, job: &Job) -> Bench {
        let same = self
            .idle
            .iter()
            .position(|bench| bench.tree == Some(job.tree));
        if let Some(place) = same.or(self.idle.len().checked_sub(1)) {
            return self.idle.remove(place);
        }
        self.made += 1;
        Bench::new(
            self.repo,
            self.alone,
            self.made - 1,
            (self.timeout, &self.keep),
        )
    }

    fn jobserver(&mut self) -> Result<jobserver::Client> {
        if let Some(client) = &self.jobserver {
            return Ok(client.clone());
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let client =
            jobserver::Client::new(cores.saturating_sub(1)).context("cannot make a jobserver")?;
        Ok(self.jobserver.insert(client).clone())
    }

    /// Asks a test to stop; it ends all the same, as stopped.
    pub(super) fn stop(&mut self, number: u64) {
        let busy = self.busy.iter_mut().find(|busy| busy.number == number);
        if let Some(stop) = busy.and_then(|busy| busy.stop.take()) {
            // One that has ended by itself is not there to hear it.
            let _ = stop.send(());
        }
    }

    /// Waits for the next test to end.
    ///
    /// # Errors
    ///
    /// A signal asked to stop: every test has been ended then. Or there is none to wait for.
    pub(super) fn wait(&mut self) -> Result<Ended> {
        if self.busy.is_empty() {
            bail!("no test runs, and none is left that would tell anything");
        }
        match self.news.recv().context("every slot is gone")? {
            News::Ended(number, ended) => Ok(self.free_slot(number, *ended)),
            News::Asked(exit) => {
                self.end_all();
                Err(UserError::new("stopped by a signal while a test ran")
                    .hint("`git orch assemble` goes on where this one was")
                    .exit(exit)
                    .into())
            }
        }
    }

    fn free_slot(&mut self, number: u64, (bench, ran): (Bench, Tried<Ran>)) -> Ended {
        if let Some(place) = self.busy.iter().position(|busy| busy.number == number) {
            let busy = self.busy.swap_remove(place);
            if let Ok(ran) = &ran
                && busy.is_whole
                && !ran.stopped
                && busy.fewest == busy.most
            {
                self.pace.add(busy.most, ran.seconds);
            }
            // It has sent its last word.
            let _ = busy.thread.join();
        }
        self.idle.push(bench);
        self.count();
        Ended { number, ran }
    }

    /// Notes for each running test how many there are.
    fn count(&mut self) {
        let running = self.busy.len();
        self.peak = self.peak.max(running);
        for busy in &mut self.busy {
            busy.fewest = busy.fewest.min(running);
            busy.most = busy.most.max(running);
        }
    }

    /// Ends every test.
    pub(super) fn end_all(&mut self) {
        let numbers: Vec<u64> = self.busy.iter().map(|busy| busy.number).collect();
        for number in numbers {
            self.stop(number);
        }
        while !self.busy.is_empty() {
            match self.news.recv() {
                Ok(News::Ended(number, ended)) => drop(self.free_slot(number, *ended)),
                Ok(News::Asked(_)) => {}
                Err(_) => return,
            }
        }
    }
}

impl Drop for Slots<'_> {
    fn drop(&mut self) {
        self.end_all();
    }
}

/// A thread that hears the signals that end an assembly, also those that come between two tests.
struct Signals {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Signals {
    fn listen(sender: Sender<News>) -> Result<Self> {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let inside = tokio.enter();
        let listen = |(kind, exit)| signal(kind).map(|signal| (signal, exit));
        let signals = [
            (SignalKind::interrupt(), Exit::Interrupted),
            (SignalKind::terminate(), Exit::Terminated),
            (SignalKind::hangup(), Exit::HungUp),
        ];
        let signals = signals
            .into_iter()
            .map(listen)
            .collect::<Result<Vec<_>, _>>();
        let mut signals = signals.context("cannot listen for signals")?;
        drop(inside);
        let (end, ended) = oneshot::channel::<()>();
        let work = move || {
            tokio.block_on(async {
                let mut ended = ended;
                loop {
                    tokio::select! {
                        exit = next_signal(&mut signals) => {
                            // Nobody listens to an assembly that is over.
                            let _ = sender.send(News::Asked(exit));
                        }
                        _ = &mut ended => break,
                    }
                }
            });
        };
        let thread = std::thread::Builder::new()
            .name(String::from("signals"))
            .spawn(work)
            .context("cannot start a thread")?;
        Ok(Self {
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It ends by itself.
            let _ = thread.join();
        }
    }
}

/// Waits for the first of some signals.
async fn next_signal(signals: &mut [(Signal, Exit)]) -> Exit {
    std::future::poll_fn(|context| {
        for (signal, exit) in signals.iter_mut() {
            if signal.poll_recv(context).is_ready() {
                return Poll::Ready(*exit);
            }
        }
        Poll::Pending
    })
    .await
}
