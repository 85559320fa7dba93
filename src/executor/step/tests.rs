//! Orders of events, chosen and random.

use super::*;

fn manner(slots: usize) -> Manner {
    Manner {
        slots,
        assembles: false,
        until: Until::Idle,
        drains: false,
    }
}

fn fleet(slots: usize) -> Fleet {
    Fleet::new(manner(slots))
}

/// A fleet of one slot whose agent runs.
fn running(manner: Manner) -> Fleet {
    let mut fleet = Fleet::new(manner);
    fleet.step(Event::Begun);
    fleet.step(Event::Dispatched(true));
    fleet.step(Event::Claimed(0));
    assert_eq!(fleet.step(Event::Prepared(0, true)), [Action::Start(0)]);
    fleet
}

/// What ends a fleet of one agent at once.
const AT_ONCE: [Action; 3] = [Action::Kill(0), Action::GiveUp, Action::Grace(Grace::Last)];

#[test]
fn a_task_goes_from_claim_to_submit() {
    let mut fleet = fleet(1);
    let story = [
        (Event::Begun, Action::Dispatch),
        (Event::Dispatched(false), Action::Claim(0)),
        (Event::Claimed(0), Action::Prepare(0)),
        (Event::Prepared(0, true), Action::Start(0)),
        (Event::Exited(0), Action::Judge(0)),
        (Event::Judged(0, true), Action::Settle(0, Outcome::Submit)),
        (Event::Settled(0), Action::Dispatch),
        (Event::Dispatched(false), Action::Claim(0)),
        (Event::Refused(0), Action::Finish),
    ];
    for (event, action) in story {
        assert_eq!(fleet.step(event), [action], "after {event:?}");
    }
}

#[test]
fn after_one_refusal_nobody_asks_until_the_board_has_moved() {
    let mut fleet = fleet(3);
    fleet.step(Event::Begun);
    let claims = [Action::Claim(0), Action::Claim(1), Action::Claim(2)];
    assert_eq!(fleet.step(Event::Dispatched(false)), claims);
    fleet.step(Event::Claimed(0));
    assert_eq!(fleet.step(Event::Refused(1)), []);
    assert_eq!(fleet.step(Event::Refused(2)), []);
    assert_eq!(fleet.step(Event::Moved), [Action::Dispatch]);
    assert_eq!(fleet.step(Event::Dispatched(false)), claims[1..]);
    fleet.step(Event::Claimed(1));
    fleet.step(Event::Claimed(2));
    // With all slots at work there is nobody to make anything ready for.
    assert_eq!(fleet.step(Event::Moved), []);
}

#[test]
fn nobody_leaves_while_a_dispatch_may_bring_work() {
    let mut fleet = fleet(1);
    fleet.step(Event::Begun);
    fleet.step(Event::Dispatched(false));
    assert_eq!(fleet.step(Event::Moved), []);
    fleet.step(Event::Claimed(0));
    fleet.step(Event::Prepared(0, true));
    fleet.step(Event::Exited(0));
    fleet.step(Event::Judged(0, true));
    assert_eq!(fleet.step(Event::Settled(0)), [Action::Dispatch]);
    assert_eq!(fleet.step(Event::Moved), [Action::Dispatch]);
    assert_eq!(fleet.step(Event::Dispatched(false)), [Action::Claim(0)]);
    assert_eq!(fleet.step(Event::Refused(0)), []);
    assert_eq!(fleet.step(Event::Dispatched(false)), [Action::Claim(0)]);
    assert_eq!(fleet.step(Event::Refused(0)), [Action::Finish]);
}

#[test]
fn assembling_comes_when_all_rest_and_ends_when_it_changes_nothing() {
    let mut fleet = Fleet::new(Manner {
        assembles: true,
        ..manner(1)
    });
    fleet.step(Event::Begun);
    fleet.step(Event::Dispatched(false));
    assert_eq!(fleet.step(Event::Refused(0)), [Action::Assemble]);
    assert_eq!(fleet.step(Event::Moved), []);
    assert_eq!(fleet.step(Event::Assembled(true)), [Action::Dispatch]);
    assert_eq!(fleet.step(Event::Dispatched(false)), [Action::Claim(0)]);
    // Nothing was submitted since, so there is nothing to bring together.
    assert_eq!(fleet.step(Event::Refused(0)), [Action::Finish]);
}

