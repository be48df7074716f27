//! Rules that the source cites exist, and every rule that binds a client is cited where it is enforced: here, or in the
//! codec, or there is a reason why no line could carry it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What a statement of the catalogue says that matters here.
struct Statement {
    binds_client: bool,
    related: Vec<String>,
}

/// Client-bound statements of 5.0 without a line of their own.
const WITHOUT_A_LINE: &[(&str, &[&str])] = &[
    (
        "the type of the field is `Text`, `TopicName` or `TopicFilter`, and only a valid one can be made",
        &[
            "MQTT-1.5.7-1",
            "MQTT-3.1.3-4",
            "MQTT-3.1.3-11",
            "MQTT-3.1.3-12",
            "MQTT-3.3.2-1",
            "MQTT-3.3.2-13",
            "MQTT-3.3.2-19",
            "MQTT-3.8.3-1",
            "MQTT-3.10.3-1",
            "MQTT-4.7.3-2",
            "MQTT-4.7.3-3",
        ],
    ),
    (
        "the codec writes flags and fields from one value, so that neither is there without the other",
        &[
            "MQTT-2.2.2-1",
            "MQTT-3.1.2-9",
            "MQTT-3.1.2-16",
            "MQTT-3.1.2-17",
            "MQTT-3.1.2-18",
            "MQTT-3.1.2-19",
            "MQTT-3.1.3-1",
            "MQTT-3.1.3-3",
        ],
    ),
    (
        "the codec has the fixed flags of each packet in one table",
        &["MQTT-3.6.1-1", "MQTT-3.8.1-1", "MQTT-3.10.1-1", "MQTT-3.14.1-1", "MQTT-3.15.1-1"],
    ),
];

/// The same for 3.1.1, where the statement has no counterpart in 5.0.
const WITHOUT_A_LINE_3_1_1: &[(&str, &[&str])] =
    &[("a client that is no server", &["MQTT-7.0.0-1"]), ("nothing here is an extension", &["MQTT-7.0.0-2"])];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn catalogue(version: &str) -> BTreeMap<String, Statement> {
    let path = root().join(format!("conformance/statements/mqtt-{version}.yaml"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut statements = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(id) = line.strip_prefix("- id: ") {
            current = id.trim().to_owned();
            statements.insert(current.clone(), Statement { binds_client: false, related: Vec::new() });
        } else if let Some(statement) = statements.get_mut(&current) {
            if let Some(who) = line.strip_prefix("  applies_to: ") {
                statement.binds_client = who.contains("client");
            } else if let Some(related) = line.strip_prefix("  related: ") {
                let ids = related.trim_matches(['[', ']']).split(',').map(|id| id.trim().to_owned());
                statement.related = ids.collect();
            }
        }
    }
    assert!(statements.len() > 100, "{} is read", path.display());
    statements
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The ids cited in a crate, of 5.0 and of 3.1.1 (`3.1.1 [MQTT-…]`), with a place where each stands.
fn citations(crate_folder: &str) -> [BTreeMap<String, String>; 2] {
    let mut files = Vec::new();
    sources(&root().join(crate_folder).join("src"), &mut files);
    let mut cited = [BTreeMap::new(), BTreeMap::new()];
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            for (at, _) in line.match_indices("[MQTT-") {
                let Some(end) = line[at..].find(']') else { continue };
                let id = line[at + 1..at + end].to_owned();
                let before = line[..at].trim_end();
                let version = usize::from(before.ends_with("3.1.1") || before.ends_with("3.1.1:"));
                cited[version].entry(id).or_insert_with(|| format!("{}:{}", file.display(), number + 1));
            }
        }
    }
    cited
}

#[test]
fn every_rule_that_the_client_cites_exists() {
    let cited = citations("client");
    for (version, cited) in ["5.0", "3.1.1"].into_iter().zip(&cited) {
        let catalogue = catalogue(version);
        for (id, place) in cited {
            assert!(catalogue.contains_key(id), "{place}: there is no {version}/{id}");
        }
    }
    assert!(cited[0].len() > 60, "the source cites its rules");
}

#[test]
fn every_rule_that_binds_a_client_is_cited_or_has_a_reason() {
    let [mut cited, mut cited_3_1_1] = citations("client");
    let here: BTreeSet<_> = cited.keys().cloned().collect();
    let [codec, codec_3_1_1] = citations("codec");
    cited.extend(codec);
    cited_3_1_1.extend(codec_3_1_1);
    let excused: BTreeSet<&str> = WITHOUT_A_LINE.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
    let excused_3_1_1: BTreeSet<&str> = WITHOUT_A_LINE_3_1_1.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
    let mut missing = Vec::new();
    for (id, statement) in catalogue("5.0") {
        let is_cited = cited.contains_key(&id);
        let is_excused = excused.contains(id.as_str());
        assert!(!(here.contains(&id) && is_excused), "5.0/{id} is cited, and needs no excuse");
        if statement.binds_client && !is_cited && !is_excused {
            missing.push(format!("5.0/{id}"));
        }
    }
    for (id, statement) in catalogue("3.1.1") {
        let elsewhere = statement.related.iter().any(|id| cited.contains_key(id) || excused.contains(id.as_str()));
        let here = cited_3_1_1.contains_key(&id) || excused_3_1_1.contains(id.as_str());
        if statement.binds_client && !elsewhere && !here {
            missing.push(format!("3.1.1/{id}"));
        }
    }
    assert!(missing.is_empty(), "cited nowhere: {}", missing.join(", "));
}
