//! The workers' verbs, end to end on real worktrees.

use std::path::PathBuf;

use super::common::{TestRepo, write_file};

/// Two coders, and a second team in a second phase.
const PLAN: &str = r#"
[run]
name = "billing"
base = "main"

[[phases]]
name = "foundation"
teams = [1]
[[phases]]
name = "services"
teams = [2]
after = ["foundation"]

[[teams]]
id = 1
name = "Infrastructure"
coders = 3
[[teams]]
id = 2
name = "Services"
coders = 1

[[tasks]]
id = "schema"
team = 1
title = "Create the schema"
scope = ["schema/**"]
deliverables = ["schema/users.sql"]
success = ["grep -q create schema/users.sql || { echo no create statement; exit 7; }"]
run = "true"

[[tasks]]
id = "queries"
team = 1
title = "Write the queries"
scope = ["queries/**"]
after = ["schema"]
run = "true"

[[tasks]]
id = "docs"
team = 1
title = "Describe it"
scope = ["docs/**"]
after = [{ task = "schema", coupling = "loose" }]
run = "true"

[[tasks]]
id = "report"
team = 1
title = "Report on it"
scope = ["report/**"]
after = [{ task = "schema", coupling = "tight" }]
run = "true"

[[tasks]]
id = "server"
team = 2
title = "Serve it"
scope = ["server/**"]
run = "true"
"#;

fn planned() -> TestRepo {
    let repo = TestRepo::new().init().plan(PLAN);
    repo.orch(["dispatch"]).ok();
    repo
}

/// Claims a task; returns the coder's worktree.
fn claim(repo: &TestRepo, task: &str, agent: &str) -> PathBuf {
    let answer = repo
        .orch(["claim", task, "--agent", agent, "--json"])
        .json();
    assert_eq!(answer["task"], task);
    PathBuf::from(answer["worktree"].as_str().unwrap())
}

/// Does a task the way a coder in its worktree does, and hands it in.
fn finish(repo: &TestRepo, task: &str, agent: &str, path: &str, text: &str) -> PathBuf {
    let dir = claim(repo, task, agent);
    repo.orch_in(&dir, ["start"]).ok();
    write_file(&dir.join(path), text);
    repo.git_in(&dir, ["add", "-A"]);
    repo.git_in(&dir, ["commit", "-q", "-m", &format!("write {path}")]);
    repo.orch_in(&dir, ["submit"]).ok();
    dir
}

fn state(repo: &TestRepo, task: &str) -> String {
    let status = repo.orch(["status", "--json"]).json();
    let tasks = status["tasks"].as_array().unwrap();
    let row = tasks.iter().find(|row| row["id"] == task).unwrap();
    row["status"].as_str().unwrap().to_owned()
}

#[test]
fn claim_answers_all_that_a_worker_needs() {
    let repo = planned();
    let answer = repo.orch(["claim", "--agent", "1.2", "--json"]).json();
    assert_eq!(answer["task"], "schema");
    assert_eq!(answer["attempt"], 1);
    assert_eq!(answer["branch"], "orch/team-1/schema");
    assert_eq!(answer["base"], repo.git(["rev-parse", "main"]).as_str());
    assert_eq!(answer["lease_until"], "2025-11-21T04:55:00Z");
    let dir = PathBuf::from(answer["worktree"].as_str().unwrap());
    assert_eq!(dir, repo.worktree("1.2"));
    assert_eq!(
        repo.git_in(&dir, ["symbolic-ref", "--short", "HEAD"]),
        "orch/team-1/schema"
    );
    assert_eq!(repo.git_in(&dir, ["status", "--porcelain"]), "");
    let shown = std::fs::read_to_string(dir.join(".orchestration/task.toml")).unwrap();
    assert!(shown.contains("title = \"Create the schema\""), "{shown}");
    assert_eq!(repo.git(["status", "--porcelain"]), "");
}

