//! From text to [`Plan`]: every key is known, of the right type and within its bounds.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fields::{Fields, Notes};
use super::finding::{Finding, Severity, nearest};
use super::read_gate::read_gate;
use super::read_levels::read_levels;
use super::read_locks::read_lock;
use super::read_sandbox::{read_network, read_sandbox, read_writable};
use super::read_task::read_task_fields;
use super::read_wrapup::{ENDS, read_wrapup};
use crate::model::keep;
use crate::model::lines::plain_lines;
use crate::model::spec::DEFAULT_CODERS;
use crate::model::suite::Format;
use crate::model::template::{PLACEHOLDERS, unknown_names};
use crate::model::train::obtained::Confirm;
use crate::model::{
    CoderSpec, Command, CommitBy, DoneSign, Limits, PhaseName, PhaseSpec, Plan, Profile, RunSpec,
    Signing, TaskId, TaskSpec, TeamId, TeamSpec,
};

const SIGNINGS: [(&str, Signing); 2] = [("ssh", Signing::Ssh), ("off", Signing::Off)];

/// What came of reading a text.
#[derive(Debug)]
pub struct Checked {
    /// The plan, where nothing is wrong with it.
    pub plan: Option<Plan>,
    /// Everything that was found, in the order of the text.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// Returns the number of errors and of warnings.
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.findings.iter();
        let errors = errors.filter(|found| found.severity == Severity::Error);
        let errors = errors.count();
        (errors, self.findings.len() - errors)
    }
}

/// A plan as far as it could be read, with what its own keys do not say.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) plan: Plan,
    /// Whether a team, phase or profile could not be read, so that an unknown one may be that.
    pub(super) unsure: Unsure,
}

/// Kinds of parts of which some could not be read.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Unsure {
    pub(super) teams: bool,
    pub(super) phases: bool,
}

/// A team that could not be read; everything about it has been noted.
pub(super) const NO_TEAM: TeamId = TeamId(0);

/// Parses a text as TOML; what is no TOML is noted.
pub(super) fn parse<'t>(text: &'t str, notes: &mut Notes<'_>) -> Option<DeTable<'t>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().trim().replace('\n', "; ");
        let help = "mend the TOML: strings need quotes, tables `[name]`, lists `[…]`";
        notes.note(Severity::Error, &span, "", message, help);
    }
    errors.is_empty().then(|| table.into_inner())
}

/// Reads the whole plan.
pub(super) fn read_plan(table: &DeTable<'_>, notes: &mut Notes<'_>, stem: &str) -> Draft {
    let mut root = Fields::new(notes, table, 0..0, String::new(), String::new());
    let run = root.table("run", |fields| read_run(fields, stem));
    let run = run.unwrap_or_else(|| RunSpec {
        name: stem.to_owned(),
        ..RunSpec::default()
    });
    let agents = root.table("agents", read_agents).unwrap_or_default();
    let levels = root.table("levels", read_levels).unwrap_or_default();
    let wrapup = root.tables("wrapup", |fields, _| read_wrapup(fields));
    let phases = root.tables("phases", |fields, _| read_phase(fields));
    let teams = root.tables("teams", |fields, _| read_team(fields));
    let default_team = if root.lists("teams") {
        None
    } else {
        Some(TeamId(1))
    };
    let locks = root.tables("locks", read_lock);
    let tasks = root.tables("tasks", |fields, i| {
        read_task_fields(fields, i, default_team)
    });
    let has = (root.lists("phases"), root.lists("teams"), root.has("tasks"));
    root.finish();
    let unsure = Unsure {
        teams: teams.iter().any(|team| team.id == NO_TEAM) || (has.1 && teams.is_empty()),
        phases: phases.iter().any(|phase| phase.name.0.is_empty()) || (has.0 && phases.is_empty()),
    };
    if !has.2 {
        notes.note(
            Severity::Warning,
            &(0..0),
            "tasks",
            "the plan has no tasks",
            "add `[[tasks]]` with an `id` and a `title`",
        );
    }
    let mut plan = Plan {
        run,
        agents,
        levels,
        wrapup: wrapup.into_iter().flatten().collect(),
        phases,
        teams,
        locks: locks.into_iter().flatten().collect(),
        tasks,
    };
    fill(&mut plan, has.0, has.1);
    Draft { plan, unsure }
}

