//! How a verdict was obtained, and what several of one tree come to together.

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
