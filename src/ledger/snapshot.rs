//! The board of one tip, followed by tree differences and cached on disk.
//!
//! The cache under the common Git directory may be deleted or be stale at any moment: it names the tree it
//! was made from, and what changed since is read from the objects themselves. Unreadable is never empty.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::files::{self, Broken};
use super::layout::Place;
use crate::error::UserError;
use crate::git::{Oid, Repo, objects};
use crate::model::{Board, PhaseSpec, Settings, Status, Task, TeamSpec, Tested};

/// Files read anew beyond which the cache is worth writing: a reader would have to read them again.
const WORTH_CACHING: usize = 32;

/// Files written beyond which a writer renews the cache: it costs as much as many transitions.
const WORTH_RENEWING: usize = 512;

/// First bytes of the cache; changes with everything that changes its meaning.
const MAGIC: &[u8] = b"git-orch snapshot 1\n";

/// What the ledger says at one tip.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The commit; `None` where there is no ledger.
    pub tip: Option<Oid>,
    /// Its tree.
    pub tree: Option<Oid>,
    /// Its meaning.
    pub board: Board,
    /// Files read since the cache was last written.
    unsaved: usize,
}

impl Snapshot {
    /// Reads the cache; an empty snapshot where there is none that can be used.
    pub fn load_cached(repo: &Repo) -> Self {
        let path = repo.orch_dir().join("snapshot");
        let bytes = crate::git::files::read_if_exists(&path).ok().flatten();
        bytes.and_then(|bytes| decode(&bytes)).unwrap_or_default()
    }

