//! Commits of the ledger that claim a power which their actor lacks (docs/decisions/permissions.md).
//!
//! Whoever can write the repository can commit to the ledger with plain Git, and people may. What comes through
//! [`Ledger::transact`] was held against the table of powers before it was written; this holds what was written
//! against the same table, whoever wrote it. It finds what an agent says it did and may not do, what an agent
//! changed beside what it says, and agents' hand edits. Without signatures it cannot find an agent that says it was
//! a person.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Ledger;
use super::files::{LocksFile, parse, parse_status};
use super::layout::Place;
use super::snapshot::{Changed, compare};
use crate::error::user_error;
use crate::git::Oid;
use crate::model::event::{EDIT, Told};
use crate::model::powers::told;
use crate::model::{Actor, EventKind, Lock, Trust};
use crate::seal;

/// File of the common directory with the newest commit up to which nothing was found.
const CHECKED: &str = "audited";

/// File of the common directory with the commits that a person has looked at and lets stand, a line each.
const ACCEPTED: &str = "accepted";

/// A commit of the ledger that should not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The commit.
    pub commit: Oid,
    /// Its subject line.
    pub subject: String,
    /// What speaks against it.
    pub why: String,
}

impl Ledger {
    /// Looks at the commits since the last that were looked at; the oldest doubt comes first.
    ///
    /// # Errors
    ///
    /// A commit cannot be read.
    pub fn audit(&self) -> Result<Vec<Doubt>> {
        let dir = self.repo().orch_dir();
        let checked = self.read_oids(CHECKED)?.first().copied();
        let accepted = self.accepted()?;
        let mut way = Vec::new();
        let mut next = self.tip();
        while let Some(commit) = next.filter(|commit| Some(*commit) != checked) {
            way.push(commit);
            next = self.repo().read_commit(commit)?.parents.first().copied();
        }
        let (mut doubts, mut clean) = (Vec::new(), None);
        for commit in way.iter().rev() {
            match self.doubt(*commit)?.filter(|_| !accepted.contains(commit)) {
                Some(doubt) => doubts.push(doubt),
                None if doubts.is_empty() => clean = Some(*commit),
                None => {}
            }
        }
        if let Some(clean) = clean {
            // Looked at again where it cannot be noted.
            let text = format!("{clean}\n").into_bytes();
            let _ = seal::replace(self.repo(), &dir.join(CHECKED), CHECKED, text);
        }
        Ok(doubts)
    }

    /// Returns the commits that a person lets stand.
    pub(super) fn accepted(&self) -> Result<BTreeSet<Oid>> {
        Ok(self.read_oids(ACCEPTED)?.into_iter().collect())
    }

    /// Lets a commit stand that a person has looked at; returns whether there was a doubt.
    ///
    /// # Errors
    ///
    /// The common directory cannot be written.
    pub fn let_stand(&self, commit: Oid) -> Result<bool> {
        let doubted = self.audit()?.iter().any(|doubt| doubt.commit == commit);
        // A signature that is not good stops at the first commit that lacks one.
        let unsigned = self.verify().err().is_some_and(|error| {
            let user = user_error(&error);
            user.is_some_and(|user| user.message.contains(&commit.to_string()))
        });
        if !doubted && !unsigned {
            return Ok(false);
        }
        let path = self.repo().orch_dir().join(ACCEPTED);
        let mut all = self.read_oids(ACCEPTED)?;
        all.push(commit);
        let lines: String = all.iter().map(|commit| format!("{commit}\n")).collect();
        seal::replace(self.repo(), &path, ACCEPTED, lines.into_bytes())?;
        Ok(true)
    }

    /// Reads a file of commits, a line each; of one that is not ours nothing counts, and all is looked at again.
    fn read_oids(&self, name: &str) -> Result<Vec<Oid>> {
        let path = self.repo().orch_dir().join(name);
        let bytes = seal::read(self.repo(), &path, name)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines = text.lines();
        Ok(lines
            .filter_map(|line| Oid::from_hex(line.as_bytes()).ok())
            .collect())
    }

    fn doubt(&self, commit: Oid) -> Result<Option<Doubt>> {
        let data = self.repo().read_commit(commit)?;
        let told = Told::parse(&data.message);
        let why = if told.kind() == EDIT {
            by_agent(&data.committer)
                .map(|agent| format!("agent {agent} edited the ledger by hand"))
        } else {
            match (
                self.board().doubt(&told),
                told::actor(&told),
                told::kind(&told),
            ) {
                (Some(why), _, _) => Some(why),
                (None, Ok(Actor::Agent(_)), Ok(kind)) => {
                    let mut changes = Vec::new();
                    let before = match data.parents.first() {
                        Some(parent) => Some(self.repo().read_commit(*parent)?.tree),
                        None => None,
                    };
                    compare(self.repo(), before, Some(data.tree), "", &mut changes)?;
                    self.beside((&told, kind), before, &changes)?
                }
                _ => None,
            }
        };
        Ok(why.map(|why| Doubt {
            commit,
            subject: told.subject.clone(),
            why,
        }))
    }

    /// Returns what an agent's transition changes beside what it tells.
    fn beside(
        &self,
        (told, kind): (&Told, EventKind),
        before: Option<Oid>,
        changes: &[Changed],
    ) -> Result<Option<String>> {
        let tasks: Vec<&str> = told.all("Task").collect();
        for (path, blob) in changes {
            let named = match (Place::parse(path), kind) {
                (Ok(Some(Place::Task(place))), EventKind::Add) => {
                    tasks.contains(&place.id.as_str())
                }
                (Ok(Some(Place::Agent(agent))), EventKind::Pause | EventKind::Resume) => {
                    told.get("Agent") == Some(agent.to_string().as_str())
                }
                (Ok(Some(Place::Handoff(place))), EventKind::Submit) => {
                    tasks.contains(&place.id.as_str())
                }
                (Ok(Some(Place::Status(place))), _) => {
                    let state = match blob {
                        Some(blob) => parse_status(&self.repo().read_blob(*blob)?).ok(),
                        None => None,
                    };
                    let state = state.map(|status| status.state);
                    tasks.contains(&place.id.as_str())
                        && state.is_some_and(|state| told::outcomes(kind).contains(&state))
                }
                (Ok(Some(Place::Locks)), EventKind::Lock) => self.keeps_critical(before, *blob)?,
                _ => false,
            };
            if !named {
                return Ok(Some(format!(
                    "it says `{}` and changes {path} beside that",
                    kind.as_str()
                )));
            }
        }
        Ok(None)
    }
}

impl Ledger {
    /// Returns whether the critical locks are as they were before.
    fn keeps_critical(&self, before: Option<Oid>, after: Option<Oid>) -> Result<bool> {
        let critical = |bytes: Option<Vec<u8>>| {
            let file = parse::<LocksFile>(&bytes.unwrap_or_default()).ok();
            let locks = file.map(|file| file.locks).unwrap_or_default();
            let firm = |lock: &Lock| lock.trust == Trust::Critical;
            locks.into_iter().filter(firm).collect::<Vec<_>>()
        };
        let old = match before {
            Some(tree) => self.read_in(tree, &Place::Locks.path())?,
            None => None,
        };
        let new = after.map(|blob| self.repo().read_blob(blob)).transpose()?;
        Ok(critical(old) == critical(new))
    }
}

/// Returns the agent whose address this is, as its worktree's configuration has it.
fn by_agent(address: &str) -> Option<&str> {
    address.strip_prefix("agent-")?.split('@').next()
}
