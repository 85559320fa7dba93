//! `git orch queue`: numbers and lists, on a ledger moved by real transitions.

use std::process::Stdio;

use serde_json::{Value, json};

use super::common::TestRepo;
use super::common::drive::Drive;
use super::common::{Outcome, TIME};

const PLAN: &str = r#"
[run]
name = "demo"
lease = "15m"
[[phases]]
name = "one"
teams = [1]
[[phases]]
name = "two"
after = ["one"]
teams = [2]
[[teams]]
id = 1
name = "First"
coders = 2
[[teams]]
id = 2
name = "Second"
coders = 1
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
[[tasks]]
id = "c"
team = 1
title = "Do c"
run = "true"
[[tasks]]
id = "d"
team = 1
title = "Do d"
run = "true"
[[tasks]]
id = "later"
team = 1
title = "Do later"
after = ["a"]
run = "true"
[[tasks]]
id = "second"
team = 2
title = "Do second"
run = "true"
"#;

/// The plan, dispatched; `a` is claimed by 1.1 and started.
fn busy() -> TestRepo {
    let repo = TestRepo::new().init().plan(PLAN);
    Drive::new(&repo).dispatch().start("a", "1.1");
    repo
}

/// Runs `git orch` so many seconds later, on a machine that has been up for so many minutes.
fn orch_at(repo: &TestRepo, seconds: i64, minutes: u64, args: &[&str]) -> Outcome {
    let time = TIME.parse::<i64>().unwrap() + seconds;
    let mut command = repo.orch_command(repo.path());
    command
        .args(args)
        .env("ORCH_TEST_TIME", time.to_string())
        .env("ORCH_TEST_UPTIME", (minutes * 60_000).to_string())
        .stdin(Stdio::null());
    Outcome(command.output().unwrap())
}

fn json_at(repo: &TestRepo, seconds: i64, minutes: u64, args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    orch_at(repo, seconds, minutes, &args).json()
}

/// The tasks of a list, in its order.
fn tasks(list: &Value) -> Vec<&str> {
    let rows = list.as_array().unwrap();
    rows.iter()
        .map(|row| row["task"].as_str().unwrap())
        .collect()
}

#[test]
fn without_a_run_there_is_no_queue() {
    let repo = TestRepo::new().init();
    for verb in [&["queue"][..], &["queue", "stats"], &["queue", "active"]] {
        let said = repo.orch(verb).fails(3);
        assert!(said.contains("git orch plan apply"), "{said}");
    }
    let repo = TestRepo::new().init().plan(PLAN);
    let said = repo.orch(["queue", "--team", "9"]).fails(1);
    assert!(said.contains("there is no team 9"), "{said}");
}

