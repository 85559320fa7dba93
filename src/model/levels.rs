//! The steps that work goes up by: coder's branch, team's branch, integration branch, base branch.
//!
//! A plan says of each step whose it is, what that one looks at, what is run, and what comes before and after.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::apply::Refusal;
use super::board::Board;
use super::ids::{AgentId, TeamId};
use super::op::Actor;
use super::powers::{Over, Power};

/// One step up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// From a coder's branch to its team's.
    Team,
    /// From a team's branch to the integration branch.
    Integration,
    /// From the integration branch to the base branch.
    Approval,
}

impl Level {
    /// All steps, from below.
    pub const ALL: [Self; 3] = [Self::Team, Self::Integration, Self::Approval];

    /// Returns the word used in plans, messages and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::Integration => "integration",
            Self::Approval => "approval",
        }
    }
}

/// Whose a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A person.
    Person,
    /// Whoever assembles.
    Assembler,
    /// The leader of the team concerned.
    Leader,
    /// One leader.
    Agent(AgentId),
}

impl Owner {
    /// Words that are no agent's id.
    pub const WORDS: [&'static str; 3] = ["person", "assembler", "leader"];
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person => f.write_str("person"),
            Self::Assembler => f.write_str("assembler"),
            Self::Leader => f.write_str("leader"),
            Self::Agent(agent) => agent.fmt(f),
        }
    }
}

impl FromStr for Owner {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "person" => Ok(Self::Person),
            "assembler" => Ok(Self::Assembler),
            "leader" => Ok(Self::Leader),
            agent => agent.parse().map(Self::Agent).map_err(|_| {
                format!(
                    "`{text}` owns nothing: write `person`, `assembler`, `leader`, or a leader's id such as 1.0"
                )
            }),
        }
    }
}

impl Serialize for Owner {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// `[levels.<step>]`: what holds of one step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LevelSpec {
    /// Whose it is, where it is not whose it usually is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub owner: Option<Owner>,
    /// What the owner looks at, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<String>,
    /// Commands that must pass on the merged tree besides the run's test, run by `sh`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// How to take it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<String>,
    /// What comes next, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `[levels]`: the steps that a plan says something about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Levels {
    /// Onto a team's branch; holds for every team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<LevelSpec>,
    /// Onto the integration branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration: Option<LevelSpec>,
    /// Onto the base branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<LevelSpec>,
}

/// How a step is taken back where the plan says nothing.
pub const ROLLBACK: &str = "git orch undo";

impl Levels {
    /// Returns whether the plan says nothing of any step.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns what the plan says of a step.
    pub fn get(&self, level: Level) -> Option<&LevelSpec> {
        match level {
            Level::Team => self.team.as_ref(),
            Level::Integration => self.integration.as_ref(),
            Level::Approval => self.approval.as_ref(),
        }
    }

    /// Returns whose a step is.
    pub fn owner(&self, level: Level) -> Owner {
        let declared = self.get(level).and_then(|spec| spec.owner);
        declared.unwrap_or(match level {
            Level::Team => Owner::Leader,
            Level::Integration => Owner::Assembler,
            Level::Approval => Owner::Person,
        })
    }

    /// Returns how a step is taken back.
    pub fn rollback(&self, level: Level) -> &str {
        let declared = self.get(level).and_then(|spec| spec.rollback.as_deref());
        declared.unwrap_or(ROLLBACK)
    }

    /// Returns what must pass on whatever is merged: the team's and the integration branch move together.
    pub fn merge_checks(&self) -> Vec<&str> {
        let specs = [&self.team, &self.integration];
        let checks = specs.into_iter().flatten().flat_map(|spec| &spec.checks);
        checks.map(String::as_str).collect()
    }

    /// Returns what must pass on whatever a team's branch alone moves to.
    pub fn team_checks(&self) -> Vec<&str> {
        let specs = self.team.iter();
        let checks = specs.flat_map(|spec| &spec.checks);
        checks.map(String::as_str).collect()
    }

    /// Returns what must pass on whatever the base branch moves to.
    pub fn approval_checks(&self) -> Vec<&str> {
        let specs = self.approval.iter();
        let checks = specs.flat_map(|spec| &spec.checks);
        checks.map(String::as_str).collect()
    }

