//! The request of `dps webhook try`, from the files and options of the command line.

use std::io::{self, Read as _};
use std::path::Path;

use dps_core::limits::MESSAGE_MAX;
use dps_core::{ErrorCode, RegistrationId};
use dps_emulator::{
    AllocationRequest, CustomAllocationDefinition, EnrollmentGroup, IndividualEnrollment, Settings, WebhookUrl,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::TryArgs;
use crate::failure::{Failure, Result};
use crate::files::{is_stdin, source_name};

/// The registration id of an enrollment that is not in a file, and of a device of a group.
const DEFAULT_ID: &str = "dev-01";
/// The hub that a webhook can choose if neither the command line nor the enrollment names one.
const DEFAULT_HUB: &str = "hub-a.test";

/// A request that is ready to be sent.
pub(super) struct Prepared {
    pub(super) body: Vec<u8>,
    pub(super) linked_hubs: Vec<String>,
}

/// What the file of `--enrollment-file` holds.
enum Enrolled {
    Individual(Box<IndividualEnrollment>),
    Group(Box<EnrollmentGroup>),
}

impl Prepared {
    /// Reads the files, and makes the request of them.
    pub(super) fn read(args: &TryArgs, url: &WebhookUrl) -> Result<Self> {
        let mut enrolled = match &args.enrollment_file {
            Some(path) => Enrolled::read(path)?,
            None => Enrolled::Individual(Box::new(IndividualEnrollment::new(
                args.registration_id.as_deref().unwrap_or(DEFAULT_ID),
            ))),
        };
        let id = match (&args.registration_id, &enrolled) {
            (Some(id), Enrolled::Individual(enrollment)) if !id.eq_ignore_ascii_case(&enrollment.registration_id) => {
                return Err(Failure::option(format!(
                    "--registration-id {id} differs from that of the individual enrollment, {}",
                    enrollment.registration_id
                )));
            }
            (Some(id), _) => id.clone(),
            (None, Enrolled::Individual(enrollment)) => enrollment.registration_id.clone(),
            (None, Enrolled::Group(_)) => DEFAULT_ID.to_owned(),
        };
        RegistrationId::new(&id)?;
        let linked_hubs = linked_hubs(&args.hubs, enrolled.settings());
        set_url(enrolled.settings_mut(), url);
        let mut request = match &enrolled {
            Enrolled::Individual(enrollment) => AllocationRequest::for_enrollment(enrollment),
            Enrolled::Group(group) => AllocationRequest::for_group(group, &id),
        };
        request = request.linked_hubs(&linked_hubs);
        if let Some(hub) = &args.current_hub {
            request = request.current(hub, args.current_device_id.as_deref().unwrap_or(&id));
        }
        if let Some(path) = &args.payload_file {
            request = request.payload(read_object(path)?);
        }
        Ok(Self { body: request.to_json(), linked_hubs })
    }
}

impl Enrolled {
    fn read(path: &Path) -> Result<Self> {
        let mut enrollment = read_object(path)?;
        // The output of `dps enrollment show --json` has the enrollment in a member.
        for member in ["enrollment", "enrollmentGroup"] {
            if let Some(Value::Object(inner)) = enrollment.get(member) {
                enrollment = inner.clone();
                break;
            }
        }
        if enrollment.contains_key("enrollmentGroupId") {
            return parse(path, enrollment).map(|group| Self::Group(Box::new(group)));
        }
        parse(path, enrollment).map(|individual| Self::Individual(Box::new(individual)))
    }

    fn settings(&self) -> &Settings {
        match self {
            Self::Individual(enrollment) => &enrollment.settings,
            Self::Group(group) => &group.settings,
        }
    }

    fn settings_mut(&mut self) -> &mut Settings {
        match self {
            Self::Individual(enrollment) => &mut enrollment.settings,
            Self::Group(group) => &mut group.settings,
        }
    }
}

/// Has the enrollment use this webhook, whatever it used.
fn set_url(settings: &mut Settings, url: &WebhookUrl) {
    let definition = settings.custom_allocation_definition.take();
    settings.allocation_policy = Some(dps_emulator::AllocationPolicy::Custom);
    settings.custom_allocation_definition = Some(match definition {
        Some(definition) => CustomAllocationDefinition { webhook_url: url.clone(), ..definition },
        None => CustomAllocationDefinition::new(url.clone()),
    });
}

fn linked_hubs(given: &[String], settings: &Settings) -> Vec<String> {
    let of_enrollment = settings.iot_hubs.as_deref().unwrap_or_default();
    match (given, of_enrollment) {
        ([], []) => vec![DEFAULT_HUB.to_owned()],
        ([], hubs) => hubs.to_vec(),
        (hubs, _) => hubs.to_vec(),
    }
}

/// Reads one JSON object from a file, or from stdin for `-`.
fn read_object(path: &Path) -> Result<Map<String, Value>> {
    let source = source_name(path);
    let invalid = |what: String| Failure::new(ErrorCode::InvalidPayload, format!("{source}: {what}"));
    let most = MESSAGE_MAX as u64 + 1;
    let read = if is_stdin(path) {
        let mut bytes = Vec::new();
        io::stdin().lock().take(most).read_to_end(&mut bytes).map(|_| bytes)
    } else {
        dps_files::read(path, most).map(|bytes| bytes.to_vec())
    };
    let bytes = match read {
        Ok(bytes) if bytes.len() as u64 == most => return Err(invalid(format!("longer than {MESSAGE_MAX} bytes"))),
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            return Err(invalid(format!("longer than {MESSAGE_MAX} bytes")));
        }
        Err(error) => return Err(Failure::file("read", path, &error)),
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(invalid("it is JSON, but not an object".to_owned())),
        Err(error) => Err(invalid(format!("it is not valid JSON at line {}, column {}", error.line(), error.column()))),
    }
}

fn parse<T: DeserializeOwned>(path: &Path, object: Map<String, Value>) -> Result<T> {
    serde_json::from_value(Value::Object(object)).map_err(|error| {
        let message = format!("{}: it is not an enrollment of the service: {error}", source_name(path));
        Failure::new(ErrorCode::InvalidOption, message)
    })
}
