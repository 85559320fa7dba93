//! How many tests to run side by side: measured, not taken from the number of cores.

/// Slow-down up to which so many slots are worth more than half as many (docs/decisions/train.md: two slots bring a burst
/// in 1.46 times faster, four twice as fast, eight two and a half times).
const WORTH: [(usize, f64); 3] = [(2, 1.45), (4, 2.0), (8, 2.5)];

/// Mean times of whole test runs that went on side by side, by how many there were.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pace {
    /// Number of slots, runs, and their seconds in all.
    times: Vec<(usize, u32, f64)>,
}

impl Pace {
    /// Adds a run that had so many beside it, itself included, over its whole time.
    pub fn add(&mut self, side_by_side: usize, seconds: f64) {
        match self
            .times
            .iter_mut()
            .find(|(slots, ..)| *slots == side_by_side)
        {
            Some((_, runs, sum)) => {
                *runs += 1;
                *sum += seconds;
            }
            None => self.times.push((side_by_side, 1, seconds)),
        }
    }

    /// Returns how much longer a run takes with so many side by side than alone; `None` while it is not known.
    pub fn slow_down(&self, side_by_side: usize) -> Option<f64> {
        Some(self.mean(side_by_side)? / self.mean(1)?.max(1e-6))
    }

    fn mean(&self, side_by_side: usize) -> Option<f64> {
        let (_, runs, sum) = self
            .times
            .iter()
            .find(|(slots, ..)| *slots == side_by_side)?;
        Some(sum / f64::from(*runs))
    }

    /// Returns the number of slots to use: one until a run alone was measured, then twice as many as long as
    /// the measured slow-down is worth it.
    pub fn slots(&self) -> usize {
        let mut slots = 1;
        if self.mean(1).is_none() {
            return slots;
        }
        for (more, worth) in WORTH {
            match self.slow_down(more) {
                // Not tried yet: this many are tried next.
                None => return more,
                Some(slow_down) if slow_down < worth => slots = more,
                Some(_) => return slots,
            }
        }
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(times: &[(usize, f64)]) -> Pace {
        let mut pace = Pace::default();
        for (slots, seconds) in times {
            pace.add(*slots, *seconds);
        }
        pace
    }

    #[test]
    fn slots_double_while_that_pays() {
        assert_eq!(pace(&[]).slots(), 1);
        assert_eq!(pace(&[(2, 1.0)]).slots(), 1);
        assert_eq!(pace(&[(1, 1.0)]).slots(), 2);
        assert_eq!(pace(&[(1, 1.0), (2, 1.3)]).slots(), 4);
        assert_eq!(pace(&[(1, 1.0), (2, 1.9)]).slots(), 1);
        assert_eq!(pace(&[(1, 1.0), (2, 1.0), (4, 2.2)]).slots(), 2);
        assert_eq!(pace(&[(1, 1.0), (2, 1.0), (4, 1.0), (8, 1.0)]).slots(), 8);
    }

    #[test]
    fn a_slow_down_is_of_means() {
        let pace = pace(&[(1, 1.0), (1, 3.0), (2, 3.0)]);
        assert!((pace.slow_down(2).unwrap() - 1.5).abs() < 1e-9);
        assert_eq!(pace.slow_down(4), None);
    }
}
