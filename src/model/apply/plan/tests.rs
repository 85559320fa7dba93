use super::*;
use crate::model::ids::{AgentId, Attempt, MachineId, OpId, Timestamp};
use crate::model::op::{Actor, Op};
use crate::model::profile::Profile;
use crate::model::spec::{Dependency, TeamSpec};

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

fn spec(name: &str, team: u32) -> TaskSpec {
    TaskSpec::new(id(name), TeamId(team), format!("do {name}"))
}

fn after(mut spec: TaskSpec, on: &str) -> TaskSpec {
    spec.after.push(Dependency {
        task: id(on),
        coupling: crate::model::Coupling::Medium,
    });
    spec
}

fn team(number: u32) -> TeamSpec {
    TeamSpec {
        id: TeamId(number),
        name: String::new(),
        coders: 2,
        parent: None,
        agent: None,
        model: None,
        skills: Vec::new(),
        agents: Vec::new(),
    }
}

fn phase(name: &str, teams: &[u32], after: &[&str]) -> PhaseSpec {
    PhaseSpec {
        name: PhaseName(name.to_owned()),
        teams: teams.iter().map(|team| TeamId(*team)).collect(),
        after: after
            .iter()
            .map(|name| PhaseName((*name).to_owned()))
            .collect(),
    }
}

/// A plan with teams 1 and 2 in one phase.
fn plan(tasks: &[TaskSpec]) -> Plan {
    Plan {
        phases: vec![phase("main", &[1, 2], &[])],
        teams: vec![team(1), team(2)],
        tasks: tasks.to_vec(),
        ..Plan::default()
    }
}

fn intent(op: Op) -> Intent {
    Intent {
        id: OpId(String::from("op")),
        time: Timestamp(9),
        actor: Actor::Human,
        machine: MachineId(String::from("here")),
        op,
    }
}

fn change(plan: Plan) -> PlanChange {
    PlanChange::new(plan)
}

/// Carries out an operation; returns how it is told, or `None` where nothing changes.
#[track_caller]
fn act(board: &mut Board, op: Op) -> Option<Event> {
    let change = board.decide(&intent(op)).unwrap()?;
    for edit in &change.edits {
        board.absorb(edit);
    }
    Some(change.event)
}

#[track_caller]
fn apply(board: &mut Board, plan: Plan) -> Option<Event> {
    act(board, Op::ApplyPlan(Box::new(change(plan))))
}

fn claim(board: &mut Board, task: &str, agent: &str) {
    let _ = board
        .decide(&intent(Op::Dispatch(Gate::Submitted)))
        .map(|change| {
            for edit in change.iter().flat_map(|change| &change.edits) {
                board.absorb(edit);
            }
        });
    let agent: AgentId = agent.parse().unwrap();
    let op = Op::Claim(Box::new(crate::model::Ask::named(id(task), agent, None)));
    act(board, op).unwrap();
    assert_eq!(board.tasks[&id(task)].status.attempt, Attempt(1));
}

fn order(board: &Board) -> Vec<&str> {
    let mut tasks: Vec<&Task> = board.tasks.values().collect();
    tasks.sort_by_key(|task| task.order);
    tasks.iter().map(|task| task.id.as_str()).collect()
}

#[test]
fn the_same_plan_again_changes_nothing() {
    let mut board = Board::default();
    let first = plan(&[spec("a", 1), after(spec("b", 2), "a")]);
    let told = apply(&mut board, first.clone()).unwrap();
    assert_eq!(told.summary, "run: 2 tasks added, 0 changed, 0 removed");
    assert_eq!(apply(&mut board, first.clone()), None);
    claim(&mut board, "a", "1.1");
    assert_eq!(apply(&mut board, first), None);
}

#[test]
fn unclaimed_tasks_change_and_go_and_begun_ones_stay() {
    let mut board = Board::default();
    let tasks = ["a", "b", "c", "d"].map(|name| spec(name, 1));
    apply(&mut board, plan(&tasks));
    claim(&mut board, "a", "1.1");
    claim(&mut board, "b", "1.2");
    // `a` changes and `b` is left out, both begun; `c` changes and `d` is left out, both not; `e` is new.
    let mut next = plan(&[spec("e", 1), spec("c", 1), spec("a", 1)]);
    next.tasks[1].title = String::from("new");
    next.tasks[2].title = String::from("new");
    let difference = board.compare_plan(&change(next.clone()));
    let ids = |ids: &[&str]| ids.iter().map(|name| id(name)).collect::<Vec<_>>();
    assert_eq!(difference.added, ids(&["e"]));
    assert_eq!(difference.changed, ids(&["c"]));
    assert_eq!(difference.removed, ids(&["d"]));
    assert_eq!(difference.kept, ids(&["a", "b"]));
    let preview = board.preview_plan(&change(next.clone()));
    let told = apply(&mut board, next.clone()).unwrap();
    assert_eq!(told.summary, "run: 1 tasks added, 1 changed, 1 removed");
    assert!(told.body.ends_with("began: a, b"), "{}", told.body);
    assert_eq!(order(&board), ["e", "c", "a", "b"]);
    assert_eq!(order(&board), order(&preview));
    assert_eq!(board.tasks[&id("a")].title, "do a");
    assert_eq!(board.tasks[&id("c")].title, "new");
    assert_eq!(board.tasks[&id("a")].status.state, State::Claimed);
    assert_eq!(apply(&mut board, next), None, "what was kept is no change");
}

