//! A plan in the words of a script.

use std::{fmt::Write as _, time::Duration};

use squall_codec::{packet::RetainHandling, property::Property};

use super::{Act, Answering, Connecting, Doing, Message, Plan, Step, Subscribing, Wanted};
use crate::{
    fault::{CutEnd, Delay, FaultKind, Moment, Pass, Trigger},
    liar::Direction,
    outage::{DiskState, Outage, Stop},
    settings::{QueuePolicy, Settings, Storage},
    stage::End,
};

impl Plan {
    /// The script that is this plan. Settings that a plan cannot have (users, rules) are left out.
    pub fn to_script(&self) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        line(format!("title: {}", quoted(&self.title)));
        if let Some(about) = &self.about {
            line("about: |".to_owned());
            about.lines().for_each(|about| line(format!("  {about}")));
        }
        if !self.proves.is_empty() {
            let proves: Vec<String> = self.proves.iter().map(ToString::to_string).collect();
            line(format!("proves: [{}]", proves.join(", ")));
        }
        line(format!("seed: {}", self.seed));
        let broker = settings(&self.broker);
        if !broker.is_empty() {
            line(format!("broker: {}", braces(&broker)));
        }
        let actors: Vec<String> = self.actors.iter().map(|actor| format!("{actor}: client")).collect();
        line(format!("actors: {}", braces(&actors)));
        line("storm:".to_owned());
        line(format!("  lasts: {}", time(self.lasts)));
        line(format!("  calm: {}", time(self.calm)));
        line("  steps:".to_owned());
        for Step { at, on, act } in &self.steps {
            let on = on.as_ref().map(|on| format!("on: {}, ", moment_words(on))).unwrap_or_default();
            line(format!("    - {{ at: {}, {on}{} }}", time(*at), self.act(act)));
        }
        text
    }

    fn act(&self, act: &Act) -> String {
        match act {
            Act::Client(who, doing) => format!("{}: {}", self.actors[*who], doing_words(doing)),
            Act::Link(who, kind) => {
                format!("world: {}", fault_words(who.map_or("all", |who| self.actors[who].as_str()), kind))
            }
            Act::Outage(outage) => format!("world: {}", outage_words(outage)),
            Act::Disk(state) => {
                let word = match state {
                    DiskState::Well => "well",
                    DiskState::Full => "full",
                    DiskState::Broken => "broken",
                };
                format!("world: {{ disk: {word} }}")
            }
        }
    }
}

fn moment_words(moment: &Moment) -> String {
    let Moment { actor, on: Trigger { packet, direction, nth }, pass } = moment;
    let way = match direction {
        Direction::ToServer => "from",
        Direction::ToClient => "to",
    };
    let packet = packet.to_string().to_lowercase();
    format!("{{ packet: {packet}, nth: {nth}, {way}: {actor}, {} }}", pass_words(*pass))
}

fn pass_words(pass: Pass) -> String {
    match pass {
        Pass::Before => "pass: before".to_owned(),
        Pass::After => "pass: after".to_owned(),
        Pass::Bytes(bytes) => format!("pass: {{ bytes: {bytes} }}"),
    }
}

fn doing_words(doing: &Doing) -> String {
    match doing {
        Doing::Connect(connecting) => format!("{{ connect: {} }}", braces(&connecting_words(connecting))),
        Doing::Publish(message) => format!("{{ publish: {} }}", braces(&message_words(message))),
        Doing::Subscribe(subscribing) => format!("{{ subscribe: {} }}", braces(&subscribing_words(subscribing))),
        Doing::Unsubscribe(filters) => format!("{{ unsubscribe: {} }}", braces(&unsubscribing_words(filters))),
        Doing::Disconnect { with_will, session_expiry } => {
            let mut words = Vec::new();
            if *with_will {
                words.push("reason: disconnect_with_will_message".to_owned());
            }
            words.extend(session_expiry.map(|seconds| format!("session_expiry: {}", expiry(seconds))));
            format!("{{ disconnect: {} }}", braces(&words))
        }
        Doing::Send(bytes) => format!("{{ send: {{ bytes: \"{}\" }} }}", hex(bytes)),
        Doing::Knock(bytes) if bytes.is_empty() => "{ knock: {} }".to_owned(),
        Doing::Knock(bytes) => format!("{{ knock: {{ bytes: \"{}\" }} }}", hex(bytes)),
    }
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(" ")
}

