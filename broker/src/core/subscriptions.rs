//! The filter tree (section 4.7): which subscriptions does a topic match?
//!
//! Nodes stand in one vector and are walked with an explicit stack: a filter may have 65,535 levels, and neither
//! matching nor dropping may recurse that deep.

use std::collections::BTreeMap;

use squall_codec::{packet::SubscriptionOptions, topic::TopicFilter};

use super::{
    hash::{HashKey, Map},
    session::SessionKey,
    shared::{Fitness, Share},
};

/// One subscription of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subscribed {
    /// As granted.
    pub(super) options: SubscriptionOptions,
    /// Subscription Identifier.
    pub(super) identifier: Option<u32>,
}

/// A subscription that a topic matches.
#[derive(Debug)]
pub(super) struct Match {
    /// Whose.
    pub(super) session: SessionKey,
    /// Which.
    pub(super) subscribed: Subscribed,
    /// The share that chose this session, if the subscription is shared.
    pub(super) share: Option<TopicFilter>,
}

/// The tree would have too many levels.
#[derive(Debug)]
pub(super) struct Full;

#[derive(Debug)]
struct Node {
    children: Map<Box<str>, u32>,
    /// The child of level `+`.
    single: Option<u32>,
    /// The child of level `#`.
    multi: Option<u32>,
    plain: BTreeMap<SessionKey, Subscribed>,
    shares: Vec<Share>,
}

/// All subscriptions of all sessions.
#[derive(Debug)]
pub(super) struct Subscriptions {
    key: HashKey,
    nodes: Vec<Node>,
    free: Vec<u32>,
    count: usize,
    shared: usize,
    filter_bytes: usize,
    /// Room for the walk of one topic, kept from one to the next: nodes, and where in the topic the level below begins; `None`
    /// when all are matched.
    walk: Vec<(u32, Option<usize>)>,
}

const ROOT: u32 = 0;

impl Node {
    fn new(key: HashKey) -> Self {
        Node { children: Map::with_hasher(key), single: None, multi: None, plain: BTreeMap::new(), shares: Vec::new() }
    }

    fn child(&self, level: &str) -> Option<u32> {
        match level {
            "+" => self.single,
            "#" => self.multi,
            literal => self.children.get(literal).copied(),
        }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty()
            && self.single.is_none()
            && self.multi.is_none()
            && self.plain.is_empty()
            && self.shares.is_empty()
    }
}

impl Subscriptions {
    /// No subscriptions.
    pub(super) fn new(key: HashKey) -> Self {
        Subscriptions {
            key,
            nodes: vec![Node::new(key)],
            free: Vec::new(),
            count: 0,
            shared: 0,
            filter_bytes: 0,
            walk: Vec::new(),
        }
    }

    /// How many subscriptions.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Those of them that are shared.
    pub(super) fn shared(&self) -> usize {
        self.shared
    }

    /// Bytes of the filters of all subscriptions.
    pub(super) fn filter_bytes(&self) -> usize {
        self.filter_bytes
    }

    /// Levels of all different filters.
    pub(super) fn levels(&self) -> usize {
        self.nodes.len() - self.free.len() - 1
    }

    /// Adds a subscription or replaces the one with the identical filter ([MQTT-3.8.4-3]): whether there was one.
    pub(super) fn insert(
        &mut self,
        session: SessionKey,
        filter: &TopicFilter,
        subscribed: Subscribed,
        maximum_levels: usize,
    ) -> Result<bool, Full> {
        let node = match self.path(filter.filter()) {
            Some(path) => path[path.len() - 1],
            None if self.levels() + filter.filter().split('/').count() > maximum_levels => return Err(Full),
            None => self.grow(filter.filter()),
        };
        let node = &mut self.nodes[node as usize];
        let existed = if filter.share_name().is_none() {
            node.plain.insert(session, subscribed).is_some()
        } else {
            let at = node.shares.iter().position(|share| share.filter() == filter).unwrap_or_else(|| {
                node.shares.push(Share::new(filter.clone()));
                node.shares.len() - 1
            });
            node.shares[at].insert(session, subscribed)
        };
        if !existed {
            self.count += 1;
            self.shared += usize::from(filter.share_name().is_some());
            self.filter_bytes += filter.as_str().len();
        }
        Ok(existed)
    }

    /// The session's subscription with this very filter.
    pub(super) fn get(&self, session: SessionKey, filter: &TopicFilter) -> Option<Subscribed> {
        let path = self.path(filter.filter())?;
        let node = &self.nodes[path[path.len() - 1] as usize];
        match filter.share_name() {
            None => node.plain.get(&session).copied(),
            Some(_) => node.shares.iter().find(|share| share.filter() == filter)?.get(session),
        }
    }

