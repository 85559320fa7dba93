//! Shape: nobody coordinates more than eight (A3).

use std::collections::HashMap;

use super::super::fields::Notes;
use super::super::finding::Severity;
use crate::model::{Plan, TeamId};

/// The most direct reports of one coordinator.
const SPAN: usize = 8;

/// Reports per level that depth is reckoned with.
const BRANCHING: usize = 7;

pub(super) fn check(plan: &Plan, notes: &mut Notes<'_>) {
    let mut below: HashMap<TeamId, usize> = HashMap::new();
    for parent in plan.teams.iter().filter_map(|team| team.parent) {
        *below.entry(parent).or_insert(0) += 1;
    }
    for (i, team) in plan.teams.iter().enumerate() {
        let (id, coders) = (team.id, team.coders as usize);
        let teams = below.get(&id).copied().unwrap_or(0);
        if coders > SPAN {
            let parts = coders.div_ceil(SPAN);
            notes.at(
                Severity::Warning,
                &format!("teams[{i}].coders"),
                format!("the leader of team {id} has {coders} coders, more than {SPAN}"),
                format!(
                    "{}: make it {parts} teams of {} coders, with `parent = {id}` in the new ones",
                    depth(coders),
                    coders.div_ceil(parts)
                ),
            );
        } else if coders + teams > SPAN {
            notes.at(
                Severity::Warning,
                &format!("teams[{i}].id"),
                format!(
                    "the leader of team {id} has {} direct reports, more than {SPAN}: {coders} coders and \
                     {teams} team leaders",
                    coders + teams
                ),
                format!(
                    "{}: give it `coders = 0`, or put teams between",
                    depth(coders + teams)
                ),
            );
        }
    }
    let top = plan.teams.iter().enumerate();
    let top: Vec<usize> = top
        .filter(|(_, team)| team.parent.is_none())
        .map(|(i, _)| i)
        .collect();
    if let Some(ninth) = top.get(SPAN) {
        let leads = top.len().div_ceil(SPAN);
        notes.at(
            Severity::Warning,
            &format!("teams[{ninth}].id"),
            format!(
                "{} team leaders report to you directly, more than {SPAN}",
                top.len()
            ),
            format!(
                "{}: add {leads} teams with `coders = 0` and put about {} teams below each with `parent`",
                depth(plan.teams.iter().map(|team| team.coders as usize).sum()),
                top.len().div_ceil(leads)
            ),
        );
    }
}

/// Returns how many levels some agents need: the logarithm to base 7, rounded up.
fn depth(agents: usize) -> String {
    let (mut depth, mut room) = (1, BRANCHING);
    while room < agents {
        depth += 1;
        room = room.saturating_mul(BRANCHING);
    }
    let levels = if depth == 1 { "level" } else { "levels" };
    format!("{agents} agents need {depth} {levels} (log to base 7)")
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn depth_is_the_logarithm_rounded_up() {
        for (agents, levels) in [(1, 1), (7, 1), (8, 2), (49, 2), (50, 3), (343, 3), (344, 4)] {
            assert!(
                depth(agents).contains(&format!("need {levels} level")),
                "{agents}"
            );
        }
    }
}
