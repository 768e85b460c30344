//! `dps register`: registers one device and prints its assignment; with `--resume`, keeps the operation in a file.
//!
//! That file exists only while the operation is under way, and holds no secret.

use std::io::{self, IsTerminal as _, Read as _, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args;
use dps_client::{
    Assignment, DpsError, OperationalKey, Payload, Progress, ProgressObserver, ProvisioningClientBuilder, ResumeToken,
    SecretString,
};
use dps_core::limits::MESSAGE_MAX;
use dps_core::{ConfigError, ErrorCode, Family, Status};
use dps_files::{LockedFile, Ownership, PrivateFile};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::connection::{DeviceArgs, DeviceClock, ProfileArgs, named_client_builder};
use crate::failure::{Exit, Failure, Result};
use crate::files::is_stdin;
use crate::issued::{IdentityFolder, IssuedReport};
use crate::operational::OperationalKeyArgs;
use crate::output::{Output, note};
use crate::runtime::{blocking, blocking_within};

/// The largest file, in bytes: more than two names, an endpoint and an operation id.
const RESUME_FILE_MAX: u64 = 8 * 1024;

/// `dps register`.
#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// A file with one JSON object for the allocation webhook (- for stdin)
    #[arg(long, value_name = "JSON")]
    pub(crate) payload_file: Option<PathBuf>,
    /// Also print the device's connection string, which contains its key, or x509=true for a device with a certificate
    #[arg(long)]
    pub(crate) connection_string: bool,
    /// Store the operation in FILE while it is in progress, and resume it if FILE exists
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,
    /// Request a certificate for a new key, and write key and chain into DIR, which is created if it does not exist. The
    /// enrollment must have a certificate policy
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub(crate) issue: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) operational: OperationalKeyArgs,
    /// If the service rejects a token and the clocks differ, sign once more with the service's time
    #[arg(long)]
    pub(crate) correct_clock: bool,
    /// With MQTT: send CONNECT, SUBSCRIBE and the registration without waiting for replies. Saves two round trips; MQTT
    /// allows it, the service does not guarantee it
    #[arg(long)]
    pub(crate) pipelined: bool,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

type SharedResume = Arc<Mutex<ResumeFile>>;

/// Runs the command.
pub(crate) async fn run(args: RegisterArgs, output: Output) -> Result<Exit> {
    let with_secret = args.connection_string;
    let timeout = args.device.connection.timeout;
    let clock = DeviceClock::moved(args.device.connection.clock_offset.unwrap_or_default());
    let Prepared { builder, resume, issue } = blocking_within(timeout, move || prepare(args)).await?;
    let token = resume.as_ref().and_then(|file| locked(file).token());
    let observer = Observer { resume: resume.clone(), verbose: !output.is_json() && io::stderr().is_terminal() };
    let client = builder.observer(observer).build()?;
    let registered = match token {
        Some(token) => client.resume(&token).await,
        None => client.register().await,
    };
    let registered = blocking(move || {
        if let Some(resume) = resume {
            locked(&resume).finish(&registered);
        }
        Ok(registered?)
    });
    let assignment = registered.await?;
    let issued = match issue {
        Some(Issue { folder, key }) => {
            let kept = assignment.clone();
            let kept = blocking(move || Ok((folder.keep_assignment(key, &kept, clock)?, folder))).await?;
            Some(IssuedReport::new(kept.1.path(), &kept.0, clock.needed_now()?))
        }
        None => None,
    };
    report(&assignment, issued, with_secret, output)
}

/// What was read before the registration.
struct Prepared {
    builder: ProvisioningClientBuilder,
    resume: Option<SharedResume>,
    issue: Option<Issue>,
}

/// The key of a certificate that is requested, and where they will be.
struct Issue {
    folder: IdentityFolder,
    key: OperationalKey,
}

