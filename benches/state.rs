//! The state of the whole ledger from the snapshot, and a whole `git orch claim` process, against git's plumbing.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark drives the program and its rival from outside"
)]

mod common;

use std::hint::black_box;
use std::path::Path;

use common::run::{TEAMS, begin, change_by_git, read_by_git, statuses, task_id};
use common::{git, interleaved, orch, report, tell};
use git_orch::git::Repo;
use git_orch::ledger::Ledger;
use git_orch::model::{Actor, Wish};

fn main() {
    // Deleted at the end only: ext4 is slow at making files for minutes after many were deleted.
    let temps: Vec<_> = [(1_000, 0.18), (10_000, 0.10)]
        .map(|(tasks, target)| (tasks, target, tempfile::tempdir().unwrap()))
        .into();
    for (tasks, target, temp) in &temps {
        let dir = temp.path().join("repo");
        std::fs::create_dir(&dir).unwrap();
        begin(&dir, *tasks);
        git(&dir, ["branch", "rival", "orchestration"]);
        // A script is at its best on packed objects; the loose ones stay, see above.
        git(&dir, ["repack", "-a", "-q"]);
        // The first reader writes the snapshot.
        orch(&dir, ["status"]);
        state(*tasks, &dir);
        claim(*tasks, *target, &dir);
    }
}

/// From nothing to a board, against listing and reading every file.
fn state(tasks: u32, dir: &Path) {
    let repo = Repo::discover(dir).unwrap();
    let (ours, rival) = interleaved(
        6,
        5,
        || {
            let ledger = Ledger::open(repo.reopen().unwrap(), Actor::Human).unwrap();
            assert_eq!(black_box(ledger.board()).tasks.len(), tasks as usize);
        },
        || read_by_git(dir, "rival"),
    );
    let what = format!("state of {tasks} tasks vs ls-tree and cat-file");
    report(&what, ours, rival, 0.02);
    let (ours, rival) = interleaved(
        6,
        5,
        || {
            let ledger = Ledger::open(repo.reopen().unwrap(), Actor::Human).unwrap();
            let titles = ledger.board().tasks.values().map(|task| task.title.len());
            assert!(black_box(titles.sum::<usize>()) > 0);
        },
        || read_by_git(dir, "rival"),
    );
    // Opening reads what a look at all tasks takes; a task's own row is read when it is asked for.
    tell("the same, every row of it read", ours, rival);
    let ledger = Ledger::open(repo.reopen().unwrap(), Actor::Human).unwrap();
    let (ours, rival) = interleaved(
        6,
        5,
        || assert!(black_box(ledger.board()).choose(&Wish::default()).is_ok()),
        || drop(git(dir, ["rev-parse", "HEAD"])),
    );
    let what = format!("one choice among {tasks} ready tasks vs rev-parse");
    tell(&what, ours, rival);
}

/// A process that claims one task, against the same by plumbing; both work through tasks of one team.
fn claim(tasks: u32, target: f64, dir: &Path) {
    let names = statuses(dir, "rival");
    let (mut number, mut count) = (0, 0);
    let (ours, rival) = interleaved(
        6,
        // Each coder of the team holds one task at a time, and there are eight.
        1,
        || {
            let task = task_id(number * TEAMS).to_string();
            number += 1;
            let agent = format!("1.{number}");
            orch(dir, ["claim", &task, "--agent", &agent, "--no-worktree"]);
        },
        || {
            count += 1;
            change_by_git(dir, "rival", &names[count as usize], count);
        },
    );
    let what = format!("claim process, {tasks} tasks, vs git plumbing");
    report(&what, ours, rival, target);
}
