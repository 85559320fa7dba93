//! README.md and the documents say what is the case: commands, flags, keys, examples, promises and links.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use clap::Parser as _;
use git_orch::cli::Cli;
use git_orch::model::suite::Format;
use git_orch::model::train::obtained::Confirm;
use git_orch::model::{
    CheckedIn, CoderSpec, Command, CommitBy, Coupling, Criterion, Dependency, DoneSign, GateSpec,
    LevelSpec, Levels, Limits, Lock, Owner, PhaseName, PhaseSpec, Plan, Profile, RunSpec, Sandbox,
    Signing, TaskSpec, TeamId, TeamSpec, Trust, WrapUpAt, WrapUpCheck,
};
use regex::Regex;

use super::common::words::{command_lines, sample};
use super::common::{TestRepo, write_file};

/// What a person reads first.
const README: &str = include_str!("../README.md");

/// The pages below `docs/` that say how it is used, by their paths, and README.md.
static PAGES: LazyLock<BTreeMap<PathBuf, String>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    let mut dirs = vec![root.join("docs")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|kind| kind == "md") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.insert(path, text);
            }
        }
    }
    for name in ["README.md", "CONTRIBUTING.md", "SECURITY.md"] {
        let path = root.join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        found.insert(path, text);
    }
    found
});

/// All of them in one.
static ALL: LazyLock<String> = LazyLock::new(|| {
    PAGES
        .values()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("\n")
});

/// Text of the fenced code blocks of a language.
fn blocks(language: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    let fence = format!("```{language}\n");
    while let Some((_, after)) = rest.split_once(&fence) {
        let (block, next) = after.split_once("\n```").expect("every block has an end");
        found.push(block.to_owned());
        rest = next;
    }
    found
}

/// The plan that the README's first use writes.
fn first_plan() -> String {
    let block = blocks("sh", README).join("\n");
    let (_, plan) = block.split_once("<<'END'\n").expect("there is a plan");
    plan.split_once("\nEND\n")
        .expect("it has an end")
        .0
        .to_owned()
}

#[test]
fn every_command_line_in_it_parses() {
    let plan = Regex::new(r"(?s)<<'END'\n.*?\nEND\n").unwrap();
    let scripts = blocks("sh", &ALL).join("\n");
    let scripts = plan.replace_all(&scripts, "");
    let typed: Vec<Vec<String>> = scripts.lines().flat_map(command_lines).collect();
    assert!(typed.len() >= 7, "{typed:?}");
    let in_text = ALL.split('`').filter(|code| code.starts_with("git orch "));
    let in_text: Vec<Vec<String>> = in_text
        .map(sample)
        .flat_map(|line| command_lines(&line))
        .collect();
    assert!(in_text.len() >= 30, "{in_text:?}");
    for words in typed.iter().chain(&in_text) {
        if let Err(error) = Cli::try_parse_from(words) {
            // Help is asked for by an "error" that goes to stdout; a bare group or hook is only named.
            let named = words.len() == 2 && words[1] == "hook";
            assert!(!error.use_stderr() || named, "{words:?}: {error}");
        }
    }
}

#[test]
fn every_command_and_every_option_is_in_it() {
    fn check(command: &clap::Command, said: &str, shared: &BTreeSet<&str>) {
        for sub in command.get_subcommands() {
            let said = format!("{said} {}", sub.get_name());
            if sub.has_subcommands() {
                check(sub, &said, shared);
                continue;
            }
            let lines: Vec<&str> = ALL.lines().filter(|line| line.contains(&said)).collect();
            assert!(!lines.is_empty(), "`{said}` is in no document");
            if sub.is_hide_set() {
                continue;
            }
            for option in sub.get_arguments().filter_map(|arg| arg.get_long()) {
                let flag = format!("--{option}");
                let here = lines.iter().any(|line| line.contains(&flag));
                assert!(
                    here || shared.contains(option),
                    "`{said} {flag}` is in no document"
                );
            }
        }
    }
    // Said once for all commands that have them.
    let shared = BTreeSet::from(["agent", "attempt"]);
    assert!(ALL.contains("`--agent` and\n`--attempt` are known"));
    check(&super::cli::whole(), "git orch", &shared);
}

