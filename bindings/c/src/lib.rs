//! The C face of the project: the machine in the caller's memory for firmware, and one blocking registration for
//! programs on an operating system.
//!
//! Nothing is decided here. Every function checks its pointers in `memory`, calls `dps-core` or `dps-client`, and
//! returns a number of the catalogue. The comments of what is exported are the C header's, `include/dps.h`: they are
//! written for its readers.
//!
//! Bare metal is the target's choice, not a feature's: there the library has no heap, thread, callback or global.
#![cfg_attr(target_os = "none", no_std)]
#![allow(non_camel_case_types, reason = "types bear their C names")]
#![allow(clippy::missing_safety_doc, reason = "what callers promise is at the top of the C header")]

pub mod action;
pub mod api_version;
pub mod config;
pub mod flat;
#[cfg(dps_hosted)]
pub mod hosted;
pub mod http;
pub mod input;
pub mod issuance;
pub mod key;
pub mod link;
pub mod memory;
pub mod mqtt;
pub mod outcome;
pub mod registration;
pub mod result;
pub mod sas;
pub mod span;
pub mod tpm;
pub mod version;
pub mod wire;
pub mod x509;

/// A static library for bare metal must define what a panic does. No panic can be reached in what the project links, so
/// that the linker never asks for `dps_panic`.
#[cfg(all(feature = "panic-hook", target_os = "none"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn dps_panic() -> !;
    }
    // SAFETY: the firmware supplies it, without parameters, and it does not return.
    unsafe { dps_panic() }
}
