//! Whether some path matches two globs: both are walked together, as automata.

use super::glob::{Glob, Part, Token, is_literal};

/// Returns whether some path matches both globs.
pub fn overlapping(a: &Glob, b: &Glob) -> bool {
    let meets = |x: &Vec<Part>| b.alternatives.iter().any(|y| parts_meet(x, y));
    a.alternatives.iter().any(meets)
}

fn parts_meet(a: &[Part], b: &[Part]) -> bool {
    let rules = Rules {
        is_loop: |part: &Part| *part == Part::Any,
        may_pass: |part: &Part| !matches!(part, Part::Dir(_)),
        meet: |x: &Part, y: &Part| match (x, y) {
            (Part::One(x), Part::One(y)) | (Part::Dir(x), Part::Dir(y)) => tokens_meet(x, y),
            (Part::Dir(dir), Part::One(one)) | (Part::One(one), Part::Dir(dir)) => {
                is_literal(one) && tokens_meet(dir, one)
            }
            (Part::Any, _) | (_, Part::Any) => false,
        },
    };
    walk_together(a, b, &rules)
}

fn tokens_meet(a: &[Token], b: &[Token]) -> bool {
    let rules = Rules {
        is_loop: |token: &Token| *token == Token::Star,
        may_pass: |_: &Token| true,
        meet: |x: &Token, y: &Token| match (x, y) {
            (Token::Char(x), Token::Char(y)) => x == y,
            (Token::Char(c), Token::Class(class)) | (Token::Class(class), Token::Char(c)) => {
                let c = u32::from(*c);
                class.iter().any(|(low, high)| *low <= c && c <= *high)
            }
            (Token::Class(x), Token::Class(y)) => x
                .iter()
                .any(|(low, high)| y.iter().any(|(from, to)| low <= to && from <= high)),
            (Token::Star, _) | (_, Token::Star) => false,
        },
    };
    walk_together(a, b, &rules)
}

/// What the letters of a pattern mean.
struct Rules<L, P, M> {
    /// Whether a letter stands for any number of letters.
    is_loop: L,
    /// Whether a loop may stand for this letter.
    may_pass: P,
    /// Whether two letters, neither a loop, have something in common.
    meet: M,
}

/// Returns whether two patterns have a common word.
///
/// The states reached are a set of pairs of positions; one row of them is kept at a time.
fn walk_together<T, L, P, M>(a: &[T], b: &[T], rules: &Rules<L, P, M>) -> bool
where
    L: Fn(&T) -> bool,
    P: Fn(&T) -> bool,
    M: Fn(&T, &T) -> bool,
{
    let Rules {
        is_loop,
        may_pass,
        meet,
    } = rules;
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
        let here = a.get(i);
        let in_loop = here.is_some_and(is_loop);
        for (j, y) in b.iter().enumerate() {
            // The loop of `b` ends, or that of `a` takes a letter of `b`.
            if row[j] && (is_loop(y) || (in_loop && may_pass(y))) {
                row[j + 1] = true;
            }
        }
        let Some(x) = here else { break };
        let mut next = vec![false; b.len() + 1];
        for j in (0..=b.len()).filter(|j| row[*j]) {
            let y = b.get(j);
            next[j] |= in_loop || (y.is_some_and(is_loop) && may_pass(x));
            if let Some(y) = y
                && !in_loop
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
