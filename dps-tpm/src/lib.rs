//! TPM 2.0 commands for the TPM attestation of Azure IoT Hub Device Provisioning Service.
//!
//! Applications use the feature `tpm` of `dps-client`. This crate is what that is made of: the endorsement key and the storage
//! root key, the activation of the service's challenge, and signatures by the key in it. It talks to the TPM itself, over a
//! device file or with swtpm; no C library is needed.
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
mod keys;
mod password;
mod registration_id;
mod status;
mod tcti;
mod template;
mod tpm;
mod wire;

pub use error::{Error, ErrorKind};
pub use keys::{ImportedKey, PublicKeys};
pub use registration_id::registration_id;
pub use status::Status;
pub use tcti::{Tcti, TctiError};
pub use tpm::{Access, Tpm};
