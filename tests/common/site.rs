//! A repository with a plan whose coders' branches are made by plain Git, for tests of what comes after.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use git_orch::git::{Oid, Repo};
use git_orch::model::{CommitId, Handoff, HandoffStatus, Op, Task, TaskId};

use super::TestRepo;
use super::drive::Drive;

/// Writes a note of git-orch's as a killed process leaves it: `what` is what its seal says that it is.
pub fn note(repo: &TestRepo, name: &str, what: &str, text: &str) {
    let repo = Repo::discover(repo.path()).unwrap();
    let path = repo.orch_dir().join(name);
    git_orch::seal::replace(&repo, &path, what, text.as_bytes().to_vec()).unwrap();
}

/// Files and what is in them.
pub type Files<'a> = &'a [(&'a str, &'a str)];

/// A repository with a plan.
pub struct Site {
    pub repo: TestRepo,
}

impl Site {
    /// A plan of tasks `id, team, after…`, with a test command.
    pub fn new(test: &str, tasks: &[(&str, u32, &[&str])]) -> Self {
        Self::over(TestRepo::new(), test, tasks)
    }

    /// The same over a repository that has more in it.
    pub fn over(repo: TestRepo, test: &str, tasks: &[(&str, u32, &[&str])]) -> Self {
        let mut plan = String::from("[run]\nname = \"demo\"\n");
        if !test.is_empty() {
            plan.push_str(&format!("test = '''{test}'''\n"));
        }
        plan.push_str("[[phases]]\nname = \"all\"\nteams = [1, 2]\n");
        for team in [1, 2] {
            plan.push_str(&format!("[[teams]]\nid = {team}\nname = \"Team\"\n"));
        }
        for (id, team, after) in tasks {
            plan.push_str(&format!(
                "[[tasks]]\nid = \"{id}\"\nteam = {team}\ntitle = \"Do {id}\"\nafter = {after:?}\nrun = \"true\"\n"
            ));
        }
        Self {
            repo: repo.init().plan(&plan),
        }
    }

    /// Makes a branch with one commit of files on it, cut from a revision. `None` removes the file.
    pub fn branch(&self, name: &str, from: &str, message: &str, files: Files<'_>) -> String {
        branch(&self.repo, name, from, message, files)
    }

    /// A task's work, cut from a revision: claimed, committed with tags, handed in.
    pub fn work_from(&self, from: &str, task: &str, agent: &str, files: Files<'_>) -> String {
        let team = agent.split('.').next().unwrap();
        let message = format!(
            "[TEAM-{team}] [AGENT-{agent}] do {task}\n\nOrch-Task: {task}\nOrch-Agent: {agent}\n\
             Orch-Attempt: 1\nOrch-Run: demo"
        );
        let name = format!("orch/team-{team}/{task}");
        let head = self.branch(&name, from, &message, files);
        self.hand_in(task, agent, &head);
        head
    }

    /// A task's work, cut from `main`.
    pub fn work(&self, task: &str, agent: &str, files: Files<'_>) -> String {
        self.work_from("main", task, agent, files)
    }

    /// Claims a task and hands a commit in.
    pub fn hand_in(&self, task: &str, agent: &str, head: &str) {
        let mut drive = Drive::new(&self.repo);
        drive
            .ledger
            .transact(Op::Dispatch(git_orch::model::Gate::default()))
            .ok();
        drive.start(task, agent);
        drop(drive);
        self.submit(task, head);
    }

    /// Hands a commit in for a task that is claimed.
    pub fn submit(&self, task: &str, head: &str) {
        let mut drive = Drive::new(&self.repo);
        let claim = drive.claim(task);
        let handoff = Handoff {
            task_id: id(task),
            status: HandoffStatus::Completed,
            summary: format!("did {task}"),
            output: String::new(),
            deliverables: Vec::new(),
            dependencies: Vec::new(),
            next_steps: Vec::new(),
        };
        let head = CommitId(head.to_owned());
        drive.does(Op::Submit(claim, head, Box::new(handoff)));
    }

    /// A task as the ledger has it now.
    pub fn task(&self, task: &str) -> Task {
        Drive::new(&self.repo).ledger.board().tasks[&id(task)].clone()
    }

