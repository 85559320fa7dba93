//! Gaps that come back: by a person's word, and by a plan that says otherwise.

use super::*;
use crate::model::board::Gate;
use crate::model::ids::{AgentId, Attempt, CommitId, MachineId, OpId, TeamId, Timestamp};
use crate::model::op::{Actor, Claim, Op, PlanChange};
use crate::model::profile::Profile;
use crate::model::spec::{Dependency, Plan, TaskSpec, TeamSpec};
use crate::model::{Ask, RefusalKind};

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

fn agent(text: &str) -> AgentId {
    text.parse().unwrap()
}

/// Tasks `a` and `d`, and `b` and `c` each after the one before; `theirs` works on a branch of the user's.
fn plan() -> Plan {
    let task = |name: &str| TaskSpec::new(id(name), TeamId(1), format!("Do {name}"));
    let after = |name: &str, on: &str| TaskSpec {
        after: vec![Dependency {
            task: id(on),
            coupling: crate::model::Coupling::Medium,
        }],
        ..task(name)
    };
    let theirs = TaskSpec {
        branch: Some(String::from("feature/x")),
        ..task("theirs")
    };
    let team = |number: u32| TeamSpec {
        id: TeamId(number),
        name: String::new(),
        coders: 4,
        parent: None,
        agent: None,
        model: None,
        skills: Vec::new(),
        agents: Vec::new(),
    };
    let profile = Profile {
        preset: Some(String::from("shell")),
        ..Profile::default()
    };
    Plan {
        teams: vec![team(1), team(2)],
        agents: [(String::from("default"), profile)].into(),
        tasks: vec![
            task("a"),
            after("b", "a"),
            after("c", "b"),
            task("d"),
            theirs,
        ],
        ..Plan::default()
    }
}

fn decide(board: &mut Board, actor: Actor, op: Op) -> Decision {
    let decided = board.decide(&Intent {
        id: OpId(String::from("op-9")),
        time: Timestamp(9),
        actor,
        machine: MachineId(String::from("m")),
        op,
    });
    if let Ok(Some(change)) = &decided {
        board.absorb_all(&change.edits);
    }
    decided
}

fn apply(board: &mut Board, plan: Plan) -> Option<Change> {
    let op = Op::ApplyPlan(Box::new(PlanChange::new(plan)));
    decide(board, Actor::Human, op).unwrap()
}

/// Fails a task until it is given up.
fn give_up(board: &mut Board, task: &str) {
    for attempt in 1.. {
        let _ = decide(board, Actor::Human, Op::Dispatch(Gate::Submitted));
        if state(board, task) == State::Gap {
            return;
        }
        let who = agent(&format!("1.{}", 1 + attempt % 2));
        let ask = Ask::named(id(task), who, Some(CommitId(String::from("old"))));
        decide(board, Actor::Executor, Op::Claim(Box::new(ask))).unwrap();
        let claim = Claim {
            task: id(task),
            agent: who,
            attempt: Attempt(attempt),
        };
        let fail = Op::Fail(claim, String::from("tests fail"), None);
        decide(board, Actor::Executor, fail).unwrap();
    }
}

/// A board on which `a` and `theirs` were given up.
fn board() -> Board {
    let mut board = Board::default();
    apply(&mut board, plan());
    give_up(&mut board, "a");
    give_up(&mut board, "theirs");
    board
}

fn state(board: &Board, task: &str) -> State {
    board.tasks[&id(task)].status.state
}

fn retry(tasks: &[&str]) -> Retry {
    Retry {
        tasks: tasks.iter().map(|task| id(task)).collect(),
        ..Retry::default()
    }
}

fn act(board: &mut Board, retry: Retry) -> Decision {
    decide(board, Actor::Human, Op::Retry(Box::new(retry)))
}

#[test]
fn a_gap_is_ready_again_with_all_its_retries_and_a_branch_that_begins_anew() {
    let mut board = board();
    let change = act(&mut board, retry(&["a"])).unwrap().unwrap();
    let status = &board.tasks[&id("a")].status;
    assert_eq!(
        (status.state, status.failures, status.attempt),
        (State::Ready, 0, Attempt(2)),
        "attempts go on rising"
    );
    assert_eq!((&status.base, &status.head), (&None, &None));
    assert_eq!(status.findings.as_deref(), Some("tests fail"));
    assert_eq!(
        board.fresh_since(&board.tasks[&id("a")]),
        Some(&OpId(String::from("op-9")))
    );
    assert_eq!(change.event.states, Some((State::Gap, State::Ready)));
    give_up_again(&mut board);
    assert_eq!(
        state(&board, "a"),
        State::Gap,
        "it has one retry, as before"
    );
    assert_eq!(board.tasks[&id("a")].status.attempt, Attempt(4));
}

