//! The configuration from outside: file, environment and flags, their order, and how mistakes are told.

use std::{path::Path, process::Output};

use tempfile::TempDir;

use super::support::{broker, ended, printed};

/// A folder with a configuration in it.
fn with_config(text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("squall.toml"), text).expect("a file");
    folder
}

/// What is said about a file that is wrong.
fn faults(text: &str) -> String {
    let output = ended(with_config(text).path(), &["--config", "squall.toml", "--check-config"]);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).expect("text")
}

/// The line of a setting in what `--print-config` prints.
fn line(output: Output, key: &str) -> String {
    let text = printed(output);
    let found = text.lines().find(|line| line.starts_with(&format!("{key} = ")));
    found.unwrap_or_else(|| panic!("no {key} in\n{text}")).to_owned()
}

#[test]
fn the_printed_configuration_is_the_reviewed_one_and_is_fine() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = printed(ended(folder.path(), &["--print-config"]));
    insta::assert_snapshot!("print_config", text);
    std::fs::write(folder.path().join("squall.toml"), &text).expect("a file");
    let again = printed(ended(folder.path(), &["--config", "squall.toml", "--print-config"]));
    assert_eq!(again, text);
    let checked = printed(ended(folder.path(), &["--config", "squall.toml", "--check-config"]));
    assert_eq!(checked, "the configuration is fine\n");
}

#[test]
fn a_flag_comes_before_the_environment_and_both_before_the_file() {
    let folder = with_config("[limits]\nreceive_maximum = 10\nconnect_timeout = \"20s\"\nin_flight = 30\n");
    let arguments = ["--config", "squall.toml", "--print-config", "--receive-maximum", "12"];
    let run = || {
        let mut command = broker(folder.path(), &arguments);
        command.env("SQUALL_RECEIVE_MAXIMUM", "11").env("SQUALL_CONNECT_TIMEOUT", "21").env("SQUALL_IN_FLIGHT", "");
        command.output().expect("it starts")
    };
    assert_eq!(line(run(), "receive_maximum"), "receive_maximum = 12");
    assert_eq!(line(run(), "connect_timeout"), "connect_timeout = \"21s\"");
    // An empty variable says nothing.
    assert_eq!(line(run(), "in_flight"), "in_flight = 30");
    assert_eq!(line(run(), "sessions"), "sessions = 100000");
}

#[test]
fn the_environment_names_the_file_and_the_listeners() {
    let folder = with_config("[protocol]\nmaximum_qos = 1\n[[listen]]\nurl = \"ws://localhost:1\"\n");
    let run = || {
        let mut command = broker(folder.path(), &["--print-config"]);
        command.env("SQUALL_CONFIG", "squall.toml");
        command
    };
    assert_eq!(line(run().output().expect("it starts"), "maximum_qos"), "maximum_qos = 1");
    assert_eq!(line(run().output().expect("it starts"), "url"), "url = \"ws://localhost:1\"");
    let text = printed(run().env("SQUALL_LISTEN", "127.0.0.1:5,[::1]:6").output().expect("it starts"));
    let urls: Vec<_> = text.lines().filter(|line| line.starts_with("url = ")).collect();
    assert_eq!(urls, ["url = \"mqtt://127.0.0.1:5\"", "url = \"mqtt://[::1]:6\""]);
}

#[test]
fn truths_can_be_said_and_denied_in_each_place() {
    let folder = with_config("[protocol]\nretain = false\n");
    for (arguments, variable, retain) in [
        (&["--print-config"][..], None, "true"),
        (&["--print-config", "--no-retain"], None, "false"),
        (&["--print-config", "--retain=false"], None, "false"),
        (&["--print-config"], Some("off"), "false"),
        (&["--print-config", "--config", "squall.toml"], None, "false"),
        (&["--print-config", "--config", "squall.toml", "--retain"], None, "true"),
        (&["--print-config", "--config", "squall.toml"], Some("yes"), "true"),
    ] {
        let mut command = broker(folder.path(), arguments);
        if let Some(value) = variable {
            command.env("SQUALL_RETAIN", value);
        }
        let found = line(command.output().expect("it starts"), "retain");
        assert_eq!(found, format!("retain = {retain}"), "{arguments:?} {variable:?}");
    }
}

