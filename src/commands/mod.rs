//! A file per subcommand: its arguments (whose docs are the help) and `run`.

mod ctx;
pub mod dispatch;
pub mod init;
pub mod log;
pub mod status;

pub use ctx::Ctx;
