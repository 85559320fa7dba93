//! Is the ledger's branch there, can it be read, and is it the one that we left and the remote has?

use anyhow::Result;

use super::finding::Finding;
use crate::clock;
use crate::config;
use crate::error::user_error;
use crate::git::{Oid, Repo};
use crate::ledger::choice::{Divide, Parted, SetBack, Side};
use crate::ledger::damage::{BrokenFile, Damage, Good};
use crate::ledger::{Ledger, Unreachable};
use crate::report::text::count;

/// Looks whether the branch is there and may be moved.
pub(super) fn branch(repo: &Repo) -> Result<Vec<Finding>> {
    let name = config::ledger_ref(repo);
    let branch = name.trim_start_matches("refs/heads/").to_owned();
    let (id, what) = match repo.read_ref(&name) {
        Ok(Some(_)) => return Ok(checked_out(repo, &branch)),
        Ok(None) => (
            "ledger-missing",
            format!("there is no ledger: branch {branch} does not exist"),
        ),
        Err(error) => (
            "ledger-ref-broken",
            format!("branch {branch} cannot be read: {error:#}"),
        ),
    };
    let traces = Ledger::traces(repo);
    let Some(trace) = traces.first().copied() else {
        return Ok(vec![Finding::new(id, name, what).command("git orch init")]);
    };
    let told = format!(
        "{what}; {} says that it was at {} of {}",
        trace.told_by,
        short(trace.tip),
        date(repo.read_commit(trace.tip)?.time)
    );
    let finding = Finding::new(id, name, told)
        .command(format!("git branch {branch} {}", trace.tip))
        .fix(move |repo| {
            Ledger::revive(repo, trace.tip)?;
            Ok(format!("the branch is at {} again", short(trace.tip)))
        });
    Ok(vec![finding])
}

fn checked_out(repo: &Repo, branch: &str) -> Vec<Finding> {
    let taken = Ledger::refuse_checked_out(repo).err();
    taken
        .map(|error| Finding::of_error("ledger-checked-out", format!("branch {branch}"), &error))
        .into_iter()
        .collect()
}

/// Looks whether the branch can be read, builds on what was left, and goes with the remote's. Findings here are
/// a person's to settle.
pub(super) fn content(repo: &Repo, notes: &mut Vec<String>) -> Result<Vec<Finding>> {
    let name = config::ledger_ref(repo);
    let Some(tip) = repo.read_ref(&name)? else {
        return Ok(Vec::new());
    };
    let mut findings = Vec::new();
    if let Some(back) = Ledger::set_back(repo)? {
        findings.push(set_back(&name, &back));
    }
    if let Some(damage) = Damage::at(repo, tip)? {
        let whole = damage.whole;
        let broken = damage.files.iter().map(|file| broken(file, tip, whole));
        findings.extend(broken);
    }
    match Ledger::divide(repo) {
        Ok(divide) => findings.extend(divide.as_ref().map(parted)),
        Err(error) if error.is::<Unreachable>() => {
            let user = user_error(&error).map(|user| user.message.clone());
            notes.push(user.unwrap_or_else(|| format!("{error:#}")));
        }
        Err(error) => findings.push(Finding::of_error("remote-unknown", name, &error)),
    }
    Ok(findings)
}

fn set_back(name: &str, back: &SetBack) -> Finding {
    let SetBack { noted, current } = back;
    let what = format!(
        "the ledger was set back: it is at {} and does not build on {}, where git-orch left it; keeping the \
         noted one drops {} of the current one, keeping the current one drops {} of the noted one",
        told(current),
        told(noted),
        own(current),
        own(noted)
    );
    let mut finding = Finding::new("ledger-set-back", name, what);
    if noted.time.is_some() {
        finding = finding.command("git orch doctor --keep noted");
    }
    finding.command("git orch doctor --keep current")
}

fn broken(file: &BrokenFile, tip: Oid, whole: Option<(Oid, usize)>) -> Finding {
    let BrokenFile { path, broken, good } = file;
    let mut what = format!(
        "it cannot be read at line {}, column {}: {}",
        broken.line, broken.column, broken.reason
    );
    let mut show = format!("git show {tip}:{path}");
    match good {
        Some(Good {
            commit,
            time,
            blob: Some(_),
        }) => {
            what.push_str(&format!(
                "; its last good version is that of {} of {}",
                short(*commit),
                date(time.0)
            ));
            show = format!("git diff {commit} {tip} -- {path}");
        }
        Some(Good { commit, .. }) => {
            what.push_str(&format!("; it was not there before {}", short(*commit)));
        }
        None => what.push_str("; it was never good in the history that is here"),
    }
    if let Some((commit, steps)) = whole {
        what.push_str(&format!(
            "; the newest ledger that can be read as a whole is {}, {} back",
            short(commit),
            count(steps, "transition")
        ));
    }
    let finding = Finding::new("ledger-broken", path.clone(), what);
    match good {
        Some(_) => finding.command(format!("git orch doctor --restore {path}")),
        None => finding,
    }
    .command(show)
}

fn parted(divide: &Divide) -> Finding {
    let Divide {
        remote,
        parted,
        ours,
        theirs,
    } = divide;
    let (id, what) = match parted {
        Parted::Gone => ("remote-ledger-gone", "has no ledger any more"),
        Parted::Rewritten => (
            "remote-ledger-rewritten",
            "has set its ledger back or rewritten it",
        ),
        Parted::Diverged => (
            "remote-ledger-diverged",
            "and ours have gone different ways",
        ),
    };
    let mut what = format!("remote {remote} {what}: ours is at {}", told(ours));
    if let Some(theirs) = theirs {
        what.push_str(&format!(
            ", the remote's at {}; keeping the remote's drops {} of ours, keeping ours drops {} of the remote's",
            told(theirs),
            own(ours),
            own(theirs)
        ));
    }
    let mut finding = Finding::new(id, format!("remote {remote}"), what);
    if theirs.is_some() {
        finding = finding.command("git orch doctor --keep remote");
    }
    finding.command("git orch doctor --keep ours")
}

fn told(side: &Side) -> String {
    match side.time {
        Some(time) => format!("{} of {}", short(side.tip), date(time.0)),
        None => format!("{}, which is gone from the repository", short(side.tip)),
    }
}

fn own(side: &Side) -> String {
    match side.own {
        Some(own) => count(own, "transition"),
        None => String::from("nobody knows what"),
    }
}

fn short(commit: Oid) -> String {
    commit.to_hex_with_len(12).to_string()
}

fn date(seconds: i64) -> String {
    clock::rfc3339(crate::model::Timestamp(seconds))
}
