//! `dps derive-key`: the key of one device, or of a list.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use dps_core::credentials::derive_device_key;
use dps_core::limits::KEY_TEXT_MAX;
use dps_core::{Key, RegistrationId};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::bulk::{self, Layout, ListFindings, RowFormat, Summary, Task};
use crate::failure::{Exit, Failure, Result};
use crate::files::{Draft, WhenThere, check_target, is_stdin, write_private};
use crate::key::read_group_key;
use crate::output::{Output, note};

/// `dps derive-key`: one id, or a list of ids.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("devices").required(true).args(["registration_id", "ids"]))]
pub(crate) struct DeriveKeyArgs {
    /// A file with the key of the enrollment group in base64 (- for stdin; or set DPS_GROUP_KEY to the key)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) group_key_file: Option<PathBuf>,
    /// Derive the key of this device
    #[arg(long, value_name = "R", visible_alias = "rid")]
    pub(crate) registration_id: Option<String>,
    /// Derive the keys of all devices in this list: one id per line, or CSV (- for stdin)
    #[arg(long, value_name = "FILE|-", requires = "out")]
    pub(crate) ids: Option<PathBuf>,
    /// Write to this file, which only its owner can read; on failure, no file is left
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Replace the file of --out if it exists
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
    /// Write the key's 32 raw bytes, as IoT Edge reads them from a file
    #[arg(long, requires = "out", conflicts_with = "ids")]
    pub(crate) raw: bool,
    /// Convert ids to lower case first
    #[arg(long)]
    pub(crate) lowercase: bool,
    /// The column with the ids, counted from 1. Default: the one with a matching header, or the first
    #[arg(long, value_name = "N", requires = "ids", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) column: Option<u16>,
    /// The first row is a header, whatever its content
    #[arg(long, requires = "ids")]
    pub(crate) header: bool,
    /// The format of the output
    #[arg(long, value_enum, default_value_t = RowFormat::Csv, requires = "ids")]
    pub(crate) format: RowFormat,
}

/// Runs the command.
pub(crate) fn run(args: &DeriveKeyArgs, output: Output) -> Result<Exit> {
    match (&args.registration_id, &args.ids) {
        (Some(id), None) => one(args, id, output),
        (None, Some(ids)) => list(args, ids, output),
        _ => Err(Failure::usage("use --registration-id R or --ids FILE")),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OneKey<'a> {
    registration_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<String>,
}

fn one(args: &DeriveKeyArgs, id: &str, output: Output) -> Result<Exit> {
    let id = if args.lowercase { id.to_ascii_lowercase() } else { id.to_owned() };
    let registration_id = RegistrationId::new(&id)?;
    if let Some(out) = &args.out {
        check_target(out, when_there(args))?;
    }
    let group_key = read_group_key(args.group_key_file.as_deref())?;
    if registration_id.has_upper_case() {
        warn_about_upper_case(1);
    }
    let key = derive_device_key(group_key.as_ref(), registration_id);
    match &args.out {
        None => {
            let mut buffer = Zeroizing::new([0; KEY_TEXT_MAX]);
            let text = key_text(&key, &mut buffer[..])?;
            let result = OneKey { registration_id: &id, device_key: Some(text), out: None };
            output.result(&result, |out| writeln!(out, "{text}"))?;
        }
        Some(out) => {
            write_key(out, &key, args.raw, when_there(args))?;
            let result = OneKey { registration_id: &id, device_key: None, out: Some(out.display().to_string()) };
            output.result(&result, |_| Ok(()))?;
        }
    }
    Ok(Exit::Done)
}

/// Writes a key to a file: its raw bytes, or a line of base64.
fn write_key(target: &Path, key: &Key, raw: bool, when_there: WhenThere) -> Result<()> {
    if raw {
        return write_private(target, key.expose(), when_there);
    }
    let mut buffer = Zeroizing::new([0; KEY_TEXT_MAX + 1]);
    let len = key_text(key, &mut buffer[..])?.len();
    buffer[len] = b'\n';
    write_private(target, &buffer[..=len], when_there)
}

fn key_text<'b>(key: &Key, buffer: &'b mut [u8]) -> Result<&'b str> {
    key.write_base64(buffer).map_err(|error| Failure::internal(error.to_string()))
}

fn list(args: &DeriveKeyArgs, ids: &Path, output: Output) -> Result<Exit> {
    let Some(out) = &args.out else { return Err(Failure::usage("--ids requires --out FILE")) };
    check_target(out, when_there(args))?;
    let deriver = read_group_key(args.group_key_file.as_deref())?.deriver();
    let (input, size) = open_list(ids)?;
    let task = Task {
        layout: Layout { column: args.column.map(usize::from), header: args.header },
        lowercase: args.lowercase,
        format: args.format,
        size,
    };
    let mut draft = Draft::begin(out, when_there(args))?;
    let summary = bulk::derive(&deriver, task, input, &mut draft)?;
    if summary.rows == 0 {
        return Err(Failure::option(format!("{} contains no registration id; nothing was written", ids.display())));
    }
    draft.finish()?;
    report(args, out, &summary, output)?;
    Ok(if summary.findings.total() == 0 { Exit::Done } else { Exit::Findings })
}

fn open_list(ids: &Path) -> Result<(Box<dyn BufRead + Send>, Option<u64>)> {
    if is_stdin(ids) {
        return Ok((Box::new(BufReader::new(io::stdin())), None));
    }
    let opened = dps_files::open(ids).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (size, file) = opened.map_err(|error| Failure::file("read", ids, &error))?;
    Ok((Box::new(BufReader::with_capacity(64 * 1024, file)), Some(size)))
}

fn when_there(args: &DeriveKeyArgs) -> WhenThere {
    if args.force { WhenThere::Replace } else { WhenThere::Refuse }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListReport<'a> {
    out: String,
    format: &'static str,
    rows: u64,
    written: u64,
    upper_case: u64,
    #[serde(flatten)]
    findings: &'a ListFindings,
}

fn report(args: &DeriveKeyArgs, out: &Path, summary: &Summary, output: Output) -> Result<()> {
    let findings = &summary.findings;
    if findings.findings_omitted > 0 {
        note(format_args!("… and {} more", findings.findings_omitted));
    }
    if summary.upper_case > 0 {
        warn_about_upper_case(summary.upper_case);
    }
    let report = ListReport {
        out: out.display().to_string(),
        format: args.format.name(),
        rows: summary.rows,
        written: summary.written,
        upper_case: summary.upper_case,
        findings,
    };
    output.result(&report, |text| {
        writeln!(text, "{} keys written to {}", summary.written, out.display())?;
        if findings.total() > 0 {
            writeln!(
                text,
                "rows not written: {} ({} invalid, {} repeated, {} repeated in another letter case)",
                findings.total(),
                findings.invalid,
                findings.duplicates,
                findings.case_duplicates
            )?;
        }
        Ok(())
    })
}

fn warn_about_upper_case(count: u64) {
    let (ids, have) = if count == 1 { ("id", "has") } else { ("ids", "have") };
    note(format_args!(
        "warning: {count} {ids} {have} upper-case letters; the service ignores the case of ids, but the derived key \
         depends on it: use the same spelling on the device, or --lowercase here and lower case there"
    ));
}
