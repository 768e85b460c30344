//! TPM attestation: swtpm, which each test starts and stops. `cargo xtask tpm` runs these tests.
#![cfg(target_os = "linux")]

#[path = "../suite/common.rs"]
mod common;

mod raw;
mod swtpm;
mod tap;
mod tpm_blocked;
mod tpm_errors;
mod tpm_interrupted;
mod tpm_register;
mod tpm_state;