fn connecting_words(connecting: &Connecting) -> Vec<String> {
    let mut words = vec![format!("version: \"{}\"", connecting.version)];
    words.extend(connecting.client_id.as_ref().map(|id| format!("client_id: {}", quoted(id))));
    words.push(format!("clean_start: {}", connecting.clean_start));
    words.push(format!("keep_alive: {}s", connecting.keep_alive));
    words.extend(connecting.session_expiry.map(|seconds| format!("session_expiry: {}", expiry(seconds))));
    words.extend(connecting.receive_maximum.map(|most| format!("receive_maximum: {most}")));
    if connecting.topic_alias_maximum > 0 {
        words.push(format!("topic_alias_maximum: {}", connecting.topic_alias_maximum));
    }
    words.extend(connecting.maximum_packet_size.map(|most| format!("maximum_packet_size: {most}")));
    if let Some((message, delay)) = &connecting.will {
        let mut will = message_words(message);
        if *delay > 0 {
            will.push(format!("delay: {delay}s"));
        }
        words.push(format!("will: {}", braces(&will)));
    }
    if let Some((first, last)) = connecting.packet_ids {
        words.push(format!("first_packet_id: {first}"));
        words.push(format!("last_packet_id: {last}"));
    }
    words.push(match connecting.reconnect {
        None => "reconnect: never".to_owned(),
        Some(first) => format!("reconnect: {{ after: {} }}", time(first)),
    });
    words.extend(connecting.answers.map(|Answering { after, refuses }| {
        let refuses = refuses.map(|each| format!(", refuses: {each}")).unwrap_or_default();
        format!("answers: {{ after: {}{refuses} }}", time(after))
    }));
    words
}

fn message_words(message: &Message) -> Vec<String> {
    let mut words =
        vec![format!("topic: {}", quoted(&message.topic)), format!("payload: {}", quoted(&message.payload))];
    words.push(format!("qos: {}", message.qos.bits()));
    if message.retain {
        words.push("retain: true".to_owned());
    }
    words.extend(message.expiry.map(|seconds| format!("message_expiry: {seconds}s")));
    words.extend(message.properties.iter().filter_map(property_words));
    let pairs = message.properties.iter().filter_map(|property| match property {
        Property::UserProperty((name, value)) => Some(format!("{{ {}: {} }}", quoted(name), quoted(value))),
        _ => None,
    });
    let pairs: Vec<String> = pairs.collect();
    if !pairs.is_empty() {
        words.push(format!("user_properties: [{}]", pairs.join(", ")));
    }
    words
}

/// What a message says once; what it says in pairs stands together behind that.
fn property_words(property: &Property) -> Option<String> {
    Some(match property {
        Property::PayloadFormatIndicator(indicator) => format!("payload_format_indicator: {indicator}"),
        Property::ContentType(text) => format!("content_type: {}", quoted(text)),
        Property::ResponseTopic(text) => format!("response_topic: {}", quoted(text)),
        Property::CorrelationData(data) => format!("correlation_data: {}", quoted(&String::from_utf8_lossy(data))),
        _ => return None,
    })
}

fn subscribing_words(subscribing: &Subscribing) -> Vec<String> {
    let mut each = subscribing.wanted.iter().map(wanted_words);
    let mut words = each.next().unwrap_or_default();
    words.extend(subscribing.identifier.map(|identifier| format!("subscription_identifier: {identifier}")));
    words.extend(also(each.map(|words| braces(&words))));
    words
}

fn wanted_words(wanted: &Wanted) -> Vec<String> {
    let mut words = vec![format!("filter: {}", quoted(&wanted.filter)), format!("qos: {}", wanted.qos.bits())];
    if wanted.no_local {
        words.push("no_local: true".to_owned());
    }
    if wanted.retain_as_published {
        words.push("retain_as_published: true".to_owned());
    }
    match wanted.retain_handling {
        RetainHandling::Send => {}
        RetainHandling::SendIfNew => words.push("retain_handling: send_if_new".to_owned()),
        RetainHandling::DoNotSend => words.push("retain_handling: do_not_send".to_owned()),
    }
    words
}

fn unsubscribing_words(filters: &[String]) -> Vec<String> {
    let mut each = filters.iter().map(|filter| quoted(filter));
    let first = each.next().map(|filter| format!("filter: {filter}"));
    first.into_iter().chain(also(each)).collect()
}

/// What stands in the same packet behind the first.
fn also(others: impl Iterator<Item = String>) -> Option<String> {
    let others: Vec<String> = others.collect();
    (!others.is_empty()).then(|| format!("also: [{}]", others.join(", ")))
}

