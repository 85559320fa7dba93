//! Turns a [`Spec`] into a running child.

#![expect(
    clippy::disallowed_methods,
    reason = "this module spawns agents and tests, and scrubs their environment"
)]

use std::fs::File;
use std::io::PipeReader;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::process::{Child, Command};

use super::{MARK_VARIABLE, Spec};
use crate::config;
use crate::git::environment;
use crate::model;

/// Starts the child and returns it with the end of the pipe that both its output streams go into.
///
/// The child is the leader of its own process group, so that Ctrl-C at the terminal reaches us alone.
pub(super) fn spawn(spec: &Spec) -> Result<(Child, PipeReader)> {
    let mut command = base(spec)?;
    command.current_dir(&spec.dir).process_group(0);
    for name in environment::hidden_from_children() {
        command.env_remove(name);
    }
    command.envs(spec.env.iter().map(|(name, value)| (name, value)));
    let marks = config::process_marks().map_or_else(
        || spec.mark.clone(),
        |outer| format!("{outer}/{}", spec.mark),
    );
    command.env(MARK_VARIABLE, marks);
    if let Some(jobserver) = &spec.jobserver {
        jobserver.configure(command.as_std_mut());
    }
    let stdin = match &spec.stdin {
        Some(path) => File::open(path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .into(),
        None => Stdio::null(),
    };
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let second = writer.try_clone().context("cannot make a pipe")?;
    command.stdin(stdin).stdout(writer).stderr(second);
    // A future that is dropped half-way must not leave the child behind unwatched.
    command.kill_on_drop(true);
    let child = command.spawn();
    if child.is_err() && !spec.dir.is_dir() {
        bail!("there is no directory {}", spec.dir.display());
    }
    let child = child.with_context(|| format!("cannot start {}", shown(&spec.command)))?;
    Ok((child, reader))
}

fn base(spec: &Spec) -> Result<Command> {
    Ok(match &spec.command {
        model::Command::Shell(script) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(script);
            command
        }
        model::Command::Argv(words) => {
            let Some((program, arguments)) = words.split_first() else {
                bail!("the command is empty");
            };
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
    })
}

fn shown(command: &model::Command) -> String {
    match command {
        model::Command::Shell(script) => format!("sh for `{script}`"),
        model::Command::Argv(words) => format!("`{}`", words.join(" ")),
    }
}
