//! The checks of `submit` (C3): silent failures do not exist.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::git::worktree::{Head, read_head};
use crate::git::{Oid, Repo};
use crate::ledger::{HookAnswer, Ledger, Outgoing};
use crate::model::{Handoff, HandoffStatus, TaskSpec, WrapUpAt, event};
use crate::workspace::{Assignment, seen_from, uncommitted_within, wrapup};

/// What the checks came to.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Everything holds.
    Passed {
        /// Tip of the branch.
        head: Oid,
        /// What is handed on.
        handoff: Handoff,
    },
    /// Something does not.
    Failed(CheckFailure),
}

/// What does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckFailure {
    /// What, in one line.
    pub reason: String,
    /// All that the next attempt, or a person, needs to mend it.
    pub findings: String,
    /// The program that a check needs and that is not there, if that is it.
    pub missing: Option<String>,
}

impl From<(String, String)> for CheckFailure {
    fn from((reason, findings): (String, String)) -> Self {
        Self {
            reason,
            findings,
            missing: None,
        }
    }
}

/// Returns the head of the task's branch, which must be what is checked out.
pub(super) fn find_head(
    repo: &Repo,
    a: &Assignment,
    dir: &Path,
) -> Result<Result<Oid, CheckFailure>> {
    let branch = format!("refs/heads/{}", a.branch);
    let Some(head) = repo.read_ref(&branch)? else {
        return Ok(Err(CheckFailure::from((
            format!("branch {} does not exist", a.branch),
            format!("Commit the work on branch {}.", a.branch),
        ))));
    };
    let at = seen_from(repo, dir)?;
    if read_head(at.git_dir()) != Head::Branch(a.branch.clone()) {
        return Ok(Err(CheckFailure::from((
            format!("the worktree is not on branch {}", a.branch),
            format!(
                "Run `git switch {}` in {} and commit there.",
                a.branch,
                dir.display()
            ),
        ))));
    }
    Ok(Ok(head))
}

/// Returns what is wrong with what was committed: something of the task is not, there is nothing, or deliverables
/// are missing.
pub(super) fn check_committed(
    repo: &Repo,
    spec: &TaskSpec,
    a: &Assignment,
    dir: &Path,
    head: Oid,
) -> Result<Option<CheckFailure>> {
    let left = uncommitted_within(repo, dir, &spec.scope)?;
    if !left.is_empty() {
        return Ok(Some(CheckFailure::from((
            format!("{} of its files are not committed", left.len()),
            format!("Commit or remove:\n{}", left.join("\n")),
        ))));
    }
    if repo.is_ancestor(head, a.base)? {
        return Ok(Some(CheckFailure::from((
            format!("branch {} has no commits beyond its base", a.branch),
            String::from("Nothing was committed. Do the work and commit it."),
        ))));
    }
    let missing = missing_deliverables(repo, head, spec)?;
    match missing.is_empty() {
        true => Ok(None),
        false => tell_missing(&seen_from(repo, dir)?, dir, &missing).map(Some),
    }
}

/// Returns what forbids the coder's end, where the run asks for a wrap-up before it.
pub(super) fn open_at_submit(ledger: &Ledger, a: &Assignment) -> Result<Option<CheckFailure>> {
    let board = ledger.board();
    if board.wrap_up_at() != Some(WrapUpAt::Submit) {
        return Ok(None);
    }
    let open = wrapup::look(ledger, Some(a.agent))?.open;
    let Err(refusal) = board.may_submit_with(&open) else {
        return Ok(None);
    };
    let items: Vec<&str> = open.iter().map(|item| item.what.as_str()).collect();
    let findings = format!(
        "Close this first; `git orch wrapup` tells how:\n{}",
        items.join("\n")
    );
    Ok(Some((refusal.message, findings).into()))
}

/// Returns why the user's `pre-push` hook does not let the branch go up, where it does not.
pub(super) fn ask_before_push(
    ledger: &Ledger,
    a: &Assignment,
    head: Oid,
    notes: &mut Vec<String>,
) -> Result<Option<CheckFailure>> {
    let going = Outgoing {
        branch: format!("refs/heads/{}", a.branch),
        commit: head,
    };
    Ok(match ledger.ask_before_push(&[going])? {
        HookAnswer::Agreed => None,
        HookAnswer::NotAsked(note) => {
            notes.push(note);
            None
        }
        HookAnswer::Refused(refusal) => Some(CheckFailure::from((
            refusal.reason,
            format!(
                "Nothing was pushed, and the commits are on {} as they were. The hook said last:\n{}\n\n`{}` asks it again \
                 and sends nothing.",
                a.branch, refusal.words, refusal.again
            ),
        ))),
    })
}

