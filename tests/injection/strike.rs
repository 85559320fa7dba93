//! One command, disturbed at one point, and what must hold afterwards.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::essence::{essence, is_kept};
use super::scenes::{PRECIOUS, Scene};
use crate::common::TestRepo;
use crate::common::print::{self, Print};
use crate::common::replay::replay;
use crate::common::trace::Bench;

/// What goes wrong, and where.
pub enum Point {
    /// At the nth system call of a kind, told as it was undisturbed.
    Call(String, usize, &'static str, String),
    /// At the nth time that git is run.
    Child(usize, &'static str),
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Call(call, nth, how, line) => write!(f, "{how} at {call} {nth}: {line}"),
            Self::Child(nth, how) => write!(f, "git {nth} {how}"),
        }
    }
}

/// What is done to a call: the process is killed, or told that it failed.
const OF_CALLS: [&str; 4] = ["KILL", "EIO", "ENOSPC", "EACCES"];

/// What is done to a call that changes nothing: killed there, a process leaves what it leaves when it is killed at
/// its next change.
const OF_READS: [&str; 2] = ["EIO", "EACCES"];

/// What is done to git: it refuses, it does its work and says that it has not, or whoever called it is dead
/// when it comes back.
const OF_CHILDREN: [&str; 3] = ["refuses", "denies", "orphaned"];

/// Stands before git: counts, and goes wrong when told to.
const FAULTY_GIT: &str = r#"#!/bin/sh
echo x >>"$FAULT_COUNT"
if test "$(wc -l <"$FAULT_COUNT")" = "$FAULT_AT"; then
    case $FAULT_HOW in
        refuses) exit 128 ;;
        denies) "$FAULT_GIT" "$@"; exit 128 ;;
        orphaned) "$FAULT_GIT" "$@"
            if grep -q git-orch "/proc/$PPID/comm"; then kill -9 "$PPID"; fi
            exit 128 ;;
    esac
fi
exec "$FAULT_GIT" "$@"
"#;

/// How commands are disturbed: by strace, or by a git that goes wrong.
pub struct Strikes {
    faulty: PathBuf,
    count: PathBuf,
}

impl Strikes {
    pub fn new(repo: &TestRepo) -> Self {
        let faulty = repo.outside().join("faulty");
        std::fs::create_dir(&faulty).unwrap();
        let git = faulty.join("git");
        std::fs::write(&git, FAULTY_GIT).unwrap();
        std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755)).unwrap();
        let count = repo.outside().join("count");
        Self { faulty, count }
    }

    /// Returns all points at which a command can be disturbed; runs it twice.
    pub fn points(&self, bench: &Bench, dir: &Path, args: &[&str]) -> Vec<Point> {
        let calls = bench.points(dir, args);
        let mut points = Vec::new();
        for call in calls {
            let faults: &[&'static str] = if call.reads() { &OF_READS } else { &OF_CALLS };
            for how in faults.iter().copied() {
                points.push(Point::Call(
                    call.call.clone(),
                    call.nth,
                    how,
                    call.line.clone(),
                ));
            }
        }
        bench.restore();
        let counted = self.with_faulty_git(bench, dir, args, (0, "")).output();
        assert!(counted.unwrap().status.success());
        let children = std::fs::read_to_string(&self.count).unwrap_or_default();
        for nth in 1..=children.lines().count() {
            for how in OF_CHILDREN {
                points.push(Point::Child(nth, how));
            }
        }
        points
    }

    /// Runs a command that is disturbed at a point.
    pub fn strike(&self, bench: &Bench, dir: &Path, args: &[&str], point: &Point) -> Output {
        let mut command = match point {
            Point::Call(call, nth, how, _) => {
                let how = match *how {
                    "KILL" => String::from("signal=KILL"),
                    error => format!("error={error}"),
                };
                let inject = format!("inject={call}:{how}:when={nth}");
                let trace = format!("trace={call}");
                let options = ["-e", trace.as_str(), "-e", inject.as_str()];
                bench.traced(&options, dir, args)
            }
            Point::Child(nth, how) => self.with_faulty_git(bench, dir, args, (*nth, how)),
        };
        command.output().unwrap()
    }

    fn with_faulty_git(
        &self,
        bench: &Bench,
        dir: &Path,
        args: &[&str],
        (nth, how): (usize, &str),
    ) -> Command {
        let real = std::env::var("PATH").unwrap();
        let mut dirs = real.split(':').map(|dir| PathBuf::from(dir).join("git"));
        let real = dirs.find(|path| path.exists()).unwrap();
        let mut command = bench.repo.orch_command(dir);
        command.args(args);
        let path = command
            .get_envs()
            .find_map(|(name, value)| (name == "PATH").then_some(value?))
            .unwrap()
            .to_string_lossy()
            .into_owned();
        // Counted anew each time.
        let _ = std::fs::remove_file(&self.count);
        command
            .env("PATH", format!("{}:{path}", self.faulty.display()))
            .env("FAULT_COUNT", &self.count)
            .env("FAULT_AT", nth.to_string())
            .env("FAULT_HOW", how)
            .env("FAULT_GIT", real);
        command
    }
}

/// A scene whose command is disturbed.
pub struct Struck {
    scene: Scene,
    bench: Bench,
    before: Print,
    /// What everything comes to undisturbed.
    wanted: BTreeMap<String, String>,
    strikes: Strikes,
}

