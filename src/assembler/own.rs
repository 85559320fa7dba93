//! The test as whoever works on a branch runs it, in its own worktree. What it says is remembered as obtained there;
//! the assembler repeats it in a worktree of its own unless the plan trusts such runs.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::verdicts::{Run, Verdicts};
use crate::clock;
use crate::error::UserError;
use crate::git::{Oid, Repo};
use crate::model::train::obtained::{Obtained, weigh};
use crate::model::{Command, RunSpec};
use crate::process::{self, Ending, Spec};

/// What a test in a worktree came to.
#[derive(Debug, Clone)]
pub struct OwnTest {
    /// The tree that was tested; `None` where the worktree has changes, so that it was none that anybody knows.
    pub tree: Option<Oid>,
    /// Whether it passed.
    pub green: bool,
    /// Whether it was known, and did not run.
    pub known: bool,
    /// Wall time.
    pub seconds: f64,
    /// The last of its output.
    pub output: String,
    /// Its whole output; nothing where it did not run.
    pub log: Option<PathBuf>,
}

/// Runs a plan's test where this repository handle stands, and remembers what it says of the tree there.
///
/// # Errors
///
/// The plan has no test, there is no worktree, or it cannot be run.
pub fn own_test(repo: &Repo, run: &RunSpec, again: bool) -> Result<OwnTest> {
    let Some(command) = &run.test else {
        return Err(UserError::new("the plan has no `test` under [run]").into());
    };
    let Some(dir) = repo.work_dir().map(ToOwned::to_owned) else {
        return Err(UserError::new("there is no worktree here to run the test in").into());
    };
    let verdicts = Verdicts::new(run.test_environment.as_deref().unwrap_or_default());
    let tree = clean_tree(repo)?;
    if let Some(tree) = tree
        && !again
        && let Some(known) = last_pass(&verdicts.load(repo, tree, command).runs)
    {
        return Ok(OwnTest {
            tree: Some(tree),
            green: true,
            known: true,
            seconds: known.seconds,
            output: String::new(),
            log: None,
        });
    }
    let mark = clock::new_op_id().0;
    let log = repo
        .orch_dir()
        .join("logs/test")
        .join(format!("{mark}.log"));
    let ended = process::run(&Spec {
        command: Command::Shell(command.clone()),
        dir,
        env: Vec::new(),
        stdin: None,
        log: log.clone(),
        wall: run.test_timeout.max(Duration::from_secs(1)),
        idle: None,
        mark,
        jobserver: None,
    })?;
    let green = ended.ending == Ending::Exited(0);
    let seconds = ended.took.as_secs_f64();
    let output = super::findings::clean(&ended.tail);
    // Only what is the same before and after is known to be what was tested.
    let tree = tree.filter(|tree| clean_tree(repo).is_ok_and(|after| after == Some(*tree)));
    if let Some(tree) = tree {
        let mut own = Run::ended(green, seconds, Obtained::Coder);
        own.why = if green {
            String::new()
        } else {
            String::from("it failed in its coder's worktree")
        };
        own.output = if green { String::new() } else { output.clone() };
        verdicts.add(repo, tree, command, &own)?;
    }
    Ok(OwnTest {
        tree,
        green,
        known: false,
        seconds,
        output,
        log: Some(log),
    })
}

/// Returns the last run that passed, where that is what all of them come to.
fn last_pass(runs: &[Run]) -> Option<&Run> {
    let said = weigh(runs.iter().map(|run| (run.how, run.green)));
    runs.iter()
        .rev()
        .find(|run| run.green)
        .filter(|_| said.is_green())
}

/// Returns the tree of HEAD where the worktree is exactly that; files that Git ignores do not count.
fn clean_tree(repo: &Repo) -> Result<Option<Oid>> {
    let changes = repo
        .git_at_top()
        .args(["status", "--porcelain", "-z"])
        .read()?;
    if !changes.is_empty() {
        return Ok(None);
    }
    let head = repo.resolve_commit("HEAD")?;
    repo.read_commit(head).map(|commit| Some(commit.tree))
}
