//! Success commands see exactly what was committed, whoever asks for them.

use serde_json::{Value, json};

use super::common::TestRepo;

/// A plan of one task with a script and a success command, in a project that ignores `ignored/` and `target/`.
fn project(run: &str, script: &str, success: &str) -> TestRepo {
    let plan = format!(
        "[run]\nname = \"demo\"\nretries = 0\n{run}\n[agents.default]\npreset = \"shell\"\n[[teams]]\nid = 1\ncoders = 1\n\
         [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"Do a\"\nscope = [\"src/**\"]\nsuccess = ['''{success}''']\nrun = '''\n{script}\n'''\n"
    );
    let repo = TestRepo::new()
        .write(".gitignore", "ignored/\ntarget/\n")
        .write("src/old", "old\n")
        .commit("second");
    repo.init().plan(&plan)
}

fn run(repo: &TestRepo) -> (Value, String) {
    let outcome = repo.orch(["run", "--json", "--no-progress"]);
    let (stdout, stderr) = (outcome.stdout(), outcome.stderr());
    (serde_json::from_str(&stdout).unwrap_or_default(), stderr)
}

/// Each makes something that no commit has, and a command that passes with it.
const WITHOUT: [(&str, &str, &str); 5] = [
    (
        "mkdir ignored; echo x > ignored/config",
        "test -s ignored/config",
        "!! ignored/",
    ),
    ("echo x > stray", "test -s stray", "?? stray"),
    ("mkdir empty src/empty", "test -d src/empty", ""),
    (
        "git update-index --assume-unchanged src/old; echo new > src/old",
        "grep -q new src/old",
        " M src/old",
    ),
    (
        "git update-index --skip-worktree README.md; rm README.md",
        "test ! -e README.md",
        "",
    ),
];

#[test]
fn what_no_commit_has_makes_nothing_pass() {
    for (script, success, file) in WITHOUT {
        // In scope, hidden edits are left uncommitted by an agent that commits for itself.
        let script = format!("echo a > src/a; git add src/a; git commit -qm a; {script}");
        let repo = project("", &script, success);
        let (report, told) = run(&repo);
        if file == " M src/old" {
            // What is hidden and belongs to the task is committed like everything else.
            assert_eq!(report["submitted"], json!(["a"]), "{told}");
            assert_eq!(repo.git(["show", "orch/team-1/a:src/old"]), "new");
            continue;
        }
        assert_eq!(report["gaps"][0]["class"], "refused", "{script}: {told}");
        let reason = report["gaps"][0]["reason"].as_str().unwrap();
        assert!(reason.starts_with("success command `"), "{reason}");
        if !file.is_empty() {
            let words = "it passes only with files that are ignored or not committed";
            assert!(reason.contains(words), "{script}: {reason}");
            let findings = repo.orch(["task", "show", "a", "--json"]).json();
            let findings = findings["findings"].as_str().unwrap();
            assert!(findings.contains(file), "{script}: {findings}");
        }
    }
}

#[test]
fn whoever_submits_is_judged_alike() {
    let submit = "|| exit 7; mkdir ignored; echo x > ignored/config; git orch submit";
    let script = format!("echo a > src/a; git add src/a; git commit -qm a {submit}");
    let repo = project("", &script, "test -s ignored/config");
    let (report, told) = run(&repo);
    assert_eq!(report["gaps"][0]["task"], "a", "{told}");
    let log = repo.path().join(".git/orch/attempts/a/1/agent.log");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("it passes only with files that are ignored"),
        "{log}"
    );
    // Nor does a command know whose work it checks, or on whose behalf.
    let repo = project(
        "",
        "echo a > src/a; git add src/a; git commit -qm a; git orch submit",
        "test -z \"$ORCH_TASK\" && test -z \"$ORCH_AGENT\"",
    );
    let (report, told) = run(&repo);
    assert_eq!(report["submitted"], json!(["a"]), "{told}");
}

#[test]
fn what_a_command_leaves_is_nobodys_work() {
    let success = "test -s src/a && echo data > .coverage && echo x >> src/old && mkdir ignored";
    let repo = project("", "echo a > src/a", success);
    let (report, told) = run(&repo);
    assert_eq!(report["submitted"], json!(["a"]), "{told}");
    let changed = repo.git(["diff", "--name-only", "main", "orch/team-1/a"]);
    assert_eq!(changed, "src/a");
    assert!(!repo.worktree("1.1").join(".coverage").exists());
    let kept = repo.git(["for-each-ref", "refs/orch/recovery"]);
    assert_eq!(kept, "");
}

#[test]
fn a_plain_failure_says_what_it_is() {
    let repo = project("", "echo a > src/a", "echo no such luck; exit 3");
    let (report, told) = run(&repo);
    let reason = report["gaps"][0]["reason"].as_str().unwrap();
    assert_eq!(
        reason, "success command `echo no such luck; exit 3` exited with 3",
        "{told}"
    );
    let findings = repo.orch(["task", "show", "a", "--json"]).json();
    assert!(
        findings["findings"]
            .as_str()
            .unwrap()
            .contains("no such luck")
    );
}

#[test]
fn what_the_plan_keeps_is_there_for_the_next_check() {
    // The first attempt's check fails and leaves something; whether the second finds it is the plan's word.
    let success = "test -s target/made && exit 0; mkdir -p target; echo x > target/made; exit 1";
    for (keep, ends) in [("keep = [\"target/\"]", "submitted"), ("", "gap")] {
        let repo = project(&format!("{keep}\n#"), "echo $ORCH_ATTEMPT > src/a", success);
        let plan = repo.outside().join("plan.toml");
        let text = std::fs::read_to_string(&plan).unwrap();
        let repo = repo.plan(&text.replace("retries = 0", "retries = 1"));
        let (_, told) = run(&repo);
        let status = repo.orch(["task", "show", "a", "--json"]).json();
        assert_eq!(status["status"], ends, "{told}");
    }
}

#[test]
fn the_place_of_checks_is_no_coders_and_goes_with_the_rest() {
    let repo = project("", "echo a > src/a", "test -s src/a");
    let (report, told) = run(&repo);
    assert_eq!(report["submitted"], json!(["a"]), "{told}");
    let place = repo.worktree("assembler-coder-1.1");
    assert!(place.join("src/a").exists());
    let listed = repo.orch(["worktree", "list", "--json"]).json();
    assert_eq!(
        listed.to_string().matches("assembler-coder").count(),
        0,
        "{listed}"
    );
    assert_eq!(repo.orch(["doctor"]).code(), 0);
    repo.orch(["assemble"]).ok();
    repo.orch(["assemble", "--forget"]).ok();
    assert!(!place.exists());
}
