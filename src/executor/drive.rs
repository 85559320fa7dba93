//! The loop: events into the step function, its actions into the world.

mod endings;
mod lives;
mod warnings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::apart::Apart;
use super::assemble::assemble;
use super::attempt::{self, Held};
use super::clerk::{self, Duties, Line, Reply, Request};
use super::judge::Assessed;
use super::recover::take_lock;
use super::signals::Signals;
use super::step::{Action, Event, Fleet, Grace, Manner, Outcome, Slot, Until};
use super::warn::Warning;
use super::{News, Options, Report, Watch};
use crate::clock;
use crate::error::{Exit, UserError, user_error};
use crate::git::{self, Oid};
use crate::ledger::{Ledger, Unreachable, pack};
use crate::model::{Actor, AttemptEnd, Breaker, CommitId, RefusalKind, State, TaskId, Wish};
use crate::process::{self, Ended};
use crate::waits;
use crate::workspace::sandbox;
use crate::workspace::shared::require_untouched;

use warnings::Lookout;

/// How often is looked whether others here have moved the ledger.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long agents that were asked to stop, and checks, may take before they are ended: when an executor has drained,
/// and otherwise.
const END_GRACE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// How long clearing up may take once everything was ended, and telling the ledger of it.
const LAST_GRACE: Duration = Duration::from_secs(10);

/// Runs agents until nothing is left to do.
///
/// # Errors
///
/// Another executor runs here, or the ledger can no longer be read or written.
pub fn run(ledger: Ledger, options: &Options, watch: &mut dyn Watch) -> Result<Report> {
    let _alone = take_lock(ledger.repo())?;
    sandbox::require(ledger.repo(), ledger.board())?;
    let begun = clock::monotonic();
    watch.show(ledger.board());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let duties = Duties {
        wish: options.wish(),
        gate: options.gate,
    };
    let (replies, answers) = unbounded_channel();
    let own = Ledger::open(ledger.repo().reopen()?, Actor::Executor)?;
    let clerk = clerk::start(own, duties, replies)?;
    let mut drive = Drive::new(ledger, options, watch, clerk);
    let news = drive.news.clone();
    let listening = waits::listen(move |text| {
        // Nobody listens to a run that is over.
        let _ = news.send(News::Note(text.to_owned()));
    });
    let driven = runtime.block_on(drive.drive(answers));
    drop(listening);
    // An assembly that was broken off goes on when it is begun again; nobody waits for it.
    process::close();
    runtime.shutdown_background();
    let report = drive.report();
    let signal = drive.signal;
    drive.clerk.hang_up();
    let mut report = match (driven.and(report), signal) {
        (Err(error), Some(signal)) => {
            let told = format!("the run was stopped: {error:#}");
            let hints = user_error(&error).map(|user| user.hints.clone());
            return Err(UserError {
                message: told,
                hints: hints.unwrap_or_default(),
                exit: Exit::of_signal(signal),
            }
            .into());
        }
        (ended, _) => ended?,
    };
    report.seconds = clock::monotonic().duration_since(begun).as_secs_f64();
    Ok(report)
}

/// An attempt of ours while it lasts.
struct Live {
    held: Held,
    /// Whether its coder's worktree is still in use by the attempt before.
    waits: bool,
    worktree: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    kill: Option<oneshot::Sender<()>>,
    ended: Option<Ended>,
    /// How it ends.
    verdict: Option<Assessed>,
    /// What is told once the ledger knows how it ended.
    last_news: Option<News>,
    /// What was told of its work, each once.
    told: BTreeSet<String>,
    /// Whether it was told that its agent waits for somebody.
    is_blocked: bool,
}

/// What was going on beside the loop has come to an end.
enum Done {
    Ready(Slot, Result<PathBuf>),
    Ended(Slot, Result<Ended>),
    Judged(Slot, Result<(Assessed, Vec<String>)>),
    /// The worktree is saved and parked, and the ledger can be told.
    Saved(Slot, Outcome, Result<Option<String>>),
    Assembled(Result<bool>),
    GraceOver(Grace),
    Packed,
    LookedOut(Result<Vec<Warning>>),
}

