//! The fingerprint of everything in a repository that is not git-orch's.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::TestRepo;

/// What was seen, by what it is.
pub type Print = BTreeMap<String, String>;

/// Branches and refs of git-orch's own.
fn is_ours(name: &str) -> bool {
    ["refs/heads/orch/", "refs/orch/"]
        .iter()
        .any(|below| name.starts_with(below))
        || name == "refs/heads/orchestration"
}

/// Looks at a repository and at other worktrees of it.
pub fn look(repo: &TestRepo, others: &[PathBuf]) -> Print {
    let mut print = Print::new();
    let git_dir = repo.path().join(".git");
    see_refs(repo, &git_dir, &mut print);
    see_git_dir(&git_dir, &mut print);
    for dir in std::iter::once(repo.path()).chain(others.iter().map(PathBuf::as_path)) {
        see_worktree(repo, dir, &mut print);
    }
    print
}

fn see_refs(repo: &TestRepo, git_dir: &Path, print: &mut Print) {
    let refs = repo.git(["for-each-ref", "--format=%(refname) %(objectname)"]);
    for line in refs.lines() {
        let (name, id) = line.split_once(' ').unwrap();
        if !is_ours(name) {
            print.insert(format!("ref {name}"), id.to_owned());
        }
    }
    let logs = git_dir.join("logs");
    for (path, text) in files(&logs) {
        let name = path.strip_prefix(&logs).unwrap().display().to_string();
        if !is_ours(&name) {
            print.insert(format!("reflog {name}"), text);
        }
    }
}

/// What lies in the Git directory but objects, refs, our own, and what other keys tell.
fn see_git_dir(git_dir: &Path, print: &mut Print) {
    for (path, text) in files(git_dir) {
        let name = path.strip_prefix(git_dir).unwrap().display().to_string();
        let elsewhere = ["objects/", "refs/", "logs/", "orch/", "worktrees/orch-"];
        // What a killed process was writing; the next `doctor` takes it away.
        let is_half = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(".orch-"));
        let own = is_half || elsewhere.iter().any(|below| name.starts_with(below));
        // Of a submodule's Git directory, its index is told by its status.
        let told = matches!(name.as_str(), "packed-refs") || name.ends_with("index");
        if own || told {
            continue;
        }
        let text = match name.as_str() {
            "config" => without(&text, "# git-orch: hooks", "\tpath"),
            "info/exclude" => without(&text, "# >>> git-orch", "# <<< git-orch"),
            _ => text,
        };
        print.insert(format!("git {name}"), text);
    }
}

fn see_worktree(repo: &TestRepo, dir: &Path, print: &mut Print) {
    let name = dir.file_name().unwrap().display();
    let git = |args: &[&str]| {
        // Looking must not write: a refreshed index would hide what was done to it.
        let mut command = repo.command("git", dir);
        let output = command
            .env("GIT_OPTIONAL_LOCKS", "0")
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?} in {}", dir.display());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let status = git(&[
        "status",
        "--porcelain=v2",
        "--ignored",
        "-uall",
        "--show-stash",
    ]);
    print.insert(format!("{name}: status"), status);
    let staged = git(&["ls-files", "--stage", "-v", "--debug"]);
    let telling = |line: &&str| !line.starts_with("  ") || line.contains("flags");
    for entry in staged.lines().filter(telling).collect::<Vec<_>>().chunks(2) {
        let path = entry[0].split('\t').nth(1).unwrap();
        let stage = entry[0].split(' ').nth(3).unwrap_or_default();
        let stage = stage.split('\t').next().unwrap();
        // Whether it was written in the index's own second (size 0) is no content of it.
        let flags = entry[1].split("flags:").nth(1).unwrap_or_default();
        print.insert(
            format!("{name}: index {path} {stage}"),
            format!("{} {flags}", entry[0]),
        );
    }
    see_files(dir, dir, &name.to_string(), print);
}

fn see_files(top: &Path, dir: &Path, name: &str, print: &mut Print) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name == ".git") && dir == top {
            continue;
        }
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let below = path.strip_prefix(top).unwrap().display();
        let told = if meta.is_dir() {
            see_files(top, &path, name, print);
            format!("directory {:o}", meta.mode())
        } else {
            let text = std::fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let (seconds, part) = (meta.mtime(), meta.mtime_nsec());
            format!("{:o} {seconds}.{part:09} {text:?}", meta.mode())
        };
        print.insert(format!("{name}: file {below}"), told);
    }
}

/// Cuts out the lines from one that begins in a way to the next that begins in another.
fn without(text: &str, begin: &str, end: &str) -> String {
    let (mut kept, mut inside) = (String::new(), false);
    for line in text.split_inclusive('\n') {
        inside |= line.starts_with(begin);
        if !inside {
            kept.push_str(line);
        }
        inside &= !line.starts_with(end);
    }
    kept
}

fn files(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.append(&mut files(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap_or_default();
            found.insert(path, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    found
}

/// Fails the test where two fingerprints differ in anything but what is allowed.
#[track_caller]
pub fn same(before: &Print, after: &Print, what: &str, allowed: impl Fn(&str) -> bool) {
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.dedup();
    let differs = |key: &&&String| before.get(**key) != after.get(**key) && !allowed(key);
    let mut told: Vec<String> = keys
        .iter()
        .filter(differs)
        .map(|key| {
            format!(
                "{key}\n  before: {:?}\n  after:  {:?}",
                before.get(*key),
                after.get(*key)
            )
        })
        .collect();
    told.sort();
    told.dedup();
    assert!(
        told.is_empty(),
        "{what} changed what is not git-orch's:\n{}",
        told.join("\n")
    );
}
