//! What tests said about trees, kept in Git: an identical tree is never tested twice by the same command.
//!
//! One ref per key, `refs/orch/verdict/<aa>/<key>`, to a text that `git cat-file -p` shows. The key is made of
//! tree, command, platform and the declared environment; the text has every run. Green once is green; red
//! counts when it was seen again; both of one key is a flake, which is told and holds nobody back.
//!
//! A record is sealed: one that this user's git-orch has not written here, whoever wrote it, says nothing.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::git::objects::blob_id;
use crate::git::refs::Swap;
use crate::git::{HASH, Oid, Repo};
use crate::model::train::obtained::Obtained;
use crate::seal::Seal;

/// Where verdicts are.
pub(super) const REFS: &str = "refs/orch/verdict";

/// What a record's seal says that it is.
const SEALED: &str = "verdict";

/// Runs kept of one key: more tell nothing new.
const MOST_RUNS: usize = 16;

/// Failing tests kept of one run.
const MOST_FAILING: usize = 2_000;

/// Most bytes of a record.
const MOST_BYTES: usize = 64 << 20;

/// How often a verdict is added again because another process added one meanwhile.
const MOST_TRIES: u32 = 20;

/// One run of a command on a tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Whether it passed.
    pub(super) green: bool,
    /// When it ended.
    pub(super) at: String,
    /// Wall time.
    pub(super) seconds: f64,
    /// The machine that it ran on.
    pub(super) machine: String,
    /// How it was obtained.
    #[serde(default)]
    pub(super) how: Obtained,
    /// Whether it told which tests failed.
    #[serde(default)]
    pub(super) told: bool,
    /// The tests that failed.
    #[serde(default)]
    pub(super) failing: Vec<String>,
    /// How it ended, in a few words.
    #[serde(default)]
    pub(super) why: String,
    /// The last of its output.
    #[serde(default)]
    pub(super) output: String,
}

/// What is known of one key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    tree: String,
    command: String,
    platform: String,
    #[serde(default)]
    environment: String,
    /// Oldest first.
    #[serde(default)]
    pub(super) runs: Vec<Run>,
}

/// The verdicts of a repository, for one declared environment.
#[derive(Debug, Clone)]
pub(super) struct Verdicts {
    environment: String,
}

impl Verdicts {
    /// Returns the verdicts that count in an environment.
    pub(super) fn new(environment: &str) -> Self {
        Self {
            environment: environment.to_owned(),
        }
    }

    /// Returns what is known of a tree under a command. A ref that cannot be read says nothing, as a text does.
    pub(super) fn load(&self, repo: &Repo, tree: Oid, command: &str) -> Record {
        match repo.read_ref(&self.name(tree, command)) {
            Ok(Some(id)) => self.read(repo, id, tree, command),
            Ok(None) | Err(_) => self.nothing(tree, command),
        }
    }

    /// Adds a run.
    ///
    /// # Errors
    ///
    /// The repository cannot be written.
    pub(super) fn add(&self, repo: &Repo, tree: Oid, command: &str, run: &Run) -> Result<()> {
        let name = self.name(tree, command);
        for _ in 0..MOST_TRIES {
            let old = match repo.read_ref(&name) {
                Ok(old) => old,
                Err(_) => {
                    repo.delete_broken_ref(&name)?;
                    repo.read_ref(&name)?
                }
            };
            let mut record = match old {
                Some(id) => self.read(repo, id, tree, command),
                None => self.nothing(tree, command),
            };
            let mut run = run.clone();
            run.failing.truncate(MOST_FAILING);
            record.runs.push(run);
            let drop = record.runs.len().saturating_sub(MOST_RUNS);
            record.runs.drain(..drop);
            let text = toml::to_string(&record).context("cannot write a verdict")?;
            // Without a key it would say nothing to anybody.
            let Ok(seal) = Seal::of(repo) else {
                return Ok(());
            };
            let id = repo.write_blob(&seal.close(SEALED, text.into_bytes()))?;
            repo.break_dead_lock(&name)?;
            if repo.swap_refs(&[(&name, old, Some(id))], "verdict")? == Swap::Won {
                return Ok(());
            }
        }
        // Others add so fast that this run is one among many: nothing that cannot be found out again.
        Ok(())
    }