struct Drive<'a> {
    /// To read by; the clerk has its own to write.
    ledger: Ledger,
    options: &'a Options,
    watch: &'a mut dyn Watch,
    clerk: Line,
    fleet: Fleet,
    live: BTreeMap<Slot, Live>,
    beside: JoinSet<Done>,
    queue: VecDeque<Event>,
    /// What is told from beside the loop: the way in, and the way out.
    news: UnboundedSender<News>,
    told: UnboundedReceiver<News>,
    /// Why tasks that are ready were not given to anyone.
    refused: BTreeMap<TaskId, String>,
    /// What is taken no more of, and why.
    apart: Apart,
    breaker: Breaker,
    /// Tasks that the machine was to blame for, by what was wrong.
    held_up: BTreeMap<String, TaskId>,
    /// The tip of the ledger that we have seen.
    seen: Option<Oid>,
    /// What waited for the assembler when it last began.
    assembled_over: BTreeSet<(TaskId, Option<CommitId>)>,
    lookout: Lookout,
    begun: usize,
    waited: bool,
    assembled: bool,
    signal: Option<i32>,
    fatal: Option<anyhow::Error>,
}

impl<'a> Drive<'a> {
    fn new(ledger: Ledger, options: &'a Options, watch: &'a mut dyn Watch, clerk: Line) -> Self {
        let (news, told) = unbounded_channel();
        let board = ledger.board();
        let coders = board
            .coders()
            .into_iter()
            .filter(|agent| options.teams.is_empty() || options.teams.contains(&agent.team))
            .count();
        let planned = board.run().jobs.map(|jobs| jobs as usize);
        let fleet = Fleet::new(Manner {
            // More slots than coders would only ask in vain.
            slots: options.slots.or(planned).unwrap_or(coders).min(coders),
            assembles: options.assemble,
            until: options.until,
            drains: options.grace.is_some(),
        });
        Self {
            fleet,
            seen: ledger.tip(),
            assembled_over: BTreeSet::new(),
            lookout: Lookout::new(&ledger),
            ledger,
            options,
            watch,
            clerk,
            live: BTreeMap::new(),
            beside: JoinSet::new(),
            queue: VecDeque::new(),
            news,
            told,
            refused: BTreeMap::new(),
            apart: Apart::default(),
            breaker: Breaker::default(),
            held_up: BTreeMap::new(),
            begun: 0,
            waited: false,
            assembled: false,
            signal: None,
            fatal: None,
        }
    }

