//! The clients of a load: they connect, subscribe, publish, and are counted.

use std::{
    collections::VecDeque,
    fmt::Display,
    io::{self, Write},
    str::FromStr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hdrhistogram::Histogram;
use squall_client::{
    core::effect::Event,
    net::{
        clock::{Clock, seed_of_this_run},
        driver::start,
        handle::{Events, Handle, PublishError, Receipt},
        messages::Messages,
        transport::UrlConnector,
    },
    options::Options,
};
use squall_codec::{
    packet::{Publish, Subscription},
    property::Properties,
    qos::Qos,
    reason::ReasonCode,
    topic::{TopicFilter, TopicName},
    wire::Text,
};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use super::{
    super::{Trouble, arguments::Bench, session::interrupted, tell},
    measure::{Counters, Seen, Stamp, histogram},
    report::Report,
};

/// As a publisher may be named in a stamp.
const MOST_CLIENTS: usize = 1 << 20;
/// Seconds of publishing where nothing else is said.
const DEFAULT_SECONDS: f64 = 10.0;
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(1);

/// Publishers and subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    publishers: usize,
    subscribers: usize,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number <= MOST_CLIENTS);
        let numbers = text.split_once(':').and_then(|(one, other)| number(one).zip(number(other)));
        match numbers {
            Some((publishers, subscribers)) if publishers > 0 => Ok(Shape { publishers, subscribers }),
            _ => Err("expected publishers:subscribers, as in 1:50, with at least one publisher".to_owned()),
        }
    }
}

/// One connected client.
struct Member {
    handle: Handle,
    messages: Messages,
    /// Counts what happens to the connection.
    watcher: JoinHandle<()>,
}

/// What all clients know.
#[derive(Clone)]
struct Plan {
    clock: Clock,
    counters: Arc<Counters>,
    qos: Qos,
    size: usize,
    /// Of each publisher, in microseconds; `None`: as fast as it goes.
    interval: Option<f64>,
    in_flight: usize,
}

impl Plan {
    fn now(&self) -> u64 {
        u64::try_from(self.clock.now().monotonic.as_micros()).unwrap_or(u64::MAX)
    }
}

pub(crate) async fn run(arguments: Bench) -> Result<(), Trouble> {
    let Shape { publishers, subscribers } = arguments.shape;
    if arguments.pairs && publishers != subscribers {
        return Err(Trouble::unable("pairs need as many publishers as subscribers"));
    }
    let interval = arguments.rate.map(|rate| 1e6 * publishers as f64 / f64::from(rate));
    let plan = Plan {
        clock: Clock::new(),
        counters: Arc::default(),
        qos: arguments.qos,
        size: arguments.size as usize,
        interval,
        in_flight: arguments.in_flight.into(),
    };
    let progress = (!arguments.connection.quiet).then(|| tokio::spawn(show(plan.clone(), publishers + subscribers)));
    let ended = tokio::select! {
        biased;
        () = interrupted() => Err(Trouble::refused("interrupted before everyone was connected")),
        members = connect_all(&arguments, &plan) => members,
    };
    let result = match ended {
        Ok((members, connects, connecting)) => {
            let report = measure(&arguments, &plan, members, connects, connecting).await;
            report.map(Some)
        }
        Err(trouble) => Err(trouble),
    };
    if let Some(progress) = progress {
        progress.abort();
    }
    let Some(report) = result? else { return Ok(()) };
    match arguments.json {
        true => print(format_args!("{:#}", report.json())),
        false => print(report.text()),
    }?;
    let lost = report.lost();
    if report.refused > 0 {
        return Err(Trouble::refused(format!("{} messages were refused", report.refused)));
    }
    // QoS 0 promises nothing.
    if lost > 0 && arguments.qos != Qos::AtMostOnce {
        return Err(Trouble::refused(format!("{lost} messages were lost")));
    }
    Ok(())
}

