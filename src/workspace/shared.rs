//! What agents share with people beside the work: the repository's configuration, the person's own, files that all
//! worktrees read, hooks, and the stash.
//!
//! It is copied before the first agent starts, to `<common>/orch/shared/`, and compared with what is there while agents
//! work and after. A difference is told by every command of a person's until it is undone or accepted; where it
//! decides something (`crate::model::shared`), commands that build on it refuse. Where nothing differs and nobody works
//! any more, the copy goes: what people change while no agent works is nobody's business.
//!
//! Without a sandbox an agent can write the copy as well: this finds mistakes and habits, not attacks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{stash, trash, view};
use crate::config;
use crate::error::UserError;
use crate::git::config_file::ConfigFile;
use crate::git::files::{self, Lock};
use crate::git::{Git, Oid, Repo};
use crate::model::AgentId;
use crate::model::shared::{Changed, Settings, Weight, compare};

/// Directory of the copies, below `<common>/orch/`.
const KEPT: &str = "shared";

/// Directory of hooks, among the copies and below the common directory.
const HOOKS: &str = "hooks";

/// List of the stash's entries, among the copies.
const STASH: &str = "stash";

/// Says since when, and where a person's own configuration was found, among the copies.
const NOTE: &str = "note";

/// Why replaced files are kept.
const REPLACED: &str = "changed while agents worked, and put back as it was before";

/// A difference.
#[derive(Debug, Clone)]
pub struct Difference {
    /// What was changed, in a line.
    pub what: String,
    /// What that means.
    pub weight: Weight,
    /// The command that undoes it, where there is one.
    pub undo: Option<String>,
    way: Way,
}

/// How a difference is undone.
#[derive(Debug, Clone)]
enum Way {
    /// A setting gets its values back.
    Setting(PathBuf, Changed),
    /// A file gets its content back, or goes.
    File(PathBuf, Option<Vec<u8>>),
    /// An entry of the stash is put there again.
    Stash(Oid, String),
}

/// A configuration file that is looked at.
struct Configuration {
    /// Name of its copy.
    name: &'static str,
    path: PathBuf,
    /// Whether it is the repository's.
    is_shared: bool,
}

/// Copies what is shared unless that was done, and keeps what others have in the stash. To be called before an
/// agent starts.
///
/// # Errors
///
/// Something cannot be read, or the disk cannot be written.
pub fn keep(repo: &Repo, agent: AgentId) -> Result<()> {
    let _alone = lock(repo)?;
    stash::keep_others(repo, agent)?;
    if kept(repo).exists() {
        return Ok(());
    }
    copy(repo, &format!("agent {agent}"))
}

/// Returns whether anything is kept to compare with.
pub fn is_kept(repo: &Repo) -> bool {
    kept(repo).exists()
}

/// Returns what is not as it was before agents began to work; nothing where nothing is kept.
///
/// # Errors
///
/// Something cannot be read.
pub fn differences(repo: &Repo) -> Result<Vec<Difference>> {
    let kept = kept(repo);
    if !kept.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for Configuration {
        name,
        path,
        is_shared,
    } in configurations(repo)
    {
        if !is_shared && !is_same_person(&kept) {
            continue;
        }
        let before = kept.join(name);
        if read(&before)? == read(&path)? {
            continue;
        }
        for changed in compare(&settings(&before)?, &settings(&path)?) {
            found.push(of_setting(repo, &path, is_shared, changed));
        }
    }
    found.extend(changed_files(repo, &kept)?);
    found.extend(lost_entries(repo, &kept)?);
    Ok(found)
}

fn of_setting(repo: &Repo, path: &Path, is_shared: bool, changed: Changed) -> Difference {
    let is_local = path == repo.common_dir().join("config");
    let place = match is_local {
        true => String::from("--local"),
        false => format!("--file {}", quoted(&path.to_string_lossy())),
    };
    let told = changed.told();
    Difference {
        what: match is_local {
            true => told,
            false => format!("in {}, {told}", path.display()),
        },
        // What is a person's own configuration is told, and is theirs.
        weight: match is_shared {
            true => changed.weight,
            false => Weight::Told,
        },
        undo: changed.undoing().map(|words| {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            format!("git config {place} {}", words.join(" "))
        }),
        way: Way::Setting(path.to_path_buf(), changed),
    }
}

