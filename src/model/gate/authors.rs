//! Who may have made a commit on a task's branch.

use crate::model::{AgentId, TeamId};

/// A name and an address, as raw bytes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The address.
    pub address: &'a [u8],
}

/// Returns the agent whose identity this is: `AGENT-1.2 <agent-1.2@machine.invalid>`, as coders' worktrees have
/// it. Tools that add a remark in brackets to the name are heard; nobody else's name or address will do.
pub fn agent(person: Person<'_>) -> Option<AgentId> {
    let address = std::str::from_utf8(person.address).ok()?;
    let (agent, machine) = address.strip_prefix("agent-")?.split_once('@')?;
    let machine = machine.strip_suffix(".invalid")?;
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if machine.is_empty() || !machine.chars().all(is_host) {
        return None;
    }
    let agent: AgentId = agent.parse().ok()?;
    let name = std::str::from_utf8(person.name).ok()?;
    let remark = name.strip_prefix(&format!("AGENT-{agent}"))?;
    let is_remark = remark.is_empty() || remark.starts_with(" (") && remark.ends_with(')');
    is_remark.then_some(agent)
}

/// Returns whether a name or an address claims to be an agent's, right or not.
pub fn claims_agent(person: Person<'_>) -> bool {
    let begins = |text: &[u8], start: &[u8]| {
        text.get(..start.len())
            .is_some_and(|text| text.eq_ignore_ascii_case(start))
    };
    begins(person.name, b"AGENT-")
        || begins(person.address, b"agent-") && person.address.ends_with(b".invalid")
}

/// Returns whether somebody may have made a commit on a branch of a team.
///
/// `declared` are people of the plan; `given` are the identities that the environment of whoever asks gives to
/// every commit made there.
pub fn may_commit(
    person: Person<'_>,
    team: TeamId,
    declared: &[String],
    given: &[(String, String)],
) -> bool {
    if agent(person).is_some_and(|agent| agent.team == team) {
        return true;
    }
    // Whoever claims to be an agent must be one of this team's.
    if claims_agent(person) {
        return false;
    }
    let is = |name: &str, address: &str| {
        person.name == name.as_bytes() && person.address == address.as_bytes()
    };
    given.iter().any(|(name, address)| is(name, address))
        || declared.iter().any(|declared| match split(declared) {
            _ if declared.trim() == "*" => true,
            (Some(name), address) => is(name, address),
            (None, address) => person.address == address.as_bytes(),
        })
}

/// Splits `Name <address>`, or an address alone.
fn split(declared: &str) -> (Option<&str>, &str) {
    let declared = declared.trim();
    match declared
        .strip_suffix('>')
        .and_then(|text| text.split_once('<'))
    {
        Some((name, address)) if !name.trim().is_empty() => (Some(name.trim()), address.trim()),
        Some((_, address)) => (None, address.trim()),
        None => (None, declared),
    }
}
