//! Work: every task says what is to be done, how that is seen, and what does it.

use std::collections::HashMap;

use super::super::fields::Notes;
use super::super::finding::{Severity, nearest};
use crate::model::{Plan, TaskSpec, TeamId, TeamSpec};

pub(super) fn check(plan: &Plan, notes: &mut Notes<'_>) {
    let teams: HashMap<TeamId, &TeamSpec> = plan.teams.iter().map(|team| (team.id, team)).collect();
    for (i, task) in plan.tasks.iter().enumerate() {
        if task.run.is_none() && is_run_by_shell(plan, &teams, task) {
            notes.at(
                Severity::Error,
                &format!("tasks[{i}].run"),
                format!(
                    "there is nothing to run for task `{}`: its agent is the preset `shell`",
                    task.id
                ),
                "write its script as `run = \"…\"`, or an agent's `command` in `[agents.default]`",
            );
        }
        if task.success.is_empty() {
            notes.at(
                Severity::Warning,
                &format!("tasks[{i}].success"),
                format!("task `{}` does not say how its success is seen", task.id),
                "write commands that must pass, for example `success = [\"cargo test\"]`",
            );
        }
        if task.deliverables.is_empty() && task.success.is_empty() {
            notes.at(
                Severity::Warning,
                &format!("tasks[{i}].deliverables"),
                format!("task `{}` does not say what it delivers", task.id),
                "list the files, for example `deliverables = [\"src/auth/schema.sql\"]`",
            );
        }
        model(
            plan,
            task.model.as_deref(),
            &format!("tasks[{i}].model"),
            notes,
        );
    }
    for (i, team) in plan.teams.iter().enumerate() {
        model(
            plan,
            team.model.as_deref(),
            &format!("teams[{i}].model"),
            notes,
        );
    }
    for (name, profile) in &plan.agents {
        let key = format!("agents.{name}.model");
        model(plan, profile.model.as_deref(), &key, notes);
    }
}

/// Returns whether a task's agent is the built-in one that runs the task's own script.
fn is_run_by_shell(plan: &Plan, teams: &HashMap<TeamId, &TeamSpec>, task: &TaskSpec) -> bool {
    let of_team = teams.get(&task.team).and_then(|team| team.agent.as_deref());
    let name = task.agent.as_deref().or(of_team).unwrap_or("default");
    match plan.agents.get(name) {
        // A profile that is neither is told where it stands.
        Some(profile) => profile.preset.as_deref() == Some("shell") && profile.command.is_none(),
        None => name == "default",
    }
}

/// A tier without a limit is allowed; one that looks like a slip of another is told.
fn model(plan: &Plan, name: Option<&str>, key: &str, notes: &mut Notes<'_>) {
    let Some(name) = name else { return };
    let tiers = || plan.run.limits.0.keys().map(String::as_str);
    if tiers().any(|tier| tier == name) {
        return;
    }
    if let Some(near) = nearest(name, tiers()) {
        notes.at(
            Severity::Warning,
            key,
            format!("the model tier `{name}` has no limit in `[run.limits]`"),
            format!("write `{near}`, or add `{name}` to `[run.limits]`"),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::check_text;

    #[test]
    fn a_command_that_must_pass_or_a_file_that_must_be_there_will_do() {
        // A repair delivers no file of its own.
        for said in ["success = [\"true\"]", "deliverables = [\"a/b\"]", ""] {
            let text =
                format!("[[tasks]]\nid = \"a\"\ntitle = \"a\"\nscope = [\"a/**\"]\n{said}\n");
            let findings = check_text(text.as_bytes(), "stem").findings;
            let warned = findings
                .iter()
                .any(|found| found.message.contains("delivers"));
            assert_eq!(warned, said.is_empty(), "{text}");
        }
    }
}
