//! `git orch hook`: what the scripts in coders' worktrees call.

use std::ffi::OsString;

use anyhow::Result;

use super::Ctx;

/// Check what an agent is about to do; called by Git's hooks in coders' worktrees
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct HookArgs {
    /// Name of the hook
    name: String,
    /// What Git tells the hook
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Runs the command.
///
/// # Errors
///
/// The check, or the hook that was there before, refuses.
#[expect(
    clippy::needless_pass_by_value,
    reason = "commands own their arguments"
)]
pub fn run(ctx: &Ctx, args: HookArgs) -> Result<()> {
    crate::hooks::run(&ctx.dir, &args.name, &args.args)
}