fn prepare(args: RegisterArgs) -> Result<Prepared> {
    if args.issue.is_none() && args.operational.is_set() {
        return Err(Failure::usage("--key-type and --operational-… are for the key of a certificate: add --issue DIR"));
    }
    let source = args.operational.source()?;
    let (builder, id) = named_client_builder(&args.device)?;
    let mut builder = builder
        .correct_clock(args.correct_clock)
        .pipelined(args.pipelined)
        .connection_profile(args.profile.connection_profile);
    let issue = match &args.issue {
        Some(path) => {
            let id = id.ok_or_else(|| Failure::usage("--issue requires --registration-id"))?;
            let folder = IdentityFolder::create(path, &id, source.token())?;
            let key = source.key()?;
            builder = builder.certificate_request(key.certificate_request(&id)?);
            Some(Issue { folder, key })
        }
        None => None,
    };
    if let Some(path) = &args.payload_file {
        builder = builder.payload(read_payload(path)?);
    }
    let resume = args.resume.map(ResumeFile::open).transpose()?;
    let resume = resume.map(|file| Arc::new(Mutex::new(file)));
    Ok(Prepared { builder, resume, issue })
}

/// Stores the operation before each wait, and reports long waits on a terminal.
struct Observer {
    resume: Option<SharedResume>,
    verbose: bool,
}

impl ProgressObserver for Observer {
    async fn observe(&mut self, progress: Progress) -> ControlFlow<()> {
        let Progress::Waiting { wait, resume: token } = progress else { return ControlFlow::Continue(()) };
        if self.verbose && wait >= Duration::from_secs(1) {
            note(format_args!("waiting {} s", wait.as_secs_f32().round()));
        }
        if let (Some(resume), Some(token)) = (self.resume.clone(), token) {
            // A file that cannot be written has been reported.
            _ = spawn_blocking(move || locked(&resume).store(token)).await;
        }
        ControlFlow::Continue(())
    }
}

fn locked(resume: &SharedResume) -> MutexGuard<'_, ResumeFile> {
    resume.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_payload(path: &Path) -> Result<Payload> {
    let invalid = |what: &str| Failure::new(ErrorCode::InvalidPayload, format!("{} {what}", path.display()));
    // One byte more than is allowed, so that a payload that is too long is detected.
    let most = MESSAGE_MAX as u64 + 1;
    let read = if is_stdin(path) {
        let mut bytes = Vec::new();
        io::stdin().lock().take(most).read_to_end(&mut bytes).map(|_| Zeroizing::new(bytes))
    } else {
        dps_files::read(path, most)
    };
    let bytes = read.map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => invalid(&format!("is longer than {MESSAGE_MAX} bytes")),
        _ => Failure::file("read", path, &error),
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid("is not valid UTF-8"))?;
    let text = text.trim_start_matches('\u{feff}');
    text.parse().map_err(|error: ConfigError| Failure::from(error).in_source(path.display()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Registered<'a> {
    status: &'a str,
    substatus: Option<&'a str>,
    assigned_hub: &'a str,
    device_id: &'a str,
    connection_profile: Option<&'a str>,
    registration_id: &'a str,
    operation_id: Option<&'a str>,
    payload: Option<&'a RawValue>,
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    hub_credentials: Option<HubSignIn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_string: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued: Option<IssuedReport>,
}

/// How a device with a certificate signs in to its hub over MQTT: without a password, with the same certificate.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HubSignIn {
    client_id: String,
    user_name: String,
    certificate: bool,
}

impl HubSignIn {
    fn new(assignment: &Assignment) -> Option<Self> {
        // A hub with another profile has no MQTT 3.1.1 to sign in to.
        let credentials = assignment.hub_credentials().ok()?;
        credentials.certificate()?;
        let client_id = credentials.client_id().to_owned();
        Some(Self { client_id, user_name: credentials.user_name(), certificate: true })
    }
}

fn report(assignment: &Assignment, issued: Option<IssuedReport>, with_secret: bool, output: Output) -> Result<Exit> {
    let payload = raw_json(assignment.payload())?;
    let connection_string = if with_secret { Some(connection_string(assignment)?) } else { None };
    let result = Registered {
        status: Status::Assigned.as_str(),
        substatus: assignment.substatus(),
        assigned_hub: assignment.hub(),
        device_id: assignment.device_id(),
        connection_profile: assignment.connection_profile().word(),
        registration_id: assignment.registration_id().as_str(),
        operation_id: assignment.operation_id(),
        payload,
        elapsed_ms: u64::try_from(assignment.elapsed().as_millis()).unwrap_or(u64::MAX),
        hub_credentials: HubSignIn::new(assignment),
        connection_string: connection_string.as_ref().map(SecretString::expose),
        issued,
    };
    output.result(&result, |out| show(&result, out))?;
    Ok(Exit::Done)
}

