//! Trains of thirty branches of which a tenth is bad: test runs used and time taken, against merging and testing
//! one at a time (which is also what a window of prefixes comes to on one slot) and against batches that are
//! halved; bringing in clean branches without a test, against `git merge`; eight assemblies at once.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark drives the program and its rivals from outside"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{ORCH, command, git, median, report, time};

/// What tells the program how the test's output is read, and how to build or run a part of it.
const INFORMED: [&str; 8] = [
    "--gate",
    "batch",
    "--format",
    "tap",
    "--test-some",
    "sh test.sh {tests}",
    "--test-build",
    "sh test.sh none",
];

const BRANCHES: usize = 30;
const BAD_PERCENT: u32 = 10;
const SEEDS: u64 = 5;

/// Builds for a tenth of its time, and has sixty tests, all run or those named.
const TEST: &str = r#"case "$SLOW" in yes) build=0.3 each=0.045 ;; *) build=0.04 each=0.006 ;; esac
sleep $build
for f in broken/*; do test -e "$f" && echo "cannot build $f" && exit 2; done
wanted=" $* "; status=0; n=0
for t in $(seq -s ' ' 1 60); do
    case "$wanted" in *" $t "*) ;; '  ') ;; *) continue ;; esac
    n=$((n + 1)); sleep $each
    if test -e "fail/$t"; then echo "not ok $n - $t"; status=1; else echo "ok $n - $t"; fi
done
echo "1..$n"; exit $status
"#;

/// One part of the measurements, in a directory of its own.
type Part = fn(&Path);

fn main() {
    let temp = tempfile::tempdir().unwrap();
    // `cargo bench --bench trains -- clean` runs that part alone.
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let parts: [(&str, Part); 4] = [
        ("bad", bad),
        ("slow", slow),
        ("clean", clean),
        ("at-once", at_once),
    ];
    for (name, part) in parts {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            part(temp.path());
        }
    }
}

/// A repository whose branches each add a file; those of a seed that are bad also break the build or a test.
fn project(dir: &Path, branches: usize, files: usize, bad: &dyn Fn(usize) -> Option<String>) {
    std::fs::create_dir_all(dir).unwrap();
    git(dir, ["init", "-q", "-b", "main"]);
    let mut stream = String::new();
    let commit = |branch: &str, from: Option<&str>| {
        let mark = if from.is_some() { "" } else { "mark :1\n" };
        let from = from.map_or(String::new(), |from| format!("from {from}\n"));
        format!(
            "commit refs/heads/{branch}\n{mark}committer B <b@example.com> 1763700000 +0000\ndata 2\nx\n{from}"
        )
    };
    let file =
        |path: &str, text: &str| format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len());
    stream.push_str(&commit("main", None));
    stream.push_str(&file("test.sh", TEST));
    for n in 0..files {
        stream.push_str(&file(
            &format!("src/{}/{n}.txt", n % 50),
            &format!("file {n}\n"),
        ));
    }
    for n in 0..branches {
        stream.push_str(&commit(&format!("b{n}"), Some(":1")));
        stream.push_str(&file(&format!("new/{n}.txt"), &format!("{n}\n")));
        if let Some(path) = bad(n) {
            stream.push_str(&file(&path, "x\n"));
        }
    }
    let input = dir.join("../stream");
    std::fs::write(&input, stream).unwrap();
    let imported = command("git", dir)
        .args(["fast-import", "--quiet"])
        .stdin(std::fs::File::open(&input).unwrap())
        .status();
    assert!(imported.unwrap().success());
    git(dir, ["reset", "-q", "--hard"]);
}

/// What a train came to.
#[derive(Debug, Clone)]
struct Came {
    landed: usize,
    runs: u32,
    took: Duration,
}

fn bad(temp: &Path) {
    let kinds = [
        "ours, opaque, no retries",
        "ours, opaque",
        "ours, failing tests",
        "ours, each",
    ];
    let rivals = ["one at a time", "halving, batches of 8"];
    let mut all: Vec<Vec<Came>> = vec![Vec::new(); kinds.len() + rivals.len()];
    for seed in 0..SEEDS {
        let bad = plant(seed);
        let good = bad.iter().filter(|bad| bad.is_none()).count();
        for (kind, came) in all.iter_mut().enumerate() {
            let dir = temp.join(format!("seed-{seed}-{kind}/repo"));
            project(&dir, BRANCHES, 100, &|n| bad[n].clone());
            let one = match kind {
                0 => ours(&dir, &["--gate", "batch", "--retries", "0"], "no"),
                1 => ours(&dir, &["--gate", "batch"], "no"),
                2 => ours(&dir, &INFORMED, "no"),
                3 => ours(&dir, &["--gate", "each"], "no"),
                4 => one_at_a_time(&dir),
                _ => halving(&dir, 8),
            };
            assert_eq!(one.landed, good, "seed {seed}: {kind}");
            came.push(one);
        }
    }
    tell(
        &kinds.iter().chain(&rivals).copied().collect::<Vec<_>>(),
        &all,
    );
}

/// Tells what the schedules came to; the fifth is one at a time.
fn tell(names: &[&str], all: &[Vec<Came>]) {
    let serial = mean(&all[4], |came| came.took.as_secs_f64());
    // One run of everything, as the runs of one at a time show it.
    let unit = serial / mean(&all[4], |came| f64::from(came.runs));
    let p = f64::from(BAD_PERCENT) / 100.0;
    let entropy = 30.0 * -(p * p.log2() + (1.0 - p) * (1.0 - p).log2());
    println!(
        "{BRANCHES} branches, {BAD_PERCENT} % bad, means of {SEEDS} seeds, one slot; a run takes {unit:.3} s"
    );
    for (name, came) in names.iter().zip(all) {
        let (runs, took) = (
            mean(came, |c| f64::from(c.runs)),
            mean(came, |c| c.took.as_secs_f64()),
        );
        println!(
            "  {name:<26} {runs:>5.1} runs ({:.2} of the entropy limit {entropy:.1})   {:>5.1} test times   {:.2} of one at a time",
            runs / entropy,
            took / unit,
            took / serial
        );
    }
    let ours = mean(&all[0], |came| f64::from(came.runs)) / entropy;
    println!(
        "  opaque, runs of the search / entropy limit {ours:.2}, target 1.10 {}",
        met(ours <= 1.1)
    );
}

/// The same trains with a test that takes seconds, where what the program itself needs weighs less.
fn slow(temp: &Path) {
    let (mut times, mut seconds) = (Vec::new(), 0.0);
    for seed in 0..SEEDS {
        let planted = plant(seed);
        let dir = temp.join(format!("slow-{seed}/repo"));
        project(&dir, BRANCHES, 100, &|n| planted[n].clone());
        let alone = time(|| {
            let test = command("sh", &dir)
                .arg("test.sh")
                .env("SLOW", "yes")
                .stdout(Stdio::null())
                .status();
            assert!(test.unwrap().success());
        });
        let came = ours(&dir, &INFORMED, "yes");
        assert_eq!(
            came.landed,
            planted.iter().filter(|bad| bad.is_none()).count()
        );
        seconds = alone.as_secs_f64();
        times.push(came.took.as_secs_f64() / seconds);
    }
    let mean = times.iter().sum::<f64>() / f64::from(u32::try_from(times.len()).unwrap());
    let shown: Vec<String> = times.iter().map(|time| format!("{time:.1}")).collect();
    println!(
        "  failing tests known, a run takes {seconds:.1} s: {mean:.2} test times (seeds: {}), target 4.00 {}",
        shown.join(" "),
        met(mean <= 4.0)
    );
}

/// What is wrong with each branch of a seed, as the file that it adds.
fn plant(seed: u64) -> Vec<Option<String>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let one = |n: usize| {
        let is_bad = random.u32(0..100) < BAD_PERCENT;
        let builds_not = random.u32(0..10) < 3;
        let test = n * 2 + 1;
        is_bad.then(|| {
            if builds_not {
                format!("broken/{n}")
            } else {
                format!("fail/{test}")
            }
        })
    };
    (0..BRANCHES).map(one).collect()
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}

fn mean(all: &[Came], of: impl Fn(&Came) -> f64) -> f64 {
    all.iter().map(of).sum::<f64>() / f64::from(u32::try_from(all.len()).unwrap())
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("b{n}")).collect()
}

fn ours(dir: &Path, more: &[&str], slow: &str) -> Came {
    let begun = Instant::now();
    let output = command(ORCH, dir)
        .args([
            "--json",
            "--quiet",
            "assemble",
            "--onto",
            "main",
            "--jobs",
            "1",
            "--test",
            "sh test.sh",
        ])
        .args(more)
        .args(names(BRANCHES))
        .env("SLOW", slow)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = told["train"].as_array().unwrap();
    Came {
        landed: rows.iter().filter(|row| row["verdict"] == "merged").count(),
        runs: u32::try_from(told["tests_run"].as_u64().unwrap()).unwrap(),
        took: begun.elapsed(),
    }
}

/// A rival in a worktree of its own: merges, tests, and goes back where that fails.
struct Rival {
    dir: PathBuf,
    runs: u32,
    landed: usize,
}

impl Rival {
    fn new(dir: &Path) -> Self {
        let tree = dir.with_file_name("rival");
        git(
            dir,
            [
                "worktree",
                "add",
                "-q",
                "--detach",
                tree.to_str().unwrap(),
                "main",
            ],
        );
        Self {
            dir: tree,
            runs: 0,
            landed: 0,
        }
    }

    fn passes(&mut self, branches: &[String]) -> bool {
        let before = git(&self.dir, ["rev-parse", "HEAD"]);
        for branch in branches {
            git(&self.dir, ["merge", "-q", "--no-ff", "-m", "merge", branch]);
        }
        self.runs += 1;
        let test = command("sh", &self.dir)
            .arg("test.sh")
            .stdout(Stdio::null())
            .status();
        let passes = test.unwrap().success();
        if passes {
            self.landed += branches.len();
        } else {
            git(&self.dir, ["reset", "-q", "--hard", &before]);
        }
        passes
    }

    fn came(self, begun: Instant) -> Came {
        Came {
            landed: self.landed,
            runs: self.runs,
            took: begun.elapsed(),
        }
    }
}

fn one_at_a_time(dir: &Path) -> Came {
    let (begun, mut rival) = (Instant::now(), Rival::new(dir));
    for branch in names(BRANCHES) {
        rival.passes(&[branch]);
    }
    rival.came(begun)
}

/// Batches that are halved where they fail, as bors does.
fn halving(dir: &Path, most: usize) -> Came {
    let (begun, mut rival) = (Instant::now(), Rival::new(dir));
    let mut waiting: Vec<Vec<String>> = names(BRANCHES)
        .chunks(most)
        .map(<[_]>::to_vec)
        .rev()
        .collect();
    while let Some(batch) = waiting.pop() {
        if !rival.passes(&batch) && batch.len() > 1 {
            let (first, second) = batch.split_at(batch.len() / 2);
            waiting.push(second.to_vec());
            waiting.push(first.to_vec());
        }
    }
    rival.came(begun)
}

/// Sixteen disjoint branches without a test.
fn clean(temp: &Path) {
    const COUNT: usize = 16;
    let dir = temp.join("clean/repo");
    project(&dir, COUNT, 2000, &|_| None);
    let start = git(&dir, ["rev-parse", "main"]);
    let back = || drop(git(&dir, ["reset", "-q", "--hard", &start]));
    let branches = names(COUNT);
    let (mut ours, mut rival) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        ours.push(time(|| {
            let done = command(ORCH, &dir)
                .args(["--quiet", "assemble", "--onto", "main", "--no-test"])
                .args(&branches)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert!(done.unwrap().success());
        }));
        assert_eq!(git(&dir, ["rev-list", "--count", "--merges", "main"]), "16");
        back();
        rival.push(time(|| {
            for branch in &branches {
                git(&dir, ["merge", "-q", "--no-ff", "-m", "merge", branch]);
            }
        }));
        back();
    }
    report(
        "16 clean branches without a test vs git merge --no-ff",
        median(ours),
        median(rival),
        1.0,
    );
}

/// Eight commands at once onto one branch, each with a branch of its own.
fn at_once(temp: &Path) {
    let dir = temp.join("at-once/repo");
    project(&dir, 8, 100, &|_| None);
    let start = |branch: &String| {
        command(ORCH, &dir)
            .args([
                "--quiet", "assemble", "--onto", "main", "--test", "true", branch,
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let running: Vec<_> = names(8).iter().map(start).collect();
    let done = running
        .into_iter()
        .filter_map(|mut child| child.wait().ok());
    let ours = done.filter(std::process::ExitStatus::success).count();
    let merged = git(&dir, ["rev-list", "--count", "--merges", "main"]);
    let rival_dir = temp.join("rival-at-once/repo");
    project(&rival_dir, 8, 100, &|_| None);
    let start = |branch: &String| {
        command("git", &rival_dir)
            .args(["merge", "-q", "--no-ff", "-m", "merge", branch])
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let running: Vec<_> = names(8).iter().map(start).collect();
    let done = running
        .into_iter()
        .filter_map(|mut child| child.wait().ok());
    let rival = done.filter(std::process::ExitStatus::success).count();
    println!(
        "eight at once: ours {ours} of 8 land ({merged} merges), `git merge` in one worktree {rival} of 8   target 8 {}",
        met(ours == 8 && merged == "8")
    );
}
