//! The event log: the ledger's commits as rows, filtered the way `git log --grep` filters them.
//!
//! Tags are matched in the message as they stand, so that `git orch log 1` and
//! `git log orchestration --grep='\[TEAM-1\]'` find the same commits; free text cannot forge a tag
//! ([`crate::model::event`]).

use regex::Regex;
use schemars::JsonSchema;
use serde::Serialize;

use super::target::Target;
use super::text::{clean, clean_lines, short};
use crate::answer::Answer;
use crate::clock;
use crate::ledger::{Entry, Query};
use crate::model::event::{EDIT, Told};
use crate::model::{AgentId, EventKind, State, TeamId, Timestamp};
use crate::ui::{Paint, Style};

/// Lines of a body that are shown to people; `--json` and `git log` have them all.
const MOST_LINES: usize = 12;

/// One event.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Row {
    /// The ledger's commit.
    pub commit: String,
    /// When it was made, RFC 3339.
    pub time: String,
    /// What happened; [`EDIT`] for a commit that somebody made by hand.
    pub event: String,
    /// Name of the run.
    pub run: Option<String>,
    /// The team, where one is concerned.
    pub team: Option<TeamId>,
    /// The agent concerned.
    pub agent: Option<AgentId>,
    /// The task, where one is concerned.
    pub task: Option<String>,
    /// The claim's number.
    pub attempt: Option<u32>,
    /// State before.
    pub from: Option<State>,
    /// State after.
    pub to: Option<State>,
    /// Subject line of the commit.
    pub subject: String,
    /// Prose between subject and trailers.
    pub body: String,
    /// All teams concerned.
    pub teams: Vec<TeamId>,
    /// All tasks concerned.
    pub tasks: Vec<String>,
    /// Who asked for it.
    pub actor: Option<String>,
    /// On which machine.
    pub machine: Option<String>,
    /// Submitted head of the task's branch.
    pub head: Option<String>,
    /// Commit that landed.
    pub landed: Option<String>,
    /// Who made the commit.
    pub author: String,
}

impl Row {
    /// Reads an entry.
    pub fn new(entry: &Entry) -> Self {
        let told = &entry.told;
        let get = |key: &str| told.get(key).map(str::to_owned);
        let teams = told.teams();
        let agents = told.agents();
        let tasks: Vec<String> = told.all("Task").map(str::to_owned).collect();
        let states = told
            .get("State")
            .and_then(|states| states.split_once(" -> "));
        let state = |text: &str| text.parse::<State>().ok();
        Self {
            commit: entry.commit.to_string(),
            time: clock::rfc3339(Timestamp(entry.time)),
            event: told.kind().to_owned(),
            run: get("Run"),
            team: only(&teams),
            agent: only(&agents),
            task: only(&tasks),
            attempt: told.get("Attempt").and_then(|text| text.parse().ok()),
            from: states.and_then(|(from, _)| state(from)),
            to: states.and_then(|(_, to)| state(to)),
            subject: told.subject.clone(),
            body: told.body.clone(),
            teams,
            tasks,
            actor: get("Actor"),
            machine: get("Machine"),
            head: get("Head"),
            landed: get("Commit"),
            author: entry.author.clone(),
        }
    }
}

/// A line for people, and the prose of what somebody must read.
impl Answer for Row {
    fn text(&self, paint: Paint) -> String {
        let time = self.time.replace('T', " ");
        let time = paint.set(Style::Faint, time.trim_end_matches('Z'));
        let commit = paint.set(Style::Faint, short(&self.commit));
        let subject = clean(&self.subject);
        let look = match self.event.as_str() {
            "escalate" | "fail" | "reject" => Some(Style::Bad),
            "block" | EDIT => Some(Style::Warning),
            "submit" | "merge" | "approve" => Some(Style::Good),
            _ => None,
        };
        let subject = look.map_or(subject.clone(), |style| paint.set(style, &subject));
        let change = match (self.from, self.to) {
            (Some(from), Some(to)) => format!("  ({from} -> {to})"),
            _ => String::new(),
        };
        let by = if self.event == EDIT {
            format!("  ({EDIT} by {})", clean(&self.author))
        } else {
            String::new()
        };
        let mut out = format!("{time} {commit} {subject}{change}{by}\n");
        let lines = clean_lines(&self.body);
        // A body that only repeats the subject says nothing.
        let told = |line: &String| self.subject.contains(line.trim());
        if !lines.iter().all(told) {
            for line in lines.iter().take(MOST_LINES) {
                out.push_str(format!("    {line}").trim_end());
                out.push('\n');
            }
            if lines.len() > MOST_LINES {
                out.push_str(&format!("    … git show {}\n", short(&self.commit)));
            }
        }
        out
    }
}

