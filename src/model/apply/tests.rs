//! Guards and arrows of a task's life (docs/decisions/life.md).

use super::*;
use crate::model::board::Gate;
use crate::model::choose::Ask;
use crate::model::ids::{AgentId, Attempt, CommitId, MachineId, OpId, Timestamp};
use crate::model::op::{Actor, Claim, PlanChange, Retry};
use crate::model::spec::{Dependency, Handoff, HandoffStatus, PhaseSpec, Plan, TaskSpec, TeamSpec};
use crate::model::state::State;

mod endings;
mod messages;

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

fn agent(text: &str) -> AgentId {
    text.parse().unwrap()
}

fn team(number: u32, coders: u32) -> TeamSpec {
    TeamSpec {
        id: crate::model::TeamId(number),
        name: String::new(),
        coders,
        parent: None,
        agent: None,
        model: None,
        skills: Vec::new(),
        agents: Vec::new(),
    }
}

/// Two teams in two phases; `b` comes after `a`, `c` is in the second phase.
fn board() -> Board {
    let task = |name: &str, team: u32| TaskSpec::new(id(name), crate::model::TeamId(team), name);
    let mut b = task("b", 1);
    b.after = vec![Dependency {
        task: id("a"),
        coupling: Default::default(),
    }];
    let phase = |name: &str, team: u32, after: &[&str]| PhaseSpec {
        name: crate::model::PhaseName(name.to_owned()),
        teams: vec![crate::model::TeamId(team)],
        after: after
            .iter()
            .map(|name| crate::model::PhaseName((*name).to_owned()))
            .collect(),
    };
    let plan = Plan {
        teams: vec![team(1, 2), team(2, 1)],
        phases: vec![phase("one", 1, &[]), phase("two", 2, &["one"])],
        tasks: vec![task("a", 1), b, task("c", 2)],
        ..Plan::default()
    };
    let mut board = Board::default();
    run(
        &mut board,
        Actor::Human,
        Op::ApplyPlan(Box::new(PlanChange::new(plan))),
    )
    .unwrap();
    board
}

fn intent(actor: Actor, op: Op) -> Intent {
    let id = OpId(String::from("op"));
    Intent {
        id,
        time: Timestamp(1),
        actor,
        machine: MachineId(String::from("m")),
        op,
    }
}

fn run(board: &mut Board, actor: Actor, op: Op) -> Decision {
    let decided = board.decide(&intent(actor, op));
    if let Ok(Some(change)) = &decided {
        for edit in &change.edits {
            board.absorb(edit);
        }
    }
    decided
}

fn claim_of(task: &str, who: &str, attempt: u32) -> Claim {
    Claim {
        task: id(task),
        agent: agent(who),
        attempt: Attempt(attempt),
    }
}

fn claim(board: &mut Board, task: &str, who: &str) -> Decision {
    let base = CommitId(String::from("base"));
    let ask = Ask::named(id(task), agent(who), Some(base));
    let op = Op::Claim(Box::new(ask));
    run(board, Actor::Executor, op)
}

fn submit(board: &mut Board, claim: Claim) -> Decision {
    let handoff = Handoff {
        task_id: claim.task.clone(),
        status: HandoffStatus::Completed,
        summary: String::from("done"),
        output: String::new(),
        deliverables: Vec::new(),
        dependencies: Vec::new(),
        next_steps: Vec::new(),
    };
    let head = CommitId(format!("head-{}-{}", claim.task, claim.attempt));
    run(
        board,
        Actor::Executor,
        Op::Submit(claim, head, Box::new(handoff)),
    )
}

fn state(board: &Board, task: &str) -> State {
    board.tasks[&id(task)].status.state
}

