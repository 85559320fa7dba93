//! The cache of a board: a table of what is known of each task at a glance, and behind it the tasks' rows, each to
//! be read when it is asked for.
//!
//! A digest over all of it is checked first, so that a row that is read later cannot be a damaged one. Rows that say
//! nothing all the same (another build has written them, or somebody by hand) are read from the ledger instead, and the
//! cache is taken away.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::snapshot::Snapshot;
use crate::git::{Oid, Repo, files};
use crate::model::tasks::{ReadRow, Row, Stored};
use crate::model::{
    AgentId, AgentRecord, Board, Glance, Lock, PhaseSpec, Settings, Signer, Task, TaskId, TaskSpec,
    Tasks, TeamId, TeamSpec, Tested,
};
use crate::seal;

/// First bytes of the cache; the number changes with everything that changes the meaning of what follows.
const MAGIC: &[u8] = concat!("git-orch snapshot 9 ", env!("CARGO_PKG_VERSION"), "\n").as_bytes();

/// What its seal says that it is: whoever could forge it could say anything of the ledger.
const SEALED: &str = "snapshot";

/// What it begins with in every version.
const MAGIC_STEM: &[u8] = b"git-orch snapshot ";

/// Returns where the cache is.
pub(super) fn path(repo: &Repo) -> std::path::PathBuf {
    repo.orch_dir().join("snapshot")
}

/// What tells one writing of the cache from another; `None` where there is no cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, i64, i64)>);

impl Stamp {
    /// Returns the stamp of the cache as it is.
    pub(super) fn of(repo: &Repo) -> Self {
        let found = std::fs::metadata(path(repo)).ok();
        Self(found.map(|file| (file.ino(), file.mtime(), file.mtime_nsec())))
    }
}

/// A board as it was at one tip.
#[derive(Debug)]
pub(super) struct Cached {
    pub tip: Oid,
    pub tree: Oid,
    /// When the tip was committed, in seconds since 1970.
    pub time: i64,
    pub board: Board,
}

impl Cached {
    /// Reads the cache; `None` where there is none that can be used.
    pub(super) fn load(repo: &Repo) -> Option<Self> {
        let bytes = seal::read(repo, &path(repo), SEALED).ok()??;
        decode(bytes, |tip| reader(repo, tip))
    }

    /// Writes the cache; returns whether it could be written.
    pub(super) fn save(repo: &Repo, (tip, tree, time): (Oid, Oid, i64), board: &Board) -> bool {
        let bytes = encode((tip, tree, time), board);
        bytes.is_some_and(|bytes| seal::replace(repo, &path(repo), SEALED, bytes).is_ok())
    }
}

/// Returns whether there is a cache of this version that cannot be read.
pub(super) fn is_broken(repo: &Repo) -> bool {
    match files::read_if_exists(&path(repo)) {
        Ok(Some(bytes)) => {
            // One of another version is read by nobody and written over in time.
            let of_another = bytes.starts_with(MAGIC_STEM) && !bytes.starts_with(MAGIC);
            let ours = || seal::read(repo, &path(repo), SEALED).ok().flatten();
            !of_another && !ours().is_some_and(is_whole)
        }
        Ok(None) => false,
        Err(_) => true,
    }
}

/// What stands before the rows; its table is written of parts and read as rows.
#[derive(Serialize, Deserialize)]
struct Table<R> {
    tip: [u8; 20],
    tree: [u8; 20],
    time: i64,
    /// Settings, phases, teams, agents, locks, signers and archives as JSON, since their formats allow more than one kind of value.
    head: String,
    tested: Option<Tested>,
    assemblies: u32,
    rows: Vec<R>,
}

type Head = (
    Settings,
    Vec<PhaseSpec>,
    Vec<TeamSpec>,
    Vec<(AgentId, AgentRecord)>,
    Vec<Lock>,
    Vec<Signer>,
    BTreeSet<String>,
);

fn encode((tip, tree, time): (Oid, Oid, i64), board: &Board) -> Option<Vec<u8>> {
    let (mut rows, mut bytes): (Vec<(&Glance, u32)>, Vec<u8>) = (Vec::new(), Vec::new());
    for (glance, stored) in board.tasks.to_store() {
        let before = bytes.len();
        match stored {
            Stored::Bytes(row) => bytes.extend_from_slice(row),
            Stored::Task(task) => bytes = postcard::to_extend(task, bytes).ok()?,
        }
        rows.push((glance, u32::try_from(bytes.len() - before).ok()?));
    }
    let teams: Vec<&TeamSpec> = board.teams.values().collect();
    let agents: Vec<_> = board.agents.iter().collect();
    let (locks, signers) = (&board.locks, &board.signers);
    let head = (
        &board.settings,
        &board.phases,
        teams,
        agents,
        locks,
        signers,
        &board.archives,
    );
    let table = Table {
        tip: tip.as_slice().try_into().ok()?,
        tree: tree.as_slice().try_into().ok()?,
        time,
        head: serde_json::to_string(&head).ok()?,
        tested: board.tested.clone(),
        assemblies: board.assemblies,
        rows,
    };
    let mut whole = MAGIC.to_vec();
    whole.extend_from_slice(&[0; size_of::<u64>()]);
    let mut whole = postcard::to_extend(&table, whole).ok()?;
    whole.append(&mut bytes);
    let (before, rest) = whole.split_at_mut(MAGIC.len() + size_of::<u64>());
    before[MAGIC.len()..].copy_from_slice(&digest(rest).to_le_bytes());
    Some(whole)
}

