//! What a command answers: one value, of which machines get JSON by a published schema, and people a text.
//!
//! A command returns a [`Reply`] and prints nothing. Whoever runs it, the terminal or another face, shows the reply.

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;

use crate::ui::paint::Paint;

/// The answer of a command; its serialized form is a contract, which `schema/` states.
pub trait Answer: Serialize + JsonSchema {
    /// Puts it in words for people; empty where there is nothing to show.
    fn text(&self, paint: Paint) -> String;
}

/// The form in which an answer is wanted.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// For people.
    Text(Paint),
    /// One JSON document.
    Json,
    /// One JSON document on one line, for answers that follow each other.
    JsonLine,
}

impl Form {
    /// Returns whether machines read it.
    pub fn is_json(self) -> bool {
        !matches!(self, Self::Text(_))
    }

    /// Puts an answer into this form.
    ///
    /// # Errors
    ///
    /// A map in it has keys that are no text.
    pub fn render(self, answer: &impl Answer) -> Result<Document> {
        let told = || "cannot write the answer as JSON";
        Ok(match self {
            Self::Text(paint) => Document::Text(answer.text(paint)),
            Self::Json => Document::Json(serde_json::to_string_pretty(answer).with_context(told)?),
            Self::JsonLine => Document::Json(serde_json::to_string(answer).with_context(told)?),
        })
    }
}

/// An answer in its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// For people; what is in it may come from anybody and is made harmless when it is shown.
    Text(String),
    /// JSON.
    Json(String),
    /// All our own, shown as it is.
    Bytes(Vec<u8>),
}

/// A line beside the answer, for people only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// Something worth knowing.
    Note(String),
    /// Something that the person should look at.
    Warning(String),
    /// A command that goes on from here.
    Hint(String),
}

/// What a command came to: its answer, remarks for people, and why it failed all the same where it did.
#[derive(Debug, Default)]
pub struct Reply {
    /// The answer.
    pub document: Option<Document>,
    /// The type of the answer, by which its schema is found.
    pub answers: Option<&'static str>,
    /// Lines beside the answer, in order.
    pub remarks: Vec<Remark>,
    /// Why the command failed after it has answered.
    pub error: Option<anyhow::Error>,
}

impl Reply {
    /// Returns a reply with an answer in some form.
    ///
    /// # Errors
    ///
    /// As [`Form::render`].
    pub fn new<A: Answer>(form: Form, answer: &A) -> Result<Self> {
        Ok(Self {
            document: Some(form.render(answer)?),
            answers: Some(name_of::<A>()),
            ..Self::default()
        })
    }

    /// Returns a reply with bytes that are the same in every form, such as a script.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            document: Some(Document::Bytes(bytes.into())),
            ..Self::default()
        }
    }

    /// Adds something worth knowing.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.remarks.push(Remark::Note(text.into()));
        self
    }

    /// Adds something that the person should look at.
    #[must_use]
    pub fn warn(mut self, text: impl Into<String>) -> Self {
        self.remarks.push(Remark::Warning(text.into()));
        self
    }

    /// Adds a command that goes on from here.
    #[must_use]
    pub fn hint(mut self, command: impl Into<String>) -> Self {
        self.remarks.push(Remark::Hint(command.into()));
        self
    }

    /// Lets the command fail after it has answered.
    #[must_use]
    pub fn failing(mut self, ending: Result<()>) -> Self {
        self.error = ending.err();
        self
    }
}

/// Commands that have told all on the way have nothing left to answer.
impl From<()> for Reply {
    fn from((): ()) -> Self {
        Self::default()
    }
}

/// Returns the name of an answer's type, without lifetimes.
pub fn name_of<A: ?Sized>() -> &'static str {
    std::any::type_name::<A>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, JsonSchema)]
    struct Two<'a> {
        first: &'a str,
    }

    impl Answer for Two<'_> {
        fn text(&self, paint: Paint) -> String {
            paint.set(crate::ui::paint::Style::Strong, self.first)
        }
    }

    #[test]
    fn an_answer_has_all_forms() {
        let answer = Two { first: "a" };
        let in_form = |form: Form| form.render(&answer).unwrap();
        assert_eq!(
            in_form(Form::Text(Paint::PLAIN)),
            Document::Text(String::from("a"))
        );
        assert_eq!(
            in_form(Form::Json),
            Document::Json(String::from("{\n  \"first\": \"a\"\n}"))
        );
        assert_eq!(
            in_form(Form::JsonLine),
            Document::Json(String::from("{\"first\":\"a\"}"))
        );
        let reply = Reply::new(Form::Json, &answer).unwrap();
        assert_eq!(reply.answers, Some(name_of::<Two<'static>>()));
    }
}
