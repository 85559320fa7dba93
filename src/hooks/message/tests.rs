use proptest::prelude::*;

use super::*;

fn ours() -> Stamp {
    Stamp {
        agent: "1.2".parse().unwrap(),
        task: "auth".parse().unwrap(),
        attempt: Some(Attempt(2)),
        run: Some(String::from("billing")),
    }
}

const TRAILERS: &str = "Orch-Task: auth\nOrch-Agent: 1.2\nOrch-Attempt: 2\nOrch-Run: billing\n";

fn stamped(message: &str, comments: Option<&str>) -> String {
    String::from_utf8(stamp(message.as_bytes(), &ours(), comments)).unwrap()
}

#[test]
fn a_plain_message_gets_tags_and_a_block_of_its_own() {
    assert_eq!(
        stamped("Add a table", None),
        format!("[TEAM-1] [AGENT-1.2] Add a table\n\n{TRAILERS}")
    );
    assert_eq!(
        stamped("Add a table\n\nBecause.\n", None),
        format!("[TEAM-1] [AGENT-1.2] Add a table\n\nBecause.\n\n{TRAILERS}")
    );
}

#[test]
fn stamping_twice_changes_nothing() {
    for message in [
        "x\n",
        "x\n\nbody\n\nSigned-off-by: A <a@b>\n",
        "\n# comment\n",
        "x\n# c\n# ------------------------ >8 ------------------------\ndiff\n",
        "fixup! [TEAM-1] [AGENT-1.2] x\n",
    ] {
        let once = stamped(message, Some("#"));
        assert_eq!(stamped(&once, Some("#")), once, "{message:?}");
    }
}

#[test]
fn trailers_join_a_block_that_is_there() {
    assert_eq!(
        stamped("x\n\nSigned-off-by: A <a@b>\n", None),
        format!("[TEAM-1] [AGENT-1.2] x\n\nSigned-off-by: A <a@b>\n{TRAILERS}")
    );
    // One line of prose among trailers is still a block for Git where one of them is Git's own.
    assert_eq!(
        stamped("x\n\nprose\nSigned-off-by: A <a@b>\n", None),
        format!("[TEAM-1] [AGENT-1.2] x\n\nprose\nSigned-off-by: A <a@b>\n{TRAILERS}")
    );
    // A subject alone never is one, even if it looks like it.
    assert_eq!(
        stamped("fix: it\n", None),
        format!("[TEAM-1] [AGENT-1.2] fix: it\n\n{TRAILERS}")
    );
}

#[test]
fn comments_and_scissors_stay_below() {
    let rest = "# On branch x\n# ------------------------ >8 ------------------------\n# cut\ndiff --git a b\n+Signed-off-by: no\n";
    assert_eq!(
        stamped(&format!("x\n\n{rest}"), Some("#")),
        format!("[TEAM-1] [AGENT-1.2] x\n\n{TRAILERS}\n{rest}")
    );
    // Without an editor Git keeps such lines, so they are text.
    assert_eq!(
        stamped("#12 is fixed\n", None),
        format!("[TEAM-1] [AGENT-1.2] #12 is fixed\n\n{TRAILERS}")
    );
}

#[test]
fn an_empty_message_waits_for_its_text_behind_the_tags() {
    let text = stamped("\n# Please enter\n", Some("#"));
    assert_eq!(
        text,
        format!("[TEAM-1] [AGENT-1.2] \n\n{TRAILERS}\n# Please enter\n")
    );
    assert_eq!(Parts::read(text.as_bytes(), Some("#")).text, "");
}

#[test]
fn a_commit_of_the_same_task_keeps_its_agent_and_one_of_another_does_not() {
    let earlier = "[TEAM-1] [AGENT-1.3] x\n\nOrch-Task: auth\nOrch-Agent: 1.3\nOrch-Attempt: 1\n";
    assert_eq!(
        stamped(earlier, None),
        format!("{earlier}Orch-Run: billing\n")
    );
    let foreign = "[TEAM-2] [AGENT-2.1] x\n\nOrch-Task: other\nOrch-Agent: 2.1\nAcked-by: B\n";
    assert_eq!(
        stamped(foreign, None),
        format!("[TEAM-1] [AGENT-1.2] x\n\nAcked-by: B\n{TRAILERS}")
    );
}

#[test]
fn bytes_of_any_encoding_survive() {
    let message = b"caf\xe9 x\n";
    let out = stamp(message, &ours(), None);
    assert!(out.starts_with(b"[TEAM-1] [AGENT-1.2] caf\xe9 x\n\nOrch-Task"));
}

