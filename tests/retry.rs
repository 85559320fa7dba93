//! `git orch retry`: what was given up comes back, on a branch that begins anew or goes on.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::common::machines::Machines;
use super::common::{TestRepo, write_file};

const PLAN: &str = r#"
[run]
name = "billing"
base = "main"
retries = 0

[[teams]]
id = 1
coders = 2

[[tasks]]
id = "schema"
team = 1
title = "Create the schema"
scope = ["*.sql"]
run = "true"

[[tasks]]
id = "queries"
team = 1
title = "Write the queries"
after = ["schema"]
run = "true"
"#;

const BRANCH: &str = "orch/team-1/schema";

/// Claims the task in a clone and commits a file; returns the worktree.
fn work(repo: &TestRepo, clone: &Path, agent: &str, file: &str) -> PathBuf {
    let claim = ["claim", "schema", "--agent", agent, "--json"];
    let answer = repo.orch_in(clone, claim).json();
    let dir = PathBuf::from(answer["worktree"].as_str().unwrap());
    write_file(&dir.join(file), "text\n");
    repo.git_in(&dir, ["add", "-A"]);
    repo.git_in(&dir, ["commit", "-q", "-m", file]);
    dir
}

/// Has the task given up with a commit of `draft.sql` on its branch; returns that commit.
fn give_up(repo: &TestRepo, clone: &Path) -> String {
    repo.orch_in(clone, ["dispatch"]).ok();
    let dir = work(repo, clone, "1.1", "draft.sql");
    repo.orch_in(&dir, ["fail", "-m", "no such database"]).ok();
    repo.orch_in(clone, ["dispatch"]).ok();
    let shown = status(repo, clone);
    assert_eq!(shown["status"], "gap");
    repo.git_in(&dir, ["rev-parse", "HEAD"])
}

fn planned() -> (TestRepo, String) {
    let repo = TestRepo::new().init().plan(PLAN);
    let clone = repo.path().to_path_buf();
    let draft = give_up(&repo, &clone);
    (repo, draft)
}

fn status(repo: &TestRepo, clone: &Path) -> Value {
    repo.orch_in(clone, ["status", "schema", "--json"]).json()
}

