//! The clerk: a thread that alone writes to the ledger, so that the loop never waits for a lock or a network.
//!
//! It takes everything that waits for it into one go, so that sixteen claims or submits are one push; what
//! cannot be delivered because the remote is out of reach it keeps, in order, and tries again until it is
//! delivered or refused. Between requests it keeps in step with the remote and renews the lease.

mod claims;
mod delivery;
mod timing;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::sync::mpsc::UnboundedSender;

use self::claims::Claims;
use self::delivery::Delivery;
use self::timing::Pauses;
use super::News;
use super::apart::{Apart, Obstacle};
use super::attempt::Held;
use super::recover::recover;
use super::step::Slot;
use crate::clock;
use crate::ledger::sync::Round;
use crate::ledger::{Ledger, Unreachable};
use crate::model::duration::format_duration;
use crate::model::{Actor, Claim, Gate, Op, Refusal, TaskId, Wish};

/// How long the ledger is tried when something other than a remote is in its way.
const LASTING: Duration = Duration::from_secs(5);

/// How soon it is tried again, at first and at most.
const TROUBLE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// How long trouble lasts before it is told.
const QUIETLY: Duration = Duration::from_secs(1);

/// How soon others' moves are looked for at the remote while work is waited for, at first and at most.
const LOOK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How soon a remote that cannot be reached is tried again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// What the loop asks of the clerk.
pub(super) enum Request {
    /// Make ready what may start.
    Dispatch,
    /// Claim a task for a slot.
    Claim(Slot),
    /// Say that an agent has begun; no word comes back unless the claim is lost.
    Start(Slot, Claim),
    /// Say how an attempt ended.
    Settle(Slot, Box<Op>),
    /// Say something that nobody waits for.
    Say(Box<Op>),
    /// Claim nothing more of what stands behind this.
    Apart(Obstacle, String),
    /// Forget the claims that were not made yet.
    Withdraw,
    /// Keep nothing that cannot be delivered, however soon it might.
    GiveUp,
}

/// What the clerk tells the loop.
pub(super) enum Reply {
    /// What a killed executor has left is taken up, and work can begin.
    Ready,
    /// A dispatch: its subject, where it changed anything.
    Dispatched(Option<String>),
    /// A claim holds.
    Claimed(Slot, Box<Held>),
    /// There is nothing for a slot: what stands in the way of tasks that are ready.
    Refused(Slot, Vec<(TaskId, Refusal)>),
    /// The claim of an agent that was started is not ours any more.
    Lost(Slot),
    /// The end of an attempt is on the ledger, or was refused.
    Settled(Slot, Result<(), Refusal>),
    /// The end of an attempt could not be delivered, and is not tried any more.
    Undelivered(Slot),
    /// The ledger may have moved.
    Moved,
    /// The ledger's objects are to be packed.
    PackDue,
    /// Something to tell.
    Tell(News),
    /// The ledger can no longer be read or written: from now on nothing is claimed or told any more.
    Broken(anyhow::Error),
}

/// What the clerk works by.
pub(super) struct Duties {
    /// What slots ask for.
    pub wish: Wish,
    /// The gate that this executor sets; `None` where it goes by the ledger's.
    pub gate: Option<Gate>,
}

/// The loop's end of the line.
pub(super) struct Line {
    requests: Sender<Request>,
    ended: Receiver<()>,
}

impl Line {
    /// Leaves a request. A clerk that is gone has said why.
    pub(super) fn ask(&self, request: Request) {
        let _ = self.requests.send(request);
    }

    /// Lets the clerk go, and waits a moment for it to finish what it is at.
    pub(super) fn hang_up(self) {
        drop(self.requests);
        // Whatever it still does then is fetching, which may be broken off.
        let _ = self.ended.recv_timeout(Duration::from_secs(2));
    }
}

/// Starts the clerk on a thread of its own.
///
/// # Errors
///
/// There is no thread to be had.
pub(super) fn start(
    mut ledger: Ledger,
    duties: Duties,
    replies: UnboundedSender<Reply>,
) -> Result<Line> {
    let (requests, waiting) = channel();
    let (ending, ended) = channel();
    let now = clock::monotonic();
    ledger.pack_when_asked();
    let mut clerk = Clerk {
        duties,
        replies,
        delivery: Delivery::default(),
        claims: Claims::default(),
        apart: Apart::default(),
        dispatches: 0,
        is_ready: false,
        gives_up: false,
        away: None,
        trouble: None,
        is_broken: false,
        rounds: Rounds {
            look: Pauses::new(LOOK.0, LOOK.1),
            next_look: now,
            next_work: now,
            renewed: now,
        },
        ledger,
    };
    std::thread::Builder::new()
        .name(String::from("clerk"))
        .spawn(move || {
            clerk.work(&waiting);
            let _ = ending.send(());
        })
        .context("cannot start a thread")?;
    Ok(Line { requests, ended })
}

