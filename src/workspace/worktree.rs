//! A coder's worktree: made, reused from task to task, parked, removed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::leftovers::{save_changes, save_leftovers};
use super::place::Place;
use super::private::bring_back;
use super::recovery::end_operations;
use super::uncommitted::{Change, as_path, changes_alone, end_hiding};
use super::{Assignment, obstacles, settings, trash, view};
use crate::error::UserError;
use crate::git::recovery::Saving;
use crate::git::refs::Swap;
use crate::git::worktree::{
    Head, Holder, Linked, NewWorktree, checked_out_elsewhere, cone_patterns,
};
use crate::git::{Git, Oid, Repo, files};
use crate::model::{AgentId, OpId};

/// Makes or reuses the coder's worktree, clean and on the task's branch, and returns its path.
///
/// The branch is continued where it exists and cut from the base where not. What was left uncommitted in the
/// worktree is saved first. Killed at any moment, it can be called again.
///
/// # Errors
///
/// The branch is checked out in a worktree that is not ours, or Git or the disk refuse.
pub fn prepare(repo: &Repo, assignment: &Assignment) -> Result<PathBuf> {
    prepare_cone(repo, assignment, &[])
}

/// As [`prepare`], with some directories of the repository only.
///
/// # Errors
///
/// As [`prepare`].
pub fn prepare_cone(repo: &Repo, assignment: &Assignment, cone: &[String]) -> Result<PathBuf> {
    prepare_from(repo, assignment, &Start::AsItIs, cone)
}

/// How a task's branch begins where it is here already; where it is not, it is cut in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// It is continued as it is.
    AsItIs,
    /// It goes on from this commit: where it is here and says otherwise, it is moved there.
    From(Oid),
    /// It begins at this commit, once for each such operation, whatever it held before.
    Anew {
        /// The commit.
        from: Oid,
        /// The operation.
        since: OpId,
        /// Where the branch is at the remote, whose tip is written over when the work is pushed.
        theirs: Option<Oid>,
        /// Whether other machines work on it as well, so that it must build on the commit ever after.
        is_shared: bool,
    },
}

impl Start {
    fn commit(&self) -> Option<Oid> {
        match self {
            Self::AsItIs => None,
            Self::From(commit) | Self::Anew { from: commit, .. } => Some(*commit),
        }
    }
}

/// As [`prepare_cone`], on a branch that begins where it is said; what it had besides is kept under a recovery ref.
///
/// # Errors
///
/// As [`prepare`].
pub fn prepare_from(
    repo: &Repo,
    assignment: &Assignment,
    start: &Start,
    cone: &[String],
) -> Result<PathBuf> {
    view::exclude_add(repo)?;
    let place = Place::of(repo, assignment.agent);
    let _own = place.lock(repo)?;
    bring_back(repo, &place)?;
    cut_branch(
        repo,
        &assignment.branch,
        start.commit().unwrap_or(assignment.base),
    )?;
    let mut usable = place.mend(repo)?;
    if usable && save(repo, &place, assignment).is_err() {
        // What cannot be saved as a commit is kept as it is, out of the way.
        place.set_aside(repo, "what was left in it could not be saved as a commit")?;
        usable = false;
    }
    free_branch(repo, &place, &assignment.branch)?;
    match start {
        Start::AsItIs => {}
        Start::From(commit) => bring_branch(repo, assignment, *commit)?,
        Start::Anew {
            from,
            since,
            theirs,
            is_shared,
        } => {
            if !begin_anew(repo, assignment, *from, since, *theirs)? && *is_shared {
                bring_branch(repo, assignment, *from)?;
            }
        }
    }
    settings::write(repo, assignment.agent, Some(assignment), !cone.is_empty())?;
    place.begin_preparing(repo)?;
    if usable {
        switch(repo, &place, &assignment.branch, cone)?;
    } else {
        repo.add_worktree(&NewWorktree {
            name: &place.name,
            dir: &place.dir,
            head: &Head::Branch(assignment.branch.clone()),
            cone,
        })?;
    }
    place.is_prepared(repo)?;
    Ok(place.dir)
}

