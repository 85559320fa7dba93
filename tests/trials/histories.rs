//! Branches that are not what they should be, and repositories of other kinds.

use super::super::common::site::{Held, Site, branch};
use super::super::common::{TestRepo, write_file};
use super::{clean, has, onto_main, with_branches};

#[test]
fn branches_equal_behind_gone_and_alien_are_told_apart() {
    let repo = with_branches(&["good", "behind"]);
    repo.git(["merge", "-q", "--no-edit", "behind"]);
    let repo = repo.write("more", "x\n").commit("more");
    repo.git(["branch", "equal"]);
    repo.git(["switch", "-q", "--orphan", "alien"]);
    let repo = repo.write("z", "z\n").commit("alien");
    repo.git(["switch", "-q", "main"]);
    let (code, verdicts, report) =
        onto_main(&repo, "true", &["alien", "behind", "equal", "gone", "good"]);
    assert_eq!(code, 1);
    let expected = [
        "alien: conflict",
        "behind: skipped",
        "equal: skipped",
        "gone: skipped",
        "good: merged",
    ];
    assert_eq!(verdicts, expected);
    let reason = |n: usize| report["train"][n]["reason"].as_str().unwrap().to_owned();
    assert!(reason(0).contains("no history in common"), "{}", reason(0));
    assert_eq!(reason(1), "main has all of it already");
    assert_eq!(reason(2), "is where main is");
    assert_eq!(reason(3), "there is no branch gone");
}

#[test]
fn a_branch_deleted_while_queued_comes_in_from_what_was_handed_in() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 1, &[])]);
    let head = site.work("a", "1.1", &[("a", "a\n")]);
    site.work("b", "1.2", &[("b", "b\n")]);
    site.repo.git(["branch", "-D", "orch/team-1/a"]);
    let (code, report) = site.assemble();
    assert_eq!(code, 0, "{report}");
    assert_eq!((site.state("a"), site.state("b")), ("merged", "merged"));
    site.repo
        .git(["merge-base", "--is-ancestor", &head, "orch/integration"]);
}

#[test]
fn a_handed_in_commit_that_is_gone_for_good_holds_nobody_up() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 1, &[])]);
    let head = site.work("a", "1.1", &[("a", "a\n")]);
    site.work("b", "1.2", &[("b", "b\n")]);
    site.repo.git(["branch", "-D", "orch/team-1/a"]);
    let (dir, file) = head.split_at(2);
    std::fs::remove_file(site.repo.path().join(".git/objects").join(dir).join(file)).unwrap();
    let (code, report) = site.assemble();
    assert_eq!(code, 1);
    assert_eq!(site.state("b"), "merged", "{report}");
    assert_ne!(site.state("a"), "merged");
    assert_ne!(report["train"][0]["reason"], "");
}

#[test]
fn a_branch_deleted_while_its_test_runs_comes_in_all_the_same() {
    let repo = with_branches(&["a", "b"]);
    let held = Held::new(&repo);
    held.hold(true);
    let test = held.command();
    let child = held.start(
        &repo,
        &["assemble", "--onto", "main", "--test", &test, "a", "b"],
    );
    repo.git(["branch", "-D", "a", "b"]);
    held.hold(false);
    held.go();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    assert!(has(&repo, "a") && has(&repo, "b"));
}

#[test]
fn branches_that_are_checked_out_stay_as_they_are_and_the_targets_files_follow() {
    let repo = with_branches(&["a", "target"]);
    let (on_a, on_target) = (
        repo.outside().join("on-a"),
        repo.outside().join("on-target"),
    );
    repo.git(["worktree", "add", "-q", on_a.to_str().unwrap(), "a"]);
    repo.git([
        "worktree",
        "add",
        "-q",
        on_target.to_str().unwrap(),
        "target",
    ]);
    write_file(&on_a.join("a"), "changed, not committed\n");
    write_file(&on_target.join("untracked"), "mine\n");
    let args = ["assemble", "--onto", "target", "--test", "true", "a"];
    repo.orch(args).ok();
    assert_eq!(
        std::fs::read_to_string(on_a.join("a")).unwrap(),
        "changed, not committed\n"
    );
    assert_eq!(std::fs::read_to_string(on_target.join("a")).unwrap(), "x\n");
    assert_eq!(
        repo.git_in(&on_target, ["status", "--porcelain"]),
        "?? untracked"
    );
}

