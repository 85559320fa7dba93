use super::super::*;

fn suite(command: &str) -> Suite {
    Suite::of(command, None).unwrap_or_else(|| panic!("{command} is not known"))
}

fn only(command: &str, tests: &[&str]) -> Option<String> {
    let tests = tests.iter().map(|test| (*test).to_owned()).collect();
    suite(command).only(&tests)
}

#[test]
fn runners_are_known_by_their_words() {
    for (command, format) in [
        ("cargo test", Format::Cargo),
        (
            "RUSTFLAGS=\"-D warnings $MORE\" cargo +nightly --locked t -p a -- --skip b",
            Format::Cargo,
        ),
        ("~/.cargo/bin/cargo test", Format::Cargo),
        ("/usr/bin/cargo test --all", Format::Cargo),
        ("cargo nextest run --workspace", Format::Nextest),
        ("pytest", Format::Pytest),
        (
            "A=1 B= .venv/bin/pytest tests -k 'not slow'",
            Format::Pytest,
        ),
        ("python3.12 -m pytest -x", Format::Pytest),
        ("uv run python -m pytest", Format::Pytest),
        ("go test -json ./...", Format::Go),
        ("go test ./...", Format::Go),
    ] {
        let known = Suite::of(command, None).map(|suite| suite.format());
        let expected = (!command.starts_with('~')).then_some(format);
        assert_eq!(known, expected, "{command}");
    }
}

#[test]
fn whatever_is_more_than_one_call_is_not_taken_for_one() {
    for command in [
        "",
        "make test",
        "cargo",
        "cargo build",
        "cargo nextest list",
        "go vet ./...",
        "python -m unittest",
        "cargo test && cargo test --doc",
        "cargo test; true",
        "cargo test | tee log",
        "cargo test > log 2>&1",
        "cargo test\npytest",
        "cargo test $MORE",
        "cargo test # all of them",
        "cargo test 'not closed",
        "cargo test \\",
        "(cargo test)",
        "! cargo test",
        "pytest tests/*.py",
        "`which pytest`",
    ] {
        assert_eq!(Suite::of(command, None), None, "{command}");
        let named = Suite::of(command, Some(Format::Tap)).unwrap();
        assert_eq!((named.build(), named.full()), (None, command.to_owned()));
    }
}

#[test]
fn builds_are_asked_for_where_there_are_any() {
    let build = |command| suite(command).build();
    assert_eq!(
        build("CI=1 cargo test -p a -- --skip b").as_deref(),
        Some("CI=1 cargo test --no-run -p a -- --skip b")
    );
    assert_eq!(build("cargo test --doc"), None);
    assert_eq!(
        build("cargo nextest run --all").as_deref(),
        Some("cargo nextest run --no-run --all")
    );
    assert_eq!(
        build("go test ./... -args -x").as_deref(),
        Some("go test ./... -run '^$' -args -x")
    );
    assert_eq!(build("pytest"), None);
}

#[test]
fn full_runs_go_on_after_the_first_failure() {
    let full = |command| suite(command).full();
    assert_eq!(full("cargo test"), "cargo test --no-fail-fast");
    assert_eq!(
        full("cargo test --no-fail-fast a"),
        "cargo test --no-fail-fast a"
    );
    assert_eq!(
        full("cargo nextest run -p a"),
        "cargo nextest run --no-fail-fast -p a"
    );
    assert_eq!(
        full("cargo nextest run --max-fail=2"),
        "cargo nextest run --max-fail=2"
    );
    assert_eq!(full("pytest -x tests"), "pytest -x tests --maxfail=0 -rfEp");
    assert_eq!(full("pytest -- tests"), "pytest --maxfail=0 -rfEp -- tests");
    assert_eq!(full("go test ./..."), "go test ./...");
    assert_eq!(
        full("go test -failfast ./..."),
        "go test -failfast ./... -failfast=false"
    );
}

