//! Several clones of one remote: each works, any of them assembles, and a fresh one needs `init` only.

use std::path::{Path, PathBuf};

use super::common::{Outcome, TestRepo, write_file};

const PLAN: &str = r#"
[run]
name = "far"
test = "test ! -e bad"
[agents.default]
command = "true"
[[teams]]
id = 1
coders = 4
[[tasks]]
id = "a"
team = 1
title = "Write a"
[[tasks]]
id = "b"
team = 1
title = "Write b"
[[tasks]]
id = "c"
team = 1
title = "Write c"
after = ["a"]
"#;

/// A bare remote, and clones of it that take part in its ledger.
struct Machines {
    first: TestRepo,
}

impl Machines {
    fn new(plan: &str) -> Self {
        let first = TestRepo::new();
        let hub = first.outside().join("hub.git");
        let hub = hub.to_str().unwrap();
        first.git(["clone", "-q", "--bare", ".", hub]);
        first.git(["remote", "add", "origin", hub]);
        first.orch(["init", "--remote", "origin"]).ok();
        Self {
            first: first.plan(plan),
        }
    }

    fn hub(&self) -> PathBuf {
        self.first.outside().join("hub.git")
    }

    /// A fresh clone under a name.
    fn clone(&self, name: &str) -> PathBuf {
        let dir = self.first.outside().join(name);
        let hub = self.hub();
        let args = ["clone", "-q", hub.to_str().unwrap(), dir.to_str().unwrap()];
        self.first.git(args);
        self.first.orch_in(&dir, ["init"]).ok();
        dir
    }

    fn orch(&self, dir: &Path, line: &str) -> Outcome {
        self.first.orch_in(dir, line.split(' '))
    }

    /// Claims a task, commits one file and submits.
    fn work(&self, dir: &Path, task: &str, agent: &str, file: &str) {
        let claim = self.orch(dir, &format!("claim {task} --agent {agent} --json"));
        let worktree = PathBuf::from(claim.json()["worktree"].as_str().unwrap());
        self.orch(&worktree, "start").ok();
        write_file(&worktree.join(file), "x\n");
        self.first.git_in(&worktree, ["add", "-A"]);
        self.first.git_in(&worktree, ["commit", "-q", "-m", "work"]);
        self.orch(&worktree, "submit").ok();
    }

    fn state(&self, dir: &Path, task: &str) -> String {
        self.orch(dir, "sync").ok();
        let status = self.orch(dir, "status --json").json();
        let tasks = status["tasks"].as_array().unwrap();
        let row = tasks.iter().find(|row| row["id"] == task).unwrap();
        row["status"].as_str().unwrap().to_owned()
    }

    fn at_hub(&self, branch: &str) -> String {
        self.first.git_in(&self.hub(), ["rev-parse", branch])
    }
}

#[test]
fn work_of_two_clones_is_assembled_on_a_third_and_approved_on_the_first() {
    let machines = Machines::new(PLAN);
    let (two, three) = (machines.clone("two"), machines.clone("three"));
    machines.orch(&two, "dispatch").ok();
    machines.work(&two, "a", "1.1", "a");
    machines.work(machines.first.path(), "b", "1.2", "b");
    machines.orch(&three, "assemble").ok();
    assert_eq!(machines.state(&two, "a"), "merged");
    assert_eq!(machines.state(&two, "b"), "merged");
    let integration = machines.at_hub("orch/integration");
    assert_eq!(machines.at_hub("orch/team-1/integration"), integration);
    // What comes after builds on it, on a machine that has integrated nothing.
    machines.orch(&two, "dispatch").ok();
    machines.work(&two, "c", "1.3", "c");
    let branch = "orch/team-1/c";
    let log = machines
        .first
        .git_in(&two, ["ls-tree", "--name-only", branch]);
    assert_eq!(log, "README.md\na\nb\nc");
    machines.orch(machines.first.path(), "assemble").ok();
    machines.orch(machines.first.path(), "approve").ok();
    let files = machines.first.git(["ls-tree", "--name-only", "main"]);
    assert_eq!(files, "README.md\na\nb\nc");
    for clone in [&two, &three] {
        assert_eq!(machines.state(clone, "c"), "merged");
    }
}

