//! Two ledgers of which only a person can choose one.

use super::super::common::TestRepo;
use super::{PLAN, assert_well, doctor, ids, site};

fn tip(repo: &TestRepo) -> String {
    repo.git(["rev-parse", "orchestration"])
}

fn recovery(repo: &TestRepo) -> Vec<String> {
    let listed = repo.git([
        "for-each-ref",
        "--format=%(*objectname)",
        "refs/orch/recovery/ledger",
    ]);
    listed.lines().map(str::to_owned).collect()
}

/// A ledger that was set back by two transitions and has gone on by one of somebody's own; returns where
/// git-orch left it and where it is.
fn set_back() -> (TestRepo, String, String) {
    let repo = site();
    for task in ["a", "b"] {
        let agent = if task == "a" { "1.1" } else { "1.2" };
        repo.orch(["claim", task, "--agent", agent, "--no-worktree"])
            .ok();
    }
    let noted = tip(&repo);
    let tree = repo.git(["rev-parse", "orchestration~2^{tree}"]);
    let other = repo.git([
        "commit-tree",
        "-m",
        "by hand",
        "-p",
        "orchestration~2",
        &tree,
    ]);
    repo.git(["update-ref", "refs/heads/orchestration", &other]);
    (repo, noted, other)
}

#[test]
fn a_ledger_that_was_set_back_waits_for_a_person() {
    let (repo, noted, current) = set_back();
    repo.orch(["dispatch"]).ok_or_refused();
    repo.orch(["claim", "a", "--agent", "1.1", "--no-worktree"])
        .fails(1);
    let (code, answer) = doctor(&repo, &["--fix"]);
    assert_eq!(
        (code, ids(&answer)),
        (1, vec!["ledger-set-back"]),
        "{answer:#}"
    );
    assert_eq!(tip(&repo), current, "--fix chooses nothing");
    let what = answer["findings"][0]["what"].as_str().unwrap();
    for part in [
        &noted[..12],
        &current[..12],
        "drops 1 transition of the current",
        "drops 2 transitions of the noted",
        "2025-11-21T",
    ] {
        assert!(what.contains(part), "{part} in {what}");
    }
    let commands = serde_json::json!([
        "git orch doctor --keep noted",
        "git orch doctor --keep current"
    ]);
    assert_eq!(answer["findings"][0]["commands"], commands);
    assert!(
        answer["notes"][0]
            .as_str()
            .unwrap()
            .contains("not looked at")
    );
}

/// Either is fine for what comes before the point of a test.
trait OkOrRefused {
    fn ok_or_refused(self);
}

impl OkOrRefused for super::Outcome {
    fn ok_or_refused(self) {
        assert!(matches!(self.code(), 0 | 1 | 3), "{}", self.stderr());
    }
}

#[test]
fn keeping_the_noted_ledger_brings_its_claims_back() {
    let (repo, noted, current) = set_back();
    repo.orch(["doctor", "--keep", "noted"]).ok();
    assert_eq!((tip(&repo), recovery(&repo)), (noted, vec![current]));
    assert_well(&repo);
    repo.orch(["start", "a", "--agent", "1.1", "--attempt", "1"])
        .ok();
    let said = repo.orch(["doctor", "--keep", "noted"]).fails(3);
    assert!(said.contains("nothing to choose"), "{said}");
}

#[test]
fn keeping_the_current_ledger_goes_on_from_there() {
    let (repo, noted, current) = set_back();
    repo.orch(["doctor", "--keep", "current"]).ok();
    assert_eq!((tip(&repo), recovery(&repo)), (current, vec![noted]));
    assert_well(&repo);
    repo.orch(["claim", "a", "--agent", "1.2", "--no-worktree"])
        .ok();
}

/// A repository whose ledger's truth is at a remote, and the remote's directory.
fn with_remote() -> (TestRepo, std::path::PathBuf) {
    let repo = TestRepo::new();
    let remote = repo.outside().join("remote.git");
    repo.git(["init", "-q", "--bare", remote.to_str().unwrap()]);
    repo.git(["remote", "add", "origin", remote.to_str().unwrap()]);
    repo.git(["push", "-q", "origin", "main"]);
    repo.orch(["init", "--remote", "origin"]).ok();
    let repo = repo.plan(PLAN);
    repo.orch(["dispatch"]).ok();
    (repo, remote)
}

fn remote_tip(repo: &TestRepo, remote: &std::path::Path) -> String {
    repo.git_in(remote, ["rev-parse", "orchestration"])
}

