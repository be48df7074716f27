//! Who may come in: `broker passwd`, the defaults for those who say nothing, and a reload while clients are there.

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Output, Stdio},
};

use bytes::Bytes;
use squall_broker::users::password_hash::{PBKDF2_ITERATIONS, PasswordHash};
use squall_codec::{
    packet::{Connect, Packet},
    qos::Qos,
    reason::ReasonCode,
    version::Version,
    wire::Text,
};

use super::support::{Client, Running, broker, ended, one_sentence, printed, tcp, timed};

/// `broker passwd` with something on standard input.
fn passwd(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = broker(folder, &[&["passwd"], arguments].concat());
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
    // It may end before it has read.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

/// What a client with this name and password is told.
fn log_in(address: std::net::SocketAddr, name: Option<&str>, password: &str) -> ReasonCode {
    let mut client = Client::over(tcp(address), Version::V5_0);
    let mut connect = Connect::new(Version::V5_0, Text::literal("c"));
    connect.set_username(name.map(|name| Text::new(name).expect("a text")));
    connect.set_password(name.map(|_| Bytes::copy_from_slice(password.as_bytes())));
    client.send(&Packet::Connect(connect));
    match client.next() {
        Some(Packet::Connack(connack)) => connack.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn passwd_makes_the_file_changes_it_and_deletes_from_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str], input: &str| printed(passwd(folder.path(), arguments, input));
    let file = || std::fs::read_to_string(folder.path().join("passwords")).expect("a file");
    assert_eq!(run(&["passwords", "alice"], "sesame\n"), "'alice' is added to passwords\n");
    assert_eq!(run(&["passwords", "bob"], "secret"), "'bob' is added to passwords\n");
    assert_eq!(run(&["passwords", "alice"], "open\n"), "the password of 'alice' in passwords is replaced\n");
    assert_eq!(run(&["--scram", "passwords", "alice"], "open\n"), "'alice' is added to passwords\n");
    let lines: Vec<_> = file().lines().map(|line| line.split_inclusive('$').take(2).collect::<String>()).collect();
    assert_eq!(lines, ["alice:$argon2id$", "bob:$argon2id$", "alice:$scram-sha-256$"]);
    assert!(!file().contains("sesame") && !file().contains("open"));
    let mode = std::fs::metadata(folder.path().join("passwords")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(run(&["--delete", "passwords", "alice"], ""), "'alice' is deleted from passwords\n");
    assert!(file().starts_with("bob:") && file().lines().count() == 1);
}

#[test]
fn passwd_says_what_it_cannot_do_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    printed(passwd(folder.path(), &["passwords", "alice"], "sesame"));
    let before = std::fs::read(folder.path().join("passwords")).expect("a file");
    for (arguments, input, sentence) in [
        (&["passwords", "bob"][..], "", "broker: standard input has no password"),
        (&["passwords", "bob"], "\n", "broker: standard input has no password"),
        (&["passwords", "b:b"], "x", "broker: "),
        (&["--delete", "passwords", "bob"], "", "broker: there is no user 'bob' in passwords"),
        (&["nowhere/passwords", "bob"], "x", "broker: failed to "),
    ] {
        let told = one_sentence(&passwd(folder.path(), arguments, input));
        assert!(told.starts_with(sentence), "{told}");
        assert_eq!(std::fs::read(folder.path().join("passwords")).expect("a file"), before);
    }
    assert_eq!(passwd(folder.path(), &["passwords"], "x").status.code(), Some(2));
}

#[test]
fn with_users_only_those_with_the_right_password_come_in() {
    let folder = tempfile::tempdir().expect("a folder");
    printed(passwd(folder.path(), &["passwords", "alice"], "sesame"));
    let mut program = Running::start(
        folder.path(),
        &["--listen", "127.0.0.1:0", "--password-file", "passwords", "--refusal-delay=0"],
    );
    let line = program.line();
    assert!(line.ends_with(" (users, in memory)"), "{line}");
    let address = super::support::address(&line, "mqtt");
    assert_eq!(log_in(address, Some("alice"), "sesame"), ReasonCode::Success);
    assert_eq!(log_in(address, Some("alice"), "wrong"), ReasonCode::BadUserNameOrPassword);
    assert_eq!(log_in(address, Some("bob"), "sesame"), ReasonCode::BadUserNameOrPassword);
    assert_eq!(log_in(address, None, ""), ReasonCode::NotAuthorized);
}

#[test]
fn who_comes_in_without_a_name_depends_on_the_listener_and_on_what_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    printed(passwd(folder.path(), &["passwords", "alice"], "sesame"));
    let (come_in, stay_out) = (ReasonCode::Success, ReasonCode::NotAuthorized);
    for (arguments, guests, outcome) in [
        (&["--listen", "127.0.0.1:0"][..], "anonymous", come_in),
        (&["--listen", "[::1]:0"], "anonymous", come_in),
        (&["--listen", "0.0.0.0:0"], "nobody", stay_out),
        (&["--listen", "127.0.0.1:0", "--allow-anonymous=false"], "nobody", stay_out),
        (&["--listen", "0.0.0.0:0", "--allow-anonymous"], "anonymous", come_in),
        (&["--listen", "127.0.0.1:0", "--password-file", "passwords"], "users", stay_out),
        (
            &["--listen", "127.0.0.1:0", "--password-file=passwords", "--allow-anonymous"],
            "users and anonymous",
            come_in,
        ),
    ] {
        let mut program = Running::start(folder.path(), arguments);
        let line = program.line();
        assert!(line.ends_with(&format!(" ({guests}, in memory)")), "{arguments:?}: {line}");
        assert_eq!(log_in(super::support::address(&line, "mqtt"), None, ""), outcome, "{arguments:?}");
        program.signal("-TERM");
        let (_, told) = program.end();
        assert_eq!(told.contains("broker: nobody can connect to mqtt://"), guests == "nobody", "{arguments:?}: {told}");
    }
}

