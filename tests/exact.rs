//! A reused worktree and a new one hold the same, whatever anybody did to the reused one.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use git_orch::git::exact::{Exact, Owner};
use git_orch::model::keep::Keep;

use super::common::site::oid;
use super::common::{TestRepo, seeds, write_file};

/// A repository, and a worktree of it that is brought from commit to commit.
struct Tried {
    repo: TestRepo,
    exact: Exact,
}

/// What there is at a path: kind and rights, and content or target.
type Held = BTreeMap<PathBuf, (u32, Vec<u8>)>;

impl Tried {
    fn new(repo: TestRepo) -> Self {
        let dir = repo.outside().join("tried");
        let git_dir = repo.path().join(".git/worktrees/tried");
        let exact = Exact {
            dir: dir.clone(),
            git_dir,
            notes: repo.outside().join("notes"),
            owner: Owner::Worktree,
        };
        repo.git(["worktree", "add", "-q", "--detach", dir.to_str().unwrap()]);
        Self { repo, exact }
    }

    /// Brings the worktree to a revision, keeping what patterns say; returns whether anything was kept.
    fn bring(&self, revision: &str, keep: &[&str]) -> bool {
        let commit = oid(&self.repo.git(["rev-parse", revision]));
        let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
        // What the assembler writes before as well.
        let link = format!("gitdir: {}\n", self.exact.git_dir.display());
        let _ = std::fs::remove_dir_all(self.exact.dir.join(".git"));
        write_file(&self.exact.dir.join(".git"), &link);
        let brought = self.exact.bring(commit, &Keep::new(&keep), &|_| false);
        let brought = brought.unwrap_or_else(|error| panic!("{error:#}"));
        self.exact.settle().unwrap();
        brought.has_kept
    }

