//! Who may come in, with everything answered at once.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use squall_broker::{
    core::{
        access::{Answer, Authenticator, Exchange},
        effect::{AuthenticationOutcome, AuthenticationRequest, PeerInfo},
    },
    users::{
        authenticator::{FileAuthenticator, LogIns, Options, Policy},
        entropy::SeededEntropy,
        workshop::AtOnce,
    },
};
use squall_codec::reason::ReasonCode;

use crate::support::*;

const BAD: Result<Option<String>, ReasonCode> = Err(ReasonCode::BadUserNameOrPassword);
const OPEN: Policy = Policy { allow_anonymous: true, use_certificate_name: false };

fn ask(
    authenticator: &FileAuthenticator,
    username: Option<&str>,
    password: Option<&str>,
) -> Result<Option<String>, ReasonCode> {
    outcome(authenticator.authenticate(request(username, password)))
}

fn user(name: &str) -> Result<Option<String>, ReasonCode> {
    Ok(Some(name.to_owned()))
}

#[test]
fn the_right_password_and_no_other_lets_a_user_in() {
    let authenticator = at_once(users());
    assert_eq!(ask(&authenticator, Some("alice"), Some("secret")), user("alice"));
    assert_eq!(ask(&authenticator, Some("bob"), Some("pä:ss")), user("bob"));
    for (username, password) in [
        ("alice", Some("Secret")),
        ("alice", Some("")),
        ("alice", None),
        ("alice", Some("pä:ss")),
        ("bob", Some("secret")),
        ("bob", None),
        ("Alice", Some("secret")),
        ("mallory", Some("secret")),
        ("mallory", Some("pä:ss")),
        ("mallory", None),
        ("", Some("secret")),
        // A SCRAM line is no password.
        ("user", Some("pencil")),
        ("user", Some("secret")),
    ] {
        assert_eq!(ask(&authenticator, Some(username), password), BAD, "{username} {password:?}");
    }
}

#[test]
fn whom_nobody_knows_has_no_password_whatever_hash_is_compared() {
    // An unknown name is compared with some user's hash; the password that fits there does not open the door.
    let authenticator = at_once(users());
    for number in 0..64 {
        for password in ["secret", "pä:ss"] {
            assert_eq!(ask(&authenticator, Some(&format!("nobody{number}")), Some(password)), BAD);
        }
    }
}

#[test]
fn who_has_no_name_comes_in_where_that_is_allowed() {
    let closed = at_once(users());
    assert_eq!(ask(&closed, None, None), Err(ReasonCode::NotAuthorized));
    assert_eq!(ask(&closed, None, Some("secret")), Err(ReasonCode::NotAuthorized));
    let open = FileAuthenticator::new(Some(users()), options(OPEN, Arc::new(AtOnce)));
    assert_eq!(ask(&open, None, None), Ok(None));
    // A name is still to be proven.
    assert_eq!(ask(&open, Some("mallory"), None), BAD);
    assert_eq!(ask(&open, Some("alice"), Some("wrong")), BAD);
    assert_eq!(ask(&open, Some("alice"), Some("secret")), user("alice"));
}

#[test]
fn a_name_that_nobody_checks_is_no_user() {
    let open = FileAuthenticator::new(None, options(OPEN, Arc::new(AtOnce)));
    assert_eq!(ask(&open, Some("alice"), Some("secret")), Ok(None));
    let closed = FileAuthenticator::new(None, options(Policy::default(), Arc::new(AtOnce)));
    assert_eq!(ask(&closed, Some("alice"), Some("secret")), Err(ReasonCode::NotAuthorized));
}

