//! Whether the service takes the credential; and if not, which mix-up explains it. Each is tried by asking once more.

use dps_client::Probe;
use dps_core::{Hint, Key, LinkError, RegistrationId};

use super::identity::Suspect;
use super::report::{Check, CheckId, Checks};
use super::service;
use super::service::{Asker, SET_CLOCK, SKEW, Verdict, verdict};
use crate::failure::{Result, skew};
use crate::key::DeviceOrGroup;

const ID: CheckId = CheckId::Authentication;

/// A credential, and what is suspicious about it.
pub(super) struct Credential<'a> {
    pub(super) registration_id: RegistrationId<'a>,
    pub(super) key: &'a DeviceOrGroup,
    pub(super) suspects: Vec<Suspect>,
    /// Seconds that the service's clock is ahead of this device's, where that is known.
    pub(super) ahead: Option<i64>,
}

/// Judges the credential by the answer to it, and adds what was found.
pub(super) async fn examine(
    asker: &Asker<'_>,
    credential: Credential<'_>,
    probe: &Probe,
    checks: &mut Checks,
) -> Result<()> {
    let check = match (verdict(probe), probe) {
        (Verdict::Refused, _) => return refused(asker, credential, probe, checks).await,
        (Verdict::Accepted, Probe::Answered(answer)) if answer.record.is_none() => unknown(asker, &credential).await?,
        (Verdict::Accepted, Probe::SignedIn) => Check::ok(ID, "accepted at CONNECT")
            .seen("the service may still refuse the credential when the device registers: check over https to be sure"),
        (Verdict::Accepted, _) => Check::ok(ID, "the service takes the credential"),
        (Verdict::Unknown, Probe::Answered(answer)) if answer.http_status == 429 => {
            Check::skipped(ID, "the service throttles")
        }
        (Verdict::Unknown, _) => Check::skipped(ID, "the service gave no answer to it"),
    };
    checks.add(check);
    checks.add(service::registration(probe));
    Ok(())
}

/// The service has no record of the device. Whether it looked at the credential shows when it is given a wrong one.
async fn unknown(asker: &Asker<'_>, credential: &Credential<'_>) -> Result<Check> {
    let id = credential.registration_id;
    let key = credential.key.device_key(id)?;
    let wrong = Key::from_bytes(key.sign(b"no key of this device").expose())?;
    Ok(match asker.verdict(id, &wrong, 0).await? {
        Verdict::Refused => Check::ok(ID, "the service takes the credential").seen("it refuses a wrong one"),
        Verdict::Accepted => {
            let summary = "the service knows nothing of the device, and answers a wrong key alike";
            [Hint::WrongIdScope, Hint::NoEnrollment]
                .iter()
                .fold(Check::warning(ID, summary), |check, hint| check.advise(hint.text()))
        }
        Verdict::Unknown => Check::ok(ID, "the service does not refuse the credential"),
    })
}

/// What is known of a refusal, as it grows.
struct Inquiry<'a, 'b> {
    asker: &'a Asker<'b>,
    credential: Credential<'a>,
    /// How far the service's clock is ahead, where that had to be allowed for.
    ahead: i64,
    tried: Vec<String>,
}

async fn refused(asker: &Asker<'_>, credential: Credential<'_>, probe: &Probe, checks: &mut Checks) -> Result<()> {
    let mut inquiry = Inquiry { asker, credential, ahead: 0, tried: Vec::new() };
    let refusal = match inquiry.explain().await? {
        Some(cause) => {
            let refusal =
                Check::error(ID, format!("the service refuses the credential, which {} explains", cause.id.name()));
            checks.worsen(cause);
            refusal
        }
        None => {
            suspect(std::mem::take(&mut inquiry.credential.suspects), checks);
            let summary =
                "the service refuses the credential: key, id scope and registration id do not belong together";
            likely(probe, inquiry.credential.ahead)
                .fold(Check::error(ID, summary), |check, hint| check.advise(hint.text()))
        }
    };
    let words = if let Probe::Answered(answer) = probe { service::words(answer) } else { String::new() };
    checks.add(inquiry.tried.into_iter().fold(refusal.seen(words), Check::seen));
    checks.add(Check::skipped(CheckId::Registration, "the service refuses the credential"));
    Ok(())
}

