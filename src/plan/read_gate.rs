//! From text to [`GateSpec`]: what the plan says of the gate.

use toml::de::DeValue;

use super::fields::Fields;
use super::finding::nearest;
use crate::model::gate::spec::DEFAULT;
use crate::model::gate::{GateSpec, Rule, parse_size};
use crate::model::scope::Glob;

/// Reads `[run.gate]`.
pub(super) fn read_gate(mut fields: Fields<'_, '_, '_>) -> GateSpec {
    let default = GateSpec::default();
    let spec = GateSpec {
        guarded: match fields.has("guarded") {
            true => read_guarded(&mut fields),
            false => default.guarded,
        },
        authors: read_authors(&mut fields),
        off: read_off(&mut fields),
        max_blob: read_size(&mut fields).unwrap_or(default.max_blob),
        max_commits: fields
            .count("max_commits", 1)
            .unwrap_or(default.max_commits),
        max_paths: fields.count("max_paths", 1).unwrap_or(default.max_paths),
    };
    fields.finish();
    spec
}

fn read_guarded(fields: &mut Fields<'_, '_, '_>) -> Vec<String> {
    let example = "guarded = [\"default\", \"ci/**\"]";
    fields.each("guarded", example, |fields, value, at| {
        let DeValue::String(text) = value.get_ref() else {
            let message = String::from("`guarded` must be an array of strings");
            fields.error(value, at, message, format!("write for example `{example}`"));
            return None;
        };
        if text != DEFAULT
            && let Err((wrong, help)) = Glob::parse(text)
        {
            let message = format!("`{}` is no glob: {wrong}", text.escape_debug());
            fields.error(value, at, message, help);
            return None;
        }
        Some(text.to_string())
    })
}

fn read_authors(fields: &mut Fields<'_, '_, '_>) -> Vec<String> {
    let example = "authors = [\"Ann <ann@example.org>\"]";
    fields.each("authors", example, |fields, value, at| {
        let text = match value.get_ref() {
            DeValue::String(text) => text.trim(),
            _ => "",
        };
        let is_person = text == "*" || text.contains('@') && !text.contains(char::is_control);
        if !is_person {
            let message = String::from("an author is a name with an address, an address, or `*`");
            fields.error(value, at, message, format!("write for example `{example}`"));
            return None;
        }
        Some(text.to_owned())
    })
}

fn read_off(fields: &mut Fields<'_, '_, '_>) -> Vec<String> {
    let words = Rule::OPTIONAL.map(Rule::as_str);
    fields.each("off", "off = [\"authors\"]", |fields, value, at| {
        let text = match value.get_ref() {
            DeValue::String(text) => text.as_ref(),
            _ => "",
        };
        if words.contains(&text) {
            return Some(text.to_owned());
        }
        let help = match nearest(text, words) {
            Some(near) => format!("write `{near}`"),
            None => format!("write one of {}", words.join(", ")),
        };
        let message = format!(
            "`{}` is no rule that can be switched off",
            text.escape_debug()
        );
        fields.error(value, at, message, help);
        None
    })
}

fn read_size(fields: &mut Fields<'_, '_, '_>) -> Option<String> {
    let value = fields.take("max_blob")?;
    let text = match value.get_ref() {
        DeValue::String(text) => text.trim(),
        _ => "",
    };
    if parse_size(text).is_some() {
        return Some(text.to_owned());
    }
    let message = String::from("`max_blob` must be a size");
    let help = "write for example `max_blob = \"50MiB\"`";
    fields.error(value, "max_blob", message, help);
    None
}
