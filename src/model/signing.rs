//! Whether transitions and commits are signed, and by whom they may be.
//!
//! Who may sign stands on the ledger in Git's own format, `.orchestration/allowed_signers`. A transition counts when
//! it is signed by somebody whom the ledger before it names, so that nobody can add themselves.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::apply::{Decision, Refusal};
use super::board::{Board, Settings};
use super::event::{Event, EventKind};
use super::ids::AgentId;
use super::op::{Change, Edit};

/// How transitions and commits are signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Signing {
    /// Not at all.
    #[default]
    Off,
    /// With SSH keys.
    Ssh,
}

impl FromStr for Signing {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "ssh" => Ok(Self::Ssh),
            _ => Err(format!("`{text}` is neither `ssh` nor `off`")),
        }
    }
}

impl Signing {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    pub(super) fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// A key, and whose it is: `agent-1.2@orch`, `executor-<machine>@orch`, or a person's address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Signer {
    /// Whose it is.
    pub principal: String,
    /// Kind and key as in `id_ed25519.pub`, without the comment.
    pub key: String,
}

/// Returns the principal of an agent.
pub fn principal_of(agent: AgentId) -> String {
    format!("agent-{agent}@orch")
}

impl Signer {
    /// Parses a line of Git's file; `None` for what is no line with a key that may sign.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let principal = words.next().filter(|word| !word.starts_with('#'))?;
        let mut words = words.skip_while(|word| !is_kind(word));
        let (kind, key) = (words.next()?, words.next()?);
        Some(Self {
            principal: principal.to_owned(),
            key: format!("{kind} {key}"),
        })
    }

    /// Renders the line of Git's file.
    pub fn line(&self) -> String {
        format!("{} namespaces=\"git\" {}", self.principal, self.key)
    }

    /// Returns whether it is an agent's, which signs its own commits and no transitions.
    pub fn is_agents(principal: &str) -> bool {
        principal.starts_with("agent-")
    }

    /// Returns what is wrong with it, if anything is.
    pub fn mistake(&self) -> Option<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@+".contains(c);
        if self.principal.is_empty() || !self.principal.chars().all(plain) {
            let shown = self.principal.escape_debug();
            return Some(format!(
                "`{shown}` is no name of a signer: write for example `ada@example.com`"
            ));
        }
        (Self::parse(&self.line()).as_ref() != Some(self)).then(|| {
            String::from("that is no key: write kind and key, as they stand in a `.pub` file")
        })
    }
}

fn is_kind(word: &str) -> bool {
    word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-")
}

impl Board {
    /// Returns whether transitions and commits are signed.
    pub fn is_signed(&self) -> bool {
        self.settings.signing == Signing::Ssh
    }

    pub(super) fn set_signing(&self, signing: Signing, signers: &[Signer]) -> Decision {
        let all = self.signers_with(signers)?;
        let settings = Settings {
            signing,
            ..self.settings.clone()
        };
        let mut edits = Vec::new();
        if settings != self.settings {
            edits.push(Edit::PutSettings(Box::new(settings)));
        }
        if all != self.signers {
            edits.push(Edit::PutSigners(all));
        }
        let summary = match signing {
            Signing::Ssh => "transitions and commits are signed from here on",
            Signing::Off => "nothing need be signed any more",
        };
        Ok((!edits.is_empty()).then(|| Change {
            edits,
            event: Event::new(EventKind::Sign, summary),
        }))
    }

    pub(super) fn enroll(&self, signers: &[Signer]) -> Decision {
        let all = self.signers_with(signers)?;
        if all == self.signers {
            return Ok(None);
        }
        let mut names: Vec<&str> = signers.iter().map(|s| s.principal.as_str()).collect();
        names.dedup();
        let summary = format!("{} may sign", names.join(", "));
        Ok(Some(Change {
            edits: vec![Edit::PutSigners(all)],
            event: Event::new(EventKind::Sign, summary),
        }))
    }

    pub(super) fn dismiss(&self, principal: &str) -> Decision {
        let kept = self.signers.iter().filter(|s| s.principal != principal);
        let kept: Vec<Signer> = kept.cloned().collect();
        if kept.len() == self.signers.len() {
            let refusal = Refusal::denied(format!("{principal} is no signer"));
            return Err(refusal.hint("git orch signers list"));
        }
        let able = |signer: &Signer| !Signer::is_agents(&signer.principal);
        if self.is_signed() && !kept.iter().any(able) {
            return Err(Refusal::denied(format!(
                "{principal} is the last who may sign transitions"
            ))
            .hint("git orch init --signing off"));
        }
        Ok(Some(Change {
            edits: vec![Edit::PutSigners(kept)],
            event: Event::new(EventKind::Sign, format!("{principal} may sign no more")),
        }))
    }

    fn signers_with(&self, new: &[Signer]) -> Result<Vec<Signer>, Refusal> {
        let mut all = self.signers.clone();
        for signer in new {
            if let Some(what) = signer.mistake() {
                return Err(Refusal::denied(what).hint("git orch signers list"));
            }
            if !all.contains(signer) {
                all.push(signer.clone());
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(principal: &str) -> Signer {
        Signer {
            principal: principal.to_owned(),
            key: String::from("ssh-ed25519 AAAAC3Nz"),
        }
    }

    #[test]
    fn a_line_reads_back_and_other_lines_are_none() {
        let one = signer("agent-1.2@orch");
        assert_eq!(Signer::parse(&one.line()), Some(one.clone()));
        assert_eq!(Signer::parse(&format!("{} ada's", one.line())), Some(one));
        for line in ["", "# x ssh-ed25519 A", "ada@x", "ada@x namespaces=\"git\""] {
            assert_eq!(Signer::parse(line), None, "{line}");
        }
        assert!(signer("a b").mistake().is_some());
        assert!(signer("*").mistake().is_some(), "a pattern is everybody");
        let mut wrong = signer("ada@x");
        wrong.key = String::from("ssh-ed25519 A\nevil@x ssh-ed25519 B");
        assert!(wrong.mistake().is_some());
    }

    #[test]
    fn the_last_who_can_sign_transitions_stays() {
        let mut board = Board::default();
        let on = board.set_signing(Signing::Ssh, &[signer("executor-m@orch")]);
        board.absorb_all(&on.unwrap().unwrap().edits);
        assert!(board.is_signed());
        let agent = board.enroll(&[signer("agent-1.1@orch")]).unwrap().unwrap();
        board.absorb_all(&agent.edits);
        assert_eq!(board.enroll(&[signer("agent-1.1@orch")]), Ok(None));
        assert!(board.dismiss("executor-m@orch").is_err());
        assert!(board.dismiss("nobody@x").is_err());
        assert!(board.dismiss("agent-1.1@orch").is_ok());
    }
}
