//! The board of one tip, followed by tree differences and cached on disk.
//!
//! The cache under the common Git directory may be deleted or be stale at any moment: it names the tree it
//! was made from, and what changed since is read from the objects themselves. Unreadable is never empty.

use anyhow::{Context as _, Result};

use super::cache::{Cached, Stamp};
use super::files::{self, Broken};
use super::layout::{Place, TaskPlace};
use crate::error::UserError;
use crate::git::{Oid, Repo, objects};
use crate::model::bounds::{MOST_LEDGER_FILE, told};
use crate::model::{
    AgentId, AgentRecord, Board, Handoff, Lock, PhaseSpec, Settings, Signer, Status, Task,
    TeamSpec, Tested, WrapUp,
};

/// Files that one is behind before the cache is worth writing, and how many more for each so many tasks: writing it
/// costs as much as reading about half as many files.
const WORTH_CACHING: (usize, usize) = (8, 128);

/// What the ledger says at one tip.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The commit; `None` where there is no ledger.
    pub tip: Option<Oid>,
    /// Its tree.
    pub tree: Option<Oid>,
    /// Its meaning.
    pub board: Board,
    /// When the tip was committed, in seconds since 1970.
    time: i64,
    /// Files read or written since the cache was last written.
    unsaved: usize,
    /// The cache as last read or written.
    cache: Stamp,
}

impl Snapshot {
    /// Reads the cache; an empty snapshot where there is none that can be used.
    pub fn load_cached(repo: &Repo) -> Self {
        let cache = Stamp::of(repo);
        let cached = Cached::load(repo).map(|cached| Self {
            tip: Some(cached.tip),
            tree: Some(cached.tree),
            time: cached.time,
            board: cached.board,
            unsaved: 0,
            cache,
        });
        cached.unwrap_or(Self {
            cache,
            ..Self::default()
        })
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
        // What others have written meanwhile is nearer than what is here, or not much further.
        let renewed = self.tip.is_some() && Stamp::of(repo) != self.cache;
        if renewed {
            let mut nearer = Self::load_cached(repo);
            self.cache = nearer.cache;
            if nearer.tip.is_some() && nearer.go(repo, tip).is_ok() {
                *self = nearer;
                return Ok(());
            }
        }
        self.go(repo, tip)
    }

