//! How soon a machine pushes again: the last winner pauses, so that nobody starves (facts.md 12a).
//!
//! A winner knows the new tip without fetching and would go on winning, without ever hearing of those who lose.
//! Where it has lost lately it waits for up to three round trips before its next push; elsewhere it lets
//! one in every so many pushes wait as long, in which whoever has come meanwhile gets in and is noticed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::git::{Repo, files};

/// Time without a lost race after which nobody else is thought to be about any more.
const QUIET_AFTER: Duration = Duration::from_secs(20);

/// Wins in quiet times of which the last one waits, lest a newcomer never gets a turn.
const TURN: u32 = 16;

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
    /// When a race was lost last, on the machine's clock.
    lost_at: Option<Duration>,
    /// Wins in quiet times.
    wins: u32,
}

impl Pace {
    pub(super) fn load(repo: &Repo) -> Self {
        let bytes = files::read_if_exists(&path(repo)).ok().flatten();
        let pace: Self = bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        if pace.boot == crate::config::boot_id() {
            pace
        } else {
            Self::default()
        }
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

    /// Waits until the next push may begin.
    pub(super) fn wait(&self) {
        let left = self.not_before.saturating_sub(clock::uptime());
        if !left.is_zero() {
            std::thread::sleep(left.min(MOST_COURTESY));
        }
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

    /// Notes a push that was won after `took`, with so many races lost before it.
    pub(super) fn won(&mut self, took: Duration, lost: u32) {
        self.boot = crate::config::boot_id();
        let now = clock::uptime();
        self.heard = Some(now);
        if lost > 0 {
            self.lost_at = Some(now);
        }
        self.lost_at = self
            .lost_at
            .filter(|at| now.saturating_sub(*at) < QUIET_AFTER);
        self.wins = self.wins.wrapping_add(1);
        let pause = match self.lost_at {
            Some(_) => random(3 * took),
            None if self.wins.is_multiple_of(TURN) => 3 * took,
            None => Duration::ZERO,
        };
        self.not_before = now + pause.min(MOST_COURTESY);
    }

    /// Waits after a lost race, longer each time; lengths differ between machines.
    pub(super) fn back_off(lost: u32) {
        let most = Duration::from_millis(20) * 2_u32.saturating_pow(lost.min(10));
        std::thread::sleep(random(most.min(MOST_BACK_OFF)));
    }
}

fn random(most: Duration) -> Duration {
    let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(clock::random_below(micros))
}

fn path(repo: &Repo) -> std::path::PathBuf {
    repo.orch_dir().join("pace")
}
