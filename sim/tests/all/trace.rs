//! The trace as a file: what is written is read back, and what is damaged is named with its line.

use crate::told::{never_came, played, script, twice};
use squall_codec::version::Version;
use squall_sim::{
    show::state,
    trace::{
        model::{Happening, Trace},
        read, write,
    },
};

fn mended(text: &str, line: usize, change: impl Fn(&str) -> String) -> String {
    let changed =
        text.lines().enumerate().map(|(index, old)| if index + 1 == line { change(old) } else { old.to_owned() });
    changed.map(|line| line + "\n").collect()
}

fn refused(text: &str) -> String {
    read::parse("trace.jsonl", text).expect_err("this is no whole trace").to_string()
}

#[test]
fn what_is_written_is_read_back_whole() {
    let traces = [
        twice(Version::V5_0),
        twice(Version::V3_1_1),
        never_came(),
        played(&script("scenarios/will/properties.yaml"), Version::V5_0),
        played(&script("scenarios/restart/delivery_2_before_pubcomp.yaml"), Version::V3_1_1),
        played(&script("scenarios/authentication/scram.yaml"), Version::V5_0),
    ];
    for trace in traces {
        let text = write::write(&trace);
        let read = read::parse("trace.jsonl", &text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read, trace);
        assert_eq!(write::write(&read), text);
    }
}

#[test]
fn every_line_is_an_object_with_the_documented_keys() {
    let text = write::write(&twice(Version::V5_0));
    let mut kinds = [0; 4];
    for (index, line) in text.lines().enumerate() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let has = |key: &str| json.get(key).is_some();
        let kind = match index {
            0 => 0,
            _ if has("seq") && has("what") => 1,
            _ if has("breach") => 2,
            _ => 3,
        };
        kinds[kind] += 1;
        let keys: &[&str] = match kind {
            0 => &[
                "format", "version", "squall", "script", "title", "world", "mqtt", "seed", "entries", "hash", "digest",
            ],
            1 => &["seq", "at_us", "node", "connection", "what"],
            2 => &["breach", "seq", "at_us", "statements", "detail"],
            _ => &["end"],
        };
        assert!(keys.iter().all(|key| has(key)), "{line}");
        if matches!(json["what"].as_str(), Some("sent" | "received")) {
            assert!(has("direction") && has("packet") && has("bytes"), "{line}");
        }
    }
    assert_eq!((kinds[0], kinds[3]), (1, 1));
    assert!(kinds[1] > 10 && kinds[2] > 0, "{kinds:?}");
}

#[test]
fn causes_lead_from_the_step_to_its_packet_and_from_the_packet_to_its_answer() {
    let trace = played(&script("scenarios/qos/2_delivery_pubrec_lost.yaml"), Version::V5_0);
    let find = |what: Happening, node: &str, start: &str| {
        let fits = |line: &&squall_sim::trace::model::Line| {
            line.what == what && line.node == node && line.text.starts_with(start)
        };
        trace.lines.iter().find(fits).unwrap_or_else(|| panic!("no {start} of {node}"))
    };
    let published = find(Happening::Sent, "alice", "PUBLISH");
    let cause = published.cause.as_ref().expect("a step did it");
    assert!(cause.step.as_deref().is_some_and(|step| step.contains("publish: { topic: t")), "{cause:?}");
    let pubrec = find(Happening::Received, "alice", "PUBREC");
    assert_eq!(pubrec.cause.as_ref().and_then(|cause| cause.answers), Some(published.seq));
    let delivered = find(Happening::Received, "bob", "PUBLISH");
    assert_eq!(delivered.cause.as_ref().and_then(|cause| cause.answers), Some(published.seq));
    let cut = find(Happening::Fault, "bob", "cut");
    let cause = cut.cause.as_ref().expect("a step did it");
    assert!(cause.step.as_deref().is_some_and(|step| step.contains("cut: { link: bob")), "{cause:?}");
    let ended = find(Happening::Ended, "bob", "RST");
    assert_eq!(ended.cause.as_ref().and_then(|cause| cause.fault), Some(cut.seq));
}

#[test]
fn damaged_and_foreign_files_are_refused_with_their_line() {
    let text = write::write(&twice(Version::V5_0));
    let lines = text.lines().count();
    let cut: String = text.lines().take(lines - 1).map(|line| format!("{line}\n")).collect();
    let short: String =
        text.lines().enumerate().filter(|(index, _)| *index != 5).map(|(_, line)| format!("{line}\n")).collect();
    let cases = [
        ("empty", String::new()),
        ("a script", "title: a story\n".to_owned()),
        ("another format", "{\"schema\":7}\n".to_owned()),
        ("another name", mended(&text, 1, |line| line.replace("squall-trace", "pcap"))),
        ("a later version", mended(&text, 1, |line| line.replace("\"version\":1", "\"version\":9"))),
        ("another hash", mended(&text, 1, |line| line.replace("xxh3-64", "md5"))),
        ("cut within a line", text[..text.len() - 40].to_owned()),
        ("cut behind a line", cut),
        ("a line is missing", short),
        ("an unknown word", mended(&text, 4, |line| line.replace("\"what\":\"", "\"what\":\"was_"))),
        ("half a byte", mended(&text, 3, |line| line.replace("\"bytes\":\"", "\"bytes\":\"0"))),
        ("no bytes", mended(&text, 3, |line| line.replace("\"bytes\":", "\"octets\":"))),
        ("no time", mended(&text, 3, |line| line.replace("\"at_us\":", "\"at\":"))),
        ("a changed time", mended(&text, 3, |line| line.replace("\"at_us\":1", "\"at_us\":2"))),
        ("something behind the end", format!("{text}{{}}\n")),
    ];
    let told: Vec<String> = cases.iter().map(|(name, text)| format!("--- {name}\n{}", refused(text))).collect();
    // Digests change with every change of a packet; what the errors say does not.
    let is_digest = |word: &str| word.len() == 16 && word.chars().all(|letter| letter.is_ascii_hexdigit());
    let told = told.join("\n");
    let words = told.split_inclusive([' ', ',', ':']).map(|word| {
        if is_digest(word.trim_end_matches([' ', ',', ':'])) {
            format!("<digest>{}", &word[16..])
        } else {
            word.to_owned()
        }
    });
    insta::assert_snapshot!(words.collect::<String>());
}

