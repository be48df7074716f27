//! Who may do what: publish to a topic, subscribe to a filter, receive a message. Data and its matching, no file.

use squall_codec::wire::Text;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a message to a topic; also a will, when it is due.
    Publish,
    /// Subscribe to a Topic Filter.
    Subscribe,
    /// Be sent a message of a topic.
    Receive,
}

/// Who wants to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// As the authenticator named them; `None` is anonymous.
    pub user: Option<&'a Text>,
    /// Client Identifier.
    pub client_id: &'a Text,
}

/// The rules of one server. The default allows everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {}

impl Acl {
    /// Whether there is no rule at all: nobody needs to ask.
    pub fn is_open(&self) -> bool {
        true
    }

    /// Whether `subject` may do this with a topic, or with a Topic Filter.
    pub fn allows(&self, _subject: Subject<'_>, _action: Action, _topic: &str) -> bool {
        self.is_open()
    }
}

/// Whether clients may publish to this topic, whatever the rules are.
///
/// Section 4.7.2: the server SHOULD keep clients from using `$` topics among themselves. `$SYS` is the server's own;
/// other prefixes are left to those who use them.
pub(super) fn is_writable(topic: &str) -> bool {
    topic != "$SYS" && !topic.starts_with("$SYS/")
}
