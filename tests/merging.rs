//! Work that did not merge goes back to a coder with the merge under way in its worktree.

use super::common::TestRepo;
use super::common::site::Site;

const TEST: &str = "! grep -rqs '^<<<<<<<' *";

/// A site where `b` conflicts with what `a` has brought in, in `file`.
fn conflicting() -> Site {
    let site = Site::new(TEST, &[("a", 1, &[]), ("b", 1, &[])]);
    site.work("a", "1.1", &[("file", "from a\n"), ("a", "a\n")]);
    site.work("b", "1.2", &[("file", "from b\n"), ("b", "b\n")]);
    let (code, report) = site.assemble();
    assert_eq!(code, 1, "{report}");
    assert_eq!((site.state("a"), site.state("b")), ("merged", "ready"));
    site
}

#[test]
fn the_coder_finds_the_merge_under_way_on_the_current_tip() {
    let site = conflicting();
    // Somebody else has come in since.
    site.branch(
        "orch/integration",
        "orch/integration",
        "by hand",
        &[("later", "x\n")],
    );
    let claim = site
        .repo
        .orch(["claim", "b", "--agent", "1.2", "--json"])
        .json();
    let dir = std::path::PathBuf::from(claim["worktree"].as_str().unwrap());
    let merging = site.repo.git_in(&dir, ["rev-parse", "MERGE_HEAD"]);
    assert_eq!(merging, site.rev("orch/integration"));
    assert_eq!(
        site.repo
            .git_in(&dir, ["rev-parse", "--abbrev-ref", "HEAD"]),
        "orch/team-1/b"
    );
    let text = std::fs::read_to_string(dir.join("file")).unwrap();
    for part in [
        "<<<<<<< HEAD",
        "from b",
        "from a",
        ">>>>>>> orch/integration",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(dir.join("a").exists() && dir.join("later").exists());
    let findings = std::fs::read_to_string(dir.join(".orchestration/findings.txt")).unwrap();
    assert!(findings.contains("That merge is under way"), "{findings}");
    std::fs::write(dir.join("file"), "from a\nfrom b\n").unwrap();
    let attempt = claim["attempt"].to_string();
    let of = ["b", "--agent", "1.2", "--attempt", attempt.as_str()];
    site.repo.orch([&["start"], &of[..]].concat()).ok();
    site.repo.git_in(&dir, ["add", "file"]);
    site.repo.git_in(&dir, ["commit", "-q", "-m", "both"]);
    site.repo.orch([&["submit"], &of[..]].concat()).ok();
    let (code, report) = site.assemble();
    assert_eq!(code, 0, "{report}");
    assert_eq!(
        site.file("orch/integration", "file").as_deref(),
        Some("from a\nfrom b\n")
    );
}

/// Two coders who write the same file; the second decides by `decide` what it finds in conflict.
fn run(more: &str, decide: &str) -> (TestRepo, git_orch::model::Board) {
    let plan = format!(
        "[run]\nname = \"r\"\ntest = \"\"\"{TEST}\"\"\"\nretries = 1\n{more}\n[[teams]]\nid = 1\nname = \"T\"\ncoders = 2\n\
         [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"A\"\npriority = 9\nrun = \"echo a >file\"\n\
         [[tasks]]\nid = \"b\"\nteam = 1\ntitle = \"B\"\n\
         run = \"\"\"if grep -q '^<<<<<<<' file; then git rev-parse -q --verify MERGE_HEAD; {decide}; else echo b >file; fi\"\"\"\n"
    );
    let repo = TestRepo::new().init().plan(&plan);
    let mut orch = repo.orch_command(repo.path());
    orch.args(["run", "--assemble", "--quiet"]);
    let _ = orch.output().unwrap();
    let prompt = repo.path().join(".git/orch/attempts/b/2/prompt.md");
    let prompt = std::fs::read_to_string(prompt).unwrap();
    assert!(prompt.contains("- decide `file`"), "{prompt}");
    let board = super::ledger::open(repo.path()).board().clone();
    (repo, board)
}

/// Without a sandbox, and in one where it works here.
fn sandboxes() -> Vec<&'static str> {
    let mut all = vec!["sandbox = \"none\""];
    if super::sandbox::has_landlock() {
        all.push("sandbox = \"landlock\"");
    }
    all
}

#[test]
fn a_decision_without_git_add_is_committed_for_the_agent() {
    for sandbox in sandboxes() {
        decided(sandbox, "printf 'a\\nb\\n' >file");
        decided(
            sandbox,
            "printf 'a\\nb\\n' >file; git add file; git commit -q -m both",
        );
    }
}

fn decided(sandbox: &str, decide: &str) {
    let (repo, board) = run(sandbox, decide);
    for task in ["a", "b"] {
        let state = board.tasks[&task.parse().unwrap()].status.state;
        assert_eq!(state.as_str(), "merged", "{task}");
    }
    assert_eq!(repo.git(["show", "orch/integration:file"]), "a\nb");
    let parents = repo.git(["log", "-1", "--format=%P", "orch/team-1/b"]);
    assert_eq!(parents.split(' ').count(), 2, "{parents}");
}

#[test]
fn what_is_left_undecided_is_no_work_and_is_kept() {
    for sandbox in sandboxes() {
        undecided(sandbox);
    }
}

fn undecided(sandbox: &str) {
    let (repo, board) = run(sandbox, "true");
    let b = &board.tasks[&"b".parse().unwrap()].status;
    assert_ne!(b.state.as_str(), "merged");
    let findings = b.findings.clone().unwrap_or_default() + b.reason.as_deref().unwrap_or_default();
    assert!(findings.contains("conflicts are unresolved"), "{findings}");
    let kept = repo.git(["for-each-ref", "--format=%(refname)", "refs/orch/recovery"]);
    assert!(!kept.is_empty());
    assert_eq!(repo.git(["show", "orch/integration:file"]), "a");
}

#[test]
fn files_of_a_worktree_that_was_not_ready_are_nobodys_work() {
    let site = Site::new("true", &[("a", 1, &[])]);
    site.repo.orch(["dispatch"]).ok();
    site.repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let dir = site.repo.worktree("1.1");
    let ledger = super::ledger::open(site.repo.path());
    let task = &ledger.board().tasks[&"a".parse().unwrap()];
    let claim = git_orch::model::Claim {
        task: task.id.clone(),
        agent: "1.1".parse().unwrap(),
        attempt: task.status.attempt,
    };
    let assignment = git_orch::workspace::assignment_of(&ledger, task, &claim).unwrap();
    let commit = || {
        let repo = git_orch::git::Repo::discover(site.repo.path()).unwrap();
        git_orch::workspace::commit_leftovers(&repo, &dir, &assignment, "left").unwrap()
    };
    // As whoever was killed in the middle of the checkout leaves it.
    let note = site.repo.path().join(".git/orch/worktrees/1.1.preparing");
    std::fs::write(&note, "").unwrap();
    std::fs::remove_file(dir.join("README.md")).unwrap();
    let before = site.rev("orch/team-1/a");
    assert_eq!(commit(), None);
    assert_eq!(site.rev("orch/team-1/a"), before);
    // Made ready, what is missing was deleted by its agent.
    let of = ["claim", "a", "--agent", "1.1", "--attempt", "1"];
    site.repo.orch(of).ok();
    assert!(!note.exists() && dir.join("README.md").exists());
    std::fs::remove_file(dir.join("README.md")).unwrap();
    assert!(commit().is_some());
    assert_eq!(site.file("orch/team-1/a", "README.md"), None);
}
