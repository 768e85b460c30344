//! `dps emulator fault`: one planned failure in options.
//!
//! Which of them go together, and in which ranges, is the emulator crate's to say.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Subcommand};
use dps_emulator::{FaultPlan, Flood};

use super::owner::OwnerArgs;

/// `dps emulator fault …`.
#[derive(Debug, Subcommand)]
pub(crate) enum FaultCommand {
    /// Plan a failure for the next requests that match
    Add(Box<FaultAddArgs>),
    /// List the planned failures, in the order in which requests meet them
    List {
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Take planned failures back
    Clear {
        /// Take back only those planned for this device; those for every device stay
        #[arg(long, value_name = "R", visible_alias = "rid")]
        registration_id: Option<String>,
        #[command(flatten)]
        owner: OwnerArgs,
    },
}

/// `dps emulator fault add`.
#[derive(Debug, Args)]
pub(crate) struct FaultAddArgs {
    /// What goes wrong
    #[arg(long, value_parser = kinds())]
    pub(crate) kind: String,
    /// Which requests meet it; any is register, poll and lookup
    #[arg(long, value_name = "REQUEST", default_value = "any", value_parser = PossibleValuesParser::new(FaultPlan::places()))]
    pub(crate) at: String,
    /// The device whose requests meet it. Default: every device
    #[arg(long, value_name = "R", visible_alias = "rid")]
    pub(crate) registration_id: Option<String>,
    /// How many requests meet it
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) times: i64,
    /// throttle, server-error: the hint when to come back
    #[arg(long, value_name = "SECONDS", conflicts_with = "retry_after_date", allow_negative_numbers = true)]
    pub(crate) retry_after: Option<i64>,
    /// throttle, server-error: the hint as an HTTP-date, so far after (or before) the service's clock
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) retry_after_date: Option<i64>,
    /// server-error: the status
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) status: Option<i64>,
    /// delay: how much later the answer comes, in milliseconds
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) ms: Option<i64>,
    /// oversize-reply: the size of the body
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) bytes: Option<i64>,
    /// patch-reply: what changes in the body, as a JSON merge patch (RFC 7396)
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(crate) patch: Option<serde_json::Value>,
    /// refuse-connect: the code of CONNACK
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) code: Option<i64>,
    /// flood: what is sent without end
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(Flood::names()))]
    pub(crate) of: Option<String>,
    /// flood over MQTT: after the answer, while the device waits
    #[arg(long)]
    pub(crate) answered: bool,
    #[command(flatten)]
    pub(crate) owner: OwnerArgs,
}

fn json(text: &str) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(text)
}

fn kinds() -> PossibleValuesParser {
    FaultPlan::kinds().map(|(name, meaning)| PossibleValue::new(name).help(meaning)).into()
}

impl FaultCommand {
    pub(super) fn stdin_inputs(&self) -> usize {
        match self {
            Self::Add(args) => args.owner.stdin_inputs(),
            Self::List { owner } | Self::Clear { owner, .. } => owner.stdin_inputs(),
        }
    }
}
