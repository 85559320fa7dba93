//! What users of other tools suffer from, where no other file has the test for it.

use super::common::TestRepo;
use super::common::site::{Held, Site};

#[test]
fn pain_07_what_is_merged_is_in_the_branch_and_what_waits_for_a_person_says_so() {
    let site = Site::new("test ! -e bad", &[("a", 1, &[]), ("b", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.work("b", "1.2", &[("bad", "b\n")]);
    site.assemble();
    let has = |branch: &str, task: &str| {
        let head = site.task(task).status.head.unwrap().0;
        let outcome = site.repo.try_git_in(
            site.repo.path(),
            ["merge-base", "--is-ancestor", &head, branch],
        );
        outcome.code() == 0
    };
    for task in ["a", "b"] {
        // The word follows the branch, and nobody can say it of what is not there.
        assert_eq!(
            site.state(task) == "merged",
            has("orch/integration", task),
            "{task}"
        );
    }
    assert!(!has("main", "a"));
    let status = site.repo.orch(["status", "--json"]).json();
    let approval = &status["levels"][2];
    assert_eq!(
        (approval["level"].as_str(), &approval["waiting"]),
        (Some("approval"), &serde_json::json!(["a"]))
    );
    site.repo.orch(["approve"]).ok();
    assert!(has("main", "a") && !has("main", "b"));
}

#[test]
fn pain_08_what_is_handed_in_while_an_assembly_is_at_work_is_not_forgotten() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 1, &[])]);
    let held = Held::new(&site.repo);
    site.work("a", "1.1", &[("a", "a\n")]);
    held.hold(true);
    let mut child = held.start(&site.repo, &["assemble", "--test", &held.command()]);
    site.work("b", "1.2", &[("b", "b\n")]);
    held.hold(false);
    held.go();
    assert!(child.wait().unwrap().success());
    // Nobody was told: the next one looks at what there is.
    site.repo.orch(["assemble"]).ok();
    assert_eq!((site.state("a"), site.state("b")), ("merged", "merged"));
}

#[test]
fn pain_17_ids_made_by_many_at_once_are_different_and_given_ones_are_not_taken_twice() {
    let plan = "[run]\nname = \"r\"\n[[teams]]\nid = 1\nname = \"T\"\n";
    let repo = TestRepo::new().init().plan(plan);
    let adding = |args: &[&str]| {
        let mut orch = repo.orch_command(repo.path());
        orch.args(["task", "add", "--team", "1", "--run", "true", "--json"])
            .args(args);
        orch.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let all: Vec<_> = (0..12)
        .map(|number| adding(&["--title", &format!("Do {number}")]))
        .collect();
    for child in all {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let board = super::ledger::open(repo.path()).board().clone();
    assert_eq!(board.tasks.len(), 12);
    let both = [
        adding(&["--id", "x", "--title", "One"]),
        adding(&["--id", "x", "--title", "Other"]),
    ];
    let won = both
        .into_iter()
        .map(|child| child.wait_with_output().unwrap().status.success());
    assert_eq!(won.filter(|won| *won).count(), 1);
    let branches: std::collections::BTreeSet<String> = board
        .tasks
        .values()
        .map(git_orch::model::Task::branch_name)
        .collect();
    assert_eq!(branches.len(), 12);
}
