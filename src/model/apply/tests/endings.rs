//! Attempts that an executor ends without a submission: what they cost, and when they are tried again.

use super::*;
use crate::model::op::EndedAttempt;
use crate::model::{EndingClass, Status};

fn end(board: &mut Board, attempt: u32, class: EndingClass, counts: bool) -> Change {
    let ended = EndedAttempt {
        claim: claim_of("a", "1.1", attempt),
        class,
        counts,
        reason: String::from("why"),
        findings: Some(String::from("all of it")),
    };
    run(board, Actor::Executor, Op::End(Box::new(ended)))
        .unwrap()
        .unwrap()
}

fn dispatch() -> Op {
    Op::Dispatch(Gate::Submitted)
}

fn claimed() -> Board {
    let mut board = board();
    run(&mut board, Actor::Human, dispatch()).unwrap();
    claim(&mut board, "a", "1.1").unwrap();
    board
}

fn status(board: &Board) -> &Status {
    &board.tasks[&id("a")].status
}

#[test]
fn what_the_agent_is_to_blame_for_costs_a_try_and_is_told_with_its_class() {
    let mut board = claimed();
    let change = end(&mut board, 1, EndingClass::Killed, true);
    assert_eq!(change.event.kind, EventKind::Fail);
    assert_eq!(change.event.more, [("Class", String::from("killed"))]);
    assert_eq!(status(&board).class, Some(EndingClass::Killed));
    assert_eq!(status(&board).findings.as_deref(), Some("all of it"));
    assert_eq!(
        (state(&board, "a"), status(&board).failures),
        (State::Failed, 1)
    );
    run(&mut board, Actor::Human, dispatch()).unwrap();
    claim(&mut board, "a", "1.1").unwrap();
    // The class is of the last attempt only.
    assert_eq!(status(&board).class, None);
}

#[test]
fn what_nobody_here_could_have_done_better_costs_nothing_and_waits() {
    for class in [EndingClass::Setup, EndingClass::Environment] {
        let mut board = claimed();
        end(&mut board, 1, class.clone(), false);
        assert_eq!(
            (state(&board, "a"), status(&board).failures),
            (State::Failed, 0)
        );
        assert!(status(&board).waits_for_setup());
        // Not by itself, nor by hand.
        for actor in [Actor::Human, Actor::Executor] {
            assert!(run(&mut board, actor, dispatch()).is_err());
        }
        let refused = claim(&mut board, "a", "1.1").unwrap_err();
        assert_eq!(refused.hints, ["git orch retry a"]);
        // Whoever begins here anew tries again.
        run(&mut board, Actor::Executor, Op::Begin)
            .unwrap()
            .unwrap();
        assert_eq!(state(&board, "a"), State::Ready);
        assert_eq!(run(&mut board, Actor::Executor, Op::Begin).unwrap(), None);
    }
}

#[test]
fn another_machine_may_be_set_up_otherwise() {
    let mut board = claimed();
    end(&mut board, 1, EndingClass::Setup, false);
    let mut row = board.tasks.get_mut(&id("a")).unwrap();
    row.status.machine = Some(MachineId(String::from("elsewhere")));
    drop(row);
    assert_eq!(run(&mut board, Actor::Executor, Op::Begin).unwrap(), None);
    assert!(run(&mut board, Actor::Human, dispatch()).is_err());
    run(&mut board, Actor::Executor, dispatch()).unwrap();
    assert_eq!(state(&board, "a"), State::Ready);
}

#[test]
fn a_failure_that_is_its_profiles_is_given_back() {
    let mut board = claimed();
    let change = end(&mut board, 1, EndingClass::AgentError, false);
    assert_eq!(change.event.kind, EventKind::Release);
    assert_eq!(
        (state(&board, "a"), status(&board).failures),
        (State::Ready, 0)
    );
    assert_eq!(status(&board).class, Some(EndingClass::AgentError));
}
