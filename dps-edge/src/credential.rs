//! The credential that a configuration names: a key or a certificate, in the configuration, in files, or with its key in a
//! PKCS#11 token; or a TPM.

use std::path::PathBuf;

use dps_client::{DpsError, ProvisioningClientBuilder, SymmetricKey};

use crate::files;
use crate::model::{Attestation, Certificate, KeySource, Pkcs11Library, Provisioning, Tpm, X509Identity};
use crate::setup::SetupError;
use crate::uri::{Pkcs11Uri, file_path};

impl Provisioning {
    /// Sets the credential of the attestation. A key of a certificate in a token is compared with the certificate, for which
    /// the token's module is loaded.
    pub(crate) fn set_credential(
        &self,
        builder: ProvisioningClientBuilder,
        attestation: &Attestation,
    ) -> Result<ProvisioningClientBuilder, SetupError> {
        let library = self.pkcs11_library.as_ref();
        match attestation {
            Attestation::SymmetricKey { key: KeySource::Pkcs11(uri), .. } => in_token(builder, uri, library),
            Attestation::SymmetricKey { key, .. } => Ok(builder.symmetric_key(symmetric_key(key)?)),
            Attestation::X509 { identity, .. } => certificate(builder, identity, library),
            Attestation::Tpm { .. } => tpm(builder, self.tpm.as_ref()),
        }
    }
}

fn symmetric_key(key: &KeySource) -> Result<SymmetricKey, SetupError> {
    let of_bytes = |bytes: &[u8]| SymmetricKey::from_bytes(bytes).map_err(DpsError::from);
    match key {
        KeySource::Inline(key) => Ok(of_bytes(key.expose())?),
        KeySource::File(path) => {
            let (bytes, _) = files::read(path).map_err(|error| SetupError::file(path, error))?;
            of_bytes(&bytes).map_err(|error| SetupError {
                code: error.code(),
                message: format!("{}: {}", path.display(), error.message()),
            })
        }
        KeySource::UnusualLength { .. } | KeySource::Pkcs11(_) => {
            Err(SetupError::unsupported("a symmetric key has 16 to 64 bytes"))
        }
    }
}

#[cfg(feature = "pkcs11")]
fn in_token(
    builder: ProvisioningClientBuilder,
    uri: &Pkcs11Uri,
    library: Option<&Pkcs11Library>,
) -> Result<ProvisioningClientBuilder, SetupError> {
    Ok(builder.pkcs11_key(token_key(uri, library)?))
}

#[cfg(not(feature = "pkcs11"))]
fn in_token(
    _: ProvisioningClientBuilder,
    _: &Pkcs11Uri,
    _: Option<&Pkcs11Library>,
) -> Result<ProvisioningClientBuilder, SetupError> {
    Err(SetupError::without_pkcs11())
}

/// The key of a URI, with the library and, where the URI has no PIN of its own, the PIN that `[aziot_keys]` has for its token.
#[cfg(feature = "pkcs11")]
fn token_key(uri: &Pkcs11Uri, library: Option<&Pkcs11Library>) -> Result<dps_client::Pkcs11Key, SetupError> {
    use dps_client::{ErrorCode, Pkcs11Key};

    let Some(library) = library else {
        return Err(SetupError {
            code: ErrorCode::Pkcs11Module,
            message:
                "the key is in a PKCS#11 token, and pkcs11_lib_path in [aziot_keys], the token's library, is missing"
                    .to_owned(),
        });
    };
    let key = Pkcs11Key::from_configuration(uri.expose())?.module(&library.path);
    Ok(match library.base_slot.as_ref().filter(|slot| slot.is_same_token(uri)) {
        Some(slot) => key.or_pin_of(&Pkcs11Key::from_configuration(slot.expose())?),
        None => key,
    })
}

