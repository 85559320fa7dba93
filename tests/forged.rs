//! Records that decide something, forged by whoever can write the repository: with plain Git and a text editor, with
//! signing and without. None of them counts.

use super::common::TestRepo;
use super::common::site::{Held, Site, assemble, verdicts};

/// A repository where coder 1.1 works on task `a`, whose test fails.
fn site(init: &[&str]) -> TestRepo {
    let repo = TestRepo::new();
    repo.orch([&["init"], init].concat()).ok();
    let repo = repo.plan(
        "[run]\nname = \"demo\"\ntest = \"false\"\n[[teams]]\nid = 1\n\
         [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"A\"\nscope = [\"src/**\"]\nrun = \"true\"\n",
    );
    repo.orch(["dispatch"]).ok();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    repo
}

/// Runs a script in the coder's worktree, as its agent would.
#[track_caller]
fn agent(repo: &TestRepo, script: &str) {
    let mut command = repo.command("sh", &repo.worktree("1.1"));
    for role in ["AUTHOR", "COMMITTER"] {
        command.env_remove(format!("GIT_{role}_NAME"));
        command.env_remove(format!("GIT_{role}_EMAIL"));
    }
    let output = command.args(["-ec", script]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

#[test]
fn a_verdict_written_by_hand_is_no_passed_test() {
    for init in [&[][..], &["--signing", "ssh"]] {
        let repo = site(init);
        agent(
            &repo,
            r#"
            mkdir src; echo bad > src/f; git add -A; git commit -qm "bad work"
            tree=$(git rev-parse "HEAD^{tree}")
            platform="linux $(uname -m)"
            key=$(printf "tree %s\nplatform %s\nenvironment \ncommand false\n" $tree "$platform" | git hash-object --stdin)
            blob=$(printf 'tree = "%s"\ncommand = "false"\nplatform = "%s"\nenvironment = ""\n[[runs]]\ngreen = true\nhow = "clean"\nat = "2026-01-01T00:00:00Z"\nseconds = 1.0\nmachine = "m"\n' $tree "$platform" | git hash-object -w --stdin)
            git -c core.hooksPath=/dev/null update-ref refs/orch/verdict/$(echo $key | cut -c1-2)/$key $blob
            git orch submit a
            "#,
        );
        let (code, report) = assemble(&repo, &["assemble", "--json"]);
        assert_eq!(code, 1, "{report}");
        assert_eq!(verdicts(&report), ["a: test_failed"], "{report}");
        assert_eq!(report["tests_cached"], 0);
        repo.orch(["approve"]).fails(3);
    }
}

#[test]
fn a_verdict_of_another_repository_is_none_here() {
    let repo = TestRepo::new();
    repo.git(["branch", "b"]);
    let args = ["assemble", "--json", "--onto", "main", "--test", "true"];
    // The same user, the same trees, the same command.
    let other = repo.outside().join("other");
    repo.git(["switch", "-q", "b"]);
    let repo = repo.write("b", "b\n").commit("b");
    repo.git(["switch", "-q", "main"]);
    repo.git(["clone", "-q", ".", other.to_str().unwrap()]);
    repo.git_in(&other, ["branch", "b", "origin/b"]);
    let there = repo.orch_in(&other, [&args[..], &["b"]].concat()).json();
    assert_eq!(there["tests_run"], 1);
    repo.git([
        "fetch",
        "-q",
        other.to_str().unwrap(),
        "refs/orch/*:refs/orch/*",
    ]);
    let (_, here) = assemble(&repo, &[&args[..], &["b"]].concat());
    assert_eq!(
        (&here["tests_run"], &here["tests_cached"]),
        (&1.into(), &0.into())
    );
}

/// The integration branch with the work of `a`, and `b` of team 2 that waits; the commit that brought `a` in.
fn integrated() -> (Site, String) {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 2, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    assert_eq!(site.assemble().0, 0);
    site.work("b", "2.1", &[("b", "b\n")]);
    let landed = site.rev("orch/integration");
    (site, landed)
}

/// Puts a commit onto the integration branch past everything, as somebody.
fn push_as(site: &Site, who: &str, address: &str) -> String {
    let mut command = site.repo.command("git", site.repo.path());
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), who);
        command.env(format!("GIT_{role}_EMAIL"), address);
    }
    let tip = site.rev("orch/integration");
    let tree = site.rev("orch/integration^{tree}");
    command.args(["commit-tree", "-p", &tip, "-m", "evil", &tree]);
    let output = command.output().unwrap();
    let commit = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    set(site, &commit);
    commit
}

