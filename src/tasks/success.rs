//! A task's success commands, run on exactly what was committed.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::Work;
use super::checks::CheckFailure;
use crate::assembler::{CheckWorktree, check_command};
use crate::config;
use crate::error::UserError;
use crate::git::Oid;
use crate::model::ending::missing_program;
use crate::model::keep::Keep;
use crate::model::{Criterion, TaskSpec, TimeLimit, event};
use crate::process::{self, Ended, Ending};
use crate::workspace::private::{Private, put_right};
use crate::workspace::sandbox::Setting;
use crate::workspace::{check_mark, ignored, uncommitted};

/// Runs the success commands; returns the first that fails, in a line and in full.
pub(super) fn check(work: &Work<'_>, spec: &TaskSpec, head: Oid) -> Result<Option<CheckFailure>> {
    let (ledger, a) = (work.ledger, work.assignment);
    let runs = spec.success.iter().filter_map(|criterion| {
        let run = criterion.run.as_deref()?;
        Some((criterion, run))
    });
    let runs: Vec<(&Criterion, &str)> = runs.collect();
    if runs.is_empty() {
        return Ok(None);
    }
    let keep = Keep::new(&ledger.board().run().keep);
    let at = CheckWorktree::at(ledger.repo(), a.agent, (head, a.base), &keep)?;
    let mut there = match at {
        Ok(there) => there,
        Err(why) => return Ok(Some((why.clone(), why).into())),
    };
    let limit = TimeLimit::of_check(spec, &ledger.board().run());
    let checker = Checker::of(work)?;
    for (criterion, run) in runs {
        let ended = checker.run(run, there.dir(), limit.time)?;
        there.note(&ended);
        if let Some(failure) = failed_criterion(criterion, run, &ended, &limit) {
            return checker.explained(failure, run, &ended).map(Some);
        }
    }
    Ok(None)
}

/// Runs commands as a task's checks are run.
struct Checker<'a> {
    work: &'a Work<'a>,
    mark: String,
    setting: Setting,
    private: Private,
}

/// How long a command may have taken that is tried once more to say why it failed.
const WORTH_TRYING: Duration = Duration::from_secs(120);

/// Files that a failure names.
const MOST_FILES: usize = 10;

impl<'a> Checker<'a> {
    fn of(work: &'a Work<'a>) -> Result<Self> {
        let (board, repo, a) = (work.ledger.board(), work.ledger.repo(), work.assignment);
        let row = board.require_task(&a.task).map_err(UserError::from)?;
        Ok(Self {
            work,
            mark: check_mark(repo, &a.task, a.attempt)?,
            setting: Setting::of(repo, &board.run(), &board.profile_of(row).1)?,
            private: Private::of(repo, &a.task, a.attempt),
        })
    }

    fn run(&self, run: &str, dir: &Path, wall: Duration) -> Result<Ended> {
        let (mut command, mut env) = (check_command(run), Vec::new());
        // It runs what the agent wrote, so it gets no more rights than the agent.
        if !self.setting.is_none() {
            let repo = self.work.ledger.repo();
            command = self.setting.check(repo, dir, &self.private, command)?;
            env = self.setting.environment(&self.private);
        }
        process::run(&process::Spec {
            command,
            dir: dir.to_path_buf(),
            env,
            stdin: None,
            log: self.work.log.to_path_buf(),
            wall,
            idle: None,
            mark: self.mark.clone(),
            jobserver: None,
        })
    }

    /// Returns a failure, with files that no commit has where they are what is missing: whether the command passes
    /// with them is tried, unless that may take long.
    fn explained(&self, failure: CheckFailure, run: &str, ended: &Ended) -> Result<CheckFailure> {
        let Work {
            ledger,
            assignment: a,
            dir,
            ..
        } = *self.work;
        let repo = ledger.repo();
        let mut files = uncommitted(repo, dir)?;
        let ignored = ignored(repo, dir)?.into_iter();
        files.extend(ignored.map(|path| format!("!! {}", path.display())));
        if files.is_empty() || failure.missing.is_some() {
            return Ok(failure);
        }
        let more = files.len().saturating_sub(MOST_FILES);
        files.truncate(MOST_FILES);
        if more > 0 {
            files.push(format!("and {more} more"));
        }
        let list = files.join("\n");
        let passes = ended.took < WORTH_TRYING && {
            let again = self.run(run, dir, WORTH_TRYING);
            if !self.setting.is_none() {
                put_right(repo, a.agent)?;
            }
            again?.ending == Ending::Exited(0)
        };
        let findings = &failure.findings;
        Ok(match passes {
            true => CheckFailure {
                reason: format!(
                    "{}: it passes only with files that are ignored or not committed",
                    failure.reason
                ),
                findings: format!(
                    "It passes in the worktree and fails on what is committed: it needs files that no commit has. Commit \
                     what belongs to the work, or have the command make the rest:\n{list}\n\n{findings}"
                ),
                missing: None,
            },
            false => CheckFailure {
                findings: format!(
                    "{findings}\n\nIt ran on exactly what is committed; the worktree has besides:\n{list}"
                ),
                ..failure
            },
        })
    }
}

fn failed_criterion(
    criterion: &Criterion,
    run: &str,
    ended: &Ended,
    limit: &TimeLimit,
) -> Option<CheckFailure> {
    let how = match ended.ending {
        Ending::Exited(0) => return None,
        Ending::Exited(code) => format!("exited with {code}"),
        Ending::Signalled(signal) => format!("was ended by signal {signal}"),
        Ending::TimedOut | Ending::Silent => format!("took longer than {limit}"),
        Ending::Stopped => String::from("was stopped"),
    };
    let told = criterion
        .text
        .as_ref()
        .map_or_else(|| run.to_owned(), |text| format!("{text} ({run})"));
    let reason = format!(
        "success command `{}` {how}",
        event::shorten(&event::one_line(run), 60)
    );
    let findings = format!(
        "This must hold: {told}\nThe command {how} and printed last:\n{}",
        ended.tail
    );
    Some(CheckFailure {
        reason,
        findings,
        missing: missing_in(ended),
    })
}

/// Returns the program that a shell did not find, where nobody else would find it either.
fn missing_in(ended: &Ended) -> Option<String> {
    let Ending::Exited(127) = ended.ending else {
        return None;
    };
    let name = missing_program(&ended.tail)?;
    config::on_path(name).is_none().then(|| name.to_owned())
}
