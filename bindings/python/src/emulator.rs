//! The emulator in this process, with its own sockets and threads, controlled from Python.
//!
//! Enrollments, faults and records are passed as the emulator's JSON, which `dps_client.emulator` converts to objects. No
//! thread that is attached to the interpreter waits for the service, to avoid a deadlock.

use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use dps_emulator::{
    Certificate, ConfigError, EmulatorOptions, EnrollmentGroup, FaultPlan, IndividualEnrollment, Limits, Now,
    SCALE_MAX, Service, Settings, StartError, WebhookOptions,
};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::argument;
use crate::emulator_json::{
    self, Attested, attested, codes, event_json, filter, hint, keys, parse, parse_whole, profiles, record_json,
    refusal, refused, to_json, unknown, weight,
};
use crate::gate::Gate;
use crate::logging;
use crate::runtime::{SLICE, in_slices, with_threads, with_time};
use crate::secret::Secret;

struct Running {
    emulator: dps_emulator::Emulator,
    runtime: Runtime,
}

/// A local provisioning service. Applications use dps_client.emulator.Emulator.
#[pyclass(frozen, module = "dps_client._native")]
pub(crate) struct Emulator {
    process: u32,
    running: Mutex<Option<Running>>,
}

#[pymethods]
impl Emulator {
    #[new]
    #[pyo3(signature = (
        *, listen, host_name, https_port, mqtt_port, wss_port, id_scope, hubs, retry_after, assigning, assign_at_once,
        rate_limits, echo_payload, hub_profiles, certificate_days, p384_only, issuance_codes, webhook_hosts,
        webhook_roots, webhook_timeout, derive_as_sent, strict_at_connect, check_expiry_on_poll, clock_offset_ms, seed,
        state_dir,
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option, named by the caller")]
    fn new(
        py: Python<'_>,
        listen: IpAddr,
        host_name: Option<String>,
        https_port: u16,
        mqtt_port: u16,
        wss_port: u16,
        id_scope: Option<String>,
        hubs: Vec<(String, Bound<'_, PyAny>)>,
        retry_after: Option<Bound<'_, PyAny>>,
        assigning: Bound<'_, PyAny>,
        assign_at_once: bool,
        rate_limits: bool,
        echo_payload: bool,
        hub_profiles: Vec<(String, String)>,
        certificate_days: Bound<'_, PyAny>,
        p384_only: bool,
        issuance_codes: &str,
        webhook_hosts: Vec<String>,
        webhook_roots: Option<String>,
        webhook_timeout: Bound<'_, PyAny>,
        derive_as_sent: bool,
        strict_at_connect: bool,
        check_expiry_on_poll: bool,
        clock_offset_ms: i64,
        seed: Option<Bound<'_, PyAny>>,
        state_dir: Option<PathBuf>,
    ) -> PyResult<Self> {
        logging::refresh(py)?;
        let assigning = argument::duration("assigning", &assigning)?;
        let assigning_ms = u64::try_from(assigning.as_millis()).unwrap_or(u64::MAX);
        let webhook_timeout = argument::duration_above_zero("webhook_timeout", &webhook_timeout)?;
        let webhook_limit_ms = u64::try_from(webhook_timeout.as_millis()).unwrap_or(u64::MAX);
        let webhooks = webhook_hosts.into_iter().fold(WebhookOptions::new(), WebhookOptions::host);
        let hint = retry_after.map(|given| hint("retry_after", &given)).transpose()?;
        let seed = seed.map(|given| argument::whole("seed", &given, 0..=u64::MAX)).transpose()?;
        let hubs = hubs.into_iter().map(|(host, given)| Ok((host, weight("hubs", &given)?)));
        let hubs = hubs.collect::<PyResult<Vec<_>>>()?;
        let certificate_days = argument::whole("certificate_days", &certificate_days, 7..=90)?;
        let (issuance_codes, profiles) = (codes(issuance_codes)?, profiles(hub_profiles)?);
        let mut options = EmulatorOptions::new()
            .listen(listen)
            .https_port(https_port)
            .mqtt_port(mqtt_port)
            .wss_port(wss_port)
            .clock_offset_ms(clock_offset_ms)
            .service(|service| {
                let service = service
                    .hint(hint)
                    .assigning_ms(assigning_ms)
                    .assign_at_once(assign_at_once)
                    .limits(if rate_limits { Limits::default() } else { Limits::none() })
                    .echo_payload(echo_payload)
                    .certificate_days(certificate_days)
                    .p384_only(p384_only)
                    .issuance_codes(issuance_codes)
                    .webhook_limit_ms(webhook_limit_ms)
                    .derive_as_sent(derive_as_sent)
                    .strict_at_connect(strict_at_connect)
                    .check_expiry_on_poll(check_expiry_on_poll);
                let service = hubs.into_iter().fold(service, |service, (host, weight)| service.hub(host, weight));
                let service =
                    profiles.into_iter().fold(service, |service, (hub, profile)| service.hub_profile(hub, profile));
                match seed {
                    Some(seed) => service.seed(seed),
                    None => service,
                }
            });
        if let Some(name) = host_name {
            options = options.host_name(name);
        }
        if let Some(id_scope) = id_scope {
            options = options.id_scope(id_scope);
        }
        if let Some(path) = state_dir {
            options = options.state_dir(path);
        }
        options = options.webhooks(match webhook_roots {
            Some(pem) => webhooks.roots_pem(pem),
            None => webhooks,
        });
        Self::start(py, options)
    }

    /// Starts one from a configuration file.
    #[staticmethod]
    fn from_config(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        logging::refresh(py)?;
        let options = py.detach(|| EmulatorOptions::from_config_file(path)).map_err(|error| match &error {
            ConfigError::Read { source, .. } => PyOSError::new_err((source.raw_os_error(), error.to_string())),
            _ => PyValueError::new_err(error.to_string()),
        })?;
        Self::start(py, options)
    }

    /// Stops it and waits until its threads have ended and its files are closed, two seconds at most.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        self.check_process()?;
        py.detach(|| {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(Running { emulator, runtime }) = running {
                runtime.block_on(emulator.shutdown());
            }
        });
        Ok(())
    }

