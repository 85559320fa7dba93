//! Notices branches that are not where they were left: nothing is brought in over a branch that a coder moved.
//!
//! Every move of ours is noted. Whatever a branch has gained since is judged along its first parents: what people
//! and leaders commit there, and handed-in work that the gate lets pass, is told, tested and taken in as ever; what a
//! coder committed or pushed there, past the gate, is refused, and so is a branch that was set back or deleted. The ledger may be edited by people and not,
//! by hand, by coders. It takes a person to say that a move was meant.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};

use super::landing::Move;
use super::report::{Progress, Watch};
use super::team_branches::{integration_ref, oid, team_ref};
use crate::config;
use crate::error::UserError;
use crate::git::checkout::short;
use crate::git::files::{self, Lock};
use crate::git::{Oid, Repo};
use crate::hooks::gate::task as gate;
use crate::hooks::message::Parts;
use crate::ledger::Ledger;
use crate::model::gate::authors::{Person, agent, claims_agent};
use crate::model::gate::commit::RawCommit;
use crate::model::gate::shown;
use crate::model::{Actor, State, TeamId};

/// Commits of one branch that are looked at.
const MOST_COMMITS: usize = 10_000;

/// Where branches were left.
type Left = BTreeMap<String, String>;

/// Notes moves of ours, where there is a plan that they are for.
///
/// # Errors
///
/// The note cannot be written.
pub(super) fn note(repo: &Repo, moves: &[&Move]) -> Result<()> {
    if repo.read_ref(&config::ledger_ref(repo))?.is_none() {
        return Ok(());
    }
    let _alone = lock(repo)?;
    let mut left = load(repo)?;
    for moved in moves {
        left.insert(moved.branch.clone(), moved.new.to_string());
    }
    save(repo, &left)
}

/// Notes that branches went back from one commit to another by an undo that was killed.
///
/// # Errors
///
/// The note cannot be written.
pub(super) fn note_undone(repo: &Repo, before: &str, after: Oid) -> Result<()> {
    let mut left = load(repo)?;
    for (name, tip) in &mut left {
        if *tip == before && repo.read_ref(name)? == Some(after) {
            *tip = after.to_string();
        }
    }
    save(repo, &left)
}

/// Takes all branches as they are: a person has looked.
///
/// # Errors
///
/// It is no person who asks, or the note cannot be written.
pub(super) fn accept(ledger: &Ledger, repo: &Repo) -> Result<()> {
    if ledger.actor() != Actor::Human {
        return Err(
            UserError::new("only a person says that a branch was meant to move")
                .hint("git orch escalate <task> -m 'a branch was moved'")
                .into(),
        );
    }
    remember(ledger, repo, true)
}

fn remember(ledger: &Ledger, repo: &Repo, with_base: bool) -> Result<()> {
    let _alone = lock(repo)?;
    let mut left = load(repo)?;
    let mut names = ours(ledger);
    names.push(config::ledger_ref(repo));
    if with_base {
        names.push(base_ref(ledger));
    }
    for name in names {
        match repo.read_ref(&name)? {
            Some(tip) => left.insert(name, tip.to_string()),
            None => left.remove(&name),
        };
    }
    save(repo, &left)
}

/// Requires that no coder has moved a branch that others build on.
///
/// # Errors
///
/// One has, or a branch was set back or deleted: what happened and how to mend it is told.
pub(super) fn require_ours(ledger: &Ledger, repo: &Repo, watch: &mut dyn Watch) -> Result<()> {
    let left = load(repo)?;
    let noted = |name: &str| {
        let hex = left.get(name)?;
        Oid::from_hex(hex.as_bytes()).ok()
    };
    let view = View::new(ledger, repo);
    for name in ours(ledger) {
        let now = repo.read_ref(&name)?;
        view.check(&name, noted(&name), now, watch)?;
    }
    let base = base_ref(ledger);
    view.check(&base, noted(&base), repo.read_ref(&base)?, watch)?;
    let name = config::ledger_ref(repo);
    if let Some(tip) = repo.read_ref(&name)? {
        view.check_ledger(&name, noted(&name), tip)?;
    }
    remember(ledger, repo, false)
}

/// Requires that no coder has moved one team's branch; whatever else has moved is for the next assembly of all.
///
/// # Errors
///
/// As [`require_ours`].
pub(super) fn require_team(
    ledger: &Ledger,
    repo: &Repo,
    team: TeamId,
    watch: &mut dyn Watch,
) -> Result<()> {
    let name = team_ref(team);
    let noted = load(repo)?.get(&name).cloned();
    let noted = noted.and_then(|hex| Oid::from_hex(hex.as_bytes()).ok());
    let now = repo.read_ref(&name)?;
    View::new(ledger, repo).check(&name, noted, now, watch)?;
    let _alone = lock(repo)?;
    let mut left = load(repo)?;
    if let Some(now) = now {
        left.insert(name, now.to_string());
    }
    save(repo, &left)
}

