//! One team, one agent or one task, closely.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use super::swarm::{Row, Team, team_numbers, teams};
use super::target::{no_task, require_team};
use super::text::{ago, clean, clean_lines, short, span, style};
use crate::agents::AttemptFiles;
use crate::clock;
use crate::error::UserError;
use crate::git::Repo;
use crate::ledger::Ledger;
use crate::model::{
    AgentId, Board, CommitId, Coupling, Handoff, MachineId, PhaseName, State, Task, TaskId, TeamId,
    Timestamp,
};
use crate::ui::{Style, Ui};

/// Lines of findings that are shown to people; `--json` has them all.
const MOST_LINES: usize = 40;

/// Returns where the log of a task's latest attempt is, where there is one on this machine.
fn attempt_log(repo: &Repo, task: &Task) -> Option<PathBuf> {
    existing(AttemptFiles::new(repo, &task.id, task.status.attempt).log())
}

/// A team with its coders and tasks.
#[derive(Debug, Serialize)]
pub struct TeamView<'a> {
    /// Its numbers.
    pub team: Team<'a>,
    /// Team that it reports to.
    pub parent: Option<TeamId>,
    /// Its coders.
    pub coders: Vec<Coder<'a>>,
    /// Its tasks in the plan's order.
    pub tasks: Vec<Row<'a>>,
}

/// A coder and what it holds.
#[derive(Debug, Serialize)]
pub struct Coder<'a> {
    /// The coder.
    pub agent: AgentId,
    /// The task that it holds.
    pub task: Option<&'a TaskId>,
    /// State of that task.
    pub status: Option<State>,
    /// Since when, RFC 3339.
    pub since: Option<String>,
}

impl<'a> TeamView<'a> {
    /// Reads a team off the board.
    ///
    /// # Errors
    ///
    /// There is no such team.
    pub fn new(board: &'a Board, id: TeamId) -> Result<Self, UserError> {
        let spec = require_team(board, id)?;
        let numbers = teams(board).into_iter().find(|team| team.id == id);
        let mut tasks: Vec<&Task> = board
            .tasks
            .values()
            .filter(|task| task.team == id)
            .collect();
        tasks.sort_by_key(|task| task.order);
        let coder = |number| {
            let agent = AgentId { team: id, number };
            let held = tasks
                .iter()
                .find(|task| task.status.state.is_held() && task.status.agent == Some(agent));
            Coder {
                agent,
                task: held.map(|task| &task.id),
                status: held.map(|task| task.status.state),
                since: held.map(|task| clock::rfc3339(task.status.since)),
            }
        };
        Ok(Self {
            team: numbers.ok_or_else(|| UserError::new(format!("there is no team {id}")))?,
            parent: spec.parent,
            coders: (1..=spec.coders).map(coder).collect(),
            tasks: tasks
                .iter()
                .map(|task| Row::new(task, phase_name(board, task)))
                .collect(),
        })
    }

    /// Renders the view for people.
    pub fn render(&self, board: &Board, now: Timestamp, ui: &Ui) -> String {
        let id = self.team.id;
        let mut out = vec![format!(
            "{} {}",
            ui.paint(Style::Strong, &format!("team {id}")),
            clean(self.team.name)
        )];
        out.push(team_numbers(&self.team, ui));
        if let Some(parent) = self.parent {
            out.push(format!("reports to team {parent}"));
        }
        out.push(format!("\n{}", ui.paint(Style::Strong, "coders")));
        for coder in &self.coders {
            let held = coder.task.and_then(|task| board.tasks.get(task));
            let what = held.map_or_else(
                || ui.paint(Style::Faint, "idle"),
                |task| {
                    let status = &task.status;
                    let state = ui.paint(style(status.state), status.state.as_str());
                    let time = span(now.0 - status.since.0);
                    format!(
                        "{} {state} for {time} (attempt {})",
                        task.id, status.attempt
                    )
                },
            );
            out.push(format!("  {}  {what}", coder.agent));
        }
        out.push(format!("\n{}", ui.paint(Style::Strong, "tasks")));
        out.extend(task_lines(&self.tasks, ui));
        out.join("\n") + "\n"
    }
}

