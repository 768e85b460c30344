//! Tests of the built program: its streams, its files and its exit codes.

mod accept;
mod broken_chains;
mod bulk;
mod certificate_device;
mod certificates;
mod check;
mod check_faults;
mod clock;
mod clock_offset;
mod closed_streams;
mod command_line;
mod container;
mod demo;
mod derive_key;
mod edge;
mod edge_offline;
mod emulator;
mod emulator_config;
mod emulator_end;
mod emulator_page;
mod enrollment;
mod escapes;
mod failures;
mod faults;
mod files;
mod health;
mod hub_device;
mod interrupted;
#[cfg(feature = "pkcs11")]
mod issued;
mod mutual_tls;
mod pkcs11;
#[path = "../../../dps-client/tests/suite/pki.rs"]
#[expect(unused_imports, unused_macros, reason = "a macro that only tests beside it use")]
mod pki;
#[cfg(all(feature = "tpm", target_os = "linux"))]
#[path = "../../../dps-client/tests/tpm/raw.rs"]
#[allow(dead_code, reason = "the tests of dps-client use all of it")]
mod raw;
mod register;
mod run;
mod secrets;
mod service;
#[cfg(feature = "pkcs11")]
#[path = "../../../dps-client/tests/pkcs11/token.rs"]
#[allow(dead_code, reason = "the tests of dps-client use all of it")]
mod softhsm;
#[cfg(target_os = "linux")]
#[path = "../../../dps-client/tests/suite/stalled.rs"]
mod stalled;
#[cfg(target_os = "linux")]
mod stalled_resolver;
#[cfg(all(feature = "tpm", target_os = "linux"))]
#[path = "../../../dps-client/tests/tpm/swtpm.rs"]
#[allow(dead_code, reason = "the tests of dps-client use all of it")]
mod swtpm;
mod token;
#[cfg(all(feature = "tpm", target_os = "linux"))]
mod tpm;
#[cfg(not(feature = "tpm"))]
mod tpm_not_built;
mod webhook;
mod x509;
