//! Whatever is read is read in bounds: arguments, what git says to hooks, notes and caches of ours, files of a seat.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use git_orch::ledger::cache_digest as digest;
use git_orch::ledger::files::{
    LocksFile, PhasesFile, parse, parse_settings, parse_signers, parse_status, parse_task, render,
    render_signers, render_status, render_task,
};
use git_orch::model::{
    Attempt, CommitId, Lock, OpId, Settings, Signer, State, Status, TaskSpec, TeamId, Timestamp,
    Trust,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::common::{Outcome, TestRepo, write_file};

/// Time that no command may take, on a machine that is busy.
const SOON: Duration = Duration::from_secs(60);

/// Runs a command, and ends the test if the command does not end.
fn bounded(mut command: Command, stdin: &[u8]) -> Outcome {
    let told = format!("{command:?}");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        // Whoever does not read to the end has seen enough.
        let _ = input.write_all(&stdin);
        drop(input);
        let _ = done.send(child.wait_with_output().unwrap());
    });
    match ended.recv_timeout(SOON) {
        Ok(output) => Outcome(output),
        Err(_) => {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("no end after {SOON:?}: {told}");
        }
    }
}

/// Runs git-orch, which may refuse but neither hang nor panic nor fail without a word.
#[track_caller]
fn answers<S: AsRef<OsStr>>(
    repo: &TestRepo,
    dir: &Path,
    args: impl IntoIterator<Item = S>,
    stdin: &[u8],
) -> Outcome {
    let mut command = repo.orch_command(dir);
    command.args(args);
    let told = format!("{command:?}");
    let told: String = told.chars().take(600).collect();
    let outcome = bounded(command, stdin);
    let stderr = outcome.stderr();
    assert!(
        (0..=4).contains(&outcome.code()),
        "{told}: {}: {stderr}",
        outcome.code()
    );
    assert!(!stderr.contains("panicked"), "{told}: {stderr}");
    assert!(
        outcome.code() == 0 || stderr.contains("error: ") || outcome.code() == 3,
        "{told}: {stderr}"
    );
    outcome
}

