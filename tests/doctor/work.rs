//! Claims, branches and worktrees.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use super::super::common::drive::Drive;
use super::super::common::{TestRepo, write_file};
use super::{PLAN, assert_well, doctor, doctor_up, ids, mends, site};

fn state(repo: &TestRepo, task: &str) -> String {
    let shown = repo.orch(["status", task, "--json"]).json();
    shown["status"].as_str().unwrap().to_owned()
}

/// A run whose agent waits, and the agent's pid.
fn running(repo: &TestRepo) -> (Child, String) {
    let pipe = repo.outside().join("pid");
    let made = repo.command("mkfifo", repo.path()).arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut command = repo.orch_command(repo.path());
    command.args(["run", "--jobs", "1"]);
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Opening the pipe waits for the agent.
    let pid = fs::read_to_string(&pipe).unwrap();
    (child, pid.trim().to_owned())
}

fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn claims_of_a_killed_run_are_given_back_and_their_work_is_kept() {
    let script = "echo half > half.txt; echo $$ > ../../pid; exec sleep 1000";
    let plan = PLAN.replacen("run = \"true\"", &format!("run = '{script}'"), 1);
    let repo = TestRepo::new().init().plan(&plan);
    let (mut run, pid) = running(&repo);
    assert_well(&repo);
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(is_running(&pid), "the test needs an orphan");

    let answer = mends(&repo, &["claim-abandoned"]);
    let outcome = answer["findings"][0]["outcome"].as_str().unwrap();
    assert!(outcome.contains("released a"), "{outcome}");
    assert!(!is_running(&pid));
    assert_eq!(state(&repo, "a"), "ready");
    assert_eq!(repo.git(["show", "orch/team-1/a:half.txt"]), "half");
}

#[test]
fn claims_without_a_sign_of_life_are_taken_over() {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1", "--no-worktree"])
        .ok();
    // The lease is renewed every five minutes by whoever lives; so long is counted between two looks.
    for minutes in [100, 105, 110] {
        assert_eq!(doctor_up(&repo, minutes, &[]).0, 0);
    }
    let (code, answer) = doctor_up(&repo, 115, &[]);
    assert_eq!(
        (code, ids(&answer)),
        (1, vec!["claim-expired"]),
        "{answer:#}"
    );
    assert_eq!(state(&repo, "a"), "claimed", "looking changes nothing");
    let (code, answer) = doctor_up(&repo, 120, &["--fix"]);
    assert_eq!(
        (code, ids(&answer)),
        (0, vec!["claim-expired"]),
        "{answer:#}"
    );
    assert_eq!(state(&repo, "a"), "ready");
    assert_well(&repo);
}

#[test]
fn a_task_of_an_agent_that_is_not_in_the_plan_is_freed() {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.2", "--no-worktree"])
        .ok();
    let team = ".orchestration/teams/1/team.toml";
    let dir = repo.outside().join("hand");
    let text = dir.to_str().unwrap();
    repo.git(["worktree", "add", "-q", text, "orchestration"]);
    let spec = fs::read_to_string(dir.join(team)).unwrap();
    fs::write(dir.join(team), spec.replace("coders = 2", "coders = 1")).unwrap();
    repo.git_in(&dir, ["commit", "-q", "-a", "-m", "fewer"]);
    repo.git(["worktree", "remove", "--force", text]);
    mends(&repo, &["holder-unknown"]);
    assert_eq!(state(&repo, "a"), "ready");
}

#[test]
fn a_branch_of_no_task_is_deleted_only_where_nothing_is_lost_with_it() {
    let repo = site().write("x", "x").commit("second");
    let merged = repo.git(["rev-parse", "main"]);
    repo.git(["branch", "orch/team-1/old", "main"]);
    mends(&repo, &["branch-without-task"]);
    let kept = repo.git([
        "for-each-ref",
        "--format=%(*objectname)",
        "refs/orch/recovery/branches",
    ]);
    assert_eq!(kept, merged);

    let tree = repo.git(["rev-parse", "main^{tree}"]);
    let own = repo.git(["commit-tree", "-m", "work", "-p", "main", &tree]);
    repo.git(["branch", "orch/team-1/own", &own]);
    let (code, answer) = doctor(&repo, &["--fix"]);
    assert_eq!(
        (code, ids(&answer)),
        (1, vec!["branch-without-task"]),
        "{answer:#}"
    );
    assert_eq!(repo.git(["rev-parse", "orch/team-1/own"]), own);
}

