//! The command line: global options, and one match that forwards each command's arguments whole.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands::{self, Ctx, Speaker};
use crate::error::{Exit, user_error};
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

/// All commands.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[expect(missing_docs, reason = "each command's help stands at its arguments")]
pub enum Command {
    Init(commands::init::InitArgs),
    Plan(commands::plan::PlanArgs),
    Task(commands::task::TaskArgs),
    Dispatch(commands::dispatch::DispatchArgs),
    Run(commands::run::RunArgs),
    Work(commands::work::WorkArgs),
    Claim(commands::claim::ClaimArgs),
    Start(commands::start::StartArgs),
    Renew(commands::renew::RenewArgs),
    Block(commands::block::BlockArgs),
    Unblock(commands::unblock::UnblockArgs),
    Fail(commands::fail::FailArgs),
    Release(commands::release::ReleaseArgs),
    Submit(commands::submit::SubmitArgs),
    Escalate(commands::escalate::EscalateArgs),
    Cancel(commands::cancel::CancelArgs),
    Assemble(commands::assemble::AssembleArgs),
    Approve(commands::approve::ApproveArgs),
    Test(commands::test::TestArgs),
    Undo(commands::undo::UndoArgs),
    Pause(commands::pause::PauseArgs),
    Resume(commands::resume::ResumeArgs),
    Powers(commands::powers::PowersArgs),
    Signers(commands::signers::SignersArgs),
    Sync(commands::sync::SyncArgs),
    Remote(commands::remote::RemoteArgs),
    Status(commands::status::StatusArgs),
    Lock(commands::lock::LockArgs),
    Queue(commands::queue::QueueArgs),
    Radar(commands::radar::RadarArgs),
    Conflict(commands::conflict::ConflictArgs),
    Doctor(commands::doctor::DoctorArgs),
    Recover(commands::recover::RecoverArgs),
    Worktree(commands::worktree::WorktreeArgs),
    Wrapup(commands::wrapup::WrapupArgs),
    Close(commands::close::CloseArgs),
    Log(commands::log::LogArgs),
    Demo(commands::demo::DemoArgs),
    Completions(commands::completions::CompletionsArgs),
    Man(commands::man::ManArgs),
    #[command(hide = true)]
    Pack(commands::pack::PackArgs),
    #[command(hide = true)]
    Hook(commands::hook::HookArgs),
    #[command(hide = true)]
    Sandboxed(commands::sandboxed::SandboxedArgs),
}

/// Runs a command.
///
/// # Errors
///
/// As the command says.
pub fn run(ctx: &Ctx, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init(args) => commands::init::run(ctx, args),
        Command::Plan(args) => commands::plan::run(ctx, args),
        Command::Task(args) => commands::task::run(ctx, args),
        Command::Dispatch(args) => commands::dispatch::run(ctx, args),
        Command::Run(args) => commands::run::run(ctx, args),
        Command::Work(args) => commands::work::run(ctx, args),
        Command::Claim(args) => commands::claim::run(ctx, args),
        Command::Start(args) => commands::start::run(ctx, args),
        Command::Renew(args) => commands::renew::run(ctx, args),
        Command::Block(args) => commands::block::run(ctx, args),
        Command::Unblock(args) => commands::unblock::run(ctx, args),
        Command::Fail(args) => commands::fail::run(ctx, args),
        Command::Release(args) => commands::release::run(ctx, args),
        Command::Submit(args) => commands::submit::run(ctx, args),
        Command::Escalate(args) => commands::escalate::run(ctx, args),
        Command::Cancel(args) => commands::cancel::run(ctx, args),
        Command::Assemble(args) => commands::assemble::run(ctx, args),
        Command::Approve(args) => commands::approve::run(ctx, args),
        Command::Test(args) => commands::test::run(ctx, &args),
        Command::Undo(args) => commands::undo::run(ctx, args),
        Command::Pause(args) => commands::pause::run(ctx, args),
        Command::Resume(args) => commands::resume::run(ctx, args),
        Command::Powers(args) => commands::powers::run(ctx, args),
        Command::Signers(args) => commands::signers::run(ctx, args),
        Command::Sync(args) => commands::sync::run(ctx, args),
        Command::Remote(args) => commands::remote::run(ctx, args),
        Command::Status(args) => commands::status::run(ctx, args),
        Command::Lock(args) => commands::lock::run(ctx, args),
        Command::Queue(args) => commands::queue::run(ctx, args),
        Command::Radar(args) => commands::radar::run(ctx, args),
        Command::Conflict(args) => commands::conflict::run(ctx, args),
        Command::Doctor(args) => commands::doctor::run(ctx, args),
        Command::Recover(args) => commands::recover::run(ctx, args),
        Command::Worktree(args) => commands::worktree::run(ctx, args),
        Command::Wrapup(args) => commands::wrapup::run(ctx, &args),
        Command::Close(args) => commands::close::run(ctx, args),
        Command::Log(args) => commands::log::run(ctx, args),
        Command::Demo(args) => commands::demo::run(ctx, args),
        Command::Completions(args) => commands::completions::run(ctx, args),
        Command::Man(args) => commands::man::run(ctx, args),
        Command::Pack(args) => commands::pack::run(ctx, args),
        Command::Hook(args) => commands::hook::run(ctx, args),
        Command::Sandboxed(args) => commands::sandboxed::run(ctx, args),
    }
}

/// Parses the process's arguments. Only the command that is asked for is put together; to explain or to complain,
/// all are.
fn parse() -> Result<Cli, clap::Error> {
    Cli::try_parse().or_else(|_| {
        let mut all = Cli::command();
        all.build();
        Cli::from_arg_matches(&all.try_get_matches()?)
    })
}

/// Parses the process's arguments, runs the command, and returns the exit code.
pub fn main() -> ExitCode {
    let cli = match parse() {
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
    let ctx = Ctx {
        dir: cli.dir,
        ui,
        speaker: cli.speaker,
    };
    match run(&ctx, cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let exit = user_error(&error).map_or(Exit::Failed, |user| user.exit);
            ui.error(&error);
            ExitCode::from(exit as u8)
        }
    }
}
