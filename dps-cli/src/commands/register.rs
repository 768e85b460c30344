//! `dps register`: registers one device and prints where it belongs.

use std::io::{self, IsTerminal as _, Read as _, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dps_client::{Assignment, Payload, Progress, ProgressObserver, ProvisioningClientBuilder, SecretString};
use dps_core::limits::MESSAGE_MAX;
use dps_core::{ConfigError, ErrorCode, Status};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::resume::ResumeFile;
use super::{blocking, blocking_within, device};
use crate::args::{RegisterArgs, is_stdin};
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::{Output, note};

type SharedResume = Arc<Mutex<ResumeFile>>;

/// Runs the command.
pub(crate) async fn run(args: RegisterArgs, output: Output) -> Result<Exit> {
    let with_secret = args.connection_string;
    let timeout = args.device.connection.timeout;
    let (builder, resume) = blocking_within(timeout, move || prepare(args)).await?;
    let token = resume.as_ref().and_then(|file| locked(file).token());
    let watcher = Watcher { resume: resume.clone(), talk: !output.is_json() && io::stderr().is_terminal() };
    let client = builder.observer(watcher).build()?;
    let registered = match token {
        Some(token) => client.resume(&token).await,
        None => client.register().await,
    };
    let registered = blocking(move || {
        if let Some(resume) = resume {
            locked(&resume).settle(&registered);
        }
        Ok(registered?)
    });
    report(&registered.await?, with_secret, output)
}

fn prepare(args: RegisterArgs) -> Result<(ProvisioningClientBuilder, Option<SharedResume>)> {
    let mut builder = device::begin(&args.device)?.correct_clock(args.correct_clock).pipelined(args.pipelined);
    if let Some(path) = &args.payload_file {
        builder = builder.payload(read_payload(path)?);
    }
    let resume = args.resume.map(ResumeFile::open).transpose()?;
    Ok((builder, resume.map(|file| Arc::new(Mutex::new(file)))))
}

/// Keeps the operation before each wait, and tells a terminal of long ones.
struct Watcher {
    resume: Option<SharedResume>,
    talk: bool,
}

impl ProgressObserver for Watcher {
    async fn observe(&mut self, progress: Progress) -> ControlFlow<()> {
        let Progress::Waiting { wait, resume: token } = progress else { return ControlFlow::Continue(()) };
        if self.talk && wait >= Duration::from_secs(1) {
            note(format_args!("waiting {} s", wait.as_secs_f32().round()));
        }
        if let (Some(resume), Some(token)) = (self.resume.clone(), token) {
            // A file that cannot be written has been told of.
            _ = spawn_blocking(move || locked(&resume).keep(token)).await;
        }
        ControlFlow::Continue(())
    }
}

fn locked(resume: &SharedResume) -> MutexGuard<'_, ResumeFile> {
    resume.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_payload(path: &Path) -> Result<Payload> {
    let invalid = |what: &str| Failure::new(ErrorCode::InvalidPayload, format!("{} {what}", path.display()));
    // One byte more than is allowed, so that too much can be told from just enough.
    let most = MESSAGE_MAX as u64 + 1;
    let read = if is_stdin(path) {
        let mut bytes = Vec::new();
        io::stdin().lock().take(most).read_to_end(&mut bytes).map(|_| Zeroizing::new(bytes))
    } else {
        dps_files::read(path, most)
    };
    let bytes = read.map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => invalid(&format!("has more than {MESSAGE_MAX} bytes")),
        _ => Failure::file("read", path, &error),
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid("is no text in UTF-8"))?;
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
    registration_id: &'a str,
    operation_id: Option<&'a str>,
    payload: Option<&'a RawValue>,
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_string: Option<&'a str>,
}

fn report(assignment: &Assignment, with_secret: bool, output: Output) -> Result<Exit> {
    let payload = raw_json(assignment.payload_json())?;
    let connection_string = if with_secret { Some(connection_string(assignment)?) } else { None };
    let result = Registered {
        status: Status::Assigned.as_str(),
        substatus: assignment.substatus(),
        assigned_hub: assignment.hub(),
        device_id: assignment.device_id(),
        registration_id: assignment.registration_id().as_str(),
        operation_id: assignment.operation_id(),
        payload,
        elapsed_ms: u64::try_from(assignment.elapsed().as_millis()).unwrap_or(u64::MAX),
        connection_string: connection_string.as_ref().map(SecretString::expose),
    };
    output.result(&result, |out| show(&result, out))?;
    Ok(Exit::Done)
}

fn show(result: &Registered<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} {}", result.registration_id, result.status)?;
    writeln!(out, "  hub        {}", result.assigned_hub)?;
    writeln!(out, "  device id  {}", result.device_id)?;
    if let Some(substatus) = result.substatus {
        writeln!(out, "  substatus  {substatus}")?;
    }
    if let Some(payload) = result.payload {
        writeln!(out, "  payload    {payload}")?;
    }
    writeln!(out, "  took       {} ms", result.elapsed_ms)?;
    match result.connection_string {
        Some(text) => writeln!(out, "{text}"),
        None => Ok(()),
    }
}

fn connection_string(assignment: &Assignment) -> Result<SecretString> {
    let none = "there is no connection string: the key is not in this program's hands";
    assignment.connection_string()?.ok_or_else(|| Failure::option(none))
}

/// JSON text of the service, passed on as it is.
pub(super) fn raw_json(text: Option<&str>) -> Result<Option<&RawValue>> {
    let parsed = text.map(serde_json::from_str).transpose();
    parsed.map_err(|_| Failure::new(ErrorCode::InvalidReply, "the service's payload is no JSON"))
}
