//! The event log's grammar: one transition = one commit message (docs/decisions/ledger.md).
//!
//! Subject `[TEAM-1] [AGENT-1.2] claim auth-schema: Create the schema`, prose, then trailers that
//! `git interpret-trailers` parses. People grep the tags, machines read the trailers.

use std::fmt::Write as _;

use super::ids::{AgentId, Attempt, CommitId, MachineId, OpId, TaskId, TeamId};
use super::op::{Actor, Intent};
use super::state::State;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The ledger was begun.
    Init,
    /// A plan was applied.
    Plan,
    /// A task was added.
    Add,
    /// Tasks became ready, or gaps.
    Dispatch,
    /// A task was claimed.
    Claim,
    /// Its agent began.
    Start,
    /// Its agent waits.
    Block,
    /// It waits no more.
    Unblock,
    /// An attempt failed.
    Fail,
    /// A claim was given back.
    Release,
    /// Given up work is tried again.
    Retry,
    /// A claim was taken from a machine whose lease had run out.
    Expire,
    /// An agent gets no work for now.
    Pause,
    /// It gets work again.
    Resume,
    /// Where the ledger's truth is was changed.
    Remote,
    /// A coder is done.
    Submit,
    /// Someone must look.
    Escalate,
    /// A task was cancelled.
    Cancel,
    /// The assembler sent a task back.
    Reject,
    /// A task is on its team's branch.
    Accept,
    /// A task is in the integration branch.
    Merge,
    /// An assembly came to its end.
    Assemble,
    /// The base branch moved.
    Approve,
    /// A landing was taken back out of the integration branch.
    Undo,
    /// What was done, what is next and what is in the way was told.
    WrapUp,
    /// The run came to its end.
    Close,
    /// A file of the ledger that could not be read was put back.
    Restore,
    /// A lock was made, changed or taken away.
    Lock,
    /// Somebody may sign, or no more; or whether anything is signed.
    Sign,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 29] = [
        Self::Init,
        Self::Plan,
        Self::Add,
        Self::Dispatch,
        Self::Claim,
        Self::Start,
        Self::Block,
        Self::Unblock,
        Self::Fail,
        Self::Release,
        Self::Retry,
        Self::Expire,
        Self::Pause,
        Self::Resume,
        Self::Remote,
        Self::Submit,
        Self::Escalate,
        Self::Cancel,
        Self::Reject,
        Self::Accept,
        Self::Merge,
        Self::Assemble,
        Self::Approve,
        Self::Undo,
        Self::WrapUp,
        Self::Close,
        Self::Restore,
        Self::Lock,
        Self::Sign,
    ];

    /// Returns the verb used in messages and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Plan => "plan",
            Self::Add => "add",
            Self::Dispatch => "dispatch",
            Self::Claim => "claim",
            Self::Start => "start",
            Self::Block => "block",
            Self::Unblock => "unblock",
            Self::Fail => "fail",
            Self::Release => "release",
            Self::Retry => "retry",
            Self::Expire => "expire",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Remote => "remote",
            Self::Submit => "submit",
            Self::Escalate => "escalate",
            Self::Cancel => "cancel",
            Self::Reject => "reject",
            Self::Accept => "accept",
            Self::Merge => "merge",
            Self::Assemble => "assemble",
            Self::Approve => "approve",
            Self::Undo => "undo",
            Self::WrapUp => "wrapup",
            Self::Close => "close",
            Self::Restore => "restore",
            Self::Lock => "lock",
            Self::Sign => "sign",
        }
    }
}

/// What a commit without trailers is called: somebody's own edit of the ledger.
pub const EDIT: &str = "edit";

/// Teams whose tags stand in the subject line; the others' stand below it.
const TAGS_IN_SUBJECT: usize = 8;

/// One transition, told.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Teams concerned; none means the whole run.
    pub teams: Vec<TeamId>,
    /// The agent concerned.
    pub agent: Option<AgentId>,
    /// Tasks concerned.
    pub tasks: Vec<TaskId>,
    /// The claim's fencing number.
    pub attempt: Option<Attempt>,
    /// State before and after, where one task is concerned.
    pub states: Option<(State, State)>,
    /// The rest of the subject, after verb and task.
    pub summary: String,
    /// Prose; may have several lines.
    pub body: String,
    /// Submitted head, for submit, reject, accept and merge.
    pub head: Option<CommitId>,
    /// Commit that landed, for accept, merge, assemble and approve; or was taken out, for undo.
    pub commit: Option<CommitId>,
    /// Further trailers, without their `Orch-`: the step taken, and what the plan says of it.
    pub more: Vec<(&'static str, String)>,
}

