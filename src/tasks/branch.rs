//! Puts a task's branch right before it is judged. It is private until it is handed in, so its commits may be made
//! anew: never what they change, never somebody else's.

use std::collections::BTreeSet;

use anyhow::Result;

use super::checks::CheckFailure;
use super::reword::Added;
use crate::clock;
use crate::error::UserError;
use crate::git::objects::NewCommit;
use crate::git::recovery::Saving;
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};
use crate::hooks::gate::task::Surroundings;
use crate::hooks::gate::{Finding, Rule};
use crate::ledger::Ledger;
use crate::ledger::signatures::{agent_key, write_signed};
use crate::workspace::leftovers::message;
use crate::workspace::settings::identity;
use crate::workspace::{Assignment, load_start};

/// Returns the head that passes the gate: the branch's own, or one of the same content in commits that were put
/// right; a failure where there is none.
///
/// Commits that were made past the hooks get their tags. Where commits of an earlier attempt are refused and what the
/// branch comes to is not, it becomes one commit, and what it was is kept.
///
/// # Errors
///
/// Git or the ledger cannot be read or written, or the branch was moved meanwhile.
pub(super) fn put_right(
    ledger: &Ledger,
    a: &Assignment,
    around: &Surroundings,
    head: Oid,
    notes: &mut Vec<String>,
) -> Result<Result<Oid, CheckFailure>> {
    let repo = ledger.repo();
    let findings = around.check(ledger, repo, head)?;
    if findings.is_empty() {
        return Ok(Ok(head));
    }
    let (mut now, mut left) = (head, findings);
    let branch = around.branch(head);
    if let Some((new, count)) = Added::of(repo, a, &branch)?.reworded()? {
        (now, left) = (new, around.check(ledger, repo, new)?);
        let plural = if count == 1 { "commit" } else { "commits" };
        notes.push(format!(
            "{count} {plural} of {} had been made past the hooks and got tags, trailers or author",
            a.branch
        ));
    }
    let branch = around.branch(now);
    if !left.is_empty()
        && let Some(joined) = join(repo, a, &Added::of(repo, a, &branch)?, &left)?
        && around.check(ledger, repo, joined)?.is_empty()
    {
        let kept = keep(repo, a, head)?;
        notes.push(format!(
            "{} is one commit now, since commits of an earlier attempt are refused by the gate; it was {kept}",
            a.branch
        ));
        (now, left) = (joined, Vec::new());
    }
    if now != head {
        move_branch(repo, a, head, now)?;
    }
    Ok(match around.told(&left) {
        None => Ok(now),
        Some(failure) => Err(failure.into()),
    })
}

/// Writes one commit of all that a branch comes to, where commits of an earlier attempt alone stand in its way and
/// all of it is its agents' own.
fn join(
    repo: &Repo,
    a: &Assignment,
    added: &Added<'_>,
    findings: &[Finding],
) -> Result<Option<Oid>> {
    let Some(start) = load_start(repo, &a.task, a.attempt)? else {
        return Ok(None);
    };
    let mut at_fault: BTreeSet<Oid> = BTreeSet::new();
    for finding in findings {
        // Whose commits these are, and where the branch begins, is not for us to say.
        if matches!(
            finding.rule,
            Rule::Foreign | Rule::Authors | Rule::Ancestry | Rule::Signature
        ) {
            return Ok(None);
        }
        at_fault.insert(finding.commit);
    }
    for commit in at_fault {
        if !repo.is_ancestor(commit, start)? {
            return Ok(None);
        }
    }
    if !added.are_own()? {
        return Ok(None);
    }
    let (Some(head), Some(parents)) = (added.commits.last(), parents_of_one(repo, added)?) else {
        return Ok(None);
    };
    let tree = repo.read_commit(*head)?.tree;
    if repo.read_commit(parents[0])?.tree == tree {
        return Ok(None);
    }
    let subject = repo.read_commit(*head)?.message;
    let person = identity(repo, a.agent);
    let commit = NewCommit {
        tree,
        parents: &parents,
        author: &person,
        committer: &person,
        time: clock::now().0,
        message: &message(a, subject.lines().next().unwrap_or_default()),
    };
    let key = agent_key(repo, a.agent);
    Ok(Some(match key.exists() {
        true => write_signed(repo, &commit, &key)?,
        false => repo.write_commit(&commit)?,
    }))
}

/// Returns the parents that one commit in place of all has: where the branch was cut, or what it merged last of the
/// line that it goes into; `None` where it has taken in more than two lines.
fn parents_of_one(repo: &Repo, added: &Added<'_>) -> Result<Option<Vec<Oid>>> {
    let mut parents: Vec<Oid> = Vec::new();
    for one in &added.border {
        let mut is_within = false;
        for other in added.border.iter().filter(|other| *other != one) {
            is_within |= repo.is_ancestor(*one, *other)?;
        }
        if !is_within {
            parents.push(*one);
        }
    }
    // The line that the branch itself is on comes first.
    if let [_, second] = parents[..] {
        let first = added.first_parent(repo)?;
        if repo.is_ancestor(first, second)? {
            parents.reverse();
        }
    }
    Ok((1..=2).contains(&parents.len()).then_some(parents))
}

fn keep(repo: &Repo, a: &Assignment, head: Oid) -> Result<String> {
    let owner = a.agent.to_string();
    let reason = "a branch before its commits became one";
    let saving = Saving {
        task: Some(a.task.as_str()),
        ..Saving::new(&owner, reason).on(&a.branch)
    };
    repo.keep(&saving, head)
}

fn move_branch(repo: &Repo, a: &Assignment, from: Oid, to: Oid) -> Result<()> {
    let name = format!("refs/heads/{}", a.branch);
    match repo.swap_refs(&[(&name, Some(from), Some(to))], "orch: put right")? {
        Swap::Won => Ok(()),
        Swap::Lost => Err(UserError::new(format!(
            "branch {} was moved while it was checked",
            a.branch
        ))
        .hint(format!("git orch submit {}", a.task))
        .into()),
    }
}
