//! The gate's judgement of a branch against `git log --stat` of the same commits, and what branches cost that are
//! as large as a plan lets them be.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark drives the program and its rival from outside"
)]

mod common;

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use common::{command, git, interleaved, report, time};
use git_orch::git::{Oid, Repo};
use git_orch::hooks::gate::{self, Branch, Rule};
use git_orch::model::{GateSpec, TaskId, TeamId};

/// Files of the repository before the branch.
const FILES: u32 = 2_000;

fn main() {
    let temp = tempfile::tempdir().unwrap();
    let top = temp.path().canonicalize().unwrap().join("repo");
    std::fs::create_dir(&top).unwrap();
    git(&top, ["init", "-q", "-b", "main"]);
    feed(&top, &base());
    git(&top, ["branch", "others", "main"]);
    feed(&top, &branch("small", 20, 10));
    feed(&top, &branch("merging", 19, 10));
    merge(&top);
    feed(&top, &branch("long", 10_000, 1));
    feed(&top, &branch("wide", 1, 100_000));
    for (name, what) in [
        ("small", "20 commits, 200 files, vs git log --stat"),
        ("merging", "20 commits, one a merge, vs git log --stat"),
    ] {
        let (ours, rival) = interleaved(5, 4, || check(&top, name, &[]), || log_stat(&top, name));
        report(what, ours, rival, 3.0);
    }
    for (name, what) in [
        ("long", "10,000 commits"),
        ("wide", "one commit of 100,000 files"),
    ] {
        let ours = time(|| check(&top, name, &[]));
        let rival = time(|| log_stat(&top, name));
        report(&format!("{what}, vs git log --stat"), ours, rival, 3.0);
    }
}

/// Judges a branch as a command does: from opening the repository on.
fn check(top: &Path, name: &str, expected: &[Rule]) {
    let repo = Repo::discover(top).unwrap();
    let oid = |name: &str| -> Oid {
        repo.read_ref(&format!("refs/heads/{name}"))
            .unwrap()
            .unwrap()
    };
    let task: TaskId = "mine".parse().unwrap();
    let scope = [String::from("src/**"), String::from("docs/**")];
    let others = [("theirs".parse().unwrap(), oid("others"))];
    let findings = gate::check(
        &repo,
        &Branch {
            task: &task,
            team: TeamId(1),
            scope: &scope,
            deliverables: &[],
            gate: &GateSpec::default(),
            base: oid("main"),
            head: oid(name),
            tip: oid("main"),
            allowed: &[],
            others: &others,
        },
    );
    let findings = findings.unwrap();
    let rules: Vec<Rule> = findings.iter().map(|finding| finding.rule).collect();
    assert_eq!(rules, expected, "{:?}", findings.first());
}

fn log_stat(top: &Path, name: &str) {
    let range = format!("main..{name}");
    let status = command("git", top)
        .args(["log", "--stat", &range])
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
}

fn merge(top: &Path) {
    let tree = git(top, ["rev-parse", "merging^{tree}"]);
    let with = git(top, ["rev-parse", "merging~5"]);
    let message = message("merge", 0);
    let commit = command("git", top)
        .envs([
            ("GIT_AUTHOR_NAME", "AGENT-1.1"),
            ("GIT_AUTHOR_EMAIL", "agent-1.1@host.invalid"),
            ("GIT_COMMITTER_NAME", "AGENT-1.1"),
            ("GIT_COMMITTER_EMAIL", "agent-1.1@host.invalid"),
        ])
        .args([
            "commit-tree",
            &tree,
            "-p",
            "merging",
            "-p",
            &with,
            "-m",
            &message,
        ])
        .output()
        .unwrap();
    let commit = String::from_utf8(commit.stdout).unwrap();
    git(top, ["update-ref", "refs/heads/merging", commit.trim()]);
}

fn message(what: &str, number: u32) -> String {
    format!("[TEAM-1] [AGENT-1.1] {what} {number}\n\nOrch-Task: mine\nOrch-Agent: 1.1\n")
}

fn base() -> String {
    let mut script = String::from("commit refs/heads/main\n");
    script += "committer Ann <ann@example.org> 1700000000 +0000\ndata 5\nfirst\n";
    for n in 0..FILES {
        let path = format!("src/part{:02}/file{n}", n % 40);
        script += &file(&path, &format!("{n}\n").repeat(20));
    }
    script + "\n"
}

/// A branch of commits that change some files each.
fn branch(name: &str, commits: u32, files: u32) -> String {
    let mut script = String::new();
    for number in 0..commits {
        let message = message("change", number);
        script += &format!(
            "commit refs/heads/{name}\ncommitter AGENT-1.1 <agent-1.1@host.invalid> {} +0000\ndata {}\n{message}\n",
            1_700_000_100 + number,
            message.len()
        );
        if number == 0 {
            script += "from refs/heads/main\n";
        }
        for n in 0..files {
            let n = number * files + n;
            // Old files and new ones, in directories of some size.
            let path = match n % 2 {
                0 => format!("src/part{:02}/file{}", n % FILES % 40, n % FILES),
                _ => format!("docs/{:03}/{name}{n}", n % 500),
            };
            script += &file(&path, &format!("{name} {n}\n").repeat(10));
        }
        script.push('\n');
    }
    script
}

fn file(path: &str, text: &str) -> String {
    format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len())
}

fn feed(top: &Path, script: &str) {
    let mut child = command("git", top)
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}
