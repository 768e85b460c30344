//! The identity of a device from the options of the command line: id scope, registration id and one credential.

use clap::Args;
use dps_client::{ProvisioningClientBuilder, X509};

use crate::failure::Result;
use crate::files::read_secret;
use crate::key::{DeviceOrGroup, KeyArgs, KeyChoice};
use crate::pkcs11::{Pkcs11Args, TokenKey};
use crate::tpm::{DeviceTpm, TpmArgs, TpmChoice};
use crate::x509::{CertificateArgs, CertificateChoice};

/// The id scope, the registration id and the credential of a device.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct IdentityArgs {
    /// The id scope of the provisioning service, such as 0ne00A1B2C3
    #[arg(long, value_name = "S", visible_alias = "scope")]
    pub(crate) id_scope: String,
    /// The device's registration id. Default: with a certificate its common name, with a TPM what dps tpm identity prints
    #[arg(long, value_name = "R", visible_alias = "rid", required_unless_present_any = ["cert_file", "tpm", "tpm_tcti"])]
    pub(crate) registration_id: Option<String>,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) certificate: CertificateArgs,
    #[command(flatten)]
    pub(crate) pkcs11: Pkcs11Args,
    #[command(flatten)]
    pub(crate) tpm: TpmArgs,
}

/// Which credential a command uses, and where it is; determined before anything is read.
#[derive(Debug)]
pub(crate) enum CredentialChoice {
    Key(KeyChoice),
    Certificate(CertificateChoice),
    /// A symmetric key in a token.
    Token(TokenKey),
    Tpm(TpmChoice),
}

/// A valid credential.
pub(crate) enum Credential {
    Key(DeviceOrGroup),
    Certificate(X509),
    Token(TokenKey),
    Tpm(DeviceTpm),
}

impl IdentityArgs {
    /// Returns how many of these inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        self.key.stdin_inputs() + self.certificate.stdin_inputs() + self.pkcs11.stdin_inputs() + self.tpm.stdin_inputs()
    }

    /// Returns the choice that the options make, or else the environment.
    pub(crate) fn credential(&self) -> Result<CredentialChoice> {
        let tpm = self.tpm.choice()?;
        match (CredentialChoice::certificate_or_token(&self.certificate, &self.pkcs11)?, tpm) {
            (Some(choice), _) => Ok(choice),
            (None, Some(tpm)) => Ok(CredentialChoice::Tpm(tpm)),
            (None, None) => KeyChoice::from_args(&self.key).map(CredentialChoice::Key),
        }
    }
}

impl CredentialChoice {
    /// Returns the choice that these options make, if they make one.
    pub(crate) fn certificate_or_token(certificate: &CertificateArgs, pkcs11: &Pkcs11Args) -> Result<Option<Self>> {
        let token = pkcs11.key()?;
        Ok(match certificate.choice(token.clone())? {
            Some(choice) => Some(Self::Certificate(choice)),
            None => token.map(Self::Token),
        })
    }

    /// Reads the credential. Prints a warning when others can read its key. Blocks while reading.
    pub(crate) fn read(&self) -> Result<Credential> {
        match self {
            Self::Key(choice) => choice.read_with(read_secret).map(Credential::Key),
            Self::Certificate(choice) => choice.read().map(Credential::Certificate),
            Self::Token(key) => Ok(Credential::Token(key.clone())),
            Self::Tpm(choice) => choice.read().map(Credential::Tpm),
        }
    }
}

impl Credential {
    /// Sets the credential of a client.
    pub(crate) fn apply_to(&self, builder: ProvisioningClientBuilder) -> Result<ProvisioningClientBuilder> {
        match self {
            Self::Key(key) => key.apply_to(builder),
            Self::Certificate(device) => Ok(builder.x509(device.clone())),
            Self::Token(key) => Ok(key.apply_to(builder)),
            Self::Tpm(tpm) => Ok(tpm.apply_to(builder)),
        }
    }
}
