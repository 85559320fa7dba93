//! The steps that work goes up by: what a plan says of them is kept, tested, recorded and told.

use serde_json::{Value, json};

use super::common::site::{Site, verdicts};
use super::common::{Outcome, TestRepo};

/// A site whose plan says something of the steps.
fn site(test: &str, levels: &str, tasks: &[(&str, u32)]) -> Site {
    let mut plan = format!("[run]\nname = \"demo\"\n{test}\n{levels}\n");
    plan.push_str("[[phases]]\nname = \"all\"\nteams = [1, 2]\n");
    for team in [1, 2] {
        plan.push_str(&format!("[[teams]]\nid = {team}\nname = \"Team\"\n"));
    }
    for (id, team) in tasks {
        plan.push_str(&format!(
            "[[tasks]]\nid = \"{id}\"\nteam = {team}\ntitle = \"Do {id}\"\nrun = \"true\"\n"
        ));
    }
    Site {
        repo: TestRepo::new().init().plan(&plan),
    }
}

/// One step of an answer.
fn step(answer: &Value, level: &str) -> Value {
    let steps = answer["levels"].as_array().unwrap();
    let found = steps.iter().find(|step| step["level"] == level);
    found.unwrap().clone()
}

fn log(site: &Site, grep: &str) -> String {
    let grep = format!("--grep={grep}");
    site.repo
        .git(["log", "-F", &grep, "--format=%s", "orchestration"])
}

const ALL: &str = r#"
[levels.team]
criteria = ["small commits"]
checks = ["test ! -e bad-for-team"]
[levels.integration]
owner = "1.0"
checks = ["set -e; test ! -e bad-for-all; true"]
rollback = "call 1.0"
next = "a person approves on Fridays"
[levels.approval]
criteria = ["the changelog says what is new"]
checks = ["test ! -e unwanted"]
next = "publish it"
"#;