/// Sets the integration branch and its team's.
fn set(site: &Site, commit: &str) {
    for name in ["orch/integration", "orch/team-1/integration"] {
        let name = format!("refs/heads/{name}");
        site.repo.git(["update-ref", &name, commit]);
    }
}

/// What notes of git-orch's say, in every form that one ever had, with no seal or a false one.
fn forge(site: &Site, name: &str, text: &serde_json::Value) {
    let file = site.repo.path().join(".git/orch").join(name);
    std::fs::write(file, format!("{text}\n# seal {}\n", "0".repeat(64))).unwrap();
}

/// Assembling and approving stop, and say so; nothing of `b` has come in.
#[track_caller]
fn stopped(site: &Site, words: &str) {
    for command in ["assemble", "approve"] {
        let told = site.repo.orch([command]).fails(1);
        assert!(
            told.contains(words) && told.contains("--accept-moved"),
            "{told}"
        );
    }
    assert_eq!(site.state("b"), "submitted");
}

#[test]
fn a_note_of_where_branches_were_left_hides_no_coders_commit() {
    let (site, landed) = integrated();
    let evil = push_as(&site, "AGENT-1.1", "agent-1.1@host.invalid");
    let name = "refs/heads/orch/integration";
    for note in [
        serde_json::json!({ name: evil }),
        serde_json::json!({ "branches": { name: evil }, "gone": [] }),
    ] {
        forge(&site, "left.json", &note);
        stopped(&site, "AGENT-1.1");
    }
    // Nor does one that is gone.
    std::fs::remove_file(site.repo.path().join(".git/orch/left.json")).unwrap();
    stopped(&site, "AGENT-1.1");
    set(&site, &landed);
    assert_eq!(site.assemble().0, 0);
}

#[test]
fn an_earlier_note_put_back_hides_nothing_that_landed_since() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 2, &[])]);
    site.repo.orch(["assemble"]).fails(3);
    let note = site.repo.path().join(".git/orch/left.json");
    let earlier = std::fs::read(&note).unwrap();
    site.work("a", "1.1", &[("a", "a\n")]);
    assert_eq!(site.assemble().0, 0);
    let landed = site.rev("orch/integration");
    site.work("b", "2.1", &[("b", "b\n")]);
    let forged = serde_json::json!({ "refs/heads/orch/integration": site.rev("main") });
    for note_again in [true, false] {
        set(&site, "main");
        match note_again {
            true => std::fs::write(&note, &earlier).unwrap(),
            false => forge(&site, "left.json", &forged),
        }
        stopped(&site, "with which the ledger says that a was merged");
    }
    // Deleted, too.
    site.repo
        .git(["update-ref", "-d", "refs/heads/orch/integration"]);
    std::fs::write(&note, &earlier).unwrap();
    stopped(&site, "orch/integration");
    set(&site, &landed);
    assert_eq!(site.assemble().0, 0);
}

#[test]
fn a_person_lets_landed_work_be_gone_once() {
    let (site, _) = integrated();
    set(&site, "main");
    stopped(&site, "does not build on that");
    site.repo.orch(["assemble", "--accept-moved"]).ok();
    assert_eq!((site.state("a"), site.state("b")), ("merged", "merged"));
    site.repo.orch(["approve"]).ok();
}

