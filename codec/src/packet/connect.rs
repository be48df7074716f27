//! CONNECT (section 3.1): one shared block of bytes with offsets.

mod layout;

use std::fmt;

use bytes::{Buf, Bytes};

use crate::{
    error::{DecodeError, EncodeError},
    property::{Properties, PropertiesView, Property},
    qos::Qos,
    topic::TopicName,
    version::Version,
    wire::{Keep, Text, TextView, Writer},
};
pub(super) use layout::decode_version;
use layout::{Layout, Parts, begins, block, check_binary};

/// The first packet of a connection. What stands behind its Keep Alive is kept as it stands on the wire, all of it checked:
/// each field is read there, and what is set is written there.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// Clean Start (before 5.0: Clean Session).
    pub clean_start: bool,
    /// Seconds; 0 switches it off.
    pub keep_alive: u16,
    layout: Layout,
    rest: Bytes,
    /// What was set and cannot be written.
    refused: Vec<(Part, EncodeError)>,
}

/// The Will Message as CONNECT carries it (sections 3.1.2.5 and 3.1.3.2 to 3.1.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Will QoS.
    pub qos: Qos,
    /// Will Retain.
    pub retain: bool,
    /// Will Topic.
    pub topic: TopicName,
    /// Will Payload (before 5.0: Will Message).
    pub payload: Bytes,
    /// Will Properties; empty before 5.0.
    pub properties: Properties,
}

/// A CONNECT that borrows from the buffer it lies in: as strictly checked, nothing copied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ConnectView<'a> {
    /// Clean Start (before 5.0: Clean Session).
    pub clean_start: bool,
    /// Seconds; 0 switches it off.
    pub keep_alive: u16,
    layout: Layout,
    rest: &'a [u8],
}

/// The Will Message of a CONNECT, where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WillView<'a> {
    /// Will QoS.
    pub qos: Qos,
    /// Will Retain.
    pub retain: bool,
    /// Will Topic.
    pub topic: TextView<'a>,
    /// Will Payload (before 5.0: Will Message).
    pub payload: &'a [u8],
    /// Will Properties; empty before 5.0.
    pub properties: PropertiesView<'a>,
}

/// What may be too long for the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Properties,
    Will,
    Password,
}

impl Connect {
    /// A CONNECT with Clean Start 1, Keep Alive 0, no will and no credentials.
    pub fn new(version: Version, client_id: Text) -> Self {
        let (rest, layout) = Parts { client_id: client_id.as_bytes(), ..Parts::default() }.written(version);
        Connect { clean_start: true, keep_alive: 0, layout, rest, refused: Vec::new() }
    }

    /// Decodes a whole frame of this version whose body begins at an offset.
    #[inline(always)]
    pub(crate) fn decode(version: Version, mut frame: Bytes, body: usize) -> Result<Self, DecodeError> {
        let (clean_start, keep_alive, layout) = Layout::read(version, &frame, body)?;
        frame.advance(begins(version, body));
        Ok(Connect { clean_start, keep_alive, layout, rest: frame, refused: Vec::new() })
    }

