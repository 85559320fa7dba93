//! Attempts that bring nothing: whose fault it is, what that costs, and what a person, or the next agent, is told.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use super::common::{TestRepo, write_file};

/// A plan of some tasks, each with a scope of its own, worked on by one profile.
fn plan(agent: &str, tasks: &[&str], more: &str) -> String {
    let mut text = format!(
        "[run]\nname = \"demo\"\n[agents.default]\n{agent}\n[[teams]]\nid = 1\ncoders = 4\n"
    );
    for task in tasks {
        text += &format!(
            "[[tasks]]\nid = \"{task}\"\nteam = 1\ntitle = \"Do {task}\"\nscope = [\"{task}.txt\"]\n{more}\n"
        );
    }
    text
}

fn run(repo: &TestRepo) -> (i32, Value, String) {
    let outcome = repo.orch(["run", "--json", "--no-progress"]);
    let (code, stderr) = (outcome.code(), outcome.stderr());
    let report = serde_json::from_str(&outcome.stdout()).unwrap_or_default();
    (code, report, stderr)
}

fn task(repo: &TestRepo, id: &str) -> Value {
    repo.orch(["task", "show", id, "--json"]).json()
}

fn count(text: &str, words: &str) -> usize {
    text.matches(words).count()
}

#[test]
fn an_agent_that_cannot_be_started_stops_its_profile_and_costs_nothing() {
    // By the shell, which exits with 127 or 126, and by itself.
    let found = [
        "command = \"no-such-agent {prompt_file}\"",
        "command = \"{worktree}/README.md\"",
        "command = [\"no-such-agent\", \"{prompt_file}\"]",
    ];
    for agent in found {
        let repo = TestRepo::new()
            .init()
            .plan(&plan(agent, &["a", "b", "c"], "retries = 0"));
        let (code, report, told) = run(&repo);
        assert_eq!(code, 1, "{told}");
        assert_eq!(report["problems"].as_array().unwrap().len(), 1, "{report}");
        assert_eq!(report["problems"][0]["what"], "profile default");
        assert_eq!(count(&told, "gets no more tasks in this run"), 1, "{told}");
        assert!(told.contains("error: profile default: its agents cannot be started"));
        assert_eq!(report["gaps"], json!([]), "{told}");
        for id in ["a", "b", "c"] {
            assert_eq!(task(&repo, id)["failures"], 0, "{told}");
        }
        // Once that is mended the same command goes on.
        let agent = "command = \"echo x > {task}.txt\"";
        let repo = repo.plan(&plan(agent, &["a", "b", "c"], "retries = 0"));
        let (code, report, told) = run(&repo);
        assert_eq!(code, 0, "{told}");
        assert_eq!(report["submitted"], json!(["a", "b", "c"]));
    }
}

#[test]
fn tasks_of_other_profiles_go_on() {
    let text = plan("command = \"no-such-agent\"", &["a", "b"], "")
        + "[agents.good]\ncommand = \"echo x > {task}.txt\"\n\
           [[tasks]]\nid = \"good\"\nteam = 1\ntitle = \"Do it\"\nscope = [\"good.txt\"]\nagent = \"good\"\n";
    let repo = TestRepo::new().init().plan(&text);
    let (code, report, told) = run(&repo);
    assert_eq!(code, 1, "{told}");
    assert_eq!(report["submitted"], json!(["good"]));
    assert_eq!(report["waiting"].as_array().unwrap().len(), 2);
}

#[test]
fn a_script_that_misses_a_program_is_its_tasks_own_matter() {
    let text = plan("preset = \"shell\"", &["a"], "run = \"no-such-program\"")
        + "[[tasks]]\nid = \"b\"\nteam = 1\ntitle = \"Do b\"\nscope = [\"b.txt\"]\nrun = \"echo x > b.txt\"\n";
    let repo = TestRepo::new().init().plan(&text);
    let (code, report, told) = run(&repo);
    assert_eq!(code, 1, "{told}");
    assert_eq!(report["submitted"], json!(["b"]));
    assert_eq!(report["problems"][0]["what"], "task a");
    assert_eq!(task(&repo, "a")["class"], "setup");
    assert_eq!(task(&repo, "a")["status"], "failed");
    assert_eq!(task(&repo, "a")["failures"], 0);
    let log = repo.git(["log", "--format=%B", "orchestration"]);
    assert!(log.contains("Orch-Class: setup"), "{log}");
}

