//! Several at once, targets that others move, and verdicts that others write.

use std::process::{Child, Stdio};

use super::super::common::TestRepo;
use super::super::common::site::{Held, Site, branch};
use super::{clean, has, onto_main, with_branches};

fn spawn(repo: &TestRepo, args: &[&str]) -> Child {
    let mut command = repo.orch_command(repo.path());
    command
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn six_assemblies_at_once_bring_everything_in() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let repo = with_branches(&names);
    repo.git(["branch", "other"]);
    let children: Vec<Child> = names
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let onto = if n % 2 == 0 { "main" } else { "other" };
            spawn(&repo, &["assemble", "--onto", onto, "--test", "true", name])
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
    }
    let files = |branch: &str| {
        repo.git(["ls-tree", "--name-only", branch])
            .replace('\n', " ")
    };
    assert_eq!(files("main"), "README.md a c e");
    assert_eq!(files("other"), "README.md b d f");
    clean(&repo, repo.path());
    let left = repo.path().join(".git/orch");
    let listing = || std::fs::read_dir(&left).unwrap().flatten();
    let listing = || listing().map(|entry| entry.path()).collect::<Vec<_>>();
    assert!(!left.exists(), "{:?} stays behind", listing());
    assert!(!repo.path().with_file_name("repo.orch").exists());
}

