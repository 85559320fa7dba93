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
use crate::git::exact::{Exact, Owner, remove_all};
use crate::git::{Git, Oid, Repo, files};
use crate::model::keep::Keep;

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

    /// Brings the submodules of a worktree to what its commit says of them. Of what is not initialised an empty
    /// directory is left, as a checkout makes it.
    ///
    /// # Errors
    ///
    /// A commit that it says is nowhere on this disk, or git failed.
    pub(super) fn bring(&self, above: &Exact, paths: &[PathBuf]) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        let mut places = vec![self.common.clone()];
        let linked = fs::read_dir(self.common.join("worktrees"));
        // Without linked worktrees there is the common one.
        places.extend(linked.into_iter().flatten().flatten().map(|at| at.path()));
        bring(above, paths, &places, self.main.as_deref(), 0)
    }
}

/// Brings one level of submodules, then those within them.
fn bring(
    above: &Exact,
    paths: &[PathBuf],
    places: &[PathBuf],
    user: Option<&Path>,
    level: usize,
) -> Result<()> {
    let links = match level {
        MOST_LEVELS => Vec::new(),
        _ => links(&above.dir)?,
    };
    for path in paths {
        let link = links.iter().find(|link| Path::new(&link.path) == path);
        let theirs = user.map(|user| user.join(path));
        // Old ones, and those that were added by `git clone`, have their repository in themselves.
        let inside = theirs.as_ref().map(|theirs| theirs.join(".git"));
        let is_initialised = |link: &&Link| {
            let kept = places[0].join("modules").join(&link.name).join("HEAD");
            inside.as_ref().is_some_and(|git| git.exists()) || kept.exists()
        };
        let Some(link) = link.filter(is_initialised) else {
            leave_empty(&above.dir.join(path))?;
            continue;
        };
        let exact = Exact {
            dir: above.dir.join(path),
            git_dir: above.git_dir.join("modules").join(&link.name),
            notes: above.notes.join("modules").join(&link.name),
            owner: Owner::Repository,
        };
        let kept = |place: &PathBuf| place.join("modules").join(&link.name);
        let known: Vec<PathBuf> = inside
            .into_iter()
            .filter(|git| git.is_dir())
            .chain(places.iter().map(kept))
            .filter(|git| git.join("HEAD").exists() && *git != exact.git_dir)
            .collect();
        let source = known.iter().find(|git| has(git, &link.commit));
        if source.is_none() && !has(&exact.git_dir, &link.commit) {
            return Err(missing(link));
        }
        let within = check_out(&above.dir, &exact, link, source)
            .with_context(|| format!("cannot bring submodule {} to {}", link.path, link.commit))?;
        bring(&exact, &within, &known, theirs.as_deref(), level + 1)?;
    }
    Ok(())
}

/// Leaves an empty directory at a path.
fn leave_empty(dir: &Path) -> Result<()> {
    if fs::read_dir(dir).is_ok_and(|mut listing| listing.next().is_none()) {
        return Ok(());
    }
    remove_all(dir)?;
    fs::create_dir(dir).with_context(|| format!("cannot create {}", dir.display()))
}

/// Brings one submodule to its commit; returns the paths of those within it.
fn check_out(
    above: &Path,
    exact: &Exact,
    link: &Link,
    source: Option<&PathBuf>,
) -> Result<Vec<PathBuf>> {
    let commit = Oid::from_hex(link.commit.as_bytes()).context("no object id")?;
    let again = || {
        put_back(exact)?;
        let id = commit.to_string();
        if let Some(source) = source.filter(|_| !has(&exact.git_dir, &id)) {
            git(&exact.dir)
                .args(["fetch", "--quiet", "--no-tags"])
                .arg(source)
                .arg(&id)
                .run()?;
        }
        exact.bring(commit, &Keep::default(), &|_| false)
    };
    let brought = match exact.is_known().then(again) {
        Some(Ok(brought)) => brought,
        // Whatever a test did to its copy, a new one has none of it.
        tried => {
            let Some(source) = source else {
                return Err(tried.and_then(Result::err).unwrap_or_else(|| missing(link)));
            };
            for old in [&exact.dir, &exact.git_dir, &exact.notes] {
                remove_all(old)?;
            }
            clone(above, link, source)?;
            let brought = exact.bring(commit, &Keep::default(), &|_| false)?;
            note(exact)?;
            brought
        }
    };
    Ok(brought.submodules)
}

/// Makes a submodule's copy.
fn clone(above: &Path, link: &Link, source: &Path) -> Result<()> {
    // Named on the command line it counts as initialised, so that nothing is written for it.
    let mut url = std::ffi::OsString::from(format!("submodule.{}.url=", link.name));
    url.push(source);
    git(above)
        .env("GIT_LITERAL_PATHSPECS", "1")
        .arg("-c")
        .arg(url)
        .args(["submodule", "--quiet", "update", "--force", "--checkout"])
        .args(["--", &link.path])
        .run()
}

fn git(dir: &Path) -> Git {
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
}

/// Notes what ties a copy to its worktree, where no test gets at it by way of git.
fn note(exact: &Exact) -> Result<()> {
    for (from, to) in ties(exact) {
        let text = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        files::replace(&to, &text)?;
    }
    Ok(())
}

/// Puts back what was noted.
fn put_back(exact: &Exact) -> Result<()> {
    for (to, from) in ties(exact) {
        let text = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        files::replace(&to, &text)?;
    }
    Ok(())
}

fn ties(exact: &Exact) -> [(PathBuf, PathBuf); 2] {
    [
        (exact.dir.join(".git"), exact.notes.join("link")),
        (exact.git_dir.join("config"), exact.notes.join("config")),
    ]
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
