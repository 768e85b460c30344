//! Reports the next step of a call to the caller's function, which can stop the call.

use core::ffi::{c_char, c_int, c_void};
use std::ffi::CString;
use std::ops::ControlFlow;

use dps_client::Progress;

use crate::action::dps_call;
use crate::hosted::assignment::c_text;

/// The next step of a call.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_progress_kind {
    /// To sign a token.
    DPS_PROGRESS_SIGNING = 1,
    /// To send a request, and to connect first where needed.
    DPS_PROGRESS_SENDING = 2,
    /// To wait.
    DPS_PROGRESS_WAITING = 3,
    /// To try the next credential, since the service refused the one before it.
    DPS_PROGRESS_SWITCHING = 4,
}

/// The next step of a call. It lives, with its string, until the `progress` function returns. Newer versions of the library
/// may add members at the end, and kinds.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_progress {
    /// The kind of the step.
    pub kind: dps_progress_kind,
    /// `SENDING`: the request.
    pub call: dps_call,
    /// `WAITING`: the length of the wait.
    pub wait_ms: u64,
    /// `WAITING`: the resume token; set `resume` to it in a later call, to continue from here. It ends with a NUL and is
    /// never null; it is empty if there is no operation to continue.
    pub resume: *const c_char,
    /// `SWITCHING`: the refused credential, where 0 is the one of `dps_client_config`, 1 its `fallback`, and so on.
    pub refused_credential: u32,
    /// `SWITCHING`: the credential that is tried next, counted as above.
    pub next_credential: u32,
}

/// Is called before each signature, request, wait and change of the credential, on the thread that made the call. If it returns 0, the call
/// continues; any other number ends the call with `DPS_ERROR_CANCELLED`, before anything more is signed or sent. It must
/// return quickly, since the call waits for it, and must not call `longjmp`.
pub type dps_progress_function =
    Option<unsafe extern "C" fn(context: *mut c_void, progress: *const dps_progress) -> c_int>;

/// The caller's function and its context.
#[derive(Clone, Copy)]
pub(crate) struct Watcher {
    pub(crate) function: unsafe extern "C" fn(*mut c_void, *const dps_progress) -> c_int,
    pub(crate) context: *mut c_void,
}

// SAFETY: the client that has it lives and runs on the calling thread alone, for the time of the call.
unsafe impl Send for Watcher {}

impl Watcher {
    /// Calls the caller's function, which decides whether to continue.
    pub(crate) fn tell(self, progress: &Progress) -> ControlFlow<()> {
        // Outlives the call of the function.
        let resume: CString;
        let mut step = dps_progress {
            kind: dps_progress_kind::DPS_PROGRESS_SIGNING,
            call: dps_call::DPS_CALL_NONE,
            wait_ms: 0,
            resume: c"".as_ptr(),
            refused_credential: 0,
            next_credential: 0,
        };
        match progress {
            Progress::Signing => {}
            Progress::Sending { call } => {
                step.kind = dps_progress_kind::DPS_PROGRESS_SENDING;
                step.call = match *call {
                    "register" => dps_call::DPS_CALL_REGISTER,
                    "status" => dps_call::DPS_CALL_STATUS,
                    _ => dps_call::DPS_CALL_LOOKUP,
                };
            }
            Progress::Waiting { wait, resume: token } => {
                resume = c_text(token.as_ref().map(ToString::to_string).as_deref());
                step.kind = dps_progress_kind::DPS_PROGRESS_WAITING;
                step.wait_ms = wait.as_millis().try_into().unwrap_or(u64::MAX);
                step.resume = resume.as_ptr();
            }
            Progress::Switching { refused, next } => {
                step.kind = dps_progress_kind::DPS_PROGRESS_SWITCHING;
                // A call has 8 credentials at most.
                (step.refused_credential, step.next_credential) = (refused.index() as u32, next.index() as u32);
            }
            // One that this binding does not know yet.
            _ => return ControlFlow::Continue(()),
        }
        // SAFETY: the function and its context are the caller's, for the time of the call.
        match unsafe { (self.function)(self.context, &step) } {
            0 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }
}
