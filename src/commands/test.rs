//! `git orch test`: the plan's test in this worktree, remembered for the assembler.

use std::path::PathBuf;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::assembler;
use crate::error::UserError;
use crate::model::levels::with_checks;
use crate::ui::Paint;

/// Run the plan's test here, and remember what it says
///
/// What passes on a committed tree is remembered as having passed in a coder's worktree. The assembler repeats it
/// in a test worktree, where no ignored files and no settings of this one are; with `trust_coder_tests = true` in
/// the plan it takes the result as it is when it comes to the same tree. Changes that are not committed are tested
/// as well, but nothing is remembered of them.
///
/// Exits with 1 where the test fails.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// Run it also where it is known to pass
    #[arg(long)]
    again: bool,
}

/// Runs the command.
///
/// # Errors
///
/// The plan has no test, or it fails (after the answer).
#[expect(
    clippy::needless_pass_by_value,
    reason = "commands own their arguments"
)]
pub fn run(ctx: &Ctx, args: TestArgs) -> Result<Reply> {
    let ledger = ctx.ledger_to_build_on()?;
    let mut run = ledger.board().run();
    // What the plan's steps ask for besides is asked of a merge too.
    let checks = ledger.board().merge_checks();
    run.test = with_checks(run.test.as_deref(), &checks);
    let command = run.test.clone().unwrap_or_default();
    let tested = assembler::own_test(&ctx.repo()?, &run, args.again)?;
    let answer = OwnTest {
        command,
        verdict: if tested.green { "green" } else { "red" },
        remembered: tested.tree.is_some(),
        tree: tested.tree.map(|tree| tree.to_string()),
        known: tested.known,
        seconds: tested.seconds,
        log: tested.log.clone(),
    };
    let mut reply = ctx.answer(&answer)?;
    if !tested.green {
        reply = reply.note(&tested.output);
    }
    if !answer.remembered {
        reply = reply
            .warn("there are changes that are not committed: nothing is remembered of this run");
    }
    if tested.green {
        return Ok(reply);
    }
    let error = UserError::new("the test fails");
    Ok(reply.failing(Err(match &tested.log {
        Some(log) => error.hint(format!("cat '{}'", log.display())),
        None => error,
    }
    .into())))
}

/// What the plan's test said in this worktree.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnTest {
    command: String,
    /// `green` or `red`.
    verdict: &'static str,
    /// The tree that was tested; null where changes are not committed.
    tree: Option<String>,
    /// Whether the result is remembered.
    remembered: bool,
    /// Whether it was known before and not run.
    known: bool,
    seconds: f64,
    /// The whole of what it printed.
    log: Option<PathBuf>,
}

impl Answer for OwnTest {
    fn text(&self, _: Paint) -> String {
        let (command, seconds) = (&self.command, self.seconds);
        let verdict = match self.verdict {
            "green" => "passed",
            _ => "failed",
        };
        match self.known {
            true => format!("`{command}` is known to pass on this tree"),
            false => format!("`{command}` {verdict} in {seconds:.1} s"),
        }
    }
}
