//! IoT Edge and the Device Provisioning Service: the provisioning part of `config.yaml` (1.1) and `config.toml` (1.2 to
//! 1.6) as one model, and the decisions of a gateway that provisions itself.
//!
//! Reading is pure: [`read`] takes the text of a file and returns the model and all findings, each with its line and
//! column and with no part of the file in it.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub use dps_client;

mod backup;
mod convert;
mod credential;
mod edit;
mod files;
mod finding;
mod model;
pub mod policy;
mod problem;
mod problem_text;
mod provisioner;
mod read;
mod schema;
mod setup;
mod toml_repair;
mod toml_syntax;
mod toml_tree;
mod tree;
mod uri;
mod version;
mod yaml_tree;

pub use backup::{Backup, BackupStore, HubIdentity, LockedBackup};
pub use convert::{ConvertError, Converted, convert};
pub use dps_files::SecretString;
pub use edit::{EditError, is_secret, set};
pub use files::{configuration_in, stray_files};
pub use finding::{Finding, Position};
pub use model::{
    Attestation, Certificate, Dps, KeySource, Keys, Manual, ManualCredential, Pkcs11Library, Provisioning,
    Reprovisioning, Source, Tpm, X509Identity,
};
pub use problem::{Problem, Severity};
pub use provisioner::{Note, Origin, Plan, ProvisionError, Provisioned, Provisioner};
pub use read::{Reading, changes, read, read_newest};
pub use setup::{NotForWindows, SetupError, windows_commands};
pub use uri::Pkcs11Uri;
pub use version::{EdgeVersion, Format, UnknownVersion};

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
