//! `git orch init` in a clone of a repository whose ledger is at a remote.

use anyhow::Result;

use super::{Begun, InitArgs, sign, tell};
use crate::commands::Ctx;
use crate::config;
use crate::error::UserError;
use crate::git::Repo;
use crate::hooks;
use crate::ledger::Ledger;
use crate::model::Actor;
use crate::model::board::LOCAL;

/// Returns the remote that has a ledger to take part in: the one named, or the only one that has one. Remotes that
/// `git clone` or `git fetch` has not seen it at are asked, since a clone may have been made before there was one, or
/// fetch some branches only.
///
/// # Errors
///
/// More than one remote has a ledger; or one cannot be asked, and nothing that was fetched could tell.
pub(super) fn candidate(ctx: &Ctx, repo: &Repo, named: Option<&str>) -> Result<Option<String>> {
    if let Some(remote) = named {
        return Ok(Some(remote.to_owned()).filter(|remote| remote != LOCAL));
    }
    let name = config::ledger_ref(repo);
    let branch = name.trim_start_matches("refs/heads/");
    let remotes = repo.git().args(["remote"]).read()?;
    let mut found = Vec::new();
    for remote in remotes.lines() {
        if repo
            .read_ref(&format!("refs/remotes/{remote}/{branch}"))?
            .is_some()
        {
            found.push(remote.to_owned());
        }
    }
    if found.is_empty() {
        for remote in remotes.lines() {
            match Ledger::is_at(repo, remote)? {
                Some(true) => found.push(remote.to_owned()),
                Some(false) => {}
                None if fetches(repo, remote, &name)? => ctx.ui.note(&format!(
                    "remote {remote} cannot be asked whether it has a ledger; what was fetched from it has none"
                )),
                None => return Err(not_known(remote).into()),
            }
        }
    }
    match found.as_slice() {
        [] => Ok(None),
        [remote] => Ok(Some(remote.clone())),
        [first, ..] => Err(UserError::new(format!(
            "more than one remote has a ledger: {}",
            found.join(", ")
        ))
        .hint(format!("git orch init --remote {first}"))
        .into()),
    }
}

/// Returns whether what is fetched from a remote takes a branch along.
fn fetches(repo: &Repo, remote: &str, name: &str) -> Result<bool> {
    let output = repo
        .git()
        .args(["config", "--get-all", &format!("remote.{remote}.fetch")])
        .output()?;
    let specs = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(specs.lines().any(|spec| covers(spec, name)))
}

/// Returns whether a refspec takes a branch along.
fn covers(spec: &str, name: &str) -> bool {
    let source = spec.trim_start_matches('+').split(':').next();
    let source = source.unwrap_or_default();
    match source.split_once('*') {
        Some((before, after)) => {
            let rest = name.strip_prefix(before);
            rest.is_some_and(|rest| rest.ends_with(after))
        }
        None => source == name,
    }
}

fn not_known(remote: &str) -> UserError {
    UserError::new(format!(
        "remote {remote} cannot be asked whether it has a ledger, and this clone fetches only some of its branches"
    ))
    .hint(format!("git ls-remote {remote}"))
    .hint(format!("git orch init --remote {LOCAL}"))
}

/// Takes part in a remote's ledger; begins one where the remote has none.
///
/// # Errors
///
/// The remote cannot be reached, its ledger names another base branch, or it is its own clone's truth only.
pub(super) fn run(ctx: &Ctx, repo: &Repo, remote: &str, args: InitArgs) -> Result<()> {
    let was_there = repo.orch_dir().exists();
    hooks::install(repo)?;
    let joined = take_part(repo, remote, args.base.as_deref());
    if joined.is_err() || matches!(joined, Ok(None)) {
        // What could not be finished is taken back; the first error is the one to tell.
        let _ = hooks::uninstall(repo);
        if !was_there {
            let _ = std::fs::remove_dir_all(repo.orch_dir());
        }
    }
    match joined? {
        Some(mut ledger) => {
            sign(&mut ledger, args.signing)?;
            tell(ctx, &ledger, Begun::Joined);
            Ok(())
        }
        None => super::begin(
            ctx,
            repo,
            &InitArgs {
                remote: Some(remote.to_owned()),
                ..args
            },
        ),
    }
}

/// Takes out of the configuration what joining has put there.
///
/// # Errors
///
/// The configuration cannot be written.
pub(super) fn forget_remote(repo: &Repo) -> Result<()> {
    if config::remote(repo).is_some() {
        // Somewhere else than in the repository's own file it is not ours to remove.
        repo.git()
            .args(["config", "--local", "--unset", "orch.remote"])
            .output()?;
    }
    Ok(())
}

fn take_part(repo: &Repo, remote: &str, base: Option<&str>) -> Result<Option<Ledger>> {
    if !Ledger::join(repo, remote)? {
        return Ok(None);
    }
    let ledger = Ledger::open(repo.reopen()?, Actor::Human)?;
    let authority = ledger.remote();
    let settings = &ledger.board().settings;
    let wrong = if authority.is_none() {
        Some(
            UserError::new(format!(
                "the ledger on {remote} is a copy: its truth is in the clone that pushed it, and must be set to {remote} there"
            ))
            .hint(format!("git orch remote set {remote}")),
        )
    } else {
        base.filter(|base| *base != settings.base).map(|_| {
            UserError::new(format!(
                "there is a ledger already, and its base branch is {}",
                settings.base
            ))
            .hint("git orch init")
        })
    };
    if let Some(error) = wrong {
        Ledger::unjoin(repo)?;
        return Err(error.into());
    }
    name_remote(ledger, remote).map(Some)
}

/// Notes by which name this clone knows the remote, where the ledger calls it otherwise.
fn name_remote(ledger: Ledger, remote: &str) -> Result<Ledger> {
    if ledger.remote().as_deref() == Some(remote) {
        return Ok(ledger);
    }
    let repo = ledger.repo();
    repo.git()
        .args(["config", "--local", "orch.remote", remote])
        .run()?;
    Ledger::open(repo.reopen()?, Actor::Human)
}

/// Finishes what a killed `init` has left open: a remote that the ledger knows by a name that is not known here.
///
/// # Errors
///
/// More than one remote has a ledger, or the configuration cannot be written.
pub(super) fn finish(ctx: &Ctx, ledger: Ledger) -> Result<Ledger> {
    let is_known = |remote: String| {
        let url = ledger.repo().config(&format!("remote.{remote}.url"));
        url.is_some()
    };
    if ledger.remote().is_none_or(is_known) {
        return Ok(ledger);
    }
    match candidate(ctx, ledger.repo(), None)? {
        Some(remote) => name_remote(ledger, &remote),
        None => Ok(ledger),
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_refspec_takes_along_what_its_pattern_says() {
        let name = "refs/heads/orchestration";
        for (spec, whether) in [
            ("+refs/heads/*:refs/remotes/origin/*", true),
            ("refs/*:refs/*", true),
            (
                "+refs/heads/orchestration:refs/remotes/origin/orchestration",
                true,
            ),
            ("+refs/heads/main:refs/remotes/origin/main", false),
            ("+refs/heads/o*n:refs/remotes/origin/o*n", true),
            ("+refs/heads/o*x:refs/remotes/origin/o*x", false),
            ("^refs/heads/orchestration", false),
            ("", false),
        ] {
            assert_eq!(covers(spec, name), whether, "{spec}");
        }
    }
}
