//! What a git command complains of, without what it says besides.

/// Returns the words of an error on stderr: hints, warnings and traces are left out, and what begins as Git
/// begins its errors stands first.
///
/// For people only. What happened is told by exit codes.
pub fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text
        .lines()
        // Progress is drawn over itself.
        .filter_map(|line| line.rsplit('\r').find(|part| !part.is_empty()))
        .filter(|line| !is_noise(line))
        .collect();
    let first = lines.iter().position(|line| is_complaint(line));
    let (before, told) = lines.split_at(first.unwrap_or(0));
    let told = [told, before].concat().join("\n");
    match told.is_empty() {
        // Better than nothing.
        true => text.trim().to_owned(),
        false => told.trim().to_owned(),
    }
}

/// Lines of Git, of the other side of a connection, and of the way there.
fn is_complaint(line: &str) -> bool {
    ["fatal: ", "error: ", "BUG: ", "remote: ", "ssh: "]
        .iter()
        .any(|start| line.starts_with(start))
}

fn is_noise(line: &str) -> bool {
    let starts = |start: &str| {
        line.get(..start.len())
            .is_some_and(|begun| begun.eq_ignore_ascii_case(start))
    };
    line.trim().is_empty()
        || [
            "hint:", "warning:", "debug1:", "debug2:", "debug3:", "trace:", "** ",
        ]
        .into_iter()
        .any(starts)
        || is_trace(line.as_bytes())
}

/// A line of `GIT_TRACE` and its kin: `12:34:56.123456 git.c:460 …`.
fn is_trace(line: &[u8]) -> bool {
    let shape = b"00:00:00.000000 ";
    line.len() >= shape.len()
        && line.iter().zip(shape).all(|(byte, like)| match like {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        complaint(text.as_bytes())
    }

    #[test]
    fn noise_does_not_hide_an_error() {
        let noise = "hint: Support for <GIT_DIR>/info/grafts is deprecated\nhint: \n\
                     warning: refname 'main' is ambiguous.\n\
                     12:34:56.123456 git.c:460               trace: built-in: git status\n\
                     Receiving objects:  50%\rReceiving objects: 100%, done.\n";
        assert_eq!(
            told(&format!("{noise}fatal: bad object HEAD\n")),
            "fatal: bad object HEAD\nReceiving objects: 100%, done."
        );
        assert_eq!(told("hint: use --force\n"), "hint: use --force");
        assert_eq!(told(""), "");
    }

    #[test]
    fn an_error_keeps_its_lines_in_order() {
        for text in [
            "error: Your local changes would be overwritten:\n\ta.txt\nPlease commit them.\nAborting",
            "ssh: Could not resolve hostname x\nfatal: Could not read from remote repository.",
            "remote: error: denied by policy\nerror: failed to push some refs",
            "what a hook of mine says",
        ] {
            assert_eq!(told(text), text);
        }
    }
}
