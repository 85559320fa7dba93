use super::*;
use crate::model::board::{Gate, Tested};
use crate::model::ids::{AgentId, Attempt, CommitId, MachineId, OpId, TaskId, TeamId, Timestamp};
use crate::model::op::Actor;
use crate::model::op::{Claim, Op};
use crate::model::spec::{Coupling, Dependency, Handoff, HandoffStatus, TaskSpec};
use crate::model::{Refusal, RefusalKind, Task};

fn id(name: &str) -> TaskId {
    name.parse().unwrap()
}

fn commit(name: &str) -> CommitId {
    CommitId(name.to_owned())
}

/// `a` is merged by commit `m-a`; `b` and `c` wait for it and are ready; `d` has nothing to do with it.
fn board() -> Board {
    let mut board = Board::default();
    let after = |coupling| {
        vec![Dependency {
            task: id("a"),
            coupling,
        }]
    };
    for (order, (name, state, after)) in [
        ("a", State::Merged, Vec::new()),
        ("b", State::Ready, after(Coupling::Tight)),
        ("c", State::InProgress, after(Coupling::Loose)),
        ("d", State::Ready, Vec::new()),
    ]
    .into_iter()
    .enumerate()
    {
        let mut spec = TaskSpec::new(id(name), TeamId(1), format!("Do {name}"));
        spec.after = after;
        let mut task = Task::from_spec(&spec, u32::try_from(order).unwrap(), false, 0);
        task.status.state = state;
        task.status.head = Some(commit("h-a"));
        task.status.commit = Some(commit("m-a"));
        board.tasks.insert(task);
    }
    board.tested = Some(Tested {
        commit: commit("m-a"),
        test: Some(String::from("make test")),
    });
    board
}

fn undone(task: Option<&str>, reverted: bool) -> Undone {
    Undone {
        task: task.map(id),
        landing: commit("m-a"),
        tip: commit("before"),
        reverted,
        reason: String::from("it is slow"),
        tested: Some(Tested {
            commit: commit("before"),
            test: Some(String::from("make test")),
        }),
    }
}

fn intent(actor: Actor, op: Op) -> Intent {
    Intent {
        id: OpId(String::from("op")),
        time: Timestamp(7),
        actor,
        machine: MachineId(String::from("here")),
        op,
    }
}

fn decide(board: &Board, actor: Actor, undone: Undone) -> Result<Option<Change>, Refusal> {
    board.decide(&intent(actor, Op::Undo(Box::new(undone))))
}

fn after(board: &Board, change: &Change) -> Board {
    let mut after = board.clone();
    for edit in &change.edits {
        after.absorb(edit);
    }
    after
}

#[test]
fn the_task_goes_back_to_its_coder_without_costing_a_retry() {
    let board = board();
    let change = decide(&board, Actor::Human, undone(Some("a"), false))
        .unwrap()
        .unwrap();
    let now = after(&board, &change);
    let status = &now.tasks[&id("a")].status;
    assert_eq!(status.state, State::Ready);
    assert_eq!((status.failures, &status.commit), (0, &None));
    assert!(status.findings.as_ref().unwrap().contains("it is slow"));
    assert_eq!(now.tested.unwrap().commit, commit("before"));
    assert_eq!(change.event.states, Some((State::Merged, State::Ready)));
    assert_eq!(change.event.commit, Some(commit("m-a")));
    assert_eq!(change.event.summary, "m-a moved back: it is slow");
}

#[test]
fn who_was_ready_because_of_it_waits_again() {
    let board = board();
    let change = decide(&board, Actor::Human, undone(Some("a"), false))
        .unwrap()
        .unwrap();
    let now = after(&board, &change);
    let state = |name: &str| now.tasks[&id(name)].status.state;
    assert_eq!(
        [state("b"), state("c"), state("d")],
        [State::Pending, State::InProgress, State::Ready]
    );
}

#[test]
fn a_task_whose_own_dependency_is_out_waits_for_it() {
    let mut board = board();
    board.tasks.get_mut(&id("b")).unwrap().status.state = State::Merged;
    board.tasks.get_mut(&id("a")).unwrap().status.state = State::Ready;
    let change = decide(&board, Actor::Human, undone(Some("b"), true))
        .unwrap()
        .unwrap();
    let now = after(&board, &change);
    assert_eq!(now.tasks[&id("b")].status.state, State::Pending);
    let findings = now.tasks[&id("b")].status.findings.clone().unwrap();
    assert!(findings.contains("git revert before"), "{findings}");
}

#[test]
fn a_reverted_commit_is_not_handed_in_again() {
    let claimed = |reverted| {
        let change = decide(&board(), Actor::Human, undone(Some("a"), reverted));
        let mut board = after(&board(), &change.unwrap().unwrap());
        let mut task = board.tasks.get_mut(&id("a")).unwrap();
        let status = &mut task.status;
        status.state = State::InProgress;
        status.agent = Some("1.1".parse().unwrap());
        drop(task);
        board
    };
    let submit = |board: &Board, head: &str| {
        let claim = Claim {
            task: id("a"),
            agent: "1.1".parse().unwrap(),
            attempt: Attempt(0),
        };
        let handoff = Handoff {
            task_id: id("a"),
            status: HandoffStatus::Completed,
            summary: String::new(),
            output: String::new(),
            deliverables: Vec::new(),
            dependencies: Vec::new(),
            next_steps: Vec::new(),
        };
        let op = Op::Submit(claim, commit(head), Box::new(handoff));
        board.decide(&intent(Actor::Human, op))
    };
    let refusal = submit(&claimed(true), "h-a").unwrap_err();
    assert!(refusal.message.contains("reverted"), "{refusal:?}");
    assert!(submit(&claimed(true), "h-a2").is_ok());
    assert!(
        submit(&claimed(false), "h-a").is_ok(),
        "nothing of it is left in the history"
    );
}

#[test]
fn what_is_not_in_by_that_commit_is_left_alone() {
    let mut board = board();
    board.tasks.get_mut(&id("a")).unwrap().status.commit = Some(commit("other"));
    assert_eq!(
        decide(&board, Actor::Human, undone(Some("a"), false)),
        Ok(None)
    );
    board.tasks.get_mut(&id("a")).unwrap().status.state = State::Ready;
    assert_eq!(
        decide(&board, Actor::Human, undone(Some("a"), false)),
        Ok(None)
    );
    let refusal = decide(&board, Actor::Human, undone(Some("x"), false)).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Denied);
}

#[test]
fn a_landing_without_a_task_is_told_all_the_same() {
    let board = board();
    let change = decide(&board, Actor::Human, undone(None, true))
        .unwrap()
        .unwrap();
    assert_eq!(change.edits.len(), 1, "what is known of the tip");
    assert!(change.event.tasks.is_empty());
    let again = decide(&after(&board, &change), Actor::Human, undone(None, true));
    assert_eq!(again, Ok(None));
}

#[test]
fn agents_may_not_even_leaders() {
    for agent in ["1.1", "1.0"] {
        let agent: AgentId = agent.parse().unwrap();
        let refusal = decide(&board(), Actor::Agent(agent), undone(Some("a"), false)).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Denied);
    }
    assert_eq!(board().settings.gate, Gate::default());
}
