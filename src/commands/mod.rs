//! A file per subcommand: its arguments (whose docs are the help) and `run`.

pub mod assemble;
mod ctx;
pub mod dispatch;
pub mod init;

pub use ctx::Ctx;
