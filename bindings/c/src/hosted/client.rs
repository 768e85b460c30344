//! The blocking calls: the client's future runs on a runtime that exists for the duration of the call.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use dps_client::{CallRuntime, ErrorCode, ProvisioningClient, ResumeToken, Verdict};

use crate::hosted::assignment::dps_assignment;
use crate::hosted::attempt::attempt_for;
use crate::hosted::cancel::{Signal, dps_cancel_token};
use crate::hosted::config::dps_client_config;
use crate::hosted::error::dps_error;
use crate::hosted::log::{Log, dps_log_level};
use crate::hosted::options::Checked;
use crate::input::input;
use crate::result::{Refused, done, dps_result};

/// Registers a device. Blocks until the device is assigned, the registration fails, or `timeout_ms` has passed. Several
/// threads can call it at the same time.
///
/// The timeout and a cancel token end the call even while a name is being resolved. The platform's resolver cannot be
/// interrupted: the thread that the library starts for it can outlive the call until the resolver returns. That thread does
/// not access memory of the caller. Because of it, the shared library stays loaded after `dlclose`.
///
/// Returns `DPS_OK` and sets `*assignment`, to be freed with `dps_assignment_free`. Otherwise it returns the number of the
/// error and, unless `error` is null, sets `*error`, to be freed with `dps_error_free`. The other output is left unchanged.
/// Any number of the error catalogue is possible. If `config` or `assignment` is null, it returns
/// `DPS_ERROR_INVALID_ARGUMENT` and leaves `*error` unchanged.
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
        assignment.map(|found| dps_assignment::from_assignment(&found))
    };
    // SAFETY: as the caller promises.
    unsafe { call(config, assignment, error, register) }
}

/// Reads the registration record of a device, without registering it, and blocks until the reply. HTTPS only. The record is
/// returned as an assignment; if its status is not `DPS_STATUS_ASSIGNED`, its hub and device id are empty.
///
/// Returns the same as `dps_client_register`, and `DPS_ERROR_NOT_FOUND` if the device never registered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_client_lookup(
    config: *const dps_client_config,
    assignment: *mut *mut dps_assignment,
    error: *mut *mut dps_error,
) -> dps_result {
    let look_up = async |client: &ProvisioningClient, _: Option<&ResumeToken>| {
        client.lookup().await.map(|found| dps_assignment::from_record(&found))
    };
    // SAFETY: as the caller promises.
    unsafe { call(config, assignment, error, look_up) }
}

/// # Safety
/// As required of the caller of the exported functions.
pub(super) unsafe fn call<T, E: Into<Box<dps_error>>>(
    config: *const dps_client_config,
    result: *mut *mut T,
    error: *mut *mut dps_error,
    ask: impl AsyncFn(&ProvisioningClient, Option<&ResumeToken>) -> Result<T, E>,
) -> dps_result {
    // SAFETY: promised on.
    let Ok(config) = (unsafe { input(config) }) else { return done(Err(Refused::ARGUMENT)) };
    #[cfg(unix)]
    let _held = crate::hosted::sigpipe::Held::new();
    // SAFETY: promised on.
    unsafe { attempt_for(result, error, || answer(&config, ask)) }
}

/// # Safety
/// The pointers in the configuration are valid, as required of the caller.
unsafe fn answer<T, E: Into<Box<dps_error>>>(
    config: &dps_client_config,
    ask: impl AsyncFn(&ProvisioningClient, Option<&ResumeToken>) -> Result<T, E>,
) -> Checked<T> {
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

async fn unless_cancelled<T, E: Into<Box<dps_error>>>(
    cancel: Option<Arc<Signal>>,
    answer: impl Future<Output = Result<T, E>>,
) -> Checked<T> {
    let Some(signal) = cancel else { return answer.await.map_err(Into::into) };
    tokio::select! {
        biased;
        () = signal.cancelled() => Err(cancelled()),
        answer = answer => answer.map_err(Into::into),
    }
}

fn cancelled() -> Box<dps_error> {
    let at_once = Verdict::After(dps_core::Millis::ZERO);
    dps_error::new(ErrorCode::Cancelled, at_once, ErrorCode::Cancelled.text())
}
