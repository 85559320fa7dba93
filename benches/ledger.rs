//! One transition of a long-lived writer against the same change by git plumbing.

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

use common::{command, git, interleaved, orch, report};
use git_orch::git::Repo;
use git_orch::ledger::Ledger;
use git_orch::model::board::Gate;
use git_orch::model::{Actor, AgentId, Ask, Claim, Op, Plan, PlanChange, TaskId, TaskSpec, TeamId};

const TEAMS: u32 = 16;

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
    git(&dir, ["init", "-q", "-b", "main"]);
    git(&dir, ["commit", "-q", "--allow-empty", "-m", "first"]);
    orch(&dir, ["init"]);
    let mut ledger = Ledger::open(Repo::discover(&dir).unwrap(), Actor::Human).unwrap();
    let plan = plan(tasks);
    let digests = plan.tasks.iter().map(TaskSpec::digest).collect();
    ledger
        .transact(Op::ApplyPlan(Box::new(PlanChange { plan, digests })))
        .unwrap();
    ledger.transact(Op::Dispatch(Gate::Submitted)).unwrap();
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
            let task: TaskId = format!("task-{:05}", number * TEAMS).parse().unwrap();
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
    let status_dir = "rival:.orchestration/teams/1/status";
    let listed = git(
        &dir,
        ["ls-tree", "-r", "--name-only", "--full-tree", status_dir],
    );
    let names: Vec<&str> = listed.lines().collect();
    let mut count = 0;
    let rival = || {
        count += 1;
        let name = names[count as usize / 2];
        plumbing(
            &dir,
            &format!(".orchestration/teams/1/status/{name}"),
            count,
        );
    };
    let (ours, rival) = interleaved(6, 20, ours, rival);
    report(
        &format!("transition, {tasks} tasks, vs git plumbing"),
        ours,
        rival,
        1.0 / 15.0,
    );
}

fn plan(tasks: u32) -> Plan {
    let mut plan = Plan::default();
    plan.run.limits.0.clear();
    for team in 1..=TEAMS {
        plan.teams
            .push(toml::from_str(&format!("id = {team}\ncoders = 8\n")).unwrap());
    }
    for number in 0..tasks {
        let id = format!("task-{number:05}").parse().unwrap();
        let team = TeamId(number % TEAMS + 1);
        let mut task = TaskSpec::new(id, team, format!("Write part {number} of the whole"));
        task.context =
            String::from("What there is to know about it, in a few sentences of prose. ").repeat(5);
        task.scope = vec![format!("src/part{number}/**")];
        task.deliverables = vec![format!("src/part{number}/mod.rs")];
        plan.tasks.push(task);
    }
    plan
}

/// The same change as a claim, the way a script does it: an index of its own, eight processes.
fn plumbing(dir: &Path, path: &str, count: u32) {
    let index = dir.join(".git/rival.index");
    let run = |args: &[&str], stdin: Option<&str>| {
        let mut child = command("git", dir)
            .env("GIT_INDEX_FILE", &index)
            .args(args)
            .stdin(if stdin.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        if let Some(text) = stdin {
            child
                .stdin
                .take()
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {args:?} failed");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let tip = run(&["rev-parse", "refs/heads/rival"], None);
    run(&["cat-file", "blob", &format!("{tip}:{path}")], None);
    let text = format!("state = \"claimed\"\nagent = \"1.1\"\nattempt = {count}\n");
    let blob = run(&["hash-object", "-w", "--stdin"], Some(&text));
    run(&["read-tree", &tip], None);
    run(
        &[
            "update-index",
            "--cacheinfo",
            &format!("100644,{blob},{path}"),
        ],
        None,
    );
    let tree = run(&["write-tree"], None);
    let message = format!("[TEAM-1] [AGENT-1.1] claim: {path}\n\nOrch-Event: claim\n");
    let commit = run(&["commit-tree", &tree, "-p", &tip], Some(&message));
    run(&["update-ref", "refs/heads/rival", &commit, &tip], None);
}
