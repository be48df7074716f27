//! SCRAM-SHA-256: the example of RFC 7677, and everything that is not quite it.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use proptest::prelude::*;
use squall_broker::users::{
    password_file::Passwords,
    scram::{ITERATIONS, ScramCredential, ScramError, ServerFirst},
};

use crate::support::{SCRAM_PENCIL, SHA512_PAESS, ScramClient, scram_line, users};

const SECRET: [u8; 32] = [7; 32];
const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn first(message: &str) -> Result<ServerFirst, ScramError> {
    ServerFirst::new(message.as_bytes(), &users(), &SECRET, NONCE)
}

fn finish(message: &str) -> Result<(String, String), ScramError> {
    let first = first(CLIENT_FIRST).expect("a first message");
    first.finish(message.as_bytes()).map(|(name, last)| (name.to_string(), last))
}

#[test]
fn the_example_of_rfc_7677_is_answered_byte_by_byte() {
    assert_eq!(first(CLIENT_FIRST).expect("a first message").message(), SERVER_FIRST);
    assert_eq!(finish(CLIENT_FINAL), Ok(("user".to_owned(), SERVER_FINAL.to_owned())));
}

#[test]
fn the_line_of_the_example_is_what_its_password_makes() {
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("Base64");
    let made = ScramCredential::create("pencil", salt, 4096).expect("a password");
    assert_eq!(made.to_string(), SCRAM_PENCIL);
}

#[test]
fn the_wrong_password_is_refused() {
    for password in ["pencil ", "Pencil", ""] {
        let (message, _) = ScramClient::new("user", password).answer(SERVER_FIRST);
        assert_eq!(finish(&message), Err(ScramError::Wrong), "{password}");
    }
    let (message, last) = ScramClient::new("user", "pencil").answer(SERVER_FIRST);
    assert_eq!(finish(&message), Ok(("user".to_owned(), last)));
}

#[test]
fn an_unknown_name_looks_like_a_known_one_until_the_end() {
    let of = |name: &str, secret| {
        let message = ScramClient::new(name, "x").first();
        let first = ServerFirst::new(message.as_bytes(), &users(), &secret, NONCE).expect("a first message");
        let message = first.message().to_owned();
        let (answer, _) = ScramClient::new(name, "x").answer(&message);
        assert_eq!(first.finish(answer.as_bytes()), Err(ScramError::Wrong));
        message
    };
    let mallory = of("mallory", SECRET);
    // The same form as for a user: the same length, the same count; and the same salt each time.
    assert_eq!(mallory.len(), SERVER_FIRST.len());
    assert!(mallory.ends_with(",i=4096"), "{mallory}");
    assert_eq!(of("mallory", SECRET), mallory);
    assert_ne!(of("mallet", SECRET), mallory);
    assert_ne!(of("mallory", [8; 32]), mallory);
    // A user with a password and no SCRAM line is unknown here.
    assert_eq!(of("alice", SECRET).len(), SERVER_FIRST.len());
}

#[test]
fn unknown_names_are_spread_over_the_forms_that_users_have() {
    let lines = scram_line("a", "x", &[1; 16]) + &scram_line("b", "x", &[2; 24]);
    let users = Passwords::parse(Path::new("users"), lines.as_bytes()).expect("valid lines");
    let mut lengths: Vec<usize> = (0..64)
        .map(|number| {
            let message = format!("n,,n=nobody{number},r=abc");
            ServerFirst::new(message.as_bytes(), &users, &SECRET, NONCE).expect("a first message").message().len()
        })
        .collect();
    lengths.sort_unstable();
    lengths.dedup();
    assert_eq!(lengths.len(), 2);
}

#[test]
fn no_guess_of_the_keys_opens_an_unknown_name() {
    // Even the one whose keys would be those of the made-up line is refused.
    let nobody = Passwords::parse(Path::new("users"), format!("bob:{SHA512_PAESS}").as_bytes()).expect("valid lines");
    let first = ServerFirst::new(b"n,,n=user,r=abc", &nobody, &SECRET, NONCE).expect("a first message");
    assert!(first.message().ends_with(&format!(",i={ITERATIONS}")));
    let zeros = "A".repeat(43) + "=";
    let message = format!("c=biws,r=abc{NONCE},p={zeros}");
    assert_eq!(first.finish(message.as_bytes()), Err(ScramError::Wrong));
}