    /// Returns the ports: HTTPS, MQTT, MQTT over WebSocket.
    fn ports(&self, py: Python<'_>) -> PyResult<(u16, u16, u16)> {
        self.with(py, |emulator| {
            let port = |address: Option<std::net::SocketAddr>| address.map_or(0, |address| address.port());
            (emulator.https_addr().port(), port(emulator.mqtt_addr()), port(emulator.wss_addr()))
        })
    }

    /// Returns the host name or address of its endpoints.
    fn host(&self, py: Python<'_>) -> PyResult<String> {
        let endpoint = self.with(py, |emulator| emulator.endpoint())?;
        Ok(endpoint.rsplit_once(':').map_or(endpoint.as_str(), |(host, _)| host).to_owned())
    }

    /// Returns the certificate that clients must trust.
    fn ca_pem(&self, py: Python<'_>) -> PyResult<String> {
        self.with(py, |emulator| emulator.ca_pem().to_owned())
    }

    /// Returns the id scope.
    fn id_scope(&self, py: Python<'_>) -> PyResult<String> {
        self.with(py, |emulator| emulator.id_scope().to_owned())
    }

    /// Returns the connection string for service clients.
    fn connection_string(&self, py: Python<'_>) -> PyResult<Secret> {
        self.with(py, |emulator| emulator.connection_string().expose().into())
    }

    /// Sets the offset of the service's wall clock from the system's.
    fn set_clock_offset_ms(&self, py: Python<'_>, offset_ms: i64) -> PyResult<()> {
        self.with(py, |emulator| emulator.set_clock_offset_ms(offset_ms))
    }

    /// Lets time pass on the service's clock at once.
    fn advance_clock(&self, py: Python<'_>, time: &Bound<'_, PyAny>) -> PyResult<()> {
        let time = argument::duration("time", time)?;
        let advanced = self.with(py, |emulator| emulator.advance_clock(time))?;
        advanced.map_err(|error| argument::refused("time", error))
    }

