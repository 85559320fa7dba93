//! Orders of events, chosen and random.

use super::*;

fn agent(text: &str) -> AgentId {
    text.parse().unwrap()
}

fn fleet(coders: &[&str], jobs: usize, assembles: bool) -> Fleet {
    Fleet::new(
        coders.iter().map(|text| agent(text)).collect(),
        jobs,
        assembles,
    )
}

#[test]
fn a_task_goes_from_claim_to_submit() {
    let one = agent("1.1");
    let mut fleet = fleet(&["1.1"], 4, false);
    let story = [
        (Event::Begun, Action::Dispatch),
        (Event::Dispatched, Action::Claim(one)),
        (Event::Claimed(one), Action::Prepare(one)),
        (Event::Prepared(one, true), Action::Start(one)),
        (Event::Exited(one), Action::Judge(one)),
        (
            Event::Judged(one, true),
            Action::Settle(one, Outcome::Submit),
        ),
        (Event::Settled(one), Action::Dispatch),
        (Event::Dispatched, Action::Claim(one)),
        (Event::Refused(one), Action::Finish),
    ];
    for (event, action) in story {
        assert_eq!(fleet.step(event), [action], "after {event:?}");
    }
}

#[test]
fn jobs_bound_the_fleet_and_a_refusal_makes_room_for_the_next() {
    let mut fleet = fleet(&["1.1", "2.1", "1.2", "2.2"], 2, false);
    assert_eq!(
        fleet.step(Event::Dispatched),
        [Action::Claim(agent("1.1")), Action::Claim(agent("2.1"))]
    );
    assert_eq!(
        fleet.step(Event::Refused(agent("1.1"))),
        [Action::Claim(agent("1.2"))]
    );
    fleet.step(Event::Claimed(agent("1.2")));
    fleet.step(Event::Claimed(agent("2.1")));
    assert_eq!(fleet.step(Event::Moved), []);
}

#[test]
fn assembling_comes_when_all_rest_and_ends_when_it_changes_nothing() {
    let one = agent("1.1");
    let mut fleet = fleet(&["1.1"], 1, true);
    fleet.step(Event::Dispatched);
    assert_eq!(fleet.step(Event::Refused(one)), [Action::Assemble]);
    assert_eq!(fleet.step(Event::Moved), []);
    assert_eq!(fleet.step(Event::Assembled(true)), [Action::Dispatch]);
    assert_eq!(fleet.step(Event::Dispatched), [Action::Claim(one)]);
    // Nothing was submitted since, so there is nothing to bring together.
    assert_eq!(fleet.step(Event::Refused(one)), [Action::Finish]);
}

#[test]
fn the_first_signal_asks_and_the_second_kills() {
    let (one, two) = (agent("1.1"), agent("1.2"));
    let mut fleet = fleet(&["1.1", "1.2"], 2, true);
    fleet.step(Event::Dispatched);
    fleet.step(Event::Claimed(one));
    fleet.step(Event::Prepared(one, true));
    assert_eq!(fleet.step(Event::Signalled), [Action::Stop(one)]);
    assert_eq!(
        fleet.step(Event::Claimed(two)),
        [Action::Settle(two, Outcome::Release)]
    );
    assert_eq!(fleet.step(Event::Signalled), [Action::Kill(one)]);
    assert_eq!(fleet.step(Event::Settled(two)), []);
    assert_eq!(
        fleet.step(Event::Stopped(one)),
        [Action::Settle(one, Outcome::Release)]
    );
    assert_eq!(fleet.step(Event::Settled(one)), [Action::Finish]);
}

#[test]
fn checks_that_a_signal_has_broken_off_are_no_failure() {
    let one = agent("1.1");
    let mut fleet = fleet(&["1.1"], 1, false);
    fleet.step(Event::Dispatched);
    fleet.step(Event::Claimed(one));
    fleet.step(Event::Prepared(one, true));
    assert_eq!(fleet.step(Event::Exited(one)), [Action::Judge(one)]);
    assert_eq!(fleet.step(Event::Signalled), []);
    assert_eq!(
        fleet.step(Event::Stopped(one)),
        [Action::Settle(one, Outcome::Release)]
    );
}

#[test]
fn a_lost_claim_ends_its_agent_and_leaves_the_ledger_alone() {
    let one = agent("1.1");
    let mut fleet = fleet(&["1.1"], 1, false);
    fleet.step(Event::Dispatched);
    fleet.step(Event::Claimed(one));
    fleet.step(Event::Prepared(one, true));
    assert_eq!(fleet.step(Event::Lost(one)), [Action::Stop(one)]);
    assert_eq!(fleet.step(Event::Lost(one)), []);
    assert_eq!(
        fleet.step(Event::Stopped(one)),
        [Action::Settle(one, Outcome::Abandon)]
    );
}

/// A world that answers actions with random events, in random order, and checks what it is asked.
struct World {
    random: fastrand::Rng,
    ready: u32,
    submitted: u32,
    waiting: Vec<Event>,
    held: BTreeMap<AgentId, Action>,
    signals: u32,
    jobs: usize,
    settled: u32,
    claimed: u32,
}

