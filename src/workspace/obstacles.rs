//! Files that Git ignores in places where the next task has files of its own.
//!
//! `git checkout --force` overwrites and deletes ignored files without a word. Here they go to the trash first.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::place::Place;
use super::uncommitted::as_path;
use super::view::VIEW;
use super::{trash, view};
use crate::git::objects::blob_id;
use crate::git::{Oid, Repo, files};

/// Why such files are set aside.
const IN_THE_WAY: &str = "git ignored it, and the branch of the next task has a file in its place";

const IN_THE_VIEW: &str = "an agent had put it beside what it was shown of its task";

/// Largest file that is compared with the branch's; what is larger is set aside without.
const MOST_COMPARED: usize = 16 << 20;

/// Takes away what a coder was shown of its task, and moves what an agent has put beside it to the trash.
pub(super) fn clear_view(repo: &Repo, place: &Place) -> Result<()> {
    let found = beside_the_view(place)?;
    move_aside(repo, place, &found, IN_THE_VIEW).map(drop)
}

/// Takes away what a coder was shown of its task, and returns what an agent has put beside it.
pub(super) fn beside_the_view(place: &Place) -> Result<Vec<PathBuf>> {
    match view::take_down(&place.dir)? {
        true => unknown_below(place, Path::new(VIEW)),
        false => Ok(Vec::new()),
    }
}

/// Moves whatever a branch would overwrite and the index does not know to the trash.
pub(super) fn set_aside(repo: &Repo, place: &Place, branch: &str) -> Result<()> {
    let mut found = Vec::new();
    for (path, id) in unknown_to_the_index(place, branch)? {
        for obstacle in obstacles(place, &path, id)? {
            // One file may be in the way of many.
            if !found.contains(&obstacle) {
                found.push(obstacle);
            }
        }
    }
    move_aside(repo, place, &found, IN_THE_WAY).map(drop)
}

/// Moves paths of a worktree to the trash; returns where they are, `None` where there were none.
pub(super) fn move_aside(
    repo: &Repo,
    place: &Place,
    found: &[PathBuf],
    why: &str,
) -> Result<Option<PathBuf>> {
    if found.is_empty() {
        return Ok(None);
    }
    let slot = trash::slot(repo, &place.agent.to_string(), why)?;
    for path in found {
        place.set_path_aside(path, &slot)?;
        files::remove_empty_above(&place.dir.join(path), &place.dir);
    }
    Ok(Some(slot))
}

/// Returns the files of a branch that the index does not have.
fn unknown_to_the_index(place: &Place, branch: &str) -> Result<Vec<(PathBuf, Oid)>> {
    let listed = place
        .git()
        .args(["diff-index", "--cached", "--no-renames", "--diff-filter=D"])
        .args(["--raw", "--no-abbrev", "-z"])
        .arg(format!("refs/heads/{branch}"))
        .arg("--")
        .read_bytes()?;
    let mut found = Vec::new();
    let mut fields = listed.split(|byte| *byte == 0).filter(|f| !f.is_empty());
    while let (Some(about), Some(path)) = (fields.next(), fields.next()) {
        // `:100644 000000 <id> <null> D`
        let id = about.split(|byte| *byte == b' ').nth(2);
        let Some(Ok(id)) = id.map(Oid::from_hex) else {
            bail!("git says `{}` of a file", String::from_utf8_lossy(about));
        };
        found.push((as_path(path).to_path_buf(), id));
    }
    Ok(found)
}

/// Returns what lies where a file is to be: something in place of a directory above it, in its own place, or below.
fn obstacles(place: &Place, path: &Path, id: Oid) -> Result<Vec<PathBuf>> {
    let mut parents: Vec<&Path> = path.ancestors().skip(1).collect();
    parents.reverse();
    for parent in parents.into_iter().skip(1) {
        match fs::symlink_metadata(place.dir.join(parent)) {
            Err(_) => return Ok(Vec::new()),
            Ok(found) if found.is_dir() => {}
            Ok(_) if is_known(place, parent)? => return Ok(Vec::new()),
            Ok(_) => return Ok(vec![parent.to_path_buf()]),
        }
    }
    let full = place.dir.join(path);
    match fs::symlink_metadata(&full) {
        Err(_) => Ok(Vec::new()),
        Ok(found) if found.is_dir() => unknown_below(place, path),
        Ok(found) if found.is_symlink() => {
            use std::os::unix::ffi::OsStrExt as _;
            let target = fs::read_link(&full).context("cannot read a link")?;
            let is_same = blob_id(target.as_os_str().as_bytes()) == id;
            Ok(Some(path.to_path_buf())
                .filter(|_| !is_same)
                .into_iter()
                .collect())
        }
        Ok(_) => {
            let text = files::read_within(&full, MOST_COMPARED).ok().flatten();
            let is_same = text.is_some_and(|text| blob_id(&text) == id);
            Ok(Some(path.to_path_buf())
                .filter(|_| !is_same)
                .into_iter()
                .collect())
        }
    }
}

fn is_known(place: &Place, path: &Path) -> Result<bool> {
    let listed = place
        .git()
        .env("GIT_LITERAL_PATHSPECS", "1")
        .args(["ls-files", "-z", "--"])
        .arg(path)
        .read_bytes()?;
    Ok(!listed.is_empty())
}

/// Returns files below a directory that the index does not know, ignored or not.
fn unknown_below(place: &Place, dir: &Path) -> Result<Vec<PathBuf>> {
    let listed = place
        .git()
        .env("GIT_LITERAL_PATHSPECS", "1")
        .args(["ls-files", "--others", "-z", "--"])
        .arg(dir)
        .read_bytes()?;
    let paths = listed.split(|byte| *byte == 0).filter(|p| !p.is_empty());
    Ok(paths.map(|path| as_path(path).to_path_buf()).collect())
}
