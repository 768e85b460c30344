//! The certificates of a run: the authority of the service, those that servers must not be trusted with, and the
//! devices' own. They are made for the run and forgotten with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use zeroize::Zeroizing;

use crate::error::AcceptError;

const DAY_S: u64 = 86_400;
/// For devices whose clock is slightly behind.
const BACKDATED_S: u64 = DAY_S;
/// How long what is made for a run is valid.
const VALID_S: u64 = 30 * DAY_S;

/// A certificate authority whose key is at hand.
pub(crate) struct Authority {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: Zeroizing<String>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its chain, and its key.
pub(crate) struct Issued {
    /// Leaf first.
    pub(crate) chain_pem: String,
    /// The leaf alone.
    pub(crate) leaf_pem: String,
    pub(crate) key_pem: Zeroizing<String>,
}

impl Authority {
    pub(crate) fn generate(what: &str) -> Result<Self, AcceptError> {
        Self::below(what, None)
    }

    /// An authority that this one issues.
    pub(crate) fn intermediate(&self) -> Result<Self, AcceptError> {
        Self::below("intermediate", Some(&self.issuer))
    }

    fn below(what: &str, issuer: Option<&Issuer<'static, KeyPair>>) -> Result<Self, AcceptError> {
        let key = KeyPair::generate().map_err(failed)?;
        // Names differ, since some programs look issuers up by name: the last bytes of a public key are random.
        let public = key.subject_public_key_info();
        let tag: String = public[public.len() - 4..].iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("dps-accept {what} {tag}");
        let mut params = valid(&name, VALID_S);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(u8::from(issuer.is_none())));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = match issuer {
            None => params.self_signed(&key),
            Some(issuer) => params.signed_by(&key, issuer),
        };
        let certificate_pem = certificate.map_err(failed)?.pem();
        Ok(Self { certificate_pem, key_pem: key.serialize_pem().into(), issuer: Issuer::new(params, key) })
    }

    /// The caller's own authority, in PEM.
    pub(crate) fn from_pem(certificate: &str, key: &str) -> Result<Self, AcceptError> {
        let wrong = |error: rcgen::Error| AcceptError::Authority(error.to_string());
        let pair = KeyPair::from_pem(key).map_err(wrong)?;
        let issuer = Issuer::from_ca_cert_pem(certificate, pair).map_err(wrong)?;
        Ok(Self { certificate_pem: certificate.to_owned(), key_pem: key.to_owned().into(), issuer })
    }

    /// A server's certificate for these names. One that has expired ended two days ago.
    pub(crate) fn server(&self, names: Vec<String>, has_expired: bool) -> Result<Issued, AcceptError> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = valid("dps-accept server", VALID_S);
        params.subject_alt_names = CertificateParams::new(names).map_err(failed)?.subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if has_expired {
            set_validity(&mut params, now_s() - 30 * DAY_S, now_s() - 2 * DAY_S);
        }
        let leaf = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Issued::new(&leaf, "", &key))
    }

    /// A device's certificate.
    pub(crate) fn device(&self, registration_id: &str) -> Result<Issued, AcceptError> {
        let key = KeyPair::generate().map_err(failed)?;
        let leaf = device_params(registration_id).signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Issued::new(&leaf, &self.certificate_pem, &key))
    }
}

impl Issued {
    fn new(leaf: &Certificate, above: &str, key: &KeyPair) -> Self {
        let leaf_pem = leaf.pem();
        Self { chain_pem: format!("{leaf_pem}{above}"), leaf_pem, key_pem: key.serialize_pem().into() }
    }

    /// A device's certificate that it signed itself.
    pub(crate) fn self_signed(registration_id: &str) -> Result<Self, AcceptError> {
        let key = KeyPair::generate().map_err(failed)?;
        let leaf = device_params(registration_id).self_signed(&key).map_err(failed)?;
        Ok(Self::new(&leaf, "", &key))
    }
}

fn device_params(registration_id: &str) -> CertificateParams {
    let mut params = valid(registration_id, VALID_S);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// The parameters of a certificate that is valid from yesterday on for this time.
fn valid(common_name: &str, for_s: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now_s() - BACKDATED_S, now_s() + for_s);
    params
}

fn set_validity(params: &mut CertificateParams, from_s: u64, to_s: u64) {
    let date = |unix_s| date_time_ymd(1970, 1, 1) + Duration::from_secs(unix_s);
    (params.not_before, params.not_after) = (date(from_s), date(to_s));
}

/// Not before March 1970, so that dates before it can be computed.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().max(60 * DAY_S)
}

fn failed(error: rcgen::Error) -> AcceptError {
    AcceptError::Certificate(error.to_string())
}
