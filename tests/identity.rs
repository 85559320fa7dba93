//! A person's names, addresses, keys and wish to sign everything never get into what agents commit, nor into
//! the ledger.

use std::path::Path;
use std::process::Command;

use crate::common::{Outcome, TestRepo, write_file};

/// One agent commits for itself, for another the executor does; a third task is claimed by hand.
const PLAN: &str = r#"
[run]
name = "demo"
test = "true"
[agents.default]
preset = "shell"
[agents.self]
command = "sh -e -c \"$ORCH_TASK_RUN\""
commit = "agent"
[[teams]]
id = 1
coders = 3
[[tasks]]
id = "self"
team = 1
title = "Commit for oneself"
agent = "self"
scope = ["a.txt"]
run = "echo a > a.txt; git add a.txt; git commit -qm 'add a'"
[[tasks]]
id = "executor"
team = 1
title = "Leave it to the executor"
scope = ["b.txt"]
run = "echo b > b.txt"
[[tasks]]
id = "hand"
team = 1
title = "Claimed by hand"
scope = ["c.txt"]
run = "true"
"#;

/// What a person may have set, and what of it nobody may find in agents' work.
fn settings(key: &Path) -> Vec<(&'static str, String)> {
    let text = |text: &str| text.to_owned();
    vec![
        ("user.name", text("Ann User")),
        ("user.email", text("ann@user.example")),
        ("author.name", text("Ann Author")),
        ("author.email", text("ann@author.example")),
        ("committer.name", text("Ann Committer")),
        ("committer.email", text("ann@committer.example")),
        ("commit.gpgSign", text("true")),
        ("tag.gpgSign", text("true")),
        ("gpg.format", text("ssh")),
        ("user.signingKey", key.display().to_string()),
    ]
}

fn key(repo: &TestRepo) -> std::path::PathBuf {
    let path = repo.outside().join("ann-key");
    let mut keygen = repo.command("ssh-keygen", repo.path());
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]);
    Outcome(keygen.arg(&path).output().unwrap()).ok();
    path
}

/// A command in whose environment nobody is named, so that settings decide.
fn nameless(repo: &TestRepo, program: &str, dir: &Path) -> Command {
    let mut command = repo.command(program, dir);
    for role in ["AUTHOR", "COMMITTER"] {
        command.env_remove(format!("GIT_{role}_NAME"));
        command.env_remove(format!("GIT_{role}_EMAIL"));
    }
    command
}

/// Every commit that is new: whose it is, and that no signature but `signed` ones is on it.
#[track_caller]
fn is_clean(repo: &TestRepo, signed: bool) {
    let branches = [
        "orchestration",
        "orch/integration",
        "orch/team-1/self",
        "orch/team-1/executor",
        "orch/team-1/hand",
    ];
    for branch in branches {
        let range = format!("main..{branch}");
        let range = if branch == "orchestration" {
            branch
        } else {
            &range
        };
        let people = repo.git(["log", "--format=%an <%ae> %cn <%ce>", range]);
        assert!(!people.is_empty(), "{branch}");
        for wrong in ["Ann Author", "ann@author", "Ann Committer", "ann@committer"] {
            assert!(!people.contains(wrong), "{branch}: {people}");
        }
        for commit in repo.git(["rev-list", range]).lines() {
            let raw = repo.git(["cat-file", "commit", commit]);
            assert!(signed || !raw.contains("gpgsig"), "{branch}: {raw}");
        }
        if branch.starts_with("orch/team-1/") {
            assert!(!people.contains("Ann"), "{branch}: {people}");
            let only = repo.git(["log", "-1", "--format=%an %cn", branch]);
            assert!(
                only.starts_with("AGENT-1.") && only.contains(" AGENT-1."),
                "{only}"
            );
        }
    }
}

