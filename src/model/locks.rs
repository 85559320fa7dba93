//! Locks: decisions that bind whoever builds, and who may change what they cover.
//!
//! A lock names paths and says what must hold of them. `unlocked` only tells that; what a `locked` one covers is
//! changed by tasks that hold it, or by leaders; what a `critical` one covers only by tasks that the lock itself
//! names, and only a person writes those down.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::apply::{Decision, Refusal};
use super::board::Board;
use super::event::{Event, EventKind};
use super::ids::{AgentId, LockId, TaskId};
use super::op::{Change, Edit};
use super::scope::{Glob, covers, overlap};

/// How firmly a decision stands.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Anyone in whose scope the paths are may change them.
    Unlocked,
    /// Tasks that hold the lock may, and leaders.
    #[default]
    Locked,
    /// Only tasks that the lock names may, and only a person changes the lock.
    Critical,
}

impl Trust {
    /// All of them, from the loosest.
    pub const ALL: [Self; 3] = [Self::Unlocked, Self::Locked, Self::Critical];

    /// Returns the word used in plans, messages and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unlocked => "unlocked",
            Self::Locked => "locked",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Trust {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|trust| trust.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is none of unlocked, locked and critical"))
    }
}

/// `[[locks]]`: a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lock {
    /// Its name.
    pub id: LockId,
    /// How firmly it stands.
    #[serde(default)]
    pub trust: Trust,
    /// Paths that it covers, as globs.
    #[serde(default)]
    pub paths: Vec<String>,
    /// What builders implement and a checker checks, in a sentence or two.
    #[serde(default)]
    pub assertion: String,
    /// Command that checks it on what is merged, run by `sh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// Why it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who decided it, or is to be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Tasks that may change what it covers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskId>,
}

/// Who changes something: a task, the locks that it holds, and the agent that works on it.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The task.
    pub task: &'a TaskId,
    /// Locks that its specification names.
    pub locks: &'a [LockId],
    /// The agent.
    pub agent: Option<AgentId>,
}

impl Lock {
    /// Returns whether it covers a path.
    pub fn covers(&self, path: &str) -> bool {
        !self.paths.is_empty() && covers(&self.paths, path)
    }

    /// Returns whether some path may be both covered and in a scope; an empty scope is everywhere.
    pub fn touches(&self, scope: &[String]) -> bool {
        scope.is_empty() || overlap(&self.paths, scope).is_some()
    }

    /// Returns whether somebody may change what it covers.
    pub fn lets(&self, holder: &Holder<'_>) -> bool {
        let named = self.tasks.contains(holder.task);
        match self.trust {
            Trust::Unlocked => true,
            Trust::Locked => {
                let leads = holder.agent.is_some_and(AgentId::is_leader);
                named || leads || holder.locks.contains(&self.id)
            }
            Trust::Critical => named,
        }
    }

    /// Returns what is wrong with it, if anything is.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        if self.paths.is_empty() {
            let what = format!("lock {} covers no paths", self.id);
            return Some(("paths", what));
        }
        if self.assertion.trim().is_empty() {
            let what = format!("lock {} does not say what must hold", self.id);
            return Some(("assertion", what));
        }
        let parsed = self.paths.iter().map(|glob| (glob, Glob::parse(glob)));
        let mut wrong = parsed.filter_map(|(glob, parsed)| Some((glob, parsed.err()?.0)));
        let (glob, why) = wrong.next()?;
        let what = format!(
            "`{}` of lock {} is no path: {why}",
            glob.escape_debug(),
            self.id
        );
        Some(("paths", what))
    }

    /// Returns how whoever was refused can go on.
    pub fn way(&self, task: &TaskId) -> String {
        match self.trust {
            Trust::Critical => format!(
                "only a person lets a task through: `git orch lock set {} --task {task}`",
                self.id
            ),
            _ => format!(
                "a leader or a person lets a task through: `git orch lock set {} --task {task}`",
                self.id
            ),
        }
    }
}

/// Returns the first lock that keeps somebody from changing a path.
pub fn in_the_way<'a>(locks: &'a [Lock], holder: &Holder<'_>, path: &str) -> Option<&'a Lock> {
    let mut firm = locks.iter().filter(|lock| lock.trust != Trust::Unlocked);
    firm.find(|lock| lock.covers(path) && !lock.lets(holder))
}

impl Board {
    /// Returns a lock.
    ///
    /// # Errors
    ///
    /// There is none of that name.
    pub fn require_lock(&self, id: &LockId) -> Result<&Lock, Refusal> {
        let found = self.locks.iter().find(|lock| lock.id == *id);
        found.ok_or_else(|| {
            Refusal::denied(format!("there is no lock {id}")).hint("git orch lock list")
        })
    }

    /// Returns what must pass on whatever is merged besides the test: the steps' checks and the locks'.
    pub fn merge_checks(&self) -> Vec<&str> {
        self.with_lock_checks(self.settings.levels.merge_checks())
    }

    /// Returns what must pass on whatever a team's branch alone moves to: that of its step and the locks'.
    pub fn team_checks(&self) -> Vec<&str> {
        self.with_lock_checks(self.settings.levels.team_checks())
    }