    /// Runs a script there, as a test would.
    fn run(&self, script: &str) {
        let mut sh = self.repo.command("sh", &self.exact.dir);
        let output = sh.args(["-c", script]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {stderr}");
        self.exact.note_end();
    }

    /// Fails unless the worktree holds what a new one would.
    #[track_caller]
    fn is_as_new(&self, what: &str) {
        let rival = self.repo.outside().join("rival");
        let path = rival.to_str().unwrap();
        let head = self.repo.git_in(&self.exact.dir, ["rev-parse", "HEAD"]);
        self.repo
            .git(["worktree", "add", "-q", "--detach", path, &head]);
        assert_eq!(held(&self.exact.dir), held(&rival), "{what}");
        for args in [
            &["status", "--porcelain", "--ignored"][..],
            &["ls-files", "-v"],
            &["diff-files"],
            &["config", "--get-regexp", "core\\.sparse.*|core\\.filemode"],
        ] {
            let of = |dir: &Path| self.repo.try_git_in(dir, args).stdout();
            assert_eq!(of(&self.exact.dir), of(&rival), "{what}: {args:?}");
        }
        self.repo.git(["worktree", "remove", "--force", path]);
    }
}

fn held(top: &Path) -> Held {
    let (mut held, mut dirs) = (Held::new(), vec![top.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if entry.file_name() == ".git" {
                continue;
            }
            let (path, meta) = (entry.path(), entry.metadata().unwrap());
            let content = if meta.is_dir() {
                dirs.push(path.clone());
                Vec::new()
            } else if meta.is_symlink() {
                let target = std::fs::read_link(&path).unwrap();
                target.into_os_string().into_encoded_bytes()
            } else {
                std::fs::read(&path).unwrap()
            };
            let inside = path.strip_prefix(top).unwrap().to_owned();
            held.insert(inside, (meta.mode(), content));
        }
    }
    held
}

/// What a hostile or careless test may do in its worktree; each leaves the next one a lie.
const DEEDS: &[&str] = &[
    "for f in *.txt; do t=$(stat -c %y $f); tr a-z b-za < $f > $f.new; cat $f.new > $f; rm $f.new; touch -d \"$t\" $f; done",
    "git ls-files -z | xargs -0 git update-index --assume-unchanged; echo lie > a.txt",
    "git ls-files -z | xargs -0 git update-index --skip-worktree; rm -f a.txt b.txt",
    "git sparse-checkout set --no-cone /a.txt >/dev/null 2>&1",
    "git config extensions.worktreeConfig true; git config --worktree core.fileMode false; git config --worktree core.autocrlf true; chmod +x *.txt",
    "git config --worktree core.sparseCheckout true; mkdir -p \"$(git rev-parse --git-path info)\"; echo /nothing > \"$(git rev-parse --git-path info/sparse-checkout)\"",
    "rm -rf dir; ln -s / dir",
    "rm -rf dir; echo file > dir",
    "rm -f a.txt; mkdir a.txt; echo x > a.txt/x",
    "chmod 400 *.txt; chmod 500 dir; chmod 700 .",
    "mkdir -p cache/deep; echo x > cache/deep/x; echo x > x.log; echo x > untracked; ln -s untracked link2",
    "git init -q nested; (cd nested; git -c user.name=x -c user.email=x@x commit -q --allow-empty -m x); git init -q dir 2>/dev/null",
    "git rm -rq --cached .; echo x > staged; git add staged",
    "touch \"$(git rev-parse --git-dir)/index.lock\" \"$(git rev-parse --git-dir)/MERGE_HEAD\"",
    "rm -rf .git; git init -q; git add -A",
    "git checkout -q --orphan x; git -c user.name=x -c user.email=x@x commit -qm x",
    "git update-index --split-index; git update-index --untracked-cache --force-untracked-cache; git add -N untracked 2>/dev/null; true",
    "find . -name '*.txt' -exec rm {} +; find . -type d -empty -delete",
    "true",
];

/// What a commit may change; all texts are of one length.
const CHANGES: &[&str] = &[
    "echo bbbb > a.txt",
    "echo cccc > a.txt; echo dddd > dir/c.txt",
    "git rm -rq dir",
    "mkdir -p dir/sub; echo eeee > dir/sub/d.txt; echo ffff > dir/c.txt",
    "git mv -f a.txt b.txt; echo gggg > a.txt",
    "mkdir -p dir; git mv -k dir moved",
    "git rm -rq --ignore-unmatch moved",
    "chmod +x a.txt",
    "chmod -x a.txt",
    "rm -rf link; ln -s a.txt link",
    "rm -rf link; ln -s dir link",
    "rm -rf link; echo hhhh > link",
    "rm -rf link; mkdir link; echo iiii > link/in.txt",
    "echo '*.txt text eol=crlf' > .gitattributes",
    "mkdir -p dir; echo '*.txt ident' > dir/.gitattributes; echo '$Id$' > dir/id.txt",
    "echo '*.txt working-tree-encoding=UTF-16LE' > .gitattributes",
    "echo '*.txt filter=shout' > .gitattributes",
    "git rm -q --ignore-unmatch .gitattributes dir/.gitattributes",
    "printf '*.log\\ncache/\\n' > .gitignore",
    "printf 'nothing\\n' > .gitignore",
];

fn history(seed: u64, random: &mut fastrand::Rng) -> (TestRepo, Vec<String>) {
    let repo = TestRepo::empty()
        .write("a.txt", "aaaa\n")
        .write("b.txt", "aaaa\n")
        .write("dir/c.txt", "aaaa\n")
        .write(".gitignore", "*.log\ncache/\n")
        .commit("first");
    repo.git(["config", "filter.shout.smudge", "tr a-z A-Z"]);
    repo.git(["config", "filter.shout.clean", "tr A-Z a-z"]);
    let mut commits = vec![repo.git(["rev-parse", "HEAD"])];
    for number in 0..8 {
        for _ in 0..random.usize(1..4) {
            let change = CHANGES[random.usize(0..CHANGES.len())];
            let mut sh = repo.command("sh", repo.path());
            sh.args(["-c", change]).output().unwrap();
        }
        let message = format!("{seed} {number}");
        // Not every text can be had in every encoding.
        if repo.try_git_in(repo.path(), ["add", "-A"]).code() != 0 {
            repo.git(["reset", "-q", "--hard"]);
        }
        repo.git(["commit", "-q", "--allow-empty", "-m", &message]);
        commits.push(repo.git(["rev-parse", "HEAD"]));
    }
    repo.git(["checkout", "-q", "--detach", &commits[0]]);
    (repo, commits)
}

#[test]
fn a_reused_worktree_holds_what_a_new_one_would() {
    for seed in seeds(2) {
        let mut random = fastrand::Rng::with_seed(seed);
        let (repo, commits) = history(seed, &mut random);
        let tried = Tried::new(repo);
        for step in 0..10 {
            let commit = &commits[random.usize(0..commits.len())];
            let deed = DEEDS[random.usize(0..DEEDS.len())];
            assert!(!tried.bring(commit, &[]));
            tried.is_as_new(&format!("seed {seed}, step {step}, {commit}"));
            if random.bool() {
                let mut sh = tried.repo.command("sh", &tried.exact.dir);
                // What fails half-way is as good.
                sh.args(["-c", deed]).output().unwrap();
                tried.exact.note_end();
            }
            if random.u8(0..8) == 0 {
                let value = ["true", "input", "false"][random.usize(0..3)];
                tried.repo.git(["config", "core.autocrlf", value]);
            }
        }
    }
}

#[test]
fn every_single_deed_is_undone() {
    let mut random = fastrand::Rng::with_seed(0);
    let (repo, commits) = history(0, &mut random);
    let tried = Tried::new(repo);
    for deed in DEEDS {
        tried.bring(&commits[0], &[]);
        let mut sh = tried.repo.command("sh", &tried.exact.dir);
        sh.args(["-c", deed]).output().unwrap();
        tried.bring(&commits[0], &[]);
        tried.is_as_new(deed);
    }
}

fn modified(path: &Path) -> SystemTime {
    path.metadata().unwrap().modified().unwrap()
}

fn second(path: &Path) -> i64 {
    path.metadata().unwrap().mtime()
}

/// A repository with a kept directory in its worktree, made from the first commit.
fn with_cache() -> Tried {
    let repo = TestRepo::new()
        .write("src/a", "1\n")
        .write("src/b", "1\n")
        .write("src/sub/c", "1\n")
        .write("lib1/x", "1\n")
        .write("lib2/x", "2\n")
        .write(".gitignore", "cache/\n")
        .commit("first");
    let tried = Tried::new(repo);
    assert!(!tried.bring("HEAD", &["cache/"]));
    tried.run("mkdir cache; echo x > cache/made");
    tried
}

#[test]
fn what_is_kept_is_what_the_plan_names_and_git_ignores() {
    let tried = with_cache();
    tried.run(
        "mkdir src/cache gone gone/cache other; touch src/cache/x gone/cache/x other/x cache/y",
    );
    assert!(tried.bring("HEAD", &["cache/"]));
    let is_there = |path: &str| tried.exact.dir.join(path).exists();
    assert!(is_there("cache/made") && is_there("src/cache/x"));
    assert!(!is_there("gone") && !is_there("other"));
    // What git does not ignore any more is not kept.
    let repo = &tried.repo;
    write_file(&repo.path().join(".gitignore"), "cache/made\n");
    repo.git(["commit", "-qam", "less"]);
    assert!(tried.bring("HEAD", &["cache/"]));
    assert!(is_there("cache/made") && !is_there("cache/y") && !is_there("src/cache"));
    assert!(!tried.bring("HEAD", &[]));
    assert!(!is_there("cache"));
}

#[test]
fn what_changes_is_newer_by_a_whole_second_than_what_was_made() {
    let tried = with_cache();
    let (made, a) = (
        tried.exact.dir.join("cache/made"),
        tried.exact.dir.join("src/a"),
    );
    let b = modified(&tried.exact.dir.join("src/b"));
    let repo = &tried.repo;
    write_file(&repo.path().join("src/a"), "2\n");
    repo.git(["commit", "-qam", "change"]);
    tried.bring("HEAD", &["cache/"]);
    assert!(second(&a) > second(&made));
    assert_eq!(
        modified(&tried.exact.dir.join("src/b")),
        b,
        "it did not change"
    );
    // Back again it is another one once more.
    tried.run("echo x > cache/made");
    tried.bring("HEAD~1", &["cache/"]);
    assert!(second(&a) > second(&made));
}

#[test]
fn what_is_beside_a_file_that_came_or_went_counts_as_changed() {
    let tried = with_cache();
    let time = |path: &str| modified(&tried.exact.dir.join(path));
    let before = ["src/a", "src/b", "src/sub/c", "README.md"].map(time);
    let repo = &tried.repo;
    repo.git(["rm", "-q", "src/b"]);
    repo.git(["commit", "-qm", "gone"]);
    tried.bring("HEAD", &["cache/"]);
    assert!(time("src/a") > before[0]);
    assert_eq!(
        [time("src/sub/c"), time("README.md")],
        [before[2], before[3]]
    );
    // A directory that goes is missed in the one above.
    repo.git(["rm", "-rq", "src/sub"]);
    repo.git(["commit", "-qm", "gone as well"]);
    let a = time("src/a");
    tried.run("true");
    tried.bring("HEAD", &["cache/"]);
    assert!(time("src/a") > a);
    assert_eq!(time("README.md"), before[3]);
}

#[test]
fn what_is_behind_a_link_that_changed_counts_as_changed() {
    let repo = with_cache().repo;
    std::os::unix::fs::symlink("lib1", repo.path().join("lib")).unwrap();
    repo.git(["add", "lib"]);
    repo.git(["commit", "-qm", "link"]);
    std::fs::remove_file(repo.path().join("lib")).unwrap();
    std::os::unix::fs::symlink("lib2", repo.path().join("lib")).unwrap();
    repo.git(["commit", "-qam", "other"]);
    repo.git(["worktree", "remove", "--force", "../tried"]);
    let tried = Tried::new(repo);
    tried.bring("HEAD~1", &["cache/"]);
    tried.run("mkdir cache; echo x > cache/made");
    let made = tried.exact.dir.join("cache/made");
    tried.bring("HEAD", &["cache/"]);
    assert!(second(&tried.exact.dir.join("lib/x")) > second(&made));
    assert_eq!(
        std::fs::read(tried.exact.dir.join("lib/x")).unwrap(),
        b"2\n"
    );
}

#[test]
fn without_anything_kept_all_times_are_todays() {
    let tried = with_cache();
    let time = |path: &str| modified(&tried.exact.dir.join(path));
    let before = time("src/b");
    let old = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(tried.exact.dir.join("src/a"), old).unwrap();
    tried.bring("HEAD", &[]);
    assert!(time("src/b") > before);
    let diff = tried.repo.git_in(&tried.exact.dir, ["diff-files"]);
    assert_eq!(diff, "", "the index knows");
}
