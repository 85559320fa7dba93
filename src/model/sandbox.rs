//! What keeps an agent to its own files, and the command lines that put it there.
//!
//! Everything here is text: who asks for what, and how it is said to the program that does it. What each kind
//! of sandbox prevents is measured by `tests/sandbox.rs`.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::Command;
use super::template::{Piece, pieces};

/// Names that may stand in braces in the words of a sandbox's own command.
pub const SANDBOX_PLACEHOLDERS: [&str; 4] = ["worktree", "git_dir", "common_dir", "tmp"];

/// Words of a profile's `sandbox` that are no command.
pub const SANDBOX_KINDS: [&str; 3] = ["none", "bwrap", "landlock"];

/// What an agent is kept in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "SandboxText", into = "SandboxText")]
pub enum Sandbox {
    /// Nothing: it may do what its executor may do.
    #[default]
    None,
    /// Namespaces, by the program `bwrap`.
    Bwrap,
    /// Rules of the Linux kernel that the agent's process gives itself before it begins.
    Landlock,
    /// A command that stands in front of the agent's.
    Prefix(Vec<String>),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum SandboxText {
    Kind(String),
    Prefix(Vec<String>),
}

impl TryFrom<SandboxText> for Sandbox {
    type Error = String;

    fn try_from(text: SandboxText) -> Result<Self, String> {
        match text {
            SandboxText::Kind(kind) => Self::named(&kind).ok_or_else(|| {
                format!("there is no sandbox `{kind}`; there are none, bwrap and landlock")
            }),
            SandboxText::Prefix(words) => Ok(Self::Prefix(words)),
        }
    }
}

impl From<Sandbox> for SandboxText {
    fn from(sandbox: Sandbox) -> Self {
        match sandbox {
            Sandbox::Prefix(words) => Self::Prefix(words),
            kind => Self::Kind(kind.kind().to_owned()),
        }
    }
}

impl Sandbox {
    /// Returns the kind of that name.
    pub fn named(kind: &str) -> Option<Self> {
        match kind {
            "none" => Some(Self::None),
            "bwrap" => Some(Self::Bwrap),
            "landlock" => Some(Self::Landlock),
            _ => None,
        }
    }

    /// Returns its kind as one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bwrap => "bwrap",
            Self::Landlock => "landlock",
            Self::Prefix(_) => "prefix",
        }
    }

    /// Returns whether there is nothing to keep an agent in.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// The places and rights of one sandboxed process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confined {
    /// The coder's worktree, which it may write.
    pub worktree: PathBuf,
    /// The directory of a repository of its own, which it may write; `None` where it has none.
    pub git_dir: Option<PathBuf>,
    /// The Git directory that all share, which it may read.
    pub common_dir: PathBuf,
    /// Its own directory for temporary files.
    pub tmp: PathBuf,
    /// Other paths that it may write.
    pub write: Vec<PathBuf>,
    /// Whether it may use the network.
    pub network: bool,
}

impl Confined {
    /// Returns every path that may be written.
    pub fn writable(&self) -> Vec<&Path> {
        let own = [Some(&self.worktree), self.git_dir.as_ref(), Some(&self.tmp)];
        let own = own.into_iter().flatten();
        own.chain(&self.write).map(PathBuf::as_path).collect()
    }

    /// Returns a command line that runs another one in a sandbox; `program` is git-orch itself.
    ///
    /// # Errors
    ///
    /// A word of the sandbox's own command names something that there is not.
    pub fn enclose(
        &self,
        sandbox: &Sandbox,
        program: &Path,
        command: Command,
    ) -> Result<Command, String> {
        let inner = match command {
            Command::Shell(script) => vec![String::from("sh"), String::from("-c"), script],
            Command::Argv(words) => words,
        };
        let front = match sandbox {
            Sandbox::None => return Ok(Command::Argv(inner)),
            Sandbox::Landlock => self.landlock(program),
            Sandbox::Bwrap => self.bwrap(),
            Sandbox::Prefix(words) => self.prefix(words)?,
        };
        Ok(Command::Argv([front, inner].concat()))
    }

    fn landlock(&self, program: &Path) -> Vec<String> {
        let mut words = vec![text(program), String::from("sandboxed")];
        for path in self.writable() {
            words.extend([String::from("--write"), text(path)]);
        }
        if !self.network {
            words.push(String::from("--no-network"));
        }
        words.push(String::from("--"));
        words
    }

    /// The whole file system is there to read, a few places to write; devices, processes and, where there is
    /// room for one, `/tmp` are its own.
    fn bwrap(&self) -> Vec<String> {
        let mut words: Vec<String> = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev"]
            .map(str::to_owned)
            .into();
        let shared = [&self.worktree, &self.common_dir];
        let shared = shared.into_iter().chain(&self.write);
        if !shared.into_iter().any(|path| path.starts_with("/tmp")) {
            words.extend([
                String::from("--bind"),
                text(&self.tmp),
                text(Path::new("/tmp")),
            ]);
        }
        // A repository below `/dev/shm` would be gone with the host's devices.
        let common = text(&self.common_dir);
        words.extend([String::from("--ro-bind"), common.clone(), common]);
        for path in self.writable() {
            words.extend([String::from("--bind"), text(path), text(path)]);
        }
        // What is root outside could undo all of it by its capabilities.
        let rest = "--unshare-pid --unshare-ipc --proc /proc --die-with-parent --new-session --cap-drop ALL";
        words.extend(rest.split(' ').map(str::to_owned));
        if !self.network {
            words.push(String::from("--unshare-net"));
        }
        words.extend([String::from("--chdir"), text(&self.worktree)]);
        words.push(String::from("--"));
        words
    }

