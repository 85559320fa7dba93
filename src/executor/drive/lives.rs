//! The stations of an attempt, from its claim to the word on the ledger that ends it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

use super::{Done, Drive, Live};
use crate::error::UserError;
use crate::executor::News;
use crate::executor::attempt::{self, Held};
use crate::executor::clerk::Request;
use crate::executor::judge::{self, Assessed, Failing};
use crate::executor::step::{Event, Outcome, Slot};
use crate::git::Repo;
use crate::hooks;
use crate::ledger::Ledger;
use crate::model::{AttemptEnd, CommitId, Op, Refusal, State, Status};
use crate::process::{self, Ended, Ending};
use crate::workspace::{self, Assignment};

impl Drive<'_> {
    pub(super) fn claimed(&mut self, slot: Slot, held: Held) {
        let assignment = &held.assignment;
        let (agent, task) = (assignment.agent, assignment.task.clone());
        self.refused.remove(&task);
        self.watch
            .tell(&News::Claimed(agent, task, assignment.attempt));
        self.begun += 1;
        // A coder whose claim was lost is free to the ledger before its agent has ended here.
        let waits = self
            .live
            .values()
            .any(|live| live.held.assignment.agent == agent);
        let live = Live {
            held,
            waits,
            worktree: PathBuf::new(),
            stop: None,
            kill: None,
            ended: None,
            verdict: None,
            last_news: None,
            told: BTreeSet::new(),
            is_blocked: false,
        };
        self.live.insert(slot, live);
        if !waits {
            self.queue.push_back(Event::Claimed(slot));
        }
        self.look();
    }

    /// Forgets an attempt, and lets the next one have its coder's worktree.
    fn forget(&mut self, slot: Slot) -> Option<Live> {
        let live = self.live.remove(&slot)?;
        let agent = live.held.assignment.agent;
        let next = self
            .live
            .iter_mut()
            .find(|(_, other)| other.waits && other.held.assignment.agent == agent);
        if let Some((next, other)) = next {
            other.waits = false;
            self.queue.push_back(Event::Claimed(*next));
        }
        Some(live)
    }

    pub(super) fn prepare(&mut self, slot: Slot) {
        let news = self.news.clone();
        self.beside(
            slot,
            move |ledger, held| {
                if hooks::install(ledger.repo())? {
                    let text = "the hooks of coders' worktrees had been taken out of the configuration; they are back";
                    // Nobody listens where the run is over.
                    let _ = news.send(News::Warning(String::from(text)));
                }
                workspace::ready(ledger, &held.assignment)
            },
            Done::Ready,
        );
    }

    pub(super) fn start(&mut self, slot: Slot) {
        let Some(live) = self.live.get_mut(&slot) else {
            return;
        };
        let spec = attempt::brief(&self.ledger, &live.held, &live.worktree);
        let (stop, stopped) = oneshot::channel();
        let (kill, killed) = oneshot::channel();
        live.stop = Some(stop);
        live.kill = Some(kill);
        let spec = match spec {
            Ok(spec) => spec,
            Err(error) => {
                self.give_up(slot, AttemptEnd::NotStarted, &error);
                self.queue.push_back(Event::Judged(slot, false));
                return;
            }
        };
        // The agent does not wait for the ledger to hear of it, which may take as long as the remote is away.
        let claim = live.held.claim();
        self.clerk.ask(Request::Start(slot, claim));
        self.beside.spawn(async move {
            // A sender that is gone is no wish to stop.
            let heard = async |asked: oneshot::Receiver<()>| match asked.await {
                Ok(()) => {}
                Err(_) => std::future::pending().await,
            };
            let ended = process::run_until(&spec, heard(stopped), heard(killed)).await;
            Done::Ended(slot, ended)
        });
    }

    pub(super) fn ended(&mut self, slot: Slot, ended: Ended) {
        let Some(live) = self.live.get_mut(&slot) else {
            return;
        };
        if ended.leftovers > 0 {
            let agent = live.held.assignment.agent;
            let text = format!(
                "[{agent}] processes left behind and ended: {}",
                ended.leftovers
            );
            self.watch.tell(&News::Note(text));
        }
        (live.stop, live.kill) = (None, None);
        let stopped = ended.ending == Ending::Stopped;
        live.ended = Some(ended);
        self.look();
        let working = self
            .live
            .get(&slot)
            .is_some_and(|live| attempt::is_working(self.ledger.board(), &live.held));
        if !working {
            // It has handed in, failed or blocked its task by itself: there is nothing left to say.
            self.queue.push_back(Event::Lost(slot));
        }
        self.queue.push_back(if stopped {
            Event::Stopped(slot)
        } else {
            Event::Exited(slot)
        });
    }

    pub(super) fn judge(&mut self, slot: Slot) {
        let Some(live) = self.live.get(&slot) else {
            return;
        };
        let (worktree, ended) = (live.worktree.clone(), live.ended.clone());
        self.beside(
            slot,
            move |ledger, held| {
                let ended = ended.context("the agent has not ended")?;
                judge::assess(ledger, held, &worktree, &ended)
            },
            Done::Judged,
        );
    }

    /// Hears what the checks of an attempt's work came to.
    pub(super) fn judged(&mut self, slot: Slot, judged: Result<(Assessed, Vec<String>)>) {
        let (assessed, notes) = match judged {
            Ok(judged) => judged,
            Err(error) => {
                let error = error.context("its work could not be checked");
                self.give_up(slot, AttemptEnd::NotChecked, &error);
                self.queue.push_back(Event::Judged(slot, false));
                return;
            }
        };
        let passed = matches!(assessed, Assessed::Passed(..));
        if let Some(live) = self.live.get_mut(&slot) {
            live.verdict = Some(assessed);
        }
        for note in notes {
            self.note(slot, &note);
        }
        self.queue.push_back(Event::Judged(slot, passed));
    }

    /// Tells at once of agents that wait for somebody, and what they said.
    pub(super) fn tell_blocked(&mut self) {
        for live in self.live.values_mut() {
            let Assignment {
                agent,
                task,
                attempt,
                ..
            } = &live.held.assignment;
            let row = self.ledger.board().tasks.get(task);
            let is_blocked = row.is_some_and(|row| {
                let status = &row.status;
                status.state == State::Blocked
                    && status.agent == Some(*agent)
                    && status.attempt == *attempt
            });
            if is_blocked && !std::mem::replace(&mut live.is_blocked, true) {
                let words = row.and_then(|row| row.status.reason.clone());
                let words = words.unwrap_or_default();
                self.watch.tell(&News::Blocked(*agent, task.clone(), words));
            }
        }
    }

    /// Tells something of an attempt's work, once.
    fn note(&mut self, slot: Slot, text: &str) {
        if let Some(live) = self.live.get_mut(&slot)
            && live.told.insert(text.to_owned())
        {
            let Assignment { agent, task, .. } = &live.held.assignment;
            let text = format!("[{agent}] {task}: {text}");
            self.watch.tell(&News::Note(text));
        }
    }

    /// Keeps what an attempt that brought nothing has left, and frees its branch.
    pub(super) fn save(&mut self, slot: Slot, outcome: Outcome) {
        let why = match outcome {
            Outcome::Submit => None,
            Outcome::Fail => Some("left by an attempt that failed"),
            Outcome::Release => Some("left by an attempt that was stopped"),
            Outcome::Abandon => Some("left by an attempt that lost its claim"),
        };
        let Some(held) = self.live.get(&slot).map(|live| live.held.clone()) else {
            return;
        };
        // Work is kept also where the ledger cannot be read.
        let (ledger, repo) = (self.reopen().ok(), self.ledger.repo().reopen());
        self.beside.spawn_blocking(move || {
            let keep = |repo: &Repo| {
                let kept = match why {
                    None => Ok(None),
                    Some(why) => attempt::keep_work(repo, ledger.as_ref(), &held, why),
                };
                // Without the ledger nobody can say what may be committed: all of it is saved as it is. Or Ctrl-C at a
                // terminal has ended the `git` that kept it.
                let kept = match (kept, why) {
                    (Err(error), Some(why)) if !error.is::<UserError>() => {
                        attempt::keep_work(repo, None, &held, why)
                    }
                    (kept, _) => kept,
                };
                workspace::park(repo, held.assignment.agent)?;
                kept
            };
            Done::Saved(slot, outcome, repo.and_then(|repo| keep(&repo)))
        });
    }

    pub(super) fn settle(&mut self, slot: Slot, outcome: Outcome, kept: Result<Option<String>>) {
        let Some(live) = self.live.get_mut(&slot) else {
            self.queue.push_back(Event::Settled(slot));
            return;
        };
        let (held, verdict) = (live.held.clone(), live.verdict.take());
        let agent = held.assignment.agent;
        let (claim, task) = (held.claim(), held.assignment.task.clone());
        let log = held.files.log();
        match kept {
            Ok(Some(kept)) => self.note(slot, &kept),
            Ok(None) => {}
            Err(error) => {
                let text = format!("[{agent}] {task}: {error:#}");
                self.watch.tell(&News::Warning(text));
            }
        }
        let (op, news) = match (outcome, verdict) {
            (Outcome::Submit, Some(Assessed::Passed(head, handoff))) => {
                self.breaker.went_on(&held.profile);
                let summary = handoff.summary.clone();
                let head = CommitId(head.to_string());
                (
                    Op::Submit(claim, head, Box::new(handoff)),
                    News::Submitted(agent, task, summary),
                )
            }
            (Outcome::Submit | Outcome::Fail, Some(Assessed::Asked(words))) => (
                Op::Block(claim, words.clone()),
                News::Blocked(agent, task, words),
            ),
            (Outcome::Submit | Outcome::Fail, verdict) => {
                let failing = match verdict {
                    Some(Assessed::Failed(failing)) => failing,
                    _ => Failing::of_error(
                        self.ledger.repo(),
                        AttemptEnd::NotChecked,
                        &anyhow::anyhow!("it ended for no known reason"),
                    ),
                };
                let ended = self.weigh(&held, &failing);
                let reason = ended.reason.clone();
                let news = match ended.counts {
                    true => News::Failed(agent, task, reason, log),
                    false => News::Released(agent, task, reason),
                };
                (Op::End(Box::new(ended)), news)
            }
            (Outcome::Release, _) => {
                let reason = String::from(match self.fleet.stops() {
                    true => "its executor was stopped",
                    false => "its earlier work is out of reach",
                });
                (
                    Op::Release(claim, reason.clone()),
                    News::Released(agent, task, reason),
                )
            }
            (Outcome::Abandon, _) => {
                if let Some(live) = self.forget(slot) {
                    self.tell_abandoned(&live.held);
                }
                self.queue.push_back(Event::Settled(slot));
                return;
            }
        };
        if let Some(live) = self.live.get_mut(&slot) {
            live.last_news = Some(news);
        }
        self.clerk.ask(Request::Settle(slot, Box::new(op)));
    }

    /// Hears what the ledger says to the end of an attempt.
    pub(super) fn settled(&mut self, slot: Slot, outcome: std::result::Result<(), Refusal>) {
        if let Some(live) = self.forget(slot) {
            let agent = live.held.assignment.agent;
            let news = match outcome {
                Ok(()) => live.last_news,
                // Someone else has ended the claim meanwhile, and that stands.
                Err(refusal) => Some(News::Warning(format!("[{agent}] {}", refusal.message))),
            };
            if let Some(news) = news {
                self.watch.tell(&news);
            }
        }
        self.look();
        self.queue.push_back(Event::Settled(slot));
    }

    /// Leaves the claim of an attempt to its lease, or to the next executor here.
    pub(super) fn undelivered(&mut self, slot: Slot) {
        if let Some(live) = self.forget(slot) {
            let Assignment {
                agent,
                task,
                branch,
                ..
            } = &live.held.assignment;
            let text = format!(
                "[{agent}] the ledger could not be told how {task} ended; its work is on branch {branch} here, \
                 and the next executor here gives the task back"
            );
            self.watch.tell(&News::Warning(text));
        }
        self.queue.push_back(Event::Settled(slot));
    }

    fn tell_abandoned(&mut self, held: &Held) {
        let Assignment {
            agent,
            task,
            branch,
            ..
        } = &held.assignment;
        let board = self.ledger.board();
        let status = board.tasks.get(task).map(|task| &task.status);
        let itself = |status: &Status| {
            status.state.is_done()
                && status.agent == Some(*agent)
                && status.attempt == held.assignment.attempt
        };
        let state = status.map(|status| status.state);
        let text = match (state, board.holds(&held.claim())) {
            _ if status.is_some_and(itself) => format!("[{agent}] handed in {task} itself"),
            (Some(State::Blocked), Ok(_)) => {
                format!("[{agent}] {task} is blocked; its work is on branch {branch}")
            }
            (_, Err(refusal)) => format!("[{agent}] {}", refusal.message),
            (state, Ok(_)) => {
                let state = state.map_or("gone", State::as_str);
                format!("[{agent}] {task} is {state}; its work is on branch {branch}")
            }
        };
        self.watch.tell(&News::Note(text));
    }

    /// Notes why an attempt failed before its agent's work could be judged.
    pub(super) fn give_up(&mut self, slot: Slot, end: AttemptEnd, error: &anyhow::Error) {
        let failing = Failing::of_error(self.ledger.repo(), end, error);
        if let Some(live) = self.live.get_mut(&slot) {
            live.verdict = Some(Assessed::Failed(failing));
        }
    }

    /// Does work about a held task beside the loop, with a ledger of its own to read.
    fn beside<T>(
        &mut self,
        slot: Slot,
        work: impl FnOnce(&Ledger, &Held) -> Result<T> + Send + 'static,
        told: impl FnOnce(Slot, Result<T>) -> Done + Send + 'static,
    ) {
        let Some(held) = self.live.get(&slot).map(|live| live.held.clone()) else {
            return;
        };
        let opened = self.reopen();
        self.beside
            .spawn_blocking(move || told(slot, opened.and_then(|ledger| work(&ledger, &held))));
    }
}
