//! One transition of a long-lived writer against the same change by git plumbing.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark drives the program and its rival from outside"
)]

mod common;

use std::path::Path;

use common::run::{TEAMS, begin, change_by_git, statuses, task_id};
use common::{git, interleaved, report};
use git_orch::git::Repo;
use git_orch::ledger::Ledger;
use git_orch::model::{Actor, AgentId, Ask, Claim, Op};

fn main() {
    // Deleted at the end only: ext4 is slow at making files for minutes after many were deleted.
    let temps: Vec<_> = [1_000, 10_000]
        .map(|tasks| (tasks, tempfile::tempdir().unwrap()))
        .into();
    for (tasks, temp) in &temps {
        transitions(*tasks, temp.path());
    }
}

/// Claims and releases on a ledger of so many tasks, by a long-lived writer and by a script.
fn transitions(tasks: u32, temp: &Path) {
    let dir = temp.join("repo");
    std::fs::create_dir(&dir).unwrap();
    begin(&dir, tasks);
    let mut ledger = Ledger::open(Repo::discover(&dir).unwrap(), Actor::Human).unwrap();
    git(&dir, ["branch", "rival", "orchestration"]);
    // A script is at its best on packed objects; the loose ones stay, see above.
    git(&dir, ["repack", "-a", "-q"]);

    let agent: AgentId = "1.1".parse().unwrap();
    let mut number = 0;
    let mut held: Option<Claim> = None;
    let ours = || match held.take() {
        Some(claim) => {
            ledger
                .transact(Op::Release(claim, String::from("next")))
                .unwrap();
        }
        None => {
            let task = task_id(number * TEAMS);
            number += 1;
            let op = Op::Claim(Box::new(Ask::named(task.clone(), agent, None)));
            ledger.transact(op).unwrap();
            let attempt = ledger.board().tasks[&task].status.attempt;
            held = Some(Claim {
                task,
                agent,
                attempt,
            });
        }
    };
    let names = statuses(&dir, "rival");
    let mut count = 0;
    let rival = || {
        count += 1;
        change_by_git(&dir, "rival", &names[count as usize / 2], count);
    };
    let (ours, rival) = interleaved(6, 20, ours, rival);
    report(
        &format!("transition, {tasks} tasks, vs git plumbing"),
        ours,
        rival,
        1.0 / 15.0,
    );
}