#[test]
fn claim_tells_nothing_ready_from_held_by_another() {
    let repo = planned();
    claim(&repo, "schema", "1.1");
    let held = repo.orch(["claim", "schema", "--agent", "1.2"]).fails(4);
    assert!(
        held.contains("task schema is held by 1.1 (attempt 1)"),
        "{held}"
    );
    let nothing = repo.orch(["claim", "--agent", "1.2"]).fails(3);
    assert!(nothing.contains("no task that is ready"), "{nothing}");
    let busy = repo.orch(["claim", "queries", "--agent", "1.1"]).fails(1);
    assert!(busy.contains("already holds task schema"), "{busy}");
    let pending = repo.orch(["claim", "queries", "--agent", "1.2"]).fails(1);
    assert!(
        pending.contains("it comes after schema, which is claimed"),
        "{pending}"
    );
    let foreign = repo.orch(["claim", "server", "--agent", "1.2"]).fails(1);
    assert!(foreign.contains("it belongs to team 2"), "{foreign}");
    repo.orch(["claim", "nothing-like-it", "--agent", "1.2"])
        .fails(1);
    repo.orch(["claim", "schema", "--agent", "one"]).fails(2);
}

#[test]
fn a_claim_without_worktree_makes_none() {
    let repo = planned();
    let answer = repo
        .orch(["claim", "--agent", "1.1", "--no-worktree", "--json"])
        .json();
    assert!(answer["worktree"].is_null());
    assert!(!repo.worktree("1.1").exists());
}

#[test]
fn a_deliverable_that_git_ignores_is_named_with_the_rule() {
    let repo = planned();
    let dir = claim(&repo, "schema", "1.1");
    repo.orch_in(&dir, ["start"]).ok();
    write_file(&dir.join("schema/other.sql"), "x\n");
    repo.git_in(&dir, ["add", "-A"]);
    repo.git_in(&dir, ["commit", "-q", "-m", "other"]);
    // By a rule that no commit shows.
    let exclude = repo.path().join(".git/info/exclude");
    let rules = std::fs::read_to_string(&exclude).unwrap_or_default() + "users.*\n";
    write_file(&exclude, &rules);
    let absent = repo.orch_in(&dir, ["submit"]).fails(1);
    assert!(!absent.contains("ignore"), "{absent}");
    write_file(&dir.join("schema/users.sql"), "create table users();\n");
    let told = repo.orch_in(&dir, ["submit"]).fails(1);
    let line = rules.lines().count();
    let rule = format!("info/exclude:{line}: users.*)");
    assert!(
        told.contains("schema/users.sql (it is there, and ignored by "),
        "{told}"
    );
    assert!(told.contains(&rule), "{told}");
    assert!(
        told.contains("git add --force -- schema/users.sql"),
        "{told}"
    );
}

#[test]
fn submit_says_for_each_refusal_what_to_do() {
    let repo = planned();
    let dir = claim(&repo, "schema", "1.1");
    repo.orch_in(&dir, ["start"]).ok();
    let empty = repo.orch_in(&dir, ["submit"]).fails(1);
    assert!(empty.contains("has no commits beyond its base"), "{empty}");
    write_file(&dir.join("schema/other.sql"), "x\n");
    let dirty = repo.orch_in(&dir, ["submit"]).fails(1);
    assert!(
        dirty.contains("not committed") && dirty.contains("schema/other.sql"),
        "{dirty}"
    );
    repo.git_in(&dir, ["add", "-A"]);
    repo.git_in(&dir, ["commit", "-q", "-m", "other"]);
    let missing = repo.orch_in(&dir, ["submit"]).fails(1);
    assert!(
        missing.contains("deliverables are missing: schema/users.sql"),
        "{missing}"
    );
    write_file(&dir.join("schema/users.sql"), "drop table users;\n");
    repo.git_in(&dir, ["add", "-A"]);
    repo.git_in(&dir, ["commit", "-q", "-m", "users"]);
    let failing = repo.orch_in(&dir, ["submit"]).fails(1);
    assert!(failing.contains("exited with 7"), "{failing}");
    assert!(
        failing.contains("no create statement"),
        "the output is shown: {failing}"
    );
    let log = repo.path().join(".git/orch/attempts/schema/1/submit.log");
    assert!(
        std::fs::read_to_string(log)
            .unwrap()
            .contains("no create statement")
    );
    assert_eq!(state(&repo, "schema"), "in_progress");
    write_file(&dir.join("schema/users.sql"), "create table users();\n");
    repo.git_in(&dir, ["commit", "-q", "-a", "-m", "create"]);
    repo.orch_in(
        &dir,
        [
            "submit",
            "-m",
            "The schema is there.",
            "--next",
            "write queries",
        ],
    )
    .ok();
    assert_eq!(state(&repo, "schema"), "submitted");
    let handoff = repo.git([
        "show",
        "orchestration:.orchestration/teams/1/handoffs/schema.toml",
    ]);
    for line in [
        "task_id = \"schema\"",
        "status = \"completed\"",
        "summary = \"The schema is there.\"",
    ] {
        assert!(handoff.contains(line), "{line} in {handoff}");
    }
    let again = repo.orch_in(&dir, ["submit"]).fails(4);
    assert!(again.contains("does not hold: it is submitted"), "{again}");
}