/// Renders tasks as a table, a line each.
pub fn task_lines(tasks: &[Row<'_>], ui: &Ui) -> Vec<String> {
    let width = tasks.iter().map(|task| task.id.as_str().len()).max();
    let width = width.unwrap_or(0);
    let line = |task: &Row<'_>| {
        let state = format!("{:<11}", task.status.as_str());
        let agent = task.agent.map(|agent| agent.to_string());
        format!(
            "  {:<width$}  {}  {:<6}  {}",
            task.id,
            ui.paint(style(task.status), &state),
            agent.unwrap_or_default(),
            clean(task.title)
        )
    };
    tasks
        .iter()
        .map(|task| line(task).trim_end().to_owned())
        .collect()
}

/// An agent and what it holds.
#[derive(Debug, Serialize)]
pub struct AgentView<'a> {
    /// The agent.
    pub agent: AgentId,
    /// Whether it leads its team.
    pub leader: bool,
    /// Name of its team.
    pub team: &'a str,
    /// Why it gets no work for now, if it does not.
    pub paused: Option<&'a str>,
    /// Role that it plays.
    pub role: Option<&'a str>,
    /// What it is good at: its team's skills and its own.
    pub skills: Vec<&'a str>,
    /// The task that it holds.
    pub holds: Option<Row<'a>>,
    /// Since when, RFC 3339.
    pub since: Option<String>,
    /// Until when its claim holds without renewal, RFC 3339.
    pub lease_until: Option<String>,
    /// Its worktree, where it has one on this machine.
    pub worktree: Option<PathBuf>,
    /// Log of the attempt, where there is one on this machine.
    pub log: Option<PathBuf>,
    /// Tasks that it held last and has handed in or given up.
    pub before: Vec<Row<'a>>,
}

impl<'a> AgentView<'a> {
    /// Reads an agent off the board.
    ///
    /// # Errors
    ///
    /// There is no such agent.
    pub fn new(ledger: &'a Ledger, agent: AgentId) -> Result<Self, UserError> {
        let board = ledger.board();
        let team = require_team(board, agent.team)?;
        board.require_agent(agent)?;
        let held = board.held_by(agent);
        let mut before: Vec<&Task> = board
            .tasks
            .values()
            .filter(|task| task.status.agent == Some(agent) && !task.status.state.is_held())
            .collect();
        before.sort_by_key(|task| std::cmp::Reverse(task.status.since));
        let row = |task: &'a Task| Row::new(task, phase_name(board, task));
        let apart = team
            .agents
            .iter()
            .find(|coder| coder.number == agent.number);
        let own = apart.into_iter().flat_map(|coder| &coder.skills);
        Ok(Self {
            agent,
            leader: agent.is_leader(),
            team: &team.name,
            paused: board.paused(agent),
            role: apart.and_then(|coder| coder.role.as_deref()),
            skills: team.skills.iter().chain(own).map(String::as_str).collect(),
            since: held.map(|task| clock::rfc3339(task.status.since)),
            lease_until: held
                .and_then(|task| task.status.lease_until)
                .map(clock::rfc3339),
            worktree: existing(ledger.repo().worktrees_dir().join(agent.to_string())),
            log: held.and_then(|task| attempt_log(ledger.repo(), task)),
            holds: held.map(row),
            before: before.into_iter().map(row).collect(),
        })
    }

    /// Renders the view for people.
    pub fn render(&self, now: Timestamp, ui: &Ui) -> String {
        let role = if self.leader { "leader" } else { "coder" };
        let mut out = vec![format!(
            "{} {role} of team {} {}",
            ui.paint(Style::Strong, &format!("agent {}", self.agent)),
            self.agent.team,
            clean(self.team)
        )];
        let mut fact = |key: &str, value: String| out.push(format!("{key:<12}{value}"));
        if let Some(why) = self.paused {
            fact("paused", ui.paint(Style::Warning, &clean(why)));
        }
        if let Some(role) = self.role {
            fact("role", clean(role));
        }
        if !self.skills.is_empty() {
            fact("skills", clean(&self.skills.join(", ")));
        }
        match &self.holds {
            None => fact("holds", ui.paint(Style::Faint, "nothing")),
            Some(task) => {
                let state = ui.paint(style(task.status), task.status.as_str());
                let title = clean(task.title);
                fact("holds", format!("{} {state}: {title}", task.id));
                fact("attempt", task.attempt.to_string());
                let since = self.since.as_deref().and_then(clock::parse_rfc3339);
                fact("since", ago(since.unwrap_or_default(), now));
                if let Some(until) = &self.lease_until {
                    fact("lease until", until.clone());
                }
                if let Some(branch) = task.branch {
                    fact("branch", clean(branch));
                }
            }
        }
        if let Some(path) = &self.worktree {
            fact("worktree", shown(path));
        }
        if let Some(path) = &self.log {
            fact("log", shown(path));
        }
        if !self.before.is_empty() {
            out.push(format!("\n{}", ui.paint(Style::Strong, "before")));
            out.extend(task_lines(&self.before, ui));
        }
        out.join("\n") + "\n"
    }
}

