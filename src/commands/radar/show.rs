//! What the radar found, for people and machines.

use schemars::JsonSchema;
use serde::Serialize;

use crate::answer::Answer;
use crate::assembler::radar::{Branch, Clash, File, Radar, Reach, Seen, Target};
use crate::model::{AgentId, State, TaskId};
use crate::report::text::{clean, count, short};
use crate::ui::{Paint, Style};

/// Most files that a line names.
const MOST_FILES: usize = 3;

/// Which branches will conflict, and the order in which most come in.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Prospects<'a> {
    /// Name of the branch that all go onto.
    onto: &'a str,
    /// Its commit.
    tip: String,
    /// Whether uncommitted work counts.
    uncommitted: bool,
    /// All branches, as they were given or stand in the train.
    branches: Vec<Row<'a>>,
    /// Pairs that conflict although each merges onto the tip.
    conflicts: Vec<Pair<'a>>,
    /// All branches in the order in which most come in.
    order: Vec<&'a str>,
    /// How many of them come in, which is the beginning of `order`.
    comes_in: usize,
    /// Whether no order lets more come in.
    exact: bool,
    /// Pairs that touch each other, in conflict or not.
    touching: usize,
    /// Merges made for this answer; what was known already is not made again.
    merges: usize,
    #[serde(skip)]
    shown: Shown<'a>,
}

/// What the text is made from.
#[derive(Debug, Clone, Copy)]
struct Shown<'a> {
    target: &'a Target,
    radar: &'a Radar,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Row<'a> {
    branch: &'a str,
    task: Option<&'a TaskId>,
    agent: Option<AgentId>,
    state: Option<State>,
    head: String,
    /// Whether uncommitted work is in it.
    uncommitted: bool,
    /// `clean`, `empty`, `conflict`, `unrelated` or `refused`.
    verdict: &'static str,
    /// Git's words where it refused.
    reason: Option<&'a str>,
    /// Files that differ from the tip once it is merged.
    files: Vec<String>,
    /// Files in conflict with the tip.
    conflicts: Vec<InFile<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Pair<'a> {
    branches: [&'a str; 2],
    tasks: [Option<&'a TaskId>; 2],
    files: Vec<InFile<'a>>,
    /// The branch whose coder should hear of it.
    warn: &'a str,
}

#[derive(Debug, Serialize, JsonSchema)]
struct InFile<'a> {
    path: &'a str,
    kind: &'a str,
}

impl<'a> Prospects<'a> {
    /// Returns what was found.
    pub(super) fn new(target: &'a Target, radar: &'a Radar, uncommitted: bool) -> Self {
        let order = radar.order();
        let name = |position: usize| radar.branches[position].name.as_str();
        let task = |position: usize| {
            radar.branches[position]
                .work
                .as_ref()
                .map(|work| &work.task)
        };
        let pair = |clash: &'a Clash| Pair {
            branches: [name(clash.one), name(clash.other)],
            tasks: [task(clash.one), task(clash.other)],
            files: in_files(&clash.files),
            warn: name(clash.warn),
        };
        Self {
            onto: &target.name,
            tip: radar.tip.to_string(),
            uncommitted,
            branches: rows(radar)
                .map(|(branch, seen)| row(branch, seen))
                .collect(),
            conflicts: radar.clashes.iter().map(pair).collect(),
            order: order.order.iter().map(|position| name(*position)).collect(),
            comes_in: order.clean,
            exact: order.exact,
            touching: radar.touching,
            merges: radar.merges,
            shown: Shown { target, radar },
        }
    }
}

impl Answer for Prospects<'_> {
    fn text(&self, paint: Paint) -> String {
        text(self.shown.target, self.shown.radar, self.uncommitted, paint)
    }
}

fn rows(radar: &Radar) -> impl Iterator<Item = (&Branch, &Seen)> {
    radar.branches.iter().zip(&radar.seen)
}

fn row<'a>(branch: &'a Branch, seen: &'a Seen) -> Row<'a> {
    let (verdict, reason, conflicts) = match &seen.reach {
        Reach::Clean(footprint) if footprint.is_empty() => ("empty", None, Vec::new()),
        Reach::Clean(_) => ("clean", None, Vec::new()),
        Reach::Conflict(files) => ("conflict", None, in_files(files)),
        Reach::Unrelated => ("unrelated", None, Vec::new()),
        Reach::Refused(why) => ("refused", Some(why.as_str()), Vec::new()),
    };
    let work = branch.work.as_ref();
    Row {
        branch: &branch.name,
        task: work.map(|work| &work.task),
        agent: work.and_then(|work| work.agent),
        state: work.map(|work| work.state),
        head: branch.head.to_string(),
        uncommitted: seen.uncommitted,
        verdict,
        reason,
        files: files(seen),
        conflicts,
    }
}

