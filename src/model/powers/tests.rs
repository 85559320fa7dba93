//! The table of roles and powers, and that operations are held against it.

use super::*;
use crate::model::board::Gate;
use crate::model::choose::Ask;
use crate::model::ids::{Attempt, CommitId, MachineId, OpId, Timestamp};
use crate::model::locks::{Lock, Trust};
use crate::model::op::{AssemblyRecord, Claim, Earlier, PlanChange, Undone};
use crate::model::signing::Signing;
use crate::model::spec::{CoderSpec, Handoff, HandoffStatus, Plan, TaskSpec, TeamSpec};
use crate::model::state::State;

const TABLE: &str = "\
power         coder     leader    qc        assembler executor  human
set-up        -         -         -         -         -         any
plan          -         -         -         -         -         any
add-task      -         team      -         -         -         any
dispatch      any       any       any       any       any       any
gate          -         -         -         -         any       any
authority     -         -         -         -         -         any
sync          -         -         -         -         any       any
run           -         -         -         -         any       any
claim         own       team      own       -         any       any
work          own       team      own       -         any       any
submit        own       team      own       -         any       any
expire        -         -         -         -         any       any
free          -         team      -         -         -         any
retry         -         team      -         -         -         any
steer         -         team      -         -         any       any
escalate      any       any       any       any       any       any
cancel        -         team      -         -         -         any
reject        -         team      any       any       -         any
integrate     -         team      -         any       -         any
assemble-team -         team      -         any       any       any
assemble      -         -         -         any       any       any
approve       -         -         -         -         -         any
undo          -         -         -         -         -         any
forget        -         -         -         -         -         any
lock          -         any       -         -         -         any
lock-critical -         -         -         -         -         any
signing       -         -         -         -         -         any
enroll        -         -         -         -         any       any
mend          -         -         -         -         -         any
recover       -         -         -         -         -         any
take-away     -         -         -         -         -         any
wrap-up       -         -         -         -         any       any
close         -         -         -         -         -         any";

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

fn agent(text: &str) -> AgentId {
    text.parse().unwrap()
}

fn team(number: u32) -> TeamSpec {
    TeamSpec {
        id: TeamId(number),
        name: String::new(),
        coders: 9,
        parent: None,
        agent: None,
        model: None,
        skills: Vec::new(),
        agents: vec![CoderSpec {
            number: 9,
            role: Some(QC.to_owned()),
            skills: Vec::new(),
        }],
    }
}

/// Team 1 has task `a`, which 1.1 has handed in; team 2 has `b`.
fn board() -> Board {
    let mut board = Board::default();
    for number in [1, 2] {
        board.teams.insert(TeamId(number), team(number));
    }
    for (name, number) in [("a", 1), ("b", 2)] {
        let spec = TaskSpec::new(id(name), TeamId(number), name);
        let mut task = crate::model::Task::from_spec(&spec, number, false, 0);
        task.status.state = State::Submitted;
        task.status.agent = Some(agent(&format!("{number}.1")));
        task.status.head = Some(CommitId(String::from("head")));
        board.tasks.insert(task);
    }
    let mut kept = lock(Trust::Critical);
    kept.id = "kept".parse().unwrap();
    board.locks = vec![kept];
    board
}

fn lock(trust: Trust) -> Lock {
    Lock {
        id: "there".parse().unwrap(),
        trust,
        paths: vec![String::from("db")],
        assertion: String::from("it is so"),
        check: None,
        reason: None,
        owner: None,
        tasks: Vec::new(),
    }
}

fn handoff() -> Handoff {
    Handoff {
        task_id: id("a"),
        status: HandoffStatus::Completed,
        summary: String::from("x"),
        output: String::from("x"),
        deliverables: Vec::new(),
        dependencies: Vec::new(),
        next_steps: Vec::new(),
    }
}

/// One operation of each kind, about task `a` of agent 1.1.
fn operations() -> Vec<Op> {
    let claim = || Claim {
        task: id("a"),
        agent: agent("1.1"),
        attempt: Attempt(1),
    };
    let commit = || CommitId(String::from("head"));
    let text = || String::from("x");
    let ask = Ask::named(id("a"), agent("1.1"), None);
    let undone = Undone {
        task: Some(id("a")),
        landing: commit(),
        tip: commit(),
        reverted: false,
        reason: text(),
        tested: None,
    };
    let plan = PlanChange::new(Plan::default());
    let record = AssemblyRecord {
        report: text(),
        summary: text(),
        team: None,
        tested: None,
    };
    vec![
        Op::Init(Box::default()),
        Op::Authority(text()),
        Op::ApplyPlan(Box::new(plan)),
        Op::AddTask(
            Box::new(TaskSpec::new(id("new"), TeamId(1), "new")),
            Earlier::default(),
        ),
        Op::Dispatch(Gate::default()),
        Op::Gate(Gate::Merged),
        Op::Claim(Box::new(ask)),
        Op::Start(claim()),
        Op::Block(claim(), text()),
        Op::Unblock(claim(), None),
        Op::Fail(claim(), text(), None),
        Op::Release(claim(), text()),
        Op::Expire(claim(), text()),
        Op::Free {
            task: id("a"),
            reason: text(),
            message: None,
        },
        Op::Retry(Box::new(Retry {
            tasks: vec![id("a")],
            ..Retry::default()
        })),
        Op::Pause(agent("1.1"), text()),
        Op::Resume(agent("1.1")),
        Op::Submit(claim(), commit(), Box::new(handoff())),
        Op::Escalate(id("a"), text()),
        Op::Cancel(id("a"), text()),
        Op::Reject(id("a"), commit(), text(), text()),
        Op::Conflict(id("a"), commit(), text(), text()),
        Op::Accept(id("a"), commit(), commit()),
        Op::Merge(id("a"), commit(), commit()),
        Op::Assembled(Box::new(record)),
        Op::Approve(text(), commit(), commit()),
        Op::Undo(Box::new(undone)),
        Op::WrapUp(Box::default()),
        Op::Close(Vec::new(), None),
        Op::SetLock(Box::new(lock(Trust::Locked))),
        Op::SetLock(Box::new(lock(Trust::Critical))),
        Op::RemoveLock("kept".parse().unwrap()),
        Op::Signing(Signing::Ssh, Vec::new()),
        Op::Enroll(Vec::new()),
        Op::Dismiss(text()),
    ]
}

