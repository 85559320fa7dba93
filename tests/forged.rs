//! Records that decide something, forged by whoever can write the repository: with plain Git and a text editor, with
//! signing and without. None of them counts.

use super::common::TestRepo;
use super::common::site::{assemble, verdicts};

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
