//! A local Azure IoT DPS: the pure service as a value, `(now, request) -> reply`, and with feature `server` listeners
//! for HTTPS and MQTT around it. It shares no code with the device side, so that a mistake made there cannot hide here.
//!
//! Start at [`Service`] for tests under virtual time, or at `Emulator` for real sockets.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(feature = "server", doc = "")]
#![cfg_attr(feature = "server", doc = include_str!("../README.md"))]

mod activity;
mod admin;
mod assign;
mod attestation;
mod auth;
mod clock;
#[cfg(feature = "config")]
mod config;
#[cfg(feature = "server")]
mod contents;
mod control;
mod control_certificates;
mod control_clock;
mod control_devices;
mod control_events;
mod control_hubs;
mod credentials;
mod device;
mod dispatch;
mod encoding;
mod enrollment;
mod enrollment_table;
mod events;
mod export;
mod fault;
mod fault_plan;
mod fault_queue;
mod http;
mod hubs;
mod ids;
#[cfg(feature = "mqtt")]
pub mod mqtt;
mod options;
mod registrations;
#[cfg(feature = "server")]
pub mod server;
mod service;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod test_servers;
mod throttle;
mod time;
mod tpm;
mod webhook;
mod wire;
mod x509;

pub use activity::{Counters, Refusal};
pub use attestation::Attestation;
pub use auth::Caller;
pub use clock::{ClockError, SCALE_MAX, ServiceClock};
#[cfg(feature = "config")]
pub use config::{ConfigError, ExportError, ExportedConfig, KeyFile};
pub use credentials::{KEY_MAX, KEY_MIN, KeyError, SymmetricKey};
pub use device::Reply;
pub use enrollment::{
    AllocationPolicy, Capabilities, EnrollmentGroup, IndividualEnrollment, InitialTwin, ProvisioningStatus,
    ReprovisionPolicy, Settings, TwinProperties,
};
pub use events::{
    Connection, Disconnection, Event, EventFilter, EventKind, Exchange, Handshake, HubSignIn, MetFault, MqttPacket,
    RefusalReason, SignedBy, Tls, TokenFacts, Transport, WaitKept, WebhookExchange, event_line,
};
pub use export::KeyText;
pub use fault::{At, Fault, Flood, RetryAfter, Scope, TransportFault};
pub use fault_plan::{FaultPlan, PlanError};
pub use fault_queue::PlannedFault;
pub use http::{HttpReply, HttpRequest};
pub use hubs::{HubAuthentication, HubCounters, HubDevice, Twin};
pub use ids::{ID_MAX, IdError};
pub use options::{OptionsError, POLICY_NAME, ServiceOptions, UnchangedSubstatus};
pub use registrations::Record;
#[cfg(feature = "server")]
pub use server::{
    Emulator, EmulatorOptions, NoEvent, PageLink, StartError, StateError, TlsVersion, UnavailablePort, WebhookClient,
    WebhookOptions, WebhookRootsError,
};
pub use service::{ConnectionString, DEFAULT_HUB, Service, Snapshot};
pub use throttle::Limits;
pub use time::Now;
pub use tpm::{TpmAttestation, TpmKeyError, TpmPublicKey};
pub use webhook::{
    AllocationRequest, CustomAllocationDefinition, JudgedMember, Judgment, MemberVerdict, WEBHOOK_REPLY_MAX,
    WebhookCall, WebhookError, WebhookReply, WebhookUrl, WebhookUrlError,
};
pub use wire::{BODY_MAX, Problem, Protocol, Status, Substatus};
pub use x509::{
    AUTHORITIES_MAX, CHAIN_MAX, Certificate, CertificateAuthority, CertificateError, CertificateInfo,
    ClientCertificates, Slots, X509Attestation,
};
