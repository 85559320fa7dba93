//! `git orch sandboxed`: restricts itself and becomes another program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Ctx;
use crate::error::UserError;
use crate::process::{inherit, landlock};

/// Run a command that can write some paths only; called by executors in front of an agent
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct SandboxedArgs {
    /// Path that it may write, with all below it; may be given more than once
    #[arg(long, value_name = "PATH")]
    write: Vec<PathBuf>,
    /// Keep it from TCP connections
    #[arg(long)]
    no_network: bool,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// Runs the command.
///
/// # Errors
///
/// The kernel cannot restrict it, or it cannot be started; then nothing was run.
#[expect(
    clippy::needless_pass_by_value,
    reason = "commands own their arguments"
)]
pub fn run(_ctx: &Ctx, args: SandboxedArgs) -> Result<()> {
    landlock::restrict(&args.write, !args.no_network).map_err(|error| {
        error.context(
            UserError::new("the sandbox cannot be put up, so the command is not run")
                .hint("git orch doctor"),
        )
    })?;
    let Some((program, rest)) = args.command.split_first() else {
        return Err(UserError::new("no command is given").into());
    };
    inherit::turn_into(Path::new(program), rest, None)
}