    async fn drive(&mut self, mut answers: UnboundedReceiver<Reply>) -> Result<()> {
        let mut signals = Signals::listen()?;
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while let Some(event) = self.queue.pop_front() {
                for action in self.fleet.step(event) {
                    if action == Action::Finish {
                        let left: Vec<Slot> = self.live.keys().copied().collect();
                        left.into_iter().for_each(|slot| self.undelivered(slot));
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
                Some(reply) = answers.recv() => self.hear(reply),
                _ = look.tick() => {
                    self.look();
                    self.look_out();
                }
            }
        }
    }

    fn signalled(&mut self, signal: i32) {
        self.signal.get_or_insert(signal);
        if self.fleet.stops() {
            // What an agent left may hold up whoever looks at it; the next run looks again.
            git::end_all();
        }
        let text = match (self.fleet.stops(), self.options.grace) {
            (true, _) => String::from("ending everything at once; once more leaves it as it is"),
            (false, None) => {
                String::from("stopping: agents are asked to end; once more ends them at once")
            }
            (false, Some(grace)) => format!(
                "draining: no new work, and agents have {} s to finish; once more ends them at once",
                grace.as_secs()
            ),
        };
        self.watch.tell(&News::Warning(text));
        self.queue.push_back(Event::Signalled);
    }

    /// Tells what is still not at its end when the time for that is over.
    fn tell_what_is_waited_for(&mut self, grace: Grace) {
        let told: Vec<String> = self
            .fleet
            .waits()
            .into_iter()
            .filter_map(|(slot, what)| {
                let task = &self.live.get(&slot)?.held.assignment.task;
                Some(format!("{task} ({what})"))
            })
            .collect();
        let how = match grace {
            // Agents that may finish no longer are asked to end first.
            Grace::Finish => return,
            Grace::End => "ending at once what has not ended",
            Grace::Last => "not waiting any longer for",
        };
        if !told.is_empty() {
            let text = format!("{how}: {}", told.join(", "));
            self.watch.tell(&News::Warning(text));
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Dispatch => self.clerk.ask(Request::Dispatch),
            Action::Claim(slot) => self.clerk.ask(Request::Claim(slot)),
            Action::Withdraw => self.clerk.ask(Request::Withdraw),
            Action::GiveUp => self.clerk.ask(Request::GiveUp),
            Action::Prepare(slot) => self.prepare(slot),
            Action::Start(slot) => self.start(slot),
            Action::Stop(slot) => {
                // Nobody listens where the agent has just ended.
                let stop = self.live.get_mut(&slot).and_then(|live| live.stop.take());
                let _ = stop.map(|stop| stop.send(()));
            }
            Action::Kill(slot) => {
                match self.live.get_mut(&slot).and_then(|live| live.kill.take()) {
                    Some(kill) => drop(kill.send(())),
                    // The checks of its work run, of which only the processes are known.
                    None => process::kill_all(),
                }
            }
            Action::Judge(slot) => self.judge(slot),
            Action::Settle(slot, outcome) => self.save(slot, outcome),
            Action::Assemble => self.assemble(),
            Action::Wait => self.wait(),
            Action::Grace(grace) => {
                let time = match (grace, self.options.grace) {
                    (Grace::Finish, grace) => grace.unwrap_or_default(),
                    (Grace::End, Some(_)) => END_GRACE.0,
                    (Grace::End, None) => END_GRACE.1,
                    (Grace::Last, _) => LAST_GRACE,
                };
                self.beside.spawn(async move {
                    tokio::time::sleep(time).await;
                    Done::GraceOver(grace)
                });
            }
            // The loop ends instead.
            Action::Finish => {}
        }
    }

    fn wait(&mut self) {
        self.waited = true;
        let tasks = self.ledger.board().prospects(&self.wish()).len();
        let plural = if tasks == 1 { "task is" } else { "tasks are" };
        let text = format!("waiting: {tasks} {plural} with others or cannot start yet");
        self.watch.tell(&News::Note(text));
    }

    fn hear(&mut self, reply: Reply) {
        match reply {
            Reply::Ready => {
                self.look();
                self.queue.push_back(Event::Begun);
            }
            Reply::Dispatched(subject) => {
                if let Some(subject) = subject {
                    self.watch.tell(&News::Dispatched(subject));
                }
                self.look();
                let more = self.is_worth_waiting();
                self.queue.push_back(Event::Dispatched(more));
            }
            Reply::Claimed(slot, held) => self.claimed(slot, *held),
            Reply::Refused(slot, tasks) => {
                for (task, refusal) in tasks {
                    let new = self.refused.insert(task.clone(), refusal.message.clone());
                    // A full wave is how it should be; what a person must mend is told once.
                    if refusal.kind == RefusalKind::Denied && new.is_none() {
                        let text = format!("{task} waits: {}", refusal.message);
                        self.watch.tell(&News::Warning(text));
                    }
                }
                self.queue.push_back(Event::Refused(slot));
            }
            Reply::Lost(slot) => {
                self.look();
                self.queue.push_back(Event::Lost(slot));
            }
            Reply::Settled(slot, outcome) => self.settled(slot, outcome),
            Reply::Undelivered(slot) => self.undelivered(slot),
            Reply::Moved => self.look(),
            Reply::PackDue => self.pack(),
            Reply::Tell(news) => self.watch.tell(&news),
            Reply::Broken(error) => self.fail(error),
        }
    }

    fn take(&mut self, done: Done) {
        match done {
            Done::Ready(slot, Ok(worktree)) => {
                if let Some(live) = self.live.get_mut(&slot) {
                    live.worktree = worktree;
                }
                self.queue.push_back(Event::Prepared(slot, true));
            }
            // Earlier work that is out of reach says nothing about this attempt.
            Done::Ready(slot, Err(error)) if error.is::<Unreachable>() => {
                self.queue.push_back(Event::Stopped(slot));
            }
            // Nor does what other agents have done to the settings that all share: a person comes first.
            Done::Ready(slot, Err(error)) if require_untouched(self.ledger.repo()).is_err() => {
                self.fail(error);
                self.queue.push_back(Event::Stopped(slot));
            }
            Done::Ready(slot, Err(error)) => {
                let error = error.context("its worktree could not be made ready");
                self.give_up(slot, AttemptEnd::NotPrepared, &error);
                self.queue.push_back(Event::Prepared(slot, false));
            }
            Done::Ended(slot, Ok(ended)) => self.ended(slot, ended),
            Done::Ended(slot, Err(error)) => {
                self.give_up(slot, AttemptEnd::NotStarted, &error);
                self.queue.push_back(Event::Judged(slot, false));
            }
            // What a person's signal has broken off is no verdict.
            Done::Judged(slot, Err(_)) if self.fleet.stops() => {
                self.queue.push_back(Event::Stopped(slot));
            }
            Done::Judged(slot, judged) => self.judged(slot, judged),
            Done::Saved(slot, outcome, kept) => self.settle(slot, outcome, kept),
            Done::Assembled(result) => {
                while let Ok(news) = self.told.try_recv() {
                    self.watch.tell(&news);
                }
                let changed = result.unwrap_or_else(|error| {
                    self.fail(error);
                    false
                });
                self.assembled |= changed;
                self.look();
                self.queue.push_back(Event::Assembled(changed));
            }
            Done::GraceOver(grace) => {
                self.tell_what_is_waited_for(grace);
                self.queue.push_back(Event::GraceOver(grace));
            }
            Done::Packed => {}
            Done::LookedOut(found) => self.looked_out(found),
        }
    }

    /// Looks at what has become of the ledger.
    fn look(&mut self) {
        // What is in the way of reading goes away by itself, or stops the next transition.
        if self.ledger.refresh().is_err() || self.ledger.tip() == self.seen {
            return;
        }
        self.seen = self.ledger.tip();
        self.watch.show(self.ledger.board());
        self.tell_blocked();
        for (slot, live) in &self.live {
            let task = self.ledger.board().tasks.get(&live.held.assignment.task);
            let itself = task.is_some_and(|task| {
                task.status.attempt == live.held.assignment.attempt
                    && (task.status.state.is_done() || task.status.state == State::Blocked)
            });
            // An agent that has handed in by itself may say goodbye.
            if !itself && !attempt::is_working(self.ledger.board(), &live.held) {
                self.queue.push_back(Event::Lost(*slot));
            }
        }
        if self.options.assemble {
            // What an assembly has left lying, the next would leave lying again.
            if !self.submitted().is_subset(&self.assembled_over) {
                self.queue.push_back(Event::HandedIn);
            }
        }
        self.queue.push_back(Event::Moved);
    }

    fn submitted(&self) -> BTreeSet<(TaskId, Option<CommitId>)> {
        let tasks = self.ledger.board().tasks.values();
        let waits = |task: &&crate::model::Task| {
            matches!(task.status.state, State::Submitted | State::Accepted)
        };
        let tasks = tasks.filter(waits);
        tasks
            .map(|task| (task.id.clone(), task.status.head.clone()))
            .collect()
    }

    /// Returns whether others may bring further work.
    fn is_worth_waiting(&self) -> bool {
        let wish = self.wish();
        let prospects = self.ledger.board().prospects(&wish);
        match self.options.until {
            Until::Over => !prospects.is_empty(),
            Until::Once => false,
            // Nobody on another machine can work where there is no remote.
            Until::Idle if self.ledger.remote().is_none() => false,
            Until::Idle => prospects.iter().any(|task| {
                task.status.state.is_held()
                    && task.status.machine.as_ref() != Some(self.ledger.machine())
            }),
        }
    }

    /// Returns what there may be work of.
    fn wish(&self) -> Wish {
        self.apart.without(&self.ledger, &self.options.wish())
    }

    /// Packs the ledger beside the loop. What fails is tried again when it is due again.
    fn pack(&mut self) {
        if let Ok(repo) = self.ledger.repo().reopen() {
            let name = self.ledger.ref_name().to_owned();
            self.beside.spawn_blocking(move || {
                let _ = pack::pack(&repo, &name);
                Done::Packed
            });
        }
    }

    fn assemble(&mut self) {
        self.assembled_over = self.submitted();
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
            if !self.live.is_empty() {
                let text = format!("agents are asked to end, and what they did is kept: {error:#}");
                self.watch.tell(&News::Warning(text));
            }
            self.fatal = Some(error);
            self.queue.push_back(Event::Broken);
        }
    }

    fn report(&mut self) -> Result<Report> {
        self.ledger.refresh()?;
        let wish = self.options.wish();
        let mut report = Report::of(self.ledger.repo(), self.ledger.board(), &wish);
        let apart = self.apart.tasks(&self.ledger);
        for waiting in &mut report.waiting {
            let why = apart.get(&waiting.task);
            let refused = || self.refused.get(&waiting.task);
            if let (State::Ready, Some(why)) = (waiting.state, why.or_else(refused)) {
                waiting.reason.clone_from(why);
            }
        }
        report.problems = self.problems();
        report.begun = self.begun;
        report.waited = self.waited;
        report.assembled = self.assembled;
        report.signal = self.signal;
        Ok(report)
    }
}
