//! The command line: global options, and one match that forwards each command's arguments whole.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{self, Ctx};
use crate::error::{Exit, UserError};
use crate::ui::{ColorChoice, Ui};

/// Run fleets of coding agents on a Git repository
#[derive(Debug, Parser)]
#[command(
    name = "git-orch",
    bin_name = "git orch",
    version,
    max_term_width = 100
)]
pub struct Cli {
    /// Run as if started in this directory
    #[arg(short = 'C', value_name = "DIR", global = true, default_value = ".")]
    pub dir: PathBuf,
    /// Print the answer as one JSON document
    #[arg(long, global = true)]
    pub json: bool,
    /// Print the answer only, not the story of getting it
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// When to colour
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
    /// The command
    #[command(subcommand)]
    pub command: Command,
}

/// All commands.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each command's help stands at its arguments")]
pub enum Command {
    Init(commands::init::InitArgs),
    Dispatch(commands::dispatch::DispatchArgs),
    Assemble(commands::assemble::AssembleArgs),
}

fn run(ctx: &Ctx, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init(args) => commands::init::run(ctx, args),
        Command::Dispatch(args) => commands::dispatch::run(ctx, args),
        Command::Assemble(args) => commands::assemble::run(ctx, args),
    }
}

/// Parses the process's arguments, runs the command, and returns the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                Exit::Usage as u8
            } else {
                0
            };
            // A closed stdout or stderr leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let ui = Ui::new(cli.json, cli.quiet, cli.color);
    let ctx = Ctx { dir: cli.dir, ui };
    match run(&ctx, cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let user = error
                .chain()
                .find_map(|cause| cause.downcast_ref::<UserError>());
            let exit = user.map_or(Exit::Failed, |user| user.exit);
            ui.error(&error);
            ExitCode::from(exit as u8)
        }
    }
}
