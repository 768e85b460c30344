//! Acceptance runs of a device's command. The objects of the card are made in Python, from its JSON.

use std::pin::pin;

use dps_accept::{AcceptError, Acceptance, Credential, ScenarioSet, Transport};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use tokio::time::timeout;

use crate::gate::Gate;
use crate::logging;
use crate::runtime::{SLICE, in_slices, with_threads};

/// Runs a device's command through the scenarios; returns the card as JSON, as text, as JUnit XML.
// A signal whose handler raises ends the run and its commands.
#[pyfunction]
#[pyo3(signature = (*, command, transport, credential, only, skip, jobs, listen, host, ports, id_scope))]
#[expect(clippy::too_many_arguments, reason = "each is an option, named by the caller")]
pub(crate) fn accept(
    py: Python<'_>,
    command: Vec<String>,
    transport: &str,
    credential: &str,
    only: Vec<String>,
    skip: Vec<String>,
    jobs: usize,
    listen: std::net::IpAddr,
    host: String,
    ports: (u16, u16, u16),
    id_scope: Option<String>,
) -> PyResult<(String, String, String)> {
    logging::refresh(py)?;
    let transport = named("transport", transport, Transport::ALL.map(|known| (known.name(), known)))?;
    let credential = named("credential", credential, Credential::ALL.map(|known| (known.name(), known)))?;
    let mut acceptance = Acceptance::of_command(command)
        .transport(transport)
        .credential(credential)
        .only(only)
        .skip(skip)
        .jobs(jobs)
        .listen(listen)
        .host(host)
        .https_port(ports.0)
        .mqtt_port(ports.1)
        .wss_port(ports.2);
    if let Some(id_scope) = id_scope {
        acceptance = acceptance.id_scope(id_scope);
    }
    let gate = Gate::open(py)?;
    let runtime = with_threads("dps-accept", &gate)?;
    let ended = {
        let mut run = pin!(acceptance.run(|_| ()));
        in_slices(py, || runtime.block_on(async { timeout(SLICE, run.as_mut()).await.ok() }))
    };
    // The commands have ended with the run.
    gate.close();
    runtime.shutdown_background();
    gate.wait(py);
    let card = ended?.map_err(|error| exception(&error))?;
    let json = serde_json::to_string(&card).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    Ok((json, card.to_string(), card.to_junit()))
}

/// Returns the names of all scenarios, in their order.
#[pyfunction]
pub(crate) fn acceptance_scenarios() -> Vec<&'static str> {
    ScenarioSet::get().scenarios().iter().map(dps_accept::Scenario::name).collect()
}

fn named<T, const N: usize>(argument: &str, name: &str, known: [(&'static str, T); N]) -> PyResult<T> {
    let names = known.each_ref().map(|(name, _)| *name).join(", ");
    let found = known.into_iter().find(|(known, _)| *known == name);
    found
        .map(|(_, value)| value)
        .ok_or_else(|| PyValueError::new_err(format!("argument '{argument}': must be one of {names}, not '{name}'")))
}

fn exception(error: &AcceptError) -> PyErr {
    let text = error.to_string();
    match error {
        AcceptError::UnknownScenario(_)
        | AcceptError::NothingToRun
        | AcceptError::NoCommand
        | AcceptError::Placeholder(..) => PyValueError::new_err(text),
        AcceptError::Command { .. } | AcceptError::Listen { .. } | AcceptError::File(_) => PyOSError::new_err(text),
        _ => PyRuntimeError::new_err(text),
    }
}
