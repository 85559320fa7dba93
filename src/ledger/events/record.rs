//! An event as bytes: everything that its entry says.

use serde::{Deserialize, Serialize};

use crate::git::Oid;
use crate::ledger::Entry;
use crate::model::event::Told;

/// Trailers whose names are numbers here, counted from 1; 0 is any other.
const KNOWN: [&str; 11] = [
    "Event", "Run", "Task", "Agent", "Attempt", "State", "Head", "Commit", "Actor", "Machine", "Id",
];

/// What is searched, first, so that the rest need not be read for it.
#[derive(Serialize, Deserialize)]
pub(super) struct Front<'a> {
    commit: [u8; 20],
    time: i64,
    /// Subject line.
    pub(super) subject: &'a str,
    /// Prose.
    pub(super) body: &'a str,
}

#[derive(Serialize, Deserialize)]
struct Back<'a> {
    author: &'a str,
    #[serde(borrow)]
    trailers: Vec<(u8, &'a str)>,
}

/// Appends an entry's bytes; `None` if that cannot be done.
pub(super) fn encode(entry: &Entry, out: &mut Vec<u8>) -> Option<()> {
    let told = &entry.told;
    let front = Front {
        commit: entry.commit.as_slice().try_into().ok()?,
        time: entry.time,
        subject: &told.subject,
        body: &told.body,
    };
    // Names that are not known stand before their values, as in the message.
    let spelled: Vec<(u8, String)> = told
        .trailers
        .iter()
        .map(
            |(key, value)| match KNOWN.iter().position(|known| known == key) {
                Some(at) => (at as u8 + 1, value.clone()),
                None => (0, format!("{key}: {value}")),
            },
        )
        .collect();
    let back = Back {
        author: &entry.author,
        trailers: spelled
            .iter()
            .map(|(code, text)| (*code, text.as_str()))
            .collect(),
    };
    let mut bytes = postcard::to_extend(&front, std::mem::take(out)).ok()?;
    bytes = postcard::to_extend(&back, bytes).ok()?;
    *out = bytes;
    Some(())
}

/// Reads what is searched; returns the bytes of the rest as well.
pub(super) fn front(bytes: &[u8]) -> Option<(Front<'_>, &[u8])> {
    postcard::take_from_bytes(bytes).ok()
}

impl Front<'_> {
    /// Reads the rest.
    pub(super) fn complete(&self, rest: &[u8]) -> Option<Entry> {
        let back: Back<'_> = postcard::from_bytes(rest).ok()?;
        let trailer = |(code, text): &(u8, &str)| {
            let (key, value) = match usize::from(*code).checked_sub(1) {
                Some(at) => (*KNOWN.get(at)?, *text),
                None => text.split_once(": ")?,
            };
            Some((key.to_owned(), value.to_owned()))
        };
        Some(Entry {
            commit: Oid::from_bytes_or_panic(&self.commit),
            time: self.time,
            author: back.author.to_owned(),
            told: Told {
                subject: self.subject.to_owned(),
                body: self.body.to_owned(),
                trailers: back.trailers.iter().map(trailer).collect::<Option<_>>()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_the_same_after_writing_and_reading() {
        for message in [
            "",
            "a",
            "[TEAM-1] claim a: b\n\nwords\n\nOrch-Event: claim\nOrch-Task: a\nOrch-Own: x: y\n",
            "[TEAM-1] é\u{fffd}\nmore\n\n\n\nOrch-: v\nOrch-Event: \nOrch-Task: t\nOrch-Task: u",
        ] {
            let entry = Entry {
                commit: Oid::from_bytes_or_panic(&[7; 20]),
                time: -5,
                author: String::from("ä"),
                told: Told::parse(message),
            };
            let mut bytes = vec![1];
            encode(&entry, &mut bytes).unwrap();
            let (front, rest) = front(&bytes[1..]).unwrap();
            assert_eq!(front.complete(rest), Some(entry));
        }
    }
}
