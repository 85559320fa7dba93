//! `git orch status --json` against `git rev-parse HEAD`, which does as little as a git command can.
//!
//! Both are run in turn in one process; medians and their ratio are printed, and the target.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark drives programs and prints what it finds"
)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use git_orch::git::Repo;
use git_orch::ledger::Ledger;
use git_orch::model::{
    Actor, Gate, Op, PhaseName, PhaseSpec, Plan, PlanChange, Settings, TaskSpec, TeamId, TeamSpec,
};

const ROUNDS: usize = 41;

fn main() {
    for (tasks, target) in [(1_000, 5.0), (10_000, 25.0)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("repo");
        prepare(&path, tasks);
        let ours = || {
            time(
                Command::new(env!("CARGO_BIN_EXE_git-orch")).args(["status", "--json"]),
                &path,
            )
        };
        let rival = || time(Command::new("git").args(["rev-parse", "HEAD"]), &path);
        for _ in 0..3 {
            ours();
            rival();
        }
        let (mut us, mut them) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            us.push(ours());
            them.push(rival());
        }
        let (us, them) = (median(us), median(them));
        let ratio = us.as_secs_f64() / them.as_secs_f64();
        println!(
            "status --json, {tasks} tasks: {us:.2?}; git rev-parse HEAD: {them:.2?}; ratio {ratio:.2}, target at most {target}"
        );
    }
}

/// Makes a repository whose ledger has tasks in ten teams, all of them dispatched.
fn prepare(path: &Path, tasks: usize) {
    let git = |args: &[&str]| {
        let status = Command::new("git").arg("-C").arg(path).args(args).status();
        assert!(status.unwrap().success(), "{args:?}");
    };
    std::fs::create_dir_all(path).unwrap();
    git(&["init", "-q", "-b", "main"]);
    git(&["config", "user.name", "Bench"]);
    git(&["config", "user.email", "bench@example.com"]);
    git(&["commit", "-q", "--allow-empty", "-m", "first"]);
    Ledger::create(Repo::discover(path).unwrap(), Settings::default()).unwrap();
    let mut plan = Plan::default();
    for id in 1..=10 {
        plan.teams.push(TeamSpec {
            id: TeamId(id),
            name: format!("Team {id}"),
            coders: 4,
            parent: None,
            agent: None,
            model: None,
            skills: Vec::new(),
            agents: Vec::new(),
        });
    }
    plan.phases.push(PhaseSpec {
        name: PhaseName(String::from("all")),
        teams: (1..=10).map(TeamId).collect(),
        after: Vec::new(),
    });
    for number in 0..tasks {
        let id = format!("task-{number:05}").parse().unwrap();
        let team = TeamId(u32::try_from(number % 10).unwrap() + 1);
        let title = format!("Do what task {number} asks for");
        plan.tasks.push(TaskSpec::new(id, team, title));
    }
    let mut ledger = Ledger::open(Repo::discover(path).unwrap(), Actor::Human).unwrap();
    ledger
        .transact(Op::ApplyPlan(Box::new(PlanChange::new(plan))))
        .unwrap();
    ledger.transact(Op::Dispatch(Gate::default())).unwrap();
}

fn time(command: &mut Command, dir: &Path) -> Duration {
    command.current_dir(dir).stdout(Stdio::null());
    let start = Instant::now();
    assert!(command.status().unwrap().success());
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
