//! Reads the handoff contract that an agent leaves in its result file (B5): JSON, or TOML.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::git::files::read_within;
use crate::model::bounds::MOST_RESULT;
use crate::model::{Handoff, TaskId};

/// Reads an agent's result file; `None` where it left none.
///
/// # Errors
///
/// The file is no handoff contract, or another task's.
pub fn read_result(path: &Path, task: &TaskId) -> Result<Option<Handoff>> {
    let Some(bytes) = read_within(path, MOST_RESULT)? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes).context("the result file is no UTF-8")?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    let handoff: Handoff = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).context("the result file is no handoff contract in JSON")?
    } else {
        toml::from_str(&text).context("the result file is no handoff contract in TOML")?
    };
    if handoff.task_id != *task {
        bail!("the result file is about task {}", handoff.task_id);
    }
    Ok(Some(handoff))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::files::replace;
    use crate::model::HandoffStatus;

    #[test]
    fn both_forms_are_read_and_others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result.json");
        let task: TaskId = "a".parse().unwrap();
        assert_eq!(read_result(&path, &task).unwrap(), None);
        let read = |text: &str| {
            replace(&path, text.as_bytes()).unwrap();
            read_result(&path, &task)
        };
        assert_eq!(read("\n").unwrap(), None);
        let json = read(r#"{"task_id": "a", "status": "completed", "summary": "s"}"#).unwrap();
        let toml = read("task_id = 'a'\nstatus = 'completed'\nsummary = 's'\n").unwrap();
        assert_eq!(json, toml);
        assert_eq!(json.unwrap().status, HandoffStatus::Completed);
        for bad in [
            r#"{"task_id": "b", "status": "completed"}"#,
            r#"{"task_id": "a", "status": "great"}"#,
            "done",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
