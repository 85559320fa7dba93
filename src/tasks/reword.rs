//! Commits that an agent made past the hooks get the tags, trailers and identity that the hooks would have given
//! them: the same trees, the same order, the same merges.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context as _, Result};

use crate::config;
use crate::git::files::read_if_exists;
use crate::git::{Oid, Repo};
use crate::hooks::gate::Branch;
use crate::hooks::message::{Parts, Stamp, stamp};
use crate::ledger::signatures::{agent_key, sign_commit};
use crate::model::AgentId;
use crate::model::gate::authors::{self, claims_agent, may_commit};
use crate::model::gate::commit::RawCommit;
use crate::workspace::Assignment;
use crate::workspace::settings::{identity, reflog};

/// Prefixes by which `git rebase --autosquash` finds its commits.
const SQUASHES: [&[u8]; 3] = [b"fixup! ", b"squash! ", b"amend! "];

/// The commits that a branch adds, oldest first, and which of them are its agents' own.
pub(super) struct Added<'a> {
    repo: &'a Repo,
    a: &'a Assignment,
    branch: &'a Branch<'a>,
    pub(super) commits: Vec<Oid>,
    pub(super) border: Vec<Oid>,
    /// Those that another task's branch has as well.
    shared: BTreeSet<Oid>,
    /// Those that were committed in this coder's worktree.
    made_here: BTreeSet<Oid>,
    /// Names and addresses that are a person's.
    people: Vec<(String, String)>,
}

impl<'a> Added<'a> {
    /// Lists them.
    ///
    /// # Errors
    ///
    /// Git cannot list them.
    pub(super) fn of(repo: &'a Repo, a: &'a Assignment, branch: &'a Branch<'a>) -> Result<Self> {
        let known = [branch.allowed, &[branch.base, branch.tip]].concat();
        let most = branch.gate.max_commits as usize + 1;
        let (commits, border) = repo.added_commits(&[branch.head], &known, most)?;
        let alone = repo
            .audit_git()
            .args(["rev-list", &branch.head.to_string(), "--not"])
            .args([format!("--exclude=refs/heads/{}", a.branch)])
            .args(["--glob=refs/heads/orch/"])
            .args([format!("--exclude=refs/remotes/*/{}", a.branch)])
            .args(["--glob=refs/remotes/"])
            .read()
            .context("cannot list the commits of a branch")?;
        let alone: BTreeSet<&str> = alone.lines().collect();
        let is_shared = |commit: &&Oid| !alone.contains(commit.to_string().as_str());
        let shared = commits.iter().filter(is_shared).copied().collect();
        Ok(Self {
            made_here: made_here(repo, a.agent),
            people: people(repo),
            shared,
            commits,
            border,
            repo,
            a,
            branch,
        })
    }

    /// Returns whose commit it is, where it is an agent's of this team and no other task has it.
    fn owner(&self, id: Oid, raw: &RawCommit<'_>) -> Option<AgentId> {
        if self.shared.contains(&id) {
            return None;
        }
        let by_agent = authors::agent(raw.committer).filter(|by| by.team == self.branch.team);
        by_agent.or_else(|| self.is_misnamed(id, raw).then_some(self.a.agent))
    }

    /// Returns whether the agent committed it here under a name that is nobody's.
    fn is_misnamed(&self, id: Oid, raw: &RawCommit<'_>) -> bool {
        let person = raw.committer;
        self.made_here.contains(&id)
            && raw.author == person
            && !claims_agent(person)
            && !may_commit(
                person,
                self.branch.team,
                &self.branch.gate.authors,
                &self.people,
            )
    }

