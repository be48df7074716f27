//! Which packets there are, who may send them, and their fixed header (section 2.1).

use std::fmt;

use crate::{reason::Side, version::Version};

macro_rules! kinds {
    ($($name:ident = $value:literal $text:literal $client:literal $server:literal $flags:literal;)*) => {
        /// One of the 15 control packet types (table 2-1).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the names are the standard's packet names")]
        #[repr(u8)]
        pub enum PacketKind {
            $($name = $value,)*
        }

        impl PacketKind {
            /// All 15, in the order of their numbers.
            pub const ALL: &[PacketKind] = &[$(PacketKind::$name),*];

            /// The type with this number (the upper four bits of a frame's first byte); AUTH only in 5.0.
            pub const fn from_number(version: Version, number: u8) -> Option<PacketKind> {
                match number {
                    15 if !version.has_properties() => None,
                    $($value => Some(PacketKind::$name),)*
                    _ => None,
                }
            }

            /// The standard's name.
            pub const fn name(self) -> &'static str {
                match self { $(PacketKind::$name => $text,)* }
            }

            /// The fixed flags in the lower four bits of the first byte; for PUBLISH they are its own.
            pub const fn fixed_flags(self) -> u8 {
                match self { $(PacketKind::$name => $flags,)* }
            }

            const fn senders(self) -> (bool, bool) {
                match self { $(PacketKind::$name => ($client, $server),)* }
            }
        }
    };
}

kinds! {
    Connect = 1 "CONNECT" true false 0;
    Connack = 2 "CONNACK" false true 0;
    Publish = 3 "PUBLISH" true true 0;
    Puback = 4 "PUBACK" true true 0;
    Pubrec = 5 "PUBREC" true true 0;
    Pubrel = 6 "PUBREL" true true 2;
    Pubcomp = 7 "PUBCOMP" true true 0;
    Subscribe = 8 "SUBSCRIBE" true false 2;
    Suback = 9 "SUBACK" false true 0;
    Unsubscribe = 10 "UNSUBSCRIBE" true false 2;
    Unsuback = 11 "UNSUBACK" false true 0;
    Pingreq = 12 "PINGREQ" true false 0;
    Pingresp = 13 "PINGRESP" false true 0;
    Disconnect = 14 "DISCONNECT" true true 0;
    Auth = 15 "AUTH" true true 0;
}

impl PacketKind {
    /// The number in the upper four bits of a frame's first byte.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether this side may send the packet in this version: before 5.0 a server sends no DISCONNECT.
    pub const fn sent_by(self, version: Version, sender: Side) -> bool {
        if matches!((self, sender), (PacketKind::Disconnect, Side::Server)) {
            return version.has_properties();
        }
        let (client, server) = self.senders();
        match sender {
            Side::Client => client,
            Side::Server => server,
        }
    }
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
