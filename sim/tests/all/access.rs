//! The words of rules.

use std::path::Path;

use squall_broker::users::acl_file;
use squall_scenarios::settings::access::ACCESS_WORDS;

/// The broker names all that it knows where it meets a word that it does not.
#[test]
fn scripts_know_the_same_access_words_as_the_broker() {
    let error = acl_file::parse(Path::new("acl"), b"topic 0000000000 a").expect_err("no access").to_string();
    assert!(error.contains(&format!("expected one of {},", ACCESS_WORDS.join(", "))), "{error}");
}
