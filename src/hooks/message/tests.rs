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