/// Fills in what the smallest forms leave out: one team, one phase.
fn fill(plan: &mut Plan, has_phases: bool, has_teams: bool) {
    if !has_teams {
        plan.teams = vec![TeamSpec {
            id: TeamId(1),
            name: String::new(),
            coders: DEFAULT_CODERS,
            parent: None,
            agent: None,
            model: None,
            skills: Vec::new(),
            agents: Vec::new(),
        }];
    }
    if !has_phases {
        plan.phases = vec![PhaseSpec {
            name: PhaseName(String::from("main")),
            teams: plan.teams.iter().map(|team| team.id).collect(),
            after: Vec::new(),
        }];
    }
}

fn read_run(mut fields: Fields<'_, '_, '_>, stem: &str) -> RunSpec {
    let default = RunSpec::default();
    let limits = fields.table("limits", |mut fields| {
        let mut limits = Limits::default();
        let keys: Vec<_> = fields.keys().collect();
        for (tier, _) in keys {
            if let Some(value) = fields.take_any(tier)
                && let Some(most) = fields.number_of(value, tier, 1, 1_000_000)
            {
                limits
                    .0
                    .insert(tier.to_owned(), u32::try_from(most).unwrap_or(u32::MAX));
            }
        }
        limits
    });
    let gate = fields.table("gate", read_gate);
    let run = RunSpec {
        name: fields.line("name").unwrap_or_else(|| stem.to_owned()),
        goal: fields.text("goal").unwrap_or_default(),
        base: fields.line("base"),
        test: fields.script("test"),
        retries: fields.count("retries", 0).unwrap_or(default.retries),
        timeout: fields.duration("timeout").unwrap_or(default.timeout),
        idle_timeout: fields
            .duration("idle_timeout")
            .unwrap_or(default.idle_timeout),
        lease: fields.duration("lease").unwrap_or(default.lease),
        test_timeout: fields
            .duration("test_timeout")
            .unwrap_or(default.test_timeout),
        test_format: fields.word("test_format", &Format::ALL.map(|f| (f.as_str(), f))),
        test_build: fields.script("test_build"),
        test_some: fields.script("test_some"),
        test_reports: fields.texts("test_reports", "[\"target/**/junit.xml\"]"),
        test_retries: fields
            .count("test_retries", 0)
            .unwrap_or(default.test_retries),
        test_environment: fields.line("test_environment"),
        test_jobs: fields.count("test_jobs", 1),
        keep: read_keep(&mut fields),
        confirm: fields.word("confirm", &Confirm::ALL).unwrap_or_default(),
        trust_coder_tests: fields.flag("trust_coder_tests").unwrap_or_default(),
        signing: fields.word("signing", &SIGNINGS),
        jobs: fields.count("jobs", 1),
        wrapup: fields.word("wrapup", &ENDS),
        gate: gate.unwrap_or_default(),
        limits: limits.unwrap_or_default(),
        sandbox: read_sandbox(&mut fields).unwrap_or_default(),
        sandbox_write: read_writable(&mut fields),
        sandbox_network: read_network(&mut fields),
    };
    fields.finish();
    run
}

/// Reads `keep`: patterns as in `.gitignore`.
fn read_keep(fields: &mut Fields<'_, '_, '_>) -> Vec<String> {
    let mut patterns = fields.texts("keep", "target/");
    patterns.retain(|pattern| {
        let wrong = keep::wrong_with(pattern);
        if let Some((what, help)) = &wrong {
            let message = format!("`{}` keeps nothing: {what}", pattern.escape_default());
            fields.error_here("keep", message, help);
        }
        wrong.is_none()
    });
    patterns
}

