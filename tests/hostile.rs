//! Input that means harm, or is broken: it is told in a line, in bounded time and memory, and reaches no terminal.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use git_orch::git::config_file::ConfigFile;
use git_orch::hooks::message::Parts;
use git_orch::ledger::files::{PhasesFile, parse, parse_settings, parse_status, parse_task};
use git_orch::ledger::layout::Place;
use git_orch::model::duration::{format_duration, parse_duration};
use git_orch::model::event::Told;
use git_orch::model::{AgentId, AgentRecord, Attempt, Handoff, TaskId, TeamId, TeamSpec};
use proptest::prelude::*;
use serde_json::Value;

use super::common::{Outcome, TestRepo};

/// Orders to a terminal, text that turns round, and a return to the line's beginning.
const ORDERS: &str = "\u{1b}]0;own\u{7}\u{1b}[2J\u{9b}31m\u{202e}\r\u{7f}X";

/// The same as a TOML string.
const IN_TOML: &str = "\\u001B]0;own\\u0007\\u001B[2J\\u009B31m\\u202E\\r\\u007FX";

/// Returns the first character that gives a terminal orders.
fn order_in(text: &str) -> Option<char> {
    text.chars().find(|c| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

/// Rewrites one file of the ledger, as somebody might with plain Git.
fn edit_ledger(repo: &TestRepo, path: &str, change: impl Fn(&str) -> String) {
    let file = format!("orchestration:.orchestration/{path}");
    let outcome = repo.try_git_in(repo.path(), ["show", &file]);
    let text = change(&outcome.stdout());
    commit_entry(repo, path, "100644", text.as_bytes());
}

/// Puts a file of any mode into the ledger's tree.
fn commit_entry(repo: &TestRepo, path: &str, mode: &str, content: &[u8]) {
    let outside = repo.outside();
    let file = outside.join("entry");
    std::fs::write(&file, content).unwrap();
    let blob = repo.git(["hash-object", "-w", file.to_str().unwrap()]);
    let index = outside.join("ledger-index");
    let git = |args: &[&str]| {
        let mut command = repo.command("git", repo.path());
        let output = command.args(args).env("GIT_INDEX_FILE", &index).output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["read-tree", "orchestration"]);
    let entry = format!("{mode},{blob},.orchestration/{path}");
    git(&["update-index", "--add", "--cacheinfo", &entry]);
    let tree = git(&["write-tree"]);
    let commit = git(&["commit-tree", "-p", "orchestration", "-m", "by hand", &tree]);
    repo.git(["update-ref", "refs/heads/orchestration", &commit]);
}

/// Two tasks: `a` fails with hostile output, `b` delivers a hostile subject, summary and file name.
fn hostile_repository() -> TestRepo {
    let fails = "printf '\\033]0;own\\007\\033[2J\\302\\23331m\\342\\200\\256X\\n' >&2; exit 3";
    let delivers = format!(
        "f=$(printf 'f\\033[31m\\342\\200\\256g'); echo b >\"$f\"; git add .; \
         git commit -q --cleanup=verbatim -m \"$(printf 'do it {}')\"\n\
         printf '{{\"task_id\":\"b\",\"status\":\"completed\",\"summary\":\"\\\\\\\\u001b[2J\\\\\\\\u202e done\"}}' \
         >\"$ORCH_RESULT_FILE\"",
        "\\033]0;own\\007\\302\\23331m\\342\\200\\256X"
    );
    let plan = format!(
        "[run]\nname = \"trial\"\nretries = 0\n[[teams]]\nid = 1\nname = \"Team\"\ncoders = 2\n\
         [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"Write a\"\nrun = '''\n{fails}\n'''\n\
         [[tasks]]\nid = \"b\"\nteam = 1\ntitle = \"Write b\"\nrun = '''\n{delivers}\n'''\n\
         [[tasks]]\nid = \"c\"\nteam = 1\ntitle = \"Write c\"\nrun = \"true\"\nafter = [\"a\"]\n"
    );
    let repo = TestRepo::new().init().plan(&plan);
    let text = |text: &str| text.replace("Write ", &format!("{IN_TOML} "));
    for task in ["a", "b", "c"] {
        edit_ledger(&repo, &format!("teams/1/tasks/{task}.toml"), text);
    }
    let text = |text: &str| text.replace("\"Team\"", &format!("\"{IN_TOML}\""));
    edit_ledger(&repo, "teams/1/team.toml", text);
    let text = |text: &str| text.replace("\"trial\"", &format!("\"{IN_TOML}\""));
    edit_ledger(&repo, "orch.toml", text);
    let first = repo.orch(["run"]);
    assert_clean("run", &first);
    assert!(first.stderr().contains("[1."), "{}", first.stderr());
    // Git allows these in names of branches.
    repo.git(["branch", "odd-\u{9b}31m\u{202e}X", "orch/team-1/b"]);
    repo
}

#[track_caller]
fn assert_clean(what: &str, outcome: &Outcome) {
    for text in [outcome.stdout(), outcome.stderr()] {
        assert_eq!(order_in(&text), None, "{what}: {text:?}");
    }
}

#[test]
fn no_order_to_a_terminal_gets_through_any_command() {
    let repo = hostile_repository();
    let odd = repo.git([
        "for-each-ref",
        "--format=%(refname:short)",
        "refs/heads/odd-*",
    ]);
    let report = repo.outside().join("report.md");
    let report = report.to_str().unwrap();
    let said = |words: &[&str]| repo.orch(words);
    let mut seen = 0;
    let all: &[&[&str]] = &[
        &["status"],
        &["status", "1"],
        &["status", "1.1"],
        &["status", "a"],
        &["status", "b"],
        &["task", "list"],
        &["task", "show", "a"],
        &["task", "show", "b"],
        &["plan", "show"],
        &["queue", "stats"],
        &["queue", "active"],
        &["log"],
        &["radar"],
        &["doctor"],
        &["conflict", "list"],
        &["run", "--dry-run"],
        &["claim", "--explain", "--agent", "1.1"],
        &["dispatch"],
        &["escalate", "b", "-m", ORDERS],
        &["block", "b", "-m", ORDERS],
        &["assemble", "--report", report],
        &["assemble", "--onto", "main", "--no-test", &odd],
        &["assemble", "--onto", &odd, "--no-test", "none"],
        &["approve"],
        &["undo"],
        &["status", "no\u{1b}[2Jsuch"],
        &["task", "show", "no-such"],
        &["-C", "no\u{1b}[2J-dir", "status"],
        &["plan", "check", "no\u{1b}[2J.toml"],
        &["conflict", "show", ORDERS],
        &["sync"],
        &["pause", "1.1", "-m", ORDERS],
        &["cancel", "c", "-m", ORDERS],
    ];
    for words in all {
        let outcome = said(words);
        // What clap says of a wrong command line quotes the person who typed it.
        if outcome.code() == 2 {
            continue;
        }
        assert_clean(&words.join(" "), &outcome);
        seen += usize::from((outcome.stdout() + &outcome.stderr()).contains("\\u{1b}"));
        let in_json = said(&[words, &["--json"][..]].concat());
        let text = in_json.stdout();
        assert_eq!(order_in(&text), None, "{words:?}: {text:?}");
        let parsed = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        assert!(parsed.into_iter().all(|value| value.is_ok()), "{text}");
    }
    let markdown = std::fs::read_to_string(report).unwrap_or_default();
    assert_eq!(order_in(&markdown), None, "{markdown:?}");
    // With colours as well, nothing but ours.
    let colored = said(&["--color", "always", "status"]).stdout();
    let without: String = ["0m", "1m", "2m", "31m", "32m", "33m"]
        .iter()
        .fold(colored, |text, code| {
            text.replace(&format!("\u{1b}[{code}"), "")
        });
    assert_eq!(order_in(&without), None, "{without:?}");
    assert!(seen > 0, "nothing hostile was ever shown");
}

/// Names that would lead out of a directory, or stand for something else.
const CLIMBING: [&str; 19] = [
    "",
    ".",
    "..",
    "../x",
    "/etc/passwd",
    "a/../../b",
    "a/b",
    "a\\b",
    "..a",
    "a..b",
    ".hidden",
    "-rf",
    "a\0b",
    "a b",
    "a\nb",
    "\u{430}dmin",
    "a.lock",
    "integration",
    "a\u{202e}b",
];

#[test]
fn no_id_climbs_out_of_a_directory() {
    for bad in CLIMBING {
        assert!(bad.parse::<TaskId>().is_err(), "{bad:?}");
        assert!(bad.parse::<AgentId>().is_err(), "{bad:?}");
        assert!(bad.parse::<TeamId>().is_err(), "{bad:?}");
    }
    assert!("a".repeat(101).parse::<TaskId>().is_err());
    let repo = TestRepo::new().init();
    for bad in CLIMBING.iter().filter(|bad| !bad.contains('\0')) {
        let plan = format!("[[tasks]]\nid = {bad:?}\nteam = 1\ntitle = \"x\"\nrun = \"true\"\n");
        let plan = plan
            .replace("\\u{430}", "\\u0430")
            .replace("\\u{202e}", "\\u202E");
        let path = repo.outside().join("plan.toml");
        std::fs::write(&path, plan).unwrap();
        let complaint = repo
            .orch(["plan", "check", path.to_str().unwrap()])
            .fails(1);
        assert!(complaint.contains("plan.toml"), "{bad:?}: {complaint}");
        // On the command line as well, whatever asks for a task.
        for words in [
            ["status", "--", bad],
            ["claim", "--", bad],
            ["cancel", "--", bad],
        ] {
            let outcome = repo.orch(words);
            assert!([1, 2].contains(&outcome.code()), "{words:?}");
            assert!(
                !outcome.stderr().contains("panicked"),
                "{}",
                outcome.stderr()
            );
        }
    }
    // In the ledger, by hand.
    for path in [
        "teams/1/tasks/..x.toml",
        "teams/1/status/a b.toml",
        "teams/0/team.toml",
    ] {
        commit_entry(&repo, path, "100644", b"title = 'x'\n");
        let complaint = repo.orch(["status"]).fails(1);
        assert!(complaint.contains(path), "{path}: {complaint}");
        repo.git(["update-ref", "refs/heads/orchestration", "orchestration~1"]);
    }
}

fn with_task(run: &str) -> TestRepo {
    let plan = format!(
        "[run]\nname = \"trial\"\nretries = 0\n[[tasks]]\nid = \"a\"\ntitle = \"Write a\"\nrun = '''\n{run}\n'''\n"
    );
    TestRepo::new().init().plan(&plan)
}

/// Time that nothing hostile may take longer than, on a machine that is busy.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn what_is_too_large_or_too_deep_is_told_and_not_parsed() {
    let begun = Instant::now();
    let repo = with_task("true");
    let outside = repo.outside();
    let plan = outside.join("plan.toml");
    let check = |text: &str| {
        std::fs::write(&plan, text).unwrap();
        let outcome = repo.orch(["plan", "check", plan.to_str().unwrap()]);
        let found = outcome.stdout();
        found + &outcome.fails(1)
    };
    let large = format!("# {}\n", "x".repeat(100 << 20));
    assert!(check(&large).contains("larger than 16 MiB"));
    let huge = "x".repeat(600 << 10);
    let task =
        format!("[[tasks]]\nid = \"a\"\ntitle = \"t\"\nrun = \"true\"\ncontext = \"{huge}\"\n");
    let complaint = check(&task);
    assert!(
        complaint.contains("task `a` is larger than 512 KiB"),
        "{complaint}"
    );
    for deep in [
        format!("a = {}", "[".repeat(200_000)),
        format!("a = {}", "{b = ".repeat(200_000)),
        format!("[{}b]", "a.".repeat(200_000)),
        format!("{}b = 1", "a.".repeat(200_000)),
    ] {
        let complaint = check(&deep);
        assert!(
            complaint.contains("error"),
            "{}",
            &complaint[..complaint.len().min(400)]
        );
    }
    let file = "teams/1/tasks/a.toml";
    for (content, expected) in [
        (vec![b'#'; 100 << 20], "it is larger than 1 MiB"),
        (
            format!("a = {}", "[".repeat(200_000)).into_bytes(),
            "a.toml:1:",
        ),
        (b"\xff\xfe".to_vec(), "a.toml:1:"),
        (Vec::new(), "a.toml:1:"),
    ] {
        commit_entry(&repo, file, "100644", &content);
        let complaint = repo.orch(["status"]).fails(1);
        assert!(
            complaint.contains(expected) && complaint.contains(file),
            "{complaint}"
        );
        assert!(complaint.len() < 2000, "{}", complaint.len());
        repo.git(["update-ref", "refs/heads/orchestration", "orchestration~1"]);
    }
    // Where a file should be there is a link: its content is its target, and no file is followed.
    commit_entry(&repo, file, "120000", b"/etc/passwd");
    let complaint = repo.orch(["status"]).fails(1);
    assert!(
        complaint.contains(file) && !complaint.contains("root:"),
        "{complaint}"
    );
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn what_an_agent_leaves_as_its_result_is_read_in_bounds() {
    for (leaves, expected) in [
        ("mkfifo \"$R\"", "no regular file"),
        ("mkdir \"$R\"", "it is a directory"),
        ("truncate -s 3G \"$R\"", "larger than 256 KiB"),
        ("ln -s /dev/zero \"$R\"", "no regular file"),
        (
            "head -c 200000 /dev/zero | tr '\\0' '[' >\"$R\"",
            "the result file",
        ),
        (
            "printf '{\"task_id\":' >\"$R\"; head -c 200000 /dev/zero | tr '\\0' '[' >>\"$R\"",
            "the result file",
        ),
        ("printf '\\377' >\"$R\"", "no UTF-8"),
    ] {
        let begun = Instant::now();
        let repo = with_task(&format!("R=\"$ORCH_RESULT_FILE\"\n{leaves}\necho a >a.txt"));
        let complaint = repo.orch(["run"]).fails(1);
        assert!(complaint.contains(expected), "{leaves}: {complaint}");
        assert!(begun.elapsed() < SOON, "{leaves}: {:?}", begun.elapsed());
    }
}

#[test]
fn an_environment_that_means_harm_changes_nothing() {
    let repo = with_task("true");
    let odd = OsStr::from_bytes(b"\xff\xfe/../..");
    let long = "9".repeat(100_000);
    for (name, value) in [
        ("GIT_DIR", OsStr::new("/nowhere")),
        ("GIT_WORK_TREE", OsStr::new("/nowhere")),
        ("GIT_INDEX_FILE", OsStr::new("/nowhere/index")),
        ("GIT_OBJECT_DIRECTORY", OsStr::new("/nowhere")),
        ("GIT_CONFIG_PARAMETERS", OsStr::new("'broken")),
        ("GIT_COMMON_DIR", OsStr::new("/nowhere")),
        ("ORCH_AGENT", odd),
        ("ORCH_TASK", odd),
        ("ORCH_ATTEMPT", OsStr::new(&long)),
        ("ORCH_PROCESS", odd),
        ("ORCH_SANDBOX", odd),
        ("NO_COLOR", odd),
    ] {
        for words in [&["status"][..], &["task", "list"], &["doctor"], &["log"]] {
            let mut command = repo.orch_command(repo.path());
            let output = command.args(words).env(name, value).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            let code = output.status.code();
            assert_eq!(code, Some(0), "{name} {words:?}: {said}");
        }
    }
}

#[test]
fn configuration_in_the_environment_that_is_broken_is_told() {
    let repo = with_task("true");
    let mut command = repo.orch_command(repo.path());
    let output = command.arg("status").env("GIT_CONFIG_COUNT", "x").output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("GIT_CONFIG_COUNT"), "{said}");
}

const TASK: &str = "order = 3\nid = \"a\"\nteam = 1\ntitle = \"Write a\"\nscope = [\"src/**\"]\n\
     success = [\"true\", { text = \"x\", run = \"y\" }]\nafter = [\"b\", { task = \"c\", coupling = \"tight\" }]\n\
     timeout = \"1h30m\"\nrun = \"make\"\n";
const STATUS: &str = "state = \"claimed\"\nagent = \"1.2\"\nattempt = 2\nmachine = \"m\"\n\
     lease_until = \"2025-11-21T04:40:00Z\"\nbranch = \"orch/team-1/a\"\n";
const SETTINGS: &str = "format = 1\nbase = \"main\"\nauthority = \"local\"\n[run]\nname = \"r\"\ntimeout = \"5m\"\n\
     sandbox = [\"a\", \"{worktree}\"]\n[run.limits]\nopus = 4\n[agents.default]\npreset = \"shell\"\n";
const TEAM: &str = "id = 1\nname = \"Team\"\ncoders = 4\nskills = [\"sql\"]\n[[agents]]\nnumber = 2\nrole = \"x\"\n";
const PHASES: &str = "[[phases]]\nname = \"all\"\nteams = [1, 2]\nafter = [\"b\"]\n";
const HANDOFF: &str =
    "{\"task_id\": \"a\", \"status\": \"completed\", \"summary\": \"s\", \"next_steps\": [\"x\"]}";
const MESSAGE: &str = "[TEAM-1] [AGENT-1.2] claim a: Write a\n\nWhy.\n\nOrch-Event: claim\nOrch-Run: r\nOrch-Task: a\n";
const CONFIG: &str =
    "[user]\n\tname = \"A \\\"B\\\"\"\n[orch \"x\"]\n\ttask = a ; note\n\tlong = a \\\n b\n";

/// A valid text with pieces cut out, doubled, moved and replaced.
fn mutated(seed: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<u16>(), any::<u16>(), 0..5u8, any::<u8>());
    proptest::collection::vec(edit, 1..6).prop_map(move |edits| {
        let mut bytes = seed.as_bytes().to_vec();
        for (a, b, kind, byte) in edits {
            if bytes.is_empty() {
                break;
            }
            let (a, b) = (usize::from(a) % bytes.len(), usize::from(b) % bytes.len());
            let (from, to) = (a.min(b), a.max(b));
            match kind {
                0 => drop(bytes.drain(from..to.min(from + 20))),
                1 => bytes[from] = byte,
                2 => bytes.insert(from, byte),
                3 => {
                    let piece = bytes[from..to].to_vec();
                    bytes.splice(from..from, piece);
                }
                _ => bytes.truncate(to),
            }
        }
        bytes
    })
}

