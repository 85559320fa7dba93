//! What lints cannot see: the repository's own rules, kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use git_orch::cli::Cli;
use regex::Regex;

use super::common::words::command_lines;

/// Files that may do what `.clippy.toml` forbids everywhere else; each is the one place for it.
const MAY_DO_WHAT_LINTS_FORBID: &[&str] = &[
    "src/clock.rs",
    "src/config.rs",
    "src/git/cmd.rs",
    "src/process/command.rs",
    "src/process/detach.rs",
    "src/process/inherit.rs",
];

/// Modules from the bottom up; a module may use those of its own rank and below.
const LAYERS: &[&[&str]] = &[
    &["model"],
    &[
        "git", "process", "config", "clock", "error", "seal", "ui", "answer", "waits",
    ],
    &["ledger"],
    &["workspace", "plan", "agents"],
    &["hooks", "report"],
    &["assembler"],
    &["tasks"],
    &["executor"],
    &["commands"],
    &["cli"],
];

/// Hints that are sentences about the program and not commands.
const SENTENCES: &[&str] = &["git orch needs the `files` ref storage and SHA-1 objects"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a directory, with its path from the root and its text.
fn sources(dir: &str) -> BTreeMap<String, String> {
    fn walk(dir: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
                found.insert(name.to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&root().join(dir), &mut found);
    assert!(!found.is_empty());
    found
}

/// The code of every source file: without its unit tests and whole-line comments.
fn code(dir: &str) -> BTreeMap<String, String> {
    let is_code = |(path, _): &(String, String)| {
        let file = Path::new(path).file_stem().unwrap();
        file != "tests" && !path.contains("/tests/")
    };
    let code = |text: &str| {
        let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let found = sources(dir).into_iter().filter(is_code);
    found.map(|(path, text)| (path, code(&text))).collect()
}

#[test]
fn nothing_is_left_to_do_in_a_comment() {
    let marks = Regex::new(r"\b(TODO|FIXME|XXX)\b|\bdbg!|\btodo!|\bunimplemented!").unwrap();
    for (path, text) in sources("src") {
        for (number, line) in text.lines().enumerate() {
            assert!(!marks.is_match(line), "{path}:{}: {line}", number + 1);
        }
    }
}

#[test]
fn comments_name_documents_that_are_there() {
    let named = Regex::new(r"[A-Za-z0-9_./-]*[A-Za-z0-9_-]\.md\b").unwrap();
    let a_program = ["Backlog.md", "backlog.md"];
    for dir in ["src", "tests", "benches"] {
        for (path, text) in sources(dir) {
            let comments = text
                .lines()
                .filter(|line| line.trim_start().starts_with("//"));
            for name in comments.flat_map(|line| named.find_iter(line)) {
                let name = name.as_str();
                let known = root().join(name).exists() || a_program.contains(&name);
                assert!(known, "{path} names {name}, which is not in the repository");
            }
        }
    }
}

#[test]
fn no_file_is_longer_than_600_lines() {
    for (path, text) in sources("src") {
        let lines = text.lines().count();
        assert!(lines <= 600, "{path} has {lines} lines");
    }
}

#[test]
fn no_module_is_a_drawer_for_everything() {
    for (path, text) in code("src") {
        let name = Path::new(&path).file_stem().unwrap().to_str().unwrap();
        for word in ["util", "helper", "common", "manager"] {
            assert!(!name.contains(word), "{path}");
        }
        if name == "mod" {
            let body = &text;
            let begun = body
                .lines()
                .find(|line| line.starts_with("fn ") || line.starts_with("pub fn "));
            // Types with their methods are welcome; loose functions belong to a file with a name.
            assert_eq!(begun, None, "{path}");
        }
    }
}

#[test]
fn every_test_file_is_compiled() {
    let main = fs::read_to_string(root().join("tests/main.rs")).unwrap();
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let listed = main.contains(&format!("mod {name};"));
        assert!(
            listed || name == "main" || path.is_dir() && name == "fixtures",
            "{name}"
        );
    }
}

#[test]
fn modules_use_those_below_them_only() {
    let rank = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let used = Regex::new(r"\bcrate::([a-z_]+)").unwrap();
    let parts = Regex::new(r"(?:^|,)\s*([a-z_]+)").unwrap();
    let grouped = Regex::new(r"use crate::\{([^;]*)\};").unwrap();
    let mut seen = BTreeSet::new();
    for (path, text) in code("src") {
        let below = path.strip_prefix("src/").unwrap();
        let module = below.split(['/', '.']).next().unwrap();
        if matches!(module, "lib" | "main") {
            continue;
        }
        let here = rank(module).unwrap_or_else(|| panic!("{module} has no layer"));
        seen.insert(module.to_owned());
        let single = used.captures_iter(&text).map(|found| found[1].to_owned());
        let groups = grouped.captures_iter(&text).flat_map(|found| {
            let names = parts
                .captures_iter(&found[1])
                .map(|part| part[1].to_owned());
            names
                .filter(|name| rank(name).is_some())
                .collect::<Vec<_>>()
        });
        for other in single.chain(groups) {
            let there =
                rank(&other).unwrap_or_else(|| panic!("{path} uses {other}, which has no layer"));
            assert!(there <= here, "{path} uses {other}, which is above it");
        }
    }
    let all: BTreeSet<String> = LAYERS
        .iter()
        .flat_map(|layer| layer.iter().map(|m| (*m).to_owned()))
        .collect();
    assert_eq!(seen, all, "LAYERS names what exists");
}

#[test]
fn the_model_is_pure() {
    let used = Regex::new(r"\b(?:use )?(std|core|serde|[a-z_]+)::[A-Za-z_{]").unwrap();
    let impure = Regex::new(
        r"std::(fs|process|env|net|thread|time::(Instant|SystemTime))|tokio|\bgix\b|println!|anyhow",
    )
    .unwrap();
    for (path, text) in code("src/model") {
        for line in text.lines() {
            assert!(!impure.is_match(line), "{path}: {line}");
            let Some(import) = line.trim_start().strip_prefix("use ") else {
                continue;
            };
            let first = used.captures(import).map(|found| found[1].to_owned());
            let first = first.unwrap_or_default();
            // Parsers of text are as pure as std.
            let own = [
                "std",
                "serde",
                "serde_json",
                "schemars",
                "quick_xml",
                "unicode_normalization",
                "super",
                "self",
                "crate",
            ];
            assert!(own.contains(&first.as_str()), "{path}: {line}");
        }
    }
}

#[test]
fn lints_are_lifted_where_it_is_written_down_and_nowhere_else() {
    let mut lifted = BTreeSet::new();
    for (path, text) in code("src") {
        assert!(
            !text.contains("#[allow(") && !text.contains("#![allow("),
            "{path}: use expect"
        );
        for lint in [
            "disallowed_methods",
            "print_stdout",
            "print_stderr",
            "clippy::exit",
            "unwrap_used",
        ] {
            if text.contains(lint) {
                lifted.insert(path.clone());
            }
        }
    }
    let allowed: BTreeSet<String> = MAY_DO_WHAT_LINTS_FORBID
        .iter()
        .map(|path| (*path).to_owned())
        .collect();
    assert_eq!(lifted, allowed);
}

#[test]
fn every_command_that_a_message_suggests_can_be_typed() {
    // String literals with a command of ours in them: whole, or in backticks within a sentence.
    let literal = Regex::new(r#""((?:[^"\\]|\\.)*git orch (?:[^"\\]|\\.)*)""#).unwrap();
    let continued = Regex::new(r"\\\n\s*").unwrap();
    let quoted = Regex::new(r"`(git orch [^`]+)`").unwrap();
    let (mut found, mut wrong) = (0, Vec::new());
    for (path, text) in code("src") {
        let text = continued.replace_all(&text, "").into_owned();
        for literal in literal.captures_iter(&text) {
            let literal = literal[1].replace("\\n", "\n").replace("\\\"", "\"");
            if SENTENCES.contains(&literal.as_str()) {
                continue;
            }
            let mut lines: Vec<String> = quoted
                .captures_iter(&literal)
                .map(|found| found[1].to_owned())
                .collect();
            if literal.starts_with("git orch ") {
                lines.push(literal.clone());
            }
            // A command whose very name is filled in can only be tried where that happens.
            for line in lines.iter().filter(|line| !line.starts_with("git orch {")) {
                found += 1;
                for words in command_lines(&filled(line)) {
                    let parsed = Cli::try_parse_from(&words);
                    if parsed.is_err_and(|error| error.use_stderr()) {
                        wrong.push(format!("{path}: {line} as {words:?}"));
                    }
                }
            }
        }
    }
    assert!(found > 30, "only {found} were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Fills in what a format string leaves open: a number where one must stand, otherwise what reads as an
/// agent and as a task.
fn filled(line: &str) -> String {
    let number = Regex::new(r"(--attempt|--team|--jobs) \{[^}]*\}").unwrap();
    let line = number.replace_all(line, "$1 1");
    let open = Regex::new(r"\{[^}]*\}|<[a-z.-]+>|…").unwrap();
    open.replace_all(&line, "1.2").into_owned()
}
