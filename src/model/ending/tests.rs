//! Each kind of end, and what it costs.

use super::*;

fn facts(end: AttemptEnd, seconds: u64) -> EndFacts {
    EndFacts {
        end,
        took: Duration::from_secs(seconds),
        has_commits: false,
        disk_is_full: false,
    }
}

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

#[test]
fn the_first_rule_that_holds_decides() {
    use AttemptEnd::*;
    let cases = [
        (facts(NotPrepared, 0), "environment", false),
        (facts(NotChecked, 500), "environment", false),
        (facts(NotStarted, 0), "setup", false),
        (facts(CheckMissing, 500), "setup", false),
        (facts(Exited(127), 1), "setup", false),
        (facts(Exited(126), 1), "setup", false),
        // Late, or after a commit, it is something that the agent itself did not find.
        (facts(Exited(127), 60), "agent_error", true),
        (
            EndFacts {
                has_commits: true,
                ..facts(Exited(127), 1)
            },
            "agent_error",
            true,
        ),
        (facts(Exited(1), 1), "agent_error", true),
        (facts(Exited(0), 1), "agent_error", true),
        (facts(Signalled, 1), "killed", true),
        (facts(OutOfTime, 1800), "killed", true),
        (facts(Refused, 60), "refused", true),
        (
            EndFacts {
                disk_is_full: true,
                ..facts(Refused, 60)
            },
            "environment",
            false,
        ),
    ];
    for (facts, class, counts) in cases {
        let found = facts.class();
        assert_eq!(
            (found.as_str(), found.counts()),
            (class, counts),
            "{facts:?}"
        );
    }
}

#[test]
fn a_class_of_another_version_is_kept_as_it_is() {
    let class = EndingClass::from(String::from("rate_limited"));
    assert_eq!(class, EndingClass::Other(String::from("rate_limited")));
    assert_eq!(String::from(class), "rate_limited");
    for word in [
        "asked",
        "refused",
        "agent_error",
        "killed",
        "setup",
        "environment",
    ] {
        let class = EndingClass::from(word.to_owned());
        assert!(!matches!(class, EndingClass::Other(_)), "{word}");
        assert_eq!(class.to_string(), word);
    }
}

#[test]
fn a_profile_is_to_blame_when_three_tasks_in_a_row_fail_alike() {
    let mut breaker = Breaker::default();
    let reason = |task: &str| {
        format!(
            "branch orch/team-1/{task} has no commits beyond its base; it said last: \"429 at 12:0{}\"",
            task.len()
        )
    };
    let mut failed = |task: &str| breaker.failed("robot", &id(task), &reason(task));
    assert!(!failed("a"));
    assert!(!failed("bb"));
    // The same task again says nothing new.
    assert!(!failed("bb"));
    assert!(failed("ccc"));
    assert!(failed("dddd"));
}

#[test]
fn whatever_else_happens_begins_a_new_count() {
    let mut breaker = Breaker::default();
    assert!(!breaker.failed("robot", &id("a"), "401"));
    assert!(!breaker.failed("robot", &id("b"), "401"));
    assert!(!breaker.failed("other", &id("c"), "401"));
    assert!(!breaker.failed("robot", &id("d"), "no such model"));
    assert!(!breaker.failed("robot", &id("e"), "no such model"));
    breaker.went_on("robot");
    assert!(!breaker.failed("robot", &id("f"), "no such model"));
}

#[test]
fn what_a_shell_did_not_find_is_read_from_its_complaint() {
    for (output, name) in [
        ("sh: 1: pytest: not found\n", Some("pytest")),
        (
            "building\nbash: line 1: cargo-nextest: command not found\n",
            Some("cargo-nextest"),
        ),
        ("zsh:1: command not found: x\n", None),
        ("env: 'node': No such file or directory\n", Some("node")),
        (
            "env: \u{2018}node\u{2019}: No such file or directory\n",
            Some("node"),
        ),
        ("sh: 1: ./ci.sh: not found\n", None),
        ("sh: 1: /opt/x: not found\n", None),
        ("error: page not found\n", None),
        ("", None),
    ] {
        assert_eq!(missing_program(output), name, "{output:?}");
    }
}
