//! From a profile to a command line and an environment.
//!
//! `{task}`, `{worktree}` and the like stand for values. In a string, which `sh` runs, a value is quoted for
//! the place that it stands in, so that a path with spaces or quotes stays one word. `{{name}}` is the text
//! `{name}`; `${name}` and anything in braces that is no bare word belong to the shell.

use std::ffi::OsString;

use crate::error::UserError;
use crate::git::environment::{PARAMETERS, parameters_with};
use crate::model::identity;
use crate::model::template::{PLACEHOLDERS, Piece, pieces};
use crate::model::{Command, MachineId};

use super::Briefing;

/// Returns the command line of an attempt's agent.
///
/// # Errors
///
/// The profile has no command, an unknown preset or placeholder, or a preset needs what the task lacks.
pub fn command_line(briefing: &Briefing) -> Result<Command, UserError> {
    let profile = &briefing.profile;
    let name = &briefing.profile_name;
    match (&profile.command, profile.preset.as_deref()) {
        (Some(Command::Shell(script)), None) => fill_script(script, briefing).map(Command::Shell),
        (Some(Command::Argv(words)), None) => words
            .iter()
            .map(|word| fill(word, briefing, &mut |value| value))
            .collect::<Result<_, _>>()
            .map(Command::Argv),
        (None, Some("shell")) => match &briefing.spec.run {
            Some(run) => {
                let words = ["sh", "-e", "-c", run.as_str()];
                Ok(Command::Argv(words.map(str::to_owned).into()))
            }
            None => Err(UserError::new(format!(
                "task {} has no `run`, which the preset `shell` of profile {name} needs",
                briefing.work.task
            ))),
        },
        (None, Some(other)) => Err(UserError::new(format!(
            "profile {name} names the preset `{other}`, which there is not; there is `shell`"
        ))),
        (Some(_), Some(_)) => Err(UserError::new(format!(
            "profile {name} has both `command` and `preset`; one of them must go"
        ))),
        (None, None) => Err(UserError::new(format!(
            "profile {name} has neither `command` nor `preset`"
        ))),
    }
}

/// Returns what is added to the environment of an attempt's agent.
///
/// Identity and settings are set here besides the worktree's configuration, which a user's own
/// `GIT_AUTHOR_NAME` and `git -c` would override.
pub fn environment(
    briefing: &Briefing,
    machine: &MachineId,
    settings: &[(&str, String)],
) -> Vec<(OsString, OsString)> {
    let Briefing {
        work, files, spec, ..
    } = briefing;
    let mut variables: Vec<(OsString, OsString)> = briefing
        .profile
        .env
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let mut set = |name: &str, value: OsString| variables.push((name.into(), value));
    let (author, address) = identity::of_agent(work.agent, machine);
    for role in ["AUTHOR", "COMMITTER"] {
        set(&format!("GIT_{role}_NAME"), author.clone().into());
        set(&format!("GIT_{role}_EMAIL"), address.clone().into());
    }
    // Sixteen agents would each start Git's housekeeping, which is then ended with them half-way.
    let mut all = vec![("gc.auto", "0"), ("maintenance.auto", "false")];
    all.extend(settings.iter().map(|(key, value)| (*key, value.as_str())));
    set(PARAMETERS, parameters_with(&all));
    set("ORCH_PROGRAM", briefing.program.clone().into());
    set("ORCH_AGENT", work.agent.to_string().into());
    set("ORCH_TASK", work.task.to_string().into());
    set("ORCH_ATTEMPT", work.attempt.to_string().into());
    set("ORCH_WORKTREE", work.worktree.clone().into());
    set("ORCH_PROMPT_FILE", files.prompt().into());
    set("ORCH_RESULT_FILE", files.result().into());
    set("ORCH_TASK_RUN", spec.run.clone().unwrap_or_default().into());
    set("ORCH_MODEL", briefing.model.clone().into());
    set("ORCH_BRANCH", work.branch.clone().into());
    if briefing.findings.is_some() {
        set("ORCH_FINDINGS_FILE", files.findings().into());
    }
    variables
}

fn value(name: &str, briefing: &Briefing) -> Option<String> {
    let Briefing { work, files, .. } = briefing;
    Some(match name {
        "prompt_file" => files.prompt().display().to_string(),
        "task" => work.task.to_string(),
        "worktree" => work.worktree.display().to_string(),
        "model" => briefing.model.clone(),
        "agent" => work.agent.to_string(),
        "attempt" => work.attempt.to_string(),
        "branch" => work.branch.clone(),
        "result_file" => files.result().display().to_string(),
        _ => return None,
    })
}

fn fill(
    template: &str,
    briefing: &Briefing,
    quote: &mut dyn FnMut(String) -> String,
) -> Result<String, UserError> {
    let mut filled = String::new();
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Name(name) => {
                let value = value(name, briefing).ok_or_else(|| unknown(name, briefing))?;
                filled.push_str(&quote(value));
            }
        }
    }
    Ok(filled)
}

