//! What a plan's tasks ask of an assembly: whose branch, checked how, landed where, recorded as what.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;

use crate::assembler::conflict::Whose;
use crate::assembler::fault::{self, Fault, Tried};
use crate::assembler::in_step;
use crate::assembler::landing::{self, Kind, Move};
use crate::assembler::lane::{Landed, Lane, Ready};
use crate::assembler::lock::Alone;
use crate::assembler::moved;
use crate::assembler::report::Silent;
use crate::assembler::team_branches::{oid, team_ref};
use crate::assembler::undone;
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};
use crate::hooks::gate::{Rule, task as gate};
use crate::ledger::Ledger;
use crate::model::train::risk::Signs;
use crate::model::train::{self, Car, INTEGRATION, Outcome, Verdict, carried};
use crate::model::{Actor, CommitId, Op, State, Task, TaskId, TeamId};

/// A plan's handed-in work on its way.
pub(super) struct PlanLane<'a> {
    pub(super) repo: &'a Repo,
    pub(super) alone: &'a Alone,
    pub(super) ledger: &'a mut Ledger,
    pub(super) cars: Vec<Car>,
    /// Full name of the branch that moves: the integration branch, or one team's.
    pub(super) target: String,
}

impl PlanLane<'_> {
    /// Returns a car's task as the ledger has it; `None` for a team's branch.
    fn task(&self, position: usize) -> Option<&Task> {
        let id = self.cars[position].task.as_ref()?;
        self.ledger.board().tasks.get(id)
    }

    /// Returns the team whose branch moves with a car.
    fn team(&self, position: usize) -> Option<TeamId> {
        self.task(position).map(|task| task.team)
    }

    fn is_waiting(&self, task: &TaskId, head: Oid) -> bool {
        let status = self.ledger.board().tasks.get(task).map(|t| &t.status);
        status.is_some_and(|status| {
            matches!(status.state, State::Submitted | State::Accepted)
                && status.head.as_ref().and_then(oid) == Some(head)
        })
    }

    /// Records that a task's work is where it was to go.
    fn record_landing(&mut self, position: usize, head: Oid, commit: Oid) -> Result<()> {
        let Some(task) = self.cars[position].task.clone() else {
            return Ok(());
        };
        let id = |oid: Oid| CommitId(oid.to_string());
        let op = match self.alone.team() {
            None => Op::Merge(task, id(head), id(commit)),
            Some(_) => Op::Accept(task, id(head), id(commit)),
        };
        // Refused means that someone has changed the task's state since: the work is in all the same.
        let _refused = self.ledger.try_transact(Actor::Assembler, op)?;
        Ok(())
    }

    /// Returns whether a branch has nothing that a tip has not.
    fn is_in(&self, head: Oid, tip: Oid) -> Tried<bool> {
        fault::asked(|| self.repo.has(tip, head)).map_err(|fault| fault.saying("cannot be read"))
    }

    /// Checks what a task's branch brings along: from the commits themselves what hooks check in a worktree, and
    /// whether other tasks' commits that it carries must come in first.
    fn check_task(&self, task: &Task, head: Oid, tip: Oid) -> Tried<Ready> {
        // A history that cannot be read is one of the things that the gate tells.
        let range = self.repo.range(tip, head).unwrap_or_default();
        let range: Vec<(CommitId, Vec<String>)> = range
            .into_iter()
            .map(|commit| (CommitId(commit.id.to_string()), commit.tasks))
            .collect();
        let named = range.iter().flat_map(|(_, tasks)| tasks);
        let named: BTreeSet<&String> = named
            .filter(|name| name.as_str() != task.id.as_str())
            .collect();
        let mut heads = Vec::new();
        for other in named {
            let id = other.parse().ok();
            let Some(other) = id.and_then(|id: TaskId| self.ledger.board().tasks.get(&id)) else {
                continue;
            };
            let branch = format!("refs/heads/{}", other.branch_name());
            if let Some(head) = fault::asked(|| self.repo.read_ref(&branch))?
                && other.status.state != State::Merged
            {
                heads.push((other.id.clone(), head));
            }
        }
        let findings = gate::check_task(self.ledger, self.repo, task, (head, tip), &heads)?;
        // What says that it is another's and is not on that one's branch is forged.
        let is_honest = findings.iter().all(|found| found.rule == Rule::Foreign);
        if is_honest && let Some(other) = carried(self.ledger.board(), &task.id, &range) {
            return Ok(waits_for(task, other));
        }
        Ok(match gate::told(&task.branch_name(), &findings) {
            None => Ready::Go(head),
            Some((reason, findings)) => Ready::Bad(reason, findings),
        })
    }
}

