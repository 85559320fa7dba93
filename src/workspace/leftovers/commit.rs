//! Commits what an agent left, as far as it belongs to its task.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Head, Work, save_changes, save_leftovers};
use crate::clock;
use crate::error::UserError;
use crate::git::objects::NewCommit;
use crate::git::{Oid, Repo};
use crate::ledger::signatures::{agent_key, write_signed};
use crate::model::event::{commit_tags, one_line};
use crate::model::scope::Glob;
use crate::workspace::Assignment;
use crate::workspace::merging::is_decided;
use crate::workspace::place::half_made;
use crate::workspace::recovery::{end_operations, keep_loose, operation_commits};
use crate::workspace::settings::identity;
use crate::workspace::uncommitted::{Change, IndexCopy, as_path, changes};

/// What may be committed of what an agent left.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// Globs that a path must match one of; anything will do where there are none.
    pub scope: &'a [String],
    /// Says what is wrong with a commit that is not on the branch yet.
    pub judge: &'a dyn Fn(Oid) -> Result<Vec<Refused>>,
}

impl Bounds<'_> {
    /// Bounds that let everything pass.
    pub const NONE: Self = Bounds {
        scope: &[],
        judge: &|_| Ok(Vec::new()),
    };
}

/// What is wrong with a commit of what was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The paths at fault; none where it is the commit as a whole.
    pub paths: Vec<Vec<u8>>,
    /// What is wrong.
    pub why: String,
}

/// What became of what an agent left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The commit that has what may be committed; `None` where there is nothing.
    pub commit: Option<Oid>,
    /// Paths outside the scope.
    pub outside: Vec<String>,
    /// What within the scope was refused.
    pub refused: Vec<Refused>,
    /// The recovery ref that keeps what was not committed.
    pub kept: Option<String>,
}

/// Commits everything uncommitted on the task's branch in the coder's name, with its tags and trailers.
///
/// Returns the commit; `None` where there is nothing.
///
/// # Errors
///
/// As [`commit_within`].
pub fn commit_leftovers(
    repo: &Repo,
    dir: &Path,
    assignment: &Assignment,
    subject: &str,
) -> Result<Option<Oid>> {
    commit_within(repo, dir, assignment, subject, &Bounds::NONE).map(|taken| taken.commit)
}

/// Commits what is uncommitted and within bounds on the task's branch in the coder's name, with its tags and
/// trailers. What is out of bounds is saved under a recovery ref; the files stay as they are.
///
/// # Errors
///
/// HEAD is not on the task's branch, or conflicts are unresolved: then everything is saved first and the
/// error says where.
pub fn commit_within(
    repo: &Repo,
    dir: &Path,
    assignment: &Assignment,
    subject: &str,
    bounds: &Bounds<'_>,
) -> Result<Taken> {
    let found = changes(repo, dir)?;
    let work = Work::open(repo, dir)?;
    if half_made(repo, &work.owner).exists() {
        // Whoever made the worktree ready was killed at it: no agent has begun there.
        save_changes(repo, dir, &found, "found in a worktree that was not ready")?;
        return Ok(Taken::default());
    }
    require_committable(repo, dir, assignment, &work, &found)?;
    if !found.iter().any(|change| !change.is_nested_repository()) {
        return Ok(Taken::default());
    }
    let merged = operation_commits(repo, &work.admin, &["MERGE_HEAD"]);
    let scope = Scope::new(bounds.scope, !merged.is_empty());
    let (mut inside, outside): (Vec<Change>, Vec<Change>) = found
        .iter()
        .cloned()
        .partition(|change| scope.covers(change));
    let mut taken = Taken {
        outside: outside.iter().map(Change::shown).collect(),
        ..Taken::default()
    };
    while !inside.is_empty() {
        let parts = (found.as_slice(), inside.as_slice(), merged.as_slice());
        let Some((commit, index)) = work.draft(repo, assignment, subject, parts)? else {
            break;
        };
        let refused = (bounds.judge)(commit)?;
        if refused.is_empty() {
            work.take_in(repo, assignment, subject, commit)?;
            index.put_in_place()?;
            keep_loose(repo, &work.owner, &work.admin)?;
            end_operations(&work.admin)?;
            taken.commit = Some(commit);
            break;
        }
        let at_fault: BTreeSet<&Vec<u8>> = refused.iter().flat_map(|one| &one.paths).collect();
        let before = inside.len();
        inside.retain(|change| !at_fault.contains(&change.path));
        let is_hopeless = inside.len() == before;
        taken.refused.extend(refused);
        if is_hopeless {
            break;
        }
    }
    let why = match (taken.refused.is_empty(), taken.outside.is_empty()) {
        (true, true) => return Ok(taken),
        (true, false) => "left outside the task's scope",
        (false, _) => "left, and not taken by the gate",
    };
    taken.kept = save_leftovers(repo, dir, &format!("{}: {why}", assignment.task))?;
    Ok(taken)
}

