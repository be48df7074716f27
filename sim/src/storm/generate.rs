//! From a seed to a plan.

use std::time::Duration;

use squall_codec::{
    packet::RetainHandling,
    property::{Properties, Property},
    qos::Qos,
    version::Version,
    wire::Text,
};
use squall_scenarios::plan::{Act, Answering, Connecting, Doing, Message, Plan, Step, Subscribing, Wanted};

use super::{
    faults::faults,
    strangers::strangers,
    swarm::{Draws, FEW_IDENTIFIERS, FaultFamily, Feature, Swarm},
    violations::{keeps_after_all, more_than, not_on_offer, violation},
};

pub(super) const NAMES: [&str; 5] = ["anna", "bela", "cleo", "dina", "emil"];
/// Who comes when all the others are done.
const LAST: &str = "zoe";
const TOPICS: [&str; 7] = ["a", "a/b", "a/b/c", "a/c", "b", "b/c", "d/e/f"];
const WILDCARDS: [&str; 7] = ["#", "+", "a/#", "+/b", "a/+", "+/+", "+/b/#"];
/// Two of them have one filter.
const SHARES: [&str; 4] = ["$share/g/a/#", "$share/h/b", "$share/g/+/c", "$share/g/b"];
/// Who never says CONNECT as it should be.
const STRANGER: &str = "otto";
/// What a whole team has subscribed to.
const TEAM: &str = "$share/team/#";

/// How long everything that is owed may take at the end: longer than the longest pause of a client that tries again, its
/// patience with a server that never answers (30 s), and the retransmission of a lost segment.
const CALM: Duration = Duration::from_secs(40);

/// The plan of a seed.
pub fn plan(seed: u64) -> Plan {
    let swarm = Swarm::of(seed);
    let names = &NAMES[..swarm.clients];
    // Beside its messages a client does a dozen things.
    let mut steps = Vec::with_capacity(swarm.clients * (swarm.messages + 24));
    let mut numbers = 0;
    for who in 0..swarm.clients {
        client(seed, &swarm, who, &mut numbers, &mut steps);
    }
    faults(seed, &swarm, &mut steps);
    last_one(seed, &swarm, &mut steps);
    if swarm.has(Feature::Strangers) {
        knocks(seed, &swarm, &mut steps);
    }
    // By their places: a step is large to be moved about.
    steps.sort_by_cached_key(|step| step.at);
    let calm = calm(&swarm, numbers, &steps);
    let stranger = swarm.has(Feature::Strangers).then_some(&STRANGER);
    let actors = names.iter().chain([&LAST]).chain(stranger);
    Plan {
        title: format!("storm {seed}"),
        about: Some(swarm.to_string()),
        proves: Vec::new(),
        seed,
        broker: swarm.broker.clone(),
        actors: actors.map(|name| (*name).to_owned()).collect(),
        steps,
        lasts: swarm.lasts,
        calm,
    }
}

/// How long this storm's calm is. Where a client is sent one message at a time, each of them may wait for two commits and for what its
/// application says, and come twice where filters overlap.
fn calm(swarm: &Swarm, messages: usize, steps: &[Step]) -> Duration {
    let times = u32::try_from(2 * messages).unwrap_or(u32::MAX);
    let connecting = steps.iter().filter_map(|step| match &step.act {
        Act::Client(_, Doing::Connect(connecting)) => Some(connecting),
        _ => None,
    });
    let answers = connecting.filter(|connecting| is_narrow(swarm, connecting.receive_maximum.is_some()));
    let late = answers.filter_map(|connecting| Some(connecting.answers?.after)).max().unwrap_or_default();
    CALM.max((2 * swarm.broker.sync.unwrap_or_default() + late) * times)
}

/// Whether few messages are on their way to a client at a time. `has_window`: it says so.
fn is_narrow(swarm: &Swarm, has_window: bool) -> bool {
    has_window || swarm.broker.in_flight.or(swarm.broker.first_packet_id).is_some()
}

