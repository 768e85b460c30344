//! The chain check: what is wrong with a certificate, its chain and its key, found before anything is sent.
//!
//! The service answers every mistake here alike, and often by closing the connection. The rules are those of RFC 5280 and of
//! the service (Azure IoT DPS documentation, "X.509 certificate attestation"). What can be known on the device is found
//! here; whether an enrollment exists for it is not.

use std::time::{SystemTime, UNIX_EPOCH};

use super::X509;
use super::certificate::{Certificate, Signed, Usage, date};
use super::chain::CertificateChain;
use super::finding::{ChainProblem, Finding, Severity};
use crate::names::RegistrationId;

/// The longest common name, in characters (RFC 5280, appendix A.1, ub-common-name).
const COMMON_NAME_MAX: usize = 64;

/// Checks a device's certificate with its chain and key. What is not set is not checked.
///
/// ```
/// use std::time::SystemTime;
///
/// use dps_client::{ChainCheck, ChainProblem, X509};
///
/// # let mut params = rcgen::CertificateParams::default();
/// # params.distinguished_name.push(rcgen::DnType::CommonName, "dev-02");
/// # let key = rcgen::KeyPair::generate()?;
/// # let (certificates, key) = (params.self_signed(&key)?.pem(), key.serialize_pem());
/// let device = X509::from_pem(certificates.as_bytes(), key.as_bytes())?;
/// let check = ChainCheck::new().registration_id(&"dev-01".parse()?).at(SystemTime::now());
/// for finding in check.device(&device) {
///     println!("{}: {finding}", finding.severity());
///     assert_eq!(finding.problem(), ChainProblem::CommonNameMismatch);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ChainCheck {
    registration_id: Option<RegistrationId>,
    now: Option<SystemTime>,
    roots: Option<CertificateChain>,
}

impl ChainCheck {
    /// Returns a check of the certificates alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Compares the common name with this registration id. Letter case is not compared, as the service ignores it.
    #[must_use]
    pub fn registration_id(mut self, registration_id: &RegistrationId) -> Self {
        self.registration_id = Some(registration_id.clone());
        self
    }

    /// Compares the validity of each certificate with this time.
    #[must_use]
    pub fn at(mut self, now: SystemTime) -> Self {
        self.now = Some(now);
        self
    }

    /// Expects the chain to end at one of these roots, or at a certificate that one of them issued.
    #[must_use]
    pub fn expect_root(mut self, roots: CertificateChain) -> Self {
        self.roots = Some(roots);
        self
    }

    /// Checks a device's certificate, chain and key. Returns errors before warnings.
    #[must_use]
    pub fn device(&self, device: &X509) -> Vec<Finding> {
        let public_key = device.key().public_key();
        self.run(device.chain(), public_key.as_ref().map(AsRef::as_ref))
    }

    /// Checks a chain without its key. Returns errors before warnings.
    #[must_use]
    pub fn chain(&self, chain: &CertificateChain) -> Vec<Finding> {
        self.run(chain, None)
    }

    fn run(&self, chain: &CertificateChain, public_key: Option<&[u8]>) -> Vec<Finding> {
        // They were parsed when the chain was read.
        let certificates: Vec<Certificate<'_>> = chain.iter().filter_map(Certificate::parse).collect();
        let mut report = Report { certificates: &certificates, findings: Vec::new() };
        let Some(leaf) = report.leaf() else { return Vec::new() };
        let path = report.path(leaf);
        report.check_authorities(&path);
        if let Some(roots) = &self.roots {
            report.check_root(&path, roots);
        }
        if let Some(now) = self.now {
            report.check_validity(now);
        }
        report.check_name(leaf, self.registration_id.as_ref());
        report.check_leaf(leaf, public_key);
        report.check_algorithms(leaf);
        report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        report.findings
    }
}

/// The certificates, and what was found so far. Indices count from 0 in the order in which they were given.
struct Report<'c, 'a> {
    certificates: &'c [Certificate<'a>],
    findings: Vec<Finding>,
}

impl Report<'_, '_> {
    fn add(&mut self, index: usize, problem: ChainProblem, severity: Severity, what: impl Into<String>) {
        let subject = self.certificates.get(index).map(Certificate::subject).unwrap_or_default();
        let (certificate, of) = (index + 1, self.certificates.len());
        self.findings.push(Finding { problem, severity, certificate, of, subject, what: what.into() });
    }

