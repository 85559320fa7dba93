//! Who may do what: whose command it is, what the table lets through, and what on the ledger claims more than that.

use std::path::Path;

use serde_json::json;

use crate::common::site::Site;
use crate::common::{Outcome, TestRepo, write_file};

/// A plan of two teams; task `a` is claimed by 1.1, whose worktree is there, and `b` is ready.
fn site() -> Site {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 1, &[]), ("c", 2, &[])]);
    site.repo.orch(["dispatch"]).ok();
    site.repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    site
}

/// Runs a command with `ORCH_AGENT` set.
fn run_as(repo: &TestRepo, dir: &Path, agent: &str, args: &[&str]) -> Outcome {
    let mut command = repo.orch_command(dir);
    Outcome(
        command
            .env("ORCH_AGENT", agent)
            .args(args)
            .output()
            .unwrap(),
    )
}

#[test]
fn the_table_is_shown_with_whose_command_it_is() {
    let site = site();
    let text = site.repo.orch(["powers"]).ok();
    assert!(text.starts_with("power "), "{text}");
    let row = text.lines().find(|line| line.starts_with("approve"));
    let words: Vec<&str> = row.unwrap().split_whitespace().collect();
    assert_eq!(words, ["approve", "-", "-", "-", "-", "-", "any"]);
    let answer = site.repo.orch(["powers", "--json"]).json();
    assert_eq!(
        (&answer["you"], &answer["role"]),
        (&json!("human"), &json!("human"))
    );
    let coder = site.repo.worktree("1.1");
    let answer = site.repo.orch_in(&coder, ["powers", "--json"]).json();
    assert_eq!(
        (&answer["you"], &answer["role"]),
        (&json!("1.1"), &json!("coder"))
    );
    // Every command that it names is one.
    for power in answer["powers"].as_array().unwrap() {
        for command in power["commands"].as_array().unwrap() {
            let words = command.as_str().unwrap().split(' ').chain(["--help"]);
            site.repo.orch(words).ok();
        }
    }
}

#[test]
fn a_command_of_an_agents_is_the_agents_whatever_it_says() {
    let site = site();
    let (repo, main) = (&site.repo, site.repo.path());
    let coder = repo.worktree("1.1");
    let denied = |outcome: Outcome| {
        let complaint = outcome.fails(1);
        assert!(
            complaint.contains("agent 1.1 may not approve"),
            "{complaint}"
        );
        assert!(complaint.contains("only a person may"), "{complaint}");
    };
    denied(repo.orch_in(&coder, ["approve"]));
    // From its worktree into the main one, and from outside with its name in the environment.
    denied(repo.orch_in(&coder, ["-C", main.to_str().unwrap(), "approve"]));
    denied(run_as(repo, main, "1.1", &["approve"]));
    denied(run_as(
        repo,
        &repo.outside(),
        "1.1",
        &["-C", "repo", "approve"],
    ));
    denied(repo.orch(["--as", "1.1", "approve"]));
    for dir in [&coder, main] {
        let complaint = run_as(repo, dir, "1.1", &["--as", "human", "approve"]).fails(1);
        assert!(
            complaint.contains("`--as`: only a person may"),
            "{complaint}"
        );
    }
    let complaint = repo.orch_in(&coder, ["--as", "1.0", "approve"]).fails(1);
    assert!(
        complaint.contains("agent 1.1 may not speak for others"),
        "{complaint}"
    );
}

#[test]
fn an_agent_cannot_be_two_nor_one_without_a_name() {
    let site = site();
    let coder = site.repo.worktree("1.1");
    let complaint = run_as(&site.repo, &coder, "1.0", &["cancel", "a", "-m", "x"]).fails(1);
    assert!(
        complaint.contains("agent 1.1's command, and ORCH_AGENT that it is agent 1.0's"),
        "{complaint}"
    );
    let complaint = run_as(&site.repo, site.repo.path(), "nobody", &["approve"]).fails(1);
    assert!(
        complaint.contains("`nobody`, which is no agent"),
        "{complaint}"
    );
    assert_eq!(site.state("a"), "claimed");
    // An empty name is none.
    run_as(
        &site.repo,
        site.repo.path(),
        "",
        &["cancel", "a", "-m", "x"],
    )
    .ok();
}