/// What one client does.
fn client(seed: u64, swarm: &Swarm, who: usize, numbers: &mut usize, steps: &mut Vec<Step>) {
    let mut draws = Draws::new(seed, "client", who as u64);
    let version = draws.one_of(&swarm.versions);
    let mut push = |at: Duration, doing: Doing| steps.push(Step::at(at, Act::Client(who, doing)));
    let connecting = connecting(seed, swarm, who, version);
    let outlives_nothing = version.has_properties() && connecting.session_expiry.unwrap_or(0) == 0;
    push(draws.millis(0, 300), Doing::Connect(Box::new(connecting)));

    let mut subscribing = Draws::new(seed, "subscriptions", who as u64);
    let mut several = Draws::new(seed, "several filters", who as u64);
    let mut filters = Vec::new();
    let count = if swarm.has(Feature::Overlap) { subscribing.between(1, 4) } else { subscribing.between(0, 2) };
    let is_member = is_member(swarm, version);
    if is_member {
        let mut team = Draws::new(seed, "team", who as u64);
        let qos = team.one_of(&[Qos::AtLeastOnce, Qos::ExactlyOnce]);
        push(team.millis(300, 900), Doing::Subscribe(Subscribing::to(Wanted::new(TEAM, qos))));
    }
    for _ in 0..count {
        let mut wanted = subscription(&mut subscribing, swarm, version);
        also_wanted(&mut several, swarm, version, &mut wanted);
        filters.extend(wanted.wanted.iter().map(|wanted| wanted.filter.clone()));
        push(subscribing.millis(300, 900), Doing::Subscribe(wanted));
    }
    for _ in 0..subscribing.below(4) {
        let at = subscribing.millis(1_000, 11_500);
        if swarm.has(Feature::Unsubscribe) && !filters.is_empty() && subscribing.happens(50) {
            let mut ended = vec![filters[subscribing.below(filters.len())].clone()];
            if swarm.has(Feature::SeveralFilters) && several.happens(50) {
                // Of one that it never had as well.
                ended.push(several.one_of(&TOPICS).to_owned());
                ended.push(filters[several.below(filters.len())].clone());
            }
            push(at, Doing::Unsubscribe(ended));
        } else {
            let mut wanted = subscription(&mut subscribing, swarm, version);
            also_wanted(&mut several, swarm, version, &mut wanted);
            filters.extend(wanted.wanted.iter().map(|wanted| wanted.filter.clone()));
            push(at, Doing::Subscribe(wanted));
        }
    }

    if swarm.has(Feature::Disconnect) {
        let mut leaving = Draws::new(seed, "leaving", who as u64);
        for _ in 0..leaving.below(3) {
            let at = leaving.millis(1_500, 10_000);
            let session_expiry = leaving.happens(20).then(|| leaving.between(0, 4) as u32);
            push(at, Doing::Disconnect { with_will: leaving.happens(25), session_expiry });
            let again = Connecting::new(version);
            let back = (at + leaving.millis(10, 4_000)).min(swarm.lasts);
            push(back, Doing::Connect(Box::new(again)));
        }
    }

    if swarm.has(Feature::TakeOver) && who <= 1 {
        // Each comes again and again, and throws the other out.
        let mut coming = Draws::new(seed, "take-overs", who as u64);
        for _ in 0..coming.below(6) {
            push(coming.millis(600, 11_900), Doing::Connect(Box::new(Connecting::new(version))));
        }
    }

    if swarm.has(Feature::Violations) {
        if outlives_nothing && Draws::new(seed, "keeps it after all", who as u64).happens(15) {
            let mut leaving = Draws::new(seed, "keeps it after all, when", who as u64);
            push(leaving.millis(1_000, 11_900), Doing::Send(keeps_after_all()));
        }
        let mut breaking = Draws::new(seed, "violations", who as u64);
        for _ in 0..breaking.below(3) {
            let at = breaking.millis(1_000, 11_900);
            push(at, Doing::Send(violation(&mut breaking, version, &swarm.broker)));
        }
    }

    if let (Some(most), None, true) = (swarm.broker.receive_maximum, swarm.broker.maximum_qos, version.has_properties())
    {
        let mut pouring = Draws::new(seed, "more than Receive Maximum", who as u64);
        if pouring.happens(40) {
            push(pouring.millis(1_000, 11_900), Doing::Send(more_than(most, numbers)));
        }
    }

    let not_on_offer = not_on_offer(&swarm.broker);
    if version.has_properties() && !not_on_offer.is_empty() {
        let mut asking = Draws::new(seed, "not on offer", who as u64);
        for _ in 0..asking.below(3) {
            let at = asking.millis(1_000, 11_900);
            push(at, Doing::Send(not_on_offer[asking.below(not_on_offer.len())].1.clone()));
        }
    }

    let mut publishing = Draws::new(seed, "messages", who as u64);
    let mut sent = 0;
    while sent < swarm.messages {
        let at = publishing.millis(600, 11_900);
        let burst = if swarm.has(Feature::Bursts) && publishing.happens(30) { publishing.between(2, 8) } else { 1 };
        let topic = publishing.one_of(&TOPICS);
        for _ in 0..burst {
            *numbers += 1;
            sent += 1;
            let topic = if publishing.happens(80) { topic } else { publishing.one_of(&TOPICS) };
            push(at, Doing::Publish(message(seed, &mut publishing, swarm, version, topic, *numbers)));
        }
    }
}