    fn error(&mut self, index: usize, problem: ChainProblem, what: impl Into<String>) {
        self.add(index, problem, Severity::Error, what);
    }

    fn warn(&mut self, index: usize, problem: ChainProblem, what: impl Into<String>) {
        self.add(index, problem, Severity::Warning, what);
    }

    /// The device's own certificate: the first, unless that is an authority's and exactly one of the others is not.
    fn leaf(&mut self) -> Option<usize> {
        let first = self.certificates.first()?;
        if !first.is_authority() {
            return Some(0);
        }
        let mut devices = (0..self.certificates.len()).filter(|index| !self.certificates[*index].is_authority());
        if let (Some(leaf), None) = (devices.next(), devices.next()) {
            let what = "is the device's own, and is not the first".to_owned();
            self.error(leaf, ChainProblem::WrongOrder, what);
            return Some(leaf);
        }
        if first.is_self_issued() && self.certificates.len() == 1 {
            // As `openssl req -x509` makes it; an individual enrollment by its thumbprint accepts that.
            self.warn(0, ChainProblem::CaAsLeaf, "is an authority's, and issued by itself");
        } else {
            self.error(0, ChainProblem::CaAsLeaf, "is an authority's, not a device's");
        }
        Some(0)
    }

    /// The certificates from the device's own upwards, each one's issuer after it, as far as they go.
    fn path(&mut self, leaf: usize) -> Vec<usize> {
        let certificates = self.certificates;
        let mut path = vec![leaf];
        let mut ordered = leaf == 0;
        let mut current = leaf;
        while !certificates[current].is_self_issued() {
            let child = &certificates[current];
            let others = (0..certificates.len()).filter(|index| !path.contains(index));
            let named: Vec<usize> = others.filter(|index| child.names_as_issuer(&certificates[*index])).collect();
            let Some(issuer) = named.iter().copied().find(|index| child.signed_by(&certificates[*index]) != Signed::No)
            else {
                self.add_end(current, named.first().copied(), path.len());
                break;
            };
            // One finding about the order is enough.
            if ordered && issuer != path.len() {
                let what = format!("was issued by certificate {}, which must follow it", issuer + 1);
                self.error(current, ChainProblem::WrongOrder, what);
                ordered = false;
            }
            path.push(issuer);
            current = issuer;
        }
        path
    }

    /// Names why the path ends at a certificate whose issuer is not among the others. That is in order where all were used.
    fn add_end(&mut self, last: usize, namesake: Option<usize>, used: usize) {
        let issuer = self.certificates[last].issuer();
        if let Some(namesake) = namesake {
            let what = format!("names certificate {} as its issuer, but was not signed with its key", namesake + 1);
            self.error(last, ChainProblem::WrongIssuer, what);
        } else if used < self.certificates.len() {
            let what = format!("was issued by {issuer}, which is not among the certificates");
            self.error(last, ChainProblem::Gap, what);
        }
    }

    /// Checks whether the issuers may issue.
    fn check_authorities(&mut self, path: &[usize]) {
        for (above, index) in path.iter().copied().enumerate().skip(1) {
            let certificate = &self.certificates[index];
            let between = path[1..above].iter().filter(|index| !self.certificates[**index].is_self_issued()).count();
            let (allowed, may_sign, usage) = (certificate.path_length(), certificate.may_sign(), certificate.usage());
            if !may_sign {
                let what = format!("issued certificate {}, and is not an authority's", path[above - 1] + 1);
                self.error(index, ChainProblem::NotAnAuthority, what);
            }
            if let Some(allowed) = allowed.filter(|allowed| between > *allowed as usize) {
                let what = format!("allows {allowed} intermediate certificates below it, and there are {between}");
                self.error(index, ChainProblem::PathLength, what);
            }
            if usage == Usage::Others {
                let what = "issues no certificates for clients: its extended key usage lacks clientAuth";
                self.warn(index, ChainProblem::ClientAuthMissing, what);
            }
        }
    }