#[test]
fn listeners_have_their_own_word_on_clients_without_a_name() {
    let config = "[[listen]]\nurl = \"127.0.0.1:0\"\nallow_anonymous = false\n[[listen]]\nurl = \"0.0.0.0:0\"\n\
                  allow_anonymous = true\n[[listen]]\nurl = \"127.0.0.1:0\"\n";
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("squall.toml"), config).expect("a file");
    let mut program = Running::start(folder.path(), &["--config", "squall.toml"]);
    let mut outcome = || log_in(program.address("mqtt"), None, "");
    assert_eq!(
        [outcome(), outcome(), outcome()],
        [ReasonCode::NotAuthorized, ReasonCode::Success, ReasonCode::Success]
    );
}

#[test]
fn a_hangup_reloads_passwords_and_rules_and_a_wrong_file_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    printed(passwd(folder.path(), &["passwords", "alice"], "sesame"));
    std::fs::write(folder.path().join("acl"), "user alice\ntopic a\n").expect("a file");
    let arguments = ["--listen", "127.0.0.1:0", "--password-file=passwords", "--acl-file=acl", "--refusal-delay=0"];
    let mut program = Running::start(folder.path(), &arguments);
    let address = program.address("mqtt");

    let mut alice = Client::over(tcp(address), Version::V5_0);
    let mut connect = Connect::new(Version::V5_0, Text::literal("alice"));
    connect.set_username(Some(Text::literal("alice")));
    connect.set_password(Some(Bytes::from_static(b"sesame")));
    alice.send(&Packet::Connect(connect));
    assert!(matches!(alice.next(), Some(Packet::Connack(connack)) if connack.reason == ReasonCode::Success));
    assert_eq!(alice.granted("a", Qos::AtMostOnce), ReasonCode::GRANTED_QOS_0);
    assert_eq!(alice.granted("b", Qos::AtMostOnce), ReasonCode::NotAuthorized);

    printed(passwd(folder.path(), &["passwords", "alice"], "open"));
    printed(passwd(folder.path(), &["passwords", "bob"], "secret"));
    std::fs::write(folder.path().join("acl"), "user alice\ntopic b\n").expect("a file");
    assert_eq!(log_in(address, Some("bob"), "secret"), ReasonCode::BadUserNameOrPassword);
    program.signal("-HUP");
    assert_eq!(program.line(), "reloaded the passwords in passwords (2 users), the rules in acl");
    assert_eq!(log_in(address, Some("bob"), "secret"), ReasonCode::Success);
    assert_eq!(log_in(address, Some("alice"), "sesame"), ReasonCode::BadUserNameOrPassword);
    // Who is in stays in, and is judged by the new rules.
    assert_eq!(alice.granted("b", Qos::AtMostOnce), ReasonCode::GRANTED_QOS_0);
    assert_eq!(alice.granted("a", Qos::AtMostOnce), ReasonCode::NotAuthorized);

    std::fs::write(folder.path().join("acl"), "user alice\ntopik b\n").expect("a file");
    program.signal("-HUP");
    assert_eq!(program.line(), "reloaded the passwords in passwords (2 users)");
    let told = program.log();
    assert!(told.contains("not reloaded, what was in force stays") && told.contains("acl:2"), "{told}");
    assert_eq!(alice.granted("b", Qos::AtMostOnce), ReasonCode::GRANTED_QOS_0);
}

