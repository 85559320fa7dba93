//! `git orch approve`: the base branch and the files of whoever has it checked out.

use super::common::TestRepo;
use super::common::site::{Site, branch, note};

const NOT_BAD: &str = "test ! -e bad";

/// A site with one task assembled.
fn assembled(files: &[(&str, &str)]) -> Site {
    let site = Site::new(NOT_BAD, &[("a", 1, &[]), ("b", 2, &[])]);
    site.work("a", "1.1", files);
    site.repo.orch(["assemble"]).ok();
    site
}

/// Commits on `main` from elsewhere, as if somebody had pushed.
fn commit_on_main(repo: &TestRepo, path: &str, text: &str) {
    repo.git(["switch", "-q", "--detach"]);
    branch(repo, "main", "main", "from elsewhere", &[(path, text)]);
    repo.git(["switch", "-q", "main"]);
}

#[test]
fn the_base_branch_and_its_files_follow() {
    let site = assembled(&[("dir/a", "a\n"), ("README.md", "# new\n")]);
    let before = site.rev("main");
    let answer = site.repo.orch(["approve", "--json"]).json();
    assert_eq!(answer["base"], "main");
    assert_eq!(answer["before"], before);
    assert_eq!(answer["after"], site.rev("orch/integration"));
    assert_eq!(site.rev("main"), site.rev("orch/integration"));
    assert_eq!(site.repo.git(["status", "--porcelain"]), "");
    assert!(site.repo.path().join("dir/a").exists());
    let told = site.repo.git(["log", "-1", "--format=%B", "orchestration"]);
    assert!(told.contains("Orch-Event: approve"), "{told}");
    site.repo.orch(["approve"]).fails(3);
    // A later assembly starts from there.
    site.work("b", "2.1", &[("b", "b\n")]);
    site.repo.orch(["assemble"]).ok();
    site.repo.orch(["approve"]).ok();
    assert!(site.repo.path().join("b").exists());
}

#[test]
fn nothing_to_approve_is_told() {
    let site = Site::new(NOT_BAD, &[("a", 1, &[])]);
    site.repo.orch(["approve"]).fails(3);
}

#[test]
fn only_the_tested_commit_is_approved() {
    let site = assembled(&[("a", "a\n")]);
    site.branch(
        "orch/integration",
        "orch/integration",
        "by hand",
        &[("hand", "x\n")],
    );
    let before = site.rev("main");
    let complaint = site.repo.orch(["approve"]).fails(1);
    assert!(complaint.contains("git orch assemble"), "{complaint}");
    assert_eq!(site.rev("main"), before);
    site.repo.orch(["assemble"]).ok();
    site.repo.orch(["approve"]).ok();
    assert!(site.repo.path().join("hand").exists());
}

#[test]
fn a_hand_made_commit_that_fails_the_test_stays_out() {
    let site = assembled(&[("a", "a\n")]);
    site.branch(
        "orch/integration",
        "orch/integration",
        "by hand",
        &[("bad", "x\n")],
    );
    let complaint = site.repo.orch(["assemble"]).fails(1);
    assert!(complaint.contains("itself fails"), "{complaint}");
    site.repo.orch(["approve"]).fails(1);
}

#[test]
fn a_base_that_moved_is_merged_and_tested_again() {
    let site = assembled(&[("a", "a\n")]);
    commit_on_main(&site.repo, "up", "x\n");
    let moved = site.rev("main");
    site.repo.orch(["approve"]).ok();
    assert_eq!(site.rev("main^1"), moved);
    for file in ["a", "up"] {
        assert!(site.repo.path().join(file).exists(), "{file}");
    }
    assert_eq!(site.rev("main"), site.rev("orch/integration"));
    assert_eq!(site.repo.git(["status", "--porcelain"]), "");
}

