//! Command lines with names in braces, as profiles have them.
//!
//! `{{name}}` is the text `{name}`; `${name}` and anything in braces that is no bare word belong to the shell.

/// Names that may stand in braces.
pub const PLACEHOLDERS: [&str; 8] = [
    "prompt_file",
    "task",
    "worktree",
    "model",
    "agent",
    "attempt",
    "branch",
    "result_file",
];

/// One piece of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// To be taken as it stands.
    Text(&'a str),
    /// A name that stood in braces; not necessarily one of [`PLACEHOLDERS`].
    Name(&'a str),
}

/// Cuts a template into text and names in braces.
pub fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut begin, mut at) = (0, 0);
    while let Some(found) = template[at..].find('{') {
        let open = at + found;
        let word: &str = &template[open + 1..];
        let length = word
            .find(|c: char| !c.is_ascii_lowercase() && c != '_')
            .unwrap_or(word.len());
        let close = open + 1 + length;
        at = open + 1;
        if length == 0 || !template[close..].starts_with('}') {
            continue;
        }
        let before = &template[begin..open];
        at = close + 1;
        if before.ends_with('$') {
            continue;
        }
        if before.ends_with('{') && template[at..].starts_with('}') {
            pieces.push(Piece::Text(&before[..before.len() - 1]));
            pieces.push(Piece::Text(&template[open..at]));
            at += 1;
        } else {
            pieces.push(Piece::Text(before));
            pieces.push(Piece::Name(&template[open + 1..close]));
        }
        begin = at;
    }
    pieces.push(Piece::Text(&template[begin..]));
    pieces
}

/// Returns the names in a template's braces that are no placeholders.
pub fn unknown_names(template: &str) -> impl Iterator<Item = &str> {
    pieces(template)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Name(name) if !PLACEHOLDERS.contains(&name) => Some(name),
            Piece::Name(_) | Piece::Text(_) => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_words_in_braces_are_names() {
        let unknown = |text| unknown_names(text).collect::<Vec<_>>();
        assert_eq!(
            unknown("x {task} {taks} ${taks} {{taks}} {print $1} {} {A}"),
            ["taks"]
        );
        assert_eq!(unknown("{prompt_file}{nonsense}"), ["nonsense"]);
        assert_eq!(unknown("ü{ü}{"), Vec::<&str>::new());
    }
}
