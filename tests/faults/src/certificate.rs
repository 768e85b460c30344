//! The certificate of a row's device, and its files.
#![allow(clippy::expect_used, reason = "a broken setting should stop the run")]

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use dps_emulator::{Certificate, IndividualEnrollment};
use pair::matrix::{CertificatePlan, DEVICE};
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use tempfile::TempDir;

/// A self-signed certificate and its key, in files that are deleted with this value.
pub(crate) struct DeviceCertificate {
    folder: TempDir,
    certificate: Certificate,
}

impl DeviceCertificate {
    pub(crate) fn new(plan: CertificatePlan) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, DEVICE);
        (params.not_before, params.not_after) = (date_time_ymd(1975, 1, 1), date_time_ymd(4096, 1, 1));
        let key = KeyPair::generate().expect("keys can be generated");
        if let Some(seconds) = plan.valid_seconds {
            let end = SystemTime::now() + Duration::from_secs(seconds.into());
            params.not_after = end.into();
        }
        let pem = params.self_signed(&key).expect("the parameters are valid").pem();
        let certificate = Certificate::from_pem(&pem).expect("it is a certificate");
        let made = Self { folder: tempfile::tempdir().expect("a folder"), certificate };
        std::fs::write(made.certificate_file(), pem).expect("the certificate is written");
        std::fs::write(made.key_file(), key.serialize_pem()).expect("the key is written");
        made
    }

    pub(crate) fn certificate_file(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    pub(crate) fn enrollment(&self) -> IndividualEnrollment {
        IndividualEnrollment::new(DEVICE).client_certificate(self.certificate.clone())
    }
}
