//! What a configuration says about provisioning: one model for both generations.
//!
//! It is made by reading only. Keys in it are wiped when dropped and not shown by `Debug`.

use std::path::PathBuf;

use dps_core::Key;

use crate::policy::{Mode, Policy};
use crate::secret::Secret;
use crate::uri::Pkcs11Uri;
use crate::version::Format;
use crate::view::Keys;

/// The provisioning part of a configuration. `Debug` shows what [`Provisioning::to_json`] shows without keys.
#[non_exhaustive]
pub struct Provisioning {
    /// The form that it was read from.
    pub format: Format,
    /// The gateway's host name, for the devices behind it.
    pub hostname: Option<String>,
    /// The gateway in front of this one.
    pub parent_hostname: Option<String>,
    /// How the device comes to its hub.
    pub source: Source,
    /// When it registers again.
    pub reprovisioning: Reprovisioning,
    /// The life of a call to the cloud, in seconds.
    pub cloud_timeout_s: Option<u64>,
    /// How often such a call is tried again.
    pub cloud_retries: Option<u64>,
    /// Authorities that modules trust. They have no say in whom the provisioning trusts.
    pub trust_bundle: Option<String>,
    /// The library for keys in PKCS#11 tokens.
    pub pkcs11_library: Option<Pkcs11Library>,
    /// Settings of the TPM.
    pub tpm: Option<Tpm>,
}

impl Provisioning {
    /// When the device registers again, with the defaults of its generation filled in.
    #[must_use]
    pub fn policy(&self) -> Policy {
        match self.reprovisioning {
            Reprovisioning::Flags { always_on_startup, dynamic } => {
                Policy::V1_1 { always_on_startup: always_on_startup.unwrap_or(true), dynamic: dynamic.unwrap_or(false) }
            }
            Reprovisioning::Mode(mode) => Policy::V1_2(mode.unwrap_or_default()),
        }
    }

    /// What a device of the provisioning service says about itself; `None` for other sources.
    #[must_use]
    pub fn dps(&self) -> Option<&Dps> {
        match &self.source {
            Source::Dps(dps) => Some(dps),
            _ => None,
        }
    }
}

/// Values that are secrets by mistake are hidden as well.
impl std::fmt::Debug for Provisioning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Provisioning({})", self.to_json(Keys::Hidden))
    }
}

/// How a device comes to its hub.
#[derive(Debug)]
#[non_exhaustive]
pub enum Source {
    /// By the Device Provisioning Service.
    Dps(Dps),
    /// The hub is written down.
    Manual(Manual),
    /// 1.1: by a service of the owner's. Known, not handled.
    External {
        /// Where it answers.
        endpoint: Option<String>,
    },
    /// 1.2 and later: no hub at all. Known, not handled.
    None,
}

/// What a device needs for the Device Provisioning Service.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dps {
    /// Where the service answers, `https://` before it.
    pub global_endpoint: Option<String>,
    /// The id scope.
    pub id_scope: String,
    /// A file with a JSON object that is sent along, read anew for each registration.
    pub payload: Option<PathBuf>,
    /// How the device proves who it is.
    pub attestation: Attestation,
}

/// How a device proves who it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Attestation {
    /// By a symmetric key.
    SymmetricKey {
        /// Under which id it registers.
        registration_id: String,
        /// The device's own key, derived from a group's or an individual enrollment's.
        key: KeySource,
    },
    /// By a certificate.
    X509 {
        /// Under which id it registers; the certificate's common name when it is left out.
        registration_id: Option<String>,
        /// The certificate and its key.
        identity: X509Identity,
    },
    /// By a TPM.
    Tpm {
        /// Under which id it registers.
        registration_id: String,
    },
}

impl Attestation {
    /// Under which id the device registers, where it is written down.
    #[must_use]
    pub fn registration_id(&self) -> Option<&str> {
        match self {
            Self::SymmetricKey { registration_id, .. } | Self::Tpm { registration_id } => Some(registration_id),
            Self::X509 { registration_id, .. } => registration_id.as_deref(),
        }
    }
}

/// Where a symmetric key is.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeySource {
    /// In the configuration itself.
    Inline(Key),
    /// In the configuration itself, in a length that no key of an enrollment has. The daemons take it for a device of a hub.
    UnusualLength {
        /// Its length in bytes.
        length: usize,
        /// The key in base64.
        text: Secret,
    },
    /// In a file, as raw bytes.
    File(PathBuf),
    /// In a PKCS#11 token.
    Pkcs11(Pkcs11Uri),
}

/// A certificate and where its key is.
#[derive(Debug)]
#[non_exhaustive]
pub struct X509Identity {
    /// The certificate.
    pub certificate: Option<Certificate>,
    /// A `file:` or `pkcs11:` URI; not needed for a certificate that is issued on the device.
    pub key: Option<Secret>,
}

/// A certificate, or how it is made.
#[derive(Debug)]
#[non_exhaustive]
pub enum Certificate {
    /// A URI or path.
    Uri(String),
    /// Issued on the device when it is needed: `est`, `local_ca` or `self_signed`.
    Issued {
        /// By what.
        method: String,
    },
}

/// A hub that is written down.
#[derive(Debug)]
#[non_exhaustive]
pub struct Manual {
    /// The hub's host name.
    pub hub: String,
    /// The device id.
    pub device_id: String,
    /// The key or certificate.
    pub credential: ManualCredential,
}

/// What a manually provisioned device signs in with.
#[derive(Debug)]
#[non_exhaustive]
pub enum ManualCredential {
    /// A symmetric key.
    Key(KeySource),
    /// A certificate.
    X509(X509Identity),
}

/// When a device registers again, as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reprovisioning {
    /// The flags of 1.1.
    Flags {
        /// `always_reprovision_on_startup`; 1.1 takes true when it is left out.
        always_on_startup: Option<bool>,
        /// `dynamic_reprovisioning`; 1.1 takes false when it is left out.
        dynamic: Option<bool>,
    },
    /// `auto_reprovisioning_mode` of 1.2 and later; `Dynamic` when it is left out.
    Mode(Option<Mode>),
}

/// The library of PKCS#11 tokens.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pkcs11Library {
    /// The library's path.
    pub path: String,
    /// The URI of the slot in which the daemons make keys.
    pub base_slot: Option<Pkcs11Uri>,
}

/// Settings of a TPM.
#[derive(Debug)]
#[non_exhaustive]
pub struct Tpm {
    /// How it is reached.
    pub tcti: Option<String>,
    /// The place of the authentication key: what the daemons add to 0x81000000; 0x100 when it is left out.
    pub auth_key_index: Option<u64>,
    /// The endorsement hierarchy's password.
    pub endorsement: Option<Secret>,
    /// The owner hierarchy's password.
    pub owner: Option<Secret>,
}