    /// Goes from where the snapshot is to a tip.
    fn go(&mut self, repo: &Repo, tip: Oid) -> Result<()> {
        if self.tip == Some(tip) {
            return Ok(());
        }
        let commit = repo.read_commit(tip)?;
        let tree = commit.tree;
        let mut changes = Vec::new();
        match compare(repo, self.tree, Some(tree), "", &mut changes) {
            Ok(()) => {}
            // The old tree may have been pruned after a rewrite of history: begin anew.
            Err(_) if self.tree.is_some() => {
                let mut anew = Self {
                    cache: self.cache,
                    ..Self::default()
                };
                anew.go(repo, tip)?;
                *self = anew;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        // Everything is read before anything is changed: a broken file leaves the board as it was.
        let news = read_changes(repo, tip, changes.as_slice())?;
        self.unsaved += changes.len();
        for place in &news.gone {
            forget(&mut self.board, place);
        }
        learn_all(&mut self.board, news.facts);
        self.moved(tip, tree, commit.time);
        Ok(())
    }

    /// Notes that the board has been brought to a commit by our own writing.
    pub fn moved(&mut self, tip: Oid, tree: Oid, time: i64) {
        self.tip = Some(tip);
        self.tree = Some(tree);
        self.time = time;
    }

    /// Returns when the tip was committed; 0 where there is none.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// Notes files that were written, so that the cache is renewed in time.
    pub fn count_written(&mut self, files: usize) {
        self.unsaved += files;
    }

    /// Writes the cache if it is far enough behind: whoever reads or writes next begins there. Failing to write is
    /// no error, since it is only a cache.
    pub fn save_if_worth_it(&mut self, repo: &Repo) {
        let (least, tasks) = WORTH_CACHING;
        if self.unsaved >= least + self.board.tasks.len() / tasks
            && let (Some(tip), Some(tree)) = (self.tip, self.tree)
            && Cached::save(repo, (tip, tree, self.time), &self.board)
        {
            self.unsaved = 0;
            self.cache = Stamp::of(repo);
        }
    }
}

/// A path whose blob differs between two trees; `None` where it is gone.
pub(super) type Changed = (String, Option<Oid>);

/// Collects the files in which two trees differ; equal subtrees are not opened.
pub(super) fn compare(
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

/// What changed files say: what is gone first, then tasks, then what hangs on them.
struct News {
    gone: Vec<Place>,
    facts: Vec<Fact>,
}

/// What one file says.
enum Fact {
    Settings(Box<Settings>),
    Phases(Vec<PhaseSpec>),
    Tested(Option<Tested>),
    Locks(Vec<Lock>),
    Signers(Vec<Signer>),
    Team(TeamSpec),
    Agent(AgentId, AgentRecord),
    Task(Box<Task>),
    Assembly(u32),
    Archive(String),
    Status(TaskPlace, Box<Status>),
}

/// Reads changed files.
fn read_changes(repo: &Repo, tip: Oid, changes: &[Changed]) -> Result<News> {
    let mut news = News {
        gone: Vec::new(),
        facts: Vec::with_capacity(changes.len()),
    };
    for (path, blob) in changes {
        let place =
            Place::parse(path).map_err(|reason| refuse(tip, path, &Broken::at_top(reason)))?;
        match (place, blob) {
            (None, _) => {}
            (Some(place), None) => news.gone.push(place),
            (Some(place), Some(blob)) => {
                // Read from the ledger when asked for; the board does not hold them.
                let place = match place {
                    Place::Handoff(_) | Place::WrapUp(_) => continue,
                    Place::Archived(name, was) if *was == Place::Settings => {
                        news.facts.push(Fact::Archive(name));
                        continue;
                    }
                    Place::Archived(..) => continue,
                    place => place,
                };
                let bytes = repo
                    .read_blob(*blob)
                    .with_context(|| format!("cannot read {path}"))?;
                let fact = read_fact(place, &bytes).map_err(|broken| refuse(tip, path, &broken))?;
                news.facts.push(fact);
            }
        }
    }
    news.facts
        .sort_by_key(|fact| matches!(fact, Fact::Status(..)));
    Ok(news)
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

/// Returns what is wrong with one file of the ledger, if anything is; files that are not ours are fine.
///
/// # Errors
///
/// Its blob cannot be read.
pub(super) fn check_file(repo: &Repo, path: &str, blob: Oid) -> Result<Option<Broken>> {
    let place = match Place::parse(path) {
        Ok(Some(place)) => place,
        Ok(None) => return Ok(None),
        Err(reason) => return Ok(Some(Broken::at_top(reason))),
    };
    let bytes = repo
        .read_blob(blob)
        .with_context(|| format!("cannot read {path}"))?;
    Ok(check_bytes(place, &bytes).err())
}

/// Reads a file as what lies in its place, whether the board holds that or not.
fn check_bytes(place: Place, bytes: &[u8]) -> Result<(), Broken> {
    match place {
        Place::Handoff(_) => files::parse::<Handoff>(bytes).map(drop),
        Place::WrapUp(_) => files::parse::<WrapUp>(bytes).map(drop),
        Place::Assembly(_) => files::parse::<toml::Table>(bytes).map(drop),
        Place::Archived(_, was) => check_bytes(*was, bytes),
        place => read_fact(place, bytes).map(drop),
    }
}

fn forget(board: &mut Board, place: &Place) {
    match place {
        Place::Settings => board.settings = Settings::default(),
        Place::Phases => board.phases.clear(),
        Place::Tested => board.tested = None,
        Place::Locks => board.locks.clear(),
        Place::Signers => board.signers.clear(),
        Place::Team(team) => {
            board.teams.remove(team);
        }
        Place::Agent(agent) => {
            board.agents.remove(agent);
        }
        Place::Task(place) => {
            // A task that only moved to another directory is read again from there.
            let here = |task: &Task| task.team == place.team && task.sharded == place.sharded;
            if board.tasks.get(&place.id).is_some_and(here) {
                board.tasks.remove(&place.id);
            }
        }
        Place::Status(place) => {
            if let Some(mut task) = board.tasks.get_mut(&place.id)
                && task.team == place.team
            {
                task.status = Status::default();
            }
        }
        Place::Archived(name, was) if **was == Place::Settings => {
            board.archives.remove(name);
        }
        // Not on the board.
        Place::Handoff(_) | Place::Assembly(_) | Place::WrapUp(_) | Place::Archived(..) => {}
    }
}

fn read_fact(place: Place, bytes: &[u8]) -> Result<Fact, Broken> {
    if bytes.len() > MOST_LEDGER_FILE {
        return Err(Broken::at_top(format!(
            "it is larger than {}",
            told(MOST_LEDGER_FILE)
        )));
    }
    Ok(match place {
        Place::Settings => Fact::Settings(Box::new(files::parse_settings(bytes)?)),
        Place::Phases => Fact::Phases(files::parse::<files::PhasesFile>(bytes)?.phases),
        Place::Tested => Fact::Tested(files::parse::<files::TestedFile>(bytes)?.integration),
        Place::Locks => Fact::Locks(read_locks(bytes)?),
        Place::Signers => Fact::Signers(files::parse_signers(bytes)),
        Place::Team(id) => {
            let team: TeamSpec = files::parse(bytes)?;
            if team.id != id {
                return Err(Broken::at_top(format!(
                    "the file of team {id} says `id = {}`",
                    team.id
                )));
            }
            Fact::Team(team)
        }
        Place::Agent(agent) => Fact::Agent(agent, files::parse(bytes)?),
        Place::Task(place) => {
            let (spec, order) = files::parse_task(bytes)?;
            if spec.id != place.id || spec.team != place.team {
                return Err(Broken::at_top(format!(
                    "the file of task {} of team {} says it is {} of team {}",
                    place.id, place.team, spec.id, spec.team
                )));
            }
            let row = Task::from_spec(&spec, order, place.sharded, spec.digest());
            Fact::Task(Box::new(row))
        }
        Place::Status(place) => Fact::Status(place, Box::new(files::parse_status(bytes)?)),
        Place::Assembly(number) => Fact::Assembly(number),
        Place::Handoff(_) | Place::WrapUp(_) | Place::Archived(..) => {
            unreachable!("contracts, wrap-ups and archives are not read into the board")
        }
    })
}

/// Reads `locks.toml`; one that would let through what it is to keep is broken.
fn read_locks(bytes: &[u8]) -> Result<Vec<Lock>, Broken> {
    let locks = files::parse::<files::LocksFile>(bytes)?.locks;
    let mut seen = std::collections::BTreeSet::new();
    for lock in &locks {
        if let Some((_, what)) = lock.mistake() {
            return Err(Broken::at_top(what));
        }
        if !seen.insert(&lock.id) {
            return Err(Broken::at_top(format!("there are two locks {}", lock.id)));
        }
    }
    Ok(locks)
}

/// Learns facts in their order; many new tasks come in at once.
fn learn_all(board: &mut Board, facts: Vec<Fact>) {
    let mut new = Vec::new();
    for fact in facts {
        match fact {
            Fact::Task(task) if !board.tasks.contains_key(&task.id) => new.push(*task),
            fact => {
                board.tasks.extend(std::mem::take(&mut new));
                learn(board, fact);
            }
        }
    }
    board.tasks.extend(new);
}

fn learn(board: &mut Board, fact: Fact) {
    match fact {
        Fact::Settings(settings) => board.settings = *settings,
        Fact::Phases(phases) => board.phases = phases,
        Fact::Tested(tested) => board.tested = tested,
        Fact::Locks(locks) => board.locks = locks,
        Fact::Signers(signers) => board.signers = signers,
        Fact::Team(team) => {
            board.teams.insert(team.id, team);
        }
        Fact::Agent(agent, record) => {
            board.agents.insert(agent, record);
        }
        Fact::Task(mut task) => {
            if let Some(old) = board.tasks.get(&task.id) {
                task.status = old.status.clone();
            }
            board.tasks.insert(*task);
        }
        Fact::Archive(name) => {
            board.archives.insert(name);
        }
        Fact::Assembly(number) => board.assemblies = board.assemblies.max(number),
        Fact::Status(place, status) => {
            // A status without its task is kept on the ledger and means nothing.
            if let Some(mut task) = board.tasks.get_mut(&place.id) {
                task.status = *status;
            }
        }
    }
}
