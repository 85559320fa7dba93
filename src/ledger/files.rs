//! The ledger's files: TOML to values and back, with unknown keys kept.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::model::board::{FORMAT, Settings};
use crate::model::lines::plain_lines;
use crate::model::{
    AgentId, Attempt, CommitId, EndingClass, Lock, MachineId, OpId, PhaseSpec, Signer, State,
    Status, TaskSpec, Tested,
};

/// Why a file of the ledger cannot be read: where, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong.
    pub reason: String,
}

impl Broken {
    pub(super) fn at_top(reason: impl Into<String>) -> Self {
        Self {
            line: 1,
            column: 1,
            reason: reason.into(),
        }
    }

    fn new(text: &str, error: &toml::de::Error) -> Self {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        Self {
            line,
            column,
            reason: error.message().trim().replace('\n', " "),
        }
    }
}

/// Returns line and column, from 1, of a byte offset.
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

fn text(bytes: &[u8]) -> Result<&str, Broken> {
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let (line, column) = position(&good, good.len());
        Broken {
            line,
            column,
            reason: String::from("not UTF-8"),
        }
    })
}

/// Reads a file of ours.
///
/// # Errors
///
/// It is no TOML, or a key is missing or of the wrong kind.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Broken> {
    // Whoever edits the ledger by hand may have another editor's line ends in a script.
    let text = plain_lines(text(bytes)?);
    toml::from_str(&text).map_err(|error| Broken::new(&text, &error))
}

/// Reads `orch.toml`.
///
/// # Errors
///
/// As [`parse`], or it was written by a newer version.
pub fn parse_settings(bytes: &[u8]) -> Result<Settings, Broken> {
    let settings: Settings = parse(bytes)?;
    if settings.format > FORMAT {
        return Err(Broken::at_top(format!(
            "format {} is newer than this git-orch, which reads format {FORMAT}",
            settings.format
        )));
    }
    Ok(settings)
}

#[derive(Deserialize)]
struct Order {
    #[serde(default)]
    order: u32,
}

/// A task's file: where it stands in the plan, and its specification.
#[derive(Serialize, Deserialize)]
pub struct TaskFile {
    #[serde(default)]
    order: u32,
    #[serde(flatten)]
    spec: TaskSpec,
}

/// Reads `tasks/<id>.toml`: the specification and its position in the plan.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_task(bytes: &[u8]) -> Result<(TaskSpec, u32), Broken> {
    let spec: TaskSpec = parse(bytes)?;
    let Order { order } = parse(bytes)?;
    Ok((spec, order))
}

/// Renders `tasks/<id>.toml`.
pub fn render_task(spec: &TaskSpec, order: u32) -> String {
    // The position comes first: behind a table it would belong to the table.
    format!("order = {order}\n{}", render(spec))
}

/// `phases.toml`.
#[derive(Serialize, Deserialize)]
pub struct PhasesFile {
    /// `[[phases]]` in declared order.
    #[serde(default)]
    pub phases: Vec<PhaseSpec>,
}

/// `locks.toml`.
#[derive(Serialize, Deserialize)]
pub struct LocksFile {
    /// `[[locks]]` in declared order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Lock>,
}

/// Reads `allowed_signers`; lines that are not ours to understand are Git's own affair.
pub fn parse_signers(bytes: &[u8]) -> Vec<Signer> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().filter_map(Signer::parse).collect()
}

/// Brings `allowed_signers` to name these signers; lines that are not ours to understand stay.
pub fn render_signers(old: &[u8], signers: &[Signer]) -> String {
    let old = String::from_utf8_lossy(old);
    let stays = |line: &&str| Signer::parse(line).is_none_or(|signer| signers.contains(&signer));
    let mut lines: Vec<String> = old.lines().filter(stays).map(str::to_owned).collect();
    let there: Vec<Signer> = lines
        .iter()
        .filter_map(|line| Signer::parse(line))
        .collect();
    let new = signers.iter().filter(|signer| !there.contains(signer));
    lines.extend(new.map(Signer::line));
    lines.into_iter().map(|line| line + "\n").collect()
}

