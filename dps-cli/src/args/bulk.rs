//! `dps derive-key`: for one device, or for a list.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

/// One id, or a list of them.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("devices").required(true).args(["registration_id", "ids"]))]
pub(crate) struct DeriveKeyArgs {
    /// A file with the key of the enrollment group in base64 (- for stdin; or the key itself in DPS_GROUP_KEY)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) group_key_file: Option<PathBuf>,
    /// Derive the key of this device
    #[arg(long, value_name = "R", visible_alias = "rid")]
    pub(crate) registration_id: Option<String>,
    /// Derive the keys of all devices in this list: one id a line, or CSV (- for stdin)
    #[arg(long, value_name = "FILE|-", requires = "out")]
    pub(crate) ids: Option<PathBuf>,
    /// Write into this file, made readable for its owner alone, whole or not at all
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Replace the file of --out when it is there
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
    /// Write the key's 32 raw bytes, as IoT Edge reads them from a file
    #[arg(long, requires = "out", conflicts_with = "ids")]
    pub(crate) raw: bool,
    /// Turn ids into lower case first
    #[arg(long)]
    pub(crate) lowercase: bool,
    /// The column that holds the ids, counted from 1. Default: the one whose header says so, or the first
    #[arg(long, value_name = "N", requires = "ids", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) column: Option<u16>,
    /// The first row is a header, whatever it says
    #[arg(long, requires = "ids")]
    pub(crate) header: bool,
    /// The form of the output
    #[arg(long, value_enum, default_value_t = RowFormat::Csv, requires = "ids")]
    pub(crate) format: RowFormat,
}

/// The form of a list of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// A header, then registration_id,device_key
    Csv,
    /// One object a line: {"registrationId":…,"deviceKey":…}
    Jsonl,
}

impl RowFormat {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}
