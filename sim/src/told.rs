//! What stands in the record beside packets, in words: the same in every world.

use squall_client::core::effect::Event;
use squall_codec::{packet::Publish, reason::ReasonCode};

/// The name under which the record has what befell the broker itself. No actor of a script can have it.
pub(crate) const BROKER: &str = "broker";

/// The broker runs again behind an outage.
pub(crate) const RUNS_AGAIN: &str = "the broker runs again";
/// The faults of a storm end.
pub(crate) const STORM_IS_OVER: &str = "the storm is over: nothing goes wrong from here on";
/// The end of a storm, where something shows there.
pub(crate) const AT_REST: &str = "all has come to rest: what is owed must have come by now";

/// What is looked at behind the end of a storm, where something shows there.
pub(crate) const STARTED_ANEW: &str = "the broker runs again, with what its store has";

/// Whether this stands among the faults, and is none.
pub(crate) fn is_good_turn(fault: &str) -> bool {
    [RUNS_AGAIN, STORM_IS_OVER, AT_REST, STARTED_ANEW].contains(&fault)
}

/// A message was handed over.
pub(crate) fn message(message: &Publish) -> String {
    let payload = message.payload();
    let payload = match std::str::from_utf8(payload) {
        Ok(text) if text.chars().count() <= 40 && !text.chars().any(char::is_control) => format!("\"{text}\""),
        _ => format!("{} bytes", payload.len()),
    };
    format!("message {} {payload}", message.topic())
}

/// The application will not have a message.
pub(crate) fn refused(refused: &Publish) -> String {
    format!("refuses {}", message(refused))
}

/// Something happened to the connection.
pub(crate) fn event(event: &Event) -> String {
    match event {
        Event::Connected { resumed: true, .. } => "connected, session resumed".to_owned(),
        Event::Connected { resumed: false, .. } => "connected, new session".to_owned(),
        Event::Refused { reason } => format!("refused: {reason}"),
        Event::Resubscribed { refused } if refused.is_empty() => "subscriptions renewed".to_owned(),
        Event::Resubscribed { refused } => format!("subscriptions renewed, but {} refused", refused.len()),
        Event::Disconnected { cause, reconnecting: true } => format!("disconnected: {cause}; will try again"),
        Event::Disconnected { cause, reconnecting: false } => format!("disconnected: {cause}"),
    }
}

/// PUBLISH was completed, or failed.
pub(crate) fn published(outcome: &Result<ReasonCode, String>) -> String {
    match outcome {
        Ok(reason) => format!("publish completed: {reason}"),
        Err(failure) => format!("publish failed: {failure}"),
    }
}

/// SUBSCRIBE (or UNSUBSCRIBE) was answered, or failed.
pub(crate) fn answered(what: &str, outcome: &Result<Vec<ReasonCode>, String>) -> String {
    match outcome {
        Ok(reasons) if reasons.is_empty() => format!("{what} answered"),
        Ok(reasons) => {
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            format!("{what} answered: {}", reasons.join(", "))
        }
        Err(failure) => format!("{what} failed: {failure}"),
    }
}

/// A re-authentication was done, or failed.
pub(crate) fn reauthenticated(outcome: &Result<(), String>) -> String {
    match outcome {
        Ok(()) => "authenticated anew".to_owned(),
        Err(failure) => format!("re-authentication failed: {failure}"),
    }
}
