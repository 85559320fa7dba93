//! Lines of a message that speak in the ledger's or in somebody else's name.

use crate::model::{AgentId, TaskId, TeamId};

/// Trailers that a coder's commit has; all other `Orch-` words are the ledger's.
const KEYS: [&str; 4] = ["orch-task", "orch-agent", "orch-attempt", "orch-run"];

/// Returns how some line of a message says what only others may say; whoever searches the log by such a line
/// would be deceived, wherever in the message it stands.
pub fn forged(message: &[u8], task: &TaskId, team: TeamId) -> Option<String> {
    message
        .split(|byte| *byte == b'\n' || *byte == b'\r')
        .find_map(|line| forged_line(&String::from_utf8_lossy(line), task, team))
}

fn forged_line(line: &str, task: &TaskId, team: TeamId) -> Option<String> {
    let (key, value) = line.split_once(':')?;
    let (key, value) = (key.trim(), value.trim());
    let is_key = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let lower = key.to_ascii_lowercase();
    if !lower.starts_with("orch-") || !key.chars().all(is_key) {
        return None;
    }
    let key = super::shown(key.as_bytes());
    let shown = super::shown(value.as_bytes());
    if !KEYS.contains(&lower.as_str()) {
        return Some(format!(
            "says `{key}: {shown}`, which the ledger alone says"
        ));
    }
    let wrong = match lower.as_str() {
        "orch-task" => value != task.as_str(),
        "orch-agent" => value
            .parse::<AgentId>()
            .is_ok_and(|agent| agent.team != team),
        _ => false,
    };
    wrong.then(|| format!("says `{key}: {shown}` besides"))
}

/// Returns how what a subject says behind its tags speaks in another name.
pub fn forged_subject(text: &str) -> Option<&'static str> {
    let text = text.trim_start();
    if text.starts_with("[TEAM-") || text.starts_with("[AGENT-") {
        return Some("names a second team or agent");
    }
    text.starts_with("ESCALATION")
        .then_some("calls itself an escalation, which the ledger alone records")
}
