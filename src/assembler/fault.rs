//! Whom it concerns that something could not be done: one branch, or everybody.
//!
//! A branch may hold what no checkout, merge or filter gets through; that is a verdict on it, and the train goes on.
//! What the system refuses (a full disk, a repository that cannot be read) says nothing of any branch.

use crate::error::user_error;
use crate::git::GitFailure;
use crate::git::complaint::complaint;
use crate::git::disk::is_of_system;
use crate::model::event::{one_line, shorten};

/// What kept something from being done.
#[derive(Debug)]
pub(super) enum Fault {
    /// What one branch holds: why, in a line.
    Branch(String),
    /// Nothing can go on.
    Everything(anyhow::Error),
}

/// What came of something that a branch may be the reason to fail for.
pub(super) type Tried<T> = Result<T, Fault>;

/// Most characters of a reason.
const MOST_CHARS: usize = 300;

impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Self {
        Self::Everything(error)
    }
}

impl Fault {
    /// Blames a branch, where the system is not to blame.
    pub(super) fn of_branch(error: anyhow::Error) -> Self {
        match is_of_system(&error) {
            true => Self::Everything(error),
            false => Self::Branch(reason(&error)),
        }
    }

    /// Says what could not be done to a branch before why.
    pub(super) fn saying(self, what: &str) -> Self {
        match self {
            Self::Branch(why) => Self::Branch(format!("{what}: {why}")),
            Self::Everything(error) => Self::Everything(error),
        }
    }
}

/// Asks something about a branch; it is asked twice, so that what fails by chance is nobody's fault.
///
/// # Errors
///
/// It cannot be answered: a fault of the branch, or of the system.
pub(super) fn asked<T>(mut ask: impl FnMut() -> anyhow::Result<T>) -> Tried<T> {
    ask().or_else(|_| ask()).map_err(Fault::of_branch)
}

/// Tells an error in a line: what a person can mend, or what git complains of.
pub(super) fn reason(error: &anyhow::Error) -> String {
    let failure = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<GitFailure>());
    let text = match (user_error(error), failure) {
        (Some(told), _) => match told.hints.first() {
            Some(hint) => format!("{} (`{hint}`)", told.message),
            None => told.message.clone(),
        },
        (None, Some(failure)) => complaint(failure.stderr.as_bytes()),
        (None, None) => format!("{error:#}"),
    };
    shorten(&one_line(&text), MOST_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full_disk() -> anyhow::Error {
        anyhow::Error::new(std::io::Error::from_raw_os_error(28)).context("cannot write")
    }

    #[test]
    fn what_the_system_refuses_is_no_branchs_fault() {
        assert!(matches!(
            Fault::of_branch(full_disk()),
            Fault::Everything(_)
        ));
        let malformed = anyhow::anyhow!("object 12 is\nmalformed");
        match Fault::of_branch(malformed) {
            Fault::Branch(why) => assert_eq!(why, "object 12 is malformed"),
            Fault::Everything(error) => panic!("{error:#}"),
        }
    }

    #[test]
    fn what_fails_once_is_asked_again() {
        let mut asked_before = false;
        let once = asked(|| {
            let again = std::mem::replace(&mut asked_before, true);
            again.then_some(7).ok_or_else(|| anyhow::anyhow!("busy"))
        });
        assert!(matches!(once, Ok(7)));
        let never = asked(|| Err::<(), _>(anyhow::anyhow!("gone")));
        assert!(matches!(never, Err(Fault::Branch(_))));
    }
}
