//! The only reader of the environment, and of `orch.*` in Git's configuration.

#![expect(
    clippy::disallowed_methods,
    reason = "this module reads the environment"
)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::UserError;
use crate::git::{Repo, files};
use crate::model::duration::parse_duration;
use crate::model::{Actor, AgentId, Attempt, MachineId, TaskId};

/// Branch of the ledger unless `orch.ledger` names another.
pub const DEFAULT_LEDGER: &str = "orchestration";

/// Returns the full name of the ledger's ref.
pub fn ledger_ref(repo: &Repo) -> String {
    let branch = repo
        .config("orch.ledger")
        .unwrap_or_else(|| DEFAULT_LEDGER.to_owned());
    format!("refs/heads/{branch}")
}

/// Returns the agent that this process speaks for: the one whose worktree it runs in, or `ORCH_AGENT`.
pub fn agent(repo: &Repo) -> Option<AgentId> {
    coder(repo, "orch.agent", "ORCH_AGENT")?.parse().ok()
}

/// Returns whom this process speaks for in a repository: its agent, or a person (A2).
pub fn actor(repo: &Repo) -> Actor {
    agent(repo).map_or(Actor::Human, Actor::Agent)
}

/// Returns the agent that `ORCH_AGENT` names, or the text that names none.
pub fn named_agent() -> Option<Result<AgentId, String>> {
    let name = text("ORCH_AGENT")?;
    Some(name.parse().map_err(|_| name))
}

/// Returns the agent whose worktree a directory is in, from raw files and whatever the environment says.
pub fn seat(dir: &Path) -> Option<AgentId> {
    let dir = dir.canonicalize().ok()?;
    let git = dir
        .ancestors()
        .map(|top| top.join(".git"))
        .find(|git| git.exists())?;
    let link = std::fs::read_to_string(git).ok()?;
    let name = link.strip_prefix("gitdir:")?.trim().rsplit('/').next()?;
    name.strip_prefix("orch-")?.parse().ok()
}

/// Returns the task that this process works on: the one of the coder's worktree, or `ORCH_TASK`.
pub fn task(repo: &Repo) -> Option<TaskId> {
    coder(repo, "orch.task", "ORCH_TASK")?.parse().ok()
}

/// Returns the attempt that this process quotes: the one of the coder's worktree, or `ORCH_ATTEMPT`.
pub fn attempt(repo: &Repo) -> Option<Attempt> {
    coder(repo, "orch.attempt", "ORCH_ATTEMPT")?.parse().ok()
}

/// The worktree goes first: an agent's environment may be another's by mistake, its directory may not.
fn coder(repo: &Repo, key: &str, variable: &str) -> Option<String> {
    repo.config(key).or_else(|| text(variable))
}

/// Returns this machine's name: `orch.machine`, or the host's name with a few letters that tell this clone
/// from others on the same host.
pub fn machine(repo: &Repo) -> MachineId {
    let named = || match clone_mark(repo) {
        Some(mark) => format!("{}-{mark}", host()),
        None => host(),
    };
    MachineId(repo.config("orch.machine").unwrap_or_else(named))
}

/// Returns the name or address that the environment gives to whoever commits, `GIT_COMMITTER_NAME` or `_EMAIL`.
pub fn given_committer(what: &str) -> Option<String> {
    text(&format!("GIT_COMMITTER_{what}"))
}

/// Returns the host's name, with letters, digits and hyphens only.
pub fn host() -> String {
    let name = rustix::system::uname();
    let clean = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '-'
        }
    };
    name.nodename()
        .to_string_lossy()
        .chars()
        .map(clean)
        .collect()
}

/// Returns what tells this clone from others, made up when git-orch is first used in it.
fn clone_mark(repo: &Repo) -> Option<String> {
    let dir = repo.orch_dir();
    if !dir.is_dir() {
        return None;
    }
    let new = format!("{:04x}", crate::clock::random_below(0x1_0000));
    let mark = files::write_once(&dir.join("clone"), new.as_bytes()).ok()?;
    String::from_utf8(mark).ok()
}

/// Returns the pinned wall clock of tests, `ORCH_TEST_TIME` in seconds since 1970.
pub fn pinned_time() -> Option<i64> {
    text("ORCH_TEST_TIME")?.parse().ok()
}

/// Returns the pinned uptime of tests, `ORCH_TEST_UPTIME` in milliseconds.
pub fn pinned_uptime() -> Option<Duration> {
    text("ORCH_TEST_UPTIME")?
        .parse()
        .ok()
        .map(Duration::from_millis)
}