    /// Divides what waits on the service's clock.
    fn scale_clock(&self, py: Python<'_>, factor: &Bound<'_, PyAny>) -> PyResult<()> {
        let factor = argument::whole("factor", factor, 1..=SCALE_MAX)?;
        let scaled = self.with(py, |emulator| emulator.scale_clock(factor))?;
        scaled.map_err(|error| argument::refused("factor", error))
    }

    /// Returns the service's date, in milliseconds since 1970.
    fn unix_ms(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |emulator| emulator.now().unix_ms)
    }

    /// Creates or replaces an individual enrollment, in the service's JSON; returns its two keys, if it has any.
    fn put_enrollment(&self, py: Python<'_>, json: &str) -> PyResult<Option<(Secret, Secret)>> {
        let enrollment: IndividualEnrollment = parse_whole(json)?;
        self.check_hubs(py, &enrollment.settings)?;
        let kept = self.service(py, |service, now| service.put_enrollment(now, enrollment))?;
        Ok(keys(&kept.map_err(|problem| refused(&problem))?.settings))
    }

    /// Creates or replaces an enrollment group, in the service's JSON; returns its two keys, if it has any.
    fn put_group(&self, py: Python<'_>, json: &str) -> PyResult<Option<(Secret, Secret)>> {
        let group: EnrollmentGroup = parse_whole(json)?;
        self.check_hubs(py, &group.settings)?;
        let kept = self.service(py, |service, now| service.put_group(now, group))?;
        Ok(keys(&kept.map_err(|problem| refused(&problem))?.settings))
    }

    /// Returns the type of an individual enrollment's attestation, and its two keys, if it has any.
    fn enrollment_attestation(&self, py: Python<'_>, registration_id: &str) -> PyResult<Option<Attested>> {
        self.service(py, |service, _| service.enrollment(registration_id).map(|found| attested(&found.settings)))
    }

    /// Returns the type of a group's attestation, and its two keys, if it has any.
    fn group_attestation(&self, py: Python<'_>, group_id: &str) -> PyResult<Option<Attested>> {
        self.service(py, |service, _| service.group(group_id).map(|found| attested(&found.settings)))
    }

    /// Stores a CA certificate of the service, or replaces it.
    fn put_ca_certificate(&self, py: Python<'_>, name: &str, pem: &str, verified: bool) -> PyResult<()> {
        let certificate = Certificate::from_pem(pem).map_err(|error| argument::refused("certificate", error))?;
        let stored =
            self.service(py, |service, now| service.put_ca_certificate(now, name, certificate, verified).map(drop))?;
        stored.map_err(|problem| refused(&problem))
    }

    /// Deletes a CA certificate of the service; returns whether there was one.
    fn delete_ca_certificate(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        self.service(py, |service, _| service.delete_ca_certificate(name))
    }

    /// Enables or disables an individual enrollment.
    fn enable_enrollment(&self, py: Python<'_>, registration_id: &str, enabled: bool) -> PyResult<()> {
        let changed = self.service(py, |service, now| {
            let enrollment = service.enrollment(registration_id)?.clone().enabled(enabled);
            Some(service.put_enrollment(now, enrollment).map(drop))
        })?;
        changed.ok_or_else(|| unknown(registration_id))?.map_err(|problem| refused(&problem))
    }

    /// Enables or disables an enrollment group.
    fn enable_group(&self, py: Python<'_>, group_id: &str, enabled: bool) -> PyResult<()> {
        let changed = self.service(py, |service, now| {
            let group = service.group(group_id)?.clone().enabled(enabled);
            Some(service.put_group(now, group).map(drop))
        })?;
        changed.ok_or_else(|| unknown(group_id))?.map_err(|problem| refused(&problem))
    }

    /// Deletes an individual enrollment and its record; returns whether there was one.
    fn delete_enrollment(&self, py: Python<'_>, registration_id: &str) -> PyResult<bool> {
        self.service(py, |service, _| service.delete_enrollment(registration_id))
    }

    /// Deletes a group and the records of its devices; returns whether there was one.
    fn delete_group(&self, py: Python<'_>, group_id: &str) -> PyResult<bool> {
        self.service(py, |service, _| service.delete_group(group_id))
    }

    /// Deletes a device's registration record; returns whether there was one.
    fn delete_record(&self, py: Python<'_>, registration_id: &str) -> PyResult<bool> {
        self.service(py, |service, _| service.delete_record(registration_id))
    }

    /// Links a hub, or changes its weight.
    fn link_hub(&self, py: Python<'_>, host: &str, weight: &Bound<'_, PyAny>) -> PyResult<()> {
        let weight = emulator_json::weight("weight", weight)?;
        let linked = self.service(py, |service, _| service.link_hub(host, weight))?;
        linked.map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Unlinks a hub; returns whether it was linked.
    fn unlink_hub(&self, py: Python<'_>, host: &str) -> PyResult<bool> {
        self.service(py, |service, _| service.unlink_hub(host))
    }

    /// Plans a fault, in the emulator's JSON.
    fn plan_fault(&self, py: Python<'_>, json: &str) -> PyResult<()> {
        let plan: FaultPlan = parse(json)?;
        self.service(py, |service, _| service.inject_plan(&plan))
    }

    /// Returns whether an enrollment covers this id: an individual enrollment, or any group.
    fn has_enrollment_for(&self, py: Python<'_>, registration_id: &str) -> PyResult<bool> {
        self.service(py, |service, _| service.has_enrollment_for(registration_id))
    }

    /// Returns the planned faults, oldest first, as JSON.
    fn planned_faults(&self, py: Python<'_>) -> PyResult<String> {
        self.service(py, |service, _| to_json(&service.planned_faults().collect::<Vec<_>>()))?
    }

    /// Removes the planned faults of one registration, or all; returns how many there were.
    fn clear_faults(&self, py: Python<'_>, registration_id: Option<&str>) -> PyResult<usize> {
        self.service(py, |service, _| match registration_id {
            Some(id) => service.clear_faults_of(id),
            None => service.clear_faults(),
        })
    }

    /// Returns the counters of one registration, or of all together, as JSON.
    fn counters(&self, py: Python<'_>, registration_id: Option<&str>) -> PyResult<String> {
        self.service(py, |service, _| {
            to_json(&registration_id.map_or_else(|| service.counters(), |id| service.counters_of(id)))
        })?
    }

    /// Returns the events that match, oldest first, as a JSON array with the line and the members of each.
    fn events(&self, py: Python<'_>, conditions: &Bound<'_, PyDict>) -> PyResult<String> {
        let filter = filter(conditions)?;
        let events = self.with(py, |emulator| emulator.events(&filter))?;
        to_json(&events.iter().map(|event| event_json(event)).collect::<Vec<_>>())
    }

    /// Waits until an event matches, and returns the first one, as JSON like `events`; None after the timeout.
    fn wait_for(
        &self,
        py: Python<'_>,
        conditions: &Bound<'_, PyDict>,
        timeout: &Bound<'_, PyAny>,
    ) -> PyResult<Option<String>> {
        let limit = argument::duration("timeout", timeout)?;
        let filter = filter(conditions)?;
        // Owned, so that other threads can use and stop the emulator meanwhile.
        let mut wait = pin!(self.with(py, |emulator| emulator.wait_for(&filter, limit))?);
        let runtime = with_time()?;
        let waited = in_slices(py, || {
            let found = runtime.block_on(async { tokio::time::timeout(SLICE, wait.as_mut()).await.ok() });
            found.map(Some).or_else(|| self.is_stopped().then_some(None))
        })?;
        let found = waited.ok_or_else(stopped)?;
        found.ok().map(|event| to_json(&event_json(&event))).transpose()
    }

    /// Returns the number of the latest event.
    fn last_event(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, dps_emulator::Emulator::last_event)
    }

    /// Resets all counters to zero.
    fn reset_counters(&self, py: Python<'_>) -> PyResult<()> {
        self.service(py, |service, _| service.reset_counters())
    }

    /// Returns the latest refused credentials, oldest first, as JSON.
    fn refusals(&self, py: Python<'_>) -> PyResult<String> {
        self.service(py, |service, _| to_json(&service.refusals().map(refusal).collect::<Vec<_>>()))?
    }

    /// Returns a device's registration record, as JSON; None if there is none.
    fn record(&self, py: Python<'_>, registration_id: &str) -> PyResult<Option<String>> {
        self.service(py, |service, _| service.record(registration_id).map(|record| to_json(&record_json(record))))?
            .transpose()
    }

    /// Returns a device's entry in a hub, as JSON; None if there is no entry.
    fn hub_device(&self, py: Python<'_>, hub: &str, device_id: &str) -> PyResult<Option<String>> {
        let entry = self.service(py, |service, _| {
            service.hub_device(hub, device_id).map(|device| {
                to_json(&json!({
                    "hub": device.hub, "deviceId": device.device_id, "iotEdge": device.iot_edge,
                    "tags": device.twin.tags, "desired": device.twin.desired,
                }))
            })
        })?;
        entry.transpose()
    }

    /// Returns whether the hub would accept this SAS token of the device.
    fn hub_accepts(&self, py: Python<'_>, hub: &str, device_id: &str, token: &str) -> PyResult<bool> {
        self.service(py, |service, now| {
            service.hub_device(hub, device_id).is_some_and(|device| device.accepts_token(now, token))
        })
    }
}

