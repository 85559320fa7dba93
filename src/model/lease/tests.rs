//! When a claim may be taken over.

use proptest::prelude::*;

use super::*;
use crate::model::ids::{AgentId, Timestamp};
use crate::model::op::{Actor, Intent, Op, PlanChange};
use crate::model::spec::{Plan, TaskSpec};
use crate::model::{Ask, Gate, Wish};

const MINUTE: Duration = Duration::from_secs(60);

fn decide(board: &mut Board, op: Op) {
    let intent = Intent {
        id: OpId(String::from("op")),
        time: Timestamp(1),
        actor: Actor::Human,
        machine: MachineId(String::from("far")),
        op,
    };
    let change = board.decide(&intent).unwrap().unwrap();
    for edit in &change.edits {
        board.absorb(edit);
    }
}

/// One task, claimed on machine `far`, under a lease of 15 minutes.
fn board() -> Board {
    let mut plan = Plan::default();
    plan.teams.push(toml::from_str("id = 1\n").unwrap());
    let team = crate::model::TeamId(1);
    plan.tasks
        .push(TaskSpec::new("a".parse().unwrap(), team, "a"));
    let mut board = Board::default();
    decide(&mut board, Op::ApplyPlan(Box::new(PlanChange::new(plan))));
    decide(&mut board, Op::Dispatch(Gate::default()));
    let agent: AgentId = "1.1".parse().unwrap();
    let ask = Ask {
        wish: Wish::of(agent),
        starts: [(team, crate::model::CommitId(String::from("base")))].into(),
        ..Ask::default()
    };
    decide(&mut board, Op::Claim(Box::new(ask)));
    board
}

fn lease(text: &str) -> BTreeMap<MachineId, String> {
    [(MachineId(String::from("far")), text.to_owned())].into()
}

#[test]
fn a_lease_that_stays_for_the_whole_time_has_run_out() {
    let (board, mut seen) = (board(), Sightings::default());
    for minute in 0..15 {
        let expired = seen.look(&board, &lease("x"), MINUTE * minute);
        assert_eq!(expired, [], "after {minute} minutes");
    }
    let expired = seen.look(&board, &lease("x"), MINUTE * 15);
    assert_eq!(expired.len(), 1);
    assert_eq!(expired[0].claim.attempt, Attempt(1));
    assert_eq!(expired[0].unmoved, MINUTE * 15);
}

#[test]
fn a_renewal_begins_the_time_anew() {
    let (board, mut seen) = (board(), Sightings::default());
    for minute in 0..100 {
        let renewal = format!("renewal {}", minute / 14);
        let expired = seen.look(&board, &lease(&renewal), MINUTE * minute);
        assert_eq!(expired, [], "after {minute} minutes");
    }
}

#[test]
fn a_machine_that_never_had_a_lease_is_watched_too() {
    let (board, mut seen) = (board(), Sightings::default());
    let none = BTreeMap::new();
    let mut looks = (0..=15).map(|minute| seen.look(&board, &none, MINUTE * minute).len());
    assert_eq!(looks.by_ref().take(15).sum::<usize>(), 0);
    assert_eq!(looks.next(), Some(1));
}

#[test]
fn an_outage_in_which_nobody_could_look_takes_no_claim_from_anyone() {
    let (board, mut seen) = (board(), Sightings::default());
    seen.look(&board, &lease("x"), MINUTE);
    // An hour later the remote is back, and so is the holder.
    assert_eq!(seen.look(&board, &lease("x"), MINUTE * 61), []);
    assert_eq!(seen.look(&board, &lease("y"), MINUTE * 62), []);
    assert_eq!(seen.unmoved(&"a".parse().unwrap()), Some(Duration::ZERO));
}

#[test]
fn a_later_attempt_and_a_clock_that_went_back_begin_anew() {
    let (mut board, mut seen) = (board(), Sightings::default());
    for minute in 0..15 {
        seen.look(&board, &lease("x"), MINUTE * minute);
    }
    assert_eq!(seen.clone().look(&board, &lease("x"), MINUTE), []);
    let again = board.tasks.get_mut(&"a".parse().unwrap());
    again.unwrap().status.attempt = Attempt(2);
    assert_eq!(seen.look(&board, &lease("x"), MINUTE * 15), []);
}

/// What an observer has written down of the board's one claim.
fn noted(unmoved: (u64, u32), last: (u64, u32)) -> String {
    let time = |(secs, nanos): (u64, u32)| format!("{{\"secs\":{secs},\"nanos\":{nanos}}}");
    format!(
        "{{\"a\":{{\"attempt\":1,\"op\":\"op\",\"lease\":\"x\",\"unmoved\":{},\"last\":{}}}}}",
        time(unmoved),
        time(last)
    )
}

#[test]
fn nobody_has_watched_for_longer_than_their_clock_runs() {
    let board = board();
    let look = |unmoved, last| {
        let mut seen: Sightings = serde_json::from_str(&noted(unmoved, last)).unwrap();
        seen.look(&board, &lease("x"), Duration::from_secs(5000))
            .len()
    };
    assert_eq!(
        look((900, 0), (4000, 0)),
        1,
        "a sighting that can be is believed"
    );
    assert_eq!(look((4001, 0), (4000, 0)), 0);
    assert_eq!(look((u64::MAX, 999_999_999), (4000, 0)), 0);
}

proptest! {
    #[test]
    fn whatever_was_noted_of_leases_is_read_or_not(
        unmoved in (any::<u64>(), any::<u32>()), last in (any::<u64>(), any::<u32>()), now in any::<u64>(),
        noise in any::<Vec<u8>>(), at in any::<u16>(), byte in any::<u8>(),
    ) {
        let board = board();
        let mut flipped = noted((unmoved.0 % 5000, 0), (last.0 % 5000, 0)).into_bytes();
        let at = usize::from(at) % flipped.len();
        flipped[at] = byte;
        let now = Duration::from_secs(now);
        for bytes in [noted(unmoved, last).into_bytes(), noise, flipped[..at].to_vec(), flipped] {
            let mut seen: Sightings = serde_json::from_slice(&bytes).unwrap_or_default();
            for expired in seen.look(&board, &lease("x"), now) {
                prop_assert!(expired.unmoved >= board.run().lease && expired.unmoved <= now);
            }
            let text = serde_json::to_vec(&seen).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Sightings>(&text).unwrap(), seen);
        }
    }
}
