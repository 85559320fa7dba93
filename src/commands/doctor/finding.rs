//! Something that is wrong, and how it is mended.

use std::path::Path;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::user_error;
use crate::git::Repo;
use crate::report::text::clean;
use crate::ui::{Paint, Style};

/// The command that mends whatever needs no choice.
pub(super) const FIX: &str = "git orch doctor --fix";

/// Mends a finding and says what it did.
type Mend = Box<dyn FnOnce(&Repo) -> Result<String>>;

/// Something that is wrong.
#[derive(Serialize, JsonSchema)]
pub(super) struct Finding {
    /// What kind of thing it is.
    id: &'static str,
    /// What is wrong.
    what: String,
    /// Where.
    #[serde(rename = "where")]
    place: String,
    /// Commands that mend it, or that show what a person must know to mend it.
    commands: Vec<String>,
    /// Whether `--fix` mends it.
    fixable: bool,
    /// Whether it was mended just now.
    mended: bool,
    /// What mending it came to.
    outcome: Option<String>,
    #[serde(skip)]
    mend: Option<Mend>,
}

impl Finding {
    pub(super) fn new(id: &'static str, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            id,
            what: what.into(),
            place: place.into(),
            commands: Vec::new(),
            fixable: false,
            mended: false,
            outcome: None,
            mend: None,
        }
    }

    /// A finding about a file or directory.
    pub(super) fn at(id: &'static str, path: &Path, what: impl Into<String>) -> Self {
        Self::new(id, path.display().to_string(), what)
    }

    /// A finding that is told by an error, with its hints.
    pub(super) fn of_error(
        id: &'static str,
        place: impl Into<String>,
        error: &anyhow::Error,
    ) -> Self {
        let user = user_error(error);
        let what = user.map_or_else(|| format!("{error:#}"), |user| user.message.clone());
        let mut finding = Self::new(id, place, what);
        finding.commands = user.map(|user| user.hints.clone()).unwrap_or_default();
        finding
    }

    /// Adds a command.
    pub(super) fn command(mut self, command: impl Into<String>) -> Self {
        self.commands.push(command.into());
        self
    }

    /// Says how `--fix` mends it.
    pub(super) fn fix(mut self, mend: impl FnOnce(&Repo) -> Result<String> + 'static) -> Self {
        self.fixable = true;
        self.commands.insert(0, FIX.to_owned());
        self.mend = Some(Box::new(mend));
        self
    }

    /// Mends it where that is possible.
    pub(super) fn mend(&mut self, repo: &Repo) {
        let Some(mend) = self.mend.take() else { return };
        self.outcome = Some(match mend(repo) {
            Ok(done) => {
                self.mended = true;
                done
            }
            Err(error) => {
                self.fixable = false;
                self.commands.retain(|command| command != FIX);
                let user = user_error(&error);
                if let Some(user) = user {
                    self.commands.extend(user.hints.iter().cloned());
                }
                let reason = user.map_or_else(|| format!("{error:#}"), |user| user.message.clone());
                format!("cannot be mended: {reason}")
            }
        });
    }

    pub(super) fn is_mended(&self) -> bool {
        self.mended
    }

    pub(super) fn is_fixable(&self) -> bool {
        self.fixable
    }

    /// Renders it for people.
    pub(super) fn render(&self, paint: Paint) -> String {
        let style = if self.mended {
            Style::Good
        } else {
            Style::Warning
        };
        let mut lines = vec![
            format!("{}: {}", paint.set(style, self.id), clean(&self.what)),
            format!("  at {}", clean(&self.place)),
        ];
        if let Some(outcome) = &self.outcome {
            lines.push(format!("  {}", clean(outcome)));
        }
        if !self.mended {
            lines.extend(self.commands.iter().map(|command| format!("  {command}")));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::UserError;

    #[test]
    fn an_error_becomes_a_finding_with_its_hints() {
        let error = anyhow::Error::new(UserError::new("it is off").hint("git orch status"));
        let finding = Finding::of_error("x", "here", &error.context("deep down"));
        assert_eq!(finding.what, "it is off");
        assert_eq!(finding.commands, ["git orch status"]);
        assert!(!finding.is_fixable());
    }
}
