//! A ledger whose truth is at a bare repository: sixteen operations in one push against sixteen pushes, and
//! eight clones that claim as fast as they can.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark drives the program from outside"
)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use common::run::begin_with;
use common::{git, interleaved, jain, orch, report};
use git_orch::git::Repo;
use git_orch::ledger::Ledger;
use git_orch::model::{Actor, Ask, CommitId, Op, Wish};

const CLONES: usize = 8;
const SATURATED: Duration = Duration::from_secs(10);

fn main() {
    // Deleted at the end only: ext4 is slow at making files for minutes after many were deleted.
    let temps: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    for (temp, config) in temps.iter().zip([None, Some("1")]) {
        batches(temp.path(), config);
    }
    saturated(temps[2].path());
}

/// A bare repository on this disk with a ledger of which it is the truth; returns a writer of the ledger.
fn published(temp: &Path, unpack_limit: Option<&str>) -> Ledger {
    let (dir, bare) = (temp.join("repo"), temp.join("central.git"));
    git(temp, ["init", "-q", "--bare", "-b", "main", "central.git"]);
    if let Some(limit) = unpack_limit {
        git(&bare, ["config", "receive.unpackLimit", limit]);
    }
    drop(begin_with(&dir, 16, 64, 1_000));
    let url = format!("file://{}", bare.display());
    git(&dir, ["remote", "add", "origin", &url]);
    git(&dir, ["push", "-q", "origin", "main"]);
    orch(&dir, ["init", "--remote", "origin"]);
    open(&dir)
}

fn open(dir: &Path) -> Ledger {
    Ledger::open(Repo::discover(dir).unwrap(), Actor::Executor).unwrap()
}

fn claim_any(ledger: &Ledger) -> Op {
    let base = ledger.repo().resolve_commit("main").unwrap().to_string();
    let teams = ledger.board().teams.keys().copied();
    Op::Claim(Box::new(Ask {
        wish: Wish::default(),
        starts: teams.map(|team| (team, CommitId(base.clone()))).collect(),
        ..Ask::default()
    }))
}

fn batches(temp: &Path, unpack_limit: Option<&str>) {
    let ledger = std::cell::RefCell::new(published(temp, unpack_limit));
    let carry_out = |count: usize| {
        let mut ledger = ledger.borrow_mut();
        let intents = (0..count).map(|_| {
            let op = claim_any(&ledger);
            ledger.intent(Actor::Executor, op)
        });
        let intents = intents.collect();
        for outcome in ledger.carry_out(intents).unwrap() {
            outcome.unwrap();
        }
    };
    let one_by_one = || (0..16).for_each(|_| carry_out(1));
    let (ours, rival) = interleaved(5, 2, || carry_out(16), one_by_one);
    let limit = unpack_limit.unwrap_or("git's default");
    let what = format!("16 operations in one push vs 16 pushes, unpackLimit {limit}");
    report(&what, ours, rival, 1.0 / 5.0);
}

fn saturated(temp: &Path) {
    drop(published(temp, None));
    let clones: Vec<PathBuf> = (0..CLONES)
        .map(|n| {
            let parent = temp.join(format!("m{n}"));
            std::fs::create_dir(&parent).unwrap();
            let url = format!("file://{}", temp.join("central.git").display());
            git(&parent, ["clone", "-q", &url, "repo"]);
            let dir = parent.join("repo");
            orch(&dir, ["init"]);
            dir
        })
        .collect();
    let begin = Barrier::new(CLONES);
    let shares: Vec<u32> = std::thread::scope(|scope| {
        let claims = |dir: &PathBuf| {
            let (dir, begin) = (dir.clone(), &begin);
            scope.spawn(move || {
                let mut ledger = open(&dir);
                let op = claim_any(&ledger);
                begin.wait();
                let (begun, mut claimed) = (Instant::now(), 0);
                while begun.elapsed() < SATURATED {
                    let done = ledger.try_transact(Actor::Executor, op.clone()).unwrap();
                    claimed += u32::from(done.is_ok());
                }
                claimed
            })
        };
        let workers: Vec<_> = clones.iter().map(claims).collect();
        workers.into_iter().map(|w| w.join().unwrap()).collect()
    });
    let fairness = jain(&shares.iter().map(|n| f64::from(*n)).collect::<Vec<_>>());
    let least = shares.iter().min().unwrap();
    let met = fairness >= 0.85 && *least > 0;
    println!(
        "{CLONES} saturated clones, {} s: claims {shares:?}, fairness {fairness:.2}, target 0.85 and nobody at 0 {}",
        SATURATED.as_secs(),
        if met { "met" } else { "MISSED" }
    );
}
