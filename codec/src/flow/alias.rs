//! The receiver's Topic Aliases of one connection (section 3.3.2.3.4).

use std::collections::BTreeMap;

use crate::{packet::Publish, reason::ReasonCode, topic::TopicName};

/// What each Topic Alias of the other side stands for. It ends with the connection.
#[derive(Clone, Debug)]
pub struct Aliases {
    maximum: u16,
    names: BTreeMap<u16, TopicName>,
}

/// Why a PUBLISH has no topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    /// [MQTT-3.3.2-9], [MQTT-3.3.2-11]
    #[error("topic alias {alias} exceeds the maximum of {maximum}")]
    AboveMaximum {
        /// The alias.
        alias: u16,
        /// Topic Alias Maximum.
        maximum: u16,
    },
    /// No PUBLISH of this connection has given it a name.
    #[error("topic alias {alias} stands for no topic name")]
    Unknown {
        /// The alias.
        alias: u16,
    },
}

impl AliasError {
    /// The reason code for DISCONNECT.
    pub const fn reason_code(&self) -> ReasonCode {
        match self {
            AliasError::AboveMaximum { .. } => ReasonCode::TopicAliasInvalid,
            AliasError::Unknown { .. } => ReasonCode::ProtocolError,
        }
    }
}

impl Aliases {
    /// With the Topic Alias Maximum that this side announced.
    pub fn new(maximum: u16) -> Self {
        Aliases { maximum, names: BTreeMap::new() }
    }

    /// The same message with its topic and without its alias.
    ///
    /// # Errors
    /// An alias above the maximum, or one that stands for nothing.
    pub fn resolve(&mut self, mut publish: Publish) -> Result<Publish, AliasError> {
        let Some(alias) = publish.topic_alias.take() else { return Ok(publish) };
        if alias == 0 || alias > self.maximum {
            return Err(AliasError::AboveMaximum { alias, maximum: self.maximum });
        }
        match publish.topic_name() {
            Some(name) => {
                // The table outlives the frame.
                let name = TopicName::new(name.text().detached()).expect("a name stays a name");
                self.names.insert(alias, name);
                Ok(publish)
            }
            None => {
                let name = self.names.get(&alias).ok_or(AliasError::Unknown { alias })?;
                Ok(publish.with_topic(name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(topic: &TopicName, alias: u16) -> Publish {
        let mut publish = Publish::new(topic, "x");
        publish.topic_alias = Some(alias);
        publish
    }

    #[test]
    fn an_alias_stands_for_the_last_name_it_was_given() {
        let (one, two) = (TopicName::literal("one"), TopicName::literal("two"));
        let mut aliases = Aliases::new(2);
        assert_eq!(aliases.resolve(publish(&one, 1).without_topic()), Err(AliasError::Unknown { alias: 1 }));
        assert_eq!(aliases.resolve(publish(&one, 1)), Ok(Publish::new(&one, "x")));
        assert_eq!(aliases.resolve(publish(&one, 1).without_topic()), Ok(Publish::new(&one, "x")));
        assert_eq!(aliases.resolve(publish(&two, 1)), Ok(Publish::new(&two, "x")));
        assert_eq!(aliases.resolve(publish(&one, 1).without_topic()), Ok(Publish::new(&two, "x")));
        assert_eq!(aliases.resolve(publish(&two, 2)), Ok(Publish::new(&two, "x")), "the maximum itself may be used");
        let above = AliasError::AboveMaximum { alias: 3, maximum: 2 };
        assert_eq!(aliases.resolve(publish(&one, 3)), Err(above));
        assert_eq!(above.reason_code(), ReasonCode::TopicAliasInvalid);
    }
}