#[test]
fn each_listener_has_its_own_policy() {
    let certificate = Policy { allow_anonymous: false, use_certificate_name: true };
    let listeners = BTreeMap::from([(Arc::from("inside"), OPEN), (Arc::from("tls"), certificate)]);
    let options = Options { listeners, ..options(Policy::default(), Arc::new(AtOnce)) };
    let authenticator = FileAuthenticator::new(Some(users()), options);
    let from = |listener: &str, shown: Option<&str>, request: AuthenticationRequest| {
        let peer = PeerInfo { listener: Arc::from(listener), certificate_name: shown.map(text), ..PeerInfo::default() };
        outcome(authenticator.authenticate(AuthenticationRequest { peer, ..request }))
    };
    let nobody = || request(None, None);
    assert_eq!(from("inside", None, nobody()), Ok(None));
    assert_eq!(from("outside", None, nobody()), Err(ReasonCode::NotAuthorized));
    assert_eq!(from("tls", None, nobody()), Err(ReasonCode::NotAuthorized));
    // The certificate is the proof; a name in CONNECT says nothing beside it.
    assert_eq!(from("tls", Some("device-1"), nobody()), user("device-1"));
    assert_eq!(from("tls", Some("device-1"), request(Some("alice"), Some("wrong"))), user("device-1"));
    // Where its name does not count, it is no name.
    assert_eq!(from("inside", Some("device-1"), nobody()), Ok(None));
    assert_eq!(from("outside", Some("alice"), request(Some("alice"), Some("wrong"))), BAD);
    // Without a certificate there is the password.
    assert_eq!(from("tls", None, request(Some("alice"), Some("secret"))), user("alice"));
}

#[track_caller]
fn next(answer: Answer) -> (String, Box<dyn Exchange>) {
    match answer {
        Answer::Now(AuthenticationOutcome::Continue { data, exchange }) => {
            let data = data.map(|data| String::from_utf8(data.to_vec()).expect("text"));
            (data.unwrap_or_default(), exchange)
        }
        other => panic!("no next step: {other:?}"),
    }
}

#[test]
fn scram_lets_its_users_in_and_proves_the_server() {
    let authenticator = at_once(users());
    let client = ScramClient::new("user", "pencil");
    for with_data in [true, false] {
        let first = client.first();
        let answer = authenticator.authenticate(enhanced("SCRAM-SHA-256", with_data.then_some(&*first)));
        let (server_first, exchange) = if with_data {
            next(answer)
        } else {
            // The server's first word is empty.
            let (empty, exchange) = next(answer);
            assert_eq!(empty, "");
            next(exchange.next(Some(first.into())))
        };
        let (last, expected) = client.answer(&server_first);
        match exchange.next(Some(last.into())) {
            Answer::Now(AuthenticationOutcome::Allowed { user, data }) => {
                assert_eq!((user, data), (Some(text("user")), Some(expected.into())));
            }
            other => panic!("refused: {other:?}"),
        }
    }
}

#[test]
fn no_two_exchanges_have_the_same_nonce() {
    let authenticator = at_once(users());
    let first = ScramClient::new("user", "pencil").first();
    let mut all: Vec<String> =
        (0..100).map(|_| next(authenticator.authenticate(enhanced("SCRAM-SHA-256", Some(&first)))).0).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 100);
    // And what one exchange has accepted is nothing in another.
    let client = ScramClient::new("user", "pencil");
    let (server_first, _) = next(authenticator.authenticate(enhanced("SCRAM-SHA-256", Some(&first))));
    let (_, other) = next(authenticator.authenticate(enhanced("SCRAM-SHA-256", Some(&first))));
    let (last, _) = client.answer(&server_first);
    assert_eq!(outcome(other.next(Some(last.into()))), Err(ReasonCode::NotAuthorized));
}

#[test]
fn scram_refuses_the_wrong_password_an_unknown_name_and_nonsense() {
    let authenticator = at_once(users());
    for (name, password) in [("user", "pencil2"), ("mallory", "pencil"), ("alice", "secret")] {
        let client = ScramClient::new(name, password);
        let (server_first, exchange) =
            next(authenticator.authenticate(enhanced("SCRAM-SHA-256", Some(&client.first()))));
        let (last, _) = client.answer(&server_first);
        assert_eq!(outcome(exchange.next(Some(last.into()))), Err(ReasonCode::NotAuthorized), "{name}");
    }
    let nonsense = authenticator.authenticate(enhanced("SCRAM-SHA-256", Some("hello")));
    assert_eq!(outcome(nonsense), Err(ReasonCode::NotAuthorized));
    let first = ScramClient::new("user", "pencil").first();
    let (_, exchange) = next(authenticator.authenticate(enhanced("SCRAM-SHA-256", Some(&first))));
    assert_eq!(outcome(exchange.next(None)), Err(ReasonCode::NotAuthorized));
    assert_eq!(authenticator.log_ins(), LogIns { failed: 5, ..LogIns::default() });
}

