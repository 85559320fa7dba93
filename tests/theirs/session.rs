//! A whole session of git-orch in a repository, with a look at the user's things after every command.

use std::cell::RefCell;
use std::path::PathBuf;

use crate::common::TestRepo;
use crate::common::print::{Print, look, same};

/// Two tasks: one adds a file, the next one changes one that is there.
const PLAN: &str = r#"
[run]
name = "demo"
test = "test -f README.md"
[[teams]]
id = 1
coders = 2
[[tasks]]
id = "a"
team = 1
title = "Add a file"
scope = ["a.txt"]
deliverables = ["a.txt"]
success = ["test -s a.txt"]
run = "echo a > a.txt"
[[tasks]]
id = "b"
team = 1
title = "Change a file"
after = ["a"]
scope = ["README.md"]
deliverables = ["README.md"]
success = ["test -s README.md"]
run = "echo 'by b' >> README.md"
"#;

/// A repository with a few files and two commits.
pub fn project() -> TestRepo {
    let repo = TestRepo::new();
    let repo = repo
        .write(".gitignore", "ignored/\n")
        .write("other.md", "other\n")
        .write("both.txt", "both\n");
    repo.commit("second")
}

/// A session that has come to what is to be approved.
pub struct Session {
    pub repo: TestRepo,
    others: Vec<PathBuf>,
    forced: bool,
    seen: RefCell<Print>,
}

impl Session {
    pub fn begin(repo: TestRepo) -> Self {
        Self {
            seen: RefCell::new(look(&repo, &[])),
            repo,
            others: Vec::new(),
            forced: false,
        }
    }

    /// Looks at other worktrees as well, which lie beside the repository.
    pub fn with(mut self, names: &[&str]) -> Self {
        self.others = names
            .iter()
            .map(|name| self.repo.outside().join(name))
            .collect();
        self.seen = RefCell::new(look(&self.repo, &self.others));
        self
    }

    /// Has the first agent commit its file although it is ignored.
    pub fn forced(mut self) -> Self {
        self.forced = true;
        self
    }

    /// Runs a command that changes nothing of the user's.
    #[track_caller]
    fn does(&self, code: i32, args: &[&str]) -> String {
        let outcome = self.repo.orch(args);
        let said = format!("{}{}", outcome.stdout(), outcome.stderr());
        assert_eq!(outcome.code(), code, "{args:?}: {said}");
        self.sees(args, |_| false);
        said
    }

    /// Looks again, and goes on from what is seen.
    #[track_caller]
    fn sees(&self, args: &[&str], allowed: impl Fn(&str) -> bool) {
        let now = look(&self.repo, &self.others);
        same(&self.seen.borrow(), &now, &args.join(" "), allowed);
        *self.seen.borrow_mut() = now;
    }

    /// Everything up to the approval.
    #[track_caller]
    fn work(&self) -> Vec<u8> {
        let config = std::fs::read(self.repo.path().join(".git/config")).unwrap();
        self.does(0, &["init", "--base", "main"]);
        let plan = self.repo.outside().join("plan.toml");
        let text = match self.forced {
            true => PLAN.replace("echo a > a.txt", "echo a > a.txt; git add -f a.txt"),
            false => PLAN.to_owned(),
        };
        std::fs::write(&plan, text).unwrap();
        self.does(0, &["plan", "apply", plan.to_str().unwrap()]);
        self.does(0, &["run", "--assemble", "--no-progress"]);
        self.does(0, &["status"]);
        self.does(0, &["radar", "--onto", "main", "orch/integration"]);
        self.does(0, &["undo", "-m", "not like this"]);
        self.does(0, &["run", "--assemble", "--no-progress"]);
        self.does(0, &["test", "--again"]);
        self.does(0, &["recover", "list"]);
        self.does(0, &["worktree", "list"]);
        self.does(0, &["doctor", "--fix"]);
        self.does(0, &["wrapup", "--fix"]);
        config
    }

    /// The approval moves the base branch, the files of whoever has it checked out follow, and that is all.
    #[track_caller]
    pub fn is_approved(&self) {
        let config = self.work();
        let (base, tip) = (self.rev("main"), self.rev("orch/integration"));
        let outcome = self.repo.orch(["approve"]);
        assert_eq!(outcome.code(), 0, "{}", outcome.stderr());
        assert_ne!(self.rev("main"), base);
        assert_eq!(self.rev("main"), tip);
        let on_base = self.repo.git(["branch", "--show-current"]) == "main";
        let landed = ["a.txt", "README.md"];
        self.sees(&["approve"], |key| {
            let moved = ["ref refs/heads/main", "reflog refs/heads/main"].contains(&key);
            let followed = key == "reflog HEAD"
                || landed.iter().any(|path| {
                    key == format!("repo: file {path}") || key == format!("repo: index {path} 0")
                });
            moved || on_base && followed
        });
        self.end(&config);
    }

    /// The base branch has moved since, so that the approval merges what was assembled into it; the rest is the same.
    #[track_caller]
    pub fn is_approved_over(&self, move_base: impl FnOnce(&TestRepo)) {
        let config = self.work();
        move_base(&self.repo);
        let base = self.rev("main");
        *self.seen.borrow_mut() = look(&self.repo, &self.others);
        let outcome = self.repo.orch(["approve"]);
        assert_eq!(outcome.code(), 0, "{}", outcome.stderr());
        assert_eq!(self.rev("main^1"), base);
        self.sees(&["approve"], |key| {
            let landed = ["a.txt", "README.md"].iter().any(|path| {
                key == format!("repo: file {path}") || key == format!("repo: index {path} 0")
            });
            let moved = [
                "ref refs/heads/main",
                "reflog refs/heads/main",
                "reflog HEAD",
            ];
            landed || moved.contains(&key)
        });
        self.end(&config);
    }

    /// The approval is refused and nothing at all has moved; the work stays for later.
    #[track_caller]
    pub fn is_refused(&self, why: &str) {
        let config = self.work();
        let (base, tip) = (self.rev("main"), self.rev("orch/integration"));
        let said = self.does(1, &["approve"]);
        assert!(said.contains(why), "{said}");
        assert_eq!(
            (self.rev("main"), self.rev("orch/integration")),
            (base, tip.clone())
        );
        // Again is the same: nothing half done was left behind.
        self.does(1, &["approve"]);
        // What is not in stays, too, until it is somewhere.
        let said = self.does(1, &["init", "--undo"]);
        assert!(said.contains("work would be lost"), "{said}");
        self.repo.git(["update-ref", "refs/tags/kept", &tip]);
        self.sees(&[], |key| key == "ref refs/tags/kept");
        self.end(&config);
    }

    #[track_caller]
    fn end(&self, config: &[u8]) {
        let path = self.repo.path();
        let before = std::fs::read(path.join(".git/info/exclude")).unwrap_or_default();
        self.does(0, &["worktree", "remove", "1.1", "--force"]);
        self.does(0, &["recover", "prune", "undo/1"]);
        self.does(0, &["init", "--undo"]);
        assert_eq!(std::fs::read(path.join(".git/config")).unwrap(), config);
        let after = std::fs::read(path.join(".git/info/exclude")).unwrap_or_default();
        assert_ne!(before, after, "our block is gone");
        let left = self
            .repo
            .git(["for-each-ref", "refs/orch", "refs/heads/orch"]);
        assert_eq!(left, "");
        assert!(!path.join(".git/orch").exists());
        self.repo.git(["fsck", "--no-dangling"]);
    }

    fn rev(&self, name: &str) -> String {
        self.repo.git(["rev-parse", name])
    }
}