#[test]
fn a_task_goes_through_blocked_and_back() {
    let repo = planned();
    let dir = claim(&repo, "schema", "1.1");
    repo.orch_in(&dir, ["start"]).ok();
    repo.orch_in(&dir, ["block", "-m", "which database?"]).ok();
    assert_eq!(state(&repo, "schema"), "blocked");
    let refused = repo.orch_in(&dir, ["submit"]).fails(1);
    assert!(!refused.is_empty());
    repo.orch_in(&dir, ["unblock"]).ok();
    assert_eq!(state(&repo, "schema"), "in_progress");
    let log = repo.git(["log", "--format=%s", "orchestration"]);
    assert!(
        log.contains("[TEAM-1] [AGENT-1.1] block schema: which database?"),
        "{log}"
    );
}

#[test]
fn a_person_answers_a_blocked_task_by_its_name() {
    let repo = planned();
    let dir = claim(&repo, "schema", "1.1");
    repo.orch_in(&dir, ["block", "-m", "which database?"]).ok();
    // Said wrongly for another verb, the error says what to add.
    let unsaid = repo.orch(["fail", "schema", "-m", "x"]).fails(2);
    assert!(unsaid.contains("add --agent 1.1 --attempt 1"), "{unsaid}");
    repo.orch(["unblock", "schema", "-m", "the old one"]).ok();
    assert_eq!(state(&repo, "schema"), "in_progress");
    repo.orch_in(&dir, ["block", "-m", "which table?"]).ok();
    repo.orch(["release", "schema", "-m", "users"]).ok();
    let shown = repo.orch(["status", "schema", "--json"]).json();
    assert_eq!(
        shown["messages"],
        serde_json::json!([
            "in answer to \"which database?\": the old one",
            "in answer to \"which table?\": users"
        ])
    );
    let text = repo.orch(["status", "schema"]).ok();
    assert!(text.contains("the old one"), "{text}");
    let dir = claim(&repo, "schema", "1.2");
    let told = std::fs::read_to_string(dir.join(".orchestration/messages.txt")).unwrap();
    assert!(told.contains("users"), "{told}");
}

#[test]
fn a_failed_attempt_is_fenced_out_and_its_successor_sees_what_went_wrong() {
    let repo = planned();
    let first = claim(&repo, "schema", "1.1");
    write_file(&first.join("schema/draft.sql"), "draft\n");
    repo.git_in(&first, ["add", "-A"]);
    repo.git_in(&first, ["commit", "-q", "-m", "draft"]);
    repo.orch_in(&first, ["fail", "-m", "the database is away"])
        .ok();
    assert_eq!(state(&repo, "schema"), "failed");
    repo.orch(["dispatch"]).ok();
    let second = claim(&repo, "schema", "1.2");
    assert!(
        second.join("schema/draft.sql").exists(),
        "the branch is continued"
    );
    let findings = std::fs::read_to_string(second.join(".orchestration/findings.txt")).unwrap();
    assert!(findings.contains("the database is away"), "{findings}");
    let args = ["submit", "schema", "--agent", "1.1", "--attempt", "1"];
    let late = repo.orch(args).fails(4);
    assert!(late.contains("taken over by 1.2 (attempt 2)"), "{late}");
    repo.orch_in(&second, ["fail", "-m", "still away"]).ok();
    repo.orch(["dispatch"]).ok();
    assert_eq!(state(&repo, "schema"), "gap");
}

#[test]
fn pain_12_a_branch_is_cut_with_the_work_that_it_builds_on() {
    let repo = planned();
    finish(
        &repo,
        "schema",
        "1.1",
        "schema/users.sql",
        "create table users();\n",
    );
    repo.orch(["dispatch"]).ok();
    let tight = repo.orch(["claim", "report", "--agent", "1.1"]).fails(1);
    assert!(
        tight.contains("it comes after schema, which is submitted"),
        "{tight}"
    );
    let medium = claim(&repo, "queries", "1.2");
    assert!(
        medium.join("schema/users.sql").exists(),
        "medium coupling has the code"
    );
    let loose = claim(&repo, "docs", "1.3");
    assert!(
        !loose.join("schema/users.sql").exists(),
        "loose coupling has the contract only"
    );
    let contract = loose.join(".orchestration/handoffs/schema.toml");
    assert!(
        std::fs::read_to_string(contract)
            .unwrap()
            .contains("completed")
    );
}