pub fn make_fifo(path: &Path) {
    let (cwd, mode) = (rustix::fs::CWD, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(cwd, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

const PLAN: &str = "[run]\nname = \"trial\"\n[[teams]]\nid = 1\nname = \"Team\"\ncoders = 2\n\
     [[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"Write a\"\nscope = [\"a\"]\nrun = \"true\"\n\
     [[tasks]]\nid = \"b\"\nteam = 1\ntitle = \"Write b\"\nscope = [\"b\"]\nrun = \"true\"\n";

/// A plan whose tasks may begin.
fn planned() -> TestRepo {
    let repo = TestRepo::new().init().plan(PLAN);
    repo.orch(["dispatch"]).ok();
    repo
}

/// A plan of which coder 1.1 has claimed task `a`.
fn at_work() -> TestRepo {
    let repo = planned();
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    repo
}

/// A text with a byte changed, cut, doubled or with two lines swapped.
fn damaged(whole: &[u8], (kind, a, b, byte): (u8, usize, usize, u8)) -> Vec<u8> {
    if whole.is_empty() {
        return vec![byte];
    }
    let mut bytes = whole.to_vec();
    let (a, b) = (a % bytes.len(), b % bytes.len());
    match kind % 4 {
        0 => bytes[a] = byte,
        1 => bytes.truncate(a),
        2 => {
            let piece = bytes[a.min(b)..a.max(b)].to_vec();
            bytes.splice(a..a, piece);
        }
        _ => {
            let mut lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
            let count = lines.len();
            lines.swap(a % count, b % count);
            bytes = lines.concat();
        }
    }
    bytes
}

fn damage() -> impl Strategy<Value = (u8, usize, usize, u8)> {
    any::<(u8, usize, usize, u8)>()
}

prop_compose! {
    fn status()(
        state in proptest::sample::select(vec![State::Ready, State::Claimed, State::Blocked, State::Merged, State::Cancelled]),
        numbers in any::<[u32; 4]>(), since in 1..253_402_300_800_i64, until in option::of(0..253_402_300_800_i64),
        texts in vec(option::of(any::<String>()), 6), agent in option::of((1..99_u32, 0..99_u32)),
    ) -> Status {
        Status {
            state,
            agent: agent.map(|(team, number)| format!("{team}.{number}").parse().unwrap()),
            attempt: Attempt(numbers[0]),
            since: Timestamp(since),
            lease_until: until.map(Timestamp),
            branch: texts[0].clone(),
            base: texts[1].clone().map(CommitId),
            head: texts[2].clone().map(CommitId),
            failures: numbers[1],
            conflicts: numbers[2],
            takeovers: numbers[3],
            reason: texts[3].clone(),
            findings: texts[4].clone(),
            op: texts[5].clone().map(OpId),
            ..Status::default()
        }
    }
}

prop_compose! {
    fn task()(
        id in "[a-z][a-z0-9-]{0,12}", texts in vec(any::<String>(), 4), lists in vec(vec(any::<String>(), 0..3), 3),
        team in 1..1000_u32, priority in any::<i32>(),
    ) -> TaskSpec {
        let mut spec = TaskSpec::new(id.parse().unwrap(), TeamId(team), texts[0].clone());
        spec.run = Some(texts[1].clone());
        spec.model = Some(texts[2].clone());
        spec.branch = Some(texts[3].clone());
        spec.scope = lists[0].clone();
        spec.deliverables = lists[1].clone();
        spec.skills = lists[2].clone();
        spec.priority = priority;
        spec
    }
}

prop_compose! {
    fn lock()(
        id in "[a-z][a-z0-9.-]{0,12}", trust in proptest::sample::select(Trust::ALL.to_vec()), paths in vec(any::<String>(), 0..3),
        assertion in any::<String>(), check in option::of(any::<String>()), reason in option::of(any::<String>()),
    ) -> Lock {
        Lock {
            id: id.parse().unwrap(),
            trust,
            paths,
            assertion,
            check,
            reason,
            owner: None,
            tasks: vec!["a".parse().unwrap()],
        }
    }
}

prop_compose! {
    fn signer()(principal in "[a-z0-9.@+_-]{1,12}", kind in "(ssh-ed25519|ecdsa-sha2-nistp256|sk-x)", key in "[A-Za-z0-9+/=]{1,30}") -> Signer {
        Signer { principal, key: format!("{kind} {key}") }
    }
}

const SETTINGS: &str = "format = 1\nbase = \"main\"\nauthority = \"local\"\n[run]\nname = \"r\"\n[agents.default]\npreset = \"shell\"\n";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn files_of_the_ledger_are_read_as_they_were_written(
        status in status(), task in task(), order in any::<u32>(), locks in vec(lock(), 0..3), damage in damage(),
    ) {
        let text = render_status(&status);
        prop_assert_eq!(parse_status(text.as_bytes()).unwrap(), status);
        if let Ok(read) = parse_status(&damaged(text.as_bytes(), damage)) {
            prop_assert_eq!(parse_status(render_status(&read).as_bytes()), Ok(read));
        }
        let text = render_task(&task, order);
        prop_assert_eq!(parse_task(text.as_bytes()).unwrap(), (task, order));
        if let Ok((read, order)) = parse_task(&damaged(text.as_bytes(), damage)) {
            prop_assert_eq!(parse_task(render_task(&read, order).as_bytes()), Ok((read, order)));
        }
        let text = render(&LocksFile { locks: locks.clone() });
        prop_assert_eq!(parse::<LocksFile>(text.as_bytes()).unwrap().locks, locks);
        if let Ok(read) = parse::<LocksFile>(&damaged(text.as_bytes(), damage)) {
            let text = render(&read);
            prop_assert_eq!(parse::<LocksFile>(text.as_bytes()).unwrap().locks, read.locks);
        }
        if let Ok(read) = parse_settings(&damaged(SETTINGS.as_bytes(), damage)) {
            prop_assert_eq!(parse_settings(render(&read).as_bytes()), Ok::<Settings, _>(read));
        }
        if let Ok(read) = parse::<PhasesFile>(&damaged(b"[[phases]]\nname = \"all\"\nteams = [1, 2]\n", damage)) {
            prop_assert_eq!(parse::<PhasesFile>(render(&read).as_bytes()).unwrap().phases, read.phases);
        }
    }

    #[test]
    fn signers_are_read_as_they_were_written(
        mut signers in vec(signer(), 0..5), old in any::<Vec<u8>>(), damage in damage(),
    ) {
        signers.sort();
        signers.dedup();
        prop_assert!(signers.iter().all(|signer| signer.mistake().is_none()));
        let text = render_signers(&old, &signers);
        let mut read = parse_signers(text.as_bytes());
        read.sort();
        read.dedup();
        prop_assert_eq!(&read, &signers, "whoever is no signer any more is gone");
        let lines = String::from_utf8_lossy(&old).into_owned();
        // A return at the end belongs to the line's end.
        let bare = |line: &str| line.trim_end_matches('\r').to_owned();
        let there: Vec<String> = text.lines().map(bare).collect();
        let foreign = lines.lines().filter(|line| Signer::parse(line).is_none());
        prop_assert!(foreign.map(bare).all(|line| there.contains(&line)), "{text:?}");
        for signer in parse_signers(&damaged(text.as_bytes(), damage)) {
            prop_assert_eq!(Signer::parse(&signer.line()), Some(signer));
        }
    }
}

/// What some take for an option, a path, another revision, or the end of an argument.
fn odd_arguments() -> Vec<Vec<u8>> {
    let mut odd: Vec<Vec<u8>> = [
        "",
        " ",
        "-",
        "--",
        "-x",
        "--all",
        "--upload-pack=touch own",
        "-oProxyCommand=x",
        "@",
        "@{",
        "@{0}",
        "@{-1}",
        "@{upstream}",
        "..",
        "a..b",
        "main...main",
        "../../../../../../dev/stdin",
        "/dev/stdin",
        "/etc/passwd",
        "refs/heads/../../config",
        "main^{",
        "main~99999999999999999999",
        "main^{/[}",
        ":/",
        ":/x",
        ":0:README.md",
        "HEAD:README.md",
        "main\nmain",
        "main\tmain",
        "\u{1b}[2J",
        "\u{202e}x",
        "*",
        "ma?n",
        "[",
        "main.lock",
        "main/",
        "/main",
        "refs/heads/",
        "HEAD@{yesterday}",
        "^main",
        "!main",
        "$(touch own)",
        "`touch own`",
        "a'b\"c",
        "ext::sh -c touch% own",
        "file:///nowhere",
        "ssh://-oProxyCommand=touch/x",
        "-c core.fsmonitor=touch",
        "\u{e9}",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    odd.push(vec![b'a'; 100_000]);
    odd.push(b"a/".repeat(2_000));
    odd.push([&b"main"[..], &b"^".repeat(10_000)].concat());
    odd.push(b"\xff\xfe".to_vec());
    odd
}

#[test]
fn no_argument_is_anything_but_a_name() {
    let repo = at_work();
    let state = || {
        let refs = repo.git(["for-each-ref"]);
        (
            refs,
            fs::read(repo.path().join(".git/config")).unwrap(),
            repo.git(["status", "--porcelain"]),
        )
    };
    let before = state();
    let commands: [&[&str]; 8] = [
        &["assemble", "--no-test", "--onto", "main", "--", "?"],
        &["assemble", "--no-test", "--onto=?", "none"],
        &["conflict", "show", "--", "?"],
        &["radar", "--", "?"],
        &["undo", "--", "?"],
        &["recover", "show", "--", "?"],
        &["remote", "set", "--", "?"],
        &["status", "--", "?"],
    ];
    let odd = odd_arguments();
    for (number, odd) in odd.iter().enumerate() {
        // Each argument meets some of the commands, so that all of it stays a matter of seconds.
        for (_, command) in (0..).zip(commands).filter(|(at, _)| (at + number) % 4 == 0) {
            let words = command.iter().map(|word| match word.strip_suffix('?') {
                Some(start) => OsStr::from_bytes(&[start.as_bytes(), odd].concat()).to_owned(),
                None => OsStr::new(word).to_owned(),
            });
            let outcome = answers(&repo, repo.path(), words, b"");
            let said = outcome.stdout() + &outcome.stderr();
            assert!(!said.contains("root:"), "{said}");
            // Whoever names something huge gets it back once or twice, no more.
            assert!(said.len() < 3 * odd.len() + 20_000, "{}", said.len());
        }
    }
    assert_eq!(state(), before, "something was done");
    assert!(!repo.path().join("own").exists());
}

#[test]
fn a_remote_of_any_url_is_told_and_nothing_is_run() {
    let repo = at_work();
    let own = repo.outside().join("own");
    let run = format!("touch {}", own.display());
    for url in [
        String::from("--upload-pack=x"),
        String::from("ssh://-oProxyCommand=x/y"),
        format!("ext::sh -c {}", run.replace(' ', "% ")),
        String::from("/nowhere"),
        String::from("file:///dev/null"),
        String::from("nosuch://x"),
        format!("$({run})"),
        String::from("\u{1b}[2J"),
        "x".repeat(50_000),
    ] {
        repo.git(["config", "remote.odd.url", &url]);
        let told = answers(&repo, repo.path(), ["remote", "set", "odd"], b"").fails(1);
        assert!(
            !told.contains('\u{1b}') && told.len() < 4 * url.len() + 20_000,
            "{told}"
        );
        assert!(!own.exists(), "{url}");
    }
    answers(&repo, repo.path(), ["status"], b"").ok();
}

#[test]
fn what_git_tells_a_hook_is_checked_or_refused() {
    let repo = at_work();
    let seat = repo.worktree("1.1");
    let hook = |name: &str, args: &[&str], lines: &[u8]| {
        let words = [&["hook", name, "--"], args].concat();
        answers(&repo, &seat, words, lines).code()
    };
    let (id, null) = ("1".repeat(40), "0".repeat(40));
    let own = "refs/heads/orch/team-1/a";
    let good = format!("HEAD {id} {own} {null}\n");
    assert_eq!(hook("pre-push", &["origin", "url"], good.as_bytes()), 0);
    assert_eq!(hook("pre-push", &["origin", "url"], b""), 0);
    for lines in [
        format!("HEAD^{{/two words}} {id} refs/heads/main {null}\n"),
        format!("{good}HEAD^{{/x\n}} {id} refs/heads/main {null}\n"),
        format!("{good}{good}nonsense\n"),
        format!("HEAD {id} {own}\n"),
        format!("HEAD {null} {own} {id}\n"),
        String::from("\0\0\0\n"),
        "x ".repeat(200_000),
    ] {
        let shown: String = lines.chars().take(100).collect();
        assert_eq!(
            hook("pre-push", &["origin", "url"], lines.as_bytes()),
            1,
            "{shown}"
        );
    }
    let moves = |name: &str| format!("{null} {id} {name}\n");
    assert_eq!(
        hook(
            "reference-transaction",
            &["prepared"],
            moves(own).as_bytes()
        ),
        0
    );
    for lines in [
        moves("refs/heads/main"),
        moves(own) + &moves("refs/heads/main"),
        String::from("x y\n"),
        String::from("\n\nx\n"),
    ] {
        assert_eq!(
            hook("reference-transaction", &["prepared"], lines.as_bytes()),
            1,
            "{lines}"
        );
    }
    // What is none of our business is left alone, whatever it is.
    for (name, args) in [
        ("post-rewrite", "amend"),
        ("reference-transaction", "committed"),
        ("post-commit", ""),
        ("-x", ""),
        ("../x", ""),
    ] {
        let words = ["hook", "--", name, "--", args];
        let _ = answers(&repo, &seat, words, b"\xff\n\0 \n");
    }
}

#[test]
fn what_is_pushed_by_several_words_is_checked() {
    let repo = at_work();
    let seat = repo.worktree("1.1");
    let remote = repo.outside().join("remote.git");
    repo.git(["init", "-q", "--bare", remote.to_str().unwrap()]);
    repo.git(["remote", "add", "origin", remote.to_str().unwrap()]);
    let pushed = repo.try_git_in(
        &seat,
        [
            "push",
            "-q",
            "origin",
            "HEAD^{/first|two words}:refs/heads/sneaked",
        ],
    );
    assert_ne!(pushed.code(), 0, "{}", pushed.stderr());
    assert!(
        pushed.stderr().contains("must not push sneaked"),
        "{}",
        pushed.stderr()
    );
}

/// Every file that we keep under the common Git directory, by name; those that come and go as well.
fn own_files(repo: &TestRepo) -> Vec<PathBuf> {
    let orch = repo.path().join(".git/orch");
    let mut names: Vec<PathBuf> = [
        "lock",
        "run.lock",
        "assemble.lock",
        "assemble-turn.lock",
        "left.lock",
        "left.json",
        "moving.json",
        "moving-team-1.json",
        "undoing.json",
        "events.index",
        "events.text",
        "events.new",
        "events.lock",
        "snapshot",
        "pace",
        "watch",
        "packed",
        "pack.lock",
        "verified",
        "audited",
        "accepted",
        "ref.new",
        "ref:refs:heads:orchestration.new",
        "ref:refs:orch:remote:ledger.new",
        "publishing",
        "config.new",
        "worktree.new",
        "worktrees.lock",
        "spool/0-x",
        "worktrees/1.1.preparing",
        "worktrees/1.1.lent",
        "radar/lock",
        "claims/x",
        "keys/machine",
    ]
    .iter()
    .map(|name| orch.join(name))
    .collect();
    let mut dirs = vec![orch];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            match entry.file_type().unwrap().is_dir() {
                true => dirs.push(path),
                false => names.push(path),
            }
        }
    }
    names.sort();
    names.dedup();
    // Git itself reads this one, and waits for it.
    names.retain(|path| path.extension().is_none_or(|has| has != "gitconfig"));
    names
}

#[test]
fn a_pipe_or_a_directory_in_place_of_a_file_of_ours_holds_nobody_up() {
    let repo = at_work();
    let _ = repo.orch(["assemble"]);
    // Whoever reads such a file first, and whoever writes to the ledger.
    let readers = |name: &str| -> &[&[&str]] {
        match name.split(['.', '-']).next() {
            Some("events") => &[&["log"]],
            Some("moving" | "left" | "undoing" | "assemble" | "run") => &[&["assemble"]],
            Some("1" | "worktrees" | "claims") => &[&["claim", "--agent", "1.1"]],
            Some("snapshot" | "lock" | "0" | "ref") => {
                &[&["resume", "1.2"], &["doctor"], &["radar"]]
            }
            _ => &[&["pause", "1.2", "-m", "x"], &["doctor"]],
        }
    };
    let aside = repo.outside().join("aside");
    for path in &own_files(&repo) {
        let was_there = path.exists();
        for is_fifo in [true, false] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if was_there {
                fs::rename(path, &aside).unwrap();
            }
            match is_fifo {
                true => make_fifo(path),
                false => fs::create_dir(path).unwrap(),
            }
            let name = path.file_name().unwrap().to_string_lossy();
            for command in readers(&name) {
                let _ = answers(&repo, repo.path(), *command, b"");
            }
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
            if was_there {
                fs::rename(&aside, path).unwrap();
            }
        }
    }
    answers(&repo, repo.path(), ["status"], b"").ok();
}

