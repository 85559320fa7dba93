//! The text of a `plan.toml` as a plan, or as findings with line and column.
