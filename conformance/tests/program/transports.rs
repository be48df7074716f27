//! An audit over every transport, with credentials and certificates: the same tests, the same verdicts.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Output},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use rcgen::{CertificateParams, KeyPair};
use squall_broker::{
    core::{
        HashKey,
        access::{Answer, Authenticator},
        effect::{AuthenticationOutcome, AuthenticationRequest},
    },
    net::{
        listener::ListenerOptions,
        server::{Server, ServerOptions},
        tls::{ClientCertificates, Tls, TlsFiles},
        websocket::options::WebsocketOptions,
    },
};
use squall_client::net::tls::{TlsOptions, Trust};
use squall_codec::{reason::ReasonCode, wire::Text};
use squall_conformance::{dial::Access, report::json, suite::Suite};
use squall_scenarios::{stage::Credentials, verdict::Verdict};
use tokio::net::TcpListener;

pub(crate) const TESTS: &[crate::Test] = tests![
    every_transport_gives_the_same_verdicts,
    a_program_audits_over_tls_with_the_library,
    a_storm_is_played_over_every_transport_by_those_who_may_come_in,
    a_transport_that_cannot_be_had_is_told_in_one_sentence,
];

/// A server that nobody enters without a name, over all transports.
struct Guarded {
    /// TCP, TLS, WebSocket, WebSocket over TLS, TLS that asks for a certificate of the client.
    addresses: Vec<SocketAddr>,
    certificate: PathBuf,
    _folder: tempfile::TempDir,
}

/// Lets one user in.
struct KnowsAnn;

impl Authenticator for KnowsAnn {
    fn authenticate(&self, request: AuthenticationRequest) -> Answer {
        let is_ann = request.username.as_deref() == Some("ann") && request.password.as_deref() == Some(&b"secret"[..]);
        Answer::Now(match (is_ann, request.method) {
            (_, Some(_)) => AuthenticationOutcome::Refused(ReasonCode::BadAuthenticationMethod),
            (true, None) => AuthenticationOutcome::Allowed { user: request.username, data: None },
            (false, None) => AuthenticationOutcome::Refused(ReasonCode::BadUserNameOrPassword),
        })
    }
}

fn guarded() -> Guarded {
    let folder = tempfile::tempdir().expect("a folder");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
    let (certificate, key_file) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, params.self_signed(&key).expect("a certificate").pem()).expect("a file");
    std::fs::write(&key_file, key.serialize_pem()).expect("a file");
    let load = |clients| {
        let files = TlsFiles { certificates: certificate.clone(), key: key_file.clone(), clients };
        Arc::new(Tls::load(files).expect("good files"))
    };
    let (tls, mutual) =
        (load(ClientCertificates::None), load(ClientCertificates::Require { authorities: certificate.clone() }));
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut options = ServerOptions::new(HashKey([1, 2]), Duration::from_secs(1_800_000_000));
            options.authenticator = Arc::new(KnowsAnn);
            let mut server = Server::new(options);
            let mut addresses = Vec::new();
            for (secure, web) in [(false, false), (true, false), (false, true), (true, true)] {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
                addresses.push(listener.local_addr().expect("it is bound"));
                let mut options = ListenerOptions::named(&format!("{secure}{web}"));
                options.tls = secure.then(|| Arc::clone(&tls));
                options.websocket = web.then(WebsocketOptions::default);
                server.listen(listener, options);
            }
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
            addresses.push(listener.local_addr().expect("it is bound"));
            server.listen(listener, ListenerOptions { tls: Some(mutual), ..ListenerOptions::named("mutual") });
            sender.send(addresses).expect("someone waits for the addresses");
            server.run(std::future::pending()).await.expect("the listeners accept");
        });
    });
    Guarded { addresses: receiver.recv().expect("the server starts"), certificate, _folder: folder }
}

fn conformance(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conformance")).args(words).output().expect("the program starts")
}

/// Tests of many kinds: answers, closes, deliveries, resets, raw bytes.
const CHOSEN: [&str; 6] =
    ["MQTT-3.1.0-2", "MQTT-3.1.2-3", "MQTT-3.8.4-1", "MQTT-4.3.3-2", "MQTT-3.1.2-8", "MQTT-3.1.4-1"];