fn sealed(repo: &TestRepo, path: &std::path::Path, bytes: Vec<u8>) {
    let repo = git_orch::git::Repo::discover(repo.path()).unwrap();
    git_orch::seal::replace(&repo, path, "snapshot", bytes).unwrap();
}

#[test]
fn a_forged_cache_says_what_the_ledger_says() {
    let repo = at_work();
    let more: String = (0..12)
        .map(|n| format!("[[tasks]]\nid = \"more-{n}\"\nteam = 1\ntitle = \"t\"\nscope = [\"m{n}\"]\nrun = \"true\"\n"))
        .collect();
    let repo = repo.plan(&format!("{PLAN}{more}"));
    let cache = repo.path().join(".git/orch/snapshot");
    let mut whole = fs::read(&cache).unwrap();
    // Under a seal of ours: what another build of git-orch may have written.
    whole.truncate(whole.len() - "\n# seal ".len() - 65);
    let told = repo.orch(["task", "list", "--json"]).ok();
    let body = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let noted = whole[body..body + 8].to_vec();
    assert_eq!(
        noted,
        digest(&whole[body + 8..]).to_le_bytes(),
        "the digest is another"
    );
    // The title of a task, in its row, is no UTF-8.
    let title = whole
        .windows(7)
        .rposition(|part| part == b"Write b")
        .unwrap();
    let mut forged = whole.clone();
    forged[title] = 0xff;
    let sum = digest(&forged[body + 8..]);
    forged[body..body + 8].copy_from_slice(&sum.to_le_bytes());
    sealed(&repo, &cache, forged.clone());
    let found = repo.orch(["doctor"]);
    assert!(
        (found.stdout() + &found.stderr()).contains("snapshot"),
        "{}",
        found.stdout()
    );
    sealed(&repo, &cache, forged.clone());
    assert_eq!(repo.orch(["task", "list", "--json"]).ok(), told);
    assert!(!cache.exists(), "it is taken away");
    assert_eq!(repo.orch(["task", "list", "--json"]).ok(), told);
    for damage in (0..16_u8).map(|n| {
        (
            n,
            7919 * usize::from(n),
            104_729 * usize::from(n),
            n.wrapping_mul(37),
        )
    }) {
        let mut forged = [&whole[..body + 8], &damaged(&whole[body + 8..], damage)].concat();
        let sum = digest(&forged[body + 8..]);
        forged[body..body + 8].copy_from_slice(&sum.to_le_bytes());
        sealed(&repo, &cache, forged.clone());
        let _ = answers(&repo, repo.path(), ["task", "list", "--json"], b"");
    }
}