impl World {
    fn answer(&mut self, action: Action) -> Option<Event> {
        let chance = self.random.u8(0..10);
        match action {
            Action::Dispatch => {
                assert_eq!(self.signals, 0, "dispatched while stopping");
                Some(Event::Dispatched)
            }
            Action::Claim(agent) => {
                assert_eq!(self.signals, 0, "claimed while stopping");
                assert!(!self.held.contains_key(&agent), "{agent} has two tasks");
                if self.ready == 0 || chance == 0 {
                    return Some(Event::Refused(agent));
                }
                self.ready -= 1;
                self.claimed += 1;
                self.held.insert(agent, action);
                assert!(self.held.len() <= self.jobs, "more than jobs at once");
                Some(Event::Claimed(agent))
            }
            Action::Prepare(agent) => {
                self.expect(agent, action, Event::Prepared(agent, chance > 0))
            }
            Action::Start(agent) => {
                let event = if chance == 0 {
                    Event::Judged(agent, false)
                } else {
                    Event::Exited(agent)
                };
                self.expect(agent, action, event)
            }
            Action::Judge(agent) => self.expect(agent, action, Event::Judged(agent, chance > 2)),
            Action::Settle(agent, outcome) => {
                let last = self.held.remove(&agent);
                assert!(last.is_some(), "{agent} settles what it does not hold");
                self.settled += 1;
                self.waiting.retain(|event| *event != Event::Lost(agent));
                match outcome {
                    Outcome::Submit => self.submitted += 1,
                    Outcome::Release => self.ready += 1,
                    Outcome::Fail if chance > 4 => self.ready += 1,
                    Outcome::Fail | Outcome::Abandon => {}
                }
                Some(Event::Settled(agent))
            }
            Action::Stop(agent) | Action::Kill(agent) => {
                let (running, judging) = (Event::Exited(agent), Event::Judged(agent, true));
                for event in &mut self.waiting {
                    if *event == running {
                        *event = Event::Stopped(agent);
                    } else if *event == judging {
                        *event = Event::Judged(agent, false);
                    }
                }
                None
            }
            Action::Assemble => {
                assert!(self.held.is_empty());
                let changed = self.submitted > 0;
                self.ready += self.random.u32(0..=self.submitted / 2);
                self.submitted = 0;
                self.waiting.push(Event::Assembled(changed));
                None
            }
            Action::Finish => None,
        }
    }

    /// Checks that the step follows the agent's last one, and lets its event wait.
    fn expect(&mut self, agent: AgentId, action: Action, event: Event) -> Option<Event> {
        let last = self.held.insert(agent, action);
        let follows = match action {
            Action::Prepare(_) => matches!(last, Some(Action::Claim(_))),
            Action::Start(_) => matches!(last, Some(Action::Prepare(_))),
            _ => matches!(last, Some(Action::Start(_))),
        };
        assert!(follows, "{action:?} after {last:?}");
        self.waiting.push(event);
        None
    }
}

#[test]
fn whatever_happens_all_that_was_claimed_is_settled_once() {
    for seed in 0..3000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let coders: Vec<AgentId> = (1..=random.u32(1..5))
            .flat_map(|team| (1..4).map(move |n| agent(&format!("{team}.{n}"))))
            .collect();
        let jobs = random.usize(1..8);
        let mut fleet = Fleet::new(coders.clone(), jobs, random.bool());
        let mut world = World {
            ready: random.u32(0..40),
            submitted: 0,
            waiting: Vec::new(),
            held: BTreeMap::new(),
            signals: 0,
            jobs,
            settled: 0,
            claimed: 0,
            random,
        };
        let signals = world.random.u8(0..4) == 0;
        let mut queue = std::collections::VecDeque::from([Event::Begun]);
        let mut finished = false;
        for _ in 0..20_000 {
            let Some(event) = queue.pop_front() else {
                if world.random.u8(0..20) == 0 {
                    queue.push_back(Event::Moved);
                }
                if signals && world.random.u8(0..60) == 0 {
                    queue.push_back(Event::Signalled);
                }
                if world.random.u8(0..40) == 0 {
                    queue.push_back(Event::Lost(coders[world.random.usize(0..coders.len())]));
                }
                if !world.waiting.is_empty() {
                    let next = world.random.usize(0..world.waiting.len());
                    queue.push_back(world.waiting.swap_remove(next));
                }
                continue;
            };
            world.signals += u32::from(event == Event::Signalled);
            for action in fleet.step(event) {
                finished |= action == Action::Finish;
                queue.extend(world.answer(action));
            }
            if finished {
                break;
            }
        }
        assert!(finished, "seed {seed} never ends");
        assert!(world.held.is_empty(), "seed {seed} leaves {:?}", world.held);
        assert_eq!(world.claimed, world.settled, "seed {seed}");
    }
}
