//! `conformance self-test`: the table of tests and liars.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use squall_conformance::{
    selftest::{self, Depth},
    stop::Stop,
};

use super::{
    choice::ChoiceArgs,
    signals::{self, INTERRUPTED},
    trouble::Trouble,
};

#[derive(Debug, Args)]
pub(super) struct SelfTestArgs {
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Each test meets its own liar and the crude ones, and not those of other tests
    #[arg(long)]
    quick: bool,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &SelfTestArgs) -> Result<u8, Trouble> {
    let mut selection = args.choice.selection();
    // Virtual time costs nothing.
    selection.slow = true;
    let tests = selection.tests().map_err(Trouble::new)?;
    let depth = if args.quick { Depth::Own } else { Depth::All };
    let stop = Stop::default();
    signals::listen(&stop);
    let bar = io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("{elapsed:>4} {wide_bar} {pos}/{len} {eta} left");
        let bar = ProgressBar::new(0).with_style(style.expect("the template is part of the program"));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    });
    let table = selftest::run(&tests, depth, &stop, &|done, all| {
        if let Some(bar) = &bar {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let mut out = anstream::stdout();
    if args.json {
        out.write_all(table.json().as_bytes())?;
    } else {
        table.write(&mut out)?;
    }
    Ok(if stop.is_asked() { INTERRUPTED } else { table.exit_status() })
}
