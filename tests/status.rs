//! `git orch status`: the run, a team, an agent, a task.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::common::TestRepo;
use super::common::drive::Drive;

fn under_way() -> (TestRepo, Drive) {
    let repo = TestRepo::new().init();
    let mut drive = Drive::new(&repo);
    drive
        .plan(&[
            ("schema", 1, "Create the schema"),
            ("api", 1, "Serve it"),
            ("page", 2, "Show \u{1b}[31mit"),
            ("style", 2, "Make it pretty"),
        ])
        .dispatch()
        .start("schema", "1.1")
        .submit("schema", "schema is there")
        .start("api", "1.2")
        .block("api", "waits for a token")
        .start("page", "2.1")
        .fail("page", "no luck", "line one\nline two");
    (repo, drive)
}

#[test]
fn the_swarm_as_json_is_the_contract() {
    let (repo, _) = under_way();
    let status = repo.orch(["status", "--json"]).json();
    assert_eq!(status["run"], "demo");
    assert_eq!(status["phases"][0]["name"], "all");
    assert_eq!(status["phases"][0]["state"], "open");
    let team = &status["teams"][0];
    assert_eq!(team["id"], 1);
    assert_eq!(team["name"], "Team 1");
    assert_eq!(team["assigned"], 2);
    assert_eq!(team["completed"], 1);
    assert_eq!(team["blocked"], 1);
    let ids: Vec<&str> = status["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["schema", "api", "page", "style"], "the plan's order");
    let schema = &status["tasks"][0];
    assert_eq!(schema["status"], "submitted");
    assert_eq!(schema["team"], 1);
    assert_eq!(schema["agent"], "1.1");
    assert_eq!(schema["attempt"], 1);
    assert_eq!(schema["branch"], "orch/team-1/schema");
    assert!(schema["commit"].is_null());
    let style = &status["tasks"][3];
    assert!(style["agent"].is_null() && style["branch"].is_null());
    assert_eq!(style["attempt"], 0);
    let totals = &status["totals"];
    assert_eq!(totals["total"], 4);
    assert_eq!(totals["completed"], 1);
    for (state, number) in [
        ("submitted", 1),
        ("blocked", 1),
        ("failed", 1),
        ("ready", 1),
        ("gap", 0),
    ] {
        assert_eq!(totals[state], number, "{state}");
    }
}

#[test]
fn the_swarm_shows_first_what_needs_a_look_and_what_to_do_next() {
    let (repo, mut drive) = under_way();
    drive.escalate("api", "who decides?");
    let text = repo.orch(["status"]).ok();
    assert!(text.contains("run demo on main"), "{text}");
    assert!(text.contains("1/2 done, 1 blocked"), "{text}");
    assert!(
        text.contains("1 of 4 tasks done: 1 ready, 1 blocked, 1 submitted, 1 failed"),
        "{text}"
    );
    let at = |what: &str| {
        text.find(what)
            .unwrap_or_else(|| panic!("{what} in {text}"))
    };
    assert!(at("escalation api") < at("blocked api by 1.2"), "{text}");
    assert!(at("blocked api by 1.2") < at("failed page"), "{text}");
    assert!(text.contains(": waits for a token"), "{text}");
    assert!(!text.contains("at the pace"), "one task is no pace: {text}");
    assert!(text.contains("next: git orch run --assemble"), "{text}");
}

#[test]
fn the_next_command_follows_the_run_to_its_end() {
    let repo = TestRepo::new().init();
    let text = repo.orch(["status"]).ok();
    assert!(
        text.contains("next: git orch plan apply plan.toml"),
        "{text}"
    );
    assert!(repo.orch(["status", "--json"]).json()["run"].is_null());
    let mut drive = Drive::new(&repo);
    drive.plan(&[("a", 1, "A")]).dispatch().start("a", "1.1");
    drive.submit("a", "did it");
    let text = repo.orch(["status"]).ok();
    assert!(text.contains("next: git orch assemble\n"), "{text}");
    drive.merge("a").assembled();
    let text = repo.orch(["status"]).ok();
    assert!(text.contains("next: git orch approve\n"), "{text}");
}

#[test]
fn a_team_shows_its_coders_and_tasks() {
    let (repo, _) = under_way();
    for name in ["1", "TEAM-1"] {
        let text = repo.orch(["status", name]).ok();
        assert!(text.contains("1.2  api blocked for"), "{text}");
        assert!(text.contains("1.1  idle"), "{text}");
        assert!(text.contains("schema  submitted"), "{text}");
        assert!(!text.contains("page"), "{text}");
    }
    let team = repo.orch(["status", "2", "--json"]).json();
    assert_eq!(team["team"]["failed"], 1);
    assert_eq!(team["coders"].as_array().unwrap().len(), 4);
    let text = repo.orch(["status", "2"]).ok();
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn an_agent_shows_what_it_holds() {
    let (repo, _) = under_way();
    let log = repo.path().join(".git/orch/attempts/api/1/agent.log");
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::fs::write(&log, "hello\n").unwrap();
    let agent = repo.orch(["status", "AGENT-1.2", "--json"]).json();
    assert_eq!(agent["holds"]["id"], "api");
    assert_eq!(agent["log"], log.to_str().unwrap());
    assert!(agent["worktree"].is_null(), "it has none");
    let text = repo.orch(["status", "1.1"]).ok();
    assert!(
        text.contains("nothing") && text.contains("schema"),
        "{text}"
    );
    let complaint = repo.orch(["status", "1.9"]).fails(1);
    assert!(
        complaint.contains("team 1 has coders 1.1 to 1.4"),
        "{complaint}"
    );
}

#[test]
fn a_task_shows_everything_that_is_known_of_it() {
    let (repo, _) = under_way();
    let text = repo.orch(["status", "page"]).ok();
    for part in [
        "failed, ",
        "no luck",
        "last held by  2.1",
        "1 (1 failed, 1 retries)",
        "orch/team-2/page",
        "  line two",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let page = repo.orch(["status", "page", "--json"]).json();
    assert_eq!(page["status"], "failed");
    assert_eq!(page["findings"], "line one\nline two");
    assert_eq!(page["model"], "sonnet");
    let text = repo.orch(["status", "schema"]).ok();
    assert!(
        text.contains("handed on\n  schema is there\n  src/a.rs"),
        "{text}"
    );
    let complaint = repo.orch(["status", "shcema"]).fails(1);
    assert!(
        complaint.contains("hint: git orch status schema"),
        "{complaint}"
    );
}

#[test]
fn watching_shows_every_change_and_ends_with_the_run() {
    let repo = TestRepo::new().init();
    let mut drive = Drive::new(&repo);
    drive.plan(&[("a", 1, "A")]).dispatch();
    let mut watcher = repo
        .orch_command(repo.path())
        .args(["status", "--watch", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    let mut state = || {
        let line = lines.next().map(|line| line.unwrap());
        let status: Option<serde_json::Value> =
            line.map(|line| serde_json::from_str(&line).unwrap());
        status.map(|status| status["tasks"][0]["status"].as_str().unwrap().to_owned())
    };
    assert_eq!(state().as_deref(), Some("ready"));
    drive.start("a", "1.1");
    // Two transitions may be seen as one change or as two.
    let mut seen = state();
    if seen.as_deref() == Some("claimed") {
        seen = state();
    }
    assert_eq!(seen.as_deref(), Some("in_progress"));
    drive.submit("a", "did it");
    assert_eq!(state().as_deref(), Some("submitted"));
    drive.merge("a");
    assert_eq!(state().as_deref(), Some("merged"));
    assert_eq!(state(), None, "the run is over");
    assert!(watcher.wait().unwrap().success());
}

#[test]
fn without_a_ledger_the_way_to_one_is_told() {
    let repo = TestRepo::new();
    let complaint = repo.orch(["status"]).fails(1);
    assert!(complaint.contains("hint: git orch init"), "{complaint}");
}