#[test]
fn what_others_hand_in_is_assembled_too() {
    let mut fleet = Fleet::new(Manner {
        assembles: true,
        ..manner(1)
    });
    fleet.step(Event::Begun);
    fleet.step(Event::Dispatched(true));
    fleet.step(Event::Refused(0));
    assert_eq!(fleet.step(Event::Assembled(false)), [Action::Dispatch]);
    fleet.step(Event::Dispatched(true));
    assert_eq!(fleet.step(Event::Refused(0)), [Action::Wait]);
    assert_eq!(fleet.step(Event::HandedIn), []);
    assert_eq!(fleet.step(Event::Moved), [Action::Dispatch]);
    assert_eq!(fleet.step(Event::Dispatched(true)), [Action::Claim(0)]);
    assert_eq!(fleet.step(Event::Refused(0)), [Action::Assemble]);
}

#[test]
fn an_executor_waits_for_others_and_says_so_once() {
    let mut fleet = Fleet::new(Manner {
        until: Until::Over,
        ..manner(1)
    });
    fleet.step(Event::Begun);
    fleet.step(Event::Dispatched(true));
    assert_eq!(fleet.step(Event::Refused(0)), [Action::Wait]);
    assert_eq!(fleet.step(Event::Moved), [Action::Dispatch]);
    assert_eq!(fleet.step(Event::Dispatched(true)), [Action::Claim(0)]);
    assert_eq!(fleet.step(Event::Refused(0)), []);
    fleet.step(Event::Moved);
    assert_eq!(fleet.step(Event::Dispatched(false)), [Action::Claim(0)]);
    assert_eq!(fleet.step(Event::Refused(0)), [Action::Finish]);
}

#[test]
fn once_is_one_task_for_each_slot() {
    let mut fleet = running(Manner {
        until: Until::Once,
        ..manner(1)
    });
    fleet.step(Event::Exited(0));
    fleet.step(Event::Judged(0, true));
    assert_eq!(fleet.step(Event::Settled(0)), [Action::Dispatch]);
    assert_eq!(fleet.step(Event::Dispatched(true)), [Action::Finish]);
}

#[test]
fn the_first_signal_asks_and_the_second_kills() {
    let mut fleet = fleet(2);
    fleet.step(Event::Begun);
    fleet.step(Event::Dispatched(false));
    fleet.step(Event::Claimed(0));
    fleet.step(Event::Prepared(0, true));
    assert_eq!(
        fleet.step(Event::Signalled),
        [Action::Withdraw, Action::Stop(0), Action::Grace(Grace::End)]
    );
    assert_eq!(
        fleet.step(Event::Claimed(1)),
        [Action::Settle(1, Outcome::Release)]
    );
    assert_eq!(fleet.step(Event::Signalled), AT_ONCE);
    assert_eq!(fleet.step(Event::Settled(1)), []);
    assert_eq!(
        fleet.step(Event::Stopped(0)),
        [Action::Settle(0, Outcome::Release)]
    );
    assert_eq!(fleet.step(Event::Settled(0)), [Action::Finish]);
}

#[test]
fn who_drains_lets_agents_finish_within_the_grace() {
    let drains = Manner {
        drains: true,
        ..manner(1)
    };
    let mut fleet = running(drains);
    let first = [Action::Withdraw, Action::Grace(Grace::Finish)];
    assert_eq!(fleet.step(Event::Signalled), first);
    assert_eq!(fleet.step(Event::Exited(0)), [Action::Judge(0)]);
    assert_eq!(
        fleet.step(Event::Judged(0, true)),
        [Action::Settle(0, Outcome::Submit)]
    );
    assert_eq!(fleet.step(Event::Settled(0)), [Action::Finish]);

    let mut fleet = running(drains);
    fleet.step(Event::Signalled);
    assert_eq!(
        fleet.step(Event::GraceOver(Grace::Finish)),
        [Action::Stop(0), Action::Grace(Grace::End)]
    );
    assert_eq!(fleet.step(Event::GraceOver(Grace::End)), AT_ONCE);
    assert_eq!(
        fleet.step(Event::Stopped(0)),
        [Action::Settle(0, Outcome::Release)]
    );

    // The second signal does not wait for the grace to be over.
    let mut fleet = running(drains);
    fleet.step(Event::Signalled);
    assert_eq!(fleet.step(Event::Signalled), AT_ONCE);
    assert_eq!(fleet.step(Event::GraceOver(Grace::Finish)), []);
}