fn decode(bytes: Vec<u8>, reader: impl FnOnce(Oid) -> ReadRow) -> Option<Cached> {
    let (noted, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk()?;
    if u64::from_le_bytes(*noted) != digest(rest) {
        return None;
    }
    let (table, rows): (Table<Row>, _) = postcard::take_from_bytes(rest).ok()?;
    let from = bytes.len() - rows.len();
    let (settings, phases, teams, agents, locks, signers, archives): Head =
        serde_json::from_str(&table.head).ok()?;
    let tip = Oid::from_bytes_or_panic(&table.tip);
    Some(Cached {
        tip,
        tree: Oid::from_bytes_or_panic(&table.tree),
        time: table.time,
        board: Board {
            settings,
            phases,
            teams: teams.into_iter().map(|team| (team.id, team)).collect(),
            agents: agents.into_iter().collect(),
            tasks: Tasks::stored(bytes, from, table.rows, reader(tip))?,
            tested: table.tested,
            assemblies: table.assemblies,
            locks,
            signers,
            archives,
        },
    })
}

/// Whether every row says something.
fn is_whole(bytes: Vec<u8>) -> bool {
    let unread: ReadRow = Arc::new(unreadable);
    let Some(cached) = decode(bytes, |_| unread) else {
        return false;
    };
    let mut rows = cached.board.tasks.to_store();
    rows.all(|(_, stored)| match stored {
        Stored::Bytes(row) => read_row(row).is_some(),
        Stored::Task(_) => true,
    })
}

fn read_row(row: &[u8]) -> Option<Task> {
    postcard::from_bytes(row).ok()
}

/// Returns how rows are read that were written at a tip.
fn reader(repo: &Repo, tip: Oid) -> ReadRow {
    let (dir, cache) = (repo.common_dir().to_owned(), path(repo));
    let anew: OnceLock<Option<Board>> = OnceLock::new();
    Arc::new(move |row| {
        let from_ledger = || {
            let board = anew.get_or_init(|| {
                // Whoever comes next reads the ledger, too.
                let _ = std::fs::remove_file(&cache);
                read_anew(&dir, tip)
            });
            board.as_ref()?.tasks.get(&id_of(row)?).cloned()
        };
        let task = read_row(row).or_else(from_ledger);
        task.unwrap_or_else(|| unreadable(row))
    })
}

fn read_anew(dir: &Path, tip: Oid) -> Option<Board> {
    let mut snapshot = Snapshot::default();
    snapshot.follow(&Repo::discover(dir).ok()?, tip).ok()?;
    Some(snapshot.board)
}

fn id_of(row: &[u8]) -> Option<TaskId> {
    let id = row.get(1..=usize::from(*row.first()?))?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

/// Stands for a row that says nothing of a task that the ledger does not have either: somebody made it up.
fn unreadable(row: &[u8]) -> Task {
    let id = id_of(row).or_else(|| "unreadable".parse().ok());
    let id = id.expect("the word is a valid id");
    let spec = TaskSpec::new(
        id,
        TeamId(1),
        String::from("(the cache has a task that is not on the ledger)"),
    );
    Task::from_spec(&spec, 0, false, 0)
}

/// A digest against damage, not against forgery; eight bytes at a time in four lanes, since it is on the way of
/// every command. A change within one word always changes its lane.
pub fn digest(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |lane: u64, word: [u8; 8]| {
        (lane ^ u64::from_le_bytes(word))
            .wrapping_mul(PRIME)
            .rotate_left(29)
    };
    let mut lanes = [1_u64, 2, 3, 4];
    let (words, rest) = bytes.as_chunks::<8>();
    let (fours, words) = words.as_chunks::<4>();
    for four in fours {
        for (lane, word) in lanes.iter_mut().zip(four) {
            *lane = mix(*lane, *word);
        }
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let end = words.iter().copied().chain([last]);
    let end = end.chain(lanes.map(u64::to_le_bytes));
    end.fold(bytes.len() as u64, mix)
}

#[cfg(test)]
mod tests;