/// The whole of a run, with a person's settings wherever `set` puts them.
fn works(
    set: impl Fn(&TestRepo, &[(&'static str, String)]) -> Vec<(String, String)>,
    init: &[&str],
) {
    let repo = TestRepo::new();
    let settings = settings(&key(&repo));
    let given = set(&repo, &settings);
    let run = |program: &str, dir: &Path, args: &[&str]| {
        let mut command = nameless(&repo, program, dir);
        command
            .args(args)
            .envs(given.iter().map(|(name, value)| (name, value)));
        Outcome(command.output().unwrap()).ok()
    };
    let orch = env!("CARGO_BIN_EXE_git-orch");
    run(orch, repo.path(), &[&["init"], init].concat());
    let plan = repo.outside().join("plan.toml");
    write_file(&plan, PLAN);
    run(
        orch,
        repo.path(),
        &["plan", "apply", plan.to_str().unwrap()],
    );
    run(orch, repo.path(), &["dispatch"]);
    run(orch, repo.path(), &["claim", "hand", "--agent", "1.3"]);
    let dir = repo.worktree("1.3");
    write_file(&dir.join("c.txt"), "c\n");
    // As somebody in a shell of their own does it, with files' settings only.
    let mut commit = nameless(&repo, "sh", &dir);
    if let Some((_, home)) = given.iter().find(|(name, _)| name == "GIT_CONFIG_GLOBAL") {
        commit.env("GIT_CONFIG_GLOBAL", home);
    }
    commit.args(["-ec", "git add c.txt; git commit -qm 'add c'"]);
    Outcome(commit.output().unwrap()).ok();
    run(orch, &dir, &["submit"]);
    run(orch, repo.path(), &["run", "--assemble", "--no-progress"]);
    let status = run(orch, repo.path(), &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    for task in status["tasks"].as_array().unwrap() {
        assert_eq!(task["status"], "merged", "{task}");
    }
    is_clean(&repo, !init.is_empty());
}

/// Settings in the file that a person has for everything.
fn in_their_own_file(
    repo: &TestRepo,
    settings: &[(&'static str, String)],
) -> Vec<(String, String)> {
    let path = repo.outside().join("ann.gitconfig");
    let path = path.to_str().unwrap();
    for (key, value) in settings {
        repo.git(["config", "--file", path, key, value]);
    }
    vec![(String::from("GIT_CONFIG_GLOBAL"), path.to_owned())]
}

#[test]
fn set_for_everything() {
    works(in_their_own_file, &[]);
}

#[test]
fn set_for_everything_where_agents_sign_with_keys_of_their_own() {
    works(in_their_own_file, &["--signing", "ssh"]);
}

#[test]
fn set_in_the_repository() {
    works(
        |repo, settings| {
            for (key, value) in settings {
                repo.git(["config", key, value]);
            }
            Vec::new()
        },
        &[],
    );
}

#[test]
fn set_by_the_environment() {
    works(
        |_, settings| {
            let mut given = vec![(String::from("GIT_CONFIG_COUNT"), settings.len().to_string())];
            for (number, (key, value)) in settings.iter().enumerate() {
                given.push((format!("GIT_CONFIG_KEY_{number}"), (*key).to_owned()));
                given.push((format!("GIT_CONFIG_VALUE_{number}"), value.clone()));
            }
            given
        },
        &[],
    );
}

#[test]
fn set_on_the_command_line_of_git() {
    works(
        |_, settings| {
            let all: Vec<String> = settings
                .iter()
                .map(|(key, value)| format!("'{key}={value}'"))
                .collect();
            vec![(String::from("GIT_CONFIG_PARAMETERS"), all.join(" "))]
        },
        &[],
    );
}

#[test]
fn an_agent_that_asks_for_a_signature_does_not_get_the_persons() {
    let repo = TestRepo::new();
    for (key, value) in settings(&key(&repo)) {
        repo.git(["config", key, &value]);
    }
    repo.orch(["init"]).ok();
    let repo = repo.plan(PLAN);
    repo.orch(["dispatch"]).ok();
    repo.orch(["claim", "hand", "--agent", "1.3"]).ok();
    let commit = ["commit", "-q", "-S", "--allow-empty", "-m", "signed"];
    let said = repo.try_git_in(&repo.worktree("1.3"), commit).fails(128);
    assert!(said.contains("signingKey"), "{said}");
}
