//! What a version before this one answered, and what it wrote: one session over the demonstration's plan, recorded.
//!
//! Whatever is moved about inside, nobody outside sees it: every field of every recorded JSON document is still there
//! with the same value (more may stand beside it), and the ledger's commits are the same byte for byte but for ids.
//! `RECORD=1 cargo test -- recorded::` writes the fixtures anew, for a change that is meant.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::Value;

use super::common::TestRepo;

/// Where the fixtures stand.
fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recorded")
}

/// A session on the demonstration's project: every command that changes the ledger once, with fixed times.
struct Session {
    repo: TestRepo,
    told: BTreeMap<String, String>,
    ids: Names,
}

/// Ids in the order in which they are met, so that two sessions read alike.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    /// Replaces what differs from session to session: object ids, ids of operations, the machine, places and durations.
    fn plain(&mut self, text: &str, repo: &TestRepo) -> String {
        let outside = repo.outside();
        let text = text.replace(outside.to_str().unwrap(), "$DIR");
        let operation = Regex::new(r"\b[0-9a-f]{11}-[0-9a-f]{16}\b").unwrap();
        let text = operation.replace_all(&text, "<operation>");
        let id = r"\b(?:[0-9a-f]{40}|[0-9a-f]{16}|[0-9a-f]{12}|[0-9a-f]{10})\b";
        let id = Regex::new(id).unwrap();
        let named = id.replace_all(&text, |found: &regex::Captures<'_>| {
            // Ten or twelve digits are a number, such as a time.
            let whole = &found[0];
            if whole.len() <= 12 && whole.bytes().all(|byte| byte.is_ascii_digit()) {
                return whole.to_owned();
            }
            // A short id is the beginning of one that may have been met whole.
            let next = format!("id{}", self.0.len() + 1);
            let name = self.0.entry(whole[..10].to_owned()).or_insert(next);
            format!("<{name}:{}>", whole.len())
        });
        let lasted = Regex::new(r#"(?m)("?seconds[a-z_]*"?\s*[:=]\s*)[0-9.e-]+"#).unwrap();
        lasted.replace_all(&named, "${1}0.0").into_owned()
    }
}

impl Session {
    fn begin() -> Self {
        let repo = TestRepo::empty_called("till");
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/demo");
        for file in [
            "README.md",
            "test.sh",
            "lib/settings.sh",
            "tests/settings.sh",
        ] {
            let text = fs::read_to_string(project.join("project").join(file)).unwrap();
            super::common::write_file(&repo.path().join(file), &text);
        }
        let plan = fs::read_to_string(project.join("plan.toml")).unwrap();
        let repo = repo
            .write("plan.toml", &plan)
            .commit("A till for a small shop");
        // Which machine it is, as the ledger has it.
        repo.git(["config", "orch.machine", "recorder"]);
        Self {
            repo,
            told: BTreeMap::new(),
            ids: Names::default(),
        }
    }

    /// Runs a command and keeps its JSON document under a name.
    fn ask(&mut self, words: &str) {
        let dir = self.repo.path().to_owned();
        self.ask_in(&dir, words);
    }

    fn ask_in(&mut self, dir: &Path, words: &str) {
        let args = words.split(' ').chain(["--json"]);
        let outcome = self.repo.orch_in(dir, args);
        let text = outcome.stdout();
        let what = format!("{words}: {text}{}", outcome.stderr());
        let document: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{what}"));
        let pretty = serde_json::to_string_pretty(&document).unwrap() + "\n";
        let plain = self.ids.plain(&pretty, &self.repo);
        let number = self.told.len() + 1;
        let words = words.replace(['/', '<', '>'], "_").replace(' ', "_");
        self.told.insert(format!("{number:02}-{words}.json"), plain);
    }

    /// Claims a task, does what its script does, commits and hands it in.
    fn work(&mut self, task: &str, agent: &str) {
        self.ask(&format!("claim {task} --agent {agent}"));
        let dir = self.repo.path().with_file_name("till.orch").join(agent);
        self.ask_in(&dir, "start");
        let plan = fs::read_to_string(self.repo.path().join("plan.toml")).unwrap();
        let plan: toml::Table = plan.parse().unwrap();
        let tasks = plan["tasks"].as_array().unwrap();
        let is_it = |spec: &&toml::Value| spec["id"].as_str() == Some(task);
        let script = tasks.iter().find(is_it).unwrap()["run"].as_str().unwrap();
        let done = self
            .repo
            .command("sh", &dir)
            .args(["-ec", script])
            .output()
            .unwrap();
        assert!(done.status.success(), "{task}: {done:?}");
        self.repo.git_in(&dir, ["add", "-A"]);
        self.repo
            .git_in(&dir, ["commit", "-q", "-m", &format!("do {task}")]);
        self.ask_in(&dir, "submit");
    }
}

