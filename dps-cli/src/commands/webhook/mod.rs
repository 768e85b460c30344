//! `dps webhook try`: sends an allocation webhook the request that the service sends, and judges its reply member by member.
//!
//! The request and the judgment are those of `dps-emulator`; neither a service nor an emulator is needed.

mod request;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use dps_core::ErrorCode;
use dps_emulator::{JudgedMember, Judgment, MemberVerdict, WebhookClient, WebhookError, WebhookUrl};
use serde::Serialize;

use crate::connection::duration;
use crate::failure::{Exit, Failure, Result};
use crate::files::is_stdin;
use crate::output::Output;
use crate::runtime::blocking;
use crate::webhook::{WebhookArgs, read_webhook_url};

/// The code of a registration whose webhook failed.
const WEBHOOK_FAILED: u32 = 400_207;

/// `dps webhook …`.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Send an allocation webhook the request that the service sends, and judge its reply member by member
    #[command(after_help = "Exit codes: 0 the reply assigns a hub, 10 it does not, 5 no complete reply")]
    Try(Box<TryArgs>),
}

/// `dps webhook try`.
#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// A file with the webhook's URL, which holds the function key (- for stdin; or set DPS_WEBHOOK_URL to the URL)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) url_file: Option<PathBuf>,
    /// A file with the enrollment or the enrollment group, in the JSON of the service or of dps enrollment show --json (-
    /// for stdin). Default: an individual enrollment with a symmetric key
    #[arg(long, value_name = "JSON", visible_alias = "enrollment")]
    pub(crate) enrollment_file: Option<PathBuf>,
    /// The device's registration id. Default: that of the individual enrollment, or dev-01
    #[arg(long, value_name = "R", visible_alias = "rid")]
    pub(crate) registration_id: Option<String>,
    /// A file with the payload of the device: one JSON object (- for stdin)
    #[arg(long, value_name = "JSON", visible_alias = "payload")]
    pub(crate) payload_file: Option<PathBuf>,
    /// A hub that the webhook can choose (repeatable). Default: those of the enrollment, or hub-a.test
    #[arg(long = "hub", value_name = "HOST")]
    pub(crate) hubs: Vec<String>,
    /// The hub that the device is assigned to already, as at a later registration
    #[arg(long, value_name = "HOST")]
    pub(crate) current_hub: Option<String>,
    /// With --current-hub: the device id at that hub. Default: the registration id
    #[arg(long, value_name = "D", requires = "current_hub")]
    pub(crate) current_device_id: Option<String>,
    /// The time within which the reply must be complete; the service does not publish its limit
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Print the request too
    #[arg(long)]
    pub(crate) show_request: bool,
    #[command(flatten)]
    pub(crate) webhooks: WebhookArgs,
}

impl WebhookCommand {
    /// Returns how many of the command's inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        let Self::Try(args) = self;
        let files = [&args.url_file, &args.enrollment_file, &args.payload_file];
        files.into_iter().flatten().filter(|path| is_stdin(path)).count()
    }
}

/// What the program prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tried<'a> {
    /// Without the query.
    url: String,
    plain_http: bool,
    status: u16,
    elapsed_ms: u64,
    accepted: bool,
    assigned_hub: Option<&'a str>,
    error_code: Option<u32>,
    error_message: Option<String>,
    members: &'a [JudgedMember],
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<serde_json::Value>,
}

/// Runs the command.
pub(crate) async fn run(command: WebhookCommand, output: Output) -> Result<Exit> {
    let WebhookCommand::Try(args) = command;
    let (args, url, request, options) = blocking(move || {
        let url = read_webhook_url(args.url_file.as_deref())?;
        let request = request::Prepared::read(&args, &url)?;
        let options = args.webhooks.options()?;
        Ok((args, url, request, options))
    })
    .await?;
    // The user has written the URL, so that every host is allowed over HTTPS.
    let client = WebhookClient::new(options.any_https_host())
        .map_err(|error| Failure::new(ErrorCode::InvalidCertificate, error.to_string()))?;
    let body = request.body.clone();
    let began = Instant::now();
    let reply = client.post(&url, body, args.timeout).await.map_err(|error| no_reply(&error, &url))?;
    let elapsed_ms = began.elapsed().as_millis() as u64;
    let judgment = Judgment::new(&reply, &request.linked_hubs);
    let failure = judgment.failure();
    let tried = Tried {
        url: url.to_string(),
        plain_http: !url.is_https(),
        status: reply.status,
        elapsed_ms,
        accepted: failure.is_none(),
        assigned_hub: judgment.hub(),
        error_code: failure.as_ref().map(|_| WEBHOOK_FAILED),
        error_message: failure,
        members: judgment.members(),
        request: args.show_request.then(|| serde_json::from_slice(&request.body).unwrap_or_default()),
    };
    output.result(&tried, |out| tried.show(out))?;
    Ok(if tried.accepted { Exit::Done } else { Exit::Findings })
}

impl Tried<'_> {
    fn show(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(request) = &self.request {
            writeln!(out, "request {request}")?;
        }
        let plain = if self.plain_http { ", over plain HTTP" } else { "" };
        writeln!(out, "{} replied in {} ms{plain}", self.url, self.elapsed_ms)?;
        for member in self.members {
            let verdict = match member.verdict {
                MemberVerdict::Accepted => "accepted",
                MemberVerdict::Absent => "absent",
                MemberVerdict::Ignored => "ignored",
                MemberVerdict::Rejected => "rejected",
            };
            writeln!(out, "  {:<30} {verdict:<8}  {}", member.member, member.detail)?;
        }
        match (self.assigned_hub, &self.error_message) {
            (Some(hub), None) => writeln!(out, "the device is assigned to {hub}"),
            (_, message) => {
                let message = message.as_deref().unwrap_or_default();
                writeln!(out, "the registration fails: {WEBHOOK_FAILED} {message}")
            }
        }
    }
}

fn no_reply(error: &WebhookError, url: &WebhookUrl) -> Failure {
    let code = match error {
        WebhookError::HostNotAllowed { host } => {
            return Failure::option(format!(
                "plain HTTP is allowed to loopback only, and the URL's host is {host}: use https, or allow it by \
                 --webhook-host {host}"
            ));
        }
        WebhookError::AddressNotAllowed { .. } => ErrorCode::InvalidOption,
        WebhookError::Unresolved { .. } => ErrorCode::Dns,
        WebhookError::Connection { .. } => ErrorCode::Connect,
        WebhookError::Tls { .. } => ErrorCode::Tls,
        WebhookError::TimedOut { .. } => ErrorCode::Timeout,
        _ => ErrorCode::InvalidReply,
    };
    Failure::new(code, error.to_string()).in_source(url)
}
