//! Branches that git itself does not get through: each has a verdict of its own, and the train goes on.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use super::super::common::TestRepo;
use super::super::common::site::{Site, assemble, branch, verdicts};
use super::{has, onto_main, with_branches};

/// Stores an object and returns its id.
fn store(repo: &TestRepo, kind: &str, bytes: &[u8]) -> String {
    let mut command = repo.command("git", repo.path());
    let args = ["hash-object", "-w", "--literally", "-t", kind, "--stdin"];
    let child = command.args(args).stdin(Stdio::piped());
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes a branch `bad` from `main` whose tree has one more entry, whatever git thinks of it.
fn bad_entry(repo: &TestRepo, mode: &str, name: &[u8], id: &str) {
    let tree = repo.git(["rev-parse", "main^{tree}"]);
    let listed = repo.git(["ls-tree", "-z", &tree]);
    let mut entries: Vec<(Vec<u8>, String, String)> = listed
        .split('\0')
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            let (about, name) = entry.split_once('\t').unwrap();
            let words: Vec<&str> = about.split(' ').collect();
            let mode = words[0].trim_start_matches('0').to_owned();
            (name.into(), mode, words[2].to_owned())
        })
        .collect();
    entries.push((name.to_vec(), mode.to_owned(), id.to_owned()));
    entries.sort();
    let mut bytes = Vec::new();
    for (name, mode, id) in entries {
        bytes.extend([mode.as_bytes(), b" ", &name, b"\0"].concat());
        let byte = |at| u8::from_str_radix(&id[at..at + 2], 16).unwrap();
        bytes.extend((0..40).step_by(2).map(byte));
    }
    let tree = store(repo, "tree", &bytes);
    let commit = repo.git(["commit-tree", "-p", "main", "-m", "bad", &tree]);
    repo.git(["update-ref", "refs/heads/bad", &commit]);
}

fn lose(repo: &TestRepo, revision: &str) {
    let id = repo.git(["rev-parse", revision]);
    let (dir, file) = id.split_at(2);
    std::fs::remove_file(repo.path().join(".git/objects").join(dir).join(file)).unwrap();
}

/// Fails unless `one` and `three` come in and `bad` does not, in every kind of assembly; returns the reason.
#[track_caller]
fn goes_on(make: impl Fn(&TestRepo)) -> String {
    let mut reason = String::new();
    for more in [
        &[][..],
        &["--gate", "batch"],
        &["--order", "radar", "--jobs", "2"],
    ] {
        let repo = with_branches(&["one", "three"]);
        make(&repo);
        repo.git(["switch", "-q", "--detach"]);
        let args = [&["one", "bad", "three"][..], more].concat();
        let (code, said, report) = onto_main(&repo, "true", &args);
        assert_eq!(code, 1, "{more:?}: {report}");
        assert!(
            has(&repo, "one") && has(&repo, "three"),
            "{more:?}: {said:?}"
        );
        let rows = report["train"].as_array().unwrap();
        let row = rows.iter().find(|row| row["branch"] == "bad").unwrap();
        assert_ne!(row["verdict"], "merged", "{more:?}");
        reason = row["reason"].as_str().unwrap_or_default().to_owned();
        assert_ne!(reason, "", "{more:?}: {report}");
    }
    reason
}

#[test]
fn files_that_a_filter_fails_on() {
    let reason = goes_on(|repo| {
        let filter = "read x; case $x in bad) echo 'no key for it' >&2; exit 1;; esac; echo $x";
        repo.git(["config", "filter.f.smudge", filter]);
        repo.git(["config", "filter.f.required", "true"]);
        std::fs::write(repo.path().join(".git/info/attributes"), "*.f filter=f\n").unwrap();
        let id = store(repo, "blob", b"bad\n");
        bad_entry(repo, "100644", b"x.f", &id);
    });
    assert!(reason.contains("cannot be checked out"), "{reason}");
    assert!(reason.contains("smudge filter f failed"), "{reason}");
}

#[test]
fn names_that_no_file_can_have() {
    for name in [vec![b'x'; 300], b".git".to_vec(), b"..".to_vec()] {
        let reason = goes_on(|repo| {
            let id = store(repo, "blob", b"x\n");
            bad_entry(repo, "100644", &name, &id);
        });
        assert!(reason.contains("cannot be"), "{reason}");
    }
}

