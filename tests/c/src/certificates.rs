//! Devices with certificates: their files in the folder of `DPS_TEST_CERTIFICATES`, and their enrollments.
//!
//! `dev-01` has an individual enrollment of two certificates, whose files are those of the tests of `dps-client`. `dev-02`
//! belongs to a group, by a chain of three certificates that is in one file with its key.

use std::error::Error;
use std::path::Path;

use dps_emulator::{AllocationPolicy, Certificate, Emulator, EnrollmentGroup, IndividualEnrollment};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};

use crate::profiles::CLASSIC_HUB;
use crate::written;

/// Of the encrypted key.
pub(crate) const PASSPHRASE: &str = "correct-horse";

macro_rules! data {
    ($($name:literal),+) => {
        [$(($name, include_str!(concat!("../../../dps-client/tests/data/x509/", $name)))),+]
    };
}

/// Writes the files and creates the enrollments.
pub(crate) fn enroll(emulator: &Emulator, folder: &Path) -> Result<(), Box<dyn Error>> {
    let files = data!(
        "ec.pem",
        "ec-sec1.pem",
        "ec-pbkdf2.pem",
        "rsa-2048.cert.pem",
        "rsa-2048-pkcs1.pem",
        "rsa-4096.cert.pem",
        "rsa-4096.pem"
    );
    for (name, text) in files {
        written(folder, name, text)?;
    }
    let [ec, rsa] = data!("ec.pem", "rsa-4096.cert.pem").map(|(_, pem)| Certificate::from_pem(pem));
    let device = IndividualEnrollment::new("dev-01").client_certificate(ec?).secondary_client_certificate(rsa?);
    let device = device.allocation(AllocationPolicy::Static, [CLASSIC_HUB]);
    let root = Signed::new("Root", None, true)?;
    let line = Signed::new("Line", Some(&root), true)?;
    let member = Signed::new("dev-02", Some(&line), false)?;
    written(folder, "group.pem", &(member.chain.concat() + &member.issuer.key().serialize_pem()))?;
    let root = Certificate::from_pem(&root.chain.concat())?;
    let (now, group) = (emulator.now(), EnrollmentGroup::new("line-x509").signing_certificate(root.clone()));
    let group = group.allocation(AllocationPolicy::Static, [CLASSIC_HUB]);
    emulator.with_service(|service| {
        service.put_ca_certificate(now, "root", root, true)?;
        service.put_enrollment(now, device)?;
        service.put_group(now, group).map(drop)
    })?;
    Ok(())
}

/// A certificate with its key, and the certificates above it, itself first.
struct Signed {
    issuer: Issuer<'static, KeyPair>,
    chain: Vec<String>,
}

impl Signed {
    fn new(common_name: &str, above: Option<&Self>, is_ca: bool) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, common_name);
        (params.not_before, params.not_after) = (date_time_ymd(1975, 1, 1), date_time_ymd(4096, 1, 1));
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        } else {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
        let key = KeyPair::generate()?;
        let certificate = match above {
            Some(above) => params.signed_by(&key, &above.issuer)?,
            None => params.self_signed(&key)?,
        };
        let mut chain = vec![certificate.pem()];
        chain.extend(above.iter().flat_map(|above| above.chain.clone()));
        Ok(Self { issuer: Issuer::new(params, key), chain })
    }
}