    fn with_lock_checks<'a>(&'a self, mut checks: Vec<&'a str>) -> Vec<&'a str> {
        for lock in self.locks.iter().filter_map(|lock| lock.check.as_deref()) {
            if !checks.contains(&lock) {
                checks.push(lock);
            }
        }
        checks
    }

    /// Returns whether a lock is critical, as it is or as it is to be.
    pub(super) fn is_critical(&self, id: &LockId, new: Option<&Lock>) -> bool {
        let old = self.locks.iter().find(|lock| lock.id == *id);
        let mut both = old.into_iter().chain(new);
        both.any(|lock| lock.trust == Trust::Critical)
    }

    pub(super) fn set_lock(&self, lock: &Lock) -> Decision {
        if let Some((_, what)) = lock.mistake() {
            return Err(Refusal::denied(what).hint("git orch lock list"));
        }
        let mut locks = self.locks.clone();
        match locks.iter_mut().find(|old| old.id == lock.id) {
            Some(old) if old == lock => return Ok(None),
            Some(old) => old.clone_from(lock),
            None => locks.push(lock.clone()),
        }
        let summary = format!("{} {}: {}", lock.id, lock.trust, lock.assertion);
        Ok(Some(change(locks, &lock.id, summary)))
    }

    pub(super) fn remove_lock(&self, id: &LockId) -> Decision {
        let gone = self.require_lock(id)?;
        let summary = format!("{} removed, which was {}", id, gone.trust);
        let kept = self.locks.iter().filter(|lock| lock.id != *id);
        Ok(Some(change(kept.cloned().collect(), id, summary)))
    }

    /// Returns the locks with those that a plan names in it, changed or new; a plan removes none.
    pub(super) fn locks_with(&self, planned: &[Lock]) -> Vec<Lock> {
        let mut locks = self.locks.clone();
        for lock in planned {
            match locks.iter_mut().find(|old| old.id == lock.id) {
                Some(old) => old.clone_from(lock),
                None => locks.push(lock.clone()),
            }
        }
        locks
    }
}

fn change(locks: Vec<Lock>, id: &LockId, summary: String) -> Change {
    let mut event = Event::new(EventKind::Lock, summary);
    event.more = vec![("Lock", id.to_string())];
    Change {
        edits: vec![Edit::PutLocks(locks)],
        event,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(trust: Trust) -> Lock {
        Lock {
            id: "schema".parse().unwrap(),
            trust,
            paths: vec![String::from("db/**")],
            assertion: String::from("ids are UUIDs"),
            check: None,
            reason: None,
            owner: None,
            tasks: vec!["named".parse().unwrap()],
        }
    }

    /// Every kind of lock against every kind of holder.
    #[test]
    fn who_may_change_what_a_lock_covers() {
        let own: [LockId; 1] = ["schema".parse().unwrap()];
        let mut text = String::new();
        for trust in Trust::ALL {
            let locks = [lock(trust)];
            for (who, task, held, agent) in [
                ("stranger", "other", &own[..0], "1.1"),
                ("leader", "other", &own[..0], "1.0"),
                ("holder", "other", &own[..], "1.1"),
                ("named", "named", &own[..0], "1.1"),
            ] {
                let task = task.parse().unwrap();
                let holder = Holder {
                    task: &task,
                    locks: held,
                    agent: Some(agent.parse().unwrap()),
                };
                let lets = in_the_way(&locks, &holder, "db/a.sql").is_none();
                text.push_str(&format!("{trust} {who} {lets}\n"));
                assert!(in_the_way(&locks, &holder, "src/a.rs").is_none());
            }
        }
        assert_eq!(
            text,
            "\
unlocked stranger true
unlocked leader true
unlocked holder true
unlocked named true
locked stranger false
locked leader true
locked holder true
locked named true
critical stranger false
critical leader false
critical holder false
critical named true
"
        );
    }

    #[test]
    fn a_lock_without_paths_covers_nothing_and_is_a_mistake() {
        let mut lock = lock(Trust::Critical);
        assert_eq!(lock.mistake(), None);
        assert!(lock.touches(&[]) && lock.touches(&[String::from("db/x")]));
        assert!(!lock.touches(&[String::from("src/**")]));
        lock.paths.clear();
        assert!(!lock.covers("db/a.sql"));
        assert_eq!(lock.mistake().unwrap().0, "paths");
        lock.paths = vec![String::from("/db")];
        assert_eq!(lock.mistake().unwrap().0, "paths");
    }

    #[test]
    fn a_board_keeps_what_a_plan_does_not_name() {
        let mut board = Board::default();
        let set = board.set_lock(&lock(Trust::Critical)).unwrap().unwrap();
        board.absorb_all(&set.edits);
        assert_eq!(board.set_lock(&lock(Trust::Critical)), Ok(None));
        let mut other = lock(Trust::Locked);
        other.id = "api".parse().unwrap();
        other.check = Some(String::from("true"));
        board.locks = board.locks_with(&[other]);
        assert_eq!(board.locks.len(), 2);
        assert_eq!(board.merge_checks(), ["true"]);
        let gone = board.remove_lock(&"schema".parse().unwrap());
        board.absorb_all(&gone.unwrap().unwrap().edits);
        assert_eq!(board.locks.len(), 1);
        assert!(board.remove_lock(&"schema".parse().unwrap()).is_err());
    }
}
