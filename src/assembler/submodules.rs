//! Submodules in a worktree that tests run in: their files are there if the user's own checkout has them.
//!
//! Nothing is fetched from anywhere else: the commit comes from the repository that `git submodule` keeps under
//! the common Git directory, or under a coder's worktree, where a coder moved the submodule on. Neither those
//! nor the user's configuration are written. What is not initialised stays empty, as it is for the user.

use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::error::UserError;
use crate::git::{Git, Repo};

/// Levels of submodules within submodules that are followed.
const MOST_LEVELS: usize = 8;

/// Where submodules' repositories are.
#[derive(Debug)]
pub(super) struct Submodules {
    common: PathBuf,
    main: Option<PathBuf>,
}

/// A submodule as one commit has it.
struct Link {
    name: String,
    path: String,
    commit: String,
}

impl Submodules {
    pub(super) fn new(repo: &Repo) -> Self {
        Self {
            common: repo.common_dir().to_owned(),
            main: repo.main_work_dir(),
        }
    }

    /// Brings the submodules of a worktree to what its commit says of them.
    ///
    /// # Errors
    ///
    /// A commit that it says is nowhere on this disk, or git failed.
    pub(super) fn bring(&self, dir: &Path) -> Result<()> {
        if !dir.join(".gitmodules").exists() {
            return Ok(());
        }
        let mut places = vec![self.common.clone()];
        let linked = fs::read_dir(self.common.join("worktrees"));
        // Without linked worktrees there is the common one.
        places.extend(linked.into_iter().flatten().flatten().map(|at| at.path()));
        bring(dir, &places, self.main.as_deref(), 0)
    }
}

/// Brings one level of submodules, then those within them.
fn bring(dir: &Path, places: &[PathBuf], user: Option<&Path>, level: usize) -> Result<()> {
    if level == MOST_LEVELS || !dir.join(".gitmodules").exists() {
        return Ok(());
    }
    for link in links(dir)? {
        let at = dir.join(&link.path);
        let theirs = user.map(|user| user.join(&link.path));
        // Old ones, and those that were added by `git clone`, have their repository in themselves.
        let inside = theirs.as_ref().map(|theirs| theirs.join(".git"));
        let is_initialised = inside.as_ref().is_some_and(|git| git.exists())
            || places[0]
                .join("modules")
                .join(&link.name)
                .join("HEAD")
                .exists();
        if !is_initialised {
            continue;
        }
        let kept = |place: &PathBuf| place.join("modules").join(&link.name);
        let known: Vec<PathBuf> = inside
            .into_iter()
            .filter(|git| git.is_dir())
            .chain(places.iter().map(kept))
            .filter(|git| git.join("HEAD").exists())
            .collect();
        let Some(source) = known.iter().find(|git| has(git, &link.commit)) else {
            return Err(missing(&link));
        };
        check_out(dir, &at, &link, source)?;
        bring(&at, &known, theirs.as_deref(), level + 1)?;
    }
    Ok(())
}

fn check_out(dir: &Path, at: &Path, link: &Link, source: &Path) -> Result<()> {
    let cannot = || format!("cannot bring submodule {} to {}", link.path, link.commit);
    let git = |dir: &Path| {
        Git::new(dir).args([
            "-c",
            "protocol.file.allow=always",
            "-c",
            "protocol.version=2",
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "core.fsmonitor=false",
        ])
    };
    if at.join(".git").exists() {
        let has = git(at).args(["cat-file", "-e", &link.commit]).test();
        if !has.with_context(cannot)? {
            git(at)
                .args(["fetch", "--quiet", "--no-tags"])
                .arg(source)
                .arg(&link.commit)
                .run()
                .with_context(cannot)?;
        }
    }
    // Named on the command line it counts as initialised, so that nothing is written for it.
    let mut url = std::ffi::OsString::from(format!("submodule.{}.url=", link.name));
    url.push(source);
    git(dir)
        .env("GIT_LITERAL_PATHSPECS", "1")
        .arg("-c")
        .arg(url)
        .args(["submodule", "--quiet", "update", "--force", "--checkout"])
        .args(["--", &link.path])
        .run()
        .with_context(cannot)?;
    git(at).args(["clean", "-ffdq"]).run().with_context(cannot)
}

/// Returns the submodules of a worktree that both its `.gitmodules` and its index have.
fn links(dir: &Path) -> Result<Vec<Link>> {
    let named = Git::new(dir)
        .args(["config", "-z", "--file", ".gitmodules", "--get-regexp"])
        .arg(r"^submodule\..*\.path$")
        .output()?;
    // A file that says nothing of the kind, or is broken, names none: git goes no further with it either.
    let named = String::from_utf8_lossy(&named.stdout).into_owned();
    let mut names: HashMap<&str, &str> = HashMap::new();
    for entry in named.split('\0') {
        let Some((key, path)) = entry.split_once('\n') else {
            continue;
        };
        let name = key.strip_prefix("submodule.");
        let name = name.and_then(|rest| rest.strip_suffix(".path"));
        if let Some(name) = name.filter(|name| is_plain(name)) {
            names.insert(path, name);
        }
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let listed = Git::new(dir)
        .env("GIT_LITERAL_PATHSPECS", "1")
        .args(["ls-files", "--stage", "-z", "--"])
        .args(names.keys())
        .read_bytes()?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let link = |entry: &str| {
        let (about, path) = entry.split_once('\t')?;
        let mut words = about.split(' ');
        let is_link = words.next() == Some("160000");
        Some(Link {
            name: (*names.get(path).filter(|_| is_link)?).to_owned(),
            path: path.to_owned(),
            commit: words.next()?.to_owned(),
        })
    };
    Ok(listed.split('\0').filter_map(link).collect())
}

/// Returns whether a name is one that git would take: it becomes part of a path.
fn is_plain(name: &str) -> bool {
    let is_normal = |part| matches!(part, Component::Normal(_));
    !name.contains('=') && Path::new(name).components().all(is_normal)
}

fn has(git_dir: &Path, commit: &str) -> bool {
    let found = Git::new(git_dir)
        .env("GIT_DIR", git_dir)
        .args(["cat-file", "-e", commit])
        .test();
    found.unwrap_or(false)
}

fn missing(link: &Link) -> anyhow::Error {
    let Link { path, commit, .. } = link;
    UserError::new(format!(
        "submodule {path} is to be at {commit}, and no copy of it here has that commit"
    ))
    .hint(format!("git -C '{path}' fetch"))
    .into()
}
