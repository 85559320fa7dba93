//! Hooks in coders' worktrees: ours check, the ones that were there still run.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use git_orch::git::Repo;
use git_orch::model::Attempt;
use git_orch::workspace::{self, Assignment};

use crate::common::{TestRepo, write_file};

/// A repository with hooks in place, and coder 1.2 in a worktree of its own on task `auth`.
struct Coder {
    repo: TestRepo,
    dir: PathBuf,
}

impl Coder {
    fn new(scope: &[&str]) -> Self {
        Self::in_repo(TestRepo::new(), scope)
    }

    fn in_repo(repo: TestRepo, scope: &[&str]) -> Self {
        let repo = repo.init();
        let handle = Repo::discover(repo.path()).unwrap();
        let assignment = Assignment {
            agent: "1.2".parse().unwrap(),
            task: "auth".parse().unwrap(),
            attempt: Attempt(2),
            branch: String::from("orch/team-1/auth"),
            base: handle.resolve_commit("main").unwrap(),
            run: String::from("billing"),
        };
        let dir = workspace::prepare(&handle, &assignment).unwrap();
        let orch = repo.path().join(".git/orch");
        write_file(
            &orch.join("worktrees/1.2.task.toml"),
            &format!("id = \"auth\"\nteam = 1\ntitle = \"x\"\nscope = {scope:?}\n"),
        );
        Self { repo, dir }
    }

    fn write(&self, path: &str, text: &str) -> &Self {
        write_file(&self.dir.join(path), text);
        self.git(&["add", "-f", path]);
        self
    }

    #[track_caller]
    fn git(&self, args: &[&str]) -> String {
        self.repo.try_git_in(&self.dir, args).ok()
    }

    #[track_caller]
    fn refused(&self, args: &[&str]) -> String {
        let outcome = self.repo.try_git_in(&self.dir, args);
        assert_ne!(
            outcome.code(),
            0,
            "{args:?} went through: {}",
            outcome.stderr()
        );
        outcome.stderr()
    }

    fn message(&self) -> String {
        self.git(&["log", "-1", "--format=%B"])
            .trim_end()
            .to_owned()
    }
}

