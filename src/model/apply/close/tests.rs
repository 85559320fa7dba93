//! What is left of a run that was closed, and what the next one may use again.

use super::*;
use crate::model::ids::{CommitId, MachineId, OpId, TeamId, Timestamp};
use crate::model::op::{Actor, Claim, Op, PlanChange};
use crate::model::spec::{Plan, TaskSpec};
use crate::model::{Ask, Gate, RefusalKind, TeamSpec};

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

fn decide(board: &mut Board, op: Op) -> Decision {
    let decided = board.decide(&Intent {
        id: OpId(format!("op-{}", board.archives.len())),
        time: Timestamp(9),
        actor: Actor::Human,
        machine: MachineId(String::from("m")),
        op,
    });
    if let Ok(Some(change)) = &decided {
        board.absorb_all(&change.edits);
    }
    decided
}

fn plan(name: &str, tasks: &[&str]) -> Plan {
    let team: TeamSpec = toml::from_str("id = 1\ncoders = 2\n").unwrap();
    let mut plan = Plan {
        teams: vec![team],
        tasks: tasks
            .iter()
            .map(|task| TaskSpec::new(id(task), TeamId(1), format!("Do {task}")))
            .collect(),
        ..Plan::default()
    };
    plan.run.name = name.to_owned();
    plan
}

/// Applies a plan as the command does, with what the archives say.
fn apply(board: &mut Board, name: &str, tasks: &[&str], attempts: &[(&str, u32)]) -> Decision {
    let attempts = attempts
        .iter()
        .map(|(task, last)| (id(task), Attempt(*last)));
    let change = PlanChange {
        earlier: Earlier {
            archives: board.archives.clone(),
            attempts: attempts.collect(),
        },
        ..PlanChange::new(plan(name, tasks))
    };
    decide(board, Op::ApplyPlan(Box::new(change)))
}

fn claim(board: &mut Board, task: &str) -> Claim {
    let _ = decide(board, Op::Dispatch(Gate::Submitted));
    let base = CommitId(String::from("base"));
    let agent = "1.1".parse().unwrap();
    let ask = Ask::named(id(task), agent, Some(base));
    decide(board, Op::Claim(Box::new(ask))).unwrap();
    Claim {
        task: id(task),
        agent,
        attempt: board.tasks[&id(task)].status.attempt,
    }
}

/// A run with `a` given up and `b` never begun, both at their end.
fn over(name: &str) -> Board {
    let mut board = Board::default();
    apply(&mut board, name, &["a", "b"], &[]).unwrap();
    for _ in 0..2 {
        let held = claim(&mut board, "a");
        decide(&mut board, Op::Fail(held, String::from("x"), None)).unwrap();
    }
    let _ = decide(&mut board, Op::Dispatch(Gate::Submitted));
    assert_eq!(board.tasks[&id("a")].status.state, State::Gap);
    decide(&mut board, Op::Cancel(id("b"), String::from("x"))).unwrap();
    board
}

fn close(board: &mut Board) -> Change {
    let decided = decide(board, Op::Close(Vec::new(), None));
    decided.unwrap().expect("the run goes on")
}

#[test]
fn nothing_of_a_closed_run_is_on_the_board() {
    let mut board = over("first");
    let change = close(&mut board);
    assert!(board.tasks.is_empty() && board.teams.is_empty() && board.phases.is_empty());
    assert_eq!(board.settings.archive.as_deref(), Some("first"));
    assert_eq!(change.event.more, [("Archive", String::from("first"))]);
    assert_eq!(decide(&mut board, Op::Close(Vec::new(), None)), Ok(None));
    let dispatch = decide(&mut board, Op::Dispatch(Gate::Submitted));
    assert_eq!(dispatch.unwrap_err().kind, RefusalKind::Nothing);
}

