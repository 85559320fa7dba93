//! Command lines that stand in texts: in a README, in hints.

/// Splits a line of a script into the `git orch` commands that it runs, as words.
pub fn command_lines(line: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let mut words = Vec::new();
    let mut skip = false;
    for word in split(line).into_iter().chain([String::from("&&")]) {
        match word.as_str() {
            "&&" | "||" | ";" | "|" => {
                if let [git, orch, rest @ ..] = words.as_slice()
                    && (git, orch) == (&String::from("git"), &String::from("orch"))
                {
                    let program = [String::from("git-orch")];
                    commands.push([&program, rest].concat());
                }
                words.clear();
            }
            ">" | ">>" | "<" => skip = true,
            _ if skip => skip = false,
            _ => words.push(word),
        }
    }
    commands
}

/// Splits at spaces outside quotes, up to a comment.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('#', None) if word.is_empty() => break,
            (' ', None) => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            (c, _) => word.push(c),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// Turns a command line with placeholders into one with values: `[…]` is taken, of `a|b` the first.
pub fn sample(line: &str) -> String {
    let line = line.replace("\\|", "|").replace(['[', ']', '…'], "");
    let word = |word: &str| {
        let first = word.split('|').next().unwrap_or_default();
        let value = match first {
            "<n.m>" => "1.2",
            "<n>" | "<k>" => "1",
            "<event>" => "claim",
            "<shell>" => "bash",
            other if other.starts_with('<') => "x",
            other => other,
        };
        value.to_owned()
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
