//! Refs: read, and moved only by compare-and-swap.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::complaint::complaint;
use super::disk::library_error;
use super::files::{self, Lock};
use super::plain::require_file;
use super::{Oid, Repo};
use crate::error::UserError;

/// What a compare-and-swap came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// The ref holds the new value.
    Won,
    /// It held another value than expected, or someone else was at it: read again, decide again.
    Lost,
}

/// Time after which a ref's lock that nobody has touched is dead, where its owner is known to be.
const LOCK_IS_DEAD: Duration = Duration::from_secs(1);

impl Repo {
    /// Returns the commit that a ref points at; `None` where there is no such ref.
    ///
    /// # Errors
    ///
    /// The ref or `packed-refs` cannot be read.
    pub fn read_ref(&self, name: &str) -> Result<Option<Oid>> {
        // No ref is called so; a path may lead anywhere.
        if name.contains("..") || name.contains('\0') || name.starts_with('/') {
            return Ok(None);
        }
        match files::read_whole(&self.common_dir().join(name)) {
            Ok(bytes) if !bytes.starts_with(b"ref:") => {
                let hex = bytes.trim_ascii_end();
                return match Oid::from_hex(hex) {
                    Ok(id) => Ok(Some(id)),
                    Err(_) => bail!("ref {name} is malformed"),
                };
            }
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory
                ) =>
            {
                return self.read_packed_ref(name);
            }
            Err(error) if error.kind() == ErrorKind::InvalidFilename => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read ref {name}")),
        }
        let found = self
            .gix
            .try_find_reference(name)
            .map_err(|error| library_error(&error))
            .with_context(|| format!("cannot read ref {name}"))?;
        Ok(found.and_then(|mut found| found.peel_to_id().ok().map(gix::Id::detach)))
    }

    /// Returns the name of the ref that a ref stands for in the end, which is its own unless it is symbolic.
    pub fn end_of_ref(&self, name: &str) -> String {
        const MOST_STEPS: usize = 5;
        let mut name = name.to_owned();
        for _ in 0..MOST_STEPS {
            let text = files::read_pointer(&self.common_dir().join(&name)).unwrap_or_default();
            match text.strip_prefix(b"ref:") {
                Some(next) => name = String::from_utf8_lossy(next.trim_ascii()).into_owned(),
                None => break,
            }
        }
        name
    }

    /// Looks a full name up in `packed-refs`; gix's own search goes on to six places where no such ref can be.
    fn read_packed_ref(&self, name: &str) -> Result<Option<Oid>> {
        let cannot = || format!("cannot read ref {name}");
        require_file(&self.common_dir().join("packed-refs"))?;
        let packed = self
            .gix
            .refs
            .cached_packed_buffer()
            .map_err(|error| library_error(&error))
            .with_context(cannot)?;
        let Some(packed) = packed else {
            return Ok(None);
        };
        let found = packed
            .try_find(name)
            .map_err(|error| library_error(&error))
            .with_context(cannot)?;
        Ok(found.map(|found| found.object()))
    }

    /// Returns what an annotated tag names in the end; `None` for anything else, and where an object is missing.
    pub fn peel_tag(&self, id: Oid) -> Option<Oid> {
        self.require_object_file(id).ok()?;
        let found = self.gix.try_find_header(id).ok()??;
        if found.kind() != gix::object::Kind::Tag {
            return None;
        }
        let tag = self.gix.find_object(id).ok()?;
        Some(tag.peel_tags_to_end().ok()?.id)
    }

    /// Moves a ref by writing it ourselves, where the caller alone in all of ours may do so.
    ///
    /// gix's own ref edit takes `packed-refs.lock` and fails while any `git pack-refs` or gc runs
    /// (docs/decisions/writing.md); this takes `<ref>.lock` only, as git does, and so excludes git. The lock file is
    /// a hard link to a file of ours that is called after the ref: one that a killed process left behind is known by
    /// its inode and taken away together with that file, and a lock of anyone else's is left alone.
    ///
    /// # Errors
    ///
    /// The repository cannot be written; the ref is then as it was.
    pub fn swap_alone(
        &self,
        _alone: &Lock,
        name: &str,
        old: Option<Oid>,
        new: Oid,
        message: &str,
    ) -> Result<Swap> {
        let path = self.common_dir().join(name);
        let lock = self.common_dir().join(format!("{name}.lock"));
        let ours = self.scratch_of(name);
        remove_dead_lock(&ours, &lock)?;
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let write = || -> std::io::Result<()> {
            let mut file = fs::File::create_new(&ours)?;
            writeln!(file, "{new}")?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", ours.display()))?;
        match fs::hard_link(&ours, &lock) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::remove_file(&ours).context("cannot remove a temporary file")?;
                return Ok(Swap::Lost);
            }
            Err(error) => return Err(error).with_context(|| format!("cannot lock ref {name}")),
        }
        let current = self.read_ref(name);
        if !matches!(&current, Ok(current) if *current == old) {
            fs::remove_file(&lock).context("cannot unlock a ref")?;
            fs::remove_file(&ours).context("cannot remove a temporary file")?;
            return current.map(|_| Swap::Lost);
        }
        if let Err(error) = fs::rename(&lock, &path) {
            let _ = fs::remove_file(&lock);
            let _ = fs::remove_file(&ours);
            return Err(error).with_context(|| format!("cannot move ref {name}"));
        }
        // From here on the move has happened: what follows is only tidying and the reflog.
        let _ = fs::remove_file(&ours);
        self.append_reflog(name, old, new, message);
        Ok(Swap::Won)
    }

    /// Takes away what killed calls of [`Repo::swap_alone`] have left of moving refs: their files and, where they had
    /// come so far, their locks.
    ///
    /// # Errors
    ///
    /// One of them cannot be removed.
    pub fn clear_dead_moves(&self, _alone: &Lock, names: &[&str]) -> Result<()> {
        for (scratch, locks) in self.scratches(names) {
            remove_dead_locks(&scratch, &locks)?;
        }
        Ok(())
    }

    /// Returns the files that locks of ours on some refs are made from, each with the locks that it may be.
    pub(super) fn scratches(&self, names: &[&str]) -> Vec<(PathBuf, Vec<PathBuf>)> {
        let lock = |name: &str| self.common_dir().join(format!("{name}.lock"));
        let of = |name: &&str| (self.scratch_of(name), vec![lock(name)]);
        let mut scratches: Vec<_> = names.iter().map(of).collect();
        // Of a version that had one file for all refs.
        let all = names.iter().map(|name| lock(name)).collect();
        scratches.push((self.orch_dir().join("ref.new"), all));
        scratches
    }

    fn scratch_of(&self, name: &str) -> PathBuf {
        // No ref has a colon in its name, so no two have one file.
        let file = format!("ref:{}.new", name.replace('/', ":"));
        self.orch_dir().join(file)
    }

    /// Moves refs together through `git update-ref`, all or none; each states its old value (`None`: absent).
    /// A new value of `None` deletes the ref.
    ///
    /// # Errors
    ///
    /// `git` cannot be run, or refuses. A lost race is [`Swap::Lost`].
    pub fn swap_refs(
        &self,
        moves: &[(&str, Option<Oid>, Option<Oid>)],
        message: &str,
    ) -> Result<Swap> {
        let null = Oid::null(gix::hash::Kind::Sha1);
        let mut script = String::from("start\n");
        for (name, old, new) in moves {
            let old = old.unwrap_or(null);
            match new {
                Some(new) => script.push_str(&format!("update {name} {new} {old}\n")),
                None => script.push_str(&format!("delete {name} {old}\n")),
            }
        }
        script.push_str("prepare\ncommit\n");
        let output = self
            .git()
            .args([
                "-c",
                "core.fsync=committed",
                "-c",
                "core.filesRefLockTimeout=1000",
                "update-ref",
                "--stdin",
                "-m",
                message,
            ])
            .stdin(script)
            .output()?;
        if output.status.success() {
            return Ok(Swap::Won);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let mut now = Vec::new();
        for (name, ..) in moves {
            now.push(self.read_ref(name)?);
        }
        // Git that ended badly after its work, and did not find that somebody else was first, has moved them.
        let all_moved = || moves.iter().map(|(.., new)| *new).eq(now.iter().copied());
        if !said.contains("cannot lock ref") && all_moved() {
            return Ok(Swap::Won);
        }
        // Whether the values still are the old ones tells a lost race from a refusal (hook, bad name).
        if !moves.iter().map(|(_, old, _)| *old).eq(now) {
            return Ok(Swap::Lost);
        }
        let why = complaint(&output.stderr);
        Err(UserError::new(format!("git refused to move {}: {why}", moves[0].0)).into())
    }

    /// Deletes a ref whose content is no object id, which no compare-and-swap can.
    ///
    /// # Errors
    ///
    /// Its file cannot be removed.
    pub fn delete_broken_ref(&self, name: &str) -> Result<()> {
        if self.read_ref(name).is_ok() {
            return Ok(());
        }
        // Git locks what it can read: of such a ref it says only that it is broken.
        fs::remove_file(self.common_dir().join(name))
            .with_context(|| format!("cannot delete ref {name}, which is malformed"))
    }

    /// Removes the lock that a killed [`Repo::swap_refs`] left on a ref, or on a HEAD that is on it.
    ///
    /// Git's locks do not say whose they are. One that stays the same for longer than any ref is locked by a
    /// process at work is taken for dead; the caller knows that one of its kind was killed.
    ///
    /// # Errors
    ///
    /// The lock cannot be removed.
    pub fn break_dead_lock(&self, name: &str) -> Result<()> {
        let head = self.common_dir().join("HEAD");
        let on_it = fs::read_to_string(&head).is_ok_and(|text| {
            let branch = text.strip_prefix("ref:").map(str::trim);
            branch == Some(name)
        });
        let mut locks = vec![self.common_dir().join(format!("{name}.lock"))];
        locks.extend(on_it.then(|| head.with_extension("lock")));
        for lock in locks {
            let inode = || fs::symlink_metadata(&lock).map(|meta| meta.ino()).ok();
            let Some(first) = inode() else { continue };
            let begun = crate::clock::monotonic();
            while inode() == Some(first) {
                if crate::clock::monotonic().duration_since(begun) > LOCK_IS_DEAD {
                    fs::remove_file(&lock)
                        .with_context(|| format!("cannot remove {}", lock.display()))?;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Appends to a ref's reflog where Git keeps one; a reflog is for people, so failing is not fatal.
    fn append_reflog(&self, name: &str, old: Option<Oid>, new: Oid, message: &str) {
        let path = self.common_dir().join("logs").join(name);
        let wanted = match self.config("core.logAllRefUpdates").as_deref() {
            Some("false" | "0" | "no" | "off") => path.exists(),
            Some(_) => true,
            None => !self.is_bare() || path.exists(),
        };
        if !wanted {
            return;
        }
        let (who, email) = self.person();
        let old = old.unwrap_or(Oid::null(gix::hash::Kind::Sha1));
        let time = crate::clock::now().0;
        let subject = message.lines().next().unwrap_or_default();
        let line = format!("{old} {new} {who} <{email}> {time} +0000\t{subject}\n");
        if let Some(dir) = path.parent() {
            let _ = fs::create_dir_all(dir);
        }
        let file = fs::OpenOptions::new().create(true).append(true).open(&path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// Removes our temporary file of a process that died, and the lock if it is the same file. The caller holds
/// the lock under which such files are made.
///
/// # Errors
///
/// Either cannot be removed.
pub fn remove_dead_lock(ours: &Path, lock: &Path) -> Result<()> {
    remove_dead_locks(ours, std::slice::from_ref(&lock))
}

/// As [`remove_dead_lock`], of a file that may be any of some locks.
///
/// # Errors
///
/// One of them cannot be removed.
pub fn remove_dead_locks(ours: &Path, locks: &[impl AsRef<Path>]) -> Result<()> {
    let Ok(left) = fs::metadata(ours) else {
        return Ok(());
    };
    let same = |other: fs::Metadata| other.ino() == left.ino() && other.dev() == left.dev();
    for lock in locks.iter().map(AsRef::as_ref) {
        if fs::metadata(lock).is_ok_and(same) {
            fs::remove_file(lock).with_context(|| format!("cannot remove {}", lock.display()))?;
        }
    }
    fs::remove_file(ours).with_context(|| format!("cannot remove {}", ours.display()))
}