#[test]
fn stats_count_every_task_once() {
    let repo = busy();
    let now = TIME.parse::<i64>().unwrap();
    // Transitions by the library have the real time; the rest of the world is told by the command.
    let stats = json_at(&repo, 0, 1, &["queue"]);
    assert_eq!(
        stats,
        json_at(&repo, 0, 1, &["queue", "stats"]),
        "stats is the default"
    );
    assert_eq!(stats["run"], "demo");
    for (name, number) in [("ready", 3), ("active", 1), ("waiting", 2), ("expired", 0)] {
        assert_eq!(stats[name], number, "{name}");
    }
    let on = json!({"dependency": 1, "phase": 1, "dispatch": 0});
    assert_eq!(stats["waiting_on"], on);
    assert_eq!(stats["teams"][1]["waiting"], 1);
    assert_eq!(stats["machines"][0]["active"], 1);
    assert_eq!(stats["per_hour"]["claims"]["total"], 1);

    let of_two = json_at(&repo, 0, 1, &["queue", "stats", "--team", "2"]);
    assert_eq!(
        (&of_two["ready"], &of_two["waiting"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(of_two["per_hour"]["claims"]["total"], 0);
    assert_eq!(of_two["teams"].as_array().unwrap().len(), 1);

    let text = orch_at(&repo, 0, 1, &["queue"]).ok();
    for part in [
        "team 1",
        "oldest ready",
        "waiting: 1 for a task, 1 for a phase",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(now > 0);
}

#[test]
fn ages_and_rates_are_counted_from_the_ledgers_times() {
    let repo = TestRepo::new().init().plan(PLAN);
    orch_at(&repo, 0, 1, &["dispatch"]).ok();
    orch_at(
        &repo,
        600,
        1,
        &["claim", "a", "--agent", "1.1", "--no-worktree"],
    )
    .ok();
    orch_at(
        &repo,
        1800,
        1,
        &["claim", "b", "--agent", "1.2", "--no-worktree"],
    )
    .ok();

    let soon = json_at(&repo, 2400, 1, &["queue"]);
    assert_eq!(soon["oldest_ready_seconds"], 2400);
    // Two claims in forty minutes are three an hour.
    let claims = &soon["per_hour"]["claims"];
    assert_eq!(claims["last_hour"], 2);
    assert_eq!(claims["run"], 3.0);

    let later = json_at(&repo, 600 + 3601, 1, &["queue"]);
    let claims = &later["per_hour"]["claims"];
    assert_eq!(
        (&claims["last_hour"], &claims["total"]),
        (&json!(1), &json!(2))
    );

    let active = json_at(&repo, 2400, 1, &["queue", "active"]);
    assert_eq!(tasks(&active["active"]), ["a", "b"], "longest first");
    assert_eq!(active["active"][0]["seconds"], 1800);
    assert_eq!(active["active"][1]["agent"], "1.2");
    assert_eq!(active["active"][1]["attempt"], 1);
    assert!(active["active"][1]["lease_until"].is_string());
}

#[test]
fn active_lists_what_would_be_taken_next_and_what_the_rest_waits_for() {
    let repo = busy();
    let active = json_at(&repo, 0, 1, &["queue", "active"]);
    assert_eq!(tasks(&active["active"]), ["a"]);
    assert_eq!(tasks(&active["ready"]), ["b", "c", "d"]);
    assert_eq!(active["ready"][0]["agent"], "1.2");
    // The only other coder is at work by then.
    assert_eq!(active["ready"][1]["agent"], Value::Null);
    let why = active["ready"][1]["why"].as_str().unwrap();
    assert!(why.contains("every coder of team 1"), "{why}");
    assert_eq!(tasks(&active["waiting"]), ["later", "second"]);
    assert_eq!(active["waiting"][0]["dependency"], "a");
    assert_eq!(active["waiting"][0]["state"], "in_progress");
    assert_eq!(active["waiting"][1]["on"], "phase");
    assert_eq!(active["waiting"][1]["phase"], "two");

    // What is said to be next is what a claim gets.
    let claim = repo.orch(["claim", "--agent", "1.2", "--no-worktree", "--json"]);
    assert_eq!(claim.json()["task"], "b");

    let few = json_at(&repo, 0, 1, &["queue", "active", "--number", "1"]);
    assert_eq!(
        (tasks(&few["ready"]).len(), &few["ready_total"]),
        (1, &json!(2))
    );
    let text = orch_at(&repo, 0, 1, &["queue", "active", "--team", "1"]).ok();
    assert!(
        text.contains("later waits for a, which is in_progress"),
        "{text}"
    );
    assert!(!text.contains("second"), "{text}");
}

#[test]
fn a_claim_that_gives_no_sign_of_life_is_shown_as_expired_and_left_alone() {
    let repo = busy();
    let unmoved = |minutes| {
        let active = json_at(&repo, 0, minutes, &["queue", "active"]);
        let row = &active["active"][0];
        (row["unmoved_seconds"].clone(), row["expired"].clone())
    };
    assert_eq!(unmoved(100), (json!(0), json!(false)));
    for minutes in [105, 110] {
        unmoved(minutes);
    }
    let tip = repo.git(["rev-parse", "orchestration"]);
    assert_eq!(unmoved(115), (json!(900), json!(true)));
    let stats = json_at(&repo, 0, 115, &["queue"]);
    assert_eq!(
        (&stats["expired"], &stats["active"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(stats["machines"][0]["expired"], 1);
    let text = orch_at(&repo, 0, 115, &["queue", "active"]).ok();
    assert!(text.contains("git orch sync"), "{text}");
    assert_eq!(repo.git(["rev-parse", "orchestration"]), tip);
}