#[test]
fn a_base_that_moved_and_breaks_the_test_is_left_alone() {
    let test = "test ! -e a || test ! -e up";
    let site = Site::new(test, &[("a", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.repo.orch(["assemble"]).ok();
    commit_on_main(&site.repo, "up", "x\n");
    let (main, integration) = (site.rev("main"), site.rev("orch/integration"));
    let complaint = site.repo.orch(["approve"]).fails(1);
    assert!(complaint.contains("fails: it exited with 1"), "{complaint}");
    assert_eq!(
        (site.rev("main"), site.rev("orch/integration")),
        (main, integration)
    );
}

#[test]
fn a_base_that_moved_and_conflicts_is_named_with_its_files() {
    let site = assembled(&[("README.md", "# a\n")]);
    commit_on_main(&site.repo, "README.md", "# up\n");
    let main = site.rev("main");
    let complaint = site.repo.orch(["approve"]).fails(1);
    assert!(complaint.contains("README.md"), "{complaint}");
    assert_eq!(site.rev("main"), main);
    // The way out that it tells.
    site.repo.git(["switch", "-q", "orch/integration"]);
    let merged = site
        .repo
        .try_git_in(site.repo.path(), ["merge", "-q", "main"]);
    assert_ne!(merged.code(), 0);
    std::fs::write(site.repo.path().join("README.md"), "# both\n").unwrap();
    site.repo.git(["commit", "-qam", "both"]);
    site.repo.git(["switch", "-q", "main"]);
    site.repo.orch(["assemble"]).ok();
    site.repo.orch(["approve"]).ok();
    let text = std::fs::read_to_string(site.repo.path().join("README.md")).unwrap();
    assert_eq!(text, "# both\n");
}

#[test]
fn a_checkout_with_changes_is_refused_and_left_as_it_is() {
    let site = assembled(&[("README.md", "# a\n")]);
    let before = site.rev("main");
    let path = site.repo.path().join("README.md");
    std::fs::write(&path, "# mine\n").unwrap();
    let complaint = site.repo.orch(["approve"]).fails(1);
    assert!(
        complaint.contains("README.md") && complaint.contains("stash"),
        "{complaint}"
    );
    assert_eq!(site.rev("main"), before);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\n");
    site.repo.git(["stash", "-q"]);
    site.repo.orch(["approve"]).ok();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# a\n");
}

#[test]
fn files_that_git_does_not_know_are_not_overwritten() {
    let site = assembled(&[("dir/new", "theirs\n"), ("ignored", "theirs\n")]);
    let before = site.rev("main");
    for (path, other) in [("dir", "x\n"), ("ignored", "mine\n")] {
        std::fs::write(site.repo.path().join(".git/info/exclude"), "ignored\n").unwrap();
        let path = site.repo.path().join(path);
        std::fs::write(&path, other).unwrap();
        let complaint = site.repo.orch(["approve"]).fails(1);
        assert!(complaint.contains("in the way"), "{complaint}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
        std::fs::remove_file(&path).unwrap();
    }
    assert_eq!(site.rev("main"), before);
    // A file of the user's that is in nobody's way stays.
    std::fs::write(site.repo.path().join("mine"), "x\n").unwrap();
    site.repo.orch(["approve"]).ok();
    assert!(site.repo.path().join("mine").exists());
}

#[test]
fn a_merge_or_rebase_under_way_is_refused() {
    let site = assembled(&[("a", "a\n")]);
    branch(&site.repo, "x", "main", "x", &[("README.md", "# x\n")]);
    branch(&site.repo, "y", "main", "y", &[("README.md", "# y\n")]);
    site.repo.git(["merge", "-q", "x"]);
    let _ = site.repo.try_git_in(site.repo.path(), ["merge", "y"]);
    let complaint = site.repo.orch(["approve"]).fails(1);
    assert!(
        complaint.contains("a merge of main is under way"),
        "{complaint}"
    );
    site.repo.git(["merge", "--abort"]);
    let _ = site.repo.try_git_in(site.repo.path(), ["rebase", "y"]);
    let complaint = site.repo.orch(["approve"]).fails(1);
    assert!(
        complaint.contains("a rebase of main is under way"),
        "{complaint}"
    );
    site.repo.git(["rebase", "--abort"]);
    site.repo.orch(["approve"]).ok();
}

#[test]
fn a_linked_worktree_with_the_base_branch_follows_as_well() {
    let site = assembled(&[("a", "a\n")]);
    site.repo.git(["switch", "-q", "--detach"]);
    let dir = site.repo.outside().join("a linked one");
    site.repo
        .git(["worktree", "add", "-q", dir.to_str().unwrap(), "main"]);
    site.repo.orch(["approve"]).ok();
    assert!(dir.join("a").exists());
    assert!(!site.repo.path().join("a").exists());
    assert_eq!(site.repo.git_in(&dir, ["status", "--porcelain"]), "");
}

#[test]
fn killed_after_the_branch_moved_the_files_and_the_record_follow_later() {
    let site = assembled(&[("a", "a\n"), ("README.md", "# a\n")]);
    let (old, new) = (site.rev("main"), site.rev("orch/integration"));
    // What a process leaves behind that is killed right after it moved the branch.
    let text = format!(
        "{{\"kind\":\"Approval\",\"moves\":[{{\"branch\":\"refs/heads/main\",\"old\":\"{old}\",\"new\":\"{new}\"}}]}}"
    );
    note(&site.repo, "moving.json", "moves", &text);
    site.repo.git(["update-ref", "refs/heads/main", &new]);
    assert!(!site.repo.path().join("a").exists());
    let answer = site.repo.orch(["approve", "--json"]).json();
    assert_eq!(
        (&answer["before"], &answer["after"]),
        (&old.into(), &new.into())
    );
    assert_eq!(site.repo.git(["status", "--porcelain"]), "");
    assert!(site.repo.path().join("a").exists());
    let told = site.repo.git(["log", "--format=%s", "orchestration"]);
    assert_eq!(
        told.lines().filter(|line| line.contains("approve")).count(),
        1,
        "{told}"
    );
    site.repo.orch(["approve"]).fails(3);
}

#[test]
fn killed_half_way_through_the_files_the_rest_follows_and_edits_are_kept() {
    let site = assembled(&[("a", "a\n"), ("b", "b\n"), ("README.md", "# a\n")]);
    let (old, new) = (site.rev("main"), site.rev("orch/integration"));
    let text = format!(
        "{{\"kind\":\"Approval\",\"moves\":[{{\"branch\":\"refs/heads/main\",\"old\":\"{old}\",\"new\":\"{new}\"}}]}}"
    );
    note(&site.repo, "moving.json", "moves", &text);
    site.repo.git(["update-ref", "refs/heads/main", &new]);
    // Two of the three files are there, the index is not; and meanwhile somebody has written into one.
    std::fs::write(site.repo.path().join("a"), "a\n").unwrap();
    std::fs::write(site.repo.path().join("README.md"), "# mine\n").unwrap();
    let complaint = site.repo.orch(["approve"]).fails(1);
    assert!(complaint.contains("could not follow"), "{complaint}");
    let text = std::fs::read_to_string(site.repo.path().join("README.md")).unwrap();
    assert_eq!(text, "# mine\n");
    std::fs::write(site.repo.path().join("README.md"), "# a\n").unwrap();
    site.repo.orch(["approve"]).ok();
    assert_eq!(site.repo.git(["status", "--porcelain"]), "");
    assert!(site.repo.path().join("b").exists());
}

#[test]
fn killed_before_the_branch_moved_nothing_has_happened() {
    let site = assembled(&[("a", "a\n")]);
    let (old, new) = (site.rev("main"), site.rev("orch/integration"));
    let text = format!(
        "{{\"kind\":\"Approval\",\"moves\":[{{\"branch\":\"refs/heads/main\",\"old\":\"{old}\",\"new\":\"{new}\"}}]}}"
    );
    note(&site.repo, "moving.json", "moves", &text);
    site.repo.orch(["assemble"]).fails(3);
    assert_eq!(site.rev("main"), old);
    assert!(!site.repo.path().join(".git/orch/moving.json").exists());
    site.repo.orch(["approve"]).ok();
}

#[test]
fn a_checked_out_integration_branch_follows_or_is_refused() {
    let site = Site::new(NOT_BAD, &[("a", 1, &[]), ("b", 2, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.repo.orch(["assemble"]).ok();
    site.work("b", "2.1", &[("b", "b\n")]);
    site.repo.git(["switch", "-q", "orch/integration"]);
    std::fs::write(site.repo.path().join("a"), "mine\n").unwrap();
    site.repo.orch(["assemble"]).fails(1);
    assert_eq!(site.state("b"), "submitted");
    site.repo.git(["checkout", "-q", "a"]);
    site.repo.orch(["assemble"]).ok();
    assert!(site.repo.path().join("b").exists());
    assert_eq!(site.repo.git(["status", "--porcelain"]), "");
}

#[test]
fn a_bare_repository_has_no_files_to_follow() {
    let site = assembled(&[("a", "a\n")]);
    site.repo.git(["config", "core.bare", "true"]);
    // With its files still there it would be a checkout that somebody has declared bare.
    std::fs::remove_file(site.repo.path().join("README.md")).unwrap();
    site.repo.orch(["approve"]).ok();
    site.work("b", "2.1", &[("b", "b\n")]);
}
