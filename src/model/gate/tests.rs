use std::collections::BTreeMap;

use super::authors::{Person, agent, claims_agent, may_commit};
use super::commit::RawCommit;
use super::guarded::Guarded;
use super::names::{are_twins, is_dot_git, why_bad};
use super::spec::{DEFAULT, DEFAULT_GUARDED};
use super::words::{forged, forged_subject};
use super::{GateSpec, Rule, links, parse_size, shown};
use crate::model::scope::Glob;
use crate::model::{TaskId, TeamId};

fn person<'a>(name: &'a str, address: &'a str) -> Person<'a> {
    Person {
        name: name.as_bytes(),
        address: address.as_bytes(),
    }
}

#[test]
fn what_is_shown_controls_nothing_and_hides_nothing() {
    assert_eq!(shown(b"src/it's \"a\""), "src/it's \"a\"");
    assert_eq!(shown(b"a\nb\x1b[2K\xff"), "a\\nb\\u{1b}[2K\\xff");
    assert_eq!(shown("g\u{200d}\u{202e}".as_bytes()), "g\\u{200d}\\u{202e}");
    assert_eq!(shown("é/名".as_bytes()), "é/名");
}

#[test]
fn sizes_are_read_as_they_are_written() {
    let cases = [
        ("1", 1),
        ("7B", 7),
        ("2KiB", 2048),
        ("50MiB", 50 << 20),
        ("1 GiB", 1 << 30),
    ];
    for (text, bytes) in cases {
        assert_eq!(parse_size(text), Some(bytes), "{text}");
    }
    for text in ["", "0", "-1", "5MB", "MiB", "99999999999999GiB", "1.5KiB"] {
        assert_eq!(parse_size(text), None, "{text}");
    }
    assert_eq!(Some(GateSpec::default().most_bytes()), parse_size("50MiB"));
}

#[test]
fn only_rules_that_are_optional_can_be_off() {
    let mut spec = GateSpec::default();
    assert!(spec.is_default() && spec.has(Rule::Links));
    spec.off = vec![String::from("links"), String::from("scope")];
    assert!(!spec.has(Rule::Links) && spec.has(Rule::Scope) && spec.has(Rule::Names));
}

#[test]
fn our_list_of_guarded_files_is_made_of_globs_and_stands_where_its_word_does() {
    for glob in DEFAULT_GUARDED {
        assert!(Glob::parse(glob).is_ok(), "{glob}");
    }
    let spec = GateSpec {
        guarded: vec![String::from("ci/**"), String::from(DEFAULT)],
        ..GateSpec::default()
    };
    assert_eq!(spec.guarded_globs().len(), DEFAULT_GUARDED.len() + 1);
    assert!(
        GateSpec {
            guarded: Vec::new(),
            ..spec
        }
        .guarded_globs()
        .is_empty()
    );
}

#[test]
fn an_agent_is_known_by_name_and_address() {
    let found = |name, address| agent(person(name, address)).map(|agent| agent.to_string());
    assert_eq!(
        found("AGENT-1.2", "agent-1.2@box-3f.invalid").as_deref(),
        Some("1.2")
    );
    assert_eq!(
        found("AGENT-1.2 (aider)", "agent-1.2@box.invalid").as_deref(),
        Some("1.2")
    );
    for (name, address) in [
        ("AGENT-1.2", "agent-1.3@box.invalid"),
        ("AGENT-1.2x", "agent-1.2@box.invalid"),
        ("AGENT-1.2", "agent-1.2@box.com"),
        ("AGENT-1.2", "agent-1.2@.invalid"),
        ("AGENT-1.2", "agent-1.2@a b.invalid"),
        ("Ann", "agent-1.2@box.invalid"),
    ] {
        assert_eq!(found(name, address), None, "{name} {address}");
        assert!(claims_agent(person(name, address)), "{name} {address}");
    }
    assert!(!claims_agent(person("Ann", "agent-smith@example.org")));
}

#[test]
fn who_may_commit() {
    let declared = [
        String::from("Ann <ann@example.org>"),
        String::from("bob@example.org"),
    ];
    let given = [(String::from("Ci"), String::from("ci@example.org"))];
    let may = |name, address, declared: &[String]| {
        may_commit(person(name, address), TeamId(1), declared, &given)
    };
    assert!(may("AGENT-1.4", "agent-1.4@b.invalid", &[]));
    assert!(!may("AGENT-2.4", "agent-2.4@b.invalid", &declared));
    assert!(may("Ann", "ann@example.org", &declared));
    assert!(!may("Anna", "ann@example.org", &declared));
    assert!(may("Whoever", "bob@example.org", &declared));
    assert!(may("Ci", "ci@example.org", &[]));
    assert!(!may("Eve", "eve@example.org", &declared));
    let anyone = [String::from("*")];
    assert!(may("Eve", "eve@example.org", &anyone));
    assert!(
        !may("AGENT-2.1", "agent-2.1@b.invalid", &anyone),
        "an agent of another team"
    );
}

