//! `git orch demo`: from plan to base branch, with everything going wrong that it announces.

use super::common::TestRepo;

#[test]
fn the_demo_ends_with_tested_work_on_the_base_branch() {
    let outside = TestRepo::empty();
    let home = outside.outside().join("the demo's \"place\"");
    let story = outside.orch(["demo", "--dir", home.to_str().unwrap()]);
    let (told, answer) = (story.stderr(), story.stdout());
    story.ok();
    for command in [
        "init",
        "plan apply plan.toml",
        "run --assemble",
        "status",
        "approve",
    ] {
        assert!(
            told.contains(&format!("$ git orch {command}\n")),
            "{command} in {told}"
        );
    }
    assert!(
        answer.contains("18 of 18 tasks done: 18 merged"),
        "{answer}"
    );
    assert!(answer.contains("Look around:"), "{answer}");

    let repo = home.join("till");
    let log = outside.orch_in(&repo, ["log", "--json"]).json();
    let happened = |event: &str, task: &str| {
        let events = log.as_array().unwrap().iter();
        let mut found = events.filter(|e| e["event"] == event && e["task"] == task);
        found
            .next()
            .map(|event| event["body"].as_str().unwrap().to_owned())
    };
    let failed = happened("fail", "prices").unwrap();
    assert!(failed.contains("no price for cheese"), "{failed}");
    let conflict = happened("reject", "discount").unwrap();
    assert!(
        conflict.contains("lib/settings.sh") && conflict.contains("task vat"),
        "{conflict}"
    );
    let broken = happened("reject", "rounding").unwrap();
    assert!(broken.contains("sh test.sh"), "{broken}");
    assert!(happened("approve", "").is_none(), "it concerns no task");

    // The base branch has it, the worktree follows, and it does what the tasks asked for.
    assert_eq!(outside.git_in(&repo, ["status", "--porcelain"]), "");
    let tested = outside.orch_in(&repo, ["status", "--json"]).json()["tested"].clone();
    assert_eq!(
        outside.git_in(&repo, ["rev-parse", "main"]),
        tested.as_str().unwrap()
    );
    let menu = outside
        .command("sh", &repo)
        .args(["./till", "menu"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&menu.stdout).contains("cheese          4.99"));
    let test = outside
        .command("sh", &repo)
        .arg("test.sh")
        .output()
        .unwrap();
    assert!(
        test.status.success(),
        "{}",
        String::from_utf8_lossy(&test.stdout)
    );

    // Every command line that it ends with can be typed.
    for line in answer
        .lines()
        .filter_map(|line| line.trim().strip_prefix("git orch "))
    {
        let words = line.split("  ").next().unwrap();
        outside.orch_in(&repo, words.split(' ')).ok();
    }
}

#[test]
fn a_demo_never_runs_in_a_directory_that_is_in_use() {
    let repo = TestRepo::new();
    let complaint = repo.orch(["demo", "--dir", "."]).fails(1);
    assert!(complaint.contains("is not empty"), "{complaint}");
    assert_eq!(repo.git(["status", "--porcelain"]), "");
    let _ = repo.orch(["demo", "--json"]).fails(2);
}
