//! Which prefixes of a line of branches to test next: those at the quantiles of the chance of being green.
//!
//! Let J be the position of the first bad branch. With c slots the prefixes at the c quantiles of P(J > k) are
//! tested side by side. One slot tests the prefix whose chance is even: with few bad branches that is the whole
//! line, with many it is one branch, so that one rule stands in for window, batch size and bisection
//! (docs/decisions/train.md; in group testing the nested procedures).

/// Returns the lengths of prefixes to test, the most telling first: as many as there are slots, and none
/// that is in `known`.
///
/// `risk` has the chance of failing of each branch in order. `red` is the shortest prefix known to fail:
/// only shorter ones are asked for then, and the line itself at most where it is `None`.
pub fn prefixes(risk: &[f64], red: Option<usize>, known: &[usize], slots: usize) -> Vec<usize> {
    let longest = red.map_or(risk.len(), |red| red.min(risk.len() + 1) - 1);
    let mut green = vec![1.0; risk.len() + 1];
    for (k, p) in risk.iter().enumerate() {
        green[k + 1] = green[k] * (1.0 - p);
    }
    // Given that the first bad one is at `red` at the latest.
    let floor = red.map_or(0.0, |red| green[red.min(risk.len())]);
    let chance = |k: usize| (green[k] - floor) / (1.0 - floor).max(f64::MIN_POSITIVE);
    let mut chosen: Vec<usize> = Vec::new();
    for slot in 0..slots {
        // Of several the longest comes first: where all is well, it is the only one that is needed.
        let wanted = ratio(slot + 1, slots + 1);
        let free = |k: &usize| !known.contains(k) && !chosen.contains(k);
        let distance = |k: usize| (chance(k) - wanted).abs();
        let nearest = (1..=longest)
            .rev()
            .filter(free)
            .min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        chosen.extend(nearest);
    }
    chosen
}

/// Returns a ratio of small numbers.
fn ratio(part: usize, whole: usize) -> f64 {
    let exact = |n: usize| u32::try_from(n).map_or(f64::MAX, f64::from);
    exact(part) / exact(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bad_ones_test_the_whole_line_many_test_one() {
        assert_eq!(prefixes(&[0.01; 30], None, &[], 1), [30]);
        assert_eq!(prefixes(&[0.1; 30], None, &[], 1), [7]);
        assert_eq!(prefixes(&[0.6; 30], None, &[], 1), [1]);
    }

    #[test]
    fn a_red_prefix_is_halved_by_chance() {
        assert_eq!(prefixes(&[0.1; 30], Some(8), &[], 1), [3]);
        assert_eq!(prefixes(&[0.1; 30], Some(2), &[], 1), [1]);
        assert_eq!(prefixes(&[0.1; 30], Some(1), &[], 1), Vec::<usize>::new());
        // One that is likely bad is set apart.
        let risk = [0.01, 0.01, 0.9, 0.01, 0.01];
        assert_eq!(prefixes(&risk, Some(5), &[], 1), [2]);
    }

    #[test]
    fn slots_test_prefixes_of_different_length() {
        let some = prefixes(&[0.1; 30], None, &[], 3);
        assert_eq!(some, [13, 7, 3]);
        assert_eq!(prefixes(&[0.1; 2], None, &[], 8), [2, 1]);
        assert_eq!(prefixes(&[0.1; 30], None, &[13, 7], 3), [14, 6, 3]);
        assert_eq!(prefixes(&[], None, &[], 2), Vec::<usize>::new());
    }

    /// The rule against the limit of what any rule could do: bits of what is unknown, one bit a run at most.
    #[test]
    fn one_slot_comes_close_to_the_entropy_limit() {
        for p in [0.02, 0.05, 0.1, 0.2] {
            let entropy = 30.0 * -(p * f64::log2(p) + (1.0 - p) * f64::log2(1.0 - p));
            let mut random = 7_u64;
            let mut runs = 0_u32;
            let trials = 400;
            for _ in 0..trials {
                let bad = |_| {
                    // A linear congruential generator will do: nothing here is secret.
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let top = u32::try_from(random >> 33).unwrap_or(u32::MAX);
                    f64::from(top) / f64::from(1_u32 << 31) < p
                };
                runs += burst(&(0..30).map(bad).collect::<Vec<bool>>(), p);
            }
            let mean = f64::from(runs) / f64::from(trials);
            assert!(mean / entropy < 1.1, "p {p}: {mean} runs, limit {entropy}");
        }
    }

    /// Brings a line in with one slot; returns the runs that took.
    fn burst(bad: &[bool], p: f64) -> u32 {
        let (mut line, mut red, mut runs) = (bad.to_vec(), None, 0);
        while !line.is_empty() {
            if red == Some(1) {
                line.remove(0);
                red = None;
                continue;
            }
            let k = prefixes(&vec![p; line.len()], red, &[], 1)[0];
            runs += 1;
            if line[..k].contains(&true) {
                red = Some(k);
            } else {
                line.drain(..k);
                red = red.map(|red| red - k);
            }
        }
        runs
    }
}
