//! A file per subcommand: its arguments (whose docs are the help) and `run`.

mod ctx;
pub mod dispatch;
pub mod init;
pub mod plan;

pub use ctx::Ctx;
