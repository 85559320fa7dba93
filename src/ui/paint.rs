//! Words that are set off by colour.

/// How a word is set off; never the only sign of what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Something went well.
    Good,
    /// Something needs a look.
    Warning,
    /// Something went wrong.
    Bad,
    /// A heading.
    Strong,
    /// Less important.
    Faint,
}

/// Sets words off, or leaves them as they are where nobody sees colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// Leaves words as they are.
    pub const PLAIN: Self = Self(false);

    /// Sets words off, or not.
    pub fn when(wanted: bool) -> Self {
        Self(wanted)
    }

    /// Sets off a word.
    pub fn set(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Good => "32",
            Style::Warning => "33",
            Style::Bad => "31",
            Style::Strong => "1",
            Style::Faint => "2",
        };
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
