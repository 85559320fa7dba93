//! Newtypes for everything that has a name or a number.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! display_and_serde_as_text {
    ($type:ty) => {
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
        impl TryFrom<String> for $type {
            type Error = String;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                String::json_schema(generator)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            // Ten thousand of them are read at a time, so no text is made on the way.
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string")
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                from.deserialize_str(Text)
            }
        }
    };
}

/// A team's number; `[TEAM-1]` in messages.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct TeamId(pub u32);

impl fmt::Display for TeamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TeamId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("TEAM-").unwrap_or(text);
        match digits.parse() {
            Ok(number) if number > 0 => Ok(Self(number)),
            _ => Err(format!(
                "`{text}` is no team: write its number, for example 1"
            )),
        }
    }
}

/// A coder (`1.2`) or, with number 0, the leader (`1.0`) of a team; `[AGENT-1.2]` in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentId {
    /// The team that the agent belongs to.
    pub team: TeamId,
    /// Its number in the team; 0 is the leader.
    pub number: u32,
}

impl AgentId {
    /// Returns whether this is the leader of its team.
    pub fn is_leader(self) -> bool {
        self.number == 0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.team, self.number)
    }
}

impl FromStr for AgentId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix("AGENT-").unwrap_or(text);
        // One way to write a number, so that equal agents are equal text.
        let number = |digits: &str| {
            let plain = digits == "0" || !digits.starts_with(['0', '+']);
            digits.parse().ok().filter(|_| plain)
        };
        let parts = bare.split_once('.').and_then(|(team, coder)| {
            Some(Self {
                team: TeamId(number(team)?),
                number: number(coder)?,
            })
        });
        parts
            .filter(|agent| agent.team.0 > 0)
            .ok_or_else(|| format!("`{text}` is no agent: write team and number, for example 1.2"))
    }
}
display_and_serde_as_text!(AgentId);

/// A task's id: given by the author (`auth-schema`) or made (`T-0007`); part of branch and file names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(Arc<str>);

impl TaskId {
    /// The longest id in bytes, so that branch, file and lock names stay within 255.
    pub const MAX_LEN: usize = 100;

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for TaskId {
    type Err = String;

    /// Parses an id that is valid as a ref part, a file name on every system and a word in a shell.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{}` is no task id: {why}", text.escape_default()));
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() {
            return wrong("it is empty");
        }
        if text.len() > Self::MAX_LEN {
            return wrong("it is longer than 100 characters");
        }
        if let Some(c) = text.chars().find(|c| !allowed(*c)) {
            return wrong(&format!(
                "`{}` is not allowed; use letters, digits, `-`, `_` and `.`",
                c.escape_default()
            ));
        }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return wrong("it must begin with a letter or digit");
        }
        if text.contains("..") || text.ends_with('.') || text.ends_with(".lock") {
            return wrong(
                "`..`, a final `.` and a final `.lock` are no valid part of a branch name",
            );
        }
        if matches!(text, "integration" | "HEAD") {
            return wrong("the name is reserved");
        }
        Ok(Self(text.into()))
    }
}
display_and_serde_as_text!(TaskId);

/// A lock's name; part of commands and messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LockId(String);

impl fmt::Display for LockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for LockId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if begins && text.len() <= TaskId::MAX_LEN && text.chars().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{}` is no name of a lock: use letters, digits, `-`, `_` and `.`, for example `schema`",
            text.escape_default()
        ))
    }
}
display_and_serde_as_text!(LockId);

/// The fencing number of a claim: 1 for the first, one more for each that follows.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Attempt {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("`{text}` is no attempt number"))
    }
}

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_newtype! {
    /// The hexadecimal id of a commit.
    CommitId
}
text_newtype! {
    /// One machine's name among all that share a ledger.
    MachineId
}
text_newtype! {
    /// The id of one operation; makes a repeated operation recognisable.
    OpId
}
text_newtype! {
    /// The name of a phase.
    PhaseName
}

/// Seconds since 1970 in UTC; advice for people, never the basis of a decision.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);
