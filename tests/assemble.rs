//! `git orch assemble` with a plan and without, on real repositories.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::common::TestRepo;
use super::common::site::{Held, Site, assemble, branch, note, verdicts};

const NOT_BAD: &str = "test ! -e bad";

#[test]
fn pain_24_a_train_comes_in_with_dependencies_first() {
    let site = Site::new(NOT_BAD, &[("b", 1, &["a"]), ("a", 1, &[]), ("c", 2, &[])]);
    let a = site.work("a", "1.1", &[("a", "a\n")]);
    site.work_from(&a, "b", "1.2", &[("b", "b\n")]);
    site.work("c", "2.1", &[("c", "c\n")]);
    let main = site.rev("main");
    let (code, report) = site.assemble();
    assert_eq!(code, 0, "{report}");
    assert_eq!(verdicts(&report), ["a: merged", "c: merged", "b: merged"]);
    assert_eq!(report["target"], "orch/integration");
    assert_eq!(report["before"], main);
    assert_eq!(report["after"], site.rev("orch/integration"));
    assert_eq!(report["tests_run"], 3);
    for file in ["a", "b", "c", "README.md"] {
        assert!(site.file("orch/integration", file).is_some(), "{file}");
    }
    assert_eq!(
        site.rev("orch/team-1/integration"),
        site.rev("orch/integration")
    );
    assert_eq!(site.rev("main"), main);
    let status = site.task("b").status;
    assert_eq!(status.state.as_str(), "merged");
    assert_eq!(
        status.commit.unwrap().0,
        report["train"][2]["commit"].as_str().unwrap()
    );
    let subjects = site.repo.git([
        "log",
        "--first-parent",
        "--format=%s",
        "main..orch/integration",
    ]);
    assert!(
        subjects.contains("[TEAM-1] [AGENT-1.2] merge b: Do b"),
        "{subjects}"
    );
    let text = site
        .repo
        .git(["show", "orchestration:.orchestration/assemblies/0001.toml"]);
    assert!(text.contains("verdict = \"merged\""), "{text}");
    site.repo.orch(["assemble"]).fails(3);
    assert_eq!(site.repo.git(["status", "--porcelain"]), "");
    site.repo.git(["fsck", "--strict"]);
}

#[test]
fn a_conflict_goes_back_with_files_hunks_and_whose_it_is() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 2, &[]), ("c", 2, &[])]);
    site.work("a", "1.1", &[("README.md", "# by a\n")]);
    let head = site.work("b", "2.1", &[("README.md", "# by b\n")]);
    site.work("c", "2.2", &[("c", "c\n")]);
    let (code, report) = site.assemble();
    assert_eq!(code, 1);
    assert_eq!(verdicts(&report), ["a: merged", "b: conflict", "c: merged"]);
    assert_eq!(
        report["train"][1]["reason"],
        "conflicts with task a in README.md"
    );
    let status = site.task("b").status;
    assert_eq!(status.state.as_str(), "ready");
    let findings = status.findings.unwrap();
    for part in [
        "README.md",
        "# by a",
        "# by b",
        "<<<<<<< orch/integration",
        "task a",
    ] {
        assert!(findings.contains(part), "{part}: {findings}");
    }
    // The work itself is where it was.
    assert_eq!(site.rev("orch/team-2/b"), head);
}

#[test]
fn removed_here_and_changed_there_goes_back_to_its_coder() {
    let site = Site::over(
        TestRepo::new().write("f", "1\n2\n3\n").commit("f"),
        "true",
        &[("a", 1, &[]), ("b", 1, &[])],
    );
    site.repo.git(["switch", "-q", "-c", "orch/team-1/a"]);
    site.repo.git(["rm", "-q", "f"]);
    let message = "[TEAM-1] [AGENT-1.1] drop f\n\nOrch-Task: a\nOrch-Agent: 1.1";
    site.repo.git(["commit", "-qm", message]);
    let head = site.rev("HEAD");
    site.repo.git(["switch", "-q", "main"]);
    site.hand_in("a", "1.1", &head);
    site.work("b", "1.2", &[("f", "1\n2\n3\n4\n")]);
    let (code, report) = site.assemble();
    assert_eq!(code, 1);
    assert_eq!(verdicts(&report), ["a: merged", "b: conflict"]);
    let findings = site.task("b").status.findings.unwrap();
    assert!(findings.contains("CONFLICT (modify/delete)"), "{findings}");
}

