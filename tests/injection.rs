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

mod clones;
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
        if is_wanted(name) {
            let struck = Struck::new(scene);
            let points = struck.points();
            there += points.len();
            tried += disturb_at(name, points, SAMPLE, &mut failed, |at| struck.strike(at));
        }
    }
    eprintln!("{group}: {tried} of {there} points");
    assert!(failed.is_empty(), "{} failed: {failed:#?}", failed.len());
}

fn is_wanted(name: &str) -> bool {
    wanted().is_none_or(|wanted| wanted == "all" || wanted == name)
}

/// Disturbs a command at some of its points, or all; notes those where that fails, and returns how many were tried.
fn disturb_at(
    name: &str,
    points: Vec<strike::Point>,
    sample: usize,
    failed: &mut Vec<String>,
    disturb: impl Fn(&strike::Point),
) -> usize {
    assert!(points.len() > 2, "{name} does next to nothing");
    let step = if all() {
        1
    } else {
        // Odd, so that each kind of fault has its turn.
        points.len().div_ceil(sample) | 1
    };
    // Beginning elsewhere each time, so that commands that begin alike are not all struck in the same places.
    let first = name.len() % step;
    let chosen = points.iter().skip(first).step_by(step);
    let at = std::env::var("ORCH_FAULTS_AT").unwrap_or_default();
    let is_there = |point: &&strike::Point| point.to_string().contains(&at);
    let chosen: Vec<_> = chosen.filter(is_there).collect();
    for point in &chosen {
        // One that fails is told at once, and the others are tried all the same.
        if catch_unwind(AssertUnwindSafe(|| disturb(point))).is_err() {
            failed.push(format!("{name}: {point}"));
        }
    }
    eprintln!("{name}: {} of {} points", chosen.len(), points.len());
    chosen.len()
}

/// The same of a command in one of several clones.
fn disturb_clones(name: &str) {
    if can_trace() && is_wanted(name) {
        let mut scenes = clones::scenes().into_iter();
        let scene = scenes.find(|scene| scene.name == name).unwrap();
        let struck = clones::Struck::new(scene);
        let mut failed = Vec::new();
        let points = struck.points();
        disturb_at(name, points, SAMPLE / 2, &mut failed, |at| {
            struck.strike(at)
        });
        assert!(failed.is_empty(), "{} failed: {failed:#?}", failed.len());
    }
}

#[test]
fn a_sync_among_three_clones_loses_nobodys_answer() {
    disturb_clones("sync among three");
}

#[test]
fn a_claim_among_three_clones_loses_nobodys_answer() {
    disturb_clones("claim among three");
}

#[test]
fn a_clone_that_joins_others_loses_nobodys_answer() {
    disturb_clones("join among four");
}

#[test]
fn a_ledger_that_goes_to_a_remote_loses_no_answer() {
    disturb_clones("publish");
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
