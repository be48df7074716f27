//! A whole client with its real driver, as an actor of the stage.

use std::rc::Rc;

use squall_client::{
    core::effect::Event,
    net::{
        handle::{Events, Handle},
        messages::Messages,
    },
};
use squall_codec::{
    packet::{Publish, Subscription},
    property::Properties,
    reason::ReasonCode,
    topic::TopicFilter,
};
use squall_scenarios::stage::{ClientActor, LocalFuture};
use tokio::sync::{Mutex, mpsc};

use super::world::Recorder;
use crate::told;

/// The application's handle, and what the client has told.
///
/// Two tasks take messages and events as they come, so that the record shows them when they came and a script that does
/// not ask for them holds nothing up.
pub(super) struct TurmoilClient {
    recorder: Rc<Recorder>,
    handle: Handle,
    messages: Mutex<mpsc::UnboundedReceiver<Publish>>,
    events: Mutex<mpsc::UnboundedReceiver<Event>>,
}

impl TurmoilClient {
    pub(super) fn start(recorder: Recorder, handle: Handle, mut messages: Messages, mut events: Events) -> Self {
        let recorder = Rc::new(recorder);
        let (message_in, messages_out) = mpsc::unbounded_channel();
        let (event_in, events_out) = mpsc::unbounded_channel();
        let record = Rc::clone(&recorder);
        tokio::task::spawn_local(async move {
            while let Some(message) = messages.next().await {
                let message = message.into_publish();
                record.tell(told::message(&message));
                // The actor may be gone: the record is kept all the same.
                let _ = message_in.send(message);
            }
        });
        let record = Rc::clone(&recorder);
        tokio::task::spawn_local(async move {
            while let Some(event) = events.next().await {
                record.tell(told::event(&event));
                let _ = event_in.send(event);
            }
        });
        TurmoilClient { recorder, handle, messages: Mutex::new(messages_out), events: Mutex::new(events_out) }
    }
}

impl ClientActor for TurmoilClient {
    fn publish(&self, message: Publish) -> LocalFuture<'_, Result<ReasonCode, String>> {
        Box::pin(async move {
            let outcome = match self.handle.publish(message).await {
                Ok(published) => Ok(published.reason),
                Err(error) => Err(error.to_string()),
            };
            self.recorder.tell(told::published(&outcome));
            outcome
        })
    }

    fn subscribe(
        &self,
        subscriptions: Vec<Subscription>,
        properties: Properties,
    ) -> LocalFuture<'_, Result<Vec<ReasonCode>, String>> {
        Box::pin(async move {
            let outcome = self.handle.subscribe(subscriptions, properties).await.map_err(|error| error.to_string());
            self.recorder.tell(told::answered("subscribe", &outcome));
            outcome
        })
    }

    fn unsubscribe(&self, filters: Vec<TopicFilter>) -> LocalFuture<'_, Result<Vec<ReasonCode>, String>> {
        Box::pin(async move {
            let outcome = self.handle.unsubscribe(filters).await.map_err(|error| error.to_string());
            self.recorder.tell(told::answered("unsubscribe", &outcome));
            outcome
        })
    }

    fn reauthenticate(&self) -> LocalFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let outcome = self.handle.reauthenticate().await.map_err(|error| error.to_string());
            self.recorder.tell(told::reauthenticated(&outcome));
            outcome
        })
    }

    fn disconnect(&self, reason: ReasonCode, session_expiry_seconds: Option<u32>) -> LocalFuture<'_, ()> {
        Box::pin(self.handle.disconnect(reason, session_expiry_seconds))
    }

    fn message(&self) -> LocalFuture<'_, Publish> {
        Box::pin(async move {
            match self.messages.lock().await.recv().await {
                Some(message) => message,
                // The client has ended: no message will ever come.
                None => std::future::pending().await,
            }
        })
    }

    fn event(&self) -> LocalFuture<'_, Event> {
        Box::pin(async move {
            match self.events.lock().await.recv().await {
                Some(event) => event,
                None => std::future::pending().await,
            }
        })
    }
}
