//! Runs have names that no other run on the same subject is likely to use.

use squall_conformance::run::{base36, run_id};

#[test]
fn a_namespace_has_at_most_twelve_letters_and_digits() {
    let namespace = format!("{}{}", run_id(1_800_000_000), base36(999, 3));
    assert!(namespace.len() <= 12 && namespace.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{namespace}");
    assert_ne!(run_id(1_800_000_000), run_id(1_800_000_001));
    assert_eq!(base36(36 * 36 + 1, 3), "101");
}
