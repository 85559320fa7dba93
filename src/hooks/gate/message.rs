//! What a commit's message must say.

use super::Branch;
use crate::hooks::message::Parts;
use crate::model::event::{commit_tags, shorten};
use crate::model::gate::commit::RawCommit;
use crate::model::gate::{Rule, shown, words};
use crate::model::{AgentId, TeamId};

/// Characters of a subject that a finding shows.
const MOST_SHOWN: usize = 80;

/// Returns how a message breaks a rule, and what it should be.
pub(super) fn judge(
    branch: &Branch<'_>,
    parts: &Parts,
    raw: &RawCommit<'_>,
) -> Option<(Rule, String, String)> {
    let Branch { task, team, .. } = branch;
    let agent = AgentId {
        team: *team,
        number: 1,
    };
    let example = commit_tags(agent);
    let reword = format!(
        "reword it to begin with, for example, `{}` and to end with `Orch-Task: {task}`",
        example.trim_end()
    );
    if let Some(what) = raw.deceives() {
        let help = String::from("reword it in plain UTF-8 with `git commit --amend`");
        return Some((Rule::Message, what, help));
    }
    let (rule, what) = broken_tags(parts, *team)
        .map(|what| (Rule::Tags, what))
        .or_else(|| broken_trailers(branch, parts).map(|what| (Rule::Trailers, what)))
        .or_else(|| {
            let forged = words::forged(raw.message, task, *team)?;
            Some((Rule::Trailers, forged))
        })?;
    Some((rule, what, reword))
}

fn broken_tags(parts: &Parts, team: TeamId) -> Option<String> {
    let subject = shown(shorten(&parts.subject, MOST_SHOWN).as_bytes());
    match &parts.tags {
        None => Some(format!("names no team and agent: `{subject}`")),
        Some((said, agent)) if *said != team || agent.team != team => {
            Some(format!("is not by team {team}: `{subject}`"))
        }
        Some(_) if parts.text.is_empty() => Some(String::from("says nothing behind its tags")),
        Some(_) => {
            let forged = words::forged_subject(&parts.text)?;
            Some(format!("{forged}: `{subject}`"))
        }
    }
}

fn broken_trailers(branch: &Branch<'_>, parts: &Parts) -> Option<String> {
    let task = branch.task;
    let (_, tagged) = parts.tags?;
    match parts.trailer("Orch-Task") {
        None => return Some(format!("lacks the trailer `Orch-Task: {task}`")),
        Some(said) if said != task.as_str() => {
            let said = shown(said.as_bytes());
            return Some(format!("says that it belongs to task `{said}`"));
        }
        Some(_) => {}
    }
    let all = parts.trailers.iter();
    let mut agents = all.filter(|(key, _)| key.eq_ignore_ascii_case("Orch-Agent"));
    let is_tagged = |value: &str| value.parse::<AgentId>().is_ok_and(|agent| agent == tagged);
    let named = parts.trailer("Orch-Agent").is_some_and(is_tagged);
    (!named || !agents.all(|(_, value)| is_tagged(value)))
        .then(|| format!("lacks the trailer `Orch-Agent: {tagged}`, or has another"))
}
