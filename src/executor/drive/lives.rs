//! The stations of an attempt, from its claim to the word on the ledger that ends it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

use super::{Done, Drive, Live, problem};
use crate::error::UserError;
use crate::executor::News;
use crate::executor::attempt::{self, Held};
use crate::executor::step::{Event, Outcome};
use crate::ledger::Ledger;
use crate::model::{AgentId, CommitId, Op, RefusalKind, State, TaskId};
use crate::process::{self, Ended, Ending};
use crate::workspace;

impl Drive<'_> {
    pub(super) fn claim(&mut self, agent: AgentId) {
        match attempt::claim(&mut self.ledger, agent) {
            Ok(Ok(held)) => {
                let assignment = &held.assignment;
                let (task, number) = (assignment.task.clone(), assignment.attempt);
                self.refused.remove(&task);
                self.watch.tell(&News::Claimed(agent, task, number));
                self.begun += 1;
                let live = Live {
                    held,
                    worktree: PathBuf::new(),
                    stop: None,
                    kill: None,
                    ended: None,
                    verdict: None,
                };
                self.live.insert(agent, live);
                self.queue.push_back(Event::Claimed(agent));
            }
            Ok(Err(refused)) => {
                for (task, refusal) in refused {
                    let new = self.refused.insert(task.clone(), refusal.message.clone());
                    // A full wave is how it should be; what a person must mend is told once.
                    if refusal.kind == RefusalKind::Denied && new.is_none() {
                        let text = format!("{task} waits: {}", refusal.message);
                        self.watch.tell(&News::Warning(text));
                    }
                }
                self.queue.push_back(Event::Refused(agent));
            }
            Err(error) => {
                self.fail(error);
                self.queue.push_back(Event::Refused(agent));
            }
        }
        self.seen_all();
    }

    pub(super) fn prepare(&mut self, agent: AgentId) {
        self.beside(
            agent,
            |ledger, held| workspace::ready(ledger, &held.assignment),
            Done::Ready,
        );
    }

    pub(super) fn start(&mut self, agent: AgentId) {
        let Some(live) = self.live.get_mut(&agent) else {
            return;
        };
        let spec = attempt::brief(&self.ledger, &live.held, &live.worktree);
        let (stop, stopped) = oneshot::channel();
        let (kill, killed) = oneshot::channel();
        live.stop = Some(stop);
        live.kill = Some(kill);
        let claim = live.held.claim();
        let begun = spec.and_then(|spec| {
            let started = self.transact(&Op::Start(claim))?;
            started.map_err(|refusal| anyhow::anyhow!(refusal.message))?;
            Ok(spec)
        });
        let spec = match begun {
            Ok(spec) => spec,
            Err(error) => {
                self.give_up(agent, &error);
                self.queue.push_back(Event::Judged(agent, false));
                return;
            }
        };
        self.beside.spawn(async move {
            // A sender that is gone is no wish to stop.
            let heard = async |asked: oneshot::Receiver<()>| match asked.await {
                Ok(()) => {}
                Err(_) => std::future::pending().await,
            };
            let ended = process::run_until(&spec, heard(stopped), heard(killed)).await;
            Done::Ended(agent, ended)
        });
    }

    pub(super) fn ended(&mut self, agent: AgentId, ended: Ended) {
        let Some(live) = self.live.get_mut(&agent) else {
            return;
        };
        if ended.leftovers > 0 {
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
            .get(&agent)
            .is_some_and(|live| attempt::is_working(self.ledger.board(), &live.held));
        if !working {
            // It has handed in, failed or blocked its task by itself: there is nothing left to say.
            self.queue.push_back(Event::Lost(agent));
        }
        self.queue.push_back(if stopped {
            Event::Stopped(agent)
        } else {
            Event::Exited(agent)
        });
    }

    pub(super) fn judge(&mut self, agent: AgentId) {
        let Some(live) = self.live.get(&agent) else {
            return;
        };
        let (worktree, ended) = (live.worktree.clone(), live.ended.clone());
        self.beside(
            agent,
            move |ledger, held| {
                let ended = ended.context("the agent has not ended")?;
                attempt::judge(ledger, held, &worktree, &ended)
            },
            Done::Judged,
        );
    }

    /// Keeps what an attempt that brought nothing has left, and frees its branch.
    pub(super) fn save(&mut self, agent: AgentId, outcome: Outcome) {
        let why = match outcome {
            Outcome::Submit => None,
            Outcome::Fail => Some("left by an attempt that failed"),
            Outcome::Release => Some("left by an attempt that was stopped"),
            Outcome::Abandon => Some("left by an attempt that lost its claim"),
        };
        self.beside(
            agent,
            move |ledger, held| {
                let repo = ledger.repo();
                let keep = |why| match attempt::keep_work(repo, held, why) {
                    // Ctrl-C at a terminal may have ended the `git` that kept it.
                    Err(error) if !error.is::<UserError>() => attempt::keep_work(repo, held, why),
                    kept => kept,
                };
                let kept = why.map_or(Ok(None), keep);
                workspace::park(repo, agent)?;
                kept
            },
            move |agent, kept| Done::Saved(agent, outcome, kept),
        );
    }

    pub(super) fn settle(
        &mut self,
        agent: AgentId,
        outcome: Outcome,
        kept: Result<Option<String>>,
    ) {
        self.queue.push_back(Event::Settled(agent));
        let Some(live) = self.live.remove(&agent) else {
            return;
        };
        let (claim, task) = (live.held.claim(), live.held.assignment.task.clone());
        let log = live.held.files.log();
        match kept {
            Ok(Some(kept)) => {
                let text = format!("[{agent}] what {task} left is kept as {kept}");
                self.watch.tell(&News::Note(text));
            }
            Ok(None) => {}
            Err(error) => {
                let text = format!("[{agent}] {task}: {error:#}");
                self.watch.tell(&News::Warning(text));
            }
        }
        let unknown = || (String::from("it ended for no known reason"), String::new());
        let (op, news) = match (outcome, live.verdict) {
            (Outcome::Submit, Some(Ok((head, handoff)))) => {
                let summary = handoff.summary.clone();
                let head = CommitId(head.to_string());
                (
                    Op::Submit(claim, head, Box::new(handoff)),
                    News::Submitted(agent, task, summary),
                )
            }
            (Outcome::Submit | Outcome::Fail, verdict) => {
                let (reason, findings) = match verdict {
                    Some(Err(problem)) => problem,
                    _ => unknown(),
                };
                (
                    Op::Fail(claim, reason.clone(), Some(findings)),
                    News::Failed(agent, task, reason, log),
                )
            }
            (Outcome::Release, _) => {
                let reason = String::from("the run was stopped");
                (
                    Op::Release(claim, reason.clone()),
                    News::Released(agent, task, reason),
                )
            }
            (Outcome::Abandon, _) => return self.tell_abandoned(agent, &task),
        };
        match self.transact(&op) {
            Ok(Ok(_)) => self.watch.tell(&news),
            // Someone else has ended the claim in this moment, and that stands.
            Ok(Err(refusal)) => {
                let text = format!("[{agent}] {}", refusal.message);
                self.watch.tell(&News::Warning(text));
            }
            Err(error) => self.fail(error),
        }
    }

    fn tell_abandoned(&mut self, agent: AgentId, task: &TaskId) {
        let state = self
            .ledger
            .board()
            .tasks
            .get(task)
            .map(|task| task.status.state);
        let text = match state {
            Some(State::Submitted | State::Accepted | State::Merged) => {
                format!("[{agent}] handed in {task} itself")
            }
            Some(state) => format!("[{agent}] {task} is {state}; its work is kept"),
            None => format!("[{agent}] {task} is gone; its work is kept"),
        };
        self.watch.tell(&News::Note(text));
    }

    /// Notes why an attempt failed before its agent's work could be judged.
    pub(super) fn give_up(&mut self, agent: AgentId, error: &anyhow::Error) {
        if let Some(live) = self.live.get_mut(&agent) {
            live.verdict = Some(Err(problem(error)));
        }
    }

    /// Does work about a held task beside the loop, with a ledger of its own to read.
    fn beside<T>(
        &mut self,
        agent: AgentId,
        work: impl FnOnce(&Ledger, &Held) -> Result<T> + Send + 'static,
        told: impl FnOnce(AgentId, Result<T>) -> Done + Send + 'static,
    ) {
        let Some(held) = self.live.get(&agent).map(|live| live.held.clone()) else {
            return;
        };
        let opened = self.reopen();
        self.beside
            .spawn_blocking(move || told(agent, opened.and_then(|ledger| work(&ledger, &held))));
    }
}