/// Plays the whole session.
fn play() -> Session {
    let mut session = Session::begin();
    session.ask("init");
    session.ask("plan check plan.toml");
    session.ask("plan apply plan.toml --dry-run");
    session.ask("plan apply plan.toml");
    session.ask("plan show");
    session.ask("dispatch");
    session.ask("claim --explain --agent 1.1");
    session.work("money", "1.1");
    session.work("layout", "1.2");
    session.ask("claim store --agent 1.3 --no-worktree");
    session.ask("start store --agent 1.3 --attempt 1");
    session.ask("renew store --agent 1.3 --attempt 1");
    session.ask("block store --agent 1.3 --attempt 1 --message waits");
    session.ask("unblock store --agent 1.3 --attempt 1");
    session.ask("fail store --agent 1.3 --attempt 1 --message broke");
    session.ask("dispatch");
    session.ask("claim numbers --agent 1.4 --no-worktree");
    session.ask("release numbers --agent 1.4 --attempt 1 --message tired");
    session.ask("pause 1.4 --message rest");
    session.ask("resume 1.4");
    session.ask("escalate store --message look");
    session.ask("lock set money-format --path lib/money.sh --assertion cents");
    session.ask("lock list");
    session.ask("lock show money-format");
    session.ask("lock remove money-format");
    session.ask("status");
    session.ask("status 1");
    session.ask("status 1.1");
    session.ask("status money");
    session.ask("queue stats");
    session.ask("queue active");
    session.ask("task list");
    session.ask("task show money");
    session.ask("worktree list");
    session.ask("radar");
    session.ask("conflict list");
    session.ask("assemble");
    session.ask("undo layout --message again");
    session.ask("cancel numbers --message unwanted");
    session.ask("approve");
    session.ask("recover list");
    session.ask("signers list");
    session.ask("powers");
    session.ask("remote show");
    session.ask("task add --title More --team 1 --id more --scope more/** --run true");
    session.ask("log");
    session
}

/// The ledger's commits, oldest first: message, and every file that changed as it is then.
fn ledger(session: &mut Session) -> String {
    let commits = session.repo.git(["rev-list", "--reverse", "orchestration"]);
    let mut told = String::new();
    for commit in commits.lines() {
        let show = [
            "show",
            "--format=%an <%ae>%n%ad%n%B",
            "--no-renames",
            "--patch",
            commit,
        ];
        let text = session.repo.git(show);
        told.push_str(&text);
        told.push_str("\n\n");
    }
    // Which blobs a patch is between is told by the patch.
    let index = Regex::new(r"(?m)^index .*\n").unwrap();
    let told = index.replace_all(&told, "").into_owned();
    session.ids.plain(&told, &session.repo)
}

/// Says what a document lacks of a recorded one.
fn lacks(recorded: &Value, document: &Value, place: &str, found: &mut Vec<String>) {
    match (recorded, document) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                match after.get(key) {
                    Some(there) => lacks(value, there, &format!("{place}.{key}"), found),
                    None => found.push(format!("{place}.{key} is gone")),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (number, (value, there)) in before.iter().zip(after).enumerate() {
                lacks(value, there, &format!("{place}[{number}]"), found);
            }
        }
        (before, after) if before == after => {}
        (before, after) => found.push(format!("{place}: {before} became {after}")),
    }
}

#[test]
fn answers_and_ledger_are_those_of_the_version_before() {
    let mut session = play();
    let ledger = ledger(&mut session);
    let answers = home().join("answers");
    if std::env::var_os("RECORD").is_some() {
        let _ = fs::remove_dir_all(&answers);
        fs::create_dir_all(&answers).unwrap();
        for (name, text) in &session.told {
            fs::write(answers.join(name), text).unwrap();
        }
        fs::write(home().join("ledger.txt"), ledger).unwrap();
        return;
    }
    let mut found = Vec::new();
    let mut seen = 0;
    for entry in fs::read_dir(&answers).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let recorded: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let document = serde_json::from_str(&session.told[&name]).unwrap();
        lacks(&recorded, &document, &name, &mut found);
        seen += 1;
    }
    assert_eq!(seen, session.told.len(), "documents that are not recorded");
    assert!(found.is_empty(), "{}", found.join("\n"));
    let before = fs::read_to_string(home().join("ledger.txt")).unwrap();
    for (number, (before, after)) in before.lines().zip(ledger.lines()).enumerate() {
        assert_eq!(before, after, "line {} of ledger.txt", number + 1);
    }
    assert_eq!(before.lines().count(), ledger.lines().count());
}