#[test]
fn parts_are_read_back() {
    let parts = Parts::read(
        b"fixup! [TEAM-1] [AGENT-1.2] x\n\nbody\n\nOrch-Task: auth\nOrch-Agent: 1.2\n",
        None,
    );
    assert_eq!(parts.tags, Some((TeamId(1), "1.2".parse().unwrap())));
    assert_eq!(
        (parts.text.as_str(), parts.trailer("orch-task")),
        ("x", Some("auth"))
    );
    for wrong in ["[TEAM-x] [AGENT-1.2] x", "[AGENT-1.2] x", "[TEAM-1] x", "x"] {
        assert_eq!(Parts::read(wrong.as_bytes(), None).tags, None, "{wrong}");
    }
    // Trailers are the last paragraph only.
    assert!(
        Parts::read(b"x\n\nOrch-Task: auth\n\nbody\n", None)
            .trailers
            .is_empty()
    );
}

/// Lines as they come in messages, and parts of them.
fn message() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        3 => "\\PC{0,20}",
        1 => "(\\[TEAM-[0-9]{1,2}\\] ?){0,2}(\\[AGENT-[0-9]\\.[0-9]\\] ?){0,2}[a-z ]{0,6}",
        1 => "Orch-(Task|Agent|Attempt|Run|Own) ?: ?[a-z0-9.]{0,6}",
        1 => "(Signed-off-by: a|Fix: b|fixup! |squash! |amend! )[a-z]{0,4}",
        1 => "(#|;| |\t|\r|---| ------------------------ >8 ------------------------)[a-z]{0,4}",
        1 => Just(String::from("# ------------------------ >8 ------------------------")),
        2 => Just(String::new()),
    ];
    let lines = proptest::collection::vec(line, 0..10);
    (lines, any::<bool>()).prop_map(|(lines, ends)| lines.join("\n") + if ends { "\n" } else { "" })
}

#[test]
fn a_trailer_of_anothers_goes_with_the_lines_that_continue_it() {
    let text = "A\n\nOrch-Task: other\n\tand more\nKept: yes\n  and this\n";
    assert_eq!(
        stamped(text, None),
        "[TEAM-1] [AGENT-1.2] A\n\nKept: yes\n  and this\nOrch-Task: auth\nOrch-Agent: 1.2\n\
            Orch-Attempt: 2\nOrch-Run: billing\n"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_is_stamped_is_the_tasks_and_stays_so(text in message(), noise in any::<Vec<u8>>()) {
        for message in [text.as_bytes(), &noise] {
            for comments in [None, Some("#"), Some(";")] {
                let once = stamp(message, &ours(), comments);
                let parts = Parts::read(&once, comments);
                prop_assert_eq!(parts.trailer("Orch-Task"), Some("auth"), "{:?}", String::from_utf8_lossy(&once));
                for key in KEYS {
                    prop_assert!(parts.trailer(key).is_some(), "{key}");
                }
                let is_squash = SQUASHES.iter().any(|word| parts.subject.as_bytes().starts_with(word.trim_ascii_end()));
                let team = parts.tags.map(|(team, _)| team);
                prop_assert!(is_squash || team == Some(TeamId(1)), "{parts:?}");
                let twice = stamp(&once, &ours(), comments);
                prop_assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once));
            }
        }
    }

    #[test]
    fn nothing_of_anyone_elses_is_lost(text in message()) {
        let stamped = stamped(&text, Some("#"));
        let mut left = stamped.lines();
        let mut in_ours = false;
        let is_others = |line: &&str| {
            // A comment is nobody's, also between a trailer and what continues it.
            if line.starts_with('#') {
                return true;
            }
            in_ours = is_ours(line.as_bytes()) || in_ours && continues(line.as_bytes());
            !in_ours
        };
        for line in text.lines().filter(is_others) {
            let bare = split_tags(line.as_bytes()).map_or(line.as_bytes(), |(_, _, rest)| rest);
            prop_assert!(left.any(|other| other.as_bytes().ends_with(bare)), "{line:?} of {text:?} in {stamped:?}");
        }
    }
}

#[test]
fn without_its_stamp_a_message_is_as_it_was_written() {
    let stamp_of = Stamp {
        agent: "1.2".parse().unwrap(),
        task: "auth".parse().unwrap(),
        attempt: Some(Attempt(2)),
        run: Some(String::from("billing")),
    };
    for written in [
        "feat: add a file\n",
        "feat: add a file\n\nwith a body\n",
        "feat: add a file\n\nbody\n\nSigned-off-by: A <a@b>\n",
        "fix!: x\n\n# a comment\n",
        "fixup! feat: add a file\n",
        "",
    ] {
        let comments = written.contains('#').then_some("#");
        let stamped = stamp(written.as_bytes(), &stamp_of, comments);
        let bare = unstamp(&stamped, comments);
        assert_eq!(
            String::from_utf8_lossy(&bare).trim(),
            written.trim(),
            "{written:?}"
        );
        assert_eq!(unstamp(&bare, comments), bare, "{written:?}");
    }
}
