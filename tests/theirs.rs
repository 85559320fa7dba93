//! The user's things stay theirs: whole sessions in repositories in every state, with a fingerprint of all that is
//! not git-orch's before and after each command.

mod session;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::common::{TestRepo, write_file};
use session::{Session, project};

/// A repository in the middle of an operation that stopped at a conflict, started by a command line of git's.
fn stopped(command: &[&str]) -> TestRepo {
    let repo = project();
    repo.git(["switch", "-q", "-c", "theirs"]);
    let repo = repo.write("both.txt", "theirs\n").commit("theirs");
    repo.git(["switch", "-q", "main"]);
    let repo = repo.write("both.txt", "ours\n").commit("ours");
    repo.try_git_in(repo.path(), command).fails(1);
    repo
}

fn hook(path: &Path, text: &str) {
    write_file(path, text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn clean_on_the_base_branch() {
    let session = Session::begin(project());
    session.is_approved();
    let text = std::fs::read_to_string(session.repo.path().join("README.md")).unwrap();
    assert!(text.ends_with("by b\n"), "files follow the branch: {text}");
}

#[test]
fn clean_on_a_base_branch_that_has_moved() {
    let repo = project().write("untracked/file", "untracked\n");
    let session = Session::begin(repo);
    session.is_approved_over(|repo| {
        repo.git(["commit", "-q", "--allow-empty", "-m", "of mine, meanwhile"]);
    });
    let text = std::fs::read_to_string(session.repo.path().join("README.md")).unwrap();
    assert!(text.ends_with("by b\n"), "files follow the branch: {text}");
}

#[test]
fn edits_that_are_not_committed() {
    let repo = project().write("mine.txt", "staged\n");
    repo.git(["add", "mine.txt"]);
    let repo = repo
        .write("mine.txt", "staged and changed\n")
        .write("other.md", "changed\n")
        .write("untracked/file", "untracked\n")
        .write("ignored/file", "ignored\n");
    Session::begin(repo).is_refused("with changes that are not committed");
}

#[test]
fn edits_in_the_very_file_that_lands() {
    let repo = project().write("README.md", "my own words\n");
    Session::begin(repo).is_refused("with changes that are not committed: README.md");
}

#[test]
fn an_untracked_file_where_one_lands() {
    let repo = project().write("a.txt", "mine, not yours\n");
    Session::begin(repo).is_refused("are in the way: a.txt");
}

#[test]
fn an_ignored_file_where_one_lands() {
    let repo = project()
        .write(".gitignore", "ignored/\na.txt\n")
        .commit("ignore a");
    let repo = repo.write("a.txt", "mine, and ignored\n");
    // Where a commit of theirs was to hold it, Git would have refused as well.
    Session::begin(repo)
        .forced()
        .is_refused("are in the way: a.txt");
}

#[test]
fn an_untracked_directory_where_a_file_lands() {
    let repo = project().write("a.txt/inside", "mine\n");
    Session::begin(repo).is_refused("are in the way: a.txt");
}

#[test]
fn a_stash() {
    let repo = project().write("other.md", "first\n");
    repo.git(["stash", "-q"]);
    let repo = repo.write("other.md", "second\n").write("new", "new\n");
    repo.git(["stash", "-q", "--include-untracked"]);
    Session::begin(repo).is_approved();
}

#[test]
fn configuration_of_their_own() {
    let repo = project();
    let outside = repo.outside().join("their.gitconfig");
    write_file(&outside, "[alias]\n\tlast = log -1\n");
    for (key, value) in [
        ("core.hooksPath", ".husky"),
        ("extensions.worktreeConfig", "true"),
        (
            "includeIf.gitdir:**/repo/.git.path",
            outside.to_str().unwrap(),
        ),
        ("merge.conflictStyle", "diff3"),
        ("core.fsmonitor", "false"),
        ("status.showUntrackedFiles", "no"),
        ("user.name", "Somebody"),
    ] {
        repo.git(["config", key, value]);
    }
    repo.git(["config", "--worktree", "user.email", "somebody@example.com"]);
    hook(
        &repo.path().join(".husky/pre-commit"),
        "#!/bin/sh\nexit 0\n",
    );
    Session::begin(repo.commit("husky")).is_approved();
}

#[test]
fn hooks_of_their_own() {
    let repo = project();
    let said = repo.outside().join("said");
    let script = format!("#!/bin/sh\necho \"$0\" >> '{}'\n", said.display());
    for name in [
        "post-checkout",
        "post-merge",
        "post-commit",
        "reference-transaction",
    ] {
        hook(&repo.path().join(".git/hooks").join(name), &script);
    }
    let session = Session::begin(repo);
    session.is_approved();
    // Their branch was moved as anyone moves it, before the eyes of their hook; nothing was checked out or committed.
    let said = std::fs::read_to_string(said).unwrap();
    assert!(said.contains("reference-transaction"), "{said}");
    assert!(
        !said.contains("post-c") && !said.contains("post-m"),
        "{said}"
    );
}

#[test]
fn other_worktrees() {
    let repo = project();
    let place = |name: &str| repo.outside().join(name).display().to_string();
    for name in ["feature", "locked", "missing"] {
        repo.git(["worktree", "add", "-q", "-b", name, &place(name)]);
    }
    write_file(
        &repo.outside().join("feature/README.md"),
        "in the middle of it\n",
    );
    write_file(&repo.outside().join("feature/new"), "new\n");
    repo.git([
        "worktree",
        "lock",
        "--reason",
        "on a stick",
        &place("locked"),
    ]);
    std::fs::remove_dir_all(place("missing")).unwrap();
    Session::begin(repo)
        .with(&["feature", "locked"])
        .is_approved();
}

#[test]
fn the_base_branch_is_checked_out_elsewhere() {
    let repo = project();
    repo.git(["switch", "-q", "-c", "mine"]);
    let elsewhere = repo.outside().join("elsewhere").display().to_string();
    repo.git(["worktree", "add", "-q", &elsewhere, "main"]);
    write_file(&repo.outside().join("elsewhere/other.md"), "edited\n");
    let session = Session::begin(repo.write("other.md", "edited here\n"));
    session
        .with(&["elsewhere"])
        .is_refused("main is checked out at");
}

#[test]
fn the_base_branch_is_not_checked_out_at_all() {
    let repo = project();
    repo.git(["switch", "-q", "-c", "mine"]);
    let session = Session::begin(repo.write("README.md", "edited here\n"));
    session.is_approved();
}

#[test]
fn a_detached_head() {
    let repo = project();
    repo.git(["switch", "-q", "--detach"]);
    Session::begin(repo.write("README.md", "edited\n")).is_approved();
}

#[test]
fn a_merge_under_way() {
    let repo = stopped(&["merge", "theirs"]);
    Session::begin(repo).is_refused("a merge of main is under way");
}

#[test]
fn a_merge_under_way_with_nothing_left_to_resolve() {
    let repo = stopped(&["merge", "theirs"]).write("both.txt", "ours\n");
    repo.git(["add", "both.txt"]);
    Session::begin(repo).is_refused("a merge of main is under way");
}

#[test]
fn a_rebase_under_way() {
    let repo = stopped(&["rebase", "theirs"]);
    Session::begin(repo).is_refused("a rebase of main is under way");
}

#[test]
fn a_cherry_pick_under_way() {
    let repo = stopped(&["cherry-pick", "theirs"]);
    Session::begin(repo).is_refused("a cherry-pick of main is under way");
}

#[test]
fn a_revert_under_way() {
    let repo = project()
        .write("both.txt", "first\n")
        .commit("first change");
    let repo = repo.write("both.txt", "later\n").commit("later");
    let revert = ["revert", "--no-edit", "HEAD~1"];
    repo.try_git_in(repo.path(), revert).fails(1);
    Session::begin(repo).is_refused("a revert of main is under way");
}

#[test]
fn a_bisect_under_way() {
    let mut repo = project();
    for n in 0..4 {
        repo = repo.write("other.md", &format!("{n}\n")).commit("more");
    }
    repo.git(["bisect", "start", "HEAD", "HEAD~4"]);
    Session::begin(repo).is_approved();
}

#[test]
fn a_sparse_checkout() {
    let repo = project()
        .write("dir/one/file", "1\n")
        .write("dir/two/file", "2\n");
    let repo = repo.commit("directories");
    repo.git(["sparse-checkout", "set", "--cone", "dir/one"]);
    Session::begin(repo).is_approved();
}

#[test]
fn a_submodule_with_work_in_it() {
    let repo = project();
    let inner = repo.outside().join("inner");
    repo.git(["init", "-q", "-b", "main", inner.to_str().unwrap()]);
    write_file(&inner.join("file"), "inner\n");
    repo.git_in(&inner, ["add", "-A"]);
    repo.git_in(&inner, ["commit", "-q", "-m", "inner"]);
    let from = inner.to_str().unwrap();
    let allow = ["-c", "protocol.file.allow=always"];
    repo.git([&allow[..], &["submodule", "--quiet", "add", from, "sub"]].concat());
    let repo = repo.commit("submodule");
    let sub = repo.path().join("sub");
    repo.git_in(&sub, ["commit", "-q", "--allow-empty", "-m", "not pushed"]);
    write_file(&sub.join("file"), "edited\n");
    write_file(&sub.join("new"), "new\n");
    Session::begin(repo).is_approved();
}

#[test]
fn line_ends_by_attributes() {
    let repo = project().write(".gitattributes", "* text=auto eol=crlf\n");
    let repo = repo
        .commit("attributes")
        .write("other.md", "one\r\ntwo\r\n");
    let repo = repo.commit("with line ends");
    repo.git(["rm", "-q", "--cached", "-r", "."]);
    repo.git(["reset", "-q", "--hard"]);
    Session::begin(repo).is_approved();
}

#[test]
fn a_file_that_is_only_meant_to_be_added() {
    let repo = project().write("soon.txt", "soon\n");
    repo.git(["add", "--intent-to-add", "soon.txt"]);
    Session::begin(repo).is_refused("with changes that are not committed: soon.txt");
}

#[test]
fn edits_that_git_was_told_not_to_look_at() {
    for flag in ["--skip-worktree", "--assume-unchanged"] {
        // In a file that nothing lands in, they stay and are in nobody's way.
        let repo = project().write("other.md", "mine alone\n");
        repo.git(["update-index", flag, "other.md"]);
        Session::begin(repo).is_approved();
    }
}

#[test]
fn edits_that_git_was_told_not_to_look_at_in_the_very_file_that_lands() {
    for flag in ["--skip-worktree", "--assume-unchanged"] {
        let repo = project().write("README.md", "mine alone\n");
        repo.git(["update-index", flag, "README.md"]);
        Session::begin(repo).is_refused("README.md");
    }
}
