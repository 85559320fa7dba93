use super::super::*;

macro_rules! fixture {
    ($path:literal) => {
        include_str!(concat!("../../../../fixtures/suite/", $path))
    };
}

fn read(format: Format, output: &str) -> Reading {
    Suite::of("make test", Some(format))
        .unwrap()
        .read(output, &[])
}

fn names(tests: &BTreeSet<String>) -> Vec<&str> {
    tests.iter().map(String::as_str).collect()
}

const CARGO_FAILED: [&str; 6] = [
    "alpha tests::does_not_panic",
    "alpha tests::grüße",
    "alpha tests::sums_are_wrong",
    "beta tests::it_works",
    "doc:alpha alpha/src/lib.rs - add",
    "it runs",
];

#[test]
fn cargo_names_failures_by_crate_and_not_what_they_printed() {
    let reading = read(Format::Cargo, fixture!("cargo/failing.txt"));
    assert_eq!(names(&reading.failed), CARGO_FAILED);
    assert!(reading.complete);
    let passed = [
        "alpha tests::it_works",
        "alpha tests::panics",
        "alpha tests::threads_write",
        "it it_works",
    ];
    assert_eq!(names(&reading.passed), passed, "ignored ones are neither");
}

#[test]
fn cargo_in_colour_says_the_same() {
    let plain = read(Format::Cargo, fixture!("cargo/failing.txt"));
    assert_eq!(read(Format::Cargo, fixture!("cargo/colour.txt")), plain);
}

#[test]
fn cargo_with_threads_writing_in_between_is_read_all_the_same() {
    let reading = read(Format::Cargo, fixture!("cargo/nocapture.txt"));
    assert_eq!(names(&reading.failed), CARGO_FAILED);
    assert!(reading.complete);
}

#[test]
fn quiet_cargo_stops_at_the_first_target_unless_told_otherwise_and_names_no_binary() {
    let reading = read(Format::Cargo, fixture!("cargo/quiet.txt"));
    assert!(reading.complete);
    assert!(reading.failed.contains("? tests::sums_are_wrong"));
    assert!(reading.failed.contains("? alpha/src/lib.rs - add"));
}

#[test]
fn cargo_that_stopped_at_the_first_target_explains_its_exit() {
    let reading = read(Format::Cargo, fixture!("cargo/first.txt"));
    assert!(reading.complete);
    assert_eq!(names(&reading.failed), CARGO_FAILED[..3]);
}

#[test]
fn cargo_with_a_compile_error_names_nothing() {
    let reading = read(Format::Cargo, fixture!("cargo/compile.txt"));
    assert_eq!(reading, Reading::default());
}

#[test]
fn cargo_with_a_binary_that_crashed_or_tells_nothing_is_not_explained() {
    let reading = read(Format::Cargo, fixture!("cargo/crash.txt"));
    assert_eq!(names(&reading.failed), ["after fails_too"]);
    assert!(!reading.complete, "another test aborted");
    let reading = read(Format::Cargo, fixture!("cargo/bare.txt"));
    assert_eq!(names(&reading.failed), ["after fails_too"]);
    assert!(!reading.complete, "another binary has no harness");
}

#[test]
fn green_runs_have_no_failures() {
    let cargo = read(Format::Cargo, fixture!("cargo/green.txt"));
    let pytest = read(Format::Pytest, fixture!("pytest/green.txt"));
    let go = read(Format::Go, fixture!("go/plain-green.txt"));
    for reading in [cargo, pytest, go] {
        assert_eq!(names(&reading.failed), [""; 0]);
        assert!(!reading.complete, "there is no red exit to explain");
    }
}

const NEXTEST_FAILED: [&str; 5] = [
    "alpha tests::does_not_panic",
    "alpha tests::grüße",
    "alpha tests::sums_are_wrong",
    "alpha::it runs",
    "beta tests::it_works",
];

#[test]
fn nextest_names_failures_by_binary() {
    for output in [
        fixture!("nextest/nofailfast.txt"),
        fixture!("nextest/nofailfastcoloralways.txt"),
    ] {
        let reading = read(Format::Nextest, output);
        assert_eq!(names(&reading.failed), NEXTEST_FAILED);
        assert!(reading.complete);
        assert_eq!(reading.passed.len(), 6);
    }
}

#[test]
fn nextest_takes_crashes_and_time_outs_for_failing_tests() {
    let reading = read(Format::Nextest, fixture!("nextest/crash.txt"));
    let failed = [
        "gamma tests::aborts",
        "gamma tests::fails",
        "gamma::after fails_too",
        "gamma::slow sleeps",
    ];
    assert_eq!(names(&reading.failed), failed);
    assert!(reading.complete);
}

#[test]
fn nextest_counts_the_last_try() {
    let reading = read(Format::Nextest, fixture!("nextest/retry.txt"));
    assert_eq!(names(&reading.failed), ["beta tests::it_works"]);
    assert!(reading.complete);
    let flaky = fixture!("nextest/retry.txt")
        .replace("TRY 2 FAIL", "TRY 2 PASS")
        .replace("2 passed, 1 failed", "3 passed (1 flaky)");
    let reading = read(Format::Nextest, &flaky);
    assert_eq!(names(&reading.failed), [""; 0]);
    assert!(reading.passed.contains("beta tests::it_works"));
}

