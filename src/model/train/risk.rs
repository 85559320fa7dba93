//! How likely a branch is to fail, before it is tested (research: nested group testing needs a probability
//! for each branch, and a wrong one costs little).

/// What a branch that nothing is known of is given: one in ten fails.
pub const PRIOR: f64 = 0.1;

/// Number of branches that the prior counts for against what was seen.
const PRIOR_WEIGHT: f64 = 10.0;

/// Bounds of a probability: nothing is certain before it is tested.
const LEAST: f64 = 0.005;
const MOST: f64 = 0.9;

/// What is known of a branch before it is tested with others.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Signs {
    /// Branches of the same author that came in.
    pub came_in: u32,
    /// Branches of the same author that were sent back.
    pub sent_back: u32,
    /// Files that it changes.
    pub files: u32,
    /// Other branches of the train that change one of them as well.
    pub overlaps: u32,
    /// What the test said of the branch by itself, if it ran there.
    pub own_test: Option<bool>,
}

/// Returns the probability that a branch fails.
///
/// The author's record is a mean between the prior and what was seen; the rest shifts the odds: a big change
/// and one that others touch as well fail more often, one that passed by itself seldom does.
pub fn failure(signs: &Signs) -> f64 {
    let seen = f64::from(signs.came_in + signs.sent_back);
    let record = (PRIOR * PRIOR_WEIGHT + f64::from(signs.sent_back)) / (PRIOR_WEIGHT + seen);
    let mut odds = record / (1.0 - record);
    odds *= match signs.files {
        0..=4 => 0.8,
        5..=20 => 1.0,
        21..=100 => 1.5,
        _ => 2.0,
    };
    odds *= 1.0 + 0.25 * f64::from(signs.overlaps.min(8));
    odds *= match signs.own_test {
        Some(true) => 0.3,
        Some(false) => 20.0,
        None => 1.0,
    };
    (odds / (1.0 + odds)).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_shifts_the_probability_its_way() {
        let plain = Signs {
            files: 10,
            ..Signs::default()
        };
        assert!((failure(&plain) - PRIOR).abs() < 1e-9);
        let worse = [
            Signs {
                sent_back: 5,
                ..plain
            },
            Signs {
                files: 500,
                ..plain
            },
            Signs {
                overlaps: 3,
                ..plain
            },
            Signs {
                own_test: Some(false),
                ..plain
            },
        ];
        for signs in worse {
            assert!(failure(&signs) > PRIOR, "{signs:?}");
        }
        let better = [
            Signs {
                came_in: 50,
                ..plain
            },
            Signs { files: 1, ..plain },
            Signs {
                own_test: Some(true),
                ..plain
            },
        ];
        for signs in better {
            assert!(failure(&signs) < PRIOR, "{signs:?}");
        }
    }

    #[test]
    fn nothing_is_certain() {
        let hopeless = Signs {
            sent_back: 10_000,
            files: 10_000,
            overlaps: 99,
            own_test: Some(false),
            came_in: 0,
        };
        assert!((failure(&hopeless) - MOST).abs() < 1e-9);
        let saint = Signs {
            came_in: 100_000,
            own_test: Some(true),
            ..Signs::default()
        };
        assert!((failure(&saint) - LEAST).abs() < 1e-9);
    }
}
