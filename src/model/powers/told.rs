//! Whether what a commit of the ledger tells may have been so: for commits that did not come through
//! [`Board::decide`], since plain Git can write anything.

use super::{Over, Power, denied};
use crate::model::board::Board;
use crate::model::event::{EventKind, Told};
use crate::model::op::Actor;
use crate::model::state::State;

impl Board {
    /// Returns why a told event cannot have been its actor's to bring about; `None` where nothing speaks against it.
    ///
    /// Teams and roles are those of the board, which may be younger than the event.
    pub fn doubt(&self, told: &Told) -> Option<String> {
        let kind = match kind(told) {
            Ok(kind) => kind,
            Err(why) => return Some(why),
        };
        let actor = match actor(told) {
            Ok(actor) => actor,
            Err(why) => return Some(why),
        };
        let power = Power::of_event(kind);
        let agent = told.get("Agent").and_then(|text| text.parse().ok());
        let over = match (agent, told.teams().as_slice()) {
            (Some(agent), _) => Over::Agent(agent),
            (None, [team]) => Over::Team(*team),
            (None, _) => Over::All,
        };
        let refusal = denied(actor, power, over, None);
        (!self.reaches(actor, power, over)).then_some(refusal.message)
    }
}

/// Returns what a commit says that happened.
///
/// # Errors
///
/// It is nothing that happens.
pub fn kind(told: &Told) -> Result<EventKind, String> {
    let word = told.kind();
    let known = EventKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == word);
    known.ok_or_else(|| format!("`{word}` is no event"))
}

/// Returns who a commit says that it was.
///
/// # Errors
///
/// It names nobody.
pub fn actor(told: &Told) -> Result<Actor, String> {
    match told.get("Actor") {
        Some("human") => Ok(Actor::Human),
        Some("executor") => Ok(Actor::Executor),
        Some("assembler") => Ok(Actor::Assembler),
        Some(text) => text
            .parse()
            .map(Actor::Agent)
            .map_err(|_| format!("`{text}` is nobody")),
        None => Err(String::from("it does not say who did it")),
    }
}

/// Returns the states that an event of one task can leave it in.
pub fn outcomes(kind: EventKind) -> &'static [State] {
    match kind {
        EventKind::Claim => &[State::Claimed],
        EventKind::Start | EventKind::Unblock => &[State::InProgress],
        EventKind::Block => &[State::Blocked],
        EventKind::Fail => &[State::Failed],
        EventKind::Release => &[State::Ready],
        EventKind::Retry => &[State::Pending, State::Ready],
        EventKind::Expire => &[State::Ready, State::Blocked],
        EventKind::Submit => &[State::Submitted],
        EventKind::Escalate => &[State::Blocked],
        EventKind::Cancel => &[State::Cancelled],
        EventKind::Reject => &[State::Ready, State::Failed, State::Blocked],
        EventKind::Accept => &[State::Accepted],
        EventKind::Merge => &[State::Merged],
        EventKind::Dispatch => &[State::Ready, State::Gap],
        // Where an earlier run has used the id.
        EventKind::Add => &[State::Pending],
        EventKind::Init
        | EventKind::Plan
        | EventKind::Pause
        | EventKind::Resume
        | EventKind::Remote
        | EventKind::Assemble
        | EventKind::Approve
        | EventKind::Undo
        | EventKind::Restore
        | EventKind::Lock
        | EventKind::Sign
        | EventKind::WrapUp
        | EventKind::Close => &[],
    }
}
