//! Links the released program at a fixed address on Linux.
//!
//! Otherwise the loader has some 30,000 addresses to write into half a megabyte of tables each time it is started,
//! which is a third of the time of a command that has little to do.

#![expect(
    clippy::disallowed_methods,
    reason = "Cargo asks build scripts by variables"
)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let says = |name: &str, value: &str| std::env::var(name).is_ok_and(|text| text == value);
    let is_static = std::env::var("CARGO_CFG_TARGET_FEATURE")
        .is_ok_and(|features| features.split(',').any(|name| name == "crt-static"));
    // What is linked statically or for another system is linked as its toolchain wants it.
    if says("CARGO_CFG_TARGET_OS", "linux")
        && says("CARGO_CFG_TARGET_ENV", "gnu")
        && says("PROFILE", "release")
        && !is_static
    {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
