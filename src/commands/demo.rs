//! `git orch demo`: a small project built by sixteen coders, from plan to base branch, in under a minute.
//!
//! Every step is the command that a person would type, parsed and run as typed: what is told is what is done.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Ctx;
use crate::clock;
use crate::error::{Exit, UserError};
use crate::git::{Git, files};
use crate::report::text::span;
use crate::ui::Style;

/// The project as the coders find it.
const PROJECT: [(&str, &str); 5] = [
    (
        "README.md",
        include_str!("../../templates/demo/project/README.md"),
    ),
    (
        "test.sh",
        include_str!("../../templates/demo/project/test.sh"),
    ),
    (
        "lib/settings.sh",
        include_str!("../../templates/demo/project/lib/settings.sh"),
    ),
    (
        "tests/settings.sh",
        include_str!("../../templates/demo/project/tests/settings.sh"),
    ),
    ("plan.toml", PLAN),
];

/// The plan, which is part of the project.
const PLAN: &str = include_str!("../../templates/demo/plan.toml");

/// Watch sixteen coders build a small project, from start to end
///
/// Makes a repository in a temporary directory and runs everything there, in under a minute. The coders are
/// shell scripts, so that nothing but git and sh is needed; three of them go wrong on their first attempt.
/// Nothing outside that directory is touched.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Make the repository here, in a directory that is empty or does not exist
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Take the repository away at the end
    #[arg(long)]
    remove: bool,
}

/// What is typed, and what is said before it.
const STEPS: [(&str, &[&str]); 7] = [
    (
        "Begin the ledger: a branch of its own that holds the plan, every task's state and every event.",
        &["init"],
    ),
    (
        "Check the plan: 4 teams of 4 coders, 18 tasks in 3 phases.",
        &["plan", "check", "plan.toml"],
    ),
    (
        "Bring it onto the ledger; one commit, however many tasks.",
        &["plan", "apply", "plan.toml"],
    ),
    (
        "Do the work: a worktree and a branch per coder, every result checked, then brought together and tested.",
        &["run", "--assemble"],
    ),
    ("See how the run stands.", &["status"]),
    (
        "See what went wrong on the way; all of it was tried again with what went wrong attached.",
        &["log", "--kind", "fail", "--kind", "reject", "--reverse"],
    ),
    (
        "Take the tested result over to the base branch.",
        &["approve"],
    ),
];

/// Runs the command.
///
/// # Errors
///
/// The directory is in use or cannot be written, or a step fails.
pub fn run(ctx: &Ctx, args: DemoArgs) -> Result<()> {
    if ctx.ui.is_json() {
        return Err(UserError::new("the demo is a story and has no JSON form")
            .hint("git orch demo")
            .exit(Exit::Usage)
            .into());
    }
    let begun = clock::monotonic();
    let home = Home::make(ctx, args.dir)?;
    let repo = home.path.join("till");
    make_project(&repo).with_context(|| format!("cannot make a project in {}", repo.display()))?;
    let here = Ctx {
        dir: repo.clone(),
        ui: ctx.ui,
        speaker: ctx.speaker,
        line: ctx.line,
    };
    say(
        ctx,
        &format!("A small project in {}, with a test.", repo.display()),
    );
    for (words, command) in STEPS {
        say(ctx, words);
        type_in(&here, command)?;
    }
    let took = i64::try_from(begun.elapsed().as_secs()).unwrap_or(i64::MAX);
    say(ctx, &format!("That took {}.", span(took)));
    if args.remove {
        home.remove()?;
        ctx.ui.note("The repository is gone again.");
    } else {
        ctx.ui.answer(&look_around(&home.path, &repo));
    }
    Ok(())
}

/// Runs a command of ours as if it had been typed.
fn type_in(ctx: &Ctx, command: &[&str]) -> Result<()> {
    let typed = format!("git orch {}", command.join(" "));
    ctx.ui
        .note(&ctx.ui.paint_err(Style::Strong, &format!("$ {typed}")));
    let words: Vec<&str> = ["git-orch"].iter().chain(command).copied().collect();
    (ctx.line.type_in)(ctx, &words).with_context(|| format!("`{typed}` failed"))
}

fn say(ctx: &Ctx, words: &str) {
    ctx.ui.note(&format!("\n{words}"));
}

fn make_project(repo: &Path) -> Result<()> {
    for (path, text) in PROJECT {
        files::replace(&repo.join(path), text.as_bytes())?;
    }
    let git = |args: &[&str]| Git::new(repo).args(args).run();
    git(&["init", "-q"])?;
    // Whatever git is set to elsewhere: the branch that the plan names, an identity, and no key to ask for.
    git(&["symbolic-ref", "HEAD", "refs/heads/main"])?;
    for (key, value) in [
        ("user.name", "Demo"),
        ("user.email", "demo@example.invalid"),
        ("commit.gpgSign", "false"),
    ] {
        git(&["config", key, value])?;
    }
    git(&["add", "-A"])?;
    git(&["commit", "-q", "-m", "A till for a small shop"])
}

fn look_around(home: &Path, repo: &Path) -> String {
    let (home, repo) = (quoted(home), quoted(repo));
    format!(
        "Look around:
  cd {repo}
  git log --graph --oneline main         the work of sixteen coders, merged in order
  git orch status discount               a task that conflicted, and what it was told
  git orch log rounding                  one that broke another team's test
  git orch log 2                         what team 2 did; plain git finds the same:
  git log --all --grep='\\[TEAM-2\\]'
  git show orchestration:.orchestration/teams/2/status/prices.toml
  sh test.sh && ./till menu
and take it away again with: rm -rf {home}"
    )
}

/// Quotes a path for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// The directory around the demo's repository and its worktrees.
struct Home {
    path: PathBuf,
}

impl Home {
    fn make(ctx: &Ctx, dir: Option<PathBuf>) -> Result<Self> {
        let path = match dir {
            None => tempfile::Builder::new()
                .prefix("git-orch-demo-")
                .tempdir()
                .context("cannot make a temporary directory")?
                .keep(),
            Some(dir) => {
                let path = ctx.dir.join(dir);
                let in_use = || -> std::io::Result<bool> {
                    std::fs::create_dir_all(&path)?;
                    Ok(std::fs::read_dir(&path)?.next().is_some())
                };
                if in_use().with_context(|| format!("cannot use {}", path.display()))? {
                    let problem = format!("{} is not empty", path.display());
                    return Err(UserError::new(problem).hint("git orch demo").into());
                }
                path
            }
        };
        let path = path
            .canonicalize()
            .with_context(|| format!("cannot resolve {}", path.display()))?;
        Ok(Self { path })
    }

    /// Removes what the demo made: the directory was empty or absent before.
    fn remove(self) -> Result<()> {
        std::fs::remove_dir_all(&self.path)
            .with_context(|| format!("cannot remove {}", self.path.display()))
    }
}
