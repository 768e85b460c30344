//! The integration tests of the emulator, one program so that it is linked once. Each module covers one part of the
//! service; `common` has a service under virtual time, `client` an HTTPS client for those that use sockets.

mod common;

mod admin;
mod clock;
mod control;
mod events;
mod faults;
mod groups;
mod plans;
mod register;
mod reprovision;
mod robust;
mod seed;
mod throttle;
mod tokens;
mod webhooks;

#[cfg(feature = "mqtt")]
mod hub;
#[cfg(feature = "mqtt")]
mod mqtt;

#[cfg(feature = "tpm")]
mod soft_tpm;
#[cfg(feature = "tpm")]
mod tpm;
#[cfg(feature = "tpm")]
mod tpm_enrollments;

#[cfg(feature = "server")]
mod certificates;
#[cfg(feature = "server")]
mod certificates_tls;
#[cfg(feature = "server")]
mod client;
#[cfg(feature = "config")]
mod config;
#[cfg(feature = "server")]
mod events_server;
#[cfg(feature = "server")]
mod health;
#[cfg(feature = "server")]
mod https;
#[cfg(feature = "server")]
mod issuance;
#[cfg(feature = "server")]
mod page;
#[cfg(feature = "server")]
mod pki;
#[cfg(feature = "server")]
mod reasons;
#[cfg(feature = "server")]
mod renewal;
#[cfg(feature = "server")]
mod schema;
#[cfg(all(feature = "server", unix))]
mod state;
#[cfg(feature = "server")]
mod webhook_calls;
