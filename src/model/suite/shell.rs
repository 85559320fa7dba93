//! Just enough of sh: the words of a simple command with their places, and quoting.

use std::ops::Range;

/// One word of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// What the command gets to see.
    pub(super) text: String,
    /// Where it stands.
    pub(super) at: Range<usize>,
}

/// Returns the words of a simple command; `None` for what needs more of a shell: lists, pipes, redirections,
/// comments, and words that sh would fill in, except where only a variable is set.
pub(super) fn words(command: &str) -> Option<Vec<Word>> {
    let blank = |c: char| c == ' ' || c == '\t';
    let (mut words, mut end): (Vec<Word>, usize) = (Vec::new(), 0);
    while let Some(gap) = command[end..].find(|c| !blank(c)) {
        let start = end + gap;
        let (text, after, literal) = word(command, start)?;
        // Whatever a variable is set to is sh's business.
        let sets = words.iter().all(|word| is_assignment(&word.text)) && is_assignment(&text);
        if !literal && !sets {
            return None;
        }
        let at = start..after;
        words.push(Word { text, at });
        end = after;
    }
    Some(words)
}

/// Whether a word sets a variable for the command that follows.
pub(super) fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else {
        return false;
    };
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Reads the word that begins at a place: what it says, its end, and whether it says it literally.
fn word(command: &str, start: usize) -> Option<(String, usize, bool)> {
    let (mut text, mut literal) = (String::new(), true);
    let mut rest = command[start..].char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            ' ' | '\t' => return Some((text, start + at, literal)),
            '\'' => loop {
                match rest.next()?.1 {
                    '\'' => break,
                    c => text.push(c),
                }
            },
            '"' => loop {
                match rest.next()?.1 {
                    '"' => break,
                    '\\' => match rest.next()?.1 {
                        '\n' => {}
                        c @ ('$' | '`' | '"' | '\\') => text.push(c),
                        c => text.extend(['\\', c]),
                    },
                    c => {
                        literal &= c != '$' && c != '`';
                        text.push(c);
                    }
                }
            },
            '\\' => match rest.next()?.1 {
                '\n' => return None,
                c => text.push(c),
            },
            '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '!' | '{' | '}' => return None,
            '#' | '~' if at == 0 => return None,
            c => {
                literal &= !matches!(c, '$' | '`' | '*' | '?' | '[');
                text.push(c);
            }
        }
    }
    Some((text, command.len(), literal))
}

/// Quotes a text for sh; `None` for what no argument can hold.
pub(super) fn quote(text: &str) -> Option<String> {
    if text.contains('\0') {
        return None;
    }
    Some(format!("'{}'", text.replace('\'', r"'\''")))
}
