//! Many merges and many diffs in one go, tried out in a [`Scratch`] store.
//!
//! One `git merge-tree --stdin` for all is several times cheaper than a process each. Before Git 2.49 it
//! answers only when its input ends, and it dies at the first pair that it cannot merge at all: so a batch
//! goes in whole, and what stands behind a failing line goes in again.

use std::collections::HashMap;
use std::num::NonZero;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::cmd::Git;
use super::complaint::complaint;
use super::history::parse_change;
use super::merge::{PINNED, Parsed};
use super::scratch::{Scratch, as_nobody};
use super::{ChangedPath, Oid, Repo};

/// What is to be merged with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// Two commits, by their own history.
    Commits(Oid, Oid),
    /// Two trees, as changes of a third, which comes first.
    Trees(Oid, Oid, Oid),
}

/// What a merge came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// The tree of the merge, in the scratch store.
    Clean(Oid),
    /// Paths in conflict, with Git's stable name of the kind.
    Conflict(Vec<(Vec<u8>, String)>),
    /// The two have no common history.
    Unrelated,
    /// Git could not merge them at all; its words.
    Refused(String),
}

/// Merges for which another process is worth its start.
const WORTH_A_PROCESS: usize = 16;

impl Repo {
    /// Merges pairs without touching a ref, an index, a working tree or the repository's own objects.
    /// Attributes are those of one commit or tree.
    ///
    /// # Errors
    ///
    /// Git cannot be run, or was interrupted.
    pub fn try_merges(
        &self,
        scratch: &Scratch,
        attributes: Oid,
        pairs: &[Pair],
    ) -> Result<Vec<Tried>> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = cores.min(pairs.len().div_ceil(WORTH_A_PROCESS)).max(1);
        let share = pairs.len().div_ceil(workers).max(1);
        let run = Run {
            common_dir: self.common_dir(),
            scratch,
            attributes,
        };
        let mut tried: Vec<Tried> = std::thread::scope(|scope| {
            let parts = pairs.chunks(share);
            let run = &run;
            let workers: Vec<_> = parts
                .map(|part| scope.spawn(move || run.merge_all(part)))
                .collect();
            let results = workers.into_iter().map(|worker| match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            results.collect::<Result<Vec<_>>>()
        })?
        .concat();
        for (pair, tried) in pairs.iter().zip(&mut tried) {
            if let (Pair::Commits(ours, theirs), Tried::Refused(_)) = (pair, &tried)
                && self.merge_bases_in(scratch, *ours, *theirs)? == 0
            {
                *tried = Tried::Unrelated;
            }
        }
        Ok(tried)
    }

    /// Returns what changed between pairs of trees, directories included and renames shown as removed and
    /// added.
    ///
    /// # Errors
    ///
    /// A tree is missing.
    pub fn try_diffs(
        &self,
        scratch: &Scratch,
        pairs: &[(Oid, Oid)],
    ) -> Result<Vec<Vec<ChangedPath>>> {
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let lines: String = pairs
            .iter()
            .map(|(old, new)| format!("{old} {new}\n"))
            .collect();
        let bytes = scratch
            .bind(self.true_git())
            .args(["diff-tree", "--stdin", "-r", "-t", "-z", "--raw"])
            .args(["--no-renames", "--ignore-submodules=none"])
            .stdin(lines)
            .read_bytes()?;
        parse_diffs(&bytes, pairs.len())
    }

    /// Writes the merge of two commits to the scratch store, as if it had landed.
    ///
    /// # Errors
    ///
    /// The scratch store cannot be written.
    pub fn scratch_merge(&self, scratch: &Scratch, tree: Oid, parents: [Oid; 2]) -> Result<Oid> {
        let mut git =
            scratch
                .bind(self.true_git())
                .args(["commit-tree", "-m", "merge", &tree.to_string()]);
        for parent in parents {
            git = git.args(["-p", &parent.to_string()]);
        }
        let id = as_nobody(git).read()?;
        Oid::from_hex(id.as_bytes()).with_context(|| format!("git named no commit but `{id}`"))
    }

    /// Returns the commits that some heads have and a tip has not, each with its parents.
    ///
    /// # Errors
    ///
    /// A commit is missing.
    pub fn beyond(
        &self,
        scratch: &Scratch,
        tip: Oid,
        heads: &[Oid],
    ) -> Result<HashMap<Oid, Vec<Oid>>> {
        let mut revisions = format!("^{tip}\n");
        revisions.extend(heads.iter().map(|head| format!("{head}\n")));
        let text = scratch
            .bind(self.true_git())
            .args(["rev-list", "--parents", "--stdin"])
            .stdin(revisions)
            .read()?;
        let mut found = HashMap::new();
        for line in text.lines() {
            let ids = line.split(' ').map(|id| Oid::from_hex(id.as_bytes()));
            let mut ids = ids.collect::<Result<Vec<_>, _>>()?.into_iter();
            if let Some(commit) = ids.next() {
                found.insert(commit, ids.collect());
            }
        }
        Ok(found)
    }

    fn merge_bases_in(&self, scratch: &Scratch, one: Oid, other: Oid) -> Result<usize> {
        let (one, other) = (one.to_string(), other.to_string());
        let output = scratch
            .bind(self.true_git())
            .args(["merge-base", &one, &other])
            .output()?;
        Ok(usize::from(output.status.code() != Some(1)))
    }
}

