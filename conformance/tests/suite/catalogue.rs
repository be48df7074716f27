//! The catalogue, the tests that cite it, and everything else in the project that names a rule agree.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use squall_codec::version::Version;
use squall_conformance::{
    profile::Profile,
    select::all,
    statement::{Chapter, Key, catalogue},
    tally::coverage,
};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file below a folder with this extension.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn there_are_141_and_251_numbered_statements_and_147_without_a_number() {
    let numbered = |version| catalogue().of(version).filter(|(_, statement)| statement.is_numbered()).count();
    assert_eq!(numbered(Version::V3_1_1), 141);
    assert_eq!(numbered(Version::V5_0), 251);
    let without: BTreeSet<_> =
        catalogue().iter().filter(|(_, statement)| !statement.is_numbered()).map(|(key, _)| key.id).collect();
    assert_eq!(without.len(), 147);
}

#[test]
fn every_key_is_there_once() {
    let mut seen = BTreeSet::new();
    for (key, _) in catalogue().iter() {
        assert!(seen.insert(key), "{key} is there twice");
    }
}

#[test]
fn what_cannot_be_observed_says_why() {
    for (key, statement) in catalogue().iter() {
        assert!(!statement.observable.is_empty(), "{key} says nothing of how it is observed");
        if !statement.observable.iter().any(|how| how.to_string().starts_with("on the wire")) {
            assert!(statement.why_not.is_some(), "{key} cannot be observed and does not say why");
        }
    }
}

#[test]
fn every_test_cites_statements_of_its_own_version_that_a_server_can_show() {
    for planned in all() {
        let name = planned.test.name;
        assert!(!planned.test.statements.is_empty(), "{name} proves nothing");
        for text in planned.test.statements {
            let key = Key::parse(text).unwrap_or_else(|| panic!("{name}: {text} is no version and id"));
            assert_eq!(key.version, planned.section.version, "{name} stands in another version than {key}");
            let statement = catalogue().find(key).unwrap_or_else(|| panic!("{name}: there is no statement {key}"));
            assert!(statement.at_server(), "{name}: {key} cannot be observed at a server");
        }
    }
}

#[test]
fn the_names_of_tests_are_unique_in_their_version_and_their_sentences_are_sentences() {
    let mut seen = BTreeMap::new();
    for planned in all() {
        let number = seen.insert((planned.version, planned.test.name), planned.number);
        assert_eq!(number, None, "{} has two tests named {}", planned.version, planned.test.name);
        assert!(planned.test.about.ends_with('.'), "{}: '{}' is no sentence", planned.test.name, planned.test.about);
    }
}

#[test]
fn every_statement_that_a_server_can_show_has_a_test() {
    let tested: BTreeSet<_> = all().iter().flat_map(|planned| planned.test.statements).copied().collect();
    let observable = catalogue().iter().filter(|(_, statement)| statement.at_server());
    let missing: Vec<_> =
        observable.map(|(key, _)| key.to_string()).filter(|key| !tested.contains(key.as_str())).collect();
    assert_eq!(missing, [""; 0], "nobody looks at these");
}

/// `[MQTT-3.1.0-2]` in a comment.
fn citations(text: &str) -> impl Iterator<Item = &str> {
    text.split('[').skip(1).filter_map(|rest| {
        let (id, _) = rest.split_once(']')?;
        (id.starts_with("MQTT-") && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)))
            .then_some(id)
    })
}

#[test]
fn every_rule_that_the_code_cites_exists() {
    let known: BTreeSet<_> = catalogue().iter().map(|(key, _)| key.id).collect();
    let mut cited = 0;
    for krate in ["codec", "broker", "client", "scenarios", "sim", "conformance"] {
        for folder in ["src", "tests"] {
            for path in files(&project().join(krate).join(folder), "rs") {
                for id in citations(&read(&path)) {
                    // Text that explains the notation shows ids with dots in the place of numbers.
                    assert!(
                        known.contains(id) || id.contains(".."),
                        "{} cites {id}, which does not exist",
                        path.display()
                    );
                    cited += 1;
                }
            }
        }
    }
    assert!(cited > 50, "only {cited} citations were found: the search is broken");
}

#[test]
fn every_rule_that_a_script_proves_exists() {
    let scripts = files(&project().join("scenarios"), "yaml");
    assert!(!scripts.is_empty(), "no script was found");
    let mut unknown = Vec::new();
    for path in scripts {
        let text = read(&path);
        let words = text.split(|letter: char| letter.is_whitespace() || "[],\"'".contains(letter));
        for word in words.filter(|word| word.contains("/MQTT-") || word.contains("/X-")) {
            let exists = Key::parse(word).is_some_and(|key| catalogue().find(key).is_some());
            if !exists {
                unknown.push(format!("{} proves {word}", path.display()));
            }
        }
    }
    assert_eq!(unknown, [""; 0], "these rules do not exist");
}

#[test]
fn every_profile_can_be_read() {
    let profiles = files(&project().join("conformance/brokers"), "toml");
    assert!(!profiles.is_empty(), "no profile was found");
    for path in profiles {
        let profile = Profile::load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert!(profile.target.parse::<squall_conformance::target::Target>().is_ok(), "{}", path.display());
    }
}

