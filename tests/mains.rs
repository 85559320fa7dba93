//! Where the main worktree is, and branches that are checked out somewhere: found by Git's own rules, brought along,
//! or refused.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::common::{Outcome, TestRepo, write_file};

const PLAN: &str = r#"
[run]
name = "demo"
test = "test -f README.md"
[[teams]]
id = 1
[[tasks]]
id = "a"
team = 1
title = "Change two files and add one"
scope = ["README.md", "d/a.txt", "z.txt"]
run = "mkdir d; echo a > d/a.txt; echo more >> README.md; echo new > z.txt"
"#;

/// A place in a repository of whatever kind.
struct At<'a> {
    world: &'a TestRepo,
    dir: PathBuf,
}

impl At<'_> {
    fn orch(&self, args: &[&str]) -> Outcome {
        self.world.orch_in(&self.dir, args)
    }

    fn git(&self, args: &[&str]) -> String {
        self.world.git_in(&self.dir, args)
    }

    fn there(&self, dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            ..*self
        }
    }

    /// Two commits in a repository that was begun here.
    fn begun(self) -> Self {
        write_file(&self.dir.join("README.md"), "# a project\n");
        write_file(&self.dir.join("z.txt"), "old\n");
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "first"]);
        self
    }

    /// All up to the approval.
    #[track_caller]
    fn worked(self) -> Self {
        self.orch(&["init", "--base", "main"]).ok();
        let plan = self.world.outside().join("plan.toml");
        write_file(&plan, PLAN);
        self.orch(&["plan", "apply", plan.to_str().unwrap()]).ok();
        self.orch(&["run", "--assemble", "--no-progress"]).ok();
        self
    }

    /// What was approved is in the files here, and nothing else is different.
    #[track_caller]
    fn has_followed(&self) {
        assert_eq!(self.git(&["status", "--porcelain"]), "");
        assert_eq!(
            self.git(&["rev-parse", "main"]),
            self.git(&["rev-parse", "orch/integration"])
        );
        let text = std::fs::read_to_string(self.dir.join("README.md")).unwrap();
        assert!(text.ends_with("more\n"), "{text}");
    }

    /// Nothing has moved here.
    #[track_caller]
    fn stands(&self) {
        assert_eq!(self.git(&["status", "--porcelain"]), "");
        assert_eq!(self.git(&["rev-list", "--count", "main"]), "1");
    }

    fn worktrees(&self) -> String {
        self.orch(&["worktree", "list", "--json"]).ok()
    }
}

/// A world without a repository that matters, and a place in it.
fn world(dir: &str) -> (TestRepo, PathBuf) {
    let world = TestRepo::empty_called("elsewhere");
    let dir = world.outside().join(dir);
    std::fs::create_dir_all(&dir).unwrap();
    (world, dir)
}

/// A repository whose Git directory lies elsewhere.
fn separate(world: &TestRepo, dir: PathBuf) -> At<'_> {
    let store = world.outside().join("store/x.git");
    std::fs::create_dir_all(store.parent().unwrap()).unwrap();
    let store = format!("--separate-git-dir={}", store.display());
    world.git_in(&dir, ["init", "-q", "-b", "main", &store]);
    At { world, dir }.begun()
}

/// Repositories one in another, as submodules: the directory of the innermost.
fn submodules(world: &TestRepo, names: &[&str]) -> PathBuf {
    let allow = ["-c", "protocol.file.allow=always"];
    let mut inner: Option<PathBuf> = None;
    for name in names {
        let dir = world.outside().join("from").join(name);
        std::fs::create_dir_all(&dir).unwrap();
        world.git_in(&dir, ["init", "-q", "-b", "main"]);
        let at = At { world, dir }.begun();
        if let Some(inner) = inner.replace(at.dir.clone()) {
            let from = inner.to_str().unwrap();
            at.git(&[&allow[..], &["submodule", "--quiet", "add", from, "sub"]].concat());
            at.git(&["commit", "-q", "-m", "submodule"]);
        }
    }
    let outer = world.outside().join("outer");
    let from = inner.unwrap();
    let clone = [
        "clone",
        "-q",
        "--recurse-submodules",
        from.to_str().unwrap(),
        outer.to_str().unwrap(),
    ];
    world.git_in(&world.outside(), [&allow[..], &clone].concat());
    let mut dir = outer;
    for _ in 1..names.len() {
        dir.push("sub");
    }
    world.git_in(&dir, ["checkout", "-q", "-B", "main"]);
    dir
}

