//! A plan as text again: what `plan show` prints and `plan check` accepts.

use crate::ledger::files::render;
use crate::model::{Level, Limits, Plan, RunSpec, TaskSpec};

/// Renders a plan as a `plan.toml` that reads back as the same plan.
pub fn render_plan(plan: &Plan) -> String {
    let mut text = render_head(plan);
    for task in &plan.tasks {
        text.push_str(&format!("\n[[tasks]]\n{}", render_task(task)));
    }
    text
}

/// Renders everything but the tasks.
pub(super) fn render_head(plan: &Plan) -> String {
    let mut text = String::from("[run]\n");
    text.push_str(&render_run(&plan.run));
    for (name, profile) in &plan.agents {
        let key = toml_edit::Key::new(name);
        let env = format!("[agents.{key}.env]");
        let body = render(profile).replace("[env]", &env);
        text.push_str(&format!("\n[agents.{key}]\n{body}"));
    }
    for level in Level::ALL {
        if let Some(spec) = plan.levels.get(level) {
            text.push_str(&format!("\n[levels.{}]\n{}", level.as_str(), render(spec)));
        }
    }
    for check in &plan.wrapup {
        text.push_str(&format!("\n[[wrapup]]\n{}", render(check)));
    }
    for lock in &plan.locks {
        text.push_str(&format!("\n[[locks]]\n{}", render(lock)));
    }
    for phase in &plan.phases {
        text.push_str(&format!("\n[[phases]]\n{}", render(phase)));
    }
    for team in &plan.teams {
        text.push_str(&format!("\n[[teams]]\n{}", render(team)));
    }
    text
}

fn render_run(run: &RunSpec) -> String {
    let mut text = render(run);
    let limits = run.limits == Limits::default();
    match text.find("[limits]") {
        // The limits are the last key, and what everybody has need not be said.
        Some(at) if limits => text.truncate(at),
        Some(at) => text.replace_range(at..at + "[limits]".len(), "[run.limits]"),
        None => {}
    }
    text.trim_end().to_owned() + "\n"
}

/// Renders a task; tables within it are inline, so that it can stand in an array of tables.
pub fn render_task(task: &TaskSpec) -> String {
    let value = toml_edit::ser::to_document(task).expect("our values have text keys");
    let mut document = value;
    for (_, item) in document.iter_mut() {
        let taken = std::mem::take(item);
        *item = match taken.into_value() {
            Ok(value) => toml_edit::Item::Value(value),
            Err(item) => item,
        };
    }
    document.to_string()
}
