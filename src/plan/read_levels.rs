//! From text to [`Levels`]: what the plan says of the steps that work goes up by.

use toml::de::DeValue;

use super::fields::Fields;
use super::finding::nearest;
use crate::model::{LevelSpec, Levels, Owner};

/// Reads `[levels]`.
pub(super) fn read_levels(mut fields: Fields<'_, '_, '_>) -> Levels {
    let levels = Levels {
        team: read_level(&mut fields, "team", "[levels.team]"),
        integration: read_level(&mut fields, "integration", "[levels.integration]"),
        approval: read_level(&mut fields, "approval", "[levels.approval]"),
    };
    fields.finish();
    levels
}

fn read_level(
    levels: &mut Fields<'_, '_, '_>,
    key: &'static str,
    example: &str,
) -> Option<LevelSpec> {
    let value = levels.take(key)?;
    levels.table_of(value, key, example, |mut fields| {
        let spec = LevelSpec {
            owner: read_owner(&mut fields),
            criteria: fields.texts("criteria", "every public function has a test"),
            checks: fields.texts("checks", "cargo clippy"),
            rollback: fields.line("rollback"),
            next: fields.line("next"),
        };
        fields.finish();
        spec
    })
}

fn read_owner(fields: &mut Fields<'_, '_, '_>) -> Option<Owner> {
    let text = fields.line("owner")?;
    let owner = text.parse().ok();
    if owner.is_none()
        && let Some(value) = fields.take("owner")
        && let DeValue::String(_) = value.get_ref()
    {
        let help = match nearest(&text, Owner::WORDS) {
            Some(near) => format!("write `{near}`"),
            None => String::from(
                "write `person`, `assembler`, `leader`, or a leader's id such as `1.0`",
            ),
        };
        let message = format!("`{text}` is nobody who owns a step");
        fields.error(value, "owner", message, help);
    }
    owner
}
