//! Warm worktrees accept what clean checkouts accept: trains over random histories, against merging one at a time
//! and testing each merge in a checkout of its own.

use std::path::Path;
use std::process::Stdio;

use super::super::common::site::verdicts;
use super::super::common::{TestRepo, seeds};

/// A kind of project: what it keeps, how it is tested, and what its branches may do.
struct Kind {
    keep: &'static [&'static str],
    test: &'static str,
    files: &'static [(&'static str, &'static str)],
    changes: &'static [&'static str],
    branches: usize,
}

/// Objects by pattern rules, lists by wildcards, a header found by a link; a use without a definition is an error.
const MAKE: Kind = Kind {
    keep: &["build/"],
    test: "make -s test",
    files: &[
        (".gitignore", "build/\n"),
        (
            "Makefile",
            "OBJ := $(patsubst src/%.c,build/%.o,$(wildcard src/*.c src/*/*.c))\n\
             test: build/all\n\t@awk '/^use/ {u[$$2]} /^def/ {d[$$2]} END {for (n in u) if (!(n in d)) exit 1}' build/all\n\
             build/all: $(OBJ)\n\t@cat $^ /dev/null > $@\n\
             build/%.o: src/%.c inc/config Makefile\n\t@mkdir -p $(@D); cat $< inc/config > $@\n",
        ),
        ("src/a.c", "def a\nuse b\n"),
        ("src/b.c", "def b\n"),
        ("src/sub/c.c", "def c\nuse a\n"),
        ("inc1/config", "def x\n"),
        ("inc2/config", "def y\n"),
    ],
    changes: &[
        "git rm -q src/b.c",
        "git mv src/b.c src/d.c",
        "git mv src/sub src/other",
        "git rm -rq src/sub",
        "echo 'use e' >> src/a.c",
        "echo 'def e' > src/e.c",
        "printf 'def a\\nuse c\\n' > src/a.c",
        "printf 'def c\\nuse z\\n' > src/sub/c.c",
        "printf 'def a\\nuse x\\n' > src/a.c",
        "rm inc; ln -s inc2 inc",
        "echo 'def z' >> inc2/config",
        "echo '# more' >> Makefile",
        "printf 'def b\\nuse y\\n' > src/b.c",
    ],
    branches: 7,
};

/// Modules that are imported, of one size in most versions, with their compiled forms kept.
const PYTHON: Kind = Kind {
    keep: &["__pycache__/"],
    test: "env -u PYTHONDONTWRITEBYTECODE python3 -I -c \"
import sys; sys.path.insert(0, '.'); sys.dont_write_bytecode = False
import t\"",
    files: &[
        (".gitignore", "__pycache__/\n"),
        (
            "t.py",
            "import m, p.q\nassert m.X == p.q.X, (m.X, p.q.X)\nimport link\nassert link.Y == 1\n",
        ),
        ("m.py", "X = 1\n"),
        ("one.py", "Y = 1\n"),
        ("two.py", "Y = 2\n"),
        ("p/__init__.py", ""),
        ("p/q.py", "X = 1\n"),
    ],
    changes: &[
        "echo 'X = 2' > m.py",
        "echo 'X = 2' > p/q.py",
        "echo 'X =1 ' > m.py",
        "git rm -q m.py",
        "git rm -rq p",
        "git mv p/q.py p/r.py",
        "mkdir m; echo 'X = 1' > m/__init__.py",
        "mkdir m; echo 'X = 2' > m/__init__.py",
        "rm link.py; ln -s two.py link.py",
        "echo 'Y = 1' > two.py",
        "echo 'Y = 3' > one.py",
        "rm link.py; echo 'Y = 2' > link.py",
        "git mv p q",
    ],
    branches: 7,
};

