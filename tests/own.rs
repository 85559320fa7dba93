//! `git orch test`: what a coder's own run says counts for the assembler.

use super::common::site::{Site, verdicts};
use super::common::{TestRepo, write_file};

/// Counts its runs.
const COUNTED: &str = "echo x >> \"$HOME/runs\"; test ! -e bad";

/// Tests the branch of task `a` in a worktree of its own, assembles, and returns the report and the number of runs.
fn test_and_assemble(site: &Site) -> (serde_json::Value, usize) {
    site.work("a", "1.1", &[("a", "a\n")]);
    let dir = site.repo.outside().join("tree of a");
    site.repo.git([
        "worktree",
        "add",
        "-q",
        dir.to_str().unwrap(),
        "orch/team-1/a",
    ]);
    let told = site.repo.orch_in(&dir, ["test", "--json"]).json();
    assert_eq!(
        (&told["verdict"], &told["remembered"]),
        (&"green".into(), &true.into())
    );
    assert_eq!(told["tree"], site.rev("orch/team-1/a^{tree}"));
    // Known from now on, unless it is asked for again.
    let told = site.repo.orch_in(&dir, ["test", "--json"]).json();
    assert_eq!(told["known"], true);
    let (code, report) = site.assemble();
    assert_eq!(
        (code, verdicts(&report)),
        (0, vec![String::from("a: merged")])
    );
    let runs = std::fs::read_to_string(site.repo.outside().join("home/runs")).unwrap();
    (report, runs.lines().count())
}

#[test]
fn a_trusted_test_of_the_branch_itself_saves_the_assemblers() {
    let trusted = format!("{COUNTED}'''\ntrust_coder_tests = true #'''");
    let site = Site::new(&trusted, &[("a", 1, &[])]);
    let (report, runs) = test_and_assemble(&site);
    assert_eq!(
        (&report["tests_run"], &report["tests_cached"], runs),
        (&0.into(), &1.into(), 1)
    );
}

#[test]
fn a_coders_own_test_is_repeated_by_the_assembler() {
    let site = Site::new(COUNTED, &[("a", 1, &[])]);
    let (report, runs) = test_and_assemble(&site);
    assert_eq!((&report["tests_run"], runs), (&1.into(), 2));
}

#[test]
fn what_only_a_coders_worktree_has_makes_no_branch_pass() {
    let repo = TestRepo::new()
        .write(".gitignore", "*.local\n")
        .commit("ignores");
    let site = Site::over(
        repo,
        "test ! -e f || test -e needed.local",
        &[("a", 1, &[])],
    );
    site.work("a", "1.1", &[("f", "x\n")]);
    let dir = site.repo.outside().join("tree of a");
    let (path, branch) = (dir.to_str().unwrap(), "orch/team-1/a");
    site.repo.git(["worktree", "add", "-q", path, branch]);
    write_file(&dir.join("needed.local"), "x\n");
    let told = site.repo.orch_in(&dir, ["test", "--json"]).json();
    assert_eq!(
        (&told["verdict"], &told["remembered"]),
        (&"green".into(), &true.into())
    );
    let (_, report) = site.assemble();
    assert_eq!(verdicts(&report), ["a: test_failed"]);
}

#[test]
fn what_is_not_committed_is_tested_and_not_remembered() {
    let site = Site::new("test ! -e bad", &[("a", 1, &[])]);
    write_file(&site.repo.path().join("bad"), "x\n");
    let outcome = site.repo.orch(["test", "--json"]);
    assert_eq!(outcome.code(), 1);
    let told: serde_json::Value = serde_json::from_str(&outcome.stdout()).unwrap();
    assert_eq!(
        (&told["verdict"], &told["remembered"]),
        (&"red".into(), &false.into())
    );
    std::fs::remove_file(site.repo.path().join("bad")).unwrap();
    let outcome = site.repo.orch(["test"]);
    assert!(
        outcome.stdout().contains("passed in"),
        "{}",
        outcome.stdout()
    );
    let outcome = site.repo.orch(["test"]);
    assert!(
        outcome.stdout().contains("is known to pass"),
        "{}",
        outcome.stdout()
    );
    site.repo.orch(["test", "--again"]).ok();
}

#[test]
fn without_a_test_in_the_plan_it_says_so() {
    let site = Site::new("", &[("a", 1, &[])]);
    let complaint = site.repo.orch(["test"]).fails(1);
    assert!(complaint.contains("has no `test`"), "{complaint}");
}