#[test]
fn what_was_sent_back_comes_in_when_it_is_mended() {
    let site = Site::new(NOT_BAD, &[("a", 1, &[]), ("b", 1, &["a"])]);
    let bad = site.work("a", "1.1", &[("bad", "x\n")]);
    site.work_from(&bad, "b", "1.2", &[("b", "b\n")]);
    assert_eq!(site.assemble().0, 1);
    let message = "[TEAM-1] [AGENT-1.1] mend\n\nOrch-Task: a\nOrch-Agent: 1.1";
    site.repo.git(["switch", "-q", "orch/team-1/a"]);
    site.repo.git(["rm", "-q", "bad"]);
    site.repo.git(["commit", "-qm", message]);
    let head = site.rev("HEAD");
    site.repo.git(["switch", "-q", "main"]);
    site.hand_in("a", "1.1", &head);
    let (code, report) = site.assemble();
    assert_eq!(
        (code, verdicts(&report)),
        (0, vec!["a: merged".into(), "b: merged".into()])
    );
    assert!(site.file("orch/integration", "bad").is_none());
}

#[test]
fn pain_11_two_branches_that_are_green_alone_do_not_break_the_target_together() {
    let test =
        "for f in *.uses; do test -e \"$f\" || continue; test -e \"$(cat \"$f\")\" || exit 1; done";
    let repo = TestRepo::new().write("old-name", "x\n").commit("base");
    let site = Site::over(repo, test, &[("rename", 1, &[]), ("call", 1, &[])]);
    site.repo.git(["switch", "-q", "-c", "orch/team-1/rename"]);
    site.repo.git(["mv", "old-name", "new-name"]);
    site.repo.git([
        "commit",
        "-qm",
        "[TEAM-1] [AGENT-1.1] rename\n\nOrch-Task: rename\nOrch-Agent: 1.1",
    ]);
    let head = site.rev("HEAD");
    site.repo.git(["switch", "-q", "main"]);
    site.hand_in("rename", "1.1", &head);
    site.work("call", "1.2", &[("a.uses", "old-name\n")]);
    let (code, report) = site.assemble();
    assert_eq!(code, 1);
    assert_eq!(verdicts(&report), ["rename: merged", "call: test_failed"]);
    assert!(site.file("orch/integration", "a.uses").is_none());
    assert_eq!(site.state("call"), "ready");
    assert!(
        site.task("call")
            .status
            .findings
            .unwrap()
            .contains("it exited with 1")
    );
}

#[test]
fn a_failing_task_takes_its_dependents_along_and_nobody_else() {
    let site = Site::new(NOT_BAD, &[("a", 1, &[]), ("b", 1, &["a"]), ("c", 2, &[])]);
    let a = site.work("a", "1.1", &[("bad", "x\n")]);
    site.work_from(&a, "b", "1.2", &[("b", "b\n")]);
    site.work("c", "2.1", &[("c", "c\n")]);
    let (code, report) = site.assemble();
    assert_eq!(code, 1);
    assert_eq!(
        verdicts(&report),
        ["a: test_failed", "b: skipped", "c: merged"]
    );
    assert_eq!(
        report["train"][1]["reason"],
        "comes after a, which is not in"
    );
    assert_eq!((site.state("a"), site.state("b")), ("ready", "submitted"));
}

#[test]
fn work_of_a_task_that_is_not_in_does_not_come_in_by_another() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 1, &[])]);
    let message = "[TEAM-1] [AGENT-1.1] half\n\nOrch-Task: a\nOrch-Agent: 1.1";
    let half = site.branch("orch/team-1/a", "main", message, &[("a", "a\n")]);
    site.work_from(&half, "b", "1.2", &[("b", "b\n")]);
    let (code, report) = site.assemble();
    assert_eq!(code, 1);
    assert_eq!(verdicts(&report), ["b: skipped"]);
    let reason = report["train"][0]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("carries commits of a, which is "),
        "{reason}"
    );
    assert_eq!(site.state("b"), "submitted");
}