#[test]
fn a_remote_that_went_back_is_taken_or_given_ours() {
    for keep in ["remote", "ours"] {
        let (repo, remote) = with_remote();
        assert_well(&repo);
        let ours = tip(&repo);
        repo.git_in(
            &remote,
            [
                "update-ref",
                "refs/heads/orchestration",
                &format!("{ours}~1"),
            ],
        );
        let theirs = remote_tip(&repo, &remote);
        repo.orch(["sync"]).fails(1);
        let (code, answer) = doctor(&repo, &["--fix"]);
        assert_eq!(
            (code, ids(&answer)),
            (1, vec!["remote-ledger-rewritten"]),
            "{answer:#}"
        );
        let what = answer["findings"][0]["what"].as_str().unwrap();
        assert!(what.contains("drops 1 transition of ours"), "{what}");
        assert_eq!(
            (tip(&repo), remote_tip(&repo, &remote)),
            (ours.clone(), theirs.clone())
        );

        repo.orch(["doctor", "--keep", keep]).ok();
        let (kept, other) = match keep {
            "remote" => (theirs, ours),
            _ => (ours, theirs),
        };
        assert_eq!(
            (tip(&repo), remote_tip(&repo, &remote)),
            (kept.clone(), kept),
            "{keep}"
        );
        assert_eq!(recovery(&repo), [other]);
        assert_well(&repo);
        repo.orch(["dispatch"]).ok_or_refused();
        repo.orch(["claim", "a", "--agent", "1.1", "--no-worktree"])
            .ok();
        assert_eq!(tip(&repo), remote_tip(&repo, &remote));
    }
}

#[test]
fn ledgers_that_went_different_ways_are_told_apart() {
    let (repo, remote) = with_remote();
    let tree = repo.git(["rev-parse", "orchestration^{tree}"]);
    let by_hand = repo.git(["commit-tree", "-m", "here", "-p", "orchestration", &tree]);
    let there = repo.git_in(
        &remote,
        ["commit-tree", "-m", "there", "-p", "orchestration", &tree],
    );
    repo.git(["update-ref", "refs/heads/orchestration", &by_hand]);
    repo.git_in(&remote, ["update-ref", "refs/heads/orchestration", &there]);
    repo.orch(["sync"]).fails(1);
    let (_, answer) = doctor(&repo, &[]);
    assert_eq!(ids(&answer), ["remote-ledger-diverged"], "{answer:#}");
    repo.orch(["doctor", "--keep", "ours"]).ok();
    assert_eq!(remote_tip(&repo, &remote), by_hand);
    assert_well(&repo);
    repo.orch(["sync"]).ok();
}

#[test]
fn a_remote_without_its_ledger_gets_ours_again() {
    let (repo, remote) = with_remote();
    let ours = tip(&repo);
    repo.git_in(&remote, ["update-ref", "-d", "refs/heads/orchestration"]);
    let (_, answer) = doctor(&repo, &[]);
    assert_eq!(ids(&answer), ["remote-ledger-gone"], "{answer:#}");
    let said = repo.orch(["doctor", "--keep", "remote"]).fails(1);
    assert!(said.contains("has no ledger that could be kept"), "{said}");
    repo.orch(["doctor", "--keep", "ours"]).ok();
    assert_eq!(remote_tip(&repo, &remote), ours);
    assert_well(&repo);
}

#[test]
fn a_remote_that_does_not_answer_is_no_finding() {
    let (repo, remote) = with_remote();
    std::fs::rename(&remote, remote.with_extension("away")).unwrap();
    let (code, answer) = doctor(&repo, &[]);
    assert_eq!((code, ids(&answer)), (0, vec![]), "{answer:#}");
    let note = answer["notes"][0].as_str().unwrap();
    assert!(note.contains("remote origin cannot be reached"), "{note}");
}

#[test]
fn a_broken_file_that_came_from_the_remote_is_mended_for_everybody() {
    let (repo, remote) = with_remote();
    let path = ".orchestration/teams/1/status/a.toml";
    let other = repo.outside().join("other");
    repo.git([
        "clone",
        "-q",
        "-b",
        "orchestration",
        remote.to_str().unwrap(),
        other.to_str().unwrap(),
    ]);
    std::fs::write(other.join(path), "state = \n").unwrap();
    repo.git_in(&other, ["commit", "-q", "-a", "-m", "by hand"]);
    repo.git_in(&other, ["push", "-q"]);
    repo.orch(["sync"]).fails(1);
    let (_, answer) = doctor(&repo, &[]);
    assert_eq!(ids(&answer), ["ledger-broken"], "{answer:#}");
    let hinted = repo.orch(["doctor", "--restore", path]);
    assert!(
        hinted.stderr().contains("git orch sync"),
        "{}",
        hinted.stderr()
    );
    hinted.ok();
    assert_well(&repo);
    repo.orch(["sync"]).ok();
    assert_eq!(tip(&repo), remote_tip(&repo, &remote));
}

#[test]
fn a_branch_of_no_task_on_the_remote_is_told_and_left_alone() {
    let (repo, remote) = with_remote();
    repo.git(["push", "-q", "origin", "main:refs/heads/orch/team-1/stray"]);
    repo.orch(["sync"]).ok();
    let (code, answer) = doctor(&repo, &["--fix"]);
    assert_eq!(
        (code, ids(&answer)),
        (1, vec!["branch-without-task"]),
        "{answer:#}"
    );
    let command = answer["findings"][0]["commands"][0].as_str().unwrap();
    assert_eq!(command, "git push origin --delete orch/team-1/stray");
    repo.git_in(&remote, ["rev-parse", "orch/team-1/stray"]);
}