#[test]
fn passwords_that_are_still_being_checked_do_not_keep_it_from_ending() {
    let folder = tempfile::tempdir().expect("a folder");
    // So slow that to work one out takes most of a second.
    let (salt, hash) = ("AAAAAAAAAAAAAAAA", format!("{}==", "A".repeat(86)));
    let slow = format!("$7${}${salt}${hash}", PBKDF2_ITERATIONS / 4);
    std::fs::write(folder.path().join("passwords"), format!("alice:{slow}\n")).expect("a file");
    let arguments =
        ["--listen", "127.0.0.1:0", "--password-file=passwords", "--refusal-delay=1h", "--longest-refusal-delay=1h"];
    let mut program = Running::start(folder.path(), &arguments);
    let address = program.address("mqtt");
    // More than are hashed before it ends, and refusals that nobody will hear.
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let mut client = Client::over(tcp(address), Version::V3_1_1);
            let mut connect = Connect::new(Version::V3_1_1, Text::literal(""));
            connect.set_username(Some(Text::literal("alice")));
            connect.set_password(Some(Bytes::from_static(b"wrong")));
            client.send(&Packet::Connect(connect));
            client
        })
        .collect();
    // Who comes behind them waits as well; but without a name there is nothing to check.
    assert_eq!(log_in(address, None, ""), ReasonCode::NotAuthorized);
    program.signal("-TERM");
    let ((status, told), to_end) = timed(|| program.end());
    assert_eq!(status.code(), Some(0), "{told}");
    let slow = PasswordHash::parse(&slow).expect("a hash");
    let (_, to_hash) = timed(|| slow.matches(b"wrong"));
    assert!(to_end < to_hash, "{to_end:?}, and {to_hash:?} for a hash");
    drop(waiting);
}

#[test]
fn a_password_file_or_rules_that_are_wrong_name_their_line() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("passwords"), "# users\nalice:plain\n").expect("a file");
    std::fs::write(folder.path().join("acl"), "user alice\ntopik b\n").expect("a file");
    for (flag, place) in [("--password-file=passwords", "broker: passwords:2: "), ("--acl-file=acl", "broker: acl:2: ")]
    {
        for check in [&[][..], &["--check-config"]] {
            let output = ended(folder.path(), &[&["--listen", "127.0.0.1:0", flag], check].concat());
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{told}");
            assert!(told.starts_with(place) && told.contains('^') && output.stdout.is_empty(), "{told}");
            assert!(!told.contains("plain"), "{told}");
        }
    }
}
