//! A repository that a sandboxed agent has to itself for one attempt.
//!
//! It reads the objects and refs of the shared one and writes its own, so that nothing shared need be writable:
//! the worktree's `.git` leads to it while the agent works. Afterwards the worktree is led back, and what was
//! committed is fetched like from any stranger's repository: Git checks every object, and the branch moves by
//! compare-and-swap. What else the agent has left there (other branches, a stash, a detached HEAD) is kept
//! under recovery refs.
//!
//! Everything below `private/repo` was written by an agent: it is read, never obeyed. Its configuration is
//! written anew before Git is run on it, and Git is never led there by the worktree's own `.git`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::attempts::attempt_dir;
use super::confined::{DIR, Lent, require_idle};
use super::place::Place;
use super::recovery::is_reachable;
use super::uncommitted::{PLAIN, as_path};
use super::{Assignment, trash};
use crate::error::UserError;
use crate::git::config_file::{ConfigFile, quote};
use crate::git::files::{read_if_exists, replace};
use crate::git::recovery::Saving;
use crate::git::refs::Swap;
use crate::git::worktree::{Head, linked_admin, read_head, relink};
use crate::git::{Git, Oid, Repo};
use crate::model::{AgentId, Attempt, TaskId};

/// Files of a Git directory that say how its objects and files are to be taken, and that git only reads.
const READ_ONLY: [&str; 4] = ["info/exclude", "info/attributes", "info/grafts", "shallow"];

/// Keys of the repository's format that hold for the private one too.
const FORMAT: [&str; 3] = [
    "extensions.partialclone",
    "extensions.worktreeconfig",
    "extensions.objectformat",
];

/// Where everything lies that one attempt's agent has to itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Private {
    root: PathBuf,
}

impl Private {
    /// Returns the place of an attempt, which need not exist.
    pub fn of(repo: &Repo, task: &TaskId, attempt: Attempt) -> Self {
        Self {
            root: attempt_dir(repo, task, attempt).join(DIR),
        }
    }

    /// Returns its repository.
    pub fn repo(&self) -> PathBuf {
        self.root.join("repo")
    }

    /// Returns its directory for temporary files.
    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Returns its directory for what it hands over.
    pub fn out(&self) -> PathBuf {
        self.root.join("out")
    }

    /// Refs as they were when the repository was lent; beside what the agent may write.
    fn snapshot(&self) -> PathBuf {
        self.root.join("refs")
    }