#[test]
fn checks_that_a_signal_has_broken_off_are_no_failure() {
    let mut fleet = running(manner(1));
    assert_eq!(fleet.step(Event::Exited(0)), [Action::Judge(0)]);
    assert_eq!(
        fleet.step(Event::Signalled),
        [Action::Withdraw, Action::Grace(Grace::End)]
    );
    assert_eq!(
        fleet.step(Event::Stopped(0)),
        [Action::Settle(0, Outcome::Release)]
    );
}

#[test]
fn what_does_not_even_end_firmly_is_not_waited_for() {
    // Its end cannot be told: neither after the time for that, nor after a third signal.
    for last in [Event::GraceOver(Grace::Last), Event::Signalled] {
        let mut fleet = running(manner(1));
        fleet.step(Event::Exited(0));
        fleet.step(Event::Judged(0, true));
        assert_eq!(
            fleet.step(Event::Signalled),
            [Action::Withdraw, Action::Grace(Grace::End)]
        );
        assert_eq!(
            fleet.step(Event::GraceOver(Grace::End)),
            [Action::GiveUp, Action::Grace(Grace::Last)]
        );
        assert_eq!(fleet.waits(), [(0, "its end to be told")]);
        assert_eq!(fleet.step(last), [Action::Finish]);
    }
}

#[test]
fn what_nobody_here_can_mend_ends_agents_at_once_even_where_they_might_finish() {
    let drains = Manner {
        drains: true,
        ..manner(1)
    };
    let politely = [Action::Withdraw, Action::Stop(0), Action::Grace(Grace::End)];
    assert_eq!(running(drains).step(Event::Broken), politely);
    let mut fleet = running(drains);
    fleet.step(Event::Signalled);
    assert_eq!(fleet.step(Event::Broken), politely[1..]);
    // Told again, it presses no harder.
    assert_eq!(fleet.step(Event::Broken), []);
    assert_eq!(fleet.step(Event::Signalled), AT_ONCE);
    assert_eq!(fleet.step(Event::Broken), []);
}

#[test]
fn a_lost_claim_ends_its_agent_and_leaves_the_ledger_alone() {
    let mut fleet = running(manner(1));
    assert_eq!(fleet.step(Event::Lost(0)), [Action::Stop(0)]);
    assert_eq!(fleet.step(Event::Lost(0)), []);
    assert_eq!(
        fleet.step(Event::Stopped(0)),
        [Action::Settle(0, Outcome::Abandon)]
    );
}

#[test]
fn late_news_of_a_lost_claim_does_not_touch_the_next() {
    let mut fleet = fleet(1);
    fleet.step(Event::Begun);
    fleet.step(Event::Dispatched(false));
    assert_eq!(fleet.step(Event::Lost(0)), []);
    fleet.step(Event::Claimed(0));
    assert_eq!(fleet.step(Event::Prepared(0, true)), [Action::Start(0)]);
}

/// A world that answers actions with random events, in random order, and checks what it is asked.
struct World {
    random: fastrand::Rng,
    ready: u32,
    /// Tasks that others hold; what they hand in or give back, waiting executors may get.
    others: u32,
    submitted: u32,
    waiting: Vec<Event>,
    held: BTreeMap<Slot, Action>,
    signals: u32,
    is_pressed: bool,
    manner: Manner,
    settled: u32,
    claimed: u32,
}

