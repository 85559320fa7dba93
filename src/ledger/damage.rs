//! A ledger that cannot be read: what is broken, where the last good version is, and putting it back.
//!
//! Nothing here needs a board: it works on the files of commits, so that it works where reading the ledger
//! does not.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::cache;
use super::files::{self, Broken};
use super::hold::{self, Hold, SEEN};
use super::layout::{Place, ROOT};
use super::snapshot::{Changed, Snapshot, check_file, compare};
use super::spool::Spool;
use super::{Ledger, lease, store};
use crate::clock;
use crate::config;
use crate::error::{Exit, UserError};
use crate::git::files::Lock;
use crate::git::objects::NewCommit;
use crate::git::refs::Swap;
use crate::git::{Oid, Repo, objects};
use crate::model::event::Event;
use crate::model::{Actor, EventKind, Signing, Timestamp};

/// How often putting a file back is tried while others move the ledger by hand.
const MOST_TRIES: usize = 10;

/// What is broken at the ledger's tip.
#[derive(Debug, Clone)]
pub struct Damage {
    /// The tip.
    pub tip: Oid,
    /// Files that cannot be read, by path.
    pub files: Vec<BrokenFile>,
    /// The newest commit of which every file can be read, and how many commits back it is.
    pub whole: Option<(Oid, usize)>,
}

/// A file of the ledger that cannot be read.
#[derive(Debug, Clone)]
pub struct BrokenFile {
    /// Its path in the ledger's tree.
    pub path: String,
    /// Where and why.
    pub broken: Broken,
    /// The newest version that was not broken.
    pub good: Option<Good>,
}

/// A version of a file that is not broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Good {
    /// The newest commit that has it.
    pub commit: Oid,
    /// When that was made.
    pub time: Timestamp,
    /// Its content; `None` where there was no such file yet.
    pub blob: Option<Oid>,
}

/// A commit that the ledger's branch has been at, and where that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The commit.
    pub tip: Oid,
    /// Where it is written.
    pub told_by: &'static str,
}

impl Damage {
    /// Reads every file at a commit of the ledger; `None` where all is well.
    ///
    /// # Errors
    ///
    /// An object is missing.
    pub fn at(repo: &Repo, tip: Oid) -> Result<Option<Self>> {
        let commit = repo.read_commit(tip)?;
        let mut all = Vec::new();
        compare(repo, None, Some(commit.tree), "", &mut all)?;
        let mut bad = BTreeMap::new();
        if !all.iter().any(|(path, _)| *path == Place::Settings.path()) {
            bad.insert(Place::Settings.path(), missing());
        }
        for change in all {
            if let Some(broken) = check(repo, &change)? {
                bad.insert(change.0, broken);
            }
        }
        if bad.is_empty() {
            return Ok(None);
        }
        let found = bad.iter().map(|(path, broken)| BrokenFile {
            path: path.clone(),
            broken: broken.clone(),
            good: None,
        });
        let mut damage = Self {
            tip,
            files: found.collect(),
            whole: None,
        };
        let bad = bad.into_keys().collect();
        // History that cannot be read tells no more; what is broken is known all the same.
        let _ = damage.look_back(repo, commit.tree, commit.parents.first().copied(), bad);
        Ok(Some(damage))
    }

    /// Walks back along first parents until every broken file has a good version and the whole ledger had one.
    fn look_back(
        &mut self,
        repo: &Repo,
        mut tree: Oid,
        mut next: Option<Oid>,
        mut bad: std::collections::BTreeSet<String>,
    ) -> Result<()> {
        let mut steps = 0;
        while let Some(id) = next {
            steps += 1;
            let commit = repo.read_commit(id)?;
            let mut changes = Vec::new();
            compare(repo, Some(tree), Some(commit.tree), "", &mut changes)?;
            for change in changes {
                if check(repo, &change)?.is_some() {
                    bad.insert(change.0);
                    continue;
                }
                let (path, blob) = change;
                bad.remove(&path);
                let file = self.files.iter_mut().find(|file| file.path == path);
                if let Some(file) = file.filter(|file| file.good.is_none()) {
                    file.good = Some(Good {
                        commit: id,
                        time: Timestamp(commit.time),
                        blob,
                    });
                }
            }
            if bad.is_empty() && self.whole.is_none() {
                self.whole = Some((id, steps));
            }
            if self.whole.is_some() && self.files.iter().all(|file| file.good.is_some()) {
                break;
            }
            (tree, next) = (commit.tree, commit.parents.first().copied());
        }
        Ok(())
    }
}

