//! Where a symbolic link leads, without following it on any disk.

use std::collections::VecDeque;

use super::names::is_dot_git;

/// Links that are followed one after the other; systems follow no more.
const MOST_HOPS: usize = 40;

/// The longest target.
const LONGEST: usize = 4096;

/// Returns why a link must not be: it leads out of the repository, or into Git's own directory.
///
/// `at` is the link's path; `read` returns the target of a path that is a link itself, so that one link cannot
/// lead another astray.
pub fn why_bad(
    at: &[u8],
    target: &[u8],
    read: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Option<&'static str> {
    let mut place: Vec<Vec<u8>> = parts(at).map(<[u8]>::to_vec).collect();
    place.pop();
    let mut way: VecDeque<Vec<u8>> = VecDeque::new();
    let (mut next, mut hops) = (Some(target.to_vec()), 0);
    loop {
        if let Some(target) = next.take() {
            if let Some(why) = why_bad_alone(&target) {
                return Some(why);
            }
            hops += 1;
            if hops > MOST_HOPS {
                // Leads round in circles, and so nowhere.
                return None;
            }
            for part in parts(&target).rev() {
                way.push_front(part.to_vec());
            }
        }
        let part = way.pop_front()?;
        match part.as_slice() {
            b"." => {}
            b".." => {
                if place.pop().is_none() {
                    return Some("leads out of the repository");
                }
            }
            name if is_dot_git(name) => return Some("leads into .git"),
            _ => {
                place.push(part);
                if let Some(target) = read(&place.join(&b'/')) {
                    place.pop();
                    next = Some(target);
                }
            }
        }
    }
}

/// Returns what is wrong with a target wherever it stands.
fn why_bad_alone(target: &[u8]) -> Option<&'static str> {
    let is_drive = target.len() >= 2 && target[0].is_ascii_alphabetic() && target[1] == b':';
    match target {
        [b'/' | b'\\', ..] => Some("leads out of the repository: its target is absolute"),
        _ if is_drive => Some("leads out of the repository: its target names a drive"),
        _ if target.contains(&0) => Some("has a NUL in its target"),
        _ if target.len() > LONGEST => Some("has a target of more than 4096 bytes"),
        _ => None,
    }
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty())
}
