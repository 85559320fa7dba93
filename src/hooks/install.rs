//! Puts our hooks in place for coders' worktrees, and takes them away again.
//!
//! The repository's own configuration gets one conditional include at its end. It holds in worktrees named
//! `orch-*` only and outdoes a `core.hooksPath` that stands before it, so that the main worktree, other
//! worktrees and the hooks they run stay as they are (docs/decisions/hooks.md).

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::config;
use crate::git::config_file::{edit, quote};
use crate::git::{Repo, files};

/// Hooks that check something of ours.
const ENFORCING: [&str; 4] = ["commit-msg", "pre-commit", "pre-push", "prepare-commit-msg"];

/// All other hooks that Git knows and that may run in a worktree; there only so that a hook that was there
/// before is still run.
const CHAINED: [&str; 22] = [
    "applypatch-msg",
    "p4-changelist",
    "p4-post-changelist",
    "p4-pre-submit",
    "p4-prepare-changelist",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-receive",
    "post-rewrite",
    "post-update",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-merge-commit",
    "pre-rebase",
    "pre-receive",
    "proc-receive",
    "push-to-checkout",
    "sendemail-validate",
    "update",
];

/// The line by which we know our own block again.
const MARK: &str =
    "# git-orch: hooks of coders' worktrees; `git orch init --undo` takes this away\n";

/// The same, in a file whose last line had no line break before.
const MARK_UNENDED: &str =
    "# git-orch: hooks of coders' worktrees; `git orch init --undo` takes this away.\n";

const BLOCK: &str =
    "[includeIf \"gitdir:**/worktrees/orch-*\"]\n\tpath = orch/worktree.gitconfig\n";

/// Puts the hooks in place, or in order again; harmless where they are. Returns whether the configuration did not
/// name them.
///
/// # Errors
///
/// The common Git directory cannot be written.
pub fn install(repo: &Repo) -> Result<bool> {
    let hooks = repo.orch_dir().join("hooks");
    let program = shell_quote(config::program().as_os_str());
    for (name, script) in scripts() {
        let text = fill(&script, name, &program);
        let path = hooks.join(name);
        if files::read_if_exists(&path).ok().flatten().as_ref() != Some(&text) {
            files::replace_executable(&path, &text)?;
        }
    }
    write_worktree_config(repo, &hooks)?;
    let scratch = repo.orch_dir().join("config.new");
    edit(&config_path(repo), &scratch, |old| {
        let new = with_block(old);
        (new != old).then_some(new)
    })
}

/// Takes the hooks away: the configuration's bytes are then as they were.
///
/// # Errors
///
/// The common Git directory cannot be written.
pub fn uninstall(repo: &Repo) -> Result<()> {
    let orch = repo.orch_dir();
    if orch.is_dir() {
        edit(&config_path(repo), &orch.join("config.new"), |old| {
            let new = without_block(old);
            (new != old).then_some(new)
        })?;
    }
    let gone = |result: std::io::Result<()>| match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    gone(fs::remove_file(worktree_config(repo)))
        .and_then(|()| gone(fs::remove_dir_all(orch.join("hooks"))))
        .and_then(|()| gone(fs::remove_file(orch.join("config.alone"))))
        .with_context(|| format!("cannot tidy up {}", orch.display()))
}

/// Returns whether the hooks are in place.
pub fn is_installed(repo: &Repo) -> bool {
    let text = files::read_if_exists(&config_path(repo));
    let text = text.ok().flatten().unwrap_or_default();
    find(&text).is_some() && worktree_config(repo).exists()
}

/// Returns what is not as [`install`] would leave it, in words.
///
/// # Errors
///
/// The configuration cannot be read.
pub fn out_of_order(repo: &Repo) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let config = files::read_if_exists(&config_path(repo))?.unwrap_or_default();
    if find(&config).is_none() {
        found.push(String::from("the configuration does not include ours"));
    } else if with_block(&config) != config {
        found.push(String::from(
            "the configuration says behind our block where hooks are",
        ));
    }
    let hooks = repo.orch_dir().join("hooks");
    let shared = files::read_if_exists(&worktree_config(repo))?.unwrap_or_default();
    if !shared.starts_with(&shared_head(&hooks)) {
        found.push(String::from(
            "the coders' configuration does not name our hooks",
        ));
    }
    let program = shell_quote(config::program().as_os_str());
    let (mut missing, mut other) = (0, 0);
    for (name, script) in scripts() {
        match files::read_if_exists(&hooks.join(name))? {
            None => missing += 1,
            Some(text) if text != fill(&script, name, &program) => other += 1,
            Some(_) => {}
        }
    }
    if missing > 0 {
        found.push(format!("{missing} scripts are missing"));
    }
    if other > 0 {
        found.push(format!(
            "{other} scripts call another program than {}, or are of another version",
            config::program().display()
        ));
    }
    Ok(found)
}

