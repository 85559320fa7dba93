//! Many actors with boards of different ages, in any interleaving: what they come to equals their accepted
//! operations carried out one after another, in the order of the log.

use std::collections::BTreeSet;

use git_orch::model::board::Gate;
use git_orch::model::*;

const TEAMS: u32 = 2;
const CODERS: u32 = 3;
const TASKS: u32 = 8;

/// What all compare and swap on: a log of transitions, and the board at its end.
#[derive(Clone)]
struct Shared {
    log: Vec<(Intent, Change)>,
    board: Board,
}

/// One writer: its board, as old as the part of the log that it has read, and what it is about to do.
#[derive(Clone)]
struct Writer {
    board: Board,
    read: usize,
    /// What it wants to carry out.
    wants: Vec<Intent>,
    /// What it has decided on its board and not moved the ledger with yet.
    decided: Vec<(Intent, Change)>,
}

#[derive(Debug, PartialEq)]
enum Step {
    Decided,
    Won,
    Lost,
    Nothing,
}

impl Writer {
    fn of(shared: &Shared) -> Self {
        Self {
            board: shared.board.clone(),
            read: shared.log.len(),
            wants: Vec::new(),
            decided: Vec::new(),
        }
    }

    /// Reads the log on and decides all that it wants, one on the other, as the holder of the spool does.
    fn decide(&mut self, shared: &Shared) {
        // What was decided in vain is forgotten, as by reading the tree again.
        self.board = shared.board.clone();
        self.read = shared.log.len();
        self.decide_stale();
    }

    /// Decides on a board as old as it is.
    fn decide_stale(&mut self) {
        let mut board = self.board.clone();
        self.decided.clear();
        for intent in &self.wants {
            if let Ok(Some(change)) = board.decide(intent) {
                for edit in &change.edits {
                    board.absorb(edit);
                }
                self.decided.push((intent.clone(), change));
            }
        }
    }

    /// Moves the ledger if it still is where this writer has read it.
    fn swap(&mut self, shared: &mut Shared) -> Step {
        if self.decided.is_empty() {
            self.wants.clear();
            return Step::Nothing;
        }
        if self.read != shared.log.len() {
            return Step::Lost;
        }
        for (intent, change) in self.decided.drain(..) {
            for edit in &change.edits {
                shared.board.absorb(edit);
            }
            shared.log.push((intent, change));
        }
        self.wants.clear();
        self.board = shared.board.clone();
        self.read = shared.log.len();
        Step::Won
    }

    /// One step of this writer, chosen by what it is in the middle of.
    fn step(&mut self, shared: &mut Shared) -> Step {
        if self.wants.is_empty() {
            return Step::Nothing;
        }
        if self.decided.is_empty() {
            self.decide(shared);
            if self.decided.is_empty() {
                self.wants.clear();
                return Step::Nothing;
            }
            return Step::Decided;
        }
        let step = self.swap(shared);
        if step == Step::Lost {
            self.decided.clear();
        }
        step
    }
}

fn intent(id: String, op: Op) -> Intent {
    Intent {
        time: Timestamp(i64::try_from(id.len()).unwrap()),
        id: OpId(id),
        actor: Actor::Human,
        machine: MachineId(String::from("m")),
        op,
    }
}

fn start() -> Shared {
    let mut plan = super::ledger::plan(TEAMS, CODERS, TASKS);
    plan.run.limits.0.insert(String::from("sonnet"), 4);
    let mut shared = Shared {
        log: Vec::new(),
        board: Board::default(),
    };
    let mut planner = Writer::of(&shared);
    let apply = Op::ApplyPlan(Box::new(PlanChange::new(plan)));
    planner.wants = vec![
        intent(String::from("plan"), apply),
        intent(String::from("dispatch"), Op::Dispatch(Gate::Submitted)),
    ];
    assert_eq!(planner.step(&mut shared), Step::Decided);
    assert_eq!(planner.step(&mut shared), Step::Won);
    shared
}

fn claim_any(agent: AgentId) -> Op {
    Op::Claim(Box::new(Ask {
        wish: Wish::of(agent),
        starts: [(agent.team, CommitId(String::from("base")))].into(),
        ..Ask::default()
    }))
}

/// An operation that somebody with this board might think of, whether it still can be or not.
fn any_op(board: &Board, random: &mut fastrand::Rng) -> Op {
    let agent: AgentId = format!("{}.{}", random.u32(1..=TEAMS), random.u32(1..=CODERS))
        .parse()
        .unwrap();
    let task: TaskId = format!("task-{:04}", random.u32(0..TASKS)).parse().unwrap();
    let held = board.held_by(agent).map(|held| Claim {
        task: held.id.clone(),
        agent,
        attempt: held.status.attempt,
    });
    let text = || String::from("because");
    match (held, random.u32(0..13)) {
        (None, 0..6) => claim_any(agent),
        (None, 6..8) => Op::Claim(Box::new(Ask::named(task, agent, None))),
        (Some(claim), 0..2) => Op::Start(claim),
        (Some(claim), 2) => Op::Block(claim, text()),
        (Some(claim), 3) => Op::Unblock(claim, None),
        (Some(claim), 4) => Op::Fail(claim, text(), None),
        (Some(claim), 5) => Op::Release(claim, text()),
        (Some(claim), 6) => Op::Expire(claim, text()),
        (Some(claim), 7) => super::contention::submit(claim),
        (_, 8) => Op::Free {
            task,
            reason: text(),
            message: None,
        },
        (_, 9) => Op::Pause(agent, text()),
        (_, 10) => Op::Resume(agent),
        (_, 11) => Op::Retry(Box::new(Retry {
            tasks: vec![task],
            ..Retry::default()
        })),
        _ => Op::Dispatch(Gate::Submitted),
    }
}

