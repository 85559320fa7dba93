//! Entry point: parse, run, turn the result into an exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    git_orch::cli::main()
}
