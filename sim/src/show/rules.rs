//! Which statements a packet touches, field by field: a table from what a packet says to the statements about it.

use squall_codec::{packet::PacketKind, version::Version};
use squall_scenarios::dissect::{Field, Value};

use crate::trace::model::Happening;

/// Who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// A client.
    Client,
    /// A server.
    Server,
    /// Both.
    Either,
}

/// One line of the table. Ids without "MQTT-".
#[derive(Debug)]
pub struct Rule {
    /// The kind of packet.
    pub packet: PacketKind,
    /// Who sends it.
    pub from: From,
    /// The field, flag or property that must be there; empty for the packet as a whole.
    pub field: &'static str,
    /// What it must say, as it is shown; empty for anything.
    pub says: &'static str,
    /// The statements of 5.0.
    pub v5: &'static [&'static str],
    /// The statements of 3.1.1.
    pub v3: &'static [&'static str],
}

macro_rules! rules {
    ($($packet:ident $from:ident $field:literal $says:literal [$($v5:literal)*] [$($v3:literal)*];)*) => {
        /// The table.
        pub const RULES: &[Rule] = &[$(Rule {
            packet: PacketKind::$packet,
            from: From::$from,
            field: $field,
            says: $says,
            v5: &[$($v5),*],
            v3: &[$($v3),*],
        },)*];
    };
}