    /// Brings the snapshot to a tip.
    ///
    /// # Errors
    ///
    /// An object cannot be read, or a file is broken; the snapshot then stays where it was.
    pub fn follow(&mut self, repo: &Repo, tip: Oid) -> Result<()> {
        if self.tip == Some(tip) {
            return Ok(());
        }
        let tree = repo.read_commit(tip)?.tree;
        let mut changes = Vec::new();
        match compare(repo, self.tree, Some(tree), "", &mut changes) {
            Ok(()) => {}
            // The old tree may have been pruned after a rewrite of history: begin anew.
            Err(_) if self.tree.is_some() => {
                let mut anew = Self::default();
                anew.follow(repo, tip)?;
                *self = anew;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let mut board = self.board.clone();
        read_changes(repo, tip, &mut board, changes.as_slice())?;
        self.unsaved += changes.len();
        self.board = board;
        self.moved(tip, tree);
        Ok(())
    }

    /// Notes that the board has been brought to a commit by our own writing.
    pub fn moved(&mut self, tip: Oid, tree: Oid) {
        self.tip = Some(tip);
        self.tree = Some(tree);
    }

    /// Notes files that were written, so that the cache is renewed in time.
    pub fn count_written(&mut self, files: usize) {
        self.unsaved += files;
    }

    /// Writes the cache after reading, if it is far enough behind.
    pub fn save_after_reading(&mut self, repo: &Repo) {
        self.save_beyond(WORTH_CACHING, repo);
    }

    /// Writes the cache after writing, if it is far enough behind.
    pub fn save_after_writing(&mut self, repo: &Repo) {
        self.save_beyond(WORTH_RENEWING, repo);
    }

    /// Failing to write is no error, since it is only a cache.
    fn save_beyond(&mut self, worth: usize, repo: &Repo) {
        if self.unsaved >= worth
            && let Some(bytes) = encode(self)
            && crate::git::files::replace(&repo.orch_dir().join("snapshot"), &bytes).is_ok()
        {
            self.unsaved = 0;
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Cached {
    tip: [u8; 20],
    tree: [u8; 20],
    /// Settings, phases and teams as JSON, since their formats allow more than one kind of value.
    head: String,
    tested: Option<Tested>,
    assemblies: u32,
    tasks: Vec<Task>,
}

type Head = (Settings, Vec<PhaseSpec>, Vec<TeamSpec>);

fn encode(snapshot: &Snapshot) -> Option<Vec<u8>> {
    let board = &snapshot.board;
    let teams: Vec<&TeamSpec> = board.teams.values().collect();
    let cached = Cached {
        tip: snapshot.tip?.as_slice().try_into().ok()?,
        tree: snapshot.tree?.as_slice().try_into().ok()?,
        head: serde_json::to_string(&(&board.settings, &board.phases, teams)).ok()?,
        tested: board.tested.clone(),
        assemblies: board.assemblies,
        tasks: board.tasks.values().cloned().collect(),
    };
    postcard::to_extend(&cached, MAGIC.to_vec()).ok()
}

fn decode(bytes: &[u8]) -> Option<Snapshot> {
    let cached: Cached = postcard::from_bytes(bytes.strip_prefix(MAGIC)?).ok()?;
    let (settings, phases, teams): Head = serde_json::from_str(&cached.head).ok()?;
    Some(Snapshot {
        tip: Some(Oid::from_bytes_or_panic(&cached.tip)),
        tree: Some(Oid::from_bytes_or_panic(&cached.tree)),
        board: Board {
            settings,
            phases,
            teams: teams.into_iter().map(|team| (team.id, team)).collect(),
            tasks: cached
                .tasks
                .into_iter()
                .map(|task| (task.id.clone(), task))
                .collect(),
            tested: cached.tested,
            assemblies: cached.assemblies,
        },
        unsaved: 0,
    })
}

/// A path whose blob differs between two trees; `None` where it is gone.
type Changed = (String, Option<Oid>);

/// Collects the files in which two trees differ; equal subtrees are not opened.
fn compare(
    repo: &Repo,
    old: Option<Oid>,
    new: Option<Oid>,
    prefix: &str,
    changes: &mut Vec<Changed>,
) -> Result<()> {
    if old == new {
        return Ok(());
    }
    let read = |id: Option<Oid>| id.map_or(Ok(Vec::new()), |id| repo.read_tree(id));
    let (old, new) = (read(old)?, read(new)?);
    let (old, new) = (objects::entries(&old)?, objects::entries(&new)?);
    let mut gone: std::collections::BTreeMap<&[u8], objects::Entry<'_>> =
        old.iter().map(|entry| (entry.name, *entry)).collect();
    for entry in &new {
        let before = gone.remove(entry.name);
        if before.is_some_and(|before| before == *entry) {
            continue;
        }
        let path = join(prefix, entry.name);
        let before_tree = before
            .filter(|before| before.is_tree)
            .map(|before| before.id);
        if entry.is_tree {
            if before.is_some_and(|before| !before.is_tree) {
                changes.push((path.clone(), None));
            }
            compare(repo, before_tree, Some(entry.id), &path, changes)?;
        } else {
            if before_tree.is_some() {
                compare(repo, before_tree, None, &path, changes)?;
            }
            changes.push((path, Some(entry.id)));
        }
    }
    for (name, entry) in gone {
        let path = join(prefix, name);
        if entry.is_tree {
            compare(repo, Some(entry.id), None, &path, changes)?;
        } else {
            changes.push((path, None));
        }
    }
    Ok(())
}

fn join(prefix: &str, name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    if prefix.is_empty() {
        name.into_owned()
    } else {
        format!("{prefix}/{name}")
    }
}

/// Reads changed files into the board: what is gone first, then tasks, then what hangs on them.
fn read_changes(repo: &Repo, tip: Oid, board: &mut Board, changes: &[Changed]) -> Result<()> {
    let mut found = Vec::with_capacity(changes.len());
    for (path, blob) in changes {
        match Place::parse(path) {
            Ok(Some(place)) => found.push((path, place, *blob)),
            Ok(None) => {}
            Err(reason) => {
                let broken = Broken {
                    line: 1,
                    column: 1,
                    reason,
                };
                return Err(refuse(tip, path, &broken).into());
            }
        }
    }
    for (_, place, _) in found.iter().filter(|(_, _, blob)| blob.is_none()) {
        forget(board, place);
    }
    let rank = |place: &Place| u8::from(matches!(place, Place::Status(_)));
    found.sort_by_key(|(_, place, _)| rank(place));
    for (path, place, blob) in &found {
        let Some(blob) = blob else { continue };
        let bytes = repo
            .read_blob(*blob)
            .with_context(|| format!("cannot read {path}"))?;
        learn(board, place, &bytes).map_err(|broken| refuse(tip, path, &broken))?;
    }
    Ok(())
}

/// Returns the refusal of a broken file: where, what is wrong, and where the last good version is.
fn refuse(tip: Oid, path: &str, broken: &Broken) -> UserError {
    let Broken {
        line,
        column,
        reason,
    } = broken;
    UserError::new(format!(
        "the ledger is broken at {path}:{line}:{column}: {reason}"
    ))
    .hint(format!("git show {tip}:{path}"))
    .hint(format!("git log -3 -p {tip} -- {path}"))
}

fn forget(board: &mut Board, place: &Place) {
    match place {
        Place::Settings => board.settings = Settings::default(),
        Place::Phases => board.phases.clear(),
        Place::Tested => board.tested = None,
        Place::Team(team) => {
            board.teams.remove(team);
        }
        Place::Task(place) => {
            // A task that only moved to another directory is read again from there.
            let here = |task: &Task| task.team == place.team && task.sharded == place.sharded;
            if board.tasks.get(&place.id).is_some_and(here) {
                board.tasks.remove(&place.id);
            }
        }
        Place::Status(place) => {
            if let Some(task) = board.tasks.get_mut(&place.id)
                && task.team == place.team
            {
                task.status = Status::default();
            }
        }
        // Not on the board.
        Place::Handoff(_) | Place::Assembly(_) => {}
    }
}

fn learn(board: &mut Board, place: &Place, bytes: &[u8]) -> Result<(), Broken> {
    let wrong = |reason: String| Broken {
        line: 1,
        column: 1,
        reason,
    };
    match place {
        Place::Settings => board.settings = files::parse_settings(bytes)?,
        Place::Phases => board.phases = files::parse::<files::PhasesFile>(bytes)?.phases,
        Place::Tested => board.tested = files::parse::<files::TestedFile>(bytes)?.integration,
        Place::Team(id) => {
            let team: TeamSpec = files::parse(bytes)?;
            if team.id != *id {
                return Err(wrong(format!(
                    "the file of team {id} says `id = {}`",
                    team.id
                )));
            }
            board.teams.insert(*id, team);
        }
        Place::Task(place) => {
            let (spec, order) = files::parse_task(bytes)?;
            if spec.id != place.id || spec.team != place.team {
                return Err(wrong(format!(
                    "the file of task {} of team {} says it is {} of team {}",
                    place.id, place.team, spec.id, spec.team
                )));
            }
            let mut row = Task::from_spec(&spec, order, place.sharded, spec.digest());
            if let Some(old) = board.tasks.remove(&place.id) {
                row.status = old.status;
            }
            board.tasks.insert(place.id.clone(), row);
        }
        Place::Status(place) => {
            let status = files::parse_status(bytes)?;
            // A status without its task is kept on the ledger and means nothing.
            if let Some(task) = board.tasks.get_mut(&place.id) {
                task.status = status;
            }
        }
        Place::Assembly(number) => board.assemblies = board.assemblies.max(*number),
        Place::Handoff(_) => {}
    }
    Ok(())
}
