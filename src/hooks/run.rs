//! What a script of ours calls: our check and the previous hook, in the order that fits the hook.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::previous::Previous;
use super::seat::{Place, Seat};
use super::{commits, references};

/// Runs a hook by its name with the arguments that Git gave, in the directory that Git chose.
///
/// A previous hook that may change what is committed goes first, so that our check sees the outcome; where
/// nothing can change any more ours goes first, and the previous one takes over this process.
///
/// # Errors
///
/// Our check or the previous hook refuses, or something cannot be read.
pub fn run(dir: &Path, name: &str, args: &[OsString]) -> Result<()> {
    let place = Place::find(dir)?;
    if name == "pre-commit" {
        return before_commit(&place, dir, args);
    }
    let previous = Previous::recall(&place, dir)?;
    let message = || {
        args.first()
            .map(Path::new)
            .context("git named no message file")
    };
    match name {
        "prepare-commit-msg" => {
            if let Some(seat) = Seat::find(place)? {
                let hook = || previous.run(dir, name, args);
                commits::show_unstamped(&seat, dir, message()?, hook)?;
                return commits::stamp_message(&seat, dir, message()?);
            }
            previous.run(dir, name, args).map(drop)
        }
        "commit-msg" => {
            if let Some(seat) = Seat::find(place)? {
                let hook = || previous.run(dir, name, args);
                commits::show_unstamped(&seat, dir, message()?, hook)?;
                return commits::check_message(&seat, dir, message()?);
            }
            previous.run(dir, name, args).map(drop)
        }
        "pre-push" => {
            let lines = read_stdin()?;
            if let Some(seat) = Seat::find(place)? {
                references::check_push(&seat, &lines)?;
            }
            previous.turn_into(dir, name, args, Some(&lines))
        }
        "reference-transaction" if args.first().is_some_and(|state| state == "prepared") => {
            let lines = read_stdin()?;
            if let Some(seat) = Seat::find(place)? {
                references::check_transaction(&seat, dir, &lines)?;
            }
            previous.turn_into(dir, name, args, Some(&lines))
        }
        // Nothing of ours to check: what Git sends on stdin is still there for the previous hook.
        _ => previous.turn_into(dir, name, args, None),
    }
}

/// Runs the previous `pre-commit` and checks what is staged then.
///
/// Once in a commit Git itself is asked where hooks were before ours: a record cannot see changes of files
/// that are only included. Meanwhile what is staged is checked; only a previous hook that ran can have
/// changed it.
fn before_commit(place: &Place, dir: &Path, args: &[OsString]) -> Result<()> {
    let seat = Seat::find(place.clone())?;
    let check = || {
        seat.as_ref()
            .map_or(Ok(()), |seat| commits::check_staged(seat, dir))
    };
    let (previous, checked) = std::thread::scope(|scope| {
        let checking = scope.spawn(check);
        let previous = Previous::find(place, dir);
        (previous, checking.join())
    });
    match previous?.run(dir, "pre-commit", args)? {
        true => check(),
        false => checked.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

fn read_stdin() -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    let mut stdin = std::io::stdin().lock();
    stdin
        .read_to_end(&mut lines)
        .context("cannot read what git says")?;
    Ok(lines)
}
