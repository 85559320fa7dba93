//! `git orch plan` and `git orch task`: check, apply, show; list, show, add.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::common::TestRepo;

/// Two tasks after each other and one beside them, by two teams.
const PLAN: &str = r#"
[run]
name = "billing"
base = "main"
[[teams]]
id = 1
[[teams]]
id = 2
[[tasks]]
id = "schema"
team = 1
title = "Create the schema"
scope = ["db"]
deliverables = ["db/schema.sql"]
success = ["true"]
run = "true"
[[tasks]]
id = "queries"
team = 1
title = "Write the queries"
scope = ["db/queries"]
deliverables = ["db/queries/a.sql"]
success = ["true"]
run = "true"
after = ["schema"]
[[tasks]]
id = "page"
team = 2
title = "Show it"
scope = ["pages/*.html"]
deliverables = ["pages/a.html"]
success = ["true"]
run = "true"
"#;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plans")
}

fn write(repo: &TestRepo, text: &str) -> PathBuf {
    let path = repo.outside().join("next.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn args<'a>(words: &'a [&'a str], path: &'a Path) -> Vec<&'a OsStr> {
    let words = words.iter().map(OsStr::new);
    words.chain([path.as_os_str()]).collect()
}

fn commits(repo: &TestRepo) -> String {
    repo.git(["rev-list", "--count", "orchestration"])
}

/// Each `fixtures/plans/*.toml` is checked; `.expected` beside it has the exit code and what is printed.
#[test]
fn fixtures_are_checked_as_expected() {
    let repo = TestRepo::empty();
    let update = std::env::var_os("UPDATE").is_some();
    let mut files: Vec<PathBuf> = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some(OsStr::new("toml")))
        .collect();
    files.sort();
    assert!(files.len() >= 4);
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let outcome = repo.orch_in(&fixtures(), ["plan", "check", name]);
        let actual = format!(
            "exit {}\n--- stdout\n{}--- stderr\n{}",
            outcome.code(),
            outcome.stdout(),
            outcome.stderr()
        );
        let expected_file = file.with_extension("expected");
        if update {
            std::fs::write(&expected_file, &actual).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_file).unwrap_or_default();
        let diff = similar::TextDiff::from_lines(&expected, &actual);
        assert!(
            expected == actual,
            "{name} (UPDATE=1 rewrites):\n{}",
            diff.unified_diff()
        );
    }
}

#[test]
fn check_needs_no_repository_and_tells_all_as_json() {
    let repo = TestRepo::empty();
    let bad = write(
        &repo,
        "[rum]\n[[tasks]]\nid = \"a\"\ntitle = \"T\"\nscope = [\"a\"]\n",
    );
    let outcome = repo.orch_in(&repo.outside(), args(&["plan", "check", "--json"], &bad));
    assert_eq!(outcome.code(), 1);
    let findings: serde_json::Value = serde_json::from_str(&outcome.stdout()).unwrap();
    let findings = findings.as_array().unwrap();
    assert_eq!(findings.len(), 4);
    let first = &findings[0];
    assert_eq!(first["severity"], "error");
    assert_eq!((&first["line"], &first["column"]), (&1.into(), &2.into()));
    assert_eq!(first["key"], "rum");
    assert_eq!(first["message"], "unknown key `rum`");
    assert_eq!(first["help"], "write `run`");
    assert_eq!(findings[3]["severity"], "warning");
    let good = write(&repo, PLAN);
    let none = repo.orch_in(&repo.outside(), args(&["plan", "check", "--json"], &good));
    assert_eq!(none.json(), serde_json::json!([]));
    let missing = repo.outside().join("nowhere.toml");
    let complaint = repo.orch(args(&["plan", "check"], &missing)).fails(1);
    assert!(complaint.contains("nowhere.toml"), "{complaint}");
}

