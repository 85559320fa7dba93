//! What every command gets: where it runs, how it speaks, and for whom.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Result;

use crate::answer::{Answer, Reply};
use crate::config;
use crate::error::UserError;
use crate::git::{Repo, bound};
use crate::ledger::Ledger;
use crate::model::{Actor, AgentId, Board, Over, Power};
use crate::ui::Ui;
use crate::workspace::shared::require_untouched;

/// The directory that a command runs in unless it is told another.
pub(super) const HERE: &str = ".";

/// Paths, configuration and terminal; a new need is a new module, not a new field.
#[derive(Debug)]
pub struct Ctx {
    /// Directory that the command runs in.
    pub dir: PathBuf,
    /// The terminal.
    pub ui: Ui,
    /// Whom the command line says that it speaks for.
    pub speaker: Option<Speaker>,
    /// The command line itself.
    pub line: CommandLine,
}

/// The command line as those commands need it that explain it or type into it.
#[derive(Debug, Clone, Copy)]
pub struct CommandLine {
    /// Returns its whole grammar.
    pub grammar: fn() -> clap::Command,
    /// Runs the command that these words are, the program's name first.
    pub type_in: fn(&Ctx, &[&str]) -> Result<()>,
}

/// Whom a person speaks for: `human`, or an agent such as `1.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speaker(Option<AgentId>);

impl FromStr for Speaker {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "human" {
            return Ok(Self(None));
        }
        let agent = text.parse().map_err(|_| {
            format!("`{text}` is nobody: write `human`, or an agent's id such as 1.0")
        })?;
        Ok(Self(Some(agent)))
    }
}

impl Ctx {
    /// Returns a reply with an answer, in the form that is wanted.
    ///
    /// # Errors
    ///
    /// It cannot be put into that form.
    pub fn answer(&self, answer: &impl Answer) -> Result<Reply> {
        Reply::new(self.ui.form(), answer)
    }

    /// Opens the repository.
    ///
    /// # Errors
    ///
    /// There is none, it is not supported, or `git --git-dir` and its kin name another one.
    pub fn repo(&self) -> Result<Repo> {
        let found = Repo::discover(&self.dir);
        // A directory that we are told ourselves is the last word, as it was said last.
        if self.dir == Path::new(HERE) {
            bound::require_here(found.as_ref().ok(), &self.dir)?;
        }
        let found = found?;
        found.note_main_worktree();
        Ok(found)
    }

    /// Returns whom this command speaks for (A2): an agent in its worktree or with `ORCH_AGENT` in its environment,
    /// whatever the command line says; otherwise a person, or whom that person names by `--as`.
    ///
    /// This keeps the honest from mistakes: whoever can write the repository's files can clear its environment and
    /// leave its directory. What counts is checked again at the gate, and by the reading of the ledger.
    ///
    /// # Errors
    ///
    /// Directory and environment name different agents, or an agent wants to be somebody else.
    pub fn actor(&self) -> Result<Actor> {
        let mut agents: Vec<(AgentId, &str)> = Vec::new();
        // Started there and sent elsewhere by `-C`, it is still that agent's command.
        let mut dirs = vec![self.dir.as_path()];
        if self.dir != Path::new(HERE) {
            dirs.push(Path::new(HERE));
        }
        for dir in dirs {
            agents.extend(config::seat(dir).map(|agent| (agent, "its directory")));
        }
        match config::named_agent() {
            Some(Ok(agent)) => agents.push((agent, "ORCH_AGENT")),
            Some(Err(name)) => {
                return Err(UserError::new(format!(
                    "ORCH_AGENT says `{name}`, which is no agent: nobody knows whose command this is"
                ))
                .into());
            }
            None => {}
        }
        let Some((agent, by)) = agents.first().copied() else {
            let named = self.speaker.and_then(|speaker| speaker.0);
            return Ok(named.map_or(Actor::Human, Actor::Agent));
        };
        if let Some((other, said)) = agents.iter().find(|(other, _)| *other != agent) {
            return Err(UserError::new(format!(
                "{by} says that this is agent {agent}'s command, and {said} that it is agent {other}'s"
            ))
            .into());
        }
        match self.speaker {
            Some(speaker) if speaker.0 != Some(agent) => Err(UserError::new(format!(
                "agent {agent} may not speak for others by `--as`: only a person may, outside agents' worktrees"
            ))
            .hint("git orch powers")
            .into()),
            _ => Ok(Actor::Agent(agent)),
        }
    }

    /// Checks that whoever runs this command has a power that is over everything, before anything is begun.
    ///
    /// # Errors
    ///
    /// It lacks the power.
    pub fn require(&self, power: Power) -> Result<()> {
        // Such a power is nobody's by a plan, so no board need be read.
        let may = Board::default().may(self.actor()?, power, Over::All);
        Ok(may.map_err(UserError::from)?)
    }

    /// Opens the ledger, speaking for whoever this command belongs to.
    ///
    /// # Errors
    ///
    /// There is no repository, no ledger, the ledger is broken, or nobody knows whose command this is.
    pub fn ledger(&self) -> Result<Ledger> {
        let actor = self.actor()?;
        let mut ledger = Ledger::open(self.repo()?, actor)?;
        ledger.when_due(super::pack::begin);
        if actor == Actor::Human {
            super::shared::tell(self, &ledger)?;
        }
        Ok(ledger)
    }

    /// Opens the ledger for what builds on settings that agents share with people: what they set there must not
    /// decide what comes of it.
    ///
    /// # Errors
    ///
    /// As [`Ctx::ledger`], or such a setting was changed while agents worked.
    pub fn ledger_to_build_on(&self) -> Result<Ledger> {
        let ledger = self.ledger()?;
        require_untouched(ledger.repo())?;
        Ok(ledger)
    }
}
