//! `conformance diff`: what changed between two reports. `conformance report`: many of them side by side.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;
use squall_conformance::report::{diff::diff, json, matrix, model::Report};

use super::trouble::Trouble;

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The report of before: JSON
    before: PathBuf,
    /// The report of after: JSON
    after: PathBuf,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct MatrixArgs {
    /// Reports (JSON), one for each broker
    #[arg(required = true)]
    reports: Vec<PathBuf>,
}

/// Draws the matrix.
pub(super) fn matrix(out: &mut impl Write, args: &MatrixArgs) -> Result<(), Trouble> {
    let reports: Vec<Report> = args.reports.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    Ok(out.write_all(matrix::write(&reports).as_bytes())?)
}

fn read(path: &Path) -> Result<Report, Trouble> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| Trouble::new(format!("cannot read {name}: {error}")))?;
    json::read(&text).map_err(|error| Trouble::new(format!("{name}: {error}")))
}

pub(super) fn run(args: &DiffArgs) -> Result<u8, Trouble> {
    let difference = diff(&read(&args.before)?, &read(&args.after)?);
    let mut out = anstream::stdout();
    if args.json {
        out.write_all(difference.json().as_bytes())?;
    } else {
        difference.write(&mut out)?;
    }
    Ok(difference.exit_status())
}
