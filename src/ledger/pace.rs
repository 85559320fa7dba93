//! How soon a machine pushes again, so that nobody starves (docs/decisions/remotes.md).
//!
//! A winner knows the new tip without fetching and would go on winning, without ever hearing of those who lose.
//! It waits for about as many pushes as it has others against it, which it counts by the races that it lost
//! before it won and by the machines that it hears of. Who has lost waits the shorter the more often, the other way round than in a network with
//! collisions: one of the pushes always arrives, and it is the loser's turn. Where nobody was met lately, one
//! push in so many waits all the same, in which whoever has come meanwhile gets in and is noticed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::git::{Repo, files};

/// How much the latest win counts among those before it, when rivals are counted.
const LATEST: f64 = 0.3;

/// Rivals below which nobody else is thought to be about any more.
const QUIET_BELOW: f64 = 0.1;

/// Wins in quiet times of which the last one waits, lest a newcomer never gets a turn.
const TURN: u32 = 4;

/// How long what is known of a remote is good for.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// The longest pause after a lost race.
const MOST_BACK_OFF: Duration = Duration::from_secs(2);

/// The longest pause after a win.
const MOST_COURTESY: Duration = Duration::from_secs(4);

/// What a machine remembers from push to push; a cache that may be lost.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Pace {
    /// The start of the machine that times count from.
    boot: Option<String>,
    /// When the next push may begin, on the machine's clock.
    not_before: Duration,
    /// When the remote was last heard of.
    heard: Option<Duration>,
    /// Machines met before each win, a moving average.
    rivals: f64,
    /// Wins in quiet times.
    wins: u32,
}

impl Pace {
    pub(super) fn load(repo: &Repo) -> Self {
        let bytes = files::read_if_exists(&path(repo)).ok().flatten();
        let pace = bytes.and_then(|bytes| Self::parse(&bytes));
        pace.filter(|pace| pace.boot == crate::config::boot_id())
            .unwrap_or_default()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let pace: Self = serde_json::from_slice(bytes).ok()?;
        pace.makes_sense().then_some(pace)
    }

    /// Whether its numbers can have been counted; a machine never meets as many others as there are numbers.
    fn makes_sense(&self) -> bool {
        (0.0..=f64::from(u32::MAX)).contains(&self.rivals)
    }

    pub(super) fn save(&self, repo: &Repo) {
        // Without it the next push comes a little early.
        if let Ok(bytes) = serde_json::to_vec(self) {
            let _ = files::replace(&path(repo), &bytes);
        }
    }

    /// Returns whether what is known of the remote is so old that looking first is the better half of a push:
    /// little is decided in vain, and a remote that is gone is noticed before anything is sent.
    pub(super) fn is_stale(&self) -> bool {
        self.heard
            .is_none_or(|heard| clock::uptime().saturating_sub(heard) > STALE_AFTER)
    }

    /// Waits until the next push may begin; returns whether that took any time.
    pub(super) fn wait(&self) -> bool {
        let left = self.not_before.saturating_sub(clock::uptime());
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(left.min(MOST_COURTESY));
        true
    }

    /// Notes that the remote has answered.
    pub(super) fn hear(repo: &Repo) {
        let mut pace = Self::load(repo);
        pace.boot = crate::config::boot_id();
        pace.heard = Some(clock::uptime());
        pace.save(repo);
    }

    /// Returns how long ago the remote was last heard of; `None` where it was not since the machine started.
    pub(super) fn heard_ago(repo: &Repo) -> Option<Duration> {
        let heard = Self::load(repo).heard?;
        Some(clock::uptime().saturating_sub(heard))
    }

    /// Notes a push that was won after `took`, with so many races lost before it or machines heard of.
    pub(super) fn won(&mut self, took: Duration, met: u32) {
        self.boot = crate::config::boot_id();
        let now = clock::uptime();
        self.heard = Some(now);
        self.rivals = match f64::from(met) {
            met if self.rivals < QUIET_BELOW => met,
            met => self.rivals + LATEST * (met - self.rivals),
        };
        self.wins = self.wins.wrapping_add(1);
        let turns = match self.rivals {
            rivals if rivals >= QUIET_BELOW => rivals * (0.5 + random_part()),
            _ if self.wins.is_multiple_of(TURN) => 2.0,
            _ => 0.0,
        };
        // So many pushes may take longer than there is time.
        let pause = Duration::try_from_secs_f64(took.as_secs_f64() * turns);
        self.not_before = now + pause.unwrap_or(MOST_COURTESY).min(MOST_COURTESY);
    }

    /// Waits after a push that took so long and did not win: the shorter, the more races were lost, and longer
    /// each time where nobody else has won either.
    pub(super) fn back_off(took: Duration, lost: u32, failed: u32) {
        let turn = took.mul_f64(random_part() / f64::from(lost + 1));
        let failure = match failed {
            0 => Duration::ZERO,
            failed => Duration::from_millis(20) * 2_u32.saturating_pow(failed.min(10)),
        };
        std::thread::sleep((turn + failure.mul_f64(random_part())).min(MOST_BACK_OFF));
    }
}

/// Returns a number from 0 up to 1, different each time.
fn random_part() -> f64 {
    const PARTS: u32 = 1 << 20;
    let part = u32::try_from(clock::random_below(u64::from(PARTS))).unwrap_or_default();
    f64::from(part) / f64::from(PARTS)
}

fn path(repo: &Repo) -> std::path::PathBuf {
    repo.orch_dir().join("pace")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_pace_that_somebody_wrote_waits_no_longer_than_any(
            rivals in any::<f64>(), wins in any::<u32>(), until in any::<u64>(), took in any::<u64>(),
            met in any::<u32>(), noise in any::<Vec<u8>>(),
        ) {
            let text = format!(
                "{{\"rivals\":{rivals},\"wins\":{wins},\"not_before\":{{\"secs\":{until},\"nanos\":1}}}}"
            );
            for bytes in [text.as_bytes(), &noise] {
                let mut pace = Pace::parse(bytes).unwrap_or_default();
                let before = clock::uptime();
                pace.won(Duration::from_secs(took), met);
                prop_assert!(pace.rivals >= 0.0 && pace.not_before >= before);
                prop_assert!(pace.not_before <= clock::uptime() + MOST_COURTESY);
                prop_assert!(Pace::parse(&serde_json::to_vec(&pace).unwrap()).is_some());
            }
        }
    }

    #[test]
    fn rivals_beyond_counting_are_no_pace() {
        for rivals in ["1e300", "-1.0", "4294967296.5"] {
            assert!(
                Pace::parse(format!("{{\"rivals\":{rivals}}}").as_bytes()).is_none(),
                "{rivals}"
            );
        }
        assert_eq!(Pace::parse(b"{\"rivals\":2.5}").unwrap().rivals, 2.5);
    }
}
