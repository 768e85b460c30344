//! Runs the work of a function that C calls: its result and its error are returned by pointers, and a panic stays here.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dps_client::{ErrorCode, Verdict};

use crate::hosted::error::dps_error;
use crate::hosted::options::Checked;
use crate::memory::output;
use crate::result::{DPS_OK, Refused, done, dps_result, number};

/// Runs `work`, and writes its result to `result` as an object for C, or its error to `error`, unless that is null. If `result` is
/// null, nothing runs.
///
/// # Safety
/// Both are null or the caller's to write to.
pub(super) unsafe fn attempt_for<T>(
    result: *mut *mut T,
    error: *mut *mut dps_error,
    work: impl FnOnce() -> Checked<T>,
) -> dps_result {
    // SAFETY: promised on.
    let Ok(place) = (unsafe { output(result) }) else { return done(Err(Refused::ARGUMENT)) };
    let write = || {
        place.write(Box::into_raw(Box::new(work()?)));
        Ok(())
    };
    // SAFETY: promised on.
    unsafe { attempt(error, write) }
}

/// As [`attempt_for`], without a result.
///
/// # Safety
/// As [`attempt_for`].
pub(super) unsafe fn attempt(error: *mut *mut dps_error, work: impl FnOnce() -> Checked<()>) -> dps_result {
    // A panic may not go on into C.
    let failed = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return DPS_OK,
        Ok(Err(failed)) => failed,
        Err(_) => dps_error::new(ErrorCode::Internal, Verdict::Never, "the library has failed; please report it"),
    };
    let code = number(failed.code());
    // SAFETY: promised on; null means that the caller does not want it.
    if let Ok(place) = unsafe { output(error) } {
        place.write(Box::into_raw(failed));
    }
    code
}