#[test]
fn a_later_phase_is_cut_with_everything_before_it() {
    let repo = planned();
    finish(
        &repo,
        "schema",
        "1.1",
        "schema/users.sql",
        "create table users();\n",
    );
    repo.orch(["dispatch"]).ok();
    finish(&repo, "queries", "1.1", "queries/all.sql", "select;\n");
    finish(&repo, "docs", "1.2", "docs/index.md", "text\n");
    repo.orch(["cancel", "report", "-m", "not needed"]).ok();
    repo.orch(["dispatch"]).ok();
    let server = claim(&repo, "server", "2.1");
    for path in ["schema/users.sql", "queries/all.sql", "docs/index.md"] {
        assert!(server.join(path).exists(), "{path}");
    }
}

#[test]
fn release_gives_back_without_a_failure_and_keeps_the_work() {
    let repo = planned();
    let dir = claim(&repo, "schema", "1.1");
    write_file(&dir.join("schema/half.sql"), "half\n");
    repo.orch_in(&dir, ["release", "-m", "going home"]).ok();
    assert_eq!(state(&repo, "schema"), "ready");
    // Claimed again by the same coder: what was uncommitted is kept where it can be found.
    claim(&repo, "schema", "1.1");
    let kept = repo.git(["for-each-ref", "--format=%(refname)", "refs/orch/recovery"]);
    assert_eq!(
        repo.git([
            "show",
            &format!("{}:schema/half.sql", kept.lines().next().unwrap())
        ]),
        "half"
    );
}

#[test]
fn renew_moves_a_ref_without_history_and_not_the_ledger() {
    let repo = planned();
    let dir = claim(&repo, "schema", "1.1");
    let before = repo.git(["rev-parse", "orchestration"]);
    let answer = repo.orch_in(&dir, ["renew", "--json"]).json();
    assert_eq!(answer["lease_until"], "2025-11-21T04:55:00Z");
    repo.orch_in(&dir, ["renew"]).ok();
    assert_eq!(repo.git(["rev-parse", "orchestration"]), before);
    let leases = repo.git(["for-each-ref", "--format=%(refname)", "refs/orch/lease"]);
    assert_eq!(leases.lines().count(), 1);
    assert_eq!(repo.git(["rev-list", "--count", leases.as_str()]), "1");
    let stale = ["renew", "schema", "--agent", "1.1", "--attempt", "7"];
    repo.orch(stale).fails(4);
}

#[test]
fn an_agent_speaks_for_itself_only() {
    let repo = planned();
    claim(&repo, "schema", "1.1");
    repo.orch_in(&repo.worktree("1.1"), ["start"]).ok();
    // 1.2 gets a worktree by a claim of its own.
    finish_schema_as_leader_would(&repo);
    let other = claim(&repo, "docs", "1.2");
    let args = [
        "fail",
        "docs",
        "--agent",
        "1.3",
        "--attempt",
        "1",
        "-m",
        "x",
    ];
    let denied = repo.orch_in(&other, args).fails(1);
    assert!(
        denied.contains("agent 1.2 may not speak for agent 1.3"),
        "{denied}"
    );
    let denied = repo.orch_in(&other, ["cancel", "docs", "-m", "x"]).fails(1);
    assert!(denied.contains("may not cancel"), "{denied}");
}

fn finish_schema_as_leader_would(repo: &TestRepo) {
    let dir = repo.worktree("1.1");
    write_file(&dir.join("schema/users.sql"), "create table users();\n");
    repo.git_in(&dir, ["add", "-A"]);
    repo.git_in(&dir, ["commit", "-q", "-m", "users"]);
    repo.orch(["submit", "schema", "--agent", "1.1", "--attempt", "1"])
        .ok();
    repo.orch(["dispatch"]).ok();
}

#[test]
fn an_escalation_is_found_by_grep_and_leaves_the_state_alone() {
    let repo = planned();
    repo.orch(["escalate", "schema", "-m", "nobody knows the password"])
        .ok();
    let found = repo.git(["log", "--all", "--format=%s", "--grep=ESCALATION"]);
    assert_eq!(
        found,
        "[TEAM-1] ESCALATION schema: nobody knows the password"
    );
    assert_eq!(state(&repo, "schema"), "ready");
}