#[test]
fn every_known_reading_is_of_a_statement_that_exists() {
    assert!(catalogue().all_readings().len() > 10, "the readings are gone");
    for reading in catalogue().all_readings() {
        let key = format!("{}/{}", reading.version, reading.id);
        let known = Key::parse(&key).and_then(|key| catalogue().find(key));
        assert!(known.is_some(), "there is no statement {key}");
        assert!(reading.reading.ends_with('.'), "{key}: '{}' is no sentence", reading.reading);
    }
}

#[cfg(feature = "own-broker")]
#[test]
fn the_simulator_says_each_statement_in_the_words_of_the_catalogue() {
    let said: BTreeMap<String, (&str, &str)> = squall_sim::show::statements::all()
        .map(|statement| (statement.key.to_owned(), (statement.section, statement.words)))
        .collect();
    let known: BTreeMap<String, (&str, &str)> = catalogue()
        .iter()
        .map(|(key, statement)| (key.to_string(), (statement.section.as_str(), statement.rule.as_str())))
        .collect();
    for (key, words) in &known {
        assert_eq!(said.get(key), Some(words), "{key} in sim/src/show/statements.tsv");
    }
    assert_eq!(said.len(), known.len(), "sim/src/show/statements.tsv has statements that the catalogue does not have");
}

#[test]
fn a_key_reads_as_it_is_written() {
    let key = Key::parse("5.0/MQTT-3.1.0-2").expect("a version and an id");
    assert_eq!(key, Key { version: Version::V5_0, id: "MQTT-3.1.0-2" });
    assert_eq!(key.to_string(), "5.0/MQTT-3.1.0-2");
    assert_eq!(Key::parse("MQTT-3.1.0-2"), None);
    assert_eq!(Key::parse("4.0/MQTT-3.1.0-2"), None);
}

#[test]
fn the_same_id_means_different_things_in_the_two_versions() {
    let find = |text| catalogue().find(Key::parse(text).expect("a key")).expect("a statement");
    assert_ne!(find("3.1.1/MQTT-3.1.2-24").rule, find("5.0/MQTT-3.1.2-24").rule);
}

#[test]
fn a_misspelt_id_finds_its_neighbours() {
    assert_eq!(catalogue().nearest("mqtt-3.1.0-2")[0], "MQTT-3.1.0-2");
    assert!(catalogue().nearest("X-RETAINED-ORDR").iter().any(|id| id.starts_with("X-")));
}

#[test]
fn what_has_no_number_stands_in_no_chapter() {
    let statement = catalogue().find(Key::parse("3.1.1/X-311-FIXED-LENGTHS").expect("a key")).expect("a statement");
    assert_eq!(statement.chapter().title(), "without a number");
}

/// Where trials stand in tables the attribute is no error, and takes the function away without a word.
#[test]
fn no_test_is_lost_where_trials_stand_in_tables() {
    let with_tables = files(&project().join("conformance/tests/program"), "rs");
    assert!(with_tables.len() > 3, "the search is broken: {with_tables:?}");
    for path in with_tables {
        assert!(!read(&path).contains("#[test]"), "{}: its name belongs into the table TESTS", path.display());
    }
}

/// Of each chapter: tested, observable at a server, all.
fn covered() -> String {
    const VERSIONS: [Version; 2] = [Version::V3_1_1, Version::V5_0];
    let row = |title: &str, belongs: &dyn Fn(Key<'_>, &squall_conformance::statement::Statement) -> bool| {
        let cells = VERSIONS.map(|version| {
            let counts = coverage(|key, statement| key.version == version && belongs(key, statement));
            match counts.total {
                0 => "·".to_owned(),
                total => format!("{} / {} / {total}", counts.tested, counts.observable),
            }
        });
        format!("| {title} | {} |\n", cells.join(" | "))
    };
    let mut out = String::from("| tested / observable at a server / all | MQTT 3.1.1 | MQTT 5.0 |\n|---|--:|--:|\n");
    for chapter in Chapter::ALL {
        out += &row(chapter.title(), &|_, statement| statement.chapter() == chapter);
    }
    out + &row("**all**", &|_, _| true)
}

/// `SQUALL_BLESS=1` draws them anew.
#[test]
fn the_readme_says_what_is_tested_of_what_can_be() {
    let page = project().join("README.md");
    let text = read(&page);
    let (begin, end) = ("<!-- coverage -->\n", "<!-- end of coverage -->\n");
    let (before, rest) = text.split_once(begin).expect("the page has a place for the coverage");
    let (_, after) = rest.split_once(end).expect("the coverage ends");
    let drawn = format!("{before}{begin}\n{}\n{end}{after}", covered());
    if std::env::var_os("SQUALL_BLESS").is_some() {
        fs::write(&page, &drawn).expect("the page can be written");
    }
    assert!(text == drawn, "README.md has another coverage than the tests; SQUALL_BLESS=1 draws it anew");
}
