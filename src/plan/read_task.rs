//! `[[tasks]]`: one task of a plan.

use std::collections::BTreeSet;
use std::str::FromStr;

use toml::Spanned;
use toml::de::DeValue;

use super::fields::Fields;
use super::read::{NO_TEAM, read_team_id};
use crate::model::scope::Glob;
use crate::model::{Coupling, Criterion, Dependency, PhaseName, TaskId, TaskSpec, TeamId};

const COUPLINGS: [(&str, Coupling); 3] = [
    ("tight", Coupling::Tight),
    ("medium", Coupling::Medium),
    ("loose", Coupling::Loose),
];

/// Reads a task. What cannot be read is noted and stands in the result as the nearest thing that can.
pub(super) fn read_task_fields(
    mut fields: Fields<'_, '_, '_>,
    number: usize,
    default_team: Option<TeamId>,
) -> TaskSpec {
    let id = read_id(&mut fields, number);
    let team = match fields.take("team") {
        Some(value) => read_team_id(&mut fields, value, "team"),
        None => default_team.or_else(|| {
            fields.error_here(
                "team",
                format!("task {id} has no `team`"),
                "write the number of its team, for example `team = 1`",
            );
            None
        }),
    };
    let title = fields.required_line("title", "title = \"Create the schema\"");
    let task = TaskSpec {
        id,
        team: team.unwrap_or(NO_TEAM),
        title: title.unwrap_or_default(),
        phase: fields.line("phase").map(PhaseName),
        context: fields.text("context").unwrap_or_default(),
        scope: read_globs(&mut fields, "scope"),
        deliverables: read_deliverables(&mut fields),
        success: fields.each("success", "success = [\"cargo test\"]", read_criterion),
        after: read_after(&mut fields),
        priority: fields
            .number("priority", i64::from(i32::MIN), i64::from(i32::MAX))
            .and_then(|number| i32::try_from(number).ok())
            .unwrap_or(0),
        model: fields.line("model"),
        role: fields.line("role"),
        skills: fields.texts("skills", "sql"),
        style: fields.line("style"),
        effort: fields.line("effort"),
        repo: fields.line("repo"),
        branch: fields.line("branch"),
        agent: fields.line("agent"),
        timeout: fields.duration("timeout"),
        idle_timeout: fields.duration("idle_timeout"),
        retries: fields.count("retries", 0),
        run: fields.script("run"),
        locks: read_ids(&mut fields, "locks", "schema"),
    };
    fields.finish();
    task
}

fn read_id(fields: &mut Fields<'_, '_, '_>, number: usize) -> TaskId {
    let made = |text: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let parts = text.split(|c| !allowed(c)).filter(|part| !part.is_empty());
        let text = parts.collect::<Vec<_>>().join("-");
        let text: String = text
            .trim_start_matches(['-', '_'])
            .chars()
            .take(TaskId::MAX_LEN)
            .collect();
        text.parse::<TaskId>().ok()
    };
    let stand_in = format!("tasks-{number}");
    let stand_in = || made(&stand_in).expect("letters, a dash and digits are an id");
    let Some(value) = fields.take("id") else {
        if let Some(id) = fields.default_id.clone() {
            return id;
        }
        fields.error_here(
            "id",
            "the task has no `id`",
            "write a short name, for example `id = \"auth-schema\"`",
        );
        return stand_in();
    };
    let DeValue::String(text) = value.get_ref() else {
        fields.error(
            value,
            "id",
            "`id` must be a string",
            "write for example `id = \"auth-schema\"`",
        );
        return stand_in();
    };
    match text.parse::<TaskId>() {
        Ok(id) => id,
        Err(reason) => {
            let better = made(text);
            let help = match &better {
                Some(better) => format!("write for example `{better}`"),
                None => String::from("write for example `auth-schema`"),
            };
            fields.error(value, "id", reason, help);
            better.unwrap_or_else(stand_in)
        }
    }
}

/// Reads names of one kind.
pub(super) fn read_ids<T: FromStr<Err = String>>(
    fields: &mut Fields<'_, '_, '_>,
    key: &'static str,
    example: &str,
) -> Vec<T> {
    let example = format!("{key} = [\"{example}\"]");
    fields.each(key, &example, |fields, value, at| {
        let DeValue::String(text) = value.get_ref() else {
            let message = format!("`{key}` must be an array of strings");
            fields.error(value, at, message, format!("write for example `{example}`"));
            return None;
        };
        match text.parse() {
            Ok(id) => Some(id),
            Err(reason) => {
                fields.error(value, at, reason, format!("write for example `{example}`"));
                None
            }
        }
    })
}