impl Event {
    /// Returns an event about the whole run.
    pub fn new(kind: EventKind, summary: impl Into<String>) -> Self {
        Self {
            kind,
            teams: Vec::new(),
            agent: None,
            tasks: Vec::new(),
            attempt: None,
            states: None,
            summary: summary.into(),
            body: String::new(),
            head: None,
            commit: None,
            more: Vec::new(),
        }
    }

    /// Renders the commit message of a transition.
    pub fn message(&self, intent: &Intent, run: &str) -> String {
        self.message_by(intent.actor, &intent.machine, &intent.id, run)
    }

    /// As [`Event::message`], for what is no operation of the model's.
    pub fn message_by(&self, actor: Actor, machine: &MachineId, id: &OpId, run: &str) -> String {
        let mut text = self.subject();
        let mut body = quote_body(&self.body);
        if self.kind != EventKind::Escalate {
            body = without_alarm(&body);
        }
        for paragraph in [body, self.more_tags()] {
            if !paragraph.is_empty() {
                text.push_str("\n\n");
                text.push_str(&paragraph);
            }
        }
        text.push_str("\n\n");
        let mut trailer = |key: &str, value: &dyn std::fmt::Display| {
            let value = without_alarm(&untag(&one_line(&value.to_string())));
            if !value.is_empty() {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "Orch-{key}: {value}");
            }
        };
        trailer("Event", &self.kind.as_str());
        trailer("Run", &run);
        for task in &self.tasks {
            trailer("Task", task);
        }
        if let Some(agent) = self.agent {
            trailer("Agent", &agent);
        }
        if let Some(attempt) = self.attempt {
            trailer("Attempt", &attempt);
        }
        if let Some((from, to)) = self.states {
            trailer("State", &format_args!("{from} -> {to}"));
        }
        if let Some(head) = &self.head {
            trailer("Head", head);
        }
        if let Some(commit) = &self.commit {
            trailer("Commit", commit);
        }
        for (key, value) in &self.more {
            trailer(key, value);
        }
        trailer("Actor", &actor);
        trailer("Machine", machine);
        trailer("Id", id);
        text
    }

    /// Renders the subject line: tags, verb, task, summary.
    pub fn subject(&self) -> String {
        let mut tags = String::new();
        for team in self.teams.iter().take(TAGS_IN_SUBJECT) {
            let _ = write!(tags, "[TEAM-{team}] ");
        }
        if let Some(agent) = self.agent {
            let _ = write!(tags, "[AGENT-{agent}] ");
        }
        if tags.is_empty() {
            tags.push_str("[ORCH] ");
        }
        let verb = match self.kind {
            EventKind::Escalate => "ESCALATION",
            kind => kind.as_str(),
        };
        let task = match self.tasks.as_slice() {
            [task] => format!(" {task}"),
            _ => String::new(),
        };
        let mut summary = shorten(&untag(&one_line(&self.summary)), 100);
        if self.kind != EventKind::Escalate {
            summary = without_alarm(&summary);
        }
        let colon = if summary.is_empty() { "" } else { ": " };
        format!("{tags}{verb}{task}{colon}{summary}")
    }

    /// Renders the tags that the subject has no room for, so that grepping for any of them finds the commit.
    fn more_tags(&self) -> String {
        let more = self.teams.iter().skip(TAGS_IN_SUBJECT);
        let tags: Vec<String> = more.map(|team| format!("[TEAM-{team}]")).collect();
        if tags.is_empty() {
            String::new()
        } else {
            format!("Also for {}", tags.join(" "))
        }
    }
}

/// The parts of a ledger commit's message that a reader wants back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Subject line.
    pub subject: String,
    /// Prose between subject and trailers.
    pub body: String,
    /// `Orch-` trailers in order, without the prefix.
    pub trailers: Vec<(String, String)>,
}

