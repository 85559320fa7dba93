//! What is shipped: licences and sources of what is built in, the workflows, and the script that packs a release.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use regex::Regex;
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Everything that the program and its tests are built from on this kind of machine.
fn packages() -> Vec<Value> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", &target])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let used: BTreeSet<&str> = nodes
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let used = packages.filter(|package| used.contains(package["id"].as_str().unwrap()));
    used.cloned().collect()
}

#[test]
#[cfg(target_os = "linux")]
fn everything_built_in_has_an_allowed_licence_and_comes_from_the_registry() {
    let deny: toml::Table = read("deny.toml").parse().unwrap();
    let allowed = deny["licenses"]["allow"].as_array().unwrap();
    let allowed: BTreeSet<&str> = allowed.iter().map(|name| name.as_str().unwrap()).collect();
    let excepted = deny["licenses"]["exceptions"].as_array().unwrap().iter();
    let excepted: BTreeSet<&str> = excepted.map(|one| one["crate"].as_str().unwrap()).collect();
    let ours = env!("CARGO_PKG_NAME");
    let registry = "registry+https://github.com/rust-lang/crates.io-index";
    let (mut seen, mut wrong) = (0, Vec::new());
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none");
        // `A OR B` may be taken under either, `A AND B` under both; the old `A/B` is the former.
        let fits = licence.replace('/', " OR ").split(" OR ").any(|choice| {
            let parts = choice.split(" AND ");
            parts
                .into_iter()
                .all(|part| allowed.contains(part.trim_matches(['(', ')', ' '])))
        });
        if !fits && !excepted.contains(name) {
            wrong.push(format!("{name}: licence {licence}"));
        }
        if name != ours && package["source"].as_str() != Some(registry) {
            wrong.push(format!("{name}: from {}", package["source"]));
        }
        seen += 1;
    }
    assert!(seen > 50, "only {seen} were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn workflows_call_the_scripts_that_are_here_and_pin_what_they_use() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let oldest = manifest["package"]["rust-version"].as_str().unwrap();
    let check = read(".github/workflows/ci.yml");
    assert!(check.contains("run: bash .ci/run\n"), "{check}");
    assert!(
        check.contains(&format!("cargo +{oldest} check --locked")),
        "{check}"
    );
    let release = read(".github/workflows/release.yml");
    assert!(
        release.contains("run: bash .ci/package \"$TARGET\" \"$TAG\"\n"),
        "{release}"
    );
    let script = Regex::new(r"bash (\.ci/[a-z]+)").unwrap();
    let action = Regex::new(r"uses: \S+@([0-9a-f]{40}) # v\d+\.\d+\.\d+\n").unwrap();
    for text in [&check, &release] {
        for named in script.captures_iter(text) {
            assert!(root().join(&named[1]).is_file(), "{}", &named[1]);
        }
        let (used, pinned) = (
            text.matches("uses: ").count(),
            action.find_iter(text).count(),
        );
        assert_eq!(
            used, pinned,
            "an action that is not pinned by a commit: {text}"
        );
    }
}

#[test]
fn a_release_is_refused_where_tag_and_version_differ() {
    let script = root().join(".ci/package");
    let target = "x86_64-unknown-linux-gnu";
    let output = Command::new("bash")
        .arg(&script)
        .args([target, "v999.0.0"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!("error: the tag is v999.0.0, Cargo.toml says {version}\n");
    assert_eq!(told, expected);
}