#[test]
fn a_first_message_that_is_not_quite_one_is_refused() {
    for (message, expected) in [
        ("", "malformed"),
        ("n", "malformed"),
        ("n,,", "malformed"),
        ("n,n=user,r=abc", "malformed"),
        ("x,,n=user,r=abc", "malformed"),
        ("N,,n=user,r=abc", "malformed"),
        ("n,user,n=user,r=abc", "malformed"),
        ("n,,r=abc,n=user", "malformed"),
        ("n,,n=user", "malformed"),
        ("n,,n=user,r=", "malformed"),
        ("n,,n=user,r=a b", "malformed"),
        ("n,,n=user,r=é", "malformed"),
        ("n,,n=us=er,r=abc", "malformed"),
        ("n,,n=us=2cer,r=abc", "malformed"),
        ("n,,n=user,r=abc,", "malformed"),
        ("n,,n=user,r=abc,x", "malformed"),
        ("n,,n=user,r=abc,1=x", "malformed"),
        ("n,,n=u\0ser,r=abc", "malformed"),
        ("p=tls-unique,,n=user,r=abc", "not offered"),
        ("n,a=other,n=user,r=abc", "not offered"),
        ("n,,m=x,n=user,r=abc", "not offered"),
        ("n,,n=user,r=abc,m=x", "not offered"),
        ("n,,n=,r=abc", "SASLprep"),
        ("n,,n=a\u{7}b,r=abc", "SASLprep"),
    ] {
        let error = first(message).expect_err(message).to_string();
        assert!(error.contains(expected), "{message}: {error}");
    }
    let long = format!("n,,n=user,r={}", "a".repeat(5000));
    assert!(matches!(first(&long), Err(ScramError::Malformed(_))));
    assert!(matches!(ServerFirst::new(b"n,,n=\xff,r=abc", &users(), &SECRET, NONCE), Err(ScramError::Malformed(_))));
}

#[test]
fn what_a_first_message_may_also_be() {
    for message in ["y,,n=user,r=abc", "n,a=user,n=user,r=abc", "n,,n=user,r=abc,x=y", "n,,n=u\u{ad}ser,r=abc"] {
        assert_eq!(first(message).expect(message).name(), "user", "{message}");
    }
    assert_eq!(first("n,,n=a=2Cb=3Dc=2C,r=abc").expect("a first message").name(), "a,b=c,");
    // The header comes back in c=.
    let right = "c=eSws,r=abc%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let proof = "A".repeat(43) + "=";
    let answer = |message: &str| {
        let first = first("y,,n=user,r=abc").expect("a first message");
        first.finish(format!("{message},p={proof}").as_bytes()).expect_err("a wrong proof")
    };
    assert_eq!(answer(right), ScramError::Wrong);
    assert!(matches!(answer(&right.replace("eSws", "biws")), ScramError::Malformed(_)));
}

#[test]
fn a_last_message_that_is_not_quite_one_is_refused() {
    let proof = CLIENT_FINAL.rsplit_once(",p=").expect("a proof").1;
    let wrong: [String; 11] = [
        String::new(),
        CLIENT_FINAL.replace(",p=", ",q="),
        CLIENT_FINAL.replace("c=biws", "c=eSws"),
        CLIENT_FINAL.replace("c=biws,", ""),
        CLIENT_FINAL.replace("k0", "k1"),
        CLIENT_FINAL.replace("r=r", "r="),
        CLIENT_FINAL.replace(proof, ""),
        CLIENT_FINAL.replace(proof, "AAAA"),
        CLIENT_FINAL.replace(proof, "*"),
        CLIENT_FINAL.replace(",p=", ",m=x,p="),
        CLIENT_FINAL.replace(",p=", ",,p="),
    ];
    for message in wrong {
        let error = finish(&message).expect_err(&message);
        assert!(matches!(error, ScramError::Malformed(_) | ScramError::Unsupported(_)), "{message}: {error}");
    }
    // Every other proof, and every change to what is signed.
    assert_eq!(finish(&CLIENT_FINAL.replace("p=dH", "p=dI")), Err(ScramError::Wrong));
    assert_eq!(finish(&CLIENT_FINAL.replace(",p=", ",x=y,p=")), Err(ScramError::Wrong));
}

proptest! {
    #[test]
    fn no_message_makes_an_exchange_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        parts in prop::collection::vec("(n|y|p=x|a=b|n=user|r=abc|c=biws|i=1|m=q|=2C|=|p=[A-Za-z0-9+/]{0,44}={0,2}|.{0,5})", 0..7),
    ) {
        let (users, text) = (users(), parts.join(","));
        for message in [&*bytes, text.as_bytes()] {
            if let Ok(first) = ServerFirst::new(message, &users, &SECRET, NONCE) {
                prop_assert!(first.message().starts_with("r="));
            }
            let first = ServerFirst::new(CLIENT_FIRST.as_bytes(), &users, &SECRET, NONCE).expect("a first message");
            prop_assert!(first.finish(message).is_err());
        }
    }
}
