//! The integration tests of this crate, one program so that it is linked once. Their data is in the directories beside
//! it.

mod convert;
mod daemons;
mod edit;
mod generator;
mod golden;
mod newest;
mod policy;
mod robust;
mod secrecy;
mod set_property;
mod templates;

#[cfg(unix)]
mod certificate;
#[cfg(unix)]
mod files;
#[cfg(unix)]
mod provisioner;
