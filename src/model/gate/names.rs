//! Names in trees that are somebody else's on another system: Git's own directory, a neighbour, or another place.
//!
//! What `git fsck` and a checkout with `core.protectHFS` and `core.protectNTFS` look for, and more: here it does
//! not depend on who checks out.

use unicode_normalization::UnicodeNormalization as _;

/// The longest name that file systems take.
const LONGEST_NAME: usize = 255;

/// Git's files whose other spellings are taken for them, with the beginnings of their short names on NTFS.
const SPECIAL: [(&str, [&str; 2]); 4] = [
    (".gitmodules", ["gitmod~", "gi7eba~"]),
    (".gitattributes", ["gitatt~", "gi7d29~"]),
    (".gitignore", ["gitign~", "gi250a~"]),
    (".mailmap", ["mailma~", "maba30~"]),
];

/// Returns whether a character counts for nothing in names on HFS+.
pub fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// Returns a name as systems compare it that keep upper and lower case, and ways to write an accent, apart for
/// show only.
pub fn fold(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let kept = text.chars().filter(|c| !is_ignorable(*c));
    kept.nfd().flat_map(char::to_lowercase).nfd().collect()
}

/// Returns the name of the file that a name stands for, as [`fold`] writes it: on NTFS a colon begins a stream of
/// the file, and what ends in dots or spaces ends before them.
pub fn file_of(name: &[u8]) -> String {
    let mut folded = fold(name);
    folded.truncate(on_ntfs(&folded).len());
    folded
}

/// Returns the part of a folded name that names the file on NTFS.
fn on_ntfs(folded: &str) -> &str {
    let file = folded.split(':').next().unwrap_or_default();
    file.trim_end_matches([' ', '.'])
}

/// Returns whether two different names are one on some systems, or one of them is a path into the other.
pub fn are_twins(a: &[u8], b: &[u8]) -> bool {
    let odd = |name: &[u8]| {
        let ends = name.last().is_some_and(|byte| b" .".contains(byte));
        ends || !name.is_ascii() || name.iter().any(|byte| b":\\".contains(byte))
    };
    if !odd(a) && !odd(b) {
        return a.eq_ignore_ascii_case(b);
    }
    let (a, b) = (file_of(a), file_of(b));
    let is_below = |path: &str, dir: &str| {
        let rest = path.strip_prefix(dir);
        rest.is_some_and(|rest| rest.starts_with('\\'))
    };
    a == b || is_below(&a, &b) || is_below(&b, &a)
}

/// Returns why no tree should have an entry of this name.
pub fn why_bad(name: &[u8]) -> Option<String> {
    match name {
        b"" => return Some(String::from("has no name")),
        b"." | b".." => return Some(String::from("is no name but a way")),
        _ if name.contains(&b'/') => return Some(String::from("has a slash in its name")),
        _ if name.len() > LONGEST_NAME => {
            return Some(format!("has a name of {} bytes", name.len()));
        }
        _ => {}
    }
    if is_dot_git(name) {
        return Some(String::from(
            "is Git's own directory, at least on some systems",
        ));
    }
    let folded = fold(name);
    if let Some(why) = why_bad_on_ntfs(&folded) {
        return Some(String::from(why));
    }
    for (special, short) in SPECIAL {
        if name != special.as_bytes() && is_on_ntfs(&folded, special, &short) {
            return Some(format!("is {special} on some systems"));
        }
    }
    None
}

/// Returns why a name means something else on Windows, whatever stands beside it.
fn why_bad_on_ntfs(folded: &str) -> Option<&'static str> {
    let mut pieces = folded.split('\\');
    if folded.contains('\\') && pieces.any(|piece| on_ntfs(piece).is_empty()) {
        return Some("leads to another directory on Windows");
    }
    if folded.contains(":$") {
        return Some("is a stream of another file on Windows");
    }
    let ends = folded.ends_with([' ', '.']);
    ends.then_some("ends in a dot or a space, without which Windows writes it")
}

/// Returns whether a name is `.git` on some system.
pub fn is_dot_git(name: &[u8]) -> bool {
    let folded = fold(name);
    let mut pieces = folded.split('\\');
    pieces.any(|piece| matches!(on_ntfs(piece), ".git" | "git~1"))
}

fn is_on_ntfs(folded: &str, special: &str, short: &[&str]) -> bool {
    let file = on_ntfs(folded);
    let numbered = |start: &&str| {
        file.strip_prefix(*start)
            .is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit())
    };
    file == special || short.iter().any(numbered)
}