#[test]
fn a_note_of_moves_makes_no_landing_and_no_approval() {
    let (site, landed) = integrated();
    let main = site.rev("main");
    let evil = push_as(&site, "AGENT-1.1", "agent-1.1@host.invalid");
    site.repo.git(["update-ref", "refs/heads/main", &evil]);
    let moves = |kind: &str, branch: &str, old: &str| serde_json::json!({ "kind": kind, "moves": [{ "branch": branch, "old": old, "new": evil }] });
    for (name, note) in [
        ("moving.json", moves("Approval", "refs/heads/main", &main)),
        (
            "moving.json",
            moves("Assembly", "refs/heads/orch/integration", &landed),
        ),
        (
            "moving-team-1.json",
            moves("Assembly", "refs/heads/orch/team-1/integration", &landed),
        ),
    ] {
        forge(&site, name, &note);
        stopped(&site, "AGENT-1.1");
    }
    let told = site.repo.git(["log", "--format=%s", "orchestration"]);
    assert!(!told.contains("approve"), "{told}");
    let files = site.repo.git(["status", "--porcelain"]);
    assert_eq!(files, "D  a", "no file has followed");
}

#[test]
fn a_note_of_an_undo_undoes_nothing() {
    let (site, landed) = integrated();
    let before = site.rev("main");
    let note = serde_json::json!({
        "target": "refs/heads/orch/integration", "landing": landed, "task": "a", "how": "moved_back",
        "before": landed, "after": before, "kept": null, "built_on": [], "reason": "x",
        "is_tested": true, "test": "true",
    });
    set(&site, &before);
    forge(&site, "undoing.json", &note);
    let told = site.repo.orch(["undo"]).fails(1);
    assert!(told.contains("does not build on that"), "{told}");
    assert_eq!(site.state("a"), "merged");
    stopped(&site, "does not build on that");
}

#[test]
fn a_commit_put_there_while_its_test_runs_is_not_landed_over() {
    let site = Site::new("", &[("a", 1, &[]), ("b", 2, &[])]);
    let held = Held::new(&site.repo);
    site.work("a", "1.1", &[("a", "a\n")]);
    held.hold(true);
    let test = held.command();
    let child = held.start(&site.repo, &["assemble", "--test", &test]);
    let evil = push_as(&site, "AGENT-1.1", "agent-1.1@host.invalid");
    held.hold(false);
    held.go();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("AGENT-1.1"), "{told}");
    assert_eq!(
        (site.state("a"), site.rev("orch/integration")),
        ("submitted", evil)
    );
}

#[test]
fn with_signing_a_commit_in_a_persons_name_is_signed_by_one() {
    for is_signed in [false, true] {
        let (site, _) = integrated();
        if is_signed {
            site.repo.orch(["init", "--signing", "ssh"]).ok();
            let last = site
                .repo
                .git(["log", "-1", "--format=%G?", "orch/integration"]);
            assert_eq!(last, "N", "what landed before is let stand");
            push_as(&site, "Ann", "ann@example.org");
            for command in ["assemble", "approve"] {
                let told = site.repo.orch([command]).fails(1);
                assert!(told.contains("on it is not signed"), "{told}");
            }
            // Let stand by a person; then it is `b` that is not signed.
            let told = site.repo.orch(["assemble", "--accept-moved"]).fails(1);
            assert!(told.contains("b: gate_failed"), "{told}");
        } else {
            push_as(&site, "Ann", "ann@example.org");
            site.repo.orch(["assemble"]).ok();
        }
        site.repo.orch(["approve"]).ok();
    }
}

/// Puts an unsigned transition onto a signed ledger, as an agent would: it widens what is written there.
fn unsigned_transition(repo: &TestRepo) -> String {
    let tree = repo.git(["rev-parse", "orchestration^{tree}"]);
    let text = "by hand\n\nOrch-Event: dispatch";
    let commit = repo.git(["commit-tree", "-p", "orchestration", "-m", text, &tree]);
    repo.git(["update-ref", "refs/heads/orchestration", &commit]);
    commit
}

