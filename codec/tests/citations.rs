//! Every statement that the code cites exists in the catalogue of its version: citations can be searched and trusted.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The ids of a version, from the catalogue.
fn catalogue(file: &str) -> BTreeSet<String> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../conformance/statements")).join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().filter_map(|line| line.strip_prefix("- id: ")).map(|id| id.trim().to_owned()).collect()
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

#[test]
fn every_cited_statement_exists() {
    let (older, newer) = (catalogue("mqtt-3.1.1.yaml"), catalogue("mqtt-5.0.yaml"));
    assert_eq!((older.len(), newer.len()), (141, 251));
    let mut files = Vec::new();
    sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut files);
    let mut seen = 0;
    for file in files {
        let text = fs::read_to_string(&file).expect("a readable source");
        // The map of errors to statements has one function for each version.
        let (head, rest) = text.split_once("fn statement_3_1_1").unwrap_or((&text, ""));
        let (table, tail) = rest.split_once("fn statement_5_0").unwrap_or(("", rest));
        for (_, id) in cited(table) {
            assert!(older.contains(id), "{}: 3.1.1 has no {id}", file.display());
            seen += 1;
        }
        for (before, id) in cited(head).chain(cited(tail)) {
            let is_older = before.ends_with("3.1.1 [") || before.ends_with("3.1.1: [");
            let catalogue = if is_older { &older } else { &newer };
            assert!(catalogue.contains(id), "{}: no {id} after {before:?}", file.display());
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} citations were found: the test looks in the wrong place");
}