#[test]
fn a_target_that_moves_again_and_again_is_tested_as_it_is() {
    let repo = with_branches(&["a", "b"]);
    repo.git(["switch", "-q", "--detach"]);
    // Somebody commits to it during the first three tests.
    let count = repo.outside().join("count");
    let test = format!(
        "echo x >> '{file}'; n=$(wc -l < '{file}'); test $n -gt 3 || {{ \
         c=$(git -c user.name=x -c user.email=x@x commit-tree -p main -m other-$n main^{{tree}}) && \
         git update-ref refs/heads/main $c; }}",
        file = count.display()
    );
    let (code, verdicts, report) = onto_main(&repo, &test, &["a", "b"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(verdicts, ["a: merged", "b: merged"]);
    let subjects = repo.git(["log", "--first-parent", "--format=%s", "main"]);
    let others = subjects
        .lines()
        .filter(|subject| subject.starts_with("other-"))
        .count();
    let moved = std::fs::read_to_string(&count)
        .unwrap()
        .lines()
        .count()
        .min(3);
    assert_eq!(others, moved, "{subjects}");
}

#[test]
fn verdicts_are_used_when_they_are_packed_and_found_out_again_when_they_are_gone() {
    let repo = with_branches(&["a"]);
    let before = repo.git(["rev-parse", "main"]);
    let again = || {
        repo.git(["reset", "-q", "--hard", &before]);
        let (code, _, report) = onto_main(&repo, "true", &["a"]);
        assert_eq!(code, 0, "{report}");
        report["tests_run"].as_u64().unwrap()
    };
    assert_eq!(again(), 1);
    repo.git(["pack-refs", "--all", "--prune"]);
    assert_eq!(again(), 0);
    let verdict = repo.git(["for-each-ref", "--format=%(refname)", "refs/orch/verdict"]);
    repo.git(["update-ref", "-d", &verdict]);
    assert_eq!(again(), 1);
}

#[test]
fn verdicts_that_say_nothing_are_found_out_again() {
    let repo = with_branches(&["a"]);
    let before = repo.git(["rev-parse", "main"]);
    let tests = || {
        repo.git(["reset", "-q", "--hard", &before]);
        let (code, _, report) = onto_main(&repo, "true", &["a"]);
        assert_eq!(code, 0, "{report}");
        report["tests_run"].as_u64().unwrap()
    };
    assert_eq!(tests(), 1);
    let name = repo.git(["for-each-ref", "--format=%(refname)", "refs/orch/verdict"]);
    let file = repo.path().join(".git").join(&name);
    let text = repo.git(["cat-file", "-p", &name]);
    let blob = |text: &str| {
        let path = repo.outside().join("blob");
        std::fs::write(&path, text).unwrap();
        repo.git(["hash-object", "-w", path.to_str().unwrap()]) + "\n"
    };
    let values = [
        ("garbage text", blob("no toml at all \u{0}")),
        (
            "another version",
            blob(&text.replace("[[runs]]", "version = 9\n[[tries]]")),
        ),
        (
            "of another tree",
            blob(&text.replacen("tree = \"", "tree = \"0", 1)),
        ),
        (
            "of nobody's seal",
            blob(text.rsplit_once("# seal").unwrap().0),
        ),
        ("a commit", before.clone() + "\n"),
        ("nothing that is there", "1".repeat(40) + "\n"),
        ("garbage", String::from("garbage\n")),
        ("empty", String::new()),
    ];
    for (what, value) in values {
        std::fs::write(&file, value).unwrap();
        assert_eq!(tests(), 1, "{what}");
        assert_eq!(tests(), 0, "after {what}");
    }
    std::fs::write(&file, "garbage").unwrap();
    repo.orch(["assemble", "--forget"]).ok();
    assert!(!file.exists());
}

#[test]
fn verdicts_deleted_while_a_test_runs_are_no_loss() {
    let repo = with_branches(&["a", "b"]);
    let held = Held::new(&repo);
    let (code, _, _) = onto_main(&repo, &held.command(), &["a"]);
    assert_eq!(code, 0);
    held.hold(true);
    let test = held.command();
    let child = held.start(&repo, &["assemble", "--onto", "main", "--test", &test, "b"]);
    std::fs::remove_dir_all(repo.path().join(".git/refs/orch/verdict")).unwrap();
    held.hold(false);
    held.go();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    assert!(has(&repo, "b"));
    assert_ne!(repo.git(["for-each-ref", "refs/orch/verdict"]), "");
}

#[test]
fn what_was_found_out_before_a_kill_is_not_found_out_again() {
    let site = Site::new("true", &[("a", 1, &[]), ("b", 1, &[])]);
    site.work("a", "1.1", &[("a", "a\n")]);
    site.work("b", "1.2", &[("b", "b\n")]);
    let held = Held::new(&site.repo);
    // The first test passes, the second one waits.
    let dir = site.repo.outside();
    let test = format!("test ! -e b || {{ {}; }}", held.command());
    held.hold(true);
    let mut child = held.start(&site.repo, &["assemble", "--jobs", "1", "--test", &test]);
    child.kill().unwrap();
    child.wait().unwrap();
    held.hold(false);
    let report = site
        .repo
        .orch(["assemble", "--json", "--test", &test])
        .json();
    assert_eq!(report["tests_run"], 1, "{report} in {}", dir.display());
    assert_eq!((site.state("a"), site.state("b")), ("merged", "merged"));
}

#[test]
fn a_flaky_test_is_listed_and_puts_nobody_out() {
    let repo = with_branches(&["a", "b"]);
    let seen = repo.outside().join("seen");
    let test = format!(
        "test -e b || test -e '{0}' || {{ touch '{0}'; exit 1; }}",
        seen.display()
    );
    let out = repo.outside().join("report.md");
    let args = ["--report", out.to_str().unwrap(), "a", "b"];
    let (code, verdicts, report) = onto_main(&repo, &test, &args);
    assert_eq!(code, 0, "{report}");
    assert_eq!(verdicts, ["a: merged", "b: merged"]);
    let flaky = report["flaky"].as_array().unwrap();
    assert_eq!(flaky.len(), 1, "{report}");
    let told = flaky[0].as_str().unwrap();
    assert!(told.starts_with("the whole test, on tree "), "{told}");
    let text = std::fs::read_to_string(&out).unwrap();
    assert!(text.contains(told), "{text}");
}

/// A suite of one test for each file `check-*`, told as TAP; those that say `bad` fail.
const SUITE: &str = "n=0; bad=0; for f in check-*; do n=$((n+1)); if grep -q bad $f; then \
                     echo \"not ok $n - $f\"; bad=1; else echo \"ok $n - $f\"; fi; done; echo 1..$n; exit $bad";

#[test]
fn a_batch_with_a_suite_names_the_tests_and_puts_out_who_broke_them() {
    let repo = TestRepo::new().write("check-0", "good\n").commit("suite");
    for n in 1..=6 {
        let (name, file) = (format!("part-{n}"), format!("check-{n}"));
        let text = if n == 4 { "bad\n" } else { "good\n" };
        branch(&repo, &name, "main", &name, &[(&file, text)]);
    }
    let args = [
        "--gate",
        "batch",
        "--format",
        "tap",
        "--every-commit-green",
        "--from-pattern",
        "part-*",
    ];
    let (code, verdicts, report) = onto_main(&repo, SUITE, &args);
    assert_eq!(code, 1, "{report}");
    let expected: Vec<String> = (1..=6)
        .map(|n| {
            format!(
                "part-{n}: {}",
                if n == 4 { "test_failed" } else { "merged" }
            )
        })
        .collect();
    assert_eq!(verdicts, expected);
    let reason = report["train"][3]["reason"].as_str().unwrap();
    assert!(reason.contains("check-4"), "{reason}");
    assert_eq!(
        report["red_commits"].as_array().map(Vec::len),
        Some(0),
        "{report}"
    );
    clean(&repo, repo.path());
}

#[test]
fn commits_within_a_batch_that_fail_by_themselves_are_told() {
    let repo = TestRepo::new();
    branch(&repo, "breaks", "main", "breaks", &[("broken", "x\n")]);
    branch(&repo, "mends", "main", "mends", &[("mended", "x\n")]);
    let args = ["--gate", "batch", "--every-commit-green", "breaks", "mends"];
    let (code, verdicts, report) = onto_main(&repo, "test ! -e broken || test -e mended", &args);
    assert_eq!(code, 0, "{report}");
    assert_eq!(verdicts, ["breaks: merged", "mends: merged"]);
    let red = report["red_commits"].as_array().unwrap();
    assert_eq!(red.len(), 1, "{report}");
    assert_eq!(red[0], report["train"][0]["commit"]);
}