/// Who comes at the end of the storm and asks for everything: what is retained by then, whatever has befallen the server's store,
/// nobody else would see.
fn last_one(seed: u64, swarm: &Swarm, steps: &mut Vec<Step>) {
    let mut draws = Draws::new(seed, "last one", 0);
    let version = draws.one_of(&swarm.versions);
    let connecting = Connecting { reconnect: Some(draws.millis(20, 200)), ..Connecting::new(version) };
    let has_wildcards = swarm.broker.wildcard_subscription_available != Some(false);
    let all = match (has_wildcards, swarm.has(Feature::Dollar)) {
        (true, false) => &["#"][..],
        // Which stands for those that begin with `$` there.
        (true, true) => &["#", "+"][..],
        (false, _) => &TOPICS[..],
    };
    let wanted = all.iter().map(|filter| Wanted::new(called(swarm, filter), Qos::ExactlyOnce)).collect();
    for doing in [Doing::Connect(Box::new(connecting)), Doing::Subscribe(Subscribing { wanted, identifier: None })] {
        steps.push(Step::at(swarm.lasts, Act::Client(swarm.clients, doing)));
    }
}

/// Somebody is at the door again and again, and never comes in.
fn knocks(seed: u64, swarm: &Swarm, steps: &mut Vec<Step>) {
    let mut draws = Draws::new(seed, "strangers", 0);
    let strangers = strangers();
    for _ in 0..draws.between(3, 10) {
        let at = draws.millis(100, 11_900);
        let bytes = strangers[draws.below(strangers.len())].1.clone();
        steps.push(Step::at(at, Act::Client(swarm.clients + 1, Doing::Knock(bytes))));
    }
}

