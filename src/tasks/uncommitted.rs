//! What an agent left uncommitted: committed in its name as far as it belongs to the task, the rest is kept.

use std::path::Path;

use anyhow::Result;

use crate::git::Oid;
use crate::hooks::gate::task::Surroundings;
use crate::hooks::gate::{Finding, Rule};
use crate::ledger::Ledger;
use crate::model::event::one_line;
use crate::workspace::{Assignment, Bounds, Refused, Taken, commit_within};

/// Paths that a note names.
const MOST_SHOWN: usize = 10;

/// Commits what is within the task's scope and passes the gate; keeps the rest under a recovery ref.
///
/// # Errors
///
/// HEAD is not on the task's branch, conflicts are unresolved, or Git or the ledger cannot be read.
pub fn take(ledger: &Ledger, a: &Assignment, dir: &Path, subject: &str) -> Result<Taken> {
    let repo = ledger.repo();
    let scope = ledger.spec(&a.task)?.scope;
    let around = Surroundings::here(ledger, &a.task)?;
    let judge = |commit: Oid| -> Result<Vec<Refused>> {
        let Some(around) = &around else {
            return Ok(Vec::new());
        };
        let findings = around.check(ledger, repo, commit)?;
        let of_it = findings.into_iter().filter(|found| is_of(found, commit));
        Ok(of_it.map(refused).collect())
    };
    let bounds = Bounds {
        scope: &scope,
        judge: &judge,
    };
    commit_within(repo, dir, a, subject, &bounds)
}

/// Whether a finding is about what one commit holds, and not about what was on the branch before.
fn is_of(found: &Finding, commit: Oid) -> bool {
    found.commit == commit && found.rule != Rule::Ancestry
}

fn refused(found: Finding) -> Refused {
    Refused {
        why: format!(
            "{}; {} (rule: {})",
            found.what,
            found.help,
            found.rule.as_str()
        ),
        paths: found.paths,
    }
}

/// Tells where what was not committed is, in a line; `None` where all of it was.
pub fn told(taken: &Taken) -> Option<String> {
    let kept = taken.kept.as_ref()?;
    let mut left = taken.outside.clone();
    let refused = taken.refused.iter().flat_map(|one| &one.paths);
    left.extend(refused.map(|path| String::from_utf8_lossy(path).into_owned()));
    let more = left.len().saturating_sub(MOST_SHOWN);
    left.truncate(MOST_SHOWN);
    if more > 0 {
        left.push(format!("{more} more"));
    }
    let why = match taken.refused.is_empty() {
        true => "outside the task's scope",
        false => "not taken by the gate",
    };
    Some(one_line(&format!(
        "left uncommitted and {why}, kept as {kept}: {}",
        left.join(", ")
    )))
}

/// Returns why the attempt fails where something within the scope was refused, in a line and as what its coder is
/// told.
pub fn failure(taken: &Taken) -> Option<(String, String)> {
    let first = taken.refused.first()?;
    let lines: Vec<String> = taken
        .refused
        .iter()
        .map(|one| format!("- it {}", one.why))
        .collect();
    let kept = taken.kept.as_deref().unwrap_or("the worktree");
    let reason = one_line(&format!(
        "what it left cannot be committed: it {}",
        first.why
    ));
    let findings = format!(
        "What was left uncommitted was not committed, since the gate would refuse the commit:\n\n{}\n\nIt is kept as {kept}.",
        lines.join("\n")
    );
    Some((reason, findings))
}
