//! Servers that do not let a client have the topics of its tests: who says so is not accused, who only loses messages is.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use squall_broker::{
    core::{
        HashKey,
        acl::{Acl, Actions, Rule, RuleFilter, Verdict as Rules, Whom},
    },
    net::{
        listener::ListenerOptions,
        server::{Server, ServerOptions},
    },
};
use squall_conformance::{dial::Access, report::model::Report, suite::Suite};
use squall_scenarios::verdict::Verdict;

use crate::{served::served, stubs::acknowledges_everything};

pub(crate) const TESTS: &[crate::Test] = tests![
    who_says_that_topics_are_forbidden_is_not_accused_of_losing_messages,
    who_has_other_topics_is_audited_there,
    who_takes_every_message_and_delivers_none_is_accused,
];

/// Our broker, where everybody may publish below `ours/to` alone, and read what there is.
fn strict() -> SocketAddr {
    served(|listener| async {
        let mut options = ServerOptions::new(HashKey([1, 2]), Duration::from_secs(1_800_000_000));
        let rules = [("ours/to/#", Actions::READ_WRITE), ("#", Actions::READ)].map(|(filter, actions)| {
            let filter = RuleFilter::literal(filter).expect("it is a Topic Filter");
            Rule { whom: Whom::Everybody, verdict: Rules::Allow, actions, filter }
        });
        options.config.acl = Arc::new(Acl::new(rules));
        let mut server = Server::new(options);
        server.listen(listener, ListenerOptions::named("strict"));
        server.run(std::future::pending()).await.expect("the listener accepts");
    })
}

/// A message to oneself, and one that was to wait.
const CHOSEN: [&str; 2] = ["a_publisher_gets_its_own_message", "each_subscriber_gets_a_copy_of_its_own"];

fn audit(address: SocketAddr, topics: Option<&str>, tests: &[&str]) -> Report {
    let access =
        Access { topic_root: topics.map_or_else(|| Access::default().topic_root, str::to_owned), ..Access::default() };
    let suite = Suite::new().access(access).patience(Duration::from_secs(1));
    let suite = tests.iter().fold(suite, |suite, test| suite.filter(test));
    suite.run(&address.to_string()).expect("it is reached")
}

fn verdicts(report: &Report) -> Vec<(&str, Verdict)> {
    report.tests.iter().map(|test| (&*test.version, test.verdict)).collect()
}

fn who_says_that_topics_are_forbidden_is_not_accused_of_losing_messages() {
    let report = audit(strict(), None, &CHOSEN);
    assert_eq!(report.tests.len(), 4, "{:?}", verdicts(&report));
    // Before 5.0 PUBACK has no word for it: it is enough that the server has said so in 5.0.
    assert!(verdicts(&report).iter().all(|(_, verdict)| *verdict == Verdict::Inconclusive), "{:?}", verdicts(&report));
    let [note] = &report.run.notes[..] else { panic!("{:?}", report.run.notes) };
    assert!(note.contains("Not authorized") && note.contains("--topic-prefix"), "{note}");
    assert_eq!(report.exit_status(), 2, "nothing was found out");
}

fn who_has_other_topics_is_audited_there() {
    let beyond = "a_single_level_wildcard_matches_one_level";
    let report = audit(strict(), Some("ours/to"), &[CHOSEN[0], CHOSEN[1], "every_wildcard_finds", beyond]);
    assert!(report.run.notes.is_empty(), "{:?}", report.run.notes);
    for test in &report.tests {
        let topics = test.transcript.iter().filter(|line| line.summary.contains("squall/")).count();
        assert_eq!(topics, 0, "{test:#?}");
        let expected = if test.name == beyond { Verdict::Unsupported } else { Verdict::Pass };
        assert_eq!(test.verdict, expected, "{} {}: {:?}", test.version, test.name, test.reason);
    }
}

fn who_takes_every_message_and_delivers_none_is_accused() {
    let report = audit(acknowledges_everything(false), None, &CHOSEN[..1]);
    assert_eq!(report.tests.len(), 2);
    assert!(verdicts(&report).iter().all(|(_, verdict)| *verdict == Verdict::Fail), "{:?}", verdicts(&report));
    let [note] = &report.run.notes[..] else { panic!("{:?}", report.run.notes) };
    assert!(note.contains("was taken and did not come"), "{note}");
    assert_eq!(report.exit_status(), 1);
}