#[test]
fn nextest_that_stopped_early_or_did_not_build_is_not_explained() {
    let reading = read(Format::Nextest, fixture!("nextest/first.txt"));
    assert_eq!(reading.failed.len(), 2);
    assert!(!reading.complete, "6 of 8 were not run");
    let reading = read(Format::Nextest, fixture!("nextest/compile.txt"));
    assert_eq!(reading, Reading::default());
}

const PYTEST_FAILED: [&str; 13] = [
    "tests/test_other.py::test_alone",
    "tests/test_sums.py::TestGroup::test_in_class",
    "tests/test_sums.py::TestGroup::test_unexpected",
    r#"tests/test_sums.py::test_names[$(touch x) 'quoted' "twice"]"#,
    "tests/test_sums.py::test_names[a b  c]",
    "tests/test_sums.py::test_names[a::b]",
    r"tests/test_sums.py::test_names[gr\xf6\xdfe \xfcber]",
    r"tests/test_sums.py::test_names[line\nbreak]",
    r"tests/test_sums.py::test_names[slash/and\\back]",
    // Where its parameter ends cannot be told.
    "tests/test_sums.py::test_names[with ]",
    "tests/test_sums.py::test_prints",
    "tests/test_sums.py::test_setup",
    "tests/test_sums.py::test_twice",
];

#[test]
fn pytest_names_failures_and_errors_and_not_what_a_test_printed() {
    for output in [
        fixture!("pytest/failing.txt"),
        fixture!("pytest/plain.txt"),
        fixture!("pytest/quiet.txt"),
        fixture!("pytest/verbose.txt"),
        fixture!("pytest/colour.txt"),
        fixture!("pytest/xdist.txt"),
    ] {
        let reading = read(Format::Pytest, output);
        assert_eq!(names(&reading.failed), PYTEST_FAILED);
        assert!(reading.complete);
    }
}

#[test]
fn pytest_names_what_passed_where_it_is_asked_to() {
    let reading = read(Format::Pytest, fixture!("pytest/failing.txt"));
    let passed = [
        "tests/test_other.py::test_names",
        "tests/test_sums.py::TestGroup::test_passes",
        "tests/test_sums.py::test_names[plain]",
    ];
    assert_eq!(names(&reading.passed), passed);
}

#[test]
fn pytest_that_ended_early_is_not_explained() {
    for output in [
        fixture!("pytest/first.txt"),
        fixture!("pytest/crash.txt"),
        fixture!("pytest/collect.txt"),
        fixture!("pytest/collect-on.txt"),
    ] {
        assert!(!read(Format::Pytest, output).complete, "{output}");
    }
}

#[test]
fn pytest_names_time_outs_and_what_a_worker_died_of() {
    let reading = read(Format::Pytest, fixture!("pytest/timeout.txt"));
    assert_eq!(names(&reading.failed), ["tests/test_slow.py::test_slow"]);
    assert!(reading.complete);
    let reading = read(Format::Pytest, fixture!("pytest/xdist-crash.txt"));
    assert!(reading.failed.contains("tests/test_zz.py::test_dies"));
    assert!(reading.complete);
}

const GO_FAILED: [&str; 9] = [
    "example.com/sums ExampleSum",
    "example.com/sums TestFails",
    "example.com/sums TestGröße",
    "example.com/sums TestTable",
    "example.com/sums TestTable/(paren)",
    "example.com/sums TestTable/plain",
    "example.com/sums TestTable/with_space",
    "example.com/sums TestTable/ünï/slash",
    "example.com/sums/sub TestFails",
];

#[test]
fn go_names_failures_by_package() {
    let reading = read(Format::Go, fixture!("go/json.txt"));
    assert_eq!(names(&reading.failed), GO_FAILED);
    assert!(reading.complete);
    assert!(reading.passed.contains("example.com/sums/sub TestPasses"));
}

#[test]
fn go_for_people_is_read_but_for_what_a_test_printed() {
    for output in [fixture!("go/plain.txt"), fixture!("go/verbose.txt")] {
        let mut reading = read(Format::Go, output);
        // Nothing tells it from a result. Nobody can run it either.
        reading.failed.remove("example.com/sums TestInvented");
        assert_eq!(names(&reading.failed), GO_FAILED);
        assert!(reading.complete);
    }
    let reading = read(Format::Go, fixture!("go/plain-here.txt"));
    assert_eq!(names(&reading.failed), ["example.com/sums/sub TestFails"]);
    assert!(reading.complete);
}

#[test]
fn go_with_a_broken_build_a_panic_or_a_time_out_is_not_explained() {
    for output in [
        fixture!("go/json-build.txt"),
        fixture!("go/json-panic.txt"),
        fixture!("go/json-timeout.txt"),
        fixture!("go/plain-build.txt"),
        fixture!("go/plain-panic.txt"),
    ] {
        assert!(!read(Format::Go, output).complete, "{output}");
    }
    let reading = read(Format::Go, fixture!("go/json-build.txt"));
    assert_eq!(names(&reading.failed), GO_FAILED, "other packages are read");
}