/// The first of what looks unusual is the likeliest cause; the others are mentioned.
fn suspect(suspects: Vec<Suspect>, checks: &mut Checks) {
    for (index, Suspect { id, summary, advice }) in suspects.into_iter().enumerate() {
        let check = if index == 0 { Check::error(id, summary) } else { Check::warning(id, summary) };
        checks.worsen(check.advise(advice));
    }
}

/// What to look at when nothing explains a refusal, the likeliest first.
fn likely(probe: &Probe, ahead: Option<i64>) -> impl Iterator<Item = Hint> {
    let time_unknown = ahead.is_none().then_some(Hint::CheckClock);
    // CONNACK 5 comes before any key is looked at.
    let at_connect = matches!(probe, Probe::NoAnswer { error: LinkError::MqttRefused { code: 5 }, .. });
    let (first, last) = if at_connect { (time_unknown, None) } else { (None, time_unknown) };
    first.into_iter().chain([Hint::WrongKey, Hint::WrongIdScope, Hint::NoEnrollment]).chain(last)
}

impl Inquiry<'_, '_> {
    /// The check that explains the refusal, where one is found by asking.
    async fn explain(&mut self) -> Result<Option<Check>> {
        if let Some(clock) = self.clock().await? {
            return Ok(Some(clock));
        }
        match self.mix_up().await? {
            Some(mix_up) => Ok(Some(mix_up)),
            None => self.spelling().await,
        }
    }

    /// A clock that is far behind makes tokens that are expired when they arrive.
    async fn clock(&mut self) -> Result<Option<Check>> {
        let Some(ahead) = self.credential.ahead.filter(|ahead| ahead.abs() > SKEW) else { return Ok(None) };
        self.ahead = ahead;
        let id = self.credential.registration_id;
        let key = self.credential.key.device_key(id)?;
        if !self.accepts("with the service's time", id, &key).await? {
            return Ok(None);
        }
        let why = if ahead > 0 { "its tokens are expired when they arrive" } else { "its tokens are not taken" };
        let check = Check::error(CheckId::Clock, format!("{}: {why}", skew(ahead)));
        Ok(Some(check.seen("with the service's time the same key is accepted").advise(SET_CLOCK)))
    }

    /// A group's key where a device's belongs, or the other way round.
    async fn mix_up(&mut self) -> Result<Option<Check>> {
        let id = self.credential.registration_id;
        let mistaken = self.credential.key.mistaken_key(id)?;
        let (attempt, summary, advice) = match self.credential.key {
            DeviceOrGroup::Device(_) => (
                "with the key derived from it for this id",
                "the key is an enrollment group's and was given as a device's: the one derived from it is accepted",
                "derive the device's key with dps derive-key, or give the group's with --group-key-file; \
                 leave a group's key on no device",
            ),
            DeviceOrGroup::Group(_) => (
                "with the key itself, as a device's own",
                "the key is a device's and was given as a group's: it is accepted as it is",
                "give the key with --key-file, or in DPS_KEY",
            ),
        };
        let found = self.accepts(attempt, id, &mistaken).await?;
        Ok(found.then(|| Check::error(CheckId::Key, summary).advise(advice)))
    }

    /// A key derived from the id in another letter case.
    async fn spelling(&mut self) -> Result<Option<Check>> {
        let given = self.credential.registration_id;
        let (lower, upper) = (given.as_str().to_ascii_lowercase(), given.as_str().to_ascii_uppercase());
        for other in [lower, upper].iter().filter(|other| other.as_str() != given.as_str()) {
            let id = RegistrationId::new(other)?;
            let key = self.credential.key.device_key(id)?;
            if self.accepts(&format!("with the id spelled {other}"), id, &key).await? {
                let summary = format!("the key is accepted for {other}, and not for {given}: letter case counts");
                let advice = format!("spell the id {other} everywhere, or derive the key from {given}");
                return Ok(Some(Check::error(CheckId::RegistrationId, summary).advise(advice)));
            }
        }
        Ok(None)
    }

    async fn accepts(&mut self, attempt: &str, id: RegistrationId<'_>, key: &Key) -> Result<bool> {
        let verdict = self.asker.verdict(id, key, self.ahead).await?;
        let ending = match verdict {
            Verdict::Accepted => "accepted",
            Verdict::Refused => "refused too",
            Verdict::Unknown => "no answer",
        };
        self.tried.push(format!("{attempt}: {ending}"));
        Ok(verdict == Verdict::Accepted)
    }
}
