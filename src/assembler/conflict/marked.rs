//! Files with conflict markers, taken apart.

/// A part of a file with conflict markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::assembler) enum Part<'a> {
    /// Lines that merged.
    Merged(&'a [u8]),
    /// A region that did not.
    Hunk {
        /// The target's lines.
        ours: &'a [u8],
        /// The lines where the two parted.
        base: &'a [u8],
        /// The branch's lines.
        theirs: &'a [u8],
    },
}

/// Takes a file apart; `None` where markers do not follow each other as git writes them (`zdiff3`), for example
/// because the file has such lines of its own.
pub(in crate::assembler) fn parts(text: &[u8]) -> Option<Vec<Part<'_>>> {
    let marks: [&[u8]; 4] = [b"<<<<<<< ", b"||||||| ", b"=======", b">>>>>>> "];
    let (mut found, mut start, mut at) = (Vec::new(), 0, 0);
    // The sides of the hunk that is open.
    let mut sides: Vec<&[u8]> = Vec::new();
    let mut open = false;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let (begin, end) = (at, at + line.len());
        at = end;
        let is_mark = |mark: &[u8]| {
            let bare = line.trim_ascii_end();
            if mark == b"=======" {
                bare == mark
            } else {
                line.starts_with(mark)
            }
        };
        let Some(mark) = marks.iter().position(|mark| is_mark(mark)) else {
            continue;
        };
        let before = &text[start..begin];
        start = end;
        match (mark, open, sides.len()) {
            (0, false, _) => {
                found.push(Part::Merged(before));
                open = true;
            }
            (1, true, 0) | (2, true, 1) => sides.push(before),
            (3, true, 2) => {
                found.push(Part::Hunk {
                    ours: sides[0],
                    base: sides[1],
                    theirs: before,
                });
                sides.clear();
                open = false;
            }
            _ => return None,
        }
    }
    found.push(Part::Merged(&text[start..]));
    (!open && found.len() > 1).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_apart_into_what_merged_and_what_did_not() {
        let text = b"a\n<<<<<<< x\n1\n||||||| y\n=======\n2\n3\n>>>>>>> z\nb\n";
        let hunk = Part::Hunk {
            ours: b"1\n",
            base: b"",
            theirs: b"2\n3\n",
        };
        assert_eq!(
            parts(text).unwrap(),
            [Part::Merged(b"a\n"), hunk, Part::Merged(b"b\n")]
        );
    }

    #[test]
    fn markers_out_of_place_are_not_guessed_at() {
        assert!(parts(b"a\n").is_none());
        assert!(parts(b"<<<<<<< x\n1\n=======\n2\n>>>>>>> z\n").is_none());
        assert!(parts(b"<<<<<<< x\n||||||| y\n=======\n").is_none());
        assert!(parts(b"=======\n").is_none());
        assert!(parts(b"<<<<<<< x\n<<<<<<< x\n").is_none());
    }
}
