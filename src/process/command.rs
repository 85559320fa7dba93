//! Turns a [`Spec`] into a running child.

#![expect(
    clippy::disallowed_methods,
    reason = "this module spawns agents and tests, and scrubs their environment"
)]

use std::any::Any;
use std::fs::File;
use std::io::PipeReader;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use process_wrap::tokio::{CommandWrap, ProcessSession};
use tokio::process::{Child, Command};

use super::{MARK_VARIABLE, Spec};
use crate::config;
use crate::git::environment;
use crate::model;

/// Starts the child and returns it with the end of the pipe that both its output streams go into.
///
/// The child leads a session of its own without a terminal: Ctrl-C reaches us alone, and it can neither open
/// `/dev/tty` nor type into the shell of the person who started us.
pub(super) fn spawn(spec: &Spec) -> Result<(Child, PipeReader)> {
    let mut command = base(spec)?;
    command.current_dir(&spec.dir);
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
    let child = in_session(command);
    if child.is_err() && !spec.dir.is_dir() {
        bail!("there is no directory {}", spec.dir.display());
    }
    let child = child.with_context(|| format!("cannot start {}", shown(&spec.command)))?;
    Ok((child, reader))
}

/// Starts a command as the leader of a new session, whose process group is its own.
fn in_session(command: Command) -> std::io::Result<Child> {
    let mut wrapped = CommandWrap::from(command);
    wrapped.wrap(ProcessSession);
    // What waits for the whole group is ours already; the plain child is all that is wanted.
    let child: Box<dyn Any> = wrapped.spawn()?.into_inner();
    let child = child.downcast::<Child>();
    child
        .map(|child| *child)
        .map_err(|_| std::io::Error::other("the child is of an unknown kind"))
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
