//! Signed transitions: this machine signs what it writes, and builds on nothing that is not signed by somebody whom
//! the ledger named before.
//!
//! The first transition that switches signing on names its own signers: who takes part later trusts that one, as with
//! any first key. Every later one must be signed by a key that stands in `.orchestration/allowed_signers` of the
//! commit before it and is no agent's. Up to where that was checked is noted in the common directory, so that each
//! is checked once; the note also keeps a forged commit from switching signing off unseen.
//!
//! Keys lie in files that only their owner may read. Whoever runs as the same user can read them all the same: against
//! such a one only a sandbox helps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Ledger;
use super::files;
use super::layout::Place;
use crate::config;
use crate::error::UserError;
use crate::git::objects::{NewCommit, blob_id};
use crate::git::{Git, Oid, Repo};
use crate::model::{AgentId, Signer, Signing, signing};
use crate::seal;

/// What the seal says of the file with the newest commit whose signature was checked.
const VERIFIED: &str = "verified";

/// Most commits that one process checks: each costs two runs of `ssh-keygen`.
const BATCH: usize = 500;

/// Returns where the keys of this machine lie.
fn keys_dir(repo: &Repo) -> PathBuf {
    repo.orch_dir().join("keys")
}

/// Returns where it is noted up to where signatures were checked: outside of the repository, so that taking the note
/// away does not make an unsigned ledger of a signed one.
pub fn verified_path(repo: &Repo) -> PathBuf {
    let place = repo.common_dir().as_os_str().as_encoded_bytes();
    match config::state_dir() {
        Some(dir) => dir.join(VERIFIED).join(blob_id(place).to_string()),
        None => repo.orch_dir().join(VERIFIED),
    }
}

/// Returns where the key is with which this machine signs transitions.
pub fn machine_key(repo: &Repo) -> PathBuf {
    keys_dir(repo).join("executor")
}

/// Returns where an agent's key is on this machine.
pub fn agent_key(repo: &Repo, agent: AgentId) -> PathBuf {
    keys_dir(repo).join(format!("agent-{agent}"))
}

/// Makes a key unless it is there, and returns who signs with it.
///
/// # Errors
///
/// There is no `ssh-keygen`, or the key cannot be written.
pub fn make_key(path: &Path, principal: &str) -> Result<Signer> {
    if !path.exists() {
        let dir = path.parent().context("a key lies in a directory")?;
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Git::ssh_keygen(dir)
            .args(["-q", "-t", "ed25519", "-N", "", "-C", principal, "-f"])
            .arg(path)
            .run()
            .map_err(no_keygen)?;
    }
    let public = path.with_file_name(format!(
        "{}.pub",
        path.file_name().unwrap_or_default().to_string_lossy()
    ));
    let text = crate::git::files::read_whole(&public)
        .with_context(|| format!("cannot read {}", public.display()))?;
    let text = String::from_utf8_lossy(&text);
    let signer = Signer::parse(&format!("{principal} {text}"));
    signer.with_context(|| format!("{} is no public key", public.display()))
}

fn no_keygen(error: anyhow::Error) -> anyhow::Error {
    error.context(
        UserError::new("keys cannot be made: signing needs `ssh-keygen` of OpenSSH 8.2 or newer")
            .hint("git orch init --signing off"),
    )
}

/// Writes a commit signed with a key.
///
/// # Errors
///
/// The key is gone, there is no `ssh-keygen`, or the object store cannot be written.
pub fn write_signed(repo: &Repo, commit: &NewCommit<'_>, key: &Path) -> Result<Oid> {
    repo.write_raw_commit(&sign_commit(repo, commit.text().as_bytes(), key)?)
}

/// Returns a raw commit with a signature over it in its head, as `git verify-commit` reads it.
///
/// # Errors
///
/// The key is gone, there is no `ssh-keygen`, or the commit has no head.
pub fn sign_commit(repo: &Repo, raw: &[u8], key: &Path) -> Result<Vec<u8>> {
    require_key(key)?;
    let signature = Git::ssh_keygen(repo.common_dir())
        .args(["-Y", "sign", "-q", "-n", "git", "-f"])
        .arg(key)
        .stdin(raw)
        .read()
        .map_err(no_keygen)?;
    let end = raw.windows(2).position(|pair| pair == b"\n\n");
    let (head, message) = raw.split_at(end.context("a commit has a head")?);
    let signature = signature.trim_end().replace('\n', "\n ");
    Ok([head, b"\ngpgsig ", signature.as_bytes(), message].concat())
}

fn require_key(key: &Path) -> Result<()> {
    if key.exists() {
        return Ok(());
    }
    let text = format!("this machine has no key {} to sign with", key.display());
    Err(UserError::new(text).hint("git orch signers machine").into())
}

