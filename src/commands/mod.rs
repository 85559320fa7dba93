//! A file per subcommand: its arguments (whose docs are the help) and `run`.

pub mod completions;
mod ctx;
pub mod dispatch;
pub mod hook;
pub mod init;
pub mod log;
pub mod man;
pub mod status;

pub use ctx::Ctx;