/// Which events are wanted; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// About whom or what.
    pub target: Option<Target>,
    /// Calls for help only.
    pub escalations: bool,
    /// Any of these kinds; empty means all.
    pub kinds: Vec<Kind>,
    /// Subject or text matches.
    pub grep: Option<Regex>,
}

/// A kind of event, or a hand-made commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Made by a transition.
    Event(EventKind),
    /// Made by hand.
    Edit,
}

impl Kind {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event(kind) => kind.as_str(),
            Self::Edit => EDIT,
        }
    }

    /// Returns all kinds.
    pub fn all() -> impl Iterator<Item = Self> {
        let events = EventKind::ALL.into_iter().map(Self::Event);
        events.chain([Self::Edit])
    }
}

impl Filter {
    /// Returns what to search the ledger for: every wanted event is found, and some others may be.
    pub fn query(&self) -> Query {
        let mut query = match &self.target {
            None => Query::default(),
            Some(Target::Team(team)) => Query::default().team(*team),
            Some(Target::Agent(agent)) => Query::default().agent(*agent),
            Some(Target::Task(task)) => Query::default().task(task),
        };
        if self.escalations {
            query = query.escalations();
        }
        if !self.kinds.is_empty() {
            query = query.kinds(self.kinds.iter().map(|kind| kind.as_str()));
        }
        match &self.grep {
            Some(grep) => query.grep(grep.clone()),
            None => query,
        }
    }

    /// Returns whether an event is wanted.
    pub fn wants(&self, row: &Row, told: &Told) -> bool {
        let about = match &self.target {
            None => true,
            Some(Target::Team(team)) => row.teams.contains(team),
            Some(Target::Agent(agent)) => told.agents().contains(agent),
            Some(Target::Task(task)) => told.all("Task").any(|told| told == task.as_str()),
        };
        let kind = |kind: &Kind| kind.as_str() == row.event;
        let matches = |grep: &Regex| grep.is_match(&told.subject) || grep.is_match(&told.body);
        about
            && self.grep.as_ref().is_none_or(matches)
            && (!self.escalations || told.escalates())
            && (self.kinds.is_empty() || self.kinds.iter().any(kind))
    }
}

fn only<T: Clone>(all: &[T]) -> Option<T> {
    match all {
        [one] => Some(one.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(message: &str) -> (Row, Told) {
        let told = Told::parse(message);
        let entry = Entry {
            commit: crate::git::Oid::null(gix::hash::Kind::Sha1),
            time: 1_763_700_000,
            author: String::from("A\u{1b}[31mB"),
            told: told.clone(),
        };
        (Row::new(&entry), told)
    }

    fn about(target: &str) -> Filter {
        Filter {
            target: Some(target.parse().unwrap()),
            ..Filter::default()
        }
    }

    #[test]
    fn a_team_is_not_mistaken_for_one_whose_number_begins_alike() {
        let (row, message) = told(
            "[TEAM-11] [AGENT-11.2] claim a: b\n\nOrch-Event: claim\nOrch-Task: a\nOrch-State: ready -> claimed\n",
        );
        assert!(about("11").wants(&row, &message));
        assert!(!about("1").wants(&row, &message));
        assert!(about("11.2").wants(&row, &message));
        assert!(!about("1.2").wants(&row, &message));
        assert!(about("a").wants(&row, &message));
        assert!(!about("aa").wants(&row, &message));
        assert_eq!(
            (row.from, row.to),
            (Some(State::Ready), Some(State::Claimed))
        );
    }

    #[test]
    fn a_commit_made_by_hand_is_an_edit_and_prints_harmlessly() {
        let (row, message) = told("mend \u{1b}]0;title\u{7} a file\n\nbecause \u{9b}31m");
        assert_eq!(row.event, EDIT);
        let edits = Filter {
            kinds: vec![Kind::Edit],
            ..Filter::default()
        };
        assert!(edits.wants(&row, &message));
        let text = row.text(Paint::PLAIN);
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{text:?}"
        );
        assert!(text.contains("edit by A [31mB"), "{text}");
    }
}
