//! The only writer to the terminal. stdout is the answer, stderr the story of getting it.
//!
//! Whatever is for people passes [`printable()`] on its way, whether a terminal is there or not.

pub mod paint;
pub mod printable;
pub mod progress;

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;

use serde::Serialize;

use crate::answer::{Answer, Document, Form, Remark, Reply};
use crate::config;
use crate::error::{UserError, user_error};

pub use paint::{Paint, Style};
use printable::{printable, printable_json};

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The way to the terminal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ui {
    json: bool,
    quiet: bool,
    color: ColorChoice,
}

impl Ui {
    /// Returns the way to the terminal as the global options ask for it.
    pub fn new(json: bool, quiet: bool, color: ColorChoice) -> Self {
        Self { json, quiet, color }
    }

    /// Returns whether the answer is to be one JSON document.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Returns the form in which answers are wanted.
    pub fn form(&self) -> Form {
        if self.json {
            Form::Json
        } else {
            Form::Text(self.for_answers())
        }
    }

    /// Shows what a command came to; remarks are for people.
    ///
    /// # Errors
    ///
    /// The command failed after it had answered.
    pub fn show(&self, reply: Reply) -> anyhow::Result<()> {
        match reply.document {
            None => {}
            Some(Document::Text(text)) if text.is_empty() => {}
            Some(Document::Text(text)) => self.answer(&text),
            Some(Document::Json(text)) => self.answer_line(&printable_json(&text)),
            Some(Document::Bytes(bytes)) => self.answer_bytes(&bytes),
        }
        for remark in reply.remarks.iter().filter(|_| !self.json) {
            match remark {
                Remark::Note(text) => self.note(text),
                Remark::Warning(text) => self.warn(text),
                Remark::Hint(text) => self.hint(text),
            }
        }
        reply.error.map_or(Ok(()), Err)
    }

    /// Returns how words of the story are set off.
    pub fn for_notes(&self) -> Paint {
        Paint::when(self.wants_color(io::stderr().is_terminal()))
    }

    fn for_answers(&self) -> Paint {
        Paint::when(self.wants_color(io::stdout().is_terminal()))
    }

    /// Returns whether a person watches the story on a terminal.
    pub fn is_watched(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Returns whether the answer goes to a terminal.
    pub fn answers_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Prints a text as the answer, with a line break at its end.
    pub fn answer(&self, text: &str) {
        self.answer_line(&self.for_answer(text));
    }

    fn answer_line(&self, text: &str) {
        let text = text.strip_suffix('\n').unwrap_or(text);
        note_answer(&writeln!(io::stdout(), "{text}"));
    }

    /// Shows a part of a long answer, for people, and returns whether anybody still reads it.
    pub fn part(&self, part: &impl Answer) -> bool {
        let text = part.text(self.for_answers());
        note_answer(&io::stdout().write_all(self.for_answer(&text).as_bytes()))
    }

    /// Prints a value as the answer, as one JSON document.
    pub fn json(&self, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.answer_line(&printable_json(&text)),
            Err(error) => self.warn(&format!("cannot write JSON: {error}")),
        }
    }

    /// Prints a value as the answer, as one JSON document on one line, for answers that follow each other.
    pub fn json_line(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.answer_line(&printable_json(&text)),
            Err(error) => self.warn(&format!("cannot write JSON: {error}")),
        }
    }

    /// Prints a text in place of what the terminal shows; below it where the answer goes elsewhere.
    pub fn redraw(&self, text: &str) {
        if self.answers_terminal() {
            // Home, the new text with the rest of each line erased, then the rest of the screen.
            let text = self.for_answer(text).replace('\n', "\u{1b}[K\n");
            self.answer_bytes(format!("\u{1b}[H{text}\u{1b}[J").as_bytes());
        } else {
            self.answer(text);
        }
    }

    /// Prints bytes as the answer, as they are: for what is all our own.
    pub fn answer_bytes(&self, bytes: &[u8]) {
        note_answer(
            &io::stdout()
                .write_all(bytes)
                .and_then(|()| io::stdout().flush()),
        );
    }

    /// Tells a step on the way.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{}", self.for_story(text));
        }
    }

    /// Tells something that the person should look at.
    pub fn warn(&self, text: &str) {
        let label = self.paint_err(Style::Warning, "warning:");
        let _ = writeln!(io::stderr(), "{label} {}", self.for_story(text));
    }

    /// Tells a command that helps.
    pub fn hint(&self, text: &str) {
        if !self.quiet {
            let label = self.paint_err(Style::Strong, "hint:");
            let _ = writeln!(io::stderr(), "{label} {}", self.for_story(text));
        }
    }

    /// Tells why the command failed: `error:`, `caused by:`, `hint:`, in that order.
    pub fn error(&self, error: &anyhow::Error) {
        let label = self.paint_err(Style::Bad, "error:");
        // A hint's error is what the person must read first, wherever it stands in the chain.
        let user = user_error(error);
        let first = user.map_or_else(|| error.to_string(), ToString::to_string);
        let _ = writeln!(io::stderr(), "{label} {}", self.for_story(&first));
        for cause in error
            .chain()
            .map(ToString::to_string)
            .filter(|text| *text != first)
        {
            let _ = writeln!(io::stderr(), "caused by: {}", self.for_story(&cause));
        }
        for hint in user.map(|user| user.hints.as_slice()).unwrap_or_default() {
            self.hint(hint);
        }
    }

    /// Sets off a word of the answer.
    pub fn paint(&self, style: Style, text: &str) -> String {
        self.for_answers().set(style, text)
    }

    /// Sets off a word of the story.
    pub fn paint_err(&self, style: Style, text: &str) -> String {
        self.for_notes().set(style, text)
    }

    fn for_answer<'a>(&self, text: &'a str) -> Cow<'a, str> {
        printable(text, self.wants_color(io::stdout().is_terminal()))
    }

    fn for_story<'a>(&self, text: &'a str) -> Cow<'a, str> {
        printable(text, self.wants_color(io::stderr().is_terminal()))
    }

    fn wants_color(&self, terminal: bool) -> bool {
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !config::no_color(),
        }
    }
}

/// The first thing that kept an answer from being written.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// Notes what became of a part of the answer; returns whether anybody still reads it.
///
/// A reader that went away has had enough (`| head`): that is no error. Whatever else keeps an answer from its
/// place, a full disk for one, must not end as if it were there.
pub fn note_answer(written: &io::Result<()>) -> bool {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = UNWRITTEN.set(error.to_string());
    }
    written.is_ok()
}

/// Writes out what is left of the answer.
///
/// # Errors
///
/// Not all of it could be written.
pub fn finish_answer() -> Result<(), UserError> {
    note_answer(&io::stdout().flush());
    match UNWRITTEN.get() {
        None => Ok(()),
        Some(why) => Err(UserError::new(format!(
            "the answer cannot be written to stdout: {why}"
        ))),
    }
}
