//! The radar's order of a train: the one in which most branches come in.

use anyhow::Result;

use super::radar::{self, Branch};
use super::report::{Progress, Watch};
use crate::git::{Oid, Repo};
use crate::model::train::Train;

/// Puts a train into the order in which most of its branches merge; `heads` are those of its cars. Cars stay
/// behind what they come after. With `keeps` false nothing is left behind of the merges made for it.
///
/// # Errors
///
/// The tip is missing, or git cannot be run.
pub(super) fn by_radar(
    repo: &Repo,
    (tip, train): (Oid, &Train),
    heads: &[Option<Oid>],
    keeps: bool,
    watch: &mut dyn Watch,
) -> Result<Vec<usize>> {
    let cars = train.cars();
    // Which cars the radar sees, by the radar's positions.
    let seen: Vec<usize> = (0..cars.len())
        .filter(|car| heads.get(*car).is_some_and(Option::is_some))
        .collect();
    let place = |car: &usize| seen.binary_search(car).ok();
    let branches: Vec<Branch> = seen
        .iter()
        .filter_map(|car| {
            let mut branch = Branch::new(cars[*car].branch.as_str(), heads[*car]?);
            branch.after = cars[*car].after.iter().filter_map(place).collect();
            Some(branch)
        })
        .collect();
    let radar = if keeps {
        radar::scan(repo, tip, &branches)?
    } else {
        radar::scan_without_trace(repo, tip, &branches)?
    };
    let advised = radar.order();
    let mut order: Vec<usize> = advised.order.iter().map(|branch| seen[*branch]).collect();
    order.extend((0..cars.len()).filter(|car| place(car).is_none()));
    let order = train.with_dependencies_first(&order);
    if order.iter().enumerate().any(|(at, car)| at != *car) {
        let (clean, all) = (advised.clean, cars.len());
        let text = format!("in another order than declared, in which {clean} of {all} merge");
        watch.progress(Progress::Note(&text));
    }
    Ok(order)
}