    /// Checks whether the path reaches one of the roots.
    fn check_root(&mut self, path: &[usize], roots: &CertificateChain) {
        let roots: Vec<Certificate<'_>> = roots.iter().filter_map(Certificate::parse).collect();
        let Some(last) = path.last().copied() else { return };
        let top = &self.certificates[last];
        let reaches = |root: &Certificate<'_>| {
            root.der == top.der || (top.names_as_issuer(root) && top.signed_by(root) != Signed::No)
        };
        if roots.iter().any(reaches) || path.len() < self.certificates.len() {
            // A gap was found already.
            return;
        }
        let expected: Vec<String> = roots.iter().map(Certificate::subject).collect();
        let expected = expected.join("; ");
        let same_name = roots.iter().any(|root| top.names_as_issuer(root));
        let self_issued = top.is_self_issued();
        if same_name {
            let what = format!("ends the chain at another root with the name of the expected one ({expected})");
            self.error(last, ChainProblem::UnexpectedRoot, what);
        } else if self_issued {
            self.error(
                last,
                ChainProblem::UnexpectedRoot,
                format!("ends the chain, and the expected root is {expected}"),
            );
        } else {
            let issuer = top.issuer();
            let what = format!("ends the chain, and was issued by {issuer}; the expected root is {expected}");
            self.error(last, ChainProblem::MissingIntermediate, what);
        }
    }

    fn check_validity(&mut self, now: SystemTime) {
        let Some(now) = now.duration_since(UNIX_EPOCH).ok().and_then(|now| i64::try_from(now.as_secs()).ok()) else {
            return;
        };
        for index in 0..self.certificates.len() {
            let (from, to) = self.certificates[index].validity();
            if now > to {
                let what = format!("expired at {}; the time is {}", date(to), date(now));
                self.error(index, ChainProblem::Expired, what);
            } else if now < from {
                let what = format!("is valid from {}; the time is {}", date(from), date(now));
                self.error(index, ChainProblem::NotYetValid, what);
            }
        }
    }

    fn check_name(&mut self, leaf: usize, registration_id: Option<&RegistrationId>) {
        let name = match self.certificates[leaf].common_name() {
            Some(Ok(name)) => name.to_owned(),
            Some(Err(())) => return self.error(leaf, ChainProblem::NoCommonName, "has a common name that is not text"),
            None => return self.error(leaf, ChainProblem::NoCommonName, "has no common name"),
        };
        let length = name.chars().count();
        if length > COMMON_NAME_MAX {
            let what =
                format!("has a common name of {length} characters; some implementations cut it at {COMMON_NAME_MAX}");
            self.warn(leaf, ChainProblem::CommonNameLength, what);
        }
        if let Err(problem) = name.parse::<RegistrationId>() {
            let what = format!("has a common name that is not a valid registration id: {problem}");
            return self.error(leaf, ChainProblem::CommonNameInvalid, what);
        }
        if let Some(id) = registration_id.filter(|id| !id.as_str().eq_ignore_ascii_case(&name)) {
            let what = format!("has the common name {name:?}, and the registration id is {:?}", id.as_str());
            self.error(leaf, ChainProblem::CommonNameMismatch, what);
        }
    }

    fn check_leaf(&mut self, leaf: usize, public_key: Option<&[u8]>) {
        let certificate = &self.certificates[leaf];
        let fits = public_key.is_none_or(|key| certificate.has_key(key));
        let (usage, signs, kind) = (certificate.usage(), certificate.may_authenticate(), certificate.key_kind());
        if !fits {
            self.error(leaf, ChainProblem::KeyMismatch, "was issued for another key than the one that was given");
        }
        if usage == Usage::Others {
            let what = "is not for clients: its extended key usage lacks clientAuth";
            self.error(leaf, ChainProblem::ClientAuthMissing, what);
        }
        if !signs {
            let what = "is not for TLS: its key usage lacks digitalSignature";
            self.warn(leaf, ChainProblem::SignatureNotAllowed, what);
        }
        if !kind.is_weak() && !kind.is_usual() {
            self.warn(leaf, ChainProblem::UnusualKey, format!("has a key of another kind: {kind}"));
        }
    }

    fn check_algorithms(&mut self, leaf: usize) {
        for index in 0..self.certificates.len() {
            let certificate = &self.certificates[index];
            let kind = certificate.key_kind();
            // Nobody verifies how a root signed itself.
            let hash = certificate.broken_hash().filter(|_| index == leaf || !certificate.is_self_issued());
            if let Some(hash) = hash {
                self.warn(index, ChainProblem::WeakSignature, format!("is signed with {hash}, which is broken"));
            }
            if kind.is_weak() {
                self.warn(index, ChainProblem::WeakKey, format!("has a key that is too short: {kind}"));
            }
        }
    }
}
