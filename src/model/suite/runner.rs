//! How the command of a known test runner is made to build only, to go on after a failure, or to run less.

use std::collections::BTreeSet;

use super::Format;
use super::shell::{self, Word, is_assignment, quote};

/// A command that is one call of a known runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invocation {
    format: Format,
    /// Whatever is before the call, up to the word that names what the runner does.
    verb_end: usize,
    /// The words after it.
    words: Vec<Word>,
    /// Where options for the runner may be put in.
    options: usize,
}

impl Invocation {
    /// Recognises a call; `None` for a command that is anything else, or more.
    pub(super) fn of(command: &str) -> Option<Self> {
        let all = shell::words(command)?;
        let skipped = all.iter().take_while(|w| is_assignment(&w.text)).count();
        let mut words = &all[skipped..];
        for wrapper in [&["uv", "run"][..], &["poetry", "run"], &["pipenv", "run"]] {
            if begins(words, wrapper) {
                words = &words[wrapper.len()..];
            }
        }
        let program = words.first()?.text.rsplit('/').next()?;
        let (format, verb) = match program {
            "cargo" => cargo_verb(words)?,
            "go" if begins(&words[1..], &["test"]) => (Format::Go, 1),
            "pytest" | "py.test" => (Format::Pytest, 0),
            python if python.starts_with("python") && begins(&words[1..], &["-m", "pytest"]) => {
                (Format::Pytest, 2)
            }
            _ => return None,
        };
        let rest = &words[verb + 1..];
        let end = |word: &&Word| match format {
            Format::Go => matches!(word.text.as_str(), "-args" | "--args"),
            _ => word.text == "--",
        };
        let ends = rest.iter().find(end).map(|word| word.at.start);
        Some(Self {
            format,
            verb_end: words[verb].at.end,
            words: rest.to_vec(),
            options: ends.unwrap_or(command.len()),
        })
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Returns the command that only builds.
    pub(super) fn build(&self, command: &str) -> Option<String> {
        match self.format {
            // Documentation tests are built as they run.
            Format::Cargo if self.has("--doc") => None,
            Format::Cargo | Format::Nextest if self.has("--no-run") => None,
            Format::Cargo | Format::Nextest => Some(self.with_first(command, "--no-run")),
            Format::Go => Some(self.with_last(command, "-run '^$'")),
            Format::Pytest | Format::JUnit | Format::Tap => None,
        }
    }

    /// Returns the command that goes on after a failure and names all that failed.
    pub(super) fn full(&self, command: &str) -> String {
        match self.format {
            Format::Cargo | Format::Nextest if self.has("--no-fail-fast") => command.to_owned(),
            // Nextest takes only one of these, so that what contradicts stays as it is.
            Format::Nextest if self.words.iter().any(stops_early) => command.to_owned(),
            Format::Cargo | Format::Nextest => self.with_first(command, "--no-fail-fast"),
            // The last one holds, also against the project's configuration.
            Format::Pytest => self.with_last(command, "--maxfail=0 -rfEp"),
            Format::Go if self.has("-failfast") => self.with_last(command, "-failfast=false"),
            Format::Go | Format::JUnit | Format::Tap => command.to_owned(),
        }
    }

    /// Returns the command that runs these tests, by the names that the runner's reader gives them.
    pub(super) fn only(&self, command: &str, tests: &BTreeSet<String>) -> Option<String> {
        let full = self.full(command);
        match self.format {
            Format::Cargo => self.only_cargo(&full, tests),
            Format::Nextest => self.only_nextest(&full, command, tests),
            Format::Pytest => self.only_pytest(&full, command, tests),
            Format::Go => self.only_go(&full, command, tests),
            Format::JUnit | Format::Tap => None,
        }
    }

    /// By name in every binary, since no call could pair the two. Names of documentation tests have a
    /// number at their end that moves, so beside one of those all names are taken as parts of names.
    fn only_cargo(&self, full: &str, tests: &BTreeSet<String>) -> Option<String> {
        let names: BTreeSet<&str> = tests.iter().map(|test| name(test)).collect();
        let mut command = full.to_owned();
        if !self.has("--") {
            command.push_str(" --");
        }
        if names.iter().all(|name| !name.contains(' ')) {
            command.push_str(" --exact");
        }
        for name in names {
            command.push(' ');
            command.push_str(&quote(name)?);
        }
        Some(command)
    }

    /// By name in every binary: a filter that names a binary which a prefix lacks is an error.
    fn only_nextest(&self, full: &str, command: &str, tests: &BTreeSet<String>) -> Option<String> {
        let names: BTreeSet<&str> = tests.iter().map(|test| name(test)).collect();
        let mut filter = Vec::new();
        for name in names {
            if name.chars().any(char::is_control) {
                return None;
            }
            let mut escaped = String::new();
            for c in name.chars() {
                if matches!(c, '\\' | ')' | ',' | '/') {
                    escaped.push('\\');
                }
                escaped.push(c);
            }
            filter.push(format!("test(={escaped})"));
        }
        let filter = quote(&filter.join(" + "))?;
        let pass = if self.words.iter().any(|w| w.text.starts_with("--no-tests")) {
            ""
        } else {
            " --no-tests=pass"
        };
        Some(self.with_last_in(full, command, &format!("-E {filter}{pass}")))
    }

    /// By the functions' names: naming a test that a prefix lacks would end the run with an error.
    fn only_pytest(&self, full: &str, command: &str, tests: &BTreeSet<String>) -> Option<String> {
        let mut names = BTreeSet::new();
        for test in tests {
            let test = test.split('[').next()?;
            let (_, name) = test.rsplit_once("::")?;
            let plain = name
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '.');
            let means_something = ["and", "or", "not", "True", "False", "None"].contains(&name);
            if !plain || means_something || name.is_empty() {
                return None;
            }
            names.insert(name);
        }
        let names: Vec<&str> = names.into_iter().collect();
        let mut expression = names.join(" or ");
        if let Some(own) = self.value_of("-k") {
            expression = format!("({own}) and ({expression})");
        }
        let narrowed = self.with_last_in(full, command, &format!("-k {}", quote(&expression)?));
        // 5 is pytest's word for: there is no such test.
        Some(format!("{narrowed} || [ $? -eq 5 ]"))
    }