/// Returns what tells this start of the machine from every other, where the system says it.
pub fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// Returns the remote that `orch.remote` names instead of the ledger's own word for it.
pub fn remote(repo: &Repo) -> Option<String> {
    repo.config("orch.remote")
}

/// Returns the marks that this process was started with, where another `git orch` started it.
pub fn process_marks() -> Option<String> {
    text("ORCH_PROCESS")
}

/// Returns how often an executor looks for conflicts to come: `orch.radar` in seconds, `0` for never.
pub fn radar_every(repo: &Repo) -> Option<Duration> {
    let named = repo.config("orch.radar").and_then(|text| text.parse().ok());
    let seconds = named.unwrap_or(10);
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// Returns how long Git may look at what agents can write: `orch.gitTimeout`, `10m` unless it is set.
pub fn git_timeout(repo: &Repo) -> Duration {
    const DEFAULT: Duration = Duration::from_secs(10 * 60);
    let named = repo.config("orch.gitTimeout");
    named
        .and_then(|text| parse_duration(text.trim()))
        .unwrap_or(DEFAULT)
}

/// Returns whether the user's `pre-push` hook is asked about what git-orch pushes: `orch.prePush`, unless it is set to no.
pub fn asks_pre_push(repo: &Repo) -> bool {
    let said = repo.config("orch.prePush");
    !matches!(said.as_deref(), Some("false" | "no" | "off" | "0"))
}

/// Returns how long a hook of the user's may take that git-orch asks: `orch.hookTimeout`, `10m` unless it is set.
pub fn hook_timeout(repo: &Repo) -> Duration {
    const DEFAULT: Duration = Duration::from_secs(10 * 60);
    let named = repo.config("orch.hookTimeout");
    named
        .and_then(|text| parse_duration(text.trim()))
        .unwrap_or(DEFAULT)
}

/// Returns how long what was saved is kept: `orch.recoveryExpiry`, `30d` unless it is set; `None` for ever.
///
/// # Errors
///
/// The setting cannot be read: then nothing may be given up by it.
pub fn recovery_expiry(repo: &Repo) -> Result<Option<Duration>, UserError> {
    const DEFAULT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    let Some(text) = repo.config("orch.recoveryExpiry") else {
        return Ok(Some(DEFAULT));
    };
    parse_expiry(&text).ok_or_else(|| {
        UserError::new(format!("orch.recoveryExpiry is no duration: `{text}`"))
            .hint("git config orch.recoveryExpiry 30d")
    })
}

/// Reads `30d`, `30 days`, `2.weeks` or `never`, as Git's own settings of this kind are written.
pub fn parse_expiry(text: &str) -> Option<Option<Duration>> {
    let text = text.trim();
    if matches!(text, "never" | "false" | "no" | "off") {
        return Some(None);
    }
    let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.get(number.len()..)?.trim_start_matches([' ', '.']);
    let unit = match unit {
        "day" | "days" => "d",
        "week" | "weeks" => "w",
        "hour" | "hours" => "h",
        "minute" | "minutes" => "m",
        "second" | "seconds" => "s",
        other => other,
    };
    // A bare number is taken for a slip: nobody means seconds here, and a mistake would cost work.
    if unit.is_empty() {
        return None;
    }
    parse_duration(&format!("{number}{unit}")).map(Some)
}

/// Returns the program that merges by syntax where lines conflict: `mergiraf` on the path, or what `orch.mergiraf`
/// names; none where that says `false`.
pub fn mergiraf(repo: &Repo) -> Option<PathBuf> {
    match repo.config("orch.mergiraf").as_deref() {
        Some("false" | "no" | "off" | "0") => None,
        Some(path) if path.contains('/') => Some(PathBuf::from(path)),
        _ => on_path("mergiraf"),
    }
}

/// Returns the program of that name on the path, or the path itself where it is one.
pub fn on_path(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|place| place.is_file());
    }
    let path = std::env::var_os("PATH")?;
    let places = std::env::split_paths(&path).map(|dir| dir.join(program));
    places.into_iter().find(|place| place.is_file())
}

/// Returns whether a directory is one of those that PATH names.
pub fn is_on_path(dir: &Path) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|place| place == dir)
}

/// Returns the home directory.
pub fn home() -> Option<PathBuf> {
    path("HOME")
}

