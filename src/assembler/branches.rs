//! A merge queue by itself: ordered branches onto a target, in any repository, without plan or ledger.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Result;

use super::approval;
use super::conflict::Whose;
use super::engine::Engine;
use super::fault::{self, Fault, Tried};
use super::forget;
use super::landing::{self, Kind, Move};
use super::lane::{Landed, Lane, Ready};
use super::lock::Alone;
use super::method;
use super::order;
use super::report::{Options, Report, Watch};
use super::test_worktree::remove_worktrees;
use super::undone;
use crate::error::UserError;
use crate::git::checkout::short;
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};
use crate::ledger::Ledger;
use crate::model::event::one_line;
use crate::model::train::obtained::Goal;
use crate::model::train::risk::Signs;
use crate::model::train::{Car, Outcome, Train, Verdict};
use crate::model::{Actor, RunSpec};
use crate::{clock, config};

/// Brings branches onto a target branch, in the order given.
///
/// # Errors
///
/// The target does not exist, is checked out somewhere with changes, or is not for this; another assembler
/// is at work; the repository cannot be written.
pub fn assemble_branches(
    repo: &Repo,
    onto: &str,
    branches: &[String],
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<Report> {
    let target = require_target(repo, onto)?;
    if options.test.is_none() && !options.no_test {
        return Err(UserError::new(format!(
            "there is no test command, and {} only moves to what passed one",
            short(&target)
        ))
        .hint(format!(
            "git orch assemble --onto {} --test 'make test' {}",
            short(&target),
            branches.join(" ")
        ))
        .into());
    }
    let alone = Alone::wait(repo, options, watch)?;
    let asked = Asked {
        target,
        names: branches,
        options,
    };
    let report = bring_in(repo, &alone, asked, watch);
    forget::prune(repo)?;
    if repo.read_ref(&config::ledger_ref(repo))?.is_none() {
        remove_worktrees(repo, &alone)?;
        alone.leave_nothing(repo);
        // Goes only if it is empty.
        let _ = std::fs::remove_dir(repo.orch_dir());
    }
    report
}

/// What is asked of a train of branches.
struct Asked<'a> {
    target: String,
    names: &'a [String],
    options: &'a Options,
}

fn bring_in(repo: &Repo, alone: &Alone, asked: Asked<'_>, watch: &mut dyn Watch) -> Result<Report> {
    let begun = clock::monotonic();
    if let Some(approved) = landing::finish_interrupted(repo, alone)? {
        let mut ledger = Ledger::open(repo.reopen()?, Actor::Human)?;
        approval::record_late(&mut ledger, (repo, alone), &approved)?;
    }
    repo.require_movable(std::slice::from_ref(&asked.target))?;
    let mut names = asked.names.to_vec();
    let mut heads = heads(repo, &names)?;
    if asked.options.by_radar
        && let Some(tip) = repo.read_ref(&asked.target)?
    {
        let cars = names.iter().map(|name| Car::new(name.as_str()));
        let train = Train::new(cars.collect());
        let keeps = repo.read_ref(&config::ledger_ref(repo))?.is_some();
        let found: Vec<Option<Oid>> = heads
            .iter()
            .map(|head| head.as_ref().ok().copied())
            .collect();
        let order = order::by_radar(repo, (tip, &train), &found, keeps, watch)?;
        names = order.iter().map(|at| names[*at].clone()).collect();
        heads = order.iter().map(|at| heads[*at].clone()).collect();
    }
    let lane = Branches {
        repo,
        alone,
        heads,
        names: &names,
        target: asked.target,
    };
    let cars = names.iter().map(|name| Car::new(name.as_str()));
    let train = Train::new(cars.collect());
    let tester = method::tester(repo, alone, &RunSpec::default(), Goal::Base, asked.options)?;
    Engine::new(repo, lane, train, tester, watch, begun).run(asked.options)
}