impl Told {
    /// Parses a commit message; a message without trailers has none, which is how hand edits look.
    pub fn parse(message: &str) -> Self {
        let mut paragraphs: Vec<&str> = message.trim_end().split("\n\n").collect();
        let trailers = |text: &str| -> Option<Vec<(String, String)>> {
            text.lines()
                .map(|line| {
                    let (key, value) = line.strip_prefix("Orch-")?.split_once(": ")?;
                    Some((key.to_owned(), value.to_owned()))
                })
                .collect()
        };
        let last = paragraphs
            .last()
            .copied()
            .and_then(trailers)
            .unwrap_or_default();
        if !last.is_empty() {
            paragraphs.pop();
        }
        let mut rest = paragraphs.into_iter();
        let first = rest.next().unwrap_or_default();
        let (subject, more) = first.split_once('\n').unwrap_or((first, ""));
        let mut body: Vec<&str> = vec![more];
        body.extend(rest);
        Self {
            subject: subject.to_owned(),
            body: body.join("\n\n").trim().to_owned(),
            trailers: last,
        }
    }

    /// Returns the first value of a trailer, named without its `Orch-` prefix.
    pub fn get<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.all(key).next()
    }

    /// Returns all values of a trailer.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.trailers
            .iter()
            .filter(move |(k, _)| k == key)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the word for what happened; [`EDIT`] for a commit that somebody made by hand.
    pub fn kind(&self) -> &str {
        self.get("Event").unwrap_or(EDIT)
    }

    /// Returns whether it calls for help.
    pub fn escalates(&self) -> bool {
        self.subject.contains("ESCALATION") || self.body.contains("ESCALATION")
    }

    /// Returns the teams whose tags stand anywhere in subject or body, each once, in order.
    pub fn teams(&self) -> Vec<TeamId> {
        self.tags("TEAM-")
    }

    /// Returns the agents whose tags stand anywhere in subject or body, each once, in order.
    pub fn agents(&self) -> Vec<AgentId> {
        self.tags("AGENT-")
    }

    fn tags<T: std::str::FromStr + PartialEq>(&self, sort: &str) -> Vec<T> {
        let mut found = Vec::new();
        for text in [&self.subject, &self.body] {
            for part in text.split('[').skip(1) {
                let tag = part.split_once(']').map(|(tag, _)| tag);
                let tag = tag.filter(|tag| tag.starts_with(sort));
                if let Some(tag) = tag.and_then(|tag| tag.parse().ok())
                    && !found.contains(&tag)
                {
                    found.push(tag);
                }
            }
        }
        found
    }
}

/// Makes one line of a text: control characters and line breaks become spaces.
pub fn one_line(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cuts a line at a number of characters and marks the cut.
pub fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Keeps free text from posing as tags or trailers, from ending the message where
/// `git interpret-trailers` reads it (a line of `---`), and from carrying terminal escapes.
fn quote_body(body: &str) -> String {
    let lines = body.trim().lines().map(|line| {
        let clean: String = line
            .chars()
            .map(|c| if c.is_control() && c != '\t' { ' ' } else { c })
            .collect();
        let clean = untag(clean.trim_end());
        if clean.starts_with("Orch-") || clean.starts_with("---") {
            format!(" {clean}")
        } else {
            clean
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Turns tags quoted in free text into round brackets: only the event's own tags may be found by grep.
fn untag(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let inside = &tag[1..];
        if inside.starts_with("TEAM-") || inside.starts_with("AGENT-") {
            let end = inside
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.')
                .unwrap_or(inside.len());
            let closed = inside[end..].starts_with(']');
            let _ = write!(out, "({}", &inside[..end]);
            if closed {
                out.push(')');
            }
            rest = &inside[end + usize::from(closed)..];
        } else {
            out.push('[');
            rest = inside;
        }
    }
    out.push_str(rest);
    out
}

/// Lowers the one word by which escalations are found, where it is only quoted.
fn without_alarm(text: &str) -> String {
    text.replace("ESCALATION", "escalation")
}

/// Returns the tags of a coder's commit subject: `[TEAM-1] [AGENT-1.2] `.
pub fn commit_tags(agent: AgentId) -> String {
    format!("[TEAM-{}] [AGENT-{agent}] ", agent.team)
}

#[cfg(test)]
mod tests;