/// Returns what comes of a branch that has another task's commits in it, which are not in yet.
fn waits_for(task: &Task, other: &Task) -> Ready {
    let state = other.status.state;
    let reason = format!("carries commits of {}, which is {state}", other.id);
    if matches!(state, State::Gap | State::Cancelled) {
        let findings = format!(
            "{} {reason} and will not come in.\n\nStart again from {INTEGRATION} without them.",
            task.branch_name()
        );
        return Ready::Bad(reason, findings);
    }
    Ready::Not(Outcome::out(Verdict::Skipped, reason))
}

impl PlanLane<'_> {
    /// Returns what moves when cars land: the target, and with the integration branch their teams' branches.
    fn moves(&self, landed: &[Landed], last: &Landed, tip: Oid) -> Result<Vec<Move>> {
        let mut moves = vec![Move {
            branch: self.target.clone(),
            old: Some(tip),
            new: last.commit,
        }];
        if self.alone.team().is_some() {
            return Ok(moves);
        }
        let branches = landed.iter().map(|car| match self.team(car.position) {
            Some(team) => team_ref(team),
            None => format!("refs/heads/{}", self.cars[car.position].branch),
        });
        for branch in branches {
            let now = self.repo.read_ref(&branch)?;
            let follows = match now {
                Some(now) => match fault::asked(|| self.repo.is_ancestor(now, last.commit)) {
                    Ok(follows) => follows,
                    // A branch that cannot be read stays where it is.
                    Err(Fault::Branch(_)) => false,
                    Err(Fault::Everything(error)) => return Err(error),
                },
                None => true,
            };
            // Whatever was committed there meanwhile is a car of its own next time.
            if follows && !moves.iter().any(|known| known.branch == branch) {
                moves.push(Move {
                    branch,
                    old: now,
                    new: last.commit,
                });
            }
        }
        Ok(moves)
    }
}

