//! Trains with planted faults, killed at random: what comes in is what one at a time would have accepted.
//!
//! Each seed makes a repository whose branches break the build, fail a test, fail only together, conflict, or
//! meet a test that fails once for no reason. `ORCH_TRAINS=<first>..<last>` runs other seeds than the few that
//! always run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use super::common::TestRepo;
use super::common::site::{Site, assemble};

/// The project's test: TAP on its output, all tests or those named. What breaks it is a matter of files.
const TEST: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
for f in broken/*; do if test -e "$f"; then echo "cannot build $f"; exit 2; fi; done
count=0
status=0
say() {
    case "$wanted" in *" $2 "*) ;; '  ') ;; *) return ;; esac
    count=$((count + 1))
    echo "$1 $count - $2"
    test "$1" = ok || status=1
}
wanted=" $* "
for n in 0 1 2 3 4 5 6 7 8 9; do
    if test -e "fail/$n"; then say 'not ok' "own-$n"; else say ok "own-$n"; fi
    if test -e "half/$n-a" && test -e "half/$n-b"; then say 'not ok' "pair-$n"; else say ok "pair-$n"; fi
done
if test -e flaky; then
    mark="$FLAKES/$(git rev-parse 'HEAD^{tree}')"
    if test -e "$mark"; then say ok flake; else : > "$mark"; say 'not ok' flake; fi
fi
echo "1..$count"
exit $status
"#;

/// What a branch of a train does, beside adding a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Good,
    BreaksTheBuild,
    FailsATest,
    /// Fails together with another branch of the same number.
    Half(u32, char),
    /// Changes the line that others of its kind change as well.
    Conflicts,
    /// From here on each tree fails one of its tests once.
    Flaky,
}

/// A train, from a seed.
struct Planted {
    kinds: Vec<Kind>,
}

impl Planted {
    fn of(random: &mut fastrand::Rng) -> Self {
        let count = random.usize(3..9);
        let mut kinds: Vec<Kind> = (0..count)
            .map(|_| match random.u32(0..20) {
                0..2 => Kind::BreaksTheBuild,
                2..5 => Kind::FailsATest,
                5..8 => Kind::Conflicts,
                8..10 => Kind::Flaky,
                _ => Kind::Good,
            })
            .collect();
        for pair in 0..random.u32(0..3) {
            let (a, b) = (random.usize(0..count), random.usize(0..count));
            if a != b && kinds[a] == Kind::Good && kinds[b] == Kind::Good {
                kinds[a] = Kind::Half(pair, 'a');
                kinds[b] = Kind::Half(pair, 'b');
            }
        }
        Self { kinds }
    }

    /// Returns what merging and testing one at a time in order accepts, flakes aside.
    fn one_at_a_time(&self) -> Vec<usize> {
        let (mut accepted, mut halves, mut line_is_taken) = (Vec::new(), BTreeSet::new(), false);
        for (n, kind) in self.kinds.iter().enumerate() {
            let fits = match kind {
                Kind::Good | Kind::Flaky => true,
                Kind::BreaksTheBuild | Kind::FailsATest => false,
                Kind::Half(pair, _) => halves.insert(*pair),
                Kind::Conflicts => !std::mem::replace(&mut line_is_taken, true),
            };
            if fits {
                accepted.push(n);
            }
        }
        accepted
    }

    /// Returns the files that a branch adds or changes.
    fn files(&self, n: usize) -> Vec<(String, String)> {
        let mut files = vec![(format!("src/{n}.txt"), format!("{n}\n"))];
        let also = match &self.kinds[n] {
            Kind::Good => return files,
            Kind::BreaksTheBuild => format!("broken/{n}"),
            Kind::FailsATest => format!("fail/{n}"),
            Kind::Half(pair, side) => format!("half/{pair}-{side}"),
            Kind::Conflicts => String::from("line"),
            // The same in all of them, so that it never conflicts.
            Kind::Flaky => {
                files.push((String::from("flaky"), String::from("yes\n")));
                return files;
            }
        };
        files.push((also, format!("by {n}\n")));
        files
    }

    /// Writes the branches by one `git fast-import`; returns their heads.
    fn make(&self, repo: &TestRepo, name: impl Fn(usize) -> String) -> Vec<String> {
        let base = repo.git(["rev-parse", "main"]);
        let mut stream = String::new();
        for n in 0..self.kinds.len() {
            let message = format!(
                "[TEAM-1] [AGENT-1.1] do {n}\n\nOrch-Task: b{n}\nOrch-Agent: 1.1\nOrch-Attempt: 1\n"
            );
            let _ = write!(
                stream,
                "commit refs/heads/{}\ncommitter Test <test@example.com> 1763700000 +0000\ndata {}\n{message}from {base}\n",
                name(n),
                message.len()
            );
            for (path, text) in self.files(n) {
                let _ = write!(
                    stream,
                    "M 100644 inline {path}\ndata {}\n{text}\n",
                    text.len()
                );
            }
        }
        let file = repo.outside().join("stream");
        std::fs::write(&file, stream).unwrap();
        let imported = repo
            .command("git", repo.path())
            .args(["fast-import", "--quiet", "--force"])
            .stdin(std::fs::File::open(file).unwrap())
            .output()
            .unwrap();
        assert!(
            imported.status.success(),
            "{}",
            String::from_utf8_lossy(&imported.stderr)
        );
        (0..self.kinds.len())
            .map(|n| repo.git(["rev-parse", &name(n)]))
            .collect()
    }
}

fn project() -> TestRepo {
    let repo = TestRepo::new()
        .write("test.sh", TEST)
        .write("line", "before\n")
        .commit("project");
    std::fs::create_dir(repo.outside().join("flakes")).unwrap();
    repo
}

fn seeds() -> std::ops::Range<u64> {
    let text = std::env::var("ORCH_TRAINS").unwrap_or_else(|_| String::from("0..24"));
    let (first, last) = text.split_once("..").unwrap();
    first.parse().unwrap()..last.parse().unwrap()
}

#[test]
fn what_comes_in_is_what_one_at_a_time_accepts_also_when_killed() {
    for seed in seeds() {
        let mut random = fastrand::Rng::with_seed(seed);
        let planted = Planted::of(&mut random);
        let gate = if random.bool() { "each" } else { "batch" };
        let jobs = random.u32(1..4).to_string();
        let kills = if seed % 2 == 0 { random.u32(1..6) } else { 0 };
        let told = format!(
            "seed {seed}, --gate {gate} --jobs {jobs}, {kills} kills: {:?}",
            planted.kinds
        );
        if seed % 3 == 0 {
            with_a_plan(&planted, &[gate, &jobs], kills, &mut random, &told);
        } else {
            without_a_plan(&planted, &[gate, &jobs], kills, &mut random, &told);
        }
    }
}

fn without_a_plan(
    planted: &Planted,
    with: &[&str],
    kills: u32,
    random: &mut fastrand::Rng,
    told: &str,
) {
    let repo = project();
    let names: Vec<String> = (0..planted.kinds.len()).map(|n| format!("b{n}")).collect();
    let heads = planted.make(&repo, |n| names[n].clone());
    let test = test_command(&repo, "");
    let mut args = vec![
        "assemble", "--json", "--onto", "main", "--test", &test, "--format", "tap",
    ];
    args.extend(["--gate", with[0], "--jobs", with[1]]);
    args.extend(names.iter().map(String::as_str));
    let before = repo.git(["rev-parse", "main"]);
    kill_at_random(&repo, &args, kills, random);
    let (code, report) = assemble(&repo, &args);
    let expected = planted.one_at_a_time();
    assert_eq!(
        code,
        i32::from(expected.len() < names.len()),
        "{told}: {report}"
    );
    agrees(&repo, "main", &before, &heads, &expected, told);
    for (name, head) in names.iter().zip(&heads) {
        assert_eq!(
            repo.git(["rev-parse", name]),
            *head,
            "{told}: {name} was lost"
        );
    }
}

fn with_a_plan(
    planted: &Planted,
    with: &[&str],
    kills: u32,
    random: &mut fastrand::Rng,
    told: &str,
) {
    let repo = project();
    let names: Vec<String> = (0..planted.kinds.len()).map(|n| format!("b{n}")).collect();
    let tasks: Vec<(&str, u32, &[&str])> = names
        .iter()
        .map(|name| (name.as_str(), 1, &[][..]))
        .collect();
    let test = test_command(&repo, "");
    let some = test_command(&repo, " {tests}");
    let more = format!("{test}'''\ntest_format = \"tap\"\ntest_some = '''{some}");
    let site = Site::over(repo, &more, &tasks);
    let heads = planted.make(&site.repo, |n| format!("orch/team-1/b{n}"));
    for (name, head) in names.iter().zip(&heads) {
        site.hand_in(name, "1.1", head);
    }
    let before = site.rev("main");
    let args = ["assemble", "--json", "--gate", with[0], "--jobs", with[1]];
    kill_at_random(&site.repo, &args, kills, random);
    let outcome = site.repo.orch(args);
    assert!(
        [0, 1, 3].contains(&outcome.code()),
        "{told}: {}",
        outcome.stderr()
    );
    let expected = planted.one_at_a_time();
    agrees(
        &site.repo,
        "orch/integration",
        &before,
        &heads,
        &expected,
        told,
    );
    for (n, name) in names.iter().enumerate() {
        let state = site.state(name);
        let is_in = expected.contains(&n);
        assert_eq!(
            state,
            if is_in { "merged" } else { "ready" },
            "{told}: {name}"
        );
        assert_eq!(site.rev(&format!("orch/team-1/{name}")), heads[n], "{told}");
    }
    assert_eq!(site.rev("main"), before, "{told}");
}

fn test_command(repo: &TestRepo, arguments: &str) -> String {
    let flakes = repo.outside().join("flakes");
    format!("FLAKES='{}' sh test.sh{arguments}", flakes.display())
}

/// Starts an assembly some times, and kills it and what it started after a random time.
fn kill_at_random(repo: &TestRepo, args: &[&str], kills: u32, random: &mut fastrand::Rng) {
    for _ in 0..kills {
        let mut child = repo
            .orch_command(repo.path())
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // When it dies, not when anything is looked at.
        std::thread::sleep(Duration::from_millis(random.u64(1..400)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// Holds a target against plain merges of what was to be accepted, and looks where it has been.
fn agrees(
    repo: &TestRepo,
    target: &str,
    before: &str,
    heads: &[String],
    expected: &[usize],
    told: &str,
) {
    let is_in = |head: &String| {
        let asked = ["merge-base", "--is-ancestor", head, target];
        repo.try_git_in(repo.path(), asked).code() == 0
    };
    let accepted: Vec<usize> = (0..heads.len()).filter(|n| is_in(&heads[*n])).collect();
    assert_eq!(accepted, expected, "{told}");
    repo.git(["switch", "-q", "--detach", before]);
    for n in expected {
        repo.git(["merge", "-q", "--no-ff", "-m", "one at a time", &heads[*n]]);
    }
    assert_eq!(
        repo.git(["rev-parse", &format!("{target}^{{tree}}")]),
        repo.git(["rev-parse", "HEAD^{tree}"]),
        "{told}"
    );
    repo.git(["switch", "-q", "main"]);
    let green = green_trees(repo);
    for commit in repo.git(["log", "-g", "--format=%H", target]).lines() {
        let tree = repo.git(["rev-parse", &format!("{commit}^{{tree}}")]);
        let asked = ["merge-base", "--is-ancestor", commit, before];
        let was_there = repo.try_git_in(repo.path(), asked).code() == 0;
        let tested = green.contains(&tree) || was_there;
        assert!(
            tested,
            "{told}: {target} was at {commit}, which was not tested"
        );
    }
    assert_eq!(repo.git(["status", "--porcelain"]), "", "{told}");
    repo.git(["fsck", "--strict", "--no-dangling"]);
}

/// Returns the trees with a green verdict on the whole test.
fn green_trees(repo: &TestRepo) -> BTreeSet<String> {
    let mut green = BTreeSet::new();
    for id in repo
        .git([
            "for-each-ref",
            "--format=%(objectname)",
            "refs/orch/verdict",
        ])
        .lines()
    {
        let text = repo.git(["cat-file", "-p", id]);
        let verdict: toml::Table = toml::from_str(&text).unwrap();
        let runs = verdict["runs"].as_array().unwrap();
        let told: BTreeMap<bool, usize> = runs.iter().fold(BTreeMap::new(), |mut told, run| {
            *told.entry(run["green"].as_bool().unwrap()).or_default() += 1;
            told
        });
        if told.contains_key(&true) && verdict["command"].as_str().unwrap().ends_with("test.sh") {
            green.insert(verdict["tree"].as_str().unwrap().to_owned());
        }
    }
    green
}
