//! The whole run at a glance: phases, teams, totals, what needs a look, what to do next.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::levels::{self, Step};
use super::pace::Recent;
use super::text::{ago, bar, clean, count, span, style};
use crate::ledger::layout;
use crate::model::{
    AgentId, Board, CommitId, EndingClass, PhaseName, PhaseState, State, Task, TaskId, TeamId,
    Timestamp,
};
use crate::ui::{Style, Ui};

/// Things to look at that are listed; the rest is counted.
const MOST_LISTED: usize = 12;

/// `status --json`.
#[derive(Debug, Serialize)]
pub struct Swarm<'a> {
    /// Name of the run; none before the first plan.
    pub run: Option<&'a str>,
    /// When the run was closed; none while it goes on.
    pub closed: Option<Timestamp>,
    /// Name of the archive that the closed run is in.
    pub archive: Option<&'a str>,
    /// Branch that the work returns to.
    pub base: &'a str,
    /// Phases in declared order.
    pub phases: Vec<Phase<'a>>,
    /// Teams by number.
    pub teams: Vec<Team<'a>>,
    /// Tasks in the plan's order.
    pub tasks: Vec<Row<'a>>,
    /// Number of tasks: `total`, `completed`, and for each state.
    pub totals: Map<String, Value>,
    /// Newest commit of the integration branch that passed its test.
    pub tested: Option<&'a CommitId>,
    /// The steps that work goes up by, and what waits there; looked up by whoever shows them.
    pub levels: Vec<Step>,
}

/// A phase.
#[derive(Debug, Serialize)]
pub struct Phase<'a> {
    /// Its name.
    pub name: &'a PhaseName,
    /// Whether its tasks may start.
    pub state: PhaseState,
    /// Teams that work in it.
    pub teams: &'a [TeamId],
}

/// A team's numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Team<'a> {
    /// Its number.
    pub id: TeamId,
    /// Its name.
    pub name: &'a str,
    /// Its coders.
    pub coders: u32,
    /// Its tasks, cancelled ones left out.
    pub assigned: usize,
    /// Of those, submitted or further.
    pub completed: usize,
    /// Of those, held by an agent that waits.
    pub blocked: usize,
    /// Of those, failed or given up.
    pub failed: usize,
    /// Of those, claimed or in progress.
    pub working: usize,
}

/// A task in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Row<'a> {
    /// Its id.
    pub id: &'a TaskId,
    /// Its team.
    pub team: TeamId,
    /// Its phase.
    pub phase: Option<&'a PhaseName>,
    /// What is to be done.
    pub title: &'a str,
    /// Its state.
    pub status: State,
    /// Who holds it, or held it last.
    pub agent: Option<AgentId>,
    /// Number of its latest claim; 0 before the first.
    pub attempt: u32,
    /// Branch that the work is on, once there is one.
    pub branch: Option<&'a str>,
    /// Commit that was submitted.
    pub head: Option<&'a CommitId>,
    /// Commit that brought the work in.
    pub commit: Option<&'a CommitId>,
    /// Why it is blocked, failed, rejected, a gap or cancelled.
    pub reason: Option<&'a str>,
    /// Whose fault it is that its last attempt brought nothing, where that is known.
    pub class: Option<&'a EndingClass>,
}

impl<'a> Row<'a> {
    /// Returns the row of a task.
    pub fn new(task: &'a Task, phase: Option<&'a PhaseName>) -> Self {
        let status = &task.status;
        Self {
            id: &task.id,
            team: task.team,
            phase,
            title: &task.title,
            status: status.state,
            agent: status.agent,
            attempt: status.attempt.0,
            branch: status.branch.as_deref(),
            head: status.head.as_ref(),
            commit: status
                .commit
                .as_ref()
                .filter(|_| status.state == State::Merged),
            reason: status.reason.as_deref(),
            class: status.class.as_ref(),
        }
    }
}

