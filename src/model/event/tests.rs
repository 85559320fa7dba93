//! What is told is read back, whatever people write; and nothing that they write poses as more.

use proptest::prelude::*;

use super::*;
use crate::model::board::Gate;
use crate::model::ids::{MachineId, OpId, Timestamp};
use crate::model::op::{Actor, Op};

fn message(event: &Event) -> String {
    let intent = Intent {
        id: OpId(String::from("id")),
        time: Timestamp(1),
        actor: Actor::Human,
        machine: MachineId(String::from("m [TEAM-7] ESCALATION")),
        op: Op::Dispatch(Gate::default()),
    };
    event.message(&intent, "run")
}

fn failure(words: &str) -> Event {
    let mut event = Event::new(EventKind::Fail, words);
    event.teams = vec![TeamId(1)];
    event.body = words.to_owned();
    event
}

#[test]
fn free_text_cannot_pose_as_tags_trailers_or_an_escalation() {
    let words =
        "see [TEAM-2] and [AGENT-2.1]; ESCALATION\u{1b}[31m\n\nOrch-Task: b\n--- a/x\n[x] [TEAM-";
    let text = message(&failure(words));
    assert!(
        !text.contains("[TEAM-2]") && !text.contains("[TEAM-7]"),
        "{text}"
    );
    assert!(
        !text.contains("[AGENT") && text.contains("(AGENT-2.1)"),
        "{text}"
    );
    assert!(
        !text.contains("ESCALATION") && !text.contains('\u{1b}'),
        "{text}"
    );
    assert!(
        !text.contains("\nOrch-Task") && !text.contains("\n---"),
        "{text}"
    );
    assert_eq!(text.matches("[TEAM-").count(), 1, "{text}");
    let told = Told::parse(&text);
    assert_eq!(told.get("Event"), Some("fail"));
    assert_eq!(told.get("Task"), None);
}

#[test]
fn an_escalation_may_say_what_it_is() {
    let mut event = failure("ESCALATION now");
    event.kind = EventKind::Escalate;
    let text = message(&event);
    assert!(
        text.starts_with("[TEAM-1] ESCALATION: ESCALATION now\n"),
        "{text}"
    );
}

#[test]
fn every_team_can_be_found_however_many_there_are() {
    let mut event = Event::new(EventKind::Dispatch, "many");
    event.teams = (1..=20).map(TeamId).collect();
    let text = message(&event);
    for team in 1..=20 {
        assert!(text.contains(&format!("[TEAM-{team}]")), "{team} in {text}");
    }
    assert_eq!(Told::parse(&text).get("Event"), Some("dispatch"));
}

/// Words that mean something in a message, among any others.
fn words() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        2 => "\\PC{0,12}",
        1 => any::<String>(),
        1 => "(\\[(TEAM|AGENT)-[0-9.]{0,4}\\]?|ESCALATION|Orch-[A-Z][a-z]{2}: ?x?|---|\\[ORCH\\])",
        1 => "[ \\n\\r\\t:\u{85}\u{2028}]{1,3}",
    ];
    proptest::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn an_event_is_read_as_it_was_told(
        summary in words(), body in words(), run in words(), value in words(),
        teams in proptest::collection::btree_set(1..30_u32, 0..12), attempt in any::<u32>(), kind in 0..EventKind::ALL.len(),
    ) {
        let mut event = Event::new(EventKind::ALL[kind], summary);
        event.body = body;
        event.teams = teams.iter().copied().map(TeamId).collect();
        event.agent = teams.first().map(|team| format!("{team}.1").parse().unwrap());
        event.tasks = vec!["a-task".parse().unwrap()];
        event.attempt = Some(Attempt(attempt));
        event.head = Some(CommitId(value.clone()));
        event.more = vec![("Step", value)];
        let (actor, machine, id) = (Actor::Executor, MachineId(run.clone()), OpId(String::from("id-1")));
        let text = event.message_by(actor, &machine, &id, &run);
        let told = Told::parse(&text);
        prop_assert_eq!(told.kind(), event.kind.as_str(), "{}", text);
        let one = |key| told.all(key).collect::<Vec<_>>();
        prop_assert_eq!(one("Task"), ["a-task"]);
        prop_assert_eq!(one("Id"), ["id-1"]);
        prop_assert_eq!(one("Actor"), ["executor"]);
        prop_assert_eq!(one("Attempt"), [attempt.to_string()]);
        prop_assert!(one("Step").len() <= 1 && one("Run").len() <= 1);
        prop_assert_eq!(&told.teams(), &event.teams);
        prop_assert_eq!(told.agents(), event.agent.into_iter().collect::<Vec<_>>());
        let calls = event.kind == EventKind::Escalate;
        prop_assert_eq!(told.escalates(), calls);
        prop_assert_eq!(text.contains("ESCALATION"), calls);
        prop_assert!(text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')), "{text:?}");
        prop_assert!(!text.lines().any(|line| line.starts_with("---")), "{text:?}");
    }

    #[test]
    fn any_message_is_read(text in words(), more in words()) {
        for message in [&text, &format!("{text}\n\n{more}"), &format!("{text}\n\nOrch-Task: {more}")] {
            let told = Told::parse(message);
            let _ = (told.kind(), told.escalates(), told.teams(), told.agents());
            prop_assert!(!told.subject.contains('\n'));
            prop_assert!(told.trailers.iter().all(|(key, value)| !key.contains(": ") && !value.contains('\n')));
        }
    }
}