#[test]
fn objects_that_are_not_there() {
    for lost in ["bad", "bad^{tree}", "bad:bad"] {
        let reason = goes_on(|repo| {
            branch(repo, "bad", "main", "bad", &[("bad", "bad\n")]);
            lose(repo, lost);
        });
        assert!(reason.contains("cannot be"), "{lost}: {reason}");
    }
}

#[test]
fn a_submodules_commit_that_nobody_has() {
    let reason = goes_on(|repo| {
        let lib = repo.outside().join("lib");
        repo.git(["init", "-q", lib.to_str().unwrap()]);
        repo.git_in(&lib, ["commit", "-q", "--allow-empty", "-m", "lib"]);
        let allow = ["-c", "protocol.file.allow=always"];
        let add = ["submodule", "--quiet", "add", lib.to_str().unwrap(), "lib"];
        repo.git([&allow[..], &add].concat());
        repo.git(["commit", "-qm", "submodule"]);
        bad_entry_at(repo, "lib", &"1".repeat(40));
        for name in ["one", "three"] {
            branch(repo, name, "main", name, &[(name, "x\n")]);
        }
    });
    assert!(
        reason.contains("submodule lib is to be at 1111"),
        "{reason}"
    );
}

/// Makes a branch `bad` that moves a submodule.
fn bad_entry_at(repo: &TestRepo, path: &str, commit: &str) {
    repo.git(["switch", "-q", "-c", "bad"]);
    let entry = format!("160000,{commit},{path}");
    repo.git(["update-index", "--cacheinfo", &entry]);
    repo.git(["commit", "-qm", "bad"]);
    repo.git(["switch", "-q", "main"]);
    repo.git(["submodule", "--quiet", "update"]);
}

#[test]
fn a_ref_that_is_none() {
    goes_on(|repo| {
        std::fs::write(repo.path().join(".git/refs/heads/bad"), "torn\n").unwrap();
    });
}

#[test]
fn a_task_whose_files_cannot_be_checked_out_goes_back_and_the_others_come_in() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 1, &[])]);
    let filter = "read x; case $x in bad) echo 'no key for it' >&2; exit 1;; esac; echo $x";
    let attributes = site.repo.path().join(".git/info/attributes");
    std::fs::write(attributes, "*.f filter=f\n").unwrap();
    site.work("a", "1.1", &[("a.f", "bad\n")]);
    site.work("b", "1.2", &[("b.f", "good\n")]);
    site.repo.git(["config", "filter.f.smudge", filter]);
    site.repo.git(["config", "filter.f.required", "true"]);
    let (_, report) = site.assemble();
    assert_eq!(verdicts(&report), ["a: test_failed", "b: merged"]);
    assert_eq!(site.state("a"), "ready");
    let findings = site.task("a").status.findings.unwrap();
    assert!(findings.contains("cannot be checked out"), "{findings}");
}

/// Assembles branch `a`, whose files cannot be written; returns the exit code and what was said.
fn stopped(repo: &TestRepo) -> (i32, String) {
    let args = ["assemble", "--onto", "main", "--test", "true", "a"];
    let outcome = repo.orch(args);
    (outcome.code(), outcome.stderr())
}

#[test]
fn what_the_system_or_the_target_is_to_blame_for_stops_everything() {
    let required = |repo: &TestRepo, smudge: &str| {
        repo.git(["switch", "-q", "--detach"]);
        repo.git(["config", "filter.f.smudge", smudge]);
        repo.git(["config", "filter.f.required", "true"]);
        let attributes = repo.path().join(".git/info/attributes");
        std::fs::write(attributes, "a filter=f\nREADME.md filter=f\n").unwrap();
    };
    // The target's own files cannot be written either.
    let repo = with_branches(&["a"]);
    required(&repo, "exit 1");
    let (code, said) = stopped(&repo);
    assert!(code == 1 && said.contains("error: cannot bring"), "{said}");
    // Only the branch's cannot, since the disk is full.
    let repo = with_branches(&["a"]);
    required(
        &repo,
        "read x; case $x in x) echo 'error: write: No space left on device' >&2; exit 1;; esac; echo \"$x\"",
    );
    let (code, said) = stopped(&repo);
    assert!(code == 1 && said.contains("No space left"), "{said}");
    assert!(!said.contains("test_failed"), "{said}");
    let (_, report): (i32, Value) = {
        repo.git(["config", "filter.f.smudge", "cat"]);
        let args = [
            "assemble", "--json", "--onto", "main", "--test", "true", "a",
        ];
        assemble(&repo, &args)
    };
    assert_eq!(
        verdicts(&report),
        ["a: merged"],
        "nothing is remembered of it"
    );
}
