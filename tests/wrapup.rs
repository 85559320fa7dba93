//! Wrap-up: what would stay on one machine is found, closed where that needs no choice, and told on the ledger.

use serde_json::Value;

use crate::common::machines::Machines;
use crate::common::{TestRepo, write_file};

const TASKS: &str = r#"
[[teams]]
id = 1
coders = 2
[[tasks]]
id = "a"
team = 1
title = "Do a"
run = "true"
[[tasks]]
id = "b"
team = 1
title = "Do b"
run = "true"
"#;

fn site_with(head: &str) -> TestRepo {
    let repo = TestRepo::new();
    let repo = repo.write(".gitignore", "target/\n").commit("second");
    let repo = repo
        .init()
        .plan(&format!("[run]\nname = \"demo\"\n{head}{TASKS}"));
    repo.orch(["dispatch"]).ok();
    repo
}

fn site() -> TestRepo {
    site_with("")
}

/// Runs it; returns exit code and answer.
fn wrapup(repo: &TestRepo, dir: &std::path::Path, args: &[&str]) -> (i32, Value) {
    let outcome = repo.orch_in(dir, [&["wrapup", "--json"], args].concat());
    let answer = serde_json::from_str(&outcome.stdout());
    let answer = answer.unwrap_or_else(|_| panic!("{}", outcome.stderr()));
    (outcome.code(), answer)
}

fn kinds(answer: &Value) -> Vec<&str> {
    let open = answer["open"].as_array().unwrap().iter();
    open.map(|item| item["kind"].as_str().unwrap()).collect()
}

#[test]
fn with_nothing_open_the_summary_goes_onto_the_ledger() {
    let repo = site();
    let before = repo.git(["rev-parse", "orchestration"]);
    let (code, answer) = wrapup(&repo, repo.path(), &[]);
    assert_eq!((code, kinds(&answer)), (0, vec![]), "{answer:#}");
    assert_eq!(answer["summary"]["next"].as_array().unwrap().len(), 2);
    assert_eq!(repo.git(["rev-parse", "orchestration^"]), before);
    let told = repo.git(["log", "-1", "--format=%B", "orchestration"]);
    assert!(
        told.starts_with("[ORCH] wrapup: 0 done, 2 next, 0 in the way, 0 open\n"),
        "{told}"
    );
    assert!(
        told.contains("Next:\n- a: Do a (ready)\n- b: Do b (ready)"),
        "{told}"
    );
    assert!(told.contains("Orch-Event: wrapup"), "{told}");
    let changed = repo.git(["diff", "--name-only", "orchestration^", "orchestration"]);
    assert!(
        changed.starts_with(".orchestration/syncs/wrapup-"),
        "{changed}"
    );
    let record = repo.git(["show", &format!("orchestration:{changed}")]);
    let record: toml::Table = record.parse().unwrap();
    assert_eq!(record["summary"]["next"].as_array().unwrap().len(), 2);
    // The ledger reads as before, and its story has the new word.
    repo.orch(["status"]).ok();
    let log = repo.orch(["log", "--kind", "wrapup"]).ok();
    assert!(log.contains("0 done, 2 next"), "{log}");
}

#[test]
fn what_is_left_on_a_tasks_branch_is_committed_in_the_coders_name() {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let dir = repo.worktree("1.1");
    write_file(&dir.join("new"), "new\n");
    let before = repo.git(["rev-parse", "orchestration"]);
    let (code, answer) = wrapup(&repo, repo.path(), &[]);
    assert_eq!(
        (code, kinds(&answer)),
        (1, vec!["uncommitted", "task"]),
        "{answer:#}"
    );
    assert_eq!(answer["open"][0]["agent"], "1.1");
    assert_eq!(answer["open"][0]["task"], "a");
    assert_eq!(
        repo.git(["rev-parse", "orchestration"]),
        before,
        "looking writes nothing"
    );
    let (code, answer) = wrapup(&repo, repo.path(), &["--fix"]);
    assert_eq!((code, kinds(&answer)), (1, vec!["task"]), "{answer:#}");
    assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), "");
    let author = repo.git(["log", "-1", "--format=%an %s", "orch/team-1/a"]);
    assert_eq!(
        author,
        "AGENT-1.1 [TEAM-1] [AGENT-1.1] wrap-up: what was not committed"
    );
    let told = repo.git(["log", "-1", "--format=%B", "orchestration"]);
    assert!(told.contains("Open:\n- a is claimed"), "{told}");
}

