//! The end of a run: nothing is closed over, and the next plan goes on.

use crate::common::machines::Machines;
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

/// Two tasks of which `a` is given up at its first attempt.
const GIVEN_UP: &str = r#"
retries = 0
[[teams]]
id = 1
name = "T"
[[tasks]]
id = "a"
team = 1
title = "Do a"
run = "echo old >a; git add a; git commit -qm a; exit 1"
[[tasks]]
id = "b"
team = 1
title = "Do b"
run = "echo b >b"
"#;

/// The next run, which uses the ids again.
const AGAIN: &str = r#"
[[teams]]
id = 1
name = "T"
[[tasks]]
id = "a"
team = 1
title = "Do a well"
run = "echo new >>a"
[[tasks]]
id = "b"
team = 1
title = "Do b once more"
run = "echo more >>b"
[[tasks]]
id = "c"
team = 1
title = "Do c"
run = "echo c >c"
"#;

/// A run with a gap that was closed.
fn closed() -> TestRepo {
    let plan = format!("[run]\nname = \"first\"{GIVEN_UP}");
    let repo = TestRepo::new().init().plan(&plan);
    repo.orch(["run", "--assemble", "--no-progress"]).fails(1);
    repo.orch(["approve"]).ok();
    repo.orch(["close"]).ok();
    repo
}

fn again(repo: TestRepo) -> TestRepo {
    repo.plan(&format!("[run]\nname = \"second\"\n{AGAIN}"))
}

#[test]
fn a_closed_run_is_in_the_archive_and_not_on_the_board() {
    let repo = closed();
    let status = repo.orch(["status", "--json"]).json();
    assert_eq!(status["archive"], "first");
    assert_eq!(status["tasks"], serde_json::json!([]));
    assert_eq!(status["totals"]["total"], 0);
    let text = repo.orch(["status"]).ok();
    assert!(text.contains(".orchestration/archive/first"), "{text}");
    assert!(
        text.contains("next: git orch plan apply plan.toml"),
        "{text}"
    );
    // Watching it ends, and running it is told to be over.
    repo.orch(["status", "--watch"]).ok();
    for command in [&["run", "--no-progress"][..], &["work", "--once"][..]] {
        let told = repo.orch(command).fails(3);
        assert!(told.contains("run first is closed"), "{told}");
    }
    let files = repo.git(["ls-tree", "-r", "--name-only", "orchestration"]);
    for path in ["tasks/a.toml", "status/b.toml", "handoffs/b.toml"] {
        let there = format!(".orchestration/archive/first/teams/1/{path}");
        assert!(files.contains(&there), "{files}");
        let gone = format!(".orchestration/teams/1/{path}");
        assert!(!files.lines().any(|line| line == gone), "{files}");
    }
    // Its tasks are found by the log, and asking for one says where it went.
    let log = repo.orch(["log", "a"]).ok();
    assert!(log.contains("fail a"), "{log}");
    for command in ["status", "show"] {
        let words = match command {
            "show" => vec!["task", "show", "a"],
            _ => vec!["status", "a"],
        };
        let told = repo.orch(words).fails(1);
        assert!(
            told.contains("closed run first had one, which is gap"),
            "{told}"
        );
        assert!(told.contains("git orch log a"), "{told}");
    }
    repo.orch(["doctor"]).ok();
}

#[test]
fn ids_of_a_closed_run_are_new_tasks_on_branches_that_begin_anew() {
    let repo = again(closed());
    let old = repo.git(["rev-parse", "orch/team-1/a"]);
    repo.orch(["run", "--assemble", "--no-progress"]).ok();
    let status = repo.orch(["status", "--json"]).json();
    let tasks = status["tasks"].as_array().unwrap();
    assert!(
        tasks.iter().all(|task| task["status"] == "merged"),
        "{status}"
    );
    let attempt = |id: &str| {
        let row = tasks.iter().find(|task| task["id"] == id).unwrap();
        row["attempt"].as_u64().unwrap()
    };
    assert_eq!([attempt("a"), attempt("b"), attempt("c")], [2, 2, 1]);
    // What was given up is in no branch, and not lost.
    assert_eq!(repo.git(["show", "orch/integration:a"]), "new");
    assert_eq!(repo.git(["show", "orch/integration:b"]), "b\nmore");
    let kept = repo.git([
        "for-each-ref",
        "--format=%(*objectname)",
        "refs/orch/recovery",
    ]);
    assert!(kept.lines().any(|line| line == old), "{old} in {kept}");
    repo.orch(["approve"]).ok();
    repo.orch(["close"]).ok();
    let names = repo.git([
        "ls-tree",
        "--name-only",
        "orchestration:.orchestration/archive",
    ]);
    assert_eq!(names, "first\nsecond");
}