fn show(result: &Registered<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} {}", result.registration_id, result.status)?;
    writeln!(out, "  hub        {}", result.assigned_hub)?;
    writeln!(out, "  device id  {}", result.device_id)?;
    if let Some(profile) = result.connection_profile {
        writeln!(out, "  profile    {profile}")?;
    }
    if let Some(substatus) = result.substatus {
        writeln!(out, "  substatus  {substatus}")?;
    }
    if let Some(payload) = result.payload {
        writeln!(out, "  payload    {payload}")?;
    }
    writeln!(out, "  duration   {} ms", result.elapsed_ms)?;
    if let Some(sign_in) = &result.hub_credentials {
        writeln!(out, "  hub login  MQTT user name {}, with the same certificate and no password", sign_in.user_name)?;
    }
    if let Some(issued) = &result.issued {
        issued.write(out)?;
    }
    match result.connection_string {
        Some(text) => writeln!(out, "{text}"),
        None => Ok(()),
    }
}

fn connection_string(assignment: &Assignment) -> Result<SecretString> {
    let none = "there is no connection string: this program does not have the key";
    assignment.connection_string()?.ok_or_else(|| Failure::option(none))
}

/// Returns JSON of the service, to be printed as it is.
pub(super) fn raw_json(text: Option<&str>) -> Result<Option<&RawValue>> {
    let parsed = text.map(serde_json::from_str).transpose();
    parsed.map_err(|_| Failure::new(ErrorCode::InvalidReply, "the service's payload is not valid JSON"))
}

/// The locked file of `--resume` and its content. Another process with the same file is refused.
struct ResumeFile {
    file: LockedFile,
    stored: Option<ResumeToken>,
}

impl ResumeFile {
    /// Locks the file and reads it if it exists.
    fn open(path: PathBuf) -> Result<Self> {
        let file = PrivateFile::new(path).lock()?;
        let stored = match file.read(RESUME_FILE_MAX) {
            Ok(None) => None,
            Ok(Some(bytes)) => parse(&bytes).map_err(|Unreadable| unreadable(file.path()))?,
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Err(unreadable(file.path())),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { file, stored })
    }

    /// Returns the operation to resume.
    fn token(&self) -> Option<ResumeToken> {
        self.stored.clone()
    }

    /// Stores the operation. A file that cannot be written does not end the registration.
    fn store(&mut self, token: ResumeToken) {
        if self.stored.as_ref() == Some(&token) {
            return;
        }
        match self.file.replace(format!("{token}\n").as_bytes(), Ownership::Private) {
            Ok(()) => {
                tracing::debug!(path = %self.file.path().display(), "the operation was stored");
                self.stored = Some(token);
            }
            Err(error) => note(format_args!("warning: {error}")),
        }
    }

    /// After the registration: stores an operation that can be resumed, and removes one that has ended.
    fn finish(&mut self, ended: &std::result::Result<Assignment, DpsError>) {
        match ended {
            Ok(_) => self.remove(),
            Err(error) => match error.resume_token() {
                Some(token) => self.store(token.clone()),
                None if error.family() == Family::Service => self.remove(),
                // The service did not decide about the operation.
                None => {}
            },
        }
    }

    /// Removes the file, since the operation has ended.
    fn remove(&self) {
        if let Err(error) = self.file.remove() {
            note(format_args!("warning: {error}"));
        }
    }
}

fn unreadable(path: &Path) -> Failure {
    Failure::new(
        ErrorCode::OperationUnreadable,
        format!("{} contains no operation to resume; remove it to start a new registration", path.display()),
    )
}

/// The file contains something else than an operation.
#[derive(Debug, PartialEq, Eq)]
struct Unreadable;

/// Parses the content; `None` for a file without an operation.
fn parse(bytes: &[u8]) -> std::result::Result<Option<ResumeToken>, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable)?.trim();
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| Unreadable) }
}
