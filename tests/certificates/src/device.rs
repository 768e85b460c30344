//! Devices of a test: their certificates, keys and enrollments.

use std::error::Error;
use std::path::{Path, PathBuf};

use dps_emulator::{CHAIN_MAX, Certificate, Emulator, EnrollmentGroup, IndividualEnrollment};
use dps_files::{Ownership, PrivateFile};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, date_time_ymd,
};

/// The kinds of keys, as they are printed.
pub(crate) const KEYS: [&str; 4] = ["P-256", "P-384", "RSA-2048", "RSA-4096"];
/// The chains that a device sends, as they are printed.
pub(crate) const CHAINS: [&str; 5] = ["1", "2", "3", "4", "20 KiB"];
/// The last chain: so many certificates, with this many bytes of padding each, and more in the device's.
const LARGE: (usize, usize) = (3, 6 * 1024);
/// No signature of the same key is more shorter or longer than another, in bytes.
const MARGIN: usize = 16;
/// An extension for the padding, below the arc for examples (ITU-T X.660).
const PADDING: &[u64] = &[2, 999, 1];

/// A certificate with its key.
struct Signed {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    /// In bytes, as DER.
    length: usize,
}

/// The authority that the service has verified.
pub(crate) struct Root(Signed);

/// A device that is enrolled: the files of its certificates and its key.
pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Root {
    /// Creates an authority and verifies it at the service.
    pub(crate) fn verified(emulator: &Emulator) -> Result<Self, Box<dyn Error>> {
        let root = sign("Root", KeyPair::generate()?, None, true, 0)?;
        let certificate = Certificate::from_pem(&root.pem)?;
        let now = emulator.now();
        emulator.with_service(|service| {
            service.put_ca_certificate(now, "root", certificate.clone(), true)?;
            service.put_group(now, EnrollmentGroup::new("line-1").signing_certificate(certificate)).map(drop)
        })?;
        Ok(Self(root))
    }
}

impl Device {
    /// Creates a device with a kind of key and a chain; enrolls it by its own certificate if it is not to be found by the group.
    pub(crate) fn enrolled(
        (emulator, root, folder): (&Emulator, &Root, &Path),
        id: String,
        (key, chain): (usize, usize),
        individually: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let (count, padding) = if chain + 1 == CHAINS.len() { LARGE } else { (chain + 1, 0) };
        let mut above: Vec<Signed> = Vec::new();
        for level in 1..count {
            let issuer = above.last().unwrap_or(&root.0);
            above.push(sign(&format!("Level {level}"), KeyPair::generate()?, Some(issuer), true, padding)?);
        }
        let issuer = Some(above.last().unwrap_or(&root.0));
        let mut leaf = sign(&id, key_of(key)?, issuer, false, padding)?;
        if padding > 0 {
            let length = leaf.length + above.iter().map(|signed| signed.length).sum::<usize>();
            leaf = sign(&id, key_of(key)?, issuer, false, padding + CHAIN_MAX - MARGIN - length)?;
        }
        if individually {
            let certificate = Certificate::from_pem(&leaf.pem)?;
            let (now, enrollment) = (emulator.now(), IndividualEnrollment::new(&*id).client_certificate(certificate));
            emulator.with_service(|service| service.put_enrollment(now, enrollment))?;
        }
        let sent: String = std::iter::once(&leaf).chain(above.iter().rev()).map(|signed| signed.pem.as_str()).collect();
        let (certificate, key) = (folder.join(format!("{id}.pem")), folder.join(format!("{id}.key.pem")));
        std::fs::write(&certificate, sent)?;
        PrivateFile::new(&key).replace(leaf.issuer.key().serialize_pem().as_bytes(), Ownership::Private)?;
        Ok(Self { id, certificate, key })
    }
}

/// A new EC key, or an RSA key of the tests of `dps-client`, since a new one takes seconds.
fn key_of(kind: usize) -> Result<KeyPair, rcgen::Error> {
    match kind {
        0 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        1 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        2 => KeyPair::from_pem(include_str!("../../../dps-client/tests/data/x509/rsa-2048-pkcs1.pem")),
        _ => KeyPair::from_pem(include_str!("../../../dps-client/tests/data/x509/rsa-4096.pem")),
    }
}

fn sign(
    common_name: &str,
    key: KeyPair,
    issuer: Option<&Signed>,
    is_authority: bool,
    padding: usize,
) -> Result<Signed, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    (params.not_before, params.not_after) = (date_time_ymd(1975, 1, 1), date_time_ymd(4096, 1, 1));
    if is_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    } else {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }
    if padding > 0 {
        // An OCTET STRING.
        let length = u16::try_from(padding).unwrap_or(u16::MAX);
        let content = [&[4, 0x82], &length.to_be_bytes()[..], &vec![0; length.into()]].concat();
        params.custom_extensions.push(CustomExtension::from_oid_content(PADDING, content));
    }
    let certificate = match issuer {
        Some(signed) => params.signed_by(&key, &signed.issuer)?,
        None => params.self_signed(&key)?,
    };
    Ok(Signed { pem: certificate.pem(), length: certificate.der().len(), issuer: Issuer::new(params, key) })
}
