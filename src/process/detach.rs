//! Starts a program that outlives this process and that nobody waits for.

#![expect(
    clippy::disallowed_methods,
    reason = "this module spawns, and scrubs the environment"
)]

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::git::environment;

/// Starts a program without input and output, out of reach of Ctrl-C at the terminal.
///
/// # Errors
///
/// It cannot be started.
pub fn begin(program: &Path, args: &[OsString]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(args).process_group(0);
    for name in environment::hidden_from_children() {
        command.env_remove(name);
    }
    for stream in [Command::stdin, Command::stdout, Command::stderr] {
        stream(&mut command, Stdio::null());
    }
    let started = command.spawn();
    // It is left to run; when it ends after us, init takes note of it.
    started
        .map(drop)
        .with_context(|| format!("cannot start {}", program.display()))
}