fn kept(repo: &TestRepo, clone: &Path) -> Vec<String> {
    let format = "--format=%(*objectname) %(contents:lines=9)";
    let text = repo.git_in(clone, ["for-each-ref", format, "refs/orch/recovery"]);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_gap_begins_anew_once_and_what_its_branch_held_is_kept() {
    let (repo, draft) = planned();
    let clone = repo.path().to_path_buf();
    let claim = repo.orch(["claim", "schema", "--agent", "1.1"]).fails(1);
    assert!(
        claim.contains("was given up after 1 attempt: no such database"),
        "{claim}"
    );
    assert!(claim.contains("git orch retry schema"), "{claim}");
    let waits = repo.orch(["status", "queries"]).ok();
    assert!(waits.contains("next: git orch retry schema"), "{waits}");
    let answer = repo
        .orch(["retry", "schema", "-m", "it is called pg2", "--json"])
        .json();
    assert_eq!(answer["tasks"][0]["task"], "schema");
    assert_eq!(answer["tasks"][0]["status"], "ready");
    assert_eq!(answer["tasks"][0]["resumes"], false);
    assert_eq!(
        answer["commit"],
        repo.git(["rev-parse", "orchestration"]).as_str()
    );
    // Something has been integrated meanwhile: the branch is cut from that.
    repo.git(["commit", "-q", "--allow-empty", "-m", "newer"]);
    let dir = work(&repo, &clone, "1.2", "second.sql");
    assert!(!dir.join("draft.sql").exists());
    assert_eq!(
        repo.git(["log", "--format=%s", &format!("main..{BRANCH}")])
            .lines()
            .count(),
        1
    );
    let told = std::fs::read_to_string(dir.join(".orchestration/messages.txt")).unwrap();
    assert_eq!(told, "it is called pg2\n");
    let found = kept(&repo, &clone);
    assert!(found.iter().any(|line| line.contains(&draft)), "{found:?}");
    assert!(
        found.iter().any(|line| line.ends_with("Orch-Task: schema")),
        "{found:?}"
    );
    // The same claim taken up again, as after a kill, has its commits still.
    let again = ["claim", "schema", "--agent", "1.2", "--attempt", "2"];
    repo.orch(again).ok();
    assert!(dir.join("second.sql").exists());
    // So has the next attempt, which is no new beginning.
    repo.orch_in(&dir, ["release", "-m", "later"]).ok();
    let dir = work(&repo, &clone, "1.1", "third.sql");
    assert!(dir.join("second.sql").exists());
}

#[test]
fn with_resume_it_goes_on_from_its_branch() {
    let (repo, draft) = planned();
    let clone = repo.path().to_path_buf();
    let text = repo.orch(["retry", "--all-gaps", "--resume"]).ok();
    assert!(text.contains("goes on"), "{text}");
    let dir = work(&repo, &clone, "1.2", "second.sql");
    assert!(dir.join("draft.sql").exists());
    assert_eq!(repo.git_in(&dir, ["rev-parse", "HEAD^"]), draft);
    repo.orch(["retry", "--all-gaps"]).fails(3);
    repo.orch(["retry"]).fails(2);
    let held = repo.orch(["retry", "schema"]).fails(1);
    assert!(
        held.contains("is being worked on by 1.2 (attempt 2)"),
        "{held}"
    );
}

#[test]
fn killed_before_the_branch_is_noted_it_begins_anew_again_and_loses_nothing() {
    let (repo, draft) = planned();
    let clone = repo.path().to_path_buf();
    repo.orch(["retry", "schema"]).ok();
    let claim = ["claim", "schema", "--agent", "1.2", "--json"];
    repo.orch(claim).ok();
    // As if it had been killed just before the note, and again before the branch moved.
    let note = repo.path().join(".git/orch/fresh/schema");
    for branch in [None, Some(&draft)] {
        std::fs::remove_file(&note).unwrap();
        if let Some(draft) = branch {
            repo.git_in(&repo.worktree("1.2"), ["checkout", "-q", "--detach"]);
            repo.git(["update-ref", &format!("refs/heads/{BRANCH}"), draft]);
        }
        repo.orch(["claim", "schema", "--agent", "1.2", "--attempt", "2"])
            .ok();
        assert_eq!(
            repo.git(["rev-parse", BRANCH]),
            repo.git(["rev-parse", "main"])
        );
    }
    let found = kept(&repo, &clone);
    let lines = found.iter().filter(|line| line.contains(&draft));
    assert_eq!(lines.count(), 1, "kept once: {found:?}");
}

#[test]
fn on_every_machine_the_branch_begins_anew_and_what_the_remote_had_is_kept() {
    let machines = Machines::new(PLAN);
    let (repo, home) = (&machines.home, machines.home.path().to_path_buf());
    let other = machines.machine("other");
    let draft = give_up(repo, &other);
    // The draft was handed in once, so that the remote has it.
    repo.git_in(&other, ["push", "-q", "origin", BRANCH]);
    repo.orch(["sync"]).ok();
    repo.orch(["retry", "schema"]).ok();
    let tip = repo.git(["rev-parse", "orchestration"]);
    let hub = machines.hub();
    assert_eq!(repo.git_in(hub, ["rev-parse", "orchestration"]), tip);
    let dir = work(repo, &home, "1.1", "good.sql");
    assert!(!dir.join("draft.sql").exists());
    repo.orch_in(&dir, ["submit"]).ok();
    let subjects =
        |dir: &Path| repo.git_in(dir, ["log", "--format=%s", "main..orch/team-1/schema"]);
    assert_eq!(subjects(hub), "[TEAM-1] [AGENT-1.1] good.sql");
    let found = kept(repo, &home);
    assert!(found.iter().any(|line| line.contains(&draft)), "{found:?}");
    // The machine that has the old branch goes on with the new one once it gets the task.
    let head = repo.git(["rev-parse", BRANCH]);
    let reject = git_orch::model::Op::Reject(
        "schema".parse().unwrap(),
        git_orch::model::CommitId(head.clone()),
        String::from("no"),
        String::from("no"),
    );
    let at = git_orch::git::Repo::discover(&home).unwrap();
    let mut ledger = git_orch::ledger::Ledger::open(at, git_orch::model::Actor::Assembler).unwrap();
    ledger.transact(reject).unwrap();
    repo.orch_in(&other, ["sync"]).ok();
    repo.orch_in(&other, ["retry", "schema", "--resume"]).ok();
    let dir = work(repo, &other, "1.2", "more.sql");
    assert_eq!(repo.git_in(&dir, ["rev-parse", "HEAD^"]), head);
    let found = kept(repo, &other);
    assert!(found.iter().any(|line| line.contains(&draft)), "{found:?}");
}

#[test]
fn a_plan_that_says_otherwise_brings_it_back_and_tells_so() {
    let (repo, _) = planned();
    let more = PLAN.replace("retries = 0", "retries = 3");
    write_file(&repo.path().join("more.toml"), &more);
    let dry = repo
        .orch(["plan", "apply", "more.toml", "--dry-run", "--json"])
        .json();
    assert_eq!(dry["brought_back"], serde_json::json!(["schema"]));
    assert_eq!(status(&repo, repo.path())["status"], "gap");
    let text = repo.orch(["plan", "apply", "more.toml"]).ok();
    assert!(
        text.contains("again   schema  was gap: no such database; it is tried again"),
        "{text}"
    );
    let shown = status(&repo, repo.path());
    assert_eq!(shown["status"], "ready");
    let log = repo.git(["log", "-1", "--format=%B", "orchestration"]);
    assert!(
        log.contains("Tried again, since the plan says otherwise: schema"),
        "{log}"
    );
    let same = repo.orch(["plan", "apply", "more.toml", "--json"]).json();
    assert_eq!(same["brought_back"], serde_json::json!([]));
    assert!(same["commit"].is_null());
}
