//! What a merge queue without a plan offers beside assembling: branches by a glob, and forgetting.

use git_orch::assembler::{branches_like, forget};
use git_orch::git::Repo;

use super::common::TestRepo;
use super::common::site::{Site, assemble, branch};

const NOT_BAD: &str = "test ! -e bad";

fn open(repo: &TestRepo) -> Repo {
    Repo::discover(repo.path()).unwrap()
}

fn like(repo: &TestRepo, pattern: &str, target: &str) -> Vec<String> {
    branches_like(&open(repo), pattern, target).unwrap()
}

#[test]
fn branches_are_found_by_a_glob_in_the_order_of_their_numbers() {
    let repo = TestRepo::new();
    for name in [
        "fix-10",
        "fix-9",
        "fix-1",
        "feature/b/deep",
        "feature/a",
        "fixed",
    ] {
        repo.git(["branch", name]);
    }
    assert_eq!(like(&repo, "fix-*", "main"), ["fix-1", "fix-9", "fix-10"]);
    assert_eq!(
        like(&repo, "feature/*", "main"),
        ["feature/a", "feature/b/deep"]
    );
    assert_eq!(like(&repo, "f{ix-1,ixed}", "main"), ["fix-1", "fixed"]);
    assert_eq!(
        like(&repo, "*", "refs/heads/fixed").len(),
        6,
        "all but the target"
    );
    let error = branches_like(&open(&repo), "nothing/*", "main").unwrap_err();
    assert!(error.to_string().contains("no branch matches"), "{error}");
    let error = branches_like(&open(&repo), "a[", "main").unwrap_err();
    assert!(error.to_string().contains("is no glob"), "{error}");
}

#[test]
fn the_ledger_and_a_plans_branches_are_left_out_unless_named() {
    let site = Site::new(NOT_BAD, &[("a", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.repo.git(["branch", "other"]);
    assert_eq!(like(&site.repo, "*", "main"), ["other"]);
    assert_eq!(like(&site.repo, "o*", "main"), ["other"]);
    assert_eq!(like(&site.repo, "orch/team-1/*", "main"), ["orch/team-1/a"]);
    let error = branches_like(&open(&site.repo), "orchestration", "main").unwrap_err();
    assert!(error.to_string().contains("no branch matches"), "{error}");
}

/// Everything of ours in a repository: refs and files.
fn ours(repo: &TestRepo) -> (String, bool) {
    let refs = repo.git(["for-each-ref", "--format=%(refname)", "refs/orch"]);
    (refs, repo.path().join(".git/orch").exists())
}

#[test]
fn forgetting_leaves_nothing_without_a_plan() {
    let repo = TestRepo::new();
    branch(&repo, "one", "main", "one", &[("one", "x\n")]);
    let assemble = [
        "assemble", "--json", "--onto", "main", "--test", NOT_BAD, "one",
    ];
    repo.orch(assemble).ok();
    repo.git(["update-ref", "refs/orch/conflict/x", "main"]);
    repo.git(["update-ref", "refs/orch/resolution/aa/x", "main"]);
    let verdicts = repo.git(["for-each-ref", "refs/orch/verdict"]);
    assert!(!verdicts.is_empty(), "there is something to forget");
    let count = verdicts.lines().count() + 2;
    assert_eq!(forget(&open(&repo)).unwrap().refs, count);
    assert_eq!(ours(&repo), (String::new(), false));
    assert_eq!(forget(&open(&repo)).unwrap().refs, 0, "again is as good");
    assert_eq!(repo.git(["worktree", "list"]).lines().count(), 1);
    repo.git(["fsck", "--strict"]);
}

#[test]
fn what_was_forgotten_is_tested_again() {
    let repo = TestRepo::new();
    branch(&repo, "one", "main", "one", &[("one", "x\n")]);
    let before = repo.git(["rev-parse", "main"]);
    let assemble = [
        "assemble", "--json", "--onto", "main", "--test", NOT_BAD, "one",
    ];
    let tests_run = || {
        repo.git(["reset", "-q", "--hard", &before]);
        repo.orch(assemble).json()["tests_run"].as_u64().unwrap()
    };
    assert_eq!([tests_run(), tests_run()], [1, 0]);
    forget(&open(&repo)).unwrap();
    assert_eq!(tests_run(), 1);
}

#[test]
fn with_a_plan_the_ledger_and_what_is_kept_stay() {
    let site = Site::new(NOT_BAD, &[("a", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.repo.orch(["assemble"]).ok();
    site.repo
        .git(["update-ref", "refs/orch/recovery/1.1/1", "main"]);
    for name in ["conflict/x", "resolution/aa/x"] {
        let name = format!("refs/orch/{name}");
        site.repo.git(["update-ref", name.as_str(), "main"]);
    }
    assert!(forget(&open(&site.repo)).unwrap().refs > 0);
    for name in ["conflict/x", "resolution/aa/x"] {
        assert_eq!(
            site.rev(&format!("refs/orch/{name}")),
            site.rev("main"),
            "{name}"
        );
    }
    assert_eq!(site.state("a"), "merged");
    assert_eq!(site.rev("refs/orch/recovery/1.1/1"), site.rev("main"));
    assert_eq!(site.repo.git(["for-each-ref", "refs/orch/verdict"]), "");
    site.repo.orch(["approve"]).ok();
}

#[test]
fn an_agent_may_not_forget() {
    let site = Site::new("", &[("x", 1, &[])]);
    site.repo.orch(["dispatch"]).ok();
    site.repo.orch(["claim", "x", "--agent", "1.1"]).ok();
    let coder = Repo::discover(&site.repo.worktree("1.1")).unwrap();
    let error = forget(&coder).unwrap_err();
    assert!(error.to_string().contains("agent 1.1 may not"), "{error}");
}

#[test]
fn of_thousands_of_verdicts_the_oldest_go() {
    let repo = TestRepo::new();
    branch(&repo, "a", "main", "a", &[("a", "a\n")]);
    let line = |number: u32| {
        let text = format!("at = \"{number}\"\n");
        let path = repo.outside().join("text");
        std::fs::write(&path, text).unwrap();
        let id = repo.git(["hash-object", "-w", path.to_str().unwrap()]);
        format!("create refs/orch/verdict/00/{number:040} {id}\n")
    };
    // All of one blob, which says nothing: those go before any that can be read.
    let id = line(1).rsplit(' ').next().unwrap().to_owned();
    let refs: String = (0..4_100)
        .map(|number| format!("create refs/orch/verdict/00/{number:040} {id}"))
        .collect();
    let mut update = repo.command("git", repo.path());
    let mut child = update
        .args(["update-ref", "--stdin"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), refs.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let args = [
        "assemble", "--json", "--onto", "main", "--test", "true", "a",
    ];
    assert_eq!(assemble(&repo, &args).0, 0);
    let left = repo.git(["for-each-ref", "--format=%(refname)", "refs/orch/verdict"]);
    assert_eq!(left.lines().count(), 4_096 * 3 / 4);
    let known = left
        .lines()
        .filter(|name| !name.starts_with("refs/orch/verdict/00/0"));
    assert_eq!(known.count(), 1, "what was just tested stays");
}