/// A generator and what it generates, rights, links, line ends and ignored leftovers, looked at by a script.
const SCRIPT: Kind = Kind {
    keep: &["out/", "*.cache"],
    test: "test ! -e gen.sh || sh ./gen.sh || exit 1; for f in *.need; do test ! -e \"$f\" || test -e \"$(cat $f)\" || exit 1; done; \
           test ! -e prog || ./prog || exit 1; ! grep -q bad text && test -e left.log; test ! -d d || test -z \"$(find d -name '*.bad')\"",
    files: &[
        (".gitignore", "out/\n*.log\n*.cache\n"),
        (
            "gen.sh",
            "mkdir -p out && echo x > out/made && echo x > left.log && echo x > a.cache\n",
        ),
        ("text", "good\n"),
        ("prog", "#!/bin/sh\nexit 0\n"),
        ("d/x", "x\n"),
    ],
    changes: &[
        "git rm -q gen.sh",
        "echo left.log > a.need; git rm -q gen.sh",
        "echo d/x > b.need",
        "git mv d e",
        "echo bad > text",
        "echo fine > text",
        "chmod -x prog",
        "printf '#!/bin/sh\\nexit 1\\n' > prog",
        "echo 'prog text eol=crlf' > .gitattributes",
        "rm text; ln -s d/x text",
        "echo x > d/x.bad",
        "echo 'echo x > d/y.log' >> gen.sh",
        "echo nothing > .gitignore",
    ],
    branches: 8,
};

/// A crate whose modules come, go and move.
const CARGO: Kind = Kind {
    keep: &["target/"],
    test: "cargo check --offline --quiet --tests",
    files: &[
        (".gitignore", "target/\nCargo.lock\n"),
        (
            "Cargo.toml",
            "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
        ),
        ("src/lib.rs", "pub mod a;\npub mod b;\n"),
        ("src/a.rs", "pub fn a() -> u8 { crate::b::b() }\n"),
        ("src/b.rs", "pub fn b() -> u8 { 1 }\n"),
        (
            "tests/t.rs",
            "#[test]\nfn t() { assert_eq!(x::a::a(), 1); }\n",
        ),
    ],
    changes: &[
        "git rm -q src/b.rs",
        "mkdir src/b; git mv src/b.rs src/b/mod.rs",
        "mkdir src/b; cp src/b.rs src/b/mod.rs",
        "echo 'pub fn b() -> u16 { 1 }' > src/b.rs",
        "echo 'pub fn c() {}' > src/c.rs; echo 'pub mod c;' >> src/lib.rs",
        "echo 'fn main() { x::c::c() }' > src/main.rs",
        "git rm -q tests/t.rs",
    ],
    branches: 5,
};

/// Makes a repository of a kind, and branches of it.
fn project(kind: &Kind, seed: u64) -> (TestRepo, Vec<String>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut repo = TestRepo::empty();
    for (path, text) in kind.files {
        repo = repo.write(path, text);
    }
    let sh = |repo: &TestRepo, script: &str| {
        let mut sh = repo.command("sh", repo.path());
        // What a branch cannot do it does not.
        sh.args(["-c", script]).output().unwrap();
    };
    sh(
        &repo,
        "test ! -e prog || chmod +x prog; test ! -e one.py || ln -s one.py link.py; test ! -e inc1 || ln -s inc1 inc",
    );
    let repo = repo.commit("base");
    let mut names = Vec::new();
    for number in 0..kind.branches {
        let name = format!("b{number}");
        // Some go on from the one before, so that what it changed is changed again.
        let from = match names.last() {
            Some(last) if random.u8(0..3) == 0 => String::clone(last),
            _ => String::from("main"),
        };
        repo.git(["switch", "-q", "-c", &name, &from]);
        for _ in 0..random.usize(1..3) {
            sh(&repo, kind.changes[random.usize(0..kind.changes.len())]);
        }
        repo.git(["add", "-A"]);
        repo.git(["commit", "-q", "--allow-empty", "-m", &name]);
        names.push(name);
    }
    repo.git(["switch", "-q", "--detach", "main"]);
    (repo, names)
}