/// When the next round is due.
struct Rounds {
    /// Pauses between looks at the remote.
    look: Pauses,
    next_look: Instant,
    /// When branches and leases are exchanged.
    next_work: Instant,
    /// When the lease was renewed.
    renewed: Instant,
}

/// The remote cannot be reached.
struct Away {
    pauses: Pauses,
    again: Instant,
}

/// The ledger itself cannot be read or written.
struct Trouble {
    begun: Instant,
    pauses: Pauses,
    again: Instant,
    is_told: bool,
}

struct Clerk {
    ledger: Ledger,
    duties: Duties,
    replies: UnboundedSender<Reply>,
    delivery: Delivery,
    claims: Claims,
    /// What is not claimed any more.
    apart: Apart,
    /// Dispatches that are asked for.
    dispatches: usize,
    is_ready: bool,
    gives_up: bool,
    away: Option<Away>,
    trouble: Option<Trouble>,
    /// Whether it has given up on the ledger, and only answers so that nobody waits for it.
    is_broken: bool,
    rounds: Rounds,
}

impl Clerk {
    fn work(&mut self, waiting: &Receiver<Request>) {
        loop {
            let pause = self
                .next_wake()
                .saturating_duration_since(clock::monotonic());
            match waiting.recv_timeout(pause) {
                Ok(request) => {
                    self.take(request);
                    while let Ok(request) = waiting.try_recv() {
                        self.take(request);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let next = self.next_try();
            if self.is_broken || next.is_some_and(|next| clock::monotonic() < next) {
                self.let_go();
                continue;
            }
            match self.serve() {
                Ok(()) => self.reached(),
                Err(error) if error.is::<Unreachable>() => self.not_reached(),
                Err(error) => self.failed(error),
            }
            self.let_go();
        }
    }

    /// Returns when the ledger may be tried again, where it was tried in vain.
    fn next_try(&self) -> Option<Instant> {
        let away = self.away.as_ref().map(|away| away.again);
        let trouble = self.trouble.as_ref().map(|trouble| trouble.again);
        away.max(trouble)
    }

    /// Tries again what failed for another reason than the remote; what lasts is told, and ends the run.
    fn failed(&mut self, error: anyhow::Error) {
        let now = clock::monotonic();
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            begun: now,
            pauses: Pauses::new(TROUBLE.0, TROUBLE.1),
            again: now,
            is_told: false,
        });
        let lasts = now.duration_since(trouble.begun);
        if lasts >= LASTING {
            self.is_broken = true;
            self.reply(Reply::Broken(error));
            return;
        }
        trouble.again = now + trouble.pauses.next();
        if lasts >= QUIETLY && !std::mem::replace(&mut trouble.is_told, true) {
            let text =
                format!("the ledger cannot be read or written, and is tried again: {error:#}");
            self.reply(Reply::Tell(News::Warning(text)));
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Dispatch => self.dispatches += 1,
            Request::Claim(slot) => self.claims.ask(slot),
            Request::Start(slot, claim) => self.enter(Some(slot), Op::Start(claim), false),
            Request::Settle(slot, op) => self.enter(Some(slot), *op, true),
            Request::Say(op) => self.enter(None, *op, false),
            Request::Apart(obstacle, why) => drop(self.apart.add(obstacle, why)),
            Request::Withdraw => {
                for slot in self.claims.withdraw() {
                    self.reply(Reply::Refused(slot, Vec::new()));
                }
                self.hurry();
            }
            Request::GiveUp => {
                self.gives_up = true;
                self.hurry();
            }
        }
    }

    fn enter(&mut self, slot: Option<Slot>, op: Op, ends: bool) {
        let intent = self.ledger.intent(Actor::Executor, op);
        self.delivery.enter(slot, intent, ends);
    }

    /// Tries a remote that could not be reached once more, now.
    fn hurry(&mut self) {
        let now = clock::monotonic();
        if let Some(away) = &mut self.away {
            away.again = now;
        }
        if let Some(trouble) = &mut self.trouble {
            trouble.again = now;
        }
    }

    /// Does what is due and what was asked.
    fn serve(&mut self) -> Result<()> {
        let now = clock::monotonic();
        let lease = self.ledger.board().run().lease;
        let has_remote = self.ledger.remote().is_some();
        let work = now >= self.rounds.next_work;
        let renew = now >= self.rounds.renewed + lease / 3 && self.ledger.holds_claims();
        let look = has_remote && (now >= self.rounds.next_look || self.away.is_some());
        if work || renew || look || !self.is_ready {
            self.round(Round { work, renew }, lease)?;
        }
        if !self.is_ready {
            recover(&mut self.ledger, &mut |news| {
                let _ = self.replies.send(Reply::Tell(news));
            })?;
            if let Some(gate) = self.duties.gate
                && self.ledger.board().settings.gate != gate
            {
                let done = self.ledger.transact(Op::Gate(gate))?;
                self.reply(Reply::Tell(News::Dispatched(done.subject)));
            }
            let board = self.ledger.board();
            if board
                .tasks
                .values()
                .any(|task| task.status.waits_for_setup())
            {
                let done = self.ledger.transact(Op::Begin)?;
                if done.changed() {
                    self.reply(Reply::Tell(News::Dispatched(done.subject)));
                }
            }
            self.is_ready = true;
            self.reply(Reply::Ready);
        }
        self.deliver()?;
        self.claim()?;
        if self.ledger.take_due() {
            self.reply(Reply::PackDue);
        }
        Ok(())
    }

    /// Keeps in step with others.
    fn round(&mut self, round: Round, lease: Duration) -> Result<()> {
        let before = self.ledger.tip();
        let synced = self.ledger.round(round)?;
        let now = clock::monotonic();
        if round.work {
            self.rounds.next_work = now + (lease / 6).max(Duration::from_secs(1));
        }
        if synced.renewed {
            self.rounds.renewed = now;
        }
        for (expired, outcome) in synced.expired {
            let claim = &expired.claim;
            let text = match outcome {
                Ok(()) => format!(
                    "took {} from agent {} (attempt {}): its lease was not renewed for {}",
                    claim.task,
                    claim.agent,
                    claim.attempt,
                    format_duration(expired.unmoved)
                ),
                // Somebody else was first, or it lives after all.
                Err(_) => continue,
            };
            self.reply(Reply::Tell(News::Note(text)));
        }
        if self.ledger.tip() != before {
            self.rounds.look.reset();
        }
        // Who has all it can do need not look that often.
        let pause = match self.claims.is_hungry() {
            true => self.rounds.look.next(),
            false => LOOK.1,
        };
        let least = (lease / 6).max(LOOK.0);
        self.rounds.next_look = now + pause.min(least);
        if self.ledger.tip() != before {
            self.reply(Reply::Moved);
        }
        Ok(())
    }

    fn next_wake(&self) -> Instant {
        if self.is_broken {
            return clock::monotonic() + LOOK.1;
        }
        if let Some(next) = self.next_try() {
            return next;
        }
        if !self.is_ready {
            return clock::monotonic();
        }
        let mut next = self.rounds.next_work;
        if self.ledger.holds_claims() {
            next = next.min(self.rounds.renewed + self.ledger.board().run().lease / 3);
        }
        if self.ledger.remote().is_some() {
            next = next.min(self.rounds.next_look);
        }
        next
    }

    fn reached(&mut self) {
        if self.trouble.take().is_some_and(|trouble| trouble.is_told) {
            let text = String::from("the ledger can be read and written again");
            self.reply(Reply::Tell(News::Note(text)));
        }
        if self.away.take().is_some() {
            let remote = self.ledger.remote().unwrap_or_default();
            let text = format!("remote {remote} can be reached again");
            self.reply(Reply::Tell(News::Note(text)));
        }
    }

    fn not_reached(&mut self) {
        if self.away.is_none() {
            let remote = self.ledger.remote().unwrap_or_default();
            let text = format!(
                "remote {remote} cannot be reached; claimed work goes on, new claims wait \
                 (`git ls-remote {remote}` says why)"
            );
            self.reply(Reply::Tell(News::Warning(text)));
        }
        let away = self.away.get_or_insert_with(|| Away {
            pauses: Pauses::new(RETRY.0, RETRY.1),
            again: clock::monotonic(),
        });
        away.again = clock::monotonic() + away.pauses.next();
    }

    /// Lets go of what cannot be delivered, where that is wanted.
    fn let_go(&mut self) {
        let is_in_vain = self.away.is_some() || self.trouble.is_some();
        let lets_go = self.is_broken || self.gives_up && is_in_vain;
        if !lets_go {
            return;
        }
        for slot in self.delivery.give_up() {
            self.reply(Reply::Undelivered(slot));
        }
        for slot in self.claims.give_up() {
            self.reply(Reply::Refused(slot, Vec::new()));
        }
        for _ in 0..std::mem::take(&mut self.dispatches) {
            self.reply(Reply::Dispatched(None));
        }
    }

    fn reply(&self, reply: Reply) {
        // A loop that is gone has no use for it.
        let _ = self.replies.send(reply);
    }
}
