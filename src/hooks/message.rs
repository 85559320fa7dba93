//! Tags and trailers in the messages of an agent's commits.
//!
//! Works on bytes: a message may be in any encoding (`i18n.commitEncoding`), and whatever is not ours stays
//! as it is. Trailers are where `git interpret-trailers` finds them.

use std::borrow::Cow;

use crate::model::event::commit_tags;
use crate::model::{AgentId, Attempt, TaskId, TeamId};

/// What every commit of an agent says about where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Who commits.
    pub agent: AgentId,
    /// What for.
    pub task: TaskId,
    /// In which attempt, where that is known.
    pub attempt: Option<Attempt>,
    /// In which run, where that is known.
    pub run: Option<String>,
}

/// The trailers that are ours.
const KEYS: [&str; 4] = ["Orch-Task", "Orch-Agent", "Orch-Attempt", "Orch-Run"];

/// What follows the comment character on the line below which Git cuts a message.
const SCISSORS: &[u8] = b" ------------------------ >8 ------------------------";

/// Subjects by which `git rebase --autosquash` finds its commits; nothing may come before them.
const SQUASHES: [&[u8]; 3] = [b"fixup! ", b"squash! ", b"amend! "];

/// The parts of a message that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// First line of the text.
    pub subject: String,
    /// Team and agent that the subject names in front.
    pub tags: Option<(TeamId, AgentId)>,
    /// What the subject says behind the tags.
    pub text: String,
    /// Trailers, in order.
    pub trailers: Vec<(String, String)>,
}

impl Parts {
    /// Reads a message; lines that begin with `comments`, and what is below the scissors, do not count.
    pub fn read(message: &[u8], comments: Option<&str>) -> Self {
        let lines = Lines::new(message, comments);
        let Some(subject) = lines.content.first().map(|at| trim(lines.all[*at])) else {
            return Self::default();
        };
        let mut bare = subject;
        while let Some(rest) = SQUASHES.iter().find_map(|word| bare.strip_prefix(*word)) {
            bare = rest;
        }
        let (tags, text) = match split_tags(bare) {
            Some((team, agent, rest)) => (Some((team, agent)), rest),
            None => (None, bare),
        };
        let read = |at: &usize| {
            let line = String::from_utf8_lossy(lines.all[*at]);
            let (key, value) = line.split_once(':')?;
            Some((key.trim().to_owned(), value.trim().to_owned()))
        };
        Self {
            subject: String::from_utf8_lossy(subject).into_owned(),
            tags,
            text: String::from_utf8_lossy(trim(text)).into_owned(),
            trailers: lines.trailers().iter().filter_map(read).collect(),
        }
    }

    /// Returns the value of a trailer; the last one counts, as it does for Git.
    pub fn trailer(&self, key: &str) -> Option<&str> {
        let mut found = self.trailers.iter().rev();
        found
            .find(|(k, _)| k.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.as_str())
    }
}

/// Returns the message with tags in front of its subject and with our trailers, each once.
///
/// A message that is the task's own already (an amended commit, perhaps another agent's earlier attempt) keeps
/// what it says; what another task's commit says (picked from there) is replaced.
pub fn stamp(message: &[u8], stamp: &Stamp, comments: Option<&str>) -> Vec<u8> {
    let parts = Parts::read(message, comments);
    let own = parts.trailer("Orch-Task") == Some(stamp.task.as_str());
    let lines = Lines::new(message, comments);
    let values = [
        Some(stamp.task.to_string()),
        Some(stamp.agent.to_string()),
        stamp.attempt.map(|attempt| attempt.to_string()),
        stamp.run.clone(),
    ];
    let wanted: Vec<String> = KEYS
        .into_iter()
        .zip(values)
        .filter(|(key, _)| !own || parts.trailer(key).is_none())
        .filter_map(|(key, value)| Some(format!("{key}: {}\n", value?)))
        .collect();
    let tags = commit_tags(stamp.agent);
    let Some((first, last)) = lines.content.first().zip(lines.content.last()) else {
        // Nothing to say yet: what is written in the editor goes behind the tags.
        let mut out = format!("{tags}\n\n{}", wanted.concat()).into_bytes();
        if !message.starts_with(b"\n") {
            out.push(b'\n');
        }
        out.extend_from_slice(message);
        return out;
    };
    let block = lines.trailers();
    let mut out = Vec::with_capacity(message.len() + 160);
    let mut in_ours = false;
    for (at, line) in lines.all.iter().enumerate() {
        if block.contains(&at) {
            // A trailer of ours goes with the lines that continue it.
            in_ours = is_ours(line) || in_ours && continues(line);
        }
        if at == *first {
            out.extend_from_slice(&tagged(line, stamp.agent, &tags, own));
        } else if own || !(block.contains(&at) && in_ours) {
            out.extend_from_slice(line);
        }
        if at == *last && !wanted.is_empty() {
            if !out.ends_with(b"\n") {
                out.push(b'\n');
            }
            if block.is_empty() {
                out.push(b'\n');
            }
            out.extend_from_slice(wanted.concat().as_bytes());
        }
    }
    out
}