#[test]
fn a_method_that_is_not_offered_is_refused() {
    let bad_method = Err(ReasonCode::BadAuthenticationMethod);
    let authenticator = at_once(users());
    for method in ["SCRAM-SHA-1", "scram-sha-256", "SCRAM-SHA-256-PLUS", "PLAIN", ""] {
        assert_eq!(outcome(authenticator.authenticate(enhanced(method, None))), bad_method, "{method}");
    }
    // Nobody has a line for it.
    let lines = format!("bob:{SHA512_PAESS}");
    let without = squall_broker::users::password_file::Passwords::parse("users".as_ref(), lines.as_bytes());
    let without = at_once(without.expect("valid lines"));
    assert_eq!(outcome(without.authenticate(enhanced("SCRAM-SHA-256", None))), bad_method);
    let open = FileAuthenticator::new(None, options(OPEN, Arc::new(AtOnce)));
    assert_eq!(outcome(open.authenticate(enhanced("SCRAM-SHA-256", None))), bad_method);
}

#[test]
fn the_same_seed_gives_the_same_exchange() {
    let first = ScramClient::new("user", "pencil").first();
    let message = |seed| {
        let options = Options { entropy: Arc::new(SeededEntropy::new(seed)), ..options(OPEN, Arc::new(AtOnce)) };
        let authenticator = FileAuthenticator::new(Some(users()), options);
        next(authenticator.authenticate(enhanced("SCRAM-SHA-256", Some(&first)))).0
    };
    assert_eq!(message(3), message(3));
    assert_ne!(message(3), message(4));
}

#[test]
fn a_file_is_read_again_and_a_wrong_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users");
    fs::write(&path, format!("bob:{SHA512_PAESS}\n")).expect("written");
    let authenticator =
        FileAuthenticator::open(path.clone(), options(Policy::default(), Arc::new(AtOnce))).expect("a valid file");
    fs::write(&path, format!("carol:{SHA512_PAESS}\nbob:oops\n")).expect("written");
    let error = authenticator.reload().expect_err("line 2 is wrong").to_string();
    assert!(error.contains("users:2: no hash"), "{error}");
    assert_eq!(ask(&authenticator, Some("bob"), Some("pä:ss")), user("bob"));
    assert_eq!(ask(&authenticator, Some("carol"), Some("pä:ss")), BAD);
    fs::write(&path, format!("carol:{SHA512_PAESS}\n")).expect("written");
    assert_eq!(authenticator.reload().expect("a valid file"), 1);
    assert_eq!(ask(&authenticator, Some("bob"), Some("pä:ss")), BAD);
    assert_eq!(ask(&authenticator, Some("carol"), Some("pä:ss")), user("carol"));
    fs::remove_file(&path).expect("removed");
    assert!(authenticator.reload().is_err());
    assert_eq!(ask(&authenticator, Some("carol"), Some("pä:ss")), user("carol"));
    assert!(FileAuthenticator::open(path, options(OPEN, Arc::new(AtOnce))).is_err());
}

#[test]
fn an_exchange_goes_on_with_the_users_it_began_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users");
    fs::write(&path, format!("user:{SCRAM_PENCIL}\n")).expect("written");
    let authenticator = FileAuthenticator::open(path.clone(), options(OPEN, Arc::new(AtOnce))).expect("a valid file");
    let client = ScramClient::new("user", "pencil");
    let (server_first, exchange) = next(authenticator.authenticate(enhanced("SCRAM-SHA-256", Some(&client.first()))));
    fs::write(&path, "# nobody\n").expect("written");
    assert_eq!(authenticator.reload().expect("a valid file"), 0);
    let (last, _) = client.answer(&server_first);
    assert_eq!(outcome(exchange.next(Some(last.into()))), user("user"));
}

