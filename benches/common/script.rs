//! Ledgers of many ready tasks, and the script that claims them by git plumbing under one lock.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use git_orch::git::Repo;
use git_orch::ledger::Ledger;
use git_orch::model::board::Gate;
use git_orch::model::{Actor, Op, Plan, PlanChange, TaskSpec, TeamId};

use super::{command, git, orch};

/// Makes a repository with a ledger of independent tasks, all ready.
pub fn ready_ledger(dir: &Path, teams: u32, coders: u32, tasks: u32) -> Ledger {
    std::fs::create_dir(dir).unwrap();
    git(dir, ["init", "-q", "-b", "main"]);
    git(dir, ["commit", "-q", "--allow-empty", "-m", "first"]);
    orch(dir, ["init"]);
    let repo = Repo::discover(dir).unwrap();
    let mut ledger = Ledger::open(repo, Actor::Executor).unwrap();
    let plan = plan(teams, coders, tasks);
    let digests = plan.tasks.iter().map(TaskSpec::digest).collect();
    let change = PlanChange { plan, digests };
    ledger
        .transact_as(Actor::Human, Op::ApplyPlan(Box::new(change)))
        .unwrap();
    ledger.transact(Op::Dispatch(Gate::Submitted)).unwrap();
    ledger
}

fn plan(teams: u32, coders: u32, tasks: u32) -> Plan {
    let mut plan = Plan::default();
    plan.run.limits.0.clear();
    for team in 1..=teams {
        plan.teams
            .push(toml::from_str(&format!("id = {team}\ncoders = {coders}\n")).unwrap());
    }
    for number in 0..tasks {
        let id = format!("task-{number:05}").parse().unwrap();
        let team = TeamId(number % teams + 1);
        let mut task = TaskSpec::new(id, team, format!("Write part {number} of the whole"));
        task.context =
            String::from("What there is to know about it, in a few sentences of prose. ").repeat(5);
        task.scope = vec![format!("src/part{number}/**")];
        task.deliverables = vec![format!("src/part{number}/mod.rs")];
        plan.tasks.push(task);
    }
    plan
}

/// Gives the script a branch of its own with the same tasks.
pub fn fork_for_script(dir: &Path) {
    git(dir, ["branch", "rival", "orchestration"]);
    // A script is at its best on packed objects.
    git(dir, ["repack", "-a", "-q"]);
}

/// Returns the status files of the script's branch.
pub fn script_tasks(dir: &Path) -> Vec<String> {
    let all = git(
        dir,
        ["ls-tree", "-r", "--name-only", "--full-tree", "rival"],
    );
    let status = all.lines().filter(|path| path.contains("/status/"));
    status.map(str::to_owned).collect()
}

/// Claims the next task the way a script does: the next number and the change both under one lock, an index of
/// its own, eight processes. Returns whether there was a task left.
pub fn claim_by_plumbing(dir: &Path, tasks: &[String]) -> bool {
    let lock = File::options()
        .create(true)
        .append(true)
        .open(dir.join(".git/rival.flock"))
        .unwrap();
    lock.lock().unwrap();
    let counter = dir.join(".git/rival.next");
    let next = std::fs::read_to_string(&counter).map_or(0, |text| text.parse().unwrap());
    let Some(path) = tasks.get(next) else {
        return false;
    };
    plumbing(dir, path, next);
    std::fs::write(&counter, (next + 1).to_string()).unwrap();
    true
}

fn plumbing(dir: &Path, path: &str, count: usize) {
    let index = dir.join(".git/rival.index");
    let run = |args: &[&str], stdin: Option<&str>| {
        let mut child = command("git", dir)
            .env("GIT_INDEX_FILE", &index)
            .args(args)
            .stdin(stdin.map_or_else(Stdio::null, |_| Stdio::piped()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        if let Some(text) = stdin {
            let mut pipe = child.stdin.take().unwrap();
            pipe.write_all(text.as_bytes()).unwrap();
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
    let entry = format!("100644,{blob},{path}");
    run(&["update-index", "--cacheinfo", &entry], None);
    let tree = run(&["write-tree"], None);
    let message = format!("[TEAM-1] [AGENT-1.1] claim: {path}\n\nOrch-Event: claim\n");
    let commit = run(&["commit-tree", &tree, "-p", &tip], Some(&message));
    run(&["update-ref", "refs/heads/rival", &commit, &tip], None);
}