#[test]
fn what_hooks_would_have_refused_the_gate_refuses() {
    let site = Site::new("true", &[("a", 1, &[])]);
    let head = site.branch("orch/team-1/a", "main", "no tags at all", &[("a", "a\n")]);
    site.hand_in("a", "1.1", &head);
    let (code, report) = site.assemble();
    assert_eq!(code, 1);
    assert_eq!(verdicts(&report), ["a: gate_failed"]);
    assert_eq!(site.state("a"), "ready");
    assert!(
        site.task("a")
            .status
            .findings
            .unwrap()
            .contains("no team and agent")
    );
}

#[test]
fn a_red_target_blames_nobody() {
    let repo = TestRepo::new().write("bad", "x\n").commit("broken base");
    let site = Site::over(repo, NOT_BAD, &[("a", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    let (code, report) = site.assemble();
    assert_eq!(code, 1);
    assert_eq!(verdicts(&report), ["a: test_failed"]);
    assert!(
        report["train"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("may not be to blame")
    );
    assert_eq!(
        (site.state("a"), site.task("a").status.failures),
        ("submitted", 0)
    );
}

#[test]
fn commits_on_a_team_branch_are_tested_like_any_other() {
    let site = Site::new(NOT_BAD, &[("a", 1, &[]), ("b", 2, &[])]);
    site.branch(
        "orch/team-1/integration",
        "main",
        "by the leader",
        &[("lead", "x\n")],
    );
    site.branch(
        "orch/team-2/integration",
        "main",
        "by the leader",
        &[("bad", "x\n")],
    );
    site.work("a", "1.1", &[("a", "a\n")]);
    site.work("b", "2.1", &[("b", "b\n")]);
    let stray = site.rev("orch/team-2/integration");
    let (code, report) = site.assemble();
    assert_eq!(code, 1);
    assert_eq!(
        verdicts(&report),
        [
            "orch/team-1/integration: merged",
            "orch/team-2/integration: test_failed",
            "a: merged",
            "b: skipped"
        ]
    );
    assert!(site.file("orch/integration", "lead").is_some());
    assert!(site.file("orch/integration", "bad").is_none());
    assert_eq!(site.rev("orch/team-2/integration"), stray);
}

#[test]
fn a_batch_is_one_test_run_and_falls_back_to_one_by_one() {
    let site = Site::new(NOT_BAD, &[("a", 1, &[]), ("b", 1, &[]), ("c", 2, &[])]);
    for (task, agent) in [("a", "1.1"), ("b", "1.2"), ("c", "2.1")] {
        site.work(task, agent, &[(task, "x\n")]);
    }
    let (code, report) = assemble(&site.repo, &["assemble", "--json", "--gate", "batch"]);
    assert_eq!((code, &report["tests_run"]), (0, &1.into()), "{report}");
    assert_eq!(site.state("b"), "merged");

    let site = Site::new(NOT_BAD, &[("a", 1, &[]), ("b", 1, &[]), ("c", 2, &[])]);
    site.work("a", "1.1", &[("a", "x\n")]);
    site.work("b", "1.2", &[("bad", "x\n")]);
    site.work("c", "2.1", &[("c", "x\n")]);
    let (code, report) = assemble(&site.repo, &["assemble", "--json", "--gate", "batch"]);
    assert_eq!(code, 1);
    assert_eq!(
        verdicts(&report),
        ["a: merged", "b: test_failed", "c: merged"]
    );
}

#[test]
fn a_tree_that_passed_is_not_tested_again() {
    let site = Site::new("echo x >> \"$HOME/runs\"", &[("a", 1, &[])]);
    let (a, main) = (site.work("a", "1.1", &[("a", "a\n")]), site.rev("main"));
    site.assemble();
    // The same tree again, elsewhere.
    site.repo.git(["branch", "other", &main]);
    let test = "echo x >> \"$HOME/runs\"";
    let args = ["assemble", "--json", "--onto", "other", "--test", test, &a];
    let (code, report) = assemble(&site.repo, &args);
    assert_eq!(code, 0, "{report}");
    assert_eq!(
        (&report["tests_run"], &report["tests_cached"]),
        (&0.into(), &1.into())
    );
    let runs = std::fs::read_to_string(site.repo.outside().join("home/runs")).unwrap();
    assert_eq!(runs.lines().count(), 1);
}

#[test]
fn a_plan_without_a_test_says_that_nothing_was_tested() {
    let site = Site::new("", &[("a", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    let outcome = site.repo.orch(["assemble"]);
    assert!(
        outcome.stderr().contains("nothing was tested"),
        "{}",
        outcome.stderr()
    );
    outcome.ok();
    assert_eq!(site.state("a"), "merged");
}

#[test]
fn killed_while_the_test_runs_it_lands_once_when_run_again() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 1, &[])]);
    let held = Held::new(&site.repo);
    let test = held.command();
    site.work("a", "1.1", &[("a", "a\n")]);
    site.work("b", "1.2", &[("b", "b\n")]);
    held.hold(true);
    let mut child = held.start(&site.repo, &["assemble", "--test", &test]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(held.background_lives());
    assert_eq!(site.state("a"), "submitted");
    held.hold(false);
    let (code, report) = assemble(&site.repo, &["assemble", "--json", "--test", &test]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(verdicts(&report), ["a: merged", "b: merged"]);
    assert!(!held.background_lives());
    let merges = site.repo.git([
        "log",
        "--first-parent",
        "--format=%s",
        "main..orch/integration",
    ]);
    assert_eq!(merges.lines().count(), 2, "{merges}");
}

#[test]
fn pain_09_killed_between_landing_and_recording_it_is_recorded_not_merged_again() {
    let site = Site::new(NOT_BAD, &[("a", 1, &[]), ("b", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    let ledger = site.rev("orchestration");
    site.repo.orch(["assemble"]).ok();
    let landed = site.rev("orch/integration");
    // As if the process had been killed right after the refs moved.
    site.repo
        .git(["update-ref", "refs/heads/orchestration", &ledger]);
    std::fs::remove_dir_all(site.repo.path().join(".git/orch")).unwrap();
    let (code, report) = site.assemble();
    assert_eq!(code, 0, "{report}");
    assert_eq!(verdicts(&report), ["a: merged"]);
    assert_eq!(report["train"][0]["commit"], landed);
    assert_eq!(site.rev("orch/integration"), landed);
    assert_eq!(site.task("a").status.commit.unwrap().0, landed);
    assert_eq!(report["tests_run"], 0);
    site.repo.orch(["approve"]).ok();
}

#[test]
fn locks_that_a_killed_git_left_on_our_branches_are_taken_away() {
    let site = Site::new(NOT_BAD, &[("a", 1, &[])]);
    let head = site.work("a", "1.1", &[("a", "a\n")]);
    let main = site.rev("main");
    for branch in ["orch/integration", "orch/team-1/integration"] {
        site.repo.git(["branch", branch, "main"]);
        let lock = site
            .repo
            .path()
            .join(format!(".git/refs/heads/{branch}.lock"));
        std::fs::write(lock, "").unwrap();
    }
    let text = format!(
        "{{\"kind\":\"Assembly\",\"moves\":[\
         {{\"branch\":\"refs/heads/orch/integration\",\"old\":\"{main}\",\"new\":\"{head}\"}},\
         {{\"branch\":\"refs/heads/orch/team-1/integration\",\"old\":null,\"new\":\"{head}\"}}]}}"
    );
    note(&site.repo, "moving.json", "moves", &text);
    let (code, report) = site.assemble();
    assert_eq!(code, 0, "{report}");
    assert_eq!(site.state("a"), "merged");
}

#[test]
fn killed_before_the_report_the_next_assembly_writes_it() {
    let site = Site::new(NOT_BAD, &[("a", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.repo.orch(["assemble"]).ok();
    let subject = site.repo.git(["log", "-1", "--format=%s", "orchestration"]);
    assert!(subject.contains("assemble"), "{subject}");
    site.repo
        .git(["update-ref", "refs/heads/orchestration", "orchestration~1"]);
    // Nor had the killed one noted in the lock's file how far it got.
    std::fs::remove_file(site.repo.path().join(".git/orch/lock")).unwrap();
    site.repo.orch(["approve"]).fails(1);
    site.repo.orch(["assemble"]).ok();
    site.repo.orch(["assemble"]).fails(3);
    site.repo.orch(["approve"]).ok();
}

#[test]
fn interrupted_it_ends_the_test_and_says_so() {
    let site = Site::new("true", &[("a", 1, &[])]);
    let held = Held::new(&site.repo);
    site.work("a", "1.1", &[("a", "a\n")]);
    held.hold(true);
    let mut child = held.start(&site.repo, &["assemble", "--test", &held.command()]);
    let pid = child.id().to_string();
    let asked = site
        .repo
        .command("kill", site.repo.path())
        .args(["-INT", &pid])
        .status();
    assert!(asked.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!held.background_lives());
    assert_eq!(site.state("a"), "submitted");
    held.hold(false);
    site.repo.orch(["assemble"]).ok();
}

#[test]
fn a_test_that_hangs_is_ended_and_the_rest_goes_on() {
    let test = "test ! -e hang || sleep 1000'''\ntest_timeout = '''1s";
    let site = Site::new(test, &[("a", 1, &[]), ("b", 1, &[])]);
    site.work("a", "1.1", &[("hang", "x\n")]);
    site.work("b", "1.2", &[("b", "b\n")]);
    let (code, report) = site.assemble();
    assert_eq!(code, 1);
    assert_eq!(verdicts(&report), ["a: test_failed", "b: merged"]);
    let reason = &report["train"][0]["reason"];
    assert_eq!(reason, "the test fails: it took longer than 1s");
}

#[test]
fn endless_output_is_bounded_and_made_harmless() {
    let test = "test ! -e loud || { yes \"$(printf '\\033[31mred')\" | head -c 9000000; exit 7; }";
    let site = Site::new(test, &[("a", 1, &[])]);
    site.work("a", "1.1", &[("loud", "x\n")]);
    let (_, report) = site.assemble();
    assert_eq!(verdicts(&report), ["a: test_failed"]);
    let findings = site.task("a").status.findings.unwrap();
    assert!(findings.len() < 32 * 1024, "{}", findings.len());
    assert!(findings.contains("red") && !findings.contains('\u{1b}'));
}

#[test]
fn a_bare_repository_and_a_linked_worktree_will_do() {
    let repo = TestRepo::new();
    branch(&repo, "a", "main", "a", &[("a", "a\n")]);
    branch(&repo, "b", "main", "b", &[("b", "b\n")]);
    let (bare, linked) = (
        repo.outside().join("bare.git"),
        repo.outside().join("linked"),
    );
    repo.git(["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let args = [
        "assemble",
        "--onto",
        "main",
        "--test",
        "test -e a",
        "a",
        "b",
    ];
    repo.orch_in(&bare, args).ok();
    assert_eq!(
        repo.git_in(&bare, ["ls-tree", "--name-only", "main"]),
        "README.md\na\nb"
    );
    assert!(!bare.join("orch").exists() && !bare.join("worktrees").exists());
    repo.git(["worktree", "add", "-q", linked.to_str().unwrap(), "a"]);
    repo.orch_in(&linked, args).ok();
    assert!(repo.path().join("b").exists() && linked.join("a").exists());
    assert_eq!(repo.git_in(&linked, ["status", "--porcelain"]), "");
}

#[test]
fn a_second_assembler_waits_for_its_turn_or_is_refused() {
    let site = Site::new("true", &[("a", 1, &[])]);
    let held = Held::new(&site.repo);
    site.work("a", "1.1", &[("a", "a\n")]);
    held.hold(true);
    let child = held.start(&site.repo, &["assemble", "--test", &held.command()]);
    let complaint = site.repo.orch(["assemble", "--no-wait"]).fails(1);
    assert!(complaint.contains("another"), "{complaint}");
    let mut second = site
        .repo
        .orch_command(site.repo.path())
        .arg("assemble")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let said = second.stderr.as_mut().unwrap();
    BufReader::new(said).read_line(&mut line).unwrap();
    assert!(line.contains("waits for its turn"), "{line}");
    let complaint = site.repo.orch(["approve"]).fails(1);
    assert!(complaint.contains("another"), "{complaint}");
    held.hold(false);
    held.go();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(site.state("a"), "merged");
    // By its turn everything is in.
    assert_eq!(second.wait().unwrap().code(), Some(3));
    assert!(!held.background_lives());
}

#[test]
fn a_test_that_moves_the_target_lands_nothing_by_itself() {
    let repo = TestRepo::new();
    branch(&repo, "a", "main", "a", &[("a", "a\n")]);
    branch(&repo, "evil", "main", "evil", &[("evil", "x\n")]);
    repo.git(["switch", "-q", "--detach"]);
    let test = "test -e evil || git update-ref refs/heads/main refs/heads/evil";
    let args = ["assemble", "--json", "--onto", "main", "--test", test, "a"];
    let (code, report) = assemble(&repo, &args);
    // It moved the target itself, once; what was merged came onto that and was tested there.
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["tests_run"], 2);
    assert_eq!(repo.git(["rev-list", "--count", "--merges", "main"]), "1");
    assert_eq!(
        repo.git(["rev-parse", "main^1"]),
        repo.git(["rev-parse", "evil"])
    );
}

#[test]
fn a_test_that_changes_files_or_hangs_changes_no_verdict_of_others() {
    let repo = TestRepo::new().write("kept", "x\n").commit("kept");
    for name in ["a", "b"] {
        branch(&repo, name, "main", name, &[(name, "x\n")]);
    }
    let test = "test -e kept && test ! -e junk && git init -q nest && touch junk && rm kept && \
                touch \"$(git rev-parse --git-dir)/index.lock\"";
    let args = [
        "assemble", "--json", "--onto", "main", "--test", test, "a", "b",
    ];
    let (code, report) = assemble(&repo, &args);
    assert_eq!(code, 0, "{report}");
    assert_eq!(repo.git(["status", "--porcelain"]), "");
    assert!(repo.path().join("b").exists());
}

#[test]
fn branches_come_in_without_a_plan_and_nothing_is_left_behind() {
    let repo = TestRepo::new();
    branch(&repo, "a", "main", "a", &[("a", "a\n")]);
    branch(&repo, "b", "main", "b", &[("bad", "b\n")]);
    branch(&repo, "c", "main", "c", &[("README.md", "# c\n")]);
    branch(&repo, "d", "main", "d", &[("README.md", "# d\n")]);
    branch(&repo, "old", "main~0", "old", &[("o", "o\n")]);
    repo.git(["branch", "same", "main"]);
    repo.git(["branch", "-f", "old", "main"]);
    repo.git(["switch", "-q", "--orphan", "alien"]);
    let repo = repo.write("z", "z\n").commit("alien");
    repo.git(["switch", "-q", "main"]);
    let before = repo.git(["rev-parse", "main"]);
    let args = [
        "assemble", "--json", "--onto", "main", "--test", NOT_BAD, "a", "b", "c", "d", "same",
        "nope", "a", "alien",
    ];
    let (code, report) = assemble(&repo, &args);
    assert_eq!(code, 1);
    assert_eq!(
        verdicts(&report),
        [
            "a: merged",
            "b: test_failed",
            "c: merged",
            "d: conflict",
            "same: skipped",
            "nope: skipped",
            "a: skipped",
            "alien: conflict"
        ]
    );
    let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
    let expected = [
        "target",
        "before",
        "after",
        "train",
        "tests_run",
        "tests_cached",
        "seconds",
    ];
    assert_eq!(keys[..expected.len()], expected);
    let keys: Vec<&String> = report["train"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["branch", "task", "verdict", "commit", "reason"]);
    assert_eq!(report["before"], before);
    assert_eq!(report["after"], repo.git(["rev-parse", "main"]));
    assert_eq!(repo.git(["status", "--porcelain"]), "");
    assert!(repo.path().join("a").exists());
    assert!(!repo.path().join(".git/orch").exists());
    assert!(!repo.path().join(".git/worktrees").exists());
    assert!(!repo.path().with_file_name("repo.orch").exists());
    repo.git(["fsck", "--strict"]);
}

#[test]
fn all_in_already_is_no_failure() {
    let repo = TestRepo::new();
    repo.git(["branch", "same"]);
    let args = [
        "assemble", "--json", "--onto", "main", "--test", "true", "same",
    ];
    let (code, report) = assemble(&repo, &args);
    assert_eq!(
        (code, verdicts(&report)),
        (0, vec![String::from("same: skipped")])
    );
    repo.orch(["assemble", "--onto", "main", "same"]).fails(1);
    repo.orch(["assemble", "--onto", "nope", "--test", "true", "same"])
        .fails(1);
    repo.orch(["assemble", "--test", "true", "same"]).fails(2);
}

#[test]
fn names_modes_line_ends_and_submodules_survive() {
    let repo = TestRepo::new()
        .write("crlf", "a\r\nb\r\nc\r\nd\r\n")
        .commit("base");
    branch(
        &repo,
        "feature/ünï",
        "main",
        "a",
        &[("a b/ü \"q\".txt", "x\n"), ("crlf", "A\r\nb\r\nc\r\nd\r\n")],
    );
    branch(&repo, "b", "main", "b", &[("crlf", "a\r\nb\r\nc\r\nD\r\n")]);
    let commit = repo.git(["rev-parse", "main"]);
    repo.git(["switch", "-q", "-c", "modes"]);
    let repo = repo.write("run.sh", "#!/bin/sh\n");
    repo.git(["add", "run.sh"]);
    repo.git(["update-index", "--chmod=+x", "run.sh"]);
    repo.git([
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{commit},sub"),
    ]);
    repo.git(["commit", "-qm", "modes"]);
    repo.git(["checkout", "-q", "-f", "main"]);
    let test = "test -x run.sh || test ! -e run.sh";
    let args = [
        "assemble",
        "--json",
        "--onto",
        "main",
        "--test",
        test,
        "feature/ünï",
        "b",
        "modes",
    ];
    let (code, report) = assemble(&repo, &args);
    assert_eq!(code, 0, "{report}");
    let text = std::fs::read(repo.path().join("crlf")).unwrap();
    assert_eq!(text, b"A\r\nb\r\nc\r\nD\r\n");
    assert!(repo.path().join("a b/ü \"q\".txt").exists());
    let tree = repo.git(["ls-tree", "-r", "main"]);
    assert!(
        tree.contains("160000 commit") && tree.contains("100755 blob"),
        "{tree}"
    );
}

#[test]
fn pain_01_merging_never_removes_the_repository_or_its_branches() {
    let repo = TestRepo::new();
    for (name, file) in [("a", "a"), ("b", "bad"), ("c", "c")] {
        branch(&repo, name, "main", name, &[(file, "x\n")]);
    }
    let all = "for-each-ref --format=%(refname) refs/heads".split(' ');
    let before = repo.git(all.clone());
    let heads: Vec<String> = ["a", "b", "c"].map(|b| repo.git(["rev-parse", b])).into();
    let _ = repo.orch([
        "assemble", "--onto", "main", "--test", NOT_BAD, "a", "b", "c",
    ]);
    assert_eq!(repo.git(all), before);
    let after: Vec<String> = ["a", "b", "c"].map(|b| repo.git(["rev-parse", b])).into();
    assert_eq!(after, heads);
    assert!(repo.path().join(".git/HEAD").exists() && repo.path().join("README.md").exists());
}

#[test]
fn pain_02_edits_that_are_not_committed_are_never_eaten() {
    let repo = TestRepo::new();
    branch(&repo, "a", "main", "a", &[("README.md", "# by a\n")]);
    branch(&repo, "b", "main", "b", &[("new", "by b\n")]);
    let repo = repo.write("README.md", "# mine\n");
    let before = repo.git(["rev-parse", "main"]);
    let args = ["assemble", "--onto", "main", "--test", "true", "a"];
    let complaint = repo.orch(args).fails(1);
    assert!(
        complaint.contains("not committed: README.md"),
        "{complaint}"
    );
    assert!(complaint.contains("stash"), "{complaint}");
    assert_eq!(repo.git(["rev-parse", "main"]), before);
    let text = std::fs::read_to_string(repo.path().join("README.md")).unwrap();
    assert_eq!(text, "# mine\n");
    // A file that git does not know, where a branch would put one.
    repo.git(["checkout", "-q", "README.md"]);
    let repo = repo.write("new", "mine\n");
    assert!(!repo.path().join(".git/orch").exists());
    let complaint = repo
        .orch(["assemble", "--onto", "main", "--test", "true", "b"])
        .fails(1);
    assert!(complaint.contains("in the way: new"), "{complaint}");
    assert_eq!(repo.git(["rev-parse", "main"]), before);
    assert_eq!(
        std::fs::read_to_string(repo.path().join("new")).unwrap(),
        "mine\n"
    );
}

#[test]
fn pain_04_a_failed_merge_keeps_the_only_copy() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 1, &[])]);
    site.work("a", "1.1", &[("README.md", "# by a\n")]);
    let head = site.work("b", "1.2", &[("README.md", "# by b\n"), ("more", "work\n")]);
    let (_, report) = site.assemble();
    assert_eq!(verdicts(&report)[1], "b: conflict");
    assert_eq!(site.rev("orch/team-1/b"), head);
    assert_eq!(
        site.file("orch/team-1/b", "more").as_deref(),
        Some("work\n")
    );
    assert_eq!(site.task("b").status.head.unwrap().0, head);
}

#[test]
fn pain_05_a_conflict_is_never_resolved_by_dropping_a_side() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 1, &[])]);
    site.work("a", "1.1", &[("README.md", "# a project\nby a\n")]);
    site.work("b", "1.2", &[("README.md", "# a project\nby b\n")]);
    let (_, report) = site.assemble();
    assert_eq!(verdicts(&report), ["a: merged", "b: conflict"]);
    let text = site.file("orch/integration", "README.md").unwrap();
    assert_eq!(text, "# a project\nby a\n");
    assert_ne!(site.state("b"), "merged");
}

#[test]
fn pain_06_a_branch_cut_long_ago_brings_its_own_changes_only() {
    let repo = TestRepo::new();
    branch(&repo, "old", "main", "old", &[("old", "x\n")]);
    let repo = repo
        .write("README.md", "# upstream\n")
        .write("up", "x\n")
        .commit("upstream");
    let repo_ref = &repo;
    let args = [
        "assemble", "--json", "--onto", "main", "--test", "true", "old",
    ];
    let (code, report) = assemble(repo_ref, &args);
    assert_eq!(code, 0, "{report}");
    let changed = repo.git(["diff", "--name-only", "main^1", "main"]);
    assert_eq!(changed, "old");
    assert_eq!(repo.git(["show", "main:README.md"]), "# upstream");
}

#[test]
fn agents_do_not_assemble() {
    let site = Site::new("true", &[("a", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    let run = |agent: &str, verb: &str| {
        let mut command = site.repo.orch_command(site.repo.path());
        command
            .env("ORCH_AGENT", agent)
            .arg(verb)
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(run("1.1", "assemble"), Some(1));
    assert_eq!(run("1.1", "approve"), Some(1));
    assert_eq!(site.state("a"), "submitted");
    // A leader integrates its own team's work only, and there are two teams.
    assert_eq!(run("1.0", "assemble"), Some(1));
    assert_eq!(run("1.0", "approve"), Some(1));
}