fn fill_script(script: &str, briefing: &Briefing) -> Result<String, UserError> {
    let mut filled = String::new();
    let mut quoting = Quoting::None;
    for piece in pieces(script) {
        match piece {
            Piece::Text(text) => {
                quoting = quoting.after(text);
                filled.push_str(text);
            }
            Piece::Name(name) => {
                let value = value(name, briefing).ok_or_else(|| unknown(name, briefing))?;
                filled.push_str(&quoting.quote(&value));
            }
        }
    }
    Ok(filled)
}

fn unknown(name: &str, briefing: &Briefing) -> UserError {
    UserError::new(format!(
        "the command of profile {} names {{{name}}}, which there is not; there are {}, and {{{{{name}}}}} is \
         the text itself",
        briefing.profile_name,
        PLACEHOLDERS.map(|known| format!("{{{known}}}")).join(" ")
    ))
}

/// Returns a value as one word of a shell's.
pub(super) fn shell_word(value: &str) -> String {
    Quoting::None.quote(value)
}

/// Which quotes of the shell a place stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quoting {
    None,
    Single,
    Double,
}

impl Quoting {
    fn after(mut self, text: &str) -> Self {
        let mut escaped = false;
        for c in text.chars() {
            if escaped {
                escaped = false;
                continue;
            }
            self = match (self, c) {
                (Self::None | Self::Double, '\\') => {
                    escaped = true;
                    self
                }
                (Self::None, '\'') => Self::Single,
                (Self::None, '"') => Self::Double,
                (Self::Single, '\'') | (Self::Double, '"') => Self::None,
                _ => self,
            };
        }
        self
    }

    fn quote(self, value: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
        match self {
            Self::None if !value.is_empty() && value.chars().all(plain) => value.to_owned(),
            Self::None => format!("'{}'", Self::Single.quote(value)),
            Self::Single => value.replace('\'', "'\\''"),
            Self::Double => value.chars().fold(String::new(), |mut quoted, c| {
                if matches!(c, '\\' | '"' | '$' | '`') {
                    quoted.push('\\');
                }
                quoted.push(c);
                quoted
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::agents::prompt::tests::briefing;
    use crate::process::{self, Spec};

    fn line(command: Command) -> Result<Command, String> {
        let mut briefing = briefing();
        briefing.profile.command = Some(command);
        command_line(&briefing).map_err(|error| error.message)
    }

    fn words(words: &[&str]) -> Command {
        Command::Argv(words.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn words_are_filled_and_never_split() {
        let filled = line(words(&["x", "--cd={worktree}", "{task}/{attempt}"])).unwrap();
        let expected = words(&["x", "--cd=/somewhere/app.orch/it's 1.2", "auth-schema/2"]);
        assert_eq!(filled, expected);
    }

    #[test]
    fn the_shell_sees_each_value_as_it_is_wherever_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let mut briefing = briefing();
        briefing.model = String::from("a \"b\" $HOME `c` \\ 'd'");
        briefing.profile.command = Some(Command::Shell(String::from(
            "printf '%s\\n' {model} \"<{model}>\" '<{model}>' x{agent}",
        )));
        let ended = process::run(&Spec {
            command: command_line(&briefing).unwrap(),
            dir: dir.path().to_owned(),
            env: Vec::new(),
            stdin: None,
            log: dir.path().join("log"),
            wall: Duration::from_secs(20),
            idle: None,
            mark: crate::clock::new_op_id().0,
            jobserver: None,
        });
        let model = &briefing.model;
        assert_eq!(
            ended.unwrap().tail,
            format!("{model}\n<{model}>\n<{model}>\nx1.2\n")
        );
    }

    #[test]
    fn braces_of_the_shell_stay() {
        for script in [
            "echo ${task} ${x:-y} {a,b} { ls; } {} {1} {A}",
            "f() { {task_; }",
        ] {
            assert_eq!(
                line(Command::Shell(script.to_owned())),
                Ok(Command::Shell(script.to_owned()))
            );
        }
        assert_eq!(
            line(Command::Shell(String::from(
                "awk '{{print}}' {task} '{{.State}}'"
            ))),
            Ok(Command::Shell(String::from(
                "awk '{print}' auth-schema '{{.State}}'"
            )))
        );
    }

    #[test]
    fn an_unknown_name_is_refused_by_name() {
        let error = line(Command::Shell(String::from("x {promptfile}"))).unwrap_err();
        assert!(
            error.contains("names {promptfile}, which there is not"),
            "{error}"
        );
        assert!(error.contains("{prompt_file}"), "{error}");
    }

    #[test]
    fn the_shell_preset_runs_the_tasks_own_script() {
        let mut briefing = briefing();
        briefing.profile.preset = Some(String::from("shell"));
        let error = command_line(&briefing).unwrap_err().message;
        assert!(
            error.starts_with("task auth-schema has no `run`"),
            "{error}"
        );
        briefing.spec.run = Some(String::from("exit 3"));
        assert_eq!(
            command_line(&briefing).unwrap(),
            words(&["sh", "-e", "-c", "exit 3"])
        );
        briefing.profile.preset = Some(String::from("robot"));
        assert!(command_line(&briefing).is_err());
    }
}