impl Emulator {
    fn start(py: Python<'_>, options: EmulatorOptions) -> PyResult<Self> {
        let gate = Gate::open(py)?;
        let runtime = with_threads("dps-emulator", &gate)?;
        let started = py.detach(|| runtime.block_on(dps_emulator::Emulator::start(options)));
        match started {
            Ok(emulator) => {
                let running = Mutex::new(Some(Running { emulator, runtime }));
                Ok(Self { process: std::process::id(), running })
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(not_started(&error))
            }
        }
    }

    fn check_process(&self) -> PyResult<()> {
        if self.process == std::process::id() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err("this emulator runs in the process that started it: start another one here"))
    }

    /// Refuses hubs to which devices could never be assigned.
    fn check_hubs(&self, py: Python<'_>, settings: &Settings) -> PyResult<()> {
        let linked: Vec<String> = self.service(py, |service, _| service.linked_hubs().map(str::to_owned).collect())?;
        let mut named = settings.iot_hubs.iter().flatten().chain(&settings.iot_hub_host_name);
        let Some(hub) = named.find(|hub| !linked.iter().any(|linked| linked.eq_ignore_ascii_case(hub))) else {
            return Ok(());
        };
        let problem = format!("'{hub}' is not linked to this service; linked are: {}", linked.join(", "));
        Err(argument::refused("hubs", problem))
    }

    fn with<T: Send>(&self, py: Python<'_>, ask: impl FnOnce(&dps_emulator::Emulator) -> T + Send) -> PyResult<T> {
        self.check_process()?;
        let answer = py.detach(|| {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.as_ref().map(|running| ask(&running.emulator))
        });
        answer.ok_or_else(stopped)
    }

    fn is_stopped(&self) -> bool {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn service<T: Send>(&self, py: Python<'_>, ask: impl FnOnce(&mut Service, Now) -> T + Send) -> PyResult<T> {
        self.with(py, |emulator| {
            let now = emulator.now();
            emulator.with_service(|service| ask(service, now))
        })
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let Some(running) = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if self.process == std::process::id() {
            drop(running.emulator);
            // Waiting for its threads here could wait for ever: one may be waiting for the interpreter.
            running.runtime.shutdown_background();
        } else {
            // Its threads were not forked along: it can be neither used nor ended here.
            std::mem::forget(running);
        }
    }
}

fn stopped() -> PyErr {
    PyRuntimeError::new_err("this emulator was stopped")
}

fn not_started(error: &StartError) -> PyErr {
    match error {
        StartError::Options(_) | StartError::HostName(_) | StartError::WebhookRoots(_) => {
            PyValueError::new_err(error.to_string())
        }
        // With a number Python makes it a PermissionError and so on.
        StartError::Listen { source, .. } => PyOSError::new_err((source.raw_os_error(), error.to_string())),
        StartError::Ports(ports) => {
            let number = ports.iter().find_map(|port| port.source.raw_os_error());
            PyOSError::new_err((number, error.to_string()))
        }
        StartError::State(_) => PyOSError::new_err(error.to_string()),
        _ => PyRuntimeError::new_err(error.to_string()),
    }
}