#[test]
fn a_detached_head_and_an_operation_under_way_elsewhere_do_no_harm() {
    let repo = with_branches(&["a", "b"]);
    branch(&repo, "c", "main", "c", &[("a", "other\n")]);
    repo.git(["switch", "-q", "--detach", "c"]);
    let merge = repo.try_git_in(repo.path(), ["merge", "a"]);
    assert_eq!(merge.code(), 1, "it conflicts");
    let before = repo.git(["status", "--porcelain"]);
    let (code, _, report) = onto_main(&repo, "true", &["a", "b"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(repo.git(["status", "--porcelain"]), before);
    assert!(repo.path().join(".git/MERGE_HEAD").exists());
    // On the target it is refused, and told which operation it is.
    repo.git(["merge", "--abort"]);
    repo.git(["switch", "-q", "main"]);
    assert_eq!(repo.try_git_in(repo.path(), ["merge", "c"]).code(), 1);
    let args = ["assemble", "--onto", "main", "--test", "true", "b"];
    let complaint = repo.orch(args).fails(1);
    assert!(
        complaint.contains("a merge of main is under way"),
        "{complaint}"
    );
    repo.git(["merge", "--abort"]);
    repo.git(["switch", "-q", "c"]);
    assert_eq!(repo.try_git_in(repo.path(), ["rebase", "main"]).code(), 1);
    let args = ["assemble", "--onto", "c", "--test", "true", "b"];
    let complaint = repo.orch(args).fails(1);
    assert!(
        complaint.contains("a rebase of c is under way"),
        "{complaint}"
    );
}

#[test]
fn two_thousand_renames_on_one_side_meet_edits_on_the_other() {
    let repo = TestRepo::new();
    for n in 0..2_000 {
        let text: String = (0..12)
            .map(|line| format!("file {n}, line {line}\n"))
            .collect();
        write_file(&repo.path().join(format!("old/{n}")), &text);
    }
    let repo = repo.commit("many");
    repo.git(["switch", "-q", "-c", "renames"]);
    repo.git(["mv", "old", "new"]);
    // Not exact ones, so that they have to be found by content.
    for n in 0..2_000 {
        let path = repo.path().join(format!("new/{n}"));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text + "one more\n").unwrap();
    }
    let repo = repo.commit("renamed");
    repo.git(["switch", "-q", "main"]);
    repo.git(["switch", "-q", "-c", "edits"]);
    for n in (0..2_000).step_by(100) {
        let path = repo.path().join(format!("old/{n}"));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text.replacen("line 0", "edited", 1)).unwrap();
    }
    let repo = repo.commit("edited");
    repo.git(["switch", "-q", "main"]);
    let test = "test ! -e old || test ! -e new";
    let (code, verdicts, report) = onto_main(&repo, test, &["renames", "edits"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(verdicts, ["renames: merged", "edits: merged"]);
    let text = std::fs::read_to_string(repo.path().join("new/100")).unwrap();
    assert!(
        text.contains("edited") && text.contains("one more"),
        "{text}"
    );
    assert!(!repo.path().join("old").exists());
    clean(&repo, repo.path());
}

#[test]
fn a_shallow_clone_assembles_what_it_has() {
    let repo = TestRepo::new().write("second", "x\n").commit("second");
    branch(&repo, "a", "main", "a", &[("a", "a\n")]);
    branch(&repo, "old", "main~1", "old", &[("old", "o\n")]);
    let shallow = repo.outside().join("shallow");
    let from = format!("file://{}", repo.path().display());
    repo.git([
        "clone",
        "-q",
        "--depth=2",
        "--no-single-branch",
        &from,
        shallow.to_str().unwrap(),
    ]);
    let args = [
        "assemble",
        "--onto",
        "main",
        "--test",
        "true",
        "origin/a",
        "origin/old",
    ];
    repo.orch_in(&shallow, args).ok();
    assert_eq!(
        repo.git_in(&shallow, ["ls-tree", "--name-only", "main"]),
        "README.md\na\nold\nsecond"
    );
    clean(&repo, &shallow);
}

#[test]
fn a_clone_without_blobs_fetches_what_it_needs() {
    let repo = with_branches(&["a", "b"]);
    repo.git(["config", "uploadpack.allowFilter", "true"]);
    repo.git(["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let partial = repo.outside().join("partial");
    let from = format!("file://{}", repo.path().display());
    repo.git([
        "clone",
        "-q",
        "--filter=blob:none",
        &from,
        partial.to_str().unwrap(),
    ]);
    let args = [
        "assemble",
        "--onto",
        "main",
        "--test",
        "test -e a",
        "origin/a",
        "origin/b",
    ];
    repo.orch_in(&partial, args).ok();
    assert!(partial.join("a").exists() && partial.join("b").exists());
    clean(&repo, &partial);
}

#[test]
fn a_repository_of_long_object_names_is_refused_in_words() {
    let repo = TestRepo::new();
    let dir = repo.outside().join("long");
    repo.git([
        "init",
        "-q",
        "--object-format=sha256",
        dir.to_str().unwrap(),
    ]);
    repo.git_in(&dir, ["commit", "-q", "--allow-empty", "-m", "first"]);
    let args = ["assemble", "--onto", "main", "--test", "true", "main"];
    let complaint = repo.orch_in(&dir, args).fails(1);
    assert!(
        complaint.contains("this kind of repository is not supported"),
        "{complaint}"
    );
    assert!(complaint.contains("SHA-1"), "{complaint}");
}
