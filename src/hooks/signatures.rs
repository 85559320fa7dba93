//! Whether a branch's commits are signed by the agents that they name: asked at the gate, where signing is on.

use anyhow::Result;

use super::gate::{Branch, Finding, Rule, commits_of};
use super::message::Parts;
use crate::git::{Oid, Repo};
use crate::ledger::signatures::{Said, verify};
use crate::model::{Signer, signing};

/// Checks the commits that a branch adds against the signers of a ledger whose own signatures were checked. A commit
/// is signed by the agent that its tags name, or by a person.
///
/// # Errors
///
/// A commit cannot be read, or Git cannot be asked.
pub fn check(repo: &Repo, branch: &Branch<'_>, signers: &[u8]) -> Result<Vec<Finding>> {
    let commits = commits_of(repo, branch)?;
    let said = verify(repo, &commits, signers)?;
    let mut findings = Vec::new();
    for commit in commits {
        let found = said.get(&commit).unwrap_or(&Said::Nothing);
        findings.extend(judge(repo, commit, found)?);
    }
    Ok(findings)
}

fn judge(repo: &Repo, commit: Oid, said: &Said) -> Result<Option<Finding>> {
    let data = repo.read_commit(commit)?;
    let tags = Parts::read(data.message.as_bytes(), None).tags;
    let expected = tags.map(|(_, agent)| signing::principal_of(agent));
    let what = match said {
        Said::By(principal) if Some(principal) == expected.as_ref() => return Ok(None),
        // A person may mend what an agent did, in its own name.
        Said::By(principal)
            if !Signer::is_agents(principal) && !principal.starts_with("executor-") =>
        {
            return Ok(None);
        }
        Said::By(principal) => format!("is signed by {principal}"),
        Said::Unknown => String::from("is signed with a key that the ledger does not name"),
        Said::Bad => String::from("has a signature that is not good"),
        Said::Nothing => String::from("is not signed"),
    };
    let help = match expected {
        Some(principal) => format!(
            "make it again in the agent's worktree, where {principal} signs: `git rebase --exec 'git commit --amend --no-edit' <base>`"
        ),
        None => String::from("make it again in the agent's worktree, which signs what it commits"),
    };
    Ok(Some(Finding {
        commit,
        rule: Rule::Signature,
        what,
        help,
        paths: Vec::new(),
    }))
}