#[test]
fn a_person_may_speak_for_an_agent_and_is_bound_by_its_powers() {
    let site = site();
    let start = ["start", "a", "--attempt", "1", "--as", "1.1"];
    site.repo.orch(start).ok();
    assert_eq!(site.state("a"), "in_progress");
    let told = site.repo.git(["log", "-1", "--format=%B", "orchestration"]);
    assert!(told.contains("Orch-Actor: 1.1"), "{told}");
    let complaint = site
        .repo
        .orch(["--as", "2.0", "cancel", "b", "-m", "x"])
        .fails(1);
    assert!(
        complaint.contains("agent 2.0 may not cancel task b: only its leader 1.0 or a person may"),
        "{complaint}"
    );
    site.repo
        .orch(["--as", "1.0", "cancel", "b", "-m", "x"])
        .ok();
    let plan = site.repo.outside().join("other.toml");
    let text = "[run]\nname = \"other\"\n[[teams]]\nid = 1\nname = \"T\"\n";
    write_file(&plan, text);
    let apply = ["--as", "1.0", "plan", "apply", plan.to_str().unwrap()];
    let complaint = site.repo.orch(apply).fails(1);
    assert!(
        complaint.contains("agent 1.0 may not change the plan: only a person may"),
        "{complaint}"
    );
    site.repo.orch(["--as", "nobody", "status"]).fails(2);
}

#[test]
fn what_costs_much_is_refused_before_it_begins() {
    let site = site();
    let coder = site.repo.worktree("1.1");
    for args in [
        &["run"][..],
        &["work"],
        &["sync"],
        &["assemble"],
        &["assemble", "--onto", "main", "--no-test", "x"],
        &["assemble", "--forget"],
        &["undo"],
        &["undo", "--onto", "main"],
        &["init", "--undo"],
        &["doctor", "--fix"],
        &["remote", "set", "local"],
        &["submit", "b", "--agent", "1.2", "--attempt", "1"],
        &["renew", "b", "--agent", "1.2", "--attempt", "1"],
    ] {
        let complaint = site.repo.orch_in(&coder, args).fails(1);
        assert!(
            complaint.contains("agent 1.1 may not "),
            "{args:?}: {complaint}"
        );
    }
}

/// Writes a commit on the ledger with plain Git: files by path, on behalf of whoever's address is given.
fn forge(repo: &TestRepo, address: &str, message: &str, files: &[(&str, &str)]) -> String {
    let dir = repo.outside().join("forger");
    let dir_text = dir.to_str().unwrap();
    repo.git([
        "worktree",
        "add",
        "-q",
        "--detach",
        dir_text,
        "orchestration",
    ]);
    for (path, text) in files {
        write_file(&dir.join(".orchestration").join(path), text);
    }
    repo.git_in(&dir, ["add", "-A", "--force"]);
    let mut commit = repo.command("git", &dir);
    commit.env("GIT_COMMITTER_EMAIL", address);
    let done = commit
        .args(["commit", "-q", "--allow-empty", "-m", message])
        .status();
    assert!(done.unwrap().success());
    let id = repo.git_in(&dir, ["rev-parse", "HEAD"]);
    repo.git(["worktree", "remove", "--force", dir_text]);
    repo.git(["update-ref", "refs/heads/orchestration", &id]);
    id
}

fn told(subject: &str, event: &str, task: &str, actor: &str) -> String {
    format!(
        "[TEAM-1] {subject}\n\nOrch-Event: {event}\nOrch-Run: demo\nOrch-Task: {task}\n\
         Orch-Agent: 1.1\nOrch-Attempt: 1\nOrch-Actor: {actor}\nOrch-Machine: m\nOrch-Id: {subject}"
    )
}

