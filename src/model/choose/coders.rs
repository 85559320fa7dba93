//! Who gets a task, found once for all tasks of a team that ask for the same.

use super::standing::{Hurdle, Match, Standing};
use crate::model::ids::AgentId;
use crate::model::tasks::Seen;

/// Different demands of one team that are remembered; plans have a handful.
const MOST: usize = 32;

/// What was found out for one question.
pub(super) struct Coders<'s, 'a> {
    standing: &'s Standing<'a>,
    asks: Option<AgentId>,
    /// By the crew's place: demands and who meets them.
    known: Vec<Vec<(u64, Result<Match, Hurdle>)>>,
}

impl<'a> Standing<'a> {
    /// Returns a question to be asked of many tasks: who gets it, if this agent asks or anybody does.
    pub(super) fn coders(&self, asks: Option<AgentId>) -> Coders<'_, 'a> {
        Coders {
            standing: self,
            asks,
            known: vec![Vec::new(); self.crews().len()],
        }
    }
}

impl<'a> Coders<'_, 'a> {
    /// Returns the same as [`Standing::coder_for`], of a task whose crew is at a place.
    pub(super) fn coder_for(
        &mut self,
        seen: Seen<'a>,
        crew: Option<usize>,
    ) -> Result<Match, Hurdle> {
        let found = || self.standing.coder_for(seen.task(), self.asks);
        // Whoever had a task suits it more or less than others do.
        let (None, Some(crew)) = (seen.agent, crew) else {
            return found();
        };
        let known = &mut self.known[crew];
        if let Some((_, found)) = known.iter().find(|(demand, _)| *demand == seen.demand) {
            return *found;
        }
        let found = found();
        if known.len() < MOST {
            known.push((seen.demand, found));
        }
        found
    }
}