/// A task with everything that is known of it.
#[derive(Debug, Serialize)]
pub struct TaskView<'a> {
    /// Its row.
    #[serde(flatten)]
    pub row: Row<'a>,
    /// Commit that its branch was cut from.
    pub base: Option<&'a CommitId>,
    /// Model tier.
    pub model: String,
    /// Profile of the agent that works on it.
    pub profile: String,
    /// Machine of its holder.
    pub machine: Option<&'a MachineId>,
    /// When its state was entered, RFC 3339.
    pub since: Option<String>,
    /// Until when its claim holds without renewal, RFC 3339.
    pub lease_until: Option<String>,
    /// Attempts that failed or were rejected.
    pub failures: u32,
    /// Retries that it has.
    pub retries: u32,
    /// What went wrong before.
    pub findings: Option<&'a str>,
    /// What people have told whoever works on it next.
    pub messages: &'a [String],
    /// Tasks that come before.
    pub after: Vec<Before<'a>>,
    /// The first of those that is not far enough.
    pub waits_for: Option<&'a TaskId>,
    /// What it handed on.
    pub handoff: Option<Handoff>,
    /// Worktree of its holder, where there is one on this machine.
    pub worktree: Option<PathBuf>,
    /// Log of its latest attempt, where there is one on this machine.
    pub log: Option<PathBuf>,
}

/// A task that comes before another.
#[derive(Debug, Serialize)]
pub struct Before<'a> {
    /// The task.
    pub task: &'a TaskId,
    /// How much of it is needed.
    pub coupling: Coupling,
    /// Its state; none where it does not exist.
    pub status: Option<State>,
}

impl<'a> TaskView<'a> {
    /// Reads a task off the board, and its handoff contract off the ledger.
    ///
    /// # Errors
    ///
    /// There is no such task, or the ledger cannot be read.
    pub fn new(ledger: &'a Ledger, id: &TaskId) -> Result<Self> {
        let (board, repo) = (ledger.board(), ledger.repo());
        let task = board.tasks.get(id).ok_or_else(|| no_task(ledger, id))?;
        let status = &task.status;
        let held = status.agent.filter(|_| status.state.is_held());
        Ok(Self {
            row: Row::new(task, phase_name(board, task)),
            base: status.base.as_ref(),
            model: board.model_of(task),
            profile: board.profile_of(task).0,
            machine: status.machine.as_ref(),
            since: (status.since.0 != 0).then(|| clock::rfc3339(status.since)),
            lease_until: status.lease_until.map(clock::rfc3339),
            failures: status.failures,
            retries: board.retries_of(task),
            findings: status.findings.as_deref(),
            messages: &status.messages,
            after: task
                .after
                .iter()
                .map(|before| Before {
                    task: &before.task,
                    coupling: before.coupling,
                    status: board.tasks.get(&before.task).map(|task| task.status.state),
                })
                .collect(),
            waits_for: Some(task)
                .filter(|task| task.status.state == State::Pending)
                .and_then(|task| board.waits_for(task))
                .map(|(other, _)| other),
            handoff: ledger.handoff(id)?,
            worktree: held.and_then(|agent| existing(repo.worktrees_dir().join(agent.to_string()))),
            log: attempt_log(repo, task),
        })
    }