#[test]
fn notes_of_noise_and_files_that_are_huge_are_read_in_bounds() {
    let repo = at_work();
    let _ = repo.orch(["assemble"]);
    for path in own_files(&repo)
        .iter()
        .filter(|path| !path.to_string_lossy().contains("/hooks/"))
    {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !matches!(
            name.as_str(),
            "lock"
                | "left.json"
                | "moving.json"
                | "undoing.json"
                | "events.index"
                | "events.text"
                | "snapshot"
                | "pace"
                | "watch"
                | "packed"
                | "audited"
                | "accepted"
        ) {
            continue;
        }
        let old = fs::read(path).ok();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"\xff{\"moves\":[1e999]}\n\0").unwrap();
        let _ = answers(&repo, repo.path(), ["pause", "1.2", "-m", "x"], b"");
        let _ = answers(&repo, repo.path(), ["assemble"], b"");
        fs::write(path, b"").unwrap();
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        let _ = answers(&repo, repo.path(), ["resume", "1.2"], b"");
        let _ = answers(&repo, repo.path(), ["log"], b"");
        match old {
            Some(old) => fs::write(path, old).unwrap(),
            None => {
                let _ = fs::remove_file(path);
            }
        }
    }
    answers(&repo, repo.path(), ["status"], b"").ok();
}