/// A plan that leaves nothing out; a new key in the model does not compile without standing here.
fn full_plan() -> Plan {
    let text = |text: &str| Some(text.to_owned());
    let minute = Duration::from_secs(60);
    let profile = Profile {
        command: Some(Command::Shell(String::from("true"))),
        preset: text("shell"),
        model: text("opus"),
        commit: CommitBy::Executor,
        done: DoneSign::Exit,
        timeout: Some(minute),
        idle_timeout: Some(minute),
        env: BTreeMap::from([(String::from("env"), String::from("x"))]),
        sandbox: Some(Sandbox::None),
        sandbox_write: vec![String::from("~/.cargo")],
        sandbox_network: Some(true),
    };
    let phase = |after| PhaseSpec {
        name: PhaseName(String::from("all")),
        teams: vec![TeamId(1)],
        after,
    };
    let team = TeamSpec {
        id: TeamId(1),
        name: String::from("team"),
        coders: 4,
        parent: Some(TeamId(2)),
        agent: text("default"),
        model: text("opus"),
        skills: vec![String::from("sql")],
        agents: vec![CoderSpec {
            number: 2,
            role: text("tester"),
            skills: vec![String::from("sql")],
        }],
    };
    Plan {
        levels: full_levels(),
        wrapup: vec![WrapUpCheck {
            name: String::from("docs"),
            command: String::from("true"),
            place: CheckedIn::Worktree,
        }],
        run: full_run(),
        agents: BTreeMap::from([(String::from("default"), profile)]),
        phases: vec![phase(vec![PhaseName(String::from("b"))])],
        teams: vec![team],
        locks: vec![full_lock()],
        tasks: vec![full_task()],
    }
}

/// Its run.
fn full_run() -> RunSpec {
    let text = |text: &str| Some(text.to_owned());
    let minute = Duration::from_secs(60);
    RunSpec {
        name: String::from("run"),
        goal: String::from("goal"),
        base: text("main"),
        test: text("true"),
        retries: 1,
        timeout: minute,
        idle_timeout: minute,
        lease: minute,
        test_timeout: minute,
        test_format: Some(Format::Cargo),
        test_build: text("make"),
        test_some: text("make {tests}"),
        test_reports: vec![String::from("*.xml")],
        test_retries: 1,
        test_environment: text("rust 1.95"),
        test_jobs: Some(2),
        keep: vec![String::from("target/")],
        confirm: Confirm::Never,
        trust_coder_tests: true,
        signing: Some(Signing::Ssh),
        jobs: Some(3),
        wrapup: Some(WrapUpAt::Submit),
        gate: GateSpec {
            guarded: Vec::new(),
            authors: vec![String::from("*")],
            off: vec![String::from("names")],
            ..GateSpec::default()
        },
        limits: Limits::default(),
        sandbox: Sandbox::Landlock,
        sandbox_write: vec![String::from("~/.cargo")],
        sandbox_network: Some(false),
    }
}

/// Its steps.
fn full_levels() -> Levels {
    let text = |text: &str| Some(text.to_owned());
    let level = LevelSpec {
        owner: Some(Owner::Person),
        criteria: vec![String::from("it reads well")],
        checks: vec![String::from("true")],
        rollback: text("git orch undo"),
        next: text("approve"),
    };
    Levels {
        team: Some(level.clone()),
        integration: Some(level.clone()),
        approval: Some(level),
    }
}

/// Its task.
fn full_task() -> TaskSpec {
    let text = |text: &str| Some(text.to_owned());
    let minute = Duration::from_secs(60);
    TaskSpec {
        id: "a".parse().unwrap(),
        team: TeamId(1),
        title: String::from("title"),
        phase: Some(PhaseName(String::from("all"))),
        context: String::from("context"),
        scope: vec![String::from("a")],
        deliverables: vec![String::from("a")],
        success: vec![Criterion {
            text: text("text"),
            run: text("true"),
        }],
        after: vec![Dependency {
            task: "b".parse().unwrap(),
            coupling: Coupling::Tight,
        }],
        priority: 1,
        model: text("opus"),
        role: text("role"),
        skills: vec![String::from("sql")],
        style: text("style"),
        effort: text("small"),
        repo: text("repo"),
        branch: text("branch"),
        agent: text("default"),
        timeout: Some(minute),
        idle_timeout: Some(minute),
        retries: Some(1),
        run: text("true"),
        locks: vec!["schema".parse().unwrap()],
    }
}

/// Its lock.
fn full_lock() -> Lock {
    let text = |text: &str| Some(text.to_owned());
    Lock {
        id: "schema".parse().unwrap(),
        trust: Trust::Locked,
        paths: vec![String::from("db")],
        assertion: String::from("it is so"),
        check: text("true"),
        reason: text("reason"),
        owner: text("owner"),
        tasks: vec!["a".parse().unwrap()],
    }
}

