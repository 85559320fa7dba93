//! The end of a run: nothing is closed over, and the next plan goes on.

use crate::common::{TestRepo, write_file};

const PLAN: &str = r#"
[[teams]]
id = 1
name = "T"
[[tasks]]
id = "a"
team = 1
title = "Do a"
run = "echo a >a"
"#;

fn site(head: &str) -> TestRepo {
    let plan = format!("[run]\nname = \"first\"\n{head}{PLAN}");
    TestRepo::new().init().plan(&plan)
}

fn refused(repo: &TestRepo, why: &str, hint: &str) {
    let outcome = repo.orch(["close"]);
    assert_eq!(outcome.code(), 1, "{}", outcome.stderr());
    let told = outcome.stderr();
    assert!(told.contains(why), "{told}");
    assert!(told.contains(hint), "{told}");
}

#[test]
fn a_run_is_closed_when_its_work_is_approved_and_the_next_plan_goes_on() {
    let repo = site("");
    refused(&repo, "run first cannot be closed: a is pending", "cancel");
    repo.orch(["run", "--assemble", "--no-progress"]).ok();
    refused(
        &repo,
        "main has not all of orch/integration",
        "git orch approve",
    );
    repo.orch(["approve"]).ok();
    let told = repo.orch(["close", "-m", "it is live", "--json"]).json();
    assert_eq!(told["run"], "first");
    assert!(told["closed"].as_i64().unwrap() > 0, "{told}");
    let message = repo.git(["log", "-1", "--format=%B", "orchestration"]);
    assert!(
        message.starts_with("[ORCH] close: 1 merged, 0 cancelled, 0 given up\n\nit is live\n"),
        "{message}"
    );
    assert!(message.contains("Orch-Event: close"), "{message}");
    let status = repo.orch(["status"]).ok();
    assert!(status.starts_with("run first on main, closed"), "{status}");
    // A second time there is nothing to do, and nothing is added to it.
    assert_eq!(repo.orch(["close"]).code(), 3);
    let file = repo.outside().join("more.toml");
    write_file(&file, "id = \"b\"\ntitle = \"Do b\"\nrun = \"true\"\n");
    let added = repo.orch(["task", "add", "--file", file.to_str().unwrap()]);
    assert_eq!(added.code(), 1, "{}", added.stderr());
    assert!(
        added.stderr().contains("run first is closed"),
        "{}",
        added.stderr()
    );
    // The next plan opens the ledger for a run of its own.
    let next = format!(
        "[run]\nname = \"second\"\n{}",
        PLAN.replace("\"a\"", "\"b\"")
    );
    let repo = repo.plan(&next.replace(">a", ">b"));
    let status = repo.orch(["status", "--json"]).json();
    assert_eq!(
        (&status["run"], &status["closed"]),
        (&"second".into(), &serde_json::Value::Null)
    );
    repo.orch(["run", "--assemble", "--no-progress"]).ok();
    repo.orch(["approve"]).ok();
    repo.orch(["close"]).ok();
    assert_eq!(repo.git(["show", "main:b"]), "a");
}

#[test]
fn a_wrap_up_that_the_plan_asks_for_holds_the_close_up() {
    let repo = site("wrapup = \"close\"\n");
    repo.orch(["run", "--assemble", "--no-progress"]).ok();
    repo.orch(["approve"]).ok();
    let dir = repo.path().with_file_name("repo.orch").join("1.1");
    write_file(&dir.join("forgotten"), "one\n");
    refused(&repo, "before its wrap-up is done", "git orch wrapup --fix");
    repo.orch(["wrapup", "--fix"]).ok();
    repo.orch(["close"]).ok();
    // Where the plan asks for nothing, it is left alone.
    let repo = site("");
    repo.orch(["run", "--assemble", "--no-progress"]).ok();
    repo.orch(["approve"]).ok();
    let dir = repo.path().with_file_name("repo.orch").join("1.1");
    write_file(&dir.join("forgotten"), "one\n");
    repo.orch(["close"]).ok();
}

#[test]
fn only_a_person_closes_a_run() {
    let repo = site("");
    repo.orch(["dispatch"]).ok();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let coder = repo.path().with_file_name("repo.orch").join("1.1");
    let outcome = repo.orch_in(&coder, ["close"]);
    assert_eq!(outcome.code(), 1);
    assert!(
        outcome.stderr().contains("may not close the run"),
        "{}",
        outcome.stderr()
    );
    // What never had a plan has no run.
    let bare = TestRepo::new().init();
    assert_eq!(bare.orch(["close"]).code(), 3);
}
