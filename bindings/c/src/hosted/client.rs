//! The blocking calls: the client's future on a runtime that lasts as long as the call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use dps_client::{CallRuntime, DpsError, ErrorCode, ProvisioningClient, ResumeToken, Verdict};

use crate::hosted::assignment::dps_assignment;
use crate::hosted::cancel::{Signal, dps_cancel_token};
use crate::hosted::config::dps_client_config;
use crate::hosted::error::dps_error;
use crate::hosted::log::{Log, dps_log_level};
use crate::input::input;
use crate::memory::output;
use crate::result::{DPS_OK, Refused, done, dps_result, number};

/// Registers a device and blocks until its assignment, or `timeout_ms`. Several threads may call it at once.
///
/// The timeout and a cancel token end the call also while a name is being resolved. The platform's resolver cannot be
/// interrupted: its thread, which the library started, may outlive the call until the resolver returns. It touches no
/// memory of the caller. The shared library stays loaded after `dlclose` for its sake.
///
/// Gives `DPS_OK` and sets `*assignment`, to be freed with `dps_assignment_free`; else the reason, and sets `*error`, to
/// be freed with `dps_error_free`, unless `error` is null. The other is left unchanged. Any number of the catalogue is
/// possible; `DPS_ERROR_INVALID_ARGUMENT` when `config` or `assignment` is null, without an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_client_register(
    config: *const dps_client_config,
    assignment: *mut *mut dps_assignment,
    error: *mut *mut dps_error,
) -> dps_result {
    let register = async |client: &ProvisioningClient, resume: Option<&ResumeToken>| {
        let assignment = match resume {
            Some(token) => client.resume(token).await,
            None => client.register().await,
        };
        assignment.map(|found| dps_assignment::of_assignment(&found))
    };
    // SAFETY: as the caller promises.
    unsafe { call(config, assignment, error, register) }
}

/// Asks what the service has on record for a device, without registering it, and blocks until the answer. HTTPS only.
/// The record is given as an assignment whose status may be another than `DPS_STATUS_ASSIGNED`; its hub and device id
/// are empty then.
///
/// Gives the same as `dps_client_register`; `DPS_ERROR_NOT_FOUND` when the device never registered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_client_lookup(
    config: *const dps_client_config,
    assignment: *mut *mut dps_assignment,
    error: *mut *mut dps_error,
) -> dps_result {
    let look_up = async |client: &ProvisioningClient, _: Option<&ResumeToken>| {
        client.lookup().await.map(|found| dps_assignment::of_record(&found))
    };
    // SAFETY: as the caller promises.
    unsafe { call(config, assignment, error, look_up) }
}

/// # Safety
/// As the caller of the exported functions promises.
unsafe fn call(
    config: *const dps_client_config,
    assignment: *mut *mut dps_assignment,
    error: *mut *mut dps_error,
    ask: impl AsyncFn(&ProvisioningClient, Option<&ResumeToken>) -> Result<dps_assignment, DpsError>,
) -> dps_result {
    // SAFETY: promised on.
    let (config, place) = match unsafe { (input(config), output(assignment)) } {
        (Ok(config), Ok(place)) => (config, place),
        _ => return done(Err(Refused::ARGUMENT)),
    };
    #[cfg(unix)]
    let _held = crate::hosted::sigpipe::Held::new();
    // A panic may not go on into C.
    let answer = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: promised on.
        unsafe { answer(&config, ask) }
    }));
    let failed = match answer {
        Ok(Ok(found)) => {
            place.write(Box::into_raw(Box::new(found)));
            return DPS_OK;
        }
        Ok(Err(failed)) => failed,
        Err(_) => dps_error::new(ErrorCode::Internal, Verdict::Never, "the library has failed; please report it"),
    };
    let code = number(failed.code());
    // SAFETY: promised on; null is none.
    if let Ok(place) = unsafe { output(error) } {
        place.write(Box::into_raw(failed));
    }
    code
}

/// # Safety
/// What the configuration points to is as the caller promised.
unsafe fn answer(
    config: &dps_client_config,
    ask: impl AsyncFn(&ProvisioningClient, Option<&ResumeToken>) -> Result<dps_assignment, DpsError>,
) -> Result<dps_assignment, Box<dps_error>> {
    // SAFETY: promised on.
    let cancel = unsafe { dps_cancel_token::signal(config.cancel) };
    let run = || {
        // SAFETY: promised on.
        let (resume, client) = unsafe { (config.resume_token()?, config.client()?) };
        CallRuntime::new()?.block_on(unless_cancelled(cancel, ask(&client, resume.as_ref())))
    };
    match config.log {
        None => run(),
        Some(function) => {
            let level = if config.log_level == 0 { dps_log_level::DPS_LOG_INFO as u32 } else { config.log_level };
            let log = Log { function, context: config.log_context, level, spans: AtomicU64::new(1) };
            tracing::subscriber::with_default(log, run)
        }
    }
}

async fn unless_cancelled(
    cancel: Option<Arc<Signal>>,
    answer: impl Future<Output = Result<dps_assignment, DpsError>>,
) -> Result<dps_assignment, Box<dps_error>> {
    let Some(signal) = cancel else { return Ok(answer.await?) };
    tokio::select! {
        biased;
        () = signal.cancelled() => Err(cancelled()),
        answer = answer => Ok(answer?),
    }
}

fn cancelled() -> Box<dps_error> {
    let at_once = Verdict::After(dps_core::Millis::ZERO);
    dps_error::new(ErrorCode::Cancelled, at_once, ErrorCode::Cancelled.text())
}