/// Carries the log out from the beginning, one after another: each must be accepted, do what it did, and leave
/// the board that all have come to.
fn is_serial(first: &Board, shared: &Shared) {
    let mut board = first.clone();
    let mut ids = BTreeSet::new();
    for (intent, change) in &shared.log {
        assert!(ids.insert(&intent.id), "{:?} is there twice", intent.id);
        let again = board.decide(intent);
        assert_eq!(again.as_ref(), Ok(&Some(change.clone())), "{intent:?}");
        for edit in &change.edits {
            board.absorb(edit);
            if let Edit::PutStatus(task, status) = edit {
                assert_eq!(&board.tasks[task].status, &**status);
            }
        }
        if let (Some((from, to)), [task]) = (change.event.states, change.event.tasks.as_slice()) {
            assert_eq!(board.tasks[task].status.state, to, "{from} -> {to}");
            let op = &board.tasks[task].status.op;
            assert_eq!(op.as_ref(), Some(&intent.id), "the last word is its own");
        }
    }
    assert_eq!(board, shared.board);
}

#[test]
fn any_interleaving_with_lost_races_equals_the_order_of_the_log() {
    let (mut lost, mut won) = (0, 0);
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut shared = start();
        let mut writers = vec![Writer::of(&shared); 6];
        for count in 0..300 {
            let writer = random.usize(0..writers.len());
            let writer = &mut writers[writer];
            if writer.wants.is_empty() {
                // Thought of on a board that may be old, and decided there as well.
                for more in 0..random.u32(1..4) {
                    let op = any_op(&writer.board, &mut random);
                    writer
                        .wants
                        .push(intent(format!("{seed}-{count}-{more}"), op));
                }
                writer.decide_stale();
                continue;
            }
            match writer.step(&mut shared) {
                Step::Lost => lost += 1,
                Step::Won => won += 1,
                Step::Decided | Step::Nothing => {}
            }
        }
        let result = std::panic::catch_unwind(|| is_serial(&Board::default(), &shared));
        assert!(result.is_ok(), "seed {seed}");
    }
    // Races must be lost for this to mean anything.
    assert!(lost > 1_000 && won > 1_000, "{lost} lost, {won} won");
}

#[test]
fn three_writers_in_every_interleaving_equal_some_serial_order() {
    let shared = start();
    let first = Board::default();
    let named = |id: &str, agent: &str| {
        let agent: AgentId = agent.parse().unwrap();
        let task: TaskId = "task-0000".parse().unwrap();
        intent(
            id.to_owned(),
            Op::Claim(Box::new(Ask::named(task, agent, None))),
        )
    };
    let mut writers = vec![Writer::of(&shared); 3];
    // Two want the same task; the third takes whatever comes first, and then pauses one of them.
    writers[0].wants = vec![named("a", "1.1")];
    writers[1].wants = vec![named("b", "1.2")];
    writers[2].wants = vec![
        intent(String::from("c"), claim_any("1.3".parse().unwrap())),
        intent(
            String::from("d"),
            Op::Pause("1.2".parse().unwrap(), String::from("rest")),
        ),
    ];
    let mut ends = BTreeSet::new();
    let mut runs = 0;
    every_interleaving(&shared, &writers, &mut |end| {
        runs += 1;
        is_serial(&first, end);
        let holder = end.board.tasks[&"task-0000".parse().unwrap()].status.agent;
        ends.insert(holder.unwrap());
        let claims = end
            .log
            .iter()
            .filter(|(intent, _)| matches!(intent.op, Op::Claim(_)))
            .count();
        // The third gets the contested task or the next one; of the first two at most one gets any.
        let contested = holder.unwrap().number == 3;
        assert_eq!(claims, if contested { 1 } else { 2 });
    });
    let all: Vec<String> = ends.iter().map(ToString::to_string).collect();
    assert_eq!(all, ["1.1", "1.2", "1.3"], "each can be the first");
    assert!(runs >= 20, "{runs} interleavings");
}

/// Takes every order of steps to its end.
fn every_interleaving(shared: &Shared, writers: &[Writer], end: &mut impl FnMut(&Shared)) {
    let mut any = false;
    for n in 0..writers.len() {
        if writers[n].wants.is_empty() {
            continue;
        }
        any = true;
        let (mut shared, mut writers) = (shared.clone(), writers.to_vec());
        writers[n].step(&mut shared);
        every_interleaving(&shared, &writers, end);
    }
    if !any {
        end(shared);
    }
}