#[test]
fn an_id_that_is_used_again_is_a_new_task_in_which_no_word_of_the_old_one_counts() {
    let mut board = over("first");
    let stale = Claim {
        task: id("a"),
        agent: "1.1".parse().unwrap(),
        attempt: Attempt(1),
    };
    close(&mut board);
    apply(&mut board, "second", &["a", "b", "c"], &[("a", 2)]).unwrap();
    for task in ["a", "b", "c"] {
        let status = &board.tasks[&id(task)].status;
        assert_eq!(
            (status.state, status.attempt.0),
            (State::Pending, 0),
            "{task}"
        );
        let anew = board.fresh_since(&board.tasks[&id(task)]).is_some();
        assert_eq!(anew, task == "a", "{task}");
    }
    let held = claim(&mut board, "a");
    assert_eq!(held.attempt, Attempt(3), "attempts go on rising");
    for op in [
        Op::Start(stale.clone()),
        Op::Fail(stale, String::from("late"), None),
    ] {
        let refusal = decide(&mut board, op).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Lost);
    }
    // It may be changed and taken out as any task that nobody has begun, and comes back as the same.
    let mut other = over("first");
    close(&mut other);
    apply(&mut other, "second", &["a"], &[("a", 2)]).unwrap();
    apply(&mut other, "second", &["c"], &[]).unwrap();
    apply(&mut other, "second", &["a", "c"], &[("a", 2)]).unwrap();
    assert_eq!(claim(&mut other, "a").attempt, Attempt(3));
}

#[test]
fn a_task_that_is_added_later_goes_on_from_the_archive_as_well() {
    let mut board = over("first");
    close(&mut board);
    apply(&mut board, "second", &["c"], &[]).unwrap();
    let spec = || Box::new(TaskSpec::new(id("a"), TeamId(1), "Do a again"));
    let old = decide(&mut board, Op::AddTask(spec(), Earlier::default()));
    assert_eq!(old.unwrap_err().kind, RefusalKind::Lost);
    let earlier = Earlier {
        archives: board.archives.clone(),
        attempts: [(id("a"), Attempt(2))].into(),
    };
    decide(&mut board, Op::AddTask(spec(), earlier)).unwrap();
    assert_eq!(claim(&mut board, "a").attempt, Attempt(3));
}

#[test]
fn a_plan_that_was_read_before_the_run_was_closed_is_not_applied() {
    let mut board = over("first");
    let before = PlanChange::new(plan("second", &["a"]));
    close(&mut board);
    let refusal = decide(&mut board, Op::ApplyPlan(Box::new(before))).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Lost);
}

#[test]
fn a_run_that_an_older_version_closed_is_archived_by_the_next_plan_or_close() {
    let closed = || {
        let mut board = over("first");
        board.settings.closed = Some(Timestamp(5));
        board
    };
    let mut board = closed();
    let change = apply(&mut board, "second", &["a", "c"], &[])
        .unwrap()
        .unwrap();
    assert_eq!(change.edits[0], Edit::Archive(String::from("first")));
    assert_eq!(board.settings.closed, None);
    assert_eq!(board.tasks.len(), 2);
    assert_eq!(board.tasks[&id("a")].status.state, State::Pending);
    assert_eq!(claim(&mut board, "a").attempt, Attempt(3));
    let mut board = closed();
    close(&mut board);
    assert!(board.tasks.is_empty());
    assert_eq!(board.settings.closed, Some(Timestamp(5)));
}

#[test]
fn archives_are_called_after_their_runs_and_no_two_alike() {
    for (name, expected) in [
        ("billing", "billing"),
        ("Q3: pay & print", "Q3--pay---print"),
        ("../../etc", "-..-etc"),
        ("...", "run"),
        ("", "run"),
        ("ü", "run"),
    ] {
        let mut board = over(name);
        assert_eq!(board.archive_name(), expected, "{name}");
        close(&mut board);
        board.settings.closed = None;
        assert_eq!(board.archive_name(), format!("{expected}-2"), "{name}");
    }
}