/// Holds what is promised of a file's parser: where and why, or a value.
fn told<T>(
    read: Result<T, git_orch::ledger::files::Broken>,
    bytes: &[u8],
) -> Result<(), TestCaseError> {
    if let Err(broken) = read {
        let lines = bytes.split(|byte| *byte == b'\n').count();
        prop_assert!(
            broken.line >= 1 && broken.line <= lines.max(1),
            "{broken:?}"
        );
        prop_assert!(
            !broken.reason.is_empty() && !broken.reason.contains('\n'),
            "{broken:?}"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn files_of_the_ledger_are_read_or_refused_with_their_place(
        task in mutated(TASK), status in mutated(STATUS), settings in mutated(SETTINGS),
        team in mutated(TEAM), phases in mutated(PHASES), noise in any::<Vec<u8>>(),
    ) {
        for bytes in [&task, &noise] {
            told(parse_task(bytes), bytes)?;
        }
        for bytes in [&status, &noise] {
            told(parse_status(bytes), bytes)?;
            told(parse::<AgentRecord>(bytes), bytes)?;
        }
        for bytes in [&settings, &noise] {
            told(parse_settings(bytes), bytes)?;
        }
        told(parse::<TeamSpec>(&team), &team)?;
        told(parse::<PhasesFile>(&phases), &phases)?;
        told(parse::<Handoff>(&noise), &noise)?;
    }

    #[test]
    fn messages_contracts_and_configuration_never_panic(
        message in mutated(MESSAGE), handoff in mutated(HANDOFF), config in mutated(CONFIG),
        noise in any::<String>(),
    ) {
        for text in [String::from_utf8_lossy(&message).as_ref(), noise.as_str()] {
            let told = Told::parse(text);
            let _ = (told.kind().len(), told.escalates(), told.teams(), told.agents());
            for comments in [None, Some("#")] {
                let read = Parts::read(text.as_bytes(), comments);
                let _ = read.trailer("Orch-Task");
            }
        }
        let _ = serde_json::from_slice::<Handoff>(&handoff);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        std::fs::write(&path, &config).unwrap();
        if let Ok(Some(file)) = ConfigFile::read(&path) {
            let _ = (file.value("user.name"), file.value("orch.x.task"));
        }
    }

    #[test]
    fn what_parses_as_an_id_is_one_safe_part_of_a_path(text in "[-a-zA-Z0-9._/\\\\ \u{0}-\u{2ff}]{0,12}") {
        if let Ok(id) = text.parse::<TaskId>() {
            prop_assert_eq!(id.to_string(), text.clone());
            let parts: Vec<_> = std::path::Path::new(&text).components().collect();
            prop_assert!(matches!(parts.as_slice(), [std::path::Component::Normal(_)]));
            prop_assert!(text.is_ascii() && !text.contains(['/', '\\', '\0', ' ']));
        }
        if let Ok(agent) = text.parse::<AgentId>() {
            prop_assert_eq!(agent.to_string().parse::<AgentId>().ok(), Some(agent));
        }
        let _ = (text.parse::<TeamId>().is_ok(), text.parse::<Attempt>().is_ok());
        if let Some(time) = parse_duration(&text) {
            prop_assert_eq!(parse_duration(&format_duration(time)), Some(time));
        }
        for path in [
            format!(".orchestration/teams/1/tasks/{text}.toml"),
            format!(".orchestration/teams/{text}/team.toml"),
            format!(".orchestration/teams/1/agents/{text}.toml"),
            text,
        ] {
            if let Ok(Some(place)) = Place::parse(&path) {
                prop_assert_eq!(Place::parse(&place.path()), Ok(Some(place)));
            }
        }
    }
}
