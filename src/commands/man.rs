//! `git orch man`: the manual pages.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Command;
use clap_mangen::Man;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::config;
use crate::error::UserError;
use crate::git::files;
use crate::ui::Paint;

/// Print the manual page, or write all of them
///
/// `git help orch` and `git orch --help` show them once they are where `man` looks: `--install` puts them there.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write all pages to where `man` looks for those of this program
    ///
    /// That is `share/man` beside the directory `bin` that the program is in, where that is on PATH; otherwise
    /// `~/.local/share/man`.
    #[arg(long, conflicts_with = "dir")]
    install: bool,
    /// Directory to write `git-orch.1` and a page for each command to
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
///
/// The directory cannot be written, or there is no HOME to install below.
pub fn run(ctx: &Ctx, args: ManArgs) -> Result<Reply> {
    // The commands have a page each, which `help` would only repeat.
    let mut root = (ctx.line.grammar)().disable_help_subcommand(true);
    root.build();
    let dir = match (args.dir, args.install) {
        (Some(dir), _) => ctx.dir.join(dir),
        (None, true) => place()?.join("man1"),
        (None, false) => {
            return Ok(Reply::bytes(render(root)?.1));
        }
    };
    let mut left = vec![root];
    let mut written = 0;
    while let Some(command) = left.pop() {
        let below = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        left.extend(below.cloned());
        let (name, page) = render(command)?;
        files::replace(&dir.join(name), &page)?;
        written += 1;
    }
    let reply = ctx.answer(&Pages { written, dir })?;
    Ok(match args.install {
        true => reply.hint("git orch --help"),
        false => reply,
    })
}

/// Manual pages that were written.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Pages {
    /// How many.
    written: usize,
    dir: PathBuf,
}

impl Answer for Pages {
    fn text(&self, _: Paint) -> String {
        format!("{} pages written to {}", self.written, self.dir.display())
    }
}

/// Returns the directory of manual pages that `man` derives from PATH for this program.
fn place() -> Result<PathBuf> {
    let program = config::program();
    if let Some(place) = place_beside(&program, config::is_on_path) {
        return Ok(place);
    }
    let home = config::home().ok_or_else(|| {
        UserError::new("HOME is not set, so there is no place for manual pages")
            .hint("git orch man --dir /usr/local/share/man/man1")
    })?;
    Ok(home.join(".local/share/man"))
}

/// `share/man` beside a `bin` on PATH: where man-db, mandoc's and the BSDs' `man` look for what is in that `bin`
/// (manpath(5), "PATH directories").
fn place_beside(program: &Path, is_on_path: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let bin = program.parent()?;
    let is_bin = bin.file_name().is_some_and(|name| name == "bin");
    (is_bin && is_on_path(bin)).then(|| bin.with_file_name("share").join("man"))
}

fn render(command: Command) -> Result<(String, Vec<u8>)> {
    let man = Man::new(command).manual("git-orch");
    let mut page = Vec::new();
    man.render(&mut page)
        .context("cannot render a manual page")?;
    Ok((man.get_filename(), page))
}