/// The session of a client behind the last line whose text begins so.
fn session_after(trace: &Trace, client: &str, node: &str, start: &str) -> state::Session {
    let history = squall_sim::history::History::of(&trace.transcript());
    let line = trace.lines.iter().find(|line| line.node == node && line.text.starts_with(start));
    let line = line.unwrap_or_else(|| panic!("no {start} of {node}"));
    let before =
        |seq: usize| trace.lines[seq].at_us < line.at_us || (trace.lines[seq].at_us == line.at_us && seq <= line.seq);
    let changes = state::changes(&history);
    let last = changes.into_iter().rfind(|change| change.client == client && before(change.seq));
    last.unwrap_or_else(|| panic!("nothing is known of {client}")).session
}

#[test]
fn a_session_shows_how_far_an_exchange_has_come() {
    let trace = played(&script("scenarios/qos/2_delivery_pubrec_lost.yaml"), Version::V5_0);
    let publisher = session_after(&trace, "alice", "alice", "PUBLISH");
    assert_eq!(publisher.to_broker.len(), 1, "{publisher:?}");
    assert!(publisher.to_broker[0].ends_with("(QoS 2, waits for PUBREC)"), "{publisher:?}");
    let waits = session_after(&trace, "bob", "alice", "PUBLISH");
    assert_eq!(waits.waiting.len(), 1, "{waits:?}");
    let subscriber = session_after(&trace, "bob", "bob", "PUBLISH");
    assert!(subscriber.waiting.is_empty(), "{subscriber:?}");
    assert!(subscriber.to_client[0].ends_with("(QoS 2, PUBREC is owed)"), "{subscriber:?}");
    assert!(subscriber.status.starts_with("connected"), "{subscriber:?}");
    let away = session_after(&trace, "bob", "bob", "RST");
    assert_eq!(away.status, "away, its session is kept");
    assert!(away.timers.iter().any(|timer| timer.name.starts_with("Session Expiry (3600 s)")), "{away:?}");
    let done = session_after(&trace, "bob", "bob", "PUBCOMP");
    assert!(done.to_client.is_empty(), "{done:?}");
}

#[test]
fn a_refusal_ends_an_exchange_of_the_session() {
    let trace = played(&script("scenarios/qos/refused_delivery_is_over.yaml"), Version::V5_0);
    let open = session_after(&trace, "bob", "bob", "PUBLISH");
    assert_eq!(open.to_client.len(), 1, "{open:?}");
    let refused = session_after(&trace, "bob", "bob", "PUBREC");
    assert!(refused.to_client.is_empty(), "{refused:?}");
}

#[test]
fn a_session_shows_its_will_and_the_clocks_that_run() {
    let trace = played(&script("scenarios/will/delay.yaml"), Version::V5_0);
    let alive = session_after(&trace, "alice", "alice", "CONNACK");
    assert!(alive.will.as_deref().is_some_and(|will| will.contains("status/alice")), "{alive:?}");
    let gone = session_after(&trace, "alice", "alice", "FIN");
    let ended = trace.lines.iter().find(|line| line.node == "alice" && line.text == "FIN").expect("she goes").at_us;
    let due =
        |name: &str| gone.timers.iter().find(|timer| timer.name.starts_with(name)).map(|timer| timer.due_us - ended);
    assert_eq!(due("Will Delay"), Some(10_000_000), "{gone:?}");
    assert_eq!(due("Session Expiry"), Some(60_000_000), "{gone:?}");
}

#[test]
fn an_orderly_goodbye_takes_the_will_with_it() {
    let trace = played(&script("scenarios/will/suppressed_by_disconnect.yaml"), Version::V5_0);
    let gone = session_after(&trace, "alice", "alice", "DISCONNECT");
    assert_eq!(gone.will, None, "{gone:?}");
}

#[test]
fn what_waits_for_one_who_is_away_is_named() {
    let trace = played(&script("scenarios/session/messages_wait_for_one_who_is_away.yaml"), Version::V3_1_1);
    let history = squall_sim::history::History::of(&trace.transcript());
    let most = state::changes(&history).into_iter().map(|change| change.session.waiting.len()).max();
    assert!(most.is_some_and(|most| most >= 2), "{most:?}");
    let last = state::changes(&history).into_iter().rfind(|change| change.client == "bob").expect("bob is known");
    assert!(last.session.waiting.is_empty(), "{last:?}");
}

#[test]
fn keep_alive_runs_from_the_last_packet() {
    let trace = played(&script("scenarios/keep_alive/one_and_a_half.yaml"), Version::V3_1_1);
    let history = squall_sim::history::History::of(&trace.transcript());
    let changes = state::changes(&history);
    let timer =
        changes.iter().flat_map(|change| &change.session.timers).find(|timer| timer.name.starts_with("Keep Alive"));
    let timer = timer.expect("a Keep Alive runs");
    let ended = trace.lines.iter().find(|line| line.what == Happening::Ended).expect("the broker cuts");
    let off = ended.at_us.abs_diff(timer.due_us);
    assert!(off < 100_000, "due at {}, cut at {}", timer.due_us, ended.at_us);
}
