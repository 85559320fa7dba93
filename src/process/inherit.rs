//! Runs a program in this process's place: same terminal, same environment, Git's variables included.
//!
//! For hooks that were there before ours, which must see what Git gave to ours, and for sandboxes, whose
//! environment was put together by who starts them.

#![expect(
    clippy::disallowed_methods,
    reason = "nothing is scrubbed here, on purpose"
)]

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

/// Runs a program to its end and returns its exit code, or 128 and the signal's number.
///
/// # Errors
///
/// It cannot be started.
pub fn run(program: &Path, args: &[OsString], stdin: Option<File>) -> Result<i32> {
    let again = stdin.as_ref().map(File::try_clone).transpose()?;
    let status = match command(program, args, stdin).status() {
        Err(error) if is_no_binary(&error) => by_shell(program, args, again).status(),
        other => other,
    };
    let status = status.with_context(|| format!("cannot run {}", program.display()))?;
    let signal = || 128 + status.signal().unwrap_or_default();
    Ok(status.code().unwrap_or_else(signal))
}

/// Becomes a program; returns only if that fails.
///
/// # Errors
///
/// It cannot be started.
pub fn turn_into(program: &Path, args: &[OsString], stdin: Option<File>) -> Result<()> {
    let again = stdin.as_ref().map(File::try_clone).transpose()?;
    let mut error = command(program, args, stdin).exec();
    if is_no_binary(&error) {
        error = by_shell(program, args, again).exec();
    }
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

fn command(program: &Path, args: &[OsString], stdin: Option<File>) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    if let Some(stdin) = stdin {
        command.stdin(stdin);
    }
    command
}

/// Git runs a hook without `#!` by the shell.
fn by_shell(program: &Path, args: &[OsString], stdin: Option<File>) -> Command {
    let mut command = command(Path::new("sh"), &[], stdin);
    command.arg(program).args(args);
    command
}

fn is_no_binary(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error())
}
