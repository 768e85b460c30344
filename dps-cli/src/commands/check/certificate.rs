//! The certificate of the device: its chain and key before anything is sent, and what a refusal may mean.

use std::time::SystemTime;

use dps_client::{CertificateChain, ChainCheck, ChainProblem, Finding, Probe, RegistrationId, Severity, X509};
use dps_core::{ErrorCode, Hint, LinkError};
use serde_json::json;

use super::identity::file_mode;
use super::report::{Check, CheckId, Checks, Outcome};
use crate::certificate::Certificate;
use crate::failure::{Failure, Result};
use crate::x509::{CertificateChoice, read_chain, sentence};

const ID: CheckId = CheckId::Certificate;

/// A device's certificate with the chain above it and its key, or why they are not usable.
pub(super) struct Chain {
    choice: CertificateChoice,
    chain: Result<CertificateChain>,
    /// `None` when the chain is not usable.
    device: Option<Result<X509>>,
    expected: Option<CertificateChain>,
}

impl Chain {
    /// Reads the files of the choice. Blocks while reading.
    pub(super) fn read(choice: CertificateChoice, expected: Option<CertificateChain>) -> Self {
        let chain = read_chain(std::slice::from_ref(&choice.certificate));
        let device = chain.as_ref().ok().map(|chain| choice.key.read(chain));
        Self { choice, chain, device, expected }
    }

    /// Returns the common name of the device's certificate, if it can be read.
    pub(super) fn common_name(&self) -> Option<String> {
        self.device()?.common_name()
    }

    fn device(&self) -> Option<&X509> {
        self.device.as_ref()?.as_ref().ok()
    }

    /// Returns the device's certificate and key if a client accepts them, or the check of what must be fixed first.
    pub(super) fn usable(&self, checks: &Checks) -> std::result::Result<&X509, CheckId> {
        let device = self.device().ok_or(if self.chain.is_ok() { CheckId::Key } else { ID })?;
        if checks.outcome(ID) == Some(Outcome::Error) { Err(ID) } else { Ok(device) }
    }

    /// Makes the checks of the certificate, its key and the files with secrets.
    pub(super) fn check(&self, registration_id: Option<&str>, now: Option<SystemTime>) -> [Check; 3] {
        [self.check_key(), self.check_files(), self.check_chain(registration_id, now)]
    }

    fn check_key(&self) -> Check {
        let id = CheckId::Key;
        match &self.device {
            None => Check::skipped(id, "certificate must be fixed first"),
            Some(Ok(_)) => Check::ok(id, "the private key of the device's certificate is usable")
                .seen(format!("from {}", self.choice.key)),
            Some(Err(failure)) => unreadable(id, failure),
        }
    }

    /// Returns the worst of the checks of each file.
    fn check_files(&self) -> Check {
        let checks: Vec<Check> = self.choice.key.secrets().into_iter().map(file_mode).collect();
        let worst = checks.iter().position(|check| check.outcome == Outcome::Warning).unwrap_or_default();
        let none = || Check::skipped(CheckId::KeyFile, "the key does not come from a file");
        checks.into_iter().nth(worst).unwrap_or_else(none)
    }

    fn check_chain(&self, registration_id: Option<&str>, now: Option<SystemTime>) -> Check {
        let chain = match &self.chain {
            Ok(chain) => chain,
            Err(failure) => return unreadable(ID, failure),
        };
        let findings = self.findings(chain, registration_id, now);
        let check = match findings.first() {
            None => Check::ok(ID, format!("the chain of {} is in order", certificates(chain.len()))),
            Some(first) => match first.severity() {
                Severity::Error => Check::error(ID, sentence(first, chain.len())),
                Severity::Warning => Check::warning(ID, sentence(first, chain.len())),
            },
        };
        let check = findings.iter().skip(1).fold(check, |check, finding| check.seen(sentence(finding, chain.len())));
        let check = findings.iter().fold(check, |check, finding| check.advise(finding.advice()));
        let shown: Vec<Certificate> = chain.iter().map(Certificate::from_der).collect();
        let check = shown.iter().enumerate().fold(check, |check, (index, certificate)| {
            let [first, second] = certificate.lines();
            check.seen(format!("certificate {}: {first}", index + 1)).seen(second)
        });
        let found: Vec<&str> = findings.iter().map(|finding| finding.problem().name()).collect();
        check.facts(json!({ "findings": found, "certificates": shown }))
    }