impl Ledger {
    /// Returns who this machine is among the signers, and makes its key where it has none.
    ///
    /// # Errors
    ///
    /// As [`make_key`].
    pub fn machine_signer(&self) -> Result<Signer> {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '-'
            }
        };
        let machine: String = self.machine().0.chars().map(plain).collect();
        make_key(
            &machine_key(self.repo()),
            &format!("executor-{machine}@orch"),
        )
    }

    /// Writes a commit of the ledger, signed where that is asked for.
    pub(super) fn write_transition(&self, commit: &NewCommit<'_>, is_signed: bool) -> Result<Oid> {
        if !is_signed {
            return self.repo().write_commit(commit);
        }
        let key = machine_key(self.repo());
        // Nobody would build on it.
        if self.board().is_signed() && key.exists() {
            let signer = self.machine_signer()?;
            if !self.board().signers.contains(&signer) {
                let Signer { principal, key } = signer;
                return Err(UserError::new(format!(
                    "{principal} is not among those whose signatures count: add it on a machine that may sign"
                ))
                .hint(format!("git orch signers add {principal} '{key}'"))
                .into());
            }
        }
        write_signed(self.repo(), commit, &key)
    }

    /// Returns the key with which this machine signs the commits that it puts on integrated branches; `None` where
    /// nothing is signed.
    ///
    /// # Errors
    ///
    /// This machine has no key.
    pub fn merge_key(&self) -> Result<Option<PathBuf>> {
        if !self.board().is_signed() {
            return Ok(None);
        }
        let key = machine_key(self.repo());
        require_key(&key)?;
        Ok(Some(key))
    }

    /// Notes that the ledger is at a commit that this process has written upon what it had checked.
    pub(super) fn note_verified(&self, tip: Oid) {
        if self.board().is_signed() {
            // What cannot be noted is checked again.
            let _ = self.note_checked(tip);
        }
    }

    /// Checks the signatures of all transitions that are new since the last check.
    ///
    /// # Errors
    ///
    /// One is not signed by somebody who may; it is named.
    pub fn verify(&self) -> Result<()> {
        let path = verified_path(self.repo());
        let Some(tip) = self.tip() else {
            return Ok(());
        };
        if !self.board().is_signed() && !path.exists() {
            return Ok(());
        }
        let noted = seal::read(self.repo(), &path, VERIFIED)?.unwrap_or_default();
        let noted = Oid::from_hex(noted.trim_ascii()).ok();
        // A commit that is not there is of another repository, which was at this place before.
        let noted = noted.filter(|noted| self.repo().read_commit(*noted).is_ok());
        if noted == Some(tip) {
            return Ok(());
        }
        let (found, ends) = self.unverified(tip, noted)?;
        if let (Some(noted), false) = (noted, ends) {
            // A reader that others have left behind since it looked: all that it has was checked by them.
            if self.repo().is_ancestor(tip, noted).unwrap_or(false) {
                return Ok(());
            }
            return Err(UserError::new(format!(
                "the ledger does not build on commit {noted}, up to which its signatures were checked"
            ))
            .hint("git orch doctor")
            .into());
        }
        self.check_chain(&found)?;
        if !self.board().is_signed() {
            // A signed transition has switched it off.
            return Ok(std::fs::remove_file(&path)?);
        }
        self.note_checked(tip)
    }

    fn note_checked(&self, tip: Oid) -> Result<()> {
        let text = format!("{tip}\n").into_bytes();
        seal::replace(self.repo(), &verified_path(self.repo()), VERIFIED, text)
    }

    /// Returns the commits from a tip down to one that was checked, oldest first, and whether that was reached.
    fn unverified(&self, tip: Oid, noted: Option<Oid>) -> Result<(Vec<Link>, bool)> {
        let mut found = Vec::new();
        let mut next = Some(tip);
        while let Some(commit) = next.filter(|commit| Some(*commit) != noted) {
            let data = self.repo().read_commit(commit)?;
            next = data.parents.first().copied();
            found.push(Link {
                commit,
                tree: data.tree,
                parent: next,
            });
        }
        found.reverse();
        Ok((found, noted.is_some() && next == noted))
    }

    fn check_chain(&self, chain: &[Link]) -> Result<()> {
        let accepted = self.accepted()?;
        let mut before = match chain.first().and_then(|link| link.parent) {
            Some(parent) => self.standing(self.repo().read_commit(parent)?.tree)?,
            None => Standing::default(),
        };
        let mut group: (Vec<Oid>, Vec<u8>) = (Vec::new(), Vec::new());
        for link in chain {
            let after = self.standing(link.tree)?;
            // Whoever switches it on is trusted as the first.
            let rule = if before.is_on { &before } else { &after };
            if rule.is_on && !accepted.contains(&link.commit) {
                if group.1 != rule.signers {
                    self.check_group(&group)?;
                    group = (Vec::new(), rule.signers.clone());
                }
                group.0.push(link.commit);
            }
            before = after;
        }
        self.check_group(&group)
    }

    fn check_group(&self, (commits, signers): &(Vec<Oid>, Vec<u8>)) -> Result<()> {
        for commits in commits.chunks(BATCH) {
            let said = verify(self.repo(), commits, signers)?;
            for commit in commits {
                let why = match said.get(commit) {
                    Some(Said::By(principal)) if !Signer::is_agents(principal) => continue,
                    Some(Said::By(principal)) => {
                        format!("is signed by {principal}, who may not sign transitions")
                    }
                    Some(Said::Bad) => String::from("has a signature that is not good"),
                    Some(Said::Unknown) => {
                        String::from("is signed with a key that the ledger did not name before it")
                    }
                    Some(Said::Nothing) | None => String::from("is not signed"),
                };
                return Err(UserError::new(format!(
                    "the ledger's commit {commit} {why}: nothing is built on it"
                ))
                .hint(format!("git show --show-signature {commit}"))
                .hint(format!("git orch doctor --accept {commit}"))
                .into());
            }
        }
        Ok(())
    }

    /// Returns what holds of signatures at a tree of the ledger.
    fn standing(&self, tree: Oid) -> Result<Standing> {
        let settings = self.read_in(tree, &Place::Settings.path())?;
        let settings = settings.and_then(|bytes| files::parse_settings(&bytes).ok());
        let is_on = settings.is_some_and(|settings| settings.signing == Signing::Ssh);
        let signers = match is_on {
            true => self
                .read_in(tree, &Place::Signers.path())?
                .unwrap_or_default(),
            false => Vec::new(),
        };
        Ok(Standing { is_on, signers })
    }

    /// Returns the signers' file as of the board, whose signatures were checked by [`Ledger::verify`].
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn signers_file(&self) -> Result<Vec<u8>> {
        Ok(self.read(&Place::Signers.path())?.unwrap_or_default())
    }

    /// Returns the keys of agents that are to be enrolled before they sign anything.
    ///
    /// # Errors
    ///
    /// As [`make_key`].
    pub fn strangers(&self, agents: &[AgentId]) -> Result<Vec<Signer>> {
        let mut strangers = Vec::new();
        for agent in agents.iter().collect::<BTreeSet<_>>() {
            let key = agent_key(self.repo(), *agent);
            let signer = make_key(&key, &signing::principal_of(*agent))?;
            if !self.board().signers.contains(&signer) {
                strangers.push(signer);
            }
        }
        Ok(strangers)
    }
}

