use super::*;
use crate::model::Actor;
use crate::model::ids::{CommitId, MachineId, OpId, TeamId, Timestamp};
use crate::model::op::{Earlier, Op};
use crate::model::spec::{RunSpec, TaskSpec};
use crate::model::{RefusalKind, Task};

fn board(at: Option<WrapUpAt>) -> Board {
    let mut board = Board::default();
    for (order, (name, state)) in [
        ("a", State::Merged),
        ("b", State::Ready),
        ("c", State::InProgress),
        ("d", State::Submitted),
        ("e", State::Gap),
        ("f", State::Cancelled),
        ("g", State::Blocked),
    ]
    .into_iter()
    .enumerate()
    {
        let spec = TaskSpec::new(name.parse().unwrap(), TeamId(1), format!("Do {name}"));
        let mut task = Task::from_spec(&spec, u32::try_from(order).unwrap(), false, 0);
        task.status.state = state;
        task.status.commit = Some(CommitId(String::from("c")));
        task.status.reason = Some(String::from("no key"));
        board.tasks.insert(task);
    }
    board.settings.run = Some(Box::new(RunSpec {
        wrapup: at,
        ..RunSpec::default()
    }));
    board
}

fn open() -> Open {
    board(None).unfinished().remove(0)
}

#[test]
fn what_is_at_work_blocked_or_not_brought_in_is_open() {
    let board = board(None);
    let open = board.unfinished();
    let told: Vec<(OpenKind, &str)> = open
        .iter()
        .map(|item| (item.kind, item.what.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (OpenKind::Task, "c is in_progress"),
            (OpenKind::Assembly, "d is submitted and not brought in"),
            (OpenKind::Task, "g is blocked"),
        ]
    );
}

#[test]
fn the_summary_has_every_task_in_one_place_but_what_nobody_wants() {
    let mut board = board(None);
    let record = crate::model::AgentRecord {
        paused: Some(String::from("it loops")),
    };
    board.agents.insert("1.1".parse().unwrap(), record);
    let summary = board.summary();
    assert_eq!(summary.done, ["a: Do a"]);
    assert_eq!(
        summary.next,
        [
            "b: Do b (ready)",
            "c: Do c (in_progress)",
            "d: Do d (submitted)"
        ]
    );
    assert_eq!(
        summary.blockers,
        [
            "e: Do e (gap: no key)",
            "g: Do g (blocked: no key)",
            "agent 1.1 is paused: it loops"
        ]
    );
}

#[test]
fn open_items_forbid_only_the_end_that_the_run_names() {
    let open = [open()];
    for (at, submit, close) in [
        (None, true, true),
        (Some(WrapUpAt::Submit), false, true),
        (Some(WrapUpAt::Close), true, false),
    ] {
        let board = board(at);
        assert_eq!(board.may_submit_with(&open).is_ok(), submit, "{at:?}");
        assert!(board.may_submit_with(&[]).is_ok());
        let mut over = board.clone();
        over.tasks.retain(|task| task.state.is_final());
        let what = vec![open[0].what.clone()];
        assert_eq!(over.decide(&closing(what)).is_ok(), close, "{at:?}");
        assert!(over.decide(&closing(Vec::new())).unwrap().is_some());
    }
    let refusal = board(Some(WrapUpAt::Submit)).may_submit_with(&open);
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Denied);
    assert_eq!(refusal.message, "the wrap-up is not done: c is in_progress");
}

fn closing(open: Vec<String>) -> Intent {
    let asked = intent(Actor::Human, WrapUp::default());
    Intent {
        op: Op::Close(open, Some(String::from("it works"))),
        ..asked
    }
}

#[test]
fn a_run_is_closed_once_when_every_task_has_come_to_its_end() {
    let mut board = board(None);
    let refusal = board.decide(&closing(Vec::new())).unwrap_err();
    assert_eq!(
        refusal.message,
        "run run cannot be closed: b is ready, c is in_progress, d is submitted, g is blocked"
    );
    board.tasks.retain(|task| task.state.is_final());
    let change = board.decide(&closing(Vec::new())).unwrap().unwrap();
    assert_eq!(change.event.summary, "1 merged, 1 cancelled, 1 given up");
    assert_eq!(change.event.body, "it works");
    for edit in &change.edits {
        board.absorb(edit);
    }
    assert_eq!(board.decide(&closing(Vec::new())), Ok(None));
    let spec = TaskSpec::new("new".parse().unwrap(), TeamId(1), String::from("Do more"));
    let mut asked = closing(Vec::new());
    asked.op = Op::AddTask(Box::new(spec), Earlier::default());
    let refusal = board.decide(&asked).unwrap_err();
    assert!(refusal.message.ends_with("is closed"), "{refusal:?}");
}

fn intent(actor: Actor, done: WrapUp) -> Intent {
    Intent {
        id: OpId(String::from("op")),
        time: Timestamp(7),
        actor,
        machine: MachineId(String::from("here")),
        op: Op::WrapUp(Box::new(done)),
    }
}

#[test]
fn a_person_records_it_in_one_transition_that_tells_all_of_it() {
    let board = board(None);
    let done = WrapUp {
        summary: board.summary(),
        open: vec![String::from("c is in_progress")],
    };
    let asked = intent(Actor::Human, done.clone());
    let change = board.decide(&asked).unwrap().unwrap();
    assert_eq!(
        change.event.message(&asked, "demo"),
        "[ORCH] wrapup: 1 done, 3 next, 2 in the way, 1 open\n\n\
         Done:\n- a: Do a\n\n\
         Next:\n- b: Do b (ready)\n- c: Do c (in_progress)\n- d: Do d (submitted)\n\n\
         In the way:\n- e: Do e (gap: no key)\n- g: Do g (blocked: no key)\n\n\
         Open:\n- c is in_progress\n\n\
         Orch-Event: wrapup\nOrch-Run: demo\nOrch-Actor: human\nOrch-Machine: here\nOrch-Id: op\n"
    );
    assert_eq!(
        change.edits,
        [Edit::PutWrapUp(asked.id, Box::new(done.clone()))]
    );
    let refused = board.decide(&intent(Actor::Agent("1.1".parse().unwrap()), done));
    assert!(
        refused
            .unwrap_err()
            .message
            .contains("may not wrap the run up")
    );
}
