//! Line ends of texts that people write.

use std::borrow::Cow;

/// Returns a text as it is meant whatever editor has written it: without a byte order mark, and with line ends of
/// one character, since a shell takes a carriage return for a part of a command.
pub fn plain_lines(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.contains("\r\n") {
        true => Cow::Owned(text.replace("\r\n", "\n")),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_and_marks_of_editors_go() {
        for (text, plain) in [
            ("a\nb\n", "a\nb\n"),
            ("\u{feff}a\r\n\r\nb\r\n", "a\n\nb\n"),
            // Alone it is a character like others.
            ("a\rb", "a\rb"),
            ("", ""),
        ] {
            assert_eq!(plain_lines(text), plain);
        }
    }
}
