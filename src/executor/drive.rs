//! The loop: events into the step function, its actions into the world.

mod lives;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::assemble::assemble;
use super::attempt::{self, Held};
use super::recover::{recover, take_lock};
use super::signals::Signals;
use super::step::{Action, Event, Fleet, Outcome};
use super::{News, Options, Report, Watch};
use crate::clock;
use crate::git::Oid;
use crate::ledger::{Ledger, pack};
use crate::model::{Actor, AgentId, Gate, Handoff, Op, State, TaskId, event};
use crate::process::{self, Ended};
use crate::workspace::Verdict;

/// How often is looked whether others have moved the ledger.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often an operation on the ledger is tried when something is in its way.
const MOST_TRIES: u32 = 5;

/// Runs agents until nothing is left to do.
///
/// # Errors
///
/// Another executor runs here, or the ledger can no longer be read or written.
pub fn run(mut ledger: Ledger, options: &Options, watch: &mut dyn Watch) -> Result<Report> {
    let _alone = take_lock(ledger.repo())?;
    ledger.pack_when_asked();
    let begun = clock::monotonic();
    recover(&mut ledger, watch)?;
    watch.show(ledger.board());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut drive = Drive::new(ledger, options, watch);
    let driven = runtime.block_on(drive.drive());
    // An assembly that was broken off goes on when it is begun again; nobody waits for it.
    process::close();
    runtime.shutdown_background();
    let mut report = drive.report()?;
    driven?;
    report.seconds = clock::monotonic().duration_since(begun).as_secs_f64();
    Ok(report)
}

/// An attempt of ours while it lasts.
struct Live {
    held: Held,
    worktree: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    kill: Option<oneshot::Sender<()>>,
    ended: Option<Ended>,
    /// How it ends: what is submitted, or what was wrong in a line and in full.
    verdict: Option<Result<(Oid, Handoff), (String, String)>>,
}

/// What was going on beside the loop has come to an end.
enum Done {
    Ready(AgentId, Result<PathBuf>),
    Ended(AgentId, Result<Ended>),
    Judged(AgentId, Result<Verdict>),
    /// The worktree is saved and parked, and the ledger can be told.
    Saved(AgentId, Outcome, Result<Option<String>>),
    Assembled(Result<bool>),
    Packed,
}

struct Drive<'a> {
    ledger: Ledger,
    options: &'a Options,
    watch: &'a mut dyn Watch,
    fleet: Fleet,
    live: BTreeMap<AgentId, Live>,
    beside: JoinSet<Done>,
    queue: VecDeque<Event>,
    /// What is told from beside the loop: the way in, and the way out.
    news: UnboundedSender<News>,
    told: UnboundedReceiver<News>,
    /// Why tasks that are ready were not given to anyone.
    refused: BTreeMap<TaskId, String>,
    /// The tip of the ledger that we have seen.
    seen: Option<Oid>,
    /// When the claims were made to hold for longer.
    renewed: Instant,
    begun: usize,
    assembled: bool,
    signal: Option<i32>,
    fatal: Option<anyhow::Error>,
}

impl<'a> Drive<'a> {
    fn new(ledger: Ledger, options: &'a Options, watch: &'a mut dyn Watch) -> Self {
        let (news, told) = unbounded_channel();
        let board = ledger.board();
        let coders: Vec<AgentId> = board
            .coders()
            .into_iter()
            .filter(|agent| options.teams.is_empty() || options.teams.contains(&agent.team))
            .collect();
        let planned = board.run().jobs.map(|jobs| jobs as usize);
        let jobs = options.jobs.or(planned).unwrap_or(coders.len());
        Self {
            fleet: Fleet::new(coders, jobs, options.assemble),
            seen: ledger.tip(),
            ledger,
            options,
            watch,
            live: BTreeMap::new(),
            beside: JoinSet::new(),
            queue: VecDeque::from([Event::Begun]),
            news,
            told,
            refused: BTreeMap::new(),
            renewed: clock::monotonic(),
            begun: 0,
            assembled: false,
            signal: None,
            fatal: None,
        }
    }

