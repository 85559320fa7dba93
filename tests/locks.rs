//! Locks: decisions that bind builders, at the commit, at the gate and on what is merged.

use crate::common::site::{Site, verdicts};
use crate::common::{TestRepo, write_file};

const LOCKS: &str = "
[[locks]]
id = \"schema\"
trust = \"critical\"
paths = [\"db/**\"]
assertion = \"ids are UUIDs\"
tasks = [\"b\"]

[[locks]]
id = \"style\"
paths = [\"*.css\"]
assertion = \"two spaces\"
reason = \"one look\"
";

const PLAN: &str = "
[run]
name = \"demo\"
test = \"true\"
[[teams]]
id = 1
[[tasks]]
id = \"a\"
team = 1
title = \"Do a\"
run = \"true\"
[[tasks]]
id = \"b\"
team = 1
title = \"Do b\"
run = \"true\"
[[tasks]]
id = \"c\"
team = 1
title = \"Do c\"
run = \"true\"
locks = [\"style\"]
";

/// Task `a` holds nothing, the lock `schema` names `b`, and `c` holds `style`.
fn site() -> Site {
    let site = Site {
        repo: TestRepo::new().init().plan(&format!("{PLAN}{LOCKS}")),
    };
    site.repo.orch(["dispatch"]).ok();
    site
}

fn set(site: &Site, args: &[&str]) -> crate::common::Outcome {
    site.repo.orch(["lock", "set"].iter().chain(args))
}

#[test]
fn a_lock_is_made_shown_changed_and_taken_away_each_in_one_commit() {
    let site = Site::new("true", &[("a", 1, &[])]);
    let repo = &site.repo;
    assert_eq!(repo.orch(["lock", "list"]).ok(), "there are no locks\n");
    set(&site, &["api"]).fails(1);
    set(&site, &["api", "--path", "/api", "--assertion", "x"]).fails(1);
    let make = ["api", "--path", "api/**", "--assertion", "stays at v2"];
    set(&site, &make).ok();
    assert_eq!(set(&site, &make).ok(), "lock api is so already\n");
    let told = repo.git(["log", "-1", "--format=%B", "orchestration"]);
    assert!(
        told.starts_with("[ORCH] lock: api locked: stays at v2\n"),
        "{told}"
    );
    assert!(
        told.contains("Orch-Event: lock\n") && told.contains("Orch-Lock: api\n"),
        "{told}"
    );
    set(
        &site,
        &[
            "api", "--trust", "critical", "--owner", "Ada", "--task", "a",
        ],
    )
    .ok();
    let shown = repo.orch(["lock", "show", "api", "--json"]).json();
    assert_eq!(
        shown,
        serde_json::json!({
            "id": "api", "trust": "critical", "paths": ["api/**"], "assertion": "stays at v2",
            "owner": "Ada", "tasks": ["a"],
        })
    );
    let listed = repo.orch(["lock", "list", "--json"]).json();
    assert_eq!(listed["locks"][0], shown);
    let text = repo.orch(["lock", "show", "api"]).ok();
    assert!(
        text.contains("trust      critical\n") && text.contains("owner      Ada"),
        "{text}"
    );
    repo.orch(["lock", "remove", "api"]).ok();
    repo.orch(["lock", "remove", "api"]).fails(1);
    repo.orch(["log", "--kind", "lock"]).ok();
    repo.orch(["doctor"]).ok();
}

#[test]
fn a_leader_changes_locks_and_only_a_person_critical_ones() {
    let site = site();
    let denied = |who: &str, args: &[&str], why: &str| {
        let complaint = site
            .repo
            .orch(["--as", who, "lock"].iter().chain(args))
            .fails(1);
        assert!(complaint.contains(why), "{complaint}");
    };
    let critical = "agent 1.0 may not change a critical lock: only a person may";
    denied("1.0", &["set", "schema", "--task", "a"], critical);
    denied("1.0", &["remove", "schema"], critical);
    denied("1.0", &["set", "style", "--trust", "critical"], critical);
    let coder = "agent 1.1 may not change a lock: only a leader or a person may";
    denied("1.1", &["set", "style", "--task", "a"], coder);
    site.repo
        .orch(["--as", "1.0", "lock", "set", "style", "--task", "a"])
        .ok();
    site.repo
        .orch(["--as", "1.0", "lock", "remove", "style"])
        .ok();
    site.repo.orch(["doctor"]).ok();
}

#[test]
fn a_plan_sets_the_locks_that_it_names_and_leaves_the_others() {
    let site = site();
    let repo = &site.repo;
    let shown = repo.orch(["plan", "show"]).ok();
    let plan = repo.outside().join("shown.toml");
    write_file(&plan, &shown);
    repo.orch(["plan", "check", plan.to_str().unwrap()]).ok();
    let before = repo.git(["rev-parse", "orchestration"]);
    repo.orch(["plan", "apply", plan.to_str().unwrap()]).ok();
    assert_eq!(repo.git(["rev-parse", "orchestration"]), before, "{shown}");
    let without = PLAN.replace("locks = [\"style\"]", "");
    write_file(
        &plan,
        &format!("{without}{}", LOCKS.replace("two spaces", "four spaces")),
    );
    repo.orch(["plan", "apply", plan.to_str().unwrap()]).ok();
    let locks = repo.orch(["lock", "list"]).ok();
    assert!(
        locks.contains("four spaces") && locks.contains("schema (critical)"),
        "{locks}"
    );
    write_file(&plan, &without);
    repo.orch(["plan", "apply", plan.to_str().unwrap()]).ok();
    assert_eq!(repo.orch(["lock", "list"]).ok(), locks);
}

#[test]
fn a_commit_under_a_lock_is_refused_unless_the_task_holds_it() {
    let site = site();
    let repo = &site.repo;
    let try_in = |task: &str, agent: &str, path: &str| {
        repo.orch(["claim", task, "--agent", agent]).ok();
        let dir = repo.worktree(agent);
        write_file(&dir.join(path), task);
        repo.git_in(&dir, ["add", "-A"]);
        repo.try_git_in(&dir, ["commit", "-q", "-m", "work"])
    };
    let refused = try_in("a", "1.1", "db/users.sql").fails(1);
    assert!(
        refused
            .contains("db/users.sql is under the critical lock schema, which task a does not hold"),
        "{refused}"
    );
    assert!(refused.contains("ids are UUIDs"), "{refused}");
    let shown = std::fs::read_to_string(repo.worktree("1.1").join(".orchestration/locks.toml"));
    assert!(shown.unwrap().contains("ids are UUIDs"));
    try_in("b", "1.2", "db/users.sql").ok();
    try_in("c", "1.3", "main.css").ok();
    // What is no path of a lock's is free as before.
    write_file(&repo.worktree("1.1").join("src.rs"), "x");
    repo.git_in(&repo.worktree("1.1"), ["rm", "-q", "-f", "db/users.sql"]);
    repo.git_in(&repo.worktree("1.1"), ["add", "-A"]);
    repo.git_in(&repo.worktree("1.1"), ["commit", "-q", "-m", "work"]);
    let dir = repo.worktree("1.1");
    write_file(&dir.join("other.css"), "x");
    repo.git_in(&dir, ["add", "-A"]);
    let refused = repo
        .try_git_in(&dir, ["commit", "-q", "-m", "work"])
        .fails(1);
    assert!(refused.contains("under the locked lock style"), "{refused}");
}

/// The branches are made by plain Git, round every hook.
#[test]
fn the_gate_refuses_what_went_round_the_hook() {
    let site = site();
    site.work("a", "1.1", &[("db/a.sql", "a\n")]);
    site.work("b", "1.2", &[("db/b.sql", "b\n")]);
    site.work("c", "1.3", &[("c.css", "c\n")]);
    let (code, report) = site.assemble();
    assert_eq!(code, 1);
    assert_eq!(
        verdicts(&report),
        ["a: gate_failed", "b: merged", "c: merged"],
        "{report}"
    );
    let findings = site.task("a").status.findings.unwrap();
    assert!(
        findings
            .contains("changes db/a.sql, which is under the critical lock schema (ids are UUIDs)"),
        "{findings}"
    );
    assert!(
        findings.contains("`git orch lock set schema --task a`"),
        "{findings}"
    );
    // A person lets it through, and the same commit passes.
    set(&site, &["schema", "--task", "a"]).ok();
    site.hand_in("a", "1.1", &site.rev("orch/team-1/a"));
    assert_eq!(site.assemble().0, 0);
    assert_eq!(site.state("a"), "merged");
}

#[test]
fn a_leaders_commit_may_change_what_is_locked_and_nothing_critical() {
    let site = site();
    let message = "[TEAM-1] [AGENT-1.0] mend\n\nOrch-Task: a\nOrch-Agent: 1.0\nOrch-Run: demo";
    let files = [("x.css", "x\n")];
    let head = site.branch("orch/team-1/a", "main", message, &files);
    site.hand_in("a", "1.1", &head);
    assert_eq!(verdicts(&site.assemble().1), ["a: merged"]);
    let message = message.replace("Orch-Task: a", "Orch-Task: c");
    let head = site.branch("orch/team-1/c", "main", &message, &[("db/x.sql", "x\n")]);
    site.hand_in("c", "1.2", &head);
    assert_eq!(verdicts(&site.assemble().1), ["c: gate_failed"]);
}

#[test]
fn a_locks_check_must_pass_on_what_is_merged() {
    let site = site();
    let check = "! grep -rq serial db 2>/dev/null";
    set(&site, &["schema", "--check", check]).ok();
    let repo = &site.repo;
    let text = repo.orch(["lock", "check"]).ok();
    assert!(
        text.contains("schema:") && text.contains("passes"),
        "{text}"
    );
    site.work("b", "1.2", &[("db/b.sql", "id serial\n")]);
    site.work("c", "1.3", &[("c.css", "c\n")]);
    let (_, report) = site.assemble();
    assert_eq!(
        verdicts(&report),
        ["b: test_failed", "c: merged"],
        "{report}"
    );
    write_file(&repo.path().join("db/x.sql"), "id serial\n");
    let answer = repo.orch(["lock", "check", "schema", "--json"]);
    assert_eq!(answer.code(), 1);
    let answer: serde_json::Value = serde_json::from_str(&answer.stdout()).unwrap();
    assert_eq!(answer["checks"][0]["passed"], false);
    repo.orch(["lock", "check", "nothing"]).fails(1);
    let text = repo.orch(["lock", "check", "style"]).ok();
    assert_eq!(text, "no lock has a command that checks it\n");
}

#[test]
fn a_broken_lock_is_no_open_one() {
    let site = site();
    let repo = &site.repo;
    let dir = repo.outside().join("editor");
    let dir_text = dir.to_str().unwrap();
    repo.git([
        "worktree",
        "add",
        "-q",
        "--detach",
        dir_text,
        "orchestration",
    ]);
    let locks = dir.join(".orchestration/locks.toml");
    let text = std::fs::read_to_string(&locks).unwrap();
    write_file(&locks, &text.replace("paths = [\"db/**\"]", "paths = []"));
    repo.git_in(&dir, ["commit", "-qam", "open the lock"]);
    let head = repo.git_in(&dir, ["rev-parse", "HEAD"]);
    repo.git(["worktree", "remove", "--force", dir_text]);
    repo.git(["update-ref", "refs/heads/orchestration", &head]);
    let complaint = repo.orch(["status"]).fails(1);
    assert!(
        complaint.contains("locks.toml:1:1: lock schema covers no paths"),
        "{complaint}"
    );
    repo.orch(["doctor", "--restore", "locks.toml"]).ok();
    assert!(
        repo.orch(["lock", "list"])
            .ok()
            .contains("schema (critical)")
    );
}
