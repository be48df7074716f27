//! Metrics and health over HTTP.

use std::{io::Write, path::Path};

use squall_codec::{qos::Qos, version::Version};

use super::support::{Client, Running, address, broker, http, one_sentence, tcp};

fn started() -> (Running, std::net::SocketAddr, std::net::SocketAddr) {
    let mut program = Running::start(Path::new("/"), &["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let mqtt = program.address("mqtt");
    let web = address(&program.line(), "http");
    (program, mqtt, web)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: broker\r\n\r\n")
}

#[test]
fn metrics_show_what_is_there_and_what_was_dropped() {
    let (_program, mqtt, web) = started();
    let mut alice = Client::connected(mqtt, Version::V5_0, "alice");
    alice.subscribe("a/b/c", Qos::AtMostOnce);
    let _bob = Client::connected(mqtt, Version::V3_1_1, "bob");
    let (head, body) = http(web, &get("/metrics"));
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    for line in [
        "squall_connections 2",
        "squall_sessions 2",
        "squall_subscriptions 1",
        "squall_filter_levels 3",
        "# TYPE squall_dropped_queue_full counter",
        "squall_dropped_queue_full_total 0",
    ] {
        assert!(body.lines().any(|found| found == line), "'{line}' is missing:\n{body}");
    }
    assert!(body.ends_with("# EOF\n"), "{body}");
}

#[test]
fn health_is_a_short_json_when_the_core_answers() {
    let (_program, mqtt, web) = started();
    let _alice = Client::connected(mqtt, Version::V5_0, "alice");
    let (head, body) = http(web, &get("/health"));
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("content-type: application/json"), "{head}");
    assert_eq!(body, "{\"status\":\"ok\",\"connections\":1,\"sessions\":1}\n");
}

#[test]
fn other_questions_get_a_clear_no() {
    let (_program, _, web) = started();
    for (request, status, body) in [
        (get("/"), "404 Not Found", "there are /metrics and /health\n"),
        (get("/metrics/x"), "404 Not Found", "there are /metrics and /health\n"),
        (
            "POST /metrics HTTP/1.1\r\nHost: b\r\n\r\n".to_owned(),
            "405 Method Not Allowed",
            "only GET is answered here\n",
        ),
        ("HEAD /health HTTP/1.1\r\nHost: b\r\n\r\n".to_owned(), "200 OK", ""),
        ("garbage\r\n\r\n".to_owned(), "400 Bad Request", ""),
        (
            format!("GET /health HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000)),
            "431 Request Header Fields Too Large",
            "",
        ),
    ] {
        let (head, found) = http(web, &request);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request:.60}: {head}");
        assert_eq!(found, body, "{request:.60}");
    }
}

#[test]
fn those_who_connect_and_say_nothing_keep_nobody_out() {
    let (_program, _, web) = started();
    let silent: Vec<_> = (0..100).map(|_| tcp(web)).collect();
    let mut half = tcp(web);
    half.write_all(b"GET /health HT").expect("open");
    let (head, _) = http(web, &get("/health"));
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    drop((silent, half));
}

#[test]
fn an_address_for_metrics_that_is_none_or_is_taken_is_one_sentence() {
    let (_program, _, web) = started();
    for (address, sentence) in [
        (web.to_string(), format!("broker: failed to listen on http://{web}: ")),
        ("nonsense".to_owned(), "broker: failed to listen on http://nonsense: ".to_owned()),
    ] {
        let mut command = broker(Path::new("/"), &["--listen", "127.0.0.1:0", "--http", &address]);
        let told = one_sentence(&command.output().expect("it starts"));
        assert!(told.starts_with(&sentence), "{told}");
    }
}
