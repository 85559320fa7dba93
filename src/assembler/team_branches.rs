//! Integration and team branches: where they are, and bringing them level before and after an assembly.

use anyhow::Result;

use super::landing::{self, Kind, Move};
use super::lock::Alone;
use super::verdicts::Verdicts;
use crate::error::UserError;
use crate::git::recovery::Saving;
use crate::git::refs::Swap;
use crate::git::{Merge, Oid, Repo};
use crate::ledger::Ledger;
use crate::model::levels::has_checks;
use crate::model::train::obtained::{Obtained, weigh};
use crate::model::train::{INTEGRATION, Strayed, team_branch};
use crate::model::{CommitId, TaskId, TeamId};

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

/// Returns whether a clean checkout has failed what the ledger says passed.
fn is_refuted(ledger: &Ledger, repo: &Repo, commit: Oid) -> Result<bool> {
    let board = ledger.board();
    let tested = board.tested.as_ref();
    let Some(command) = tested.and_then(|tested| tested.test.as_deref()) else {
        return Ok(false);
    };
    let environment = board.run().test_environment.unwrap_or_default();
    let tree = repo.read_commit(commit)?.tree;
    let record = Verdicts::new(&environment).load(repo, tree, command);
    let clean = record.runs.iter().filter(|run| run.how == Obtained::Clean);
    let said = weigh(clean.map(|run| (run.how, run.green)));
    Ok(said.is_red())
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
    pub(super) fn strayed(&self, ledger: &Ledger, repo: &Repo) -> Result<Vec<Strayed>> {
        let start = self.start(repo)?;
        let mut strayed = Vec::new();
        for (team, tip) in &self.teams {
            if let Some(tip) = tip
                && !repo.is_ancestor(*tip, start)?
            {
                strayed.push(Strayed {
                    team: *team,
                    is_made_of_tasks: is_made_of_tasks(ledger, repo, start, *tip)?,
                });
            }
        }
        Ok(strayed)
    }

    /// Returns where a team's branch is.
    pub(super) fn tip_of(&self, team: TeamId) -> Option<Oid> {
        let of = self.teams.iter().find(|(other, _)| *other == team);
        of.and_then(|(_, tip)| *tip)
    }

    /// Sets a team's branch, which holds nothing but tasks' work, to the integration branch: as a whole it does
    /// not go in, so the tasks that are good go in by themselves. Where it was is kept under a recovery ref.
    pub(super) fn start_again(
        &self,
        repo: &Repo,
        alone: &Alone,
        teams: &[TeamId],
    ) -> Result<Vec<String>> {
        let start = self.start(repo)?;
        let (mut moves, mut kept) = (Vec::new(), Vec::new());
        for team in teams {
            let Some(tip) = self.tip_of(*team).filter(|tip| *tip != start) else {
                continue;
            };
            let branch = team_branch(*team);
            let reason = "before it started again: as a whole it does not go in";
            let name = repo.keep(&Saving::new(&branch, reason).on(&branch), tip)?;
            kept.push(format!(
                "{} starts again; it was {name}",
                team_branch(*team)
            ));
            moves.push(Move {
                branch: team_ref(*team),
                old: Some(tip),
                new: start,
            });
        }
        // Lost means that somebody has put something there meanwhile: the next assembly looks at it.
        landing::land(
            repo,
            alone,
            &moves,
            Kind::Assembly,
            "orch assemble: start again",
        )?;
        Ok(kept)
    }

    /// Returns whether the integration branch holds nothing that is not tested and recorded.
    pub(super) fn is_settled(&self, ledger: &Ledger, repo: &Repo) -> Result<bool> {
        let Some(tip) = self.tip else {
            return Ok(true);
        };
        if is_tested(ledger, tip) && !is_refuted(ledger, repo, tip)? {
            return Ok(true);
        }
        repo.is_ancestor(tip, self.base)
    }

    /// Creates one team's branch where it is missing, and brings it to the integration branch where it has nothing
    /// of its own; returns where it is then, and whether the integration branch has more.
    pub(super) fn bring_up_team(
        &self,
        repo: &Repo,
        alone: &Alone,
        team: TeamId,
    ) -> Result<(Oid, bool)> {
        let start = self.start(repo)?;
        let branch = team_ref(team);
        repo.require_movable(std::slice::from_ref(&branch))?;
        let tip = match self.tip_of(team) {
            Some(tip) if !repo.is_ancestor(tip, start)? => {
                return Ok((tip, !repo.is_ancestor(start, tip)?));
            }
            tip => tip,
        };
        let moves = [Move {
            branch,
            old: tip,
            new: start,
        }];
        match landing::land(repo, alone, &moves, Kind::Assembly, "orch assemble: begin")? {
            Swap::Won => Ok((start, false)),
            Swap::Lost => Err(being_moved()),
        }
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
            return Err(being_moved());
        }
        Ok(())
    }
}

fn being_moved() -> anyhow::Error {
    UserError::new(format!(
        "someone else is moving {INTEGRATION} or a team's branch"
    ))
    .hint("git orch assemble")
    .into()
}

/// Returns whether a branch has nothing more than another but commits of the plan's tasks, and merges that
/// add nothing of their own.
fn is_made_of_tasks(ledger: &Ledger, repo: &Repo, without: Oid, tip: Oid) -> Result<bool> {
    let tasks = &ledger.board().tasks;
    for commit in repo.range(without, tip)? {
        let known = |name: &String| name.parse().is_ok_and(|id: TaskId| tasks.contains_key(&id));
        if !commit.tasks.is_empty() && commit.tasks.iter().all(known) {
            continue;
        }
        let data = repo.read_commit(commit.id)?;
        let [ours, theirs] = data.parents[..] else {
            return Ok(false);
        };
        let Merge::Clean(tree) = repo.merge_tree(ours, theirs)? else {
            return Ok(false);
        };
        if tree != data.tree {
            return Ok(false);
        }
    }
    Ok(true)
}