fn give_up_again(board: &mut Board) {
    for attempt in 3.. {
        let _ = decide(board, Actor::Human, Op::Dispatch(Gate::Submitted));
        if state(board, "a") == State::Gap {
            return;
        }
        let ask = Ask::named(id("a"), agent("1.3"), Some(CommitId(String::from("new"))));
        decide(board, Actor::Executor, Op::Claim(Box::new(ask))).unwrap();
        assert_eq!(
            board.tasks[&id("a")].status.base,
            Some(CommitId(String::from("new"))),
            "it is cut anew"
        );
        let claim = Claim {
            task: id("a"),
            agent: agent("1.3"),
            attempt: Attempt(attempt),
        };
        let fail = Op::Fail(claim, String::from("again"), None);
        decide(board, Actor::Executor, fail).unwrap();
    }
}

#[test]
fn it_goes_on_from_its_branch_where_that_is_asked_or_the_branch_is_the_users() {
    let mut board = board();
    let resume = Retry {
        resume: true,
        ..retry(&["a"])
    };
    act(&mut board, resume).unwrap();
    let before = CommitId(String::from("old"));
    assert_eq!(board.fresh_since(&board.tasks[&id("a")]), None);
    assert_eq!(board.tasks[&id("a")].status.base, Some(before.clone()));
    act(&mut board, retry(&["theirs"])).unwrap();
    assert_eq!(board.fresh_since(&board.tasks[&id("theirs")]), None);
    assert_eq!(board.tasks[&id("theirs")].status.base, Some(before));
}

#[test]
fn all_gaps_come_back_in_one_transition_with_what_is_told_to_them() {
    let mut board = board();
    let all = Retry {
        all_gaps: true,
        message: Some(String::from("the database is up")),
        ..Retry::default()
    };
    let change = act(&mut board, all.clone()).unwrap().unwrap();
    assert_eq!(change.event.tasks, [id("a"), id("theirs")]);
    assert_eq!(change.edits.len(), 2);
    assert_eq!(change.event.subject(), "[TEAM-1] retry: 2 tasks begin anew");
    for task in ["a", "theirs"] {
        assert_eq!(state(&board, task), State::Ready);
        assert_eq!(
            board.tasks[&id(task)].status.messages,
            ["the database is up"]
        );
    }
    let none = act(&mut board, all).unwrap_err();
    assert_eq!(none.kind, RefusalKind::Nothing);
}

#[test]
fn a_gap_that_must_wait_for_another_waits_and_both_come_back_together() {
    let mut board = board();
    board.tasks.get_mut(&id("b")).unwrap().status.state = State::Gap;
    act(&mut board, retry(&["b"])).unwrap();
    assert_eq!(state(&board, "b"), State::Pending, "a is a gap still");
    board.tasks.get_mut(&id("b")).unwrap().status.state = State::Gap;
    act(&mut board, retry(&["b", "a", "b"])).unwrap();
    assert_eq!(
        [state(&board, "a"), state(&board, "b")],
        [State::Ready, State::Pending]
    );
}

#[test]
fn every_other_state_is_refused_with_what_helps_and_nothing_of_the_rest_is_done() {
    for (from, hint) in [
        (State::Pending, "git orch dispatch"),
        (State::Ready, "git orch status d"),
        (State::Claimed, "git orch release d -m 'begin again'"),
        (State::InProgress, "git orch release d -m 'begin again'"),
        (State::Submitted, "git orch status d"),
        (State::Accepted, "git orch status d"),
        (State::Merged, "git orch undo d"),
        (State::Cancelled, "git orch status d"),
    ] {
        let mut board = board();
        board.tasks.get_mut(&id("d")).unwrap().status.state = from;
        let refusal = act(&mut board, retry(&["a", "d"])).unwrap_err();
        assert_eq!(refusal.hints.first().map(String::as_str), Some(hint));
        assert_eq!(state(&board, "a"), State::Gap, "{from}");
    }
    for from in [State::Failed, State::Blocked] {
        let mut board = board();
        board.tasks.get_mut(&id("d")).unwrap().status.state = from;
        act(&mut board, retry(&["d"])).unwrap();
        assert_eq!(state(&board, "d"), State::Ready, "{from}");
    }
}

#[test]
fn a_leader_brings_back_what_is_its_teams() {
    let ask = |who: &str, what: Retry| {
        let actor = Actor::Agent(agent(who));
        decide(&mut board(), actor, Op::Retry(Box::new(what)))
    };
    assert!(ask("1.0", retry(&["a"])).is_ok());
    for (who, what) in [("2.0", retry(&["a"])), ("1.1", retry(&["a"]))] {
        let refusal = ask(who, what).unwrap_err();
        assert!(refusal.message.contains("bring tasks back"), "{refusal:?}");
    }
}