impl World {
    fn answer(&mut self, action: Action) {
        let chance = self.random.u8(0..10);
        match action {
            Action::Dispatch => {
                assert_eq!(self.signals, 0, "dispatched while stopping");
                // Whether waiting is worth it is looked up when it is told.
                self.waiting.push(Event::Dispatched(false));
            }
            Action::Claim(slot) => {
                assert_eq!(self.signals, 0, "claimed while stopping");
                assert!(!self.held.contains_key(&slot), "{slot} claims twice");
                self.held.insert(slot, action);
                let most = self.manner.slots;
                assert!(self.held.len() <= most, "more than there are slots");
                if self.ready == 0 || chance == 0 {
                    self.waiting.push(Event::Refused(slot));
                } else {
                    self.ready -= 1;
                    self.claimed += 1;
                    self.waiting.push(Event::Claimed(slot));
                }
            }
            Action::Prepare(slot) => self.expect(action, Event::Prepared(slot, chance > 0)),
            Action::Start(slot) if chance == 0 => self.expect(action, Event::Judged(slot, false)),
            Action::Start(slot) => self.expect(action, Event::Exited(slot)),
            Action::Judge(slot) => self.expect(action, Event::Judged(slot, chance > 2)),
            Action::Settle(slot, outcome) => {
                let last = self.held.insert(slot, action);
                let again = matches!(last, None | Some(Action::Settle(..)));
                assert!(!again, "{slot} settles what it does not hold");
                match outcome {
                    Outcome::Submit => self.submitted += 1,
                    Outcome::Release => self.ready += 1,
                    Outcome::Fail if chance > 4 => self.ready += 1,
                    Outcome::Fail | Outcome::Abandon => {}
                }
                self.waiting.push(Event::Settled(slot));
            }
            Action::Stop(slot) | Action::Kill(slot) => {
                let (running, judging) = (Event::Exited(slot), Event::Judged(slot, true));
                for event in &mut self.waiting {
                    if *event == running {
                        *event = Event::Stopped(slot);
                    } else if *event == judging {
                        *event = Event::Judged(slot, false);
                    }
                }
            }
            Action::Assemble => {
                assert!(self.held.is_empty());
                let changed = self.submitted > 0;
                self.ready += self.random.u32(0..=self.submitted / 2);
                self.submitted = 0;
                self.waiting.push(Event::Assembled(changed));
            }
            // Everything else in this world happens sooner.
            Action::Grace(Grace::Last) => {}
            Action::Grace(grace) => self.waiting.push(Event::GraceOver(grace)),
            Action::Wait => assert_eq!(self.manner.until, Until::Over, "waits for nobody"),
            Action::GiveUp => self.is_pressed = true,
            Action::Withdraw | Action::Finish => {}
        }
    }

    /// Checks that the step follows the slot's last one, and lets its event wait.
    fn expect(&mut self, action: Action, event: Event) {
        let slot = match action {
            Action::Prepare(slot) | Action::Start(slot) | Action::Judge(slot) => slot,
            other => panic!("{other:?} is no step"),
        };
        let last = self.held.insert(slot, action);
        let follows = match action {
            Action::Prepare(_) => matches!(last, Some(Action::Claim(_))),
            Action::Start(_) => matches!(last, Some(Action::Prepare(_))),
            _ => matches!(last, Some(Action::Start(_))),
        };
        assert!(follows, "{action:?} after {last:?}");
        self.waiting.push(event);
    }

    /// Returns what happens next.
    fn next(&mut self, signals: bool) -> Option<Event> {
        if self.others > 0 && self.random.u8(0..10) == 0 {
            self.others -= 1;
            self.ready += self.random.u32(0..2);
            return Some(Event::Moved);
        }
        // Once everything is ended at once, one more would not even wait for that.
        if signals && !self.is_pressed && self.random.u8(0..60) == 0 {
            self.signals += 1;
            return Some(Event::Signalled);
        }
        if self.random.u8(0..40) == 0 {
            return Some(Event::Lost(self.random.usize(0..self.manner.slots)));
        }
        if self.waiting.is_empty() {
            return None;
        }
        let next = self.random.usize(0..self.waiting.len());
        let event = self.waiting.swap_remove(next);
        match event {
            Event::Dispatched(_) => {
                let more = self.others > 0 && self.manner.until == Until::Over;
                return Some(Event::Dispatched(more));
            }
            Event::Refused(slot) => drop(self.held.remove(&slot)),
            Event::Settled(slot) => {
                self.held.remove(&slot);
                self.settled += 1;
            }
            _ => {}
        }
        Some(event)
    }
}

#[test]
fn whatever_happens_all_that_was_claimed_is_settled_once() {
    for seed in 0..3000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let manner = Manner {
            slots: random.usize(1..8),
            assembles: random.bool(),
            until: *random
                .choice(&[Until::Idle, Until::Over, Until::Once])
                .unwrap(),
            drains: random.bool(),
        };
        let mut fleet = Fleet::new(manner);
        let mut world = World {
            ready: random.u32(0..40),
            others: random.u32(0..5),
            submitted: 0,
            waiting: vec![Event::Begun],
            held: BTreeMap::new(),
            signals: 0,
            is_pressed: false,
            manner,
            settled: 0,
            claimed: 0,
            random,
        };
        let signals = world.random.u8(0..4) == 0;
        let mut finished = false;
        for _ in 0..20_000 {
            let Some(event) = world.next(signals) else {
                continue;
            };
            for action in fleet.step(event) {
                finished |= action == Action::Finish;
                world.answer(action);
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
