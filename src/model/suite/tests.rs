//! Readers against what the real tools printed, commands against what sh makes of them.

mod commands;
mod readers;
mod robust;
