//! The only source of time and of fresh ids.
//!
//! `ORCH_TEST_TIME=<unix seconds>` pins the wall clock, so that tests get stable commit ids.

#![expect(clippy::disallowed_methods, reason = "this module is the clock")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::config;
use crate::model::{OpId, Timestamp};

/// Returns the current wall-clock time, for people to read; nothing is ever decided by it.
pub fn now() -> Timestamp {
    if let Some(pinned) = config::pinned_time() {
        return Timestamp(pinned);
    }
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    Timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Returns a point on the monotonic clock, for measuring durations in this process.
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Returns how long this machine has been up, which every process on it sees alike and no one can set.
///
/// `ORCH_TEST_UPTIME=<milliseconds>` pins it, so that tests need not wait for a lease to run out.
pub fn uptime() -> Duration {
    if let Some(pinned) = config::pinned_uptime() {
        return pinned;
    }
    let now = rustix::time::clock_gettime(UPTIME);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(now.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos)
}

/// The clock that goes on while the machine sleeps, where there is one.
#[cfg(target_os = "linux")]
const UPTIME: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const UPTIME: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

/// Returns a number below a bound, different each time; for pauses that must not be alike.
pub fn random_below(bound: u64) -> u64 {
    random_word() % bound.max(1)
}

/// Returns an id that no other operation on any machine has: time first, so that ids sort by age.
pub fn new_op_id() -> OpId {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut hash = FNV_START;
    for part in [u64::from(std::process::id()), count, random_word()] {
        hash = part
            .to_le_bytes()
            .iter()
            .fold(hash, |h, b| (h ^ u64::from(*b)).wrapping_mul(FNV_STEP));
    }
    OpId(format!("{:011x}-{hash:016x}", since.as_micros() / 1000))
}

/// Formats a time as RFC 3339 in UTC, for example `2026-11-21T05:08:20Z`. What is beyond the calendar becomes its end,
/// so that it can be read again.
pub fn rfc3339(time: Timestamp) -> String {
    let end = match time.0 < 0 {
        true => jiff::Timestamp::MIN,
        false => jiff::Timestamp::MAX,
    };
    let time = jiff::Timestamp::from_second(time.0).unwrap_or(end);
    // Parts of a second are the end's own.
    jiff::Timestamp::from_second(time.as_second())
        .map_or_else(|_| time.to_string(), |t| t.to_string())
}

/// Parses a time written by [`rfc3339`] or by hand with an offset.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(|t| Timestamp(t.as_second()))
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_STEP: u64 = 0x0000_0100_0000_01b3;

/// Returns a word from the operating system's randomness, by way of the hasher keys of `std`.
fn random_word() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_read_as_it_was_written(time in any::<i64>(), near in 0..253_402_300_800_i64, text in any::<String>()) {
            prop_assert_eq!(parse_rfc3339(&rfc3339(Timestamp(near))), Some(Timestamp(near)));
            // Beyond the calendar it is the calendar's end, which can be read.
            let end = parse_rfc3339(&rfc3339(Timestamp(time))).unwrap();
            prop_assert_eq!(end.0 < 0, time < 0);
            prop_assert_eq!(parse_rfc3339(&rfc3339(end)), Some(end));
            if let Some(time) = parse_rfc3339(&text) {
                prop_assert_eq!(parse_rfc3339(&rfc3339(time)), Some(time));
            }
        }
    }
}