fn fault_words(link: &str, kind: &FaultKind) -> String {
    let way = |direction: &Option<Direction>| direction.map(|direction| format!("to: {}", to(direction)));
    let (word, more): (&str, Vec<String>) = match kind {
        FaultKind::Latency { time: delay, direction } => {
            let range = match delay {
                Delay::Between { min, max } => format!("time: {{ min: {}, max: {} }}", time(*min), time(*max)),
                Delay::Spread { median, p99 } => format!("time: {{ median: {}, p99: {} }}", time(*median), time(*p99)),
            };
            ("latency", std::iter::once(range).chain(way(direction)).collect())
        }
        FaultKind::Bandwidth { bytes_per_second, direction } => {
            let rate = format!("rate: {bytes_per_second}B/s");
            ("bandwidth", std::iter::once(rate).chain(way(direction)).collect())
        }
        FaultKind::Coalesce { bytes, time: most, direction } => {
            let words = [format!("bytes: {bytes}"), format!("time: {}", time(*most))];
            ("coalesce", words.into_iter().chain(way(direction)).collect())
        }
        FaultKind::Drop { probability, direction } => {
            let share = format!("share: {}%", probability * 100.0);
            ("drop", std::iter::once(share).chain(way(direction)).collect())
        }
        FaultKind::Split { bytes } => ("split", vec![format!("bytes: {bytes}")]),
        FaultKind::Partition { direction } => ("partition", way(direction).into_iter().collect()),
        FaultKind::Heal { reset } => ("heal", if *reset { vec!["reset: true".to_owned()] } else { Vec::new() }),
        FaultKind::Hold => ("hold", Vec::new()),
        FaultKind::Reset => ("reset", Vec::new()),
        FaultKind::Close => ("close", Vec::new()),
        FaultKind::HalfOpen => ("half_open", Vec::new()),
        FaultKind::StallReading => ("stall_reading", Vec::new()),
        FaultKind::Cut { on, pass, how } => {
            let packet = on.packet.to_string().to_lowercase();
            let on = format!("on: {{ packet: {packet}, to: {}, nth: {} }}", to(on.direction), on.nth);
            let how = match how {
                CutEnd::End(End::Fin) => "how: fin",
                CutEnd::End(End::Reset) => "how: reset",
                CutEnd::HalfOpen => "how: half_open",
            };
            ("cut", vec![on, pass_words(*pass), how.to_owned()])
        }
    };
    let mut words = vec![format!("link: {link}")];
    words.extend(more);
    format!("{{ {word}: {} }}", braces(&words))
}

fn outage_words(outage: &Outage) -> String {
    let word = match outage.how {
        Stop::Restart => "restart",
        Stop::Crash => "crash",
        Stop::PowerLoss => "power_loss",
    };
    format!("{{ {word}: {{ down: {} }} }}", time(outage.down))
}

fn settings(settings: &Settings) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = |name: &str, value: Option<String>| words.extend(value.map(|value| format!("{name}: {value}")));
    let storage = settings.store.map(|store| match store {
        Storage::None => "none".to_owned(),
        Storage::Disk => "disk".to_owned(),
        Storage::Journal => "journal".to_owned(),
    });
    let policy = settings.queue_policy.map(|policy| match policy {
        QueuePolicy::DropNewest => "drop_newest".to_owned(),
        QueuePolicy::DropOldest => "drop_oldest".to_owned(),
        QueuePolicy::Disconnect => "disconnect".to_owned(),
    });
    word("store", storage);
    word("sync", settings.sync.map(time));
    word("maximum_packet_size", settings.maximum_packet_size.map(number));
    word("receive_maximum", settings.receive_maximum.map(number));
    word("first_packet_id", settings.first_packet_id.map(number));
    word("last_packet_id", settings.last_packet_id.map(number));
    word("topic_alias_maximum", settings.topic_alias_maximum.map(number));
    word("maximum_qos", settings.maximum_qos.map(|qos| number(qos.bits())));
    word("retain_available", settings.retain_available.map(number));
    word("wildcard_subscription_available", settings.wildcard_subscription_available.map(number));
    word("subscription_identifiers_available", settings.subscription_identifiers_available.map(number));
    word("shared_subscription_available", settings.shared_subscription_available.map(number));
    word("server_keep_alive", settings.server_keep_alive.map(|seconds| format!("{seconds}s")));
    word("maximum_session_expiry", settings.maximum_session_expiry.map(expiry));
    word("connect_timeout", settings.connect_timeout.map(time));
    word("connections", settings.connections.map(number));
    word("sessions", settings.sessions.map(number));
    word("subscriptions_per_session", settings.subscriptions_per_session.map(number));
    word("in_flight", settings.in_flight.map(number));
    word("queued_messages", settings.queued_messages.map(number));
    word("queue_policy", policy);
    word("unflushed_soft", settings.unflushed_soft.map(number));
    word("retained_messages", settings.retained_messages.map(number));
    word("topic_levels", settings.topic_levels.map(number));
    word("sys_interval", settings.sys_interval.map(time));
    words
}

fn number(value: impl ToString) -> String {
    value.to_string()
}

fn expiry(seconds: u32) -> String {
    if seconds == u32::MAX { "never".to_owned() } else { format!("{seconds}s") }
}

/// In the largest unit that keeps it whole.
fn time(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0 => "0s".to_owned(),
        _ if micros.is_multiple_of(1_000_000) => format!("{}s", micros / 1_000_000),
        _ if micros.is_multiple_of(1_000) => format!("{}ms", micros / 1_000),
        _ => format!("{micros}us"),
    }
}

const fn to(direction: Direction) -> &'static str {
    match direction {
        Direction::ToServer => "server",
        Direction::ToClient => "client",
    }
}

fn braces(words: &[String]) -> String {
    if words.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", words.join(", ")) }
}

/// In quotation marks, which YAML reads as JSON does.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() || c == '\u{feff}' => {
                write!(quoted, "\\u{:04x}", u32::from(c)).expect("a string takes all that is written to it");
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