fn connecting(seed: u64, swarm: &Swarm, who: usize, version: Version) -> Connecting {
    let mut draws = Draws::new(seed, "options", who as u64);
    let keeps = swarm.has(Feature::Session) && draws.happens(80);
    let session_expiry = match version.has_properties() {
        false => None,
        true if !keeps => draws.happens(50).then_some(0),
        true if swarm.has(Feature::SessionExpiry) => Some(draws.between(1, 5) as u32),
        true => Some(draws.one_of(&[60, 300, u32::MAX])),
    };
    let shares_name = swarm.has(Feature::TakeOver) && who == 1;
    let will = (swarm.has(Feature::Will) && draws.happens(70)).then(|| {
        let delay = match swarm.has(Feature::WillDelay) && version.has_properties() {
            true => draws.below(5) as u32,
            false => 0,
        };
        let topic = called(swarm, draws.one_of(&TOPICS));
        let qos = draws.one_of(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]);
        let retain = swarm.has(Feature::Retain) && draws.happens(30);
        // A will that the server cannot have is refused with its CONNECT (sections 3.2.2.3.4 and 3.2.2.3.5): mostly there is somebody.
        let insists = Draws::new(seed, "wills above the offer", who as u64).happens(25);
        let qos = if insists { qos } else { qos.min(swarm.broker.maximum_qos.unwrap_or(Qos::ExactlyOnce)) };
        let retain = retain && (insists || retains(swarm, version));
        let properties = properties(seed, swarm, version, "will properties", who);
        let mut expiring = Draws::new(seed, "wills that expire", who as u64);
        // Behind an outage nobody knows when a will was published.
        let expires = swarm.has(Feature::MessageExpiry) && version.has_properties() && !swarm.goes_down();
        let expires = expires && expiring.happens(30);
        let expiry = expires.then(|| expiring.between(1, 6) as u32);
        // [MQTT-3.3.1-6] One that says nothing takes away what is retained.
        let clears = retain && Draws::new(seed, "wills that say nothing", who as u64).happens(20);
        let payload = if clears { String::new() } else { format!("will of {}", NAMES[who]) };
        (Message { topic, payload, qos, retain, expiry, properties }, delay)
    });
    // In 5.0 a session may be taken up only to end with its connection.
    let takes_up =
        version.has_properties() && Draws::new(seed, "takes up what it does not keep", who as u64).happens(40);
    let clean = if keeps { draws.happens(10) } else { !takes_up };
    // Who takes over a session with a narrower window is sent no more again than that.
    let most = if shares_name { 2 } else { 8 };
    let receive_maximum =
        (swarm.has(Feature::Window) && version.has_properties()).then(|| draws.between(1, most) as u16);
    let has_own_name = !swarm.has(Feature::TakeOver) || who > 1;
    let is_small = swarm.has(Feature::SmallPackets) && version.has_properties() && has_own_name && draws.happens(40);
    let maximum_packet_size = is_small.then(|| draws.one_of(&[32, 40, 60, 1_200]));
    let has_few = swarm.has(Feature::FewIdentifiers) && draws.happens(60);
    let packet_ids = has_few.then(|| draws.one_of(&FEW_IDENTIFIERS));
    let alias = swarm.has(Feature::Alias) && version.has_properties();
    let is_member = is_member(swarm, version);
    let mut connecting = Connecting {
        client_id: shares_name.then(|| NAMES[0].to_owned()),
        clean_start: clean,
        keep_alive: keep_alive(seed, swarm, who, draws.between(1, 6) as u16),
        session_expiry,
        receive_maximum,
        maximum_packet_size,
        topic_alias_maximum: if alias { draws.between(1, 5) as u16 } else { 0 },
        will,
        packet_ids,
        // Two of one name would throw each other out for ever.
        reconnect: has_own_name.then(|| draws.millis(20, 200)),
        answers: answering(seed, swarm, who, version, receive_maximum.is_some() || is_member),
        ..Connecting::new(version)
    };
    // 3.1 has no client without a name, and CONNACK with one may be too large for some.
    if swarm.has(Feature::Unnamed) && version != Version::V3_1 && has_own_name && !is_small {
        let mut unnamed = Draws::new(seed, "unnamed", who as u64);
        connecting.client_id = unnamed.happens(60).then(String::new);
    }
    // Only 3.1 sets a bound to it: 23 letters.
    if swarm.has(Feature::Strangers) && has_own_name && connecting.client_id.is_none() {
        let is_long = Draws::new(seed, "long names", who as u64).happens(30);
        let name = match version {
            Version::V3_1 => format!("{:-<23}", NAMES[who]),
            Version::V3_1_1 | Version::V5_0 => format!("{}, whose name is longer than 23 letters", NAMES[who]),
        };
        connecting.client_id = is_long.then_some(name);
    }
    if is_member {
        connecting.clean_start = false;
        connecting.session_expiry = Some(u32::MAX);
        connecting.maximum_packet_size = None;
        connecting.receive_maximum = Some(Draws::new(seed, "team window", who as u64).between(1, 3) as u16);
    }
    connecting
}