    fn findings(
        &self,
        chain: &CertificateChain,
        registration_id: Option<&str>,
        now: Option<SystemTime>,
    ) -> Vec<Finding> {
        let id: Option<RegistrationId> = registration_id.and_then(|id| id.parse().ok());
        let check = id.iter().fold(ChainCheck::new(), ChainCheck::registration_id);
        let check = now.into_iter().fold(check, ChainCheck::at);
        let check = self.expected.iter().cloned().fold(check, ChainCheck::expect_root);
        self.device().map_or_else(|| check.chain(chain), |device| check.device(device))
    }

    /// Reports a refusal of a certificate in which nothing wrong was found, or only doubts.
    pub(super) fn refused(&self, registration_id: &str, probe: &Probe, checks: &mut Checks) -> Check {
        // What is doubtful is the likeliest cause.
        if self.is_doubtful() {
            checks.raise(ID);
        }
        let (who, code) = match probe {
            Probe::NoAnswer { error: LinkError::ClientCertificateRefused, detail } => (
                format!("the server refuses the certificate in TLS ({detail})"),
                Some(ErrorCode::ClientCertificateRefused),
            ),
            _ => ("the service refuses the certificate".to_owned(), None),
        };
        let causes = self.causes(registration_id);
        let ranked: Vec<String> =
            causes.iter().enumerate().map(|(index, (words, _))| format!("({}) {words}", index + 1)).collect();
        let check = Check::error(CheckId::Authentication, format!("{who}; likely causes: {}", ranked.join("; ")));
        let check = code.into_iter().fold(check, Check::advise_for);
        let hints = causes.into_iter().map(|(_, hint)| hint).chain([Hint::WrongIdScope, Hint::NetworkRules]);
        hints.fold(check, |check, hint| check.advise(hint.text()))
    }

    /// Whether there is a warning about the chain, other than that the certificate was made with `openssl req -x509`: then it
    /// is an authority's, which individual enrollments accept.
    fn is_doubtful(&self) -> bool {
        let findings = self.chain.as_ref().map(|chain| ChainCheck::new().chain(chain)).unwrap_or_default();
        findings.iter().any(|finding| finding.problem() != ChainProblem::CaAsLeaf)
    }

    /// The causes of a refusal that cannot be known on the device, the likeliest first (Azure IoT DPS documentation, "X.509
    /// certificate attestation").
    fn causes(&self, registration_id: &str) -> Vec<(String, Hint)> {
        let last = self.chain.iter().flat_map(CertificateChain::iter).last().map(Certificate::from_der);
        let Some(last) = last.and_then(|certificate| certificate.content) else { return Vec::new() };
        let (subject, issuer) = (last.subject, last.issuer);
        let is_root = subject == issuer;
        let alone = self.chain.as_ref().is_ok_and(|chain| chain.len() == 1);
        let missing = || {
            let words =
                format!("an intermediate certificate is missing: the chain ends at {subject}, issued by {issuer}");
            (words, Hint::MissingIntermediate)
        };
        let unverified = || {
            let top = if is_root { &subject } else { &issuer };
            (format!("{top} is not a verified certificate of the service"), Hint::UnverifiedRoot)
        };
        let disabled = || ("the enrollment nearest to the certificate is disabled".to_owned(), Hint::DisabledGroup);
        let thumbprint = || {
            ("the individual enrollment has the thumbprint of another certificate".to_owned(), Hint::WrongThumbprint)
        };
        let other_id = || (format!("the enrollment is for another id than {registration_id}"), Hint::NoEnrollment);
        match (alone, is_root) {
            // Only an individual enrollment can have it.
            (true, true) => vec![thumbprint(), other_id(), disabled()],
            // With --expect-root it reaches what is said to be verified.
            _ if self.expected.is_some() => vec![disabled(), other_id(), thumbprint(), unverified()],
            (_, true) => vec![unverified(), disabled(), other_id(), thumbprint()],
            (_, false) => vec![missing(), unverified(), thumbprint(), other_id(), disabled()],
        }
    }
}

pub(super) fn unreadable(id: CheckId, failure: &Failure) -> Check {
    let check = Check::error(id, failure.message.clone());
    if failure.code == ErrorCode::File {
        return check.advise("use a file that this user can read");
    }
    let hints = if failure.hints.is_empty() { failure.code.hints().iter().collect() } else { failure.hints.clone() };
    let check = hints.iter().fold(check, |check, hint| check.advise(hint.text()));
    if check.advice.is_empty() { check.advise("use the files that belong to the device's certificate") } else { check }
}

fn certificates(count: usize) -> String {
    if count == 1 { "1 certificate".to_owned() } else { format!("{count} certificates") }
}
