//! How a verdict was obtained, and what several of one tree come to together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::batch::Said;

/// Where a test ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Obtained {
    /// In a worktree that held the commit's files and nothing else.
    Clean,
    /// In a test worktree that kept something of the runs before.
    Warm,
    /// In a coder's own worktree, with whatever is there. A verdict that does not say counts as one of these.
    #[default]
    Coder,
}

impl Obtained {
    /// Returns the word used in reports and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Warm => "warm",
            Self::Coder => "coder",
        }
    }
}

/// When a pass that decides a landing is confirmed on a clean checkout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Confirm {
    /// Before any branch moves.
    Landing,
    /// Before the base branch moves, or whichever branch work lands on without a plan.
    #[default]
    Approve,
    /// Never: what a warm worktree said is enough.
    Never,
}

impl Confirm {
    /// All of them, by their words.
    pub const ALL: [(&'static str, Self); 3] = [
        ("landing", Self::Landing),
        ("approve", Self::Approve),
        ("never", Self::Never),
    ];

    /// Returns whether a pass must have been obtained clean for a branch to move.
    pub fn is_due(self, goal: Goal) -> bool {
        match self {
            Self::Landing => true,
            Self::Approve => goal == Goal::Base,
            Self::Never => false,
        }
    }

    /// Returns whether it is the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl std::str::FromStr for Confirm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|(word, _)| *word == text);
        known
            .map(|(_, confirm)| confirm)
            .ok_or_else(|| String::from("it is one of `landing`, `approve`, `never`"))
    }
}

/// Where what is tested goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// To the base branch, or any other that people build on.
    Base,
    /// To a branch that is tested once more before the base branch moves.
    Within,
}

/// Weighs what runs said of one tree, each with how it was obtained and whether it passed. A clean checkout has
/// the last word: where it passed, failures elsewhere tell nothing, and where it only failed, no pass elsewhere
/// counts.
pub fn weigh(runs: impl Iterator<Item = (Obtained, bool)>) -> Said {
    let (mut clean, mut others) = (Said::default(), Said::default());
    for (how, green) in runs {
        let said = match how {
            Obtained::Clean => &mut clean,
            Obtained::Warm | Obtained::Coder => &mut others,
        };
        match green {
            true => said.green += 1,
            false => said.red += 1,
        }
    }
    if clean.is_green() {
        return clean;
    }
    Said {
        green: if clean.is_red() { 0 } else { others.green },
        red: clean.red + others.red,
    }
}

#[cfg(test)]
mod tests {
    use super::Obtained::{Clean, Coder, Warm};
    use super::*;

    fn weighed(runs: &[(Obtained, bool)]) -> (u32, u32) {
        let said = weigh(runs.iter().copied());
        (said.green, said.red)
    }

    #[test]
    fn the_base_moves_to_what_is_confirmed_unless_nothing_is() {
        use Goal::{Base, Within};
        for (confirm, base, within) in [
            (Confirm::Landing, true, true),
            (Confirm::Approve, true, false),
            (Confirm::Never, false, false),
        ] {
            assert_eq!(
                (confirm.is_due(Base), confirm.is_due(Within)),
                (base, within)
            );
        }
        assert_eq!("landing".parse(), Ok(Confirm::Landing));
        assert!("always".parse::<Confirm>().is_err());
    }

    #[test]
    fn without_a_clean_run_all_count_alike() {
        assert_eq!(weighed(&[]), (0, 0));
        assert_eq!(
            weighed(&[(Warm, true), (Warm, false), (Coder, true)]),
            (2, 1)
        );
    }

    #[test]
    fn a_clean_run_has_the_last_word() {
        // A failure that only a warm worktree has seen is none.
        assert_eq!(weighed(&[(Warm, false), (Clean, true)]), (1, 0));
        // A pass that only a warm worktree has seen is none, and its failures add up with the clean one's.
        assert_eq!(weighed(&[(Warm, true), (Clean, false)]), (0, 1));
        assert_eq!(weighed(&[(Warm, false), (Clean, false)]), (0, 2));
        // Both on clean checkouts is a flake.
        assert_eq!(
            weighed(&[(Warm, true), (Clean, false), (Clean, true)]),
            (1, 1)
        );
    }
}
