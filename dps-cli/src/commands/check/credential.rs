//! Checks whether the service accepts the credential; and if not, which mix-up explains it. Each is tried with another
//! probe.

use dps_client::{Probe, X509};
use dps_core::{Hint, Key, LinkError, RegistrationId};

use super::certificate::Chain;
use super::identity::Suspect;
use super::report::{Check, CheckId, Checks};
use super::service;
use super::service::{Prober, Proof, SET_CLOCK, SKEW, Verdict, verdict};
use crate::failure::{Failure, Result, skew};
use crate::key::DeviceOrGroup;
use crate::pkcs11::TokenKey;
use crate::tpm::DeviceTpm;

const ID: CheckId = CheckId::Authentication;

/// A credential and its suspects.
pub(super) struct Credential<'a> {
    pub(super) registration_id: RegistrationId<'a>,
    pub(super) held: Held<'a>,
    pub(super) suspects: Vec<Suspect>,
    /// The seconds that the service's clock is ahead of this device's, where known.
    pub(super) ahead: Option<i64>,
}

/// What the device has to prove who it is.
#[derive(Clone, Copy)]
pub(super) enum Held<'a> {
    Key(&'a DeviceOrGroup),
    Certificate(&'a X509, &'a Chain),
    /// A symmetric key in a PKCS#11 token.
    Token(&'a TokenKey),
    Tpm(&'a DeviceTpm),
}

impl Held<'_> {
    /// Returns what proves that the device has this id.
    #[cfg_attr(not(feature = "tpm"), allow(unreachable_code, reason = "without the feature, no value is a TPM"))]
    pub(super) fn proof(self, id: RegistrationId<'_>) -> Result<Proof> {
        Ok(match self {
            Self::Key(key) => Proof::Key(key.device_key(id)?),
            Self::Certificate(device, _) => Proof::Certificate(device.clone()),
            Self::Token(key) => Proof::Token(key.clone()),
            Self::Tpm(tpm) => Proof::Tpm(tpm.clone()),
        })
    }

    /// Returns a proof of the same kind that the service must refuse.
    fn wrong_proof(self, id: RegistrationId<'_>) -> Result<Proof> {
        Ok(match self {
            Self::Key(key) => {
                Proof::Key(Key::from_bytes(key.device_key(id)?.sign(b"not a key of this device").expose())?)
            }
            Self::Certificate(..) => Proof::Certificate(unknown_certificate(id)?),
            Self::Token(_) | Self::Tpm(_) => Proof::Key(Key::from_bytes(b"not the key that is in the token")?),
        })
    }
}

/// Makes a certificate for this id that nobody knows.
fn unknown_certificate(id: RegistrationId<'_>) -> Result<X509> {
    let failed = |error: rcgen::Error| Failure::internal(error.to_string());
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, id.as_str());
    let key = rcgen::KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(X509::from_pem(certificate.der(), &key.serialize_der())?)
}

/// Judges the credential by the reply to it, and adds the checks.
pub(super) async fn examine(
    prober: &Prober<'_>,
    credential: Credential<'_>,
    probe: &Probe,
    checks: &mut Checks,
) -> Result<()> {
    let check = match (verdict(probe), probe) {
        (Verdict::Refused, _) => return refused(prober, credential, probe, checks).await,
        (Verdict::Accepted, Probe::Answered(answer)) if answer.record.is_none() => unknown(prober, &credential).await?,
        (Verdict::Accepted, Probe::SignedIn) => Check::ok(ID, "accepted at CONNECT")
            .seen("the service may still refuse the credential when the device registers; --transport https checks it"),
        (Verdict::Accepted, _) => Check::ok(ID, "the service accepts the credential"),
        (Verdict::Unknown, Probe::Answered(answer)) if answer.http_status == 429 => {
            Check::skipped(ID, "the service throttles")
        }
        (Verdict::Unknown, _) => Check::skipped(ID, "the service did not reply"),
    };
    checks.add(check);
    checks.add(service::registration(probe));
    Ok(())
}