impl Struck {
    /// Runs the command undisturbed, to know what it comes to.
    pub fn new(scene: Scene) -> Self {
        let bench = Bench::new((scene.make)());
        let strikes = Strikes::new(&bench.repo);
        let before = print::look(&bench.repo, &[]);
        let undisturbed = command(&scene, &bench.repo).output().unwrap();
        let told = String::from_utf8_lossy(&undisturbed.stderr);
        assert_eq!(undisturbed.status.code(), Some(0), "{}: {told}", scene.name);
        let wanted = essence(&bench.repo);
        assert_ne!(wanted.len(), 0);
        let struck = Self {
            scene,
            bench,
            before,
            wanted,
            strikes,
        };
        struck.check_users("undisturbed");
        struck
    }

    /// Returns all points at which the command can be disturbed.
    pub fn points(&self) -> Vec<Point> {
        self.bench.restore();
        let args = self.args();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.strikes.points(&self.bench, &self.dir(), &args)
    }

    /// Disturbs the command at a point, and checks what is left, then gives it again.
    pub fn strike(&self, point: &Point) {
        self.bench.restore();
        let what = format!("{}: {point}", self.scene.name);
        let args = self.args();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = self.strikes.strike(&self.bench, &self.dir(), &args, point);
        self.check_end(&output, &what);
        // A lock of ours on the configuration is known as such, and taken away, when the command is given again.
        let is_lock = |key: &str| output.status.signal() == Some(9) && key == "git config.lock";
        self.check_users_but(&what, is_lock);
        self.check_work(&what);
        self.again(&what);
        self.check_users(&what);
        self.check_work(&what);
        let repo = &self.bench.repo;
        assert!(
            self.scene.is_kept_instead(&output) || essence(repo) == self.wanted,
            "{what}: {}",
            self.differs()
        );
        if self.wanted.keys().any(|key| key.starts_with("task ")) {
            replay(repo, repo.path(), "orchestration");
        }
        repo.git(["fsck", "--strict", "--no-dangling"]);
    }

    /// It was killed, or says that it could not, or has done it.
    fn check_end(&self, output: &Output, what: &str) {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked"), "{what}: {stderr}");
        if output.status.signal() == Some(9) {
            return;
        }
        match output.status.code() {
            Some(0) => assert!(
                self.scene.is_kept_instead(output) || essence(&self.bench.repo) == self.wanted,
                "{what}: it says that it is done: {stderr}{}",
                self.differs()
            ),
            // Where the worktree's own configuration cannot be read, whose it is must be given.
            Some(1 | 2 | 4) => assert!(stderr.contains("error: "), "{what}: {stderr}"),
            code => panic!("{what}: {code:?}: {stderr}"),
        }
    }

    /// Gives the command again, until it is done or there is nothing to do; what was left half done may ask for
    /// the hint of its error first.
    fn again(&self, what: &str) {
        let repo = &self.bench.repo;
        let output = command(&self.scene, repo).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!told.contains("panicked"), "{what}: {told}");
        let mut code = output.status.code();
        let mut told = told;
        if let Some(or) = self.scene.or.filter(|_| code == Some(4)) {
            let mut other = repo.orch_command(&(self.scene.dir)(repo));
            let other = other.args(or()).output().unwrap();
            told.push_str(&String::from_utf8_lossy(&other.stderr));
            code = other.status.code();
        }
        // Done before, it may be refused as what is so already.
        let done = essence(repo) == self.wanted;
        assert!(
            code == Some(0) || (done && matches!(code, Some(1 | 3 | 4))),
            "{what}: given again, {code:?}: {told}\n{}",
            self.differs()
        );
    }

    /// Tells what is not as it would be undisturbed.
    fn differs(&self) -> String {
        let now = essence(&self.bench.repo);
        let keys = now.keys().chain(self.wanted.keys());
        let keys: std::collections::BTreeSet<&String> = keys.collect();
        let differs = keys
            .into_iter()
            .filter(|key| now.get(*key) != self.wanted.get(*key));
        let told = differs.map(|key| {
            let (is, wanted) = (now.get(key), self.wanted.get(key));
            format!("{key}: {is:?} instead of {wanted:?}\n")
        });
        told.collect()
    }

    fn check_users(&self, what: &str) {
        self.check_users_but(what, |_| false);
    }

    fn check_users_but(&self, what: &str, left_out: impl Fn(&str) -> bool) {
        let after = print::look(&self.bench.repo, &[]);
        print::same(&self.before, &after, what, |key| {
            left_out(key) || self.scene.moves.iter().any(|moved| key.contains(moved))
        });
    }

    fn check_work(&self, what: &str) {
        for text in PRECIOUS {
            let there = self.scene.has_work && !is_kept(&self.bench.repo, text);
            assert!(!there, "{what}: `{text}` is lost");
        }
    }

    fn args(&self) -> Vec<String> {
        (self.scene.args)(&self.bench.repo)
    }

    fn dir(&self) -> PathBuf {
        (self.scene.dir)(&self.bench.repo)
    }
}

fn command(scene: &Scene, repo: &TestRepo) -> Command {
    let mut command = repo.orch_command(&(scene.dir)(repo));
    command.args((scene.args)(repo));
    command
}
