//! Starts of agents: profiles and command lines, the prompt, the environment, and what counts as done.

mod briefing;
mod command;
mod done;
mod files;
mod prompt;
mod result;
mod words;

pub use briefing::{Briefing, Built, Work};
pub use command::{command_line, environment};
pub use done::judge;
pub use files::AttemptFiles;
pub use prompt::render;
pub use result::read_result;
pub use words::with_last_words;
