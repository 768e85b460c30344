//! A local Azure IoT DPS: the pure service as a value, `(now, request) -> reply`, and with feature `server` an HTTPS
//! front around it. It shares no code with the device side, so that no mistake is made twice and missed.
//!
//! Begin at [`Service`] for tests under virtual time, or at `Emulator` for real sockets.
#![cfg_attr(feature = "server", doc = "")]
#![cfg_attr(feature = "server", doc = include_str!("../README.md"))]

mod admin;
mod assign;
mod auth;
mod control;
mod counters;
mod date;
mod device;
mod encoding;
mod enrollment;
mod exchanges;
mod fault;
mod http;
mod hubs;
mod ids;
mod keys;
#[cfg(feature = "mqtt")]
pub mod mqtt;
mod now;
mod operations;
mod options;
mod problem;
mod random;
mod records;
#[cfg(feature = "server")]
pub mod server;
mod service;
#[cfg(feature = "mqtt")]
mod standing;
mod throttle;
mod token;
mod wire;

pub use auth::{Caller, Protocol};
pub use counters::{Counters, Refusal, RefusalReason};
pub use device::Reply;
pub use enrollment::{
    AllocationPolicy, Attestation, Capabilities, EnrollmentGroup, IndividualEnrollment, InitialTwin,
    ProvisioningStatus, ReprovisionPolicy, Settings, TwinProperties,
};
pub use fault::{At, Fault, FaultPlan, Flood, PlanError, PlannedFault, RetryAfter, Scope, TransportFault};
pub use http::{HttpReply, HttpRequest};
pub use hubs::{HubCounters, HubDevice, Twin};
pub use ids::{ID_MAX, IdError};
pub use keys::{KEY_MAX, KEY_MIN, KeyError, SymmetricKey};
pub use now::Now;
pub use options::{OptionsError, POLICY_NAME, ServiceOptions, UnchangedSubstatus};
pub use problem::Problem;
pub use records::Record;
#[cfg(feature = "server")]
pub use server::{Emulator, EmulatorOptions, StartError, StateError};
pub use service::{ConnectionString, DEFAULT_HUB, Service, Snapshot};
pub use throttle::Limits;
pub use wire::{BODY_MAX, Status, Substatus};
