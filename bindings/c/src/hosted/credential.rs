//! The credentials that are not keys in memory: a certificate with its private key, keys in PKCS#11 tokens, and a TPM.

use dps_client::{ErrorCode, Passphrase, ProvisioningClientBuilder as Builder, X509};

use crate::hosted::config::dps_client_config;
use crate::hosted::options::{Checked, option, refused, unusable};

/// A key in a token.
#[cfg(feature = "pkcs11")]
pub(super) type TokenKey = dps_client::Pkcs11Key;
/// A build without tokens has no such key.
#[cfg(not(feature = "pkcs11"))]
pub(super) type TokenKey = std::convert::Infallible;

impl dps_client_config {
    /// Sets the device's certificate or its key in a token, if there is one.
    ///
    /// # Safety
    /// As [`dps_client_config::client`].
    pub(super) unsafe fn certificate_or_token(&self, builder: Builder) -> Checked<Builder> {
        const KEY: &str = "certificate_key_file";
        const PASSPHRASE: &str = "certificate_key_passphrase_file";
        // SAFETY: promised on.
        let text = |name, span| unsafe { option(name, span) };
        let (certificate, key) =
            (text("certificate_file", self.certificate_file)?, text(KEY, self.certificate_key_file)?);
        let passphrase = text(PASSPHRASE, self.certificate_key_passphrase_file)?;
        // SAFETY: promised on.
        let token = unsafe { self.token_key()? };
        let of_file = key.map(|_| KEY).or(passphrase.map(|_| PASSPHRASE));
        match (certificate, token, of_file) {
            (None, None, None) => Ok(builder),
            (None, _, Some(name)) => Err(invalid(&format!("{name} is set without certificate_file"))),
            (Some(_), Some(_), Some(name)) => {
                Err(invalid(&format!("{name} and pkcs11_uri are both set: set only one of them")))
            }
            (Some(certificate), None, _) => {
                let device = from_files(certificate, key.unwrap_or(certificate), passphrase)?;
                Ok(builder.x509(device))
            }
            (None, Some(token), None) => Ok(with_token(builder, token)),
            (Some(certificate), Some(token), None) => Ok(builder.x509(from_token(certificate, &token)?)),
        }
    }

    /// Sets the issued identity, if there is one.
    ///
    /// # Safety
    /// As [`dps_client_config::client`].
    pub(super) unsafe fn issued(&self, builder: Builder) -> Builder {
        // SAFETY: promised on; null means that there is none.
        match unsafe { self.issued_identity.as_ref() } {
            Some(issued) => builder.x509(issued.identity().x509().clone()),
            None => builder,
        }
    }

    /// Sets the TPM, if there is one.
    ///
    /// # Safety
    /// As [`dps_client_config::client`].
    pub(super) unsafe fn tpm(&self, builder: Builder) -> Checked<Builder> {
        const ENDORSEMENT: &str = "tpm_endorsement_password_file";
        const OWNER: &str = "tpm_owner_password_file";
        // SAFETY: promised on.
        let text = |name, span| unsafe { option(name, span) };
        let (endorsement, owner) =
            (text(ENDORSEMENT, self.tpm_endorsement_password_file)?, text(OWNER, self.tpm_owner_password_file)?);
        let offset = Some(self.tpm_auth_key_index).filter(|offset| *offset > 0);
        let Some(tcti) = text("tpm_tcti", self.tpm_tcti)? else {
            let alone = endorsement.map(|_| ENDORSEMENT).or(owner.map(|_| OWNER));
            let alone = alone.or(offset.map(|_| "tpm_auth_key_index"));
            let problem = |name| invalid(&format!("{name} is set without tpm_tcti"));
            return alone.map_or(Ok(builder), |name| Err(problem(name)));
        };
        with_tpm(builder, tcti, [endorsement, owner], offset)
    }

    /// Returns the key in a token, if it is set.
    ///
    /// # Safety
    /// As [`dps_client_config::client`].
    unsafe fn token_key(&self) -> Checked<Option<TokenKey>> {
        // SAFETY: promised on.
        let text = |name, span| unsafe { option(name, span) };
        let (module, pin) =
            (text("pkcs11_module", self.pkcs11_module)?, text("pkcs11_pin_file", self.pkcs11_pin_file)?);
        let Some(uri) = text("pkcs11_uri", self.pkcs11_uri)? else {
            let alone = module.map(|_| "pkcs11_module").or(pin.map(|_| "pkcs11_pin_file"));
            let problem = |name| invalid(&format!("{name} is set without pkcs11_uri"));
            return alone.map_or(Ok(None), |name| Err(problem(name)));
        };
        token_key(uri, module, pin).map(Some)
    }
}

fn invalid(message: &str) -> Box<crate::hosted::error::dps_error> {
    refused(ErrorCode::InvalidOption, message)
}

fn from_files(certificate: &str, key: &str, passphrase: Option<&str>) -> Checked<X509> {
    let read = match passphrase {
        None => X509::from_files(certificate, key),
        Some(path) => {
            Passphrase::from_file(path).and_then(|passphrase| X509::from_encrypted_files(certificate, key, &passphrase))
        }
    };
    read.map_err(unusable)
}

#[cfg(feature = "pkcs11")]
pub(super) fn token_key(uri: &str, module: Option<&str>, pin: Option<&str>) -> Checked<TokenKey> {
    let key = TokenKey::from_uri(uri).map_err(unusable)?;
    let key = module.map_or(key.clone(), |path| key.module(path));
    Ok(pin.map_or(key.clone(), |path| key.pin_file(path)))
}

#[cfg(feature = "pkcs11")]
fn with_token(builder: Builder, token: TokenKey) -> Builder {
    builder.pkcs11_key(token)
}

#[cfg(feature = "pkcs11")]
fn from_token(certificate: &str, token: &TokenKey) -> Checked<X509> {
    let chain = dps_client::CertificateChain::from_file(certificate);
    chain.and_then(|chain| X509::from_pkcs11(chain, token)).map_err(unusable)
}

#[cfg(not(feature = "pkcs11"))]
pub(super) fn token_key(_: &str, _: Option<&str>, _: Option<&str>) -> Checked<TokenKey> {
    Err(invalid("a key in a token is named, but this library was built without them: build it with its feature pkcs11"))
}

#[cfg(not(feature = "pkcs11"))]
fn with_token(_: Builder, token: TokenKey) -> Builder {
    match token {}
}

#[cfg(not(feature = "pkcs11"))]
fn from_token(_: &str, token: &TokenKey) -> Checked<X509> {
    match *token {}
}

#[cfg(feature = "tpm")]
fn with_tpm(builder: Builder, tcti: &str, passwords: [Option<&str>; 2], offset: Option<u32>) -> Checked<Builder> {
    let [endorsement, owner] = passwords;
    let read = || {
        let mut tpm = dps_client::Tpm::new(tcti)?;
        if let Some(path) = endorsement {
            tpm = tpm.endorsement_password_file(path)?;
        }
        if let Some(path) = owner {
            tpm = tpm.owner_password_file(path)?;
        }
        if let Some(offset) = offset {
            tpm = tpm.key_offset(offset)?;
        }
        Ok(tpm)
    };
    read().map(|tpm| builder.tpm(tpm)).map_err(|error: dps_client::DpsError| unusable(error))
}

#[cfg(not(feature = "tpm"))]
fn with_tpm(_: Builder, _: &str, _: [Option<&str>; 2], _: Option<u32>) -> Checked<Builder> {
    let message = "tpm_tcti is set, but this library was built without TPM attestation: build it with its feature tpm";
    Err(refused(ErrorCode::FeatureMissing, message))
}
