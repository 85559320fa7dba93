//! How gix opens a repository: as Git would from there, whatever the environment binds Git to.

use std::path::Path;

use anyhow::{Error, Result};
use gix::open::{Options, Permissions, permissions::Environment};
use gix::sec::{Permission, Trust, trust::Mapping};

use super::cmd::Git;
use super::environment;
use super::plain::require_plain;
use crate::config;
use crate::error::UserError;

/// Opens the repository that a directory belongs to.
pub(super) fn discover(dir: &Path) -> Result<gix::Repository> {
    require_plain(dir)?;
    let far = || gix::discover::upwards::Options {
        match_ceiling_dir_or_error: false,
        ..Default::default()
    };
    let open = |all: bool| {
        let trust = Mapping {
            full: options(all),
            reduced: options(all),
        };
        let found = gix::ThreadSafeRepository::discover_opts(dir, far().apply_environment(), trust);
        found.map(|found| found.to_thread_local())
    };
    put_right(open(true)?, || open(false))
}

/// Opens the repository of a Git directory.
pub(super) fn open(git_dir: &Path) -> Result<gix::Repository> {
    require_plain(git_dir)?;
    let open = |all: bool| {
        let found = options(all).open_path_as_is(true).open(git_dir);
        found.map(|found| found.to_thread_local())
    };
    put_right(open(true)?, || open(false))
}

/// Settings of the environment and of `git -c` count. Other objects than the repository's own do not, and unless
/// `all` is wanted no other variable of Git's.
fn options(all: bool) -> Options {
    let permissions = Permissions {
        env: Environment {
            objects: Permission::Deny,
            git_prefix: if all {
                Permission::Allow
            } else {
                Permission::Deny
            },
            ..Environment::all()
        },
        ..Permissions::all()
    };
    let settings = environment::surroundings().settings.iter();
    Options::default()
        .permissions(permissions)
        .cli_overrides(settings.map(|setting| setting.as_slice()))
        // Whether the owner is trusted is for Git to say, see `require_trust`.
        .filter_config_section(|_| true)
}

/// Takes back what gix has taken from the environment besides settings.
fn put_right<E: Into<Error>>(
    mut gix: gix::Repository,
    unbound: impl FnOnce() -> Result<gix::Repository, E>,
) -> Result<gix::Repository> {
    gix.clear_namespace();
    if config::given_work_tree().is_some() {
        let unbound = unbound().map_err(Into::into)?;
        gix.set_workdir(unbound.workdir().map(Path::to_path_buf))?;
    }
    Ok(gix)
}

/// Checks that Git would work here, which it does not where the owner is somebody else whom nobody has called
/// trusted: such a repository's settings name programs.
pub(super) fn require_trust(gix: &gix::Repository, dir: &Path) -> Result<()> {
    if gix.git_dir_trust() == Trust::Full {
        return Ok(());
    }
    let asked = Git::new(dir).args(["rev-parse", "--git-dir"]).read();
    let Err(error) = asked else {
        return Ok(());
    };
    let place = gix.workdir().unwrap_or(gix.git_dir());
    Err(error.context(
        UserError::new(format!(
            "{} belongs to somebody else, so git does not work there",
            place.display()
        ))
        .hint(format!(
            "git config --global --add safe.directory '{}', if you trust its owner",
            place.display()
        )),
    ))
}

/// Tells why gix cannot open what is there: what git can open is of a kind that gix cannot.
pub(super) fn explain(dir: &Path, error: Error) -> Error {
    if error.is::<UserError>() {
        return error;
    }
    let asked = Git::new(dir).args(["rev-parse", "--git-dir"]).read();
    match asked {
        Ok(_) => error.context("cannot open the repository").context(
            UserError::new("this kind of repository is not supported")
                .hint("git orch needs the `files` ref storage and SHA-1 objects"),
        ),
        Err(error) => {
            let all = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
            match all.ancestors().any(|top| top.join(".git").exists()) {
                true => error.context(UserError::new("git cannot open the repository")),
                false => {
                    let dir = dir.display();
                    let outside = UserError::new(format!("{dir} is not in a git repository"));
                    outside.hint("git init").into()
                }
            }
        }
    }
}
