//! Output as plain lines: without colours, cursor movements and carriage returns.

/// Removes terminal control sequences; what is cut off at the end goes as well.
pub(super) fn plain(output: &str) -> String {
    let mut plain = String::with_capacity(output.len());
    let mut rest = output.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => match rest.next() {
                // A control sequence ends with its first letter or the like.
                Some('[') => {
                    let _last = rest.by_ref().find(|c| ('\u{40}'..='\u{7e}').contains(c));
                }
                // A title or link ends with a bell or with another escape and a backslash.
                Some(']') => {
                    while let Some(c) = rest.next() {
                        if c == '\u{7}' || c == '\u{1b}' && rest.next_if_eq(&'\\').is_some() {
                            break;
                        }
                        // An unended one must not swallow what follows.
                        if rest.peek() == Some(&'\n') {
                            break;
                        }
                    }
                }
                // A character set is chosen by one more letter.
                Some(' '..='/') => {
                    let _last = rest.by_ref().find(|c| !(' '..='/').contains(c));
                }
                // All others are two characters.
                _ => {}
            },
            '\r' if rest.peek() == Some(&'\n') => {}
            _ => plain.push(c),
        }
    }
    plain
}

/// Returns the number at the start of a text and what follows it.
pub(super) fn number(text: &str) -> Option<(usize, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}
