//! A file per subcommand: its arguments (whose docs are the help) and `run`.

mod ctx;
pub mod dispatch;
pub mod hook;
pub mod init;

pub use ctx::Ctx;
