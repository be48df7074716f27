//! The settings of the whole server, section by section.

use squall_broker::{core::limits::QueuePolicy, store::disk::Durability};
use squall_codec::{qos::Qos, wire::Text};

use super::{
    super::{
        settings::Settings,
        value::{Kind, Value},
    },
    *,
};

/// All other sections, in the order of the file.
pub(in crate::program) const SECTIONS: &[Section<Settings>] = &[
    Section {
        name: "users",
        about: "Who may come in, and what they may do. `broker passwd FILE USER` writes the password file.",
        settings: &[
            optional!(
                "password_file",
                "password-file",
                Kind::Path("a file", "FILE"),
                users.password_file,
                Path,
                path,
                "\"passwords\"",
                "Names and passwords; lines of mosquitto_passwd are read too"
            ),
            optional!(
                "acl_file",
                "acl-file",
                Kind::Path("a file", "FILE"),
                users.acl_file,
                Path,
                path,
                "\"acl\"",
                "Who may publish and subscribe to what; without it everyone may do everything"
            ),
            optional!(
                "allow_anonymous",
                "allow-anonymous",
                Kind::Truth,
                users.allow_anonymous,
                Truth,
                truth,
                "true",
                "Whether clients without a user name may come in; unsaid, only on loopback and without a password file"
            ),
            setting!(
                "refusal_delay",
                "refusal-delay",
                time(Duration::ZERO, HOUR),
                "How late a wrong log-in is refused; each one more from the same address or for the same user doubles it",
                |all| Value::Time(all.users.throttle.first_delay),
                |all, value| all.users.throttle.first_delay = value.time()
            ),
            setting!(
                "longest_refusal_delay",
                "longest-refusal-delay",
                time(Duration::ZERO, HOUR),
                "The most that this comes to; less than connect_timeout, so that the client hears why",
                |all| Value::Time(all.users.throttle.longest_delay),
                |all, value| all.users.throttle.longest_delay = value.time()
            ),
            setting!(
                "refusal_forgotten_in",
                "refusal-forgotten-in",
                time(SECOND, DAY),
                "Time in which one wrong log-in is forgotten",
                |all| Value::Time(all.users.throttle.forgets_one_in),
                |all, value| all.users.throttle.forgets_one_in = value.time()
            ),
            number!(
                "refusals_remembered",
                "refusals-remembered",
                count(1, MANY),
                users.throttle.remembered,
                "Addresses, and users, whose wrong log-ins are remembered; the oldest is forgotten then"
            ),
        ],
    },
    Section {
        name: "store",
        about: "What survives a restart.",
        settings: &[
            optional!(
                "dir",
                "data",
                Kind::Path("a folder", "FOLDER"),
                store.dir,
                Path,
                path,
                "\"/var/lib/squall\"",
                "Folder for sessions and retained messages; without it they are in memory"
            ),
            setting!(
                "durability",
                "durability",
                Kind::Word(&["none", "os", "disk"]),
                "What an acknowledged message survives: \"none\" a stop, \"os\" a crash too, \"disk\" a loss of power too",
                |all| Value::Word(match all.store.durability {
                    Durability::None => "none",
                    Durability::Os => "os",
                    Durability::Disk => "disk",
                }),
                |all, value| all.store.durability = match value.word() {
                    "none" => Durability::None,
                    "os" => Durability::Os,
                    _ => Durability::Disk,
                }
            ),
        ],
    },
    Section {
        name: "protocol",
        about: "What clients are offered.",
        settings: &[
            setting!(
                "maximum_qos",
                "max-qos" | "maximum-qos",
                count(0, 2),
                "Highest QoS",
                |all| Value::Number(u64::from(all.config.maximum_qos as u8)),
                |all, value| all.config.maximum_qos = Qos::from_bits(value.number()).unwrap_or(all.config.maximum_qos)
            ),
            truth!("retain", "retain", config.retain_available, "Whether messages are retained"),
            truth!(
                "wildcards",
                "wildcards",
                config.wildcard_subscription_available,
                "Whether filters may hold wildcards"
            ),
            truth!(
                "subscription_identifiers",
                "subscription-identifiers",
                config.subscription_identifiers_available,
                "Whether subscriptions may have identifiers"
            ),
            truth!(
                "shared_subscriptions",
                "shared-subscriptions",
                config.shared_subscription_available,
                "Whether there are shared subscriptions"
            ),
            setting!(
                "server_reference",
                "server-reference",
                Kind::Text("a text", "TEXT"),
                "Lets nobody in and sends 5.0 clients there instead";
                "\"mqtt.example.org:1883\"",
                |all| match &all.config.server_reference {
                    None => Value::Nothing,
                    Some(text) => Value::Text(text.as_str().to_owned()),
                },
                |all, value| all.config.server_reference = Text::new(value.text()).ok()
            ),
            truth!("server_moved", "server-moved", config.server_moved, "Whether they are told to go there for good"),
            truth!(
                "allow_empty_client_id",
                "allow-empty-client-id",
                config.allow_empty_client_id,
                "Whether a client without an identifier is given one"
            ),
            setting!(
                "response_information",
                "response-information",
                Kind::Text("a text", "TEXT"),
                "Response Information for 5.0 clients that ask: what their Response Topics should begin with";
                "\"responses/\"",
                |all| match &all.config.response_information {
                    None => Value::Nothing,
                    Some(text) => Value::Text(text.as_str().to_owned()),
                },
                |all, value| all.config.response_information = Text::new(value.text()).ok()
            ),
            setting!(
                "sys_interval",
                "sys-interval",
                Kind::Time { least: SECOND, most: DAY, grain: SECOND, never: true },
                "How often the server's figures are published below $SYS",
                |all| all.config.sys_interval.map_or(Value::Never, Value::Time),
                |all, value| all.config.sys_interval = match value {
                    Value::Never => None,
                    value => Some(value.time()),
                }
            ),
            truth!(
                "sessions_belong_to_users",
                "sessions-belong-to-users",
                config.sessions_belong_to_users,
                "Whether the session of a user with a name is refused to others who come with its client identifier"
            ),
            setting!(
                "server_keep_alive", "server-keep-alive",
                Kind::Time { least: Duration::ZERO, most: Duration::from_secs(65_535), grain: SECOND, never: false },
                "Keep Alive that 5.0 clients are told to use instead of their own"; "\"60s\"",
                |all| match all.config.server_keep_alive {
                    None => Value::Nothing,
                    Some(seconds) => Value::Time(Duration::from_secs(seconds.into())),
                },
                |all, value| all.config.server_keep_alive = u16::try_from(value.time().as_secs()).ok()
            ),
            setting!(
                "maximum_session_expiry",
                "maximum-session-expiry",
                Kind::Time {
                    least: Duration::ZERO,
                    most: Duration::from_secs(u32::MAX as u64 - 1),
                    grain: SECOND,
                    never: true
                },
                "Longest time that the session of a 5.0 client is kept after its connection",
                |all| match all.config.maximum_session_expiry {
                    u32::MAX => Value::Never,
                    seconds => Value::Time(Duration::from_secs(seconds.into())),
                },
                |all, value| all.config.maximum_session_expiry = match value {
                    Value::Never => u32::MAX,
                    value => u32::try_from(value.time().as_secs()).unwrap_or(u32::MAX),
                }
            ),
        ],
    },
    Section {
        name: "limits",
        about: "Every bound, and what happens when it is reached.",
        settings: &[
            number!(
                "maximum_packet_size",
                "max-packet-size" | "maximum-packet-size",
                size(16, 268_435_460),
                config.limits.maximum_packet_size,
                "Largest packet from a client; one that sends more is closed"
            ),
            number!(
                "connect_packet_size",
                "connect-packet-size",
                size(64, 268_435_460),
                config.limits.connect_packet_size,
                "Largest CONNECT; a stranger who sends more is refused"
            ),
            number!(
                "receive_maximum",
                "receive-maximum",
                count(1, 65_535),
                config.limits.receive_maximum,
                "QoS 1 and 2 messages that a 5.0 client may have open; one that sends more is closed"
            ),
            number!(
                "first_packet_id",
                "first-packet-id",
                count(1, 65_535),
                config.limits.first_packet_id,
                "Packet identifiers to one client begin here; to try devices at the wrap"
            ),
            number!(
                "last_packet_id",
                "last-packet-id",
                count(1, 65_535),
                config.limits.last_packet_id,
                "Packet identifiers to one client end here, and begin again; what finds none free waits"
            ),
            number!(
                "topic_alias_maximum",
                "topic-alias-maximum",
                count(0, 65_535),
                config.limits.topic_alias_maximum,
                "Topic Aliases that a 5.0 client may set; one that sets more is closed"
            ),
            number!(
                "topic_aliases_to_client",
                "topic-aliases-to-client",
                count(0, 255),
                config.limits.topic_aliases_to_client,
                "Topic Aliases that the server sets towards one 5.0 client; the least used topic loses its own then"
            ),
            setting!(
                "connect_timeout",
                "connect-timeout",
                time(Duration::from_millis(100), DAY),
                "Time from a new connection to its CONNECT; it is closed then",
                |all| Value::Time(all.config.limits.connect_timeout),
                |all, value| all.config.limits.connect_timeout = value.time()
            ),
            number!(
                "connections",
                "connections",
                count(1, MANY),
                config.limits.connections,
                "Open connections; one more is closed at once"
            ),
            number!(
                "connections_per_second",
                "connections-per-second",
                count(0, MANY),
                config.limits.connections_per_second,
                "Connections from one address in a second, in the long run, 0 for no bound; one more is closed at once"
            ),
            number!(
                "connection_burst",
                "connection-burst",
                count(1, MANY),
                config.limits.connection_burst,
                "Connections from one address at once after a pause; one more is closed at once"
            ),
            number!(
                "connection_addresses",
                "connection-addresses",
                count(1, MANY),
                config.limits.connection_addresses,
                "Addresses that are told apart for this; those that come new share one account then"
            ),
            number!(
                "topic_bytes",
                "topic-bytes",
                size(1, 65_535),
                config.limits.topic_bytes,
                "Length of a topic or a filter; a longer one is refused and not delivered"
            ),
            number!(
                "topic_levels",
                "topic-levels",
                count(1, 65_536),
                config.limits.topic_levels,
                "Levels of a topic or a filter; one with more is refused and not delivered"
            ),
            number!(
                "sessions",
                "sessions",
                count(1, MANY),
                config.limits.sessions,
                "Sessions, connected or not; one more is refused"
            ),
            number!(
                "subscriptions_per_session",
                "subscriptions-per-session",
                count(1, MANY),
                config.limits.subscriptions_per_session,
                "Subscriptions of one session; one more is refused"
            ),
            number!(
                "subscriptions",
                "subscriptions",
                count(1, MANY),
                config.limits.subscriptions,
                "Subscriptions of all sessions; one more is refused"
            ),
            number!(
                "filter_bytes",
                "filter-bytes",
                size(1, VAST),
                config.limits.filter_bytes,
                "Bytes of the filters of all subscriptions; one more is refused"
            ),
            number!(
                "filter_levels",
                "filter-levels",
                count(1, MANY),
                config.limits.filter_levels,
                "Levels of all different filters together; a filter beyond is refused"
            ),
            number!(
                "in_flight",
                "in-flight",
                count(1, 65_535),
                config.limits.in_flight,
                "QoS 1 and 2 messages on their way to one client; others wait in its queue"
            ),
            number!(
                "in_flight_bytes",
                "in-flight-bytes",
                size(1, VAST),
                config.limits.in_flight_bytes,
                "Bytes on their way to one client at QoS 1 and 2; others wait in its queue"
            ),
            number!(
                "queued_messages",
                "queued-messages",
                count(1, MANY),
                config.limits.queued_messages,
                "Messages that wait in one session; queue_policy says what happens then"
            ),
            number!(
                "queued_bytes",
                "queued-bytes",
                size(1, VAST),
                config.limits.queued_bytes,
                "Bytes that wait in one session; queue_policy says what happens then"
            ),
            number!(
                "held_bytes",
                "held-bytes",
                size(1, VAST),
                config.limits.held_bytes,
                "Bytes that wait or are in flight in all sessions, with all wills; queue_policy says what happens then"
            ),
            setting!(
                "queue_policy",
                "queue-policy",
                Kind::Word(&["drop_newest", "drop_oldest", "disconnect"]),
                "What a full queue does: drop the message that comes, drop those that wait longest, or disconnect the client",
                |all| Value::Word(match all.config.limits.queue_policy {
                    QueuePolicy::DropNewest => "drop_newest",
                    QueuePolicy::DropOldest => "drop_oldest",
                    QueuePolicy::Disconnect => "disconnect",
                }),
                |all, value| all.config.limits.queue_policy = match value.word() {
                    "drop_oldest" => QueuePolicy::DropOldest,
                    "disconnect" => QueuePolicy::Disconnect,
                    _ => QueuePolicy::DropNewest,
                }
            ),
            number!(
                "retained_messages",
                "retained-messages",
                count(0, MANY),
                config.limits.retained_messages,
                "Retained messages; those of new topics are delivered and not kept then"
            ),
            number!(
                "retained_bytes",
                "retained-bytes",
                size(0, VAST),
                config.limits.retained_bytes,
                "Bytes of retained messages; those of new topics are delivered and not kept then"
            ),
            number!(
                "unflushed_soft",
                "unflushed-soft",
                size(1024, VAST),
                config.limits.unflushed_soft,
                "Bytes on their way to one connection; QoS 0 is dropped and the rest waits then"
            ),
            number!(
                "unflushed_hard",
                "unflushed-hard",
                size(1024, VAST),
                config.limits.unflushed_hard,
                "Bytes on their way to one connection; it is closed then"
            ),
            setting!(
                "publisher_patience",
                "publisher-patience",
                time(Duration::ZERO, HOUR),
                "Time for which a publisher waits for readers that lag behind; 0s lets nobody wait",
                |all| Value::Time(all.config.limits.publisher_patience),
                |all, value| all.config.limits.publisher_patience = value.time()
            ),
            number!(
                "pipelined_packets",
                "pipelined-packets",
                count(1, MANY),
                config.limits.pipelined_packets,
                "Packets from a client that is not yet let in; it is refused then"
            ),
            number!(
                "pipelined_bytes",
                "pipelined-bytes",
                size(1, VAST),
                config.limits.pipelined_bytes,
                "Bytes of these packets; it is refused then"
            ),
        ],
    },
    Section {
        name: "log",
        about: "What is told on standard error.",
        settings: &[
            setting!(
                "level",
                "log",
                Kind::Text("a level or a filter", "LEVEL"),
                "off, error, warn, info, debug or trace, or a filter such as squall_broker=debug",
                |all| Value::Text(all.log.level.clone()),
                |all, value| all.log.level = value.text()
            ),
            setting!(
                "format",
                "log-format",
                Kind::Word(&["human", "json"]),
                "Lines for people, or one JSON object each",
                |all| Value::Word(if all.log.json { "json" } else { "human" }),
                |all, value| all.log.json = value.word() == "json"
            ),
            truth!(
                "packets",
                "log-packets",
                log.packets,
                "Whether each packet is told, with the length of its payload and not the payload"
            ),
        ],
    },
    Section {
        name: "http",
        about: "Metrics for Prometheus (/metrics) and a health check (/health), apart from MQTT.",
        settings: &[optional!(
            "listen",
            "http",
            Kind::Text("address:port", "ADDRESS:PORT"),
            http.listen,
            Text,
            text,
            "\"127.0.0.1:9883\"",
            "Address of /metrics and /health; without it there is none"
        )],
    },
];
