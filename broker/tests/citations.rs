//! Every statement that codec and broker cite exists in the catalogue of its version, and every statement that binds a
//! server is cited where it is enforced, or stands here with the reason why nothing enforces it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Statements that bind a server and that no line of code enforces: version, id, why.
const ENFORCED_BY_NOBODY: [(&str, &str, &str); 3] = [
    ("3.1.1", "MQTT-3.8.3-2", "it binds a server without wildcard filters, and this one has them"),
    ("3.1.1", "MQTT-7.0.0-1", "it binds a server that connects to other servers, and this one does not"),
    ("3.1.1", "MQTT-7.0.0-2", "it forbids to need extensions, and there are none"),
];

/// One statement of the catalogue.
struct Statement {
    binds_server: bool,
    related: Vec<String>,
}

type Catalogue = BTreeMap<String, Statement>;

fn project(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

fn catalogue(file: &str) -> Catalogue {
    let path = project("conformance/statements").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let list = |entry: &str, field: &str| -> Vec<String> {
        let line = entry.lines().find_map(|line| line.trim().strip_prefix(field));
        let inner = line.unwrap_or("").trim().trim_start_matches('[').trim_end_matches(']');
        inner.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
    };
    text.split("\n- id: ")
        .skip(1)
        .map(|entry| {
            let id = entry.lines().next().unwrap_or("").trim().to_owned();
            let binds_server = list(entry, "applies_to:").iter().any(|side| side == "server");
            (id, Statement { binds_server, related: list(entry, "related:") })
        })
        .collect()
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Ids that stand behind an opening bracket or quotation mark, each with what stands before it on its line.
fn cited(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().flat_map(|line| {
        line.match_indices("MQTT-").filter_map(move |(at, _)| {
            let (before, id) = line.split_at(at);
            let end = id.find([']', '"']).unwrap_or(id.len());
            before.ends_with(['[', '"']).then(|| (before, &id[..end]))
        })
    })
}

/// What the sources cite, by version, with one place of each.
#[derive(Default)]
struct Citations {
    older: BTreeMap<String, PathBuf>,
    newer: BTreeMap<String, PathBuf>,
}

fn citations() -> Citations {
    let mut files = Vec::new();
    ["codec/src", "broker/src"].iter().for_each(|folder| sources(&project(folder), &mut files));
    let mut citations = Citations::default();
    for file in files {
        let text = fs::read_to_string(&file).expect("a readable source");
        // The codec's map of errors to statements has one function for each version.
        let (head, rest) = text.split_once("fn statement_3_1_1").unwrap_or((&text, ""));
        let (table, tail) = rest.split_once("fn statement_5_0").unwrap_or(("", rest));
        for (_, id) in cited(table) {
            citations.older.insert(id.to_owned(), file.clone());
        }
        for (before, id) in cited(head).chain(cited(tail)) {
            // In code the statement of 3.1.1 stands behind that of 5.0, or alone in place of one.
            let older = ["3.1.1 [", "3.1.1: [", ", Some(\"", "or(Some(\""];
            let cited = match older.iter().any(|end| before.ends_with(end)) {
                true => &mut citations.older,
                false => &mut citations.newer,
            };
            cited.insert(id.to_owned(), file.clone());
        }
    }
    citations
}

#[test]
fn every_cited_statement_exists() {
    let (older, newer) = (catalogue("mqtt-3.1.1.yaml"), catalogue("mqtt-5.0.yaml"));
    assert_eq!((older.len(), newer.len()), (141, 251));
    let citations = citations();
    for (version, catalogue, cited) in [("3.1.1", older, &citations.older), ("5.0", newer, &citations.newer)] {
        for (id, file) in cited {
            assert!(catalogue.contains_key(id), "{}: {version} has no {id}", file.display());
        }
    }
    let count = citations.older.len() + citations.newer.len();
    assert!(count > 250, "only {count} citations were found: the test looks in the wrong place");
}

#[test]
fn every_statement_that_binds_a_server_is_cited_or_its_reason_is_known() {
    let (older, newer) = (catalogue("mqtt-3.1.1.yaml"), catalogue("mqtt-5.0.yaml"));
    let citations = citations();
    let mut uncited: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (id, statement) in &newer {
        if statement.binds_server && !citations.newer.contains_key(id) {
            uncited.insert(("5.0", id));
        }
    }
    for (id, statement) in &older {
        // Where 5.0 says the same, the code cites 5.0.
        let as_newer = statement.related.iter().any(|related| citations.newer.contains_key(related));
        if statement.binds_server && !as_newer && !citations.older.contains_key(id) {
            uncited.insert(("3.1.1", id));
        }
    }
    let known: BTreeSet<(&str, &str)> = ENFORCED_BY_NOBODY.iter().map(|(version, id, _)| (*version, *id)).collect();
    assert_eq!(uncited, known, "left: cited by no line; right: the table above");
}
