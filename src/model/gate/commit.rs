//! A raw commit as those see it who trust nothing about it.

use super::authors::Person;

/// What a commit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawCommit<'a> {
    /// Who wrote it.
    pub author: Person<'a>,
    /// Who committed it.
    pub committer: Person<'a>,
    /// The name of the encoding that it says its message has.
    pub encoding: Option<&'a [u8]>,
    /// The message, as bytes.
    pub message: &'a [u8],
}

/// Encodings whose ASCII characters are those of ASCII, so that tags read the same to everyone; by prefix.
const ENCODINGS: [&str; 14] = [
    "utf-8",
    "utf8",
    "us-ascii",
    "ascii",
    "iso-8859-",
    "iso8859-",
    "latin",
    "windows-125",
    "cp125",
    "koi8-",
    "euc-",
    "gb18030",
    "gb2312",
    "big5",
];

impl<'a> RawCommit<'a> {
    /// Parses a raw commit.
    ///
    /// # Errors
    ///
    /// Returns what is malformed about it.
    pub fn parse(raw: &'a [u8]) -> Result<Self, &'static str> {
        let end = raw.windows(2).position(|pair| pair == b"\n\n");
        let (head, message) = match end {
            Some(end) => (&raw[..end], &raw[end + 2..]),
            None => (raw.strip_suffix(b"\n").unwrap_or(raw), &raw[raw.len()..]),
        };
        if head.contains(&0) {
            return Err("has a NUL in its header");
        }
        let (mut author, mut committer, mut encoding) = (None, None, None);
        for line in head.split(|byte| *byte == b'\n') {
            let slot = |slot: &mut Option<&'a [u8]>, value: &'a [u8]| match slot.replace(value) {
                None => Ok(()),
                Some(_) => Err("names somebody twice"),
            };
            if let Some(value) = line.strip_prefix(b"author ") {
                slot(&mut author, value)?;
            } else if let Some(value) = line.strip_prefix(b"committer ") {
                slot(&mut committer, value)?;
            } else if let Some(value) = line.strip_prefix(b"encoding ") {
                slot(&mut encoding, value)?;
            }
        }
        let person = |line: Option<&'a [u8]>| line.and_then(parse_person);
        Ok(Self {
            author: person(author).ok_or("has no author that can be read")?,
            committer: person(committer).ok_or("has no committer that can be read")?,
            encoding,
            message,
        })
    }

    /// Returns why the message might read differently to somebody else.
    pub fn deceives(&self) -> Option<String> {
        if let Some(encoding) = self.encoding {
            let name = String::from_utf8_lossy(encoding).to_ascii_lowercase();
            if !ENCODINGS.iter().any(|known| name.starts_with(known)) {
                return Some(format!(
                    "says that its message is in `{}`, in which tags read differently",
                    super::shown(encoding)
                ));
            }
        }
        let mut bytes = self.message.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            let plain = match byte {
                b'\n' | b'\t' => true,
                b'\r' => matches!(bytes.peek(), Some(b'\n') | None),
                0..0x20 | 0x7f => false,
                _ => true,
            };
            if !plain {
                return Some(format!(
                    "has the control character \\x{byte:02x} in its message"
                ));
            }
        }
        None
    }
}

/// Parses `Name <address> seconds zone`.
fn parse_person(line: &[u8]) -> Option<Person<'_>> {
    let open = line.iter().position(|byte| *byte == b'<')?;
    let close = open + line[open..].iter().position(|byte| *byte == b'>')?;
    let date = std::str::from_utf8(&line[close + 1..]).ok()?;
    let mut date = date.strip_prefix(' ')?.split(' ');
    let (seconds, zone) = (date.next()?, date.next()?);
    let is_zone = zone.len() >= 5 && zone.starts_with(['+', '-']);
    let is_zone = is_zone && zone[1..].bytes().all(|byte| byte.is_ascii_digit());
    if date.next().is_some() || !is_zone || seconds.parse::<i64>().is_err() {
        return None;
    }
    Some(Person {
        name: line[..open].trim_ascii(),
        address: &line[open + 1..close],
    })
}