rules! {
    Connect Client "" "" ["3.1.0-1" "3.1.0-2" "3.1.4-1"] ["3.1.0-1" "3.1.0-2" "3.1.4-1"];
    Connect Client "Protocol Name" "" ["3.1.2-1"] ["3.1.2-1"];
    Connect Client "Protocol Version" "" ["3.1.2-2"] ["3.1.2-2"];
    Connect Client "Clean Start" "1" ["3.1.2-4"] [];
    Connect Client "Clean Start" "0" ["3.1.2-5" "3.1.2-6"] [];
    Connect Client "Clean Session" "1" [] ["3.1.2-6"];
    Connect Client "Clean Session" "0" [] ["3.1.2-4" "3.1.2-5"];
    Connect Client "Will Flag" "1" ["3.1.2-7" "3.1.2-8" "3.1.2-10"] ["3.1.2-8" "3.1.2-10"];
    Connect Client "Will QoS" "" ["3.1.2-12"] ["3.1.2-14"];
    Connect Client "Will Retain" "1" ["3.1.2-15"] ["3.1.2-17"];
    Connect Client "Will Delay Interval" "" ["3.1.3-9"] [];
    Connect Client "Keep Alive" "" ["3.1.2-20" "3.1.2-22"] ["3.1.2-23" "3.1.2-24"];
    Connect Client "Session Expiry Interval" "" ["3.1.2-23" "4.1.0-2"] [];
    Connect Client "Receive Maximum" "" ["3.3.4-9"] [];
    Connect Client "Maximum Packet Size" "" ["3.1.2-24" "3.1.2-25"] [];
    Connect Client "Topic Alias Maximum" "" ["3.1.2-26"] [];
    Connect Client "Request Response Information" "" ["3.1.2-28"] [];
    Connect Client "Request Problem Information" "" ["3.1.2-29"] [];
    Connect Client "Authentication Method" "" ["3.1.2-30" "4.12.0-1"] [];
    Connect Client "Client Identifier" "" ["3.1.3-2" "3.1.4-3"] ["3.1.3-2" "3.1.4-2"];
    Connect Client "Password" "" ["3.1.2-19"] ["3.1.2-21" "3.1.2-22"];
    Connack Server "" "" ["3.2.0-1" "3.2.0-2"] ["3.2.0-1"];
    Connack Server "Session Present" "" ["3.2.2-3"] ["3.2.2-2" "3.2.2-3"];
    Connack Server "Session Present" "0" ["3.2.2-2" "3.2.2-5"] ["3.2.2-1"];
    Connack Server "Session Present" "1" ["3.2.2-4" "4.4.0-1"] ["4.4.0-1"];
    Connack Server "Reason Code" "" ["3.2.2-7" "3.2.2-8"] ["3.2.2-5"];
    Connack Server "Receive Maximum" "" ["3.3.4-7"] [];
    Connack Server "Maximum QoS" "" ["3.2.2-9" "3.2.2-11"] [];
    Connack Server "Retain Available" "" ["3.2.2-14"] [];
    Connack Server "Maximum Packet Size" "" ["3.2.2-15"] [];
    Connack Server "Assigned Client Identifier" "" ["3.2.2-16" "3.1.3-7"] [];
    Connack Server "Topic Alias Maximum" "" ["3.2.2-17"] [];
    Connack Server "Server Keep Alive" "" ["3.2.2-21"] [];
    Connack Server "Authentication Method" "" ["4.12.0-5"] [];
    Publish Either "DUP" "1" ["3.3.1-1" "4.4.0-1"] ["3.3.1-1" "4.4.0-1"];
    Publish Either "QoS" "0" ["3.3.1-2" "2.2.1-2" "4.3.1-1"] ["3.3.1-2" "2.3.1-5" "4.3.1-1"];
    Publish Either "QoS" "1" ["4.3.2-2" "4.3.2-4" "4.3.2-5"] ["4.3.2-1" "4.3.2-2"];
    Publish Either "QoS" "2" ["4.3.3-2" "4.3.3-8" "4.3.3-10"] ["4.3.3-1" "4.3.3-2"];
    Publish Either "QoS" "3" ["3.3.1-4"] ["3.3.1-4"];
    Publish Server "DUP" "" ["3.3.1-3"] ["3.3.1-3"];
    Publish Server "QoS" "" ["3.8.4-8"] ["3.8.4-6"];
    Publish Client "RETAIN" "1" ["3.3.1-5"] ["3.3.1-5"];
    Publish Client "RETAIN" "0" ["3.3.1-8"] ["3.3.1-12"];
    Publish Server "RETAIN" "1" ["3.3.1-9" "3.3.1-13"] ["3.3.1-8"];
    Publish Server "RETAIN" "0" ["3.3.1-12"] ["3.3.1-9"];
    Publish Client "Topic Name" "" ["3.3.2-2"] ["3.3.2-2"];
    Publish Server "Topic Name" "" ["3.3.2-3" "4.6.0-5"] ["3.3.2-3" "4.6.0-6"];
    Publish Client "Packet Identifier" "" ["2.2.1-3" "3.3.4-7"] ["2.3.1-1" "2.3.1-2"];
    Publish Server "Packet Identifier" "" ["2.2.1-4" "3.3.4-9"] ["2.3.1-4"];
    Publish Client "Message Expiry Interval" "" ["3.3.2-5"] [];
    Publish Server "Message Expiry Interval" "" ["3.3.2-6"] [];
    Publish Either "Topic Alias" "" ["3.3.2-7" "3.3.2-8"] [];
    Publish Client "Topic Alias" "" ["3.3.2-9"] [];
    Publish Server "Topic Alias" "" ["3.3.2-11"] [];
    Publish Client "Subscription Identifier" "" ["3.3.4-6"] [];
    Publish Server "Subscription Identifier" "" ["3.3.4-3" "3.3.4-4"] [];
    Publish Server "User Property" "" ["3.3.2-17" "3.3.2-18"] [];
    Publish Server "Payload Format Indicator" "" ["3.3.2-4"] [];
    Publish Server "Response Topic" "" ["3.3.2-15"] [];
    Publish Server "Correlation Data" "" ["3.3.2-16"] [];
    Publish Server "Content Type" "" ["3.3.2-20"] [];
    Puback Either "" "" ["4.3.2-4" "4.3.2-5"] ["4.3.2-2"];
    Puback Either "Packet Identifier" "" ["2.2.1-5"] ["2.3.1-6"];
    Puback Either "Reason Code" "" ["3.4.2-1" "4.4.0-2"] [];
    Pubrec Either "" "" ["4.3.3-8" "4.3.3-10"] ["4.3.3-2"];
    Pubrec Either "Packet Identifier" "" ["2.2.1-5"] ["2.3.1-6"];
    Pubrec Either "Reason Code" "" ["3.5.2-1" "4.3.3-9"] [];
    Pubrel Either "" "" ["4.3.3-4" "4.3.3-6"] ["4.3.3-1"];
    Pubrel Either "Reserved" "" ["3.6.1-1"] ["3.6.1-1"];
    Pubrel Either "Packet Identifier" "" ["2.2.1-5"] ["2.3.1-6"];
    Pubrel Either "Reason Code" "" ["3.6.2-1"] [];
    Pubcomp Either "" "" ["4.3.3-11" "4.3.3-12"] ["4.3.3-2"];
    Pubcomp Either "Packet Identifier" "" ["2.2.1-5"] ["2.3.1-6"];
    Pubcomp Either "Reason Code" "" ["3.7.2-1"] [];
    Subscribe Client "" "" ["3.8.4-1" "3.8.4-5"] ["3.8.4-1" "3.8.4-4"];
    Subscribe Client "Reserved" "" ["3.8.1-1"] ["3.8.1-1"];
    Subscribe Client "Packet Identifier" "" ["2.2.1-3"] ["2.3.1-1"];
    Subscribe Client "Topic Filter" "" ["3.8.4-3"] ["3.8.4-3"];
    Subscribe Client "No Local" "1" ["3.8.3-3"] [];
    Subscribe Client "Retain Handling" "0" ["3.3.1-9"] [];
    Subscribe Client "Retain Handling" "1" ["3.3.1-10"] [];
    Subscribe Client "Retain Handling" "2" ["3.3.1-11"] [];
    Subscribe Client "Retain As Published" "1" ["3.3.1-13"] [];
    Suback Server "" "" ["3.8.4-6" "3.9.3-1"] ["3.8.4-5" "3.9.3-1"];
    Suback Server "Packet Identifier" "" ["3.8.4-2"] ["3.8.4-2"];
    Suback Server "Reason Code" "" ["3.8.4-7" "3.9.3-2"] ["3.9.3-2"];
    Unsubscribe Client "" "" ["3.10.4-1" "3.10.4-4"] ["3.10.4-1" "3.10.4-4"];
    Unsubscribe Client "Reserved" "" ["3.10.1-1"] ["3.10.1-1"];
    Unsuback Server "" "" ["3.10.4-5"] ["3.10.4-5"];
    Pingreq Client "" "" ["3.1.2-20" "3.12.4-1"] ["3.1.2-23" "3.12.4-1"];
    Pingresp Server "" "" ["3.12.4-1"] ["3.12.4-1"];
    Disconnect Client "" "" ["3.14.4-1" "3.14.4-2"] ["3.14.4-1" "3.14.4-2" "3.14.4-3"];
    Disconnect Client "Reason Code" "" ["3.14.2-1"] [];
    Disconnect Server "" "" ["3.14.0-1" "3.14.4-1"] [];
    Disconnect Server "Reason Code" "0x8E Session taken over" ["3.1.4-3"] [];
    Disconnect Server "Reason Code" "0x8D Keep Alive timeout" ["3.1.2-22"] [];
    Auth Either "" "" ["4.12.0-5"] [];
    Auth Either "Reason Code" "" ["3.15.2-1"] [];
    Auth Client "Reason Code" "0x19 Re-authenticate" ["4.12.1-1" "4.12.1-2"] [];
}

