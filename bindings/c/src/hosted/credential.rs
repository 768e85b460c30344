//! The credentials of a call, in the order in which they are tried: keys, certificates, keys in PKCS#11 tokens, TPMs.

use dps_client::{
    DeviceCredential, ErrorCode, GroupKey, Passphrase, ProvisioningClientBuilder as Builder, SymmetricKey, X509,
};

use crate::hosted::config::dps_client_config;
use crate::hosted::issued::dps_issued_identity;
use crate::hosted::options::{Checked, option, refused, unusable};
use crate::input::{Input, input};
use crate::span::dps_span;

/// How many credentials a call may have.
const CREDENTIALS_MAX: usize = 8;

/// A key in a token.
#[cfg(feature = "pkcs11")]
pub(super) type TokenKey = dps_client::Pkcs11Key;
/// A build without tokens has no such key.
#[cfg(not(feature = "pkcs11"))]
pub(super) type TokenKey = std::convert::Infallible;

/// A credential that is tried when the service refuses the one before it: `fallback` of `dps_client_config`. Initialize it with
/// `dps_credential_default`; then set one of the credentials. The members are those of `dps_client_config` with the same names.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_credential {
    /// The size of the struct, set by `dps_credential_default`.
    pub size: usize,
    /// The credential to try when the service refuses this one; null after the last.
    pub fallback: *const dps_credential,
    /// The device's own key as base64: a secret.
    pub device_key: dps_span,
    /// A file with the device's own key as base64.
    pub device_key_file: dps_span,
    /// The enrollment group's key as base64, from which the device's is derived.
    pub group_key: dps_span,
    /// A file with the enrollment group's key as base64.
    pub group_key_file: dps_span,
    /// A file with the device's certificate and its chain.
    pub certificate_file: dps_span,
    /// A file with the private key of the certificate. Default: `certificate_file`.
    pub certificate_key_file: dps_span,
    /// A file with the passphrase of an encrypted private key.
    pub certificate_key_passphrase_file: dps_span,
    /// The URI of a key in a PKCS#11 token: a symmetric key, or with `certificate_file` the private key of the certificate.
    pub pkcs11_uri: dps_span,
    /// The token's module. Default: p11-kit's proxy.
    pub pkcs11_module: dps_span,
    /// A file with the PIN of the token.
    pub pkcs11_pin_file: dps_span,
    /// How to reach the TPM 2.0.
    pub tpm_tcti: dps_span,
    /// A file with the password of the TPM's endorsement hierarchy.
    pub tpm_endorsement_password_file: dps_span,
    /// A file with the password of the TPM's owner hierarchy.
    pub tpm_owner_password_file: dps_span,
    /// An identity that the service issued. It is left out while it is not valid.
    pub issued_identity: *const dps_issued_identity,
    /// Where the TPM keeps the key for the hub. Default: 0x100.
    pub tpm_auth_key_index: u32,
    /// Whether the place of an issued certificate is kept while `issued_identity` is null.
    pub issued_place: bool,
}

// SAFETY: a number, a truth value, spans and pointers, for which zero is valid.
unsafe impl Input for dps_credential {}

impl dps_client_config {
    /// Sets the credentials, in their order.
    ///
    /// # Safety
    /// As [`dps_client_config::client`].
    pub(super) unsafe fn credentials(&self, mut builder: Builder) -> Checked<Builder> {
        // SAFETY: promised on.
        for credential in unsafe { self.first_credential().read()? } {
            builder = builder.credential(credential);
        }
        let (mut next, mut number) = (self.fallback, 0);
        while !next.is_null() {
            number += 1;
            // The list could be a circle.
            if number == CREDENTIALS_MAX {
                return Err(invalid(&format!("there are more than {} fallbacks", CREDENTIALS_MAX - 1)));
            }
            // SAFETY: promised on.
            let fallback = unsafe { input(next) }
                .map_err(|_| invalid(&format!("fallback {number} was not made by dps_credential_default")))?;
            // SAFETY: promised on.
            let mut read = unsafe { fallback.read()? };
            builder = match (read.pop(), read.is_empty()) {
                (Some(credential), true) => builder.fallback(credential),
                (None, _) => return Err(invalid(&format!("fallback {number} has no credential: set one"))),
                (Some(_), false) => {
                    return Err(invalid(&format!("fallback {number} has two credentials: set only one of them")));
                }
            };
            next = fallback.fallback;
        }
        Ok(match self.credential_index {
            0 => builder,
            index => builder.first_credential(index as usize),
        })
    }

