//! How large what comes from outside may be. What is larger is refused in a line, before it is read or parsed.

/// Most bytes of a plan file.
pub const MOST_PLAN: usize = 16 << 20;

/// Most bytes of one file of the ledger that the board is read from.
pub const MOST_LEDGER_FILE: usize = 1 << 20;

/// Most bytes of what a plan says of one task, so that its file in the ledger can be read with what is added.
pub const MOST_TASK: usize = MOST_LEDGER_FILE / 2;

/// Most tasks of one plan: which may run beside which is kept in a square of bits.
pub const MOST_TASKS: usize = 20_000;

/// Most bytes of an agent's result file.
pub const MOST_RESULT: usize = 256 << 10;

/// Most bytes of a file that holds one path or one name.
pub const MOST_POINTER: usize = 64 << 10;

/// Most bytes of a file that we keep for ourselves: caches, notes, records.
pub const MOST_OWN: usize = 256 << 20;

/// Tells a number of bytes as people do.
pub fn told(bytes: usize) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mebi => format!("{mebi} MiB"),
    }
}