/// Returns where git-orch keeps what is this user's and no repository's: `$XDG_STATE_HOME/git-orch`, or
/// `~/.local/state/git-orch`. No sandbox shows it.
pub fn state_dir() -> Option<PathBuf> {
    // A path that is not absolute counts for nothing (XDG Base Directory Specification).
    let own = path("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let own = own.or_else(|| Some(home()?.join(".local/state")));
    let own = own.filter(|path| path.is_absolute())?;
    // Tests within the crate share nothing with anybody.
    (!cfg!(test)).then(|| own.join("git-orch"))
}

/// Returns what this process is kept in, where an executor has put it into a sandbox.
pub fn sandbox() -> Option<String> {
    text("ORCH_SANDBOX")
}

/// Sees to it that this process is somewhere, which it is not where its directory was removed under it.
///
/// # Errors
///
/// It is nowhere, and the directory that it is to work in is not named from the root.
pub fn require_directory(dir: &Path) -> Result<(), UserError> {
    let gone = || UserError::new("the directory that this was started in is gone");
    if std::env::current_dir().is_ok() {
        return Ok(());
    }
    if !dir.is_absolute() {
        return Err(gone().hint("cd to one that exists, or name it: `git orch -C <dir> status`"));
    }
    std::env::set_current_dir("/").map_err(|_| gone())
}

/// Returns whether colours are unwanted whatever the terminal can do (no-color.org).
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Returns the path of the running program, for hooks that must find it again.
pub fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("git-orch"))
}

/// Returns this process's whole environment, for handing on to a user's own hook.
pub fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

/// Returns the identities, each a name and an address, that this process's environment gives to every commit made
/// in it, whatever Git is configured for.
pub fn given_identities() -> Vec<(String, String)> {
    let of = |role: &str| {
        let name = text(&format!("GIT_{role}_NAME"))?;
        Some((name, text(&format!("GIT_{role}_EMAIL"))?))
    };
    ["AUTHOR", "COMMITTER"].into_iter().filter_map(of).collect()
}

/// Returns the Git directory that the environment names, as Git does for hooks, `GIT_DIR`.
pub fn given_git_dir() -> Option<PathBuf> {
    path("GIT_DIR")
}

/// Returns the worktree that the environment gives to every repository, `GIT_WORK_TREE`.
pub fn given_work_tree() -> Option<PathBuf> {
    path("GIT_WORK_TREE")
}

/// Returns the index that Git told a hook, `GIT_INDEX_FILE`; a commit of some files only has one of its own.
pub fn hook_index() -> Option<PathBuf> {
    path("GIT_INDEX_FILE")
}

/// Returns whether Git will open an editor for the message a hook is given (githooks(5)).
pub fn hook_opens_editor() -> bool {
    std::env::var_os("GIT_EDITOR").is_none_or(|editor| editor != ":")
}

/// Returns where Git's configuration outside the repository comes from: what the environment says about it,
/// and the files. `hooks/previous.sh` puts together the same.
pub fn outer_config() -> (OsString, Vec<PathBuf>) {
    let names = [
        "HOME",
        "XDG_CONFIG_HOME",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
    ];
    let mut said = OsString::from("from");
    for name in names {
        said.push(":");
        said.push(std::env::var_os(name).unwrap_or_default());
    }
    let home = path("HOME").unwrap_or_default();
    let files = vec![
        path("GIT_CONFIG_GLOBAL").unwrap_or_else(|| home.join(".gitconfig")),
        path("XDG_CONFIG_HOME")
            .unwrap_or_else(|| home.join(".config"))
            .join("git/config"),
        path("GIT_CONFIG_SYSTEM").unwrap_or_else(|| PathBuf::from("/etc/gitconfig")),
    ];
    (said, files)
}

/// Returns the files outside of a repository that may say attributes of its files, given what `core.attributesFile`
/// names.
pub fn attributes_files(named: Option<&str>) -> Vec<PathBuf> {
    let home = path("HOME").unwrap_or_default();
    let of_user = || {
        let config = path("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
        config.join("git/attributes")
    };
    let of_user = match named {
        Some(named) => match named.strip_prefix("~/") {
            Some(below) => home.join(below),
            None => PathBuf::from(named),
        },
        None => of_user(),
    };
    vec![of_user, PathBuf::from("/etc/gitattributes")]
}

/// Returns a variable of the environment as a path.
fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Returns a variable of the environment as text.
fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_written_as_git_writes_its_own() {
        let days = |n: u64| Some(Some(Duration::from_secs(n * 86_400)));
        for (text, said) in [
            ("30d", days(30)),
            ("30 days", days(30)),
            ("2.weeks", days(14)),
            ("1w1d", days(8)),
            ("never", Some(None)),
            ("false", Some(None)),
            ("30", None),
            ("soon", None),
            ("", None),
            ("-3d", None),
        ] {
            assert_eq!(parse_expiry(text), said, "{text}");
        }
    }
}