#[test]
fn a_submodule_of_a_submodule() {
    let world = TestRepo::empty_called("elsewhere");
    let at = At {
        dir: submodules(&world, &["c", "b", "a"]),
        world: &world,
    };
    let at = at.worked();
    let beside = world.outside().join("outer.sub.sub.orch");
    assert!(beside.join("1.1").is_dir(), "{}", at.worktrees());
    assert_eq!(at.there(beside.join("1.1")).worktrees(), at.worktrees());
    // Nothing of it lies in the repositories around.
    let outer = at.there(world.outside().join("outer"));
    let ignored = outer.git(&["status", "--porcelain", "--ignored", "--ignore-submodules"]);
    assert_eq!(ignored, "");
    let feature = world.outside().join("feature");
    at.git(&[
        "worktree",
        "add",
        "-q",
        "-b",
        "feature",
        feature.to_str().unwrap(),
    ]);
    at.there(feature).orch(&["approve"]).ok();
    at.has_followed();
}

#[test]
fn a_git_directory_that_lies_elsewhere() {
    let (world, dir) = world("repo");
    let at = separate(&world, dir).worked();
    assert!(world.outside().join("repo.orch/1.1").is_dir());
    let feature = world.outside().join("feature");
    at.git(&[
        "worktree",
        "add",
        "-q",
        "-b",
        "feature",
        feature.to_str().unwrap(),
    ]);
    for dir in [&feature, &world.outside().join("repo.orch/1.1")] {
        assert_eq!(at.there(dir).worktrees(), at.worktrees());
    }
    at.there(feature).orch(&["approve"]).ok();
    at.has_followed();
}

#[test]
fn a_git_directory_that_lies_elsewhere_and_whose_worktree_was_moved() {
    let (world, dir) = world("repo");
    let at = separate(&world, dir).worked();
    let feature = world.outside().join("feature");
    at.git(&[
        "worktree",
        "add",
        "-q",
        "-b",
        "feature",
        feature.to_str().unwrap(),
    ]);
    let moved = world.outside().join("moved");
    std::fs::rename(&at.dir, &moved).unwrap();
    let (feature, moved) = (at.there(feature), at.there(moved));
    let said = feature.orch(&["approve"]).fails(1);
    assert!(
        said.contains("nothing says where the main worktree"),
        "{said}"
    );
    moved.stands();
    feature.orch(&["doctor"]).fails(1);
    // Any command there tells where it is.
    moved.orch(&["status"]).ok();
    feature.orch(&["approve"]).ok();
    moved.has_followed();
}

#[test]
fn a_git_directory_that_lies_elsewhere_is_not_set_up_from_where_its_worktree_is_unknown() {
    let (world, dir) = world("repo");
    let at = separate(&world, dir);
    let feature = world.outside().join("feature");
    at.git(&[
        "worktree",
        "add",
        "-q",
        "-b",
        "feature",
        feature.to_str().unwrap(),
    ]);
    let feature = at.there(feature);
    let said = feature.orch(&["init", "--base", "main"]).fails(1);
    assert!(said.contains("git orch init"), "{said}");
    at.orch(&["init"]).ok();
    feature.orch(&["init"]).ok();
}