    /// Returns the trailers of a transition that takes a step: none where the plan says nothing of it.
    pub fn trailers(&self, level: Level) -> Vec<(&'static str, String)> {
        let Some(spec) = self.get(level) else {
            return Vec::new();
        };
        let mut trailers = vec![
            ("Level", level.as_str().to_owned()),
            ("Owner", self.owner(level).to_string()),
            ("Rollback", self.rollback(level).to_owned()),
        ];
        trailers.extend(spec.next.clone().map(|next| ("Next", next)));
        trailers
    }
}

/// Returns one command that runs a test and then checks, each in a shell of its own, and stops at the first
/// that fails; `None` where there is neither. A test alone is run as it stands.
pub fn with_checks(test: Option<&str>, checks: &[&str]) -> Option<String> {
    if checks.is_empty() {
        return test.map(str::to_owned);
    }
    let test = test.map(|test| format!("sh -c {}", quote(test)));
    let checks = checks.iter().map(|check| {
        let told = quote(&format!("check failed: {check}"));
        // The status is the check's own, as a test's would be.
        format!(
            "{{ sh -c {} || {{ status=$?; printf '%s\\n' {told} >&2; exit $status; }}; }}",
            quote(check)
        )
    });
    let all: Vec<String> = test.into_iter().chain(checks).collect();
    Some(all.join(" && "))
}

/// Returns whether a command that passed has run these checks.
pub fn has_checks(command: Option<&str>, checks: &[&str]) -> bool {
    with_checks(None, checks)
        .is_none_or(|checks| command.is_some_and(|command| command.ends_with(&checks)))
}

/// Quotes a text for `sh`.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

impl Board {
    /// Returns whether somebody may move the base branch.
    ///
    /// # Errors
    ///
    /// Only a person may, and nobody may where the ledger says that the step is somebody else's.
    pub fn may_approve(&self, actor: Actor) -> Result<(), Refusal> {
        self.may(actor, Power::Approve, Over::All)?;
        match self.settings.levels.owner(Level::Approval) {
            Owner::Person => Ok(()),
            other => Err(Refusal::denied(format!(
                "the plan gives the approval to {other}, and only a person moves the base branch"
            ))
            .hint("git orch plan apply plan.toml")),
        }
    }

    /// Returns whether somebody may bring the work of all teams onto the integration branch.
    ///
    /// # Errors
    ///
    /// No agent may, except a leader to whom the plan gives the step, or who leads the only team.
    pub fn may_assemble(&self, actor: Actor) -> Result<(), Refusal> {
        let allowed = self.may(actor, Power::Assemble, Over::All);
        let (Err(refusal), Actor::Agent(agent)) = (&allowed, actor) else {
            return allowed;
        };
        if !agent.is_leader() {
            return allowed;
        }
        let levels = &self.settings.levels;
        let declared = levels.integration.as_ref().and_then(|spec| spec.owner);
        match declared {
            Some(Owner::Agent(owner)) if owner == agent => Ok(()),
            Some(Owner::Leader) => Ok(()),
            None | Some(Owner::Assembler) if self.teams.keys().eq([&agent.team]) => Ok(()),
            None | Some(Owner::Assembler) => Err(refusal.clone()),
            Some(owner) => Err(Refusal::denied(format!(
                "agent {agent} may not assemble: the plan gives the integration to {owner}"
            ))),
        }
    }

    /// Returns whether somebody may bring a team's work onto the team's branch.
    ///
    /// # Errors
    ///
    /// A coder may not, nor another team's leader, nor its own where the plan gives the step to somebody else.
    pub fn may_assemble_team(&self, actor: Actor, team: TeamId) -> Result<(), Refusal> {
        if !self.teams.contains_key(&team) {
            return Err(Refusal::denied(format!("there is no team {team}")).hint("git orch status"));
        }
        let owner = self.team_owner(team);
        let allowed = self.may(actor, Power::AssembleTeam, Over::Team(team));
        match (actor, owner) {
            // The plan has said so, which is a person's word.
            (Actor::Agent(agent), Owner::Agent(owner)) if owner == agent => Ok(()),
            (Actor::Agent(agent), _) if allowed.is_ok() => Err(Refusal::denied(format!(
                "agent {agent} may not assemble team {team}: the plan gives that to {owner}"
            ))),
            _ => allowed,
        }
    }