#[test]
fn a_plan_keeps_what_it_says_of_the_steps() {
    let site = site("test = \"true\"", ALL, &[("a", 1)]);
    let shown = site.repo.orch(["plan", "show"]).ok();
    for part in [
        "[levels.team]",
        "[levels.integration]",
        "owner = \"1.0\"",
        "[levels.approval]",
        "next = \"publish it\"",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let again = site.repo.outside().join("again.toml");
    std::fs::write(&again, &shown).unwrap();
    let path = again.to_str().unwrap();
    site.repo.orch(["plan", "apply", path]).ok();
    assert_eq!(site.repo.orch(["plan", "show"]).ok(), shown);
    // What is left out is gone.
    std::fs::write(&again, shown.replace("next = \"publish it\"\n", "")).unwrap();
    site.repo.orch(["plan", "apply", path]).ok();
    let later = site.repo.orch(["plan", "show"]).ok();
    assert!(!later.contains("publish it"), "{later}");
    assert!(later.contains("unwanted"), "{later}");
}

#[test]
fn a_red_check_holds_work_back_like_a_red_test() {
    for gate in ["each", "batch"] {
        let tasks = [("a", 1), ("b", 2), ("c", 1), ("d", 2)];
        let site = site("test = \"test ! -e bad\"", ALL, &tasks);
        site.work("a", "1.1", &[("bad-for-team", "x\n")]);
        site.work("b", "2.1", &[("b", "b\n")]);
        site.work("c", "1.2", &[("bad-for-all", "x\n")]);
        site.work("d", "2.2", &[("bad", "x\n")]);
        let args = ["assemble", "--json", "--gate", gate];
        let (code, report) = super::common::site::assemble(&site.repo, &args);
        assert_eq!(code, 1, "{report}");
        let expected = [
            "a: test_failed",
            "c: test_failed",
            "b: merged",
            "d: test_failed",
        ];
        let mut found = verdicts(&report);
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{gate}");
        let findings = site.task("a").status.findings.unwrap();
        let told = "check failed: test ! -e bad-for-team";
        assert!(findings.contains(told), "{findings}");
    }
}

#[test]
fn checks_run_where_there_is_no_test() {
    let levels = "[levels.integration]\nchecks = [\"test ! -e bad\"]\n";
    let site = site("", levels, &[("a", 1), ("b", 2)]);
    site.work("a", "1.1", &[("bad", "x\n")]);
    site.work("b", "2.1", &[("b", "b\n")]);
    let (_, report) = site.assemble();
    assert_eq!(verdicts(&report), ["a: test_failed", "b: merged"]);
    site.repo.orch(["approve"]).ok();
}

#[test]
fn a_check_that_comes_later_is_asked_for_before_the_approval() {
    let site = Site::new("true", &[("a", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.assemble();
    let plan = site.repo.orch(["plan", "show"]).ok();
    let path = site.repo.outside().join("later.toml");
    let more = "\n[levels.integration]\nchecks = [\"test ! -e a\"]\n";
    std::fs::write(&path, plan + more).unwrap();
    let path = path.to_str().unwrap();
    site.repo.orch(["plan", "apply", path]).ok();
    let complaint = site.repo.orch(["approve"]).fails(1);
    assert!(complaint.contains("git orch assemble"), "{complaint}");
    let complaint = site.repo.orch(["assemble"]).fails(1);
    assert!(complaint.contains("itself fails"), "{complaint}");
}

#[test]
fn steps_are_in_the_log_with_owner_rollback_and_next() {
    let site = site("test = \"true\"", ALL, &[("a", 1)]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.assemble();
    site.repo.orch(["approve"]).ok();
    let merged = log(&site, "Orch-Level: integration");
    assert_eq!(merged, "[TEAM-1] [AGENT-1.1] merge a: Do a");
    for trailer in [
        "Orch-Owner: 1.0",
        "Orch-Rollback: call 1.0",
        "Orch-Next: a person approves on Fridays",
    ] {
        assert_eq!(log(&site, trailer), merged, "{trailer}");
    }
    let approved = log(&site, "Orch-Level: approval");
    assert!(approved.starts_with("[ORCH] approve"), "{approved}");
    for trailer in [
        "Orch-Owner: person",
        "Orch-Rollback: git orch undo",
        "Orch-Next: publish it",
    ] {
        assert_eq!(log(&site, trailer), approved, "{trailer}");
    }
    // The message still reads as it must.
    let format = "--format=%(trailers:key=Orch-Event,valueonly)";
    let grep = "--grep=Orch-Level: approval";
    let event = site.repo.git(["log", "-F", grep, format, "orchestration"]);
    assert_eq!(event.trim(), "approve");
}

#[test]
fn a_plan_without_steps_leaves_the_log_alone() {
    let site = Site::new("true", &[("a", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.assemble();
    site.repo.orch(["approve"]).ok();
    assert_eq!(log(&site, "Orch-Level"), "");
    let status = site.repo.orch(["status"]).ok();
    assert!(!status.contains("waiting:"), "{status}");
}

#[test]
fn approve_tells_what_to_look_at_and_runs_its_checks_first() {
    let site = site("test = \"true\"", ALL, &[("a", 1), ("b", 2)]);
    site.work("a", "1.1", &[("unwanted", "x\n")]);
    site.assemble();
    let main = site.rev("main");
    let complaint = site.repo.orch(["approve"]).fails(1);
    assert!(
        complaint.contains("check failed: test ! -e unwanted"),
        "{complaint}"
    );
    assert_eq!(site.rev("main"), main);
    assert_eq!(log(&site, "Orch-Level: approval"), "");
    site.repo.orch(["undo"]).ok();
    site.work("b", "2.1", &[("b", "b\n")]);
    site.assemble();
    let outcome = site.repo.orch(["approve"]);
    let (answer, story) = (outcome.stdout(), outcome.stderr());
    assert_eq!(outcome.code(), 0, "{story}");
    assert!(
        story.contains("look at: the changelog says what is new"),
        "{story}"
    );
    assert!(
        answer.contains("to take it back: git orch undo"),
        "{answer}"
    );
    assert!(answer.contains("next: publish it"), "{answer}");
    assert_ne!(site.rev("main"), main);
}

#[test]
fn status_and_assemble_tell_what_waits_at_each_step() {
    let site = site("test = \"true\"", ALL, &[("a", 1), ("b", 2)]);
    let status = || site.repo.orch(["status", "--json"]).json();
    let empty = status();
    for level in ["team", "integration", "approval"] {
        assert_eq!(step(&empty, level)["state"], "clear", "{level}");
    }
    let head = site.work("a", "1.1", &[("a", "a\n")]);
    site.work("b", "2.1", &[("b", "b\n")]);
    let team = step(&status(), "team");
    assert_eq!(team["waiting"], json!(["a", "b"]));
    assert_eq!(
        (&team["owner"], &team["state"]),
        (&json!("leader"), &json!("waiting"))
    );
    // The leader takes it onto the team's branch.
    let branch = "refs/heads/orch/team-1/integration";
    site.repo.git(["update-ref", branch, &head]);
    let now = status();
    assert_eq!(step(&now, "team")["waiting"], json!(["b"]));
    let integration = step(&now, "integration");
    assert_eq!(integration["waiting"], json!(["a"]));
    assert_eq!(integration["branches"], json!(["orch/team-1/integration"]));
    assert_eq!(integration["owner"], "1.0");
    let text = site.repo.orch(["status"]).ok();
    let line = "waiting: 1 task for team (leader), 1 task for integration (1.0)";
    assert!(text.contains(line), "{text}");
    let (_, report) = site.assemble();
    let approval = step(&report, "approval");
    assert_eq!(approval["waiting"], json!(["a", "b"]));
    assert_eq!(approval["state"], "waiting");
    assert_eq!(step(&report, "team")["state"], "clear");
    assert_eq!(step(&report, "integration")["state"], "clear");
    assert_eq!(site.state("a"), "merged");
    site.repo.orch(["approve"]).ok();
    assert_eq!(step(&status(), "approval")["state"], "clear");
}

#[test]
fn only_the_leader_who_owns_the_integration_assembles() {
    let site = site("test = \"true\"", ALL, &[("a", 1)]);
    site.work("a", "1.1", &[("a", "a\n")]);
    let by = |agent: &str| {
        let mut orch = site.repo.orch_command(site.repo.path());
        Outcome(
            orch.env("ORCH_AGENT", agent)
                .arg("assemble")
                .output()
                .unwrap(),
        )
    };
    let complaint = by("2.0").fails(1);
    assert!(
        complaint.contains("the plan gives the integration to 1.0"),
        "{complaint}"
    );
    assert_eq!(site.state("a"), "submitted");
    by("1.0").ok();
    assert_eq!(site.state("a"), "merged");
}
