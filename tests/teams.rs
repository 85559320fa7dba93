//! Teams brought together by themselves: each on its own branch, side by side, taken up as a whole later.

use std::process::Child;

use super::common::Outcome;
use super::common::site::{Held, Site, assemble, note, verdicts};

const NOT_BAD: &str = "test ! -e bad && ! { test -e one && test -e two; }";

fn team(site: &Site, team: &str) -> (i32, serde_json::Value) {
    assemble(&site.repo, &["assemble", "--json", "--team", team])
}

fn integration(team: u32) -> String {
    format!("orch/team-{team}/integration")
}

#[test]
fn a_team_comes_together_on_its_branch_and_goes_up_as_a_whole() {
    let tasks: &[(&str, u32, &[&str])] = &[
        ("a", 1, &[]),
        ("b", 1, &["a"]),
        ("x", 1, &[]),
        ("c", 2, &[]),
    ];
    let site = Site::new(NOT_BAD, tasks);
    let a = site.work("a", "1.1", &[("a", "a\n")]);
    site.work_from(&a, "b", "1.2", &[("b", "b\n")]);
    site.work("x", "1.3", &[("bad", "x\n")]);
    site.work("c", "2.1", &[("c", "c\n")]);
    let (code, report) = team(&site, "1");
    assert_eq!(code, 1, "{report}");
    assert_eq!(report["target"], integration(1));
    let mut told = verdicts(&report);
    told.sort();
    assert_eq!(told, ["a: merged", "b: merged", "x: test_failed"]);
    let states = ["a", "b", "x", "c"].map(|task| site.state(task));
    assert_eq!(states, ["accepted", "accepted", "ready", "submitted"]);
    // Nothing but that branch has moved.
    let here = site.repo.try_git_in(
        site.repo.path(),
        ["rev-parse", "-q", "--verify", "orch/integration"],
    );
    assert_ne!(here.code(), 0);
    assert_eq!(site.file(&integration(1), "b").as_deref(), Some("b\n"));
    let accepted = site.repo.git([
        "log",
        "--format=%s",
        "--grep=Orch-Event: accept",
        "orchestration",
    ]);
    assert_eq!(accepted.lines().count(), 2, "{accepted}");
    assert!(
        accepted.contains("[TEAM-1] [AGENT-1.2] accept b: Do b"),
        "{accepted}"
    );
    let again = site.repo.orch(["assemble", "--team", "1"]).fails(3);
    assert!(again.contains("its branch lacks"), "{again}");

    let (code, report) = site.assemble();
    assert_eq!(code, 0, "{report}");
    let merged = [format!("{}: merged", integration(1))];
    assert_eq!(verdicts(&report)[..1], merged, "{report}");
    // The team's tree is known to pass; one run is for the other team's task on top of it.
    assert_eq!(
        (report["tests_run"].as_u64(), site.state("b")),
        (Some(1), "merged"),
        "{report}"
    );
    assert_eq!(site.rev(&integration(1)), site.rev("orch/integration"));
    site.repo.orch(["approve"]).ok();
}

#[test]
fn a_team_that_fails_as_a_whole_loses_only_what_is_to_blame() {
    let tasks: &[(&str, u32, &[&str])] = &[("a", 1, &[]), ("b", 2, &[]), ("c", 2, &[])];
    let site = Site::new(NOT_BAD, tasks);
    site.work("a", "1.1", &[("one", "a\n")]);
    site.work("b", "2.1", &[("b", "b\n")]);
    site.work("c", "2.2", &[("two", "c\n")]);
    assert_eq!(team(&site, "1").0, 0);
    assert_eq!(team(&site, "2").0, 0);
    let before = site.rev(&integration(2));
    let (code, report) = site.assemble();
    assert_eq!(code, 1, "{report}");
    let states = ["a", "b", "c"].map(|task| site.state(task));
    assert_eq!(states, ["merged", "merged", "ready"], "{report}");
    assert_eq!(site.file("orch/integration", "two"), None);
    // The branch starts again where integration is; what it was is kept.
    assert_eq!(site.rev(&integration(2)), site.rev("orch/integration"));
    let kept = site.repo.git([
        "for-each-ref",
        "--format=%(*objectname)",
        "refs/orch/recovery",
    ]);
    assert_eq!(kept.trim(), before);
    site.repo.orch(["assemble"]).fails(3);
    site.repo.orch(["approve"]).ok();
}