fn in_files(files: &[File]) -> Vec<InFile<'_>> {
    files
        .iter()
        .map(|File { path, kind }| InFile { path, kind })
        .collect()
}

/// Returns the files that a branch touches, in alphabetical order.
fn files(seen: &Seen) -> Vec<String> {
    let Reach::Clean(footprint) = &seen.reach else {
        return Vec::new();
    };
    let mut files: Vec<String> = footprint
        .files()
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect();
    files.sort();
    files
}

/// Renders what was found.
fn text(target: &Target, radar: &Radar, uncommitted: bool, paint: Paint) -> String {
    let mut out = vec![paint.set(Style::Strong, &heading(target, radar, uncommitted))];
    let widest = radar.branches.iter().map(|one| name(one).chars().count());
    let width = widest.max().unwrap_or(0).min(60);
    for (branch, seen) in rows(radar) {
        let mut line = format!("  {:<width$}  {}", name(branch), said(target, seen, paint));
        if seen.uncommitted {
            line.push_str(", with uncommitted work");
        }
        if let Some(work) = &branch.work {
            let agent = work.agent.map(|agent| format!(" by {agent}"));
            line.push_str(&format!(" ({}{})", work.state, agent.unwrap_or_default()));
        }
        out.push(line);
    }
    if !radar.clashes.is_empty() {
        out.push(paint.set(Style::Strong, "conflicts between them:"));
    }
    for clash in &radar.clashes {
        let [one, other, warn] =
            [clash.one, clash.other, clash.warn].map(|position| name(&radar.branches[position]));
        let pair = paint.set(Style::Bad, &format!("{one} and {other}"));
        out.push(format!("  {pair} in {}", listed(&clash.files)));
        out.push(format!("    {warn} should hear of it"));
    }
    out.push(advice(target, radar));
    out.join("\n")
}

fn heading(target: &Target, radar: &Radar, uncommitted: bool) -> String {
    let conflicting = radar.seen.iter().filter(|seen| {
        matches!(
            seen.reach,
            Reach::Conflict(_) | Reach::Unrelated | Reach::Refused(_)
        )
    });
    let branches = match radar.branches.len() {
        1 => String::from("1 branch"),
        number => format!("{number} branches"),
    };
    let counted = if uncommitted {
        ""
    } else {
        "; committed work only"
    };
    format!(
        "{branches} onto {} ({}): {} not merge, {} in conflict{counted}",
        clean(&target.name),
        short(&radar.tip.to_string()),
        match conflicting.count() {
            1 => String::from("1 does"),
            number => format!("{number} do"),
        },
        count(radar.clashes.len(), "pair"),
    )
}

fn name(branch: &Branch) -> String {
    let task = branch.work.as_ref().map(|work| work.task.as_str());
    clean(task.unwrap_or(&branch.name))
}

fn said(target: &Target, seen: &Seen, paint: Paint) -> String {
    let onto = clean(&target.name);
    let bad = |text: String| paint.set(Style::Bad, &text);
    match &seen.reach {
        Reach::Clean(_) => match files(seen).len() {
            0 => format!("nothing that {onto} has not"),
            number => {
                let files: Vec<String> = files(seen).iter().map(|path| clean(path)).collect();
                let more = match number.saturating_sub(MOST_FILES) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!("{}{more}", files[..number.min(MOST_FILES)].join(", "))
            }
        },
        Reach::Conflict(files) => bad(format!("conflicts with {onto} in {}", listed(files))),
        Reach::Unrelated => bad(format!("has no history in common with {onto}")),
        Reach::Refused(why) => bad(format!("cannot be merged: {}", clean(why))),
    }
}

/// Names files and kinds: `src/lib.rs (contents)`.
fn listed(files: &[File]) -> String {
    let one = |file: &File| {
        let kind = file.kind.strip_prefix("CONFLICT (");
        let kind = kind.and_then(|kind| kind.strip_suffix(')'));
        match kind {
            Some(kind) => format!("{} ({})", clean(&file.path), clean(kind)),
            None => clean(&file.path),
        }
    };
    let shown: Vec<String> = files.iter().take(MOST_FILES).map(one).collect();
    let more = match files.len().saturating_sub(MOST_FILES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

fn advice(target: &Target, radar: &Radar) -> String {
    let order = radar.order();
    let onto = clean(&target.name);
    if order.clean == radar.branches.len() {
        return format!("all come in onto {onto}, in any order that their dependencies allow");
    }
    let names: Vec<String> = order
        .order
        .iter()
        .map(|position| name(&radar.branches[*position]))
        .collect();
    let (first, rest) = names.split_at(order.clean);
    let best = if order.exact {
        "no order brings in more"
    } else {
        "another order may bring in more"
    };
    let first = match first {
        [] => String::from("none comes in as it is"),
        some => format!("order: {}", some.join(", ")),
    };
    format!("{first}; left over: {} ({best})", rest.join(", "))
}
