//! Certificates for the tests: CAs, intermediates and devices of a small public key infrastructure.

#![allow(dead_code, unreachable_pub, reason = "which parts are used depends on the features")]

use std::time::Duration;

use dps_emulator::{Certificate, ClientCertificates};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SignatureAlgorithm, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::common::START_S;

pub const P256: &SignatureAlgorithm = &rcgen::PKCS_ECDSA_P256_SHA256;
pub const P384: &SignatureAlgorithm = &rcgen::PKCS_ECDSA_P384_SHA384;

/// A CA, and the chain from it up to its root, itself first.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    chain: Vec<CertificateDer<'static>>,
}

/// A device's certificate with its key, and the CA certificates above it.
#[derive(Clone)]
pub struct Device {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: Vec<u8>,
}

/// Valid from the beginning of the tests' time for a year.
pub fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    valid(&mut params, 0, 365);
    params
}

/// Sets the validity, in days from the beginning of the tests' time.
pub fn valid(params: &mut CertificateParams, from: u64, to: u64) {
    let date = |day: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(START_S + day * 86_400);
    (params.not_before, params.not_after) = (date(from), date(to));
}

fn authority(common_name: &str) -> CertificateParams {
    let mut params = params(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl Ca {
    pub fn root(common_name: &str) -> Self {
        Self::root_with(common_name, P256, |_| {})
    }

    pub fn root_with(
        common_name: &str,
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = authority(common_name);
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        Self { chain: vec![certificate.der().clone()], issuer: Issuer::new(params, key) }
    }

    pub fn intermediate(&self, common_name: &str) -> Self {
        self.intermediate_with(common_name, P256, |_| {})
    }

    pub fn intermediate_with(
        &self,
        common_name: &str,
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = authority(common_name);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain = [vec![certificate.der().clone()], self.chain.clone()].concat();
        Self { chain, issuer: Issuer::new(params, key) }
    }

    pub fn device(&self, common_name: &str) -> Device {
        self.device_with(common_name, P256, |_| {})
    }

    pub fn device_with(
        &self,
        common_name: &str,
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Device {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = params(common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Device { chain: [vec![certificate.der().clone()], self.chain.clone()].concat(), key: key.serialize_der() }
    }

    /// A root that is valid on any day, for servers of a real clock.
    pub fn root_of_today(common_name: &str) -> Self {
        Self::root_with(common_name, P256, |params| {
            (params.not_before, params.not_after) = (date_time_ymd(1975, 1, 1), date_time_ymd(4096, 1, 1));
        })
    }

    pub fn certificate(&self) -> Certificate {
        Certificate::from_der(&self.chain[0]).unwrap()
    }

    pub fn pem(&self) -> String {
        pem(&self.chain[0])
    }

    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }
}

/// The PEM of a certificate.
pub fn pem(der: &[u8]) -> String {
    let text = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, der);
    format!("-----BEGIN CERTIFICATE-----\r\n{text}\r\n-----END CERTIFICATE-----\r\n")
}

/// Devices named `dev-01` with RSA keys of 2048 and 4096 bits, each below a root with a key of the same size. Made once,
/// since not every crypto provider can generate such keys; valid from 2025 to 2125, and used nowhere else.
pub fn rsa_devices() -> [Device; 2] {
    [include_str!("../data/rsa-2048.pem"), include_str!("../data/rsa-4096.pem")].map(|text| {
        let chain = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().unwrap();
        let PrivateKeyDer::Pkcs8(key) = PrivateKeyDer::from_pem_slice(text.as_bytes()).unwrap() else { panic!() };
        Device { chain, key: key.secret_pkcs8_der().to_vec() }
    })
}

impl Device {
    /// A certificate that is signed with its own key, as `openssl req -x509` makes one.
    pub fn self_signed(common_name: &str) -> Self {
        let key = KeyPair::generate_for(P256).unwrap();
        let mut params = params(common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { chain: vec![certificate.der().clone()], key: key.serialize_der() }
    }

    pub fn certificate(&self) -> Certificate {
        Certificate::from_der(&self.chain[0]).unwrap()
    }

    pub fn pem(&self) -> String {
        pem(&self.chain[0])
    }

    /// The same with only the first certificates of its chain.
    pub fn presenting(&self, count: usize) -> Self {
        Self { chain: self.chain[..count].to_vec(), key: self.key.clone() }
    }

    /// The same with these certificates of its chain, in this order.
    pub fn in_order(&self, order: &[usize]) -> Self {
        Self { chain: order.iter().map(|at| self.chain[*at].clone()).collect(), key: self.key.clone() }
    }

    pub fn presented(&self) -> ClientCertificates {
        ClientCertificates::from_der(self.chain.iter().map(AsRef::as_ref))
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }
}
