use globset::{GlobBuilder, GlobMatcher};
use proptest::prelude::*;

use super::*;

fn scope(globs: &[&str]) -> Vec<String> {
    globs.iter().map(|glob| (*glob).to_owned()).collect()
}

#[test]
fn a_scope_covers_paths_as_people_expect() {
    let cases = [
        ("src/auth", "src/auth", true),
        ("src/auth", "src/auth/a/b.rs", true),
        ("src/auth/", "src/auth/a", true),
        ("src/auth", "src/authority", false),
        ("src/auth/**", "src/auth/a/b.rs", true),
        ("src/auth/**", "src/auth", false),
        ("src/*", "src/a.rs", true),
        ("src/*", "src/a/b.rs", false),
        ("src/*/", "src/a/b.rs", true),
        ("crates/*/src", "crates/x/src/a/lib.rs", true),
        ("src/{auth,users}", "src/users/x", true),
        ("src/a.rs", "src/a.rs/x", true),
        ("**/*.sql", "a.sql", true),
        ("**/*.sql", "db/x/a.sql", true),
        ("src/**/mod.rs", "src/mod.rs", true),
        ("src/{a,b/c}/*.rs", "src/b/c/x.rs", true),
        ("src/{a,b/c}/*.rs", "src/c/x.rs", false),
        ("v[0-9]?.txt", "v1a.txt", true),
        ("v[!0-9].txt", "v1.txt", false),
        ("v[]a].txt", "v].txt", true),
        ("a\\*b", "a*b", true),
        ("a\\*b", "axb", false),
        ("été/**", "été/x", true),
    ];
    for (glob, path, expected) in cases {
        assert_eq!(covers(&scope(&[glob]), path), expected, "{glob} on {path}");
    }
    assert!(covers(&[], "anything"));
}

#[test]
fn overlaps_are_found_and_only_they() {
    let cases = [
        ("src/**", "src/auth/**", true),
        ("src/auth", "src/auth/schema.sql", true),
        ("src/auth/**", "src/users/**", false),
        ("src/*", "src/auth/**", false),
        ("src/*", "src/auth", true),
        ("src/*/", "src/auth/**", true),
        ("src/*.rs", "src/auth/**", false),
        ("src/*.rs", "src/a*", true),
        ("src/*.rs", "src/*.sql", false),
        ("**/*.sql", "src/auth/**", true),
        ("**/*.sql", "src/*.rs", false),
        ("a*b*c", "*bb*", true),
        ("[a-f]x", "[g-z]x", false),
        ("[!a-f]x", "[a-g]x", true),
        ("{a,b}/**", "{b,c}/x", true),
        ("{a,b}/**", "{c,d}/x", false),
        ("a/**/z", "a/z", true),
        ("**/a/**", "**/b/**", true),
        ("?", "??", false),
        ("docs/v1.2", "docs/v1.2/a.md", true),
        ("docs/*.d", "docs/conf.d/a.md", false),
        ("docs/v1.2", "docs/*/a.md", false),
        ("docs/*.d/", "**/a.md", true),
        ("**/Cargo.toml", "src/**/*.rs", false),
        (".github", "**/*.yml", true),
        ("crates/*/src", "crates/a/src/lib.rs", true),
    ];
    for (a, b, expected) in cases {
        let found = overlap(&scope(&[a]), &scope(&[b])).is_some();
        assert_eq!(found, expected, "{a} and {b}");
        assert_eq!(
            overlap(&scope(&[b]), &scope(&[a])).is_some(),
            expected,
            "{b} and {a}"
        );
    }
    let (a, b) = (scope(&["x", "src/a"]), scope(&["y", "src/**"]));
    let pair = overlap(&a, &b);
    assert_eq!(pair, Some(("src/a", "src/**")));
}

#[test]
fn what_is_no_glob_is_told() {
    for bad in [
        "",
        " ",
        "/src",
        "a//b",
        "../x",
        "a/../b",
        "./a",
        "[a",
        "{a",
        "a}",
        "[z-a]",
        "!x",
        "src\\auth",
        "a\u{7}",
    ] {
        assert!(Glob::parse(bad).is_err(), "{bad:?}");
    }
    let nested = "{".repeat(600) + &"}".repeat(600);
    assert!(Glob::parse(&nested).is_err());
    assert!(Glob::parse(&"{a,b}".repeat(20)).is_err());
}

/// What globset says; that a plain name stands for all below is spelt out.
fn oracle(glob: &str) -> Vec<GlobMatcher> {
    let build = |text: &str| {
        // To globset a negated class matches a slash as well, which no class of ours or Git's does.
        let text = text.replace("[!a]", "[!a/]");
        let mut builder = GlobBuilder::new(&text);
        builder
            .literal_separator(true)
            .build()
            .unwrap()
            .compile_matcher()
    };
    let mut all = vec![build(glob)];
    let last = glob.rsplit('/').next().unwrap();
    if !last.contains(['*', '?', '[']) {
        all.push(build(&format!("{glob}/**")));
    }
    all
}

fn part() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        4 => Just("a"), 3 => Just("b"), 1 => Just(".c"), 2 => Just("*"), 1 => Just("?"), 1 => Just("[a-b]"),
        1 => Just("[!a]"), 1 => Just("{a,b}"), 1 => Just("{ab,c}"),
    ];
    let plain = proptest::collection::vec(token, 1..4).prop_map(|tokens| {
        let text = tokens.concat();
        // Two stars beside others mean something else to globset.
        let text = text.replace("***", "*").replace("**", "*");
        if text.is_empty() {
            String::from("a")
        } else {
            text
        }
    });
    prop_oneof![4 => plain, 1 => Just(String::from("**"))]
}

fn glob() -> impl Strategy<Value = String> {
    proptest::collection::vec(part(), 1..4).prop_map(|parts| parts.join("/"))
}

fn path() -> impl Strategy<Value = String> {
    // A dot in a directory's name is taken for a file's, which the cases above show.
    "([abc]{1,3}/){0,3}[abc.]{0,2}[abc]"
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn matching_agrees_with_globset(glob in glob(), path in path()) {
        let expected = oracle(&glob).iter().any(|matcher| matcher.is_match(&path));
        prop_assert_eq!(covers(std::slice::from_ref(&glob), &path), expected, "{} on {}", glob, path);
    }

    #[test]
    fn a_path_that_matches_both_is_an_overlap(a in glob(), b in glob(), path in path()) {
        let both = [&a, &b].iter().all(|glob| oracle(glob).iter().any(|matcher| matcher.is_match(&path)));
        if both {
            prop_assert!(overlap(std::slice::from_ref(&a), std::slice::from_ref(&b)).is_some(), "{} and {} at {}", a, b, path);
            let (x, y) = (literal_prefix(&a), literal_prefix(&b));
            prop_assert!(x.starts_with(y) || y.starts_with(x));
        }
    }

    #[test]
    fn no_text_is_too_odd(a in ".{0,40}", b in "[a/*?\\[\\]{},!\\\\^-]{0,24}") {
        for text in [&a, &b] {
            if let Ok(glob) = Glob::parse(text) {
                let _ = glob.matches("a/b");
                prop_assert!(overlapping(&glob, &glob) || !glob.matches("a"));
            }
        }
    }
}
