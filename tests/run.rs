//! `git orch run` on real repositories, with agents that behave well and badly.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

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

/// Runs `git orch run` with `--json` and returns exit code, report and stderr.
fn run(repo: &TestRepo, more: &[&str]) -> (i32, Value, String) {
    let mut args = vec!["run", "--json"];
    args.extend(more);
    let outcome = repo.orch(args);
    let report = serde_json::from_str(&outcome.stdout()).unwrap_or(Value::Null);
    (outcome.code(), report, outcome.stderr())
}

fn state(repo: &TestRepo, task: &str) -> String {
    let text = repo.git([
        "show".to_owned(),
        format!("orchestration:.orchestration/teams/1/status/{task}.toml"),
    ]);
    let line = text
        .lines()
        .find(|line| line.starts_with("state = "))
        .unwrap();
    line.trim_start_matches("state = ")
        .trim_matches('"')
        .to_owned()
}

/// Returns the subjects of the ledger, oldest first.
fn story(repo: &TestRepo) -> Vec<String> {
    let text = repo.git(["log", "--reverse", "--format=%s", "orchestration"]);
    text.lines().map(str::to_owned).collect()
}

/// Returns whether a process runs; a zombie does not.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .trim()
        .chars()
        .next();
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

fn assert_gone(file: &Path) {
    let pids = std::fs::read_to_string(file).unwrap();
    assert!(!pids.trim().is_empty());
    for pid in pids.lines() {
        assert!(!is_running(pid), "process {pid} runs");
    }
}

/// A `git orch run` in the background, killed when the test fails.
struct Background(Child);