    /// Renders the view for people.
    pub fn render(&self, board: &Board, now: Timestamp, ui: &Ui) -> String {
        let row = &self.row;
        let mut out = vec![format!(
            "{} {}",
            ui.paint(Style::Strong, &format!("task {}", row.id)),
            clean(row.title)
        )];
        out.extend(self.facts(now, ui));
        if row.status == State::Pending {
            out.push(self.why_pending(board));
        }
        for before in &self.after {
            let state = before.status.map_or("missing", State::as_str);
            let coupling = coupling_word(before.coupling);
            out.push(format!("after {} ({coupling}): {state}", before.task));
        }
        if let Some(handoff) = &self.handoff {
            out.push(format!("\n{}", ui.paint(Style::Strong, "handed on")));
            out.push(format!("  {}", clean(&handoff.summary)));
            let files = handoff.deliverables.iter().map(|file| clean(file));
            out.extend(files.map(|file| format!("  {file}")));
            let steps = handoff.next_steps.iter().map(|step| clean(step));
            out.extend(steps.map(|step| format!("  next: {step}")));
        }
        if !self.messages.is_empty() {
            out.push(format!("\n{}", ui.paint(Style::Strong, "messages")));
            let lines = self.messages.iter().flat_map(|text| clean_lines(text));
            out.extend(lines.map(|line| format!("  {line}").trim_end().to_owned()));
        }
        if let Some(findings) = self.findings {
            out.push(format!("\n{}", ui.paint(Style::Strong, "findings")));
            let lines = clean_lines(findings);
            let more = lines.len().saturating_sub(MOST_LINES);
            out.extend(
                lines
                    .iter()
                    .take(MOST_LINES)
                    .map(|line| format!("  {line}").trim_end().to_owned()),
            );
            if more > 0 {
                out.push(format!(
                    "  and {more} more lines: git orch status {} --json",
                    row.id
                ));
            }
        }
        out.join("\n") + "\n"
    }

    /// Returns what is known in a word or two each.
    fn facts(&self, now: Timestamp, ui: &Ui) -> Vec<String> {
        let row = &self.row;
        let since = self.since.as_deref().and_then(clock::parse_rfc3339);
        let since = ago(since.unwrap_or_default(), now);
        let since = if since.is_empty() {
            since
        } else {
            format!(", {since}")
        };
        let state = ui.paint(style(row.status), row.status.as_str());
        let tries = (self.failures > 0)
            .then(|| format!(" ({} failed, {} retries)", self.failures, self.retries));
        let commit = |id: Option<&CommitId>| id.map(|id| clean(short(&id.0)));
        let path = |path: &Option<PathBuf>| path.as_deref().map(shown);
        let holder = if row.status.is_held() {
            "held by"
        } else {
            "last held by"
        };
        let facts = [
            ("state", Some(format!("{state}{since}"))),
            ("reason", row.reason.map(clean)),
            ("team", Some(row.team.to_string())),
            ("phase", row.phase.map(|phase| clean(&phase.0))),
            (holder, row.agent.map(|agent| agent.to_string())),
            (
                "attempt",
                (row.attempt > 0).then(|| format!("{}{}", row.attempt, tries.unwrap_or_default())),
            ),
            ("lease until", self.lease_until.clone()),
            ("machine", self.machine.map(|machine| clean(&machine.0))),
            (
                "model",
                Some(format!("{} ({})", clean(&self.model), clean(&self.profile))),
            ),
            ("branch", row.branch.map(clean)),
            ("base", commit(self.base)),
            ("head", commit(row.head)),
            ("merged as", commit(row.commit)),
            ("worktree", path(&self.worktree)),
            ("log", path(&self.log)),
        ];
        let known = facts
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        known
            .map(|(key, value)| format!("{key:<13} {value}"))
            .collect()
    }

    fn why_pending(&self, board: &Board) -> String {
        let wait = board
            .tasks
            .get(self.row.id)
            .and_then(|task| board.wait_of(task));
        match wait {
            Some(wait) => {
                let help = wait.hint().map(|hint| format!("\nnext: {hint}"));
                format!("waits: {wait}{}", help.unwrap_or_default())
            }
            None => String::from("waits for its phase, or for git orch dispatch"),
        }
    }
}

fn coupling_word(coupling: Coupling) -> &'static str {
    match coupling {
        Coupling::Tight => "tight",
        Coupling::Medium => "medium",
        Coupling::Loose => "loose",
    }
}

fn phase_name<'a>(board: &'a Board, task: &'a Task) -> Option<&'a PhaseName> {
    board.phase_of(task).map(|phase| &phase.name)
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    path.exists().then_some(path)
}

fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy())
}
