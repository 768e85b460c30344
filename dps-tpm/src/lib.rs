//! TPM 2.0 commands for the TPM attestation of Azure IoT Hub Device Provisioning Service.
//!
//! Applications use the feature `tpm` of `dps-client`, which uses this crate: it reads or makes the endorsement key and the
//! storage root key, activates the service's challenge, and signs with the key in it. Commands are sent directly, to a device file
//! or to swtpm; no C library is needed.
//!
//! ```no_run
//! use std::time::{Duration, Instant};
//! use dps_tpm::{Access, registration_id};
//!
//! let access = Access::new("device:/dev/tpmrm0".parse()?);
//! let mut tpm = access.connect(Instant::now() + Duration::from_secs(60))?;
//! println!("{}", registration_id(&tpm.endorsement_key()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Passwords, and the key that a challenge is encrypted with, cross the bus between processor and TPM unencrypted, as with the
//! Azure IoT SDK for C.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod challenge;
mod code;
mod command;
mod connection;
mod error;
#[cfg(fuzzing)]
mod fuzzed;
mod keys;
mod password;
mod registration_id;
mod status;
mod tcti;
mod template;
mod tpm;
mod wire;

pub use error::{Error, ErrorKind};
#[cfg(fuzzing)]
pub use fuzzed::use_tpm;
pub use keys::{ImportedKey, PublicKeys};
pub use registration_id::registration_id;
pub use status::Status;
pub use tcti::{Tcti, TctiError};
pub use tpm::{Access, Tpm};