#[test]
fn every_key_of_a_plan_is_in_its_table() {
    let plan = toml::Table::try_from(full_plan()).unwrap();
    let table = |value: &toml::Value| value.as_table().unwrap().clone();
    let first = |key: &str| table(&plan[key].as_array().unwrap()[0]);
    let sections = [
        ("`[run]`", table(&plan["run"])),
        ("`[run.gate]`", table(&plan["run"]["gate"])),
        ("`[agents.<name>]`", table(&plan["agents"]["default"])),
        ("`[levels.<step>]`", table(&plan["levels"]["team"])),
        ("`[[wrapup]]`", first("wrapup")),
        ("`[[phases]]`", first("phases")),
        ("`[[teams]]`", first("teams")),
        (
            "`[[teams.agents]]`",
            table(&first("teams")["agents"].as_array().unwrap()[0]),
        ),
        ("`[[locks]]`", first("locks")),
        ("`[[tasks]]`", first("tasks")),
    ];
    assert_eq!(plan.len() + 2, sections.len());
    for (heading, keys) in sections {
        let (_, section) = ALL.split_once(&format!("\n{heading}")).expect(heading);
        let (_, section) = section.split_once("| key |").expect("a table follows");
        let section = section.split("\n\n").next().unwrap();
        let rows: Vec<&str> = section.lines().collect();
        for key in keys.keys() {
            let row = |row: &&str| {
                let first = row.split('|').nth(1).unwrap_or_default();
                first.contains(&format!("`{key}`"))
            };
            assert!(
                rows.iter().any(row),
                "`{key}` of {heading} is in no document"
            );
        }
        // And nothing that does not exist.
        for name in rows.iter().filter_map(|row| row.strip_prefix("| `")) {
            let names = name.split('|').next().unwrap();
            for name in names
                .split("`, `")
                .map(|name| name.trim_end_matches(['`', ' ']))
            {
                assert!(keys.contains_key(name), "there is no `{name}` in {heading}");
            }
        }
    }
}

#[test]
fn the_defaults_in_it_are_those_of_the_model() {
    let run = RunSpec::default();
    let said = |key: &str| {
        let row = ALL
            .lines()
            .find(|line| line.starts_with(&format!("| `{key}` |")));
        row.unwrap().split('|').nth(2).unwrap().trim().to_owned()
    };
    assert_eq!(said("retries"), format!("`{}`", run.retries));
    let duration = |time: Duration| format!("`\"{}m\"`", time.as_secs() / 60);
    assert_eq!(said("timeout"), duration(run.timeout));
    assert_eq!(said("idle_timeout"), duration(run.idle_timeout));
    assert_eq!(said("lease"), duration(run.lease));
    assert_eq!(said("test_timeout"), duration(run.test_timeout));
    for (tier, most) in &run.limits.0 {
        assert!(
            said("limits").contains(&format!("{tier} = {most}")),
            "{tier}"
        );
    }
}

#[test]
fn its_plan_and_the_demos_pass_the_check() {
    let repo = TestRepo::new();
    let plan = repo.outside().join("plan.toml");
    write_file(&plan, &first_plan());
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/demo/plan.toml");
    for plan in [plan.to_str().unwrap(), demo] {
        let checked = repo.orch(["plan", "check", plan]);
        assert!(
            !checked.stderr().contains("warning"),
            "{}",
            checked.stderr()
        );
        checked.ok();
    }
}

#[test]
fn every_promise_names_tests_that_are_there() {
    let text = std::fs::read_to_string("docs/promises.md").unwrap();
    let promised = text.split("## What is promised").nth(1).unwrap();
    let promised = promised.split("\n## ").next().unwrap();
    let rows: Vec<&str> = promised
        .lines()
        .filter(|line| line.starts_with("| **"))
        .collect();
    assert!(rows.len() > 15, "{rows:?}");
    for row in rows {
        let tests: Vec<&str> = row
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| word.contains("::"))
            .collect();
        assert!(!tests.is_empty(), "no test for: {row}");
        for test in tests {
            let (file, name) = test.split_once("::").unwrap();
            let source = std::fs::read_to_string(format!("tests/{file}.rs"))
                .unwrap_or_else(|_| panic!("{test}: there is no such file"));
            let more = std::fs::read_dir(format!("tests/{file}"))
                .into_iter()
                .flatten()
                .flatten();
            let more: String = more
                .map(|entry| std::fs::read_to_string(entry.path()).unwrap())
                .collect();
            let wanted = format!("fn {name}");
            assert!((source + &more).contains(&wanted), "there is no {test}");
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let heading = |text: &str, anchor: &str| {
        text.lines()
            .filter(|line| line.starts_with('#'))
            .any(|line| {
                let words = line.trim_start_matches('#').trim().to_lowercase();
                let kept = words
                    .chars()
                    .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                kept.collect::<String>().replace(' ', "-") == anchor
            })
    };
    let mut seen = 0;
    for (path, text) in &*PAGES {
        for found in link.captures_iter(text) {
            let target = &found[1];
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let there = match file {
                "" => path.clone(),
                file => path.with_file_name(file),
            };
            assert!(there.exists(), "{}: {target}", path.display());
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&there).unwrap();
                assert!(heading(&text, anchor), "{}: {target}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} links");
}