/// On standard output; whoever read it may have seen enough.
fn print(report: impl Display) -> Result<(), Trouble> {
    let mut out = anstream::stdout();
    match writeln!(out, "{report}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Trouble::refused(format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

async fn show(plan: Plan, clients: usize) {
    let mut before = (0, 0);
    loop {
        sleep(PROGRESS).await;
        let counters = &plan.counters;
        let connected = Counters::read(&counters.connected);
        let (published, received) = (Counters::read(&counters.published), Counters::read(&counters.received));
        let seconds = plan.clock.now().monotonic.as_secs();
        tell(format_args!(
            "{seconds:>4} s  {connected}/{clients} connected  {published} published (+{})  {received} received (+{})",
            published - before.0,
            received - before.1,
        ));
        before = (published, received);
    }
}

/// Everybody, subscribers first: they are to miss nothing.
async fn connect_all(arguments: &Bench, plan: &Plan) -> Result<(Vec<Member>, Histogram<u64>, Duration), Trouble> {
    let Shape { publishers, subscribers } = arguments.shape;
    let connector = arguments.connection.connector()?;
    let seed = seed_of_this_run();
    let base = arguments.connection.options(seed)?;
    if arguments.connection.keep_session {
        return Err(Trouble::unable("a load keeps no sessions: leave -c out"));
    }
    let mut connects = histogram();
    let mut members = Vec::with_capacity(publishers + subscribers);
    let started = plan.clock.now().monotonic;
    let mut pending = JoinSet::new();
    for index in 0..subscribers + publishers {
        let prefix = if base.client_id.is_empty() { "bench" } else { base.client_id.as_str() };
        let name = format!("{prefix}-{:08x}-{index}", seed as u32);
        let client_id = Text::new(name).map_err(|error| Trouble::unable(format!("the client identifier {error}")))?;
        let options = Options { client_id, ..base.clone() };
        let wanted = (index < subscribers).then(|| filter(arguments, index)).transpose()?;
        let joining = join(plan.clone(), options, connector.clone(), seed ^ index as u64, wanted);
        match arguments.ramp {
            // One after the other.
            None => {
                let (member, took) = joining.await?;
                connects.saturating_record(took.max(1));
                members.push((index, member));
            }
            Some(rate) => {
                let due = started + Duration::from_secs_f64(index as f64 / f64::from(rate));
                sleep(due.saturating_sub(plan.clock.now().monotonic)).await;
                pending.spawn(async move { joining.await.map(|joined| (index, joined)) });
            }
        }
    }
    while let Some(joined) = pending.join_next().await {
        let (index, (member, took)) = joined.map_err(|error| Trouble::unable(error.to_string()))??;
        connects.saturating_record(took.max(1));
        members.push((index, member));
    }
    members.sort_by_key(|(index, _)| *index);
    let connecting = plan.clock.now().monotonic.saturating_sub(started);
    Ok((members.into_iter().map(|(_, member)| member).collect(), connects, connecting))
}

fn filter(arguments: &Bench, subscriber: usize) -> Result<TopicFilter, Trouble> {
    let base = arguments.topic.as_str();
    let text = if arguments.pairs { format!("{base}/{subscriber}") } else { format!("{base}/+") };
    TopicFilter::try_from(text.as_str()).map_err(|error| Trouble::unable(format!("the topic filter '{text}' {error}")))
}

/// Connects, and subscribes where there is something to subscribe to; gives the microseconds until CONNACK.
async fn join(
    plan: Plan,
    options: Options,
    connector: UrlConnector,
    seed: u64,
    wanted: Option<TopicFilter>,
) -> Result<(Member, u64), Trouble> {
    let before = plan.now();
    let (handle, messages, mut events, driver) = start(options, connector, seed);
    tokio::spawn(driver);
    let mut refused = None;
    loop {
        match events.next().await {
            Some(Event::Connected { .. }) => break,
            Some(Event::Refused { reason }) => refused = Some(reason),
            Some(Event::Disconnected { cause, .. }) => {
                return Err(match refused {
                    Some(reason) => Trouble::refused(format!("the server refused a connection: {reason}")),
                    None => Trouble::unable(format!("cannot connect: {cause}")),
                });
            }
            Some(Event::Resubscribed { .. }) => {}
            None => return Err(Trouble::unable("cannot connect: the client has ended")),
        }
    }
    let took = plan.now() - before;
    if let Some(filter) = wanted {
        let wanted = vec![Subscription::new(filter, plan.qos)];
        match handle.subscribe(wanted, Properties::new()).await {
            Ok(reasons) => {
                if let Some(reason) = reasons.iter().find(|reason| reason.is_failure()) {
                    return Err(Trouble::refused(format!("the server refused a subscription: {reason}")));
                }
            }
            Err(error) => return Err(Trouble::refused(format!("cannot subscribe: {error}"))),
        }
    }
    Counters::add(&plan.counters.connected);
    let watcher = tokio::spawn(count_reconnects(events, Arc::clone(&plan.counters)));
    Ok((Member { handle, messages, watcher }, took))
}

async fn count_reconnects(mut events: Events, counters: Arc<Counters>) {
    while let Some(event) = events.next().await {
        if let Event::Disconnected { reconnecting: true, .. } = event {
            Counters::add(&counters.reconnects);
        }
    }
}

/// Publishes and receives until the bound, or until someone interrupts.
async fn measure(
    arguments: &Bench,
    plan: &Plan,
    mut members: Vec<Member>,
    connects: Histogram<u64>,
    connecting: Duration,
) -> Result<Report, Trouble> {
    let Shape { publishers, subscribers } = arguments.shape;
    let publishing = members.split_off(subscribers);
    let (finish, finished) = watch::channel(false);
    let mut receivers = JoinSet::new();
    let mut handles = Vec::new();
    let mut watchers = Vec::new();
    for Member { handle, messages, watcher } in members {
        receivers.spawn(receive(plan.clone(), messages, publishers, finished.clone()));
        handles.push(handle);
        watchers.push(watcher);
    }
    let started = plan.clock.now().monotonic;
    let mut senders = JoinSet::new();
    for (index, Member { handle, messages, watcher }) in publishing.into_iter().enumerate() {
        drop(messages);
        let topic = format!("{}/{index}", arguments.topic.as_str());
        let topic = TopicName::try_from(topic.as_str())
            .map_err(|error| Trouble::unable(format!("the topic '{topic}' {error}")))?;
        let share = arguments.count.map(|count| {
            let (each, rest) = (count / publishers as u64, count % publishers as u64);
            each + u64::from((index as u64) < rest)
        });
        handles.push(handle.clone());
        watchers.push(watcher);
        senders.spawn(send(plan.clone(), handle, topic, index as u32, share));
    }
    let limit = arguments.duration.or(arguments.count.is_none().then_some(DEFAULT_SECONDS));
    let all_sent = async { while senders.join_next().await.is_some() {} };
    tokio::select! {
        biased;
        () = interrupted() => {}
        () = async { match limit {
            Some(seconds) => sleep(Duration::from_secs_f64(seconds)).await,
            None => std::future::pending().await,
        } } => {}
        () = all_sent => {}
    }
    plan.counters.stop.store(true, Ordering::Relaxed);
    // What is in flight is still answered.
    let drain = Duration::from_secs_f64(arguments.drain);
    let _ = timeout(drain, async { while senders.join_next().await.is_some() {} }).await;
    let publishing = plan.clock.now().monotonic.saturating_sub(started);
    senders.abort_all();
    let published = Counters::read(&plan.counters.published);
    let expected = published * if arguments.pairs { 1 } else { subscribers as u64 };
    wait_for(plan, expected, drain).await;
    let _ = finish.send(true);
    let mut seen = Seen::new(publishers);
    let mut last = started;
    while let Some(received) = receivers.join_next().await {
        let (one, at) = received.map_err(|error| Trouble::unable(error.to_string()))?;
        seen.add(&one);
        last = last.max(at);
    }
    let mut leaving = JoinSet::new();
    for handle in handles {
        leaving.spawn(async move { handle.disconnect(ReasonCode::NORMAL_DISCONNECTION, None).await });
    }
    while leaving.join_next().await.is_some() {}
    watchers.into_iter().for_each(|watcher| watcher.abort());
    Ok(Report {
        server: arguments.connection.server().to_string(),
        publishers,
        subscribers,
        pairs: arguments.pairs,
        qos: arguments.qos.bits(),
        size: arguments.size,
        rate: arguments.rate,
        connecting,
        connects,
        publishing,
        receiving: last.saturating_sub(started),
        published,
        acknowledged: Counters::read(&plan.counters.acknowledged),
        refused: Counters::read(&plan.counters.refused),
        reconnects: Counters::read(&plan.counters.reconnects),
        expected,
        seen,
    })
}

/// Until everything has come, or nothing has come for so long.
async fn wait_for(plan: &Plan, expected: u64, patience: Duration) {
    const LOOK: Duration = Duration::from_millis(20);
    let mut before = Counters::read(&plan.counters.received);
    let mut silent = Duration::ZERO;
    while before < expected && silent < patience {
        sleep(LOOK).await;
        silent += LOOK;
        let received = Counters::read(&plan.counters.received);
        if received > before {
            silent = Duration::ZERO;
        }
        before = received;
    }
}

async fn receive(
    plan: Plan,
    mut messages: Messages,
    publishers: usize,
    mut finished: watch::Receiver<bool>,
) -> (Seen, Duration) {
    let mut seen = Seen::new(publishers);
    let mut last = Duration::ZERO;
    loop {
        tokio::select! {
            biased;
            message = messages.next() => {
                let Some(message) = message else { break };
                last = plan.clock.now().monotonic;
                let before = seen.messages;
                seen.message(message.payload(), plan.now());
                if seen.messages > before {
                    Counters::add(&plan.counters.received);
                }
            }
            _ = finished.wait_for(|finished| *finished) => break,
        }
    }
    (seen, last)
}

/// Publishes this publisher's share, or until told to stop.
async fn send(plan: Plan, handle: Handle, topic: TopicName, publisher: u32, share: Option<u64>) {
    let mut receipts: VecDeque<Receipt> = VecDeque::with_capacity(plan.in_flight);
    let mut payload = vec![0; plan.size];
    let start = plan.now();
    let mut number = 0;
    while share.is_none_or(|share| number < share) && !plan.counters.stop.load(Ordering::Relaxed) {
        // At a rate, latency counts from when the message was due: a server that holds the publisher up must not be
        // praised for the messages that were not sent meanwhile.
        let sent = match plan.interval {
            None => plan.now(),
            Some(interval) => {
                let due = start + (interval * number as f64) as u64;
                let early = due.saturating_sub(plan.now());
                if early > 0 {
                    sleep(Duration::from_micros(early)).await;
                }
                due
            }
        };
        Stamp { publisher, number, sent }.write(&mut payload);
        let message = Publish::new(&topic, &payload).at(plan.qos, None);
        let Ok(receipt) = handle.queue(message).await else { return };
        number += 1;
        Counters::add(&plan.counters.published);
        receipts.push_back(receipt);
        while receipts.len() >= plan.in_flight {
            answered(&plan, &mut receipts).await;
        }
    }
    while !receipts.is_empty() {
        answered(&plan, &mut receipts).await;
    }
}

async fn answered(plan: &Plan, receipts: &mut VecDeque<Receipt>) {
    let Some(oldest) = receipts.pop_front() else { return };
    match oldest.outcome().await {
        Ok(_) => Counters::add(&plan.counters.acknowledged),
        Err(PublishError::Refused { .. } | PublishError::Failed(_)) => Counters::add(&plan.counters.refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read() {
        assert_eq!("1:50".parse(), Ok(Shape { publishers: 1, subscribers: 50 }));
        assert_eq!("2:0".parse(), Ok(Shape { publishers: 2, subscribers: 0 }));
        for text in ["", "1", "0:1", "a:b", "1:-1", "1:99999999"] {
            assert!(text.parse::<Shape>().is_err(), "{text} was taken");
        }
    }
}