/// What one process after the other needs to know.
struct Run<'a> {
    common_dir: &'a Path,
    scratch: &'a Scratch,
    attributes: Oid,
}

impl Run<'_> {
    fn merge_all(&self, pairs: &[Pair]) -> Result<Vec<Tried>> {
        let mut tried = Vec::new();
        while tried.len() < pairs.len() {
            let rest = &pairs[tried.len()..];
            let lines: String = rest.iter().map(Pair::line).collect();
            let output = self
                .git()
                .args(["merge-tree", "--write-tree", "--stdin"])
                .stdin(lines)
                .output()?;
            let found = parse_merges(&output.stdout).context("cannot read git's merges")?;
            let complete = found.len() >= rest.len();
            tried.extend(found.into_iter().take(rest.len()));
            if complete {
                break;
            }
            if output.status.code().is_none() || output.status.success() {
                bail!("`git merge-tree` ended before its work was done");
            }
            tried.push(Tried::Refused(complaint(&output.stderr)));
        }
        Ok(tried)
    }

    fn git(&self) -> Git {
        let git = Git::new(self.common_dir)
            .env("GIT_DIR", self.common_dir)
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_GRAFT_FILE", "/dev/null")
            .arg(format!("--attr-source={}", self.attributes));
        let mut git = self.scratch.bind(git);
        for setting in PINNED {
            git = git.args(["-c", setting]);
        }
        git
    }
}

impl Pair {
    fn line(&self) -> String {
        match self {
            Self::Commits(ours, theirs) => format!("{ours} {theirs}\n"),
            Self::Trees(base, ours, theirs) => format!("{base} -- {ours} {theirs}\n"),
        }
    }
}

/// Parses one record after the other: whether it is clean, and then as without `--stdin`.
fn parse_merges(bytes: &[u8]) -> Result<Vec<Tried>> {
    let mut fields = bytes.split(|byte| *byte == 0);
    let mut tried = Vec::new();
    while let Some(status) = fields.next().filter(|field| !field.is_empty()) {
        tried.push(match status {
            b"1" => {
                let tree = fields.next().context("a merge has no tree")?;
                fields.next();
                Tried::Clean(Oid::from_hex(tree).context("a merge has no tree")?)
            }
            b"0" => {
                let files = Parsed::read(&mut fields)?.files.into_iter();
                let file = |(path, told): (&[u8], super::merge::Told<'_>)| {
                    (
                        path.to_vec(),
                        String::from_utf8_lossy(told.kind).into_owned(),
                    )
                };
                Tried::Conflict(files.map(file).collect())
            }
            _ => bail!("a merge has no status"),
        });
    }
    Ok(tried)
}

/// Parses `<tree> <tree>\n`, then meta and path of each change, and so on.
fn parse_diffs(bytes: &[u8], count: usize) -> Result<Vec<Vec<ChangedPath>>> {
    let (mut rest, mut diffs) = (bytes, Vec::with_capacity(count));
    while !rest.is_empty() {
        if rest[0] != b':' {
            let end = rest.iter().position(|byte| *byte == b'\n');
            rest = &rest[end.context("git's list of changes is cut off")? + 1..];
            diffs.push(Vec::new());
            continue;
        }
        let mut field = || {
            let end = rest.iter().position(|byte| *byte == 0)?;
            let field = &rest[..end];
            rest = &rest[end + 1..];
            Some(field)
        };
        let (meta, path) = (field(), field());
        let change = meta.zip(path).and_then(|(m, p)| parse_change(m, p));
        let last = diffs.last_mut();
        last.context("git's list of changes has no beginning")?
            .push(change.context("git's list of changes is malformed")?);
    }
    if diffs.len() != count {
        bail!("git told {} of {count} differences", diffs.len());
    }
    Ok(diffs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1111111111111111111111111111111111111111";

    #[test]
    fn records_follow_each_other() {
        let text = format!(
            "1\0{ID}\0\0\
             0\0{ID}\0100644 {ID} 2\ta\0\0\
             1\0a\0CONFLICT (contents)\0CONFLICT (content): in a\n\0\0\
             1\0{ID}\0\0"
        );
        let tried = parse_merges(text.as_bytes()).unwrap();
        let clean = Tried::Clean(Oid::from_hex(ID.as_bytes()).unwrap());
        let conflict = vec![(b"a".to_vec(), String::from("CONFLICT (contents)"))];
        assert_eq!(tried, [clean.clone(), Tried::Conflict(conflict), clean]);
        assert_eq!(parse_merges(b"").unwrap(), []);
        assert!(parse_merges(b"2\0").is_err());
    }

    #[test]
    fn differences_follow_each_other() {
        let header = format!("{ID} {ID}\n");
        let change = format!(":100644 100644 {ID} {ID} M\0a\nb\0");
        let diffs = parse_diffs(format!("{header}{change}{header}").as_bytes(), 2).unwrap();
        assert_eq!(diffs[0][0].path, b"a\nb");
        assert!(diffs[1].is_empty());
        assert!(parse_diffs(change.as_bytes(), 1).is_err());
        assert!(parse_diffs(header.as_bytes(), 2).is_err());
    }
}