#[test]
fn files_of_a_seat_that_are_no_files_hold_nobody_up() {
    let repo = at_work();
    let seat = repo.worktree("1.1");
    let view = seat.join(".orchestration");
    let mut files = Vec::new();
    let mut dirs = vec![view];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => dirs.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    assert!(!files.is_empty(), "a coder sees its task");
    for path in files {
        for is_fifo in [true, false] {
            let old = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            match is_fifo {
                true => make_fifo(&path),
                false => fs::create_dir(&path).unwrap(),
            }
            for command in [
                &["status"][..],
                &["block", "a", "-m", "x"],
                &["unblock", "a"],
                &["claim", "a", "--agent", "1.1"],
            ] {
                let _ = answers(&repo, &seat, command, b"");
            }
            write_file(&seat.join("a"), "a\n");
            let add = repo.try_git_in(&seat, ["add", "a"]);
            assert_eq!(add.code(), 0, "{}", add.stderr());
            let mut commit = repo.command("git", &seat);
            commit.args(["commit", "-q", "--allow-empty", "-m", "work"]);
            assert_eq!(bounded(commit, b"").code(), 0);
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, old).unwrap();
        }
    }
}

/// Moves a directory away and leaves a link in its place.
fn replace_by_link(dir: &Path, to: &Path) {
    fs::rename(dir, to).unwrap();
    symlink(to, dir).unwrap();
}