#[test]
fn the_wrong_wait_and_the_right_do_not() {
    let watched = Arc::new(Watched::default());
    let authenticator = FileAuthenticator::new(Some(users()), options(OPEN, Arc::clone(&watched) as _));
    let from = |address: &str, request: AuthenticationRequest| {
        let peer = PeerInfo { address: Some(address.parse().expect("an address")), ..PeerInfo::default() };
        let _ = outcome(authenticator.authenticate(AuthenticationRequest { peer, ..request }));
        watched.delays().iter().map(Duration::as_millis).max().unwrap_or(0)
    };
    let (wrong, right) = (|| request(Some("alice"), Some("wrong")), || request(Some("alice"), Some("secret")));
    assert_eq!([0; 6].map(|_| from("10.0.0.1:1", wrong())), [250, 500, 1000, 2000, 4000, 4000]);
    // The right one at once, from there and under that name; and it forgets nothing.
    assert_eq!(from("10.0.0.1:1", right()), 0);
    assert_eq!(from("10.0.0.2:1", right()), 0);
    assert_eq!(from("10.0.0.1:2", wrong()), 4000);
    // The address has to wait under any name, the name from any address; others are not concerned.
    assert_eq!(from("10.0.0.1:1", request(Some("mallory"), Some("wrong"))), 4000);
    assert_eq!(from("10.0.0.2:1", wrong()), 4000);
    assert_eq!(from("10.0.0.3:1", request(Some("bob"), Some("wrong"))), 250);
    // A name that nobody has waits as one that somebody has.
    assert_eq!(from("10.0.0.4:1", request(Some("mallory"), Some("wrong"))), 500);
    watched.advance(Duration::from_secs(3600));
    assert_eq!(from("10.0.0.1:1", wrong()), 250);
    // To have no name is no guess.
    assert_eq!(from("10.0.0.5:1", request(None, None)), 0);
}

#[test]
fn who_was_right_is_known_the_next_time_and_nobody_else_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users");
    fs::write(&path, format!("alice:{PBKDF2_SECRET}\ncarol:{PBKDF2_SECRET}\n")).expect("written");
    let watched = Arc::new(Watched::default());
    let authenticator =
        FileAuthenticator::open(path.clone(), options(OPEN, Arc::clone(&watched) as _)).expect("a valid file");
    let hashes = |name, password| (ask(&authenticator, Some(name), Some(password)), watched.jobs());
    assert_eq!(hashes("alice", "secret"), (user("alice"), 1));
    assert_eq!(hashes("alice", "secret"), (user("alice"), 0));
    // Every other word is hashed each time, and what it does changes nothing.
    for _ in 0..2 {
        assert_eq!(hashes("alice", "secreT"), (BAD, 1));
    }
    assert_eq!(hashes("alice", "secret"), (user("alice"), 0));
    // The same line is somebody else's too.
    assert_eq!(hashes("carol", "secret"), (user("carol"), 1));
    assert_eq!(hashes("mallory", "secret"), (BAD, 1));
    assert_eq!(hashes("mallory", "secret"), (BAD, 1));
    // Another line, or none: what was right is not right any more.
    let other = squall_broker::users::password_hash::PasswordHash::create(b"other", [1; 16]);
    fs::write(&path, format!("alice:{other}\nbob:{PBKDF2_SECRET}\n")).expect("written");
    assert_eq!(authenticator.reload().expect("a valid file"), 2);
    assert_eq!(hashes("alice", "secret"), (BAD, 1));
    assert_eq!(hashes("carol", "secret"), (BAD, 1));
    assert_eq!(hashes("alice", "other"), (user("alice"), 1));
    assert_eq!(hashes("alice", "other"), (user("alice"), 0));
}

#[test]
fn every_answer_is_counted() {
    let authenticator = at_once(users());
    for (username, password) in
        [(Some("alice"), "secret"), (Some("bob"), "pä:ss"), (Some("bob"), "x"), (Some("x"), "x"), (None, "x")]
    {
        let _ = ask(&authenticator, username, Some(password));
    }
    let _ = authenticator.authenticate(enhanced("PLAIN", None));
    assert_eq!(authenticator.log_ins(), LogIns { users: 2, anonymous: 0, failed: 2, refused: 2 });
}
