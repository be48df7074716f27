//! Every test that the README names exists: its claims can be looked up.

use std::{fs, path::Path};

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The file of `a::b::test` is `tests/a/b.rs`.
fn has_test(name: &str) -> bool {
    let Some((file, test)) = name.rsplit_once("::") else { return false };
    let path = folder().join("tests").join(format!("{}.rs", file.replace("::", "/")));
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let signature = format!("fn {test}(");
    let found = lines.iter().position(|line| line.trim_start_matches("async ").starts_with(&signature));
    found.is_some_and(|at| {
        let before = &lines[at.saturating_sub(4)..at];
        // Property tests have the attribute too.
        before.iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

#[test]
fn every_claim_names_a_test_that_exists() {
    let readme = fs::read_to_string(folder().join("README.md")).expect("the README");
    let (_, duties) = readme.split_once("| duty | proven by |").expect("the table of duties");
    let mut named = 0;
    for row in duties.lines().filter(|row| row.starts_with("| ")) {
        let tests: Vec<_> = row.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
        assert!(row.starts_with("| **") || !tests.is_empty(), "a claim without a test: {row}");
        for name in tests {
            assert!(has_test(name), "there is no test {name}");
            named += 1;
        }
    }
    assert!(named > 40, "the table is read");
    assert!(!has_test("driver::nobody_wrote_this"), "a test that is not there is missed");
    assert!(!has_test("driver::options"), "a helper is no test");
}