/// Returns the message as whoever wrote it would have it without us: no tags, none of our trailers.
pub fn unstamp(message: &[u8], comments: Option<&str>) -> Vec<u8> {
    let lines = Lines::new(message, comments);
    let Some(first) = lines.content.first() else {
        return message.to_vec();
    };
    let block = lines.trailers();
    let (mut ours, mut in_ours) = (Vec::new(), false);
    for at in &block {
        let line = lines.all[*at];
        in_ours = is_ours(line) || in_ours && continues(line);
        if in_ours {
            ours.push(*at);
        }
    }
    // Where nothing else stood there, neither did the line that sets it apart.
    if !ours.is_empty() && ours.len() == block.len() {
        ours.extend(block[0].checked_sub(1));
    }
    let mut out = Vec::with_capacity(message.len());
    for (at, line) in lines.all.iter().enumerate() {
        match split_tags(line) {
            _ if ours.contains(&at) => {}
            Some((_, _, rest)) if at == *first => out.extend_from_slice(rest),
            _ => out.extend_from_slice(line),
        }
    }
    out
}

/// Returns a subject line with the tags in front, once.
fn tagged<'a>(line: &'a [u8], agent: AgentId, tags: &str, own: bool) -> Cow<'a, [u8]> {
    if SQUASHES.iter().any(|word| line.starts_with(word)) {
        return Cow::Borrowed(line);
    }
    let rest = match split_tags(line) {
        Some((team, other, _)) if own && team == agent.team && other.team == team => {
            return Cow::Borrowed(line);
        }
        Some((_, _, rest)) => rest,
        None => line,
    };
    Cow::Owned([tags.as_bytes(), rest].concat())
}

fn is_ours(line: &[u8]) -> bool {
    KEYS.iter().any(|key| {
        line.get(..key.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(key.as_bytes()))
            && line[key.len()..].trim_ascii_start().starts_with(b":")
    })
}

/// Splits `[TEAM-1] [AGENT-1.2] text` into its parts.
fn split_tags(subject: &[u8]) -> Option<(TeamId, AgentId, &[u8])> {
    let (team, rest) = split_tag(subject, b"[TEAM-")?;
    let (agent, rest) = split_tag(rest, b"[AGENT-")?;
    Some((team.parse().ok()?, agent.parse().ok()?, rest))
}

fn split_tag<'a>(text: &'a [u8], open: &[u8]) -> Option<(&'a str, &'a [u8])> {
    let rest = text.strip_prefix(open)?;
    let end = rest.iter().position(|byte| *byte == b']')?;
    let inside = std::str::from_utf8(&rest[..end]).ok()?;
    let rest = &rest[end + 1..];
    Some((inside, rest.strip_prefix(b" ").unwrap_or(rest)))
}

/// Whether a line goes on with the trailer above it.
fn continues(line: &[u8]) -> bool {
    line.starts_with(b" ") || line.starts_with(b"\t")
}

fn trim(line: &[u8]) -> &[u8] {
    line.trim_ascii()
}

/// A message cut into lines, each with its line break.
struct Lines<'a> {
    all: Vec<&'a [u8]>,
    /// Lines with text of the message, by number: not blank, no comment, above the scissors.
    content: Vec<usize>,
    /// Lines that end a paragraph because they are blank.
    blank: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(message: &'a [u8], comments: Option<&str>) -> Self {
        let all: Vec<&[u8]> = message.split_inclusive(|byte| *byte == b'\n').collect();
        let (mut content, mut blank) = (Vec::new(), Vec::new());
        for (at, line) in all.iter().enumerate() {
            let comment = comments.and_then(|word| line.strip_prefix(word.as_bytes()));
            if comment.is_some_and(|rest| rest.trim_ascii_end() == SCISSORS) {
                break;
            }
            if trim(line).is_empty() {
                blank.push(at);
            } else if comment.is_none() {
                content.push(at);
            }
        }
        Self {
            all,
            content,
            blank,
        }
    }

    /// Returns the lines of the trailer block: the last paragraph, unless it is also the first, if all its
    /// lines are trailers, or a quarter is and one of them is Git's own.
    fn trailers(&self) -> Vec<usize> {
        let Some((first, last)) = self.content.first().zip(self.content.last()) else {
            return Vec::new();
        };
        let Some(gap) = self
            .blank
            .iter()
            .rev()
            .find(|at| **at > *first && **at < *last)
        else {
            return Vec::new();
        };
        let block: Vec<usize> = self.content.iter().copied().filter(|at| at > gap).collect();
        let (mut trailers, mut others, mut gits) = (0, 0, false);
        let mut inside = false;
        for at in &block {
            let line = self.all[*at];
            if line.starts_with(b"Signed-off-by: ")
                || line.starts_with(b"(cherry picked from commit ")
            {
                (trailers, gits, inside) = (trailers + 1, true, true);
            } else if is_trailer(line) {
                (trailers, inside) = (trailers + 1, true);
            } else if continues(line) {
                // A continued line belongs to the line above it, whichever kind that is.
                others += usize::from(!inside);
            } else {
                (others, inside) = (others + 1, false);
            }
        }
        let is_block = trailers > 0 && (others == 0 || gits && trailers * 3 >= others);
        if is_block { block } else { Vec::new() }
    }
}

/// Returns whether a line is `Key: value` with a key of letters, digits and dashes.
fn is_trailer(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let key = line[..colon].trim_ascii_end();
    !key.is_empty()
        && key
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

#[cfg(test)]
mod tests;