#[test]
fn a_commit_is_read_whole_or_not_at_all() {
    let head = "tree 1\nauthor A B <a@b> 1 +0000\ncommitter C <c@d> 2 -0130\n";
    let text = format!("{head}encoding latin-1\ngpgsig x\n author forged\n\nsubject\n");
    let read = RawCommit::parse(text.as_bytes()).unwrap();
    assert_eq!(read.author, person("A B", "a@b"));
    assert_eq!(read.committer, person("C", "c@d"));
    assert_eq!(read.message, b"subject\n");
    assert_eq!(read.deceives(), None);
    for bad in [
        "tree 1\nauthor A <a@b> 1 +0000\n\nx",
        "tree 1\nauthor A a@b 1 +0000\ncommitter C <c@d> 2 +0000\n\nx",
        "tree 1\nauthor A <a@b> one +0000\ncommitter C <c@d> 2 +0000\n\nx",
        "tree 1\nauthor A <a@b> 1 +0000\nauthor A <a@b> 1 +0000\ncommitter C <c@d> 2 +0000\n\nx",
        "tree 1\nauthor A\0 <a@b> 1 +0000\ncommitter C <c@d> 2 +0000\n\nx",
    ] {
        assert!(RawCommit::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn a_message_reads_the_same_to_everyone() {
    let head = "author A <a@b> 1 +0000\ncommitter C <c@d> 2 +0000\n";
    let deceives = |more: &str, message: &str| {
        let text = format!("{head}{more}\n{message}");
        RawCommit::parse(text.as_bytes()).unwrap().deceives()
    };
    for (more, message) in [
        ("", "a\n\tb\n"),
        ("", "a\r\nb\r"),
        ("encoding ISO-8859-15\n", "é"),
    ] {
        assert_eq!(deceives(more, message), None, "{more:?} {message:?}");
    }
    for (more, message) in [
        ("", "a\0b"),
        ("", "a\rb"),
        ("", "a\x1b[1m"),
        ("", "\x7f"),
        ("encoding UTF-7\n", "a"),
        ("encoding UTF-16LE\n", "a"),
    ] {
        assert!(deceives(more, message).is_some(), "{more:?} {message:?}");
    }
}

#[test]
fn words_of_others_are_found_wherever_they_stand() {
    let task: TaskId = "mine".parse().unwrap();
    let says = |message: &str| forged(message.as_bytes(), &task, TeamId(1));
    let good = "x\n\nOrchestration: fine\nSee Orch-Task: theirs\nOrch-Task: mine\nOrch-Agent: 1.9\nOrch-Run: a";
    assert_eq!(says(good), None);
    for bad in [
        "x\n\nOrch-Task: theirs\n\ntext",
        "Orch-Event: approve",
        "x\rorch-task : theirs",
        "ORCH-AGENT: 2.1",
        "  Orch-Level: approval",
    ] {
        assert!(says(bad).is_some(), "{bad:?}");
    }
    assert!(forged_subject("[TEAM-2] x").is_some() && forged_subject("ESCALATION").is_some());
    assert_eq!(forged_subject("Revert \"[TEAM-2] [AGENT-2.1] x\""), None);
}

#[test]
fn names_that_are_gits_own_on_some_system() {
    let bad = [
        ".git",
        ".GiT",
        "git~1",
        "GIT~1",
        ".git.",
        ".git . ",
        ".git:x",
        ".git::$INDEX_ALLOCATION",
        ".git\\x",
        "a\\.git",
        ".g\u{200c}it",
        "\u{feff}.git",
        "..",
        ".",
        "",
        "a/b",
        "gitmod~1",
        "GI7EBA~9",
        ".gitmodules.",
        ".GITIGNORE",
        ".gitattributes:x",
        "a.",
        "a ",
        "a. .",
        "...",
        "a::$DATA",
        "a:b:$data",
        "..\\lib",
        "..\\..\\lib\\b",
        "a\\..\\..\\lib",
        "a\\.. \\lib",
        "a\\",
        "\\a",
    ];
    for name in bad {
        assert!(why_bad(name.as_bytes()).is_some(), "{name:?}");
    }
    let good = [
        ".github",
        ".gitmodules",
        ".gitattributes",
        ".gitignore",
        "git",
        "git~2x",
        "gitmod~1x",
        ".git-blame",
        "a.git",
        "é",
        "con",
        "..a",
        ". a",
        "a:b",
        "std::fmt",
        "a\\b",
    ];
    for name in good {
        assert_eq!(why_bad(name.as_bytes()), None, "{name:?}");
    }
    assert!(why_bad(&[b'a'; 256]).is_some() && why_bad(&[b'a'; 255]).is_none());
    assert!(why_bad(b"\xff\xfe").is_none() && !is_dot_git(b"\xff.git"));
}

#[test]
fn twins_differ_in_case_or_in_how_an_accent_is_written() {
    for (a, b) in [
        ("a", "A"),
        ("caf\u{e9}", "cafe\u{301}"),
        ("CAF\u{c9}", "cafe\u{301}"),
        ("Ä", "ä"),
        ("a", "a."),
        ("A", "a . ."),
        ("a", "a:x"),
        ("a", "A::$DATA"),
        ("a:x", "a:y"),
        ("a", "a\\b"),
        ("é", "É:x"),
    ] {
        assert!(are_twins(a.as_bytes(), b.as_bytes()), "{a} {b}");
    }
    for (a, b) in [
        ("a", "b"),
        ("a", "á"),
        ("a", "aa"),
        ("a", ".a"),
        ("a", "b:a"),
        ("a", "aa\\b"),
        ("a\\b", "a\\c"),
    ] {
        assert!(!are_twins(a.as_bytes(), b.as_bytes()), "{a} {b}");
    }
}

#[test]
fn links_are_followed_as_a_file_system_would() {
    let other: BTreeMap<&str, &str> = BTreeMap::from([
        ("d/top", "../.."),
        ("d/here", "."),
        ("in", "d/e"),
        ("round", "about"),
        ("about", "round"),
    ]);
    let bad = |at: &str, target: &str| {
        let mut read = |path: &[u8]| {
            let path = std::str::from_utf8(path).ok()?;
            Some(other.get(path)?.as_bytes().to_vec())
        };
        links::why_bad(at.as_bytes(), target.as_bytes(), &mut read)
    };
    for (at, target) in [
        ("l", "a"),
        ("l", "./a/../b"),
        ("a/b/l", "../../c"),
        ("l", "in/../f"),
        ("l", "d/here/here/x"),
        ("l", "round"),
        ("l", "..."),
    ] {
        assert_eq!(bad(at, target), None, "{at} -> {target}");
    }
    for (at, target) in [
        ("l", ".."),
        ("l", "/a"),
        ("l", "\\a"),
        ("l", "C:x"),
        ("a/l", "../../x"),
        ("l", "a/../../b"),
        ("l", ".git"),
        ("a/l", "../.Git/x"),
        ("l", "d/top/x"),
        ("l", "in/../../.."),
        ("l", "a\0b"),
    ] {
        assert!(bad(at, target).is_some(), "{at} -> {target}");
    }
    assert!(bad("l", &"a/".repeat(3000)).is_some());
}

#[test]
fn a_guarded_file_is_owned_by_who_spells_it_out() {
    let guarded = Guarded::new(&[
        "**/.husky/**",
        "**/.gitattributes",
        ".cargo/config.toml",
        "**/*.lock",
    ]);
    let forbids = |path: &str, named: &[&str]| guarded.forbids(path.as_bytes(), named);
    for path in [
        ".husky/pre-commit",
        "a/.Husky/x",
        "a/b/.gitattributes",
        ".cargo/config.toml",
        "x/a.lock",
    ] {
        assert!(forbids(path, &[]), "{path}");
        assert!(
            forbids(path, &["**", "*", "a/**", ".*/**", "{a,b}/**"]),
            "{path}"
        );
    }
    for path in ["husky/x", ".gitattributes.md", ".cargo/other", "lock"] {
        assert!(!forbids(path, &[]), "{path}");
    }
    assert!(!forbids(".husky/pre-commit", &["src/**", ".husky/**"]));
    assert!(!forbids("a/b/.gitattributes", &["**/.gitattributes"]));
    assert!(!forbids(".cargo/config.toml", &[".cargo"]));
    assert!(!forbids("x/a.lock", &["x/a.lock"]));
    assert!(!forbids("x/a.lock", &["x/{a,b}.lock"]));
    // Spelled out, but somewhere else.
    assert!(forbids("b/.husky/x", &["a/.husky/**", "**"]));
}