/// Returns the branches that come in one at a time, each merge tested in a checkout of its own.
fn one_at_a_time(repo: &TestRepo, kind: &Kind, names: &[String]) -> Vec<String> {
    let dir = repo.outside().join("rival");
    let path = dir.to_str().unwrap();
    let mut accepted = Vec::new();
    let mut tip = repo.git(["rev-parse", "main"]);
    for name in names {
        let heads = [tip.as_str(), name.as_str()];
        if repo
            .try_git_in(repo.path(), ["merge-base", "--is-ancestor", name, &tip])
            .code()
            == 0
        {
            continue;
        }
        let tree = repo.try_git_in(
            repo.path(),
            [&["merge-tree", "--write-tree"][..], &heads].concat(),
        );
        if tree.code() != 0 {
            continue;
        }
        let stdout = tree.stdout();
        let tree = stdout.lines().next().unwrap();
        let args = ["commit-tree", "-p", &tip, "-p", name, "-m", name, tree];
        let commit = repo.git(args);
        repo.git(["worktree", "add", "-q", "--detach", path, &commit]);
        if passes(repo, kind, &dir) {
            accepted.push(name.clone());
            tip = commit;
        }
        repo.git(["worktree", "remove", "--force", "--force", path]);
    }
    accepted
}

fn passes(repo: &TestRepo, kind: &Kind, dir: &Path) -> bool {
    let mut sh = command(repo, dir);
    sh.args(["-c", kind.test]).stdout(Stdio::null());
    sh.stderr(Stdio::null()).status().unwrap().success()
}

fn command(repo: &TestRepo, dir: &Path) -> std::process::Command {
    let mut command = repo.command("sh", dir);
    for name in ["CARGO_HOME", "RUSTUP_HOME", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Assembles branches in worktrees that keep what the kind keeps; returns those that came in, and the report.
fn assembled(
    repo: &TestRepo,
    kind: &Kind,
    names: &[String],
    more: &[&str],
) -> (Vec<String>, serde_json::Value) {
    let mut args = vec!["assemble", "--json", "--onto", "main", "--jobs", "1"];
    args.extend(["--test", kind.test]);
    args.extend(kind.keep.iter().flat_map(|pattern| ["--keep", pattern]));
    args.extend(more);
    args.extend(names.iter().map(String::as_str));
    let mut orch = repo.orch_command(repo.path());
    for (name, value) in command(repo, repo.path()).get_envs() {
        if let Some(value) = value {
            orch.env(name, value);
        }
    }
    let output = orch.args(&args).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let landed = verdicts(&report)
        .iter()
        .filter_map(|row| Some(row.strip_suffix(": merged")?.to_owned()))
        .collect();
    (landed, report)
}

/// Compares what comes in, for a few seeds or many.
fn compare(kind: &Kind, few: u64) {
    for seed in seeds(few) {
        // Without a clean run at the end: what is compared is what warm worktrees say.
        let (repo, names) = project(kind, seed);
        let expected = one_at_a_time(&repo, kind, &names);
        let (landed, report) = assembled(&repo, kind, &names, &["--confirm", "never"]);
        assert_eq!(landed, expected, "seed {seed}: {report:#}");
        // A batch may let one branch mend another; what lands must pass.
        let (repo, names) = project(kind, seed);
        let (_, report) = assembled(&repo, kind, &names, &["--gate", "batch"]);
        let dir = repo.outside().join("rival");
        repo.git([
            "worktree",
            "add",
            "-q",
            "--detach",
            dir.to_str().unwrap(),
            "main",
        ]);
        assert!(passes(&repo, kind, &dir), "seed {seed}: {report:#}");
    }
}

#[test]
fn make_says_the_same() {
    compare(&MAKE, 1);
}

#[test]
fn python_says_the_same() {
    compare(&PYTHON, 1);
}

#[test]
fn scripts_say_the_same() {
    compare(&SCRIPT, 1);
}

#[test]
fn cargo_says_the_same() {
    compare(&CARGO, 1);
}
