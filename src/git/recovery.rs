//! Refs that keep what would be lost otherwise: `refs/orch/recovery/<owner>/<number>`.
//!
//! Each names an annotated tag object that says when it was saved and why, for which task and from which branch;
//! the tag names the commit. So plain Git tells all of it, here and wherever such a ref is pushed to:
//!
//! ```text
//! git for-each-ref refs/orch/recovery --format='%(refname) %(creatordate) %(subject)'
//! git show --stat refs/orch/recovery/1.2/1
//! git branch mine 'refs/orch/recovery/1.2/1^{commit}'
//! ```

use anyhow::{Context as _, Result};

use super::objects::NewTag;
use super::refs::Swap;
use super::{Oid, Repo};
use crate::model::event::{Told, one_line};

/// Refs that hold what was saved, by owner and number.
pub const RECOVERY: &str = "refs/orch/recovery";

/// What is said of a commit that is saved.
#[derive(Debug, Clone, Copy)]
pub struct Saving<'a> {
    /// Whose it is: a coder's number, or the part of git-orch that was at it.
    pub owner: &'a str,
    /// Why it is saved, in a line.
    pub reason: &'a str,
    /// The task that it is work of, as far as that is known.
    pub task: Option<&'a str>,
    /// The branch that it was on, without `refs/heads/`.
    pub branch: Option<&'a str>,
}

impl<'a> Saving<'a> {
    /// Returns what is said of a commit that belongs to no task.
    pub fn new(owner: &'a str, reason: &'a str) -> Self {
        Self {
            owner,
            reason,
            task: None,
            branch: None,
        }
    }

    /// Names the branch that it was on.
    #[must_use]
    pub fn on(self, branch: &'a str) -> Self {
        Self {
            branch: Some(branch),
            ..self
        }
    }

    fn message(&self) -> String {
        let mut text = format!("{}\n", one_line(self.reason));
        let more = [("Task", self.task), ("Branch", self.branch)];
        for (i, (key, value)) in more.into_iter().filter(|(_, v)| v.is_some()).enumerate() {
            let gap = if i == 0 { "\n" } else { "" };
            let value = one_line(value.unwrap_or_default());
            text.push_str(&format!("{gap}Orch-{key}: {value}\n"));
        }
        text
    }
}

/// A commit that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Full name of the ref.
    pub name: String,
    /// What the ref holds, which is the tag where there is one.
    pub holds: Oid,
    /// The commit.
    pub commit: Oid,
    /// When it was saved, in seconds since 1970; `None` where nothing tells.
    pub saved_at: Option<i64>,
    /// Why, in a line.
    pub reason: String,
    /// The task that it is work of.
    pub task: Option<String>,
    /// The branch that it was on.
    pub branch: Option<String>,
}

impl Kept {
    /// Returns the ref's name without what all of them have in common: `1.2/3`.
    pub fn id(&self) -> &str {
        let rest = self.name.strip_prefix(RECOVERY).unwrap_or(&self.name);
        rest.trim_start_matches('/')
    }

    /// Returns whose it is.
    pub fn owner(&self) -> &str {
        self.id().rsplit_once('/').map_or("", |(owner, _)| owner)
    }
}

impl Repo {
    /// Puts a commit under the next free recovery ref of an owner, unless the last one holds the same already;
    /// returns the ref's name.
    ///
    /// # Errors
    ///
    /// A ref cannot be read or written.
    pub fn keep(&self, saving: &Saving<'_>, commit: Oid) -> Result<String> {
        let owner = as_part_of_a_ref(saving.owner);
        let prefix = format!("{RECOVERY}/{owner}");
        loop {
            let listed = self
                .git()
                .args(["for-each-ref", "--format=%(refname)", &prefix])
                .read()?;
            let number = |name: &str| name.strip_prefix(&prefix)?.get(1..)?.parse::<u64>().ok();
            let last = listed.lines().filter_map(number).max();
            if let Some(last) = last {
                let name = format!("{prefix}/{last}");
                // One that is taken away in this moment holds nothing.
                if let Ok(kept) = self.resolve_commit(&name)
                    && self.holds_same(kept, commit)?
                {
                    return Ok(name);
                }
            }
            let number = last.unwrap_or(0) + 1;
            let name = format!("{prefix}/{number}");
            let tag = self.write_tag(&NewTag {
                commit,
                name: &format!("recovery/{owner}/{number}"),
                tagger: &self.person(),
                time: crate::clock::now().0,
                message: &saving.message(),
            })?;
            let created = self
                .git()
                .args(["-c", "core.hooksPath=/dev/null"])
                .args(["-c", "core.fsync=committed"])
                .args(["update-ref", "--create-reflog", "-m"])
                .arg(format!("orch: saved: {}", one_line(saving.reason)))
                .args([&name, &tag.to_string(), &"0".repeat(40)])
                .run();
            match created {
                Ok(()) => return Ok(name),
                // Somebody else took the number: take the next.
                Err(_) if self.read_ref(&name)?.is_some() => {}
                Err(error) => return Err(error.context(format!("cannot write {name}"))),
            }
        }
    }

    /// Returns the ref under which an owner's commit is kept, or one that holds the same.
    ///
    /// # Errors
    ///
    /// A ref or an object cannot be read.
    pub fn find_kept(&self, owner: &str, commit: Oid) -> Result<Option<String>> {
        let prefix = format!("{RECOVERY}/{}", as_part_of_a_ref(owner));
        let listed = self
            .git()
            .args(["for-each-ref", "--format=%(refname)", &prefix])
            .read()?;
        for name in listed.lines() {
            if self.holds_same(self.resolve_commit(name)?, commit)? {
                return Ok(Some(name.to_owned()));
            }
        }
        Ok(None)
    }

