//! A check of short runs of bytes: fast enough to be made of everything that is read.
//!
//! It is there for accidents (a torn write, a flipped bit, a file of another time), not against anybody who
//! may write into the Git directory.

const ODD: [u64; 3] = [
    0x9e37_79b9_7f4a_7c15,
    0xd1b5_4a32_d192_ed03,
    0x8cb9_2ba7_2f3d_8dd7,
];

/// Returns the check of some bytes at a place; different where either differs, but for one case in four
/// thousand million.
pub(super) fn check(place: u64, bytes: &[u8]) -> u32 {
    let mut sum = fold(place ^ ODD[0], bytes.len() as u64 ^ ODD[1]);
    let mut pairs = bytes.chunks_exact(16);
    for pair in &mut pairs {
        sum = mix(sum, pair);
    }
    let rest = pairs.remainder();
    if !rest.is_empty() {
        let mut last = [0; 16];
        last[..rest.len()].copy_from_slice(rest);
        sum = mix(sum, &last);
    }
    let sum = fold(sum, ODD[2]);
    (sum ^ (sum >> 32)) as u32
}

fn mix(sum: u64, pair: &[u8]) -> u64 {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&pair[at..at + 8]);
        u64::from_le_bytes(word)
    };
    fold(sum ^ word(0), word(8) ^ ODD[0])
}

/// Multiplies to twice the width, so that every bit reaches every other, and folds the halves together.
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_other_place_or_length_is_noticed() {
        let mut bytes: Vec<u8> = (0..67u8).map(|n| n.wrapping_mul(37)).collect();
        for len in 0..bytes.len() {
            let good = check(5, &bytes[..len]);
            assert_ne!(good, check(6, &bytes[..len]), "{len}");
            assert_ne!(good, check(5, &bytes[..=len]), "{len}");
            for bit in 0..len * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(good, check(5, &bytes[..len]), "{len} {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        assert_ne!(check(0, &[0; 16]), check(0, &[0; 17]));
    }
}
