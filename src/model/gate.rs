//! What the gate knows without a repository: its rules and their settings, which names, links, files and authors
//! are dangerous, and what a raw commit says.
//!
//! Everything here works on bytes: a hostile name or message need not be text.

pub mod authors;
pub mod commit;
pub mod guarded;
pub mod links;
pub mod names;
pub mod spec;
pub mod words;

pub use spec::{GateSpec, parse_size};

/// What the gate insists on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Nothing of the ledger's directory is in the tree.
    Ledger,
    /// Every subject names team and agent.
    Tags,
    /// Every commit names its task and agent in trailers.
    Trailers,
    /// Every changed path is within the task's scope.
    Scope,
    /// No commit belongs to another task that is not merged.
    Foreign,
    /// Author and committer are agents of the team, or people whom the plan names.
    Authors,
    /// A message reads the same to everyone.
    Message,
    /// The branch goes on from where it was cut.
    Ancestry,
    /// Every name is one that all systems keep apart from the others, and from Git's own.
    Names,
    /// Symbolic links stay within the repository.
    Links,
    /// Submodules change where the plan names them.
    Submodules,
    /// Files that make programs run change where the plan names them.
    Guarded,
    /// No merge has left conflict markers.
    Markers,
    /// The branch is within the limits of size.
    Sizes,
    /// Every object can be read and is well formed.
    Objects,
    /// No changed path is under a lock that the task does not hold.
    Lock,
    /// Every commit is signed by the agent that it names, where signing is on.
    Signature,
}

impl Rule {
    /// Rules that a plan may switch off; a project may have its reasons.
    pub const OPTIONAL: [Self; 6] = [
        Self::Authors,
        Self::Names,
        Self::Links,
        Self::Submodules,
        Self::Guarded,
        Self::Sizes,
    ];

    /// Returns the word used in plans and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Tags => "tags",
            Self::Trailers => "trailers",
            Self::Scope => "scope",
            Self::Foreign => "foreign",
            Self::Authors => "authors",
            Self::Message => "message",
            Self::Ancestry => "ancestry",
            Self::Names => "names",
            Self::Links => "links",
            Self::Submodules => "submodules",
            Self::Guarded => "guarded",
            Self::Markers => "markers",
            Self::Sizes => "sizes",
            Self::Objects => "objects",
            Self::Lock => "lock",
            Self::Signature => "signature",
        }
    }
}

/// Returns bytes as text that shows every byte and controls no terminal.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                // Quotes stand for themselves: what is shown stands between other marks.
                '"' | '\'' => text.push(c),
                c if names::is_ignorable(c) => text.extend(c.escape_unicode()),
                c => text.extend(c.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests;
