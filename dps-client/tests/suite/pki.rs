//! A small public key infrastructure for the tests: CAs, intermediates, devices.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use dps_client::{CertificateChain, X509};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SignatureAlgorithm, date_time_ymd,
};

pub const P256: &SignatureAlgorithm = &rcgen::PKCS_ECDSA_P256_SHA256;
pub const P384: &SignatureAlgorithm = &rcgen::PKCS_ECDSA_P384_SHA384;

/// A file of `tests/data/x509`.
macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!("../data/x509/", $name)).as_slice()
    };
}
pub(crate) use data;

/// An authority, and the chain from it up to its root, itself first.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub chain: Vec<String>,
}

/// A device's certificate with its key, and the chain above it, all as PEM.
#[derive(Clone)]
pub struct Device {
    pub chain: Vec<String>,
    pub key: String,
}

/// Valid for the lifetime of any test.
pub fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    (params.not_before, params.not_after) = (date_time_ymd(1975, 1, 1), date_time_ymd(4096, 1, 1));
    params
}

fn authority(common_name: &str) -> CertificateParams {
    let mut params = params(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl Ca {
    pub fn root(common_name: &str) -> Self {
        Self::root_with(common_name, |_| {})
    }

    pub fn root_with(common_name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate_for(P256).unwrap();
        let mut params = authority(common_name);
        change(&mut params);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { chain: vec![pem], issuer: Issuer::new(params, key) }
    }

    pub fn intermediate(&self, common_name: &str) -> Self {
        self.intermediate_with(common_name, |_| {})
    }

    pub fn intermediate_with(&self, common_name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate_for(P256).unwrap();
        let mut params = authority(common_name);
        change(&mut params);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self { chain: [vec![pem], self.chain.clone()].concat(), issuer: Issuer::new(params, key) }
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
        self.device_of(KeyPair::generate_for(algorithm).unwrap(), common_name, change)
    }

    pub fn device_of(&self, key: KeyPair, common_name: &str, change: impl FnOnce(&mut CertificateParams)) -> Device {
        let mut params = params(common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Device { chain: [vec![pem], self.chain.clone()].concat(), key: key.serialize_pem() }
    }

    /// Its own certificate and those above it.
    pub fn certificates(&self) -> CertificateChain {
        CertificateChain::from_pem(self.chain.concat().as_bytes()).unwrap()
    }
}

impl Device {
    pub fn self_signed(common_name: &str) -> Self {
        let key = KeyPair::generate_for(P256).unwrap();
        Self { chain: vec![params(common_name).self_signed(&key).unwrap().pem()], key: key.serialize_pem() }
    }

    pub fn x509(&self) -> X509 {
        X509::from_pem(self.chain.concat().as_bytes(), self.key.as_bytes()).unwrap()
    }

    /// The same with these certificates of its chain, in this order, counted from 0.
    pub fn in_order(&self, order: &[usize]) -> Self {
        Self { chain: order.iter().map(|at| self.chain[*at].clone()).collect(), key: self.key.clone() }
    }

    /// The same with another key.
    pub fn with_key_of(&self, other: &Self) -> Self {
        Self { chain: self.chain.clone(), key: other.key.clone() }
    }
}
