//! `dps emulator log`: what reached an emulator that is running, one line for each event.

use clap::Args;
use clap::builder::PossibleValuesParser;
use dps_emulator::{EventFilter, event_line};
use serde_json::Value;

use crate::admin::{EventsWanted, FollowedEvent, OwnerArgs, connect};
use crate::failure::{Exit, Result};
use crate::output::{Output, note};

/// `dps emulator log`.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Show only what this device did
    #[arg(long, value_name = "R", visible_alias = "rid")]
    pub(crate) registration_id: Option<String>,
    /// Show only events of this kind
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(EventFilter::kinds()))]
    pub(crate) kind: Option<String>,
    /// Also show what happens from now on, until Ctrl-C; with --json one object on each line
    #[arg(long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) owner: OwnerArgs,
}

/// Runs the command.
pub(super) async fn run(args: LogArgs, output: Output) -> Result<Exit> {
    super::control::check_id(args.registration_id.as_deref())?;
    let wanted = EventsWanted { registration_id: args.registration_id.as_deref(), kind: args.kind.as_deref() };
    let service = connect(args.owner).await?;
    if args.follow {
        let mut events = service.follow_events(wanted).await?;
        loop {
            match events.next().await? {
                FollowedEvent::Event(event) => show(&event, output)?,
                FollowedEvent::Dropped(count) => note(format_args!("{count} events were dropped")),
            }
        }
    }
    let answer = service.events(wanted).await?;
    output.result(&answer, |out| {
        let events = answer["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(dropped @ 1..) = answer["dropped"].as_u64() {
            writeln!(out, "{dropped} older events were dropped")?;
        }
        if events.is_empty() {
            return writeln!(out, "nothing happened");
        }
        events.iter().try_for_each(|event| writeln!(out, "{}", event_line(event)))
    })?;
    Ok(Exit::Done)
}

fn show(event: &Value, output: Output) -> Result<()> {
    output.result(event, |out| writeln!(out, "{}", event_line(event)))
}
