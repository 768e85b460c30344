//! Enrollments: which devices may register, with which keys, and what becomes of them.
//!
//! `model` is their shape, in code and as JSON; `check` what is allowed in it; `table` keeps them under etags.

mod attestation;
mod check;
mod model;
mod table;

pub use attestation::Attestation;
pub use model::{
    AllocationPolicy, Capabilities, EnrollmentGroup, IndividualEnrollment, InitialTwin, ProvisioningStatus,
    ReprovisionPolicy, Settings, TwinProperties,
};

pub(crate) use table::{Entry, Precondition, Table};
