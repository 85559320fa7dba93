//! One check after another: each works as far as those before it have found a way.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::finding::{FIX, Finding};
use super::{
    audit, branches, files, hooks, ledger, locks, queue, repository, sandbox, shared, submitted,
    unfinished, worktrees,
};
use crate::answer::{Answer, Reply};
use crate::commands::Ctx;
use crate::error::UserError;
use crate::git::Repo;
use crate::ledger::Ledger;
use crate::model::Actor;
use crate::report::text::{clean, count};
use crate::ui::Paint;
use crate::workspace;

/// A check of a repository whose ledger can be read.
type LedgerCheck = fn(&Ledger) -> Result<Vec<Finding>>;

/// What was found so far.
pub(super) struct Checkup<'a> {
    ctx: &'a Ctx,
    repo: Repo,
    fix: bool,
    findings: Vec<Finding>,
    notes: Vec<String>,
}

impl<'a> Checkup<'a> {
    pub(super) fn begin(ctx: &'a Ctx, repo: Repo, fix: bool) -> Self {
        Self {
            ctx,
            repo,
            fix,
            findings: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Tells that the repository cannot even be opened.
    pub(super) fn failed(ctx: &Ctx, error: &anyhow::Error) -> Result<Reply> {
        let place = ctx.dir.display().to_string();
        let finding = Finding::of_error("repository-unusable", place, error);
        tell(ctx, vec![finding], &[], None)
    }

    /// Makes all checks and tells what they have found.
    pub(super) fn run(mut self) -> Result<Reply> {
        self.take("repository", repository::check(&self.repo));
        self.take("hooks", hooks::check(&self.repo));
        self.take("shared", shared::check(&self.repo));
        self.take("locks", locks::check(&self.repo));
        self.take("files", Ok(files::check(&self.repo)));
        self.take("ledger", ledger::branch(&self.repo));
        let ledger = self.check_ledger();
        let board = ledger.is_some();
        if board {
            let checks: [(&str, LedgerCheck); 6] = [
                ("audit", audit::check),
                ("queue", queue::check),
                ("branches", branches::check),
                ("submitted", submitted::check),
                ("unfinished", unfinished::check),
                ("sandbox", sandbox::check),
            ];
            for (name, check) in checks {
                // What was mended before has moved the ledger.
                match self.open() {
                    Ok(ledger) => self.take(name, check(&ledger)),
                    Err(error) => self.take(name, Err(error)),
                }
            }
        } else {
            self.notes.push(String::from(
                "queue and branches were not looked at: the ledger comes first",
            ));
        }
        let ledger = self.open().ok().filter(|_| board);
        self.take(
            "worktrees",
            worktrees::check(&self.repo, ledger.as_ref().map(Ledger::board)),
        );
        self.look_into_trash();
        let sandboxes = sandbox::told();
        tell(self.ctx, self.findings, &self.notes, Some(sandboxes))
    }

    /// Opens the ledger if nothing about it stands in the way of going on.
    fn check_ledger(&mut self) -> Option<Ledger> {
        // A missing branch was told already.
        self.repo
            .read_ref(&crate::config::ledger_ref(&self.repo))
            .ok()??;
        let before = self.findings.len();
        let mut notes = Vec::new();
        self.take("ledger", ledger::content(&self.repo, &mut notes));
        self.notes.append(&mut notes);
        if self.findings.len() > before {
            return None;
        }
        match self.open() {
            Ok(ledger) => Some(ledger),
            Err(error) => {
                self.take("ledger", Err(error));
                None
            }
        }
    }

    fn open(&self) -> Result<Ledger> {
        Ledger::open(self.repo.reopen()?, Actor::Human)
    }

    /// Takes findings in, and mends them at once where that is asked for: later checks build on it.
    fn take(&mut self, check: &str, found: Result<Vec<Finding>>) {
        let found =
            found.unwrap_or_else(|error| vec![Finding::of_error("check-failed", check, &error)]);
        for mut finding in found {
            if self.fix {
                finding.mend(&self.repo);
            }
            self.findings.push(finding);
        }
    }

    /// What lies in the trash is told, not found: people delete what was set aside when they like.
    fn look_into_trash(&mut self) {
        if self.fix
            && let Err(error) = workspace::trash::empty(&self.repo)
        {
            self.take("trash", Err(error));
        }
        let trashed = workspace::trash::list(&self.repo);
        for kept in trashed.iter().filter(|kept| !kept.is_gone) {
            self.notes.push(format!(
                "{} was set aside ({}): `git orch recover list`",
                kept.path.display(),
                kilobytes(kept.bytes)
            ));
        }
        let gone: Vec<u64> = trashed
            .iter()
            .filter(|kept| kept.is_gone)
            .map(|kept| kept.bytes)
            .collect();
        if !gone.is_empty() {
            self.notes.push(format!(
                "{} without work in the trash ({}): `{FIX}` deletes what nobody misses",
                count(gone.len(), "worktree"),
                kilobytes(gone.iter().sum())
            ));
        }
    }
}

fn kilobytes(bytes: u64) -> String {
    match bytes.div_ceil(1024) {
        small @ 0..10_240 => format!("{small} KB"),
        large => format!("{} MB", large / 1024),
    }
}

/// Answers what was found; fails while findings remain.
fn tell(
    ctx: &Ctx,
    findings: Vec<Finding>,
    notes: &[String],
    sandboxes: Option<String>,
) -> Result<Reply> {
    let remaining = findings.iter().filter(|found| !found.is_mended()).count();
    let is_fixable = |found: &Finding| !found.is_mended() && found.is_fixable();
    let fixable = findings.iter().any(is_fixable);
    let reply = ctx.answer(&Diagnosis {
        findings,
        remaining,
        // Machines get it among the notes, people beside them.
        notes: notes.iter().chain(&sandboxes).cloned().collect(),
        told: notes.len(),
    })?;
    let reply = sandboxes.into_iter().fold(reply, Reply::note);
    if remaining == 0 {
        return Ok(reply);
    }
    let verb = if remaining == 1 { "remains" } else { "remain" };
    let error = UserError::new(format!("{} {verb}", count(remaining, "finding")));
    Ok(reply.failing(Err(match fixable {
        true => error.hint(FIX),
        false => error,
    }
    .into())))
}

/// What is wrong, and what is worth knowing.
#[derive(Serialize, JsonSchema)]
pub struct Diagnosis {
    findings: Vec<Finding>,
    notes: Vec<String>,
    /// Findings that are not mended.
    remaining: usize,
    /// How many of the notes stand in the text.
    #[serde(skip)]
    told: usize,
}

impl Answer for Diagnosis {
    fn text(&self, paint: Paint) -> String {
        let findings = &self.findings;
        let mut lines: Vec<String> = findings.iter().map(|found| found.render(paint)).collect();
        let notes = self.notes.iter().take(self.told);
        lines.extend(notes.map(|note| format!("note: {}", clean(note))));
        if findings.is_empty() {
            lines.push(String::from("nothing is wrong"));
        } else if self.remaining == 0 {
            lines.push(format!("{} mended", count(findings.len(), "finding")));
        }
        lines.join("\n")
    }
}
