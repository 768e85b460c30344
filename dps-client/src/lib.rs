//! Provision a device through Azure IoT Hub Device Provisioning Service: register it, learn its hub, connect there.
//!
//! ```no_run
//! use dps_client::{ProvisioningClient, SymmetricKey};
//!
//! # async fn example() -> Result<(), dps_client::DpsError> {
//! let client = ProvisioningClient::builder()
//!     .id_scope("0ne00A1B2C3")
//!     .registration_id("sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")
//!     .symmetric_key(SymmetricKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")?)
//!     .build()?;
//! let assignment = client.register().await?;
//! println!("{} at {}", assignment.device_id(), assignment.hub());
//! # Ok(()) }
//! ```
//!
//! Everything that can never work is an error of [`ProvisioningClientBuilder::build`], before any network I/O. A
//! registration ends by its deadline; dropping its future ends it at once and closes the connection. What failed, why,
//! and what to do about it is in [`DpsError`].
//!
//! The folder `examples` of the repository has a small program for each use: a key in a secure element, a network stack of
//! the application's own, going on after a restart, the cached hub first.
//!
//! What a device sends and when is decided in [`dps_core`]; this crate adds what an application on an operating system
//! needs: key sources, a clock, owned results, files.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `http` | yes | registration over HTTPS |
//! | `mqtt` | yes | registration over MQTT, on TLS or WebSocket |
//! | `aws-lc-rs` | yes | TLS by aws-lc-rs; used when both providers are on |
//! | `ring` | no | TLS by ring: smaller, quicker to build |
//! | `pkcs11` | no | keys in PKCS#11 tokens |
//! | `tpm` | no | TPM attestation, without a C library |
//!
//! Without `http` and `mqtt`, the crate is for custom links ([`ProvisioningClientBuilder::link`]) and has no TLS in it.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub use dps_core;
pub use dps_core::{ConfigError, ErrorCode, Family, Hint, Verdict};
pub use dps_files::SecretString;
#[cfg(any(feature = "http", feature = "mqtt"))]
pub use dps_net::{
    AddressOverride, AddressOverrideError, Proxy, ProxyChoice, ProxyError, Resolver, Roots, RootsError, SigningFailed,
    UnusableProxy,
};

/// The TLS library, whose types an [`X509`] has to do with.
#[cfg(any(feature = "http", feature = "mqtt"))]
pub use rustls;

mod api_version;
mod assignment;
mod blocking;
mod builder;
mod carrier;
mod client;
mod clock;
mod credentials;
mod deriver;
mod error;
mod fallback;
#[cfg(fuzzing)]
mod fuzzed;
mod hub;
#[cfg(any(feature = "http", feature = "mqtt"))]
mod issued;
mod key;
mod link;
mod names;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod probe;
mod profile;
mod progress;
#[cfg(feature = "mqtt")]
mod renewal;
mod service_time;
mod signer;
mod store;
#[cfg(feature = "tpm")]
mod tpm;
#[cfg(any(feature = "http", feature = "mqtt"))]
mod transport;
#[cfg(any(feature = "pkcs11", feature = "tpm"))]
mod worker;
#[cfg(any(feature = "http", feature = "mqtt"))]
mod x509;

pub use assignment::{Assignment, RegistrationRecord};
pub use blocking::{BlockingClient, CallRuntime};
pub use builder::{DeviceCredential, ProvisioningClientBuilder};
pub use client::ProvisioningClient;
pub use clock::TokioTimer;
pub use credentials::{CredentialKind, CredentialPlace};
pub use deriver::GroupDeriver;
pub use error::{DpsError, Report};
pub use fallback::RefusedCredential;
#[cfg(fuzzing)]
pub use fuzzed::{HubMessage, renew_by, rewrite_identity};
pub use hub::{HubCredentials, HubPassword};
#[cfg(any(feature = "http", feature = "mqtt"))]
pub use issued::{
    IdentityStore, IssuedIdentity, IssuedState, KeyAlgorithm, LoadedIdentity, LockedIdentityStore, OperationalKey,
};
pub use key::{GroupKey, SymmetricKey};
pub use link::SendLink;
pub use names::{Endpoint, IdScope, Payload, RegistrationId};
#[cfg(feature = "pkcs11")]
pub use pkcs11::Pkcs11Key;
pub use probe::{Answer, Probe};
pub use profile::ConnectionProfile;
pub use progress::{Decision, Progress, ProgressObserver, ResumeToken};
#[cfg(feature = "mqtt")]
pub use renewal::{HubRenewal, OnConflict};
pub use signer::{BlockingSigner, SendSigner};
pub use store::{AssignmentStore, Loaded, LockedStore, StoredAssignment};
#[cfg(feature = "tpm")]
pub use tpm::{Tpm, TpmIdentity, TpmStatus};
#[cfg(any(feature = "http", feature = "mqtt"))]
pub use transport::Transport;
#[cfg(any(feature = "pkcs11", feature = "tpm"))]
pub use worker::wait_for_device_calls;
#[cfg(any(feature = "http", feature = "mqtt"))]
pub use x509::{CertificateChain, ChainCheck, ChainProblem, Finding, Passphrase, Severity, X509};

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