#[test]
fn a_check_whose_program_is_missing_stops_the_tasks_that_need_it() {
    let needs = "run = \"echo x > $ORCH_TASK.txt\"\nsuccess = [\"no-such-checker --all\"]";
    let ids: Vec<String> = (0..12).map(|n| format!("t{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let text = plan("preset = \"shell\"", &ids, needs)
        + "[[tasks]]\nid = \"free\"\nteam = 1\ntitle = \"Do it\"\nscope = [\"free.txt\"]\nrun = \"echo x > free.txt\"\n";
    let repo = TestRepo::new().init().plan(&text);
    let (code, report, told) = run(&repo);
    assert_eq!(code, 1, "{told}");
    assert_eq!(report["submitted"], json!(["free"]));
    assert_eq!(
        report["problems"][0]["what"],
        "the program `no-such-checker`"
    );
    // Those that were under way when it was found out, and no others.
    assert!(count(&told, "claimed t") <= 4, "{told}");
    assert_eq!(task(&repo, "t0")["failures"], 0);
    // A path may be what was to be made: that is the work's fault.
    let repo = TestRepo::new().init().plan(&plan(
        "preset = \"shell\"",
        &["a"],
        "retries = 0\nrun = \"echo x > a.txt\"\nsuccess = [\"./build.sh\"]",
    ));
    let (_, report, told) = run(&repo);
    assert_eq!(report["gaps"][0]["class"], "refused", "{told}");
}

#[test]
fn agents_that_all_fail_at_once_and_alike_pause_their_profile() {
    let ids: Vec<String> = (0..16).map(|n| format!("t{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let agent = "command = \"echo request {task} refused: 429; exit 1\"";
    let repo = TestRepo::new().init().plan(&plan(agent, &ids, ""));
    let (code, report, told) = run(&repo);
    assert_eq!(code, 1, "{told}");
    assert_eq!(report["gaps"], json!([]));
    let attempts = count(&told, "claimed t");
    assert!(attempts <= 8, "{attempts}: {told}");
    // Three are told apart from one that is hard; the others have cost nothing.
    let failures: u64 = ids
        .iter()
        .map(|id| task(&repo, id)["failures"].as_u64().unwrap())
        .sum();
    assert!(failures <= 2, "{failures}: {told}");
    assert_eq!(report["problems"][0]["what"], "profile default");
    assert!(told.contains("every agent of it fails at once, and in the same way"));
    let log = repo.git(["log", "--format=%s", "orchestration"]);
    assert!(log.contains("ESCALATION"), "{log}");
    // A person has looked, and runs it again.
    let agent = "command = \"echo x > {task}.txt\"";
    let repo = repo.plan(&plan(agent, &ids, ""));
    let (code, _, told) = run(&repo);
    assert_eq!(code, 0, "{told}");
}

#[test]
fn agents_that_fail_each_in_its_own_way_are_tried_again_each() {
    let agent = "command = \"case {task} in a) echo one way;; b) echo another;; c) echo a third;; d) ls /nowhere;; esac; exit 1\"";
    let repo = TestRepo::new()
        .init()
        .plan(&plan(agent, &["a", "b", "c", "d"], ""));
    let (_, report, told) = run(&repo);
    assert_eq!(report["gaps"].as_array().unwrap().len(), 4, "{told}");
    assert_eq!(report["problems"], json!([]), "{told}");
}

#[test]
fn worktrees_that_cannot_be_made_stop_the_run_at_the_second_and_cost_nothing() {
    let ids = ["a", "b", "c", "d", "e", "f"];
    let repo = TestRepo::new()
        .init()
        .plan(&plan("command = \"echo x > {task}.txt\"", &ids, ""));
    // A file stands where their directory would be.
    let place = repo.path().with_file_name("repo.orch");
    let _ = std::fs::remove_dir_all(&place);
    write_file(&place, "");
    let (code, _, told) = run(&repo);
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains("its worktree could not be made ready"),
        "{told}"
    );
    std::fs::remove_file(&place).unwrap();
    for id in ids {
        assert_eq!(task(&repo, id)["failures"], 0, "{told}");
    }
    let (code, _, told) = run(&repo);
    assert_eq!(code, 0, "{told}");
}

#[test]
fn an_agents_last_words_stand_in_reason_findings_and_the_next_prompt() {
    let agent = "command = \"printf 'thinking\\\\n\\\\033[31mAPI key is wrong: 401 Unauthorized\\\\033[0m\\\\n'\"";
    let repo = TestRepo::new().init().plan(&plan(agent, &["a"], ""));
    let (_, report, told) = run(&repo);
    let words = "it said last: \"API key is wrong: 401 Unauthorized\"";
    let reason = report["gaps"][0]["reason"].as_str().unwrap();
    assert!(reason.ends_with(words), "{reason}");
    assert!(told.contains(words), "{told}");
    let findings = task(&repo, "a")["findings"].to_string();
    assert!(findings.contains("API key is wrong"), "{findings}");
    let prompt = repo.path().join(".git/orch/attempts/a/2/prompt.md");
    let prompt = std::fs::read_to_string(prompt).unwrap();
    assert!(prompt.contains("API key is wrong"), "{prompt}");
}

#[test]
fn an_agent_that_asks_is_told_of_at_once_and_the_answer_arrives() {
    let script = "run = '''\nif [ $ORCH_ATTEMPT = 1 ]; then\n\
        \"$ORCH_PROGRAM\" block --message 'UTF-8 or Latin-1?' || exit 9\n\
        until [ -e ../../heard ]; do sleep 0.02; done\n\
        else grep -q 'UTF-8 please' \"$ORCH_PROMPT_FILE\" && echo x > a.txt; fi\n'''";
    let repo = TestRepo::new()
        .init()
        .plan(&plan("preset = \"shell\"", &["a"], script));
    let mut running = repo
        .orch_command(repo.path())
        .args(["run", "--no-progress"])
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(running.stderr.take().unwrap()).lines();
    let mut blocked = 0;
    for line in lines.map_while(Result::ok) {
        if line.contains("[1.1] blocked a: UTF-8 or Latin-1?") {
            assert!(line.contains("git orch release a"), "{line}");
            blocked += 1;
            // The agent goes on all the same until it is heard.
            std::fs::write(repo.outside().join("heard"), "").unwrap();
        }
    }
    assert_eq!(running.wait().unwrap().code(), Some(1));
    assert_eq!(blocked, 1);
    repo.orch(["release", "a", "-m", "UTF-8 please"]).ok();
    let (code, report, told) = run(&repo);
    assert_eq!(code, 0, "{told}");
    assert_eq!(report["submitted"], json!(["a"]));
    let prompt = repo.path().join(".git/orch/attempts/a/2/prompt.md");
    let prompt = std::fs::read_to_string(prompt).unwrap();
    let program = env!("CARGO_BIN_EXE_git-orch");
    assert!(
        prompt.contains(&format!("run `{program} block --message")),
        "{prompt}"
    );
}

#[test]
fn a_result_that_says_blocked_asks_and_costs_nothing() {
    let script = "run = '''\nprintf '{\"task_id\": \"a\", \"status\": \"blocked\", \"summary\": \"which colour?\"}' \
        > \"$ORCH_RESULT_FILE\"; echo part > a.txt\n'''";
    let repo = TestRepo::new()
        .init()
        .plan(&plan("preset = \"shell\"", &["a"], script));
    let (code, report, told) = run(&repo);
    assert_eq!(code, 1, "{told}");
    assert_eq!(report["waiting"][0]["state"], "blocked");
    assert_eq!(report["waiting"][0]["reason"], "1.1: which colour?");
    assert!(told.contains("[1.1] blocked a: which colour?"), "{told}");
    assert_eq!(task(&repo, "a")["failures"], 0);
    assert_eq!(repo.git(["show", "orch/team-1/a:a.txt"]), "part");
}