/// Returns files that all worktrees read, and hooks, that are not as they were.
fn changed_files(repo: &Repo, kept: &Path) -> Result<Vec<Difference>> {
    let common = repo.common_dir();
    let mut files = vec![
        ("info/attributes".to_owned(), Weight::Decides),
        ("info/exclude".to_owned(), Weight::Told),
    ];
    let names: BTreeSet<String> = [kept.join(HOOKS), common.join(HOOKS)]
        .iter()
        .flat_map(|dir| hook_names(dir))
        .collect();
    files.extend(
        names
            .into_iter()
            .map(|name| (format!("{HOOKS}/{name}"), Weight::Decides)),
    );
    let mut found = Vec::new();
    for (name, weight) in files {
        let path = common.join(&name);
        let (before, after) = (read(&kept.join(&name))?, read(&path)?);
        // Our own block comes and goes.
        let is_same = match name.as_str() {
            "info/exclude" => own(before.as_deref()) == own(after.as_deref()),
            _ => before == after,
        };
        if is_same {
            continue;
        }
        let verb = match (&before, &after) {
            (None, _) => "was made",
            (_, None) => "was removed",
            _ => "was changed",
        };
        found.push(Difference {
            what: format!("{} {verb}", path.display()),
            weight,
            undo: before
                .is_none()
                .then(|| format!("rm {}", quoted(&path.to_string_lossy()))),
            way: Way::File(path, before),
        });
    }
    Ok(found)
}

fn own(text: Option<&[u8]>) -> Vec<u8> {
    view::without_block(text.unwrap_or_default())
}

/// Returns entries that the stash had and has no more; they are kept under recovery refs.
fn lost_entries(repo: &Repo, kept: &Path) -> Result<Vec<Difference>> {
    let before = read(&kept.join(STASH))?.unwrap_or_default();
    let before = String::from_utf8_lossy(&before).into_owned();
    if before.is_empty() {
        return Ok(Vec::new());
    }
    let now = stash::commits(repo)?;
    let mut found = Vec::new();
    for line in before.lines() {
        let Some((id, subject)) = line.split_once(' ') else {
            continue;
        };
        let Ok(commit) = Oid::from_hex(id.as_bytes()) else {
            continue;
        };
        if !now.contains(&commit) {
            found.push(Difference {
                what: format!("an entry of the stash is gone: {subject}"),
                weight: Weight::Told,
                undo: Some(format!("git stash store -m {} {id}", quoted(subject))),
                way: Way::Stash(commit, subject.to_owned()),
            });
        }
    }
    Ok(found)
}

/// Returns the commits of the stash's entries.
///
/// # Errors
///
/// Git cannot be read.
pub fn stashed(repo: &Repo) -> Result<BTreeSet<Oid>> {
    stash::commits(repo)
}

/// Refuses where something was changed that decides what commands do which build on it.
///
/// # Errors
///
/// Something was, or it cannot be read.
pub fn require_untouched(repo: &Repo) -> Result<()> {
    let mut found = differences(repo)?;
    found.retain(|difference| difference.weight == Weight::Decides);
    let Some(first) = found.first() else {
        return Ok(());
    };
    let more = match found.len() {
        1 => String::new(),
        n => format!(", and {} more", n - 1),
    };
    let mut error = UserError::new(format!(
        "settings that all worktrees share were changed while agents worked: {}{more}",
        first.what
    ));
    for difference in found.iter().take(MOST_HINTS) {
        if let Some(undo) = &difference.undo {
            error = error.hint(undo);
        }
    }
    Err(error
        .hint("git orch doctor --shared restore")
        .hint("`git orch doctor --shared accept`, if the change is yours")
        .into())
}

/// Most commands that a refusal names.
const MOST_HINTS: usize = 3;

/// Lets the copy go where nothing differs. The caller knows that nobody is at work.
///
/// # Errors
///
/// Something cannot be read or deleted.
pub fn let_go(repo: &Repo) -> Result<()> {
    let _alone = lock(repo)?;
    if is_kept(repo) && differences(repo)?.is_empty() {
        forget(repo)?;
    }
    Ok(())
}

/// Takes what is there for what is to be there.
///
/// # Errors
///
/// It cannot be read, or the disk cannot be written.
pub fn accept(repo: &Repo) -> Result<()> {
    let _alone = lock(repo)?;
    if is_kept(repo) {
        forget(repo)?;
        copy(repo, "a person's word")?;
    }
    Ok(())
}

/// Puts everything back as it was before agents began to work; files that are replaced go to the trash. Returns
/// what was put back, a line each.
///
/// # Errors
///
/// Git refuses, or the disk cannot be written; what was put back by then stays so.
pub fn restore(repo: &Repo) -> Result<Vec<String>> {
    let _alone = lock(repo)?;
    let mut slot = None;
    let mut done = Vec::new();
    for difference in differences(repo)? {
        match difference.way {
            Way::Setting(path, changed) => set(&path, &changed)?,
            Way::File(path, before) => {
                if let Some(text) = read(&path)? {
                    let slot: &PathBuf = match &slot {
                        Some(slot) => slot,
                        None => slot.insert(trash::slot(repo, KEPT, REPLACED)?),
                    };
                    files::replace(&slot.join(path.file_name().unwrap_or_default()), &text)?;
                }
                if before.is_none() && fs::symlink_metadata(&path).is_ok() {
                    fs::remove_file(&path)
                        .with_context(|| format!("cannot remove {}", path.display()))?;
                }
                match before {
                    Some(text) if path.starts_with(repo.common_dir().join(HOOKS)) => {
                        files::replace_executable(&path, &text)?;
                    }
                    Some(text) => files::replace(&path, &text)?,
                    None => {}
                }
            }
            Way::Stash(commit, subject) => repo
                .git_at_top()
                .args(["stash", "store", "-m", &subject, &commit.to_string()])
                .run()
                .context("cannot put an entry of the stash back")?,
        }
        done.push(difference.what);
    }
    Ok(done)
}

