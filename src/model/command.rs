//! A command line as a plan has it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Command {
    /// Run by `sh -c`.
    Shell(String),
    /// Executed as it stands.
    Argv(Vec<String>),
}
