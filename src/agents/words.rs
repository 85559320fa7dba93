//! The last words of an agent: what it said before it ended, out of what it printed.

use serde_json::Value;

use super::done::SENTINEL;
use crate::model::event::{one_line, shorten};

/// Characters that are quoted of it.
const MOST_SHOWN: usize = 200;

/// Lines that are looked at, from the end.
const MOST_LINES: usize = 200;

/// Where programs that print a JSON object a line put what they say to people.
const TEXTS: [&[&str]; 9] = [
    &["error", "message"],
    &["result"],
    &["item", "text"],
    &["part", "text"],
    &["message", "text"],
    &["text"],
    &["content"],
    &["message"],
    &["error"],
];

/// Returns the last line of an agent's output that says something, or the text of the last event that has one.
fn last_words(output: &str) -> Option<String> {
    let lines = output.lines().rev().take(MOST_LINES);
    let said = lines.filter_map(|line| {
        let line = one_line(&without_escapes(line));
        let is_text = line.chars().any(char::is_alphanumeric) && line != SENTINEL;
        if !is_text {
            return None;
        }
        match serde_json::from_str::<Value>(&line) {
            Ok(Value::Object(event)) => text_of(&Value::Object(event)),
            Ok(_) | Err(_) => Some(line),
        }
    });
    said.map(|line| shorten(&line, MOST_SHOWN)).next()
}

/// Returns a reason with an agent's last words.
pub fn with_last_words(reason: &str, output: &str) -> String {
    match last_words(output) {
        Some(words) if !reason.contains(&words) => format!("{reason}; it said last: \"{words}\""),
        _ => reason.to_owned(),
    }
}

fn text_of(event: &Value) -> Option<String> {
    let texts = TEXTS.iter().filter_map(|path| {
        let found = path.iter().try_fold(event, |at, key| at.get(key))?;
        let text = one_line(&without_escapes(found.as_str()?));
        (!text.is_empty()).then_some(text)
    });
    texts.into_iter().next()
}

/// Returns a line without what moves a cursor or colours a terminal.
fn without_escapes(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            out.push(c);
            continue;
        }
        // `ESC [ parameters letter`, or `ESC` and one character.
        if chars.next() == Some('[') {
            let _ = chars.find(|c| ('@'..='~').contains(c));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_says_something_is_quoted() {
        for (output, words) in [
            ("", None),
            ("\n \n---\n<!-- DONE -->\n", None),
            ("one\ntwo\n\n}\n", Some("two")),
            ("\u{1b}[31mred\u{1b}[0m \u{1b}=x\r\n", Some("red x")),
            (
                "401\nAPI key is wrong: 401 Unauthorized",
                Some("API key is wrong: 401 Unauthorized"),
            ),
            (
                "{\"type\":\"item\",\"item\":{\"text\":\"all\\ndone\"}}\n{\"type\":\"turn\",\"usage\":{\"n\":1}}\n",
                Some("all done"),
            ),
            (
                "{\"type\":\"error\",\"error\":{\"message\":\"no key\"},\"message\":\"x\"}",
                Some("no key"),
            ),
            ("{\"a\":1}\n", None),
        ] {
            assert_eq!(last_words(output).as_deref(), words, "{output:?}");
        }
        let long = "word ".repeat(100);
        assert!(last_words(&long).unwrap().chars().count() <= MOST_SHOWN);
    }

    #[test]
    fn a_reason_has_them_once() {
        let reason = "the agent exited with 1";
        assert_eq!(with_last_words(reason, ""), reason);
        assert_eq!(
            with_last_words(reason, "no key\n"),
            "the agent exited with 1; it said last: \"no key\""
        );
        let said = "the agent says failed: No key.";
        assert_eq!(with_last_words(said, "No key."), said);
    }
}