#[test]
fn cargo_runs_tests_by_name_and_more_where_one_is_documentation() {
    assert_eq!(
        only("cargo test -p a", &["a tests::b", "it tests::b", "it c"]).as_deref(),
        Some("cargo test --no-fail-fast -p a -- --exact 'c' 'tests::b'")
    );
    assert_eq!(
        only("cargo test -- --skip x", &["doc:a src/lib.rs - add"]).as_deref(),
        Some("cargo test --no-fail-fast -- --skip x 'src/lib.rs - add'")
    );
}

#[test]
fn nextest_runs_tests_by_a_filter() {
    assert_eq!(
        only(
            "cargo nextest run -- x",
            &["a::it odd(name),\\/", "b grüße"]
        )
        .as_deref(),
        Some(
            "cargo nextest run --no-fail-fast \
             -E 'test(=grüße) + test(=odd(name\\)\\,\\\\\\/)' --no-tests=pass -- x"
        )
    );
}

#[test]
fn pytest_runs_functions_since_a_missing_test_would_be_an_error() {
    let tests = [
        "t/a.py::test_a[x::y $(z)]",
        "t/a.py::K::test_b",
        "t/b.py::test_a",
    ];
    assert_eq!(
        only("pytest t", &tests).as_deref(),
        Some("pytest t --maxfail=0 -rfEp -k 'test_a or test_b' || [ $? -eq 5 ]")
    );
    assert_eq!(
        only("pytest -k 'not slow'", &["a.py::test_a"]).as_deref(),
        Some("pytest -k 'not slow' --maxfail=0 -rfEp -k '(not slow) and (test_a)' || [ $? -eq 5 ]")
    );
    assert_eq!(only("pytest", &["t/a.yaml::free text"]), None);
    assert_eq!(only("pytest", &["t/[id]/a.py::test_a"]), None);
    assert_eq!(only("pytest", &["t/a.txt::not"]), None);
}

#[test]
fn go_runs_top_level_tests() {
    assert_eq!(
        only(
            "go test -json ./...",
            &["m TestA/b c", "m TestA", "m/n TestGröße"]
        )
        .as_deref(),
        Some("go test -json ./... -run '^(TestA|TestGröße)$'")
    );
    assert_eq!(only("go test", &["m Test(A"]), None);
}

#[test]
fn a_template_runs_what_no_runner_is_known_for() {
    let suite = Suite::of("npm test", Some(Format::Tap)).unwrap();
    let tests = BTreeSet::from([String::from("it's $HOME"), String::from("b")]);
    assert_eq!(suite.only(&tests), None);
    let suite = suite.with_template("npm run some -- {tests}");
    assert_eq!(
        suite.only(&tests).as_deref(),
        Some("npm run some -- 'b' 'it'\\''s $HOME'")
    );
    assert_eq!(suite.clone().with_template("npm test").only(&tests), None);
    let nothing = BTreeSet::from([String::from("a\0b")]);
    assert_eq!(suite.only(&nothing), None);
}

#[test]
fn names_of_another_format_are_not_the_runners_own() {
    let suite = Suite::of("pytest --junitxml=report.xml", Some(Format::JUnit)).unwrap();
    assert_eq!(suite.only(&BTreeSet::from([String::from("a::b")])), None);
    assert_eq!(
        suite.full(),
        "pytest --junitxml=report.xml --maxfail=0 -rfEp"
    );
}

#[test]
fn no_tests_and_too_many_are_a_whole_run() {
    assert_eq!(only("cargo test", &[]), None);
    let many: Vec<String> = (0..10_000)
        .map(|n| format!("a tests::number_{n}"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(only("cargo test", &many), None);
    assert!(only("cargo test", &many[..1000]).is_some());
}

#[test]
fn formats_are_written_as_they_are_read() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    let error = "xunit".parse::<Format>().unwrap_err();
    assert!(
        error.contains("`xunit`") && error.contains("junit"),
        "{error}"
    );
}