#[test]
fn an_agent_of_the_closed_run_says_nothing_in_the_next() {
    let repo = closed();
    let repo = again(repo);
    repo.orch(["dispatch"]).ok();
    let claim = ["claim", "a", "--agent", "1.1", "--no-worktree", "--json"];
    assert_eq!(repo.orch(claim).json()["attempt"], 2);
    let late = ["fail", "a", "--agent", "1.1", "--attempt", "1", "-m", "x"];
    let late = repo.orch(late).fails(4);
    assert!(late.contains("attempt 1 of agent 1.1"), "{late}");
}

#[test]
fn a_run_that_an_older_version_has_closed_makes_way_for_the_next() {
    let plan = format!("[run]\nname = \"first\"{GIVEN_UP}");
    let repo = TestRepo::new().init().plan(&plan);
    repo.orch(["run", "--assemble", "--no-progress"]).fails(1);
    repo.orch(["approve"]).ok();
    // As it was written before there was an archive.
    let dir = repo.outside().join("hand");
    repo.git([
        "worktree",
        "add",
        "-q",
        dir.to_str().unwrap(),
        "orchestration",
    ]);
    let file = dir.join(".orchestration/orch.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    write_file(
        &file,
        &text.replacen("authority", "closed = 7\nauthority", 1),
    );
    repo.git_in(&dir, ["commit", "-qam", "close"]);
    repo.git(["worktree", "remove", dir.to_str().unwrap()]);
    let status = repo.orch(["status"]).ok();
    assert!(status.starts_with("run first on main, closed"), "{status}");
    let repo = again(repo);
    repo.orch(["run", "--assemble", "--no-progress"]).ok();
    assert_eq!(repo.git(["show", "orch/integration:a"]), "new");
    let files = repo.git(["ls-tree", "-r", "--name-only", "orchestration"]);
    assert!(
        files.contains("archive/first/teams/1/status/a.toml"),
        "{files}"
    );
}

#[test]
fn another_machine_that_was_away_goes_on_with_the_next_run() {
    let first = format!("[run]\nname = \"first\"{GIVEN_UP}");
    let machines = Machines::new(&first);
    let home = &machines.home;
    let other = machines.machine("other");
    home.orch_in(&other, ["run", "--assemble", "--no-progress"])
        .fails(1);
    let old = home.git_in(&other, ["rev-parse", "orch/team-1/a"]);
    home.orch(["sync"]).ok();
    home.orch(["approve"]).ok();
    home.orch(["close"]).ok();
    let hub = machines.hub();
    assert_eq!(
        home.git_in(hub, ["rev-parse", "orchestration"]),
        home.git(["rev-parse", "orchestration"])
    );
    let file = home.outside().join("second.toml");
    write_file(&file, &format!("[run]\nname = \"second\"\n{AGAIN}"));
    home.orch(["plan", "apply", file.to_str().unwrap()]).ok();
    // It has heard of nothing, and has the old branches.
    home.orch_in(&other, ["run", "--no-progress"]).ok();
    let claims = home.git_in(&other, ["log", "--format=%s", "orchestration", "-30"]);
    assert!(claims.contains("claim a: Do a well"), "{claims}");
    home.orch(["run", "--assemble", "--no-progress"]).ok();
    assert_eq!(home.git(["show", "orch/integration:a"]), "new");
    let kept = [
        "for-each-ref",
        "--format=%(*objectname)",
        "refs/orch/recovery",
    ];
    let kept = home.git_in(&other, kept);
    assert!(kept.lines().any(|line| line == old), "{old} in {kept}");
}