#[test]
fn what_a_person_commits_to_a_team_branch_is_never_started_again() {
    let site = Site::new(NOT_BAD, &[("a", 1, &[]), ("b", 2, &[])]);
    site.work("a", "1.1", &[("one", "a\n")]);
    assert_eq!(team(&site, "1").0, 0);
    site.branch(
        &integration(1),
        &integration(1),
        "by hand",
        &[("two", "x\n")],
    );
    let by_hand = site.rev(&integration(1));
    site.work("b", "2.1", &[("b", "b\n")]);
    let (code, report) = site.assemble();
    assert_eq!(code, 1, "{report}");
    assert_eq!((site.state("a"), site.state("b")), ("accepted", "merged"));
    assert_eq!(site.rev(&integration(1)), by_hand);
}

#[test]
fn a_team_takes_up_what_was_integrated_since() {
    let tasks: &[(&str, u32, &[&str])] = &[("a", 1, &[]), ("b", 2, &[]), ("c", 1, &["b"])];
    let site = Site::new(NOT_BAD, tasks);
    site.work("b", "2.1", &[("b", "b\n")]);
    assert_eq!(site.assemble().0, 0);
    site.work("a", "1.1", &[("a", "a\n")]);
    // Its branch has something of its own, and lacks what b brings.
    site.repo.git(["branch", "-f", &integration(1), "main"]);
    site.branch(&integration(1), "main", "by hand", &[("hand", "x\n")]);
    site.work_from("orch/integration", "c", "1.2", &[("c", "c\n")]);
    let refused = site.repo.orch(["assemble", "--team", "1"]).fails(1);
    assert!(refused.contains("--accept-moved"), "{refused}");
    let args = ["assemble", "--json", "--team", "1", "--accept-moved"];
    let (code, report) = assemble(&site.repo, &args);
    assert_eq!(code, 0, "{report}");
    let told = verdicts(&report);
    assert_eq!(told[0], "orch/integration: merged", "{report}");
    assert_eq!((site.state("a"), site.state("c")), ("accepted", "accepted"));
    for path in ["a", "b", "c", "hand"] {
        assert!(site.file(&integration(1), path).is_some(), "{path}");
    }
    assert_eq!(site.assemble().0, 0);
    assert_eq!(site.rev(&integration(1)), site.rev("orch/integration"));
}