    fn first_credential(&self) -> dps_credential {
        dps_credential {
            size: size_of::<dps_credential>(),
            fallback: self.fallback,
            device_key: self.device_key,
            device_key_file: self.device_key_file,
            group_key: self.group_key,
            group_key_file: self.group_key_file,
            certificate_file: self.certificate_file,
            certificate_key_file: self.certificate_key_file,
            certificate_key_passphrase_file: self.certificate_key_passphrase_file,
            pkcs11_uri: self.pkcs11_uri,
            pkcs11_module: self.pkcs11_module,
            pkcs11_pin_file: self.pkcs11_pin_file,
            tpm_tcti: self.tpm_tcti,
            tpm_endorsement_password_file: self.tpm_endorsement_password_file,
            tpm_owner_password_file: self.tpm_owner_password_file,
            issued_identity: self.issued_identity,
            tpm_auth_key_index: self.tpm_auth_key_index,
            issued_place: self.issued_place,
        }
    }
}

impl dps_credential {
    /// Returns the credentials that are set, which should be one.
    ///
    /// # Safety
    /// As [`dps_client_config::client`].
    unsafe fn read(&self) -> Checked<Vec<DeviceCredential>> {
        // SAFETY: promised on.
        let text = |name, span| unsafe { option(name, span) };
        let mut read: Vec<DeviceCredential> = Vec::new();
        if let Some(path) = text("device_key_file", self.device_key_file)? {
            read.push(DeviceCredential::key_file(path));
        }
        if let Some(path) = text("group_key_file", self.group_key_file)? {
            read.push(DeviceCredential::group_key_file(path));
        }
        if let Some(key) = text("device_key", self.device_key)? {
            read.push(SymmetricKey::from_base64(key).map_err(unusable)?.into());
        }
        if let Some(key) = text("group_key", self.group_key)? {
            read.push(GroupKey::from_base64(key).map_err(unusable)?.into());
        }
        // SAFETY: promised on; null if the caller has no identity.
        let (other, issued) = unsafe { (self.certificate_or_token()?, self.issued_identity.as_ref()) };
        read.extend(other);
        if issued.is_some() || self.issued_place {
            read.push(issued.map(|issued| issued.identity().clone()).into());
        }
        // SAFETY: promised on.
        read.extend(unsafe { self.tpm()? });
        Ok(read)
    }

    /// Returns the device's certificate or its key in a token, if there is one.
    ///
    /// # Safety
    /// As [`dps_client_config::client`].
    unsafe fn certificate_or_token(&self) -> Checked<Option<DeviceCredential>> {
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
            (None, None, None) => Ok(None),
            (None, _, Some(name)) => Err(invalid(&format!("{name} is set without certificate_file"))),
            (Some(_), Some(_), Some(name)) => {
                Err(invalid(&format!("{name} and pkcs11_uri are both set: set only one of them")))
            }
            (Some(certificate), None, _) => {
                let device = from_files(certificate, key.unwrap_or(certificate), passphrase)?;
                Ok(Some(device.into()))
            }
            (None, Some(token), None) => Ok(Some(token_credential(token))),
            (Some(certificate), Some(token), None) => Ok(Some(from_token(certificate, &token)?.into())),
        }
    }

    /// Returns the TPM, if there is one.
    ///
    /// # Safety
    /// As [`dps_client_config::client`].
    unsafe fn tpm(&self) -> Checked<Option<DeviceCredential>> {
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
            return alone.map_or(Ok(None), |name| Err(problem(name)));
        };
        tpm_at(tcti, [endorsement, owner], offset).map(Some)
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
fn token_credential(token: TokenKey) -> DeviceCredential {
    token.into()
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
fn token_credential(token: TokenKey) -> DeviceCredential {
    match token {}
}

#[cfg(not(feature = "pkcs11"))]
fn from_token(_: &str, token: &TokenKey) -> Checked<X509> {
    match *token {}
}

#[cfg(feature = "tpm")]
fn tpm_at(tcti: &str, passwords: [Option<&str>; 2], offset: Option<u32>) -> Checked<DeviceCredential> {
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
    read().map(DeviceCredential::from).map_err(|error: dps_client::DpsError| unusable(error))
}

#[cfg(not(feature = "tpm"))]
fn tpm_at(_: &str, _: [Option<&str>; 2], _: Option<u32>) -> Checked<DeviceCredential> {
    let message = "tpm_tcti is set, but this library was built without TPM attestation: build it with its feature tpm";
    Err(refused(ErrorCode::FeatureMissing, message))
}
