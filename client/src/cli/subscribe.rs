//! `client sub`.

use std::{
    io::{self, Write},
    time::Duration,
};

use squall_client::{
    core::effect::Failure,
    net::handle::{Handle, Messages, SubscribeError},
    options::Acknowledge,
};
use squall_codec::{
    packet::{Publish as Message, Subscription},
    property::Properties,
    reason::ReasonCode,
};

use super::{
    Trouble,
    arguments::Subscribe,
    session::{Session, connect, interrupted},
};

pub(crate) async fn run(arguments: Subscribe) -> Result<(), Trouble> {
    let filters = arguments.filters()?;
    let wanted: Vec<_> = filters.into_iter().map(|filter| Subscription::new(filter, arguments.qos)).collect();
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
    session.handle.disconnect(ReasonCode::NORMAL_DISCONNECTION, None).await;
    ended
}

async fn timed_out(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}

async fn print_all(session: &mut Session, arguments: &Subscribe, wanted: Vec<Subscription>) -> Result<(), Trouble> {
    let Session { handle, messages, life } = session;
    let mut left = arguments.count;
    let mut session_is_new = true;
    loop {
        // Messages may come before SUBACK, and the connection may go at any time.
        let mut subscribed = std::pin::pin!(subscribe(handle, &wanted));
        let mut waiting = session_is_new;
        session_is_new = loop {
            tokio::select! {
                biased;
                answer = &mut subscribed, if waiting => {
                    answer?;
                    waiting = false;
                }
                again = life.reconnected() => break !again?,
                message = next(messages) => {
                    let message = message?;
                    match print(&message, arguments) {
                        Ok(()) => {}
                        // Whoever read has seen enough.
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                        Err(error) => return Err(Trouble::refused(format!("cannot write: {error}"))),
                    }
                    handle.acknowledge(&message).await;
                    left = left.map(|left| left - 1);
                    if left == Some(0) {
                        return Ok(());
                    }
                }
            }
        };
    }
}

async fn subscribe(handle: &Handle, wanted: &[Subscription]) -> Result<(), Trouble> {
    match handle.subscribe(wanted.to_vec(), Properties::new()).await {
        Ok(reasons) => report(wanted, &reasons),
        // The connection was lost meanwhile: the next one subscribes.
        Err(SubscribeError(Failure::ConnectionLost)) => Ok(()),
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
        anstream::eprintln!("{}", sentence(one));
    }
    Ok(())
}

fn print(message: &Message, arguments: &Subscribe) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if arguments.verbose {
        write!(out, "{} ", message.topic())?;
    }
    out.write_all(message.payload())?;
    if !arguments.no_newline {
        out.write_all(b"\n")?;
    }
    out.flush()
}