#[test]
fn who_waits_for_a_gap_is_told_what_brings_it_back() {
    let board = board();
    let wait = board.wait_of(&board.tasks[&id("c")]).unwrap();
    assert_eq!(wait.hint().as_deref(), Some("git orch retry a"));
    let ask = Ask::named(id("a"), agent("1.1"), None);
    let refusal = decide(&mut board.clone(), Actor::Human, Op::Claim(Box::new(ask)));
    let refusal = refusal.unwrap_err();
    assert_eq!(
        refusal.message,
        "task a was given up after 2 attempts: tests fail"
    );
    assert_eq!(refusal.hints[0], "git orch retry a");
}

/// What a plan may say otherwise, and which of the gaps that brings back.
type Otherwise = (&'static str, fn(&mut Plan), &'static [&'static str]);

const WAYS: &[Otherwise] = &[
    ("its text", |plan| plan.tasks[0].title.push('!'), &["a"]),
    (
        "its scope",
        |plan| plan.tasks[0].scope.push(String::from("x")),
        &["a"],
    ),
    (
        "its retries",
        |plan| plan.tasks[0].retries = Some(3),
        &["a"],
    ),
    (
        "the run's retries",
        |plan| plan.run.retries = 5,
        &["a", "theirs"],
    ),
    (
        "the run's timeout",
        |plan| plan.run.timeout *= 2,
        &["a", "theirs"],
    ),
    (
        "its profile",
        |plan| {
            let profile = plan.agents.get_mut("default").unwrap();
            profile.env.insert(String::from("KEY"), String::from("x"));
        },
        &["a", "theirs"],
    ),
    (
        "its team's model",
        |plan| plan.teams[0].model = Some(String::from("opus")),
        &["a", "theirs"],
    ),
    ("another task", |plan| plan.tasks[3].title.push('!'), &[]),
    ("the run's name", |plan| plan.run.name.push('!'), &[]),
    ("fewer retries", |plan| plan.run.retries = 0, &[]),
    (
        "a task more",
        |plan| plan.tasks.push(TaskSpec::new(id("e"), TeamId(1), "e")),
        &[],
    ),
];

#[test]
fn a_plan_that_says_otherwise_of_a_gap_brings_it_back() {
    for (what, otherwise, expected) in WAYS {
        let mut board = board();
        let mut plan = plan();
        otherwise(&mut plan);
        let asked = PlanChange::new(plan.clone());
        let expected: Vec<TaskId> = expected.iter().map(|task| id(task)).collect();
        let told = board.compare_plan(&asked);
        assert_eq!(told.brought_back, expected, "{what}");
        assert!(told.kept.is_empty(), "{what}");
        let change = apply(&mut board, plan).unwrap();
        for task in ["a", "theirs"] {
            let back = expected.contains(&id(task));
            let status = &board.tasks[&id(task)].status;
            assert_eq!(status.state == State::Ready, back, "{what}");
            assert_eq!(status.fresh_since, None, "{what}: the branch is continued");
            assert_eq!(change.event.body.contains(task), back, "{what}");
        }
        // The same plan again changes nothing, and the gap that comes of it stays one.
        let stands = board.clone();
        assert_eq!(
            decide(&mut board, Actor::Human, Op::ApplyPlan(Box::new(asked))),
            Ok(None)
        );
        assert_eq!(board, stands, "{what}");
    }
}

#[test]
fn a_gap_that_a_plan_moves_to_another_team_or_leaves_out_stays_as_it_is() {
    let mut board = board();
    let mut moved = plan();
    moved.tasks[0].team = TeamId(2);
    moved.tasks.truncate(4);
    apply(&mut board, moved);
    assert_eq!(
        [state(&board, "a"), state(&board, "theirs")],
        [State::Gap, State::Gap]
    );
    assert_eq!(board.tasks[&id("a")].team, TeamId(1));
}

#[test]
fn failed_work_gets_its_retries_anew_where_the_plan_says_otherwise() {
    let mut board = board();
    let mut task = board.tasks.get_mut(&id("d")).unwrap();
    task.status.state = State::Failed;
    task.status.failures = 2;
    drop(task);
    let mut other = plan();
    other.tasks[3].context.push_str("mind the gap");
    apply(&mut board, other);
    let status = &board.tasks[&id("d")].status;
    assert_eq!((status.state, status.failures), (State::Ready, 0));
}
