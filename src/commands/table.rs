//! The table of commands: a row gives a command its place on the command line, in the help and in the dispatch.
//!
//! One more command is a file with its arguments and its `run`, and a row here.

use anyhow::Result;
use clap::Subcommand;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::Ctx;
use crate::answer::{Answer, Reply, name_of};

/// Returns the schema of an answer as it is published.
fn schema_of<A: Answer + JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<A>()
}

fn is_listed(name: &str) -> bool {
    ANSWERS.iter().any(|(_, listed, _)| listed() == name)
}

/// Declares the commands by group: `Name = module::Arguments => { "schema": Answer }`. Each module has
/// `run(&Ctx, Arguments)`, which returns a [`Reply`] with one of the answers named here.
macro_rules! commands {
    ($($group:literal { $(
        $name:ident = $module:ident :: $args:ident $(=> { $($schema:literal: $answer:ty),+ $(,)? })?
     ),+ $(,)? })+
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

        /// All answers: the name of the schema, the type, and the schema itself.
        pub const ANSWERS: &[(&str, fn() -> &'static str, fn() -> Schema)] = &[
            $($($($(($schema, name_of::<$answer>, schema_of::<$answer>),)+)?)+)+
        ];

        /// Runs a command.
        ///
        /// # Errors
        ///
        /// As the command says, where it has not answered.
        pub fn run(ctx: &Ctx, command: Command) -> Result<Reply> {
            let reply: Reply = match command {
                $($(Command::$name(args) => super::$module::run(ctx, args)?.into(),)+)+
                $(Command::$hidden(args) => super::$hidden_module::run(ctx, args)?.into(),)+
            };
            debug_assert!(reply.answers.is_none_or(is_listed), "{:?} has no row", reply.answers);
            Ok(reply)
        }
    };
}

commands! {
    "Start" {
        Init = init::InitArgs => { "init-undo": super::init::undo::TakenAway<'static> },
        Plan = plan::PlanArgs => {
            "plan-check": super::plan::PlanChecked<'static>,
            "plan-apply": super::plan::PlanApplied<'static>,
            "plan-show": crate::model::Plan,
        },
        Task = task::TaskArgs => {
            "task-list": super::task::list::Tasks<'static>,
            "task-show": super::task::show::WholeTask<'static>,
            "task-add": super::task::add::Added,
        },
        Run = run::RunArgs,
        Work = work::WorkArgs,
        Demo = demo::DemoArgs,
    }
    "Watch" {
        Status = status::StatusArgs,
        Queue = queue::QueueArgs => { "queue-stats": crate::report::queue::Stats<'static>, "queue-active": crate::report::queue::Active<'static> },
        Log = log::LogArgs => { "log": super::log::Story },
        Radar = radar::RadarArgs => { "radar": super::radar::show::Prospects<'static> },
        Conflict = conflict::ConflictArgs,
        Worktree = worktree::WorktreeArgs => {
            "worktree-list": super::worktree::Worktrees,
            "worktree-remove": super::worktree::RemovedWorktrees,
        },
    }
    "Steer" {
        Assemble = assemble::AssembleArgs,
        Approve = approve::ApproveArgs,
        Undo = undo::UndoArgs => { "undo": super::undo::Undone<'static> },
        Dispatch = dispatch::DispatchArgs => { "dispatch": super::dispatch::Dispatched },
        Retry = retry::RetryArgs => { "retry": super::retry::Retried },
        Cancel = cancel::CancelArgs => { "cancel": super::held::TaskNow },
        Pause = pause::PauseArgs => { "pause": super::pause::Steered },
        Resume = resume::ResumeArgs => { "resume": super::pause::Steered },
        Lock = lock::LockArgs => {
            "lock-list": super::lock::Locks<'static>,
            "lock-show": crate::model::Lock,
            "lock-set": super::lock::LockChanged,
            "lock-remove": super::lock::LockChanged,
            "lock-check": super::lock::LockChecks,
        },
        Powers = powers::PowersArgs => { "powers": super::powers::Powers },
        Signers = signers::SignersArgs => {
            "signers-list": super::signers::Signers,
            "signers-machine": crate::model::Signer,
            "signers-add": super::signers::SignersChanged,
            "signers-remove": super::signers::SignersChanged,
        },
        Remote = remote::RemoteArgs => { "remote-show": super::remote::Authority },
        Sync = sync::SyncArgs => { "sync": super::sync::Exchanged },
        Wrapup = wrapup::WrapupArgs => { "wrapup": super::wrapup::WrappedUp },
        Close = close::CloseArgs => { "close": super::close::Closed<'static> },
    }
    "Repair" {
        Doctor = doctor::DoctorArgs => {
            "doctor": super::doctor::checkup::Diagnosis,
            "doctor-restore": super::doctor::Restored,
            "doctor-keep": super::doctor::choose::Kept,
            "doctor-accept": super::doctor::audit::Accepted,
            "doctor-shared": super::doctor::shared::SharedSettled,
        },
        Recover = recover::RecoverArgs => {
            "recover-list": super::recover::list::SavedStates,
            "recover-show": super::recover::show::SavedState<'static>,
            "recover-restore": super::recover::restore::BroughtBack<'static>,
            "recover-prune": super::recover::prune::GivenUp,
        },
    }
    "For agents, and people who do a task" {
        Claim = claim::ClaimArgs => {
            "claim": super::claim::Claimed<'static>,
            "claim-explain": super::claim::Explained,
        },
        Start = start::StartArgs => { "start": super::held::TaskNow },
        Renew = renew::RenewArgs => { "renew": super::renew::Renewed },
        Block = block::BlockArgs => { "block": super::held::TaskNow },
        Unblock = unblock::UnblockArgs => { "unblock": super::held::TaskNow },
        Fail = fail::FailArgs => { "fail": super::held::TaskNow },
        Release = release::ReleaseArgs => { "release": super::held::TaskNow },
        Test = test::TestArgs => { "test": super::test::OwnTest },
        Submit = submit::SubmitArgs => { "submit": super::held::TaskNow },
        Escalate = escalate::EscalateArgs => { "escalate": super::held::TaskNow },
    }
    "Shell and manual" {
        Completions = completions::CompletionsArgs,
        Man = man::ManArgs => { "man": super::man::Pages },
    }
    hidden {
        Pack = pack::PackArgs,
        Hook = hook::HookArgs,
        Sandboxed = sandboxed::SandboxedArgs,
    }
}