impl<'a> Swarm<'a> {
    /// Reads the numbers off the board.
    pub fn new(board: &'a Board) -> Self {
        let states = board.phase_states(board.settings.gate);
        let phase_of_team = phase_of_team(board);
        let mut tasks: Vec<&Task> = board.tasks.values().collect();
        tasks.sort_by_key(|task| task.order);
        let row = |task: &'a Task| {
            let phase = task.phase.as_ref();
            Row::new(
                task,
                phase.or_else(|| phase_of_team.get(&task.team).copied()),
            )
        };
        Self {
            run: board.settings.run.as_ref().map(|run| run.name.as_str()),
            closed: board.settings.closed,
            archive: board.settings.archive.as_deref(),
            base: &board.settings.base,
            phases: board
                .phases
                .iter()
                .zip(states)
                .map(|(phase, state)| Phase {
                    name: &phase.name,
                    state,
                    teams: &phase.teams,
                })
                .collect(),
            teams: teams(board),
            totals: totals(&tasks),
            tasks: tasks.into_iter().map(row).collect(),
            tested: board.tested.as_ref().map(|tested| &tested.commit),
            levels: Vec::new(),
        }
    }

    /// Returns the number of tasks in a state, or `total` or `completed`.
    fn number(&self, name: &str) -> usize {
        let number = self.totals.get(name).and_then(Value::as_u64).unwrap_or(0);
        usize::try_from(number).unwrap_or(usize::MAX)
    }

    /// Returns whether nothing more will happen to any task.
    pub fn is_over(&self) -> bool {
        self.closed.is_some()
            || !self.tasks.is_empty() && self.tasks.iter().all(|task| task.status.is_final())
    }

    /// Renders the view for people.
    pub fn render(&self, board: &Board, recent: &Recent, now: Timestamp, ui: &Ui) -> String {
        let Some(run) = self.run else {
            return format!(
                "no plan yet; the work will start from {}\n{}\n",
                clean(self.base),
                next_line(ui, "git orch plan apply plan.toml")
            );
        };
        let mut out = vec![format!(
            "{} {} on {}{}",
            ui.paint(Style::Strong, "run"),
            ui.paint(Style::Strong, &clean(run)),
            clean(self.base),
            if self.closed.is_some() {
                ", closed"
            } else {
                ""
            }
        )];
        if let (Some(at), Some(archive)) = (self.closed, self.archive) {
            let since = ago(at, now);
            let next = next_line(ui, "git orch plan apply plan.toml");
            return format!(
                "{} {since}\nits tasks are in {}\n\n{next}\n",
                out.concat(),
                clean(&layout::archive(archive))
            );
        }
        self.render_phases(&mut out, ui);
        self.render_teams(&mut out, ui);
        out.push(format!("\n{}", self.sum()));
        out.extend(levels::line(board, &self.levels));
        let remaining = self
            .tasks
            .iter()
            .filter(|task| !task.status.is_done() && !task.status.is_final())
            .count();
        let goes_on = self.number("claimed") + self.number("in_progress") > 0;
        if let Some(seconds) = recent.eta(remaining, now).filter(|_| goes_on) {
            out.push(format!(
                "at the pace so far, {} to do in about {}",
                count(remaining, "task"),
                span(seconds)
            ));
        }
        render_attention(&mut out, board, recent, now, ui);
        if let Some(next) = self.next(recent) {
            out.push(format!("\n{}", next_line(ui, &next)));
        }
        out.join("\n") + "\n"
    }

    fn render_phases(&self, out: &mut Vec<String>, ui: &Ui) {
        if self.phases.is_empty() {
            return;
        }
        let arrow = self.phases.iter().map(|phase| {
            let (word, style) = match phase.state {
                PhaseState::Pending => ("pending", Style::Faint),
                PhaseState::Open => ("open", Style::Strong),
                PhaseState::Closed => ("closed", Style::Good),
            };
            format!("{} {}", clean(&phase.name.0), ui.paint(style, word))
        });
        out.push(format!("phases: {}", arrow.collect::<Vec<_>>().join(", ")));
    }

    fn render_teams(&self, out: &mut Vec<String>, ui: &Ui) {
        let label = |team: &Team<'_>| format!("team {} {}", team.id, clean(team.name));
        let width = self.teams.iter().map(|team| label(team).chars().count());
        let width = width.max().unwrap_or(0);
        out.push(String::new());
        for team in &self.teams {
            out.push(format!(
                "{:width$}  {}",
                label(team),
                team_numbers(team, ui)
            ));
        }
    }

    fn sum(&self) -> String {
        let parts: Vec<String> = State::ALL
            .iter()
            .map(|state| (self.number(state.as_str()), state.as_str()))
            .filter(|(number, _)| *number > 0)
            .map(|(number, word)| format!("{number} {}", word.replace('_', " ")))
            .collect();
        let breakdown = if parts.is_empty() {
            String::new()
        } else {
            format!(": {}", parts.join(", "))
        };
        format!(
            "{} of {} done{breakdown}",
            self.number("completed"),
            count(self.number("total"), "task")
        )
    }

    /// Returns the command that brings the run forward; none where it has come to its end.
    fn next(&self, recent: &Recent) -> Option<String> {
        let any = |what: &dyn Fn(State) -> bool| self.tasks.iter().any(|task| what(task.status));
        if self.tasks.is_empty() || self.closed.is_some() {
            return Some(String::from("git orch plan apply plan.toml"));
        }
        let to_do = |state: State| !state.is_done() && !state.is_final();
        if any(&to_do) {
            return Some(String::from("git orch run --assemble"));
        }
        if any(&|state| matches!(state, State::Submitted | State::Accepted)) {
            return Some(String::from("git orch assemble"));
        }
        let merged = any(&|state| state == State::Merged);
        (merged && self.tested.is_some() && !recent.approved)
            .then(|| String::from("git orch approve"))
    }
}