#[test]
fn only_its_leader_brings_a_team_together() {
    let site = Site::new("true", &[("a", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    let by = |agent: &str| {
        let mut orch = site.repo.orch_command(site.repo.path());
        orch.env("ORCH_AGENT", agent)
            .args(["assemble", "--team", "1"]);
        Outcome(orch.output().unwrap())
    };
    for agent in ["1.1", "2.0"] {
        let refused = by(agent).fails(1);
        assert!(
            refused.contains("may not assemble team 1: only its leader 1.0"),
            "{refused}"
        );
    }
    by("1.0").ok();
    assert_eq!(site.state("a"), "accepted");
    let unknown = site.repo.orch(["assemble", "--team", "7"]).fails(1);
    assert!(unknown.contains("there is no team 7"), "{unknown}");
    site.repo
        .orch(["assemble", "--team", "1", "--onto", "main"])
        .fails(2);
}

/// A test that waits for the other team's: it passes only where both run at the same time.
fn meeting(site: &Site) -> String {
    let dir = site.repo.outside().join("meeting");
    std::fs::create_dir(&dir).unwrap();
    for name in ["one", "two"] {
        let made = site
            .repo
            .command("mkfifo", site.repo.path())
            .arg(dir.join(name))
            .status();
        assert!(made.unwrap().success());
    }
    let script = dir.join("meet.sh");
    let shown = dir.display();
    let text = format!(
        "if test -e a; then echo x > '{shown}/one' && read y < '{shown}/two'; \
         else read x < '{shown}/one' && echo y > '{shown}/two'; fi"
    );
    std::fs::write(&script, text).unwrap();
    // Whoever waits in vain for the other ends, and fails.
    format!("timeout 120 sh '{}'", script.display())
}

#[test]
fn teams_are_tested_side_by_side() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 2, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.work("b", "2.1", &[("b", "b\n")]);
    let test = meeting(&site);
    let start = |team: &str| -> Child {
        let mut orch = site.repo.orch_command(site.repo.path());
        orch.args(["assemble", "--quiet", "--team", team, "--test", &test]);
        orch.stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    // Both block until the other's test runs: one after the other they would never end.
    let mut both = [start("1"), start("2")];
    for child in &mut both {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!((site.state("a"), site.state("b")), ("accepted", "accepted"));
    assert_eq!(site.assemble().0, 0);
    let left = std::fs::read_dir(site.repo.path().join(".git/worktrees")).unwrap();
    let names: Vec<String> = left
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.iter().any(|name| name == "orch-assembler-team-2"),
        "{names:?}"
    );
    site.repo.orch(["approve"]).ok();
    site.repo.orch(["init", "--undo"]).ok();
    assert!(!site.repo.path().join(".git/worktrees").exists());
}

#[test]
fn everything_waits_for_the_teams_and_they_for_it() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 2, &[])]);
    let held = Held::new(&site.repo);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.work("b", "2.1", &[("b", "b\n")]);
    held.hold(true);
    let mut child = held.start(
        &site.repo,
        &["assemble", "--team", "1", "--test", &held.command()],
    );
    for refused in [
        vec!["assemble", "--no-wait"],
        vec!["approve"],
        vec!["assemble", "--no-wait", "--team", "1"],
    ] {
        let told = site.repo.orch(&refused).fails(1);
        assert!(told.contains("is at work"), "{refused:?}: {told}");
    }
    site.repo
        .orch(["assemble", "--no-wait", "--team", "2"])
        .ok();
    held.go();
    assert!(child.wait().unwrap().success());
    // What it holds now is everything.
    let mut child = held.start(&site.repo, &["assemble", "--test", &held.command()]);
    for team in ["1", "2"] {
        let told = site
            .repo
            .orch(["assemble", "--no-wait", "--team", team])
            .fails(1);
        assert!(told.contains("is at work"), "{told}");
    }
    held.hold(false);
    held.go();
    assert!(child.wait().unwrap().success());
    assert_eq!((site.state("a"), site.state("b")), ("merged", "merged"));
}

#[test]
fn killed_while_its_branch_moved_the_files_follow_later() {
    for everything in [false, true] {
        let site = Site::new("true", &[("a", 1, &[])]);
        let branch = integration(1);
        site.repo.git(["branch", &branch, "main"]);
        let dir = site.repo.outside().join("seen");
        site.repo
            .git(["worktree", "add", "-q", dir.to_str().unwrap(), &branch]);
        let (main, head) = (site.rev("main"), site.work("a", "1.1", &[("a", "a\n")]));
        // As a killed one leaves it: the branch has moved, its files have not.
        let name = format!("refs/heads/{branch}");
        site.repo.git(["update-ref", &name, &head]);
        let text = format!(
            "{{\"kind\":\"Assembly\",\"moves\":[{{\"branch\":\"{name}\",\"old\":\"{main}\",\"new\":\"{head}\"}}]}}"
        );
        let path = site.repo.path().join(".git/orch/moving-team-1.json");
        note(&site.repo, "moving-team-1.json", "moves", &text);
        let args: &[&str] = if everything {
            &["assemble"]
        } else {
            &["assemble", "--team", "1"]
        };
        site.repo.orch(args).ok();
        assert!(dir.join("a").exists() && !path.exists(), "{everything}");
        assert_eq!(site.repo.git_in(&dir, ["status", "--porcelain"]), "");
    }
}

#[test]
fn where_a_team_branch_conflicts_with_integration_no_coder_is_blamed() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 2, &[])]);
    site.branch(&integration(1), "main", "by hand", &[("file", "hand\n")]);
    site.repo.git(["branch", "orch/integration", "main"]);
    site.branch(
        "orch/integration",
        "main",
        "by hand",
        &[("file", "other\n")],
    );
    // Cut from what the team's branch does not have.
    site.work_from("orch/integration", "a", "1.1", &[("a", "a\n")]);
    let (code, report) = team(&site, "1");
    assert_eq!(code, 1, "{report}");
    assert_eq!(
        verdicts(&report),
        ["orch/integration: conflict", "a: skipped"]
    );
    assert_eq!(site.state("a"), "submitted");
}