    /// Returns whether all of them are this team's agents' own.
    ///
    /// # Errors
    ///
    /// One cannot be read.
    pub(super) fn are_own(&self) -> Result<bool> {
        for id in &self.commits {
            let raw = self.repo.read_raw_commit(*id)?;
            match RawCommit::parse(&raw) {
                Ok(parsed) if self.owner(*id, &parsed).is_some() => {}
                Ok(_) | Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Returns the commit that the branch, followed by first parents, was cut from.
    ///
    /// # Errors
    ///
    /// A commit cannot be read.
    pub(super) fn first_parent(&self, repo: &Repo) -> Result<Oid> {
        let added: BTreeSet<&Oid> = self.commits.iter().collect();
        let mut at = self.branch.head;
        while added.contains(&at) {
            let data = repo.read_commit(at)?;
            at = *data.parents.first().context("a branch has a base")?;
        }
        Ok(at)
    }

    /// Writes the branch anew where own commits lack tags, trailers or identity; returns its head and how many
    /// lacked something, or `None` where there is nothing to do, or somebody else's commits would change with them.
    ///
    /// # Errors
    ///
    /// An object cannot be read or written.
    pub(super) fn reworded(&self) -> Result<Option<(Oid, usize)>> {
        let mut new: HashMap<Oid, Oid> = HashMap::new();
        let mut count = 0;
        for id in &self.commits {
            let raw = self.repo.read_raw_commit(*id)?;
            let Ok(parsed) = RawCommit::parse(&raw) else {
                return Ok(None);
            };
            let owner = self.owner(*id, &parsed);
            let message = owner.and_then(|owner| self.message(owner, parsed.message));
            let is_misnamed = owner.is_some() && self.is_misnamed(*id, &parsed);
            let is_moved = parents(&raw).iter().any(|parent| new.contains_key(parent));
            if message.is_none() && !is_misnamed && !is_moved {
                continue;
            }
            let Some(owner) = owner else {
                return Ok(None);
            };
            count += usize::from(message.is_some() || is_misnamed);
            let person = is_misnamed.then(|| identity(self.repo, owner));
            let message = message.as_deref().unwrap_or(parsed.message);
            let text = rewritten(&raw, &new, person.as_ref(), message);
            let Some(text) = self.signed(owner, text)? else {
                return Ok(None);
            };
            new.insert(*id, self.repo.write_raw_commit(&text)?);
        }
        Ok(new.get(&self.branch.head).map(|head| (*head, count)))
    }

    /// Returns the message that a commit lacks, if it lacks something and says nothing to the contrary.
    fn message(&self, owner: AgentId, old: &[u8]) -> Option<Vec<u8>> {
        let parts = Parts::read(old, None);
        let (task, agent) = (parts.trailer("Orch-Task"), parts.trailer("Orch-Agent"));
        let lacks = parts.tags.is_none() || task.is_none() || agent.is_none();
        let fits = task.is_none_or(|said| said == self.a.task.as_str())
            && agent.is_none_or(|said| said.parse() == Ok(owner))
            && parts.tags.is_none_or(|(_, tagged)| tagged == owner);
        if !lacks || !fits {
            return None;
        }
        let prefix: usize = SQUASHES
            .iter()
            .find(|word| old.starts_with(word))
            .map_or(0, |word| word.len());
        let by = Stamp {
            agent: owner,
            task: self.a.task.clone(),
            attempt: (owner == self.a.agent).then_some(self.a.attempt),
            run: Some(self.a.run.clone()).filter(|run| !run.is_empty()),
        };
        Some([&old[..prefix], &stamp(&old[prefix..], &by, None)].concat())
    }

    /// Signs a commit where its agent signs; `None` where this machine does not have the agent's key.
    fn signed(&self, owner: AgentId, text: Vec<u8>) -> Result<Option<Vec<u8>>> {
        if !agent_key(self.repo, self.a.agent).exists() {
            return Ok(Some(text));
        }
        let key = agent_key(self.repo, owner);
        match key.exists() {
            true => sign_commit(self.repo, &text, &key).map(Some),
            false => Ok(None),
        }
    }
}

/// Returns the commits that the reflog of a coder's worktree says were made there.
fn made_here(repo: &Repo, agent: AgentId) -> BTreeSet<Oid> {
    let log = reflog(repo.common_dir(), agent);
    // What is too large or no file was not written by Git alone, and vouches for nothing.
    let log = read_if_exists(&log).unwrap_or_default().unwrap_or_default();
    let made = log.split(|byte| *byte == b'\n').filter_map(|line| {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let is_commit = line[tab + 1..].starts_with(b"commit");
        is_commit.then(|| Oid::from_hex(line.get(41..81)?).ok())?
    });
    made.collect()
}

/// Returns who the people are that git-orch knows of: those of its environment, and whoever the repository is
/// configured for outside of coders' worktrees.
fn people(repo: &Repo) -> Vec<(String, String)> {
    let mut people = config::given_identities();
    if let Ok(shared) = Repo::discover(repo.common_dir()) {
        for role in ["user", "author", "committer"] {
            let of = |what: &str| shared.config(&format!("{role}.{what}"));
            people.extend(of("name").zip(of("email")));
        }
    }
    people
}

/// Returns the parents that a raw commit names.
fn parents(raw: &[u8]) -> Vec<Oid> {
    let lines = raw.split(|byte| *byte == b'\n');
    let head = lines.take_while(|line| !line.is_empty());
    let ids = head.filter_map(|line| line.strip_prefix(b"parent "));
    ids.filter_map(|id| Oid::from_hex(id).ok()).collect()
}

/// Returns a raw commit with other parents, another name on it and another message. A signature is left out: it was
/// over what is no longer said.
fn rewritten(
    raw: &[u8],
    new: &HashMap<Oid, Oid>,
    person: Option<&(String, String)>,
    message: &[u8],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + 200);
    let lines = raw.split(|byte| *byte == b'\n');
    let mut is_signature = false;
    for line in lines.take_while(|line| !line.is_empty()) {
        is_signature = match line.strip_prefix(b" ") {
            Some(_) => is_signature,
            None => line.starts_with(b"gpgsig ") || line.starts_with(b"gpgsig-sha256 "),
        };
        if is_signature {
            continue;
        }
        let parent = line.strip_prefix(b"parent ");
        let parent = parent.and_then(|id| Oid::from_hex(id).ok());
        match (parent, person) {
            (Some(parent), _) => {
                let parent = new.get(&parent).copied().unwrap_or(parent);
                out.extend(format!("parent {parent}").bytes());
            }
            (None, Some(person)) => out.extend(renamed(line, person)),
            (None, None) => out.extend(line),
        }
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend(message);
    out
}

/// Returns a header line with another name and address where it has one.
fn renamed(line: &[u8], (name, address): &(String, String)) -> Vec<u8> {
    for role in ["author", "committer"] {
        let is_of = line.starts_with(format!("{role} ").as_bytes());
        if is_of && let Some(end) = line.iter().rposition(|byte| *byte == b'>') {
            let head = format!("{role} {name} <{address}");
            return [head.as_bytes(), &line[end..]].concat();
        }
    }
    line.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_rewritten_in_its_header_and_message_only() {
        let old = "1".repeat(40);
        let other = "2".repeat(40);
        let raw = format!(
            "tree {old}\nparent {old}\nparent {other}\nauthor A <a@b> 5 +0100\ncommitter A <a@b> 6 +0100\n\
             encoding latin1\ngpgsig -----BEGIN\n abc\n\n def\n"
        );
        let raw = raw.replace(
            "\n\n def\n",
            "\n def\nmergetag object\n more\n\nold\n\nparent x\n",
        );
        let id = |hex: &str| Oid::from_hex(hex.as_bytes()).unwrap();
        let new = HashMap::from([(id(&old), id(&"3".repeat(40)))]);
        let person = (
            String::from("AGENT-1.2"),
            String::from("agent-1.2@m.invalid"),
        );
        let text = rewritten(raw.as_bytes(), &new, Some(&person), b"new\n");
        let three = "3".repeat(40);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            format!(
                "tree {old}\nparent {three}\nparent {other}\nauthor AGENT-1.2 <agent-1.2@m.invalid> 5 +0100\n\
                 committer AGENT-1.2 <agent-1.2@m.invalid> 6 +0100\nencoding latin1\nmergetag object\n more\n\nnew\n"
            )
        );
        assert_eq!(parents(raw.as_bytes()), [id(&old), id(&other)]);
        let same = rewritten(raw.as_bytes(), &HashMap::new(), None, b"old\n\nparent x\n");
        assert!(same.starts_with(format!("tree {old}\nparent {old}\n").as_bytes()));
    }
}
