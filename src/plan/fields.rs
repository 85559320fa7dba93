//! Typed access to the keys of one table: what is wrong with a key is noted and reading goes on.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::{Finding, Lines, Severity, nearest};
use crate::model::TaskId;
use crate::model::duration::parse_duration;

/// Everything found so far, and where what was read stands in the text.
#[derive(Debug)]
pub(super) struct Notes<'t> {
    lines: Lines<'t>,
    findings: Vec<Finding>,
    /// Where the parts of the plan stand, by their place in the plan that was read. Parts that could not be
    /// read are not in it, so its numbers may differ from the text's, which stand beside the span.
    places: HashMap<String, (Range<usize>, String)>,
}

impl<'t> Notes<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            lines: Lines::new(text),
            findings: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// Notes a finding at a span of the text.
    pub(super) fn note(
        &mut self,
        severity: Severity,
        span: &Range<usize>,
        key: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (line, column, width) = self.lines.position(span);
        self.findings.push(Finding {
            severity,
            line,
            column,
            width,
            key: key.to_owned(),
            message: message.into(),
            help: help.into(),
        });
    }

    pub(super) fn place(&mut self, read: String, span: Range<usize>, written: String) {
        self.places.insert(read, (span, written));
    }

    /// Notes a finding at a part of the plan that was read, or at the nearest part around it.
    pub(super) fn at(
        &mut self,
        severity: Severity,
        key: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let mut around = key;
        let found = loop {
            match (self.places.get(around), around.rfind(['.', '['])) {
                (Some((span, written)), _) => {
                    // What is missing is named with the part that it is missing from.
                    break (span.clone(), format!("{written}{}", &key[around.len()..]));
                }
                (None, Some(end)) => around = &around[..end],
                (None, None) => break (0..0, key.to_owned()),
            }
        };
        let (span, written) = found;
        self.note(severity, &span, &written, message, help);
    }

    /// Returns all findings in the order of the text, errors first where they stand at the same place.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        self.findings
            .sort_by_key(|found| (found.line, found.column, found.severity));
        self.findings.dedup();
        self.findings
    }
}

/// One table of the text.
pub(super) struct Fields<'n, 't, 'd> {
    pub(super) notes: &'n mut Notes<'t>,
    table: &'d DeTable<'d>,
    span: Range<usize>,
    /// Its key as written.
    written: String,
    /// Its key in the plan that is read.
    read: String,
    known: Vec<&'static str>,
    /// The id of a task that gives none, where that is allowed.
    pub(super) default_id: Option<TaskId>,
}

impl<'n, 't, 'd> Fields<'n, 't, 'd> {
    pub(super) fn new(
        notes: &'n mut Notes<'t>,
        table: &'d DeTable<'d>,
        span: Range<usize>,
        written: String,
        read: String,
    ) -> Self {
        if !read.is_empty() {
            notes.place(read.clone(), span.clone(), written.clone());
        }
        Self {
            notes,
            table,
            span,
            written,
            read,
            known: Vec::new(),
            default_id: None,
        }
    }