    /// The state of a task as a word.
    pub fn state(&self, task: &str) -> &'static str {
        self.task(task).status.state.as_str()
    }

    /// Runs `assemble --json`; returns exit code and answer.
    pub fn assemble(&self) -> (i32, serde_json::Value) {
        assemble(&self.repo, &["assemble", "--json"])
    }

    pub fn rev(&self, revision: &str) -> String {
        self.repo.git(["rev-parse", revision])
    }

    /// Text of a file on a revision; `None` where it is not there.
    pub fn file(&self, revision: &str, path: &str) -> Option<String> {
        let at = format!("{revision}:{path}");
        let outcome = self.repo.try_git_in(self.repo.path(), ["show", &at]);
        (outcome.code() == 0).then(|| outcome.stdout())
    }
}

/// Runs an `assemble` that answers in JSON; returns exit code and answer.
pub fn assemble(repo: &TestRepo, args: &[&str]) -> (i32, serde_json::Value) {
    let outcome = repo.orch(args);
    let answer = serde_json::from_str(&outcome.stdout()).unwrap_or_else(|error| {
        panic!("{error}: {} {}", outcome.stdout(), outcome.stderr());
    });
    (outcome.code(), answer)
}

/// Makes a branch with one commit of files on it, cut from a revision, and leaves `main` checked out.
pub fn branch(repo: &TestRepo, name: &str, from: &str, message: &str, files: Files<'_>) -> String {
    let dir = repo.outside().join("maker");
    let dir_text = dir.to_str().unwrap();
    repo.git(["worktree", "add", "-q", "--detach", dir_text, from]);
    for (path, text) in files {
        super::write_file(&dir.join(path), text);
    }
    repo.git_in(&dir, ["add", "-A"]);
    repo.git_in(&dir, ["commit", "-q", "-m", message]);
    let head = repo.git_in(&dir, ["rev-parse", "HEAD"]);
    repo.git(["worktree", "remove", "--force", dir_text]);
    repo.git(["branch", "-f", name, &head]);
    head
}

/// Verdicts of a report, as `branch or task: verdict`.
pub fn verdicts(report: &serde_json::Value) -> Vec<String> {
    let rows = report["train"].as_array().unwrap();
    let name = |row: &serde_json::Value| {
        let task = row["task"].as_str().or(row["branch"].as_str());
        task.unwrap().to_owned()
    };
    rows.iter()
        .map(|row| format!("{}: {}", name(row), row["verdict"].as_str().unwrap()))
        .collect()
}

/// A test command that can be held: it tells that it runs, and waits to be let go.
pub struct Held {
    dir: PathBuf,
}

impl Held {
    /// Makes the pipes beside a repository.
    pub fn new(repo: &TestRepo) -> Self {
        let dir = repo.outside().join("held");
        std::fs::create_dir_all(&dir).unwrap();
        for name in ["runs", "go"] {
            let path = dir.join(name);
            let made = repo.command("mkfifo", repo.path()).arg(path).status();
            assert!(made.unwrap().success());
        }
        Self { dir }
    }

    /// The command; holds only while `hold` says so, and notes the pid of what it leaves in the background.
    pub fn command(&self) -> String {
        let dir = self.dir.display();
        format!(
            "if test -e '{dir}/hold'; then sleep 1000 & echo $! > '{dir}/pid'; echo x > '{dir}/runs'; \
             read go < '{dir}/go'; fi"
        )
    }

    /// Makes the next runs wait, or no longer.
    pub fn hold(&self, on: bool) {
        let path = self.dir.join("hold");
        if on {
            std::fs::write(path, "").unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }

    /// Starts a command and waits until its test runs.
    pub fn start(&self, repo: &TestRepo, args: &[&str]) -> Child {
        let child = repo
            .orch_command(repo.path())
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Opening a pipe waits for the other side.
        std::fs::read_to_string(self.dir.join("runs")).unwrap();
        child
    }

    /// Lets a waiting test go on.
    pub fn go(&self) {
        std::fs::write(self.dir.join("go"), "go\n").unwrap();
    }

    /// Whether the process that the test had left in the background is alive.
    pub fn background_lives(&self) -> bool {
        let pid = std::fs::read_to_string(self.dir.join("pid")).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }
}

/// Opens the repository with the library.
pub fn open(repo: &TestRepo) -> Repo {
    Repo::discover(repo.path()).unwrap()
}

pub fn oid(hex: &str) -> Oid {
    Oid::from_hex(hex.as_bytes()).unwrap()
}

fn id(task: &str) -> TaskId {
    task.parse().unwrap()
}
