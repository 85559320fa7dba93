//! What of the files that Git ignores can be built again, by what tools call it.

/// Directories that build tools, package managers and test runners fill by themselves.
const DIRECTORIES: [&str; 48] = [
    "target",
    "node_modules",
    "bower_components",
    "build",
    "dist",
    "out",
    "obj",
    "_build",
    "deps",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".eggs",
    "__pycache__",
    "__pypackages__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    ".cache",
    ".gradle",
    ".mvn",
    ".next",
    ".nuxt",
    ".output",
    ".svelte-kit",
    ".angular",
    ".astro",
    ".turbo",
    ".parcel-cache",
    ".yarn",
    ".pnpm-store",
    ".nyc_output",
    "coverage",
    "htmlcov",
    ".stack-work",
    "dist-newstyle",
    ".dart_tool",
    "Pods",
    "DerivedData",
    ".bundle",
    ".zig-cache",
    "zig-cache",
    "zig-out",
    ".direnv",
    ".terraform",
    "CMakeFiles",
];

/// How the names of other such directories begin.
const BEGINNINGS: [&str; 2] = ["bazel-", "cmake-build-"];

/// Last parts of names of files, and of directories, that are made from others.
const ENDINGS: [&str; 17] = [
    ".pyc",
    ".pyo",
    ".pyd",
    ".egg-info",
    ".class",
    ".o",
    ".obj",
    ".a",
    ".lib",
    ".so",
    ".dylib",
    ".dll",
    ".rlib",
    ".rmeta",
    ".gcda",
    ".gcno",
    ".tsbuildinfo",
];

/// Files that a desktop leaves behind.
const LEFT_BEHIND: [&str; 3] = [".DS_Store", "Thumbs.db", "desktop.ini"];

/// Returns whether an ignored path is of a kind that nobody writes by hand.
pub fn can_be_built_again(path: &str) -> bool {
    let is_built = |dir: &str| {
        DIRECTORIES.contains(&dir)
            || BEGINNINGS.iter().any(|start| dir.starts_with(start))
            || ENDINGS.iter().any(|end| dir.ends_with(end))
    };
    let (parents, last) = match path.trim_end_matches('/').rsplit_once('/') {
        Some((parents, last)) => (parents, last),
        None => ("", path.trim_end_matches('/')),
    };
    let is_dir = path.ends_with('/');
    parents.split('/').any(is_built)
        || (is_dir && is_built(last))
        || ENDINGS
            .iter()
            .any(|end| last.ends_with(end) && last != *end)
        || LEFT_BEHIND.contains(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_write_is_told_from_what_people_write() {
        for path in [
            "target/",
            "crates/core/target/",
            "web/node_modules/",
            "src/__pycache__/",
            "build/keys.env",
            "bazel-out/",
            "pkg.egg-info/",
            "src/a.pyc",
            "lib/x.so",
            ".DS_Store",
        ] {
            assert!(can_be_built_again(path), "{path}");
        }
        for path in [
            ".env",
            "notes.md",
            "ignored/",
            "data/app.sqlite",
            "targets/",
            "my-build/",
            // A file may be called like a directory, or like an ending.
            "build",
            "out",
            ".o",
            ".claude/worktrees/",
            "docs/handoff.log",
        ] {
            assert!(!can_be_built_again(path), "{path}");
        }
    }
}
