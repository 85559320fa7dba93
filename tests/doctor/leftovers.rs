//! What killed processes leave: locks, letters, temporary files, caches.

use std::fs;

use super::super::common::write_file;
use super::{assert_well, doctor, ids, mends, site, write_old};

#[test]
fn a_lock_of_our_own_is_known_and_taken_away() {
    let repo = site();
    let git = repo.path().join(".git");
    // What a git-orch killed while it moved the ledger leaves: one file under two names, which older versions
    // called otherwise.
    for scratch in ["orch/ref:refs:heads:orchestration.new", "orch/ref.new"] {
        let scratch = git.join(scratch);
        fs::write(&scratch, "half").unwrap();
        let lock = git.join("refs/heads/orchestration.lock");
        fs::hard_link(&scratch, &lock).unwrap();
        mends(&repo, &["stale-lock"]);
        assert!(!lock.exists() && !scratch.exists());
    }

    fs::write(git.join("orch/config.new"), "half").unwrap();
    fs::hard_link(git.join("orch/config.new"), git.join("config.lock")).unwrap();
    mends(&repo, &["stale-lock"]);
    repo.git(["config", "my.key", "value"]);
}

#[test]
fn a_lock_of_gits_is_broken_only_when_nobody_can_hold_it_any_more() {
    let repo = site();
    let git = repo.path().join(".git");
    let lock = git.join("packed-refs.lock");
    write_file(&lock, "");
    let (code, answer) = doctor(&repo, &["--fix"]);
    assert_eq!((code, ids(&answer)), (1, vec!["stale-lock"]));
    assert!(lock.exists(), "it may be a live git's");
    let command = answer["findings"][0]["commands"][0].as_str().unwrap();
    assert!(command.starts_with("rm '"), "{command}");

    write_old(&lock, "");
    mends(&repo, &["stale-lock"]);
    assert!(!lock.exists());
    let of_ledger = git.join("refs/heads/orchestration.lock");
    write_old(&of_ledger, "");
    mends(&repo, &["stale-lock"]);
    repo.orch(["claim", "a", "--agent", "1.1", "--no-worktree"])
        .ok();
}

#[test]
fn letters_without_a_writer_are_cleared_and_those_with_one_are_not() {
    let repo = site();
    let spool = repo.path().join(".git/orch/spool");
    write_file(&spool.join("0000-dead"), "{}\n");
    write_file(&spool.join(".new-dead"), "{");
    let live = spool.join("1111-live");
    write_file(&live, "{}\n");
    let writer = fs::File::open(&live).unwrap();
    writer.lock().unwrap();
    mends(&repo, &["spool-stale", "spool-stale"]);
    assert!(live.exists(), "its writer waits");
    drop(writer);
    mends(&repo, &["spool-stale"]);
}

#[test]
fn temporary_files_are_deleted_when_they_are_old() {
    let repo = site();
    let orch = repo.path().join(".git/orch");
    write_old(&orch.join(".orch-aaaaaa"), "x");
    write_old(&orch.join("attempts/a/1/.orch-bbbbbb"), "x");
    write_file(&orch.join("worktrees/.orch-cccccc"), "young");
    mends(&repo, &["temporary-left", "temporary-left"]);
    assert!(orch.join("worktrees/.orch-cccccc").exists());
}

#[test]
fn caches_that_cannot_be_read_are_deleted() {
    let repo = site();
    repo.orch(["log"]).ok();
    let orch = repo.path().join(".git/orch");
    let version = env!("CARGO_PKG_VERSION");
    let garbage = format!("git-orch snapshot 9 {version}\ngarbage");
    write_file(&orch.join("snapshot"), &garbage);
    write_file(&orch.join("watch"), "{half");
    write_file(&orch.join("events.index"), "garbage");
    mends(&repo, &["cache-unreadable"; 3]);
    assert_eq!(repo.orch(["status", "--json"]).json()["run"], "demo");
    // One of another version is nobody's business.
    write_file(&orch.join("snapshot"), "git-orch snapshot 1\nanything");
    assert_well(&repo);
}
