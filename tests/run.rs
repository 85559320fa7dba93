//! `git orch run` on real repositories, with agents that behave well and badly.

use super::common::TestRepo;

/// A plan with one team; `tasks` is the rest of the file.
fn plan(coders: u32, tasks: &str) -> String {
    format!(
        "[run]\nname = \"trial\"\n\n[[teams]]\nid = 1\nname = \"Builders\"\ncoders = {coders}\n\n{tasks}"
    )
}

/// A task that runs a script.
fn task(id: &str, script: &str) -> String {
    format!(
        "[[tasks]]\nid = \"{id}\"\nteam = 1\ntitle = \"Write {id}\"\nrun = '''\n{script}\n'''\n\n"
    )
}

fn with_plan(text: &str) -> TestRepo {
    TestRepo::new().init().plan(text)
}

#[test]
fn a_plan_of_shell_tasks_is_submitted() {
    let tasks = task("a", "echo a > a.txt")
        + &task(
            "b",
            "echo b > b.txt; git add -A; git commit -qm 'own words'",
        );
    let repo = with_plan(&plan(2, &tasks));
    let report = repo.orch(["run", "--json"]).json();
    assert_eq!(report["submitted"], serde_json::json!(["a", "b"]));
    assert_eq!(report["gaps"], serde_json::json!([]));
    assert_eq!(repo.git(["show", "orch/team-1/a:a.txt"]), "a");
    assert_eq!(repo.git(["show", "orch/team-1/b:b.txt"]), "b");
    let subject = repo.git(["log", "-1", "--format=%s|%an", "orch/team-1/a"]);
    assert_eq!(subject, "[TEAM-1] [AGENT-1.1] Write a|AGENT-1.1");
    let subject = repo.git(["log", "-1", "--format=%s|%an", "orch/team-1/b"]);
    assert_eq!(subject, "[TEAM-1] [AGENT-1.2] own words|AGENT-1.2");
    assert_eq!(repo.git(["status", "--porcelain"]), "");
    let complaint = repo.orch(["run"]).fails(3);
    assert!(complaint.contains("nothing to do"), "{complaint}");
}
