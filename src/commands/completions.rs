//! `git orch completions`: scripts that complete the command line.

use anyhow::{Context as _, Result};
use clap_complete::Shell;

use super::Ctx;
use crate::answer::Reply;

/// What git's own completion in bash calls for `git orch`.
const BASH_GLUE: &str = include_str!("../../templates/completions/git-orch.bash");

/// Print a script that completes the command line
///
/// For bash: `git orch completions bash > ~/.local/share/bash-completion/completions/git-orch`. It completes
/// `git-orch` and, where git's own completion is loaded, `git orch`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Runs the command.
///
/// # Errors
///
/// The script is not UTF-8, which it always is.
#[expect(
    clippy::needless_pass_by_value,
    reason = "commands own their arguments"
)]
pub fn run(ctx: &Ctx, args: CompletionsArgs) -> Result<Reply> {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut (ctx.line.grammar)(),
        "git-orch",
        &mut script,
    );
    let mut script = String::from_utf8(script).context("a completion script is not UTF-8")?;
    if args.shell == Shell::Bash {
        // clap_complete 4.6 writes the hyphen of the program's name in two ways, so that no command below it
        // is ever found; with one way, it works.
        script = script.replace("git__subcmd__orch", "git__orch");
        script.push_str(BASH_GLUE);
    }
    Ok(Reply::bytes(script))
}