#[test]
fn go_with_a_package_that_fails_to_build_by_its_own_events_is_not_explained() {
    let event = |rest: &str| format!("{{\"Action\":{rest}}}\n");
    let events = event(r#""run","Package":"a","Test":"T""#)
        + &event(r#""fail","Package":"a","Test":"T""#)
        + &event(r#""fail","Package":"a""#);
    assert!(read(Format::Go, &events).complete);
    let broken = event(r#""build-output","ImportPath":"b","Output":"b.go:1: no\n""#)
        + &event(r#""build-fail","ImportPath":"b""#)
        + &event(r#""start","Package":"b""#)
        + &event(r#""fail","Package":"b","FailedBuild":"b""#);
    let reading = read(Format::Go, &(events + &broken));
    assert_eq!(names(&reading.failed), ["a T"]);
    assert!(!reading.complete);
}

const TAP_FAILED: [&str; 7] = [
    "a # hash and 'quotes'",
    "größer als null",
    "inner part",
    "inner part > deeper",
    "inner part > deeper > bottom",
    "inner part > wrong",
    "test 3",
];

#[test]
fn tap_names_failures_by_their_path() {
    let reading = read(Format::Tap, fixture!("tap/failing.txt"));
    assert_eq!(names(&reading.failed), TAP_FAILED);
    assert!(reading.complete);
    let passed = ["inner part > fine", "last", "one is one"];
    assert_eq!(
        names(&reading.passed),
        passed,
        "to do and skipped are neither"
    );
}

#[test]
fn tap_of_prove_is_named_by_file() {
    let reading = read(Format::Tap, fixture!("tap/prove.txt"));
    let mut failed: Vec<String> = TAP_FAILED.map(|name| format!("t/a.t: {name}")).into();
    failed.push(String::from("t/b.t: one is one"));
    assert_eq!(names(&reading.failed), failed);
    assert!(reading.complete);
}

#[test]
fn tap_of_node_is_read() {
    let reading = read(Format::Tap, fixture!("tap/node.txt"));
    assert_eq!(names(&reading.failed), ["sums", "sums > of three # hash"]);
    assert!(reading.complete);
}

#[test]
fn tap_that_ended_early_or_is_a_summary_only_is_not_explained() {
    for output in [
        fixture!("tap/short.txt"),
        fixture!("tap/bail.txt"),
        fixture!("tap/summary.txt"),
        "1..2\nnot ok 1 - red\n",
        "1..1\nnot ok 1 - red\nBail out!\n",
        "1..1\nok 1\n1..1\n# died\nDubious, test returned 255 (wstat 65280, 0xff00)\n",
    ] {
        assert!(!read(Format::Tap, output).complete, "{output}");
    }
}

fn junit(reports: &[&str]) -> Reading {
    let reports: Vec<String> = reports.iter().map(|text| (*text).to_owned()).collect();
    let suite = Suite::of("npm test", Some(Format::JUnit)).unwrap();
    suite.read("", &reports)
}

#[test]
fn junit_names_failures_by_class() {
    let reading = junit(&[fixture!("junit/pytest.xml")]);
    assert!(reading.complete);
    assert_eq!(reading.failed.len(), 13);
    for failed in [
        "tests.test_other::test_alone",
        "tests.test_sums.TestGroup::test_in_class",
        r#"tests.test_sums::test_names[$(touch x) 'quoted' "twice"]"#,
        "tests.test_sums::test_names[with ] - dash]",
        "tests.test_sums::test_setup",
    ] {
        assert!(reading.failed.contains(failed), "{failed}");
    }
    assert!(
        reading
            .passed
            .contains("tests.test_sums::test_names[plain]")
    );
    assert!(
        !reading
            .passed
            .contains("tests.test_sums.TestGroup::test_skipped")
    );
}

#[test]
fn junit_reports_must_be_whole_and_add_up() {
    let red = "<testsuite failures=\"1\"><testcase classname='A' name='b'><failure/></testcase></testsuite>";
    assert!(junit(&[red]).complete);
    let green = "<testsuites><testsuite name='S'><testcase name='c'/></testsuite></testsuites>";
    let both = junit(&[red, green]);
    assert!(both.complete);
    assert_eq!(names(&both.failed), ["A::b"]);
    assert_eq!(names(&both.passed), ["S::c"]);
    assert!(!junit(&[]).complete);
    assert!(!junit(&[red, "<testsuite>"]).complete, "cut off");
    assert!(!junit(&[red, ""]).complete, "empty");
    assert!(!junit(&[red, "Segmentation fault"]).complete);
    let unnamed = red.replace("failures=\"1\"", "failures=\"1\" errors=\"1\"");
    assert!(!junit(&[&unnamed]).complete, "one is not named");
    let flaky = "<testsuite><testcase name='d'><flakyFailure/></testcase></testsuite>";
    assert_eq!(names(&junit(&[flaky]).passed), ["d"]);
}