    /// The same, borrowed.
    #[inline]
    pub fn view(&self) -> ConnectView<'_> {
        let Connect { clean_start, keep_alive, layout, .. } = *self;
        ConnectView { clean_start, keep_alive, layout, rest: &self.rest }
    }

    /// The version that this packet is written in and asks for.
    #[inline]
    pub const fn version(&self) -> Version {
        self.layout.version
    }

    /// May be empty where the version allows it.
    #[inline]
    pub fn client_id(&self) -> TextView<'_> {
        self.layout.client_id(&self.rest)
    }

    /// Empty before 5.0.
    #[inline]
    pub fn properties(&self) -> PropertiesView<'_> {
        self.layout.properties(&self.rest)
    }

    /// Published by the server when the connection ends without DISCONNECT.
    #[inline]
    pub fn will(&self) -> Option<WillView<'_>> {
        self.layout.will(&self.rest)
    }

    /// User Name.
    #[inline]
    pub fn username(&self) -> Option<TextView<'_>> {
        self.layout.username(&self.rest)
    }

    /// Password.
    #[inline]
    pub fn password(&self) -> Option<&[u8]> {
        self.layout.password(&self.rest)
    }

    /// Sets the client identifier.
    pub fn set_client_id(&mut self, client_id: Text) {
        self.write(Parts { client_id: client_id.as_bytes(), ..self.parts() }.written(self.version()));
    }

    /// Sets the properties; nobody writes them before 5.0. What is too long for the wire is refused when the packet is
    /// encoded, and so are will and password.
    pub fn set_properties(&mut self, properties: Properties) {
        let block = self.judge(Part::Properties, block(&properties)).unwrap_or_default();
        self.write(Parts { properties: &block, ..self.parts() }.written(self.version()));
    }

    /// Appends a property.
    pub fn push_property(&mut self, property: Property) {
        self.set_properties(self.properties().to_owned().with(property));
    }

    /// Sets the will.
    pub fn set_will(&mut self, will: Option<Will>) {
        let judged = match &will {
            Some(will) => check_binary(&will.payload, "the will payload").and_then(|()| block(&will.properties)),
            None => Ok(Bytes::new()),
        };
        let block = self.judge(Part::Will, judged);
        let view = will.as_ref().zip(block.as_ref()).map(|(will, block)| WillView {
            qos: will.qos,
            retain: will.retain,
            topic: TextView::checked(will.topic.text().as_bytes()),
            payload: &will.payload,
            properties: PropertiesView::new(block),
        });
        self.write(Parts { will: view, ..self.parts() }.written(self.version()));
    }

    /// Changes the will, where there is one.
    pub fn change_will(&mut self, change: impl FnOnce(&mut Will)) {
        if let Some(view) = self.will() {
            let mut will = view.to_owned();
            change(&mut will);
            self.set_will(Some(will));
        }
    }

    /// Sets the User Name.
    pub fn set_username(&mut self, username: Option<Text>) {
        let username = username.as_ref().map(|username| &**username.as_bytes());
        self.write(Parts { username, ..self.parts() }.written(self.version()));
    }

    /// Sets the password.
    pub fn set_password(&mut self, password: Option<Bytes>) {
        let fits = password.as_ref().map_or(Ok(()), |password| check_binary(password, "the password"));
        let fits = self.judge(Part::Password, fits).is_some();
        let password = password.as_deref().filter(|_| fits);
        self.write(Parts { password, ..self.parts() }.written(self.version()));
    }

    /// With this client identifier: for building a packet in one expression, as the others of this kind.
    #[must_use]
    pub fn with_client_id(mut self, client_id: Text) -> Self {
        self.set_client_id(client_id);
        self
    }

    /// With these properties.
    #[must_use]
    pub fn with_properties(mut self, properties: Properties) -> Self {
        self.set_properties(properties);
        self
    }

    /// With this will.
    #[must_use]
    pub fn with_will(mut self, will: Will) -> Self {
        self.set_will(Some(will));
        self
    }

    /// With this User Name.
    #[must_use]
    pub fn with_username(mut self, username: Text) -> Self {
        self.set_username(Some(username));
        self
    }

    /// With this password.
    #[must_use]
    pub fn with_password(mut self, password: Bytes) -> Self {
        self.set_password(Some(password));
        self
    }

    fn parts(&self) -> Parts<'_> {
        self.layout.parts(&self.rest)
    }

    fn write(&mut self, (rest, layout): (Bytes, Layout)) {
        (self.rest, self.layout) = (rest, layout);
    }

    /// Remembers what cannot be written, in place of what was there before.
    fn judge<T>(&mut self, part: Part, judged: Result<T, EncodeError>) -> Option<T> {
        self.refused.retain(|(refused, _)| *refused != part);
        judged.map_err(|error| self.refused.push((part, error))).ok()
    }

    pub(super) fn body_len(&self) -> usize {
        begins(self.version(), 0) + self.rest.len()
    }

    #[inline]
    pub(super) fn encode(&self, mut out: Writer<'_>) -> Result<(), EncodeError> {
        if let Some((_, error)) = self.refused.first() {
            return Err(error.clone());
        }
        let flags = self.layout.flags(self.clean_start);
        let [high, low] = self.keep_alive.to_be_bytes();
        match self.version() {
            Version::V3_1 => out.put([0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, flags, high, low]),
            Version::V3_1_1 => out.put([0, 4, b'M', b'Q', b'T', b'T', 4, flags, high, low]),
            Version::V5_0 => out.put([0, 4, b'M', b'Q', b'T', b'T', 5, flags, high, low]),
        }
        out.put_slice(&self.rest);
        Ok(())
    }
}

impl<'a> ConnectView<'a> {
    /// Reads a whole frame of this version whose body begins at an offset.
    #[inline]
    pub(super) fn decode(version: Version, frame: &'a [u8], body: usize) -> Result<Self, DecodeError> {
        let (clean_start, keep_alive, layout) = Layout::read(version, frame, body)?;
        Ok(ConnectView { clean_start, keep_alive, layout, rest: &frame[begins(version, body)..] })
    }

    /// As in [`Connect`].
    #[inline]
    pub const fn version(&self) -> Version {
        self.layout.version
    }

    /// May be empty where the version allows it.
    #[inline]
    pub fn client_id(&self) -> TextView<'a> {
        self.layout.client_id(self.rest)
    }

    /// Empty before 5.0.
    #[inline]
    pub fn properties(&self) -> PropertiesView<'a> {
        self.layout.properties(self.rest)
    }

    /// The Will Message.
    #[inline]
    pub fn will(&self) -> Option<WillView<'a>> {
        self.layout.will(self.rest)
    }

    /// User Name.
    #[inline]
    pub fn username(&self) -> Option<TextView<'a>> {
        self.layout.username(self.rest)
    }

    /// Password.
    #[inline]
    pub fn password(&self) -> Option<&'a [u8]> {
        self.layout.password(self.rest)
    }

    /// The same with a copy of what it borrows.
    pub fn to_owned(&self) -> Connect {
        let ConnectView { clean_start, keep_alive, layout, rest } = *self;
        Connect { clean_start, keep_alive, layout, rest: Bytes::copy_from_slice(rest), refused: Vec::new() }
    }
}

impl WillView<'_> {
    /// The same with copies of what it borrows.
    pub fn to_owned(&self) -> Will {
        Will {
            qos: self.qos,
            retain: self.retain,
            topic: TopicName::checked(self.topic.kept(Keep::Copy)),
            payload: Bytes::copy_from_slice(self.payload),
            properties: self.properties.to_owned(),
        }
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.view(), f)
    }
}

impl fmt::Debug for ConnectView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version())
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("client_id", &self.client_id())
            .field("properties", &self.properties())
            .field("will", &self.will())
            .field("username", &self.username())
            .field("password", &self.password())
            .finish()
    }
}
