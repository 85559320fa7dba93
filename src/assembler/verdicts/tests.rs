//! What is noted is read back; anything else says nothing.

use proptest::prelude::*;

use super::*;

fn run() -> impl Strategy<Value = Run> {
    let text = "\\PC{0,20}|[\\u{0}-\\u{7f}]{0,20}";
    let how = prop::sample::select(vec![Obtained::Clean, Obtained::Warm, Obtained::Coder]);
    let parts = (any::<bool>(), any::<bool>(), 0.0..1e9_f64, text, text);
    let failing = proptest::collection::vec(text, 0..4);
    (parts, how, failing).prop_map(|((green, told, seconds, why, output), how, failing)| Run {
        green,
        at: String::from("2026-11-21T05:08:20Z"),
        seconds,
        machine: why.clone(),
        how,
        told,
        failing,
        why,
        output,
    })
}

fn verdicts() -> (Verdicts, Oid) {
    (Verdicts::new("ENV=1"), blob_id(b"tree"))
}

fn written(runs: Vec<Run>) -> String {
    let (verdicts, tree) = verdicts();
    let mut record = verdicts.nothing(tree, "make test");
    record.runs = runs;
    toml::to_string(&record).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_was_noted_is_read_back(runs in proptest::collection::vec(run(), 0..4)) {
        let (verdicts, tree) = verdicts();
        let text = written(runs.clone());
        let read = verdicts.accept(parse(text.as_bytes()), tree, "make test");
        prop_assert_eq!(&read.runs, &runs);
        // Of another command, tree or environment it says nothing.
        for (verdicts, tree, command) in [
            (&verdicts, tree, "make  test"),
            (&verdicts, blob_id(b"other"), "make test"),
            (&Verdicts::new(""), tree, "make test"),
        ] {
            prop_assert!(verdicts.accept(parse(text.as_bytes()), tree, command).runs.is_empty());
        }
    }

    #[test]
    fn what_is_damaged_is_a_record_or_none(
        noise in any::<Vec<u8>>(), run in run(), at in any::<u16>(), to in any::<u16>(), byte in any::<u8>(),
    ) {
        let _ = parse(&noise);
        let whole = written(vec![run.clone(), run]).into_bytes();
        let (at, to) = (usize::from(at) % whole.len(), usize::from(to) % whole.len());
        let mut flipped = whole.clone();
        flipped[at] = byte;
        let doubled = [&whole[..at], &whole[to..]].concat();
        for bytes in [&flipped, &doubled, &whole[..at].to_vec()] {
            if let Some(record) = parse(bytes) {
                prop_assert!(record.runs.iter().all(|run| run.seconds.is_finite()));
                prop_assert!(toml::to_string(&record).is_ok());
            }
        }
    }
}

#[test]
fn times_that_cannot_be_are_no_record() {
    let run = "green = true\nat = \"x\"\nmachine = \"m\"\nseconds = ";
    let head = "tree = \"t\"\ncommand = \"c\"\nplatform = \"p\"\n[[runs]]\n";
    assert!(parse(format!("{head}{run}1.5\n").as_bytes()).is_some());
    for seconds in ["nan", "inf", "-inf", "-1.0"] {
        assert!(
            parse(format!("{head}{run}{seconds}\n").as_bytes()).is_none(),
            "{seconds}"
        );
    }
}