    /// Takes the subscription with this very filter out ([MQTT-3.10.4-1]): whether there was one.
    pub(super) fn remove(&mut self, session: SessionKey, filter: &TopicFilter) -> bool {
        let Some(path) = self.path(filter.filter()) else { return false };
        let node = &mut self.nodes[path[path.len() - 1] as usize];
        let existed = if filter.share_name().is_none() {
            node.plain.remove(&session).is_some()
        } else {
            let existed = node
                .shares
                .iter_mut()
                .find(|share| share.filter() == filter)
                .is_some_and(|share| share.remove(session));
            node.shares.retain(|share| !share.is_empty());
            existed
        };
        if existed {
            self.count -= 1;
            self.shared -= usize::from(filter.share_name().is_some());
            self.filter_bytes -= filter.as_str().len();
        }
        self.prune(&path, filter.filter());
        existed
    }

    /// Appends every subscription that the topic matches ([MQTT-3.3.2-3]), byte by byte ([MQTT-4.7.3-4]). Each share chooses one of its members.
    pub(super) fn matching(&mut self, topic: &str, fitness: impl Fn(SessionKey) -> Fitness, found: &mut Vec<Match>) {
        // [MQTT-4.7.2-1] A leading wildcard does not match a topic that begins with '$'.
        let hidden = topic.starts_with('$');
        let mut walk = std::mem::take(&mut self.walk);
        walk.push((ROOT, Some(0)));
        while let Some((at, rest)) = walk.pop() {
            let node = &self.nodes[at as usize];
            let wildcards = at != ROOT || !hidden;
            let (single, multi) = (node.single.filter(|_| wildcards), node.multi.filter(|_| wildcards));
            // "sport/#" matches "sport" as well: the level '#' stands for may be none.
            if let Some(multi) = multi {
                self.take(multi, &fitness, found);
            }
            let Some(start) = rest else {
                self.take(at, &fitness, found);
                continue;
            };
            let (level, rest) = match topic.as_bytes()[start..].iter().position(|byte| *byte == b'/') {
                Some(length) => (&topic[start..start + length], Some(start + length + 1)),
                None => (&topic[start..], None),
            };
            walk.extend(single.map(|child| (child, rest)));
            walk.extend(self.nodes[at as usize].children.get(level).map(|child| (*child, rest)));
        }
        self.walk = walk;
    }

    /// The member of this share that gets a message which another member's session left behind.
    pub(super) fn choose(&mut self, share: &TopicFilter, fitness: impl Fn(SessionKey) -> Fitness) -> Option<Match> {
        let path = self.path(share.filter())?;
        let node = &mut self.nodes[path[path.len() - 1] as usize];
        let share = node.shares.iter_mut().find(|candidate| candidate.filter() == share)?;
        let (session, subscribed) = share.choose(fitness)?;
        Some(Match { session, subscribed, share: Some(share.filter().clone()) })
    }

    fn take(&mut self, at: u32, fitness: &impl Fn(SessionKey) -> Fitness, found: &mut Vec<Match>) {
        let node = &mut self.nodes[at as usize];
        found.extend(node.plain.iter().map(|(session, subscribed)| Match {
            session: *session,
            subscribed: *subscribed,
            share: None,
        }));
        for share in &mut node.shares {
            if let Some((session, subscribed)) = share.choose(fitness) {
                found.push(Match { session, subscribed, share: Some(share.filter().clone()) });
            }
        }
    }

    /// The nodes from the root to the filter's own, if it is there.
    fn path(&self, filter: &str) -> Option<Vec<u32>> {
        let mut path = vec![ROOT];
        for level in filter.split('/') {
            path.push(self.nodes[path[path.len() - 1] as usize].child(level)?);
        }
        Some(path)
    }

    /// The filter's node, with all that were missing on the way.
    fn grow(&mut self, filter: &str) -> u32 {
        let mut at = ROOT;
        for level in filter.split('/') {
            at = match self.nodes[at as usize].child(level) {
                Some(child) => child,
                None => {
                    let child = self.new_node();
                    let node = &mut self.nodes[at as usize];
                    match level {
                        "+" => node.single = Some(child),
                        "#" => node.multi = Some(child),
                        literal => {
                            node.children.insert(Box::from(literal), child);
                        }
                    }
                    child
                }
            };
        }
        at
    }

    fn new_node(&mut self) -> u32 {
        if let Some(at) = self.free.pop() {
            return at;
        }
        self.nodes.push(Node::new(self.key));
        u32::try_from(self.nodes.len() - 1).expect("the limit on filter levels keeps nodes within 32 bits")
    }

