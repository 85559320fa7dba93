//! Commands that run some tests of a suite, as a real shell runs them.

use std::collections::BTreeSet;

use git_orch::model::suite::{Format, Suite};

use super::common::{TestRepo, write_file};

const NAMES: [&str; 8] = [
    "plain",
    "with space",
    "it's",
    "\"$HOME\" `id` $(id)",
    "größe",
    "back\\slash",
    "*?[a-z]",
    "line\nbreak",
];

/// Runs a command by sh; returns its exit code and what it printed.
fn sh(repo: &TestRepo, command: &str) -> (i32, String) {
    let mut sh = repo.command("sh", repo.path());
    let output = sh.args(["-c", command]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

#[test]
fn names_reach_a_template_as_they_are() {
    let repo = TestRepo::empty();
    let tests: BTreeSet<String> = NAMES.map(String::from).into();
    let suite = Suite::of("make test", Some(Format::Tap)).unwrap();
    let suite = suite.with_template("printf '%s|' {tests}");
    let (code, printed) = sh(&repo, &suite.only(&tests).unwrap());
    let expected: String = tests.iter().map(|name| format!("{name}|")).collect();
    assert_eq!((code, printed), (0, expected));
}

#[test]
fn exit_codes_of_pytest_keep_their_meaning_and_no_such_test_is_no_failure() {
    let repo = TestRepo::empty();
    let pytest = repo.path().join("pytest");
    write_file(&pytest, "#!/bin/sh\necho \"$@\"\nexit $(cat exit)\n");
    let (_, _) = sh(&repo, "chmod +x pytest");
    let suite = Suite::of("./pytest tests", None).unwrap();
    let tests = BTreeSet::from([String::from("tests/test_a.py::test_x[it's]")]);
    for (pytest, expected) in [
        ("0", true),
        ("5", true),
        ("1", false),
        ("2", false),
        ("4", false),
    ] {
        write_file(&repo.path().join("exit"), pytest);
        let (code, printed) = sh(&repo, &suite.only(&tests).unwrap());
        assert_eq!(code == 0, expected, "{pytest}");
        assert_eq!(printed, "tests --maxfail=0 -rfEp -k test_x\n");
    }
}

#[test]
fn cargo_is_given_each_name_as_one_argument() {
    let repo = TestRepo::empty();
    write_file(
        &repo.path().join("cargo"),
        "#!/bin/sh\nprintf '%s|' \"$@\"\n",
    );
    let (_, _) = sh(&repo, "chmod +x cargo");
    let suite = Suite::of("A=1 ./cargo test -p 'a b' -- --skip x", None).unwrap();
    let tests = BTreeSet::from(["it tests::größe", "doc:a src/it's.rs - add"].map(String::from));
    let (code, printed) = sh(&repo, &suite.only(&tests).unwrap());
    let expected = "test|--no-fail-fast|-p|a b|--|--skip|x|src/it's.rs - add|tests::größe|";
    assert_eq!((code, printed.as_str()), (0, expected));
}
