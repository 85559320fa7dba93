//! Reads what a run or a profile says of its agents' sandbox.

use toml::Spanned;
use toml::de::DeValue;

use super::fields::Fields;
use super::finding::nearest;
use crate::model::Sandbox;
use crate::model::sandbox::{SANDBOX_KINDS, SANDBOX_PLACEHOLDERS, wrong_with_path};
use crate::model::template::{Piece, pieces};

/// Reads `sandbox`: a word, or the words of a command that stands in front of the agent's.
pub(super) fn read_sandbox(fields: &mut Fields<'_, '_, '_>) -> Option<Sandbox> {
    let value = fields.take("sandbox")?;
    let help = "write `sandbox = \"landlock\"`, \"bwrap\" or \"none\", or a command as an array of strings";
    match value.get_ref() {
        DeValue::String(kind) => {
            let sandbox = Sandbox::named(kind);
            if sandbox.is_none() {
                let message = format!("there is no sandbox `{}`", kind.escape_default());
                match nearest(kind, SANDBOX_KINDS) {
                    Some(near) => {
                        fields.error(value, "sandbox", message, format!("write `{near}`"))
                    }
                    None => fields.error(value, "sandbox", message, help),
                }
            }
            sandbox
        }
        DeValue::Array(array) => {
            let words: Option<Vec<String>> = array.iter().map(word).collect();
            let words = words.filter(|words| words.first().is_some_and(|word| !word.is_empty()));
            let Some(words) = words else {
                let message = "`sandbox` is no command: an array of strings, the first a program";
                fields.error(value, "sandbox", message, help);
                return None;
            };
            for word in &words {
                check_names(fields, value, word);
            }
            Some(Sandbox::Prefix(words))
        }
        _ => {
            let message = "`sandbox` must be a string or an array of strings";
            fields.error(value, "sandbox", message, help);
            None
        }
    }
}

fn word(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) if !text.contains('\0') => Some(text.to_string()),
        _ => None,
    }
}

fn check_names(fields: &mut Fields<'_, '_, '_>, value: &Spanned<DeValue<'_>>, word: &str) {
    for piece in pieces(word) {
        let Piece::Name(name) = piece else { continue };
        if !SANDBOX_PLACEHOLDERS.contains(&name) {
            let known = SANDBOX_PLACEHOLDERS.map(|known| format!("{{{known}}}"));
            let message = format!("`{{{name}}}` stands for nothing here");
            let help = format!("there are {}", known.join(" "));
            fields.error(value, "sandbox", message, help);
        }
    }
}

/// Reads `sandbox_write`: paths that are absolute or below the home directory.
pub(super) fn read_writable(fields: &mut Fields<'_, '_, '_>) -> Vec<String> {
    let example = "sandbox_write = [\"~/.cargo\"]";
    fields.each("sandbox_write", example, |fields, value, at| {
        let help = format!("write for example `{example}`");
        let Some(path) = word(value) else {
            fields.error(value, at, format!("`{at}` must be a string"), help);
            return None;
        };
        if let Some(wrong) = wrong_with_path(&path) {
            let message = format!(
                "`{}` cannot be made writable: {wrong}",
                path.escape_default()
            );
            fields.error(value, at, message, help);
            return None;
        }
        Some(path)
    })
}

/// Reads `sandbox_network`.
pub(super) fn read_network(fields: &mut Fields<'_, '_, '_>) -> Option<bool> {
    let value = fields.take("sandbox_network")?;
    if let DeValue::Boolean(is_allowed) = value.get_ref() {
        return Some(*is_allowed);
    }
    let help = "write `sandbox_network = false`";
    fields.error(
        value,
        "sandbox_network",
        "`sandbox_network` must be true or false",
        help,
    );
    None
}
