//! The command line: global options, how it is explained, and what the process exits with.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use crate::commands::{Command, CommandLine, Ctx, GROUPS, Speaker, run};
use crate::config;
use crate::error::{Exit, user_error};
use crate::ui::{ColorChoice, Ui, finish_answer, note_answer};

/// Run fleets of coding agents on a Git repository
#[derive(Debug, Parser)]
#[command(
    name = "git-orch",
    bin_name = "git orch",
    version,
    max_term_width = 100,
    next_help_heading = "Global options"
)]
pub struct Cli {
    /// Run as if started in this directory
    #[arg(
        id = "start_dir",
        short = 'C',
        value_name = "DIR",
        global = true,
        default_value = "."
    )]
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
    /// Speak for `human` or an agent, `1.0`; refused in agents' worktrees and environments
    #[arg(long = "as", id = "speaker", global = true, value_name = "WHO")]
    pub speaker: Option<Speaker>,
    /// The command
    #[command(subcommand)]
    pub command: Command,
}

/// Returns the grammar of the whole command line, with the commands in groups.
pub fn grammar() -> clap::Command {
    let mut root = Cli::command();
    let groups = groups(&root);
    root = root.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Global options:\n{{options}}\n\n\
         `git orch status -h` explains a command, here `status`.\n`git orch man --install` makes `git orch --help` work."
    ));
    root
}

/// Lists the commands of each group with what they do.
fn groups(root: &clap::Command) -> String {
    let mut whole = root.clone();
    whole.build();
    let about = |name: &str| {
        let found = whole
            .find_subcommand(name)
            .and_then(clap::Command::get_about);
        found.map(ToString::to_string).unwrap_or_default()
    };
    let names = GROUPS.iter().flat_map(|(_, names)| names.iter());
    let width = names.map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (group, names) in GROUPS {
        text += &format!("{group}:\n");
        for name in *names {
            text += &format!("  {name:width$}  {}\n", about(name));
        }
        text.push('\n');
    }
    text
}

/// Parses words as the command line. Only the command that is asked for is put together; to explain or to complain,
/// all are.
fn parse(words: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(words).or_else(|_| {
        let mut all = grammar();
        all.build();
        let matches = all.clone().try_get_matches_from(words);
        Cli::from_arg_matches(&matches.map_err(|error| with_commands_that_begin_so(error, &all))?)
    })
}

/// Suggests the commands that begin as an unknown one does, where there are any: `stat` is meant for `status`.
fn with_commands_that_begin_so(mut error: clap::Error, all: &clap::Command) -> clap::Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let shown = all
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let names = shown.map(|command| command.get_name().to_owned());
    let longer: Vec<String> = names
        .filter(|name| name.starts_with(typed.as_str()))
        .collect();
    if !longer.is_empty() {
        error.insert(
            ContextKind::SuggestedSubcommand,
            ContextValue::Strings(longer),
        );
    }
    error
}

/// Parses words and runs the command that they are.
fn type_in(ctx: &Ctx, words: &[&str]) -> anyhow::Result<()> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    ctx.ui.show(run(ctx, parse(&words)?.command)?)
}

/// Parses the process's arguments, runs the command, and returns the exit code.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let cli = match parse(&words) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // A closed stderr leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(Exit::Usage as u8);
        }
        Err(help) => {
            note_answer(&help.print());
            return end(&Ui::default(), Ok(()));
        }
    };
    let ui = Ui::new(cli.json, cli.quiet, cli.color);
    let ctx = Ctx {
        dir: cli.dir,
        ui,
        speaker: cli.speaker,
        line: CommandLine { grammar, type_in },
    };
    let _listening = crate::waits::listen(move |text| ui.note(text));
    let place = config::require_directory(&ctx.dir).map_err(anyhow::Error::from);
    let reply = place.and_then(|()| run(&ctx, cli.command));
    end(&ui, reply.and_then(|reply| ui.show(reply)))
}

/// Turns what a command came to into an exit code; an answer that did not get out is no success.
fn end(ui: &Ui, result: anyhow::Result<()>) -> ExitCode {
    let written = finish_answer();
    match result.and_then(|()| Ok(written?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let exit = user_error(&error).map_or(Exit::Failed, |user| user.exit);
            ui.error(&error);
            ExitCode::from(exit as u8)
        }
    }
}
