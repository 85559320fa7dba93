//! Whether a child that prints nothing is at work all the same: a tool that computes, a commit that was made.

use std::fs;
use std::time::{Duration, SystemTime};

use super::Idle;
use super::family::families;

/// Clock ticks a second, as the kernel counts CPU time for everybody to read, whatever it counts in itself.
const TICKS: u128 = 100;

/// The part of the time that may pass in use of CPU by somebody who only waits: timers, spinners that nobody sees.
const SHARE: u128 = 100;

/// What was known of a child when it last gave a sign of life.
pub(super) struct Signs<'a> {
    idle: &'a Idle,
    mark: &'a str,
    worked: u64,
    files: Vec<Option<(SystemTime, u64)>>,
}

impl<'a> Signs<'a> {
    pub(super) fn of(idle: &'a Idle, mark: &'a str) -> Self {
        Self {
            worked: families().worked(mark),
            files: look(idle),
            idle,
            mark,
        }
    }

    /// Notes that it has printed something.
    pub(super) fn printed(&mut self) {
        self.worked = families().worked(self.mark);
    }

    /// Returns whether it was at work since it last gave a sign of life, and begins anew.
    pub(super) fn are_seen(&mut self) -> bool {
        let worked = {
            let mut families = families();
            families.observe_now();
            families.worked(self.mark)
        };
        let files = look(self.idle);
        let computes = worked.saturating_sub(self.worked) >= least_ticks(self.idle.time);
        let commits = files != self.files;
        (self.worked, self.files) = (worked, files);
        computes || commits
    }
}

fn look(idle: &Idle) -> Vec<Option<(SystemTime, u64)>> {
    let state = |path: &std::path::PathBuf| {
        let found = fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len()))
    };
    idle.signs.iter().map(state).collect()
}

/// Returns how much CPU time within a time means that somebody is at work.
fn least_ticks(time: Duration) -> u64 {
    let ticks = time.as_millis() * TICKS / 1000 / SHARE;
    u64::try_from(ticks).unwrap_or(u64::MAX).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_only_waits_uses_less_than_a_hundredth_of_the_time() {
        assert_eq!(least_ticks(Duration::from_secs(900)), 900);
        assert_eq!(least_ticks(Duration::from_secs(8)), 8);
        assert_eq!(least_ticks(Duration::from_millis(100)), 2);
    }
}
