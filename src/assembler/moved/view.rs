//! What is known of commits, and what is wrong with those that branches gained.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use anyhow::Result;

use super::base_ref;
use super::left::Left;
use crate::assembler::report::{Progress, Watch};
use crate::assembler::team_branches::{integration_ref, oid};
use crate::error::UserError;
use crate::git::checkout::short;
use crate::git::{Oid, Repo, files};
use crate::hooks::gate::task as gate;
use crate::hooks::message::Parts;
use crate::ledger::Ledger;
use crate::ledger::signatures::{self, Said};
use crate::model::gate::authors::{Person, agent, claims_agent};
use crate::model::gate::commit::RawCommit;
use crate::model::gate::shown;
use crate::model::{Signer, State, Task, TaskId};

/// Commits of one branch that are looked at.
const MOST_COMMITS: usize = 10_000;

/// What is known of commits.
pub(super) struct View<'a> {
    repo: &'a Repo,
    ledger: &'a Ledger,
    left: &'a Left,
    /// Commits by which the ledger says that work has landed.
    landed: BTreeSet<Oid>,
    /// Commits of that work, once they are asked for.
    brought: OnceCell<BTreeSet<Oid>>,
    /// Commits of tasks that are not merged, once they are asked for.
    of_tasks: OnceCell<BTreeSet<Oid>>,
    /// Commits of work that was handed in and that the gate lets pass, once they are asked for.
    passed: OnceCell<BTreeSet<Oid>>,
}

impl<'a> View<'a> {
    pub(super) fn new(ledger: &'a Ledger, repo: &'a Repo, left: &'a Left) -> Self {
        let landed = merged(ledger).filter_map(|task| oid(task.status.commit.as_ref()?));
        Self {
            repo,
            ledger,
            left,
            landed: landed.collect(),
            brought: OnceCell::new(),
            of_tasks: OnceCell::new(),
            passed: OnceCell::new(),
        }
    }

    /// Whether the ledger says of a commit that it landed, or came in with what did.
    fn has_landed(&self, commit: Oid) -> Result<bool> {
        if self.landed.contains(&commit) {
            return Ok(true);
        }
        if self.brought.get().is_none() {
            let mut found = BTreeSet::new();
            for task in merged(self.ledger) {
                let ends = (task.status.base.as_ref(), task.status.head.as_ref());
                if let (Some(base), Some(head)) = (ends.0.and_then(oid), ends.1.and_then(oid))
                    && self.repo.read_commit(head).is_ok()
                {
                    let (added, _) = self.repo.added_commits(&[head], &[base], MOST_COMMITS)?;
                    found.extend(added);
                }
            }
            let _ = self.brought.set(found);
        }
        Ok(self
            .brought
            .get()
            .is_some_and(|found| found.contains(&commit)))
    }

    /// Returns the commits of work that was handed in and that the gate lets pass: whoever takes it up a step by
    /// hand does what the assembler would do.
    fn passed(&self) -> Result<&BTreeSet<Oid>> {
        if let Some(known) = self.passed.get() {
            return Ok(known);
        }
        let mut found = BTreeSet::new();
        for task in self.ledger.board().tasks.values() {
            let status = &task.status;
            let waits = matches!(status.state, State::Submitted | State::Accepted);
            let (true, Some(base), Some(head)) = (
                waits,
                status.base.as_ref().and_then(oid),
                status.head.as_ref().and_then(oid),
            ) else {
                continue;
            };
            let is_here =
                self.repo.read_commit(base).is_ok() && self.repo.read_commit(head).is_ok();
            if is_here && gate::check_before_submit(self.ledger, &task.id, head)?.is_none() {
                let (added, _) = self.repo.added_commits(&[head], &[base], MOST_COMMITS)?;
                found.extend(added);
            }
        }
        Ok(self.passed.get_or_init(|| found))
    }

