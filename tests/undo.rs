//! `git orch undo` with a plan and without: where branches, files and the ledger are afterwards.

use git_orch::model::{Claim, CommitId, Handoff, HandoffStatus, Op};

use super::common::TestRepo;
use super::common::drive::Drive;
use super::common::site::{Site, branch, note};

const NOT_BAD: &str = "test ! -e bad";

/// A site with tasks `a` and `b` assembled, in this order.
fn assembled() -> Site {
    let site = Site::new(NOT_BAD, &[("a", 1, &[]), ("b", 2, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.repo.orch(["assemble"]).ok();
    site.work("b", "2.1", &[("b", "b\n")]);
    site.repo.orch(["assemble"]).ok();
    site
}

fn undo(repo: &TestRepo, args: &[&str]) -> serde_json::Value {
    repo.orch([&["undo", "--json"], args].concat()).json()
}

#[test]
fn the_last_landing_goes_back_with_every_branch_and_file() {
    let site = assembled();
    let (tip, before) = (site.rev("orch/integration"), site.rev("orch/integration^1"));
    site.repo.git(["switch", "-q", "orch/integration"]);
    let would = undo(&site.repo, &["--dry-run"]);
    assert_eq!(
        (&would["how"], &would["dry_run"]),
        (&"moved_back".into(), &true.into())
    );
    assert_eq!(site.rev("orch/integration"), tip, "nothing has moved");
    let answer = undo(&site.repo, &["-m", "it is slow"]);
    assert_eq!(answer["how"], "moved_back");
    assert_eq!(
        (&answer["task"], &answer["undone"]),
        (&"b".into(), &tip.as_str().into())
    );
    assert_eq!(
        (&answer["before"], &answer["after"]),
        (&tip.as_str().into(), &before.as_str().into())
    );
    for name in [
        "orch/integration",
        "orch/team-1/integration",
        "orch/team-2/integration",
    ] {
        assert_eq!(site.rev(name), before, "{name}");
    }
    assert_eq!(site.repo.git(["status", "--porcelain"]), "");
    assert!(!site.repo.path().join("b").exists() && site.repo.path().join("a").exists());
    let kept = format!("{}^{{commit}}", answer["kept"].as_str().unwrap());
    assert_eq!(site.rev(&kept), tip);
    // The ledger tells it, and the coder is told.
    let status = site.task("b").status;
    assert_eq!((status.state.as_str(), status.failures), ("ready", 0));
    assert!(status.findings.unwrap().contains("it is slow"));
    let told = site.repo.git(["log", "-1", "--format=%B", "orchestration"]);
    assert!(
        told.contains("Orch-Event: undo") && told.contains("Orch-Task: b"),
        "{told}"
    );
    // What is left is tested and may be approved.
    site.repo.git(["switch", "-q", "main"]);
    site.repo.orch(["approve"]).ok();
    assert_eq!(site.rev("main"), before);
    site.repo.git(["fsck", "--strict"]);
}

#[test]
fn work_that_was_moved_back_is_handed_in_and_landed_again() {
    let site = assembled();
    undo(&site.repo, &[]);
    let head = site.rev("orch/team-2/b");
    site.hand_in("b", "2.1", &head);
    let (code, report) = site.assemble();
    assert_eq!(code, 0, "{report}");
    assert_eq!(site.state("b"), "merged");
    assert!(site.file("orch/integration", "b").is_some());
}

#[test]
fn landings_go_back_one_after_another_until_none_is_left() {
    let site = assembled();
    assert_eq!(undo(&site.repo, &[])["task"], "b");
    let answer = undo(&site.repo, &[]);
    assert_eq!(
        (&answer["task"], &answer["how"]),
        (&"a".into(), &"moved_back".into())
    );
    assert_eq!(site.rev("orch/integration"), site.rev("main"));
    let complaint = site.repo.orch(["undo"]).fails(3);
    assert!(complaint.contains("nothing to undo"), "{complaint}");
}

#[test]
fn an_earlier_landing_is_reverted_and_the_later_one_stays() {
    let site = assembled();
    let tip = site.rev("orch/integration");
    let answer = undo(&site.repo, &["a"]);
    assert_eq!(
        (&answer["task"], &answer["how"]),
        (&"a".into(), &"reverted".into())
    );
    let now = site.rev("orch/integration");
    assert_eq!(
        (site.rev("orch/integration^1"), answer["after"].as_str()),
        (tip, Some(now.as_str()))
    );
    assert_eq!(site.file("orch/integration", "a"), None);
    assert!(site.file("orch/integration", "b").is_some());
    for name in ["orch/team-1/integration", "orch/team-2/integration"] {
        assert_eq!(site.rev(name), now, "{name}");
    }
    assert_eq!((site.state("a"), site.state("b")), ("ready", "merged"));
    let message = site
        .repo
        .git(["log", "-1", "--format=%B", "orch/integration"]);
    assert!(
        message.contains("[ORCH] undo a") && message.contains("Orch-Undoes: "),
        "{message}"
    );
    // The last landing that is left is b's; and a's is not undone twice.
    site.repo
        .orch(["undo", answer["undone"].as_str().unwrap()])
        .fails(3);
    site.repo.orch(["approve"]).ok();
    assert_eq!(site.rev("main"), now);
}

#[test]
fn what_somebody_builds_on_is_reverted() {
    let site = assembled();
    site.branch("mine", "orch/integration", "my own", &[("mine", "x\n")]);
    site.repo.git(["tag", "v1", "orch/integration"]);
    let answer = undo(&site.repo, &[]);
    assert_eq!(answer["how"], "reverted");
    assert_eq!(
        answer["built_on"],
        serde_json::json!(["mine", "refs/tags/v1"])
    );
    assert_eq!(site.file("orch/integration", "b"), None);
    assert!(site.file("mine", "b").is_some());
}

#[test]
fn a_worktree_that_stands_there_builds_on_it() {
    let site = assembled();
    let dir = site.repo.outside().join("look");
    site.repo.git([
        "worktree",
        "add",
        "-q",
        "--detach",
        dir.to_str().unwrap(),
        "orch/integration",
    ]);
    let answer = undo(&site.repo, &[]);
    assert_eq!(answer["how"], "reverted");
    assert!(
        answer["built_on"][0].as_str().unwrap().ends_with("look"),
        "{answer}"
    );
}

#[test]
fn what_is_approved_is_not_the_last_landing_but_may_be_named() {
    let site = assembled();
    site.repo.orch(["approve"]).ok();
    site.repo.orch(["undo"]).fails(3);
    let main = site.rev("main");
    let answer = undo(&site.repo, &["b"]);
    assert_eq!(
        (&answer["how"], &answer["built_on"]),
        (&"reverted".into(), &serde_json::json!(["main"]))
    );
    assert_eq!(site.rev("main"), main, "only approve moves it");
    site.repo.orch(["approve"]).ok();
    assert_eq!(site.file("main", "b"), None);
    assert!(!site.repo.path().join("b").exists());
    let complaint = site.repo.orch(["undo", "--onto", "main"]).fails(1);
    assert!(complaint.contains("git orch undo"), "{complaint}");
}

#[test]
fn a_revert_that_conflicts_says_where_and_moves_nothing() {
    let site = Site::new(NOT_BAD, &[("a", 1, &[]), ("b", 2, &[])]);
    let a = site.work("a", "1.1", &[("README.md", "# by a\n")]);
    site.repo.orch(["assemble"]).ok();
    site.work_from(&a, "b", "2.1", &[("README.md", "# by b\n")]);
    site.repo.orch(["assemble"]).ok();
    let tip = site.rev("orch/integration");
    let complaint = site.repo.orch(["undo", "a"]).fails(1);
    assert!(
        complaint.contains("README.md") && complaint.contains("git revert -m 1"),
        "{complaint}"
    );
    assert_eq!(
        (site.rev("orch/integration"), site.state("a")),
        (tip, "merged")
    );
}

#[test]
fn a_revert_that_fails_the_test_does_not_land() {
    let site = Site::new("test ! -e b || test -e a", &[("a", 1, &[]), ("b", 2, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.repo.orch(["assemble"]).ok();
    site.work("b", "2.1", &[("b", "b\n")]);
    site.repo.orch(["assemble"]).ok();
    let tip = site.rev("orch/integration");
    let complaint = site.repo.orch(["undo", "a"]).fails(1);
    assert!(complaint.contains("without a fails"), "{complaint}");
    assert_eq!(
        (site.rev("orch/integration"), site.state("a")),
        (tip, "merged")
    );
    site.repo.orch(["undo"]).ok();
    site.repo.orch(["undo"]).ok();
    assert_eq!((site.state("a"), site.state("b")), ("ready", "ready"));
}

#[test]
fn names_that_are_no_landing_are_told_apart() {
    let site = assembled();
    let wrong = [
        ("nothing", "no task and no commit"),
        ("main", "is no merge"),
        ("orch/team-1/a", "is no merge"),
    ];
    for (name, words) in wrong {
        let complaint = site.repo.orch(["undo", name]).fails(1);
        assert!(complaint.contains(words), "{name}: {complaint}");
    }
    undo(&site.repo, &[]);
    let complaint = site.repo.orch(["undo", "b"]).fails(1);
    assert!(complaint.contains("task b is ready"), "{complaint}");
}

#[test]
fn a_checkout_with_changes_is_left_as_it_is() {
    let site = assembled();
    site.repo.git(["switch", "-q", "orch/integration"]);
    let path = site.repo.path().join("b");
    std::fs::write(&path, "mine\n").unwrap();
    let tip = site.rev("orch/integration");
    let complaint = site.repo.orch(["undo"]).fails(1);
    assert!(
        complaint.contains("changes that are not committed"),
        "{complaint}"
    );
    assert_eq!(
        (site.rev("orch/integration"), site.state("b")),
        (tip, "merged")
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine\n");
}

#[test]
fn an_agent_may_not_undo() {
    let site = assembled();
    let claimed = Site::new("", &[("x", 1, &[])]);
    claimed.repo.orch(["dispatch"]).ok();
    claimed.repo.orch(["claim", "x", "--agent", "1.1"]).ok();
    let complaint = claimed
        .repo
        .orch_in(&claimed.repo.worktree("1.1"), ["undo"])
        .fails(1);
    assert!(complaint.contains("agent 1.1 may not undo"), "{complaint}");
    let complaint = claimed
        .repo
        .orch_in(&claimed.repo.worktree("1.1"), ["undo", "--onto", "main"])
        .fails(1);
    assert!(complaint.contains("agent 1.1 may not undo"), "{complaint}");
    assert_eq!(site.state("b"), "merged");
}

/// Killed after the branches moved and before the ledger was told.
#[test]
fn a_killed_undo_is_finished_by_whatever_comes_next() {
    for next in [&["undo", "--json"][..], &["assemble"]] {
        let site = assembled();
        let (tip, before) = (site.rev("orch/integration"), site.rev("orch/integration^1"));
        let noted = serde_json::json!({
            "target": "refs/heads/orch/integration", "landing": tip, "task": "b",
            "how": "moved_back", "before": tip, "after": before, "kept": null, "built_on": [],
            "reason": "", "is_tested": true, "test": NOT_BAD,
        });
        let dir = site.repo.path().join(".git/orch");
        note(&site.repo, "undoing.json", "undo", &noted.to_string());
        // Noted, not yet moved: nothing has happened, so it is begun anew.
        let answer = undo(&site.repo, &["--dry-run"]);
        assert_eq!(answer["undone"], tip.as_str());
        assert_eq!(site.state("b"), "merged");
        note(&site.repo, "undoing.json", "undo", &noted.to_string());
        for name in [
            "orch/integration",
            "orch/team-1/integration",
            "orch/team-2/integration",
        ] {
            site.repo
                .git(["update-ref", &format!("refs/heads/{name}"), &before]);
        }
        let outcome = site.repo.orch(next);
        if next[0] == "undo" {
            let answer = outcome.json();
            assert_eq!(
                (&answer["undone"], &answer["task"]),
                (&tip.as_str().into(), &"b".into())
            );
        } else {
            outcome.fails(3);
        }
        assert_eq!(site.rev("orch/integration"), before, "{next:?}");
        assert_eq!(
            (site.state("a"), site.state("b")),
            ("merged", "ready"),
            "{next:?}"
        );
        assert!(!dir.join("undoing.json").exists());
    }
}

#[test]
fn a_reverted_commit_is_not_handed_in_and_called_merged_again() {
    let site = assembled();
    let head = site.rev("orch/team-1/a");
    undo(&site.repo, &["a", "-m", "no"]);
    let json = site.repo.orch(["status", "--json"]).json();
    assert_eq!(
        json["tasks"][0]["commit"],
        serde_json::Value::Null,
        "{json}"
    );
    let mut drive = Drive::new(&site.repo);
    drive.start("a", "1.1");
    let claim = drive.claim("a");
    let again = drive
        .ledger
        .transact(submit_of(claim.clone(), &head))
        .unwrap_err();
    assert!(again.to_string().contains("reverted"), "{again}");
    // What findings tell it to do.
    let findings = site.task("a").status.findings.unwrap();
    let revert = site.rev("orch/integration");
    assert!(
        findings.contains(&format!("git revert {revert}")),
        "{findings}"
    );
    let dir = site.repo.outside().join("mend");
    site.repo.git([
        "worktree",
        "add",
        "-q",
        dir.to_str().unwrap(),
        "orch/team-1/a",
    ]);
    let tags = "[TEAM-1] [AGENT-1.1] mend\n\nOrch-Task: a\nOrch-Agent: 1.1\nOrch-Attempt: 2\nOrch-Run: demo";
    site.repo
        .git_in(&dir, ["merge", "-q", "-m", tags, "orch/integration"]);
    site.repo.git_in(&dir, ["revert", "--no-commit", &revert]);
    std::fs::write(dir.join("a"), "better\n").unwrap();
    site.repo.git_in(&dir, ["commit", "-qam", tags]);
    drive.does(submit_of(claim, &site.rev("orch/team-1/a")));
    let (code, report) = site.assemble();
    assert_eq!(code, 0, "{report}");
    assert_eq!(
        site.file("orch/integration", "a").as_deref(),
        Some("better\n")
    );
}

fn submit_of(claim: Claim, head: &str) -> Op {
    let handoff = Handoff {
        task_id: claim.task.clone(),
        status: HandoffStatus::Completed,
        summary: String::from("did it"),
        output: String::new(),
        deliverables: Vec::new(),
        dependencies: Vec::new(),
        next_steps: Vec::new(),
    };
    Op::Submit(claim, CommitId(head.to_owned()), Box::new(handoff))
}

/// A repository without a plan, with two branches brought in.
fn standalone() -> TestRepo {
    let repo = TestRepo::new();
    for name in ["one", "two"] {
        branch(&repo, name, "main", name, &[(name, "x\n")]);
    }
    repo.orch([
        "assemble", "--onto", "main", "--test", NOT_BAD, "one", "two",
    ])
    .ok();
    repo
}

#[test]
fn without_a_plan_the_branch_goes_back_to_where_it_stood() {
    let repo = standalone();
    let before = repo.git(["rev-parse", "main^1"]);
    let answer = undo(&repo, &["--onto", "main"]);
    assert_eq!(answer["how"], "moved_back");
    assert_eq!(repo.git(["rev-parse", "main"]), before);
    assert!(!repo.path().join("two").exists() && repo.path().join("one").exists());
    assert_eq!(repo.git(["status", "--porcelain"]), "");
    assert!(
        !repo.path().join(".git/orch").exists(),
        "nothing is left behind"
    );
    undo(&repo, &["--onto", "main"]);
    repo.orch(["undo", "--onto", "main"]).fails(3);
}

#[test]
fn without_a_plan_what_was_pushed_is_reverted_and_tested() {
    let repo = standalone();
    repo.git(["update-ref", "refs/remotes/origin/main", "main"]);
    let complaint = repo.orch(["undo", "--onto", "main"]).fails(1);
    assert!(complaint.contains("no test command"), "{complaint}");
    repo.orch(["undo", "--onto", "main", "--test", "test -e two"])
        .fails(1);
    let answer = undo(&repo, &["--onto", "main", "--test", NOT_BAD]);
    assert_eq!(
        (&answer["how"], &answer["built_on"]),
        (
            &"reverted".into(),
            &serde_json::json!(["refs/remotes/origin/main"])
        )
    );
    assert!(!repo.path().join("two").exists());
    let again = undo(&repo, &["--onto", "main", "--test", NOT_BAD]);
    assert_eq!(again["how"], "reverted", "the one before it");
    assert!(!repo.path().join("one").exists());
    repo.orch(["undo", "--onto", "main", "--test", NOT_BAD])
        .fails(3);
}
