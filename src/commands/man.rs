//! `git orch man`: the manual pages.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::Ctx;
use crate::cli::Cli;
use crate::git::files;

/// Print the manual page, or write all of them
///
/// `git help orch` and `git orch --help` find them below any directory of MANPATH, for example after
/// `git orch man --dir ~/.cargo/share/man/man1`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Directory to write `git-orch.1` and a page for each command to
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
///
/// The directory cannot be written.
pub fn run(ctx: &Ctx, args: ManArgs) -> Result<()> {
    // The commands have a page each, which `help` would only repeat.
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let Some(dir) = args.dir else {
        ctx.ui.answer_bytes(&render(root)?.1);
        return Ok(());
    };
    let dir = ctx.dir.join(dir);
    let mut left = vec![root];
    let mut written = 0;
    while let Some(command) = left.pop() {
        let below = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        left.extend(below.cloned());
        let (name, page) = render(command)?;
        files::replace(&dir.join(name), &page)?;
        written += 1;
    }
    ctx.ui
        .answer(&format!("{written} pages written to {}", dir.display()));
    Ok(())
}

fn render(command: Command) -> Result<(String, Vec<u8>)> {
    let man = Man::new(command).manual("git-orch");
    let mut page = Vec::new();
    man.render(&mut page)
        .context("cannot render a manual page")?;
    Ok((man.get_filename(), page))
}