fn every_transport_gives_the_same_verdicts() {
    let server = guarded();
    let ca = server.certificate.display().to_string();
    let mut seen = Vec::new();
    for (scheme, address, web) in [
        ("tcp", server.addresses[0], ""),
        ("tls", server.addresses[1], ""),
        ("ws", server.addresses[2], "/mqtt"),
        ("wss", server.addresses[3], "/mqtt"),
    ] {
        let target = format!("{scheme}://localhost:{}{web}", address.port());
        let mut words = vec!["--target", &target, "--username", "ann", "--password", "secret", "--report", "json=-"];
        if matches!(scheme, "tls" | "wss") {
            words.extend(["--ca", &ca]);
        }
        words.extend(CHOSEN);
        let output = conformance(&words);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = String::from_utf8(output.stdout).expect("text");
        let report = json::read(&text).unwrap_or_else(|error| panic!("{target}: {error}\n{errors}"));
        assert!(!report.run.command.contains("secret"), "{}", report.run.command);
        assert_eq!(report.run.target, target);
        let told = |entry: &squall_conformance::report::model::TestEntry| {
            format!("{} {} {}", entry.version, entry.name, entry.verdict)
        };
        let mut verdicts: Vec<_> = report.tests.iter().map(told).collect();
        verdicts.sort();
        assert!(verdicts.len() > 8 && verdicts.iter().all(|line| line.ends_with("pass")), "{target}: {verdicts:#?}");
        seen.push(verdicts);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
}

fn a_program_audits_over_tls_with_the_library() {
    let server = guarded();
    let access = |trust| Access {
        credentials: Some(Credentials {
            username: Text::new("ann").expect("a user name"),
            password: Some("secret".to_owned().into()),
        }),
        tls: TlsOptions { trust, ..TlsOptions::default() },
        ..Access::default()
    };
    let suite = |trust| Suite::new().filter("MQTT-3.8.4-1").access(access(trust));
    for (scheme, index, path) in [("tls", 1, ""), ("wss", 3, "/mqtt")] {
        let target = format!("{scheme}://localhost:{}{path}", server.addresses[index].port());
        let report = suite(Trust::Only(vec![server.certificate.clone()])).run(&target).expect("it is reached");
        assert_eq!(report.run.target, target);
        assert!(
            !report.tests.is_empty() && report.tests.iter().all(|entry| entry.verdict == Verdict::Pass),
            "{report:?}"
        );
        let stranger = suite(Trust::System).run(&target).expect_err("nobody vouches for this certificate");
        assert!(stranger.to_string().contains("certificate"), "{stranger}");
    }
}

/// Two clients, one message, and a connection that is lost.
const STORM: &str = "\
title: one message over a line that breaks
seed: 7
actors: { alice: client, bob: client }
storm:
  lasts: 1s
  calm: 6s
  steps:
    - { at: 0s, bob: { connect: { clean_start: false, session_expiry: 300s, reconnect: { after: 50ms } } } }
    - { at: 0s, alice: { connect: { reconnect: { after: 50ms } } } }
    - { at: 300ms, bob: { subscribe: { filter: a, qos: 2 } } }
    - { at: 600ms, world: { reset: { link: bob } } }
    - { at: 700ms, alice: { publish: { topic: a, payload: one, qos: 2 } } }
";

fn a_storm_is_played_over_every_transport_by_those_who_may_come_in() {
    let server = guarded();
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("small.yaml");
    std::fs::write(&plan, STORM).expect("a file");
    let (plan, ca) = (plan.display().to_string(), server.certificate.display().to_string());
    let targets = [("tcp", 0, ""), ("tls", 1, ""), ("ws", 2, "/mqtt"), ("wss", 3, "/mqtt")];
    let play = |(scheme, index, web): &(&str, usize, &str)| {
        let target = format!("{scheme}://localhost:{}{web}", server.addresses[*index].port());
        let mut words = vec!["storm", "--plan", &plan, "--json", "--target", &target];
        words.extend(["--username", "ann", "--password", "secret"]);
        if matches!(*scheme, "tls" | "wss") {
            words.extend(["--ca", &ca]);
        }
        let output = conformance(&words);
        let text = String::from_utf8(output.stdout).expect("text");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{target}: {text} {errors}");
        let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let storm = &report["storms"][0];
        assert_eq!([&storm["delivered"], &storm["faults_hit"]], [1, 1], "{target}: {text}");
        assert!(!text.contains("secret"), "{text}");
    };
    thread::scope(|scope| {
        for target in &targets {
            scope.spawn(|| play(target));
        }
    });
}

fn a_transport_that_cannot_be_had_is_told_in_one_sentence() {
    let server = guarded();
    let at = |scheme: &str, index: usize, path: &str| {
        format!("{scheme}://localhost:{}{path}", server.addresses[index].port())
    };
    for (words, sentence) in [
        (vec!["--target", &at("tls", 1, "")], "invalid peer certificate"),
        (vec!["--target", &at("tls", 1, ""), "--ca", "/no/such/file.pem"], "/no/such/file.pem"),
        (vec!["--target", &at("tls", 0, ""), "--insecure"], "no TLS"),
        (vec!["--target", &at("tls", 4, ""), "--insecure"], "asks for a certificate of ours: --cert FILE"),
        (vec!["--target", &at("ws", 0, "/mqtt")], "no WebSocket"),
        (vec!["--target", &at("tcp", 2, "")], "HTTP/1.1"),
        (vec!["--target", &at("tcp", 0, "")], "CONNECT was refused with"),
        (vec!["--target", &at("tcp", 0, ""), "--insecure"], "has no use for --insecure"),
        (vec!["--target", &at("tcp", 0, ""), "--password", "x"], "a password needs --username"),
    ] {
        let output = conformance(&words);
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
        assert!(stderr.contains(sentence) && stderr.trim_end().lines().count() == 1, "{words:?}: {stderr}");
    }
    // Anybody's certificate is taken where that is asked for, and the report says so.
    let output = conformance(&[
        "--target",
        &at("tls", 1, ""),
        "--insecure",
        "--username",
        "ann",
        "--password",
        "secret",
        "MQTT-3.12.4-1",
    ]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("whose certificate was not checked") && output.status.code() == Some(0), "{text}");
}