    /// Lists what is kept, what was saved first in front.
    ///
    /// # Errors
    ///
    /// A ref or an object cannot be read.
    pub fn kept(&self) -> Result<Vec<Kept>> {
        let fields = [
            "%(refname)",
            "%(objecttype)",
            "%(objectname)",
            "%(*objectname)",
            "%(creatordate:unix)",
            "%(contents)",
        ];
        let listed = self
            .git()
            .args([
                "for-each-ref",
                &format!("--format={}%00", fields.join("%00")),
            ])
            .arg(RECOVERY)
            .read_bytes()?;
        let listed = String::from_utf8_lossy(&listed);
        let mut kept = Vec::new();
        for record in listed.split("\0\n").filter(|record| !record.is_empty()) {
            kept.extend(self.read_kept(record)?);
        }
        kept.sort_by(|a, b| {
            let key = |kept: &Kept| (kept.saved_at, in_numbers(kept.id()));
            key(a).cmp(&key(b))
        });
        Ok(kept)
    }

    /// Reads one line of the list; `None` for what holds no commit, which nobody here has written.
    fn read_kept(&self, record: &str) -> Result<Option<Kept>> {
        let fields: Vec<&str> = record.splitn(6, '\0').collect();
        let [name, kind, id, peeled, date, contents] = fields.as_slice() else {
            return Ok(None);
        };
        let told = Told::parse(contents);
        let holds = Oid::from_hex(id.as_bytes()).context("git listed no object id")?;
        let (commit, saved_at) = match *kind {
            "tag" => (Oid::from_hex(peeled.as_bytes()).ok(), date.parse().ok()),
            // One that a person made, or another version: only its reflog tells when.
            "commit" => (Some(holds), self.reflog_time(name)),
            _ => (None, None),
        };
        Ok(commit.map(|commit| Kept {
            name: (*name).to_owned(),
            holds,
            commit,
            saved_at,
            reason: told.subject.clone(),
            task: told.get("Task").map(str::to_owned),
            branch: told.get("Branch").map(str::to_owned),
        }))
    }

    /// Gives up what is kept under some refs, all or none; each must hold what it did when it was listed.
    ///
    /// # Errors
    ///
    /// `git` cannot be run, or refuses.
    pub fn give_up(&self, kept: &[&Kept]) -> Result<Swap> {
        if kept.is_empty() {
            return Ok(Swap::Won);
        }
        let moves: Vec<_> = kept
            .iter()
            .map(|kept| (kept.name.as_str(), Some(kept.holds), None))
            .collect();
        self.swap_refs(&moves, "orch: given up")
    }

    /// Returns when a ref was moved last, as its reflog says.
    fn reflog_time(&self, name: &str) -> Option<i64> {
        let log =
            super::files::read_if_exists(&self.common_dir().join("logs").join(name)).ok()??;
        let log = String::from_utf8_lossy(&log);
        let who = log.lines().last()?.split('\t').next()?;
        who.rsplit(' ').nth(1)?.parse().ok()
    }

    /// Whether two commits hold the same, whenever they were made.
    fn holds_same(&self, a: Oid, b: Oid) -> Result<bool> {
        if a == b {
            return Ok(true);
        }
        let (a, b) = (self.read_commit(a)?, self.read_commit(b)?);
        Ok(a.tree == b.tree && a.parents == b.parents)
    }
}

/// Makes any name one that git takes in a ref; slashes stay.
fn as_part_of_a_ref(owner: &str) -> String {
    let part = |part: &str| {
        let clean = |c: char| match c {
            '0'..='9' | 'a'..='z' | 'A'..='Z' | '-' | '_' | '.' => c,
            _ => '-',
        };
        let clean: String = part.chars().map(clean).collect();
        let clean = clean.replace("..", "--");
        let clean = clean.trim_matches('.').trim_end_matches(".lock");
        clean.to_owned()
    };
    let parts: Vec<String> = owner.split('/').map(part).collect();
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [] => String::from("unknown"),
        parts => parts.join("/"),
    }
}

/// Puts `…/10` behind `…/9`.
fn in_numbers(name: &str) -> (String, u64) {
    let (owner, number) = name.rsplit_once('/').unwrap_or((name, ""));
    (owner.to_owned(), number.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_makes_a_part_of_a_ref() {
        for (name, part) in [
            ("1.2", "1.2"),
            ("my repo", "my-repo"),
            (".hidden", "hidden"),
            ("a..b", "a--b"),
            ("x.lock", "x"),
            ("", "unknown"),
            ("ünder/way", "-nder/way"),
            ("/orch//team-1/", "orch/team-1"),
        ] {
            assert_eq!(as_part_of_a_ref(name), part);
        }
    }

    #[test]
    fn what_is_said_reads_back() {
        let saving = Saving {
            task: Some("auth"),
            ..Saving::new("1.2", "left\nover").on("orch/team-1/auth")
        };
        let told = Told::parse(&saving.message());
        assert_eq!(told.subject, "left over");
        assert_eq!(told.get("Task"), Some("auth"));
        assert_eq!(told.get("Branch"), Some("orch/team-1/auth"));
        assert_eq!(Saving::new("undo", "why").message(), "why\n");
    }
}
