//! What a coder may see of the ledger: files below `.orchestration/` of its worktree (F4).
//!
//! `<common>/info/exclude` keeps them out of commits, in every worktree.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::error::UserError;
use crate::git::Repo;
use crate::git::files;

/// Directory of a worktree that shows a coder its task.
pub const VIEW: &str = ".orchestration";

/// File of that directory that lists the others: what is not in it, an agent has put there.
const SHOWN: &str = ".shown";

const BEGIN: &str = "# >>> git-orch";
/// The same where the line above had no line break, so that it gets none when the block goes.
const BEGIN_UNENDED: &str = "# >>> git-orch.";
const END: &str = "# <<< git-orch";

/// What is kept out: our view, and the worktrees that agents make for themselves (docs/decisions/worktrees.md).
const EXCLUDED: [&str; 4] = [
    "/.orchestration/",
    "/.claude/worktrees/",
    "/.gemini/worktrees/",
    "/.qwen/worktrees/",
];

/// Writes files that a coder may see, named relative to its `.orchestration/`.
///
/// # Errors
///
/// A name leads out of that directory, the directory is no worktree, or the disk cannot be written.
pub fn show_task(repo: &Repo, dir: &Path, files: &[(&str, String)]) -> Result<()> {
    exclude_add(repo)?;
    let view = dir.join(VIEW);
    let list = view.join(SHOWN);
    require_no_links(dir, &Path::new(VIEW).join(SHOWN))?;
    let old = files::read_if_exists(&list)?.unwrap_or_default();
    let old = String::from_utf8_lossy(&old).into_owned();
    let mut shown: BTreeSet<&str> = old.lines().collect();
    shown.extend(files.iter().map(|(name, _)| *name));
    let shown: Vec<&str> = shown.into_iter().collect();
    // Listed before it is there: whoever is killed in between leaves nothing that looks like an agent's.
    files::replace(&list, format!("{}\n", shown.join("\n")).as_bytes())?;
    for (name, text) in files {
        let name = Path::new(name);
        if !is_plain(name) {
            bail!("{} is no name of a file to show", name.display());
        }
        require_no_links(dir, &Path::new(VIEW).join(name))?;
        files::replace(&view.join(name), text.as_bytes())?;
    }
    Ok(())
}

/// Takes away what a coder was shown; returns whether there is something else in that directory.
pub(super) fn take_down(dir: &Path) -> Result<bool> {
    let view = dir.join(VIEW);
    if !fs::symlink_metadata(&view).is_ok_and(|found| found.is_dir()) {
        return Ok(false);
    }
    let list = files::read_if_exists(&view.join(SHOWN))?.unwrap_or_default();
    let list = String::from_utf8_lossy(&list).into_owned();
    for name in list.lines().chain([SHOWN]) {
        let path = view.join(name);
        if !is_plain(Path::new(name)) {
            continue;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
        files::remove_empty_above(&path, dir);
    }
    Ok(view.exists())
}

fn is_plain(name: &Path) -> bool {
    let inside = |part| matches!(part, Component::Normal(_));
    !name.as_os_str().is_empty() && name.components().all(inside)
}

/// Refuses to write through a link, which an agent or a branch may have put there to lead out of the worktree.
fn require_no_links(dir: &Path, below: &Path) -> Result<()> {
    let mut at = dir.to_path_buf();
    for part in below.components() {
        at.push(part);
        let Ok(found) = fs::symlink_metadata(&at) else {
            return Ok(());
        };
        if found.is_symlink() {
            let error = format!(
                "{} is a symbolic link, so no task is shown there",
                at.display()
            );
            let hint = format!("git -C '{}' rm --cached -r {VIEW}", dir.display());
            return Err(UserError::new(error).hint(hint).into());
        }
    }
    Ok(())
}

/// Adds our block to `<common>/info/exclude`; twice is harmless, other lines stay as they are.
///
/// # Errors
///
/// The file cannot be written.
pub fn exclude_add(repo: &Repo) -> Result<()> {
    let blocks = [block(BEGIN), block(BEGIN_UNENDED)];
    let up_to_date = |text: &[u8]| {
        blocks
            .iter()
            .any(|block| find(text, block.as_bytes()).is_some())
    };
    let path = exclude_file(repo);
    if files::read_if_exists(&path)?.is_some_and(|text| up_to_date(&text)) {
        return Ok(());
    }
    let _lock = repo.lock_worktrees()?;
    let text = files::read_if_exists(&path)?.unwrap_or_default();
    if up_to_date(&text) {
        return Ok(());
    }
    let mut text = without_block(&text);
    let ended = text.is_empty() || text.ends_with(b"\n");
    if !ended {
        text.push(b'\n');
    }
    text.extend(blocks[usize::from(!ended)].bytes());
    files::edit(&path, &text)
}

/// Takes our block out of `<common>/info/exclude`; other lines stay as they are.
///
/// # Errors
///
/// The file cannot be written.
pub fn exclude_remove(repo: &Repo) -> Result<()> {
    let _lock = repo.lock_worktrees()?;
    let path = exclude_file(repo);
    let Some(text) = files::read_if_exists(&path)? else {
        return Ok(());
    };
    let without = without_block(&text);
    if without == text {
        return Ok(());
    }
    if !without.is_empty() {
        return files::edit(&path, &without);
    }
    // Nobody needs an empty file; nor the directory, if it held nothing else.
    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    let _ = fs::remove_dir(repo.common_dir().join("info"));
    Ok(())
}

fn exclude_file(repo: &Repo) -> PathBuf {
    repo.common_dir().join("info/exclude")
}

fn block(begin: &str) -> String {
    format!("{begin}\n{}\n{END}\n", EXCLUDED.join("\n"))
}

/// Cuts everything between our marks out; a first mark without a last one is left to people.
pub(super) fn without_block(text: &[u8]) -> Vec<u8> {
    let mut kept = text.to_vec();
    let end = format!("{END}\n");
    for begin in [format!("\n{BEGIN_UNENDED}\n"), format!("{BEGIN}\n")] {
        while let Some(start) = find(&kept, begin.as_bytes()) {
            let Some(length) = find(&kept[start..], end.as_bytes()) else {
                break;
            };
            kept.drain(start..start + length + end.len());
        }
    }
    kept
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_cut_out_and_nothing_else() {
        let text = format!("a\n{}b\n", block(BEGIN));
        assert_eq!(without_block(text.as_bytes()), b"a\nb\n");
        let text = format!("a\n{}", block(BEGIN_UNENDED));
        assert_eq!(without_block(text.as_bytes()), b"a");
        assert_eq!(
            without_block(b"a\n# >>> git-orch\nb"),
            b"a\n# >>> git-orch\nb"
        );
    }
}
