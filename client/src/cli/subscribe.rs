//! `client sub`.

use std::{
    io::{self, Write},
    time::Duration,
};

use jiff::{Timestamp, Zoned, tz::TimeZone};
use squall_client::{
    core::effect::Failure,
    net::{
        clock::since_1970,
        handle::{Handle, SubscribeError},
        messages::{Message, Messages},
    },
    options::Acknowledge,
};
use squall_codec::{
    packet::{Publish, Subscription, SubscriptionOptions},
    property::Properties,
    reason::ReasonCode,
    topic::TopicFilter,
};

use super::{
    Trouble,
    arguments::{Printing, Subscribe},
    session::{Session, connect, goodbye, interrupted},
    tell,
};

/// What the server is asked for.
struct Wanted {
    subscriptions: Vec<Subscription>,
    properties: Properties,
    not_any_more: Vec<TopicFilter>,
}

pub(crate) async fn run(arguments: Subscribe) -> Result<(), Trouble> {
    let said = arguments.connection.packet_properties()?;
    let options = SubscriptionOptions {
        qos: arguments.qos,
        no_local: arguments.no_local,
        retain_as_published: arguments.retain_as_published,
        retain_handling: arguments.retain_handling,
    };
    let subscriptions = arguments.filters()?.into_iter().map(|filter| Subscription { filter, options }).collect();
    let not_any_more = arguments.unsubscribe.clone();
    let wanted = Wanted { subscriptions, properties: said.subscribe, not_any_more };
    // A message counts as received when it is printed.
    let mut session = connect(&arguments.connection, Acknowledge::ByHand).await?;
    let ended = tokio::select! {
        biased;
        () = interrupted() => Ok(()),
        () = timed_out(arguments.timeout) => match arguments.count {
            Some(count) => Err(Trouble::refused(format!("fewer than {count} messages came in time"))),
            None => Ok(()),
        },
        ended = print_all(&mut session, &arguments, wanted) => ended,
    };
    goodbye(&session.handle, &said.disconnect).await;
    ended
}

async fn timed_out(seconds: Option<f64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs_f64(seconds)).await,
        None => std::future::pending().await,
    }
}

async fn print_all(session: &mut Session, arguments: &Subscribe, wanted: Wanted) -> Result<(), Trouble> {
    let Session { handle, messages, life } = session;
    let mut left = arguments.count;
    // The client renews by itself what was granted once; what never was is asked for on the next connection.
    let mut is_subscribed = false;
    loop {
        // Messages may come before SUBACK, and the connection may go at any time.
        let mut subscribed = std::pin::pin!(subscribe(handle, &wanted));
        let mut waiting = !is_subscribed;
        loop {
            tokio::select! {
                biased;
                answer = &mut subscribed, if waiting => {
                    is_subscribed = answer?;
                    waiting = false;
                    if is_subscribed && (arguments.exit_after_subscribing || wanted.subscriptions.is_empty()) {
                        return Ok(());
                    }
                }
                again = life.reconnected() => {
                    again?;
                    break;
                }
                message = next(messages) => {
                    let message = message?;
                    if arguments.is_wanted(&message) {
                        match print(&message, &arguments.printing) {
                            Ok(()) => {}
                            // Whoever read has seen enough.
                            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                            Err(error) => return Err(Trouble::refused(format!("cannot write: {error}"))),
                        }
                        left = left.map(|left| left - 1);
                    }
                    message.ack();
                    if left == Some(0) {
                        return Ok(());
                    }
                }
            }
        }
    }
}

impl Subscribe {
    fn is_wanted(&self, message: &Publish) -> bool {
        let retained = if message.retain { !self.no_retained } else { !self.retained_only };
        retained && !self.filter_out.iter().any(|filter| filter.matches(message.topic()))
    }
}

/// Whether the server has answered.
async fn subscribe(handle: &Handle, wanted: &Wanted) -> Result<bool, Trouble> {
    if !wanted.not_any_more.is_empty() {
        match handle.unsubscribe(wanted.not_any_more.clone()).await {
            Ok(_) => {}
            Err(error) if error.0 == Failure::ConnectionLost => return Ok(false),
            Err(error) => return Err(Trouble::refused(format!("cannot unsubscribe: {error}"))),
        }
    }
    if wanted.subscriptions.is_empty() {
        return Ok(true);
    }
    match handle.subscribe(wanted.subscriptions.clone(), wanted.properties.clone()).await {
        Ok(reasons) => report(&wanted.subscriptions, &reasons).map(|()| true),
        // The connection was lost meanwhile: the next one subscribes.
        Err(SubscribeError::Failed(Failure::ConnectionLost)) => Ok(false),
        Err(error) => Err(Trouble::refused(format!("cannot subscribe: {error}"))),
    }
}

async fn next(messages: &mut Messages) -> Result<Message, Trouble> {
    match messages.next().await {
        Some(message) => Ok(message),
        None => Err(Trouble::refused("the client has ended")),
    }
}

/// Says which subscriptions were refused; an error when all were.
fn report(wanted: &[Subscription], reasons: &[ReasonCode]) -> Result<(), Trouble> {
    let refused: Vec<_> = wanted.iter().zip(reasons).filter(|(_, reason)| reason.is_failure()).collect();
    let sentence = |(one, reason): &(&Subscription, &ReasonCode)| {
        format!("the server refused the subscription to '{}': {reason}", one.filter)
    };
    if refused.len() == wanted.len() {
        return Err(Trouble::refused(refused.iter().map(sentence).collect::<Vec<_>>().join("; ")));
    }
    for one in &refused {
        tell(sentence(one));
    }
    Ok(())
}

/// As the clocks on the wall say it.
fn now() -> Zoned {
    let now = Timestamp::from_duration(since_1970().try_into().unwrap_or_default());
    now.unwrap_or_default().to_zoned(TimeZone::system())
}

/// On standard output, at once.
pub(super) fn print(message: &Publish, printing: &Printing) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match &printing.format {
        Some(format) => format.print(message, &now(), &mut out)?,
        None => {
            if printing.verbose {
                write!(out, "{} ", message.topic())?;
            }
            out.write_all(message.payload())?;
        }
    }
    if !printing.no_newline {
        out.write_all(b"\n")?;
    }
    out.flush()
}
