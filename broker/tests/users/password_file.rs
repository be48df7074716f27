//! The lines of a password file, and what is said of those that are wrong.

use std::path::Path;

use proptest::prelude::*;
use squall_broker::users::password_file::Passwords;

use crate::support::{PBKDF2_SECRET, SCRAM_PENCIL, SHA512_PAESS};

fn parse(lines: &str) -> Result<Passwords, String> {
    Passwords::parse(Path::new("/etc/users"), lines.as_bytes()).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(lines: &str, expected: &str) {
    assert_eq!(parse(lines).expect_err("a wrong line"), expected);
}

#[test]
fn users_have_a_password_or_scram_or_both() {
    let lines = format!(
        "# people\r\n\r\nalice:{PBKDF2_SECRET}\r\n  bob : {SHA512_PAESS}\n#carol:x\nalice:{SCRAM_PENCIL}\ndave:{SCRAM_PENCIL}"
    );
    let users = parse(&lines).expect("valid lines");
    assert_eq!(users.len(), 3);
    let has = |name: &str| {
        let user = users.user(name).expect("a user");
        (user.password.is_some(), user.scram.is_some())
    };
    assert_eq!([has("alice"), has("bob"), has("dave")], [(true, true), (true, false), (false, true)]);
    assert!(users.user("carol").is_none());
    assert!(users.user("bob ").is_none());
    assert!(users.offers_scram());
}

#[test]
fn a_file_of_nobody_is_one() {
    let users = parse("# nobody yet\n").expect("valid lines");
    assert!(users.is_empty());
    assert!(!users.offers_scram());
    assert!(parse("\u{feff}").expect("valid lines").is_empty());
}

#[test]
fn a_wrong_line_is_shown_without_what_may_be_a_password() {
    let forgotten = "no hash of a password; one begins with $argon2id$, $7$, $6$ or $scram-sha-256$";
    refused("\nalice:hunter2\n", &format!("/etc/users:2: {forgotten}\n  2 | alice:…\n    |       ^"));
    refused("hunter2", "/etc/users:1: expected name:hash\n  1 | …\n    | ^");
    refused("alice:", "/etc/users:1: a user without a password cannot log in\n  1 | alice:…\n    |       ^");
    refused(&format!(":{SHA512_PAESS}"), "/etc/users:1: no name before ':'\n  1 | :…\n    | ^");
    refused(
        &format!("a\u{1b}[0m:{SHA512_PAESS}"),
        "/etc/users:1: the name of a user has no ':', no '#' in front, no space around it, and no control characters\
         \n  1 | a\u{fffd}[0m:…\n    | ^^^^^",
    );
    refused("alice:$7$101$AAAA", "/etc/users:1: expected $7$iterations$salt$hash\n  1 | alice:…\n    |       ^");
}

#[test]
fn nobody_has_two_passwords() {
    refused(
        &format!("alice:{PBKDF2_SECRET}\nbob:{SHA512_PAESS}\nalice:{SHA512_PAESS}"),
        "/etc/users:3: 'alice' has a password in line 1 already\n  3 | alice:…\n    | ^^^^^",
    );
    refused(
        &format!("alice:{SCRAM_PENCIL}\nalice:{SCRAM_PENCIL}"),
        "/etc/users:2: 'alice' has a SCRAM line in line 1 already\n  2 | alice:…\n    | ^^^^^",
    );
}

#[test]
fn a_scram_line_is_checked_part_by_part() {
    let wrong = |from: &str, to: &str, expected: &str| {
        let line = SCRAM_PENCIL.replace(from, to);
        refused(&format!("u:{line}"), &format!("/etc/users:1: {expected}\n  1 | u:…\n    |   ^"));
    };
    wrong("$4096", "$4095", "iterations '4095' is not a number from 4096 to 10000000");
    wrong("$4096", "", "expected $scram-sha-256$iterations$salt$StoredKey$ServerKey");
    wrong("W22ZaJ0SNY7soEsUEjb6gQ==", "", "the salt has 0 bytes and not 1 to 64");
    wrong("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=", "AAAA", "the StoredKey has 3 bytes and not 32");
    wrong("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", "%", "the ServerKey is no Base64");
    let soft_hyphen = format!("a\u{ad}b:{SCRAM_PENCIL}");
    let error = parse(&soft_hyphen).expect_err("a wrong name");
    assert!(error.contains("as SASLprep (RFC 4013) leaves it"), "{error}");
    assert!(parse(&format!("a\u{ad}b:{SHA512_PAESS}")).is_ok());
}

#[test]
fn bytes_that_are_no_text_are_told_by_their_line() {
    let error = Passwords::parse(Path::new("users"), b"a\nb\n\xff").expect_err("no UTF-8");
    assert_eq!(error.to_string(), "users:3: a byte that is no UTF-8\n  3 | \n    | ^");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Passwords::read(Path::new("/nowhere/users")).expect_err("no file").to_string();
    assert!(error.starts_with("failed to read /nowhere/users: No such file"), "{error}");
}

proptest! {
    #[test]
    fn no_file_makes_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "([a-z#:$é\n \t]|\\$6\\$){0,60}") {
        let _ = Passwords::parse(Path::new("users"), &bytes);
        let _ = Passwords::parse(Path::new("users"), text.as_bytes());
    }
}