#[test]
fn what_belongs_on_no_branch_is_saved_and_its_files_stay() {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let dir = repo.worktree("1.1");
    repo.orch(["release", "a", "-m", "not now"]).ok();
    repo.git_in(&dir, ["switch", "-q", "--detach"]);
    repo.git_in(&dir, ["commit", "-q", "--allow-empty", "-m", "adrift"]);
    let (code, answer) = wrapup(&repo, repo.path(), &[]);
    assert_eq!((code, kinds(&answer)), (1, vec!["detached"]), "{answer:#}");
    write_file(&dir.join("staged"), "one\n");
    repo.git_in(&dir, ["add", "staged"]);
    write_file(&dir.join("staged"), "two\n");
    let status = repo.git_in(&dir, ["status", "--porcelain"]);
    let (code, answer) = wrapup(&repo, repo.path(), &[]);
    assert_eq!(
        (code, kinds(&answer)),
        (1, vec!["uncommitted"]),
        "{answer:#}"
    );
    let (code, answer) = wrapup(&repo, repo.path(), &["--fix"]);
    assert_eq!((code, kinds(&answer)), (0, vec![]), "{answer:#}");
    assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), status);
    let kept = "refs/orch/recovery/1.1/1";
    assert_eq!(repo.git(["show", &format!("{kept}:staged")]), "two");
    assert_eq!(
        repo.git(["show", &format!("{kept}^{{commit}}^2:staged")]),
        "one"
    );
    // It stays closed until it changes.
    assert_eq!(wrapup(&repo, repo.path(), &[]).0, 0);
    write_file(&dir.join("staged"), "three\n");
    assert_eq!(wrapup(&repo, repo.path(), &[]).0, 1);
}

#[test]
fn a_coders_stash_is_kept_and_a_persons_is_only_told() {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let dir = repo.worktree("1.1");
    write_file(&dir.join("README.md"), "theirs\n");
    repo.git_in(&dir, ["stash", "-q"]);
    let theirs = repo.git(["rev-parse", "refs/stash"]);
    let repo = repo.write("README.md", "mine\n");
    repo.git(["stash", "-q"]);
    let repo = repo.write("mine", "mine\n");
    let list = repo.git(["stash", "list"]);
    let (code, answer) = wrapup(&repo, repo.path(), &["--fix"]);
    assert_eq!((code, kinds(&answer)), (1, vec!["task"]), "{answer:#}");
    assert_eq!(
        repo.git(["rev-parse", "refs/orch/recovery/1.1/1^{commit}"]),
        theirs
    );
    assert_eq!(repo.git(["stash", "list"]), list);
    let told = answer["told"].to_string();
    assert!(
        told.contains("yours: a stash") && told.contains("?? mine"),
        "{told}"
    );
    assert_eq!(
        repo.git(["for-each-ref", "refs/orch/recovery"])
            .lines()
            .count(),
        1
    );
    assert_eq!(repo.git(["status", "--porcelain"]), "?? mine");
}

#[test]
fn a_coder_looks_at_its_own_only_and_records_nothing() {
    let repo = site();
    for (task, agent) in [("a", "1.1"), ("b", "1.2")] {
        repo.orch(["claim", task, "--agent", agent]).ok();
        write_file(&repo.worktree(agent).join("new"), "new\n");
    }
    let before = repo.git(["rev-parse", "orchestration"]);
    let own = repo.worktree("1.1");
    let (code, answer) = wrapup(&repo, &own, &[]);
    assert_eq!(
        (code, kinds(&answer)),
        (1, vec!["uncommitted"]),
        "{answer:#}"
    );
    assert_eq!(wrapup(&repo, &own, &["--fix"]).0, 0);
    assert_eq!(repo.git_in(&own, ["status", "--porcelain"]), "");
    assert_eq!(
        repo.git_in(&repo.worktree("1.2"), ["status", "--porcelain"]),
        "?? new"
    );
    assert_eq!(repo.git(["rev-parse", "orchestration"]), before);
}

