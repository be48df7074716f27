//! Who may do what: publish to a topic, subscribe to a filter, receive a message. Data and its matching, no file.
//!
//! Without rules everything is allowed. With rules everything is denied that no rule allows, and what a rule denies stays
//! denied whatever the others say. A subscription is allowed where one rule covers *all* that it could bring: who may read
//! `a/+` may not subscribe to `a/#`. A rule that denies a part of it refuses it only if it denies all of it; the messages
//! themselves are judged one by one. So whoever may *subscribe* to `#` and *receive* little is granted the subscription and
//! gets that little.

use std::collections::BTreeMap;

use squall_codec::{
    topic::{TopicError, TopicFilter},
    wire::Text,
};

use super::acl_tree::{Found, Tree};

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

/// A set of actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions(pub(super) u8);

impl Actions {
    /// `Action::Publish` alone.
    pub const PUBLISH: Actions = Actions(1);
    /// `Action::Subscribe` alone.
    pub const SUBSCRIBE: Actions = Actions(2);
    /// `Action::Receive` alone.
    pub const RECEIVE: Actions = Actions(4);
    /// To subscribe and to receive.
    pub const READ: Actions = Actions(2 | 4);
    /// To publish.
    pub const WRITE: Actions = Actions::PUBLISH;
    /// All of them.
    pub const READ_WRITE: Actions = Actions(1 | 2 | 4);

    /// Whether the action is one of them.
    pub fn contains(self, action: Action) -> bool {
        let Actions(one) = match action {
            Action::Publish => Actions::PUBLISH,
            Action::Subscribe => Actions::SUBSCRIBE,
            Action::Receive => Actions::RECEIVE,
        };
        self.0 & one != 0
    }
}

/// Whom a rule concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Every client.
    Everybody,
    /// Clients without a user name.
    Anonymous,
    /// Clients of this user.
    User(Text),
    /// The client with this Client Identifier, whoever its user is.
    Client(Text),
}

/// What a rule does with its actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are allowed, unless another rule denies them.
    Allow,
    /// They are denied.
    Deny,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whom it concerns.
    pub whom: Whom,
    /// What it does.
    pub verdict: Verdict,
    /// With which actions.
    pub actions: Actions,
    /// On which topics.
    pub filter: RuleFilter,
}

/// The topics of a rule: a Topic Filter, in which names of the client may have to be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFilter {
    pub(super) levels: Vec<Level>,
}

/// One level of a `RuleFilter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// This text.
    Literal(Box<str>),
    /// `+`
    Single,
    /// `#`
    Multi,
    /// Texts and names of the client, one behind the other.
    Template(Vec<Part>),
}

/// A part of a `Level::Template`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// This text.
    Literal(Box<str>),
    /// `%c`: the Client Identifier.
    ClientId,
    /// `%u`: the user's name.
    User,
}

/// Why a text is no `RuleFilter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleFilterError {
    /// It is no Topic Filter.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// Rules speak of the filter inside.
    #[error("is a shared subscription, which is judged by the filter behind '$share/{{ShareName}}/'")]
    Shared,
    /// More levels than any rule needs.
    #[error("has more than {RULE_LEVELS} levels")]
    TooDeep,
}

/// Levels that the filter of a rule may have.
pub const RULE_LEVELS: usize = 128;

impl RuleFilter {
    /// A Topic Filter as it stands, `%c` and `%u` included.
    ///
    /// # Errors
    /// When it is no Topic Filter, shared, or too deep.
    pub fn literal(text: &str) -> Result<Self, RuleFilterError> {
        RuleFilter::new(text, |level| Level::Literal(level.into()))
    }

    /// A Topic Filter in which `%c` stands for the Client Identifier and `%u` for the user's name, also within a level.
    ///
    /// A name with `/`, `+` or `#` in it, or one that would make the filter begin with `$`, is never filled in: it could
    /// widen the rule. For such a client a rule that allows does not exist, and a rule that denies does so from that
    /// level on. For a client without a user name rules with `%u` do not exist.
    ///
    /// # Errors
    /// When it is no Topic Filter, shared, or too deep.
    pub fn pattern(text: &str) -> Result<Self, RuleFilterError> {
        RuleFilter::new(text, |level| {
            let parts = parts(level);
            match parts.iter().any(|part| !matches!(part, Part::Literal(_))) {
                true => Level::Template(parts),
                false => Level::Literal(level.into()),
            }
        })
    }