/// Returns what is wrong with a file as it is after a change.
fn check(repo: &Repo, change: &Changed) -> Result<Option<Broken>> {
    match change {
        (path, Some(blob)) => check_file(repo, path, *blob),
        (path, None) if *path == Place::Settings.path() => Ok(Some(missing())),
        (_, None) => Ok(None),
    }
}

fn missing() -> Broken {
    Broken::at_top("the file is missing")
}

impl Ledger {
    /// Puts the last good version of a broken file back, in a commit of its own; returns the subject line.
    ///
    /// # Errors
    ///
    /// The file is not broken, never was good, the ledger was set back, or it cannot be written.
    pub fn restore(repo: &Repo, path: &str) -> Result<String> {
        let mut ledger = Self::closed(repo.reopen()?, Actor::Human);
        ledger.refuse_if_checked_out()?;
        let inside = path.trim_start_matches("./");
        let path = match inside.strip_prefix(ROOT) {
            Some(rest) if rest.starts_with('/') => inside.to_owned(),
            _ => format!("{ROOT}/{inside}"),
        };
        let truth = Self::with_settings(repo)?.truth();
        for _ in 0..MOST_TRIES {
            let lock = Lock::wait(&repo.orch_dir().join("lock"))?;
            let hold = Hold::begin(repo, lock, &ledger.name, truth)?;
            let Some(tip) = repo.read_ref(&ledger.name)? else {
                bail!(store::no_ledger(ledger.branch()));
            };
            let file = broken_file(repo, tip, &path)?;
            let (commit, subject) = ledger.write_restored(tip, &file)?;
            hold.enter(repo, &ledger.name)?;
            let swap = repo.swap_alone(hold.lock(), &ledger.name, Some(tip), commit, &subject)?;
            hold.end(repo, &ledger.name)?;
            if swap == Swap::Won {
                return Ok(subject);
            }
        }
        Err(
            UserError::new("the ledger's branch is being moved by others all the time")
                .hint(format!("git orch doctor --restore {path}"))
                .into(),
        )
    }

    fn write_restored(&self, tip: Oid, file: &BrokenFile) -> Result<(Oid, String)> {
        let repo = self.repo();
        let good = file.good.context("there is no good version")?;
        let old = repo.read_commit(tip)?;
        let tree = put(repo, Some(old.tree), &file.path, good.blob)?;
        let tree = tree.map_or_else(|| repo.write_tree(b""), Ok)?;
        let settings = self.read_in(tree, &Place::Settings.path())?;
        let settings = settings.and_then(|bytes| files::parse_settings(&bytes).ok());
        let is_signed = settings
            .as_ref()
            .is_some_and(|settings| settings.signing == Signing::Ssh);
        let run = settings.and_then(|settings| settings.run);
        let short = good.commit.to_hex_with_len(12);
        let mut event = Event::new(
            EventKind::Restore,
            match good.blob {
                Some(_) => format!("{} as of {short}", file.path),
                None => format!("{} taken out, as of {short}", file.path),
            },
        );
        if let Ok(Some(Place::Task(place) | Place::Status(place) | Place::Handoff(place))) =
            Place::parse(&file.path)
        {
            event.teams = vec![place.team];
            event.tasks = vec![place.id];
        }
        let Broken { line, reason, .. } = &file.broken;
        event.body = format!("It could not be read: line {line}: {reason}");
        let machine = self.machine();
        let who = repo.person();
        let commit = NewCommit {
            tree,
            parents: &[tip],
            author: &who,
            committer: &who,
            time: clock::now().0.max(old.time),
            message: &event.message_by(
                self.actor(),
                machine,
                &clock::new_op_id(),
                run.as_ref().map_or("-", |run| run.name.as_str()),
            ),
        };
        let commit = self.write_transition(&commit, is_signed)?;
        Ok((commit, event.subject()))
    }

    /// Returns the commits that the ledger's branch is known to have been at, the surest first; those that are
    /// gone from the repository or are no ledger are left out.
    pub fn traces(repo: &Repo) -> Vec<Trace> {
        let name = config::ledger_ref(repo);
        let reflog = fs::read_to_string(repo.common_dir().join("logs").join(&name));
        let newest = |log: String| {
            let line = log.lines().last()?;
            Oid::from_hex(line.split(' ').nth(1)?.as_bytes()).ok()
        };
        let found = [
            (
                hold::noted_tip(repo, &name).ok().flatten(),
                "git-orch's own note",
            ),
            (repo.read_ref(SEEN).ok().flatten(), "what the remote had"),
            (reflog.ok().and_then(newest), "the branch's reflog"),
            (Snapshot::load_cached(repo).tip, "git-orch's cache"),
        ];
        let mut traces: Vec<Trace> = Vec::new();
        for (tip, told_by) in found {
            let Some(tip) = tip.filter(|tip| traces.iter().all(|trace| trace.tip != *tip)) else {
                continue;
            };
            if is_ledger(repo, tip) {
                traces.push(Trace { tip, told_by });
            }
        }
        traces
    }