/// `tested.toml`.
#[derive(Serialize, Deserialize)]
pub struct TestedFile {
    /// The newest tested commit of the integration branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<Tested>,
}

/// `status/<id>.toml`: keys in this order, absent where they say nothing.
#[derive(Serialize, Deserialize)]
struct StatusFile {
    state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<AgentId>,
    #[serde(default, skip_serializing_if = "is_zero")]
    attempt: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    earlier_attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<MachineId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease_until: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fresh_since: Option<OpId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<CommitId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    head: Option<CommitId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<CommitId>,
    #[serde(default, skip_serializing_if = "is_zero")]
    failures: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    conflicts: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    takeovers: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<EndingClass>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    findings: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    messages: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    op: Option<OpId>,
    #[serde(flatten)]
    extra: toml::Table,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Reads `status/<id>.toml`.
///
/// # Errors
///
/// As [`parse`], or a time is no time.
pub fn parse_status(bytes: &[u8]) -> Result<Status, Broken> {
    let file: StatusFile = parse(bytes)?;
    let time = |key: &str, value: Option<String>| match value {
        None => Ok(None),
        Some(text) => clock::parse_rfc3339(&text).map(Some).ok_or_else(|| {
            Broken::at_top(format!(
                "`{key}` is no time: write for example 2026-11-21T05:08:20Z"
            ))
        }),
    };
    let extra = if file.extra.is_empty() {
        String::new()
    } else {
        render(&file.extra)
    };
    Ok(Status {
        state: file.state,
        agent: file.agent,
        attempt: Attempt(file.attempt),
        earlier_attempts: Attempt(file.earlier_attempts),
        machine: file.machine,
        lease_until: time("lease_until", file.lease_until)?,
        since: time("since", file.since)?.unwrap_or_default(),
        branch: file.branch,
        fresh_since: file.fresh_since,
        base: file.base,
        head: file.head,
        commit: file.commit,
        failures: file.failures,
        conflicts: file.conflicts,
        takeovers: file.takeovers,
        reason: file.reason,
        class: file.class,
        findings: file.findings,
        messages: file.messages,
        op: file.op,
        extra,
    })
}

/// Renders `status/<id>.toml` in its canonical form, unknown keys behind the known ones.
pub fn render_status(status: &Status) -> String {
    let status = status.clone();
    let file = StatusFile {
        state: status.state,
        agent: status.agent,
        attempt: status.attempt.0,
        earlier_attempts: status.earlier_attempts.0,
        machine: status.machine,
        lease_until: status.lease_until.map(clock::rfc3339),
        since: (status.since.0 != 0).then(|| clock::rfc3339(status.since)),
        branch: status.branch,
        fresh_since: status.fresh_since,
        base: status.base,
        head: status.head,
        commit: status.commit,
        failures: status.failures,
        conflicts: status.conflicts,
        takeovers: status.takeovers,
        reason: status.reason,
        class: status.class,
        findings: status.findings,
        messages: status.messages,
        op: status.op,
        extra: toml::Table::new(),
    };
    format!("{}{}", render(&file), status.extra)
}

/// Renders a value of ours as TOML.
pub fn render(value: &impl Serialize) -> String {
    toml::to_string(value).expect("our values have text keys and no empty unions")
}

/// Renders a value over an older text of the same file: what did not change keeps its formatting and
/// comments, and keys that this version does not know stay.
pub fn render_over<T: Serialize + DeserializeOwned>(old: Option<&[u8]>, new: &str) -> String {
    let merged = || -> Option<String> {
        let old = text(old?).ok()?;
        let known: T = toml::from_str(old).ok()?;
        let known: toml_edit::DocumentMut = render(&known).parse().ok()?;
        let new: toml_edit::DocumentMut = new.parse().ok()?;
        let mut document: toml_edit::DocumentMut = old.parse().ok()?;
        overwrite(document.as_table_mut(), known.as_table(), new.as_table());
        Some(document.to_string())
    };
    merged().unwrap_or_else(|| new.to_owned())
}

/// Brings `document` from saying `known` to saying `new`, key by key.
fn overwrite(document: &mut toml_edit::Table, known: &toml_edit::Table, new: &toml_edit::Table) {
    let gone: Vec<String> = known
        .iter()
        .map(|(key, _)| key.to_owned())
        .filter(|key| !new.contains_key(key))
        .collect();
    for key in gone {
        document.remove(&key);
    }
    for (key, value) in new {
        let same = known.get(key).is_some_and(|old| whole(old) == whole(value));
        if same && document.contains_key(key) {
            continue;
        }
        let tables = (
            known.get(key).and_then(|item| item.as_table()),
            value.as_table(),
        );
        match (
            document.get_mut(key).and_then(|item| item.as_table_mut()),
            tables,
        ) {
            (Some(inner), (Some(known), Some(new))) => overwrite(inner, known, new),
            _ => {
                document.insert(key, value.clone());
            }
        }
    }
}

/// Returns the text of an item with all that is below it; a table's own text leaves out the tables in it.
fn whole(item: &toml_edit::Item) -> String {
    let inline = item.clone().into_value();
    inline.map_or_else(|item| item.to_string(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn a_status_reads_back_as_written_and_keeps_unknown_keys() {
        let text = "state = \"claimed\"\nagent = \"1.2\"\nattempt = 3\nnote = \"mine\"\n\n[later]\nx = 1\n";
        let status = parse_status(text.as_bytes()).unwrap();
        assert_eq!(status.agent, Some("1.2".parse().unwrap()));
        let mut next = status;
        next.since = Timestamp(1_763_000_000);
        next.findings = Some(String::from("two\nlines"));
        next.add_message(Some("which \"one\"?"), "this\nand that");
        let written = render_status(&next);
        assert!(
            written.contains("note = \"mine\"") && written.contains("[later]"),
            "{written}"
        );
        assert_eq!(parse_status(written.as_bytes()).unwrap(), next);
        assert_eq!(
            render_status(&parse_status(written.as_bytes()).unwrap()),
            written
        );
    }

    #[test]
    fn a_broken_file_is_told_with_line_and_column() {
        let broken = parse_status(b"state = \"ready\"\nattempt = \"x\"\n").unwrap_err();
        assert_eq!((broken.line, broken.column), (2, 11));
        let broken = parse_status(b"state = \"dreaming\"\n").unwrap_err();
        assert!(broken.reason.contains("dreaming"), "{}", broken.reason);
        assert!(parse_settings(b"format = 99\nbase = \"m\"\nauthority = \"local\"\n").is_err());
    }

    #[test]
    fn rewriting_keeps_comments_and_unknown_keys() {
        let old = "# ours\nformat = 1\nbase = \"main\" # the trunk\nauthority = \"local\"\nmine = 5\n\
                   \n[run]\nname = \"a\" # first\nfuture = true\n";
        let mut settings: Settings = parse(old.as_bytes()).unwrap();
        settings.run.as_mut().unwrap().name = String::from("b");
        let text = render_over::<Settings>(Some(old.as_bytes()), &render(&settings));
        for kept in [
            "# ours",
            "# the trunk",
            "mine = 5",
            "future = true",
            "name = \"b\"",
        ] {
            assert!(text.contains(kept), "{kept} in {text}");
        }
        assert_eq!(parse::<Settings>(text.as_bytes()).unwrap(), settings);
    }

    #[test]
    fn what_changes_two_tables_down_is_written() {
        let old = "format = 1\nbase = \"m\"\nauthority = \"local\"\n\n# mine\n[agents.a]\ncommand = \"x\"\n";
        let mut settings: Settings = parse(old.as_bytes()).unwrap();
        let profile = settings.agents.get_mut("a").unwrap();
        profile.model = Some(String::from("opus"));
        profile.command = None;
        let text = render_over::<Settings>(Some(old.as_bytes()), &render(&settings));
        assert_eq!(parse::<Settings>(text.as_bytes()).unwrap(), settings);
        assert!(text.contains("# mine"), "{text}");
    }
}