/// Lists what is uncommitted in a worktree and within a scope, as `git status --porcelain` lines.
///
/// # Errors
///
/// The directory is no worktree, or its index cannot be read.
pub fn uncommitted_within(repo: &Repo, dir: &Path, scope: &[String]) -> Result<Vec<String>> {
    let scope = Scope::new(scope, false);
    let found = changes(repo, dir)?.into_iter();
    let lines = found.filter(|change| scope.covers(change));
    Ok(lines.map(|change| change.line()).collect())
}

/// Refuses to commit where HEAD is elsewhere or conflicts are unresolved; saves what is there first.
fn require_committable(
    repo: &Repo,
    dir: &Path,
    assignment: &Assignment,
    work: &Work,
    found: &[Change],
) -> Result<()> {
    let on_branch = matches!(&work.head, Head::Branch(name) if *name == assignment.branch);
    let undecided = |change: &Change| {
        change.is_unmerged()
            && !(change.is_changed_by_both() && is_decided(&dir.join(as_path(&change.path))))
    };
    let why = match on_branch {
        true if !found.iter().any(undecided) => return Ok(()),
        true => format!("conflicts are unresolved in {}", dir.display()),
        false => format!("HEAD of {} is not on {}", dir.display(), assignment.branch),
    };
    let Some(saved) = save_leftovers(repo, dir, &why)? else {
        return Ok(());
    };
    Err(
        UserError::new(format!("{why}; what is there was saved as {saved}"))
            .hint(format!("git show --stat {saved}"))
            .into(),
    )
}

/// Which changes belong to a task.
struct Scope {
    globs: Vec<Glob>,
    is_anywhere: bool,
    /// Whether a merge is under way: what it has staged comes from the other side.
    merges: bool,
}

impl Scope {
    fn new(scope: &[String], merges: bool) -> Self {
        let globs = scope.iter().filter_map(|glob| Glob::parse(glob).ok());
        Self {
            globs: globs.collect(),
            is_anywhere: scope.is_empty(),
            merges,
        }
    }

    fn covers(&self, change: &Change) -> bool {
        let path = String::from_utf8_lossy(&change.path);
        let is_of_merge = change.is_unmerged() || !change.is_untracked() && change.code[1] == b' ';
        self.is_anywhere
            || self.merges && is_of_merge
            || self.globs.iter().any(|glob| glob.matches(&path))
    }
}

impl Work {
    /// Writes a commit of some of the changes; `None` where it would change nothing. The branch stays where it is.
    fn draft(
        &self,
        repo: &Repo,
        assignment: &Assignment,
        subject: &str,
        (found, inside, merged): (&[Change], &[Change], &[Oid]),
    ) -> Result<Option<(Oid, IndexCopy)>> {
        let index = self.copy_of_index(repo)?;
        let head = self
            .commit
            .with_context(|| format!("branch {} has no commit", assignment.branch))?;
        let taken: BTreeSet<&Vec<u8>> = inside.iter().map(|change| &change.path).collect();
        let is_staged = |change: &&Change| !change.is_untracked() && change.code[0] != b' ';
        let mut others = found.iter().filter(|change| !taken.contains(&change.path));
        if merged.is_empty() && others.any(|change| is_staged(&change)) {
            // Begins anew with what is committed: what was staged of the task is taken in again from the files.
            let reset = ["read-tree", "--reset", &head.to_string()];
            index.git().args(reset).run()?;
        }
        let tree = index.take_in(inside.iter())?;
        if tree == repo.read_commit(head)?.tree && merged.is_empty() {
            if inside.len() == found.len() {
                index.put_in_place()?;
            }
            return Ok(None);
        }
        let mut parents = vec![head];
        parents.extend(merged);
        let person = identity(repo, assignment.agent);
        let commit = NewCommit {
            tree,
            parents: &parents,
            author: &person,
            committer: &person,
            time: clock::now().0,
            message: &message(assignment, subject),
        };
        let key = agent_key(repo, assignment.agent);
        let commit = match key.exists() {
            true => write_signed(repo, &commit, &key)?,
            false => repo.write_commit(&commit)?,
        };
        Ok(Some((commit, index)))
    }

    /// Moves the branch to a commit on top of it.
    fn take_in(
        &self,
        repo: &Repo,
        assignment: &Assignment,
        subject: &str,
        commit: Oid,
    ) -> Result<()> {
        let name = format!("refs/heads/{}", assignment.branch);
        let head = self.commit.map(|head| head.to_string()).unwrap_or_default();
        self.git(repo)
            .args(["update-ref", "-m"])
            .arg(format!("commit: {}", one_line(subject)))
            .args([name, commit.to_string(), head])
            .run()
            .with_context(|| format!("cannot move branch {}", assignment.branch))
    }
}

/// Returns the message of a commit in a coder's name.
pub fn message(assignment: &Assignment, subject: &str) -> String {
    let subject = one_line(subject);
    let tags = commit_tags(assignment.agent);
    let subject = subject.strip_prefix(&tags).unwrap_or(&subject);
    let mut text = format!(
        "{tags}{subject}\n\nOrch-Task: {}\nOrch-Agent: {}\nOrch-Attempt: {}\n",
        assignment.task, assignment.agent, assignment.attempt
    );
    let run = one_line(&assignment.run);
    if !run.is_empty() {
        text.push_str(&format!("Orch-Run: {run}\n"));
    }
    text
}