    /// Makes the directories anew.
    fn clear(&self) -> Result<()> {
        if fs::symlink_metadata(&self.root).is_ok() {
            fs::remove_dir_all(&self.root)
                .with_context(|| format!("cannot remove {}", self.root.display()))?;
        }
        for dir in [self.tmp(), self.out()] {
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        Ok(())
    }
}

/// Lends an assignment's worktree to a repository of its agent's own.
///
/// # Errors
///
/// The disk cannot be written, or Git cannot list refs.
pub fn lend(repo: &Repo, assignment: &Assignment) -> Result<Private> {
    let place = Place::of(repo, assignment.agent);
    let _own = place.lock(repo)?;
    bring_back(repo, &place)?;
    let private = Private::of(repo, &assignment.task, assignment.attempt);
    private.clear()?;
    make(repo, &place, &private).context("cannot make a repository for the sandbox")?;
    let note = Lent {
        branch: assignment.branch.clone(),
        private: private.root.clone(),
    };
    note.write(repo, assignment.agent)?;
    let admin = worktree_admin(&place, &private);
    relink(&admin, &place.dir)?;
    Ok(private)
}

fn worktree_admin(place: &Place, private: &Private) -> PathBuf {
    private.repo().join("worktrees").join(&place.name)
}

fn make(repo: &Repo, place: &Place, private: &Private) -> Result<()> {
    let (own, common) = (private.repo(), repo.common_dir());
    let admin = worktree_admin(place, private);
    for dir in [
        "objects/info",
        "objects/pack",
        "refs/heads",
        "refs/tags",
        "info",
    ] {
        fs::create_dir_all(own.join(dir))?;
    }
    fs::create_dir_all(admin.join("info"))?;
    let mut line = common.join("objects").into_os_string().into_vec();
    line.push(b'\n');
    replace(&own.join("objects/info/alternates"), &line)?;
    let listed = repo
        .git()
        .args(["for-each-ref", "--format=%(objectname) %(refname)"])
        .read_bytes()?;
    replace(&private.snapshot(), &listed)?;
    replace(&own.join("packed-refs"), &packed_refs(repo, &listed))?;
    copy(&common.join("HEAD"), &own.join("HEAD"))?;
    for name in READ_ONLY {
        copy(&common.join(name), &own.join(name))?;
    }
    // Hooks and our own files are read where they are; large files of git-lfs can be read, and not added.
    for name in ["hooks", "orch", "lfs"] {
        if common.join(name).is_dir() {
            symlink(common.join(name), own.join(name))?;
        }
    }
    replace(&own.join("config"), &configuration(repo)?)?;
    let merge = ["MERGE_HEAD", "MERGE_MODE", "MERGE_MSG", "AUTO_MERGE"];
    let seat = ["HEAD", "index", "config.worktree", "info/sparse-checkout"];
    for name in seat.into_iter().chain(merge) {
        copy(&place.admin.join(name), &admin.join(name))?;
    }
    for entry in fs::read_dir(&place.admin)?.flatten() {
        let name = entry.file_name();
        if name.as_bytes().starts_with(b"sharedindex.") {
            copy(&entry.path(), &admin.join(name))?;
        }
    }
    replace(&admin.join("commondir"), b"../..\n")
}

/// Returns refs as `packed-refs` has them, with what annotated tags name in the end: readers other than Git
/// refuse a file without.
fn packed_refs(repo: &Repo, listed: &[u8]) -> Vec<u8> {
    let mut text = b"# pack-refs with: peeled sorted \n".to_vec();
    for line in listed.split_inclusive(|byte| *byte == b'\n') {
        text.extend(line);
        let named = line.split_at_checked(40);
        let tag = named.filter(|(_, name)| name.starts_with(b" refs/tags/"));
        let id = tag.and_then(|(id, _)| Oid::from_hex(id).ok());
        if let Some(peeled) = id.and_then(|id| repo.peel_tag(id)) {
            text.extend(format!("^{peeled}\n").bytes());
        }
    }
    text
}

/// Copies a file with its time, by which git knows what may have changed unseen; nothing where there is none.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let Ok(found) = fs::metadata(from) else {
        return Ok(());
    };
    if !found.is_file() {
        bail!("cannot copy {}: it is no regular file", from.display());
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    let file = fs::File::options().write(true).open(to)?;
    file.set_modified(found.modified()?)?;
    Ok(())
}

/// Returns the configuration of a private repository: the shared one's, and that it is bare but for a worktree.
fn configuration(repo: &Repo) -> Result<Vec<u8>> {
    let shared = repo.common_dir().join("config");
    let mut text = b"[core]\n\trepositoryformatversion = 1\n[extensions]\n".to_vec();
    if let Some(file) = ConfigFile::read(&shared)? {
        for key in FORMAT {
            if let Some(value) = file.value(key) {
                let name = key.trim_start_matches("extensions.");
                text.extend(format!("\t{name} = ").bytes());
                text.extend(quote(value.as_bytes()));
                text.push(b'\n');
            }
        }
    }
    text.extend(b"[include]\n\tpath = ");
    text.extend(quote(shared.as_os_str().as_bytes()));
    text.extend(b"\n[core]\n\tbare = true\n\tlogAllRefUpdates = true\n[gc]\n\tauto = 0\n");
    Ok(text)
}

/// Leads a coder's worktree back to the shared repository and brings home what its agent committed.
///
/// Harmless where nothing is lent; to be called again where it was cut short. The agent must have ended.
///
/// # Errors
///
/// What was committed cannot be fetched or the branch was moved by others; the worktree is led back and what
/// could be fetched is kept nevertheless.
pub fn bring_home(repo: &Repo, agent: AgentId) -> Result<()> {
    let place = Place::of(repo, agent);
    let _own = place.lock(repo)?;
    bring_back(repo, &place)
}

