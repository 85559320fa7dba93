//! One glob: parsed, and matched against a path.

/// The most alternatives that the braces of one glob may spell out.
const MOST_ALTERNATIVES: usize = 64;

/// The longest glob in bytes.
const MOST_BYTES: usize = 1024;

/// A parsed glob: each alternative of its braces is a sequence of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    pub(super) alternatives: Vec<Vec<Part>>,
}

/// What stands between two slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// `**`: any number of parts of a path, none included.
    Any,
    /// One part of a path.
    One(Vec<Token>),
    /// A directory whose name looks like a file's; another glob must name it to lead below it.
    Dir(Vec<Token>),
}

/// What stands for characters within one part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// Itself.
    Char(char),
    /// One character of these ranges, ends included; sorted and disjoint.
    Class(Vec<(u32, u32)>),
    /// Any number of characters.
    Star,
}

impl Glob {
    /// Parses a glob.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with it, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        let wrong = |what: &str, help: &str| Err((what.to_owned(), help.to_owned()));
        if text.trim().is_empty() {
            return wrong("it is empty", "write for example `src/auth/**`");
        }
        if text.len() > MOST_BYTES {
            return wrong("it is longer than 1024 bytes", "write several globs");
        }
        if text.starts_with('/') {
            return wrong(
                "it begins with `/`",
                &format!(
                    "write it relative to the top of the repository: `{}`",
                    text.trim_start_matches('/')
                ),
            );
        }
        if text.starts_with('!') {
            return wrong(
                "exclusions are not supported",
                "list what the task may change",
            );
        }
        let mut alternatives = Vec::new();
        for plain in expand(text)? {
            alternatives.extend(with_below(parse_parts(&plain)?, plain.ends_with('/')));
        }
        Ok(Self { alternatives })
    }

    /// Returns whether a path matches.
    pub fn matches(&self, path: &str) -> bool {
        let parts = path.split('/').filter(|part| !part.is_empty());
        let path: Vec<Part> = parts
            .map(|part| Part::One(part.chars().map(Token::Char).collect()))
            .collect();
        let path = Self {
            alternatives: vec![path],
        };
        super::overlapping(self, &path)
    }
}

/// Returns the characters that every path begins with that matches the glob; escapes end them.
pub fn literal_prefix(glob: &str) -> &str {
    let end = glob.find(['*', '?', '[', '{', '\\']).unwrap_or(glob.len());
    glob[..end].trim_end_matches('/')
}

/// Returns the first part of a glob that is a plain name.
pub fn first_name(glob: &str) -> Option<&str> {
    let is_plain = |part: &&str| !part.is_empty() && !part.contains(['*', '?', '[', '{', '\\']);
    glob.split('/').find(is_plain)
}

/// Returns whether a glob matches a path and spells out one of its names.
pub fn names(glob: &str, path: &str, name: &str) -> bool {
    let Ok(glob) = Glob::parse(glob) else {
        return false;
    };
    let is_named = |part: &Part| match part {
        Part::One(tokens) | Part::Dir(tokens) => {
            let chars = name.chars().map(Token::Char);
            tokens.iter().cloned().eq(chars)
        }
        Part::Any => false,
    };
    glob.alternatives.into_iter().any(|parts| {
        parts.iter().any(is_named)
            && Glob {
                alternatives: vec![parts],
            }
            .matches(path)
    })
}

type Wrong = (String, String);

/// Spells out the braces of a glob.
fn expand(text: &str) -> Result<Vec<String>, Wrong> {
    let unbalanced = || {
        (
            String::from("`{` and `}` do not pair up"),
            String::from("write for example `src/{auth,users}/**`"),
        )
    };
    let Some((before, inner, after)) = first_braces(text).map_err(|()| unbalanced())? else {
        return Ok(vec![text.to_owned()]);
    };
    let mut all = Vec::new();
    for rest in expand(after)? {
        for choice in split_choices(inner) {
            for choice in expand(choice)? {
                all.push(format!("{before}{choice}{rest}"));
                if all.len() > MOST_ALTERNATIVES {
                    return Err((
                        format!("its braces spell out more than {MOST_ALTERNATIVES} globs"),
                        String::from("write `*` in place of one of them"),
                    ));
                }
            }
        }
    }
    Ok(all)
}

/// Walks over the characters of a glob that are neither escaped nor in `[..]`.
fn plain_chars(text: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut chars = text.char_indices().peekable();
    std::iter::from_fn(move || {
        loop {
            let (at, c) = chars.next()?;
            match c {
                '\\' => {
                    chars.next();
                }
                '[' => {
                    let inside = &text[at + 1..];
                    let Some(end) = class_end(inside) else {
                        return Some((at, c));
                    };
                    while chars.next_if(|(i, _)| *i <= at + 1 + end).is_some() {}
                }
                _ => return Some((at, c)),
            }
        }
    })
}

/// Returns where the `]` is that ends a class, given what follows its `[`.
fn class_end(inside: &str) -> Option<usize> {
    let negation = inside.starts_with(['!', '^']);
    let skip = usize::from(negation);
    // A `]` that comes first is one of the class.
    let first = usize::from(inside[skip..].starts_with(']'));
    inside[skip + first..]
        .find(']')
        .map(|end| skip + first + end)
}

type Braces<'t> = Option<(&'t str, &'t str, &'t str)>;

/// Returns what stands before, in and after the first pair of braces.
fn first_braces(text: &str) -> Result<Braces<'_>, ()> {
    let (mut depth, mut start) = (0usize, 0);
    for (at, c) in plain_chars(text) {
        match c {
            '{' => {
                if depth == 0 {
                    start = at;
                }
                depth += 1;
            }
            '}' if depth == 0 => return Err(()),
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some((
                        &text[..start],
                        &text[start + 1..at],
                        &text[at + 1..],
                    )));
                }
            }
            _ => {}
        }
    }
    if depth == 0 { Ok(None) } else { Err(()) }
}

