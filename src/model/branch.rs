//! Names of branches, as plans, bundles and notes give them.

/// Checks a branch's name by the rules of `git check-ref-format`.
///
/// # Errors
///
/// It is none: what is wrong.
pub fn check(name: &str) -> Result<(), &'static str> {
    let bad =
        |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    if name.contains(bad) {
        return Err("a blank or one of `~^:?*[\\` is in it");
    }
    if name.contains("..") || name.contains("@{") || name.ends_with('.') || name.starts_with('-') {
        return Err("`..`, `@{`, a final `.` and a leading `-` are not allowed");
    }
    let part_is_bad =
        |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    if name.split('/').any(part_is_bad) || matches!(name, "@" | "HEAD") {
        return Err("a part of it is empty, begins with `.`, ends with `.lock` or is reserved");
    }
    Ok(())
}