fn word(op: &Op) -> String {
    let text = format!("{op:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    let end = end.unwrap_or(text.len());
    text[..end].to_lowercase()
}

fn refused(board: &Board, actor: Actor, op: &Op) -> Option<String> {
    let intent = Intent {
        id: OpId(String::from("op")),
        time: Timestamp(1),
        actor,
        machine: MachineId(String::from("m")),
        op: op.clone(),
    };
    let refusal = board.decide(&intent).err()?;
    let denied = refusal.message.contains(" may not ");
    denied.then_some(refusal.message)
}

#[test]
fn the_table_is_what_it_says() {
    assert_eq!(table(), TABLE);
}

/// Every operation by every actor: what `decide` lets through, as one text.
#[test]
fn operations_are_held_against_the_table() {
    let board = board();
    let actors = ["1.1", "1.2", "1.9", "1.0", "2.0"].map(|text| Actor::Agent(agent(text)));
    let others = [Actor::Assembler, Actor::Executor, Actor::Human];
    let mut text = String::new();
    for op in operations() {
        let who = actors.into_iter().chain(others);
        let may = who.filter(|actor| refused(&board, *actor, &op).is_none());
        let may: Vec<String> = may.map(|actor| actor.to_string()).collect();
        text.push_str(&format!("{}: {}\n", word(&op), may.join(" ")));
    }
    assert_eq!(
        text,
        "\
init: human
authority: human
applyplan: human
addtask: 1.0 human
dispatch: 1.1 1.2 1.9 1.0 2.0 assembler executor human
gate: executor human
claim: 1.1 1.0 executor human
start: 1.1 1.0 executor human
block: 1.1 1.0 executor human
unblock: 1.1 1.0 executor human
fail: 1.1 1.0 executor human
release: 1.1 1.0 executor human
expire: executor human
free: 1.0 human
retry: 1.0 human
pause: 1.0 executor human
resume: 1.0 executor human
submit: 1.1 1.0 executor human
escalate: 1.1 1.2 1.9 1.0 2.0 assembler executor human
cancel: 1.0 human
reject: 1.9 1.0 assembler human
conflict: 1.0 assembler human
accept: 1.0 assembler human
merge: 1.0 assembler human
assembled: assembler executor human
approve: human
undo: human
wrapup: executor human
close: human
setlock: 1.0 2.0 human
setlock: human
removelock: human
signing: human
enroll: executor human
dismiss: human
"
    );
}

#[test]
fn a_refusal_names_the_rule_and_who_could() {
    let board = board();
    let says = |who: &str, op: &Op| refused(&board, Actor::Agent(agent(who)), op).unwrap();
    let all = operations();
    let find = |name: &str| all.iter().find(|op| word(op) == name).unwrap();
    assert_eq!(
        says("1.2", find("approve")),
        "agent 1.2 may not approve: only a person may"
    );
    assert_eq!(
        says("1.2", find("submit")),
        "agent 1.2 may not speak for agent 1.1: only 1.1, its leader 1.0, an executor or a person may"
    );
    assert_eq!(
        says("2.0", find("merge")),
        "agent 2.0 may not integrate task a: only its leader 1.0, the assembler or a person may"
    );
    assert_eq!(
        says("1.1", find("addtask")),
        "agent 1.1 may not add tasks to team 1: only its leader 1.0 or a person may"
    );
}

#[test]
fn nobody_judges_its_own_work() {
    let mut board = board();
    if let Some(mut task) = board.tasks.get_mut(&id("a")) {
        task.status.agent = Some(agent("1.9"));
    }
    let head = CommitId(String::from("head"));
    let reject = |name: &str| {
        let text = || String::from("x");
        Op::Reject(id(name), head.clone(), text(), text())
    };
    let qc = Actor::Agent(agent("1.9"));
    let own = refused(&board, qc, &reject("a")).unwrap();
    assert!(own.contains("handed that in itself"), "{own}");
    assert_eq!(refused(&board, qc, &reject("b")), None);
}

#[test]
fn what_is_told_needs_the_power_that_doing_it_needs() {
    let board = board();
    for op in operations() {
        let intent = Intent {
            id: OpId(String::from("op")),
            time: Timestamp(1),
            actor: Actor::Human,
            machine: MachineId(String::from("m")),
            op: op.clone(),
        };
        // Where the board lets it happen, the event's power is the operation's.
        let Ok(Some(change)) = board.decide(&intent) else {
            continue;
        };
        let told = Power::of_event(change.event.kind);
        let needed = board.power_for(&op).0;
        let alike = [
            (Power::Gate, Power::Dispatch),
            (Power::Free, Power::Work),
            (Power::Integrate, Power::Reject),
            (Power::LockCritical, Power::Lock),
            (Power::Signing, Power::Enroll),
        ];
        assert!(
            told == needed || alike.contains(&(needed, told)),
            "{needed} is told as {told}"
        );
    }
}
