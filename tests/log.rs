//! The event log: what plain `git log` finds, and `git orch log` beside it.

use serde_json::Value;

use super::common::TestRepo;
use super::common::drive::Drive;

/// A run in which everything happens that a team lead would grep for, with texts that try to pose as more.
fn eventful() -> TestRepo {
    let repo = TestRepo::new().init();
    let mut drive = Drive::new(&repo);
    drive
        .plan(&[
            ("schema", 1, "Create the schema [TEAM-11]"),
            ("api", 1, "Serve it"),
            ("page", 11, "Show it"),
            ("style", 11, "Make it pretty"),
        ])
        .dispatch()
        .start("schema", "1.1")
        .start("api", "1.2")
        .start("page", "11.1")
        .submit("schema", "done as [TEAM-11] [AGENT-11.1] asked")
        .block("api", "waits for [AGENT-11.1]; not an ESCALATION")
        .fail(
            "page",
            "no luck\u{1b}[31m",
            "Orch-Task: schema\nOrch-Event: merge\n--- a/page\n[TEAM-1] ESCALATION\n",
        )
        .escalate("api", "who decides?\n\nOrch-Task: schema")
        .merge("schema")
        .dispatch()
        .start("page", "11.2")
        .submit("page", "second try")
        .reject("page", "conflicts with [TEAM-1]'s schema", "<<<<<<< a")
        .assembled();
    repo
}

fn lines(repo: &TestRepo, args: &[&str]) -> usize {
    repo.git(args).lines().count()
}

fn events(repo: &TestRepo, args: &[&str]) -> Vec<Value> {
    let all = [&["log", "--json"], args].concat();
    repo.orch(all).json().as_array().unwrap().clone()
}

#[test]
fn git_grep_and_git_orch_log_find_the_same_events() {
    let repo = eventful();
    let ours = |args: &[&str]| events(&repo, args).len();
    let gits = |pattern: &str| {
        let grep = format!("--grep={pattern}");
        lines(&repo, &["log", "--all", "--oneline", &grep])
    };
    // Counted by hand: plan, dispatch, and what the team's own tasks went through.
    assert_eq!(gits(r"\[TEAM-1\]"), 10);
    assert_eq!(ours(&["1"]), 10);
    assert_eq!(gits(r"\[TEAM-11\]"), 10);
    assert_eq!(ours(&["TEAM-11"]), 10);
    assert_eq!(gits(r"\[AGENT-1\.2\]"), 4);
    assert_eq!(ours(&["1.2"]), 4);
    assert_eq!(gits(r"\[AGENT"), 15);
    let with_agent = events(&repo, &[]);
    let with_agent = with_agent.iter().filter(|event| !event["agent"].is_null());
    assert_eq!(with_agent.count(), 15);
    assert_eq!(gits("ESCALATION"), 1);
    assert_eq!(ours(&["--escalations"]), 1);
    assert_eq!(events(&repo, &["--escalations"])[0]["task"], "api");
    let all: usize = repo
        .git(["rev-list", "--count", "orchestration"])
        .parse()
        .unwrap();
    assert_eq!(ours(&[]), all);
}

#[test]
fn trailers_name_the_tasks_and_nothing_else_does() {
    let repo = eventful();
    let format = "--format=%(trailers:key=Orch-Task,valueonly)";
    let named = repo.git(["log", "orchestration", format]);
    for task in ["schema", "api", "page", "style"] {
        let named = named.lines().filter(|line| *line == task).count();
        assert_eq!(events(&repo, &[task]).len(), named, "{task}");
        assert!(named > 0, "{task}");
    }
    // The divider and trailers in a failure's findings are text, also to git's strictest reader.
    let message = repo.git([
        "log",
        "-1",
        "--format=%B",
        "--grep=no luck",
        "orchestration",
    ]);
    let parsed = repo.outside().join("message");
    std::fs::write(&parsed, format!("{message}\n")).unwrap();
    let parsed = repo.git(["interpret-trailers", "--parse", parsed.to_str().unwrap()]);
    let tasks: Vec<&str> = parsed
        .lines()
        .filter(|line| line.starts_with("Orch-Task:"))
        .collect();
    assert_eq!(tasks, ["Orch-Task: page"], "{parsed}");
    assert!(parsed.contains("Orch-Event: fail"), "{parsed}");
}

