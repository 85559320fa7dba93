//! What people tell whoever works on a task next.

use super::*;

/// A board whose task `a` is held by 1.1 and blocked with a question.
fn blocked() -> Board {
    let mut board = board();
    run(&mut board, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap();
    claim(&mut board, "a", "1.1").unwrap();
    let question = String::from("UTF-8 or Latin-1?");
    let block = Op::Block(claim_of("a", "1.1", 1), question);
    run(&mut board, Actor::Agent(agent("1.1")), block).unwrap();
    board
}

fn messages(board: &Board) -> &[String] {
    &board.tasks[&id("a")].status.messages
}

fn free(text: &str) -> Op {
    Op::Free {
        task: id("a"),
        reason: text.to_owned(),
        message: Some(text.to_owned()),
    }
}

#[test]
fn an_answer_is_kept_with_its_question_by_every_verb_that_takes_one() {
    let held = || claim_of("a", "1.1", 1);
    let answer = || String::from("UTF-8 please");
    let verbs = [
        (Actor::Human, Op::Unblock(held(), Some(answer()))),
        (Actor::Agent(agent("1.0")), free(&answer())),
        (Actor::Human, free(&answer())),
        (Actor::Human, Op::Release(held(), answer())),
    ];
    for (who, op) in verbs {
        let mut board = blocked();
        let change = run(&mut board, who, op.clone()).unwrap().unwrap();
        assert_eq!(
            messages(&board),
            ["in answer to \"UTF-8 or Latin-1?\": UTF-8 please"],
            "{op:?}"
        );
        let told = change.event.message(&intent(who, op), "r");
        assert!(told.contains("UTF-8 please"), "{told}");
    }
}

#[test]
fn messages_stay_until_the_work_is_merged() {
    let mut board = blocked();
    run(&mut board, Actor::Human, free("UTF-8 please")).unwrap();
    claim(&mut board, "a", "1.2").unwrap();
    let fail = Op::Fail(claim_of("a", "1.2", 2), String::from("x"), None);
    run(&mut board, Actor::Executor, fail).unwrap();
    run(&mut board, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap();
    claim(&mut board, "a", "1.2").unwrap();
    run(&mut board, Actor::Human, free("and no BOM")).unwrap();
    assert_eq!(messages(&board).len(), 2);
    assert_eq!(messages(&board)[1], "and no BOM");
    claim(&mut board, "a", "1.1").unwrap();
    submit(&mut board, claim_of("a", "1.1", 4)).unwrap();
    assert_eq!(messages(&board).len(), 2, "it may be sent back");
    let head = CommitId(String::from("head-a-4"));
    let merge = Op::Merge(id("a"), head, CommitId(String::from("m")));
    run(&mut board, Actor::Assembler, merge).unwrap();
    assert!(messages(&board).is_empty());
}

#[test]
fn what_machines_say_of_a_claim_is_no_message() {
    let mut board = blocked();
    let why = String::from("its worktree could not be made ready");
    let release = Op::Release(claim_of("a", "1.1", 1), why);
    run(&mut board, Actor::Executor, release).unwrap();
    assert!(messages(&board).is_empty());
    // Nor does an unblocking without words leave any.
    let mut board = blocked();
    let unblock = Op::Unblock(claim_of("a", "1.1", 1), None);
    run(&mut board, Actor::Human, unblock).unwrap();
    assert!(messages(&board).is_empty());
}

#[test]
fn a_record_holds_a_bounded_number_of_messages() {
    let mut status = crate::model::state::Status::default();
    for number in 0..100 {
        status.add_message(None, &number.to_string());
        // Said twice is said once: a retried operation tells nothing new.
        status.add_message(None, &number.to_string());
    }
    assert_eq!(status.messages.len(), 16);
    assert_eq!(status.messages.last().map(String::as_str), Some("99"));
}
