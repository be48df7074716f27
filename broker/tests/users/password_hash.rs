//! Lines of all kinds are read, and only their password fits.

use proptest::prelude::*;
use squall_broker::users::password_hash::{ARGON2_LANES, ARGON2_MEMORY, ARGON2_PASSES, HashError, PasswordHash};

use crate::support::{PBKDF2_SECRET, SHA512_PAESS};

/// "password", from the test vectors of the Argon2 reference implementation.
const ARGON2_PASSWORD: &str = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

#[test]
fn a_line_of_each_kind_knows_its_password_and_no_other() {
    for (line, password) in [(PBKDF2_SECRET, "secret"), (SHA512_PAESS, "pä:ss"), (ARGON2_PASSWORD, "password")] {
        let hash = PasswordHash::parse(line).expect("a valid line");
        assert!(hash.matches(password.as_bytes()), "{line}");
        for wrong in ["", "Secret", "secret ", "secre", "passwor", "pä:s", "password\0"] {
            assert!(!hash.matches(wrong.as_bytes()), "{line} {wrong}");
        }
        assert_eq!(hash.to_string(), line);
    }
}

#[test]
fn what_is_written_is_argon2id_and_can_be_read() {
    let hash = PasswordHash::create(b"hello", [9; 16]);
    let line = hash.to_string();
    assert!(line.starts_with("$argon2id$v=19$m=19456,t=2,p=1$CQkJCQkJCQkJCQkJCQkJCQ$"), "{line}");
    let read = PasswordHash::parse(&line).expect("a valid line");
    assert!(read.matches(b"hello"));
    assert!(!read.matches(b"hullo"));
    assert_ne!(PasswordHash::create(b"hello", [8; 16]).to_string(), line);
}

#[test]
fn debug_output_holds_no_hash() {
    let hash = PasswordHash::parse(PBKDF2_SECRET).expect("a valid line");
    assert_eq!(format!("{hash:?}"), "$7$…");
}

#[track_caller]
fn refused(line: &str, expected: &str) {
    match PasswordHash::parse(line) {
        Ok(hash) => panic!("{line} is {hash:?}"),
        Err(error) => assert_eq!(error.to_string(), expected, "{line}"),
    }
}

#[test]
fn a_line_that_is_wrong_says_what_is() {
    let (_, hash) = SHA512_PAESS.rsplit_once('$').expect("a line");
    assert_eq!(PasswordHash::parse("hunter2"), Err(HashError::Unhashed));
    assert_eq!(PasswordHash::parse(""), Err(HashError::Unhashed));
    assert_eq!(PasswordHash::parse("$6"), Err(HashError::Unhashed));
    refused(
        &format!("$5$AAAA${hash}"),
        "'$5$' is no kind of hash that is known; $argon2id$, $7$, $6$ and $scram-sha-256$ are",
    );
    refused("$my pass$word", "'$…$' is no kind of hash that is known; $argon2id$, $7$, $6$ and $scram-sha-256$ are");
    refused("$6$AAAA", "expected $6$salt$hash");
    refused(&format!("$6$AAAA${hash}$"), "expected $6$salt$hash");
    refused(&format!("$6${hash}$AAAA"), "the hash has 3 bytes and not 64");
    refused(&format!("$6$*$ {hash}"), "the salt is no Base64");
    refused(&format!("$6$${hash}"), "the salt has 0 bytes and not 1 to 64");
    refused(&format!("$7$AAAA${hash}"), "expected $7$iterations$salt$hash");
    refused(&format!("$7$0$AAAA${hash}"), "iterations '0' is not a number from 1 to 5000000");
    refused(&format!("$7$+5$AAAA${hash}"), "iterations '+5' is not a number from 1 to 5000000");
}

#[test]
fn what_one_log_in_may_cost_is_bounded() {
    let (hash, salt) = ("A".repeat(43), "A".repeat(22));
    let line =
        |memory: u32, passes: u32, lanes: u32| format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}");
    assert!(PasswordHash::parse(&line(ARGON2_MEMORY, ARGON2_PASSES, ARGON2_LANES)).is_ok());
    refused(&line(ARGON2_MEMORY + 1, 1, 1), "m '262145' is not a number from 8 to 262144");
    refused(&line(31, 1, 4), "m '31' is not a number from 32 to 262144");
    refused(&line(1024, ARGON2_PASSES + 1, 1), "t '33' is not a number from 1 to 32");
    refused(&line(1024, 1, ARGON2_LANES + 1), "p '17' is not a number from 1 to 16");
    refused(&line(1024, 1, 0), "p '0' is not a number from 1 to 16");
    let shape = "expected $argon2id$v=19$m=memory,t=passes,p=lanes$salt$hash";
    refused(&line(1024, 1, 1).replace("v=19", "v=16"), shape);
    refused(&line(1024, 1, 1).replace(",p=1", ""), shape);
    refused(&line(1024, 1, 1).replace(",p=1", ",p=1,x=1"), shape);
    refused(&format!("$argon2id$v=19$m=1024,t=1,p=1$AAAA${hash}"), "the salt has 3 bytes and not 8 to 64");
    refused(&format!("$argon2id$v=19$m=1024,t=1,p=1${salt}$AAAA"), "the hash has 3 bytes and not 16 to 64");
    let (_, hash) = SHA512_PAESS.rsplit_once('$').expect("a line");
    refused(&format!("$7$5000001$AAAA${hash}"), "iterations '5000001' is not a number from 1 to 5000000");
}

proptest! {
    #[test]
    fn no_text_makes_reading_a_line_panic(text in ".*", pieces in prop::collection::vec("[0-9A-Za-z+/=,]{0,24}", 0..6)) {
        let _ = PasswordHash::parse(&text);
        for kind in ["$6$", "$7$", "$argon2id$v=19$", "$argon2id$"] {
            let _ = PasswordHash::parse(&format!("{kind}{}", pieces.join("$")));
        }
    }
}
