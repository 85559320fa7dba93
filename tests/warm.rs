//! What a test worktree keeps, what it must not, and who has the last word.

mod equal;

use std::process::Stdio;

use serde_json::Value;

use super::common::TestRepo;
use super::common::site::{Site, assemble, branch, verdicts};

/// Passes where the cache says so; `make` puts that there, and nothing else does.
const CACHED: &str = "test ! -e make || { mkdir -p cache; touch cache/ok; }; test -e cache/ok";

/// A repository that ignores `cache/`, whose branch `a` fills it and whose branch `b` needs it without doing so.
fn with_cache() -> TestRepo {
    let repo = TestRepo::new()
        .write(".gitignore", "cache/\n*.xml\n")
        .write("make", "x\n")
        .commit("base");
    branch(&repo, "a", "main", "a", &[("a", "x\n")]);
    repo.git(["switch", "-q", "-c", "b"]);
    repo.git(["rm", "-q", "make"]);
    repo.git(["commit", "-qm", "no make"]);
    branch(&repo, "c", "main", "c", &[("c", "x\n")]);
    repo.git(["switch", "-q", "--detach", "main"]);
    repo
}

fn onto_main(repo: &TestRepo, test: &str, rest: &[&str]) -> (Vec<String>, Value) {
    let mut args = vec!["assemble", "--json", "--jobs", "1", "--onto", "main"];
    args.extend(["--test", test]);
    args.extend(rest);
    let (_, report) = assemble(repo, &args);
    (verdicts(&report), report)
}

/// How the runs of a report were obtained, in order.
fn how(report: &Value) -> Vec<&str> {
    let runs = report["runs"].as_array().unwrap().iter();
    runs.map(|run| run["how"].as_str().unwrap()).collect()
}

#[test]
fn without_keep_every_run_is_clean_and_none_is_repeated() {
    let repo = with_cache();
    let (verdicts, report) = onto_main(&repo, CACHED, &["a", "b", "c"]);
    assert_eq!(verdicts, ["a: merged", "b: test_failed", "c: merged"]);
    // The one that failed is run once more.
    assert_eq!(how(&report), ["clean"; 4]);
    assert_eq!(report["warm_only"].as_array().unwrap().len(), 0);
}

#[test]
fn what_passes_only_where_something_is_kept_does_not_reach_the_base() {
    for gate in ["each", "batch"] {
        let repo = with_cache();
        let args = ["--keep", "cache/", "--gate", gate, "a", "b", "c"];
        let (verdicts, report) = onto_main(&repo, CACHED, &args);
        assert_eq!(
            verdicts,
            ["a: merged", "b: test_failed", "c: merged"],
            "{gate}"
        );
        let in_main = repo.git(["ls-tree", "--name-only", "main"]);
        assert!(
            in_main.contains("make") && in_main.contains('c'),
            "{in_main}"
        );
        if gate == "each" {
            assert_eq!(report["warm_only"].as_array().unwrap().len(), 1, "{report}");
        }
    }
}

#[test]
fn a_command_that_was_wrong_once_runs_clean_until_all_is_forgotten() {
    let repo = with_cache();
    let keep = ["--keep", "cache/"];
    onto_main(&repo, CACHED, &[&keep[..], &["a", "b"]].concat());
    branch(&repo, "d", "main", "d", &[("d", "x\n")]);
    branch(&repo, "e", "main", "e", &[("e", "x\n")]);
    let (verdicts, report) = onto_main(&repo, CACHED, &[&keep[..], &["c", "d"]].concat());
    assert_eq!(verdicts, ["c: merged", "d: merged"]);
    assert_eq!(how(&report), ["clean", "clean"]);
    // Another command is another matter.
    let (_, report) = onto_main(&repo, "true", &["e"]);
    assert_eq!(how(&report), ["clean"]);
    repo.orch(["assemble", "--forget"]).ok();
    for name in ["f", "g"] {
        branch(&repo, name, "main", name, &[(name, "x\n")]);
    }
    let (_, report) = onto_main(&repo, CACHED, &[&keep[..], &["f", "g"]].concat());
    // The first finds nothing that was kept; the last is confirmed.
    assert_eq!(how(&report), ["clean", "warm", "clean"]);
}

#[test]
fn one_clean_run_speaks_for_a_whole_train() {
    let repo = with_cache();
    for name in ["d", "e", "f"] {
        branch(&repo, name, "main", name, &[(name, "x\n")]);
    }
    let names = ["a", "c", "d", "e", "f"];
    let keep = ["--keep", "cache/"];
    let (verdicts, report) = onto_main(&repo, CACHED, &[&keep[..], &names].concat());
    assert!(verdicts.iter().all(|verdict| verdict.ends_with("merged")));
    assert_eq!(
        how(&report),
        ["clean", "warm", "warm", "warm", "warm", "clean"]
    );
    assert_eq!(repo.git(["rev-list", "--count", "--merges", "main"]), "5");
}

