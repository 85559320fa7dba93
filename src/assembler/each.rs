//! Every branch tested as it is merged: what lands is what one at a time would, whatever ran side by side.

use std::collections::HashSet;

use anyhow::Result;

use super::engine::{Built, Decision, Engine};
use super::lane::{Landed, Lane};
use crate::git::Oid;
use crate::git::checkout::short;
use crate::model::train::batch::What;
use crate::model::train::speculate::{self, Known, Step};
use crate::model::train::{Outcome, Verdict};

/// Steps looked ahead for each slot to tell which runs may still be needed.
const AHEAD: usize = 4;

/// Decides every car.
pub(super) fn run<L: Lane>(engine: &mut Engine<'_, L>) -> Result<()> {
    let mut risks = None;
    loop {
        let front = settle_front(engine)?;
        if engine.open().is_empty() {
            return Ok(());
        }
        if front == Front::Moved {
            continue;
        }
        if let Front::Confirm(landed) = front {
            let name = engine.train.cars()[landed.position].branch.clone();
            let at = (landed.tree, landed.commit);
            engine.tester.confirm(at, &name, engine.watch)?;
            continue;
        }
        if let Front::TestTip(tree, tip) = front {
            let name = short(engine.lane.target()).to_owned();
            let known = engine
                .tester
                .start((tree, tip), &What::Whole, &name, engine.watch)?;
            // Where no slot is free the next run to end frees one.
            if !known && !engine.tester.slots.is_idle() {
                engine.tester.wait(engine.watch)?;
            }
            continue;
        }
        let risks = match &risks {
            Some(risks) => risks,
            // One slot tests the first of the line, whatever the others are like.
            None if engine.tester.slots.most() == 1 => {
                &vec![risk_unknown(); engine.train.cars().len()]
            }
            None => risks.insert(engine.risks()?),
        };
        look_ahead(engine, &risks.clone())?;
    }
}

fn risk_unknown() -> f64 {
    crate::model::train::risk::PRIOR
}

/// What the beginning of the line came to.
#[derive(Debug, PartialEq, Eq)]
enum Front {
    /// Something was decided, or the target moved.
    Moved,
    /// Whether the target itself passes must be known: its tree and tip.
    TestTip(Oid, Oid),
    /// Everything is decided if this passes on a clean checkout as well.
    Confirm(Landed),
    /// The next step is to be tested.
    Waits,
}

/// Decides the cars at the beginning of the line as far as is known.
fn settle_front<L: Lane>(engine: &mut Engine<'_, L>) -> Result<Front> {
    let tip = engine.tip()?;
    let (mut onto, mut accepted, mut decisions) = (tip, Vec::new(), Vec::new());
    let (mut test_tip, mut waits) = (None, false);
    for position in engine.open() {
        if let Some(reason) = engine.train.hindrance(position, &accepted) {
            decisions.push(Decision::Outcome(
                position,
                Outcome::out(Verdict::Skipped, reason),
            ));
            continue;
        }
        let built = engine.merge(onto, position)?;
        if let Built::In(_) = built
            && onto != tip
        {
            // Found again as soon as what it came in with has landed.
            break;
        }
        if let Some(decision) = Engine::<L>::without_merge(position, &built) {
            if let Built::In(_) = built {
                accepted.push(position);
            }
            decisions.push(decision);
            continue;
        }
        let Built::Merge(landed) = built else { break };
        let said = engine.tester.known(landed.tree, &What::Whole);
        if said.is_green() {
            onto = landed.commit;
            accepted.push(position);
            decisions.push(Decision::Landed(landed));
        } else if said.red > engine.tester.method.retries {
            match judge(engine, landed, onto)? {
                Judged::Decided(decision) => decisions.push(decision),
                Judged::TestTip(tree) => {
                    test_tip = Some(tree);
                    break;
                }
            }
        } else {
            waits = true;
            break;
        }
    }
    let landed = |decision: &Decision| match decision {
        Decision::Landed(landed) => Some(*landed),
        _ => None,
    };
    let last = decisions.iter().rev().find_map(landed);
    if let Some(last) = last.filter(|last| !engine.tester.is_confirmed(last.tree)) {
        // One clean run speaks for all that come in together, so it waits until there is no more to come.
        return Ok(match waits {
            true => Front::Waits,
            false => Front::Confirm(last),
        });
    }
    if !decisions.is_empty() {
        for landed in decisions.iter().filter_map(landed) {
            engine.tester.used(landed.tree);
        }
        engine.carry_out(tip, decisions)?;
        return Ok(Front::Moved);
    }
    Ok(match test_tip {
        Some(tree) => Front::TestTip(tree, tip),
        None => Front::Waits,
    })
}

