//! The command line as such: help, manual pages, completions.

use std::path::{Path, PathBuf};

use git_orch::cli::grammar;

use super::common::TestRepo;

/// The command line with the arguments of all commands, which are otherwise put together when one is asked for.
pub fn whole() -> clap::Command {
    let mut root = grammar();
    for sub in root.get_subcommands_mut() {
        let bare = std::mem::take(sub).disable_help_flag(true);
        *sub = bare.disable_help_subcommand(true);
        sub.build();
    }
    root
}

/// Every command and subcommand as its words, `["plan", "check"]`.
pub fn commands() -> Vec<Vec<String>> {
    fn below(command: &clap::Command, words: &[String], found: &mut Vec<Vec<String>>) {
        for sub in command.get_subcommands() {
            let words = [words, &[sub.get_name().to_owned()]].concat();
            below(sub, &words, found);
            found.push(words);
        }
    }
    let mut found = Vec::new();
    below(&whole(), &[], &mut found);
    found
}

#[test]
fn the_command_line_is_well_formed() {
    grammar().debug_assert();
}

#[test]
fn no_command_has_an_argument_by_the_name_of_a_global_one() {
    // clap would fill both from either, in silence.
    fn check(command: &clap::Command, globals: &[String]) {
        for sub in command.get_subcommands() {
            for arg in sub.get_arguments() {
                let id = arg.get_id().to_string();
                assert!(!globals.contains(&id), "{} {id}", sub.get_name());
            }
            check(sub, globals);
        }
    }
    let root = whole();
    let globals = root.get_arguments().filter(|arg| arg.is_global_set());
    let globals: Vec<String> = globals.map(|arg| arg.get_id().to_string()).collect();
    assert_eq!(globals.len(), 5);
    check(&root, &globals);
}

#[test]
fn every_command_has_help_with_one_line_that_says_what_it_does() {
    fn check(command: &clap::Command) {
        for sub in command.get_subcommands() {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            let name = sub.get_name();
            assert!(about.starts_with(char::is_uppercase), "{name}: {about}");
            assert!(
                !about.ends_with('.') && !about.contains('\n'),
                "{name}: {about}"
            );
            for arg in sub.get_arguments().filter(|arg| !arg.is_hide_set()) {
                assert!(arg.get_help().is_some(), "{name} {}", arg.get_id());
            }
            check(sub);
        }
    }
    check(&whole());
    let repo = TestRepo::empty();
    for words in commands() {
        let help = repo
            .orch(words.iter().map(String::as_str).chain(["--help"]))
            .ok();
        let usage = format!("Usage: git orch {}", words.join(" "));
        assert!(help.contains(&usage), "{usage} in {help}");
    }
}

#[test]
fn a_wrong_command_line_exits_with_2_and_suggests_the_nearest() {
    let repo = TestRepo::empty();
    let complaint = repo.orch(["statsu"]).fails(2);
    assert!(complaint.contains("'status'"), "{complaint}");
    let complaint = repo.orch(["status", "--whatch"]).fails(2);
    assert!(complaint.contains("'--watch'"), "{complaint}");
}

