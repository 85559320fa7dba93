//! Words and shapes shared by the views.

use crate::model::{State, Timestamp};
use crate::ui::Style;

/// Makes one line of free text that a terminal prints as it stands: control characters and marks that turn
/// the reading direction become spaces.
pub fn clean(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if is_harmless(c) { c } else { ' ' })
        .collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Makes lines of free text that a terminal prints as they stand; line breaks stay.
pub fn clean_lines(text: &str) -> Vec<String> {
    let line = |line: &str| -> String {
        let line: String = line
            .chars()
            .map(|c| if is_harmless(c) { c } else { ' ' })
            .collect();
        line.trim_end().to_owned()
    };
    text.trim_end().lines().map(line).collect()
}

fn is_harmless(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns && !matches!(c, '\u{2028}' | '\u{2029}')
}

/// Returns how a state is set off.
pub fn style(state: State) -> Style {
    match state {
        State::Submitted | State::Accepted | State::Merged => Style::Good,
        State::Blocked => Style::Warning,
        State::Failed | State::Gap => Style::Bad,
        State::Claimed | State::InProgress => Style::Strong,
        State::Pending | State::Ready | State::Cancelled => Style::Faint,
    }
}

/// Returns a bar of a width: `=` for what is done, `!` for what is stuck, `.` for the rest.
///
/// Whatever there is of done and stuck gets at least one cell, and a full bar is full.
pub fn bar(done: usize, stuck: usize, total: usize, width: usize) -> String {
    if total == 0 {
        return ".".repeat(width);
    }
    let cells = |part: usize| {
        let cells = part * width / total;
        if part > 0 { cells.max(1) } else { 0 }
    };
    let stuck_cells = cells(stuck).min(width);
    let done_cells = if done + stuck >= total {
        width - stuck_cells
    } else {
        // What is not finished leaves a cell open, however little it is.
        cells(done).min((width - stuck_cells).saturating_sub(1))
    };
    let rest = width - done_cells - stuck_cells;
    format!(
        "{}{}{}",
        "=".repeat(done_cells),
        "!".repeat(stuck_cells),
        ".".repeat(rest)
    )
}

/// Returns a number of seconds as people say it: `40s`, `5m`, `2h05m`, `3d4h`.
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Returns how long ago a time was; empty for a time that was never set.
pub fn ago(time: Timestamp, now: Timestamp) -> String {
    if time.0 == 0 {
        return String::new();
    }
    format!("{} ago", span(now.0 - time.0))
}

/// Returns the first characters of a commit's id.
pub fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// Returns a number with its noun: `1 task`, `2 tasks`.
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_text_reaches_the_terminal_without_its_controls() {
        assert_eq!(
            clean("a\u{1b}[31mb\r\nc\u{202e}d\u{7}\u{9b}"),
            "a [31mb c d"
        );
        assert_eq!(
            clean_lines("one \u{1b}]0;x\u{7}\n  two\n\n"),
            ["one  ]0;x", "  two"]
        );
    }

    #[test]
    fn a_bar_is_full_only_when_all_is_done() {
        assert_eq!(bar(0, 0, 0, 4), "....");
        assert_eq!(bar(0, 0, 9, 4), "....");
        assert_eq!(bar(1, 0, 1000, 4), "=...");
        assert_eq!(bar(999, 0, 1000, 4), "===.");
        assert_eq!(bar(998, 1, 1000, 4), "==!.");
        assert_eq!(bar(999, 1, 1000, 4), "===!");
        assert_eq!(bar(1000, 0, 1000, 4), "====");
        for (done, stuck, total) in [(1, 1, 2), (0, 7, 7), (3, 3, 7), (1, 1, 100)] {
            assert_eq!(bar(done, stuck, total, 10).len(), 10);
        }
    }

    #[test]
    fn spans_read_like_speech() {
        let said: Vec<String> = [-5, 0, 59, 60, 3599, 7500, 273_600]
            .map(span)
            .into_iter()
            .collect();
        assert_eq!(said, ["0s", "0s", "59s", "1m", "59m", "2h05m", "3d4h"]);
    }
}