    async fn drive(&mut self) -> Result<()> {
        let mut signals = Signals::listen()?;
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while let Some(event) = self.queue.pop_front() {
                for action in self.fleet.step(event) {
                    if action == Action::Finish {
                        return self.fatal.take().map_or(Ok(()), Err);
                    }
                    self.act(action);
                }
            }
            tokio::select! {
                // A signal first: Ctrl-C at a terminal ends the `git` that we run as well, and what comes of
                // that must not pass for a verdict.
                biased;
                signal = signals.next() => self.signalled(signal),
                Some(done) = self.beside.join_next() => match done {
                    Ok(done) => self.take(done),
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                Some(news) = self.told.recv() => self.watch.tell(&news),
                _ = look.tick() => {
                    self.renew();
                    self.look();
                    self.pack();
                }
            }
        }
    }

    fn signalled(&mut self, signal: i32) {
        self.signal.get_or_insert(signal);
        let text = if self.fleet.stops() {
            "ending everything at once"
        } else {
            "stopping: agents are asked to end; once more ends them at once"
        };
        self.watch.tell(&News::Warning(text.to_owned()));
        self.queue.push_back(Event::Signalled);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Dispatch => self.dispatch(),
            Action::Claim(agent) => self.claim(agent),
            Action::Prepare(agent) => self.prepare(agent),
            Action::Start(agent) => self.start(agent),
            Action::Stop(agent) => {
                // Nobody listens where the agent has just ended.
                let stop = self.live.get_mut(&agent).and_then(|live| live.stop.take());
                let _ = stop.map(|stop| stop.send(()));
            }
            Action::Kill(agent) => {
                match self.live.get_mut(&agent).and_then(|live| live.kill.take()) {
                    Some(kill) => drop(kill.send(())),
                    // The checks of its work run, of which only the processes are known.
                    None => process::kill_all(),
                }
            }
            Action::Judge(agent) => self.judge(agent),
            Action::Settle(agent, outcome) => self.save(agent, outcome),
            Action::Assemble => self.assemble(),
            // The loop ends instead.
            Action::Finish => {}
        }
    }

    fn take(&mut self, done: Done) {
        match done {
            Done::Ready(agent, Ok(worktree)) => {
                if let Some(live) = self.live.get_mut(&agent) {
                    live.worktree = worktree;
                }
                self.queue.push_back(Event::Prepared(agent, true));
            }
            Done::Ready(agent, Err(error)) => {
                self.give_up(
                    agent,
                    &error.context("its worktree could not be made ready"),
                );
                self.queue.push_back(Event::Prepared(agent, false));
            }
            Done::Ended(agent, Ok(ended)) => self.ended(agent, ended),
            Done::Ended(agent, Err(error)) => {
                self.give_up(agent, &error);
                self.queue.push_back(Event::Judged(agent, false));
            }
            Done::Judged(agent, Err(_)) if self.fleet.stops() => {
                self.queue.push_back(Event::Stopped(agent));
            }
            Done::Judged(agent, verdict) => {
                let verdict = match verdict {
                    Ok(Verdict::Passed { head, handoff }) => Ok((head, handoff)),
                    Ok(Verdict::Failed { reason, findings }) => Err((reason, findings)),
                    Err(error) => Err(problem(&error.context("its work could not be checked"))),
                };
                let passed = verdict.is_ok();
                if let Some(live) = self.live.get_mut(&agent) {
                    live.verdict = Some(verdict);
                }
                self.queue.push_back(Event::Judged(agent, passed));
            }
            Done::Saved(agent, outcome, kept) => self.settle(agent, outcome, kept),
            Done::Assembled(result) => {
                while let Ok(news) = self.told.try_recv() {
                    self.watch.tell(&news);
                }
                let changed = result.unwrap_or_else(|error| {
                    self.fail(error);
                    false
                });
                self.assembled |= changed;
                self.seen_all();
                self.queue.push_back(Event::Assembled(changed));
            }
            Done::Packed => {}
        }
    }

    fn dispatch(&mut self) {
        let gate = if self.options.assemble {
            Gate::Merged
        } else {
            Gate::Submitted
        };
        match self.transact(&Op::Dispatch(gate)) {
            Ok(Ok(subject)) => self.watch.tell(&News::Dispatched(subject)),
            // Nothing new is no news.
            Ok(Err(_)) => {}
            Err(error) => self.fail(error),
        }
        self.queue.push_back(Event::Dispatched);
    }

    /// Looks at what others have done to the ledger.
    fn look(&mut self) {
        // What is in the way of reading goes away by itself, or stops the next transition.
        if self.ledger.refresh().is_err() || self.ledger.tip() == self.seen {
            return;
        }
        self.seen_all();
        for (agent, live) in &self.live {
            let task = self.ledger.board().tasks.get(&live.held.assignment.task);
            let itself = task.is_some_and(|task| {
                task.status.attempt == live.held.assignment.attempt
                    && (task.status.state.is_done() || task.status.state == State::Blocked)
            });
            // An agent that has handed in by itself may say goodbye.
            if !itself && !attempt::is_working(self.ledger.board(), &live.held) {
                self.queue.push_back(Event::Lost(*agent));
            }
        }
        self.queue.push_back(Event::Moved);
    }

    /// Makes this machine's claims hold for longer, in good time.
    fn renew(&mut self) {
        let lease = self.ledger.board().run().lease;
        let Some(live) = self.live.values().next() else {
            return;
        };
        if clock::monotonic().duration_since(self.renewed) > lease / 3 {
            self.renewed = clock::monotonic();
            // One lease stands for all of a machine's claims, and a ref that is busy is tried again soon.
            let _ = self.ledger.renew(&live.held.claim());
        }
    }

    /// Packs the ledger beside the loop when it is due. What fails is tried again when it is due again.
    fn pack(&mut self) {
        if self.ledger.take_due()
            && let Ok(repo) = self.ledger.repo().reopen()
        {
            let name = self.ledger.ref_name().to_owned();
            self.beside.spawn_blocking(move || {
                let _ = pack::pack(&repo, &name);
                Done::Packed
            });
        }
    }

    fn seen_all(&mut self) {
        if self.ledger.tip() != self.seen {
            self.seen = self.ledger.tip();
            self.watch.show(self.ledger.board());
        }
    }

    /// Carries out an operation, again where something was in its way; returns the commit's subject.
    fn transact(&mut self, op: &Op) -> Result<std::result::Result<String, crate::model::Refusal>> {
        let mut tries = 1;
        let done = loop {
            match self.ledger.try_transact(Actor::Executor, op.clone()) {
                Err(error) if tries >= MOST_TRIES => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(20) * 2_u32.pow(tries)),
                Ok(done) => break done,
            }
            tries += 1;
        };
        self.ledger.refresh()?;
        self.seen_all();
        Ok(done.map(|done| done.subject))
    }

    fn assemble(&mut self) {
        let (opened, news) = (self.reopen(), self.news.clone());
        let assemble = move || opened.and_then(|ledger| assemble(ledger, news));
        self.beside.spawn_blocking(|| Done::Assembled(assemble()));
    }

    fn reopen(&self) -> Result<Ledger> {
        Ledger::open(self.ledger.repo().reopen()?, Actor::Executor)
    }

    /// Stops the run because of an error that no single task is to blame for.
    fn fail(&mut self, error: anyhow::Error) {
        if self.fatal.is_none() {
            self.fatal = Some(error);
            self.queue.push_back(Event::Signalled);
        }
    }

    fn report(&mut self) -> Result<Report> {
        self.ledger.refresh()?;
        let mut report = Report::of(self.ledger.repo(), self.ledger.board(), &self.options.teams);
        for waiting in &mut report.waiting {
            if let (State::Ready, Some(why)) = (waiting.state, self.refused.get(&waiting.task)) {
                waiting.reason.clone_from(why);
            }
        }
        report.begun = self.begun;
        report.assembled = self.assembled;
        report.signal = self.signal;
        Ok(report)
    }
}

fn problem(error: &anyhow::Error) -> (String, String) {
    let text = format!("{error:#}");
    (event::one_line(&text), text)
}