#[test]
fn git_finds_the_program_and_its_manual_page() {
    let repo = TestRepo::empty();
    let version = format!("git-orch {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(repo.git(["orch", "--version"]), version);
    assert!(repo.git(["orch", "-h"]).contains("Usage: git orch"));

    let man = repo.outside().join("man");
    repo.orch(["man", "--dir", man.join("man1").to_str().unwrap()])
        .ok();
    for words in commands() {
        let page = man
            .join("man1")
            .join(format!("git-orch-{}.1", words.join("-")));
        let hidden = ["hook", "pack", "sandboxed"].contains(&words[0].as_str());
        assert_eq!(page.exists(), !hidden, "{}", page.display());
    }
    let page = std::fs::read_to_string(man.join("man1/git-orch.1")).unwrap();
    assert_eq!(repo.orch(["man"]).ok(), page);
    assert!(
        page.contains("git\\-orch\\-status(1)") && page.contains(".SH NAME"),
        "{page}"
    );

    // What `git orch --help` looks for; the viewer only says where it was found.
    let viewer = [
        "-c",
        "help.format=man",
        "-c",
        "man.viewer=where",
        "-c",
        "man.where.cmd=man -w",
    ];
    let found = repo
        .command("git", repo.path())
        .args(viewer)
        .args(["help", "orch"])
        .env("MANPATH", &man)
        .output()
        .unwrap();
    if on_path("man") {
        let found = String::from_utf8_lossy(&found.stdout).into_owned();
        assert_eq!(Path::new(found.trim()), man.join("man1/git-orch.1"));
    }
}

#[test]
fn the_help_lists_every_command_in_a_group_and_global_options_apart() {
    let repo = TestRepo::empty();
    let help = repo.orch(["-h"]).ok();
    for group in ["Start:", "Watch:", "Steer:", "Repair:", "Global options:"] {
        assert_eq!(
            help.matches(&format!("\n{group}\n")).count(),
            1,
            "{group} in {help}"
        );
    }
    for command in whole().get_subcommands() {
        let listed = help
            .matches(&format!("\n  {} ", command.get_name()))
            .count();
        let expected = usize::from(!command.is_hide_set());
        assert_eq!(listed, expected, "{} in {help}", command.get_name());
    }
    let about = help
        .lines()
        .find(|line| line.starts_with("  status"))
        .unwrap();
    assert!(
        about.ends_with("Show how the run, a team, an agent or a task stands"),
        "{about}"
    );
    let narrow = repo
        .orch_command(repo.path())
        .arg("-h")
        .env("COLUMNS", "80")
        .output();
    let narrow = String::from_utf8(narrow.unwrap().stdout).unwrap();
    let long: Vec<&str> = narrow.lines().filter(|line| line.len() > 80).collect();
    assert!(long.is_empty(), "wider than a terminal: {long:?}");
    // A command's own options stand before those that all have.
    let status = repo.orch(["status", "-h"]).ok();
    let own = status.find("--watch").unwrap();
    assert!(own < status.find("Global options:").unwrap(), "{status}");
}

#[test]
fn the_beginning_of_a_command_suggests_those_that_begin_so() {
    let repo = TestRepo::empty();
    for (typed, meant) in [("stat", "status"), ("asse", "assemble"), ("work-", "work")] {
        let complaint = repo.orch([typed]).fails(2);
        assert!(complaint.contains(&format!("'{meant}'")), "{complaint}");
    }
    let complaint = repo.orch(["stat"]).fails(2);
    assert!(!complaint.contains("'dispatch'"), "{complaint}");
}

#[test]
fn manual_pages_are_installed_where_man_looks() {
    let repo = TestRepo::empty();
    let home = repo.outside().join("home");
    // Not on PATH, and in no directory called `bin`: below HOME.
    repo.orch(["man", "--install"]).ok();
    assert!(
        home.join(".local/share/man/man1/git-orch-status.1")
            .exists()
    );

    // In a `bin` on PATH: beside it, where `man` finds it by PATH alone.
    let bin = repo.outside().join("prefix/bin");
    std::fs::create_dir_all(&bin).unwrap();
    let program = bin.join("git-orch");
    std::fs::copy(env!("CARGO_BIN_EXE_git-orch"), &program).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let installed = repo
        .command(program.to_str().unwrap(), repo.path())
        .args(["man", "--install"])
        .env("PATH", &path)
        .output()
        .unwrap();
    assert!(installed.status.success(), "{installed:?}");
    let page = repo.outside().join("prefix/share/man/man1/git-orch.1");
    assert!(page.exists());
    if on_path("man") {
        let mut man = repo.command("man", repo.path());
        let found = man
            .args(["-w", "git-orch"])
            .env("PATH", &path)
            .output()
            .unwrap();
        let found = String::from_utf8_lossy(&found.stdout).into_owned();
        assert_eq!(Path::new(found.trim()), page);
    }
}

/// Says what bash would offer for a line that ends where the cursor is.
fn offered(repo: &TestRepo, script: &Path, words: &[&str]) -> Vec<String> {
    let git = Path::new("/usr/share/bash-completion/completions/git");
    let git = if git.exists() {
        git
    } else {
        Path::new("/dev/null")
    };
    // As git's own test suite drives its completion; without git's, by the convention it calls ours with.
    let driver = r#"
        complete() { :; }
        compopt() { :; }
        source "$1"; source "$2"; shift 2
        _words=("$@"); _cword=$(($# - 1))
        _get_comp_words_by_ref() {
            while [ $# -gt 0 ]; do
                case "$1" in
                    cur) cur=${_words[_cword]} ;;
                    prev) prev=${_words[_cword-1]} ;;
                    words) words=("${_words[@]}") ;;
                    cword) cword=$_cword ;;
                esac
                shift
            done
        }
        if declare -F __git_wrap__git_main >/dev/null; then
            __git_wrap__git_main
        else
            _get_comp_words_by_ref cur prev words cword
            _git_orch
        fi
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = repo
        .command("bash", repo.path())
        .args(["-c", driver, "bash"])
        .args([git, script])
        .args(words)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_git_orch_as_it_completes_git() {
    if !on_path("bash") {
        return;
    }
    let repo = TestRepo::new();
    let script = repo.outside().join("git-orch.bash");
    std::fs::write(&script, repo.orch(["completions", "bash"]).ok()).unwrap();
    assert_eq!(
        offered(&repo, &script, &["git", "orch", "stat"]),
        ["status "]
    );
    let all = offered(&repo, &script, &["git", "orch", ""]);
    for words in commands()
        .iter()
        .filter(|words| words.len() == 1 && words[0] != "hook")
    {
        assert!(
            all.contains(&format!("{} ", words[0])),
            "{words:?} in {all:?}"
        );
    }
    assert_eq!(
        offered(&repo, &script, &["git", "orch", "status", "--wa"]),
        ["--watch "]
    );
    let kinds = offered(&repo, &script, &["git", "orch", "log", "--kind", "cla"]);
    assert_eq!(kinds, ["claim "]);
    // git's own options come before the command.
    let status = offered(&repo, &script, &["git", "--no-pager", "orch", "stat"]);
    assert!(
        status == ["status "] || !Path::new("/usr/share/bash-completion/completions/git").exists()
    );
}

#[test]
fn other_shells_get_a_script_too() {
    let repo = TestRepo::empty();
    for (shell, sign) in [
        ("zsh", "#compdef git-orch"),
        ("fish", "complete -c git-orch"),
    ] {
        let script = repo.orch(["completions", shell]).ok();
        assert!(
            script.contains(sign) && script.contains("status"),
            "{shell}"
        );
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir: PathBuf| dir.join(program))
        .any(|file| file.exists())
}
