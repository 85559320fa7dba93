//! `git orch doctor`: every finding produced for real, told, mended, and gone.

mod choices;
mod ledger;
mod leftovers;
mod work;

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::common::{Outcome, TIME, TestRepo, write_file};

const PLAN: &str = r#"
[run]
name = "demo"
[[phases]]
name = "all"
teams = [1]
[[teams]]
id = 1
name = "One"
coders = 2
[[tasks]]
id = "a"
team = 1
title = "Do a"
run = "true"
[[tasks]]
id = "b"
team = 1
title = "Do b"
run = "true"
"#;

/// A repository with a plan, dispatched.
fn site() -> TestRepo {
    let repo = TestRepo::new().init().plan(PLAN);
    repo.orch(["dispatch"]).ok();
    repo
}

/// Runs doctor; returns exit code and answer.
fn doctor(repo: &TestRepo, args: &[&str]) -> (i32, Value) {
    doctor_up(repo, 1, args)
}

/// Runs doctor on a machine that has been up for so many minutes.
fn doctor_up(repo: &TestRepo, minutes: u64, args: &[&str]) -> (i32, Value) {
    let mut command = repo.orch_command(repo.path());
    command
        .arg("doctor")
        .args(args)
        .arg("--json")
        .env("ORCH_TEST_UPTIME", (minutes * 60_000).to_string())
        .stdin(Stdio::null());
    let outcome = Outcome(command.output().unwrap());
    let answer = serde_json::from_str(&outcome.stdout()).unwrap_or_else(|error| {
        panic!("{error}: {} {}", outcome.stdout(), outcome.stderr());
    });
    (outcome.code(), answer)
}

/// Ids of what was found, in order.
fn ids(answer: &Value) -> Vec<&str> {
    let findings = answer["findings"].as_array().unwrap();
    findings.iter().map(|f| f["id"].as_str().unwrap()).collect()
}

#[track_caller]
fn assert_well(repo: &TestRepo) {
    let (code, answer) = doctor(repo, &[]);
    assert_eq!((code, ids(&answer)), (0, Vec::<&str>::new()), "{answer:#}");
}

/// Runs doctor, expects exactly these findings, mends them, and expects none afterwards; returns what mending
/// has told.
#[track_caller]
fn mends(repo: &TestRepo, expected: &[&str]) -> Value {
    let (code, answer) = doctor(repo, &[]);
    assert_eq!((code, ids(&answer)), (1, expected.to_vec()), "{answer:#}");
    let (code, answer) = doctor(repo, &["--fix"]);
    assert_eq!((code, ids(&answer)), (0, expected.to_vec()), "{answer:#}");
    let mended = |finding: &Value| finding["mended"] == true;
    assert!(answer["findings"].as_array().unwrap().iter().all(mended));
    assert_well(repo);
    answer
}

/// Writes a file that nobody has touched for an hour, by the clock of the tests.
fn write_old(path: &Path, text: &str) {
    write_file(path, text);
    let seconds = TIME.parse::<u64>().unwrap() - 3600;
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn a_healthy_repository_has_no_findings() {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    assert_eq!(repo.orch(["doctor"]).ok(), "nothing is wrong\n");
    assert_well(&repo);
    let (code, answer) = doctor(&repo, &["--fix"]);
    assert_eq!((code, &answer["remaining"]), (0, &Value::from(0)));
}

#[test]
fn what_cannot_be_worked_with_is_a_finding_too() {
    let repo = TestRepo::empty();
    let (code, answer) = doctor(&repo, &[]);
    assert_eq!((code, ids(&answer)), (1, vec!["ledger-missing"]));
    assert_eq!(answer["findings"][0]["commands"][0], "git orch init");

    let odd = repo.outside().join("odd");
    std::fs::create_dir(&odd).unwrap();
    repo.git_in(&odd, ["init", "-q", "--ref-format=reftable"]);
    let outcome = repo.orch_in(&odd, ["doctor", "--json"]);
    assert_eq!(outcome.code(), 1);
    let answer: Value = serde_json::from_str(&outcome.stdout()).unwrap();
    assert_eq!(ids(&answer), ["repository-unusable"]);
}

#[test]
fn agents_may_look_and_not_mend() {
    let repo = site();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let there = repo.worktree("1.1");
    repo.orch_in(&there, ["doctor"]).ok();
    for args in [
        &["doctor", "--fix"][..],
        &["doctor", "--keep", "current"],
        &["doctor", "--restore", "orch.toml"],
    ] {
        let said = repo.orch_in(&there, args).fails(1);
        assert!(
            said.contains("agent 1.1 may not mend what is broken"),
            "{said}"
        );
    }
}

#[test]
fn hooks_that_are_out_of_order_are_put_in_place() {
    let repo = site();
    let config = repo.path().join(".git/config");
    let before = std::fs::read_to_string(&config).unwrap();
    let without: String = before
        .lines()
        .filter(|line| !line.contains("orch"))
        .fold(String::new(), |text, line| text + line + "\n");
    std::fs::write(&config, without).unwrap();
    mends(&repo, &["hooks-out-of-order"]);

    let script = repo.path().join(".git/orch/hooks/commit-msg");
    let text = std::fs::read_to_string(&script).unwrap();
    std::fs::write(&script, text.replace("git-orch'", "gone-orch'")).unwrap();
    let (_, answer) = doctor(&repo, &[]);
    let what = answer["findings"][0]["what"].as_str().unwrap();
    assert!(what.contains("1 scripts call another program"), "{what}");
    mends(&repo, &["hooks-out-of-order"]);
    assert_eq!(std::fs::read_to_string(&script).unwrap(), text);
}