/// Task `a`, handed in from a branch of its own; returns the commit.
fn handed_in(repo: &TestRepo) -> String {
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    repo.orch(["start", "a", "--agent", "1.1", "--attempt", "1"])
        .ok();
    let dir = repo.worktree("1.1");
    write_file(&dir.join("a.txt"), "a\n");
    repo.git_in(&dir, ["add", "-A"]);
    repo.git_in(&dir, ["commit", "-q", "-m", "do a"]);
    repo.orch_in(&dir, ["submit", "a"]).ok();
    repo.git(["rev-parse", "orch/team-1/a"])
}

#[test]
fn a_branch_that_was_handed_in_is_made_again() {
    let repo = site();
    let head = handed_in(&repo);
    assert_well(&repo);
    repo.git(["update-ref", "-d", "refs/heads/orch/team-1/a"]);
    mends(&repo, &["branch-missing"]);
    assert_eq!(repo.git(["rev-parse", "orch/team-1/a"]), head);

    let tree = repo.git(["rev-parse", "main^{tree}"]);
    let other = repo.git(["commit-tree", "-m", "more", "-p", &head, &tree]);
    repo.git(["update-ref", "refs/heads/orch/team-1/a", &other]);
    let (code, answer) = doctor(&repo, &["--fix"]);
    assert_eq!((code, ids(&answer)), (1, vec!["head-moved"]), "{answer:#}");
    assert_eq!(repo.git(["rev-parse", "orch/team-1/a"]), other);
}

#[test]
fn work_that_is_not_in_the_repository_is_named() {
    let repo = site();
    let mut drive = Drive::new(&repo);
    drive.start("a", "1.1").submit("a", "done");
    let text = repo.git(["show", "orchestration:.orchestration/teams/1/status/a.toml"]);
    let head = repo.git(["rev-parse", "main"]);
    assert!(text.contains(&head));
    let dir = repo.outside().join("hand");
    repo.git([
        "worktree",
        "add",
        "-q",
        dir.to_str().unwrap(),
        "orchestration",
    ]);
    let path = dir.join(".orchestration/teams/1/status/a.toml");
    let gone = "1".repeat(40);
    let text = text.replace(&format!("head = \"{head}\""), &format!("head = \"{gone}\""));
    fs::write(path, text + "\n").unwrap();
    repo.git_in(&dir, ["commit", "-q", "-a", "-m", "by hand"]);
    repo.git(["worktree", "remove", "--force", dir.to_str().unwrap()]);
    let (code, answer) = doctor(&repo, &["--fix"]);
    assert_eq!(
        (code, ids(&answer)),
        (1, vec!["head-missing"]),
        "{answer:#}"
    );
    assert!(
        answer["findings"][0]["what"]
            .as_str()
            .unwrap()
            .contains(&gone)
    );
}

#[test]
fn a_branch_that_is_being_worked_on_is_made_again_at_its_last_commit() {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let dir = repo.worktree("1.1");
    write_file(&dir.join("a.txt"), "a\n");
    repo.git_in(&dir, ["add", "-A"]);
    repo.git_in(&dir, ["commit", "-q", "-m", "do a"]);
    let head = repo.git_in(&dir, ["rev-parse", "HEAD"]);
    repo.git(["update-ref", "-d", "refs/heads/orch/team-1/a"]);
    mends(&repo, &["branch-missing"]);
    assert_eq!(repo.git_in(&dir, ["rev-parse", "HEAD"]), head);
    assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), "");
}