    /// Returns the commits that tasks which are not merged have beyond where their branches were cut.
    fn of_tasks(&self) -> Result<&BTreeSet<Oid>> {
        if let Some(known) = self.of_tasks.get() {
            return Ok(known);
        }
        let mut found = BTreeSet::new();
        let is_there = |id: &Oid| self.repo.read_commit(*id).is_ok();
        let tasks = self.ledger.board().tasks.values();
        for task in tasks.filter(|task| task.status.state != State::Merged) {
            let status = &task.status;
            let Some(base) = status.base.as_ref().and_then(oid).filter(is_there) else {
                continue;
            };
            let branch = format!("refs/heads/{}", task.branch_name());
            let heads = [
                status.head.as_ref().and_then(oid),
                self.repo.read_ref(&branch)?,
            ];
            let heads = heads.into_iter().flatten().filter(is_there);
            let heads: Vec<Oid> = heads.filter(|head| *head != base).collect();
            if !heads.is_empty() {
                let (added, _) = self.repo.added_commits(&heads, &[base], MOST_COMMITS)?;
                // What it merged from the integrated branches is no work of its own.
                found.extend(added.into_iter().filter(|id| self.names_task(*id)));
            }
        }
        Ok(self.of_tasks.get_or_init(|| found))
    }

    /// Whether a commit's message is a coder's.
    fn names_task(&self, commit: Oid) -> bool {
        let raw = self.repo.read_raw_commit(commit).unwrap_or_default();
        let parsed = RawCommit::parse(&raw);
        parsed.is_ok_and(|commit| {
            let parts = Parts::read(commit.message, None);
            parts.tags.is_some() && parts.trailer("Orch-Event").is_none()
        })
    }

    /// Requires that a branch builds on where it was left, and that no coder put anything on it.
    pub(super) fn check(&self, name: &str, now: Option<Oid>, watch: &mut dyn Watch) -> Result<()> {
        let noted = self.left.of(name);
        if noted == now {
            return Ok(());
        }
        let Some(now) = now else {
            let noted = noted.map(|id| id.to_string()).unwrap_or_default();
            return Err(UserError::new(format!(
                "{} was deleted, and was left at {noted}; nothing is brought in over that",
                short(name)
            ))
            .hint(format!("git branch {} {noted}", short(name)))
            .hint("git orch assemble --accept-moved")
            .into());
        };
        if let Some(noted) = noted
            && self.repo.read_commit(noted).is_ok()
            && !self.repo.is_ancestor(noted, now)?
        {
            return Err(self.refuse(name, noted, now, "it does not build on that"));
        }
        let line = self.gained(name, noted, now)?;
        self.judge(name, noted, now, &line)?;
        if noted.is_some() && !line.is_empty() {
            let text = format!(
                "{} has {} that git-orch did not bring in{}",
                short(name),
                match line.len() {
                    1 => String::from("a commit"),
                    more => format!("{more} commits"),
                },
                self.mover(name),
            );
            watch.progress(Progress::Note(&text));
        }
        Ok(())
    }

    /// Refuses what a coder has put on a branch, and, where everything is signed, what nobody who may has signed.
    pub(super) fn judge(
        &self,
        name: &str,
        noted: Option<Oid>,
        now: Oid,
        line: &[Oid],
    ) -> Result<()> {
        let is_base = name == base_ref(self.ledger);
        let refuse = |commit: Oid, why: &str| {
            let oldest = line.last().and_then(|oldest| self.parent(*oldest));
            let from = noted.or(oldest).unwrap_or(now);
            let what = format!("commit {} on it {why}", commit.to_hex_with_len(10));
            self.refuse(name, from, now, &what)
        };
        let mut others = Vec::new();
        for commit in line {
            match self.is_coders(*commit)? {
                Some(why) if is_base || !self.passed()?.contains(commit) => {
                    return Err(refuse(*commit, &why));
                }
                Some(_) => {}
                None => others.push(*commit),
            }
        }
        // The base branch is people's own, who commit there as they always did.
        if is_base || !self.ledger.board().is_signed() {
            return Ok(());
        }
        match self.unsigned(&others)? {
            Some((commit, why)) => Err(refuse(commit, &why)),
            None => Ok(()),
        }
    }

