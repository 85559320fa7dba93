//! Pauses that grow, and that differ between machines.

use std::time::Duration;

use crate::clock;

/// Pauses that double from one to the next, up to a longest.
#[derive(Debug, Clone)]
pub(super) struct Pauses {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Pauses {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            next: first,
        }
    }

    /// Begins anew with the shortest.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }

    /// Returns the next pause: between half and all of what it has grown to, so that fifty machines that lost
    /// a remote at the same moment do not come back at the same moment.
    pub(super) fn next(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.most);
        let micros = u64::try_from(full.as_micros()).unwrap_or(u64::MAX);
        full / 2 + Duration::from_micros(clock::random_below(micros / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_longest_and_begin_anew() {
        let (first, most) = (Duration::from_secs(1), Duration::from_secs(30));
        let mut pauses = Pauses::new(first, most);
        let mut full = first;
        for _ in 0..8 {
            let pause = pauses.next();
            assert!(full / 2 <= pause && pause < full, "{pause:?} of {full:?}");
            full = (full * 2).min(most);
        }
        assert!(pauses.next() >= most / 2);
        pauses.reset();
        assert!(pauses.next() < first);
    }
}