#[test]
fn a_worktree_that_configuration_names() {
    let (world, dir) = world("files");
    let store = world.outside().join("store.git");
    world.git_in(
        &world.outside(),
        ["init", "-q", "-b", "main", "--bare", "store.git"],
    );
    for (key, value) in [("core.bare", "false"), ("core.worktree", "../files")] {
        world.git_in(&store, ["config", key, value]);
    }
    write_file(&dir.join("README.md"), "# a project\n");
    let at = At {
        world: &world,
        dir: store,
    };
    at.git(&["add", "-A", ":/"]);
    at.git(&["commit", "-q", "-m", "first"]);
    let at = at.worked();
    assert!(world.outside().join("files.orch/1.1").is_dir());
    let linked = at.there(world.outside().join("files.orch/1.1"));
    assert_eq!(linked.worktrees(), at.worktrees());
    at.orch(&["approve"]).ok();
    let text = std::fs::read_to_string(dir.join("README.md")).unwrap();
    assert!(text.ends_with("more\n"), "{text}");
    assert_eq!(at.git(&["status", "--porcelain"]), "");
}

/// A usual repository in which all is done but the approval.
fn usual(world: &TestRepo) -> At<'_> {
    let dir = world.path().to_path_buf();
    At { world, dir }.begun()
}

#[test]
fn a_checkout_that_is_declared_bare() {
    let world = TestRepo::empty();
    let at = usual(&world).worked();
    at.git(&["config", "core.bare", "true"]);
    at.git(&["branch", "other"]);
    let onto = [
        "assemble",
        "--onto",
        "other",
        "--test",
        "true",
        "orch/integration",
    ];
    for words in [&["approve"][..], &onto] {
        let said = at.orch(words).fails(1);
        assert!(said.contains("core.bare false"), "{words:?}: {said}");
    }
    let doctor = at.orch(&["doctor", "--json"]);
    assert_eq!(doctor.code(), 1);
    assert!(doctor.stdout().contains("main-worktree-unclear"));
    at.git(&["config", "core.bare", "false"]);
    at.stands();
    at.orch(&["approve"]).ok();
    at.has_followed();
}

#[test]
fn an_agent_that_declares_the_checkout_bare() {
    let world = TestRepo::empty();
    let at = usual(&world);
    at.orch(&["init", "--base", "main"]).ok();
    let plan = world.outside().join("plan.toml");
    write_file(
        &plan,
        &PLAN.replace("mkdir d;", "git config core.bare true; mkdir d;"),
    );
    at.orch(&["plan", "apply", plan.to_str().unwrap()]).ok();
    let outcome = at.orch(&["run", "--assemble", "--no-progress"]);
    assert_ne!(outcome.code(), 0, "{}", outcome.stderr());
    let said = format!("{}{}", outcome.stdout(), outcome.stderr());
    assert!(said.contains("core.bare"), "{said}");
    at.git(&["config", "core.bare", "false"]);
    at.stands();
}

#[test]
fn a_bare_repository_that_was_a_usual_one() {
    let world = TestRepo::empty();
    let at = usual(&world);
    // As people make it: the files go, the index stays.
    at.git(&["config", "core.bare", "true"]);
    for name in ["README.md", "z.txt"] {
        std::fs::remove_file(at.dir.join(name)).unwrap();
    }
    let tree = at.dir.join("tree");
    at.git(&["worktree", "add", "-q", tree.to_str().unwrap(), "main"]);
    let tree = at.there(tree).worked();
    tree.orch(&["approve"]).ok();
    tree.has_followed();
    tree.orch(&["doctor"]).ok();
}

