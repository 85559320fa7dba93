//! How an attempt ended that was not handed in: whose fault it is, and whether it costs one of the task's tries.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::TaskId;

/// Whose fault it is that an attempt brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
pub enum EndingClass {
    /// The agent has asked something and waits for an answer.
    Asked,
    /// It says that it is done, and the checks do not agree.
    Refused,
    /// The agent failed.
    AgentError,
    /// It was ended: it took too long, was idle, or a signal came from elsewhere.
    Killed,
    /// It, or a check, could not be started as it is set up.
    Setup,
    /// The machine is to blame: a full disk, a worktree that cannot be made ready.
    Environment,
    /// Something that another version tells apart.
    Other(String),
}

impl EndingClass {
    /// Returns the word used in files, messages and JSON.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Asked => "asked",
            Self::Refused => "refused",
            Self::AgentError => "agent_error",
            Self::Killed => "killed",
            Self::Setup => "setup",
            Self::Environment => "environment",
            Self::Other(word) => word,
        }
    }

    /// Returns whether it costs one of the task's tries: not where nobody could have done better.
    pub fn counts(&self) -> bool {
        !matches!(self, Self::Asked | Self::Setup | Self::Environment)
    }
}

impl From<String> for EndingClass {
    fn from(word: String) -> Self {
        let known = [
            Self::Asked,
            Self::Refused,
            Self::AgentError,
            Self::Killed,
            Self::Setup,
            Self::Environment,
        ];
        let found = known.into_iter().find(|class| class.as_str() == word);
        found.unwrap_or(Self::Other(word))
    }
}

impl From<EndingClass> for String {
    fn from(class: EndingClass) -> Self {
        class.as_str().to_owned()
    }
}

impl fmt::Display for EndingClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What came to an end, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The worktree could not be made ready.
    NotPrepared,
    /// The agent could not be started.
    NotStarted,
    /// The agent exited, and did not say that it is done.
    Exited(i32),
    /// The agent was ended by a signal from elsewhere.
    Signalled,
    /// The agent was ended because of its time.
    OutOfTime,
    /// The checks do not agree that it is done.
    Refused,
    /// A program that a check needs is not there.
    CheckMissing,
    /// Its work could not be checked.
    NotChecked,
}

/// All that is known of the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndFacts {
    /// What ended, and how.
    pub end: AttemptEnd,
    /// How long the agent took.
    pub took: Duration,
    /// Whether anything was committed.
    pub has_commits: bool,
    /// Whether the disk that it works on is full.
    pub disk_is_full: bool,
}

/// Within which a failure says nothing of the work: nobody has begun with it.
const INSTANT: Duration = Duration::from_secs(10);

/// Exit codes by which a shell says that it cannot execute a program, or does not find it.
const CANNOT_EXECUTE: [i32; 2] = [126, 127];

impl EndFacts {
    /// Returns whose fault the end is; the first rule that holds decides.
    pub fn class(&self) -> EndingClass {
        if self.disk_is_full {
            return EndingClass::Environment;
        }
        match self.end {
            AttemptEnd::NotPrepared | AttemptEnd::NotChecked => EndingClass::Environment,
            AttemptEnd::NotStarted | AttemptEnd::CheckMissing => EndingClass::Setup,
            AttemptEnd::Exited(code) if CANNOT_EXECUTE.contains(&code) && self.is_instant() => {
                EndingClass::Setup
            }
            AttemptEnd::Exited(_) => EndingClass::AgentError,
            AttemptEnd::Signalled | AttemptEnd::OutOfTime => EndingClass::Killed,
            AttemptEnd::Refused => EndingClass::Refused,
        }
    }

    /// Returns whether the agent has not even begun with the work.
    pub fn is_instant(&self) -> bool {
        self.took < INSTANT && !self.has_commits
    }
}

/// Tasks that must fail in the same way before their profile is to blame.
const MOST_ALIKE: usize = 3;

/// Tells a profile whose every agent fails at once from tasks that are hard: the key is wrong, the service refuses.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    streaks: BTreeMap<String, (String, BTreeSet<TaskId>)>,
}

impl Breaker {
    /// Notes that an agent of a profile failed in an instant; returns whether the profile is to be paused, since as
    /// many tasks in a row have failed in the same way.
    pub fn failed(&mut self, profile: &str, task: &TaskId, reason: &str) -> bool {
        let key = without_particulars(reason, task);
        let streak = self.streaks.entry(profile.to_owned()).or_default();
        if streak.0 != key {
            *streak = (key, BTreeSet::new());
        }
        streak.1.insert(task.clone());
        streak.1.len() >= MOST_ALIKE
    }

    /// Notes that an agent of a profile ended in any other way.
    pub fn went_on(&mut self, profile: &str) {
        self.streaks.remove(profile);
    }
}

/// Returns a reason without what differs between tasks that fail alike: the task's own name, and numbers.
pub fn without_particulars(reason: &str, task: &TaskId) -> String {
    let words = reason.split_whitespace().map(|word| {
        let is_own = word.split('/').any(|part| part == task.as_str());
        if is_own { "_" } else { word }
    });
    let text: Vec<&str> = words.collect();
    let no_digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
    text.join(" ").chars().map(no_digits).collect()
}

/// Returns the name of the program that a shell did not find, as its complaint names it; none for a path, which may
/// be what was to be made.
pub fn missing_program(output: &str) -> Option<&str> {
    output.lines().rev().find_map(|line| {
        let named = line
            .strip_suffix(": command not found")
            .or_else(|| line.strip_suffix(": not found"))
            .and_then(|line| line.rsplit(": ").next())
            .or_else(|| {
                // `env: 'foo': No such file or directory`
                let line = line.strip_suffix(": No such file or directory")?;
                line.strip_prefix("env: ")
            })?;
        let name = named.trim_matches(['\'', '"', '`', '\u{2018}', '\u{2019}']);
        let is_name = !name.is_empty() && !name.contains(['/', ' ']);
        is_name.then_some(name)
    })
}

#[cfg(test)]
mod tests;