fn require_target(repo: &Repo, onto: &str) -> Result<String> {
    let target = if onto.starts_with("refs/heads/") {
        onto.to_owned()
    } else {
        format!("refs/heads/{onto}")
    };
    if target == config::ledger_ref(repo) {
        return Err(UserError::new(format!("{onto} is the ledger: no code goes there")).into());
    }
    if repo.read_ref(&target)?.is_none() {
        return Err(UserError::new(format!("there is no branch {onto} to move"))
            .hint("git branch --list")
            .into());
    }
    Ok(target)
}

/// Returns the heads of branches as they are at the start; what is committed later is for the next train.
fn heads(repo: &Repo, branches: &[String]) -> Result<Vec<Result<Oid, String>>> {
    let head = |name: &String| {
        let branch = format!("refs/heads/{name}");
        Ok(match fault::asked(|| repo.read_ref(&branch)) {
            Ok(Some(head)) => Ok(head),
            // A remote's branch, a tag or a commit id will do as well.
            Ok(None) => repo
                .resolve_commit(name)
                .map_err(|_| format!("there is no branch {name}")),
            Err(Fault::Branch(why)) => Err(format!("cannot be read: {why}")),
            Err(Fault::Everything(error)) => return Err(error),
        })
    };
    branches.iter().map(head).collect()
}

/// A list of branches on its way.
struct Branches<'a> {
    repo: &'a Repo,
    alone: &'a Alone,
    target: String,
    names: &'a [String],
    /// Or why there is none.
    heads: Vec<Result<Oid, String>>,
}

impl Lane for Branches<'_> {
    fn target(&self) -> &str {
        &self.target
    }

    fn ready(&mut self, position: usize, tip: Oid) -> Tried<Ready> {
        let name = &self.names[position];
        let head = match &self.heads[position] {
            Ok(head) => *head,
            Err(why) => return Err(Fault::Branch(why.clone())),
        };
        let first: HashMap<&String, usize> = self
            .names
            .iter()
            .enumerate()
            .rev()
            .map(|(i, n)| (n, i))
            .collect();
        if first.get(name).is_some_and(|first| *first < position) {
            return Ok(Ready::Not(Outcome::nothing("listed before")));
        }
        let is_in = fault::asked(|| {
            let has = self.repo.has(tip, head)?;
            Ok(has && undone::base_before(self.repo, (tip, head), None)?.is_none())
        });
        Ok(
            match is_in.map_err(|fault| fault.saying("cannot be read"))? {
                true => Ready::In(head),
                false => Ready::Go(head),
            },
        )
    }

    fn signs(&self, _position: usize) -> Signs {
        // Of a branch's author nothing is recorded here.
        Signs::default()
    }

    fn message(&self, position: usize) -> String {
        let (name, target) = (&self.names[position], short(&self.target));
        format!("Merge branch '{}' into {target}\n", one_line(name))
    }

    fn key(&self) -> Result<Option<PathBuf>> {
        // Without a plan nobody is asked for a signature.
        Ok(None)
    }

    fn land(&mut self, landed: &[Landed], tip: Oid) -> Result<Swap> {
        let Some(last) = landed.last() else {
            return Ok(Swap::Won);
        };
        let movement = Move {
            branch: self.target.clone(),
            old: Some(tip),
            new: last.commit,
        };
        let names: Vec<&str> = landed
            .iter()
            .map(|car| self.names[car.position].as_str())
            .collect();
        let message = format!("orch assemble: {}", one_line(&names.join(" ")));
        landing::land(self.repo, self.alone, &[movement], Kind::Assembly, &message)
    }

    fn found(&mut self, _position: usize, head: Oid, tip: Oid) -> Result<Outcome> {
        let target = short(&self.target);
        Ok(Outcome::nothing(if head == tip {
            format!("is where {target} is")
        } else {
            format!("{target} has all of it already")
        }))
    }

    fn sent_back(
        &mut self,
        _position: usize,
        _verdict: Verdict,
        _reason: &str,
        _findings: &str,
    ) -> Result<()> {
        // There is no coder to send it to: the report tells.
        Ok(())
    }

    fn whose(&self, _position: usize) -> Whose {
        Whose::default()
    }
}
