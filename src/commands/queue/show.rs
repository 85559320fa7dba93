//! The queue for people.

use std::fmt::Write as _;

use crate::answer::Answer;
use crate::report::queue::{Active, Counts, Held, On, Ready, Stats, Waiting};
use crate::report::text::{clean, count, span, style};
use crate::report::throughput::Rate;
use crate::ui::{Paint, Style};

impl Answer for Stats<'_> {
    fn text(&self, paint: Paint) -> String {
        stats(self, paint)
    }
}

impl Answer for Active<'_> {
    fn text(&self, paint: Paint) -> String {
        active(self, paint)
    }
}

/// Renders the numbers. Writing to a `String` cannot fail.
fn stats(stats: &Stats<'_>, paint: Paint) -> String {
    let heading = format!(
        "{:<9}{:>7}{:>8}{:>9}{:>9}{:>9}{:>8}{:>11}{:>8}  oldest ready",
        "", "ready", "active", "blocked", "expired", "waiting", "failed", "submitted", "merged"
    );
    let mut out = format!(
        "{}\n{}\n",
        paint.set(Style::Strong, &format!("run {}", clean(stats.run))),
        paint.set(Style::Faint, &heading)
    );
    for team in &stats.teams {
        let _ = writeln!(
            out,
            "{}",
            line(&format!("team {}", team.team), &team.counts)
        );
    }
    let _ = writeln!(out, "{}", line("all", &stats.total));
    let waits = &stats.total.waiting_on;
    if stats.total.waiting > 0 {
        let _ = writeln!(
            out,
            "\nwaiting: {} for a task, {} for a phase, {} for `git orch dispatch`",
            waits.dependency, waits.phase, waits.dispatch
        );
    }
    for machine in &stats.machines {
        let name = machine
            .machine
            .as_ref()
            .map_or("no machine", |m| m.0.as_str());
        let expired = match machine.expired {
            0 => String::new(),
            n => format!(", {n} expired"),
        };
        let held = count(machine.active, "task");
        let _ = writeln!(out, "on {}: {held}{expired}", clean(name));
    }
    for (rate, what) in [
        (&stats.per_hour.claims, "claims"),
        (&stats.per_hour.completions, "handed in"),
    ] {
        let _ = writeln!(out, "{what}: {}", pace(rate));
    }
    out
}

fn line(name: &str, counts: &Counts) -> String {
    format!(
        "{name:<9}{:>7}{:>8}{:>9}{:>9}{:>9}{:>8}{:>11}{:>8}  {}",
        counts.ready,
        counts.active,
        counts.blocked,
        counts.expired,
        counts.waiting,
        counts.failed,
        counts.submitted,
        counts.merged,
        counts.oldest_ready_seconds.map(span).unwrap_or_default()
    )
    .trim_end()
    .to_owned()
}

fn pace(rate: &Rate) -> String {
    let run = rate
        .run
        .map(|run| format!(", {run} an hour"))
        .unwrap_or_default();
    format!(
        "{} in the last hour; {} in this run{run}",
        rate.last_hour, rate.total
    )
}

/// Renders the lists.
fn active(active: &Active<'_>, paint: Paint) -> String {
    let mut out = vec![heading(
        paint,
        "held",
        active.active.len(),
        active.active.len(),
    )];
    out.extend(active.active.iter().map(|row| held(row, paint)));
    out.push(heading(
        paint,
        "ready",
        active.ready.len(),
        active.ready_total,
    ));
    out.extend(active.ready.iter().map(ready));
    out.push(heading(
        paint,
        "waiting",
        active.waiting.len(),
        active.waiting_total,
    ));
    out.extend(active.waiting.iter().map(waiting));
    if !active.expired.is_empty() {
        out.push(String::from(
            "next: `git orch sync` takes expired claims over",
        ));
    }
    out.join("\n")
}

fn heading(paint: Paint, what: &str, shown: usize, total: usize) -> String {
    let number = if shown < total {
        format!("{what}: the first {shown} of {total}")
    } else {
        format!("{what}: {total}")
    };
    paint.set(Style::Strong, &number)
}

fn held(row: &Held<'_>, paint: Paint) -> String {
    let agent = row
        .agent
        .map_or_else(|| String::from("?"), |a| a.to_string());
    let state = paint.set(style(row.state), row.state.as_str());
    let machine = row.machine.map_or("no machine", |m| m.0.as_str());
    let mut text = format!(
        "  {} {state} by {agent} on {} for {} (attempt {})",
        row.task,
        clean(machine),
        span(row.seconds),
        row.attempt
    );
    if let Some(until) = &row.lease_until {
        let _ = write!(text, ", lease until {until}");
    }
    let unmoved = span(i64::try_from(row.unmoved_seconds).unwrap_or(i64::MAX));
    if row.expired {
        let said = format!(", expired: its lease was seen unmoved for {unmoved}");
        text.push_str(&paint.set(Style::Bad, &said));
    } else if row.unmoved_seconds > 0 {
        let _ = write!(text, ", seen unmoved for {unmoved}");
    }
    if let Some(reason) = row.reason {
        let _ = write!(text, ": {}", clean(reason));
    }
    text
}

fn ready(row: &Ready<'_>) -> String {
    let who = match (&row.agent, &row.why) {
        (Some(agent), _) => format!("for {agent}"),
        (None, Some(why)) => clean(why),
        (None, None) => String::from("for nobody yet"),
    };
    format!("  {} {who}, ready for {}", row.task, span(row.seconds))
}

fn waiting(row: &Waiting<'_>) -> String {
    let on = match (row.on, row.dependency, row.phase) {
        (On::Dependency, Some(other), _) => {
            let state = row.state.map_or("missing", |state| state.as_str());
            format!("waits for {other}, which is {state}")
        }
        (On::Phase, _, Some(phase)) => format!("waits for phase {} to open", clean(&phase.0)),
        _ => String::from("waits for `git orch dispatch`"),
    };
    format!("  {} {on}", row.task)
}
