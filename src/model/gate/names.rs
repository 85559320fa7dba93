//! Names in trees that are somebody else's on another system: Git's own directory, or a neighbour.
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

/// Returns whether two different names are one on some systems.
pub fn are_twins(a: &[u8], b: &[u8]) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
    }
    fold(a) == fold(b)
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
    for (special, short) in SPECIAL {
        if name != special.as_bytes() && is_on_ntfs(&folded, special, &short) {
            return Some(format!("is {special} on some systems"));
        }
    }
    None
}

/// Returns whether a name is `.git` on some system.
pub fn is_dot_git(name: &[u8]) -> bool {
    let folded = fold(name);
    // On NTFS a colon begins a stream of the file, and what ends in dots or spaces ends before them.
    folded.split('\\').any(|piece| {
        let file = piece.split(':').next().unwrap_or_default();
        matches!(file.trim_end_matches([' ', '.']), ".git" | "git~1")
    })
}

fn is_on_ntfs(folded: &str, special: &str, short: &[&str]) -> bool {
    let file = folded.split(':').next().unwrap_or_default();
    let file = file.trim_end_matches([' ', '.']);
    let numbered = |start: &&str| {
        file.strip_prefix(*start)
            .is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit())
    };
    file == special || short.iter().any(numbered)
}
