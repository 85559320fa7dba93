//! The text of a `plan.toml`: read strictly, checked, shown again, compared with the ledger.
//!
//! Everything that is wrong is found at once, each finding with line, column, key and what to write
//! instead. What comes out without errors is a [`crate::model::Plan`] that the ledger can carry.

mod check;
mod fields;
mod finding;
mod read;
mod read_levels;
mod read_locks;
mod read_task;
mod read_wrapup;
mod render;
mod standing;
#[cfg(test)]
mod tests;

pub use check::{check_added, check_text};
pub use finding::{Finding, Severity, render_findings};
pub use read::{Checked, read_task};
pub use render::{render_plan, render_task};
pub use standing::{Comparison, standing_plan};