    fn new(text: &str, plain: impl Fn(&str) -> Level) -> Result<Self, RuleFilterError> {
        let filter = TopicFilter::try_from(text)?;
        if filter.share_name().is_some() {
            return Err(RuleFilterError::Shared);
        }
        let levels: Vec<Level> = text
            .split('/')
            .map(|level| match level {
                "+" => Level::Single,
                "#" => Level::Multi,
                level => plain(level),
            })
            .collect();
        if levels.len() > RULE_LEVELS {
            return Err(RuleFilterError::TooDeep);
        }
        Ok(RuleFilter { levels })
    }
}

/// Cuts a level at its `%c` and `%u`.
fn parts(level: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = level;
    while let Some((at, part)) = ["%c", "%u"]
        .into_iter()
        .zip([Part::ClientId, Part::User])
        .filter_map(|(word, part)| Some((rest.find(word)?, part)))
        .min_by_key(|(at, _)| *at)
    {
        if at > 0 {
            parts.push(Part::Literal(rest[..at].into()));
        }
        parts.push(part);
        rest = &rest[at + 2..];
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.into()));
    }
    parts
}

/// The rules of one server. The default allows everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {
    rules: Option<Box<Rules>>,
}

/// Rules by whom they concern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rules {
    everybody: Tree,
    anonymous: Tree,
    users: BTreeMap<Text, Tree>,
    clients: BTreeMap<Text, Tree>,
}

impl Acl {
    /// Allows what these rules allow; where there is none, nothing.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let mut sorted = Rules::default();
        for Rule { whom, verdict, actions, filter } in rules {
            let tree = match whom {
                Whom::Everybody => &mut sorted.everybody,
                Whom::Anonymous => &mut sorted.anonymous,
                Whom::User(name) => sorted.users.entry(name).or_default(),
                Whom::Client(client_id) => sorted.clients.entry(client_id).or_default(),
            };
            tree.insert(filter.levels, verdict, actions);
        }
        Acl { rules: Some(Box::new(sorted)) }
    }

    /// Whether everything is allowed: nobody needs to ask.
    pub fn is_open(&self) -> bool {
        self.rules.is_none()
    }

    /// Whether `subject` may do this with a topic, or with a Topic Filter.
    ///
    /// A Shared Subscription is judged by its filter, with `$share/{ShareName}/` in front or without. Wildcards at the
    /// first level of a rule say nothing of topics that begin with `$`, as in section 4.7.2: `$SYS` needs rules of its own.
    pub fn allows(&self, subject: Subject<'_>, action: Action, topic: &str) -> bool {
        let Some(rules) = &self.rules else { return true };
        let topic = match action {
            Action::Subscribe => without_share(topic),
            Action::Publish | Action::Receive => topic,
        };
        let mut found = Found::default();
        rules.everybody.gather(subject, topic, &mut found);
        let by_name = match subject.user {
            None => Some(&rules.anonymous),
            Some(name) => rules.users.get(name),
        };
        if let Some(tree) = by_name {
            tree.gather(subject, topic, &mut found);
        }
        if let Some(tree) = rules.clients.get(subject.client_id) {
            tree.gather(subject, topic, &mut found);
        }
        found.allowed.contains(action) && !found.denied.contains(action)
    }
}

/// The filter of a Shared Subscription; other filters as they are.
fn without_share(filter: &str) -> &str {
    let shared = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    shared.map_or(filter, |(_, filter)| filter)
}

/// Whether clients may publish to this topic, whatever the rules are.
///
/// Section 4.7.2: the server SHOULD keep clients from using `$` topics among themselves. `$SYS` is the server's own;
/// other prefixes are left to those who use them.
pub(super) fn is_writable(topic: &str) -> bool {
    topic != "$SYS" && !topic.starts_with("$SYS/")
}
