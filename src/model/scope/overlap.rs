//! Whether some path matches two globs: both are walked together, as automata.

use super::glob::{Glob, Part, Token};

/// Returns whether some path matches both globs.
pub fn overlapping(a: &Glob, b: &Glob) -> bool {
    let meets = |x: &Vec<Part>| b.alternatives.iter().any(|y| parts_meet(x, y));
    a.alternatives.iter().any(meets)
}

fn parts_meet(a: &[Part], b: &[Part]) -> bool {
    let is_loop = |part: &Part| *part == Part::Any;
    walk_together(a, b, is_loop, |x, y| match (x, y) {
        (Part::One(x), Part::One(y)) => tokens_meet(x, y),
        _ => true,
    })
}

fn tokens_meet(a: &[Token], b: &[Token]) -> bool {
    let is_loop = |token: &Token| *token == Token::Star;
    walk_together(a, b, is_loop, |x, y| match (x, y) {
        (Token::Char(x), Token::Char(y)) => x == y,
        (Token::Char(c), Token::Class(class)) | (Token::Class(class), Token::Char(c)) => {
            let c = u32::from(*c);
            class.iter().any(|(low, high)| *low <= c && c <= *high)
        }
        (Token::Class(x), Token::Class(y)) => x
            .iter()
            .any(|(low, high)| y.iter().any(|(from, to)| low <= to && from <= high)),
        _ => true,
    })
}

/// Returns whether two patterns have a common word. A loop stands for any number of letters, everything
/// else for one; `meet` tells whether two of these have a letter in common.
///
/// The states reached are a set of pairs of positions; one row of them is kept at a time.
fn walk_together<T>(
    a: &[T],
    b: &[T],
    is_loop: impl Fn(&T) -> bool,
    meet: impl Fn(&T, &T) -> bool,
) -> bool {
    // Most pairs differ early: what both begin with needs no table.
    let same = a
        .iter()
        .zip(b)
        .take_while(|(x, y)| !is_loop(x) && !is_loop(y) && meet(x, y))
        .count();
    let (a, b) = (&a[same..], &b[same..]);
    if let (Some(x), Some(y)) = (a.first(), b.first())
        && !is_loop(x)
        && !is_loop(y)
    {
        return false;
    }
    // row[j]: positions (i, j) can be reached by the same word.
    let mut row = vec![false; b.len() + 1];
    row[0] = true;
    for i in 0..=a.len() {
        for j in 0..b.len() {
            if row[j] && is_loop(&b[j]) {
                row[j + 1] = true;
            }
            // `a` stays in its loop while `b` takes a letter.
            if row[j] && i < a.len() && is_loop(&a[i]) {
                row[j + 1] = true;
            }
        }
        let Some(x) = a.get(i) else { break };
        let mut next = vec![false; b.len() + 1];
        for j in (0..=b.len()).filter(|j| row[*j]) {
            let y = b.get(j);
            next[j] |= is_loop(x) || y.is_some_and(&is_loop);
            if let Some(y) = y
                && !is_loop(x)
                && !is_loop(y)
                && meet(x, y)
            {
                next[j + 1] = true;
            }
        }
        row = next;
    }
    row[b.len()]
}
