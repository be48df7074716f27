//! A session as the server has to have it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
    time::Duration,
};

use squall_codec::{
    packet::{Packet, Publish, SubscriptionOptions},
    qos::Qos,
    topic::TopicFilter,
    version::Version,
    wire::PacketId,
};

use super::{message::ByKey, will::Will};
use crate::invariants::exchanges::Exchanges;

/// A Session Expiry Interval from here on is longer than storms with their calms.
const LASTING_SECONDS: u32 = 300;

/// Whether the server has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It has none.
    None,
    /// It has one.
    Here,
    /// It has one until the first moment at least, and none from the second one on.
    Until(Duration, Duration),
}

/// A session, by its Client Identifier.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) name: Rc<str>,
    pub(super) life: Life,
    /// When the one before ended, and how.
    pub(super) ended: Option<(Duration, &'static str)>,
    /// The connection that has it.
    pub(super) line: Option<usize>,
    /// Session Expiry Interval in seconds.
    pub(super) expiry: u32,
    /// The longest that it had on its last connection: DISCONNECT may have changed it, and a crash may have lost that.
    pub(super) longest: u32,
    /// And the shortest.
    pub(super) shortest: u32,
    pub(super) ghost: Option<Ghost>,
    pub(super) subscriptions: Vec<Subscribed>,
    /// Every filter that it was asked for.
    pub(super) ever: Vec<TopicFilter>,
    /// What the server has to send, in the order in which it came.
    pub(super) owed: VecDeque<Owed>,
    /// Copies beyond the first, where several filters match.
    pub(super) copies: VecDeque<Owed>,
    /// QoS 1 and 2 messages that the server has begun to send.
    pub(super) sending: Vec<Sending>,
    /// Those that were completed shortly before a crash: it may have forgotten that.
    pub(super) perhaps_sending: Vec<Sending>,
    /// Completed lately, and when.
    pub(super) lately: VecDeque<(Duration, Sending)>,
    /// Packet identifiers of QoS 2 messages that the server has and that were not released.
    pub(super) received: BTreeSet<PacketId>,
    /// Those that nobody was told of before a crash, with their messages: the server has them, or takes them for new ones.
    pub(super) perhaps_received: BTreeMap<PacketId, Option<usize>>,
    /// QoS 2 messages whose connection has ended before PUBREC, and when.
    pub(super) unanswered: Vec<(Duration, PacketId, Option<usize>)>,
    /// How often it has come to its end.
    pub(super) ends: u32,
    pub(super) will: Option<Will>,
    /// The will that DISCONNECT has discarded, and when.
    pub(super) discarded_will: Option<(Duration, Will)>,
    /// The smallest Maximum Packet Size of its connections.
    pub(super) smallest: Option<u32>,
    /// Which of the clients had it last. Two of one name know nothing of each other's identifiers.
    pub(super) client: Option<usize>,
    /// More than one client has had it, under the same Client Identifier.
    pub(super) was_anothers: bool,
    /// What the client has open towards the server.
    pub(super) from_client: Exchanges,
    /// The server has gone down since it began.
    pub(super) was_cut: bool,
    /// How often the server has sent each message in this session for the first time, by QoS: as often may the client hand it over.
    pub(super) first_sent: ByKey<u64, [u32; 3]>,
}

/// A subscription.
#[derive(Clone, Debug)]
pub(super) struct Subscribed {
    pub(super) filter: TopicFilter,
    pub(super) options: SubscriptionOptions,
    pub(super) identifier: Option<u32>,
    /// What it was before each SUBSCRIBE that was not answered yet.
    pub(super) before: Vec<(SubscriptionOptions, Option<u32>)>,
    /// SUBACK has granted it.
    pub(super) is_sure: bool,
    /// SUBACK has to grant it, and the server has it from SUBSCRIBE on.
    pub(super) is_expected: bool,
    /// A crash has left open whether it is still there, and as this.
    pub(super) is_going: bool,
    /// UNSUBSCRIBE came and was not answered yet.
    pub(super) is_gone: bool,
    /// The same, and the server's store may not keep it: then it is refused, without an answer.
    pub(super) is_perhaps_gone: bool,
}

/// Why a message is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It was published.
    Live,
    /// It was retained when SUBSCRIBE came.
    Retained,
}