/// One commit of the ledger on the way.
struct Link {
    commit: Oid,
    tree: Oid,
    parent: Option<Oid>,
}

/// What holds of signatures at one commit.
#[derive(Default)]
struct Standing {
    is_on: bool,
    signers: Vec<u8>,
}

/// What a commit's signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It is good, and by this signer.
    By(String),
    /// It is good, by a key of nobody's.
    Unknown,
    /// It is not good.
    Bad,
    /// There is none.
    Nothing,
}

/// Returns what commits' signatures say, held against a file of signers.
///
/// # Errors
///
/// Git cannot be asked.
pub fn verify(repo: &Repo, commits: &[Oid], signers: &[u8]) -> Result<BTreeMap<Oid, Said>> {
    let mut said = BTreeMap::new();
    if commits.is_empty() {
        return Ok(said);
    }
    let mut file = tempfile::Builder::new()
        .prefix(".orch-")
        .tempfile_in(repo.orch_dir())
        .context("cannot write the signers")?;
    std::io::Write::write_all(&mut file, signers).context("cannot write the signers")?;
    let input: String = commits.iter().map(|commit| format!("{commit}\n")).collect();
    let listed = repo
        .git()
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .args(["-c", "gpg.format=ssh", "-c", "gpg.ssh.program=ssh-keygen"])
        .args([
            "-c",
            "gpg.ssh.revocationFile=",
            "-c",
            "gpg.minTrustLevel=undefined",
        ])
        .arg("-c")
        .arg(format!(
            "gpg.ssh.allowedSignersFile={}",
            file.path().display()
        ))
        .args([
            "log",
            "--no-walk=unsorted",
            "--stdin",
            "--no-show-signature",
        ])
        .arg("--format=%H %G? %GS")
        .stdin(input)
        .read()
        .context("cannot check signatures")?;
    for line in listed.lines() {
        let mut words = line.splitn(3, ' ');
        let id = words
            .next()
            .and_then(|id| Oid::from_hex(id.as_bytes()).ok());
        let what = match (words.next(), words.next().unwrap_or_default()) {
            (Some("G"), principal) if !principal.is_empty() => Said::By(principal.to_owned()),
            (Some("G" | "U"), _) => Said::Unknown,
            (Some("N"), _) => Said::Nothing,
            _ => Said::Bad,
        };
        said.insert(id.context("git named no commit")?, what);
    }
    Ok(said)
}