    /// By the names of top-level tests, in every package.
    fn only_go(&self, full: &str, command: &str, tests: &BTreeSet<String>) -> Option<String> {
        let mut names = BTreeSet::new();
        for test in tests {
            let name = name(test).split('/').next()?;
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_name) {
                return None;
            }
            names.insert(name);
        }
        let names: Vec<&str> = names.into_iter().collect();
        let filter = quote(&format!("^({})$", names.join("|")))?;
        Some(self.with_last_in(full, command, &format!("-run {filter}")))
    }

    fn has(&self, option: &str) -> bool {
        self.words.iter().any(|word| word.text == option)
    }

    /// Returns the value that an option has last.
    fn value_of(&self, option: &str) -> Option<&str> {
        let mut values = self.words.iter().zip(self.words.iter().skip(1));
        let apart = values.rfind(|(word, _)| word.text == option);
        let joined = self.words.iter().rev().find_map(|word| {
            let value = word.text.strip_prefix(option)?;
            (!value.is_empty()).then(|| value.trim_start_matches('='))
        });
        apart.map(|(_, value)| value.text.as_str()).or(joined)
    }

    /// Puts an option right behind the verb.
    fn with_first(&self, command: &str, option: &str) -> String {
        let (before, after) = command.split_at(self.verb_end);
        format!("{before} {option}{after}")
    }

    /// Puts options behind all others of the runner's.
    fn with_last(&self, command: &str, options: &str) -> String {
        self.with_last_in(command, command, options)
    }

    /// Puts options behind all others in a command that was made longer before that place.
    fn with_last_in(&self, longer: &str, command: &str, options: &str) -> String {
        let tail = &command[self.options..];
        let head = longer.strip_suffix(tail).unwrap_or(longer);
        let gap = if tail.is_empty() { "" } else { " " };
        format!("{} {options}{gap}{tail}", head.trim_end())
    }
}

/// Returns the test's own name: what follows the binary or package.
fn name(test: &str) -> &str {
    test.split_once(' ').map_or(test, |(_, name)| name)
}

fn begins(words: &[Word], with: &[&str]) -> bool {
    words.len() >= with.len()
        && words
            .iter()
            .zip(with)
            .all(|(word, with)| word.text == *with)
}

fn stops_early(word: &Word) -> bool {
    ["--fail-fast", "--ff", "--max-fail", "--nff"]
        .iter()
        .any(|option| word.text.starts_with(option))
}

/// Finds the verb among cargo's words: `cargo +nightly --locked test`, `cargo nextest run`.
fn cargo_verb(words: &[Word]) -> Option<(Format, usize)> {
    let is_option = |word: &Word| word.text.starts_with('+') || word.text.starts_with("--");
    let verb = 1 + words[1..].iter().take_while(|word| is_option(word)).count();
    match words.get(verb)?.text.as_str() {
        "test" | "t" => Some((Format::Cargo, verb)),
        "nextest" if matches!(words.get(verb + 1)?.text.as_str(), "run" | "r") => {
            Some((Format::Nextest, verb + 1))
        }
        _ => None,
    }
}
