//! Conflicts among branches in flight: the radar against clash, and against a merge for every pair.
//!
//! Only what is installed is measured: `cargo install clash-sh --version 0.2.0 --locked`.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark drives the program and its rivals from outside"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use common::{ORCH, command, git, interleaved, median, orch, report, tell, time};

const ROUNDS: usize = 7;

fn main() {
    let temp = tempfile::tempdir().unwrap();
    worktrees(temp.path());
    many(temp.path());
}

/// Sixteen worktrees with a commit of their own, as `clash status` looks at them.
fn worktrees(temp: &Path) {
    let dir = project(&temp.join("worktrees"), 3000);
    for number in 0..16 {
        let path = format!("../trees/{number}");
        let branch = format!("b{number:02}");
        git(&dir, ["worktree", "add", "-q", "-b", &branch, &path]);
        change(&dir.join(&path), number);
    }
    // Files as old as the index are read again by git each time; agents take longer than a second.
    std::thread::sleep(Duration::from_millis(1_100));
    for number in 0..16 {
        git(
            &temp.join(format!("worktrees/trees/{number}")),
            ["status", "-s"],
        );
    }
    let rival = installed("clash");
    for (what, more) in [
        ("16 worktrees, commits only", Some("--committed")),
        ("16 worktrees, with uncommitted work", None),
    ] {
        let ours = || orch(&dir, ["--json", "radar"].into_iter().chain(more));
        let Some(clash) = &rival else {
            println!(
                "not installed: clash; {what}: ours {:?}",
                median((0..ROUNDS).map(|_| time(ours)).collect())
            );
            continue;
        };
        // It exits with a code of its own where there are conflicts.
        let theirs = || {
            let mut status = command(clash.to_str().unwrap(), &dir);
            status.args(["status", "--json"]).stdout(Stdio::null());
            status.status().unwrap();
        };
        let (a, b) = interleaved(ROUNDS, 1, ours, theirs);
        report(&format!("{what}, vs clash, commits only"), a, b, 1.0 / 3.0);
    }
}

/// Forty-eight branches in a repository of several thousand files; then one of them moves.
fn many(temp: &Path) {
    let dir = project(&temp.join("many"), 6000);
    for number in 0..48 {
        git(
            &dir,
            ["switch", "-q", "-c", &format!("b{number:02}"), "main"],
        );
        change(&dir, number);
    }
    git(&dir, ["switch", "-q", "main"]);
    let (a, b) = interleaved(
        3,
        1,
        || orch(&dir, ["--json", "radar"]),
        || {
            // As scripts do it: a merge for every pair.
            for one in 0..48 {
                for other in one + 1..48 {
                    let pair = [format!("b{one:02}"), format!("b{other:02}")];
                    let mut merge = command("git", &dir);
                    merge.args(["merge-tree", "--write-tree"]).args(pair);
                    merge.stdout(Stdio::null()).status().unwrap();
                }
            }
        },
    );
    tell("48 branches of 6000 files, vs a merge for every pair", a, b);
    within("48 branches of 6000 files", a, Duration::from_secs(2));
    // Where git-orch is at home, what is known is kept.
    orch(&dir, ["init"]);
    orch(&dir, ["--json", "radar", "--onto", "main"]);
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        git(&dir, ["switch", "-q", "b07"]);
        std::fs::write(dir.join(format!("new-{round}")), "new\n").unwrap();
        git(&dir, ["add", "-A"]);
        git(&dir, ["commit", "-q", "-m", "more"]);
        git(&dir, ["switch", "-q", "main"]);
        let ours = || orch(&dir, ["--json", "radar", "--onto", "main", "--committed"]);
        times.push(time(ours));
    }
    within(
        "the same after one moved",
        median(times),
        Duration::from_millis(50),
    );
    let ours = || orch(&dir, ["--json", "radar", "--onto", "main", "--committed"]);
    let (a, b) = interleaved(ROUNDS, 3, ours, || {
        let status = command(ORCH, &dir)
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    });
    tell("the same with nothing new, vs `git-orch --version`", a, b);
}

fn within(what: &str, took: Duration, target: Duration) {
    let verdict = if took <= target { "met" } else { "MISSED" };
    println!("{what:<58} ours {took:>9.1?}   target {target:?} {verdict}");
}

fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|dir| dir.join(name));
    places.find(|place| place.is_file())
}

/// Every branch: four files of its own, and one of eight that it shares with others; half of those that share
/// change the same lines.
fn change(dir: &Path, number: usize) {
    for part in 0..4 {
        let own = (number * 4 + part) * 7 % 2900;
        edit(&dir.join(path(own)), 3, &format!("own {number}"));
    }
    let shared = dir.join(path(2990 + number % 8));
    edit(
        &shared,
        5 + 10 * (number / 8 % 2),
        &format!("shared {number}"),
    );
    git(dir, ["add", "-A"]);
    git(dir, ["commit", "-q", "-m", &format!("change {number}")]);
}

fn edit(file: &Path, line: usize, text: &str) {
    let old = std::fs::read_to_string(file).unwrap();
    let mut lines: Vec<&str> = old.lines().collect();
    lines[line] = text;
    std::fs::write(file, lines.join("\n") + "\n").unwrap();
}

fn path(number: usize) -> PathBuf {
    PathBuf::from(format!("d{}/s{}/f{number}.txt", number % 8, number % 80))
}

/// A repository of many files of fifty lines, with twenty commits and packed as a clone is.
fn project(dir: &Path, files: usize) -> PathBuf {
    std::fs::create_dir_all(dir).unwrap();
    let dir = dir.canonicalize().unwrap().join("repo");
    for number in 0..files {
        let file = dir.join(path(number));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let text: String = (0..50)
            .map(|n| format!("line {n} of file {number}\n"))
            .collect();
        std::fs::write(file, text).unwrap();
    }
    git(&dir, ["init", "-q", "-b", "main"]);
    git(&dir, ["add", "-A"]);
    git(&dir, ["commit", "-q", "-m", "files"]);
    for number in 0..20 {
        edit(
            &dir.join(path(number * 31)),
            40,
            &format!("commit {number}"),
        );
        git(
            &dir,
            ["commit", "-q", "-a", "-m", &format!("commit {number}")],
        );
    }
    git(&dir, ["repack", "-adq"]);
    dir
}