    /// Returns the first of some commits that nobody has signed whom the ledger names, and why it counts as such.
    fn unsigned(&self, commits: &[Oid]) -> Result<Option<(Oid, String)>> {
        let mut asked = Vec::new();
        for commit in commits {
            if !self.has_landed(*commit)? && !self.passed()?.contains(commit) {
                asked.push(*commit);
            }
        }
        if asked.is_empty() {
            return Ok(None);
        }
        self.ledger.verify()?;
        let said = signatures::verify(self.repo, &asked, &self.ledger.signers_file()?)?;
        for commit in asked {
            let why = match said.get(&commit) {
                Some(Said::By(principal)) if !Signer::is_agents(principal) => continue,
                Some(Said::By(principal)) => format!("is signed by {principal}, a coder"),
                Some(Said::Bad) => String::from("has a signature that is not good"),
                Some(Said::Unknown) => {
                    String::from("is signed with a key that the ledger does not name")
                }
                Some(Said::Nothing) | None => String::from("is not signed"),
            };
            return Ok(Some((commit, why)));
        }
        Ok(None)
    }

    /// Returns the first-parent commits that a branch has gained, newest first.
    pub(super) fn gained(&self, name: &str, noted: Option<Oid>, now: Oid) -> Result<Vec<Oid>> {
        let base = base_ref(self.ledger);
        let mut known: Vec<Oid> = noted.into_iter().collect();
        if name != base {
            known.extend(self.repo.read_ref(&base)?);
        }
        // What we brought there is there by right, on the base branch as well.
        known.extend(self.left.all());
        if noted.is_none() && name == base {
            // Until the first approval it is a person's; of interest is what came since work began.
            let cut = self.ledger.board().tasks.values();
            known.extend(cut.filter_map(|task| oid(task.status.base.as_ref()?)));
        }
        known.retain(|id| self.repo.read_commit(*id).is_ok());
        let mut line = Vec::new();
        let (added, _) = self.repo.added_commits(&[now], &known, MOST_COMMITS)?;
        let added: BTreeSet<Oid> = added.into_iter().collect();
        let mut next = Some(now);
        while let Some(commit) = next.filter(|commit| added.contains(commit)) {
            line.push(commit);
            next = self.parent(commit);
        }
        Ok(line)
    }

    fn parent(&self, commit: Oid) -> Option<Oid> {
        self.repo.read_commit(commit).ok()?.parents.first().copied()
    }

    /// Returns why a commit is a coder's that never passed the gate.
    fn is_coders(&self, commit: Oid) -> Result<Option<String>> {
        let raw = self.repo.read_raw_commit(commit)?;
        let parsed = RawCommit::parse(&raw);
        let why = parsed.ok().and_then(|parsed| coder_of(&parsed));
        let why = match why {
            Some(why) => Some(why),
            None if self.of_tasks()?.contains(&commit) => {
                Some(String::from("is of a task that is not merged"))
            }
            None => None,
        };
        Ok(match why {
            Some(_) if self.has_landed(commit)? => None,
            why => why,
        })
    }

    /// Refuses edits of the ledger that a coder made by hand.
    pub(super) fn check_ledger(&self, name: &str, tip: Oid) -> Result<()> {
        let noted = self.left.of(name);
        let mut next = Some(tip).filter(|tip| Some(*tip) != noted);
        let mut steps = 0;
        while let Some(commit) = next {
            steps += 1;
            let Ok(raw) = self.repo.read_raw_commit(commit) else {
                return Ok(());
            };
            if let Ok(parsed) = RawCommit::parse(&raw)
                && !is_transition(&parsed)
                && let Some(why) = coder_of(&parsed)
            {
                let hex = commit.to_hex_with_len(10);
                return Err(UserError::new(format!(
                    "the ledger {} was edited by hand: commit {hex} {why}; nothing is brought in by its word",
                    short(name)
                ))
                .hint(format!("git show --stat {commit}"))
                .hint("git orch assemble --accept-moved")
                .into());
            }
            next = self.parent(commit).filter(|parent| Some(*parent) != noted);
            if steps >= MOST_COMMITS {
                break;
            }
        }
        Ok(())
    }