/// A message on its way to a session, before it is sent for the first time.
#[derive(Clone, Debug)]
pub(super) struct Owed {
    pub(super) message: usize,
    pub(super) why: Why,
    /// The highest that the matching subscriptions allow.
    pub(super) qos: Qos,
    /// The highest of those that are there for certain: the one copy that has to come has at least this.
    pub(super) main_qos: Qos,
    /// The lowest that one of them allows.
    pub(super) least_qos: Qos,
    /// It has to come; otherwise it may.
    pub(super) is_due: bool,
    /// Filters that match.
    pub(super) filters: usize,
    /// Further copies that may come: one for each filter beyond the first.
    pub(super) more: usize,
    /// RETAIN may be 0, may be 1.
    pub(super) retain: [bool; 2],
    /// Subscription Identifiers of the filters that match.
    pub(super) identifiers: Vec<u32>,
    /// Which of them it has to have depends on what a crash has left.
    pub(super) is_vague: bool,
    /// One that was published later on the same line has been sent.
    pub(super) is_passed: bool,
    /// The connection on which it has to leave, if it cannot wait for another: QoS 0.
    pub(super) only_on: Option<usize>,
}

/// A QoS 1 or 2 message that the server has begun to send.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    pub(super) id: PacketId,
    pub(super) message: usize,
    pub(super) qos: Qos,
    /// QoS 2: PUBREC has come.
    pub(super) is_received: bool,
    /// QoS 2: PUBREL has left.
    pub(super) is_released: bool,
    /// The connection on which it, or its PUBREL, was sent last.
    pub(super) line: usize,
    /// The connection on which its PUBLISH was sent last.
    pub(super) published_on: usize,
    /// Which of all that the server has sent it was first, and which it was last.
    pub(super) number: u64,
    pub(super) last_number: u64,
    /// What it was before it was sent, and when it was sent first.
    pub(super) begun: Option<(Duration, Box<Owed>)>,
    /// RETAIN and Subscription Identifiers, as it was sent first.
    pub(super) said: Option<(bool, Vec<u32>)>,
}

/// What is left of a session that a DISCONNECT has ended: a crash may bring it back.
#[derive(Debug)]
pub(super) struct Ghost {
    pub(super) at: Duration,
    pub(super) subscriptions: Vec<Subscribed>,
    pub(super) owed: VecDeque<Owed>,
    pub(super) sending: Vec<Sending>,
}

impl Sending {
    pub(super) fn new(
        id: PacketId,
        message: usize,
        qos: Qos,
        (line, number): (usize, u64),
        begun: Option<(Duration, Box<Owed>)>,
    ) -> Self {
        Sending {
            id,
            message,
            qos,
            is_received: false,
            is_released: false,
            line,
            published_on: line,
            number,
            last_number: number,
            begun,
            said: None,
        }
    }
}

impl Owed {
    /// What was just sent, as it was sent.
    pub(super) fn as_sent(message: usize, publish: &Publish) -> Self {
        Owed {
            message,
            why: Why::Live,
            qos: publish.qos,
            main_qos: publish.qos,
            least_qos: publish.qos,
            is_due: false,
            filters: 1,
            more: 0,
            retain: [true; 2],
            identifiers: publish.subscription_identifiers.clone(),
            is_vague: false,
            is_passed: false,
            only_on: None,
        }
    }

    /// The one copy that has to come may come at QoS 0, which waits for nobody.
    pub(super) fn may_be_lost(&self) -> bool {
        self.main_qos == Qos::AtMostOnce
    }

    /// Whether the packet that has to come is small enough for all connections that the session has had.
    pub(super) fn fits(&self, publish: &Publish, smallest: Option<u32>) -> bool {
        let Some(most) = smallest else { return true };
        let mut packet = publish.clone().at(self.qos, (self.qos > Qos::AtMostOnce).then_some(PacketId::MIN));
        packet.topic_alias = None;
        packet.subscription_identifiers.clone_from(&self.identifiers);
        Packet::Publish(packet).encoded_len(Version::V5_0) <= most as usize
    }
}

impl Subscribed {
    /// It is there, whether as this or as what it was before.
    pub(super) fn takes_room(&self) -> bool {
        (self.is_sure || self.is_expected) && !self.is_going && !self.is_gone && !self.is_perhaps_gone
    }

    /// It is there, and as this.
    pub(super) fn is_certain(&self) -> bool {
        self.is_sure && !self.is_going && !self.is_gone && !self.is_perhaps_gone
    }
}