    /// Remembers that what warm worktrees say of a command is wrong.
    ///
    /// # Errors
    ///
    /// As [`Self::add`].
    pub(super) fn distrust(&self, repo: &Repo, command: &str) -> Result<()> {
        self.add(
            repo,
            every_tree(),
            command,
            &Run::ended(false, 0.0, Obtained::Warm),
        )
    }

    /// Returns whether what warm worktrees say of a command has been found wrong.
    pub(super) fn is_distrusted(&self, repo: &Repo, command: &str) -> bool {
        !self.load(repo, every_tree(), command).runs.is_empty()
    }

    fn name(&self, tree: Oid, command: &str) -> String {
        let Record {
            tree,
            command,
            platform,
            environment,
            ..
        } = self.nothing(tree, command);
        let key = format!(
            "tree {tree}\nplatform {platform}\nenvironment {environment}\ncommand {command}\n"
        );
        let hex = blob_id(key.as_bytes()).to_string();
        format!("{REFS}/{}/{hex}", &hex[..2])
    }

    fn nothing(&self, tree: Oid, command: &str) -> Record {
        Record {
            tree: tree.to_string(),
            command: command.to_owned(),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            environment: self.environment.clone(),
            runs: Vec::new(),
        }
    }

    /// Reads a record; one that cannot be read, or is of something else, says nothing: what it said is found
    /// out again.
    fn read(&self, repo: &Repo, id: Oid, tree: Oid, command: &str) -> Record {
        self.accept(read(repo, id), tree, command)
    }

    /// Returns what a record says of a tree under a command: nothing, where it is of something else.
    fn accept(&self, record: Option<Record>, tree: Oid, command: &str) -> Record {
        let nothing = self.nothing(tree, command);
        let same = |record: &Record| {
            (
                &record.tree,
                &record.command,
                &record.platform,
                &record.environment,
            ) == (
                &nothing.tree,
                &nothing.command,
                &nothing.platform,
                &nothing.environment,
            )
        };
        record.filter(same).unwrap_or(nothing)
    }
}

/// Stands for every tree, in the record of a command that is distrusted.
fn every_tree() -> Oid {
    Oid::null(HASH)
}

/// Reads a record; `None` where there is none of ours.
fn read(repo: &Repo, id: Oid) -> Option<Record> {
    let bytes = repo.read_blob_within(id, MOST_BYTES).ok()?;
    parse(&Seal::of(repo).ok()?.open(SEALED, bytes)?)
}

/// Reads a record's text; `None` where it is none, or says of a run what cannot be.
fn parse(bytes: &[u8]) -> Option<Record> {
    let record: Record = toml::from_str(std::str::from_utf8(bytes).ok()?).ok()?;
    let can_be = |run: &Run| run.seconds.is_finite() && run.seconds >= 0.0;
    record.runs.iter().all(can_be).then_some(record)
}

/// Returns when the last run of a record ended, as text that sorts by time; empty where it cannot be read.
pub(super) fn last_run(repo: &Repo, id: Oid) -> String {
    let last = read(repo, id).and_then(|record| record.runs.last().map(|run| run.at.clone()));
    last.unwrap_or_default()
}

impl Run {
    /// Returns a run that ended just now.
    pub(super) fn ended(green: bool, seconds: f64, how: Obtained) -> Self {
        Self {
            green,
            at: clock::rfc3339(clock::now()),
            seconds: (seconds * 1000.0).round() / 1000.0,
            machine: crate::config::host(),
            how,
            told: false,
            failing: Vec::new(),
            why: String::new(),
            output: String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
