//! The client's tests, in one program, so that it is linked once.

mod api_versions;
mod common;
mod config;
mod endless;
mod hub;
mod hub_renewal;
mod issued;
mod issued_life;
mod memory;
mod mqtt;
mod network;
mod pki;
mod probe;
mod progress;
mod proxy;
mod register;
mod secrecy;
mod small_stack;
mod stalled;
mod stalled_resolver;
mod store;
mod x509_check;
mod x509_material;
mod x509_refused;
mod x509_register;