/// As [`bring_home`], for who holds the coder's lock.
pub(super) fn bring_back(repo: &Repo, place: &Place) -> Result<()> {
    let Some(Lent { branch, private }) = Lent::load(repo, place.agent)? else {
        return Ok(());
    };
    let private = Private { root: private };
    require_idle(repo, place.agent)?;
    // First of all, so that whatever goes wrong afterwards, nobody runs Git in the agent's repository.
    lead_back(repo, place)?;
    let fetched = match private.repo().is_dir() {
        true => fetch(repo, place, &private, &branch),
        false => Ok(()),
    };
    // A merge that was under way and still is, is the one that we began: our own index knows what is undecided.
    if !is_merging_still(place, &private)? {
        renew_index(place)?;
    }
    defuse(repo, place)?;
    Lent::forget(repo, place.agent)?;
    if fetched.is_ok() {
        // An agent can make directories that even their owner cannot list; what is left is small.
        let _ = fs::remove_dir_all(private.repo());
    }
    let _ = fs::remove_dir_all(private.tmp());
    fetched
}

/// Makes `.git` of the worktree lead to the shared repository, whatever the agent has made of it.
fn lead_back(repo: &Repo, place: &Place) -> Result<()> {
    let link = place.dir.join(".git");
    if fs::symlink_metadata(&link).is_ok_and(|found| found.is_dir()) {
        let to = trash::slot(
            repo,
            &format!("{}-git", place.agent),
            "an agent had put it in place of the worktree's link",
        )?;
        fs::rename(&link, &to).with_context(|| format!("cannot move {} away", link.display()))?;
    }
    match place.dir.is_dir() {
        true => relink(&place.admin, &place.dir),
        false => Ok(()),
    }
}

/// Puts right what commands in a sandbox may have made of a worktree since it was led back: they run what the agent
/// wrote.
///
/// # Errors
///
/// The worktree cannot be led back.
pub fn put_right(repo: &Repo, agent: AgentId) -> Result<()> {
    let place = Place::of(repo, agent);
    lead_back(repo, &place)?;
    defuse(repo, &place)
}

/// Takes the `.git` out of nested repositories that the agent has made and that its commits name: Git looks into
/// these as into submodules, and obeys the configuration that it finds there. They are kept in the trash.
fn defuse(repo: &Repo, place: &Place) -> Result<()> {
    if !place.dir.is_dir() {
        return Ok(());
    }
    let modules = place.admin.join("modules").canonicalize();
    let top = place.dir.canonicalize()?;
    let listed = place
        .git()
        .args(["ls-files", "-z", "--stage"])
        .read_bytes()?;
    let nested = |entry: &[u8]| {
        let path = entry.strip_prefix(b"160000 ")?;
        let tab = path.iter().position(|byte| *byte == b'\t')?;
        Some(place.dir.join(as_path(&path[tab + 1..])))
    };
    for dir in listed.split(|byte| *byte == 0).filter_map(nested) {
        // Below a link that leads elsewhere, Git does not look either.
        let inside = dir.canonicalize().is_ok_and(|real| real.starts_with(&top));
        let link = dir.join(".git");
        let Ok(found) = fs::symlink_metadata(&link) else {
            continue;
        };
        let admin = linked_admin(&dir).and_then(|admin| admin.canonicalize().ok());
        let is_ours = found.is_file()
            && admin
                .zip(modules.as_ref().ok())
                .is_some_and(|(admin, modules)| admin.starts_with(modules));
        if inside && !is_ours {
            let to = trash::slot(
                repo,
                &format!("{}-nested", place.agent),
                "a repository that an agent had made inside its worktree",
            )?;
            fs::rename(&link, &to)
                .with_context(|| format!("cannot move {} away", link.display()))?;
        }
    }
    Ok(())
}

/// Whether the merge that the agent found under way in its worktree has been neither concluded nor given up.
fn is_merging_still(place: &Place, private: &Private) -> Result<bool> {
    let ours = read_if_exists(&place.admin.join("MERGE_HEAD"))?;
    // Whatever the agent has put in its place that is no file, it is not that merge.
    let theirs = read_if_exists(&worktree_admin(place, private).join("MERGE_HEAD"));
    let theirs = theirs.unwrap_or_default();
    Ok(ours.is_some() && ours == theirs)
}

/// Brings the index up to the branch. The agent's own index is not taken over: it could hide changes.
fn renew_index(place: &Place) -> Result<()> {
    if !place.dir.is_dir() {
        return Ok(());
    }
    place
        .git()
        .args(["reset", "--mixed", "--quiet", "--no-refresh", "HEAD"])
        .run()
        .context("cannot renew the index of a worktree")
}

