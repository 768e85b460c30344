//! Keys in PKCS#11 tokens: SoftHSM, behind a module that injects faults. `cargo xtask pkcs11` sets them up and runs these tests,
//! each in a process of its own, as cargo-nextest does.
#![cfg(target_os = "linux")]

#[path = "../suite/common.rs"]
mod common;
#[path = "../suite/pki.rs"]
mod pki;

mod blocked;
mod errors;
mod issued;
mod memory;
mod process;
mod symmetric;
mod tls;
mod token;