/// Returns what the configuration that all coders' worktrees share begins with.
fn shared_head(hooks: &Path) -> Vec<u8> {
    let mut head = b"# Written by git-orch.\n[core]\n\thooksPath = ".to_vec();
    head.extend(quote(hooks.as_os_str().as_bytes()));
    head.push(b'\n');
    head
}

fn config_path(repo: &Repo) -> PathBuf {
    repo.common_dir().join("config")
}

fn worktree_config(repo: &Repo) -> PathBuf {
    repo.orch_dir().join("worktree.gitconfig")
}

/// Names and texts of all scripts, with places to fill in.
fn scripts() -> impl Iterator<Item = (&'static str, String)> {
    let enforce = include_str!("../../hooks/enforce.sh");
    let references = include_str!("../../hooks/references.sh");
    let chain = include_str!("../../hooks/chain.sh");
    let previous = include_str!("../../hooks/previous.sh");
    ENFORCING
        .into_iter()
        .map(|name| (name, enforce.to_owned()))
        .chain([("reference-transaction", format!("{references}{previous}"))])
        .chain(CHAINED.map(|name| (name, format!("{chain}{previous}"))))
}

fn fill(script: &str, name: &str, program: &[u8]) -> Vec<u8> {
    let script = script.replace("@NAME@", name);
    let parts: Vec<&[u8]> = script.split("@PROGRAM@").map(str::as_bytes).collect();
    parts.join(program)
}

fn shell_quote(text: &OsStr) -> Vec<u8> {
    let mut out = vec![b'\''];
    for byte in text.as_bytes() {
        match byte {
            b'\'' => out.extend(b"'\\''"),
            _ => out.push(*byte),
        }
    }
    out.push(b'\'');
    out
}

/// Writes what all coders' worktrees share; what follows it, a block for each worktree, stays.
fn write_worktree_config(repo: &Repo, hooks: &Path) -> Result<()> {
    let mut head = shared_head(hooks);
    let scratch = repo.orch_dir().join("worktree.new");
    edit(&worktree_config(repo), &scratch, |old| {
        if old.starts_with(&head) {
            return None;
        }
        let blocks = b"[includeIf";
        let from = old.windows(blocks.len()).position(|part| part == blocks);
        head.extend_from_slice(&old[from.unwrap_or(old.len())..]);
        Some(head)
    })?;
    Ok(())
}

/// Returns where our block is, with the line break that we put before it.
fn find(config: &[u8]) -> Option<std::ops::Range<usize>> {
    let unended = format!("\n{MARK_UNENDED}{BLOCK}");
    let blocks = [unended, format!("{MARK}{BLOCK}")];
    blocks.iter().find_map(|block| {
        let mut places = config.windows(block.len());
        let at = places.position(|part| part == block.as_bytes())?;
        Some(at..at + block.len())
    })
}

/// Returns a configuration with our block, behind everything that might say where hooks are.
fn with_block(config: &[u8]) -> Vec<u8> {
    if let Some(range) = find(config) {
        let behind = config[range.end..].to_ascii_lowercase();
        let mentions = |word: &[u8]| behind.windows(word.len()).any(|part| part == word);
        if !mentions(b"hookspath") && !mentions(b"[include") {
            return config.to_vec();
        }
    }
    let mut new = without_block(config);
    if new.is_empty() || new.ends_with(b"\n") {
        new.extend_from_slice(MARK.as_bytes());
    } else {
        new.push(b'\n');
        new.extend_from_slice(MARK_UNENDED.as_bytes());
    }
    new.extend_from_slice(BLOCK.as_bytes());
    new
}

fn without_block(config: &[u8]) -> Vec<u8> {
    match find(config) {
        Some(range) => [&config[..range.start], &config[range.end..]].concat(),
        None => config.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_comes_and_goes_without_a_trace() {
        for before in [
            "",
            "[core]\n\tbare = false\n",
            "[core]\n\tbare = false",
            "\n",
        ] {
            let with = with_block(before.as_bytes());
            assert_eq!(with_block(&with), with, "{before:?}");
            assert_eq!(without_block(&with), before.as_bytes(), "{before:?}");
            let later = [with, b"[user]\n\tname = x\n".to_vec()].concat();
            assert_eq!(with_block(&later), later, "{before:?}");
        }
    }

    #[test]
    fn the_block_moves_behind_a_hooks_path_written_later() {
        let with = with_block(b"[user]\n\tname = x\n");
        let later = [with, b"[core]\n\thooksPath = .husky/_\n".to_vec()].concat();
        let again = with_block(&later);
        assert!(again.ends_with(BLOCK.as_bytes()));
        assert_eq!(
            without_block(&again),
            b"[user]\n\tname = x\n[core]\n\thooksPath = .husky/_\n"
        );
    }

    #[test]
    fn a_path_in_a_script_is_one_word() {
        assert_eq!(shell_quote(OsStr::new("/a b/it's")), b"'/a b/it'\\''s'");
    }
}