impl Background {
    fn start(repo: &TestRepo, args: &[&str]) -> Self {
        let mut command = repo.orch_command(repo.path());
        command.arg("run").args(args);
        let child = command
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn signal(&self, name: &str) {
        self.send(name, self.0.id().to_string());
    }

    /// Signals it and what it runs in its own process group, as a terminal does.
    fn signal_group(&self, name: &str) {
        self.send(name, format!("-{}", self.0.id()));
    }

    fn send(&self, name: &str, to: String) {
        let status = std::process::Command::new("kill")
            .args(["-s", name, "--", &to])
            .status();
        assert!(status.unwrap().success());
    }

    fn ended(&mut self) -> i32 {
        let status = self.0.wait().unwrap();
        status.code().unwrap_or_else(|| -status.signal().unwrap())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a file has something in it.
fn wait_for(file: &Path) {
    let begun = std::time::Instant::now();
    while std::fs::metadata(file).map_or(0, |meta| meta.len()) == 0 {
        assert!(
            begun.elapsed().as_secs() < 60,
            "{} never came",
            file.display()
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_second_try_is_told_what_went_wrong_with_the_first() {
    let script = "if [ $ORCH_ATTEMPT = 1 ]; then echo half > a.txt; echo oh no; exit 3; fi\n\
        test \"$(cat a.txt)\" = half\n\
        grep -q 'exited with 3' \"$ORCH_FINDINGS_FILE\"\n\
        grep -q 'oh no' \"$ORCH_PROMPT_FILE\"\n\
        echo whole > a.txt";
    let repo = with_plan(&plan(1, &task("a", script)));
    let (code, report, stderr) = run(&repo, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(report["submitted"], json!(["a"]));
    assert!(
        stderr.contains("[1.1] failed a: the agent exited with 3; it said last: \"oh no\"; log: "),
        "{stderr}"
    );
    let log = stderr
        .lines()
        .find_map(|line| line.split("log: ").nth(1))
        .unwrap();
    assert_eq!(std::fs::read_to_string(log).unwrap(), "oh no\n");
    let subjects = repo.git(["log", "--format=%s", "-2", "orch/team-1/a"]);
    assert_eq!(
        subjects,
        "[TEAM-1] [AGENT-1.1] Write a\n[TEAM-1] [AGENT-1.1] unfinished: Write a"
    );
}

#[test]
fn a_task_that_fails_twice_is_a_gap_and_holds_up_only_what_needs_it() {
    let tasks = task("bad", "echo broken; exit 1")
        + &task("good", "echo x > good.txt")
        + &task("next", "echo y > next.txt").replace("title", "after = [\"bad\"]\ntitle");
    let repo = with_plan(&plan(2, &tasks));
    let (code, report, stderr) = run(&repo, &[]);
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(report["submitted"], json!(["good"]));
    assert_eq!(report["gaps"][0]["task"], "bad");
    assert_eq!(
        report["gaps"][0]["reason"],
        "the agent exited with 1; it said last: \"broken\""
    );
    assert_eq!(report["gaps"][0]["class"], "agent_error");
    let log = report["gaps"][0]["log"].as_str().unwrap();
    assert!(log.ends_with("/attempts/bad/2/agent.log"), "{log}");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "broken\n");
    assert_eq!(report["waiting"][0]["task"], "next");
    assert_eq!(
        report["waiting"][0]["reason"],
        "it comes after bad, which is gap"
    );
    assert!(
        stderr.contains("1 task given up, 1 task left over"),
        "{stderr}"
    );
}

#[test]
fn agents_that_hang_crash_or_ignore_signals_are_failures_with_a_reason() {
    let tasks = task("wall", "while :; do echo busy; sleep 0.05; done")
        .replace("title", "timeout = \"1s\"\nretries = 0\ntitle")
        + &task("idle", "sleep 1000").replace("title", "idle_timeout = \"1s\"\nretries = 0\ntitle")
        + &task("deaf", "trap '' TERM; while :; do sleep 0.1; done")
            .replace("title", "timeout = \"1s\"\nretries = 0\ntitle")
        + &task("crash", "echo left > left.txt; kill -SEGV $$")
            .replace("title", "retries = 0\ntitle");
    let repo = with_plan(&plan(4, &tasks));
    let (code, report, stderr) = run(&repo, &[]);
    assert_eq!(code, 1, "{stderr}");
    let reasons: Vec<(&str, &str)> = report["gaps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gap| {
            (
                gap["task"].as_str().unwrap(),
                gap["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert!(
        reasons[0].1.starts_with("the agent timed out after"),
        "{reasons:?}"
    );
    assert!(
        reasons[1].1.starts_with("the agent fell silent"),
        "{reasons:?}"
    );
    assert!(
        reasons[2].1.starts_with("the agent timed out after"),
        "{reasons:?}"
    );
    assert_eq!(reasons[3].1, "the agent was ended by signal 11");
    assert_eq!(repo.git(["show", "orch/team-1/crash:left.txt"]), "left");
}

#[test]
fn what_an_agent_leaves_running_is_ended() {
    let script = "setsid sleep 1000 & echo $! > ../../pids\n\
        (sh -c 'echo $$ >> ../../pids; exec sleep 1001' &)\n\
        while [ $(wc -l < ../../pids) -lt 2 ]; do sleep 0.02; done\necho x > x.txt";
    let repo = with_plan(&plan(1, &task("a", script)));
    let (code, _, stderr) = run(&repo, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("[1.1] processes left behind and ended: 2"),
        "{stderr}"
    );
    assert_gone(&repo.outside().join("pids"));
}

#[test]
fn an_agent_that_must_commit_and_does_not_fails() {
    let text = "[agents.default]\npreset = \"shell\"\ncommit = \"agent\"\n\n".to_owned()
        + &task(
            "a",
            "echo x > x.txt; git add x.txt; git commit -qm x; echo dirt > dirt.txt",
        )
        .replace("title", "retries = 0\ntitle");
    let repo = with_plan(&plan(1, &text));
    let (code, report, stderr) = run(&repo, &[]);
    assert_eq!(code, 1, "{stderr}");
    let reason = report["gaps"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("not committed"), "{reason}");
    let kept = repo.git(["for-each-ref", "--format=%(refname)", "refs/orch/recovery"]);
    assert_eq!(repo.git(["show", &format!("{kept}:dirt.txt")]), "dirt");
}

#[test]
fn pain_10_nothing_done_is_no_success() {
    let repo = with_plan(&plan(
        1,
        &task("a", "true").replace("title", "retries = 0\ntitle"),
    ));
    let (code, report, _) = run(&repo, &[]);
    assert_eq!(code, 1);
    let reason = report["gaps"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("no commits beyond its base"), "{reason}");
}

#[test]
fn signs_of_being_done_are_the_profiles() {
    let agents = "[agents.says]\npreset = \"shell\"\ndone = \"sentinel\"\n\n\
        [agents.writes]\npreset = \"shell\"\ndone = \"result\"\n\n";
    let with = |agent: &str, id: &str, script: &str| {
        task(id, script).replace("title", &format!("agent = \"{agent}\"\nretries = 0\ntitle"))
    };
    let result = "printf '{\"task_id\": \"%s\", \"status\": \"%s\", \"summary\": \"%s\", \"next_steps\": [\"rest\"]}'";
    let text = agents.to_owned()
        + &with(
            "says",
            "said",
            "echo x > said.txt; echo '<!-- DONE -->'; exit 9",
        )
        + &with("says", "unsaid", "echo x > unsaid.txt; echo done")
        + &with(
            "writes",
            "written",
            &format!(
                "echo x > w.txt; {result} written completed 'It is.' > \"$ORCH_RESULT_FILE\"; exit 5"
            ),
        )
        + &with("writes", "unwritten", "echo x > u.txt")
        + &with(
            "writes",
            "sad",
            &format!("echo x > s.txt; {result} sad failed 'No key.' > \"$ORCH_RESULT_FILE\""),
        );
    let repo = with_plan(&plan(4, &text));
    let (code, report, stderr) = run(&repo, &[]);
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(report["submitted"], json!(["said", "written"]));
    let reasons: Vec<&str> = report["gaps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gap| gap["reason"].as_str().unwrap())
        .collect();
    assert!(
        reasons[0].starts_with("its last line is not <!-- DONE -->"),
        "{reasons:?}"
    );
    assert!(
        reasons[1].starts_with("it left no result file"),
        "{reasons:?}"
    );
    assert_eq!(reasons[2], "the agent says failed: No key.");
    let handoff = repo.git([
        "grep",
        "-h",
        "summary\\|next_steps\\|rest",
        "orchestration",
        "--",
        "*written*",
    ]);
    assert!(
        handoff.contains("It is.") && handoff.contains("rest"),
        "{handoff}"
    );
}

#[test]
fn a_command_gets_its_placeholders_and_a_prompt() {
    let agents = "[agents.default]\ncommand = \"sh ../../agent.sh {prompt_file} {task} {branch} {attempt}\"\n\n";
    let repo = TestRepo::new().init();
    super::common::write_file(
        &repo.outside().join("agent.sh"),
        "set -e\ntest \"$1\" = \"$ORCH_PROMPT_FILE\"\ntest \"$PWD\" = \"$ORCH_WORKTREE\"\n\
         grep -q '^# Task a: Write a' \"$1\"\ntest \"$(git config orch.task)\" = \"$ORCH_TASK\"\n\
         test -f .orchestration/task.toml\necho \"$2 $3 $4 $ORCH_AGENT $ORCH_MODEL\" > out.txt\n",
    );
    let repo = repo.plan(&plan(1, &(agents.to_owned() + &task("a", "true"))));
    let (code, _, stderr) = run(&repo, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        repo.git(["show", "orch/team-1/a:out.txt"]),
        "a orch/team-1/a 1 1.1 sonnet"
    );
}

#[test]
fn an_agent_may_hand_in_by_itself() {
    let script = "echo x > x.txt; git add x.txt; git commit -qm 'by myself'\n\
        git orch submit $ORCH_TASK --agent $ORCH_AGENT --attempt $ORCH_ATTEMPT";
    let repo = with_plan(&plan(1, &task("a", script)));
    let (code, report, stderr) = run(&repo, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(report["submitted"], json!(["a"]));
    assert!(stderr.contains("[1.1] handed in a itself"), "{stderr}");
}

#[test]
fn waves_are_never_larger_than_their_limits() {
    let mut tasks: String = (0..6)
        .map(|n| {
            task(&format!("h{n}"), &format!("echo x > h{n}.txt"))
                .replace("title", "model = \"haiku\"\ntitle")
        })
        .collect();
    tasks += &(0..4)
        .map(|n| {
            task(&format!("o{n}"), &format!("echo x > o{n}.txt"))
                .replace("title", "model = \"opus\"\ntitle")
        })
        .collect::<String>();
    let text =
        plan(6, &tasks).replace("[[teams]]", "limits = { haiku = 2, opus = 1 }\n\n[[teams]]");
    let repo = with_plan(&text);
    let (code, report, stderr) = run(&repo, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(report["submitted"].as_array().unwrap().len(), 10);
    assert_eq!(most_at_once(&repo, "h"), 2);
    assert_eq!(most_at_once(&repo, "o"), 1);
}

#[test]
fn jobs_bound_all_teams_together() {
    let tasks: String = (0..5)
        .map(|n| task(&format!("t{n}"), &format!("echo x > t{n}.txt")))
        .collect();
    let repo = with_plan(&plan(5, &tasks));
    assert_eq!(run(&repo, &["--jobs", "2"]).0, 0);
    assert_eq!(most_at_once(&repo, "t"), 2);
}

/// Returns how many tasks whose ids begin alike were held at once, by the ledger's own history.
fn most_at_once(repo: &TestRepo, prefix: &str) -> usize {
    let (mut held, mut most) = (0_usize, 0);
    for subject in story(repo) {
        let words: Vec<&str> = subject.split(' ').collect();
        let of_prefix = |word: Option<&&str>| word.is_some_and(|word| word.starts_with(prefix));
        match words.get(2) {
            Some(&"claim") if of_prefix(words.get(3)) => held += 1,
            Some(&"submit" | &"fail" | &"release") if of_prefix(words.get(3)) => held -= 1,
            _ => {}
        }
        most = most.max(held);
    }
    assert_eq!(held, 0);
    most
}

#[test]
fn a_dry_run_shows_everything_and_changes_nothing() {
    let tasks = task("a", "echo a > a.txt")
        + &task("b", "echo b > b.txt").replace("title", "after = [\"a\"]\ntitle");
    let repo = with_plan(&plan(2, &tasks));
    let refs = repo.git(["for-each-ref"]);
    let text = repo.orch(["run", "--dry-run"]).ok();
    assert!(text.contains("would make ready: a\n"), "{text}");
    assert!(
        text.contains("[1.1] would claim a (attempt 1, sonnet)"),
        "{text}"
    );
    assert!(text.contains("branch:   orch/team-1/a"), "{text}");
    assert!(text.contains("repo.orch/1.1\n"), "{text}");
    assert!(!text.contains("claim b"), "{text}");
    let preview = repo.orch(["run", "--dry-run", "--json"]).json();
    let prompt = preview["planned"][0]["prompt"].as_str().unwrap();
    assert!(prompt.starts_with("# Task a: Write a\n"), "{prompt}");
    assert_eq!(repo.git(["for-each-ref"]), refs);
    assert!(!repo.worktree("1.1").exists());
    assert!(!repo.path().join(".git/orch/attempts").exists());
}

#[test]
fn a_second_run_is_refused_while_one_runs() {
    let repo = with_plan(&plan(
        1,
        &task(
            "a",
            "echo $$ > ../../pid; while [ ! -e ../../go ]; do sleep 0.02; done; echo x > x.txt",
        ),
    ));
    let mut first = Background::start(&repo, &[]);
    wait_for(&repo.outside().join("pid"));
    let complaint = repo.orch(["run"]).fails(1);
    assert!(
        complaint.contains("is running in this repository already"),
        "{complaint}"
    );
    std::fs::write(repo.outside().join("go"), "").unwrap();
    assert_eq!(first.ended(), 0);
    assert_eq!(state(&repo, "a"), "submitted");
}

/// A task that writes its process's id and, the first time, waits for ever.
fn waits_first(id: &str, more: &str) -> String {
    task(
        id,
        &format!(
            "{more}if [ $ORCH_ATTEMPT = 1 ]; then echo part > {id}.txt; sleep 1000 & echo $! >> ../../pids; \
             echo $$ >> ../../pids; while :; do sleep 0.05; done; fi\n\
             test \"$(cat {id}.txt)\" = part; echo whole > {id}.txt"
        ),
    )
    .replace("title", "retries = 0\ntitle")
}

#[test]
fn ctrl_c_stops_politely_and_a_rerun_carries_on() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let repo = with_plan(&plan(1, &waits_first("a", "")));
        let pids = repo.outside().join("pids");
        let mut first = Background::start(&repo, &[]);
        wait_for(&pids);
        while std::fs::read_to_string(&pids).unwrap().lines().count() < 2 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        first.signal_group(signal);
        assert_eq!(first.ended(), code);
        assert_gone(&pids);
        assert_eq!(state(&repo, "a"), "ready");
        assert_eq!(repo.git(["show", "orch/team-1/a:a.txt"]), "part");
        let (code, report, stderr) = run(&repo, &[]);
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(report["submitted"], json!(["a"]));
        assert_eq!(repo.git(["show", "orch/team-1/a:a.txt"]), "whole");
    }
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_the_deaf() {
    let repo = with_plan(&plan(1, &waits_first("a", "trap '' TERM; ")));
    let pids = repo.outside().join("pids");
    let mut first = Background::start(&repo, &[]);
    wait_for(&pids);
    while std::fs::read_to_string(&pids).unwrap().lines().count() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    first.signal("INT");
    first.signal("TERM");
    // Whichever of the two arrives first gives the exit code.
    assert!([130, 143].contains(&first.ended()));
    assert_gone(&pids);
    assert_eq!(state(&repo, "a"), "ready");
}

#[test]
fn checks_that_run_when_it_is_stopped_firmly_say_nothing_about_the_work() {
    let text = task("a", "echo x > x.txt").replace(
        "title",
        "success = [\"echo $$ > ../../pids; test -e ../../go || sleep 1000\"]\ntitle",
    );
    let repo = with_plan(&plan(1, &text));
    let pids = repo.outside().join("pids");
    let mut first = Background::start(&repo, &[]);
    wait_for(&pids);
    first.signal("INT");
    first.signal("TERM");
    assert!([130, 143].contains(&first.ended()));
    assert_gone(&pids);
    assert_eq!(state(&repo, "a"), "ready");
    std::fs::write(repo.outside().join("go"), "").unwrap();
    assert_eq!(run(&repo, &[]).0, 0);
}

#[test]
fn pain_25_a_killed_run_is_taken_up_where_it_was() {
    let tasks = waits_first("a", "") + &task("b", "echo b > b.txt");
    let repo = with_plan(&plan(2, &tasks));
    let pids = repo.outside().join("pids");
    let mut first = Background::start(&repo, &[]);
    wait_for(&pids);
    while std::fs::read_to_string(&pids).unwrap().lines().count() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    first.signal("KILL");
    assert_eq!(first.ended(), -9);
    let pid = std::fs::read_to_string(&pids).unwrap();
    assert!(
        is_running(pid.lines().next().unwrap()),
        "the test needs an orphan"
    );
    let (code, report, stderr) = run(&repo, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("[1.1] released a: its executor is gone"),
        "{stderr}"
    );
    assert_gone(&pids);
    assert_eq!(report["submitted"], json!(["a", "b"]));
    assert_eq!(repo.git(["show", "orch/team-1/a:a.txt"]), "whole");
    let claims = story(&repo);
    let claims = claims
        .iter()
        .filter(|subject| subject.contains("claim b"))
        .count();
    assert!(claims <= 2, "b was done more often than needed");
}

#[test]
fn checks_of_a_killed_run_are_ended_by_the_next() {
    let text = task("a", "echo x > x.txt").replace(
        "title",
        "success = [\"test -e ../../go || { echo $$ > ../../pids; exec sleep 1000; }\"]\ntitle",
    );
    let repo = with_plan(&plan(1, &text));
    let pids = repo.outside().join("pids");
    let mut first = Background::start(&repo, &[]);
    wait_for(&pids);
    first.signal("KILL");
    first.ended();
    std::fs::write(repo.outside().join("go"), "").unwrap();
    let (code, _, stderr) = run(&repo, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert_gone(&pids);
}

#[test]
fn an_agent_that_blocks_its_task_leaves_it_to_a_person() {
    let script = "echo part > part.txt\n\
        if [ $ORCH_ATTEMPT = 1 ]; then\n\
        git orch block $ORCH_TASK --agent $ORCH_AGENT --attempt $ORCH_ATTEMPT -m 'which colour?'; fi";
    let repo = with_plan(&plan(1, &task("a", script)));
    let (code, report, stderr) = run(&repo, &[]);
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(report["waiting"][0]["state"], "blocked");
    assert_eq!(report["waiting"][0]["reason"], "1.1: which colour?");
    assert_eq!(repo.git(["show", "orch/team-1/a:part.txt"]), "part");
    // Still blocked, so that a rerun changes nothing.
    assert_eq!(run(&repo, &[]).0, 1);
    assert_eq!(state(&repo, "a"), "blocked");
    repo.orch(["unblock", "a", "--agent", "1.1", "--attempt", "1"])
        .ok();
    let (code, report, stderr) = run(&repo, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(report["submitted"], json!(["a"]));
}

#[test]
fn pain_18_one_worktree_that_cannot_be_made_holds_up_its_task_and_no_other() {
    let tasks = task("a", "echo a > a.txt") + &task("b", "echo b > b.txt");
    let repo = with_plan(&plan(1, &tasks).replace("coders = 1", "coders = 2"));
    // The branch of one task is checked out where a person works.
    let mine = repo.outside().join("mine");
    repo.git([
        "worktree",
        "add",
        "-q",
        "-b",
        "orch/team-1/a",
        mine.to_str().unwrap(),
    ]);
    let (code, report, stderr) = run(&repo, &[]);
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(report["submitted"], json!(["b"]));
    // It has cost no try, and the next run tries again.
    let waiting = &report["waiting"][0];
    assert_eq!(
        (&waiting["task"], &waiting["state"]),
        (&json!("a"), &json!("failed"))
    );
    let reason = waiting["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("its worktree could not be made ready"),
        "{reason}"
    );
    assert_eq!(report["problems"][0]["what"], "task a");
    repo.git(["worktree", "remove", "--force", mine.to_str().unwrap()]);
    let (code, report, stderr) = run(&repo, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(report["submitted"], json!(["a", "b"]));
}

#[test]
fn a_cancelled_task_ends_its_agent() {
    let repo = with_plan(&plan(1, &waits_first("a", "")));
    let pids = repo.outside().join("pids");
    let mut first = Background::start(&repo, &[]);
    wait_for(&pids);
    repo.orch(["cancel", "a", "-m", "not wanted"]).ok();
    assert_eq!(first.ended(), 0);
    assert_gone(&pids);
    assert_eq!(state(&repo, "a"), "cancelled");
}

#[test]
fn an_agent_may_not_run_others() {
    let repo = with_plan(&plan(1, &task("a", "echo x > x.txt; ! git orch run")));
    assert_eq!(run(&repo, &[]).0, 0);
}

#[test]
fn assembling_opens_the_next_phase_and_sends_back_what_breaks_the_build() {
    let text = "[run]\nname = \"trial\"\ntest = \"! grep -rq broken --include=*.txt .\"\n\n\
        [[phases]]\nname = \"one\"\nteams = [1]\n\n[[phases]]\nname = \"two\"\nteams = [2]\nafter = [\"one\"]\n\n\
        [[teams]]\nid = 1\nname = \"First\"\ncoders = 2\n\n[[teams]]\nid = 2\nname = \"Second\"\ncoders = 1\n\n"
        .to_owned()
        + &task("a", "echo a > a.txt")
        + &task("b", "if [ $ORCH_ATTEMPT = 1 ]; then echo broken > b.txt; else echo b > b.txt; fi")
        + &task("tight", "cat a.txt > tight.txt")
            .replace("title", "after = [{ task = \"a\", coupling = \"tight\" }]\ntitle")
        + &task("c", "cat a.txt b.txt tight.txt > c.txt").replace("team = 1", "team = 2");
    let repo = with_plan(&text);
    let (code, report, stderr) = run(&repo, &["--assemble"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        report["merged"],
        json!(["a", "b", "tight", "c"]),
        "{stderr}"
    );
    assert_eq!(report["submitted"], json!([]));
    assert_eq!(repo.git(["show", "orch/integration:c.txt"]), "a\nb\na");
    assert_eq!(repo.orch(["run", "--assemble"]).code(), 3);
}

#[test]
fn a_task_that_always_breaks_the_build_is_a_gap_and_the_rest_is_merged() {
    let text = plan(
        2,
        &(task("a", "echo a > a.txt") + &task("b", "echo broken $ORCH_ATTEMPT > b.txt")),
    )
    .replace(
        "[run]",
        "[run]\ntest = \"! grep -rq broken --include=*.txt .\"",
    );
    let repo = with_plan(&text);
    let (code, report, stderr) = run(&repo, &["--assemble"]);
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(report["merged"], json!(["a"]));
    assert_eq!(report["gaps"][0]["task"], "b");
    assert_eq!(repo.git(["show", "orch/integration:a.txt"]), "a");
}

#[test]
fn ctrl_c_during_an_assembly_leaves_no_test_behind_and_no_verdict() {
    let repo = TestRepo::new().init();
    let pids = repo.outside().join("pids");
    let test = format!(
        "echo $$ > '{}'; test -e '{}' || sleep 1000",
        pids.display(),
        repo.outside().join("go").display()
    );
    let text = plan(1, &task("a", "echo a > a.txt"))
        .replace("[run]", &format!("[run]\ntest = \"{test}\""));
    let repo = repo.plan(&text);
    let mut first = Background::start(&repo, &["--assemble"]);
    wait_for(&pids);
    first.signal("INT");
    assert_eq!(first.ended(), 130);
    assert_gone(&pids);
    assert_eq!(state(&repo, "a"), "submitted");
    std::fs::write(repo.outside().join("go"), "").unwrap();
    let (code, report, stderr) = run(&repo, &["--assemble"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(report["merged"], json!(["a"]));
}

#[test]
fn the_later_of_two_coders_in_conflict_is_warned_while_it_works() {
    // The second waits for its warning, and then writes elsewhere; the third has nothing to do with them.
    let wait = "until_so() { n=0; until eval \"$1\"; do n=$((n+1)); test $n -lt 2000; sleep 0.02; done; }\n";
    let second = format!(
        "{wait}echo second > same.txt
        until_so 'test -s .orchestration/conflicts.md'
        cp .orchestration/conflicts.md ../../warning
        rm same.txt; echo second > other.txt
        until_so 'test ! -e .orchestration/conflicts.md'"
    );
    let third = format!(
        "{wait}echo third > third.txt
        until_so 'test -s ../../warning'
        test ! -e .orchestration/conflicts.md"
    );
    let tasks =
        task("first", "echo first > same.txt") + &task("second", &second) + &task("third", &third);
    let repo = with_plan(&plan(3, &tasks));
    repo.git(["config", "orch.radar", "1"]);
    let (code, report, story) = run(&repo, &[]);
    assert_eq!(code, 0, "{story}");
    assert_eq!(report["submitted"], json!(["first", "second", "third"]));
    let warning = std::fs::read_to_string(repo.outside().join("warning")).unwrap();
    assert!(
        warning.contains("## first, on branch `orch/team-1/first`\n\n- `same.txt`: "),
        "{warning}"
    );
    let line = "second will conflict with first in same.txt";
    assert_eq!(story.matches(line).count(), 1, "{story}");
}