#[test]
fn declared_checks_are_open_while_they_fail() {
    let checks = "[[wrapup]]\nname = \"deployed\"\ncommand = \"echo not there; test -f deployed\"\n\
                  [[wrapup]]\nname = \"docs\"\ncommand = \"test -f docs\"\nwhere = \"worktree\"\n";
    let repo = site_with(checks);
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let (code, answer) = wrapup(&repo, repo.path(), &[]);
    assert_eq!(
        (code, kinds(&answer)),
        (1, vec!["check", "check", "task"]),
        "{answer:#}"
    );
    assert_eq!(
        answer["open"][0]["what"],
        "check deployed exited with 1: not there"
    );
    let own = repo.worktree("1.1");
    let (_, answer) = wrapup(&repo, &own, &[]);
    assert_eq!(answer["open"][0]["what"], "check docs exited with 1");
    assert_eq!(kinds(&answer).len(), 1, "{answer:#}");
    let repo = repo.write("deployed", "").write("docs", "");
    write_file(&own.join("docs"), "");
    let (_, answer) = wrapup(&repo, repo.path(), &["--fix"]);
    assert_eq!(kinds(&answer), ["task"], "{answer:#}");
    // A plan that has them is shown with them.
    let plan = repo.orch(["plan", "show"]).ok();
    assert!(plan.contains("[[wrapup]]\nname = \"docs\""), "{plan}");
}

#[test]
fn a_submit_waits_for_the_coders_own_wrap_up_where_the_plan_says_so() {
    let repo = site_with("wrapup = \"submit\"\n");
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let dir = repo.worktree("1.1");
    repo.orch_in(&dir, ["start"]).ok();
    write_file(&dir.join("done"), "done\n");
    repo.git_in(&dir, ["add", "-A"]);
    let message = "[TEAM-1] [AGENT-1.1] do a\n\nOrch-Task: a\nOrch-Agent: 1.1\nOrch-Attempt: 1";
    repo.git_in(&dir, ["commit", "-q", "-m", message]);
    write_file(&dir.join("done"), "more\n");
    repo.git_in(&dir, ["stash", "-q"]);
    // Somebody else's worktree is none of its business.
    repo.orch(["claim", "b", "--agent", "1.2"]).ok();
    write_file(&repo.worktree("1.2").join("new"), "new\n");
    let error = repo.orch_in(&dir, ["submit"]).fails(1);
    assert!(
        error.contains("the wrap-up is not done: a stash"),
        "{error}"
    );
    assert_eq!(wrapup(&repo, &dir, &["--fix"]).0, 0);
    repo.orch_in(&dir, ["submit"]).ok();
}

#[test]
fn nothing_is_fixed_under_the_hands_of_agents_at_work() {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let dir = repo.worktree("1.1");
    write_file(&dir.join("new"), "new\n");
    let lock = git_orch::git::files::Lock::take(&repo.path().join(".git/orch/run.lock"));
    let lock = lock.unwrap().unwrap();
    let error = repo.orch(["wrapup", "--fix"]).fails(1);
    assert!(error.contains("agents are at work"), "{error}");
    assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), "?? new");
    drop(lock);
    repo.orch(["wrapup", "--fix"]).fails(1);
    assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), "");
}