/// Gives a setting its values back.
fn set(path: &Path, changed: &Changed) -> Result<()> {
    let git = || {
        let dir = path.parent().unwrap_or(Path::new("/"));
        Git::new(dir).args(["config", "--file"]).arg(path)
    };
    if !changed.after.is_empty() {
        git().args(["--unset-all", &changed.key]).run()?;
    }
    for value in &changed.before {
        git().args(["--add", &changed.key, value]).run()?;
    }
    Ok(())
}

fn lock(repo: &Repo) -> Result<Lock> {
    Lock::wait(&repo.orch_dir().join("shared.lock"))
}

fn kept(repo: &Repo) -> PathBuf {
    repo.orch_dir().join(KEPT)
}

/// Lets the copy go, at one blow: half a copy would tell of changes that nobody made.
fn forget(repo: &Repo) -> Result<()> {
    let dir = kept(repo);
    let staging = repo.orch_dir().join("staging");
    let gone = staging.join("shared.gone");
    if gone.exists() {
        fs::remove_dir_all(&gone).with_context(|| format!("cannot remove {}", gone.display()))?;
    }
    fs::create_dir_all(&staging).with_context(|| format!("cannot create {}", staging.display()))?;
    fs::rename(&dir, &gone).with_context(|| format!("cannot remove {}", dir.display()))?;
    // What stays there is nobody's copy any more, and taken away the next time.
    let _ = fs::remove_dir_all(&gone);
    Ok(())
}

/// Copies everything to a directory that is there whole or not at all.
fn copy(repo: &Repo, since: &str) -> Result<()> {
    let new = repo.orch_dir().join("staging").join(KEPT);
    if new.exists() {
        fs::remove_dir_all(&new).with_context(|| format!("cannot remove {}", new.display()))?;
    }
    let put = |name: &str, path: &Path| -> Result<()> {
        match read(path)? {
            Some(text) => files::replace(&new.join(name), &text),
            None => Ok(()),
        }
    };
    let (said, _) = config::outer_config();
    let note = format!("{since}\n{}\n", said.to_string_lossy());
    files::replace(&new.join(NOTE), note.as_bytes())?;
    for one in configurations(repo) {
        put(one.name, &one.path)?;
    }
    let common = repo.common_dir();
    for name in ["info/attributes", "info/exclude"] {
        put(name, &common.join(name))?;
    }
    for name in hook_names(&common.join(HOOKS)) {
        let name = format!("{HOOKS}/{name}");
        put(&name, &common.join(&name))?;
    }
    let mut entries = stash::entries(repo)?;
    // An agent may take back its own.
    entries.retain(|entry| entry.agent.is_none());
    let lines = entries
        .iter()
        .map(|e| format!("{} {}\n", e.commit, e.subject));
    files::replace(&new.join(STASH), lines.collect::<String>().as_bytes())?;
    fs::rename(&new, kept(repo)).context("cannot keep what agents share with people")
}

fn configurations(repo: &Repo) -> Vec<Configuration> {
    let common = repo.common_dir();
    let mut found = vec![
        Configuration {
            name: "config",
            path: common.join("config"),
            is_shared: true,
        },
        Configuration {
            name: "config.worktree",
            path: common.join("config.worktree"),
            is_shared: true,
        },
    ];
    // Those of the person; the system's is not an agent's to write.
    let (_, outer) = config::outer_config();
    let outer = ["global", "global.xdg"].into_iter().zip(outer);
    found.extend(outer.map(|(name, path)| Configuration {
        name,
        path,
        is_shared: false,
    }));
    found
}

/// Whether a person's own configuration is looked for where it was found.
fn is_same_person(kept: &Path) -> bool {
    let note = read(&kept.join(NOTE)).ok().flatten().unwrap_or_default();
    let (said, _) = config::outer_config();
    let note = String::from_utf8_lossy(&note).into_owned();
    note.lines().nth(1) == Some(&*said.to_string_lossy())
}

fn settings(path: &Path) -> Result<Settings> {
    if read(path)?.is_none() {
        return Ok(Settings::new());
    }
    Ok(ConfigFile::read(path)?
        .map(|file| file.settings())
        .unwrap_or_default())
}

/// Names of hooks that git would run.
fn hook_names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.ends_with(".sample")).collect()
}

/// Reads a file; what is none, such as a device or a pipe in its place, says nothing.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => files::read_if_exists(path),
        _ => Ok(None),
    }
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=+,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
