//! Work that was taken back out by a revert and is submitted again: all of it comes in, not only what is new on its
//! branch. What is said to be merged is in the branch, by content.

use super::common::TestRepo;
use super::common::site::{Files, Site, assemble, branch};

/// `a` has landed with two commits, `b` was built on it and landed too; then `a` is undone.
fn undone() -> Site {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 2, &["a"])]);
    let message = "[TEAM-1] [AGENT-1.1] begin a\n\nOrch-Task: a\nOrch-Agent: 1.1\nOrch-Attempt: 1\nOrch-Run: demo";
    site.branch("orch/team-1/a", "main", message, &[("a1", "one\n")]);
    site.work_from("orch/team-1/a", "a", "1.1", &[("a2", "two\n")]);
    site.repo.orch(["assemble"]).ok();
    site.work_from("orch/integration", "b", "2.1", &[("b", "b\n")]);
    site.repo.orch(["assemble"]).ok();
    undo(&site);
    site
}

fn undo(site: &Site) {
    let answer = site.repo.orch(["undo", "a", "-m", "no", "--json"]).json();
    assert_eq!(answer["how"], "reverted");
    assert_eq!(files(site), ["README.md", "b"]);
}

fn files(site: &Site) -> Vec<String> {
    let listed = ["ls-tree", "-r", "--name-only", "orch/integration"];
    site.repo.git(listed).lines().map(str::to_owned).collect()
}

/// `a` is submitted again from a revision, with more files, and comes in.
#[track_caller]
fn again(site: &Site, from: &str, more: Files<'_>, args: &[&str], wanted: &[&str]) {
    site.work_from(from, "a", "1.1", more);
    let (code, report) = assemble(&site.repo, &[&["assemble", "--json"], args].concat());
    assert_eq!(code, 0, "{report}");
    assert_eq!(site.state("a"), "merged");
    assert_eq!(files(site), wanted);
}

#[test]
fn all_of_the_branch_comes_in_again() {
    for gating in [&[][..], &["--gate", "batch"]] {
        let site = undone();
        let fix: Files<'_> = &[("a3", "fix\n")];
        again(
            &site,
            "orch/team-1/a",
            fix,
            gating,
            &["README.md", "a1", "a2", "a3", "b"],
        );
        site.repo.orch(["approve"]).ok();
    }
}

#[test]
fn it_may_be_undone_and_come_again_any_number_of_times() {
    let site = undone();
    for more in [("a3", "3\n"), ("a4", "4\n")] {
        site.work_from("orch/team-1/a", "a", "1.1", &[more]);
        site.repo.orch(["assemble"]).ok();
        // Built on, so that it is reverted and not moved back.
        let tip = site.rev("orch/integration");
        site.repo.git(["tag", more.0, &tip]);
        undo(&site);
    }
    let last: Files<'_> = &[("a5", "5\n")];
    again(
        &site,
        "orch/team-1/a",
        last,
        &[],
        &["README.md", "a1", "a2", "a3", "a4", "a5", "b"],
    );
}

#[test]
fn a_branch_that_keeps_a_part_of_its_commits_comes_in_as_it_is() {
    let site = undone();
    // The second commit was thrown away, and made anew otherwise.
    let other: Files<'_> = &[("a2", "better\n")];
    again(
        &site,
        "orch/team-1/a~1",
        other,
        &[],
        &["README.md", "a1", "a2", "b"],
    );
    assert_eq!(site.file("orch/integration", "a2").unwrap(), "better\n");
}

#[test]
fn a_branch_that_is_made_anew_comes_in_as_any_other() {
    let site = undone();
    again(
        &site,
        "main",
        &[("a9", "9\n")],
        &[],
        &["README.md", "a9", "b"],
    );
}

#[test]
fn by_way_of_its_teams_branch_all_of_it_comes_in() {
    let site = undone();
    site.work_from("orch/team-1/a", "a", "1.1", &[("a3", "fix\n")]);
    let (code, report) = assemble(&site.repo, &["assemble", "--json", "--team", "1"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(site.state("a"), "accepted");
    site.repo.orch(["assemble"]).ok();
    assert_eq!(files(&site), ["README.md", "a1", "a2", "a3", "b"]);
}

#[test]
fn others_who_build_on_it_bring_nothing_of_it_back() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 2, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.repo.orch(["assemble"]).ok();
    site.work_from("orch/integration", "b", "2.1", &[("b", "b\n")]);
    undo_reverted(&site);
    site.repo.orch(["assemble"]).ok();
    assert_eq!(files(&site), ["README.md", "b"]);
    again(
        &site,
        "orch/team-1/a",
        &[("a2", "2\n")],
        &[],
        &["README.md", "a", "a2", "b"],
    );
}

fn undo_reverted(site: &Site) {
    let answer = site.repo.orch(["undo", "a", "--json"]).json();
    assert_eq!(answer["how"], "reverted");
}

#[test]
fn what_conflicts_as_a_whole_goes_back_with_what_to_do() {
    let site = undone();
    // Another has put something else there meanwhile.
    branch(
        &site.repo,
        "orch/integration",
        "orch/integration",
        "by hand",
        &[("a1", "mine\n")],
    );
    site.work_from("orch/team-1/a", "a", "1.1", &[("a3", "fix\n")]);
    let (code, report) = assemble(&site.repo, &["assemble", "--json"]);
    assert_eq!(code, 1, "{report}");
    let told = site.task("a").status.findings.unwrap();
    assert!(told.contains("git revert") && told.contains("a1"), "{told}");
}

#[test]
fn without_a_plan_the_same_branch_comes_in_again() {
    let repo = TestRepo::new();
    for name in ["one", "two"] {
        branch(&repo, name, "main", name, &[(name, "x\n")]);
        repo.orch(["assemble", "--onto", "main", "--test", "true", name])
            .ok();
    }
    let one = repo.git(["rev-parse", "main^1"]);
    let undo = ["undo", &one, "--onto", "main", "--test", "true"];
    repo.orch(undo).ok();
    assert!(!repo.path().join("one").exists());
    let (code, report) = assemble(
        &repo,
        &[
            "assemble", "--json", "--onto", "main", "--test", "true", "one", "two",
        ],
    );
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["train"][0]["verdict"], "merged");
    assert_eq!(report["train"][1]["verdict"], "skipped");
    assert!(repo.path().join("one").exists());
}