#[test]
fn a_branch_that_is_checked_out_by_another_name() {
    let world = TestRepo::empty();
    let at = usual(&world);
    at.git(&["branch", "-m", "main", "trunk"]);
    at.git(&["symbolic-ref", "refs/heads/main", "refs/heads/trunk"]);
    // One worktree knows the one name and one the other; Git itself would let only one of them be.
    let second = world.outside().join("second");
    at.git(&[
        "worktree",
        "add",
        "-q",
        "--detach",
        second.to_str().unwrap(),
    ]);
    at.git(&["symbolic-ref", "HEAD", "refs/heads/main"]);
    let second = at.there(second);
    second.git(&["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    let at = at.worked();
    at.orch(&["approve"]).ok();
    at.has_followed();
    second.has_followed();
    assert_eq!(
        at.git(&["symbolic-ref", "refs/heads/main"]),
        "refs/heads/trunk"
    );
    assert_eq!(
        at.git(&["rev-parse", "trunk"]),
        at.git(&["rev-parse", "orch/integration"])
    );
}

#[test]
fn a_branch_that_is_checked_out_where_nobody_is() {
    let world = TestRepo::empty();
    let at = usual(&world).worked();
    at.git(&["switch", "-q", "-c", "mine"]);
    let (stick, away) = (world.outside().join("stick"), world.outside().join("away"));
    at.git(&["worktree", "add", "-q", stick.to_str().unwrap(), "main"]);
    std::fs::rename(&stick, &away).unwrap();
    let said = at.orch(&["approve"]).fails(1);
    assert!(said.contains("which is not there"), "{said}");
    std::fs::rename(&away, &stick).unwrap();
    at.there(&stick).stands();
    at.orch(&["approve"]).ok();
    at.there(&stick).has_followed();
}

#[test]
fn a_branch_that_a_rebase_of_another_one_will_move() {
    let world = TestRepo::empty();
    let at = usual(&world);
    at.git(&["switch", "-q", "-c", "mine"]);
    write_file(&at.dir.join("mine.txt"), "1\n");
    at.git(&["add", "-A"]);
    at.git(&["commit", "-q", "-m", "mine"]);
    at.git(&["branch", "between"]);
    let at = at.worked();
    let test = [
        "assemble",
        "--onto",
        "between",
        "--test",
        "true",
        "orch/integration",
    ];
    let editor = "sequence.editor=sed -i '1s/^pick/edit/'";
    at.git(&["commit", "-q", "--allow-empty", "-m", "on top"]);
    at.git(&[
        "-c",
        editor,
        "rebase",
        "-q",
        "-i",
        "--keep-empty",
        "--update-refs",
        "--root",
    ]);
    let before = at.git(&["rev-parse", "between"]);
    let said = at.orch(&test).fails(1);
    assert!(said.contains("a rebase of between is under way"), "{said}");
    assert_eq!(at.git(&["rev-parse", "between"]), before);
    at.git(&["rebase", "--abort"]);
    at.orch(&test).ok();
}

/// A filter of the user's that does not take one content of a file.
fn with_filter(at: &At<'_>, refused: &str) -> PathBuf {
    let script = at.world.outside().join("filter");
    write_file(
        &script,
        &format!("#!/bin/sh\nt=$(cat)\n[ \"$t\" != '{refused}' ] || exit 1\necho \"$t\"\n"),
    );
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    at.git(&["config", "filter.strict.smudge", script.to_str().unwrap()]);
    at.git(&["config", "filter.strict.clean", "cat"]);
    at.git(&["config", "filter.strict.required", "true"]);
    write_file(
        &at.dir.join(".git/info/attributes"),
        "z.txt filter=strict\n",
    );
    script
}

fn files(dir: &Path) -> Vec<Option<String>> {
    ["README.md", "d/a.txt", "z.txt"]
        .map(|name| std::fs::read_to_string(dir.join(name)).ok())
        .into()
}

#[test]
fn files_that_cannot_follow_leave_everything_as_it_was() {
    let world = TestRepo::empty();
    let at = usual(&world);
    let at = at.worked();
    let filter = with_filter(&at, "new");
    let before = files(&at.dir);
    let onto = [
        "assemble",
        "--onto",
        "main",
        "--no-test",
        "orch/integration",
    ];
    for words in [&["approve"][..], &onto] {
        let said = at.orch(words).fails(1);
        assert!(
            said.contains("main stays where it was"),
            "{words:?}: {said}"
        );
        assert_eq!(files(&at.dir), before, "{words:?}");
        at.stands();
        // There is nothing left to do.
        at.orch(&["doctor"]).ok();
    }
    write_file(&filter, "#!/bin/sh\ncat\n");
    at.orch(&["approve"]).ok();
    at.has_followed();
}