/// Reports an unknown device. Sends a wrong key or certificate to see whether the service checks them at all.
async fn unknown(prober: &Prober<'_>, credential: &Credential<'_>) -> Result<Check> {
    let id = credential.registration_id;
    let wrong = credential.held.wrong_proof(id)?;
    let what = if matches!(credential.held, Held::Certificate(..)) { "certificate" } else { "key" };
    Ok(match prober.verdict(id, &wrong, 0).await? {
        Verdict::Refused => {
            Check::ok(ID, "the service accepts the credential").seen(format!("it refuses a wrong {what}"))
        }
        Verdict::Accepted => {
            let summary =
                format!("the service has no record of the device, and replies to a wrong {what} in the same way");
            [Hint::WrongIdScope, Hint::NoEnrollment]
                .iter()
                .fold(Check::warning(ID, summary), |check, hint| check.advise(hint.text()))
        }
        Verdict::Unknown => Check::ok(ID, "the service does not refuse the credential"),
    })
}

/// The inquiry into a refusal of a key.
struct Inquiry<'a, 'b> {
    prober: &'a Prober<'b>,
    registration_id: RegistrationId<'a>,
    held: Held<'a>,
    /// The seconds that the service's clock is ahead of this device's, where known.
    known_ahead: Option<i64>,
    /// The seconds by which the clock is corrected, where that was necessary.
    ahead: i64,
    tried: Vec<String>,
}

async fn refused(prober: &Prober<'_>, credential: Credential<'_>, probe: &Probe, checks: &mut Checks) -> Result<()> {
    let (id, details) = (credential.registration_id, service::error_details_of(probe));
    let refusal = match credential.held {
        Held::Certificate(_, chain) => {
            suspect(credential.suspects, checks);
            chain.refused(id.as_str(), probe, checks).seen(details)
        }
        Held::Key(_) | Held::Token(_) | Held::Tpm(_) => key_refused(prober, credential, probe, checks).await?,
    };
    checks.add(refusal);
    checks.add(Check::skipped(CheckId::Registration, "the service refuses the credential"));
    Ok(())
}

async fn key_refused(
    prober: &Prober<'_>,
    credential: Credential<'_>,
    probe: &Probe,
    checks: &mut Checks,
) -> Result<Check> {
    let Credential { registration_id, held, suspects, ahead: known_ahead } = credential;
    let mut inquiry = Inquiry { prober, registration_id, held, known_ahead, ahead: 0, tried: Vec::new() };
    let refusal = match inquiry.explain().await? {
        Some(cause) => {
            let refusal = Check::error(
                ID,
                format!("the service refuses the credential; the check {} explains it", cause.id.name()),
            );
            checks.worsen(cause);
            refusal
        }
        None => {
            suspect(suspects, checks);
            let summary = "the service refuses the credential: key, id scope and registration id do not match";
            likely(probe, known_ahead).fold(Check::error(ID, summary), |check, hint| check.advise(hint.text()))
        }
    };
    Ok(inquiry.tried.into_iter().fold(refusal.seen(service::error_details_of(probe)), Check::seen))
}

/// Reports the first suspect as the most likely cause, and the others as warnings.
fn suspect(suspects: Vec<Suspect>, checks: &mut Checks) {
    for (index, Suspect { id, summary, advice }) in suspects.into_iter().enumerate() {
        let check = if index == 0 { Check::error(id, summary) } else { Check::warning(id, summary) };
        checks.worsen(check.advise(advice));
    }
}

/// Returns the hints for an unexplained refusal, most likely first.
fn likely(probe: &Probe, ahead: Option<i64>) -> impl Iterator<Item = Hint> {
    let time_unknown = ahead.is_none().then_some(Hint::CheckClock);
    // CONNACK 5 is sent before any key is checked.
    let at_connect = matches!(probe, Probe::NoAnswer { error: LinkError::MqttRefused { code: 5 }, .. });
    let (first, last) = if at_connect { (time_unknown, None) } else { (None, time_unknown) };
    first.into_iter().chain([Hint::WrongKey, Hint::WrongIdScope, Hint::NoEnrollment]).chain(last)
}