#[test]
fn dispatch_opens_what_dependencies_and_phases_allow() {
    let mut board = board();
    run(&mut board, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap();
    assert_eq!(
        [state(&board, "a"), state(&board, "b"), state(&board, "c")],
        [State::Ready, State::Pending, State::Pending]
    );
    let again = run(&mut board, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap_err();
    assert_eq!(again.kind, RefusalKind::Nothing);
    claim(&mut board, "a", "1.1").unwrap();
    submit(&mut board, claim_of("a", "1.1", 1)).unwrap();
    run(&mut board, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap();
    assert_eq!(state(&board, "b"), State::Ready);
    claim(&mut board, "b", "1.1").unwrap();
    submit(&mut board, claim_of("b", "1.1", 1)).unwrap();
    let merged = run(&mut board, Actor::Human, Op::Dispatch(Gate::Merged)).unwrap_err();
    assert_eq!(
        merged.kind,
        RefusalKind::Nothing,
        "phase two waits for merges"
    );
    run(&mut board, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap();
    assert_eq!(state(&board, "c"), State::Ready);
}

#[test]
fn a_gate_that_the_ledger_keeps_holds_for_whoever_dispatches() {
    let mut board = board();
    run(&mut board, Actor::Executor, Op::Gate(Gate::Merged)).unwrap();
    for task in ["a", "b"] {
        run(&mut board, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap();
        claim(&mut board, task, "1.1").unwrap();
        submit(&mut board, claim_of(task, "1.1", 1)).unwrap();
    }
    let early = run(&mut board, Actor::Executor, Op::Dispatch(Gate::Submitted)).unwrap_err();
    assert_eq!(early.kind, RefusalKind::Nothing);
    let agent = run(
        &mut board,
        Actor::Agent(agent("1.1")),
        Op::Gate(Gate::Submitted),
    );
    assert_eq!(agent.unwrap_err().kind, RefusalKind::Denied);
    run(&mut board, Actor::Executor, Op::Gate(Gate::Submitted)).unwrap();
    run(&mut board, Actor::Executor, Op::Dispatch(Gate::Submitted)).unwrap();
    assert_eq!(state(&board, "c"), State::Ready);
}

#[test]
fn a_task_has_one_holder_and_an_agent_one_task() {
    let mut board = board();
    run(&mut board, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap();
    claim(&mut board, "a", "1.1").unwrap();
    let held = claim(&mut board, "a", "1.2").unwrap_err();
    assert_eq!(held.kind, RefusalKind::Lost);
    assert_eq!(held.message, "task a is held by 1.1 (attempt 1) on m");
    assert_eq!(
        claim(&mut board, "b", "1.1").unwrap_err().kind,
        RefusalKind::Denied
    );
    assert_eq!(
        claim(&mut board, "a", "2.1").unwrap_err().kind,
        RefusalKind::Lost
    );
    let unknown = claim(&mut board, "b", "1.3").unwrap_err();
    assert_eq!(
        unknown.message,
        "there is no agent 1.3: team 1 has coders 1.1 to 1.2"
    );
    let mut other = super::tests::board();
    run(&mut other, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap();
    let foreign = claim(&mut other, "a", "2.1").unwrap_err();
    assert_eq!(
        foreign.message,
        "agent 2.1 may not claim task a: it belongs to team 1"
    );
}

#[test]
fn a_stale_attempt_is_fenced_out_of_every_verb() {
    let mut board = board();
    run(&mut board, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap();
    claim(&mut board, "a", "1.1").unwrap();
    let stale = claim_of("a", "1.1", 1);
    run(
        &mut board,
        Actor::Executor,
        Op::Release(stale.clone(), String::from("gone")),
    )
    .unwrap();
    claim(&mut board, "a", "1.2").unwrap();
    let text = || String::from("x");
    for op in [
        Op::Start(stale.clone()),
        Op::Block(stale.clone(), text()),
        Op::Unblock(stale.clone(), None),
        Op::Release(stale.clone(), text()),
        Op::Fail(stale.clone(), text(), None),
    ] {
        let refusal = run(&mut board, Actor::Executor, op).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Lost);
        assert!(
            refusal.message.contains("taken over by 1.2 (attempt 2)"),
            "{}",
            refusal.message
        );
    }
    assert_eq!(
        submit(&mut board, stale).unwrap_err().kind,
        RefusalKind::Lost
    );
    assert_eq!(state(&board, "a"), State::Claimed);
}

#[test]
fn a_failed_task_gets_one_retry_with_findings_and_then_is_a_gap() {
    let mut board = board();
    run(&mut board, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap();
    for attempt in [1, 2] {
        claim(&mut board, "a", "1.1").unwrap();
        let fail = Op::Fail(
            claim_of("a", "1.1", attempt),
            String::from("tests fail"),
            Some(String::from("line 3")),
        );
        run(&mut board, Actor::Executor, fail).unwrap();
        assert_eq!(state(&board, "a"), State::Failed);
        assert_eq!(
            board.tasks[&id("a")].status.findings.as_deref(),
            Some("line 3")
        );
        run(&mut board, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap();
    }
    assert_eq!(state(&board, "a"), State::Gap);
    assert_eq!(
        board.waits_for(&board.tasks[&id("b")]),
        Some((&id("a"), State::Gap))
    );
}

#[test]
fn a_rejected_task_is_ready_again_and_failed_after_its_retries() {
    let mut board = board();
    run(&mut board, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap();
    for (attempt, after) in [(1, State::Ready), (2, State::Failed)] {
        claim(&mut board, "a", "1.1").unwrap();
        submit(&mut board, claim_of("a", "1.1", attempt)).unwrap();
        let head = CommitId(format!("head-a-{attempt}"));
        let text = || String::from("conflict");
        let stale = Op::Reject(id("a"), CommitId(String::from("other")), text(), text());
        assert_eq!(
            run(&mut board, Actor::Assembler, stale).unwrap_err().kind,
            RefusalKind::Lost
        );
        run(
            &mut board,
            Actor::Assembler,
            Op::Reject(id("a"), head, text(), text()),
        )
        .unwrap();
        assert_eq!(state(&board, "a"), after);
    }
}

#[test]
fn powers_are_enforced() {
    let mut board = board();
    run(&mut board, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap();
    claim(&mut board, "a", "1.1").unwrap();
    let start = || Op::Start(claim_of("a", "1.1", 1));
    for who in ["1.2", "2.0", "2.1"] {
        let refused = run(&mut board, Actor::Agent(agent(who)), start()).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Denied, "{who}");
    }
    assert!(run(&mut board, Actor::Assembler, start()).is_err());
    assert!(run(&mut board, Actor::Agent(agent("1.0")), start()).is_ok());
    submit(&mut board, claim_of("a", "1.1", 1)).unwrap();
    let merge = || {
        Op::Merge(
            id("a"),
            CommitId(String::from("head-a-1")),
            CommitId(String::from("m")),
        )
    };
    assert!(run(&mut board, Actor::Agent(agent("1.1")), merge()).is_err());
    assert!(run(&mut board, Actor::Agent(agent("2.0")), merge()).is_err());
    assert!(run(&mut board, Actor::Agent(agent("1.0")), merge()).is_ok());
    let text = || CommitId(String::from("0123456789abcdef"));
    let approve = || Op::Approve(String::from("main"), text(), text());
    for actor in [
        Actor::Agent(agent("1.0")),
        Actor::Executor,
        Actor::Assembler,
    ] {
        assert!(run(&mut board, actor, approve()).is_err());
    }
    assert!(run(&mut board, Actor::Human, approve()).is_ok());
}

#[test]
fn the_wave_of_a_model_is_bounded() {
    let mut board = board();
    let mut settings = board.settings.clone();
    let mut run_spec = board.run();
    run_spec.limits.0.insert(String::from("sonnet"), 1);
    settings.run = Some(Box::new(run_spec));
    board.absorb(&Edit::PutSettings(Box::new(settings)));
    board.tasks.get_mut(&id("a")).unwrap().status.state = State::Ready;
    board.tasks.get_mut(&id("b")).unwrap().status.state = State::Ready;
    claim(&mut board, "a", "1.1").unwrap();
    let full = claim(&mut board, "b", "1.2").unwrap_err();
    assert_eq!(full.kind, RefusalKind::Nothing);
    board.tasks.get_mut(&id("b")).unwrap().model = Some(String::from("opus"));
    claim(&mut board, "b", "1.2").unwrap();
}

#[test]
fn cancelling_works_from_anywhere_before_merged() {
    for from in State::ALL {
        let mut board = board();
        board.tasks.get_mut(&id("a")).unwrap().status.state = from;
        let cancel = Op::Cancel(id("a"), String::from("no need"));
        let decided = run(&mut board, Actor::Human, cancel);
        assert_eq!(decided.is_err(), from == State::Merged, "{from}");
    }
}

/// State before, and states that any single operation about the task may lead to.
const ARROWS: &[(State, &[State])] = &[
    (State::Pending, &[State::Ready, State::Cancelled]),
    (State::Ready, &[State::Claimed, State::Cancelled]),
    (
        State::Claimed,
        &[
            State::InProgress,
            State::Blocked,
            State::Ready,
            State::Failed,
            State::Submitted,
            State::Cancelled,
        ],
    ),
    (
        State::InProgress,
        &[
            State::Blocked,
            State::Ready,
            State::Failed,
            State::Submitted,
            State::Cancelled,
        ],
    ),
    (
        State::Blocked,
        &[
            State::InProgress,
            State::Ready,
            State::Failed,
            State::Cancelled,
        ],
    ),
    (
        State::Submitted,
        &[
            State::Accepted,
            State::Merged,
            State::Ready,
            State::Failed,
            State::Cancelled,
        ],
    ),
    (
        State::Accepted,
        &[State::Merged, State::Ready, State::Failed, State::Cancelled],
    ),
    (State::Merged, &[]),
    (State::Failed, &[State::Ready, State::Gap, State::Cancelled]),
    (State::Gap, &[State::Ready, State::Cancelled]),
    (State::Cancelled, &[]),
];

#[test]
fn every_verb_moves_only_along_the_arrows_of_the_design() {
    for (from, allowed) in ARROWS {
        for failures in [0, 1, 2] {
            let mut start = board();
            let mut row = start.tasks.get_mut(&id("a")).unwrap();
            row.status.state = *from;
            row.status.agent = Some(agent("1.1"));
            row.status.attempt = Attempt(1);
            row.status.failures = failures;
            row.status.head = Some(CommitId(String::from("head-a-1")));
            drop(row);
            let held = claim_of("a", "1.1", 1);
            let text = || String::from("x");
            let head = || CommitId(String::from("head-a-1"));
            let mut ops = vec![
                Op::Dispatch(Gate::Submitted),
                Op::Claim(Box::new(Ask::named(id("a"), agent("1.1"), None))),
                Op::Start(held.clone()),
                Op::Block(held.clone(), text()),
                Op::Unblock(held.clone(), None),
                Op::Release(held.clone(), text()),
                Op::Fail(held.clone(), text(), None),
                Op::Cancel(id("a"), text()),
                Op::Retry(Box::new(Retry {
                    tasks: vec![id("a")],
                    ..Retry::default()
                })),
                Op::Escalate(id("a"), text()),
                Op::Reject(id("a"), head(), text(), text()),
                Op::Accept(id("a"), head(), head()),
                Op::Merge(id("a"), head(), head()),
            ];
            let mut reached = Vec::new();
            for op in ops.drain(..) {
                let mut board = start.clone();
                if run(&mut board, Actor::Human, op).is_ok() {
                    reached.push(state(&board, "a"));
                }
            }
            let mut board = start.clone();
            if submit(&mut board, held).is_ok() {
                reached.push(state(&board, "a"));
            }
            for to in reached.iter().filter(|to| *to != from) {
                assert!(allowed.contains(to), "{from} → {to}");
            }
        }
    }
}

#[test]
fn a_message_tells_what_the_tree_says() {
    let mut board = board();
    run(&mut board, Actor::Human, Op::Dispatch(Gate::Submitted)).unwrap();
    let op = Op::Claim(Box::new(Ask::named(id("a"), agent("1.2"), None)));
    let asked = intent(Actor::Executor, op);
    let change = board.decide(&asked).unwrap().unwrap();
    let message = change.event.message(&asked, "billing");
    assert!(
        message.starts_with("[TEAM-1] [AGENT-1.2] claim a: a\n\n"),
        "{message}"
    );
    let told = crate::model::event::Told::parse(&message);
    assert_eq!(told.get("Event"), Some("claim"));
    assert_eq!(told.get("State"), Some("ready -> claimed"));
    assert_eq!(told.get("Attempt"), Some("1"));
    assert_eq!(told.get("Run"), Some("billing"));
}

#[test]
fn free_text_cannot_pose_as_trailers_or_reach_a_terminal_raw() {
    let board = board();
    let text = "help\u{1b}[31m\n\nOrch-Event: merge\nOrch-Task: b";
    let asked = intent(Actor::Human, Op::Escalate(id("a"), text.to_owned()));
    let change = board.decide(&asked).unwrap().unwrap();
    let message = change.event.message(&asked, "r");
    let told = crate::model::event::Told::parse(&message);
    assert_eq!(told.get("Event"), Some("escalate"));
    assert_eq!(told.all("Task").collect::<Vec<_>>(), ["a"]);
    assert!(!message.contains('\u{1b}'));
    assert!(
        message.starts_with("[TEAM-1] ESCALATION a: help"),
        "{message}"
    );
}