#[test]
fn a_branch_is_pushed_forward_and_never_over_anything() {
    let repo = site();
    let hub = repo.outside().join("hub.git");
    repo.git(["init", "-q", "--bare", hub.to_str().unwrap()]);
    repo.git(["remote", "add", "origin", hub.to_str().unwrap()]);
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let dir = repo.worktree("1.1");
    repo.git_in(&dir, ["commit", "-q", "--allow-empty", "-m", "work"]);
    repo.orch(["release", "a", "-m", "not now"]).ok();
    // A remote alone asks for nothing.
    assert_eq!(wrapup(&repo, repo.path(), &[]).0, 0);
    repo.git([
        "push",
        "-q",
        "-u",
        "origin",
        "main:refs/heads/orch/team-1/a",
    ]);
    repo.git(["branch", "-q", "--unset-upstream", "main"]);
    repo.git([
        "branch",
        "-q",
        "--set-upstream-to=origin/orch/team-1/a",
        "orch/team-1/a",
    ]);
    let (code, answer) = wrapup(&repo, repo.path(), &[]);
    assert_eq!((code, kinds(&answer)), (1, vec!["unpushed"]), "{answer:#}");
    assert_eq!(
        answer["open"][0]["command"],
        "git push origin orch/team-1/a"
    );
    // Somebody else was there first.
    let tree = repo.git(["rev-parse", "main^{tree}"]);
    let other = repo.git(["commit-tree", "-p", "main", "-m", "other", &tree]);
    let to = format!("{other}:refs/heads/orch/team-1/a");
    repo.git(["push", "-q", "origin", &to]);
    let (code, answer) = wrapup(&repo, repo.path(), &["--fix"]);
    assert_eq!((code, kinds(&answer)), (1, vec!["unpushed"]), "{answer:#}");
    assert_eq!(repo.git_in(&hub, ["rev-parse", "orch/team-1/a"]), other);
    let back = "+main:refs/heads/orch/team-1/a";
    repo.git(["push", "-q", "origin", back]);
    assert_eq!(wrapup(&repo, repo.path(), &["--fix"]).0, 0);
    let ours = repo.git(["rev-parse", "orch/team-1/a"]);
    assert_eq!(repo.git_in(&hub, ["rev-parse", "orch/team-1/a"]), ours);
}

#[test]
fn what_only_this_machine_has_goes_to_the_remote_with_the_ledgers_truth() {
    let machines = Machines::new(&format!("[run]\nname = \"demo\"\n{TASKS}"));
    let clone = machines.machine("one");
    let repo = &machines.home;
    repo.orch_in(&clone, ["dispatch"]).ok();
    repo.orch_in(&clone, ["claim", "a", "--agent", "1.1"]).ok();
    let dir = clone.with_file_name("repo.orch").join("1.1");
    repo.git_in(&dir, ["commit", "-q", "--allow-empty", "-m", "work"]);
    let (code, answer) = wrapup(repo, &clone, &[]);
    assert_eq!(
        (code, kinds(&answer)),
        (1, vec!["unpushed", "task"]),
        "{answer:#}"
    );
    // Its branch goes up when the coder hands it in.
    assert_eq!(wrapup(repo, &dir, &[]).0, 0);
    let (code, answer) = wrapup(repo, &clone, &["--fix"]);
    assert_eq!((code, kinds(&answer)), (1, vec!["task"]), "{answer:#}");
    let ours = repo.git_in(&clone, ["rev-parse", "orch/team-1/a"]);
    assert_eq!(
        repo.git_in(machines.hub(), ["rev-parse", "orch/team-1/a"]),
        ours
    );
    // The record is where the truth is.
    let told = repo.git_in(
        machines.hub(),
        ["log", "-1", "--format=%s", "orchestration"],
    );
    assert!(told.starts_with("[ORCH] wrapup: 0 done"), "{told}");
}

#[test]
fn files_that_git_does_not_know_of_are_open() {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let dir = repo.path().with_file_name("repo.orch").join("1.1");
    std::fs::remove_file(dir.join(".git")).unwrap();
    let (code, answer) = wrapup(&repo, repo.path(), &[]);
    assert_eq!(code, 1);
    let open = answer["open"].as_array().unwrap();
    let what = open[0]["what"].as_str().unwrap();
    assert!(
        what.contains("is in no worktree that Git can read"),
        "{answer:#}"
    );
    assert_eq!(open[0]["command"], "git orch doctor");
}