/// Requires that what a remote has of a branch was not put there by a coder.
///
/// # Errors
///
/// It was, or it cannot be read.
pub(super) fn require_landed(
    ledger: &Ledger,
    repo: &Repo,
    name: &str,
    (ours, theirs): (Option<Oid>, Oid),
) -> Result<()> {
    let view = View::new(ledger, repo);
    let line = view.gained(name, ours, theirs)?;
    view.judge(name, ours, theirs, &line)
}

fn ours(ledger: &Ledger) -> Vec<String> {
    let teams = ledger.board().teams.keys().map(|team| team_ref(*team));
    [integration_ref()].into_iter().chain(teams).collect()
}

fn base_ref(ledger: &Ledger) -> String {
    format!("refs/heads/{}", ledger.board().settings.base)
}

/// What is known of commits.
struct View<'a> {
    repo: &'a Repo,
    ledger: &'a Ledger,
    /// Commits that the ledger says have landed.
    landed: BTreeSet<Oid>,
    /// Commits of tasks that are not merged, once they are asked for.
    of_tasks: OnceCell<BTreeSet<Oid>>,
    /// Commits of work that was handed in and that the gate lets pass, once they are asked for.
    passed: OnceCell<BTreeSet<Oid>>,
}

impl<'a> View<'a> {
    fn new(ledger: &'a Ledger, repo: &'a Repo) -> Self {
        let merged = ledger.board().tasks.values();
        let merged = merged.filter(|task| task.status.state == State::Merged);
        Self {
            repo,
            ledger,
            landed: merged
                .filter_map(|task| oid(task.status.commit.as_ref()?))
                .collect(),
            of_tasks: OnceCell::new(),
            passed: OnceCell::new(),
        }
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

    fn check(
        &self,
        name: &str,
        noted: Option<Oid>,
        now: Option<Oid>,
        watch: &mut dyn Watch,
    ) -> Result<()> {
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

    /// Refuses what a coder has put on a branch.
    fn judge(&self, name: &str, noted: Option<Oid>, now: Oid, line: &[Oid]) -> Result<()> {
        for commit in line {
            let is_base = name == base_ref(self.ledger);
            if let Some(why) = self.is_coders(*commit)?
                && (is_base || !self.passed()?.contains(commit))
            {
                let oldest = line.last().and_then(|oldest| self.parent(*oldest));
                let from = noted.or(oldest).unwrap_or(now);
                let what = format!("commit {} on it {why}", commit.to_hex_with_len(10));
                return Err(self.refuse(name, from, now, &what));
            }
        }
        Ok(())
    }

    /// Returns the first-parent commits that a branch has gained, newest first.
    fn gained(&self, name: &str, noted: Option<Oid>, now: Oid) -> Result<Vec<Oid>> {
        let base = base_ref(self.ledger);
        let mut known: Vec<Oid> = noted.into_iter().collect();
        if name != base {
            known.extend(self.repo.read_ref(&base)?);
        }
        // What we brought there is there by right, on the base branch as well.
        let left = load(self.repo)?;
        let left = left
            .values()
            .filter_map(|hex| Oid::from_hex(hex.as_bytes()).ok());
        known.extend(left);
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
        if self.landed.contains(&commit) {
            return Ok(None);
        }
        let raw = self.repo.read_raw_commit(commit)?;
        if let Some(why) = RawCommit::parse(&raw)
            .ok()
            .and_then(|parsed| coder_of(&parsed))
        {
            return Ok(Some(why));
        }
        let is_of_task = self.of_tasks()?.contains(&commit);
        Ok(is_of_task.then(|| String::from("is of a task that is not merged")))
    }

    /// Refuses edits of the ledger that a coder made by hand.
    fn check_ledger(&self, name: &str, noted: Option<Oid>, tip: Oid) -> Result<()> {
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

/// Teams that come together side by side note their moves in one file.
fn lock(repo: &Repo) -> Result<Lock> {
    Lock::wait(&repo.orch_dir().join("left.lock"))
}

fn load(repo: &Repo) -> Result<Left> {
    let bytes = files::read_if_exists(&path(repo))?;
    // Written whole; one that cannot be read is of another version, and says nothing.
    Ok(bytes
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default())
}

fn save(repo: &Repo, left: &Left) -> Result<()> {
    let text = serde_json::to_vec(left).context("cannot write a note")?;
    files::replace(&path(repo), &text)
}

fn path(repo: &Repo) -> std::path::PathBuf {
    repo.orch_dir().join("left.json")
}
