//! Every command that changes anything, with something going wrong at each of its file operations and each of its
//! child processes: killed there, told that the disk fails, is full or may not be written, or left without git.
//!
//! Whatever goes wrong: what is the user's stays as it was, no work of an agent is lost, the ledger is whole, and
//! the same command, given again, brings everything where it would have come to undisturbed. Success is never said
//! of what is not done.
//!
//! A sample is tried; `ORCH_FAULTS=all` tries every point, `ORCH_FAULTS=assemble` those of that command, and with
//! `ORCH_FAULTS_AT=left.json` only those where that text is in what failed. `strace` counts and disturbs the calls;
//! where it is not to be had, these tests say so and check nothing.

mod essence;
mod scenes;
mod strike;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::common::trace::{all, can_trace, wanted};
use scenes::Scene;
use strike::Struck;

/// Points of each command that are tried where not all are.
const SAMPLE: usize = 10;

/// Disturbs commands at their points, and says how many there are.
fn disturb(group: &str, scenes: Vec<Scene>) {
    if !can_trace() {
        return;
    }
    let (mut tried, mut there, mut failed) = (0, 0, Vec::new());
    for scene in scenes {
        let name = scene.name;
        if wanted().is_some_and(|wanted| wanted != "all" && wanted != name) {
            continue;
        }
        let struck = Struck::new(scene);
        let points = struck.points();
        assert!(points.len() > 2, "{name} does next to nothing");
        let step = if all() {
            1
        } else {
            // Odd, so that each kind of fault has its turn.
            points.len().div_ceil(SAMPLE) | 1
        };
        // Beginning elsewhere each time, so that commands that begin alike are not all struck in the same places.
        let first = name.len() % step;
        let chosen = points.iter().skip(first).step_by(step);
        let at = std::env::var("ORCH_FAULTS_AT").unwrap_or_default();
        let is_there = |point: &&strike::Point| point.to_string().contains(&at);
        let chosen: Vec<_> = chosen.filter(is_there).collect();
        for point in &chosen {
            // One that fails is told at once, and the others are tried all the same.
            if catch_unwind(AssertUnwindSafe(|| struck.strike(point))).is_err() {
                failed.push(format!("{name}: {point}"));
            }
        }
        eprintln!(
            "{group}: {name}: {} of {} points",
            chosen.len(),
            points.len()
        );
        tried += chosen.len();
        there += points.len();
    }
    eprintln!("{group}: {tried} of {there} points");
    assert!(failed.is_empty(), "{} failed: {failed:#?}", failed.len());
}

#[test]
fn the_life_of_a_task_survives_every_fault() {
    disturb("life", scenes::life());
}

#[test]
fn plans_and_agents_survive_every_fault() {
    disturb("plans", scenes::plans());
}

#[test]
fn locking_and_recovering_survive_every_fault() {
    disturb("keeping", scenes::keeping());
}

#[test]
fn setting_up_and_taking_down_survive_every_fault() {
    disturb("set-up", scenes::set_up());
}

#[test]
fn bringing_together_survives_every_fault() {
    disturb("assembler", scenes::assembler());
}

#[test]
fn running_agents_survives_every_fault() {
    disturb("executor", scenes::executor());
}

#[test]
fn a_remote_survives_every_fault() {
    disturb("remote", scenes::remote());
}