    /// Returns whose the step onto a team's branch is.
    pub fn team_owner(&self, team: TeamId) -> Owner {
        match self.settings.levels.owner(Level::Team) {
            Owner::Leader => Owner::Agent(AgentId { team, number: 0 }),
            owner => owner,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::TeamSpec;

    #[test]
    fn a_test_alone_is_run_as_it_stands() {
        assert_eq!(with_checks(Some("make"), &[]).as_deref(), Some("make"));
        assert_eq!(with_checks(None, &[]), None);
        assert!(has_checks(None, &[]) && has_checks(Some("make"), &[]));
    }

    #[test]
    fn checks_stand_behind_the_test_and_are_found_there_again() {
        let checks = ["test -e 'a b'", "true # all"];
        let whole = with_checks(Some("set -e; x # y"), &checks);
        let text = whole.clone().unwrap_or_default();
        assert!(text.starts_with("sh -c 'set -e; x # y' && {"), "{text}");
        assert!(text.contains(r"sh -c 'test -e '\''a b'\'''"), "{text}");
        assert!(has_checks(whole.as_deref(), &checks));
        assert!(!has_checks(Some("x"), &checks) && !has_checks(None, &checks));
        // With another check the old command has not run it.
        assert!(!has_checks(whole.as_deref(), &["true"]));
    }

    #[test]
    fn an_owner_reads_as_it_is_written() {
        for word in ["person", "assembler", "leader", "3.0"] {
            let owner: Owner = word.parse().unwrap();
            assert_eq!(owner.to_string(), word);
        }
        assert!("nobody".parse::<Owner>().is_err());
    }

    #[test]
    fn steps_are_recorded_only_where_the_plan_says_something_of_them() {
        let levels = Levels {
            approval: Some(LevelSpec::default()),
            ..Levels::default()
        };
        assert!(levels.trailers(Level::Integration).is_empty());
        let words = levels.trailers(Level::Approval);
        let words: Vec<&str> = words.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(words, ["approval", "person", ROLLBACK]);
    }

    #[test]
    fn only_the_owner_among_the_leaders_assembles() {
        let mut board = Board::default();
        let agent = |text: &str| Actor::Agent(text.parse().unwrap());
        assert!(board.may_assemble(agent("2.0")).is_err());
        assert!(board.may_assemble(agent("2.1")).is_err());
        let spec = LevelSpec {
            owner: Some("1.0".parse().unwrap()),
            ..LevelSpec::default()
        };
        board.settings.levels.integration = Some(spec.clone());
        assert!(board.may_assemble(agent("1.0")).is_ok());
        assert!(board.may_assemble(agent("2.0")).is_err());
        assert!(board.may_assemble(Actor::Executor).is_ok());
        assert!(board.may_approve(Actor::Human).is_ok());
        board.settings.levels.approval = Some(spec);
        assert!(board.may_approve(Actor::Human).is_err());
    }

    #[test]
    fn a_leader_assembles_its_own_team_and_no_other() {
        let mut board = Board::default();
        assert!(board.may_assemble_team(Actor::Human, TeamId(1)).is_err());
        let one: TeamSpec = toml::from_str("id = 1").unwrap();
        board.teams.insert(one.id, one);
        let agent = |text: &str| Actor::Agent(text.parse().unwrap());
        let may = |board: &Board, who| board.may_assemble_team(who, TeamId(1)).is_ok();
        assert!(may(&board, agent("1.0")));
        for other in ["2.0", "1.1"] {
            assert!(!may(&board, agent(other)), "{other}");
        }
        assert!(may(&board, Actor::Executor) && may(&board, Actor::Human));
        // A step that the plan gives to another leader is that one's.
        board.settings.levels.team = Some(LevelSpec {
            owner: Some("2.0".parse().unwrap()),
            ..LevelSpec::default()
        });
        assert!(may(&board, agent("2.0")) && !may(&board, agent("1.0")));
    }
}
