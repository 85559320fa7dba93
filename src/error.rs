//! Errors that a person can mend, and what the process exits with.

use std::fmt;

/// Exit status of a command (docs/decisions/exit-codes.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The request cannot be met; the message says why.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// There is nothing to do, for example an empty queue.
    NothingToDo = 3,
    /// Someone else holds it, or the attempt is stale.
    Lost = 4,
    /// The terminal went away (128 + SIGHUP).
    HungUp = 129,
    /// A person interrupted it (128 + SIGINT).
    Interrupted = 130,
    /// It was asked to end (128 + SIGTERM).
    Terminated = 143,
}

impl Exit {
    /// Returns what a command exits with that a signal has stopped.
    pub fn of_signal(signal: i32) -> Self {
        match signal {
            1 => Self::HungUp,
            2 => Self::Interrupted,
            _ => Self::Terminated,
        }
    }
}

/// An error that a person can mend: what is wrong and which commands help.
///
/// The message is lower case without a full stop and names the object; a hint is a command that can be
/// run as it stands, or a short sentence around one in backticks.
#[derive(Debug, Clone)]
pub struct UserError {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hints: Vec<String>,
    /// What the process exits with.
    pub exit: Exit,
}

impl UserError {
    /// Returns an error that exits with [`Exit::Failed`].
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hints: Vec::new(),
            exit: Exit::Failed,
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Sets the exit status.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}

/// Returns what a person can mend, wherever in the chain of causes it stands.
pub fn user_error(error: &anyhow::Error) -> Option<&UserError> {
    // As a context it is seen by the error itself only, as a cause by the chain only.
    let cause = || error.chain().find_map(|cause| cause.downcast_ref());
    error.downcast_ref().or_else(cause)
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UserError {}
