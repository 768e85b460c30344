//! A TPM 2.0 that proves who the device is: the options that name it, and what this program does with one.
//!
//! A password of a hierarchy is never an argument. A TPM is used by commands that register or look up, by `dps check`, and by
//! `dps tpm`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::files::is_stdin;
pub(crate) use device::DeviceTpm;

/// Whether a TPM proves who the device is, and which.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct TpmArgs {
    /// Prove who the device is by its TPM 2.0, over HTTPS; the enrollment has the key that dps tpm identity prints
    #[arg(long, groups = ["credential", "key"])]
    pub(crate) tpm: bool,
    #[command(flatten)]
    pub(crate) access: TpmAccessArgs,
    /// With --tpm: a file with the password of the TPM's owner hierarchy (- for stdin). Default: no password
    #[arg(long, value_name = "FILE|-")]
    pub(crate) tpm_owner_password_file: Option<PathBuf>,
    /// With --tpm: where the TPM keeps the key for the hub, as an offset to 0x81000000 like IoT Edge's auth_key_index.
    /// Default: 0x100
    #[arg(long, value_name = "OFFSET", value_parser = offset)]
    pub(crate) tpm_auth_key_index: Option<u32>,
}

/// How the TPM is reached and its endorsement key is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct TpmAccessArgs {
    /// How to reach the TPM: device, device:FILE, swtpm:host=HOST,port=PORT or swtpm:path=SOCKET. Default: device, which is
    /// /dev/tpmrm0, or /dev/tpm0 where that is missing
    #[arg(long, value_name = "TCTI")]
    pub(crate) tpm_tcti: Option<String>,
    /// A file with the password of the TPM's endorsement hierarchy (- for stdin). Default: no password
    #[arg(long, value_name = "FILE|-")]
    pub(crate) tpm_endorsement_password_file: Option<PathBuf>,
}

impl TpmAccessArgs {
    /// Returns how many of these inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        usize::from(self.tpm_endorsement_password_file.as_deref().is_some_and(is_stdin))
    }

    /// Returns the TPM that the options name. It is not used yet.
    pub(crate) fn choice(&self) -> Result<TpmChoice> {
        TpmChoice::new(self, None, None)
    }
}

impl TpmArgs {
    /// Returns how many of these inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        self.access.stdin_inputs() + usize::from(self.tpm_owner_password_file.as_deref().is_some_and(is_stdin))
    }

    /// Returns the TPM that the options name, if they name one. It is not used yet.
    pub(crate) fn choice(&self) -> Result<Option<TpmChoice>> {
        let TpmArgs { tpm, access, tpm_owner_password_file: owner, tpm_auth_key_index: offset } = self;
        if *tpm {
            return TpmChoice::new(access, owner.as_deref(), *offset).map(Some);
        }
        let set = [
            ("--tpm-tcti", access.tpm_tcti.is_some()),
            ("--tpm-endorsement-password-file", access.tpm_endorsement_password_file.is_some()),
            ("--tpm-owner-password-file", owner.is_some()),
            ("--tpm-auth-key-index", offset.is_some()),
        ];
        match set.iter().find(|(_, is_set)| *is_set) {
            Some((option, _)) => Err(Failure::usage(format!("{option} requires --tpm"))),
            None => Ok(None),
        }
    }
}

/// Which TPM a command uses, and where its passwords are; nothing is read yet.
#[derive(Clone, Debug)]
pub(crate) struct TpmChoice {
    tpm: DeviceTpm,
    endorsement_password: Option<PathBuf>,
    owner_password: Option<PathBuf>,
}

impl TpmChoice {
    fn new(access: &TpmAccessArgs, owner: Option<&Path>, offset: Option<u32>) -> Result<Self> {
        Ok(Self {
            tpm: DeviceTpm::new(access.tpm_tcti.as_deref().unwrap_or("device"), offset)?,
            endorsement_password: access.tpm_endorsement_password_file.clone(),
            owner_password: owner.map(Path::to_owned),
        })
    }

    /// Reads the passwords. Prints a warning when others can read their files. Blocks while reading.
    pub(crate) fn read(&self) -> Result<DeviceTpm> {
        self.tpm.with_passwords(self.endorsement_password.as_deref(), self.owner_password.as_deref())
    }

    /// The files whose content is a secret.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.endorsement_password, &self.owner_password];
        files.into_iter().filter_map(|file| file.as_deref()).filter(|path| !is_stdin(path))
    }
}

/// What an enrollment of a TPM needs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TpmIdentity {
    pub(crate) registration_id: String,
    pub(crate) endorsement_key: String,
}

/// The state of a TPM.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TpmStatus {
    pub(crate) manufacturer: String,
    pub(crate) in_lockout: bool,
    /// How many failed authorizations count, and at how many the TPM goes into lockout.
    pub(crate) failures: u32,
    pub(crate) failures_max: u32,
    /// After how many seconds one is forgotten; none if it never is.
    pub(crate) failure_forgotten_after_s: Option<u64>,
    pub(crate) has_endorsement_key: bool,
    pub(crate) has_storage_root_key: bool,
    pub(crate) has_hub_key: bool,
    pub(crate) has_endorsement_certificate: bool,
}

/// Parses a number, which may be hexadecimal as in `0x100`.
fn offset(text: &str) -> std::result::Result<u32, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(&digits.replace('_', ""), 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "write an offset such as 256 or 0x100".to_owned())
}

