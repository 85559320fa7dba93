//! A seeded simulation of the model: random operations of many actors, duplicated, late and wrong ones among
//! them; what must always hold is checked after each. A failure prints its seed.

use std::collections::BTreeMap;

use git_orch::model::board::Gate;
use git_orch::model::event::Told;
use git_orch::model::*;

const AGENTS: u32 = 3;
const TASKS: u32 = 12;

fn plan(random: &mut fastrand::Rng) -> Plan {
    let mut plan = Plan::default();
    for team in 1..=2 {
        let text = format!("id = {team}\ncoders = {AGENTS}\n");
        plan.teams.push(toml::from_str(&text).unwrap());
    }
    plan.run.limits.0.insert(String::from("opus"), 2);
    for number in 0..TASKS {
        let team = TeamId(random.u32(1..=2));
        let mut task = TaskSpec::new(format!("t{number}").parse().unwrap(), team, "title");
        if random.bool() {
            task.model = Some(String::from("opus"));
        }
        for earlier in 0..number {
            if random.u32(0..8) == 0 {
                let coupling = *random.choice(&[Coupling::Tight, Coupling::Medium]).unwrap();
                let task_id = format!("t{earlier}").parse().unwrap();
                task.after.push(Dependency {
                    task: task_id,
                    coupling,
                });
            }
        }
        plan.tasks.push(task);
    }
    plan
}

struct World {
    board: Board,
    random: fastrand::Rng,
    count: u64,
    /// Claims as their holders remember them, whether they still hold or not.
    claims: Vec<Claim>,
    /// Heads that were submitted, whether they still wait or not.
    heads: Vec<(TaskId, CommitId)>,
    merged: BTreeMap<TaskId, CommitId>,
}

impl World {
    fn random_op(&mut self) -> Op {
        let random = &mut self.random;
        let task: TaskId = format!("t{}", random.u32(0..TASKS)).parse().unwrap();
        let team = random.u32(1..=2);
        let agent: AgentId = format!("{team}.{}", random.u32(1..=AGENTS))
            .parse()
            .unwrap();
        let made_up = Claim {
            task: task.clone(),
            agent,
            attempt: Attempt(random.u32(0..3)),
        };
        let known = random.choice(&self.claims).cloned().unwrap_or(made_up);
        let (head_of, head) = random
            .choice(&self.heads)
            .cloned()
            .unwrap_or((task.clone(), CommitId(String::from("none"))));
        let text = || String::from("because");
        match random.u32(0..22) {
            0..4 => {
                let gate = if random.bool() {
                    Gate::Merged
                } else {
                    Gate::Submitted
                };
                match random.u32(0..4) {
                    0 => Op::Gate(gate),
                    _ => Op::Dispatch(gate),
                }
            }
            4..10 => self.claim(task, agent),
            10 => Op::Start(known),
            11 => Op::Block(known, text()),
            12 => Op::Unblock(known, None),
            13 => match random.u32(0..5) {
                3 => Op::Retry(Box::new(Retry {
                    tasks: vec![task],
                    all_gaps: random.bool(),
                    resume: random.bool(),
                    message: random.bool().then(text),
                })),
                0 => Op::Expire(known, text()),
                1 => Op::Free {
                    task,
                    reason: text(),
                    message: None,
                },
                2 => match random.bool() {
                    true => Op::Pause(agent, text()),
                    false => Op::Resume(agent),
                },
                _ => Op::Release(known, text()),
            },
            14 => Op::Fail(known, text(), None),
            15..18 => {
                let head = CommitId(format!("head-{}-{}", known.task, known.attempt));
                let handoff: Handoff = serde_json::from_value(serde_json::json!({
                    "task_id": known.task, "status": "completed",
                }))
                .unwrap();
                Op::Submit(known, head, Box::new(handoff))
            }
            18 if random.bool() => Op::Conflict(head_of, head, text(), text()),
            18 => Op::Reject(head_of, head, text(), text()),
            19..21 => Op::Merge(head_of, head, CommitId(format!("merge-{}", self.count))),
            _ if random.u32(0..10) == 0 => Op::Cancel(task, text()),
            _ => Op::Escalate(task, text()),
        }
    }

    fn claim(&mut self, task: TaskId, agent: AgentId) -> Op {
        let random = &mut self.random;
        let wish = match random.u32(0..3) {
            0 => Wish::of(agent),
            1 => Wish::default(),
            _ => Wish {
                task: Some(task),
                ..Wish::of(agent)
            },
        };
        let base = CommitId(String::from("base"));
        let starts = [TeamId(1), TeamId(2)].map(|team| (team, base.clone()));
        // Whoever asks knows some bases and not others, as when the board has changed meanwhile.
        let known = self.board.tasks.keys().filter(|_| random.bool());
        let bases = known.map(|task| (task.clone(), base.clone())).collect();
        Op::Claim(Box::new(Ask {
            wish,
            bases,
            starts: starts.into(),
            ..Ask::default()
        }))
    }