fn read_agents(mut fields: Fields<'_, '_, '_>) -> BTreeMap<String, Profile> {
    let mut agents = BTreeMap::new();
    let keys: Vec<_> = fields.keys().collect();
    for (name, _) in keys {
        let Some(value) = fields.take_any(name) else {
            continue;
        };
        let example = format!("[agents.{name}]");
        if let Some(profile) = fields.table_of(value, name, &example, read_profile) {
            agents.insert(name.to_owned(), profile);
        }
    }
    agents
}

fn read_profile(mut fields: Fields<'_, '_, '_>) -> Profile {
    let command = read_command(&mut fields);
    let preset = fields.word("preset", &[("shell", "shell")]);
    let has = (fields.has("command"), fields.has("preset"));
    match has {
        (true, true) => fields.error_here(
            "preset",
            "a profile has either `command` or `preset`, not both",
            "take one of them out",
        ),
        (false, false) => fields.error_here(
            "command",
            "the profile says neither `command` nor `preset`",
            "write `preset = \"shell\"`, or the agent's `command`",
        ),
        _ => {}
    }
    let env = fields.table("env", read_env);
    let profile = Profile {
        command,
        preset: preset.map(str::to_owned),
        model: fields.line("model"),
        commit: fields
            .word(
                "commit",
                &[("executor", CommitBy::Executor), ("agent", CommitBy::Agent)],
            )
            .unwrap_or_default(),
        done: fields
            .word(
                "done",
                &[
                    ("exit", DoneSign::Exit),
                    ("sentinel", DoneSign::Sentinel),
                    ("result", DoneSign::Result),
                ],
            )
            .unwrap_or_default(),
        timeout: fields.duration("timeout"),
        idle_timeout: fields.duration("idle_timeout"),
        env: env.unwrap_or_default(),
        sandbox: read_sandbox(&mut fields),
        sandbox_write: read_writable(&mut fields),
        sandbox_network: read_network(&mut fields),
    };
    fields.finish();
    profile
}

fn read_env(mut fields: Fields<'_, '_, '_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let keys: Vec<_> = fields.keys().collect();
    for (name, _) in keys {
        let Some(value) = fields.take_any(name) else {
            continue;
        };
        match value.get_ref() {
            DeValue::String(text) if !text.contains('\0') => {
                env.insert(name.to_owned(), text.to_string());
            }
            _ => fields.error(
                value,
                name,
                format!("the variable `{name}` must be a string"),
                format!("write `{name} = \"…\"`"),
            ),
        }
        if name.is_empty() || name.contains(['=', '\0']) {
            fields.error(
                value,
                name,
                format!("`{}` is no name of a variable", name.escape_default()),
                "use letters, digits and `_`",
            );
        }
    }
    env
}

fn read_command(fields: &mut Fields<'_, '_, '_>) -> Option<Command> {
    let value = fields.take("command")?;
    let help = "write `command = \"my-agent {prompt_file}\"` or `command = [\"my-agent\", \"{prompt_file}\"]`";
    let word = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) if !text.contains('\0') => Some(text.to_string()),
        _ => None,
    };
    let command = match value.get_ref() {
        DeValue::String(text) => Some(Command::Shell(text.to_string())),
        DeValue::Array(array) => {
            let words: Option<Vec<String>> = array.iter().map(word).collect();
            words.map(Command::Argv)
        }
        _ => None,
    };
    let is_empty = match &command {
        Some(Command::Shell(text)) => text.trim().is_empty(),
        Some(Command::Argv(words)) => words.first().is_none_or(|word| word.trim().is_empty()),
        None => false,
    };
    if command.is_none() {
        fields.error(
            value,
            "command",
            "`command` must be a string or an array of strings",
            help,
        );
    } else if is_empty {
        fields.error(value, "command", "`command` is empty", help);
    }
    let templates = match &command {
        Some(Command::Shell(text)) => std::slice::from_ref(text),
        Some(Command::Argv(words)) => words.as_slice(),
        None => &[],
    };
    for name in templates
        .iter()
        .flat_map(|template| unknown_names(template))
    {
        let known = PLACEHOLDERS.map(|known| format!("{{{known}}}")).join(" ");
        let help = match nearest(name, PLACEHOLDERS) {
            Some(meant) => format!("write `{{{meant}}}`, or `{{{{{name}}}}}` for the text itself"),
            None => format!("there are {known}; write `{{{{{name}}}}}` for the text itself"),
        };
        let message = format!("`{{{name}}}` stands for nothing");
        fields.error(value, "command", message, help);
    }
    command
}