#[test]
fn whether_a_pass_is_confirmed_is_for_whoever_asks() {
    for (confirm, expected, landed) in [
        ("never", &["clean", "warm"][..], "b: merged"),
        ("landing", &["clean", "clean", "clean"], "b: test_failed"),
    ] {
        let repo = with_cache();
        let args = ["--keep", "cache/", "--confirm", confirm, "a", "b"];
        let (verdicts, report) = onto_main(&repo, CACHED, &args);
        assert_eq!(how(&report), expected, "{confirm}");
        assert_eq!(verdicts[1], landed);
    }
    let repo = with_cache();
    let args = ["assemble", "--onto", "main", "--test", "true", "a"];
    repo.orch(args.iter().chain(&["--confirm", "sometimes"]))
        .fails(2);
    repo.orch(args.iter().chain(&["--keep", "!x"])).fails(2);
}

/// A plan that keeps `cache/`, with what [`with_cache`] has as tasks `a` and `b` handed in.
fn planned(more: &str) -> Site {
    let test = format!("{CACHED}'''\nkeep = [\"cache/\"]\n{more}\n#'''");
    let repo = TestRepo::new()
        .write(".gitignore", "cache/\n")
        .write("make", "x\n")
        .commit("base");
    let site = Site::over(repo, &test, &[("a", 1, &[]), ("b", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.repo.git(["switch", "-q", "-c", "orch/team-1/b"]);
    site.repo.git(["rm", "-q", "make"]);
    let message = "[TEAM-1] [AGENT-1.2] no make\n\nOrch-Task: b\nOrch-Agent: 1.2";
    site.repo.git(["commit", "-qm", message]);
    let head = site.rev("HEAD");
    site.repo.git(["switch", "-q", "main"]);
    site.hand_in("b", "1.2", &head);
    site
}

#[test]
fn approve_confirms_and_the_way_out_is_open() {
    let site = planned("");
    let (_, report) = site.assemble();
    assert_eq!(verdicts(&report), ["a: merged", "b: merged"]);
    assert_eq!(how(&report), ["clean", "warm"]);
    let main = site.rev("main");
    let complaint = site.repo.orch(["approve"]).fails(1);
    assert!(
        complaint.contains("fails on a clean checkout"),
        "{complaint}"
    );
    assert!(complaint.contains("git orch undo"), "{complaint}");
    assert_eq!(site.rev("main"), main);
    // It stays so, and an assembly says it too.
    site.repo.orch(["approve"]).fails(1);
    let complaint = site.repo.orch(["assemble"]).fails(1);
    assert!(complaint.contains("itself fails the test"), "{complaint}");
    site.repo.orch(["undo", "b"]).ok();
    site.repo.orch(["approve"]).ok();
    assert!(site.file("main", "a").is_some() && site.file("main", "make").is_some());
}

#[test]
fn a_plan_may_confirm_every_landing_or_none() {
    let (_, report) = planned("confirm = \"landing\"").assemble();
    assert_eq!(verdicts(&report), ["a: merged", "b: test_failed"]);
    let site = planned("confirm = \"never\"");
    assert_eq!(site.assemble().0, 0);
    site.repo.orch(["approve"]).ok();
}

#[test]
fn a_failure_that_only_a_warm_worktree_sees_sends_nobody_back() {
    // Every run leaves what makes the next one fail.
    let test = "test ! -e cache/poison || exit 1; mkdir -p cache; touch cache/poison";
    let repo = with_cache();
    let args = ["--keep", "cache/", "a", "c"];
    let (verdicts, report) = onto_main(&repo, test, &args);
    assert_eq!(verdicts, ["a: merged", "c: merged"], "{report}");
    assert_eq!(how(&report), ["clean", "warm", "clean"]);
    assert_eq!(report["flaky"].as_array().unwrap().len(), 0);
}

/// Installs something into the cache, which takes a while only where `slow` is there.
const INSTALLS: &str = "test -d cache || { mkdir cache; test ! -e slow || { echo x > \"$OUT/runs\"; sleep 1000; }; \
                        touch cache/done; }; test -e cache/done";

#[test]
fn a_worktree_whose_test_was_killed_is_made_anew() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 1, &[])]);
    site.repo.git(["config", "core.excludesFile", "/dev/null"]);
    std::fs::write(site.repo.path().join(".git/info/exclude"), "cache\nslow\n").unwrap();
    let out = site.repo.outside().join("out");
    std::fs::create_dir(&out).unwrap();
    let made = site.repo.command("mkfifo", &out).arg("runs").status();
    assert!(made.unwrap().success());
    site.work("a", "1.1", &[("a", "a\n")]);
    site.work("b", "1.2", &[("b", "b\n")]);
    // Slow where a file outside says so, so that the tree is the same.
    let test = INSTALLS.replace("test ! -e slow", "test ! -e \"$OUT/slow\"");
    std::fs::write(out.join("slow"), "").unwrap();
    let args = ["assemble", "--json", "--keep", "cache", "--test", &test];
    let start = || {
        let mut command = site.repo.orch_command(site.repo.path());
        command.args(args).env("OUT", &out);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let mut child = start();
    // Opening a pipe waits for the other side.
    std::fs::read_to_string(out.join("runs")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(out.join("slow")).unwrap();
    assert!(start().wait().unwrap().success());
    assert_eq!((site.state("a"), site.state("b")), ("merged", "merged"));
}

#[test]
fn what_a_test_that_was_ended_has_half_made_is_not_kept() {
    // By its time, by a signal to itself, by one to its child, and in the background where it ended by itself.
    for ending in [
        "sleep 1000",
        "kill -9 $$",
        "sh -c 'kill -9 $$'; exit 137",
        "(sleep 1000; touch cache/done) >/dev/null 2>&1 & exit 1",
    ] {
        let test = format!(
            "test -d cache || {{ mkdir cache; test ! -e bad || {{ {ending}; }}; touch cache/done; }}; test -e cache/done"
        );
        let plan = format!(
            "{test}'''\nkeep = [\"cache/\"]\ntest_timeout = \"1s\"\ntest_retries = 0\n#'''"
        );
        let repo = TestRepo::new().write(".gitignore", "cache/\n").commit("x");
        let site = Site::over(repo, &plan, &[("a", 1, &[]), ("b", 1, &[])]);
        site.work("a", "1.1", &[("bad", "x\n")]);
        site.work("b", "1.2", &[("b", "b\n")]);
        let (_, report) = site.assemble();
        assert_eq!(
            verdicts(&report),
            ["a: test_failed", "b: merged"],
            "{ending}"
        );
    }
}

#[test]
fn reports_of_the_run_before_blame_nobody() {
    // Writes its report only where it comes to it.
    let test = "mkdir -p cache; test ! -e crash || exit 3; if test -e bad; then \
                printf '<testsuite><testcase classname=\"x\" name=\"t\"><failure/></testcase></testsuite>' > cache/r.xml; \
                exit 1; else printf '<testsuite><testcase classname=\"x\" name=\"t\"/></testsuite>' > cache/r.xml; fi";
    let plan = format!(
        "{test}'''\nkeep = [\"cache/\"]\ntest_format = \"junit\"\ntest_reports = [\"cache/*.xml\"]\n#'''"
    );
    let repo = TestRepo::new().write(".gitignore", "cache/\n").commit("x");
    let site = Site::over(repo, &plan, &[("a", 1, &[]), ("b", 1, &[])]);
    site.work("a", "1.1", &[("bad", "x\n")]);
    site.work("b", "1.2", &[("crash", "x\n")]);
    let (_, report) = assemble(&site.repo, &["assemble", "--json", "--gate", "batch"]);
    let reason = |at: usize| report["train"][at]["reason"].as_str().unwrap().to_owned();
    assert_eq!(verdicts(&report), ["a: test_failed", "b: test_failed"]);
    assert!(reason(0).contains("t"), "{}", reason(0));
    assert_eq!(reason(1), "the test fails: it exited with 3");
    let runs = report["runs"].as_array().unwrap();
    assert!(runs.iter().any(|run| run["failing"][0].as_str().is_some()));
}

#[test]
fn what_a_test_does_to_its_worktrees_git_is_gone_before_the_next() {
    let repo = TestRepo::new()
        .write("f", "good\n")
        .write("run.sh", "#!/bin/sh\n")
        .commit("base");
    for name in ["a", "b"] {
        branch(&repo, name, "main", name, &[(name, "x\n")]);
    }
    branch(&repo, "bad", "main", "bad", &[("f", "bad\n")]);
    let test = "grep -q good f && test ! -e \"$(git rev-parse --git-path info/sparse-checkout)\" && \
                git update-index --skip-worktree f && git sparse-checkout set --no-cone '/f' >/dev/null";
    repo.git(["switch", "-q", "--detach"]);
    let (verdicts, report) = onto_main(&repo, test, &["a", "bad", "b"]);
    assert_eq!(
        verdicts,
        ["a: merged", "bad: test_failed", "b: merged"],
        "{report}"
    );
}