#[test]
fn directories_of_ours_may_be_links() {
    // The directory of worktrees is a link from the beginning: worktrees are where it leads.
    let repo = planned();
    let elsewhere = repo.outside().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, repo.path().with_file_name("repo.orch")).unwrap();
    let common = repo.path().join(".git/orch");
    replace_by_link(&common, &repo.outside().join("orch-moved"));
    repo.orch(["claim", "a", "--agent", "1.1"]).ok();
    let seat = elsewhere.join("1.1");
    assert!(
        seat.join(".git").is_file(),
        "{:?}",
        fs::read_dir(&elsewhere).unwrap().count()
    );
    // Hooks know the coder, whichever way it came.
    for dir in [seat.clone(), repo.worktree("1.1")] {
        write_file(&dir.join("a"), dir.to_str().unwrap());
        repo.git_in(&dir, ["add", "a"]);
        repo.git_in(&dir, ["commit", "-q", "-m", "work"]);
        let subject = repo.git_in(&dir, ["log", "-1", "--format=%s"]);
        assert_eq!(subject, "[TEAM-1] [AGENT-1.1] work");
    }
    let refused = repo.try_git_in(&seat, ["update-ref", "refs/heads/main", "HEAD"]);
    assert_ne!(refused.code(), 0);
    repo.orch_in(&seat, ["submit", "a"]).ok();
    repo.orch(["assemble"]).ok();
    let tasks = repo.orch(["status", "--json"]).json();
    assert_eq!(tasks["tasks"][0]["status"], "merged", "{tasks}");
    assert!(common.is_symlink());
    repo.orch(["doctor"]).ok();
}