#[test]
fn what_was_landed_elsewhere_is_reverted_here_and_done_better_there() {
    let machines = Machines::new(PLAN);
    let (two, three) = (machines.clone("two"), machines.clone("three"));
    machines.orch(&two, "dispatch").ok();
    machines.work(&two, "a", "1.1", "a");
    machines.work(&two, "b", "1.2", "b");
    machines.orch(&three, "assemble").ok();
    // At the remote it is everybody's, so it is not moved back.
    let first = machines.first.path();
    let answer = machines.orch(first, "undo a --json -m wrong").json();
    assert_eq!(answer["how"], "reverted", "{answer}");
    let integration = machines.at_hub("orch/integration");
    assert_eq!(answer["after"], integration.as_str());
    assert_eq!(machines.at_hub("orch/team-1/integration"), integration);
    let files = |branch: &str| {
        let args = ["ls-tree", "--name-only", branch];
        machines.first.git_in(&machines.hub(), args)
    };
    assert_eq!(files("orch/integration"), "README.md\nb");
    assert_eq!(machines.state(&three, "a"), "ready");
    // The next attempt does as it is told, and lands from yet another machine.
    assert_eq!(machines.state(&two, "a"), "ready");
    let claim = machines.orch(&two, "claim a --agent 1.1 --json").json();
    assert_eq!(claim["attempt"], 2);
    let worktree = PathBuf::from(claim["worktree"].as_str().unwrap());
    machines.orch(&worktree, "start").ok();
    let git = |args: &[&str]| machines.first.git_in(&worktree, args);
    git(&["merge", "-q", "--no-edit", &integration]);
    git(&["revert", "--no-edit", &integration]);
    machines.orch(&worktree, "submit").ok();
    machines.orch(&three, "assemble").ok();
    assert_eq!(files("orch/integration"), "README.md\na\nb");
    assert_eq!(machines.state(&two, "a"), "merged");
}

#[test]
fn a_merge_that_another_machine_was_first_with_is_made_again_on_theirs() {
    let machines = Machines::new(PLAN);
    let (two, three) = (machines.clone("two"), machines.clone("three"));
    machines.orch(&two, "dispatch").ok();
    machines.work(&two, "a", "1.1", "a");
    machines.work(&two, "b", "1.2", "b");
    // Three lands `b`, but the remote is away when it wants to say so.
    let hidden = machines.first.outside().join("hidden.git");
    machines.orch(&three, "sync").ok();
    let test = format!(
        "test ! -e '{0}' || mv '{0}' '{1}'",
        machines.hub().display(),
        hidden.display()
    );
    let assembled = machines
        .first
        .orch_in(&three, ["assemble", "--test", &test]);
    let told = assembled.fails(1);
    assert!(told.contains("cannot be reached"), "{told}");
    std::fs::rename(&hidden, machines.hub()).unwrap();
    let lost = machines
        .first
        .git_in(&three, ["rev-parse", "orch/integration"]);
    // Meanwhile the first has assembled everything, onto a later base.
    machines
        .first
        .git(["commit", "-q", "--allow-empty", "-m", "later"]);
    machines.orch(machines.first.path(), "assemble").ok();
    let landed = machines.at_hub("orch/integration");
    assert_ne!(lost, landed);
    machines.orch(&three, "assemble").fails(3);
    let ours = machines
        .first
        .git_in(&three, ["rev-parse", "orch/integration"]);
    assert_eq!(ours, landed);
    let kept = [
        "for-each-ref",
        "--format=%(*objectname)",
        "refs/orch/recovery/assembler",
    ];
    assert!(machines.first.git_in(&three, kept).contains(&lost));
    assert_eq!(machines.state(&three, "b"), "merged");
}