/// Writes a hook that can be run.
fn hook(dir: &Path, name: &str, script: &str) {
    let path = dir.join(name);
    write_file(&path, &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

const STAMPED: &str = "[TEAM-1] [AGENT-1.2] Add a table\n\n\
     Orch-Task: auth\nOrch-Agent: 1.2\nOrch-Attempt: 2\nOrch-Run: billing";

#[test]
fn a_commit_gets_tags_and_trailers_once() {
    let coder = Coder::new(&["src"]);
    coder
        .write("src/a", "1")
        .git(&["commit", "-q", "-m", "Add a table"]);
    assert_eq!(coder.message(), STAMPED);
    coder
        .write("src/a", "2")
        .git(&["commit", "-q", "--amend", "--no-edit"]);
    assert_eq!(coder.message(), STAMPED);
    let told = coder.git(&["log", "-1", "--format=%(trailers:key=Orch-Task,valueonly)"]);
    assert_eq!(told.trim(), "auth");
    let found = coder
        .repo
        .git(["log", "--all", "--grep=\\[AGENT-1.2\\] Add", "--format=%an"]);
    assert_eq!(
        found, "Test",
        "the identity of the environment beats the worktree's"
    );
}

#[test]
fn tags_and_trailers_are_put_in_with_no_verify_too() {
    let coder = Coder::new(&["src"]);
    coder
        .write("src/a", "1")
        .git(&["commit", "-q", "--no-verify", "-m", "Add a table"]);
    assert_eq!(coder.message(), STAMPED);
}

#[test]
fn messages_of_all_sources_are_stamped() {
    let coder = Coder::new(&[]);
    let editor = |script: &str| format!("core.editor=sh -c '{script}' -");
    // An editor with the diff below the scissors; the text is written in front of all comments.
    coder.write("a", "1");
    let write = editor("test -s \"$1\" && sed -i \"1s/$/Add a table/\" \"$1\"");
    coder.git(&["-c", &write, "commit", "-q", "-v"]);
    assert_eq!(coder.message(), STAMPED);
    // Nothing written: refused, since tags alone say nothing.
    coder.write("a", "2");
    let error = coder.refused(&["-c", &editor("true"), "commit", "-q"]);
    assert!(error.contains("says nothing behind its tags"), "{error}");
    // A template with a comment character of one's own.
    write_file(&coder.repo.outside().join("template"), "\n; what and why\n");
    let template = coder.repo.outside().join("template");
    let write = editor("sed -i \"1s/$/Add a table/\" \"$1\"");
    let args = [
        "-c",
        "core.commentChar=;",
        "-c",
        &write,
        "commit",
        "-q",
        "-t",
    ];
    coder.git(&[&args[..], &[template.to_str().unwrap()]].concat());
    assert_eq!(coder.message(), STAMPED);
    // Without an editor a line that looks like a comment is the subject.
    coder
        .write("a", "3")
        .git(&["commit", "-q", "-m", "#7 is done"]);
    assert!(
        coder
            .message()
            .starts_with("[TEAM-1] [AGENT-1.2] #7 is done\n\nOrch-Task")
    );
    // A merge, and a squash.
    coder.git(&["switch", "-q", "--detach", "HEAD~1"]);
    coder.write("b", "1").git(&["commit", "-q", "-m", "side"]);
    let side = coder.git(&["rev-parse", "HEAD"]);
    coder.git(&["switch", "-q", "orch/team-1/auth"]);
    coder.git(&["merge", "-q", "--no-edit", side.trim()]);
    assert!(
        coder
            .message()
            .starts_with("[TEAM-1] [AGENT-1.2] Merge commit")
    );
    assert!(coder.message().contains("\n\nOrch-Task: auth\n"));
    coder.git(&["reset", "-q", "--hard", "HEAD~1"]);
    coder.git(&["merge", "-q", "--squash", side.trim()]);
    coder.git(&["commit", "-q", "--no-edit"]);
    assert!(
        coder
            .message()
            .starts_with("[TEAM-1] [AGENT-1.2] Squashed commit"),
        "{}",
        coder.message()
    );
    assert!(coder.message().ends_with("Orch-Run: billing"));
    // A fix-up keeps the word that autosquash looks for.
    coder.write("b", "2").git(&["commit", "-q", "--fixup=HEAD"]);
    assert!(
        coder
            .message()
            .starts_with("fixup! [TEAM-1] [AGENT-1.2] Squashed")
    );
}

#[test]
fn a_rebase_keeps_tags_and_trailers_as_they_are() {
    let coder = Coder::new(&[]);
    coder
        .repo
        .git(["commit", "-q", "--allow-empty", "-m", "theirs"]);
    coder
        .write("a", "1")
        .git(&["commit", "-q", "-m", "Add a table"]);
    coder.write("a", "2").git(&["commit", "-q", "--fixup=HEAD"]);
    coder
        .write("a", "3")
        .git(&["commit", "-q", "--squash=HEAD~1", "-m", "and more"]);
    // As agents do it: no editor at all.
    let mut git = coder.repo.command("git", &coder.dir);
    git.env("GIT_EDITOR", ":").env("GIT_SEQUENCE_EDITOR", ":");
    let output = git
        .args(["rebase", "-q", "-i", "--autosquash", "main"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        coder.git(&["rev-list", "--count", "main..HEAD"]).trim(),
        "1"
    );
    let message = coder.message();
    assert!(
        message.starts_with("[TEAM-1] [AGENT-1.2] Add a table\n\n"),
        "{message}"
    );
    assert!(message.ends_with("Orch-Run: billing"), "{message}");
    assert!(!message.contains('#'), "{message}");
    let told = coder.git(&["log", "-1", "--format=%(trailers:key=Orch-Task,valueonly)"]);
    assert_eq!(told.trim(), "auth", "{message}");
    // A commit picked from another task's branch becomes this task's.
    coder.repo.git(["switch", "-q", "--detach"]);
    write_file(&coder.repo.path().join("b"), "1");
    coder.repo.git(["add", "-A"]);
    let foreign = "[TEAM-2] [AGENT-2.1] x\n\nOrch-Task: other\nOrch-Agent: 2.1\n";
    coder.repo.git(["commit", "-q", "-m", foreign]);
    coder.git(&["cherry-pick", &coder.repo.git(["rev-parse", "HEAD"])]);
    assert_eq!(coder.message(), STAMPED.replace("Add a table", "x"));
}

#[test]
fn commit_msg_insists_on_what_an_editor_took_out() {
    let coder = Coder::new(&[]);
    coder.write("a", "1");
    let rewrite = |text: &str| format!("core.editor=sh -c 'printf \"{text}\" >\"$1\"' -");
    let error = coder.refused(&["-c", &rewrite("mine\\n"), "commit", "-q"]);
    assert!(
        error.contains("must begin with `[TEAM-1] [AGENT-1.2]`"),
        "{error}"
    );
    let bare = rewrite("[TEAM-1] [AGENT-1.2] x\\n");
    let error = coder.refused(&["-c", &bare, "commit", "-q"]);
    assert!(
        error.contains("lacks the trailer `Orch-Task: auth`"),
        "{error}"
    );
    assert!(error.contains("hint: git commit -m"), "{error}");
}

#[test]
fn pre_commit_keeps_to_the_scope() {
    let coder = Coder::new(&["src/auth/**", "docs/*.md"]);
    coder
        .write("src/auth/deep/a b.rs", "1")
        .write("docs/x.md", "1");
    coder.git(&["commit", "-q", "-m", "inside"]);
    coder
        .write("src/auth/b.rs", "1")
        .write("src/author.rs", "1");
    let error = coder.refused(&["commit", "-q", "-m", "outside"]);
    assert!(error.contains("changes src/author.rs\n"), "{error}");
    assert!(
        error.contains("hint: git restore --staged -- 'src/author.rs'"),
        "{error}"
    );
    // Only what is committed counts, not what is staged beside it.
    coder.git(&["commit", "-q", "-m", "part", "src/auth/b.rs"]);
    coder.git(&["reset", "-q"]);
    coder.git(&["mv", "-f", "src/auth/b.rs", "b.rs"]);
    let error = coder.refused(&["commit", "-q", "-m", "moved out"]);
    assert!(error.contains("changes b.rs\n"), "{error}");
}

#[test]
fn pre_commit_keeps_the_view_of_the_ledger_out() {
    let coder = Coder::new(&[]);
    coder.write(".orchestration/task.toml", "x");
    let error = coder.refused(&["commit", "-q", "-m", "x"]);
    assert!(error.contains(".orchestration/task.toml"), "{error}");
}

#[test]
fn a_merge_of_other_peoples_work_is_no_change_of_the_agents() {
    let coder = Coder::new(&["src"]);
    let base = coder.git(&["rev-parse", "HEAD"]);
    let repo = &coder.repo;
    write_file(&repo.path().join("elsewhere"), "theirs");
    write_file(&repo.path().join("src/a"), "theirs");
    repo.git(["add", "-A"]);
    repo.git(["commit", "-q", "-m", "theirs"]);
    coder
        .write("src/a", "ours")
        .git(&["commit", "-q", "-m", "ours"]);
    let _ = coder.refused(&["merge", "-q", "main"]);
    coder
        .write("src/a", "both")
        .git(&["commit", "-q", "--no-edit"]);
    assert_ne!(coder.git(&["rev-parse", "HEAD~1"]), base);
    assert_eq!(read(coder.dir.join("elsewhere")), "theirs");
}

#[test]
fn an_agent_moves_its_own_branch_only() {
    let coder = Coder::new(&[]);
    let head = coder.git(&["rev-parse", "HEAD"]);
    let head = head.trim();
    for args in [
        vec!["branch", "mine"],
        vec!["branch", "-f", "main", "HEAD"],
        vec!["update-ref", "refs/heads/orchestration", head],
        vec!["update-ref", "-d", "refs/heads/orch/team-1/auth"],
        vec!["update-ref", "refs/orch/lease/x", head],
        vec![
            "update-ref",
            "--no-deref",
            "refs/heads/orch/integration",
            head,
        ],
    ] {
        if args == ["branch", "-f", "main", "HEAD"] {
            // Git itself keeps a branch that is checked out; give it a reason of ours to refuse.
            coder.repo.git(["switch", "-q", "--detach"]);
            coder
                .write("f", "1")
                .git(&["commit", "-q", "-m", "forward"]);
        }
        let before = coder.repo.git(["for-each-ref"]);
        let error = coder.refused(&args);
        assert!(error.contains("agent 1.2 must not"), "{args:?}: {error}");
        assert!(
            error.contains("hint: git switch orch/team-1/auth"),
            "{error}"
        );
        assert_eq!(coder.repo.git(["for-each-ref"]), before, "{args:?}");
    }
    coder.git(&["update-ref", "refs/orch/recovery/1.2/x", head]);
    // What is kept stays what it is.
    let first = coder.repo.git(["rev-list", "--max-parents=0", "HEAD"]);
    coder.refused(&[
        "update-ref",
        "refs/orch/recovery/1.2/x",
        &format!("{first}^{{tree}}"),
    ]);
    coder.refused(&["update-ref", "-d", "refs/orch/recovery/1.2/x"]);
    coder.git(&["tag", "mine"]);
    let error = coder.refused(&["tag", "-d", "mine"]);
    assert!(error.contains("must not delete refs/tags/mine"), "{error}");
    // The stash is everybody's.
    write_file(&coder.repo.path().join("README.md"), "changed");
    coder.repo.git(["stash", "-q"]);
    let stash = coder.repo.git(["stash", "list"]);
    let error = coder.refused(&["stash", "clear"]);
    assert!(error.contains("must not clear the stash"), "{error}");
    assert_eq!(coder.repo.git(["stash", "list"]), stash);
    coder.repo.git(["stash", "clear"]);
    // People are not held back anywhere else.
    coder.repo.git(["branch", "theirs"]);
    coder.repo.git(["tag", "-d", "mine"]);
}

#[test]
fn between_tasks_an_agent_commits_nothing() {
    let coder = Coder::new(&[]);
    let handle = Repo::discover(coder.repo.path()).unwrap();
    workspace::park(&handle, "1.2".parse().unwrap()).unwrap();
    coder.write("a", "1");
    let error = coder.refused(&["commit", "-q", "-m", "x"]);
    assert!(error.contains("works on no task"), "{error}");
    assert!(
        error.contains("hint: git orch claim --agent 1.2"),
        "{error}"
    );
}

#[test]
fn an_agent_pushes_its_own_branch_only() {
    let coder = Coder::new(&[]);
    let remote = coder.repo.outside().join("remote.git");
    coder.git(&["init", "-q", "--bare", remote.to_str().unwrap()]);
    coder.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
    coder.write("a", "1").git(&["commit", "-q", "-m", "x"]);
    let seen = coder.repo.outside().join("seen");
    hook(
        &coder.repo.path().join(".git/hooks"),
        "pre-push",
        &format!("{{ echo \"$@\"; cat; }} >'{}'", seen.display()),
    );
    coder.git(&["push", "-q", "origin", "orch/team-1/auth"]);
    // The previous hook has read what ours has read.
    let told = read(&seen);
    assert!(told.starts_with("origin "), "{told}");
    assert!(
        told.contains("refs/heads/orch/team-1/auth 0000000"),
        "{told}"
    );
    for refspec in [
        "HEAD:refs/heads/main",
        ":refs/heads/orch/team-1/auth",
        "main",
    ] {
        let error = coder.refused(&["push", "-q", "origin", refspec]);
        assert!(error.contains("agent 1.2 must not"), "{refspec}: {error}");
    }
    coder.repo.git(["push", "-q", "origin", "main"]);
}

#[test]
fn hooks_of_any_name_still_run_with_arguments_and_exit_code() {
    let coder = Coder::new(&[]);
    let hooks = coder.repo.path().join(".git/hooks");
    let seen = coder.repo.outside().join("seen");
    let note = format!("echo \"${{0##*/}} $*\" >>'{}'", seen.display());
    for name in [
        "pre-commit",
        "commit-msg",
        "post-commit",
        "post-checkout",
        "pre-rebase",
    ] {
        hook(&hooks, name, &note);
    }
    coder.write("a", "1").git(&["commit", "-q", "-m", "x"]);
    let told = read(&seen);
    let order = ["pre-commit ", "commit-msg ", "post-commit "];
    assert!(order.iter().all(|name| told.contains(name)), "{told}");
    hook(&hooks, "post-checkout", "exit 7");
    let outcome = coder
        .repo
        .try_git_in(&coder.dir, ["switch", "-q", "--detach"]);
    assert_eq!(outcome.code(), 1, "{}", outcome.stderr());
    coder.git(&[
        "-c",
        "core.hooksPath=/dev/null",
        "switch",
        "-q",
        "orch/team-1/auth",
    ]);
    hook(&hooks, "pre-commit", "echo no such luck >&2; exit 3");
    coder.write("a", "2");
    let error = coder.refused(&["commit", "-q", "-m", "x"]);
    assert!(
        error.contains("no such luck") && error.contains("exit 3"),
        "{error}"
    );
}

#[test]
fn a_previous_hook_sees_the_environment_that_git_gave() {
    let coder = Coder::new(&[]);
    let seen = coder.repo.outside().join("seen");
    let note = format!(
        "echo \"$GIT_INDEX_FILE|$GIT_DIR|$ORCH_NOTE\" >'{}'",
        seen.display()
    );
    hook(&coder.repo.path().join(".git/hooks"), "pre-commit", &note);
    coder.write("a", "1").write("b", "1");
    coder.git(&["commit", "-q", "-m", "x", "a"]);
    let told = read(&seen);
    assert!(
        told.contains("next-index-"),
        "a partial commit has an index of its own: {told}"
    );
    assert!(told.contains("worktrees/orch-1.2|"), "{told}");
}

#[test]
fn a_hook_of_husky_written_later_still_runs_and_ours_as_well() {
    let coder = Coder::new(&["src"]);
    // What `husky` does, from inside a coder's worktree, at any time.
    coder.git(&["config", "core.hooksPath", ".husky/_"]);
    let seen = coder.repo.outside().join("seen");
    let husky = coder.dir.join(".husky/_");
    for name in ["pre-commit", "post-commit"] {
        hook(&husky, name, &format!("echo \"$0\" >>'{}'", seen.display()));
    }
    coder
        .write("src/a", "1")
        .git(&["commit", "-q", "-m", "Add a table"]);
    assert_eq!(coder.message(), STAMPED);
    assert_eq!(read(&seen), ".husky/_/pre-commit\n.husky/_/post-commit\n");
    coder.write("b", "1");
    assert!(
        coder
            .refused(&["commit", "-q", "-m", "x"])
            .contains("may change src only")
    );
    // A change of mind is seen by hooks that only pass on, even where the old answer is on record.
    let _ = std::fs::remove_file(&seen);
    coder.git(&["config", "core.hooksPath", ".other"]);
    hook(
        &coder.dir.join(".other"),
        "post-commit",
        &format!("echo other >>'{}'", seen.display()),
    );
    coder.git(&["reset", "-q"]);
    coder.write("src/a", "2").git(&["commit", "-q", "-m", "x"]);
    assert_eq!(read(&seen), "other\n");
}

#[test]
fn a_hook_of_pre_commit_in_the_hooks_directory_finds_itself() {
    let repo = TestRepo::new();
    let seen = repo.outside().join("seen");
    // The script that `pre-commit install` writes looks at its own directory and passes its arguments on.
    hook(
        &repo.path().join(".git/hooks"),
        "pre-commit",
        &format!(
            "HERE=\"$(cd \"$(dirname \"$0\")\" && pwd)\"\necho \"$HERE $#\" >'{}'",
            seen.display()
        ),
    );
    let coder = Coder::in_repo(repo, &[]);
    coder.write("a", "1").git(&["commit", "-q", "-m", "x"]);
    let hooks = coder.repo.path().join(".git/hooks");
    assert_eq!(read(&seen), format!("{} 0\n", hooks.display()));
}

#[test]
fn reference_transaction_of_the_user_reads_all_states() {
    let coder = Coder::new(&[]);
    let seen = coder.repo.outside().join("seen");
    let note = format!("{{ echo \"[$1]\"; cat; }} >>'{}'", seen.display());
    hook(
        &coder.repo.path().join(".git/hooks"),
        "reference-transaction",
        &note,
    );
    coder.write("a", "1").git(&["commit", "-q", "-m", "x"]);
    let told = read(&seen);
    for state in ["prepared", "committed"] {
        let (_, after) = told.split_once(&format!("[{state}]\n")).unwrap_or_default();
        let lines = after.split('[').next().unwrap_or_default();
        assert!(
            lines.contains("refs/heads/orch/team-1/auth"),
            "{state}: {told}"
        );
    }
}

#[test]
fn a_hook_without_a_first_line_is_run_by_the_shell() {
    let coder = Coder::new(&[]);
    let seen = coder.repo.outside().join("seen");
    let path = coder.repo.path().join(".git/hooks/pre-commit");
    write_file(&path, &format!("echo run >'{}'\n", seen.display()));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    coder.write("a", "1").git(&["commit", "-q", "-m", "x"]);
    assert_eq!(read(&seen), "run\n");
}

#[test]
fn paths_with_spaces_and_quotes_work() {
    let repo = TestRepo::empty_called("it's a \"repo\"");
    let repo = repo.write("README.md", "x").commit("first");
    let seen = repo.outside().join("seen");
    hook(
        &repo.path().join(".git/hooks"),
        "post-commit",
        &format!("echo run >'{}'", seen.display()),
    );
    let coder = Coder::in_repo(repo, &["src"]);
    coder
        .write("src/a", "1")
        .git(&["commit", "-q", "-m", "Add a table"]);
    assert_eq!(
        (coder.message().as_str(), read(&seen).as_str()),
        (STAMPED, "run\n")
    );
}

/// Pain 22 of peers: hooks that are absent or wrong in worktrees.
#[test]
fn pain_22_hooks_are_there_in_worktrees_and_nowhere_else() {
    let coder = Coder::new(&["src"]);
    let repo = &coder.repo;
    let other = repo.outside().join("theirs");
    repo.git(["worktree", "add", "-q", "--detach", other.to_str().unwrap()]);
    for dir in [repo.path(), &other] {
        write_file(&dir.join("anywhere"), "x");
        repo.git_in(dir, ["add", "-A"]);
        repo.git_in(dir, ["commit", "-q", "-m", "free"]);
        assert_eq!(repo.git_in(dir, ["log", "-1", "--format=%B"]), "free");
        let path = repo.try_git_in(dir, ["config", "core.hooksPath"]);
        assert_eq!(path.code(), 1, "{}", path.stdout());
    }
    let ours = coder.git(&["rev-parse", "--git-path", "hooks"]);
    assert_eq!(Path::new(ours.trim()), repo.path().join(".git/orch/hooks"));
}

/// A worktree of the user's may be called like ours and is none.
#[test]
fn a_worktree_that_is_merely_called_alike_is_left_alone() {
    let coder = Coder::new(&["src"]);
    let dir = coder.repo.outside().join("orch-ideas");
    coder.repo.git([
        "worktree",
        "add",
        "-q",
        "-b",
        "ideas",
        dir.to_str().unwrap(),
    ]);
    write_file(&dir.join("x"), "x");
    coder.repo.git_in(&dir, ["add", "-A"]);
    coder.repo.git_in(&dir, ["commit", "-q", "-m", "free"]);
    assert_eq!(
        coder.repo.git_in(&dir, ["log", "-1", "--format=%B"]),
        "free"
    );
}

#[test]
fn without_the_program_enforcing_hooks_refuse_and_others_pass() {
    let coder = Coder::new(&[]);
    let hooks = coder.repo.path().join(".git/orch/hooks");
    for entry in std::fs::read_dir(&hooks).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let text = read(entry.path());
        let gone = text.lines().map(|line| match line {
            line if line.starts_with("orch='/") => "orch='/nowhere/git-orch'".to_owned(),
            line => line.replace("=git-orch", "=no-git-orch"),
        });
        let gone: Vec<String> = gone.collect();
        std::fs::write(entry.path(), gone.join("\n")).unwrap();
    }
    let seen = coder.repo.outside().join("seen");
    let note = format!("echo run >'{}'", seen.display());
    hook(
        &coder.repo.path().join(".git/hooks"),
        "post-checkout",
        &note,
    );
    coder.git(&["checkout", "-q", "HEAD", "--", "README.md"]);
    assert_eq!(
        read(&seen),
        "run\n",
        "a hook that only passes on does without"
    );
    coder.write("a", "1");
    let error = coder.refused(&["commit", "-q", "-m", "x"]);
    assert!(error.contains("git-orch is neither at"), "{error}");
}

#[test]
fn a_configuration_written_at_the_same_time_is_not_lost() {
    let repo = TestRepo::new().init();
    repo.orch(["init"]).ok();
    let mut writers = Vec::new();
    for n in 0..8 {
        let mut git = repo.command("git", repo.path());
        git.args(["config", &format!("test.key{n}"), "x"]);
        writers.push(git.stderr(Stdio::piped()).spawn().unwrap());
        // Behind a later `hooksPath` the block must move, so that ours edits the file as well.
        let later = format!("core.hooksPath.x{n}");
        let _ = repo.try_git_in(repo.path(), ["config", &later, "x"]);
        repo.orch(["init"]).ok();
    }
    let mut refused = Vec::new();
    for (n, writer) in writers.into_iter().enumerate() {
        let output = writer.wait_with_output().unwrap();
        if !output.status.success() {
            refused.push(n);
        }
    }
    for n in (0..8).filter(|n| !refused.contains(n)) {
        assert_eq!(repo.git(["config", &format!("test.key{n}")]), "x");
    }
    assert!(read(repo.path().join(".git/config")).contains("worktrees/orch-*"));
}

#[test]
fn a_hook_reads_its_own_standard_input_to_the_end() {
    // `pre-receive` and the like are passed on by the shell; called by hand here, as receive-pack would.
    let coder = Coder::new(&[]);
    let seen = coder.repo.outside().join("seen");
    hook(
        &coder.repo.path().join(".git/hooks"),
        "post-rewrite",
        &format!("{{ echo \"$1\"; cat; }} >'{}'", seen.display()),
    );
    let mut child = coder
        .repo
        .command(
            coder
                .repo
                .path()
                .join(".git/orch/hooks/post-rewrite")
                .to_str()
                .unwrap(),
            &coder.dir,
        )
        .arg("amend")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"old new\n").unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
    assert_eq!(read(&seen), "amend\nold new\n");
}
