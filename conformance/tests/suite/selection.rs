//! Which tests a command line picks.

use std::collections::BTreeSet;

use squall_codec::version::Version;
use squall_conformance::select::{Filter, Grade, Selection, Tag, begins};

#[test]
fn a_prefix_ends_where_a_number_ends() {
    assert!(begins("MQTT-3.1.2-24", "MQTT-3.1"));
    assert!(begins("MQTT-3.1.2-24", "MQTT-3.1.2-24"));
    assert!(begins("MQTT-3.1.2-24", "MQTT-3.1.2-"));
    assert!(!begins("MQTT-3.10.1-1", "MQTT-3.1"));
    assert!(!begins("MQTT-3.1.2-24", "MQTT-3.1.2-2"));
}

fn both(filter: &str) -> Selection {
    let filters = vec![filter.parse().expect("any word is a filter")];
    Selection { versions: vec![Version::V3_1_1, Version::V5_0], filters, ..Selection::default() }
}

#[test]
fn a_filter_is_an_id_or_free_text() {
    let parse = |text: &str| text.parse::<Filter>().expect("any word is a filter");
    for (one, same) in
        [("mqtt-3.1", "MQTT-3.1"), ("second_connect", "Second Connect"), ("5.0/mqtt-3.3", "5.0/MQTT-3.3")]
    {
        assert_eq!(parse(one), parse(same));
    }
    assert_ne!(parse("5.0/MQTT-3.3"), parse("MQTT-3.3"));
    assert_eq!(parse("mqtt-3.1").to_string(), "MQTT-3.1");
    assert_eq!(parse("5.0/MQTT-3.3").to_string(), "5.0/MQTT-3.3");
    assert_eq!(parse("second_connect").to_string(), "second connect");
    let five = both("5.0/MQTT-3.3").tests().expect("there are some");
    assert!(five.iter().all(|planned| planned.version == Version::V5_0));
    assert!(five.iter().all(|planned| planned.statements().any(|(key, _)| key.id.starts_with("MQTT-3.3"))));
    let words = both("second_connect").tests().expect("there are some");
    assert!(words.iter().any(|planned| planned.test.name.contains("second_connect")));
}

#[test]
fn a_filter_that_takes_nothing_says_why() {
    let complaint = |filter| both(filter).tests().expect_err("nothing matches");
    assert!(complaint("MQTT-9.9.9-1").contains("the nearest are MQTT-"));
    assert!(complaint("3.1.1/MQTT-4.8.0-2").contains("not observable"));
    assert_eq!(complaint("no such words anywhere"), "no test matches 'no such words anywhere'");
}

#[test]
fn sections_grades_and_tags_narrow_the_choice_together() {
    let both = Selection { versions: vec![Version::V3_1_1, Version::V5_0], slow: true, ..Selection::default() };
    let names = |selection: &Selection| -> BTreeSet<_> {
        let tests = selection.tests().expect("some are left");
        tests.into_iter().map(|planned| planned.number).collect()
    };
    let all = names(&both);
    let connect = names(&Selection { sections: vec!["3.1".to_owned()], ..both.clone() });
    let should = names(&Selection { grades: vec![Grade::Should], ..both.clone() });
    let timed = names(&Selection { tags: vec![Tag::Time], ..both.clone() });
    for part in [&connect, &should, &timed] {
        assert!(!part.is_empty() && part.len() < all.len());
    }
    let together = Selection { sections: vec!["3.1".to_owned()], tags: vec![Tag::Time], ..both.clone() };
    assert_eq!(names(&together), connect.intersection(&timed).copied().collect());
    let nowhere = Selection { sections: vec!["9.9".to_owned()], ..both };
    assert!(nowhere.tests().expect_err("no such section").contains("no test has all that was asked for"));
}