/// The TPM of `[tpm]`, by the daemon's defaults where a value is missing. It is not connected with here.
#[cfg(feature = "tpm")]
fn tpm(builder: ProvisioningClientBuilder, settings: Option<&Tpm>) -> Result<ProvisioningClientBuilder, SetupError> {
    let tcti = settings.and_then(|settings| settings.tcti.as_deref());
    let mut tpm = dps_client::Tpm::new(tcti.unwrap_or("device"))?;
    let Some(settings) = settings else { return Ok(builder.tpm(tpm)) };
    if let Some(password) = &settings.endorsement {
        tpm = tpm.endorsement_password(password);
    }
    if let Some(password) = &settings.owner {
        tpm = tpm.owner_password(password);
    }
    if let Some(offset) = settings.auth_key_index {
        // One that is too large for 32 bits is too large for the TPM, too.
        tpm = tpm.key_offset(u32::try_from(offset).unwrap_or(u32::MAX))?;
    }
    Ok(builder.tpm(tpm))
}

#[cfg(not(feature = "tpm"))]
fn tpm(_: ProvisioningClientBuilder, _: Option<&Tpm>) -> Result<ProvisioningClientBuilder, SetupError> {
    Err(SetupError::without_tpm())
}

#[cfg(any(feature = "http", feature = "mqtt"))]
fn certificate(
    builder: ProvisioningClientBuilder,
    identity: &X509Identity,
    library: Option<&Pkcs11Library>,
) -> Result<ProvisioningClientBuilder, SetupError> {
    use dps_client::X509;

    let certificate = certificate_path(identity)?;
    let Some(key) = &identity.key else {
        return Err(SetupError::unsupported("identity_pk, the certificate's private key, is missing"));
    };
    let device = match (Pkcs11Uri::parse(key.expose()), file_path(key.expose())) {
        (Some(uri), _) => certificate_in_token(&certificate, &uri, library)?,
        (None, Some(key)) => X509::from_files(&certificate, key)?,
        (None, None) => return Err(SetupError::unsupported("identity_pk is neither a file: nor a pkcs11: URI")),
    };
    Ok(builder.x509(device))
}

#[cfg(not(any(feature = "http", feature = "mqtt")))]
fn certificate(
    _: ProvisioningClientBuilder,
    identity: &X509Identity,
    _: Option<&Pkcs11Library>,
) -> Result<ProvisioningClientBuilder, SetupError> {
    certificate_path(identity)?;
    Err(SetupError::unsupported(
        "this build has no X.509 attestation: build dps-edge with its feature `http` or `mqtt`",
    ))
}

fn certificate_path(identity: &X509Identity) -> Result<PathBuf, SetupError> {
    match &identity.certificate {
        Some(Certificate::Uri(uri)) => file_path(uri).ok_or_else(|| {
            SetupError::unsupported("identity_cert is not the URI of a file, such as file:///etc/device.pem")
        }),
        Some(Certificate::Issued { method }) => Err(SetupError::unsupported(&format!(
            "the daemons issue the device's certificate by `{method}`; only a certificate in a file can be used here"
        ))),
        None => Err(SetupError::unsupported("identity_cert, the device's certificate, is missing")),
    }
}

#[cfg(all(feature = "pkcs11", any(feature = "http", feature = "mqtt")))]
fn certificate_in_token(
    certificate: &std::path::Path,
    uri: &Pkcs11Uri,
    library: Option<&Pkcs11Library>,
) -> Result<dps_client::X509, SetupError> {
    let chain = dps_client::CertificateChain::from_file(certificate)?;
    Ok(dps_client::X509::from_pkcs11(chain, &token_key(uri, library)?)?)
}

#[cfg(all(not(feature = "pkcs11"), any(feature = "http", feature = "mqtt")))]
fn certificate_in_token(
    _: &std::path::Path,
    _: &Pkcs11Uri,
    _: Option<&Pkcs11Library>,
) -> Result<dps_client::X509, SetupError> {
    Err(SetupError::without_pkcs11())
}