/// A statement that a packet touches, and the field that does it; the empty one is the packet as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// The field, flag or property.
    pub field: &'static str,
    /// Version and id.
    pub key: String,
}

/// What is known of this packet, each statement once.
pub fn touched(kind: PacketKind, what: Happening, version: Version, fields: &[Field]) -> Vec<Touched> {
    let mut touched: Vec<Touched> = Vec::new();
    for rule in RULES.iter().filter(|rule| rule.packet == kind && sent_by(rule.from, what) && applies(rule, fields)) {
        let (ids, standard) = match version {
            Version::V5_0 => (rule.v5, Version::V5_0),
            // 3.1 numbers nothing; what it has in common with 3.1.1 is said there.
            Version::V3_1 | Version::V3_1_1 => (rule.v3, Version::V3_1_1),
        };
        for id in ids {
            let key = format!("{standard}/MQTT-{id}");
            if touched.iter().all(|known| known.key != key) {
                touched.push(Touched { field: rule.field, key });
            }
        }
    }
    touched
}

fn sent_by(from: From, what: Happening) -> bool {
    match from {
        From::Either => true,
        From::Client => what == Happening::Sent,
        From::Server => what == Happening::Received,
    }
}

fn applies(rule: &Rule, fields: &[Field]) -> bool {
    let says = |value: &str| rule.says.is_empty() || rule.says == value;
    rule.field.is_empty()
        || fields.iter().any(|field| match &field.value {
            Value::Flags(flags) => flags.iter().any(|flag| flag.name == rule.field && says(&flag.value.to_string())),
            value => field.name == rule.field && says(&value.to_string()),
        })
}