/// In seconds. Who has none waits for as long as the network likes, so it is only where that is not long.
fn keep_alive(seed: u64, swarm: &Swarm, who: usize, seconds: u16) -> u16 {
    let is_patient = |fault: &FaultFamily| {
        use FaultFamily::{Cut, Drop, HalfOpen, Hold, Partition, PowerLoss, Stall};
        matches!(fault, Cut | HalfOpen | Partition | Hold | Stall | Drop | PowerLoss)
    };
    let may_be_none = !swarm.faults.iter().any(is_patient);
    if may_be_none && Draws::new(seed, "no keep alive", who as u64).happens(25) { 0 } else { seconds }
}

/// What its application says to messages above QoS 0, where it does not leave that to the client. `has_window`: it takes few at a
/// time.
fn answering(seed: u64, swarm: &Swarm, who: usize, version: Version, has_window: bool) -> Option<Answering> {
    let mut draws = Draws::new(seed, "answers", who as u64);
    let is_late = swarm.has(Feature::LateAnswers) && draws.happens(60);
    let refuses = swarm.has(Feature::Refusals) && version.has_properties() && draws.happens(60);
    // Where few are on their way at a time, all have to come through in the calm.
    let latest = if is_narrow(swarm, has_window) { 60 } else { 1_500 };
    let after = if is_late { draws.millis(1, latest) } else { Duration::ZERO };
    (is_late || refuses).then(|| Answering { after, refuses: refuses.then(|| draws.between(2, 9) as u32) })
}

fn subscription(draws: &mut Draws, swarm: &Swarm, version: Version) -> Subscribing {
    let has_properties = version.has_properties();
    let filter = if swarm.has(Feature::Shared) && has_properties && draws.happens(30) {
        draws.one_of(&SHARES)
    } else if swarm.has(Feature::Wildcard) && draws.happens(60) {
        draws.one_of(&WILDCARDS)
    } else {
        draws.one_of(&TOPICS)
    };
    let qos = draws.one_of(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce, Qos::ExactlyOnce]);
    let mut wanted = Wanted::new(called(swarm, on_offer(swarm, version, filter)), qos);
    if swarm.has(Feature::Options) && has_properties {
        wanted.no_local = !filter.starts_with('$') && draws.happens(30);
        wanted.retain_as_published = draws.happens(40);
        let handlings = [RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
        wanted.retain_handling = draws.one_of(&handlings);
    }
    let mut subscribing = Subscribing::to(wanted);
    if swarm.has(Feature::Identifier) && has_properties {
        let identifier = draws.happens(70).then(|| draws.between(1, 300) as u32);
        // Some of four bytes on the wire, up to 240 million.
        let identifier = identifier.map(|number| if number.is_multiple_of(10) { number * 800_000 } else { number });
        subscribing.identifier = identifier.filter(|_| swarm.broker.subscription_identifiers_available != Some(false));
    }
    subscribing
}