impl Inquiry<'_, '_> {
    /// Returns the check that explains the refusal, if a probe finds one.
    async fn explain(&mut self) -> Result<Option<Check>> {
        if let Some(clock) = self.clock().await? {
            return Ok(Some(clock));
        }
        // A key in a token can be neither derived from nor read.
        let Held::Key(key) = self.held else { return Ok(None) };
        match self.mix_up(key).await? {
            Some(mix_up) => Ok(Some(mix_up)),
            None => self.spelling(key).await,
        }
    }

    /// Tries the service's time: a clock that is far behind makes tokens that are expired on arrival.
    async fn clock(&mut self) -> Result<Option<Check>> {
        let Some(ahead) = self.known_ahead.filter(|ahead| ahead.abs() > SKEW) else { return Ok(None) };
        self.ahead = ahead;
        let id = self.registration_id;
        let proof = self.held.proof(id)?;
        if !self.accepts("with the service's time", id, &proof).await? {
            return Ok(None);
        }
        let why = if ahead > 0 { "its tokens are already expired" } else { "its tokens are not accepted" };
        let check = Check::error(CheckId::Clock, format!("{}: {why}", skew(ahead)));
        Ok(Some(check.seen("with the service's time the same key is accepted").advise(SET_CLOCK)))
    }

    /// Tries a group's key as a device's, or the other way round.
    async fn mix_up(&mut self, key: &DeviceOrGroup) -> Result<Option<Check>> {
        let id = self.registration_id;
        let mistaken = Proof::Key(key.mistaken_key(id)?);
        let (attempt, summary, advice) = match key {
            DeviceOrGroup::Device(_) => (
                "with the key derived from it for this id",
                "the key of an enrollment group was used as a device's key: the key derived from it is accepted",
                "derive the device's key with dps derive-key, or use --group-key-file; do not store a group's key on a \
                 device",
            ),
            DeviceOrGroup::Group(_) => (
                "with the key itself, as a device's own",
                "a device's key was used as the key of an enrollment group: it is accepted as it is",
                "use --key-file or DPS_KEY for this key",
            ),
        };
        let found = self.accepts(attempt, id, &mistaken).await?;
        Ok(found.then(|| Check::error(CheckId::Key, summary).advise(advice)))
    }

    /// Tries the id in another letter case.
    async fn spelling(&mut self, key: &DeviceOrGroup) -> Result<Option<Check>> {
        let given = self.registration_id;
        let (lower, upper) = (given.as_str().to_ascii_lowercase(), given.as_str().to_ascii_uppercase());
        for other in [lower, upper].iter().filter(|other| other.as_str() != given.as_str()) {
            let id = RegistrationId::new(other)?;
            let proof = Proof::Key(key.device_key(id)?);
            if self.accepts(&format!("with the id spelled {other}"), id, &proof).await? {
                let summary = format!("the key is accepted for {other}, but not for {given}: letter case matters");
                let advice = format!("use the id {other} everywhere, or derive the key from {given}");
                return Ok(Some(Check::error(CheckId::RegistrationId, summary).advise(advice)));
            }
        }
        Ok(None)
    }

    async fn accepts(&mut self, attempt: &str, id: RegistrationId<'_>, proof: &Proof) -> Result<bool> {
        let verdict = self.prober.verdict(id, proof, self.ahead).await?;
        let ending = match verdict {
            Verdict::Accepted => "accepted",
            Verdict::Refused => "refused too",
            Verdict::Unknown => "no reply",
        };
        self.tried.push(format!("{attempt}: {ending}"));
        Ok(verdict == Verdict::Accepted)
    }
}
