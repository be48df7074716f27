//! Where scripts are: the files in a folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The scripts in a folder and the folders below it, in the order of their names; a file is itself.
///
/// # Errors
/// What cannot be read.
pub fn find(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            found.extend(find(&entry)?);
        } else if entry.extension().is_some_and(|extension| extension == "yaml") {
            found.push(entry);
        }
    }
    Ok(found)
}
