//! What of YAML a script may use, and what is said of the rest.

use squall_scenarios::script::Script;

fn title_of(text: &str) -> String {
    match Script::parse("test.yaml", text) {
        Ok(script) => script.title().to_owned(),
        Err(error) => panic!("{error}\n\nin:\n{text}"),
    }
}

/// Line, column and sentence.
fn refused(text: &str) -> String {
    let error = Script::parse("test.yaml", text).expect_err("this is no script");
    let place = error.place.expect("it has a place");
    format!("{}:{}: {}", place.line, place.column, error.message)
}

const REST: &str = "actors: { alice: peer }\nsteps: [ { alice: { connect: {} } } ]\n";

fn titled(title: &str) -> String {
    format!("title: {title}\n{REST}")
}

#[test]
fn a_text_may_stand_in_any_quotes_and_over_many_lines() {
    for (written, read) in [
        ("plain words", "plain words"),
        ("5.0", "5.0"),
        ("'it''s'", "it's"),
        ("\"a \\\"b\\\"\"", "a \"b\""),
        ("\"null\"", "null"),
        ("!!str null", "null"),
        ("two\n  lines", "two lines"),
        (">\n  folded\n  lines\n", "folded lines\n"),
    ] {
        assert_eq!(title_of(&titled(written)), read, "{written}");
    }
}

#[test]
fn an_alias_repeats_what_it_stands_for() {
    let told = |step: &str| {
        let steps =
            format!("  - &first {{ alice: {{ connect: {{}} }} }}\n  - {{ alice: &bye {{ close: fin }} }}\n{step}");
        format!("title: t\nactors: {{ alice: peer }}\nsteps:\n{steps}")
    };
    assert_eq!(title_of(&told("  - *first\n  - { alice: *bye }\n")), "t");
    let error = refused(&told("  - { zoe: *bye }\n"));
    assert_eq!(error, "6:7: unknown actor 'zoe', expected one of alice");
}

#[test]
fn numbers_and_truths_are_written_as_people_do() {
    let with = |settings: &str| format!("broker: {{ {settings} }}\n{}", titled("t"));
    let script = |settings: &str| Script::parse("test.yaml", &with(settings)).unwrap_or_else(|error| panic!("{error}"));
    for (written, size) in [("1000", 1000), ("1_000", 1000), ("0x3E8", 1000), ("+7", 7), ("0b101", 5), ("\"12\"", 12)] {
        let read = script(&format!("maximum_packet_size: {written}"));
        assert_eq!(read.settings().maximum_packet_size, Some(size), "{written}");
    }
    for wrong in ["-1", "1.5", "010", "0x", "1__0", "4294967296", "few", "{}", "[]"] {
        let error = refused(&with(&format!("maximum_packet_size: {wrong}")));
        assert!(error.contains("expected a whole number") || error.contains("expected one value"), "{wrong}: {error}");
    }
    assert_eq!(refused(&with("receive_maximum: 65536")), "1:28: expected a whole number from 0 to 65535");
    for (written, truth) in [("true", true), ("yes", true), ("off", false), ("False", false)] {
        assert_eq!(script(&format!("anonymous: {written}")).settings().anonymous, Some(truth), "{written}");
    }
    assert_eq!(script("anonymous: ~").settings().anonymous, None, "what is null was not said");
}

#[test]
fn what_is_no_script_is_told_where_it_stands() {
    for (text, sentence) in [
        (titled("~"), "1:8: expected a text: quotes make one of this"),
        (titled("[ a ]"), "1:8: expected one value, and not a list"),
        (titled("{ a: b }"), "1:10: expected one value, and not fields"),
        (titled("t") + "---\ntitle: u\n", "4:1: a file holds one document, and this is a second one"),
        (titled("*t"), "1:8: while parsing node, found unknown anchor"),
        (titled("t") + "? [ a ]\n: b\n", "4:3: expected a name in front of the colon"),
        (
            "title: t\nactors: { alice: peer }\nsteps: [ { alice: connect } ]\n".to_owned(),
            "3:19: expected fields behind this word: { word: { name: value } }",
        ),
        (
            "title: t\nactors: { alice: peer }\nsteps: [ { alice: {} } ]\n".to_owned(),
            "3:20: expected one word, and what it holds",
        ),
        ("title: t\nactors: { alice: { peer: all } }\n".to_owned(), "2:26: this word holds nothing"),
        ("title: t\nactors: { alice: [ peer ] }\n".to_owned(), "2:18: expected one word, and not a list"),
    ] {
        assert_eq!(refused(&text), sentence, "{text}");
    }
}

/// Ten lists of ten times what stands before them would be ten thousand million values.
#[test]
fn neither_depth_nor_aliases_exhaust_the_machine() {
    let mut bomb = "title: t\nabout_0: &a0 [ x, x, x, x, x, x, x, x, x, x ]\n".to_owned();
    for level in 1..10 {
        let of = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("about_{level}: &a{level} [ {of} ]\n");
    }
    assert!(refused(&bomb).contains("with all that its aliases stand for this is more than 1048576 values"));
    for (open, close) in [("[", "]"), ("{ a: ", "}")] {
        let deep = titled(&(open.repeat(65) + &close.repeat(65)));
        assert!(refused(&deep).contains("this stands inside more than 64 others"), "{}", refused(&deep));
        let deepest = open.repeat(100_000);
        assert!(!refused(&titled(&deepest)).is_empty());
    }
}
