//! Whole fleets at random: nothing is left over, and nothing is done that no choice may do.

use proptest::prelude::*;

use super::*;
use crate::model::op::{Actor, Claim, Intent, Op};
use crate::model::{Gate, MachineId, OpId, PlanChange};

/// A fleet at random: teams with roles and skills, tasks that ask for them.
struct Fleet {
    board: Board,
    random: fastrand::Rng,
    time: i64,
}

const ROLES: [&str; 2] = ["tester", "writer"];

impl Fleet {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut plan = crate::model::Plan::default();
        plan.run.limits.0 = [(String::from("sonnet"), 4), (String::from("opus"), 2)].into();
        for number in 1..=random.u32(1..4) {
            let mut team = team(number, random.u32(1..4));
            for number in 1..=team.coders {
                let role = match random.bool() {
                    true => *random.choice(&ROLES).unwrap(),
                    false => "",
                };
                team.agents
                    .push(coder(number, role, random.choice(&SKILLS).unwrap()));
            }
            plan.teams.push(team);
        }
        for number in 0..random.u32(1..25) {
            let team = TeamId(random.u32(1..=u32::try_from(plan.teams.len()).unwrap()));
            let mut task = TaskSpec::new(id(&format!("t{number}")), team, "title");
            task.priority = random.i32(-1..2);
            task.role = random
                .bool()
                .then(|| (*random.choice(&ROLES).unwrap()).to_owned());
            task.skills = SKILLS
                .map(str::to_owned)
                .into_iter()
                .filter(|_| random.bool())
                .collect();
            task.model = random.bool().then(|| String::from("opus"));
            if number > 0 && random.bool() {
                let coupling = *random
                    .choice(&[Coupling::Tight, Coupling::Medium, Coupling::Loose])
                    .unwrap();
                let task_id = id(&format!("t{}", random.u32(0..number)));
                task.after.push(Dependency {
                    task: task_id,
                    coupling,
                });
            }
            plan.tasks.push(task);
        }
        let mut fleet = Self {
            board: Board::default(),
            random,
            time: 0,
        };
        fleet.carry_out(Op::ApplyPlan(Box::new(PlanChange::new(plan))));
        fleet
    }

    fn carry_out(&mut self, op: Op) -> bool {
        self.time += 1;
        let intent = Intent {
            id: OpId(self.time.to_string()),
            time: Timestamp(self.time),
            actor: Actor::Human,
            machine: MachineId(String::from("m")),
            op,
        };
        let Ok(Some(change)) = self.board.decide(&intent) else {
            return false;
        };
        for edit in &change.edits {
            self.board.absorb(edit);
        }
        true
    }

    /// Checks what must hold of any choice on this board.
    fn check(&self, wish: &Wish) {
        let chosen = self.board.choose(wish);
        assert_eq!(
            chosen,
            self.board.choose(wish),
            "the same board, the same choice"
        );
        let told = self.board.explain(wish, &[]).unwrap();
        assert_eq!(chosen, told.chosen);
        let Ok(Choice { task, agent }) = chosen else {
            return;
        };
        let candidates = self.board.candidates(wish);
        let mut open = candidates.into_iter();
        let first = open.find(|task| self.board.may_claim(task, agent).is_ok());
        assert_eq!(first.map(|task| &task.id), Some(&task.id));
        assert_eq!(self.board.held_by(agent), None);
        assert_eq!(self.board.paused(agent), None);
        assert!(told.others.iter().all(|other| other.task.id != task.id));
        // Without the first, what would come next is the choice.
        let without = self.board.choose_among(wish, |other| other.id != task.id);
        if let Ok(next) = without {
            assert_eq!(told.others[0].task.id, next.task.id);
        }
        for (model, held) in self.board.held_per_model() {
            assert!(
                held <= self.board.run().limits.0[&model],
                "too many of {model}"
            );
        }
    }

    fn claim(&mut self) -> bool {
        let coders = self.board.coders();
        let wish = match self.random.bool() {
            true => Wish::default(),
            false => Wish::of(*self.random.choice(&coders).unwrap()),
        };
        self.check(&wish);
        let base = CommitId(String::from("base"));
        let tasks = self.board.tasks.keys();
        let bases = tasks.map(|task| (task.clone(), base.clone())).collect();
        self.carry_out(Op::Claim(Box::new(Ask {
            wish,
            bases,
            ..Ask::default()
        })))
    }

    /// Ends the work at one of the held tasks, well or not.
    fn end_one(&mut self) {
        let tasks = self.board.tasks.values();
        let held: Vec<Claim> = tasks
            .filter(|task| task.status.state.is_held())
            .map(|task| Claim {
                task: task.id.clone(),
                agent: task.status.agent.unwrap(),
                attempt: task.status.attempt,
            })
            .collect();
        let Some(claim) = self.random.choice(&held).cloned() else {
            return;
        };
        let reason = || String::from("because");
        let ended = match self.random.u32(0..8) {
            0 => Op::Release(claim, reason()),
            1 => Op::Fail(claim, reason(), None),
            2 => Op::Pause(claim.agent, reason()),
            _ => {
                let (task, head) = (claim.task.clone(), CommitId(String::from("head")));
                let handoff = crate::model::Handoff {
                    task_id: task.clone(),
                    status: crate::model::HandoffStatus::Completed,
                    summary: String::new(),
                    output: String::new(),
                    deliverables: Vec::new(),
                    dependencies: Vec::new(),
                    next_steps: Vec::new(),
                };
                self.carry_out(Op::Submit(claim, head.clone(), Box::new(handoff)));
                match self.random.u32(0..6) {
                    0 => Op::Reject(task, head, reason(), reason()),
                    _ => Op::Merge(task, head.clone(), head),
                }
            }
        };
        self.carry_out(ended);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_task_is_taken_in_the_end(seed in any::<u64>()) {
        let mut fleet = Fleet::new(seed);
        let mut idle = 0;
        fleet.carry_out(Op::Dispatch(Gate::default()));
        let is_open = |task: &Task| !task.status.state.is_final() && task.status.state != State::Pending;
        while fleet.board.tasks.values().any(is_open) {
            let claimed = fleet.claim();
            if fleet.random.bool() {
                fleet.end_one();
            }
            let paused: Vec<AgentId> = fleet.board.agents.keys().copied().collect();
            if let Some(agent) = fleet.random.choice(&paused).copied() {
                fleet.carry_out(Op::Resume(agent));
            }
            idle = if claimed { 0 } else { idle + 1 };
            prop_assert!(idle < 500, "nobody takes what is left, seed {}", seed);
            fleet.carry_out(Op::Dispatch(Gate::default()));
        }
        for task in fleet.board.tasks.values().filter(|task| !task.status.state.is_final()) {
            let (_, its) = fleet.board.waits_for(task).unwrap();
            prop_assert!(matches!(its, State::Gap | State::Pending), "{} is left", task.id);
        }
    }

    #[test]
    fn a_free_coder_never_idles_beside_what_it_may_have(seed in any::<u64>()) {
        let mut fleet = Fleet::new(seed);
        fleet.carry_out(Op::Dispatch(Gate::default()));
        // Whoever asks in whatever order: all that is ready is taken, or everybody fit for it is at work.
        while fleet.carry_out(Op::Claim(Box::new(Ask {
            bases: fleet.board.tasks.keys().map(|task| (task.clone(), CommitId(String::from("b")))).collect(),
            ..Ask::default()
        }))) {}
        for agent in fleet.board.coders() {
            prop_assert!(fleet.board.choose(&Wish::of(agent)).is_err(), "{} may have more", agent);
        }
    }
}
