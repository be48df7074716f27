//! The scripts beside the crate, and the examples of the cookbook: every one is read, and keeps the form of the house.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use proptest::{prelude::*, sample::Index};
use squall_codec::version::Version;
use squall_scenarios::script::Script;

/// The families that the project exists for; each has at least this many stories.
const FAMILIES: [&str; 5] = ["keep_alive", "qos", "session", "take_over", "will"];
const AT_LEAST: usize = 6;

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in fs::read_dir(home()).expect("the crate has a folder") {
        let folder = folder.expect("it can be listed").path();
        if !folder.is_dir() {
            continue;
        }
        for file in fs::read_dir(&folder).expect("it can be listed") {
            let file = file.expect("it can be listed").path();
            if file.extension().is_some_and(|extension| extension == "yaml") {
                files.push(file);
            }
        }
    }
    files.sort();
    files
}

#[test]
fn every_file_is_a_script_that_explains_itself_and_proves_something_in_each_version() {
    for file in files() {
        let script = Script::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let name = file.display();
        assert!(script.about().is_some_and(|about| !about.is_empty()), "{name} says nothing to a learner");
        assert!(!script.title().ends_with('.'), "{name}: a title is no paragraph");
        // In a storm each client has a version of its own.
        if script.plan().is_some() {
            assert!(script.proves().next().is_some(), "{name} proves nothing");
            continue;
        }
        // MQTT 3.1 has no numbered statements.
        for version in script.versions().iter().filter(|version| **version != Version::V3_1) {
            assert!(
                script.proves().any(|statement| statement.version == *version),
                "{name} proves nothing in {version}"
            );
        }
    }
}

#[test]
fn each_family_has_its_stories_in_both_versions() {
    let mut count: BTreeMap<(String, String), usize> = BTreeMap::new();
    for file in files() {
        let script = Script::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let folder = file.parent().and_then(Path::file_name).expect("a script lies in a folder").to_string_lossy();
        for version in script.versions() {
            *count.entry((folder.to_string(), version.to_string())).or_default() += 1;
        }
    }
    for family in FAMILIES {
        for version in ["3.1.1", "5.0"] {
            let stories = count.get(&(family.to_owned(), version.to_owned())).copied().unwrap_or(0);
            assert!(stories >= AT_LEAST, "{family} has {stories} stories in {version}");
        }
    }
}

#[test]
fn titles_tell_stories_apart() {
    let mut seen = BTreeMap::new();
    for file in files() {
        let script = Script::load(&file).unwrap_or_else(|error| panic!("{error}"));
        if let Some(other) = seen.insert(script.title().to_owned(), file.clone()) {
            panic!("{} and {} have the same title", other.display(), file.display());
        }
    }
}

#[test]
fn every_example_of_the_cookbook_is_read() {
    let text = fs::read_to_string(home().join("README.md")).expect("the cookbook is there");
    let blocks: Vec<&str> = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 7, "the cookbook has {} examples", blocks.len());
    for block in blocks {
        let script = if block.starts_with("title:") { block.to_owned() } else { as_script(block) };
        Script::parse("README.md", &script).unwrap_or_else(|error| panic!("{error}\n\nin:\n{script}"));
    }
}

/// Steps alone, with a head for the actors that they name.
fn as_script(steps: &str) -> String {
    let kinds = [("alice", "peer"), ("bob", "peer"), ("carol", "client")];
    let named = kinds.iter().filter(|(name, _)| steps.contains(&format!("- {name}:")));
    let actors: Vec<String> = named.map(|(name, kind)| format!("{name}: {kind}")).collect();
    format!("title: an example\nactors: {{ {} }}\nsteps:\n{steps}", actors.join(", "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever is done to a script, it is read or refused with a line, and nothing breaks.
    #[test]
    fn a_damaged_script_is_read_or_refused(
        file in any::<Index>(),
        from in any::<Index>(),
        length in 0_usize..40,
        new in "[a-z0-9{}:,. \\n\\[\\]#&*!|'\"%-]{0,12}",
    ) {
        let files = files();
        let text = fs::read_to_string(file.get(&files)).expect("it can be read");
        let mut characters: Vec<char> = text.chars().collect();
        let from = from.index(characters.len());
        let to = (from + length).min(characters.len());
        characters.splice(from..to, new.chars());
        let damaged: String = characters.into_iter().collect();
        if let Err(error) = Script::parse("damaged.yaml", &damaged) {
            prop_assert!(error.to_string().starts_with("damaged.yaml:"), "{error}");
            prop_assert!(error.place.is_some_and(|place| place.line <= damaged.lines().count() + 1), "{error}");
        }
    }
}