/// A worktree of 1.1 that holds nothing any more.
fn parked() -> TestRepo {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    repo.orch([
        "release",
        "a",
        "--agent",
        "1.1",
        "--attempt",
        "1",
        "-m",
        "not now",
    ])
    .ok();
    assert_well(&repo);
    repo
}

#[test]
fn worktrees_that_are_half_there_are_mended_and_nothing_in_them_is_lost() {
    type Break = fn(&Path, &Path);
    let cases: [(&str, Break); 4] = [
        ("worktree-without-files", |dir, _| {
            fs::remove_dir_all(dir).unwrap()
        }),
        ("worktree-unregistered", |_, admin| {
            fs::remove_dir_all(admin).unwrap()
        }),
        ("worktree-unregistered", |dir, _| {
            fs::remove_file(dir.join(".git")).unwrap()
        }),
        ("worktree-half-made", |_, admin| {
            fs::write(admin.join("locked"), "initializing").unwrap();
            fs::remove_file(admin.join("index")).unwrap();
        }),
    ];
    for (id, break_it) in cases {
        let repo = parked();
        let dir = repo.worktree("1.1");
        let admin = repo.path().join(".git/worktrees/orch-1.1");
        write_file(&dir.join("mine.txt"), "keep me");
        break_it(&dir, &admin);
        let kept = dir.exists();
        mends(&repo, &[id]);
        let set_aside = repo
            .path()
            .with_file_name("repo.orch")
            .join(".trash/1.1-1/mine.txt");
        assert_eq!(set_aside.exists(), kept, "{id}");
        let notes = doctor(&repo, &[]).1["notes"].to_string();
        assert_eq!(notes.contains("1.1-1 was set aside"), kept, "{notes}");
        repo.orch(["claim", "a", "--agent", "1.1"]).ok();
        assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), "");
    }
}

#[test]
fn a_broken_worktree_of_an_agent_at_work_is_left_to_people() {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    fs::remove_dir_all(repo.path().join(".git/worktrees/orch-1.1")).unwrap();
    let (code, answer) = doctor(&repo, &["--fix"]);
    assert_eq!(
        (code, ids(&answer)),
        (1, vec!["worktree-unregistered"]),
        "{answer:#}"
    );
    assert!(repo.worktree("1.1").join("README.md").exists());
    let command = answer["findings"][0]["commands"][0].as_str().unwrap();
    assert!(command.starts_with("git orch release a"), "{command}");
}

#[test]
fn the_worktree_of_an_agent_that_is_gone_is_removed_unless_it_holds_work() {
    let repo = parked();
    let fewer = PLAN.replace("coders = 2", "coders = 1");
    repo.orch(["claim", "b", "--agent", "1.2"]).ok();
    repo.orch([
        "release",
        "b",
        "--agent",
        "1.2",
        "--attempt",
        "1",
        "-m",
        "not now",
    ])
    .ok();
    let repo = repo.plan(&fewer);
    let dir = repo.worktree("1.2");
    write_file(&dir.join("mine.txt"), "keep me");
    let (code, answer) = doctor(&repo, &["--fix"]);
    assert_eq!(
        (code, ids(&answer)),
        (1, vec!["worktree-unneeded"]),
        "{answer:#}"
    );
    let outcome = answer["findings"][0]["outcome"].as_str().unwrap();
    assert!(outcome.contains("uncommitted work"), "{outcome}");
    assert!(dir.join("mine.txt").exists());

    fs::remove_file(dir.join("mine.txt")).unwrap();
    mends(&repo, &["worktree-unneeded"]);
    assert!(!dir.exists());
}

#[test]
fn locks_in_worktrees_are_broken_when_their_agent_is_idle_and_they_are_old() {
    let repo = parked();
    let lock = repo.path().join(".git/worktrees/orch-1.1/index.lock");
    super::write_old(&lock, "");
    mends(&repo, &["stale-lock"]);
    assert!(!lock.exists());

    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    super::write_old(&lock, "");
    let (code, answer) = doctor(&repo, &["--fix"]);
    assert_eq!((code, ids(&answer)), (1, vec!["stale-lock"]), "{answer:#}");
    assert!(lock.exists(), "its agent is at work");
}
