//! Several clones of one bare repository, as if each were on a machine of its own.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::TestRepo;

/// A repository whose ledger is at a bare one beside it, and clones of that.
pub struct Machines {
    /// Where the plan was made.
    pub home: TestRepo,
    hub: PathBuf,
}

impl Machines {
    /// Makes the bare repository, and puts a plan on its ledger.
    pub fn new(plan: &str) -> Self {
        Self::over(TestRepo::new(), plan)
    }

    /// The same over a repository that has more in it.
    pub fn over(home: TestRepo, plan: &str) -> Self {
        let hub = home.outside().join("hub.git");
        let path = hub.to_str().unwrap();
        home.git(["init", "-q", "--bare", "-b", "main", path]);
        home.git(["remote", "add", "origin", path]);
        home.git(["push", "-q", "origin", "main"]);
        home.orch(["init", "--remote", "origin"]).ok();
        let home = home.plan(plan);
        Self { home, hub }
    }

    /// The bare repository.
    pub fn hub(&self) -> &Path {
        &self.hub
    }

    /// Makes a clone that takes part.
    pub fn machine(&self, name: &str) -> PathBuf {
        let dir = self.home.outside().join(name);
        std::fs::create_dir(&dir).unwrap();
        let clone = dir.join("repo");
        let (from, to) = (self.hub.to_str().unwrap(), clone.to_str().unwrap());
        self.home.git_in(&dir, ["clone", "-q", from, to]);
        self.home.orch_in(&clone, ["init"]).ok();
        clone
    }

    /// Takes the bare repository away, or brings it back.
    pub fn away(&self, is_away: bool) {
        let elsewhere = self.hub.with_extension("away");
        let (from, to) = match is_away {
            true => (&self.hub, &elsewhere),
            false => (&elsewhere, &self.hub),
        };
        std::fs::rename(from, to).unwrap();
    }

    /// Starts an executor in a clone; what it tells goes to a file beside the clone.
    pub fn start(&self, clone: &Path, args: &[&str]) -> Executor {
        let story = clone.with_file_name("story");
        let child = self
            .home
            .orch_command(clone)
            .args(args)
            .stdout(Stdio::null())
            .stderr(File::create(&story).unwrap())
            .spawn()
            .unwrap();
        Executor { child, story }
    }

    /// A file of the ledger's tip at the bare repository.
    fn ledger(&self, path: &str) -> String {
        let at = format!("orchestration:.orchestration/{path}");
        self.home.git_in(&self.hub, ["show", &at])
    }

    /// The state of a task of team 1.
    pub fn state(&self, task: &str) -> String {
        let text = self.ledger(&format!("teams/1/status/{task}.toml"));
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix("state = "));
        line.unwrap().trim_matches('"').to_owned()
    }

    /// Subjects of the ledger at the bare repository, oldest first.
    pub fn story(&self) -> Vec<String> {
        let args = ["log", "--reverse", "--format=%s", "orchestration"];
        let text = self.home.git_in(&self.hub, args);
        text.lines().map(str::to_owned).collect()
    }

    /// A file on a branch of the bare repository.
    pub fn file(&self, branch: &str, path: &str) -> String {
        let at = format!("{branch}:{path}");
        self.home.git_in(&self.hub, ["show", &at])
    }
}

/// An executor in the background, killed when the test fails.
pub struct Executor {
    child: Child,
    story: PathBuf,
}

impl Executor {
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for its end and returns its exit code, or the signal as a negative number, and what it has told.
    pub fn ended(mut self) -> (i32, String) {
        let status = self.child.wait().unwrap();
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
        (code, self.told())
    }

    /// What it has told so far.
    pub fn told(&self) -> String {
        std::fs::read_to_string(&self.story).unwrap_or_default()
    }

    /// Waits until it has told something.
    pub fn tells(&self, words: &str) {
        wait_until(words, || self.told().contains(words));
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed().as_secs() < 120, "{what}: never came");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