/// Returns the bar of a team and its numbers.
pub fn team_numbers(team: &Team<'_>, ui: &Ui) -> String {
    let shape = bar(
        team.completed,
        team.blocked + team.failed,
        team.assigned,
        20,
    );
    let mut parts = vec![format!("{}/{} done", team.completed, team.assigned)];
    let mut part = |number: usize, word: &str, style: Option<Style>| {
        if number > 0 {
            let text = format!("{number} {word}");
            parts.push(style.map_or(text.clone(), |style| ui.paint(style, &text)));
        }
    };
    part(team.working, "working", None);
    part(team.blocked, "blocked", Some(Style::Warning));
    part(team.failed, "failed", Some(Style::Bad));
    format!("[{shape}] {}", parts.join(", "))
}

/// Counts the tasks of every team in one pass.
pub fn teams(board: &Board) -> Vec<Team<'_>> {
    let mut teams: BTreeMap<TeamId, Team<'_>> = board
        .teams
        .values()
        .map(|team| {
            let numbers = Team {
                id: team.id,
                name: &team.name,
                coders: team.coders,
                assigned: 0,
                completed: 0,
                blocked: 0,
                failed: 0,
                working: 0,
            };
            (team.id, numbers)
        })
        .collect();
    for task in board.tasks.values() {
        let Some(team) = teams.get_mut(&task.team) else {
            continue;
        };
        team.assigned += usize::from(task.status.state != State::Cancelled);
        match task.status.state {
            State::Submitted | State::Accepted | State::Merged => team.completed += 1,
            State::Blocked => team.blocked += 1,
            State::Failed | State::Gap => team.failed += 1,
            State::Claimed | State::InProgress => team.working += 1,
            State::Pending | State::Ready | State::Cancelled => {}
        }
    }
    teams.into_values().collect()
}

fn totals(tasks: &[&Task]) -> Map<String, Value> {
    let count = |what: &dyn Fn(State) -> bool| {
        Value::from(tasks.iter().filter(|task| what(task.status.state)).count())
    };
    let mut totals = Map::new();
    totals.insert(String::from("total"), count(&|_| true));
    totals.insert(String::from("completed"), count(&State::is_done));
    for state in State::ALL {
        totals.insert(state.to_string(), count(&|other| other == state));
    }
    totals
}

/// Returns the first phase of every team, where the tasks that name none belong.
fn phase_of_team(board: &Board) -> BTreeMap<TeamId, &PhaseName> {
    let mut found = BTreeMap::new();
    for phase in &board.phases {
        for team in &phase.teams {
            found.entry(*team).or_insert(&phase.name);
        }
    }
    found
}

fn render_attention(
    out: &mut Vec<String>,
    board: &Board,
    recent: &Recent,
    now: Timestamp,
    ui: &Ui,
) {
    let mut found: Vec<(u8, String)> = Vec::new();
    for escalation in &recent.escalations {
        let words = clean(&escalation.words);
        let since = ago(escalation.time, now);
        let word = ui.paint(Style::Bad, "escalation");
        found.push((0, format!("{word} {}, {since}: {words}", escalation.task)));
    }
    for task in board.tasks.values() {
        let status = &task.status;
        let late = status.state.is_held() && status.lease_until.is_some_and(|until| until < now);
        let (rank, word) = match status.state {
            State::Blocked => (1, "blocked"),
            State::Failed => (2, "failed"),
            State::Gap => (3, "gap"),
            _ if late => (4, "lease over"),
            _ => continue,
        };
        let holder = status.agent.map(|agent| format!(" by {agent}"));
        let holder = holder.filter(|_| status.state.is_held());
        let reason = status.reason.as_deref().map(clean).unwrap_or_default();
        let reason = if reason.is_empty() {
            reason
        } else {
            format!(": {reason}")
        };
        let line = format!(
            "{} {}{}, {}{reason}",
            ui.paint(style(status.state), word),
            task.id,
            holder.unwrap_or_default(),
            ago(status.since, now)
        );
        found.push((rank, line));
    }
    if found.is_empty() {
        return;
    }
    found.sort_by_key(|(rank, _)| *rank);
    out.push(format!("\n{}", ui.paint(Style::Strong, "look at first")));
    let more = found.len().saturating_sub(MOST_LISTED);
    let listed = found.into_iter().take(MOST_LISTED);
    out.extend(listed.map(|(_, line)| format!("  {line}")));
    if more > 0 {
        out.push(format!("  and {more} more: git orch task list"));
    }
}

fn next_line(ui: &Ui, command: &str) -> String {
    format!("next: {}", ui.paint(Style::Strong, command))
}