/// Detaches HEAD of a coder's worktree, so that its branch is free; its files stay as they are.
///
/// # Errors
///
/// The worktree cannot be written.
pub fn park(repo: &Repo, agent: AgentId) -> Result<()> {
    let place = Place::of(repo, agent);
    let _own = place.lock(repo)?;
    bring_back(repo, &place)?;
    if !place.is_linked() {
        return Ok(());
    }
    let alone = repo.lock_worktrees()?;
    repo.detach_worktree(&alone, &place.linked())?;
    let is_sparse = place.patterns().exists();
    settings::write(repo, agent, None, is_sparse)
}

/// Creates the branch at its base unless it exists.
fn cut_branch(repo: &Repo, branch: &str, base: Oid) -> Result<()> {
    let name = format!("refs/heads/{branch}");
    if repo.read_ref(&name)?.is_some() {
        return Ok(());
    }
    // Lost, somebody else created it in this moment: it is continued.
    repo.swap_refs(&[(&name, None, Some(base))], "orch: cut from base")
        .map(drop)
}

/// Brings a branch to a commit that it must build on; what it had besides is kept.
fn bring_branch(repo: &Repo, assignment: &Assignment, start: Oid) -> Result<()> {
    let name = format!("refs/heads/{}", assignment.branch);
    let Some(ours) = repo.read_ref(&name)? else {
        return Ok(());
    };
    if repo.is_ancestor(start, ours)? {
        return Ok(());
    }
    let reason = "what the branch had here when the task went on from elsewhere";
    keep_beyond(repo, assignment, ours, start, reason)?;
    move_branch(repo, assignment, ours, start)
}

/// Has a branch begin at a commit, unless it has done so since that operation; what it had is kept. Returns whether it
/// begins.
fn begin_anew(
    repo: &Repo,
    assignment: &Assignment,
    from: Oid,
    since: &OpId,
    theirs: Option<Oid>,
) -> Result<bool> {
    // Whoever forges this note has its own old commits continued, which it could bring back by a merge as well.
    let note = repo.orch_dir().join("fresh").join(assignment.task.as_str());
    let noted = files::read_if_exists(&note)?;
    if noted.is_some_and(|bytes| bytes.trim_ascii_end() == since.0.as_bytes()) {
        return Ok(false);
    }
    let ours = repo.read_ref(&format!("refs/heads/{}", assignment.branch))?;
    let reason = "what the branch had when the task began anew";
    for had in [theirs, ours].into_iter().flatten() {
        keep_beyond(repo, assignment, had, from, reason)?;
    }
    if let Some(ours) = ours.filter(|ours| *ours != from) {
        move_branch(repo, assignment, ours, from)?;
    }
    files::replace(&note, format!("{since}\n").as_bytes())?;
    Ok(true)
}

/// Keeps what a branch has and a commit that it is moved to has not.
fn keep_beyond(
    repo: &Repo,
    assignment: &Assignment,
    had: Oid,
    start: Oid,
    reason: &str,
) -> Result<()> {
    if repo.is_ancestor(had, start)? {
        return Ok(());
    }
    let agent = assignment.agent.to_string();
    let saving = Saving {
        task: Some(assignment.task.as_str()),
        ..Saving::new(&agent, reason).on(&assignment.branch)
    };
    repo.keep(&saving, had).map(drop)
}

fn move_branch(repo: &Repo, assignment: &Assignment, from: Oid, to: Oid) -> Result<()> {
    let name = format!("refs/heads/{}", assignment.branch);
    match repo.swap_refs(&[(&name, Some(from), Some(to))], "orch: go on from here")? {
        Swap::Won => Ok(()),
        Swap::Lost => Err(UserError::new(format!(
            "branch {} was moved while it was made ready",
            assignment.branch
        ))
        .hint(format!("git orch status {}", assignment.task))
        .into()),
    }
}

/// Saves what is in a worktree, so that it may be changed, and has Git look at all of it again.
fn save(repo: &Repo, place: &Place, assignment: &Assignment) -> Result<()> {
    let reason = format!(
        "left in the worktree before {} attempt {}",
        assignment.task, assignment.attempt
    );
    let found = changes_alone(repo, &place.dir)?;
    let saved = save_changes(repo, &place.dir, &found, &reason)?;
    end_operations(&place.admin)?;
    end_hiding(repo, &place.dir)?;
    if found.is_empty() {
        return Ok(());
    }
    if saved.is_some() {
        delete_saved(place, &found)?;
    }
    set_untracked_aside(repo, place)
}