#[test]
fn a_directory_of_ours_that_leads_nowhere_is_told() {
    let repo = planned();
    symlink(
        repo.outside().join("gone/deep"),
        repo.path().with_file_name("repo.orch"),
    )
    .unwrap();
    let told = answers(&repo, repo.path(), ["claim", "a", "--agent", "1.1"], b"");
    if told.code() != 0 {
        assert!(told.stderr().contains("repo.orch"), "{}", told.stderr());
    }
    let common = repo.path().join(".git/orch");
    fs::rename(&common, repo.outside().join("kept")).unwrap();
    symlink(&common, &common).unwrap();
    for words in [
        &["status"][..],
        &["pause", "1.2", "-m", "x"],
        &["doctor"],
        &["claim", "b"],
    ] {
        let _ = answers(&repo, repo.path(), words, b"");
    }
}

#[test]
fn a_kept_conflict_of_anyones_does_not_end_the_list() {
    let repo = TestRepo::new();
    let tree_of = |text: &str| {
        let file = repo.outside().join("bundle");
        fs::write(&file, text).unwrap();
        let blob = repo.git(["hash-object", "-w", file.to_str().unwrap()]);
        let index = repo.outside().join("index");
        let _ = fs::remove_file(&index);
        for args in [
            vec!["update-index", "--add", "--cacheinfo"],
            vec!["write-tree"],
        ] {
            let mut command = repo.command("git", repo.path());
            command.args(&args).env("GIT_INDEX_FILE", &index);
            if args.len() > 1 {
                command.arg(format!("100644,{blob},bundle.json"));
            }
            let output = command.output().unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            if args.len() == 1 {
                return String::from_utf8(output.stdout).unwrap().trim().to_owned();
            }
        }
        unreachable!("a tree was written")
    };
    let id = "1".repeat(40);
    let bundle = |branch: &str, format: u32| {
        format!(
            r#"{{"format":{format},"task":null,"agent":null,"branch":"{branch}","head":"{id}","target":"main","tip":"{id}","bases":[],"conflicted":"{id}","total":0,"files":[],"landed":[],"proposal":null}}"#
        )
    };
    for (name, text) in [
        ("good", bundle("good", 1)),
        ("newer", bundle("newer", 2)),
        ("other", bundle("another", 1)),
        ("astray", bundle("../../../../../../../dev/stdin", 1)),
        ("nul", bundle("a\\u0000b", 1)),
        ("deep", "[".repeat(200_000)),
        ("empty", String::new()),
    ] {
        repo.git([
            "update-ref",
            &format!("refs/orch/conflict/{name}"),
            &tree_of(&text),
        ]);
    }
    let blob = repo.git(["hash-object", "-w", "README.md"]);
    repo.git(["update-ref", "refs/orch/conflict/blob", &blob]);
    let outcome = answers(&repo, repo.path(), ["--json", "conflict", "list"], b"");
    let told = outcome.stderr();
    let rows = outcome.json();
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert_eq!(rows[0]["name"], "good");
    for name in ["newer", "other", "astray", "nul", "deep", "empty", "blob"] {
        assert!(
            told.contains(&format!("refs/orch/conflict/{name}")),
            "{name}: {told}"
        );
        answers(&repo, repo.path(), ["conflict", "show", name], b"").fails(1);
    }
}