#[test]
fn a_variable_that_is_misspelt_is_told_and_does_no_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = broker(folder.path(), &["--check-config"]).env("SQUALL_MAX_QS", "1").output().expect("it starts");
    assert_eq!(output.status.code(), Some(0));
    let told = "broker: the environment variable SQUALL_MAX_QS is none of ours; did you mean SQUALL_MAX_QOS?\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), told);
}

#[test]
fn all_that_is_wrong_in_a_file_is_told_with_its_line() {
    insta::assert_snapshot!("faults", faults(WRONG));
}

const WRONG: &str = r#"max_qos = 1
[limit]
x = 1
[limits]
conections = 5
maximum_packet_size = "16 MB!"
connect_timeout = 10
queued_bytes = true
receive_maximum = 0
maximum_qos = 2
[[listen]]
url = "mqqt://a:1"
[[listen]]
proxy_protocol = "yes"
[log]
format = "jsn"
max_qos = 2
[protocol]
server_keep_alive = "1500ms"
[http]
listen = []
"#;

#[test]
fn a_file_that_is_no_toml_is_told_where() {
    insta::assert_snapshot!("no_toml", faults("[limits]\nsessions = = 3\n"));
    insta::assert_snapshot!("twice", faults("[limits]\nsessions = 3\nsessions = 4\n"));
}

#[test]
fn listeners_that_contradict_themselves_are_told_where() {
    insta::assert_snapshot!("no_certificate", faults("[[listen]]\nurl = \"mqtts://localhost:1\"\n"));
    insta::assert_snapshot!("not_encrypted", faults("[[listen]]\nurl = \"mqtt://localhost:1\"\nkey = \"a\"\n"));
    let output = ended(Path::new("/"), &["--listen", "wss://localhost:1", "--certificate", "a"]);
    let sentence = "broker: wss://localhost:1 has no `key`: TLS needs `certificate` and `key`, two PEM files\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), sentence);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn wrong_flags_and_variables_are_one_sentence_that_says_what_is_expected() {
    for (arguments, variable, sentence) in [
        (&["--max-qos", "3"][..], None, "--max-qos '3' is not a whole number from 0 to 2"),
        (&[], Some(("SQUALL_MAX_QOS", "x")), "SQUALL_MAX_QOS 'x' is not a whole number from 0 to 2"),
        (&["--log-format", "xml"], None, "--log-format 'xml' is not \"human\" or \"json\""),
        (&["--certificate", "a"], None, "--certificate is given, and no listener is mqtts:// or wss://"),
        (&["--config", "nowhere.toml"], None, "failed to read the configuration 'nowhere.toml': No such file or"),
        (&["--log", "=!="], None, "log level '=!=' is no level and no filter"),
    ] {
        let mut command = broker(Path::new("/"), arguments);
        if let Some((name, value)) = variable {
            command.env(name, value);
        }
        let output = command.arg("--check-config").output().expect("it starts");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.starts_with(&format!("broker: {sentence}")) && told.lines().count() == 1, "{told}");
    }
}

#[test]
fn paths_of_a_file_are_relative_to_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("etc");
    std::fs::create_dir(&inner).expect("a folder");
    let text =
        "[[listen]]\nurl = \"mqtts://localhost:1\"\ncertificate = \"tls/server.pem\"\nkey = \"/etc/server.key\"\n";
    std::fs::write(inner.join("squall.toml"), text).expect("a file");
    let run = || ended(folder.path(), &["--config", "etc/squall.toml", "--print-config"]);
    assert_eq!(line(run(), "certificate"), "certificate = \"etc/tls/server.pem\"");
    assert_eq!(line(run(), "key"), "key = \"/etc/server.key\"");
    // On the command line they are relative to where the user is.
    let arguments = ["--config", "etc/squall.toml", "--print-config", "--certificate", "here.pem"];
    assert_eq!(line(ended(folder.path(), &arguments), "certificate"), "certificate = \"here.pem\"");
}