/// The failure of every option that needs the feature `tpm`.
#[cfg(any(test, not(feature = "tpm")))]
fn not_built() -> Failure {
    let message = "this program was built without TPM attestation: build it with the feature `tpm`, as in \
                   cargo install dps-cli --features tpm";
    let code = dps_core::ErrorCode::FeatureMissing;
    Failure { hints: code.hints().iter().collect(), ..Failure::new(code, message) }
}

#[cfg(feature = "tpm")]
mod device {
    use std::fmt;
    use std::path::Path;
    use std::time::Duration;

    use dps_client::{ProvisioningClientBuilder, Tpm};
    use dps_core::Signature;

    use super::{TpmIdentity, TpmStatus};
    use crate::failure::Result;
    use crate::files::read_line_secret;

    /// A TPM.
    #[derive(Clone, Debug)]
    pub(crate) struct DeviceTpm(Tpm);

    impl DeviceTpm {
        pub(super) fn new(tcti: &str, offset: Option<u32>) -> Result<Self> {
            let tpm = Tpm::new(tcti)?;
            Ok(Self(match offset {
                Some(offset) => tpm.key_offset(offset)?,
                None => tpm,
            }))
        }

        pub(super) fn with_passwords(&self, endorsement: Option<&Path>, owner: Option<&Path>) -> Result<Self> {
            let mut tpm = self.0.clone();
            if let Some(path) = endorsement {
                tpm = tpm.endorsement_password(&read_line_secret(path, "the password of the endorsement hierarchy")?);
            }
            if let Some(path) = owner {
                tpm = tpm.owner_password(&read_line_secret(path, "the password of the owner hierarchy")?);
            }
            Ok(Self(tpm))
        }

        /// Sets it as the credential of a client.
        pub(crate) fn apply_to(&self, builder: ProvisioningClientBuilder) -> ProvisioningClientBuilder {
            builder.tpm(self.0.clone())
        }

        /// Reads what an enrollment needs. Blocks, for `timeout` at most.
        pub(crate) fn identity(&self, timeout: Duration) -> Result<TpmIdentity> {
            let identity = self.0.identity(timeout)?;
            Ok(TpmIdentity {
                registration_id: identity.registration_id().to_string(),
                endorsement_key: identity.endorsement_key().to_owned(),
            })
        }

        /// Reads its state. Blocks, for `timeout` at most.
        pub(crate) fn status(&self, timeout: Duration) -> Result<TpmStatus> {
            let status = self.0.status(timeout)?;
            Ok(TpmStatus {
                manufacturer: status.manufacturer().to_owned(),
                in_lockout: status.is_in_lockout(),
                failures: status.failures(),
                failures_max: status.failures_max(),
                failure_forgotten_after_s: status.failure_forgotten_after().map(|after| after.as_secs()),
                has_endorsement_key: status.has_endorsement_key(),
                has_storage_root_key: status.has_storage_root_key(),
                has_hub_key: status.has_hub_key(),
                has_endorsement_certificate: status.has_endorsement_certificate(),
            })
        }

        /// Signs with the key for the hub. Blocks, for `timeout` at most.
        pub(crate) fn sign(&self, to_sign: &[u8], timeout: Duration) -> Result<Signature> {
            Ok(self.0.sign(to_sign, timeout)?)
        }
    }

    /// The TCTI string.
    impl fmt::Display for DeviceTpm {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
        }
    }
}

#[cfg(not(feature = "tpm"))]
mod device {
    use std::fmt;
    use std::path::Path;
    use std::time::Duration;

    use dps_client::ProvisioningClientBuilder;
    use dps_core::Signature;

    use super::{TpmIdentity, TpmStatus};
    use crate::failure::Result;

    /// A TPM, of which this build can use none.
    #[derive(Clone, Debug)]
    pub(crate) enum DeviceTpm {}

    impl DeviceTpm {
        pub(super) fn new(_: &str, _: Option<u32>) -> Result<Self> {
            Err(super::not_built())
        }

        pub(super) fn with_passwords(&self, _: Option<&Path>, _: Option<&Path>) -> Result<Self> {
            match *self {}
        }

        pub(crate) fn apply_to(&self, _: ProvisioningClientBuilder) -> ProvisioningClientBuilder {
            match *self {}
        }

        pub(crate) fn identity(&self, _: Duration) -> Result<TpmIdentity> {
            match *self {}
        }

        pub(crate) fn status(&self, _: Duration) -> Result<TpmStatus> {
            match *self {}
        }

        pub(crate) fn sign(&self, _: &[u8], _: Duration) -> Result<Signature> {
            match *self {}
        }
    }

    impl fmt::Display for DeviceTpm {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_without_tpm_attestation_names_the_feature() {
        let failure = not_built();
        assert!(failure.message.contains("feature `tpm`"));
        assert_eq!(failure.hints, [dps_core::Hint::BuildWithFeature]);
    }

    #[test]
    fn offsets_are_decimal_or_hexadecimal() {
        for (text, number) in [("256", 256), ("0x100", 256), ("0X00_01_00", 256), ("0", 0)] {
            assert_eq!(offset(text), Ok(number), "{text}");
        }
        for text in ["", "0x", "-1", "100h", "0x100000000", "4294967296"] {
            assert!(offset(text).is_err(), "{text}");
        }
    }
}