#[test]
fn a_branch_of_ten_thousand_commits_goes_in() {
    // With the one that begins it as many as the gate lets through by itself.
    const COMMITS: usize = 9_999;
    let repo = at_work();
    let seat = repo.worktree("1.1");
    let branch = "refs/heads/orch/team-1/a";
    write_file(&seat.join("a"), "first\n");
    repo.git_in(&seat, ["add", "a"]);
    repo.git_in(&seat, ["commit", "-q", "-m", "work"]);
    let whole = repo.git(["cat-file", "commit", branch]);
    let (head, message) = whole.split_once("\n\n").unwrap();
    let message = format!("{message}\n");
    let people: String = head
        .lines()
        .filter(|line| line.starts_with("author ") || line.starts_with("committer "))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut stream = Vec::new();
    for number in 0..COMMITS {
        let from = if number == 0 {
            format!("from {branch}^0\n")
        } else {
            String::new()
        };
        let text = format!("{number}\n");
        write!(
            stream,
            "commit {branch}\n{people}data {}\n{message}{from}M 100644 inline a\ndata {}\n{text}\n",
            message.len(),
            text.len()
        )
        .unwrap();
    }
    let mut import = repo.command("git", repo.path());
    import.args(["fast-import", "--quiet"]);
    let imported = bounded(import, &stream);
    assert_eq!(imported.code(), 0, "{}", imported.stderr());
    repo.git_in(&seat, ["reset", "-q", "--hard"]);
    answers(&repo, &seat, ["submit", "a"], b"").ok();
    let report = answers(&repo, repo.path(), ["assemble", "--json"], b"").json();
    assert_eq!(report["train"][0]["verdict"], "merged", "{report}");
    let count = repo.git(["rev-list", "--count", "main..orch/integration"]);
    assert!(count.parse::<usize>().unwrap() > COMMITS, "{count}");
}
