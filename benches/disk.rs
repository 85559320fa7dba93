//! What a run leaves on the disk before and after packing, and how fast the ledger is on either.
//!
//! `cargo bench --bench disk [-- <tasks>…]`; 1,000 and 10,000 tasks where none is named. A run is made twice:
//! packed at its end only, and packed whenever that is due.

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

use common::run::{Run, STEPS, begin, claim_and_release, extra_task};
use common::{git, interleaved, tell, time};
use git_orch::git::Repo;
use git_orch::ledger::{Ledger, pack};
use git_orch::model::Actor;

/// Bytes of disk that a transition may cost after packing.
const TARGET: f64 = 1.5 * 1024.0;

fn main() {
    let named: Vec<u32> = std::env::args()
        .filter_map(|word| word.parse().ok())
        .collect();
    let sizes = if named.is_empty() {
        vec![1_000, 10_000]
    } else {
        named
    };
    // Deleted at the end only: ext4 is slow at making files for minutes after many were deleted.
    let temps: Vec<_> = sizes.iter().map(|_| tempfile::tempdir().unwrap()).collect();
    for (tasks, temp) in sizes.iter().zip(&temps) {
        growth(*tasks, &temp.path().join("packed-as-it-goes"));
    }
    for (tasks, temp) in sizes.iter().zip(&temps) {
        before_and_after(*tasks, &temp.path().join("packed-at-the-end"));
    }
}

fn open(dir: &Path) -> Ledger {
    Ledger::open(Repo::discover(dir).unwrap(), Actor::Human).unwrap()
}

/// A whole run, packed whenever it is due: what each thousand tasks add.
fn growth(tasks: u32, dir: &Path) {
    std::fs::create_dir(dir).unwrap();
    begin(dir, tasks);
    let mut ledger = open(dir);
    pack::pack(ledger.repo(), ledger.ref_name()).unwrap();
    let at_first = kib(dir);
    let (mut before, mut packings, mut packing) = (at_first, 0, std::time::Duration::ZERO);
    let (mut highest, mut run) = (0, Run::new(tasks));
    while run.step(&mut ledger) {
        if ledger.take_due() {
            highest = highest.max(kib(dir));
            packing += time(|| drop(pack::pack(ledger.repo(), ledger.ref_name()).unwrap()));
            packings += 1;
        }
        if run.transitions.is_multiple_of(1_000 * STEPS) {
            let now = kib(dir);
            let grown = now.saturating_sub(before);
            println!(
                "{:>6} tasks done: {now:>8} KiB, {grown:>6} KiB more",
                run.transitions / STEPS
            );
            before = now;
        }
    }
    pack::pack(ledger.repo(), ledger.ref_name()).unwrap();
    let left = kib(dir) - at_first;
    println!(
        "{tasks} tasks x {STEPS}, packed {packings} times in {packing:.1?}, at most {highest} KiB on the way: \
         {left} KiB left"
    );
    verdict("a transition, packed as it goes", left, run.transitions);
}

/// A whole run without packing, then packed at once; reads, claims and the log on either.
fn before_and_after(tasks: u32, dir: &Path) {
    std::fs::create_dir(dir).unwrap();
    begin(dir, tasks);
    let mut ledger = open(dir);
    let at_first = kib(dir);
    let mut run = Run::new(tasks);
    while run.step(&mut ledger) {}
    println!(
        "{tasks} tasks x {STEPS}, loose: {:.2} KiB a transition",
        f64::from(kib(dir) - at_first) / f64::from(run.transitions)
    );
    usable("loose", tasks, dir, &mut ledger);
    let packing = time(|| drop(pack::pack(ledger.repo(), ledger.ref_name()).unwrap()));
    println!("{tasks} tasks x {STEPS}, packed at once in {packing:.1?}");
    verdict(
        "a transition with the plan, packed at once",
        kib(dir),
        run.transitions,
    );
    usable("packed", tasks, dir, &mut ledger);
}

/// Times what people and agents wait for, next to the same by git.
fn usable(how: &str, tasks: u32, dir: &Path, ledger: &mut Ledger) {
    let what = |what: &str| format!("{what}, {tasks} tasks, {how}");
    let (ours, rival) = interleaved(
        3,
        1,
        || {
            // Without the cache everything is read from the objects.
            let _ = std::fs::remove_file(dir.join(".git/orch/snapshot"));
            black_box(open(dir));
        },
        || common::run::read_by_git(dir, "orchestration"),
    );
    tell(
        &what("state, cache deleted, vs ls-tree and cat-file"),
        ours,
        rival,
    );
    let (ours, rival) = interleaved(
        3,
        5,
        || drop(black_box(open(dir))),
        || common::run::read_by_git(dir, "orchestration"),
    );
    tell(&what("state vs ls-tree and cat-file"), ours, rival);
    let (ours, rival) = interleaved(
        3,
        1,
        || assert!(ledger.history().all(|entry| black_box(entry).is_ok())),
        || {
            drop(git(
                dir,
                ["log", "--format=%H %ct %an%n%B", "orchestration"],
            ))
        },
    );
    tell(&what("log vs git log"), ours, rival);
    let task = extra_task(ledger);
    let claims = common::median(
        (0..20)
            .map(|_| time(|| claim_and_release(ledger, &task)) / 2)
            .collect(),
    );
    println!(
        "{:<58} ours {:>9.3} ms",
        what("transition"),
        claims.as_secs_f64() * 1e3
    );
}

fn verdict(what: &str, kib: u32, transitions: u32) {
    let each = f64::from(kib) * 1024.0 / f64::from(transitions);
    let verdict = if each <= TARGET { "met" } else { "MISSED" };
    println!(
        "{what:<58} {:.2} KiB   target {:.2} {verdict}",
        each / 1024.0,
        TARGET / 1024.0
    );
}

/// Disk that the object store takes.
fn kib(dir: &Path) -> u32 {
    let output = common::command("du", dir)
        .args(["-sk", ".git/objects"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}
