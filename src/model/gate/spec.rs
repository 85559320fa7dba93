//! `[run.gate]`: what a plan says of the gate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rule;

/// The word in `guarded` that stands for all of [`DEFAULT_GUARDED`].
pub const DEFAULT: &str = "default";

/// Files that make Git, an editor, a shell, a build or a runner of tests do something by merely being there.
///
/// A task changes one of them only where its scope or deliverables name it.
pub const DEFAULT_GUARDED: [&str; 34] = [
    // Git's own.
    "**/.gitattributes",
    "**/.gitmodules",
    "**/.gitconfig",
    "**/.lfsconfig",
    // Hooks and those who manage them.
    "**/.githooks/**",
    "**/.husky/**",
    "**/.pre-commit-config.yaml",
    "**/lefthook.yml",
    "**/.lefthook.yml",
    "**/lefthook.yaml",
    "**/lefthook.toml",
    "**/.overcommit.yml",
    // What a shell, an editor or a build runs by itself.
    "**/.envrc",
    "**/.mise.toml",
    "**/.vscode/{tasks,launch,settings}.json",
    "**/.idea/runConfigurations/**",
    "**/.devcontainer/**",
    "**/.cargo/{config,config.toml}",
    "**/.npmrc",
    "**/.yarnrc",
    "**/.yarnrc.yml",
    "**/sitecustomize.py",
    // What agents run, or are told, by themselves.
    "**/.claude/{settings.json,settings.local.json}",
    "**/.claude/hooks/**",
    "**/.mcp.json",
    "**/.codex/**",
    "**/.cursor/{mcp,hooks}.json",
    "**/.gemini/settings.json",
    // What runs with the project's secrets once it is pushed.
    ".github/workflows/**",
    ".github/actions/**",
    ".gitlab-ci.yml",
    ".circleci/**",
    ".buildkite/**",
    "**/Jenkinsfile",
];

/// Settings of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GateSpec {
    /// Files, as globs, that a task changes only where its plan names them; `default` stands for our list.
    pub guarded: Vec<String>,
    /// People who may commit on task branches: `Name <address>`, an address, or `*` for anyone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// Rules that are switched off, by their words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub off: Vec<String>,
    /// Most bytes of one file, for example `50MiB`.
    pub max_blob: String,
    /// Most commits that a branch adds.
    pub max_commits: u32,
    /// Most paths that a branch changes, counted commit by commit.
    pub max_paths: u32,
}

impl Default for GateSpec {
    fn default() -> Self {
        Self {
            guarded: vec![String::from(DEFAULT)],
            authors: Vec::new(),
            off: Vec::new(),
            max_blob: String::from("50MiB"),
            max_commits: 10_000,
            max_paths: 200_000,
        }
    }
}

impl GateSpec {
    /// Returns whether the plan says nothing of the gate.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether a rule counts.
    pub fn has(&self, rule: Rule) -> bool {
        !(Rule::OPTIONAL.contains(&rule) && self.off.iter().any(|word| word == rule.as_str()))
    }

    /// Returns the globs of guarded files, with our list in the place of its word.
    pub fn guarded_globs(&self) -> Vec<&str> {
        let mut globs = Vec::new();
        for glob in &self.guarded {
            match glob.as_str() {
                DEFAULT => globs.extend(DEFAULT_GUARDED),
                glob => globs.push(glob),
            }
        }
        globs
    }

    /// Returns the most bytes of one file; a size that is none is our own.
    pub fn most_bytes(&self) -> u64 {
        parse_size(&self.max_blob).unwrap_or(50 << 20)
    }
}

/// Parses `512`, `100KiB`, `50MiB` or `2GiB` into bytes.
pub fn parse_size(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("B", 0), ("", 0)];
    let text = text.trim();
    let (number, shift) = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))?;
    let number: u64 = number.trim_end().parse().ok()?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}
