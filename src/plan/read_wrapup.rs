//! From text to [`WrapUpCheck`]: what must hold at the end, of which Git knows nothing.

use super::fields::Fields;
use crate::model::{CheckedIn, WrapUpAt, WrapUpCheck};

/// Words of `wrapup` in `[run]`.
pub(super) const ENDS: [(&str, WrapUpAt); 2] =
    [("submit", WrapUpAt::Submit), ("close", WrapUpAt::Close)];

const PLACES: [(&str, CheckedIn); 2] = [
    ("repository", CheckedIn::Repository),
    ("worktree", CheckedIn::Worktree),
];

/// Reads a `[[wrapup]]`; `None` where a part is missing, which is noted.
pub(super) fn read_wrapup(mut fields: Fields<'_, '_, '_>) -> Option<WrapUpCheck> {
    let (name, command) = (fields.line("name"), fields.script("command"));
    let place = fields.word("where", &PLACES).unwrap_or_default();
    for (key, example) in [
        ("name", "name = \"migrations\""),
        ("command", "command = \"make check-migrations\""),
    ] {
        if !fields.has(key) {
            let message = format!("the check has no `{key}`");
            fields.error_here(key, message, format!("write for example `{example}`"));
        }
    }
    fields.finish();
    Some(WrapUpCheck {
        name: name?,
        command: command?,
        place,
    })
}

#[cfg(test)]
mod tests {
    use super::super::check_text;

    fn found(text: &str) -> Vec<String> {
        let task = "[[tasks]]\nid = \"a\"\nteam = 1\ntitle = \"Do it\"\nrun = \"true\"\nsuccess = [\"true\"]\n\
                    deliverables = [\"a\"]\nscope = [\"a\"]\n";
        let checked = check_text(format!("{text}{task}").as_bytes(), "stem");
        let line = |found: &super::super::Finding| format!("{} => {}", found.message, found.help);
        checked.findings.iter().map(line).collect()
    }

    #[test]
    fn a_check_has_a_name_and_a_command_and_a_known_place() {
        let good = "[run]\nwrapup = \"submit\"\n[[wrapup]]\nname = \"docs\"\ncommand = \"true\"\nwhere = \"worktree\"\n";
        assert_eq!(found(good), Vec::<String>::new());
        assert_eq!(
            found("[[wrapup]]\nname = \"docs\"\n"),
            [
                "the check has no `command` => write for example `command = \"make check-migrations\"`"
            ]
        );
        assert_eq!(
            found("[[wrapup]]\nname = \"docs\"\ncommand = \"true\"\nwhere = \"worktre\"\n").len(),
            1
        );
        assert_eq!(found("[run]\nwrapup = \"clos\"\n").len(), 1);
    }
}