enum Judged {
    Decided(Decision),
    TestTip(Oid),
}

/// Decides whether a failing test is the branch's fault: a target that fails by itself says nothing.
fn judge<L: Lane>(engine: &mut Engine<'_, L>, landed: Landed, onto: Oid) -> Result<Judged> {
    let tree = engine.repo.read_commit(onto)?.tree;
    let said = engine.tester.known(tree, &What::Whole);
    Ok(if said.is_green() {
        Judged::Decided(engine.to_blame(landed, &What::Whole)?)
    } else if said.red > engine.tester.method.retries {
        Judged::Decided(engine.not_to_blame(landed, &What::Whole))
    } else {
        Judged::TestTip(tree)
    })
}

/// Starts the likeliest steps, stops what cannot be needed any more, and waits for one run.
fn look_ahead<L: Lane>(engine: &mut Engine<'_, L>, risks: &[f64]) -> Result<()> {
    let tip = engine.tip()?;
    let line = engine.open();
    let slots = engine.tester.slots.most();
    let mut likely = HashSet::new();
    let mut wanted = Vec::new();
    let ask = |step: &Step| look(engine, tip, step).map(|(known, _)| known);
    let steps = speculate::steps(&line, |position| risks[position], slots * AHEAD, ask)?;
    for (place, step) in steps.iter().enumerate() {
        if let (_, Some(landed)) = look(engine, tip, step)? {
            likely.insert(landed.tree);
            if place < slots {
                wanted.push((landed, step.accepted.len()));
            }
        }
    }
    engine
        .tester
        .stop_unless(|tree, what| *what == What::Whole && likely.contains(&tree));
    for (landed, before) in wanted {
        let branch = &engine.train.cars()[landed.position].branch;
        let name = match before {
            0 => branch.clone(),
            1 => format!("{branch} after 1 other"),
            before => format!("{branch} after {before} others"),
        };
        let at = (landed.tree, landed.commit);
        if engine.tester.start(at, &What::Whole, &name, engine.watch)? {
            // Known already: the line is looked at again.
            return Ok(());
        }
    }
    if !engine.tester.slots.is_idle() {
        engine.tester.wait(engine.watch)?;
    }
    Ok(())
}

/// Returns what is known of a step, and its merge.
fn look<L: Lane>(
    engine: &mut Engine<'_, L>,
    tip: Oid,
    step: &Step,
) -> Result<(Known, Option<Landed>)> {
    let mut onto = tip;
    for position in &step.accepted {
        if let Built::Merge(landed) = engine.merge(onto, *position)? {
            onto = landed.commit;
        }
    }
    if engine.train.hindrance(step.next, &step.accepted).is_some() {
        return Ok((Known::Out, None));
    }
    let landed = match engine.merge(onto, step.next)? {
        Built::Merge(landed) => landed,
        Built::In(_) => return Ok((Known::In, None)),
        Built::Not(_) | Built::Back(..) => return Ok((Known::Out, None)),
    };
    let said = engine.tester.known(landed.tree, &What::Whole);
    let known = if said.is_green() {
        Known::In
    } else if said.red > engine.tester.method.retries {
        Known::Out
    } else if said.red > 0 {
        Known::Suspect
    } else {
        Known::Open
    };
    Ok((known, Some(landed)))
}