    /// Makes the ledger's branch again where it is missing, or its file is no ref.
    ///
    /// # Errors
    ///
    /// There is such a branch by now, or it cannot be written.
    pub fn revive(repo: &Repo, tip: Oid) -> Result<()> {
        let name = config::ledger_ref(repo);
        let lock = Lock::wait(&repo.orch_dir().join("lock"))?;
        let old = match repo.read_ref(&name) {
            Ok(old) => old,
            Err(_) => {
                let path = repo.common_dir().join(&name);
                fs::remove_file(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
                // An older value may be among the packed refs.
                repo.read_ref(&name)?
            }
        };
        if let Some(old) = old
            && !hold::descends(repo, old, tip)
        {
            return Err(UserError::new(format!(
                "the ledger's branch is at {old} by now, on which {tip} does not build"
            ))
            .hint("git orch doctor")
            .into());
        }
        match repo.swap_alone(&lock, &name, old, tip, "orch: doctor")? {
            Swap::Won => Ok(()),
            Swap::Lost => Err(UserError::new("somebody else made the branch meanwhile")
                .hint("git orch doctor")
                .into()),
        }
    }

    /// Returns files of the spool whose writers are gone.
    pub fn dead_letters(repo: &Repo) -> Vec<PathBuf> {
        Spool::of(repo).dead()
    }

    /// Returns caches of the ledger that cannot be read, which anyone may delete.
    pub fn broken_caches(repo: &Repo) -> Vec<PathBuf> {
        let mut broken = Vec::new();
        if cache::is_broken(repo) {
            broken.push(cache::path(repo));
        }
        broken.extend(super::events::broken(repo));
        let sealed = lease::watch_path(repo);
        if sealed.exists() && !lease::is_watch_readable(repo) {
            broken.push(sealed);
        }
        let pace = repo.orch_dir().join("pace");
        let unreadable = match crate::git::files::read_if_exists(&pace) {
            Ok(Some(bytes)) => serde_json::from_slice::<serde_json::Value>(&bytes).is_err(),
            Ok(None) => false,
            Err(_) => true,
        };
        if unreadable {
            broken.push(pace);
        }
        broken
    }

    /// Returns the error that a worktree which has the ledger checked out makes of every transition.
    ///
    /// # Errors
    ///
    /// There is such a worktree.
    pub fn refuse_checked_out(repo: &Repo) -> Result<()> {
        Self::closed(repo.reopen()?, Actor::Human).refuse_if_checked_out()
    }
}

/// Whether a commit is there and is one of a ledger.
fn is_ledger(repo: &Repo, commit: Oid) -> bool {
    let tree = || repo.read_tree(repo.read_commit(commit).ok()?.tree).ok();
    tree().is_some_and(|tree| objects::find_entry(&tree, ROOT.as_bytes()).is_some())
}

fn broken_file(repo: &Repo, tip: Oid, path: &str) -> Result<BrokenFile> {
    let damage = Damage::at(repo, tip)?;
    let files = damage.map(|damage| damage.files).unwrap_or_default();
    let Some(file) = files.into_iter().find(|file| file.path == path) else {
        return Err(
            UserError::new(format!("{path} is not broken on the ledger"))
                .hint("git orch doctor")
                .exit(Exit::NothingToDo)
                .into(),
        );
    };
    if file.good.is_none() {
        return Err(
            UserError::new(format!("{path} was never good in the history that is here"))
                .hint(format!("git show {tip}:{path}"))
                .into(),
        );
    }
    Ok(file)
}

/// Writes one file over a tree, or takes it out, and returns the new tree; `None` where nothing is left.
fn put(repo: &Repo, old: Option<Oid>, path: &str, blob: Option<Oid>) -> Result<Option<Oid>> {
    let tree = old.map_or(Ok(Vec::new()), |old| repo.read_tree(old))?;
    let (name, new) = match path.split_once('/') {
        None => (path, blob.map(|blob| (blob, false))),
        Some((dir, rest)) => {
            let below = objects::find_entry(&tree, dir.as_bytes())
                .filter(|entry| entry.is_tree)
                .map(|entry| entry.id);
            (dir, put(repo, below, rest, blob)?.map(|id| (id, true)))
        }
    };
    let tree = objects::splice(&tree, name.as_bytes(), new);
    if tree.is_empty() {
        Ok(None)
    } else {
        repo.write_tree(&tree).map(Some)
    }
}
