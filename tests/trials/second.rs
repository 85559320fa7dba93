//! Conflicts: a second try by syntax, tested like any other, and how often one goes back to whom.

use std::os::unix::fs::PermissionsExt as _;

use git_orch::model::{AgentId, CommitId, Op, TaskId};

use super::super::common::drive::Drive;
use super::super::common::site::{Site, assemble, branch, verdicts};
use super::super::common::{TestRepo, write_file};

/// Two branches that change one line, and a `mergiraf` on the path that writes both.
fn apart(writes: &str) -> (TestRepo, String) {
    let repo = TestRepo::new().write("file", "one\n").commit("file");
    branch(&repo, "left", "main", "left", &[("file", "left\n")]);
    branch(&repo, "right", "main", "right", &[("file", "right\n")]);
    let bin = repo.outside().join("bin");
    let script = format!(
        "#!/bin/sh\nfor word; do case $word in --output=*) out=${{word#--output=}};; esac; done\n\
         printf '{writes}' > \"$out\"\n"
    );
    write_file(&bin.join("mergiraf"), &script);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(bin.join("mergiraf"), mode).unwrap();
    (repo, bin.to_str().unwrap().to_owned())
}

/// Assembles with a directory in front of the path.
fn with_path(repo: &TestRepo, bin: &str, test: &str) -> (i32, serde_json::Value) {
    let path = std::env::var("PATH").unwrap();
    let output = repo
        .orch_command(repo.path())
        .env("PATH", format!("{bin}:{path}"))
        .args([
            "assemble", "--json", "--onto", "main", "--test", test, "left", "right",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text} {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), report)
}

#[test]
fn a_second_try_that_passes_lands_and_is_remembered() {
    let (repo, bin) = apart("left\\nright\\n");
    let before = repo.git(["rev-parse", "main"]);
    let (code, report) = with_path(&repo, &bin, "test -e file");
    assert_eq!(code, 0, "{report}");
    assert_eq!(verdicts(&report), ["left: merged", "right: merged"]);
    assert_eq!(repo.git(["show", "main:file"]), "left\nright");
    assert_eq!(report["tests_run"], 2);
    // Without the program it comes out the same.
    repo.git(["reset", "-q", "--hard", &before]);
    repo.git(["config", "orch.mergiraf", "false"]);
    let args = [
        "assemble",
        "--json",
        "--onto",
        "main",
        "--test",
        "test -e file",
        "left",
        "right",
    ];
    let (code, report) = assemble(&repo, &args);
    assert_eq!(code, 0, "{report}");
    assert_eq!(repo.git(["show", "main:file"]), "left\nright");
}

#[test]
fn a_second_try_that_fails_is_a_conflict_that_is_kept() {
    let (repo, bin) = apart("left\\nright\\n");
    let (code, report) = with_path(&repo, &bin, "! grep -q right file");
    assert_eq!(code, 1, "{report}");
    assert_eq!(verdicts(&report), ["left: merged", "right: conflict"]);
    assert_eq!(repo.git(["show", "main:file"]), "left");
    let shown = repo.orch(["conflict", "show", "right", "--json"]).json();
    assert_eq!(shown["branch"], "right", "{shown}");
    assert_eq!(repo.git(["for-each-ref", "refs/orch/resolution"]), "");
}

#[test]
fn conflicts_go_to_the_coder_twice_then_to_another_then_to_a_person() {
    let tasks: &[(&str, u32, &[&str])] = &[("a", 1, &[]), ("b", 1, &[])];
    let site = Site::over(
        TestRepo::new().write("file", "one\n").commit("file"),
        "true",
        tasks,
    );
    let id: TaskId = "b".parse().unwrap();
    site.work("a", "1.1", &[("file", "a\n")]);
    let head = site.work("b", "1.2", &[("file", "b\n")]);
    let coder: AgentId = "1.2".parse().unwrap();
    for times in 1..=4 {
        let (code, report) = site.assemble();
        assert_eq!(code, 1, "{report}");
        let row = report["train"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["task"] == "b")
            .unwrap();
        assert_eq!(row["verdict"], "conflict", "{report}");
        let task = site.task("b");
        assert_eq!(task.status.conflicts, times);
        if times == 4 {
            assert_eq!(task.status.state.as_str(), "blocked");
            break;
        }
        assert_eq!(task.status.state.as_str(), "ready");
        let mut drive = Drive::new(&site.repo);
        let taker: AgentId = if times <= 2 {
            coder
        } else {
            "1.3".parse().unwrap()
        };
        drive.start("b", &taker.to_string());
        let claim = drive.claim("b");
        let handoff = git_orch::model::Handoff {
            task_id: id.clone(),
            status: git_orch::model::HandoffStatus::Completed,
            summary: String::from("tried"),
            output: String::new(),
            deliverables: Vec::new(),
            dependencies: Vec::new(),
            next_steps: Vec::new(),
        };
        // The same again: it conflicts again.
        drive.does(Op::Submit(claim, CommitId(head.clone()), Box::new(handoff)));
    }
    let subjects = site.repo.git(["log", "--format=%s", "orchestration"]);
    let escalated: Vec<&str> = subjects
        .lines()
        .filter(|line| line.contains("ESCALATION"))
        .collect();
    assert_eq!(escalated.len(), 1, "{subjects}");
    assert!(escalated[0].contains('b'), "{escalated:?}");
    assert_eq!(site.state("a"), "merged");
}