#[test]
fn warnings_alone_are_no_failure() {
    let repo = TestRepo::empty();
    let warned = write(
        &repo,
        "[[tasks]]\nid = \"a\"\ntitle = \"T\"\nrun = \"true\"\n",
    );
    let answer = repo.orch(args(&["plan", "check"], &warned));
    assert!(
        answer
            .stderr()
            .ends_with("next.toml: 1 task in 1 team and 1 phase, 2 warnings\n")
    );
    assert!(
        answer
            .ok()
            .starts_with("warning: task `a` does not say how its success is seen\n")
    );
}

#[test]
fn a_plan_with_errors_changes_nothing() {
    let repo = TestRepo::new().init();
    let bad = write(
        &repo,
        &PLAN.replace("after = [\"schema\"]", "after = [\"scheme\"]"),
    );
    let complaint = repo.orch(args(&["plan", "apply"], &bad)).fails(1);
    assert!(
        complaint.contains("there is no task `scheme`"),
        "{complaint}"
    );
    assert!(complaint.contains("write `schema`"), "{complaint}");
    // Without the dependency the two scopes would meet, which is told as well.
    assert!(complaint.contains("has 2 errors"), "{complaint}");
    let elsewhere = write(&repo, &PLAN.replace("base = \"main\"", "base = \"trunk\""));
    let complaint = repo.orch(args(&["plan", "apply"], &elsewhere)).fails(1);
    assert!(
        complaint.contains("`trunk` of the plan does not exist"),
        "{complaint}"
    );
    assert_eq!(commits(&repo), "1");
}

#[test]
fn apply_is_one_commit_and_the_same_plan_none() {
    let repo = TestRepo::new().init();
    let plan = write(&repo, PLAN);
    let dry = repo
        .orch(args(&["plan", "apply", "--dry-run", "--json"], &plan))
        .json();
    assert!(dry["commit"].is_null());
    assert_eq!(commits(&repo), "1");
    let done = repo.orch(args(&["plan", "apply", "--json"], &plan)).json();
    assert_eq!(
        done["added"],
        serde_json::json!(["schema", "queries", "page"])
    );
    assert_eq!(done["kept"], serde_json::json!([]));
    assert_eq!(done["commit"], repo.git(["rev-parse", "orchestration"]));
    assert_eq!(commits(&repo), "2");
    let again = repo.orch(args(&["plan", "apply"], &plan));
    assert_eq!(
        (again.stdout().as_str(), again.stderr().as_str()),
        ("", "nothing changes\n")
    );
    assert_eq!(again.code(), 0);
    assert_eq!(commits(&repo), "2");
    let subject = repo.git(["log", "-1", "--format=%s", "orchestration"]);
    assert_eq!(
        subject,
        "[TEAM-1] [TEAM-2] plan: billing: 3 tasks added, 0 changed, 0 removed"
    );
    repo.git(["fsck", "--strict"]);
}

