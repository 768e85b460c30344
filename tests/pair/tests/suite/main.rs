//! The conversation of state machine and emulator under virtual time, in one program.

mod clockless;
mod faults;
mod flows;
mod interrupted;
mod issuance;
mod matrix;
mod mqtt;
mod refusals;
mod throttling;
mod webhooks;
mod x509;