    /// Returns the names of all keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&'d str, Range<usize>)> + use<'d> {
        self.table
            .iter()
            .map(|(key, _)| (key.get_ref().as_ref(), key.span()))
    }

    /// Returns the table itself, for what its keys cannot say.
    pub(super) fn error_here(
        &mut self,
        key: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (span, written) = (self.span.clone(), self.written(key));
        self.notes
            .note(Severity::Error, &span, &written, message, help);
    }

    pub(super) fn written(&self, key: &str) -> String {
        join(&self.written, key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether a key is there and no empty list, which says as much as none.
    pub(super) fn lists(&self, key: &str) -> bool {
        let value = self.table.get(key).map(Spanned::get_ref);
        value.is_some_and(|value| !matches!(value, DeValue::Array(items) if items.is_empty()))
    }

    /// Takes a key's value; every key that is asked for is a known one.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known.push(key);
        self.take_any(key)
    }

    /// Takes the value of a key whose name is up to the author.
    pub(super) fn take_any(&mut self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        let value = self.table.get(key)?;
        let (read, written) = (join(&self.read, key), self.written(key));
        self.notes.place(read, value.span(), written);
        Some(value)
    }

    /// Notes an error at a value of this table.
    pub(super) fn error(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        key: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let written = self.written(key);
        self.notes
            .note(Severity::Error, &value.span(), &written, message, help);
    }

    fn wrong_type(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        key: &str,
        expected: &str,
        example: &str,
    ) {
        let found = kind(value.get_ref());
        let name = key.split('[').next().unwrap_or(key);
        self.error(
            value,
            key,
            format!("`{name}` must be {expected}, not {found}"),
            format!("write for example `{example}`"),
        );
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => {
                self.wrong_type(value, key, "a string", &format!("{key} = \"…\""));
                None
            }
        }
    }

    /// Takes a string of one line that says something.
    pub(super) fn line(&mut self, key: &'static str) -> Option<String> {
        let text = self.text(key)?;
        let wrong = if text.trim().is_empty() {
            Some("is empty")
        } else if text.contains(['\n', '\r']) {
            Some("has more than one line")
        } else if text.contains(char::is_control) {
            Some("has a control character in it")
        } else {
            None
        };
        let Some(wrong) = wrong else {
            return Some(text);
        };
        if let Some(value) = self.table.get(key) {
            self.error(
                value,
                key,
                format!("`{key}` {wrong}"),
                "write one line of text",
            );
        }
        None
    }

    /// Takes a line that must be there.
    pub(super) fn required_line(&mut self, key: &'static str, example: &str) -> Option<String> {
        if !self.has(key) {
            self.known.push(key);
            let message = format!("`{key}` is missing");
            self.error_here(key, message, format!("write for example `{example}`"));
            return None;
        }
        self.line(key)
    }

    /// Takes a shell script: it says something, in as many lines as it likes.
    pub(super) fn script(&mut self, key: &'static str) -> Option<String> {
        let text = self.text(key)?;
        if !text.trim().is_empty() && !text.contains('\0') {
            return Some(text);
        }
        if let Some(value) = self.table.get(key) {
            let help = "write a command, or take the key out";
            self.error(value, key, format!("`{key}` is no command"), help);
        }
        None
    }

    pub(super) fn number(&mut self, key: &'static str, least: i64, most: i64) -> Option<i64> {
        let value = self.take(key)?;
        self.number_of(value, key, least, most)
    }

    pub(super) fn number_of(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        key: &str,
        least: i64,
        most: i64,
    ) -> Option<i64> {
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(
                value,
                key,
                "a whole number",
                &format!("{key} = {}", least.max(1)),
            );
            return None;
        };
        let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
        let within = parsed.filter(|number| (least..=most).contains(number));
        if within.is_none() {
            self.error(
                value,
                key,
                format!("`{key}` is {number}, which is not between {least} and {most}"),
                format!("write for example `{key} = {}`", least.max(1)),
            );
        }
        within
    }

    /// Takes a whole number from 0 or 1 up.
    pub(super) fn count(&mut self, key: &'static str, least: u32) -> Option<u32> {
        let number = self.number(key, i64::from(least), 1_000_000)?;
        u32::try_from(number).ok()
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let value = self.take(key)?;
        let duration = match value.get_ref() {
            DeValue::String(text) => parse_duration(text),
            DeValue::Integer(number) => {
                let seconds = u64::from_str_radix(number.as_str(), number.radix());
                seconds.ok().map(Duration::from_secs)
            }
            _ => {
                self.wrong_type(value, key, "a duration", &format!("{key} = \"5m\""));
                return None;
            }
        };
        let most = Duration::from_secs(366 * 24 * 3600);
        let good = duration.filter(|duration| !duration.is_zero() && *duration <= most);
        if good.is_none() {
            let what = match duration {
                Some(duration) if duration.is_zero() => "is no time at all",
                Some(_) => "is longer than a year",
                None => "is no duration",
            };
            self.error(
                value,
                key,
                format!("`{key}` {what}"),
                format!("write for example `{key} = \"90s\"`, `\"5m\"` or `\"1h30m\"`"),
            );
        }
        good
    }

    /// Takes `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => {
                self.wrong_type(value, key, "`true` or `false`", &format!("{key} = true"));
                None
            }
        }
    }

    /// Takes one of a few words.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let value = self.take(key)?;
        let all: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let DeValue::String(text) = value.get_ref() else {
            let example = words.first().map_or("", |(word, _)| word);
            self.wrong_type(value, key, "a string", &format!("{key} = \"{example}\""));
            return None;
        };
        let found = words.iter().find(|(word, _)| word == text);
        if found.is_none() {
            let help = match nearest(text, words.iter().map(|(word, _)| *word)) {
                Some(word) => format!("write `{word}`"),
                None => format!("write one of {}", all.join(", ")),
            };
            self.error(
                value,
                key,
                format!(
                    "`{text}` is no value of `{key}`, which is one of {}",
                    all.join(", ")
                ),
                help,
            );
        }
        found.map(|(_, value)| *value)
    }

    /// Takes an array and reads each of its elements; those that cannot be read are left out.
    pub(super) fn each<T>(
        &mut self,
        key: &'static str,
        example: &str,
        mut read: impl FnMut(&mut Self, &'d Spanned<DeValue<'d>>, &str) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(value, key, "an array", example);
            return Vec::new();
        };
        let mut all = Vec::with_capacity(array.len());
        for (i, value) in array.iter().enumerate() {
            let at = format!("{key}[{i}]");
            let place = join(&self.read, &format!("{key}[{}]", all.len()));
            let written = self.written(&at);
            self.notes.place(place, value.span(), written);
            if let Some(value) = read(self, value, &at) {
                all.push(value);
            }
        }
        all
    }

    /// Takes an array of strings that say something.
    pub(super) fn texts(&mut self, key: &'static str, example: &str) -> Vec<String> {
        let example = format!("{key} = [\"{example}\"]");
        self.each(key, &example.clone(), |fields, value, at| {
            let DeValue::String(text) = value.get_ref() else {
                fields.wrong_type(value, at, "an array of strings", &example);
                return None;
            };
            if text.trim().is_empty() {
                fields.error(value, at, format!("`{at}` is empty"), "take it out");
                return None;
            }
            Some(text.to_string())
        })
    }

    /// Takes a table and hands its fields to a reader.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Fields<'_, 't, 'd>) -> T,
    ) -> Option<T> {
        let value = self.take(key)?;
        self.table_of(value, key, &format!("[{key}]"), read)
    }

    pub(super) fn table_of<T>(
        &mut self,
        value: &'d Spanned<DeValue<'d>>,
        key: &str,
        example: &str,
        read: impl FnOnce(Fields<'_, 't, 'd>) -> T,
    ) -> Option<T> {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(value, key, "a table", example);
            return None;
        };
        let (written, place) = (self.written(key), join(&self.read, key));
        Some(read(Fields::new(
            self.notes,
            table,
            value.span(),
            written,
            place,
        )))
    }

    /// Takes an array of tables and hands each to a reader; `read` numbers are those of the result.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(Fields<'_, 't, 'd>, usize) -> T,
    ) -> Vec<T> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let example = format!("[[{key}]]");
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(value, key, "an array of tables", &example);
            return Vec::new();
        };
        let mut all = Vec::with_capacity(array.len());
        for (i, value) in array.iter().enumerate() {
            let DeValue::Table(table) = value.get_ref() else {
                self.wrong_type(
                    value,
                    &format!("{key}[{i}]"),
                    "an array of tables",
                    &example,
                );
                continue;
            };
            let written = self.written(&format!("{key}[{i}]"));
            let place = join(&self.read, &format!("{key}[{}]", all.len()));
            let fields = Fields::new(self.notes, table, value.span(), written, place);
            all.push(read(fields, i));
        }
        all
    }

    /// Notes every key that was not asked for.
    pub(super) fn finish(self) {
        let unknown = self.table.iter().filter(|(key, _)| {
            let name: &str = key.get_ref().as_ref();
            !self.known.contains(&name)
        });
        for (key, _) in unknown {
            let name: &str = key.get_ref().as_ref();
            let help = match nearest(name, self.known.iter().copied()) {
                Some(near) => format!("write `{near}`"),
                None => format!("take it out; known here: {}", self.known.join(", ")),
            };
            let written = join(&self.written, name);
            self.notes.note(
                Severity::Error,
                &key.span(),
                &written,
                format!("unknown key `{name}`"),
                help,
            );
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Names the type of a value.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