/// Reads globs.
pub(super) fn read_globs(fields: &mut Fields<'_, '_, '_>, key: &'static str) -> Vec<String> {
    let example = format!("{key} = [\"src/auth/**\"]");
    let noun = if key == "scope" { "scope" } else { "path" };
    fields.each(key, &example, |fields, value, at| {
        let DeValue::String(text) = value.get_ref() else {
            let message = format!("`{key}` must be an array of strings");
            fields.error(value, at, message, format!("write for example `{example}`"));
            return None;
        };
        match Glob::parse(text) {
            Ok(_) => Some(text.to_string()),
            Err((what, help)) => {
                let text = text.escape_debug();
                fields.error(value, at, format!("`{text}` is no {noun}: {what}"), help);
                None
            }
        }
    })
}

fn read_deliverables(fields: &mut Fields<'_, '_, '_>) -> Vec<String> {
    let example = "deliverables = [\"src/auth/schema.sql\"]";
    fields.each("deliverables", example, |fields, value, at| {
        let DeValue::String(text) = value.get_ref() else {
            let message = "`deliverables` must be an array of strings";
            fields.error(value, at, message, format!("write for example `{example}`"));
            return None;
        };
        let path = text.strip_suffix('/').unwrap_or(text);
        let wrong = if path.is_empty() || path.contains(char::is_control) {
            "is no path"
        } else if path.starts_with('/') {
            "is not relative to the top of the repository"
        } else if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            "has an empty part, `.` or `..` in it"
        } else if path.contains('*') {
            "is a glob; a deliverable is one file"
        } else {
            return Some(text.to_string());
        };
        let shown = text.escape_debug();
        fields.error(
            value,
            at,
            format!("the deliverable `{shown}` {wrong}"),
            "write a path as `git ls-files` shows it, for example `src/auth/schema.sql`",
        );
        None
    })
}

fn read_criterion<'d>(
    fields: &mut Fields<'_, '_, 'd>,
    value: &'d Spanned<DeValue<'d>>,
    at: &str,
) -> Option<Criterion> {
    let help = "write a command, for example `\"cargo test\"`, or `{ text = \"…\", run = \"…\" }`";
    let criterion = match value.get_ref() {
        DeValue::String(run) => Criterion {
            text: None,
            run: Some(run.to_string()),
        },
        DeValue::Table(_) => fields.table_of(value, at, "", |mut fields| {
            let criterion = Criterion {
                text: fields.line("text"),
                run: fields.script("run"),
            };
            fields.finish();
            criterion
        })?,
        _ => {
            let message = "`success` must be an array of commands or tables";
            fields.error(value, at, message, help);
            return None;
        }
    };
    let says = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
    if !says(&criterion.text) && !says(&criterion.run) {
        fields.error(value, at, "the criterion says nothing", help);
        return None;
    }
    Some(criterion)
}

fn read_after(fields: &mut Fields<'_, '_, '_>) -> Vec<Dependency> {
    let example = "after = [\"auth-schema\"]";
    let mut seen = BTreeSet::new();
    fields.each("after", example, |fields, value, at| {
        let (text, coupling) = match value.get_ref() {
            DeValue::String(text) => (text.to_string(), Coupling::default()),
            DeValue::Table(_) => {
                let read = fields.table_of(value, at, "", |mut fields| {
                    let task = fields.required_line("task", "task = \"auth-schema\"");
                    let coupling = fields.word("coupling", &COUPLINGS);
                    fields.finish();
                    (task, coupling.unwrap_or_default())
                })?;
                (read.0?, read.1)
            }
            _ => {
                let help =
                    format!("write `{example}` or `{{ task = \"…\", coupling = \"tight\" }}`");
                fields.error(value, at, "`after` must be an array of task ids", help);
                return None;
            }
        };
        match text.parse::<TaskId>() {
            Ok(task) if !seen.insert(task.clone()) => {
                let message = format!("task {task} is named twice");
                fields.error(value, at, message, "take one of them out");
                None
            }
            Ok(task) => Some(Dependency { task, coupling }),
            Err(reason) => {
                fields.error(value, at, reason, "write the id of another task");
                None
            }
        }
    })
}