    fn prefix(&self, words: &[String]) -> Result<Vec<String>, String> {
        let value = |name: &str| match name {
            "worktree" => Some(text(&self.worktree)),
            // A check has no repository of its own, and reads the one that all share.
            "git_dir" => Some(text(self.git_dir.as_ref().unwrap_or(&self.common_dir))),
            "common_dir" => Some(text(&self.common_dir)),
            "tmp" => Some(text(&self.tmp)),
            _ => None,
        };
        let fill = |word: &String| {
            let pieces = pieces(word);
            let pieces = pieces.iter().map(|piece| match piece {
                Piece::Text(text) => Ok((*text).to_owned()),
                Piece::Name(name) => {
                    value(name).ok_or_else(|| format!("the sandbox's command names {{{name}}}"))
                }
            });
            pieces.collect::<Result<String, String>>()
        };
        words.iter().map(fill).collect()
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Returns what is wrong with a path that is to be writable, as it stands in a plan.
pub fn wrong_with_path(path: &str) -> Option<&'static str> {
    if path.contains('\0') {
        return Some("it holds a NUL");
    }
    let rest = match path.strip_prefix("~/") {
        Some(rest) => rest,
        None if path == "~" => return Some("the whole home directory is too much"),
        None if path.starts_with('/') => &path[1..],
        None => return Some("it begins with neither `/` nor `~/`"),
    };
    if rest.trim_matches('/').is_empty() {
        return Some("it is too much");
    }
    let climbs = |part: &str| part == ".." || part == ".";
    rest.split('/')
        .any(climbs)
        .then_some("it has `.` or `..` in it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confined() -> Confined {
        Confined {
            worktree: "/w/1.2".into(),
            git_dir: Some("/r/.git/orch/attempts/a/1/private/repo".into()),
            common_dir: "/r/.git".into(),
            tmp: "/t".into(),
            write: vec!["/h/.cargo".into()],
            network: false,
        }
    }

    fn enclosed(confined: &Confined, sandbox: &Sandbox) -> String {
        let command = Command::Shell(String::from("make it"));
        match confined.enclose(sandbox, Path::new("/bin/git-orch"), command) {
            Ok(Command::Argv(words)) => words.join(" "),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn landlock_is_told_every_path_and_the_network() {
        assert_eq!(
            enclosed(&confined(), &Sandbox::Landlock),
            "/bin/git-orch sandboxed --write /w/1.2 --write /r/.git/orch/attempts/a/1/private/repo \
             --write /t --write /h/.cargo --no-network -- sh -c make it"
        );
    }

    #[test]
    fn bwrap_binds_what_may_be_written_over_a_tree_to_read() {
        let words = enclosed(&confined(), &Sandbox::Bwrap);
        assert!(
            words.starts_with(
                "bwrap --ro-bind / / --dev /dev --bind /t /tmp --ro-bind /r/.git /r/.git"
            ),
            "{words}"
        );
        for part in [
            "--bind /w/1.2 /w/1.2",
            "--unshare-net",
            "--cap-drop ALL",
            "--die-with-parent",
        ] {
            assert!(words.contains(part), "{part} is not in {words}");
        }
        assert!(
            words.ends_with("--chdir /w/1.2 -- sh -c make it"),
            "{words}"
        );
        assert!(!words.contains(" --bind /r/.git /r/.git"), "{words}");
    }

    #[test]
    fn what_lies_below_tmp_is_not_covered() {
        let mut confined = confined();
        confined.common_dir = "/tmp/x/.git".into();
        confined.network = true;
        let words = enclosed(&confined, &Sandbox::Bwrap);
        assert!(!words.contains(" /t /tmp "), "{words}");
        assert!(!words.contains("--unshare-net"), "{words}");
    }

    #[test]
    fn a_prefix_gets_its_places() {
        let words = ["jail", "--rw={worktree}", "{git_dir}", "{tmp}"];
        let prefix = Sandbox::Prefix(words.map(str::to_owned).into());
        assert_eq!(
            enclosed(&confined(), &prefix),
            "jail --rw=/w/1.2 /r/.git/orch/attempts/a/1/private/repo /t sh -c make it"
        );
        let wrong = Sandbox::Prefix(vec![String::from("{home}")]);
        let command = Command::Argv(vec![String::from("x")]);
        let refused = confined().enclose(&wrong, Path::new("x"), command);
        assert_eq!(
            refused,
            Err(String::from("the sandbox's command names {home}"))
        );
    }

    #[test]
    fn both_forms_are_read_and_written() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Row {
            sandbox: Sandbox,
        }
        for text in [
            "sandbox = \"none\"\n",
            "sandbox = \"bwrap\"\n",
            "sandbox = \"landlock\"\n",
            "sandbox = [\"a\", \"b\"]\n",
        ] {
            let row: Row = toml::from_str(text).unwrap();
            assert_eq!(toml::to_string(&row).unwrap(), text);
        }
        assert!(toml::from_str::<Row>("sandbox = \"jail\"").is_err());
    }

    #[test]
    fn paths_that_would_open_everything_are_named() {
        for good in ["/var/cache/x", "~/.cargo", "/a/..b"] {
            assert_eq!(wrong_with_path(good), None, "{good}");
        }
        for bad in [
            "", "x", "/", "~", "~/", "/a/../b", "~/../x", "//", "./x", "/a/.",
        ] {
            assert!(wrong_with_path(bad).is_some(), "{bad}");
        }
    }
}
