//! A commit through our hooks against one without any, and a hook that has nothing to say against
//! `git rev-parse HEAD`.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark drives the program and its rival from outside"
)]

mod common;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use common::{command, git, interleaved, orch, report, tell};
use git_orch::git::Repo;
use git_orch::model::Attempt;
use git_orch::workspace::{self, Assignment};

/// What hooks may add to a commit.
const MOST: Duration = Duration::from_millis(25);

fn main() {
    let temp = tempfile::tempdir().unwrap();
    let top = temp.path().canonicalize().unwrap().join("repo");
    let dir = coder(&top);
    commits(&dir);
    silent_hooks(&top, &dir);
}

/// Makes a repository of some size and a coder's worktree; returns the worktree.
fn coder(top: &Path) -> PathBuf {
    std::fs::create_dir(top).unwrap();
    git(top, ["init", "-q", "-b", "main"]);
    for n in 0..2_000 {
        let path = top.join(format!("src/part{:02}/file{n}", n % 40));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{n}\n")).unwrap();
    }
    git(top, ["add", "-A"]);
    git(top, ["commit", "-q", "-m", "first"]);
    orch(top, ["init"]);
    let repo = Repo::discover(top).unwrap();
    let assignment = Assignment {
        agent: "1.2".parse().unwrap(),
        task: "auth".parse().unwrap(),
        attempt: Attempt(1),
        branch: String::from("orch/team-1/auth"),
        base: repo.resolve_commit("main").unwrap(),
        run: String::from("billing"),
    };
    let dir = workspace::prepare(&repo, &assignment).unwrap();
    let spec = "id = \"auth\"\nteam = 1\ntitle = \"x\"\nscope = [\"src/part01/**\"]\n";
    std::fs::write(top.join(".git/orch/worktrees/1.2.task.toml"), spec).unwrap();
    // A configuration that has been as it is for a while, as it has in real life.
    let config = std::fs::File::options()
        .append(true)
        .open(top.join(".git/config"));
    let hour_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    config.unwrap().set_modified(hour_ago).unwrap();
    dir
}

fn commits(dir: &Path) {
    let mut count = 0;
    let mut commit = |options: &[&str]| {
        count += 1;
        std::fs::write(dir.join("src/part01/file1"), format!("work {count}\n")).unwrap();
        let args = [options, &["commit", "-q", "-a", "-m", "work"]].concat();
        git(dir, args);
    };
    commit(&[]);
    let commit = std::cell::RefCell::new(commit);
    let (ours, rival) = interleaved(
        6,
        10,
        || commit.borrow_mut()(&[]),
        || commit.borrow_mut()(&["-c", "core.hooksPath=/dev/null"]),
    );
    let more = ours.saturating_sub(rival);
    let verdict = if more <= MOST { "met" } else { "MISSED" };
    tell("commit through our hooks, vs without hooks", ours, rival);
    println!(
        "{:<58} more {:>9.3} ms   target {:.3} ms {verdict}",
        "",
        more.as_secs_f64() * 1e3,
        MOST.as_secs_f64() * 1e3,
    );
}

fn silent_hooks(top: &Path, dir: &Path) {
    let hooks = top.join(".git/orch/hooks");
    let rev_parse = || {
        let status = command("git", dir)
            .args(["rev-parse", "HEAD"])
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    };
    let moved = format!("{0} {0} refs/heads/orch/team-1/auth\n", "1".repeat(40));
    let cases: [(&str, &[&str], &str); 4] = [
        ("post-commit", &[], ""),
        ("post-index-change", &["0", "0"], ""),
        ("reference-transaction", &["committed"], &moved),
        // This one has something to check; shown for comparison.
        ("reference-transaction", &["prepared"], &moved),
    ];
    for (name, args, stdin) in cases {
        let path = hooks.join(name);
        let call = || run(&mut command(path.to_str().unwrap(), dir), top, args, stdin);
        let (ours, rival) = interleaved(10, 30, call, rev_parse);
        let what = format!("{name} {}, vs git rev-parse HEAD", args.join(" "));
        match args.first() {
            Some(&"prepared") => tell(&what, ours, rival),
            _ => report(&what, ours, rival, 1.0),
        }
    }
}

/// Runs a hook as git does.
fn run(command: &mut Command, top: &Path, args: &[&str], stdin: &str) {
    let mut child = command
        .args(args)
        .env("GIT_DIR", top.join(".git/worktrees/orch-1.2"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // A hook that reads nothing has closed its end, which is no error.
    let _ = pipe.write_all(stdin.as_bytes());
    drop(pipe);
    assert!(child.wait().unwrap().success());
}