#[test]
fn a_changed_plan_is_told_task_by_task() {
    let repo = TestRepo::new().init().plan(PLAN);
    repo.orch(["dispatch"]).ok();
    repo.orch(["claim", "schema", "--agent", "1.1", "--no-worktree"])
        .ok();
    // `schema` is begun: its change is kept away. `queries` changes, `page` goes, `style` comes.
    let next = PLAN
        .replace("Create the schema", "Create another schema")
        .replace("Write the queries", "Write more queries")
        .replace("id = \"page\"", "id = \"style\"")
        .replace("name = \"billing\"", "name = \"billing\"\njobs = 3");
    let next = write(&repo, &next);
    let told = repo.orch(args(&["plan", "apply", "--dry-run"], &next));
    assert!(told.stderr().ends_with("nothing was changed (--dry-run)\n"));
    let dry = told.ok();
    let expected = "     test_retries = 1
    +jobs = 3
added   style  Show it
changed queries  Write more queries
     team = 1
    -title = \"Write the queries\"
    +title = \"Write more queries\"
     scope = [\"db/queries\"]
kept    schema  is claimed; the plan says otherwise
     team = 1
    -title = \"Create the schema\"
    +title = \"Create another schema\"
     scope = [\"db\"]
removed page  Show it
";
    assert_eq!(dry, expected);
    assert_eq!(repo.orch(args(&["plan", "apply"], &next)).ok(), expected);
    let tasks = repo.orch(["task", "list", "--json"]).json();
    let titles: Vec<&str> = tasks
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        titles,
        ["Create the schema", "Write more queries", "Show it"]
    );
    assert_eq!(tasks[0]["status"], "claimed");
    let message = repo.git(["log", "-1", "--format=%b", "orchestration"]);
    assert!(
        message.contains("Kept as they are, since work on them began: schema"),
        "{message}"
    );
    let again = repo.orch(args(&["plan", "apply", "--json"], &next)).json();
    assert_eq!(again["kept"], serde_json::json!(["schema"]));
    assert!(again["commit"].is_null());
}

#[test]
fn what_is_shown_checks_clean_and_applies_as_it_is() {
    let text = std::fs::read_to_string(fixtures().join("billing.toml")).unwrap();
    let repo = TestRepo::new().init().plan(&text);
    repo.orch(["dispatch"]).ok();
    repo.orch(["claim", "auth-schema", "--agent", "1.1", "--no-worktree"])
        .ok();
    // A begun task that the plan drops stays, and is shown with what it needs.
    let (head, tasks) = text.split_once("[[tasks]]\nid = \"auth-schema\"").unwrap();
    let (_, others) = tasks.split_once("[[tasks]]").unwrap();
    let others = others.replace(
        "after = [{ task = \"auth-schema\", coupling = \"tight\" }]\n",
        "",
    );
    let others = others.replace("after = [\"auth-schema\"]\n", "");
    let others = others.replace("src/auth/", "src/queries/");
    let next = write(&repo, &format!("{head}[[tasks]]{others}"));
    repo.orch(args(&["plan", "apply"], &next)).ok();
    let shown = repo.orch(["plan", "show"]).ok();
    let shown_file = write(&repo, &shown);
    assert_eq!(
        repo.orch(args(&["plan", "check"], &shown_file)).ok(),
        "",
        "{shown}"
    );
    let before = commits(&repo);
    let applied = repo.orch(args(&["plan", "apply"], &shown_file));
    assert_eq!(applied.stderr(), "nothing changes\n");
    assert_eq!(applied.ok(), "");
    assert_eq!(commits(&repo), before);
    let json = repo.orch(["plan", "show", "--json"]).json();
    assert_eq!(json["run"]["name"], "billing");
    assert_eq!(json["tasks"][4]["id"], "auth-schema");
}

#[test]
fn show_before_the_first_plan_says_what_to_do() {
    let repo = TestRepo::new().init();
    let complaint = repo.orch(["plan", "show"]).fails(1);
    assert!(
        complaint.contains("hint: git orch plan apply plan.toml"),
        "{complaint}"
    );
}

#[test]
fn tasks_are_listed_and_shown() {
    let repo = TestRepo::new().init().plan(PLAN);
    repo.orch(["dispatch"]).ok();
    let listed = repo.orch(["task", "list"]).ok();
    let expected = "\
task     team  state    agent  try  title
schema      1  ready                Create the schema
queries     1  pending              Write the queries
page        2  ready                Show it
";
    assert_eq!(listed, expected);
    let ready = repo
        .orch(["task", "list", "--team", "1", "--state", "ready", "--json"])
        .json();
    assert_eq!(ready.as_array().unwrap().len(), 1);
    assert_eq!(ready[0]["id"], "schema");
    assert!(
        repo.orch(["task", "list", "--team", "9"])
            .fails(1)
            .contains("no team 9")
    );
    assert!(
        repo.orch(["task", "list", "--state", "dreaming"])
            .fails(2)
            .contains("dreaming")
    );
    let shown = repo.orch(["task", "show", "queries"]).ok();
    assert!(
        shown.starts_with(
            "queries  Write the queries\npending, comes after schema\n\ntask\n  id = \"queries\"\n"
        ),
        "{shown}"
    );
    let json = repo.orch(["task", "show", "queries", "--json"]).json();
    assert_eq!(json["status"], "pending");
    assert_eq!(json["waits_for"], "schema");
    assert_eq!(json["spec"]["scope"][0], "db/queries");
    assert!(json["handoff"].is_null());
    assert!(
        repo.orch(["task", "show", "nothing"])
            .fails(1)
            .contains("no task nothing")
    );
}

#[test]
fn a_task_is_added_with_the_next_number_and_checked_like_a_plan() {
    let repo = TestRepo::new().init().plan(PLAN);
    let add = |more: &[&str]| {
        let base = [
            "task", "add", "--team", "2", "--title", "More", "--run", "true",
        ];
        repo.orch(base.iter().chain(more).copied())
    };
    let added = add(&[
        "--scope",
        "more/**",
        "--success",
        "test -e more/x",
        "--deliverable",
        "more/x",
        "--json",
    ])
    .json();
    assert_eq!(added["task"], "T-0001");
    assert_eq!(added["commit"], repo.git(["rev-parse", "orchestration"]));
    let second = add(&[
        "--after",
        "T-0001",
        "--after",
        "schema",
        "--scope",
        "more/x",
        "--priority",
        "-3",
    ])
    .ok();
    assert_eq!(second, "[TEAM-2] add T-0002: More\n");
    let shown = repo.orch(["task", "show", "T-0002", "--json"]).json();
    assert_eq!(
        shown["spec"]["after"],
        serde_json::json!(["T-0001", "schema"])
    );
    assert_eq!(shown["spec"]["priority"], -3);
    let before = commits(&repo);
    let overlap = add(&["--scope", "pages/**", "--id", "new"]).fails(1);
    assert!(
        overlap.contains("task `new` may run at the same time as `page`"),
        "{overlap}"
    );
    let typo = add(&["--after", "scheme", "--scope", "x"]).fails(1);
    assert!(
        typo.contains("there is no task `scheme`") && typo.contains("write `schema`"),
        "{typo}"
    );
    assert!(
        add(&["--scope", "../x"])
            .fails(1)
            .contains("`../x` is no scope")
    );
    assert!(
        add(&["--id", "page"])
            .fails(1)
            .contains("task page exists already")
    );
    assert!(
        add(&["--id", "a b"])
            .fails(1)
            .contains("write for example `a-b`")
    );
    assert_eq!(commits(&repo), before);
    // What nobody works on any more is in nobody's way.
    repo.orch(["cancel", "page", "-m", "not wanted"]).ok();
    add(&["--scope", "pages/**"]).ok();
    repo.git(["fsck", "--strict"]);
}

#[test]
fn a_task_is_added_from_a_file() {
    let repo = TestRepo::new().init().plan(PLAN);
    let file = write(
        &repo,
        "team = 1\ntitle = \"More\"\nrun = \"true\"\nscope = [\"more\"]\nscop = 1\n",
    );
    let complaint = repo.orch(args(&["task", "add", "--file"], &file)).fails(1);
    assert!(complaint.contains("next.toml:5:1 (scop)"), "{complaint}");
    assert!(complaint.contains("help: write `scope`"), "{complaint}");
    let file = write(
        &repo,
        "team = 1\ntitle = \"More\"\nrun = \"true\"\nscope = [\"more\"]\n",
    );
    assert_eq!(
        repo.orch(args(&["task", "add", "--file"], &file)).ok(),
        "[TEAM-1] add T-0001: More\n"
    );
    assert_eq!(repo.orch(["task", "add"]).code(), 2);
}