impl Session {
    pub(super) fn new(name: Rc<str>) -> Self {
        Session {
            name,
            life: Life::None,
            ended: None,
            line: None,
            expiry: 0,
            longest: 0,
            shortest: 0,
            ghost: None,
            subscriptions: Vec::new(),
            ever: Vec::new(),
            owed: VecDeque::new(),
            copies: VecDeque::new(),
            sending: Vec::new(),
            perhaps_sending: Vec::new(),
            lately: VecDeque::new(),
            received: BTreeSet::new(),
            perhaps_received: BTreeMap::new(),
            unanswered: Vec::new(),
            ends: 0,
            will: None,
            discarded_will: None,
            smallest: None,
            client: None,
            was_anothers: false,
            from_client: Exchanges::default(),
            was_cut: false,
            first_sent: ByKey::default(),
        }
    }

    /// Nothing of it is left but its will, which has a life of its own.
    pub(super) fn clear(&mut self) {
        self.ends += 1;
        self.subscriptions.clear();
        self.ever.clear();
        self.smallest = None;
        self.owed.clear();
        self.copies.clear();
        self.sending.clear();
        self.perhaps_sending.clear();
        self.lately.clear();
        self.received.clear();
        self.perhaps_received.clear();
        self.unanswered.clear();
    }

    /// The latest of those that a crash left open with this identifier, if it is such a one. Few identifiers may have stood for
    /// several messages since then; now it stands for one, and the others are done.
    pub(super) fn take_perhaps_sending(
        &mut self,
        now: Duration,
        id: PacketId,
        is_such: impl Fn(&Sending) -> bool,
    ) -> Option<Sending> {
        let mut such = None;
        for sending in self.perhaps_sending.extract_if(.., |sending| sending.id == id) {
            let done = if is_such(&sending) { such.replace(sending) } else { Some(sending) };
            self.lately.extend(done.map(|sending| (now, sending)));
        }
        such
    }

    /// Its exchange is open, at its place in the order in which all were begun.
    pub(super) fn begins(&mut self, sending: Sending) {
        let place = self.sending.partition_point(|other| other.number < sending.number);
        self.sending.insert(place, sending);
    }

    /// What was asked for and not answered may hold after a crash, or what was there before.
    pub(super) fn loosen_subscriptions(&mut self) {
        self.loosen_subscriptions_to(|_| true);
    }

    /// The same, of those to some filters.
    pub(super) fn loosen_subscriptions_to(&mut self, is_such: impl Fn(&TopicFilter) -> bool) {
        let mut before = Vec::new();
        for subscribed in self.subscriptions.iter_mut().filter(|subscribed| is_such(&subscribed.filter)) {
            subscribed.is_going |= !subscribed.is_certain() || !subscribed.before.is_empty();
            subscribed.is_gone = false;
            subscribed.is_perhaps_gone = false;
            for (options, identifier) in std::mem::take(&mut subscribed.before) {
                before.push(Subscribed { options, identifier, is_sure: false, ..subscribed.clone() });
            }
        }
        self.subscriptions.extend(before);
    }

    /// Whether the server has it at this moment: surely, perhaps (`None`), surely not.
    pub(super) fn is_here(&self, now: Duration) -> Option<bool> {
        match self.life {
            Life::None => Some(false),
            Life::Here => Some(true),
            Life::Until(least, _) if now < least => Some(true),
            Life::Until(_, most) if now >= most => Some(false),
            Life::Until(..) => None,
        }
    }

    /// In words, when a session without a connection was to end; empty where nothing says so.
    pub(super) fn said_of_its_end(&self) -> String {
        let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
        let until = match self.life {
            Life::None => {
                return self.ended.map_or(String::new(), |(at, how)| format!(": it {how} at {}", seconds(at)));
            }
            Life::Here if self.expiry == u32::MAX => {
                return ": it is to be kept for ever, and nobody has asked for a new one".to_owned();
            }
            Life::Here => return String::new(),
            Life::Until(least, Duration::MAX) => format!("{} at the earliest", seconds(least)),
            Life::Until(least, most) => format!("{} to {}", seconds(least), seconds(most)),
        };
        format!(": without a connection it was to end at {until}, by its Session Expiry Interval of {} s", self.expiry)
    }

    /// It outlives the storm and its calm, whatever becomes of its connection.
    pub(super) fn lasts(&self) -> bool {
        self.expiry >= LASTING_SECONDS
    }

    /// How many messages above QoS 0 wait or are under way.
    pub(super) fn waiting(&self) -> usize {
        self.owed.iter().filter(|owed| owed.qos > Qos::AtMostOnce).count()
    }
}
