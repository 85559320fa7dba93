//! Integration and team branches: where they are, and bringing them level before and after an assembly.

use anyhow::Result;

use super::landing::{self, Kind, Move};
use super::lock::Alone;
use crate::error::UserError;
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};
use crate::ledger::Ledger;
use crate::model::levels::has_checks;
use crate::model::train::{INTEGRATION, team_branch};
use crate::model::{CommitId, TeamId};

/// Returns the full name of the integration branch.
pub fn integration_ref() -> String {
    format!("refs/heads/{INTEGRATION}")
}

/// Returns the full name of a team's branch.
pub(super) fn team_ref(team: TeamId) -> String {
    format!("refs/heads/{}", team_branch(team))
}

/// Parses a commit's id as the ledger has it.
pub(super) fn oid(commit: &CommitId) -> Option<Oid> {
    Oid::from_hex(commit.0.as_bytes()).ok()
}

/// Returns whether the ledger says that a commit passed: the plan's test, another one, or, where the plan has
/// none, no test at all; and with it all checks that the plan has by now.
pub(super) fn is_tested(ledger: &Ledger, commit: Oid) -> bool {
    let board = ledger.board();
    board.tested.as_ref().is_some_and(|tested| {
        let enough = tested.test.is_some() || board.run().test.is_none();
        let checks = board.merge_checks();
        let enough = enough && has_checks(tested.test.as_deref(), &checks);
        enough && oid(&tested.commit) == Some(commit)
    })
}

/// Integration and team branches, and where they are.
pub(super) struct TeamBranches {
    pub(super) integration: String,
    pub(super) base: Oid,
    pub(super) tip: Option<Oid>,
    teams: Vec<(TeamId, Option<Oid>)>,
}

impl TeamBranches {
    pub(super) fn load(ledger: &Ledger, repo: &Repo) -> Result<Self> {
        let base = &ledger.board().settings.base;
        let base_tip = repo
            .read_ref(&format!("refs/heads/{base}"))?
            .ok_or_else(|| {
                UserError::new(format!("the base branch {base} does not exist"))
                    .hint("git branch --list")
            })?;
        let integration = integration_ref();
        let teams = ledger.board().teams.keys();
        Ok(Self {
            tip: repo.read_ref(&integration)?,
            integration,
            base: base_tip,
            teams: teams
                .map(|team| Ok((*team, repo.read_ref(&team_ref(*team))?)))
                .collect::<Result<_>>()?,
        })
    }

    /// Returns where the integration branch goes before anything is merged: to the base's tip where it has
    /// nothing of its own, else it stays.
    pub(super) fn start(&self, repo: &Repo) -> Result<Oid> {
        Ok(match self.tip {
            Some(tip) if !repo.is_ancestor(tip, self.base)? => tip,
            Some(_) | None => self.base,
        })
    }

    /// Returns the teams whose branch has commits that the integration branch has not.
    pub(super) fn strayed(&self, repo: &Repo) -> Result<Vec<TeamId>> {
        let start = self.start(repo)?;
        let mut strayed = Vec::new();
        for (team, tip) in &self.teams {
            if let Some(tip) = tip
                && !repo.is_ancestor(*tip, start)?
            {
                strayed.push(*team);
            }
        }
        Ok(strayed)
    }

    /// Returns whether the integration branch holds nothing that is not tested and recorded.
    pub(super) fn is_settled(&self, ledger: &Ledger, repo: &Repo) -> Result<bool> {
        let Some(tip) = self.tip else {
            return Ok(true);
        };
        if is_tested(ledger, tip) {
            return Ok(true);
        }
        repo.is_ancestor(tip, self.base)
    }

    pub(super) fn require_movable(&self, repo: &Repo) -> Result<()> {
        let mut names = vec![self.integration.clone()];
        names.extend(self.teams.iter().map(|(team, _)| team_ref(*team)));
        repo.require_movable(&names).map(drop)
    }

    /// Creates what is missing, and fast-forwards what has nothing of its own.
    pub(super) fn bring_up(&self, repo: &Repo, alone: &Alone) -> Result<()> {
        let start = self.start(repo)?;
        let mut moves = vec![Move {
            branch: self.integration.clone(),
            old: self.tip,
            new: start,
        }];
        for (team, tip) in &self.teams {
            let follows = match tip {
                Some(tip) => repo.is_ancestor(*tip, start)?,
                None => true,
            };
            if follows {
                moves.push(Move {
                    branch: team_ref(*team),
                    old: *tip,
                    new: start,
                });
            }
        }
        let swap = landing::land(repo, alone, &moves, Kind::Assembly, "orch assemble: begin")?;
        if swap == Swap::Lost {
            return Err(UserError::new(format!(
                "someone else is moving {INTEGRATION} or a team's branch"
            ))
            .hint("git orch assemble")
            .into());
        }
        Ok(())
    }
}
