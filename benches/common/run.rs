//! A run made up of transitions alone: no agents, no worktrees.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use git_orch::git::Repo;
use git_orch::git::objects::blob_id;
use git_orch::ledger::Ledger;
use git_orch::model::board::Gate;
use git_orch::model::{
    Actor, AgentId, Ask, Attempt, Claim, CommitId, Earlier, Handoff, HandoffStatus, Op, Plan,
    PlanChange, TaskId, TaskSpec, TeamId,
};

use super::{command, git, orch};

/// Teams of every plan here.
pub const TEAMS: u32 = 16;

/// Tasks that are worked on at a time, one a team.
const IN_FLIGHT: u32 = TEAMS;

/// Transitions of one task's life here.
pub const STEPS: u32 = 6;

/// A plan of independent tasks, with a description of a few hundred bytes each.
pub fn plan(teams: u32, coders: u32, tasks: u32) -> Plan {
    let mut plan = Plan::default();
    plan.run.limits.0.clear();
    for team in 1..=teams {
        plan.teams
            .push(toml::from_str(&format!("id = {team}\ncoders = {coders}\n")).unwrap());
    }
    for number in 0..tasks {
        let team = TeamId(number % teams + 1);
        let mut task = TaskSpec::new(
            task_id(number),
            team,
            format!("Write part {number} of the whole"),
        );
        task.context =
            String::from("What there is to know about it, in a few sentences of prose. ").repeat(5);
        task.scope = vec![format!("src/part{number}/**")];
        task.deliverables = vec![format!("src/part{number}/mod.rs")];
        plan.tasks.push(task);
    }
    plan
}

/// The id of a task of [`plan`].
pub fn task_id(number: u32) -> TaskId {
    format!("task-{number:05}").parse().unwrap()
}

/// Makes a repository whose ledger has the plan of the other benchmarks applied and dispatched.
pub fn begin(dir: &Path, tasks: u32) {
    drop(begin_with(dir, TEAMS, 8, tasks));
}

/// Makes a repository whose ledger has a plan applied and dispatched; returns a writer of it.
pub fn begin_with(dir: &Path, teams: u32, coders: u32, tasks: u32) -> Ledger {
    std::fs::create_dir_all(dir).unwrap();
    git(dir, ["init", "-q", "-b", "main"]);
    git(dir, ["commit", "-q", "--allow-empty", "-m", "first"]);
    orch(dir, ["init"]);
    let mut ledger = Ledger::open(Repo::discover(dir).unwrap(), Actor::Executor).unwrap();
    let plan = plan(teams, coders, tasks);
    let change = PlanChange::new(plan);
    ledger
        .transact_as(Actor::Human, Op::ApplyPlan(Box::new(change)))
        .unwrap();
    ledger.transact(Op::Dispatch(Gate::Submitted)).unwrap();
    ledger
}

/// Every task's life in six transitions: claim, start, block, unblock, submit, merge; a task a team at a time.
pub struct Run {
    tasks: u32,
    /// Transitions made so far.
    pub transitions: u32,
}

impl Run {
    /// A run that has yet to begin.
    pub fn new(tasks: u32) -> Self {
        Self {
            tasks,
            transitions: 0,
        }
    }

    /// Makes the next transition; returns whether there was one left.
    pub fn step(&mut self, ledger: &mut Ledger) -> bool {
        if self.transitions >= self.tasks * STEPS {
            return false;
        }
        let batch = self.transitions / (IN_FLIGHT * STEPS);
        let wide = IN_FLIGHT.min(self.tasks - batch * IN_FLIGHT);
        let within = self.transitions - batch * IN_FLIGHT * STEPS;
        let number = batch * IN_FLIGHT + within % wide;
        ledger.transact(op(number, within / wide)).unwrap();
        self.transitions += 1;
        true
    }
}

/// A step of a task's life, from 0.
fn op(number: u32, step: u32) -> Op {
    let task = task_id(number);
    let agent = AgentId {
        team: TeamId(number % TEAMS + 1),
        number: 1,
    };
    // As incompressible as ids are.
    let commit = |what: &str| CommitId(blob_id(format!("{what} {number}").as_bytes()).to_string());
    let claim = Claim {
        task: task.clone(),
        agent,
        attempt: Attempt(1),
    };
    match step {
        0 => Op::Claim(Box::new(Ask::named(task, agent, Some(commit("base"))))),
        1 => Op::Start(claim),
        2 => Op::Block(claim, String::from("waits for an answer")),
        3 => Op::Unblock(claim, None),
        4 => Op::Submit(claim, commit("head"), Box::new(handoff(number))),
        _ => Op::Merge(task, commit("head"), commit("merge")),
    }
}

fn handoff(number: u32) -> Handoff {
    Handoff {
        task_id: task_id(number),
        status: HandoffStatus::Completed,
        summary: format!("Part {number} is written and tested"),
        output: format!("orch/team-{}/{}", number % TEAMS + 1, task_id(number)),
        deliverables: vec![format!("src/part{number}/mod.rs")],
        dependencies: Vec::new(),
        next_steps: Vec::new(),
    }
}

/// Reads all of a ledger the way a script does: every path, then every file.
pub fn read_by_git(dir: &Path, branch: &str) {
    let script = format!(
        "git ls-tree -r --format='%(objectname)' {branch} | git cat-file --batch --buffer >/dev/null"
    );
    let status = command("sh", dir).args(["-c", &script]).status();
    assert!(status.expect("sh runs").success());
}

/// Adds a task to a ledger whose tasks may all be done, and returns its id.
pub fn extra_task(ledger: &mut Ledger) -> TaskId {
    let id: TaskId = String::from("extra").parse().unwrap();
    if !ledger.board().tasks.contains_key(&id) {
        let spec = TaskSpec::new(id.clone(), TeamId(1), String::from("One more"));
        ledger
            .transact(Op::AddTask(Box::new(spec), Earlier::default()))
            .unwrap();
        ledger.transact(Op::Dispatch(Gate::Submitted)).unwrap();
    }
    id
}

/// Claims a task and gives it back: two transitions.
pub fn claim_and_release(ledger: &mut Ledger, task: &TaskId) {
    let agent = AgentId {
        team: TeamId(1),
        number: 1,
    };
    let ask = Ask::named(task.clone(), agent, None);
    ledger.transact(Op::Claim(Box::new(ask))).unwrap();
    let claim = Claim {
        task: task.clone(),
        agent,
        attempt: ledger.board().tasks[task].status.attempt,
    };
    ledger
        .transact(Op::Release(claim, String::from("next")))
        .unwrap();
}

/// Paths of the status files of team 1 on a branch.
pub fn statuses(dir: &Path, branch: &str) -> Vec<String> {
    let below = ".orchestration/teams/1/status/";
    let args = ["ls-tree", "-r", "--name-only", "--full-tree", branch, below];
    git(dir, args).lines().map(str::to_owned).collect()
}

/// The same change as a claim, the way a script does it: an index of its own, eight processes.
pub fn change_by_git(dir: &Path, branch: &str, path: &str, count: u32) {
    let index = dir.join(".git/orch-bench.index");
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
    let name = format!("refs/heads/{branch}");
    let tip = run(&["rev-parse", &name], None);
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
    run(&["update-ref", &name, &commit, &tip], None);
}
