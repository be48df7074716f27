//! From the words of a script to packets.

use bytes::Bytes;
use squall_codec::{
    packet::{Ack, Auth, Connect, Disconnect, Publish, Subscribe, Subscription, Unsubscribe, Will},
    property::Properties,
    qos::Qos,
    reason::ReasonCode,
    topic::TopicName,
    wire::{PacketId, Text},
};

use crate::{
    player::scene::Scene,
    script::{
        AckWords, AuthWords, ConnectWords, DisconnectWords, PublishWords, SubscribeWords, UnsubscribeWords, WillWords,
    },
    verdict::Halt,
};

impl Scene<'_> {
    /// Before 5.0 there are no properties: `session_expiry` is then not written.
    fn if_any(&self, properties: Properties) -> Properties {
        if self.stage.version().has_properties() { properties } else { Properties::new() }
    }

    pub(super) fn client_id(&self, actor: &str, words: &ConnectWords) -> Text {
        match words.client_id.as_deref() {
            Some("") => Text::literal(""),
            Some(given) => self.stage.client_id(given),
            None => self.stage.client_id(actor),
        }
    }

    pub(super) fn connect(&self, actor: &str, words: &ConnectWords) -> Connect {
        let (username, password) = self.credentials(words);
        let mut connect = Connect::new(self.stage.version(), self.client_id(actor, words));
        connect.clean_start = words.clean_start.unwrap_or(true);
        connect.keep_alive = words.keep_alive.map_or(0, |keep_alive| keep_alive.0);
        connect.set_properties(self.if_any(words.properties()));
        connect.set_will(words.will.as_ref().map(|will| self.will(will)));
        connect.set_username(username);
        connect.set_password(password);
        connect
    }

    /// User Name and Password as the story has them; those of the stage where it says nothing of either.
    pub(super) fn credentials(&self, words: &ConnectWords) -> (Option<Text>, Option<Bytes>) {
        match (&words.username, &words.password, self.stage.credentials()) {
            (None, None, Some(credentials)) => (Some(credentials.username.clone()), credentials.password.clone()),
            (username, password, _) => {
                (username.as_ref().map(|username| username.0.clone()), password.clone().map(Bytes::from))
            }
        }
    }

    pub(super) fn will(&self, words: &WillWords) -> Will {
        Will {
            qos: words.qos.map_or(Qos::AtMostOnce, |qos| qos.0),
            retain: words.retain.unwrap_or(false),
            topic: self.topic(words.topic.as_ref().map_or("will", |topic| topic.0.as_str())),
            payload: Bytes::from(words.payload.clone().unwrap_or_default()),
            properties: self.if_any(words.properties()),
        }
    }

    /// `None` as identifier: as it is written, or none.
    pub(super) fn publish(&self, words: &PublishWords, id: Option<PacketId>) -> Result<Publish, Halt> {
        let written = words.packet_id.as_ref().map(|word| self.id(word)).transpose()?;
        let topic = words.topic.as_ref().map(|topic| self.topic(&topic.0));
        // A PUBLISH without a topic goes by its alias alone.
        let name = topic.unwrap_or_else(|| TopicName::literal("alias"));
        let mut publish = Publish::new(&name, words.payload.as_deref().unwrap_or_default())
            .at(words.qos.map_or(Qos::AtMostOnce, |qos| qos.0), id.or(written))
            .with_properties(&words.properties());
        if words.topic.is_none() {
            publish = publish.without_topic();
        }
        publish.dup = words.dup.unwrap_or(false);
        publish.retain = words.retain.unwrap_or(false);
        Ok(publish)
    }

    pub(super) fn ack(&self, words: &AckWords) -> Result<Ack, Halt> {
        let id =
            words.packet_id.as_ref().expect("a script is checked: an acknowledgement that is sent has a packet_id");
        Ok(Ack {
            packet_id: self.id(id)?,
            reason: words.reason.as_ref().map_or(ReasonCode::Success, |reason| reason.value.0),
            properties: self.if_any(words.properties()),
        })
    }

    pub(super) fn subscription(&self, words: &SubscribeWords) -> Subscription {
        let filter = words.filter.as_ref().expect("a script is checked: a SUBSCRIBE has a filter");
        let mut subscription =
            Subscription::new(self.filter(&filter.0), words.qos.map_or(Qos::AtMostOnce, |qos| qos.0));
        let options = &mut subscription.options;
        options.no_local = words.no_local.as_ref().is_some_and(|yes| yes.value);
        options.retain_as_published = words.retain_as_published.as_ref().is_some_and(|yes| yes.value);
        if let Some(handling) = &words.retain_handling {
            options.retain_handling = handling.value.into();
        }
        subscription
    }

    pub(super) fn subscribe(&self, words: &SubscribeWords, id: PacketId) -> Subscribe {
        Subscribe { properties: self.if_any(words.properties()), ..Subscribe::new(id, vec![self.subscription(words)]) }
    }

    pub(super) fn unsubscribe(&self, words: &UnsubscribeWords, id: PacketId) -> Unsubscribe {
        let filter = words.filter.as_ref().expect("a script is checked: an UNSUBSCRIBE has a filter");
        Unsubscribe {
            properties: self.if_any(words.properties()),
            ..Unsubscribe::new(id, vec![self.filter(&filter.0)])
        }
    }

    pub(super) fn disconnect(&self, words: &DisconnectWords) -> Disconnect {
        Disconnect {
            reason: words.reason.as_ref().map_or(ReasonCode::NORMAL_DISCONNECTION, |reason| reason.value.0),
            properties: self.if_any(words.properties()),
        }
    }
}

pub(super) fn auth(words: &AuthWords) -> Auth {
    Auth {
        reason: words.reason.as_ref().map_or(ReasonCode::Success, |reason| reason.value.0),
        properties: words.properties(),
    }
}
