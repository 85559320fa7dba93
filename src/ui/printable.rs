//! What may reach a terminal: everything but characters that give it orders or turn its text round.
//!
//! Titles, reasons, branch names, subjects and test output come from agents and strangers. Here is the one place
//! that all of it passes on its way out, so that no view need remember to clean it.

use std::borrow::Cow;

/// What [`super::paint`] writes; nothing else that begins with an escape character passes.
const OURS: [&str; 6] = [
    "\u{1b}[0m",
    "\u{1b}[1m",
    "\u{1b}[2m",
    "\u{1b}[31m",
    "\u{1b}[32m",
    "\u{1b}[33m",
];

/// Returns a text in which orders to a terminal are written out, such as `\u{1b}`; line breaks and tabs stay, and
/// our own colours where there are any.
pub fn printable(text: &str, colored: bool) -> Cow<'_, str> {
    let is_plain = |c: char| matches!(c, '\n' | '\t') || !gives_orders(c);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let ours = OURS.iter().find(|ours| rest.starts_with(**ours));
        if let Some(ours) = ours.filter(|_| colored) {
            clean.push_str(ours);
            rest = &rest[ours.len()..];
            continue;
        }
        if is_plain(c) {
            clean.push(c);
        } else {
            clean.extend(c.escape_default());
        }
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(clean)
}

/// Returns a JSON text in which the same characters are escaped as JSON does; they can stand in strings only.
pub fn printable_json(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| matches!(c, '\n' | '\t') || !gives_orders(c);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_plain(c) {
            clean.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            clean.push_str(&format!("\\u{unit:04x}"));
        }
    }
    Cow::Owned(clean)
}

/// Control characters of both sets, marks and overrides of direction, breaks that are no line breaks to others,
/// and letters that nobody sees.
fn gives_orders(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn orders_are_written_out() {
        let hostile = "a\u{1b}]0;title\u{7}b\u{9b}2Jc\rd\u{202e}e\u{7f}";
        let expected = "a\\u{1b}]0;title\\u{7}b\\u{9b}2Jc\\rd\\u{202e}e\\u{7f}";
        assert_eq!(printable(hostile, true), expected);
        assert_eq!(printable(hostile, false), expected);
        assert_eq!(
            printable("tab\tand\nline é 日本", false),
            "tab\tand\nline é 日本"
        );
    }

    #[test]
    fn colours_of_ours_pass_where_there_are_any() {
        let painted = "\u{1b}[31mred\u{1b}[0m";
        assert_eq!(printable(painted, true), painted);
        assert_eq!(printable(painted, false), "\\u{1b}[31mred\\u{1b}[0m");
        assert_eq!(printable("\u{1b}[8mhidden", true), "\\u{1b}[8mhidden");
    }

    proptest! {
        #[test]
        fn nothing_that_gives_orders_is_left(text in any::<String>()) {
            let clean = printable(&text, false);
            prop_assert!(clean.chars().all(|c| matches!(c, '\n' | '\t') || !gives_orders(c)));
            prop_assert_eq!(printable(&clean, false), clean.clone());
        }

        #[test]
        fn json_stays_json_and_says_the_same(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let clean = printable_json(&json);
            prop_assert!(clean.chars().all(|c| !gives_orders(c)));
            prop_assert_eq!(serde_json::from_str::<String>(&clean).unwrap(), text);
        }
    }
}