/// What an agent writes by itself: the message, the files, and what speaks against it.
type Forged = (String, Vec<(&'static str, String)>, &'static str);

/// `orch` is the text of `orch.toml`, changed a little.
fn forgeries(orch: &str) -> Vec<Forged> {
    let merged = "state = \"merged\"\nagent = \"1.1\"\nattempt = 1\n";
    let record = "open = []\n[summary]\ndone = []\nnext = []\nblockers = []\n";
    let status = "teams/1/status/a.toml";
    let cases = [
        (
            told("approve: x", "approve", "a", "1.1"),
            vec![],
            "agent 1.1 may not approve: only a person may",
        ),
        (
            told("start a", "start", "a", "1.1"),
            vec![(status, merged)],
            "it says `start` and changes .orchestration/teams/1/status/a.toml",
        ),
        (
            told("start a", "start", "a", "1.1"),
            vec![("orch.toml", orch)],
            "it says `start` and changes .orchestration/orch.toml",
        ),
        (
            told("start a", "start", "a", "1.1"),
            vec![("syncs/wrapup-1.toml", record)],
            "it says `start` and changes .orchestration/syncs/wrapup-1.toml",
        ),
        (
            told("start a", "start", "a", "1.1"),
            vec![("archive/first/teams/1/status/a.toml", merged)],
            "it says `start` and changes .orchestration/archive/first/teams/1/status/a.toml",
        ),
        (
            told("wrapup: all is well", "wrapup", "a", "1.1"),
            vec![("syncs/wrapup-1.toml", record)],
            "agent 1.1 may not wrap the run up",
        ),
        (
            told("merge a", "merge", "a", "2.0"),
            vec![(status, merged)],
            "agent 2.0 may not integrate work: only its leader 1.0",
        ),
        (
            told("sing", "sing", "a", "1.1"),
            vec![],
            "`sing` is no event",
        ),
        (
            String::from("by hand"),
            vec![(status, merged)],
            "agent 1.1 edited the ledger by hand",
        ),
    ];
    let owned = |files: Vec<(&'static str, &str)>| {
        let own = |(path, text): (&'static str, &str)| (path, text.to_owned());
        files.into_iter().map(own).collect()
    };
    cases
        .into_iter()
        .map(|(message, files, why)| (message, owned(files), why))
        .collect()
}

#[test]
fn what_an_agent_wrote_on_the_ledger_by_itself_is_found() {
    let site = site();
    let repo = &site.repo;
    repo.orch(["doctor"]).ok();
    let orch = repo.git(["show", "orchestration:.orchestration/orch.toml"]);
    let before = repo.git(["rev-parse", "orchestration"]);
    for (message, files, why) in forgeries(&format!("{orch}\n# touched\n")) {
        repo.git(["update-ref", "refs/heads/orchestration", &before]);
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        let commit = forge(repo, "agent-1.1@m.invalid", &message, &files);
        let found = Outcome(repo.orch(["doctor", "--json"]).0);
        assert_eq!(found.code(), 1, "{message}");
        let found: serde_json::Value = serde_json::from_str(&found.stdout()).unwrap();
        let finding = found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|finding| finding["id"] == "ledger-power")
            .unwrap_or_else(|| panic!("{message}: {found}"));
        assert_eq!(finding["where"], commit.as_str());
        assert!(finding["what"].as_str().unwrap().contains(why), "{finding}");
    }
}

#[test]
fn a_doubtful_commit_is_told_at_the_assembly_and_stands_once_a_person_has_looked() {
    let site = Site::new("true", &[("a", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    let repo = &site.repo;
    let message = told("approve: x", "approve", "a", "1.1");
    let commit = forge(repo, "agent-1.1@m.invalid", &message, &[]);
    let complaint = repo.orch(["assemble"]);
    let story = complaint.stderr();
    assert!(
        story.contains("is doubtful: agent 1.1 may not approve"),
        "{story}"
    );
    complaint.ok();
    repo.orch(["doctor"]).fails(1);
    let coder = run_as(repo, repo.path(), "1.1", &["doctor", "--accept", &commit]).fails(1);
    assert!(coder.contains("may not mend"), "{coder}");
    repo.orch(["doctor", "--accept", &commit]).ok();
    repo.orch(["doctor"]).ok();
    repo.orch(["doctor", "--accept", &commit]).fails(3);
}

/// A whole run with everything that agents say in it holds nothing that the reading doubts.
#[test]
fn what_went_through_the_program_is_not_doubted() {
    let site = site();
    let repo = &site.repo;
    let coder = repo.worktree("1.1");
    repo.orch_in(&coder, ["start"]).ok();
    repo.orch_in(&coder, ["block", "-m", "which colour?"]).ok();
    repo.orch_in(&coder, ["escalate", "a", "-m", "help"]).ok();
    repo.orch_in(&coder, ["unblock"]).ok();
    write_file(&coder.join("a"), "a\n");
    repo.git_in(&coder, ["add", "-A"]);
    repo.git_in(&coder, ["commit", "-q", "-m", "a"]);
    repo.orch_in(&coder, ["submit"]).ok();
    repo.orch_in(&coder, ["claim"]).ok();
    repo.orch_in(&coder, ["fail", "-m", "no"]).ok();
    repo.orch_in(&coder, ["dispatch"]).ok();
    repo.orch(["--as", "1.0", "pause", "1.2", "-m", "rest"])
        .ok();
    repo.orch(["--as", "1.0", "resume", "1.2"]).ok();
    let add = [
        "--as",
        "1.0",
        "task",
        "add",
        "--title",
        "Do more of it",
        "--team",
        "1",
    ];
    repo.orch(add.into_iter().chain(["--run", "true"])).ok();
    repo.orch(["--as", "1.0", "cancel", "b", "-m", "no"]).ok();
    repo.orch(["assemble"]).ok();
    let by_agents = repo.git([
        "log",
        "--format=%s",
        "--grep=Orch-Actor: 1",
        "orchestration",
    ]);
    assert!(by_agents.lines().count() > 10, "{by_agents}");
    repo.orch(["doctor"]).ok();
}
