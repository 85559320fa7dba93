//! Progress of a run: a bar per team and a total on a terminal, plain lines anywhere else.

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Ui;
use super::printable::printable;

/// One bar: what it is called, how far it is, and what else to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gauge {
    /// What it is called; the same from one [`Progress::show`] to the next.
    pub name: String,
    /// How much there is.
    pub length: u64,
    /// How much of it is done.
    pub position: u64,
    /// What else to say.
    pub message: String,
}

/// Lines and, on a terminal, bars below them.
#[derive(Debug)]
pub struct Progress {
    ui: Ui,
    bars: Option<Bars>,
}

#[derive(Debug, Default)]
struct Bars {
    all: MultiProgress,
    by_name: BTreeMap<String, ProgressBar>,
}

impl Progress {
    /// Returns a progress that has nothing to show yet.
    pub fn new(ui: Ui, with_bars: bool) -> Self {
        let bars = (with_bars && ui.is_watched()).then(Bars::default);
        Self { ui, bars }
    }

    /// Tells a line, above the bars.
    pub fn line(&self, text: &str) {
        self.above(|ui| ui.note(text));
    }

    /// Tells a line that the person should look at, above the bars.
    pub fn warn(&self, text: &str) {
        self.above(|ui| ui.warn(text));
    }

    /// Brings the bars to where they are.
    pub fn show(&mut self, gauges: &[Gauge]) {
        let Some(bars) = &mut self.bars else {
            return;
        };
        for gauge in gauges {
            let bar = bars.by_name.entry(gauge.name.clone()).or_insert_with(|| {
                let bar = bars.all.add(ProgressBar::new(gauge.length));
                bar.set_style(style());
                bar.set_prefix(printable(&gauge.name, false).into_owned());
                bar
            });
            bar.set_length(gauge.length);
            bar.set_position(gauge.position);
            bar.set_message(printable(&gauge.message, false).into_owned());
        }
    }

    /// Takes the bars away.
    pub fn clear(&mut self) {
        if let Some(bars) = self.bars.take() {
            for bar in bars.by_name.values() {
                bar.finish_and_clear();
            }
            // A terminal that went away has nothing left to clear.
            let _ = bars.all.clear();
        }
    }

    fn above(&self, tell: impl FnOnce(Ui)) {
        match &self.bars {
            Some(bars) => bars.all.suspend(|| tell(self.ui)),
            None => tell(self.ui),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:<16!} [{bar:24}] {pos:>4}/{len:<4} {msg}")
        .expect("the template is a constant that is tested")
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_is_well_formed() {
        style();
    }
}