    fn step(&mut self) {
        self.count += 1;
        let op = self.random_op();
        let intent = Intent {
            id: OpId(self.count.to_string()),
            time: Timestamp(self.count as i64),
            actor: Actor::Human,
            machine: MachineId(String::from("m")),
            op,
        };
        assert_eq!(through_the_spool(&intent), intent);
        let before = self.board.clone();
        let decided = before.decide(&intent);
        assert_eq!(
            decided,
            before.decide(&intent),
            "deciding twice gives the same"
        );
        let Ok(Some(change)) = decided else { return };
        for edit in &change.edits {
            self.board.absorb(edit);
        }
        self.remember(&intent, &change);
        self.check(&before, &intent, &change);
        // The same operation again, as after an unknown result, must not be applied twice.
        let repeated = Intent {
            id: OpId(String::from("again")),
            ..intent
        };
        let again = self.board.decide(&repeated);
        if matches!(repeated.op, Op::Submit(..) | Op::Fail(..) | Op::Release(..)) {
            assert!(again.is_err(), "{:?} was accepted twice", repeated.op);
        }
    }

    fn remember(&mut self, intent: &Intent, change: &Change) {
        match &intent.op {
            Op::Claim(_) => {
                let task = &change.event.tasks[0];
                let status = &self.board.tasks[task].status;
                self.claims.push(Claim {
                    task: task.clone(),
                    agent: status.agent.unwrap(),
                    attempt: status.attempt,
                });
            }
            Op::Submit(claim, head, _) => self.heads.push((claim.task.clone(), head.clone())),
            Op::Merge(task, head, _) => {
                assert_eq!(
                    self.merged.insert(task.clone(), head.clone()),
                    None,
                    "merged twice"
                );
            }
            _ => {}
        }
    }

    fn check(&self, before: &Board, intent: &Intent, change: &Change) {
        let told = Told::parse(&change.event.message(intent, "sim"));
        let named: Vec<&str> = told.all("Task").collect();
        let mut holders = BTreeMap::new();
        for (id, task) in &self.board.tasks {
            let (old, new) = (&before.tasks[id].status, &task.status);
            if old != new {
                assert!(
                    named.contains(&id.as_str()),
                    "{id} changed without being told"
                );
            }
            assert!(new.attempt >= old.attempt, "an attempt number went back");
            assert!(
                !matches!(old.state, State::Merged) || new == old,
                "a merged task changed: {old:?} {new:?}"
            );
            if new.state == State::Blocked && new.agent.is_none() {
                let late = new.takeovers >= 3 || new.conflicts > 3;
                assert!(late, "blocked for good too early");
            } else if new.state.is_held() {
                let agent = new.agent.unwrap();
                if !old.state.is_held() {
                    assert_eq!(before.paused(agent), None, "{agent} is paused");
                    assert!(new.base.is_some() || intent_named(intent), "no base");
                }
                assert_eq!(holders.insert(agent, id), None, "{agent} holds two tasks");
                assert_eq!(agent.team, task.team);
            }
            if new.state == State::Merged {
                assert_eq!(
                    new.head.as_ref(),
                    self.merged.get(id),
                    "merged what was not submitted"
                );
            }
            if new.state == State::Ready && old.state == State::Pending {
                assert_eq!(before.waits_for(task), None, "{id} is ready too early");
            }
        }
        for (model, held) in self.board.held_per_model() {
            let limit = self.board.run().limits.0[&model];
            assert!(held <= limit, "{held} of {model}, limit {limit}");
        }
        if let (Some((from, to)), [task]) = (change.event.states, change.event.tasks.as_slice()) {
            assert_eq!(before.tasks[task].status.state, from);
            assert_eq!(self.board.tasks[task].status.state, to);
        }
    }
}

/// What another process reads of an intent that it carries out.
fn through_the_spool(intent: &Intent) -> Intent {
    serde_json::from_slice(&serde_json::to_vec(intent).unwrap()).unwrap()
}

/// Whether a claim was for one task, whose base may be left open.
fn intent_named(intent: &Intent) -> bool {
    matches!(&intent.op, Op::Claim(ask) if ask.wish.task.is_some())
}

#[test]
fn whatever_is_asked_in_whatever_order_the_rules_hold() {
    let mut merged = 0;
    for seed in 0..300 {
        let result = std::panic::catch_unwind(|| {
            let mut random = fastrand::Rng::with_seed(seed);
            let plan = plan(&mut random);
            let mut board = Board::default();
            let apply = Intent {
                id: OpId(String::from("0")),
                time: Timestamp(0),
                actor: Actor::Human,
                machine: MachineId(String::from("m")),
                op: Op::ApplyPlan(Box::new(PlanChange::new(plan))),
            };
            assert_eq!(through_the_spool(&apply), apply);
            for edit in board.decide(&apply).unwrap().unwrap().edits {
                board.absorb(&edit);
            }
            let mut world = World {
                board,
                random,
                count: 0,
                claims: Vec::new(),
                heads: Vec::new(),
                merged: BTreeMap::new(),
            };
            for _ in 0..400 {
                world.step();
            }
            world.merged.len()
        });
        match result {
            Ok(count) => merged += count,
            Err(_) => panic!("the simulation failed with seed {seed}"),
        }
    }
    // A simulation in which little ends well would check little.
    assert!(merged > 300, "only {merged} tasks were merged in 300 runs");
}
