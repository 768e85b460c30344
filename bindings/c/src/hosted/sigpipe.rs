//! Writing to a connection that the other side has closed sends the thread SIGPIPE, which ends a C program. A Rust
//! program ignores it; here it is blocked for the duration of a call, on the calling thread only.

use std::mem::MaybeUninit;

/// Blocks the signal until it is dropped.
pub(crate) struct Held {
    before: libc::sigset_t,
    was_pending: bool,
}

impl Held {
    pub(crate) fn new() -> Self {
        let mut before = empty();
        // SAFETY: both sets were made ready; only the mask of this thread changes.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &pipe(), &mut before) };
        Self { before, was_pending: is_pending() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // One that came meanwhile is ours, and is taken; one from before is the caller's.
        if !self.was_pending && is_pending() {
            let mut signal = 0;
            // SAFETY: the set was made ready; the signal is pending and blocked, so that this returns at once.
            unsafe { libc::sigwait(&pipe(), &mut signal) };
        }
        // SAFETY: the mask is the one that this thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

fn is_pending() -> bool {
    let mut pending = empty();
    // SAFETY: the set was made ready.
    unsafe { libc::sigpending(&mut pending) == 0 && libc::sigismember(&pending, libc::SIGPIPE) == 1 }
}

fn empty() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` makes the set ready.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

fn pipe() -> libc::sigset_t {
    let mut set = empty();
    // SAFETY: the set was made ready.
    unsafe { libc::sigaddset(&mut set, libc::SIGPIPE) };
    set
}