#[test]
fn a_changed_task_that_was_ready_waits_again_for_what_it_needs() {
    let mut board = Board::default();
    apply(
        &mut board,
        plan(&[spec("a", 1), spec("b", 1), spec("c", 2)]),
    );
    act(&mut board, Op::Dispatch(Gate::Submitted));
    let mut next = plan(&[spec("a", 1), after(spec("b", 1), "a"), spec("c", 2)]);
    next.tasks[2].title = String::from("new");
    apply(&mut board, next.clone());
    let state = |board: &Board, name: &str| board.tasks[&id(name)].status.state;
    assert_eq!(state(&board, "a"), State::Ready);
    assert_eq!(state(&board, "b"), State::Pending);
    assert_eq!(state(&board, "c"), State::Ready);
    // A phase put in front takes back as well what the plan leaves as it was.
    next.phases = vec![phase("one", &[1], &[]), phase("two", &[2], &["one"])];
    apply(&mut board, next);
    assert_eq!(state(&board, "a"), State::Ready);
    assert_eq!(state(&board, "c"), State::Pending);
}

#[test]
fn what_begun_tasks_need_of_the_old_plan_stays() {
    let mut board = Board::default();
    let mut first = plan(&[spec("a", 1), spec("b", 3), spec("c", 2)]);
    first.teams.push(TeamSpec {
        parent: Some(TeamId(4)),
        agent: Some(String::from("careful")),
        ..team(3)
    });
    first.teams.push(team(4));
    first.phases = vec![phase("one", &[1, 2], &[]), phase("two", &[3, 4], &[])];
    first
        .agents
        .insert(String::from("careful"), Profile::default());
    apply(&mut board, first);
    claim(&mut board, "b", "3.1");
    let next = plan(&[spec("a", 1)]);
    apply(&mut board, next.clone());
    let teams: Vec<u32> = board.teams.keys().map(|team| team.0).collect();
    assert_eq!(teams, [1, 2, 3, 4]);
    assert_eq!(
        board.phase_of(&board.tasks[&id("b")]).unwrap().name.0,
        "two"
    );
    assert!(board.settings.agents.contains_key("careful"));
    assert_eq!(order(&board), ["a", "b"]);
    assert_eq!(apply(&mut board, next), None);
}

#[test]
fn a_team_without_begun_tasks_goes_with_its_tasks() {
    let mut board = Board::default();
    apply(&mut board, plan(&[spec("a", 1), spec("b", 2)]));
    let mut next = plan(&[spec("a", 1)]);
    next.teams.pop();
    next.phases[0].teams.pop();
    apply(&mut board, next);
    assert!(!board.teams.contains_key(&TeamId(2)) && !board.tasks.contains_key(&id("b")));
}

#[test]
fn an_unclaimed_task_moves_to_another_team() {
    let mut board = Board::default();
    apply(&mut board, plan(&[spec("a", 1), spec("b", 2)]));
    act(&mut board, Op::Dispatch(Gate::Submitted));
    let mut next = plan(&[spec("a", 2), spec("b", 2)]);
    next.teams.remove(0);
    next.phases[0].teams.remove(0);
    apply(&mut board, next.clone());
    assert_eq!(board.tasks[&id("a")].team, TeamId(2));
    assert_eq!(board.tasks[&id("a")].status.state, State::Pending);
    assert_eq!(apply(&mut board, next), None);
}

#[test]
fn an_added_task_needs_a_run_a_team_and_its_dependencies() {
    let mut board = Board::default();
    let refused = |board: &Board, spec: TaskSpec| {
        let refusal = board
            .decide(&intent(Op::AddTask(Box::new(spec), Earlier::default())))
            .unwrap_err();
        refusal.message
    };
    assert!(refused(&board, spec("x", 1)).contains("no run"));
    apply(&mut board, plan(&[spec("a", 1)]));
    assert!(refused(&board, spec("a", 1)).contains("exists already"));
    assert!(refused(&board, spec("x", 9)).contains("no team 9"));
    assert!(refused(&board, after(spec("x", 1), "y")).contains("comes after y"));
    act(
        &mut board,
        Op::AddTask(Box::new(after(spec("x", 1), "a")), Earlier::default()),
    )
    .unwrap();
    assert_eq!(order(&board), ["a", "x"]);
}
