//! What a publisher says beside the payload, and what has become of it at the subscriber.

use squall_codec::{
    packet::Publish,
    property::{Properties, Property, PropertyId},
};

/// Whether all that was said is passed on as it was, User Properties in their order; though a server may add some of its own
/// ([MQTT-3.3.2-4], [MQTT-3.3.2-15] to [MQTT-3.3.2-18], [MQTT-3.3.2-20]).
pub(crate) fn is_passed_on(said: &Publish, passed: &Publish) -> bool {
    if said.forwarded_views().eq(passed.forwarded_views()) {
        return true;
    }
    let (said, passed) = (said.forwarded_properties(), passed.forwarded_properties());
    let is_user = |property: &&Property| property.id() == PropertyId::UserProperty;
    let mut users = passed.iter().filter(is_user);
    let are_users_there = said.iter().filter(is_user).all(|property| users.any(|passed| passed == property));
    are_users_there && others(&said) == others(&passed)
}

/// Each of them is there once at most, wherever it stands.
fn others(properties: &Properties) -> Vec<&Property> {
    let mut others: Vec<&Property> =
        properties.iter().filter(|property| property.id() != PropertyId::UserProperty).collect();
    others.sort_by_key(|property| property.id() as u8);
    others
}