fn read_phase(mut fields: Fields<'_, '_, '_>) -> PhaseSpec {
    let name = fields.required_line("name", "name = \"foundation\"");
    let teams = fields.each("teams", "teams = [1, 2]", |fields, value, at| {
        read_team_id(fields, value, at)
    });
    let after = fields.texts("after", "foundation");
    fields.finish();
    PhaseSpec {
        name: PhaseName(name.unwrap_or_default()),
        teams,
        after: after.into_iter().map(PhaseName).collect(),
    }
}

/// Reads the number of a team.
pub(super) fn read_team_id(
    fields: &mut Fields<'_, '_, '_>,
    value: &Spanned<DeValue<'_>>,
    key: &str,
) -> Option<TeamId> {
    let number = fields.number_of(value, key, 1, 1_000_000)?;
    u32::try_from(number).ok().map(TeamId)
}

fn read_team(mut fields: Fields<'_, '_, '_>) -> TeamSpec {
    let id = match fields.take("id") {
        Some(value) => read_team_id(&mut fields, value, "id"),
        None => {
            fields.error_here("id", "the team has no `id`", "write for example `id = 1`");
            None
        }
    };
    let team = TeamSpec {
        id: id.unwrap_or(NO_TEAM),
        name: fields.line("name").unwrap_or_default(),
        coders: fields.count("coders", 0).unwrap_or(DEFAULT_CODERS),
        parent: fields
            .take("parent")
            .and_then(|value| read_team_id(&mut fields, value, "parent")),
        agent: fields.line("agent"),
        model: fields.line("model"),
        skills: fields.texts("skills", "sql"),
        agents: fields.tables("agents", read_coder),
    };
    fields.finish();
    team
}

/// Reads what sets one coder apart from its team.
fn read_coder(mut fields: Fields<'_, '_, '_>, _position: usize) -> CoderSpec {
    let number = fields.count("number", 1);
    if number.is_none() && !fields.has("number") {
        fields.error_here(
            "number",
            "the agent has no `number`",
            "write for example `number = 2`",
        );
    }
    let coder = CoderSpec {
        number: number.unwrap_or(1),
        role: fields.line("role"),
        skills: fields.texts("skills", "sql"),
    };
    fields.finish();
    coder
}

/// Reads the text of one task that is to be added; id and team are those given where it names none.
///
/// # Errors
///
/// Returns everything that is wrong with it.
pub fn read_task(
    text: &str,
    next_id: &TaskId,
    only_team: Option<TeamId>,
) -> Result<TaskSpec, Vec<Finding>> {
    let text = &*plain_lines(text);
    let mut notes = Notes::new(text);
    let Some(table) = parse(text, &mut notes) else {
        return Err(notes.finish());
    };
    let mut fields = Fields::new(&mut notes, &table, 0..0, String::new(), String::new());
    fields.default_id = Some(next_id.clone());
    let task = read_task_fields(fields, 0, only_team);
    let findings = notes.finish();
    let is_wrong = findings
        .iter()
        .any(|found| found.severity == Severity::Error);
    if is_wrong { Err(findings) } else { Ok(task) }
}

#[cfg(test)]
mod tests {
    use crate::plan::check_text;

    #[test]
    fn an_empty_list_says_as_much_as_none() {
        let none = check_text(b"", "x").plan.unwrap();
        let empty = check_text(b"teams = []\nphases = []\n", "x").plan.unwrap();
        assert_eq!(empty, none);
        assert_eq!(none.teams.len(), 1);
    }
}
