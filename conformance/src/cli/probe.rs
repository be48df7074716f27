//! `conformance probe`: the card of what a server offers.

use std::io::Write;

use clap::Args;
use squall_codec::version::Version;
use squall_conformance::{
    capabilities::{Card, card},
    preflight::probe,
    run::Bounds,
    target::Target,
};

use super::{access::AccessArgs, subject::in_real_time, trouble::Trouble};

/// A server, and the form of the answer.
#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    /// The server: HOST:PORT, tcp://, tls://, ws:// or wss://
    #[arg(long, value_name = "URL")]
    target: Target,
    #[command(flatten)]
    access: AccessArgs,
    /// One JSON object in place of the table
    #[arg(long)]
    json: bool,
}

/// Asks, and tells.
pub(super) fn run(out: &mut impl Write, args: &ProbeArgs) -> Result<(), Trouble> {
    let access = args.access.at(&args.target).map_err(Trouble::new)?;
    let card = in_real_time(async {
        let subject = probe(&args.target, &access, &Version::ALL).await;
        let subject = subject.map_err(|error| Trouble::new(error.to_string()))?;
        card(&subject, Bounds::default()).await.map_err(Trouble::new)
    })?;
    if args.json {
        let text = serde_json::to_string_pretty(&card).map_err(|error| Trouble::new(error.to_string()))?;
        return Ok(writeln!(out, "{text}")?);
    }
    told(out, &card)
}

fn told(out: &mut impl Write, card: &Card) -> Result<(), Trouble> {
    writeln!(out, "{} ({})", card.target, card.identity.as_deref().unwrap_or("it does not say what it is"))?;
    for (version, spoken) in &card.versions {
        let verdict = spoken.as_ref().err().map_or("spoken", |reason| reason);
        writeln!(out, "  {:<26}{verdict}", format!("MQTT {version}"))?;
    }
    writeln!(out, "In MQTT {}:", card.asked_in)?;
    for capability in &card.capabilities {
        let announced = capability.announced.as_ref().map(|said| format!("announced {said}")).unwrap_or_default();
        let line =
            format!("  {:<26}{announced:<28}{}", capability.name, capability.observed.as_deref().unwrap_or_default());
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