impl Lane for PlanLane<'_> {
    fn target(&self) -> &str {
        &self.target
    }

    fn ready(&mut self, position: usize, tip: Oid) -> Tried<Ready> {
        let Some(id) = self.cars[position].task.clone() else {
            let branch = format!("refs/heads/{}", self.cars[position].branch);
            let Some(head) = fault::asked(|| self.repo.read_ref(&branch))? else {
                return Err(Fault::Branch(String::from("the team's branch is gone")));
            };
            return Ok(match self.is_in(head, tip)? {
                true => Ready::In(head),
                false => Ready::Go(head),
            });
        };
        self.ledger.refresh()?;
        let out = |reason: &str| Ready::Not(Outcome::out(Verdict::Skipped, reason));
        let Some(task) = self.ledger.board().tasks.get(&id) else {
            return Ok(out("is no longer in the plan"));
        };
        if !matches!(task.status.state, State::Submitted | State::Accepted) {
            return Ok(out(&format!("is {} by now", task.status.state)));
        }
        let Some(head) = task.status.head.as_ref().and_then(oid) else {
            return Ok(out("the ledger names no commit for it"));
        };
        let task = task.clone();
        if self.repo.read_commit(head).is_err() {
            return match self.repo.object_size(head) {
                // It is here, and malformed.
                Ok(Some(_)) => self.check_task(&task, head, tip),
                _ => Ok(out(&format!("its commit {head} is not in this repository"))),
            };
        }
        if self.is_in(head, tip)?
            && fault::asked(|| undone::base_before(self.repo, (tip, head), Some(&id)))?.is_none()
        {
            return Ok(Ready::In(head));
        }
        self.check_task(&task, head, tip)
    }

    fn signs(&self, position: usize) -> Signs {
        let Some(agent) = self.task(position).and_then(|task| task.status.agent) else {
            return Signs::default();
        };
        let tasks = self.ledger.board().tasks.values();
        let mut signs = Signs::default();
        for task in tasks.filter(|task| task.status.agent == Some(agent)) {
            match task.status.state {
                State::Merged => signs.came_in += 1,
                // Sent back, and not in again yet.
                _ if task.status.findings.is_some() => signs.sent_back += 1,
                _ => {}
            }
        }
        signs
    }

    fn message(&self, position: usize) -> String {
        match self.task(position) {
            Some(task) => train::merge_message(self.ledger.board().run_name(), task),
            None => format!("Merge branch '{}'\n", self.cars[position].branch),
        }
    }

    fn key(&self) -> Result<Option<PathBuf>> {
        self.ledger.merge_key()
    }

    fn land(&mut self, landed: &[Landed], tip: Oid) -> Result<Swap> {
        let Some(last) = landed.last() else {
            return Ok(Swap::Won);
        };
        self.ledger.refresh()?;
        for car in landed {
            if let Some(task) = &self.cars[car.position].task
                && !self.is_waiting(task, car.head)
            {
                // Cancelled or taken back while its test ran.
                return Ok(Swap::Lost);
            }
        }
        // Somebody may have moved it since the assembly began.
        let at = (self.target.as_str(), Some(tip));
        moved::require_at(self.ledger, self.repo, at, &mut Silent)?;
        let moves = self.moves(landed, last, tip)?;
        in_step::require_push_allowed(self.ledger, &moves)?;
        let message = format!("orch assemble: {}", self.cars[last.position].name());
        let swap = landing::land(self.repo, self.alone, &moves, Kind::Assembly, &message)?;
        if swap == Swap::Won {
            for car in landed {
                self.record_landing(car.position, car.head, car.commit)?;
            }
        }
        Ok(swap)
    }

    fn found(&mut self, position: usize, head: Oid, tip: Oid) -> Result<Outcome> {
        let commit = brought_in_by(self.repo, head, tip)?;
        self.record_landing(position, head, commit)?;
        Ok(Outcome::merged(CommitId(commit.to_string())))
    }

    fn whose(&self, position: usize) -> Whose {
        let task = self.task(position);
        Whose {
            task: task.map(|task| task.id.clone()),
            agent: task.and_then(|task| task.status.agent),
        }
    }

    fn sent_back(
        &mut self,
        position: usize,
        verdict: Verdict,
        reason: &str,
        findings: &str,
    ) -> Result<()> {
        let Some(task) = self.task(position) else {
            return Ok(());
        };
        let Some(head) = task.status.head.clone() else {
            return Ok(());
        };
        let (id, reason, findings) = (task.id.clone(), reason.to_owned(), findings.to_owned());
        let op = match verdict {
            Verdict::Conflict => Op::Conflict(id, head, reason, findings),
            _ => Op::Reject(id, head, reason, findings),
        };
        // Refused means that it was cancelled or taken back: then there is nobody to send it to.
        let _refused = self.ledger.try_transact(Actor::Assembler, op)?;
        Ok(())
    }
}

/// Returns the oldest commit of the first-parent history that has a commit in it.
fn brought_in_by(repo: &Repo, head: Oid, tip: Oid) -> Result<Oid> {
    let line = repo.first_parents(tip, Some(head))?;
    // Along the line having it in is monotonous: newest first, all that have it come first.
    let (mut has, mut lacks) = (0, line.len());
    while lacks - has > 1 {
        let middle = has + (lacks - has) / 2;
        if repo.is_ancestor(head, line[middle])? {
            has = middle;
        } else {
            lacks = middle;
        }
    }
    let Some(commit) = line.get(has).copied() else {
        return Ok(head);
    };
    // Brought in by a fast-forward, it stands on the line itself.
    let on_line = repo.read_commit(commit)?.parents.first() == Some(&head);
    Ok(if on_line { head } else { commit })
}
