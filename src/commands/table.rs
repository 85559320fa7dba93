//! The table of commands: a row gives a command its place on the command line, in the help and in the dispatch.
//!
//! One more command is a file with its arguments and its `run`, and a row here.

use anyhow::Result;
use clap::Subcommand;

use super::Ctx;

/// Declares the commands by group: `Name = module::Arguments`. Each module has `run(&Ctx, Arguments)`.
macro_rules! commands {
    ($($group:literal { $($name:ident = $module:ident :: $args:ident),+ $(,)? })+
     hidden { $($hidden:ident = $hidden_module:ident :: $hidden_args:ident),+ $(,)? }) => {
        /// All commands.
        #[derive(Debug, Subcommand)]
        #[command(defer = true)]
        #[expect(missing_docs, reason = "each command's help stands at its arguments")]
        pub enum Command {
            $($($name(super::$module::$args),)+)+
            $(#[command(hide = true)] $hidden(super::$hidden_module::$hidden_args),)+
        }

        /// The groups of the help, each with the names of its commands as they are typed.
        pub const GROUPS: &[(&str, &[&str])] = &[
            $(($group, &[$(stringify!($module)),+])),+
        ];

        /// Runs a command.
        ///
        /// # Errors
        ///
        /// As the command says.
        pub fn run(ctx: &Ctx, command: Command) -> Result<()> {
            match command {
                $($(Command::$name(args) => super::$module::run(ctx, args),)+)+
                $(Command::$hidden(args) => super::$hidden_module::run(ctx, args),)+
            }
        }
    };
}

commands! {
    "Start" {
        Init = init::InitArgs,
        Plan = plan::PlanArgs,
        Task = task::TaskArgs,
        Run = run::RunArgs,
        Work = work::WorkArgs,
        Demo = demo::DemoArgs,
    }
    "Watch" {
        Status = status::StatusArgs,
        Queue = queue::QueueArgs,
        Log = log::LogArgs,
        Radar = radar::RadarArgs,
        Conflict = conflict::ConflictArgs,
        Worktree = worktree::WorktreeArgs,
    }
    "Steer" {
        Assemble = assemble::AssembleArgs,
        Approve = approve::ApproveArgs,
        Undo = undo::UndoArgs,
        Dispatch = dispatch::DispatchArgs,
        Retry = retry::RetryArgs,
        Cancel = cancel::CancelArgs,
        Pause = pause::PauseArgs,
        Resume = resume::ResumeArgs,
        Lock = lock::LockArgs,
        Powers = powers::PowersArgs,
        Signers = signers::SignersArgs,
        Remote = remote::RemoteArgs,
        Sync = sync::SyncArgs,
        Wrapup = wrapup::WrapupArgs,
        Close = close::CloseArgs,
    }
    "Repair" {
        Doctor = doctor::DoctorArgs,
        Recover = recover::RecoverArgs,
    }
    "For agents, and people who do a task" {
        Claim = claim::ClaimArgs,
        Start = start::StartArgs,
        Renew = renew::RenewArgs,
        Block = block::BlockArgs,
        Unblock = unblock::UnblockArgs,
        Fail = fail::FailArgs,
        Release = release::ReleaseArgs,
        Test = test::TestArgs,
        Submit = submit::SubmitArgs,
        Escalate = escalate::EscalateArgs,
    }
    "Shell and manual" {
        Completions = completions::CompletionsArgs,
        Man = man::ManArgs,
    }
    hidden {
        Pack = pack::PackArgs,
        Hook = hook::HookArgs,
        Sandboxed = sandboxed::SandboxedArgs,
    }
}
