//! Rules of the Linux kernel that a process gives itself and all it starts, and can never take back.
//!
//! Only writing is ruled: everything may be read and run. What the kernel has no rule for stays open, above
//! all changing modes and times of files, and talking to servers over sockets in the file system.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use landlock::{
    ABI, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
};

/// Devices that everything writes to, and that keep nothing.
const DEVICES: [&str; 8] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
];

/// What this kernel has rules for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    /// Writing, moving and cutting files: without it there is no sandbox.
    pub files: bool,
    /// Connecting and listening by TCP.
    pub network: bool,
    /// Signals, and sockets with abstract names.
    pub signals: bool,
}

/// Finds out what this kernel has rules for.
pub fn support() -> Support {
    let ruleset = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let files = ruleset().handle_access(writing());
    let network = ruleset().handle_access(BitFlags::from(AccessNet::ConnectTcp));
    let signals = ruleset().scope(BitFlags::from(Scope::Signal));
    let works = |ruleset: std::result::Result<Ruleset, _>| {
        ruleset.is_ok_and(|ruleset| ruleset.create().is_ok())
    };
    Support {
        files: works(files),
        network: works(network),
        signals: works(signals),
    }
}

/// Everything that changes what a path names or holds; ABI 3 is the first with a rule for cutting files short.
fn writing() -> BitFlags<AccessFs> {
    AccessFs::from_write(ABI::V3)
}

/// Keeps this process, and all that it starts, from writing anything but what lies at or below some paths, from
/// the network unless that is allowed, and from signalling others where the kernel can.
///
/// # Errors
///
/// A path does not exist, or the kernel has no rules for this: nothing is restricted by half.
pub fn restrict(write: &[impl AsRef<Path>], network: bool) -> Result<()> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(writing())
        .context("this kernel has no Landlock rules for writing files")?;
    if !network {
        ruleset = ruleset
            .handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)
            .context("this kernel has no Landlock rules for the network")?;
    }
    let mut rules = ruleset
        .set_compatibility(CompatLevel::BestEffort)
        .scope(Scope::Signal | Scope::AbstractUnixSocket)
        .and_then(Ruleset::create)
        .context("the kernel refuses the rules")?;
    for path in write {
        let path = path.as_ref();
        let rule = rule(path).with_context(|| format!("cannot allow {}", path.display()))?;
        rules = rules.add_rule(rule).context("the kernel refuses a rule")?;
    }
    for device in DEVICES {
        // A container may lack some of them.
        if let Ok(rule) = rule(Path::new(device)) {
            rules = rules.add_rule(rule).context("the kernel refuses a rule")?;
        }
    }
    let status = rules
        .restrict_self()
        .context("the kernel refuses the rules")?;
    if status.ruleset == RulesetStatus::NotEnforced || !status.no_new_privs {
        bail!("the kernel does not enforce the rules");
    }
    Ok(())
}

fn rule(path: &Path) -> Result<PathBeneath<PathFd>> {
    let place = PathFd::new(path)?;
    // Rights about entries mean something for directories only.
    let rights = match path.is_dir() {
        true => writing(),
        false => AccessFs::from_file(ABI::V3) & writing(),
    };
    Ok(PathBeneath::new(place, rights))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_opened_is_refused_before_anything_is_restricted() {
        if !support().files {
            return;
        }
        let error = restrict(&["/there/is/no/such/place"], true).unwrap_err();
        assert!(format!("{error:#}").contains("cannot allow"), "{error:#}");
        assert!(tempfile::tempfile().is_ok());
    }
}