/// Splits what stands in braces at its own commas.
fn split_choices(inner: &str) -> Vec<&str> {
    let (mut depth, mut start, mut choices) = (0usize, 0, Vec::new());
    for (at, c) in plain_chars(inner) {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                choices.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    choices.push(&inner[start..]);
    choices
}

/// Parses a glob without braces.
fn parse_parts(text: &str) -> Result<Vec<Part>, Wrong> {
    let wrong = |what: &str, help: &str| Err((what.to_owned(), help.to_owned()));
    // A final `/` says what holds anyway: everything below belongs to it.
    let body = text.strip_suffix('/').unwrap_or(text);
    let mut parts = Vec::new();
    for part in body.split('/') {
        match part {
            "" => return wrong("it has an empty part", "write one `/` between two names"),
            "." | ".." => {
                return wrong(
                    &format!("it has `{part}` in it"),
                    "write the path from the top of the repository",
                );
            }
            "**" => parts.push(Part::Any),
            part => parts.push(Part::One(parse_tokens(part)?)),
        }
    }
    Ok(parts)
}

/// Adds what lies below, where the last part names a directory or may name one.
///
/// A name that looks like a file's is one, so that `**/Cargo.toml` and `src/**/*.rs` do not overlap, unless
/// another glob leads through it by that name.
fn with_below(mut parts: Vec<Part>, is_dir: bool) -> Vec<Vec<Part>> {
    match parts.pop() {
        // `a/**` is everything below `a`, not `a` itself.
        Some(Part::Any) | None => {
            parts.push(Part::One(vec![Token::Star]));
            parts.push(Part::Any);
            vec![parts]
        }
        Some(Part::One(tokens)) if !is_dir && !is_literal(&tokens) => {
            parts.push(Part::One(tokens));
            vec![parts]
        }
        Some(Part::One(tokens)) if !is_dir && looks_like_file(&tokens) => {
            let mut below = parts.clone();
            below.push(Part::Dir(tokens.clone()));
            below.push(Part::Any);
            parts.push(Part::One(tokens));
            vec![parts, below]
        }
        Some(last) => {
            parts.push(last);
            parts.push(Part::Any);
            vec![parts]
        }
    }
}

/// Returns whether every character stands for itself.
pub(super) fn is_literal(tokens: &[Token]) -> bool {
    tokens.iter().all(|token| matches!(token, Token::Char(_)))
}

/// Returns whether a name has a dot behind its first character.
fn looks_like_file(tokens: &[Token]) -> bool {
    let mut rest = tokens.iter().skip(1);
    rest.any(|token| *token == Token::Char('.'))
}

fn parse_tokens(part: &str) -> Result<Vec<Token>, Wrong> {
    let mut tokens = Vec::new();
    let mut rest = part;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '*' if tokens.last() == Some(&Token::Star) => {}
            '*' => tokens.push(Token::Star),
            '?' => tokens.push(Token::Class(vec![(0, u32::from(char::MAX))])),
            '[' => {
                let Some(end) = class_end(rest) else {
                    return Err((
                        String::from("a `[` is not closed"),
                        String::from("write for example `[a-z]`, or `\\[` for the character"),
                    ));
                };
                tokens.push(Token::Class(parse_class(&rest[..end])?));
                rest = &rest[end + 1..];
            }
            '\\' => match rest.chars().next() {
                Some(c) if !c.is_alphanumeric() => {
                    tokens.push(Token::Char(c));
                    rest = &rest[c.len_utf8()..];
                }
                _ => {
                    return Err((
                        String::from("`\\` does not separate names"),
                        format!("write `{}`", part.replace('\\', "/")),
                    ));
                }
            },
            c if c.is_control() => {
                return Err((
                    String::from("it has a control character in it"),
                    String::from("write the path as `git ls-files` shows it"),
                ));
            }
            c => tokens.push(Token::Char(c)),
        }
    }
    Ok(tokens)
}

/// Parses what stands between `[` and `]` into sorted ranges.
fn parse_class(inside: &str) -> Result<Vec<(u32, u32)>, Wrong> {
    let (negated, body) = match inside.strip_prefix(['!', '^']) {
        Some(body) => (true, body),
        None => (false, inside),
    };
    let chars: Vec<char> = body.chars().collect();
    let (mut ranges, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        let low = u32::from(chars[i]);
        if i + 2 < chars.len() && chars[i + 1] == '-' {
            ranges.push((low, u32::from(chars[i + 2])));
            i += 3;
        } else {
            ranges.push((low, low));
            i += 1;
        }
    }
    if let Some((low, high)) = ranges.iter().find(|(low, high)| low > high) {
        let name = |c: u32| char::from_u32(c).unwrap_or('?');
        return Err((
            format!("the range `{}-{}` is empty", name(*low), name(*high)),
            format!("write `{}-{}`", name(*high), name(*low)),
        ));
    }
    ranges.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::new();
    for (low, high) in ranges {
        match merged.last_mut() {
            Some((_, end)) if low <= end.saturating_add(1) => *end = (*end).max(high),
            _ => merged.push((low, high)),
        }
    }
    Ok(if negated { complement(&merged) } else { merged })
}

fn complement(ranges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let (mut next, mut rest) = (0, Vec::new());
    for (low, high) in ranges {
        if next < *low {
            rest.push((next, low - 1));
        }
        next = high + 1;
    }
    if next <= u32::from(char::MAX) {
        rest.push((next, u32::from(char::MAX)));
    }
    rest
}
