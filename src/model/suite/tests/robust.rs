use proptest::prelude::*;

use super::super::shell::{quote, words};
use super::super::*;

const OUTPUTS: [(Format, &str); 6] = [
    (
        Format::Cargo,
        include_str!("../../../../fixtures/suite/cargo/failing.txt"),
    ),
    (
        Format::Nextest,
        include_str!("../../../../fixtures/suite/nextest/retry.txt"),
    ),
    (
        Format::Pytest,
        include_str!("../../../../fixtures/suite/pytest/failing.txt"),
    ),
    (
        Format::JUnit,
        include_str!("../../../../fixtures/suite/junit/pytest.xml"),
    ),
    (
        Format::Tap,
        include_str!("../../../../fixtures/suite/tap/prove.txt"),
    ),
    (
        Format::Go,
        include_str!("../../../../fixtures/suite/go/json.txt"),
    ),
];

fn read(format: Format, output: &str) -> Reading {
    let suite = Suite::of("make", Some(format)).unwrap();
    suite.read(output, &[output.to_owned()])
}

/// Lines of all runners, cut, doubled and shuffled, with what else a test may print.
fn noise() -> impl Strategy<Value = String> {
    let lines: Vec<&str> = OUTPUTS.iter().flat_map(|(_, text)| text.lines()).collect();
    let line = prop_oneof![
        4 => proptest::sample::select(lines.clone()).prop_map(String::from),
        1 => (proptest::sample::select(lines), 0usize..80).prop_map(|(line, end)| {
            line.chars().take(end).collect()
        }),
        1 => "\\PC{0,40}",
        1 => "[\u{1b}\\[\\]0-9m;\u{7}\\\\ok \\.<>/\"{}\r]{0,30}",
    ];
    proptest::collection::vec(line, 0..60).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn nothing_that_is_printed_makes_a_reader_panic(output in noise()) {
        for format in Format::ALL {
            let reading = read(format, &output);
            prop_assert!(!reading.complete || !reading.failed.is_empty());
            prop_assert!(reading.failed.is_disjoint(&reading.passed));
        }
    }

    #[test]
    fn what_is_cut_off_explains_nothing_that_the_whole_does_not(at in 0usize..20_000) {
        for (format, output) in OUTPUTS {
            let whole = read(format, output);
            let at = output.floor_char_boundary(at.min(output.len()));
            let reading = read(format, &output[..at]);
            // These end target by target and package by package; nothing tells a cut there from an end.
            let in_parts = matches!(format, Format::Cargo | Format::Go);
            if reading.complete && !in_parts {
                prop_assert_eq!(&reading.failed, &whole.failed);
            }
        }
    }

    #[test]
    fn sh_reads_back_what_was_quoted(text in "[^\0\n]{0,30}") {
        let quoted = quote(&text).unwrap();
        let read = words(&quoted).unwrap();
        prop_assert_eq!(read.len(), 1);
        prop_assert_eq!(&read[0].text, &text);
    }

    #[test]
    fn no_command_makes_recognition_panic(command in "(cargo test|pytest|go test)?[ \\PC]{0,40}") {
        if let Some(suite) = Suite::of(&command, None) {
            let tests = BTreeSet::from([String::from("a b::c")]);
            // Whatever was written is still there, in its order.
            for made in [suite.build(), Some(suite.full()), suite.only(&tests)].into_iter().flatten() {
                let mut rest = made.chars();
                prop_assert!(command.trim_end().chars().all(|c| rest.any(|other| other == c)), "{made}");
            }
        }
    }
}

/// Counts steps instead of seconds: the text is walked a fixed number of times if reading twice as much
/// takes about twice as long; a quadratic reader would need minutes for these.
#[test]
fn big_outputs_are_read_in_one_go() {
    for (format, output) in OUTPUTS {
        let big = if format == Format::JUnit {
            let cases = "<testcase classname='a' name='b'><failure>no</failure></testcase>";
            format!("<testsuite>{}</testsuite>", cases.repeat(30_000))
        } else {
            output.repeat(1 + 2_000_000 / output.len())
        };
        assert!(!read(format, &big).failed.is_empty(), "{format}");
    }
    for line in [
        "test result: FAILED. ",
        "\u{1b}]",
        "\u{1b}[",
        "failures:\n",
        "(((",
        "ok \\",
        "    x\n",
        "<a>",
    ] {
        let big = line.repeat(1_000_000 / line.len());
        for format in Format::ALL {
            assert!(!read(format, &big).complete);
        }
    }
}