/// Returns the deliverables that the branch's tip does not have; they may be globs.
fn missing_deliverables(repo: &Repo, head: Oid, spec: &TaskSpec) -> Result<Vec<String>> {
    if spec.deliverables.is_empty() {
        return Ok(Vec::new());
    }
    let listing = repo
        .git()
        .args(["ls-tree", "-r", "-z", "--name-only", &head.to_string()])
        .read_bytes()?;
    let listing = String::from_utf8_lossy(&listing);
    let paths: Vec<&str> = listing.split_terminator('\0').collect();
    let mut missing = Vec::new();
    for wanted in &spec.deliverables {
        let plain = wanted.trim_end_matches('/').trim_start_matches("./");
        let below = format!("{plain}/");
        let exact = paths
            .iter()
            .any(|path| *path == plain || path.starts_with(&below));
        let glob = || -> Result<bool> {
            let glob = globset::GlobBuilder::new(plain)
                .literal_separator(true)
                .build()
                .with_context(|| format!("deliverable `{wanted}` is no path or glob"))?;
            let matcher = glob.compile_matcher();
            Ok(paths.iter().any(|path| matcher.is_match(path)))
        };
        if !exact && !glob()? {
            missing.push(wanted.clone());
        }
    }
    Ok(missing)
}

/// Tells which deliverables are missing, and of those that are there which rule keeps Git from taking them in.
fn tell_missing(at: &Repo, dir: &Path, missing: &[String]) -> Result<CheckFailure> {
    let mut told = Vec::new();
    let mut ignored = Vec::new();
    for wanted in missing {
        let rule = match dir.join(wanted).symlink_metadata() {
            Ok(_) => ignoring_rule(at, wanted)?,
            Err(_) => None,
        };
        match rule {
            Some(rule) => {
                told.push(format!("{wanted} (it is there, and ignored by {rule})"));
                ignored.push(wanted.as_str());
            }
            None => told.push(wanted.clone()),
        }
    }
    let mut findings = format!(
        "These files must exist and be committed:\n{}",
        told.join("\n")
    );
    if !ignored.is_empty() {
        findings.push_str(&format!(
            "\nGit ignores what is there already: change the rule, or commit it by `git add --force -- {}`.",
            ignored.join(" ")
        ));
    }
    let reason = format!("deliverables are missing: {}", told.join(", "));
    Ok((reason, findings).into())
}

/// Returns the rule by which Git ignores a path, as `.gitignore:3: *.log`.
fn ignoring_rule(at: &Repo, path: &str) -> Result<Option<String>> {
    let said = at
        .git_here()
        .args(["check-ignore", "--verbose", "-z", "--stdin"])
        .stdin([path.as_bytes(), b"\0"].concat())
        .output()?;
    // One exit code says that it is not ignored, and the others that git cannot tell: no rule is named then.
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let mut fields = said.split('\0');
    let (Some(source), Some(line), Some(pattern)) = (fields.next(), fields.next(), fields.next())
    else {
        return Ok(None);
    };
    Ok(Some(format!("{source}:{line}: {pattern}")))
}

/// Returns the contract of finished work; its summary is the subject of the branch's tip (B5).
pub(super) fn handoff(repo: &Repo, spec: &TaskSpec, a: &Assignment, head: Oid) -> Result<Handoff> {
    let message = repo.read_commit(head)?.message;
    let subject = message.lines().next().unwrap_or_default();
    let summary = subject
        .strip_prefix(&event::commit_tags(a.agent))
        .unwrap_or(subject);
    Ok(Handoff {
        task_id: spec.id.clone(),
        status: HandoffStatus::Completed,
        summary: summary.to_owned(),
        output: format!("branch {} at {head}", a.branch),
        deliverables: spec.deliverables.clone(),
        dependencies: spec
            .after
            .iter()
            .map(|dependency| dependency.task.clone())
            .collect(),
        next_steps: Vec::new(),
    })
}
