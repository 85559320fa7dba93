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

#[cfg(test)]
mod tests {
    use crate::plan::{check_text, render_plan};

    const TASK: &str = "[[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"Write a\"\nrun = \"true\"\n\
                        success = [\"true\"]\nscope = [\"a\"]\ndeliverables = [\"a\"]\n";

    fn found(gate: &str) -> Vec<String> {
        let checked = check_text(format!("[run.gate]\n{gate}\n{TASK}").as_bytes(), "stem");
        let told = checked.findings.iter();
        told.map(|found| format!("{}: {} => {}", found.key, found.message, found.help))
            .collect()
    }

    #[test]
    fn what_a_plan_says_of_the_gate_is_kept() {
        let text = format!(
            "[run.gate]\nguarded = [\"default\", \"ci/**\"]\nauthors = [\"Ann <a@b>\", \"*\"]\n\
             off = [\"names\", \"sizes\"]\nmax_blob = \"1GiB\"\nmax_commits = 7\nmax_paths = 8\n{TASK}"
        );
        let plan = check_text(text.as_bytes(), "stem").plan.unwrap();
        let gate = &plan.run.gate;
        assert_eq!(
            (gate.guarded.len(), gate.authors.len(), gate.off.len()),
            (2, 2, 2)
        );
        assert_eq!(
            (gate.most_bytes(), gate.max_commits, gate.max_paths),
            (1 << 30, 7, 8)
        );
        let again = check_text(render_plan(&plan).as_bytes(), "other")
            .plan
            .unwrap();
        assert_eq!(again, plan);
        // What everybody has need not be said.
        let plain = check_text(TASK.as_bytes(), "stem").plan.unwrap();
        assert!(plain.run.gate.is_default() && !render_plan(&plain).contains("gate"));
    }

    #[test]
    fn what_is_wrong_with_it_is_told() {
        for (gate, told) in [
            (
                "off = [\"scope\"]",
                "run.gate.off[0]: `scope` is no rule that can be switched off",
            ),
            ("off = [\"author\"]", "=> write `authors`"),
            (
                "guarded = [\"/x\"]",
                "run.gate.guarded[0]: `/x` is no glob: it begins with `/`",
            ),
            ("guarded = [1]", "`guarded` must be an array of strings"),
            ("authors = [\"Ann\"]", "an author is a name with an address"),
            ("max_blob = \"50MB\"", "`max_blob` must be a size"),
            ("max_blob = 50", "`max_blob` must be a size"),
            ("max_commits = 0", "is not between 1 and"),
            (
                "max_path = 1",
                "unknown key `max_path` => write `max_paths`",
            ),
        ] {
            let found = found(gate);
            assert_eq!(found.len(), 1, "{gate}: {found:?}");
            assert!(found[0].contains(told), "{gate}: {found:?}");
        }
    }
}