    /// Removes the nodes at the end of the path that hold nothing any more.
    fn prune(&mut self, path: &[u32], filter: &str) {
        for (depth, level) in filter.split('/').enumerate().collect::<Vec<_>>().into_iter().rev() {
            let (parent, child) = (path[depth], path[depth + 1]);
            if !self.nodes[child as usize].is_empty() {
                break;
            }
            // A fresh node, so that a map that was once large gives its memory back.
            self.nodes[child as usize] = Node::new(self.key);
            self.free.push(child);
            let parent = &mut self.nodes[parent as usize];
            match level {
                "+" => parent.single = None,
                "#" => parent.multi = None,
                literal => {
                    parent.children.remove(literal);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: usize = 1 << 20;

    fn tree(filters: &[&str]) -> Subscriptions {
        let mut tree = Subscriptions::new(HashKey([1, 2]));
        for (index, filter) in filters.iter().enumerate() {
            insert(&mut tree, index, filter);
        }
        tree
    }

    fn insert(tree: &mut Subscriptions, index: usize, filter: &str) -> bool {
        let filter = TopicFilter::try_from(filter).expect("a filter");
        let subscribed = Subscribed { options: SubscriptionOptions::default(), identifier: None };
        tree.insert(SessionKey::new(index as u32), &filter, subscribed, PLENTY).expect("room")
    }

    fn remove(tree: &mut Subscriptions, index: usize, filter: &str) -> bool {
        tree.remove(SessionKey::new(index as u32), &TopicFilter::try_from(filter).expect("a filter"))
    }

    fn matching(tree: &mut Subscriptions, topic: &str) -> Vec<u32> {
        let mut found = Vec::new();
        tree.matching(topic, |_| Fitness::Ready, &mut found);
        let mut sessions: Vec<u32> = found.iter().map(|found| found.session.index()).collect();
        sessions.sort_unstable();
        sessions
    }

    #[test]
    fn the_tree_agrees_with_matching_each_filter_alone() {
        let filters = [
            "#",
            "+",
            "/",
            "+/+",
            "/+",
            "+/",
            "a",
            "a/#",
            "a/+",
            "a/+/c",
            "a/b",
            "a/b/#",
            "+/b/#",
            "a//",
            "$SYS/#",
            "$SYS/+",
            "+/monitor",
            "/#",
            "a/+/+",
        ];
        let topics =
            ["a", "/", "a/", "a/b", "a/b/c", "a//", "/a", "$SYS/monitor", "$SYS", "a/b/c/d", "b", "$SYSx", "ab"];
        let mut tree = tree(&filters);
        for topic in topics {
            let expected: Vec<u32> = (0..filters.len() as u32)
                .filter(|index| squall_codec::topic::matches(filters[*index as usize], topic))
                .collect();
            assert_eq!(matching(&mut tree, topic), expected, "{topic}");
        }
    }

    #[test]
    fn a_removed_filter_leaves_no_levels_behind() {
        let mut tree = tree(&["a/b/c", "a/+/#", "a", "$share/g/a/b"]);
        assert_eq!((tree.len(), tree.levels()), (4, 5));
        assert!(!remove(&mut tree, 0, "a/b"));
        assert!(remove(&mut tree, 0, "a/b/c"));
        assert!(!remove(&mut tree, 0, "a/b/c"));
        assert!(remove(&mut tree, 3, "$share/g/a/b"));
        assert!(remove(&mut tree, 1, "a/+/#"));
        assert!(remove(&mut tree, 2, "a"));
        assert_eq!((tree.len(), tree.levels()), (0, 0));
    }

    #[test]
    fn the_deepest_filter_there_can_be_is_matched_and_dropped() {
        let deep = "/".repeat(65_535);
        let mut tree = tree(&[&deep]);
        assert_eq!(matching(&mut tree, &deep), [0]);
        assert!(remove(&mut tree, 0, &deep));
        assert_eq!(tree.levels(), 0);
    }

    #[test]
    fn the_bound_on_levels_holds_and_an_existing_filter_is_still_taken() {
        let mut tree = tree(&["a/b"]);
        let subscribed = Subscribed { options: SubscriptionOptions::default(), identifier: None };
        let mut insert = |filter| {
            tree.insert(SessionKey::new(9), &TopicFilter::literal(filter), subscribed, 3).map_err(|Full| "full")
        };
        assert_eq!(insert("a/b"), Ok(false));
        assert_eq!(insert("c"), Ok(false));
        assert_eq!(insert("d"), Err("full"));
    }

    #[test]
    fn each_share_gets_one_copy_and_plain_subscribers_theirs() {
        let mut tree = tree(&["$share/g/t", "$share/g/t", "$share/h/t", "t"]);
        assert_eq!(matching(&mut tree, "t"), [0, 2, 3]);
        assert_eq!(matching(&mut tree, "t"), [1, 2, 3]);
    }
}