    /// Requires that what the ledger says has landed is in the integration branch or in the base branch.
    pub(super) fn require_kept(&self) -> Result<()> {
        let gone = self.gone()?;
        let open = gone
            .iter()
            .find(|(_, commit)| !self.left.lets_be_gone(*commit));
        let Some((task, commit)) = open else {
            return Ok(());
        };
        let name = integration_ref();
        let now = self.repo.read_ref(&name)?;
        let mut error = UserError::new(format!(
            "{} lacks commit {commit}, with which the ledger says that {task} was merged{}; nothing is brought in \
             over that",
            short(&name),
            self.mover(&name),
        ));
        // Where it was only set back, it goes forward again.
        let mut ends = gone.iter().map(|(_, commit)| *commit);
        let last = ends.find(|last| {
            let has = |other: Oid| self.repo.is_ancestor(other, *last).unwrap_or(false);
            gone.iter().all(|(_, commit)| has(*commit)) && now.is_none_or(has)
        });
        error = match (last, now) {
            (Some(last), Some(now)) => error.hint(format!("git update-ref {name} {last} {now}")),
            (Some(last), None) => error.hint(format!("git branch {} {last}", short(&name))),
            (None, _) => error.hint(format!("git log --oneline {commit}")),
        };
        Err(error.hint("git orch assemble --accept-moved").into())
    }

    /// Returns the merged tasks whose landing neither the integration nor the base branch has, each with its commit.
    pub(super) fn gone(&self) -> Result<Vec<(TaskId, Oid)>> {
        let ends = [integration_ref(), base_ref(self.ledger)];
        let ends = ends.iter().map(|name| self.repo.read_ref(name));
        let ends: Vec<Oid> = ends
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        // What others have landed and was not fetched is theirs to look after.
        let here = self
            .landed
            .iter()
            .filter(|id| self.repo.read_commit(**id).is_ok());
        let here: Vec<Oid> = here.copied().collect();
        if here.is_empty() || self.repo.added_commits(&here, &ends, 1)?.0.is_empty() {
            return Ok(Vec::new());
        }
        let (gone, _) = self.repo.added_commits(&here, &ends, i32::MAX as usize)?;
        let gone: BTreeSet<Oid> = gone.into_iter().collect();
        let of = |task: &Task| {
            let commit = task.status.commit.as_ref().and_then(oid)?;
            gone.contains(&commit).then(|| (task.id.clone(), commit))
        };
        Ok(merged(self.ledger).filter_map(of).collect())
    }

    fn refuse(&self, name: &str, from: Oid, now: Oid, what: &str) -> anyhow::Error {
        UserError::new(format!(
            "{} was moved from {from} to {now}{}: {what}; nothing is brought in over that",
            short(name),
            self.mover(name)
        ))
        .hint(format!("git log --first-parent {from}..{now}"))
        .hint(format!("git update-ref {name} {from} {now}"))
        .hint("git orch assemble --accept-moved")
        .into()
    }

    /// Returns who moved a branch last and what they said, as its reflog has it.
    fn mover(&self, name: &str) -> String {
        let log = files::read_if_exists(&self.repo.common_dir().join("logs").join(name));
        let log = log.ok().flatten().unwrap_or_default();
        let mut lines = log.split(|byte| *byte == b'\n');
        let last = lines.rfind(|line| !line.is_empty());
        let told = last.and_then(|line| {
            let line = line.get(82..)?;
            let tab = line
                .iter()
                .position(|byte| *byte == b'\t')
                .unwrap_or(line.len());
            let who = line[..tab].split(|byte| *byte == b'>').next()?;
            let said = line.get(tab + 1..).unwrap_or_default();
            Some((shown(who), shown(said)))
        });
        match told {
            Some((who, said)) if !said.is_empty() => format!(" by {who}> (`{said}`)"),
            Some((who, _)) => format!(" by {who}>"),
            None => String::new(),
        }
    }
}

/// Returns why a commit is a coder's; leaders may commit to their team's branch.
fn coder_of(commit: &RawCommit<'_>) -> Option<String> {
    let people = [("written", commit.author), ("committed", commit.committer)];
    people.into_iter().find_map(|(done, person)| {
        let is_leader = agent(person).is_some_and(|agent| agent.is_leader());
        let Person { name, address } = person;
        (claims_agent(person) && !is_leader)
            .then(|| format!("is {done} by {} <{}>", shown(name), shown(address)))
    })
}

/// Whether a commit of the ledger says that it is a transition.
fn is_transition(commit: &RawCommit<'_>) -> bool {
    let mut lines = commit.message.split(|byte| *byte == b'\n');
    lines.any(|line| line.starts_with(b"Orch-Event: "))
}

/// Returns the tasks that the ledger says are merged.
fn merged(ledger: &Ledger) -> impl Iterator<Item = &Task> {
    let tasks = ledger.board().tasks.values();
    tasks.filter(|task| task.status.state == State::Merged)
}