/// The same filter; or a topic where the server does not have what it takes, and says so: the client's library would not ask for it.
fn on_offer(swarm: &Swarm, version: Version, filter: &'static str) -> &'static str {
    let is_off = |feature: Option<bool>| feature == Some(false) && version.has_properties();
    let has_no_wildcard = is_off(swarm.broker.wildcard_subscription_available) && filter.contains(['+', '#']);
    let has_no_share = is_off(swarm.broker.shared_subscription_available) && filter.starts_with('$');
    if has_no_wildcard || has_no_share { TOPICS[filter.len() % TOPICS.len()] } else { filter }
}

/// Whether RETAIN is a client's to say: one of an older version knows nothing of a server that retains nothing.
fn retains(swarm: &Swarm, version: Version) -> bool {
    swarm.broker.retain_available != Some(false) || !version.has_properties()
}

/// Whether it is one of a team.
fn is_member(swarm: &Swarm, version: Version) -> bool {
    let is_off = on_offer(swarm, version, TEAM) != TEAM;
    swarm.has(Feature::Team) && version.has_properties() && !is_off
}

/// What else the same SUBSCRIBE asks for, now and then.
fn also_wanted(draws: &mut Draws, swarm: &Swarm, version: Version, subscribing: &mut Subscribing) {
    if swarm.has(Feature::SeveralFilters) && draws.happens(40) {
        for _ in 0..draws.between(1, 3) {
            subscribing.wanted.extend(subscription(draws, swarm, version).wanted);
        }
    }
}

fn message(seed: u64, draws: &mut Draws, swarm: &Swarm, version: Version, topic: &str, number: usize) -> Message {
    let mut choices = [Qos::AtMostOnce; 3];
    let mut count = 0;
    for (feature, qos) in
        [(Feature::Qos0, Qos::AtMostOnce), (Feature::Qos1, Qos::AtLeastOnce), (Feature::Qos2, Qos::ExactlyOnce)]
    {
        if swarm.has(feature) {
            choices[count] = qos;
            count += 1;
        }
    }
    let retain = swarm.has(Feature::Retain) && draws.happens(25);
    let clears = retain && draws.happens(15);
    let (retain, clears) = (retain && retains(swarm, version), clears && retains(swarm, version));
    // One in a few dozen says nothing, and is a message all the same.
    let is_empty = clears || !retain && swarm.has(Feature::Large) && number.is_multiple_of(37);
    let mut payload = if is_empty { String::new() } else { number.to_string() };
    if swarm.has(Feature::Large) && !is_empty && draws.happens(5) {
        let size = draws.between(1_000, 6_000);
        payload.push_str(&".".repeat(size));
    }
    let expires = swarm.has(Feature::MessageExpiry) && version.has_properties() && draws.happens(30);
    Message {
        topic: called(swarm, topic),
        payload,
        qos: draws.one_of(&choices[..count]),
        retain,
        // Now and then it is so late that nobody waits for it.
        expiry: expires
            .then(|| draws.between(1, 6) as u32)
            .map(|soon| if number.is_multiple_of(9) { 3_000_000_000 - soon } else { soon }),
        properties: properties(seed, swarm, version, "message properties", number),
    }
}

/// What else a message says, where a storm has such messages.
fn properties(seed: u64, swarm: &Swarm, version: Version, stream: &str, number: usize) -> Properties {
    if !swarm.has(Feature::Properties) || !version.has_properties() {
        return Properties::new();
    }
    let mut draws = Draws::new(seed, stream, number as u64);
    let text = |text: String| Text::new(text).expect("letters and figures");
    // Made only where they are drawn.
    let kinds: [&dyn Fn() -> Property; 4] = [
        &|| Property::PayloadFormatIndicator(u8::from(!number.is_multiple_of(3))),
        &|| Property::ContentType(Text::literal("text/plain")),
        &|| Property::ResponseTopic(text(format!("answers/{number}"))),
        &|| Property::CorrelationData(format!("question {number}").into()),
    ];
    let mut said: Properties = kinds.iter().filter(|_| draws.happens(30)).map(|kind| kind()).collect();
    for place in 0..draws.below(4) {
        let name = draws.one_of(&["k", "l"]);
        said.push(Property::UserProperty((Text::literal(name), text(place.to_string()))));
    }
    said
}

/// A topic or a filter as it is called in this storm: a topic may end in a level in which nothing stands, one begin with `$`, and one
/// have letters of more than a byte.
fn called(swarm: &Swarm, topic: &str) -> String {
    match topic {
        "d/e/f" if swarm.has(Feature::EmptyLevels) => "a/".to_owned(),
        "b/c" if swarm.has(Feature::Dollar) => "$b/c".to_owned(),
        "+" if swarm.has(Feature::Dollar) => "$b/#".to_owned(),
        "a/c" if swarm.has(Feature::Alike) => "A/b".to_owned(),
        "b" if swarm.has(Feature::Alike) => "/a".to_owned(),
        "a/b/c" if swarm.has(Feature::Alike) => "a/ü/c".to_owned(),
        _ => topic.to_owned(),
    }
}
