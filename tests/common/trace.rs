//! A repository that can be put back as it was, and a command in it whose system calls are counted or fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::TestRepo;

/// System calls that change files, as strace understands them on every platform.
pub const CALLS: &str = "openat,write,pwrite64,?rename,?renameat,renameat2,?link,linkat,?unlink,unlinkat,\
                     ftruncate,?mkdir,mkdirat,flock";

/// The nth call of a kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub call: String,
    pub nth: usize,
    pub line: String,
}

impl Point {
    /// Whether it opens a file that it cannot change.
    pub fn reads(&self) -> bool {
        let changing = ["O_CREAT", "O_WRONLY", "O_RDWR"];
        self.call == "openat" && !changing.iter().any(|flag| self.line.contains(flag))
    }
}

/// A repository that can be put back as it was.
pub struct Bench {
    pub repo: TestRepo,
    dirs: Vec<PathBuf>,
}

impl Bench {
    /// Remembers the repository with all that lies beside it.
    pub fn new(repo: TestRepo) -> Self {
        let beside = ["repo", "repo.orch", "central.git", "two", "three", "four"];
        let dirs = beside.map(|name| repo.outside().join(name));
        let bench = Self {
            dirs: dirs.into_iter().filter(|dir| dir.exists()).collect(),
            repo,
        };
        let kept = bench.repo.outside().join("kept");
        std::fs::create_dir(&kept).unwrap();
        bench.copy(&bench.dirs, &kept);
        bench
    }

    fn copy(&self, from: &[PathBuf], to: &Path) {
        let mut cp = self.repo.command("cp", &self.repo.outside());
        assert!(cp.arg("-a").args(from).arg(to).status().unwrap().success());
    }

    pub fn restore(&self) {
        let kept = self.repo.outside().join("kept");
        for dir in &self.dirs {
            std::fs::remove_dir_all(dir).unwrap();
            self.copy(
                &[kept.join(dir.file_name().unwrap())],
                dir.parent().unwrap(),
            );
        }
    }

    /// A traced `git orch`, with options of strace's before it.
    pub fn traced(&self, options: &[&str], dir: &Path, args: &[&str]) -> Command {
        let mut command = self.repo.command("strace", dir);
        command
            .args(["-qq", "-s", "4", "-o"])
            .arg(self.trace())
            .args(options)
            .arg(env!("CARGO_BIN_EXE_git-orch"))
            .args(args);
        command
    }

    pub fn trace(&self) -> PathBuf {
        self.repo.outside().join("trace")
    }

    /// Runs a command to its end, and returns its calls that change files.
    pub fn points(&self, dir: &Path, args: &[&str]) -> Vec<Point> {
        let trace = format!("trace={CALLS}");
        let status = self
            .traced(&["-y", "-e", &trace], dir, args)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&status.stderr).into_owned();
        assert!(status.status.success(), "{args:?}: {told}");
        let text = std::fs::read_to_string(self.trace()).unwrap();
        let mut points: Vec<Point> = Vec::new();
        for line in text.lines().filter(|line| line.contains('(')) {
            let call = line.split('(').next().unwrap().to_owned();
            let same = points.iter().filter(|point| point.call == call);
            let nth = same.count() + 1;
            let line = line.to_owned();
            points.push(Point { call, nth, line });
        }
        let all = all();
        let changes = |point: &Point| {
            let reads = point.reads();
            // What goes into pipes and the like changes no file.
            let writes = ["write(", "pwrite64("]
                .iter()
                .any(|call| point.line.starts_with(call));
            (!reads || all && !of_system(&point.line)) && (!writes || into_file(&point.line))
        };
        points.retain(changes);
        points
    }

    pub fn board(&self) -> git_orch::model::Board {
        crate::ledger::open(self.repo.path()).board().clone()
    }
}

/// Whether a call, told with the names of its descriptors, writes into a file: `write(3</path>, …`.
fn into_file(line: &str) -> bool {
    let target = line.split('<').nth(1).unwrap_or_default();
    target.starts_with('/') && !target.starts_with("/dev/") && !target.starts_with("/proc/")
}

/// Whether a call opens what belongs to the system: libraries, devices, the state of processes.
fn of_system(line: &str) -> bool {
    let path = line.split('"').nth(1).unwrap_or_default();
    let dirs = ["/lib", "/usr/lib", "/etc/ld", "/proc/", "/sys/", "/dev/"];
    dirs.iter().any(|dir| path.starts_with(dir)) && !path.starts_with("/dev/shm/")
}

/// What `ORCH_FAULTS` says: `all`, or the name of one command.
pub fn wanted() -> Option<String> {
    std::env::var("ORCH_FAULTS")
        .ok()
        .filter(|wanted| !wanted.is_empty())
}

/// Whether every fault is wanted, not only those that can make a difference.
pub fn all() -> bool {
    wanted().is_some()
}

/// Whether processes can be traced here.
pub fn can_trace() -> bool {
    let traced = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "-e", "trace=write", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let can = traced.is_ok_and(|status| status.success());
    if !can {
        eprintln!("SKIPPED: there is no strace here, or it may not trace");
    }
    can
}