#[test]
fn events_are_told_to_people_without_control_characters() {
    let repo = eventful();
    let text = repo.orch(["log"]).ok();
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n'),
        "{text}"
    );
    assert!(
        text.contains(
            "[TEAM-1] [AGENT-1.1] claim schema: Create the schema (TEAM-11)  (ready -> claimed)"
        ),
        "{text}"
    );
    assert!(text.contains("ESCALATION api: who decides?"), "{text}");
    let coloured = repo.orch(["log", "--color", "always", "page"]).ok();
    let stripped = coloured.replace("\u{1b}[2m", "").replace("\u{1b}[0m", "");
    let stripped = stripped.replace("\u{1b}[31m", "").replace("\u{1b}[32m", "");
    assert!(!stripped.contains('\u{1b}'), "{stripped:?}");
}

#[test]
fn the_log_as_json_has_every_part_of_an_event() {
    let repo = eventful();
    let claim = &events(&repo, &["schema", "--kind", "claim"])[0];
    assert_eq!(claim["event"], "claim");
    assert_eq!(claim["run"], "demo");
    assert_eq!(claim["team"], 1);
    assert_eq!(claim["agent"], "1.1");
    assert_eq!(claim["task"], "schema");
    assert_eq!(claim["attempt"], 1);
    assert_eq!(
        (&claim["from"], &claim["to"]),
        (&"ready".into(), &"claimed".into())
    );
    assert_eq!(claim["commit"].as_str().unwrap().len(), 40);
    assert!(claim["time"].as_str().unwrap().ends_with('Z'), "{claim}");
    let reject = &events(&repo, &["--kind", "reject"])[0];
    assert_eq!(reject["body"], "<<<<<<< a");
    let dispatch = events(&repo, &["--kind", "dispatch", "--reverse", "-n", "2"]);
    assert_eq!(dispatch.len(), 2);
    assert_eq!(dispatch[0]["teams"], serde_json::json!([1, 11]));
    assert!(dispatch[0]["team"].is_null());
}

#[test]
fn limits_and_order_are_those_of_git_log() {
    let repo = eventful();
    let newest = repo.git(["log", "--format=%H", "-3", "orchestration"]);
    let commits = |args: &[&str]| -> Vec<String> {
        let events = events(&repo, args);
        let commit = |event: &Value| event["commit"].as_str().unwrap().to_owned();
        events.iter().map(commit).collect()
    };
    let mut expected: Vec<&str> = newest.lines().collect();
    assert_eq!(commits(&["-n", "3"]), expected);
    expected.reverse();
    assert_eq!(commits(&["-n", "3", "--reverse"]), expected);
}

#[test]
fn a_commit_made_by_hand_is_shown_as_an_edit() {
    let repo = TestRepo::new().init();
    let script = "c=$(git commit-tree 'orchestration^{tree}' -p orchestration -m '[TEAM-3] mend it') && \
                  git update-ref refs/heads/orchestration $c";
    let status = repo
        .command("sh", repo.path())
        .args(["-c", script])
        .status();
    assert!(status.unwrap().success());
    let edits = events(&repo, &["--kind", "edit"]);
    assert_eq!(edits.len(), 1);
    assert_eq!(edits[0]["subject"], "[TEAM-3] mend it");
    assert_eq!(edits[0]["team"], 3);
    let text = repo.orch(["log", "-n", "1"]).ok();
    assert!(text.contains("(edit by Test)"), "{text}");
}

#[test]
fn a_name_that_nothing_is_known_of_is_told() {
    let repo = eventful();
    let complaint = repo.orch(["log", "shcema"]).fails(1);
    assert!(complaint.contains("there is no task shcema"), "{complaint}");
    assert!(complaint.contains("git orch status schema"), "{complaint}");
    let complaint = repo.orch(["log", "7"]).fails(1);
    assert!(
        complaint.contains("there is no team 7: there are 1, 11"),
        "{complaint}"
    );
    let _ = repo.orch(["log", "--kind", "claimed"]).fails(2);
}

#[test]
fn a_regular_expression_finds_what_git_finds() {
    let repo = eventful();
    let pattern = "claim (schema|page)";
    let theirs = lines(
        &repo,
        &["log", "-E", "--oneline", "--grep", pattern, "orchestration"],
    );
    assert_eq!((events(&repo, &["--grep", pattern]).len(), theirs), (3, 3));
    let found = events(&repo, &["--grep", "Serve", "--kind", "claim"]);
    assert_eq!(found.len(), 1);
    let complaint = repo.orch(["log", "--grep", "claim ("]).fails(2);
    assert!(complaint.contains("unclosed group"), "{complaint}");
}