/// Fetches what is new in a private repository.
fn fetch(repo: &Repo, place: &Place, private: &Private, branch: &str) -> Result<()> {
    let own = private.repo();
    replace(&own.join("config"), &configuration(repo)?)?;
    let name = format!("refs/heads/{branch}");
    let before = read_refs(&read_if_exists(&private.snapshot())?.unwrap_or_default());
    let listed = Git::new(&own)
        .env("GIT_DIR", &own)
        .args(PLAIN)
        .args(["for-each-ref", "--format=%(objectname) %(refname)"])
        .read_bytes()
        .context("the agent's own repository cannot be read")?;
    let head = read_head(&worktree_admin(place, private));
    let mut news: Vec<(String, Oid)> = read_refs(&listed)
        .into_iter()
        .filter(|(name, oid)| before.get(name) != Some(oid))
        .collect();
    if let Head::Detached(commit) = head {
        news.push((commit.to_string(), commit));
    }
    let known = |oid: &Oid| repo.read_commit(*oid).is_ok();
    let missing = news.iter().filter(|(_, oid)| !known(oid));
    let wanted: Vec<&str> = missing.map(|(name, _)| name.as_str()).collect();
    if !wanted.is_empty() {
        repo.git()
            .args(PLAIN)
            .args([
                "-c",
                "fetch.fsckObjects=true",
                "-c",
                "protocol.file.allow=always",
            ])
            .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"])
            .args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"])
            .args(["--no-recurse-submodules", "--no-auto-maintenance", "--"])
            .arg(&own)
            .args(wanted)
            .run()
            .context("what the agent committed cannot be fetched")?;
    }
    let tip = news.iter().find(|(other, _)| *other == name);
    let moved = match tip {
        Some((_, tip)) => move_branch(repo, &name, before.get(&name).copied(), *tip),
        None => Ok(()),
    };
    let owner = place.agent.to_string();
    for (name, oid) in &news {
        let branch = name.strip_prefix("refs/heads/").unwrap_or(name);
        if known(oid) && !is_reachable(repo, *oid)? {
            let reason = "committed in the sandbox, off the task's branch";
            repo.keep(&Saving::new(&owner, reason).on(branch), *oid)?;
        }
    }
    follow_head(place, &head, branch, &news)?;
    moved
}

/// Moves the task's branch to where the agent has it.
fn move_branch(repo: &Repo, name: &str, old: Option<Oid>, new: Oid) -> Result<()> {
    if repo.read_ref(name)? == Some(new) {
        return Ok(());
    }
    match repo.swap_refs(&[(name, old, Some(new))], "orch: brought from the sandbox")? {
        Swap::Won => Ok(()),
        Swap::Lost => Err(UserError::new(format!(
            "{name} was moved by others while its agent worked; what the agent committed is kept as {new}"
        ))
        .hint(format!("git log {new}"))
        .into()),
    }
}

/// Detaches HEAD where the agent's own was not on its branch, so that the checks see that.
fn follow_head(place: &Place, head: &Head, branch: &str, news: &[(String, Oid)]) -> Result<()> {
    let commit = match head {
        Head::Branch(on) if on == branch => return Ok(()),
        Head::Branch(on) => {
            let name = format!("refs/heads/{on}");
            news.iter()
                .find(|(other, _)| *other == name)
                .map(|(_, oid)| *oid)
        }
        Head::Detached(commit) => Some(*commit),
        Head::Broken => None,
    };
    match commit {
        Some(commit) => replace(&place.admin.join("HEAD"), format!("{commit}\n").as_bytes()),
        None => Ok(()),
    }
}

/// Reads `<id> <name>` lines; what is neither is left out.
fn read_refs(listed: &[u8]) -> BTreeMap<String, Oid> {
    let line = |line: &[u8]| {
        let (id, name) = line.split_at_checked(40)?;
        let name = std::str::from_utf8(name.strip_prefix(b" ")?).ok()?;
        Some((name.to_owned(), Oid::from_hex(id).ok()?))
    };
    listed
        .split(|byte| *byte == b'\n')
        .filter_map(line)
        .collect()
}
