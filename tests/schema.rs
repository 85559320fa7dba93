//! What answers look like is published: `schema/` has a JSON Schema for each, made from the types that are answered.
//!
//! `RECORD=1 cargo test -- schema::` writes them anew, for a change that is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use git_orch::commands::ANSWERS;
use serde_json::Value;

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schema")
}

/// Every schema by its file's name, as the types say.
fn made() -> BTreeMap<String, String> {
    let file = |name: &str, schema: Value| {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        (format!("{name}.json"), text)
    };
    ANSWERS
        .iter()
        .map(|(name, _, schema)| file(name, schema().to_value()))
        .collect()
}

#[test]
fn schemas_are_those_of_the_types() {
    let made = made();
    assert_eq!(made.len(), ANSWERS.len(), "a name stands twice");
    if std::env::var_os("RECORD").is_some() {
        let _ = fs::remove_dir_all(home());
        fs::create_dir_all(home()).unwrap();
        for (name, text) in &made {
            fs::write(home().join(name), text).unwrap();
        }
        return;
    }
    let there: BTreeSet<String> = fs::read_dir(home())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, made.keys().cloned().collect(), "files in schema/");
    for (name, text) in &made {
        let recorded = fs::read_to_string(home().join(name)).unwrap();
        assert_eq!(
            &recorded, text,
            "schema/{name}: RECORD=1 cargo test -- schema::"
        );
    }
}
