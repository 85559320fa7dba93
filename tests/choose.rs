//! Why this task and not another, as `claim --explain` tells it.

use super::common::TestRepo;

const PLAN: &str = r#"
[run]
name = "billing"
limits = { opus = 1 }

[[phases]]
name = "foundation"
teams = [1, 3]
[[phases]]
name = "services"
teams = [2]
after = ["foundation"]

[[teams]]
id = 1
coders = 3
skills = ["git"]
[[teams.agents]]
number = 2
role = "tester"
skills = ["sql"]
[[teams]]
id = 2
coders = 1
[[teams]]
id = 3
coders = 1

[[tasks]]
id = "plain"
team = 1
title = "Do anything"
scope = ["plain"]
run = "true"

[[tasks]]
id = "queries"
team = 1
title = "Write the queries"
scope = ["queries"]
skills = ["sql", "git"]
priority = 3
run = "true"

[[tasks]]
id = "probe"
team = 1
title = "Try it out"
scope = ["probe"]
role = "tester"
run = "true"

[[tasks]]
id = "heavy"
team = 1
title = "Think hard"
scope = ["heavy"]
model = "opus"
run = "true"

[[tasks]]
id = "after"
team = 1
title = "Go on"
scope = ["after"]
after = ["plain"]
run = "true"

[[tasks]]
id = "server"
team = 2
title = "Serve it"
scope = ["server"]
run = "true"

[[tasks]]
id = "deep"
team = 3
title = "Think harder"
scope = ["deep"]
model = "opus"
run = "true"
"#;

fn planned() -> TestRepo {
    let repo = TestRepo::new().init().plan(PLAN);
    repo.orch(["dispatch"]).ok();
    // The wave of its model is full from now on.
    repo.orch(["claim", "deep", "--agent", "3.1", "--no-worktree"])
        .ok();
    repo
}

/// What the others are told, as `task (state): why`.
fn others(answer: &serde_json::Value) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let others = answer["others"].as_array().unwrap().iter();
    others
        .map(|other| {
            let [task, state, why] = ["task", "state", "why"].map(|key| text(&other[key]));
            format!("{task} ({state}): {why}")
        })
        .collect()
}

#[test]
fn an_explanation_names_the_choice_and_what_keeps_every_other_and_claims_nothing() {
    let repo = planned();
    let tip = repo.git(["rev-parse", "orchestration"]);
    let answer = repo
        .orch(["claim", "--explain", "--agent", "1.1", "--json"])
        .json();
    assert_eq!(answer["chosen"]["task"], "plain");
    assert_eq!(answer["chosen"]["agent"], "1.1");
    assert_eq!(
        answer["chosen"]["reasons"],
        serde_json::json!([
            "priority 0",
            "team 1 has 0 of 3 coders at work",
            "1 task waits for it (weight 2)",
            "number 1 of the plan",
        ])
    );
    assert_eq!(
        others(&answer),
        [
            "queries (ready): 1.2, which is free, suits it better than 1.1",
            "probe (ready): task probe waits for a coder of role tester: 1.2 (1.2 is free)",
            "heavy (ready): the wave of opus is full: 1 of its tasks are being worked on",
            "after (pending): it comes after plain, which is ready",
        ]
    );
    assert_eq!(answer["more"], 0);
    assert_eq!(repo.git(["rev-parse", "orchestration"]), tip);
    assert!(!repo.worktree("1.1").exists());
    // What was told is what is claimed.
    for (agent, task) in [("1.1", "plain"), ("1.2", "queries")] {
        let told = repo
            .orch(["claim", "--explain", "--agent", agent, "--json"])
            .json();
        assert_eq!(told["chosen"]["task"], task);
        let claim = ["claim", "--agent", agent, "--no-worktree", "--json"];
        assert_eq!(repo.orch(claim).json()["task"], task);
    }
}

#[test]
fn an_explanation_for_people_is_bounded_and_says_how_many_more_there_are() {
    let repo = planned();
    let told = repo.orch(["claim", "--explain", "--agent", "1.2", "--number", "1"]);
    let told = told.ok();
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "agent 1.2 would get queries: Write the queries",
            "  priority 3",
            "  team 1 has 0 of 3 coders at work",
            "  1.2 has all of sql, git",
            "  number 2 of the plan",
            "not plain (ready): priority 0, and queries has 3",
            "and 3 more",
        ]
    );
}

#[test]
fn where_nothing_would_be_chosen_the_exit_is_3_and_each_task_has_its_reason() {
    let repo = planned();
    let none = repo.orch(["claim", "--explain", "--agent", "2.1", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&none.stdout()).unwrap();
    assert_eq!(
        (none.code(), &answer["chosen"]),
        (3, &serde_json::Value::Null)
    );
    assert_eq!(
        others(&answer),
        ["server (pending): its phase services is not open"]
    );
    repo.orch(["pause", "1.1", "--message", "hot"]).ok();
    let paused = repo.orch(["claim", "--explain", "--agent", "1.1"]);
    assert_eq!(paused.code(), 3);
    assert!(paused.stderr().contains("agent 1.1 is paused: hot"));
    assert!(
        paused
            .stdout()
            .contains("not plain (ready): agent 1.1 is paused: hot")
    );
    // One task, named.
    let named = repo.orch(["claim", "server", "--explain", "--agent", "2.1"]);
    assert_eq!(named.code(), 3);
    assert_eq!(
        named.stdout(),
        "not server (pending): its phase services is not open\n"
    );
    let named = repo.orch(["claim", "probe", "--explain", "--agent", "1.3"]);
    assert!(
        named
            .ok()
            .starts_with("agent 1.3 would get probe: Try it out\n  it is named\n")
    );
    let unknown = repo.orch(["claim", "nosuch", "--explain", "--agent", "1.3"]);
    assert_eq!(unknown.code(), 1);
}

#[test]
fn status_of_an_agent_tells_role_skills_and_pause() {
    let repo = planned();
    repo.orch(["pause", "1.2", "--message", "too hot"]).ok();
    let told = repo.orch(["status", "1.2"]).ok();
    for fact in [
        "paused      too hot",
        "role        tester",
        "skills      git, sql",
    ] {
        assert!(told.lines().any(|line| line == fact), "{fact} in\n{told}");
    }
    let told = repo.orch(["status", "1.2", "--json"]).json();
    assert_eq!(told["role"], "tester");
    assert_eq!(told["skills"], serde_json::json!(["git", "sql"]));
    assert_eq!(told["paused"], "too hot");
}