#[test]
fn an_unknown_remote_is_told_before_anything_changes() {
    let repo = TestRepo::new();
    let told = repo.orch(["init", "--remote", "nowhere"]).fails(1);
    assert!(told.contains("nowhere"), "{told}");
    let repo = repo.init();
    repo.git(["remote", "add", "away", "/nonexistent/hub.git"]);
    let told = repo.orch(["remote", "set", "away"]).fails(1);
    assert!(told.contains("cannot be reached"), "{told}");
    let shown = repo.orch(["remote", "show", "--json"]).json();
    assert_eq!(shown["authority"], "local");
}

#[test]
fn a_clone_that_calls_the_remote_otherwise_takes_part_all_the_same() {
    let machines = Machines::new(PLAN);
    let dir = machines.first.outside().join("other");
    let hub = machines.hub();
    let args = [
        "clone",
        "-q",
        "-o",
        "upstream",
        hub.to_str().unwrap(),
        "other",
    ];
    machines.first.git_in(&machines.first.outside(), args);
    machines.orch(&dir, "init").ok();
    let shown = machines.orch(&dir, "remote show --json").json();
    assert_eq!(shown["remote"], "upstream");
    machines.orch(&dir, "dispatch").ok();
    machines.work(&dir, "a", "1.1", "a");
    assert_eq!(machines.state(machines.first.path(), "a"), "submitted");
    machines.orch(&dir, "cancel a -m not").ok();
    machines.orch(&dir, "init --undo").ok();
    let config = machines.first.try_git_in(&dir, ["config", "orch.remote"]);
    assert_eq!(config.stdout(), "", "what init wrote is gone again");
}

#[test]
fn killed_after_the_push_or_in_the_middle_of_joining_the_same_command_goes_on() {
    let machines = Machines::new(PLAN);
    let first = &machines.first;
    // As if the first had been killed before it noted that the remote has its ledger.
    first.git(["update-ref", "refs/heads/orchestration", "orchestration~2"]);
    first.git(["update-ref", "-d", "refs/orch/remote/ledger"]);
    std::fs::remove_file(first.path().join(".git/orch/lock")).unwrap();
    let shown = first.orch(["remote", "show", "--json"]).json();
    assert_eq!(shown["authority"], "local");
    first.orch(["init", "--remote", "origin"]).ok();
    let tip = first.git(["rev-parse", "orchestration"]);
    assert_eq!(tip, machines.at_hub("orchestration"));
    first.orch(["dispatch"]).ok();
    // And a clone before it noted by which name it knows the remote.
    let dir = first.outside().join("other");
    let hub = machines.hub();
    let args = [
        "clone",
        "-q",
        "-o",
        "upstream",
        hub.to_str().unwrap(),
        "other",
    ];
    first.git_in(&first.outside(), args);
    machines.orch(&dir, "init").ok();
    first.git_in(&dir, ["config", "--unset", "orch.remote"]);
    machines.orch(&dir, "init").ok();
    machines.work(&dir, "a", "1.1", "a");
    assert_eq!(machines.state(first.path(), "a"), "submitted");
}

#[test]
fn a_remote_by_a_relative_path_is_the_one_that_git_means() {
    let machines = Machines::new(PLAN);
    let dir = machines.clone("two");
    machines
        .first
        .git_in(&dir, ["remote", "set-url", "origin", "../hub.git"]);
    machines.orch(&dir, "sync").ok();
    machines.orch(&dir, "dispatch").ok();
    machines.work(&dir, "a", "1.1", "a");
    assert_eq!(machines.state(machines.first.path(), "a"), "submitted");
}

#[test]
fn set_to_local_a_clone_goes_its_own_way_and_nobody_hears_of_it() {
    let machines = Machines::new(PLAN);
    let two = machines.clone("two");
    machines.orch(&two, "remote set local").ok();
    machines.orch(&two, "dispatch").ok();
    assert_eq!(machines.state(&two, "a"), "ready");
    assert_eq!(machines.state(machines.first.path(), "a"), "pending");
}
