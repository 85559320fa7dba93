//! Claims per second of many long-lived writers, as processes, against git plumbing under one lock.
//!
//! The benchmark starts itself as its workers: all of them wait at a gate, then claim until a number of claims
//! is reached. Ours and the rival's runs alternate; medians are printed. `ORCH_BENCH_WIDTHS=2,8` sets widths.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark drives the program and its rival from outside"
)]

mod common;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::run::begin_with;
use common::script::{claim_by_plumbing, fork_for_script, script_tasks};
use common::{command, jain};
use git_orch::git::Repo;
use git_orch::ledger::Ledger;
use git_orch::model::{Actor, Ask, CommitId, Op, Wish};

const TASKS: u32 = 1_000;
const TEAMS: u32 = 128;

/// How many processes, how many times a claim of ours is faster at least, and the least fairness.
const WIDTHS: [(usize, f64, f64); 4] = [
    (2, 14.0, 0.9),
    (8, 10.0, 0.9),
    (32, 7.0, 0.9),
    (128, 4.0, 0.0),
];

fn main() {
    if let Ok(who) = std::env::var("ORCH_BENCH_WORKER") {
        worker(&who);
        return;
    }
    let wanted = std::env::var("ORCH_BENCH_WIDTHS").unwrap_or_default();
    let wanted: Vec<usize> = wanted.split(',').filter_map(|n| n.parse().ok()).collect();
    // Deleted at the end only: ext4 is slow at making files for minutes after many were deleted.
    let mut temps = Vec::new();
    for (width, times, fair) in WIDTHS {
        if !wanted.is_empty() && !wanted.contains(&width) {
            continue;
        }
        let (mut ours, mut rival) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let temp = tempfile::tempdir().unwrap();
            let dir = temp.path().join("repo");
            drop(begin_with(&dir, TEAMS, 8, TASKS));
            fork_for_script(&dir);
            ours.push(run(temp.path(), width, "ours", TASKS as usize));
            rival.push(run(temp.path(), width, "rival", 60.max(width)));
            temps.push(temp);
        }
        let (ours, rival) = (middle(ours), middle(rival));
        println!("{width:>3} processes  ours   {}", ours.text());
        println!("{width:>3} processes  rival  {}", rival.text());
        let ratio = ours.rate / rival.rate;
        let verdict = |met| if met { "met" } else { "MISSED" };
        println!(
            "{width:>3} processes  {ratio:>6.1} times as fast, target {times} {}; fairness {:.2}, target {fair} {}",
            verdict(ratio >= times),
            ours.fairness,
            verdict(ours.fairness >= fair),
        );
    }
}

/// What one run came to.
struct Run {
    rate: f64,
    p50: Duration,
    p99: Duration,
    fairness: f64,
}

impl Run {
    fn text(&self) -> String {
        format!(
            "{:>7.0} claims/s   p50 {:>8.2} ms   p99 {:>8.2} ms   Jain {:.2}",
            self.rate,
            self.p50.as_secs_f64() * 1e3,
            self.p99.as_secs_f64() * 1e3,
            self.fairness
        )
    }
}

/// The run of median rate.
fn middle(mut runs: Vec<Run>) -> Run {
    runs.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    runs.swap_remove(runs.len() / 2)
}

fn open(dir: &Path) -> Ledger {
    Ledger::open(Repo::discover(dir).unwrap(), Actor::Executor).unwrap()
}

/// Starts workers, lets them go at once, and waits for the last claim; what each did comes in over its pipe.
fn run(temp: &Path, width: usize, side: &str, claims: usize) -> Run {
    let dir = temp.join("repo");
    let program = std::env::current_exe().unwrap();
    let gate = temp.join(format!("{side}.gate"));
    let closed = File::create(&gate).unwrap();
    closed.lock().unwrap();
    let mut workers: Vec<Child> = (0..width)
        .map(|_| {
            command(program.to_str().unwrap(), &dir)
                .env("ORCH_BENCH_WORKER", format!("{side} {claims}"))
                .env("ORCH_BENCH_GATE", &gate)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut outputs: Vec<_> = workers
        .iter_mut()
        .map(|worker| BufReader::new(worker.stdout.take().unwrap()).lines())
        .collect();
    for output in &mut outputs {
        assert_eq!(output.next().unwrap().unwrap(), "ready");
    }
    let begin = Instant::now();
    drop(closed);
    for worker in &mut workers {
        assert!(worker.wait().unwrap().success(), "a worker failed");
    }
    let took = begin.elapsed();
    let (mut times, mut shares) = (Vec::new(), Vec::new());
    for output in outputs {
        let mut mine = 0_u32;
        for line in output {
            times.push(Duration::from_nanos(line.unwrap().parse().unwrap()));
            mine += 1;
        }
        shares.push(f64::from(mine));
    }
    times.sort_unstable();
    assert_eq!(times.len(), claims, "every claim is somebody's, once");
    let claims = f64::from(u32::try_from(times.len()).unwrap());
    Run {
        rate: claims / took.as_secs_f64(),
        p50: times[times.len() / 2],
        p99: times[times.len() * 99 / 100],
        fairness: jain(&shares),
    }
}

/// A worker process: waits at the gate, claims until nothing is left, tells how long each claim took.
fn worker(who: &str) {
    let mut words = who.split(' ');
    let side = words.next().unwrap();
    let claims: usize = words.next().unwrap().parse().unwrap();
    let dir = std::env::current_dir().unwrap();
    let mut ledger = open(&dir);
    let base = ledger.repo().resolve_commit("main").unwrap().to_string();
    let rival = script_tasks(&dir);
    let gate = File::open(std::env::var("ORCH_BENCH_GATE").unwrap()).unwrap();
    println!("ready");
    std::io::stdout().flush().unwrap();
    gate.lock_shared().unwrap();
    drop(gate);
    let mut times = Vec::new();
    loop {
        let begin = Instant::now();
        let claimed = if side == "ours" {
            claim(&mut ledger, &base)
        } else {
            claim_by_plumbing(&dir, &rival[..claims])
        };
        if !claimed {
            break;
        }
        times.push(begin.elapsed());
    }
    let mut text = String::new();
    for time in &times {
        text.push_str(&format!("{}\n", time.as_nanos()));
    }
    std::io::stdout().write_all(text.as_bytes()).unwrap();
}

/// Claims whatever is best for whoever is free.
fn claim(ledger: &mut Ledger, base: &str) -> bool {
    let starts = ledger.board().teams.keys().copied();
    let starts = starts.map(|team| (team, CommitId(base.to_owned())));
    let ask = Ask {
        wish: Wish::default(),
        starts: starts.collect(),
        ..Ask::default()
    };
    let op = Op::Claim(Box::new(ask));
    ledger.try_transact(Actor::Executor, op).unwrap().is_ok()
}