/// Deletes the untracked files that were saved, and directories that held nothing else; no other file.
fn delete_saved(place: &Place, saved: &[Change]) -> Result<()> {
    for change in saved {
        if !change.is_untracked() || change.is_nested_repository() {
            continue;
        }
        let path = place.dir.join(as_path(&change.path));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
        files::remove_empty_above(&path, &place.dir);
    }
    Ok(())
}

/// Why untracked files are set aside.
const UNFIT: &str =
    "untracked, and no commit could hold it: a repository, or ignored until just then";

/// Moves what is untracked to the trash; a commit could not hold it, or it was ignored until just now.
fn set_untracked_aside(repo: &Repo, place: &Place) -> Result<()> {
    let mut to = None;
    for change in changes_alone(repo, &place.dir)? {
        if change.is_untracked() {
            let slot = match to.take() {
                Some(slot) => slot,
                None => trash::slot(repo, &place.agent.to_string(), UNFIT)?,
            };
            place.set_path_aside(as_path(&change.path), &slot)?;
            to = Some(slot);
        }
    }
    Ok(())
}

/// Puts a saved worktree on a branch. Ignored files stay: they are the warm build caches. Those that the branch would
/// overwrite go to the trash.
fn switch(repo: &Repo, place: &Place, branch: &str, cone: &[String]) -> Result<()> {
    obstacles::clear_view(repo, place)?;
    obstacles::set_aside(repo, place, branch)?;
    let patterns = match cone {
        [] => None,
        cone => Some(cone_patterns(cone).into_bytes()),
    };
    let old_patterns = files::read_if_exists(&place.patterns())?;
    let mut sparse: &[&str] = &[];
    if patterns.is_some() || old_patterns.is_some() {
        sparse = match cone {
            [] => &[
                "-c",
                "core.sparseCheckout=true",
                "-c",
                "core.sparseCheckoutCone=false",
            ],
            _ => &[
                "-c",
                "core.sparseCheckout=true",
                "-c",
                "core.sparseCheckoutCone=true",
            ],
        };
    }
    if patterns != old_patterns {
        let everything = || b"/*\n".to_vec();
        files::edit(
            &place.patterns(),
            &patterns.clone().unwrap_or_else(everything),
        )?;
    }
    git(place)
        .args(sparse)
        .args(["checkout", "--force", "--quiet", "--no-guess"])
        .args(["--ignore-other-worktrees", branch, "--"])
        // What others committed is as large as it is, and a filter may have to fetch it.
        .within(Duration::MAX)
        .run()
        .with_context(|| format!("cannot switch {} to {branch}", place.dir.display()))?;
    if !sparse.is_empty() {
        git(place)
            .args(sparse)
            .args(["sparse-checkout", "reapply"])
            .run()
            .context("cannot change the directories that are checked out")?;
    }
    if patterns.is_none() && old_patterns.is_some() {
        fs::remove_file(place.patterns()).context("cannot remove the patterns of a cone")?;
    }
    set_untracked_aside(repo, place)
}

/// Detaches the branch wherever one of our other worktrees has it checked out.
fn free_branch(repo: &Repo, place: &Place, branch: &str) -> Result<()> {
    let alone = repo.lock_worktrees()?;
    for holder in repo.branch_holders(branch)? {
        match &holder {
            Holder::Linked(linked) if linked.name == place.name => {}
            Holder::Linked(linked) => match coder_of(linked) {
                Some(agent) => {
                    let other = Place::of(repo, agent);
                    bring_back(repo, &other)?;
                    other.remove_dead_locks()?;
                    if !linked.reserved.is_empty() && other.is_linked() {
                        save_leftovers(repo, &other.dir, "unfinished when its branch was needed")?;
                        end_operations(&linked.admin)?;
                    }
                    repo.detach_worktree(&alone, linked)?;
                }
                None => return Err(checked_out_elsewhere(branch, &holder).into()),
            },
            Holder::Main(_) => return Err(checked_out_elsewhere(branch, &holder).into()),
        }
    }
    Ok(())
}

/// Returns whose worktree it is, by its name.
pub(super) fn coder_of(linked: &Linked) -> Option<AgentId> {
    linked.name.strip_prefix("orch-")?.parse().ok()
}

/// Returns a `git` in a coder's worktree that runs no hooks.
fn git(place: &Place) -> Git {
    place.git()
}
