//! From text to [`Lock`]: the decisions of a plan.

use toml::de::DeValue;

use super::fields::Fields;
use super::read_task::{read_globs, read_ids};
use crate::model::{Lock, LockId, Trust};

const TRUSTS: [(&str, Trust); 3] = [
    ("unlocked", Trust::Unlocked),
    ("locked", Trust::Locked),
    ("critical", Trust::Critical),
];

/// Reads a lock; `None` where it has no name that could be read.
pub(super) fn read_lock(mut fields: Fields<'_, '_, '_>, _position: usize) -> Option<Lock> {
    let id = read_id(&mut fields);
    let trust = fields.word("trust", &TRUSTS).unwrap_or_default();
    if !fields.has("paths") {
        let help = "write for example `paths = [\"db/**\"]`";
        fields.error_here("paths", "the lock has no `paths`", help);
    }
    let paths = read_globs(&mut fields, "paths");
    let assertion = fields.required_line("assertion", "assertion = \"ids are UUIDs\"");
    let lock = (id, assertion.unwrap_or_default());
    let (check, reason) = (fields.script("check"), fields.line("reason"));
    let (owner, tasks) = (
        fields.line("owner"),
        read_ids(&mut fields, "tasks", "auth-schema"),
    );
    fields.finish();
    Some(Lock {
        id: lock.0?,
        trust,
        paths,
        assertion: lock.1,
        check,
        reason,
        owner,
        tasks,
    })
}

fn read_id(fields: &mut Fields<'_, '_, '_>) -> Option<LockId> {
    let text = fields.required_line("id", "id = \"schema\"")?;
    match text.parse() {
        Ok(id) => Some(id),
        Err(reason) => {
            if let Some(value) = fields.take("id")
                && let DeValue::String(_) = value.get_ref()
            {
                let reason: String = reason;
                fields.error(value, "id", reason, "write for example `schema`");
            }
            None
        }
    }
}