#[test]
fn a_note_that_signatures_were_checked_or_let_stand_makes_none_good() {
    for file in ["verified", "accepted", "audited"] {
        let repo = site(&["--signing", "ssh"]);
        let commit = unsigned_transition(&repo);
        let path = repo.path().join(".git/orch").join(file);
        for text in [
            format!("{commit}\n"),
            format!("{commit}\n\n# seal {}\n", "0".repeat(64)),
        ] {
            std::fs::write(&path, text).unwrap();
            for command in [&["dispatch"][..], &["assemble"], &["approve"]] {
                let told = repo.orch(command).fails(1);
                assert!(told.contains("is not signed"), "{file}: {told}");
            }
        }
        // A person who has looked lets it stand.
        repo.orch(["doctor", "--accept", &commit]).ok();
        let told = repo.orch(["assemble"]).stderr();
        assert!(!told.contains("is not signed"), "{file}: {told}");
    }
}

#[test]
fn signing_is_not_switched_off_by_taking_a_note_away() {
    let repo = site(&["--signing", "ssh"]);
    let index = repo.outside().join("index");
    let run = |args: &[&str]| {
        let mut command = repo.command("git", repo.path());
        let output = command
            .env("GIT_INDEX_FILE", &index)
            .args(args)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    run(&["read-tree", "orchestration"]);
    let path = ".orchestration/orch.toml";
    let text = repo.git(["show", &format!("orchestration:{path}")]);
    let file = repo.outside().join("orch.toml");
    std::fs::write(&file, text.replace("signing = \"ssh\"\n", "") + "\n").unwrap();
    let blob = run(&["hash-object", "-w", file.to_str().unwrap()]);
    run(&[
        "update-index",
        "--cacheinfo",
        &format!("100644,{blob},{path}"),
    ]);
    let tree = run(&["write-tree"]);
    let commit = repo.git(["commit-tree", "-p", "orchestration", "-m", "off", &tree]);
    repo.git(["update-ref", "refs/heads/orchestration", &commit]);
    for file in ["verified", "audited", "snapshot", "left.json"] {
        let _ = std::fs::remove_file(repo.path().join(".git/orch").join(file));
    }
    let told = repo.orch(["dispatch"]).fails(1);
    assert!(told.contains("is not signed"), "{told}");
}

#[test]
fn a_resolution_that_was_never_decided_resolves_nothing() {
    let repo = TestRepo::new().write("f", "1\n2\n3\n").commit("base");
    repo.git(["branch", "theirs"]);
    let repo = repo.write("f", "1\nours\n3\n").commit("ours");
    repo.git(["switch", "-q", "theirs"]);
    let repo = repo.write("f", "1\ntheirs\n3\n").commit("theirs");
    repo.git(["switch", "-q", "main"]);
    let blob = |text: &str| {
        let path = repo.outside().join("blob");
        std::fs::write(&path, text).unwrap();
        repo.git(["hash-object", "-w", path.to_str().unwrap()])
    };
    // Under every key that there was: with the file's name and without.
    for (version, file) in [("1", ""), ("2", "1\nf")] {
        let sides = "5\nours\n2\n2\n7\ntheirs\n";
        let key = blob(&format!("resolution {version}\n{file}{sides}"));
        let name = format!("refs/orch/resolution/{}/{key}", &key[..2]);
        for text in [
            String::from("evil\n"),
            format!("evil\n\n# seal {}\n", "0".repeat(64)),
            format!("{name}\nevil\n\n# seal {}\n", "0".repeat(64)),
        ] {
            repo.git(["update-ref", &name, &blob(&text)]);
            let args = [
                "assemble", "--json", "--onto", "main", "--test", "true", "theirs",
            ];
            let (_, report) = assemble(&repo, &args);
            assert_eq!(verdicts(&report), ["theirs: conflict"], "{report}");
        }
    }
}
