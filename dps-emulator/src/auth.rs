//! Authentication: a device's certificate or token against its enrollment, an owner's token against the policy key.
//!
//! Every refusal looks the same on the wire; tests can read the reason from the list of refusals.

use std::sync::Arc;

use crate::credentials::{SymmetricKey, Token};
use crate::enrollment::EnrollmentGroup;
use crate::events::{RefusalReason, SignedBy};
use crate::http::{ControlCall, Route};
use crate::hubs::HubAuthentication;
use crate::ids::FoldedId;
use crate::options::POLICY_NAME;
use crate::registrations::{Shown, Source};
use crate::service::Service;
use crate::time::Now;
use crate::tpm::Challenge;
use crate::wire::{DEVICE_KEY_NAME, Problem, Protocol};
use crate::x509::ClientCertificates;

/// Which device calls, and its credential. The same for every protocol.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The id scope, decoded.
    pub id_scope: &'a str,
    /// The registration id, decoded, in the device's own spelling.
    pub registration_id: &'a str,
    /// The SAS token. Ignored if the client presented a certificate.
    pub token: Option<&'a str>,
    /// The certificates of the TLS connection, if the client presented any.
    pub certificates: Option<&'a ClientCertificates>,
    /// `YYYY-MM-DD`, with or without `-preview`.
    pub api_version: &'a str,
    /// What the client calls itself: `User-Agent`, or the `ClientVersion` of an MQTT user name. Only events show it.
    pub user_agent: Option<&'a str>,
    /// The protocol of the call.
    pub protocol: Protocol,
}

impl<'a> Caller<'a> {
    /// The certificates, if there are any. They take precedence over a token.
    fn presented(&self) -> Option<&'a ClientCertificates> {
        self.certificates.filter(|certificates| !certificates.is_empty())
    }

    /// Whether it may be answered by a TPM challenge: it has no credential, and the protocol is not MQTT.
    pub(crate) fn can_be_challenged(&self) -> bool {
        self.token.is_none() && self.presented().is_none() && self.protocol == Protocol::Http
    }
}

/// How the caller of an owner's call is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// By a token that is signed with the policy key.
    ByToken,
    /// By a session of the page, which has no key and receives none but by `attestationmechanism`.
    #[cfg_attr(not(feature = "server"), allow(dead_code, reason = "only a listener has a page"))]
    BySession,
}

impl Owner {
    /// Whether a caller of this kind has the call at all.
    pub(crate) fn may_call(self, route: &Route) -> bool {
        match self {
            Self::ByToken => true,
            Self::BySession => !matches!(route, Route::Device { .. } | Route::Control(ControlCall::MakePageLink)),
        }
    }
}

/// The enrollment that accepted a device.
pub(crate) struct Admission {
    pub(crate) source: Source,
    pub(crate) shown: Shown,
    /// The challenge that the device has answered, if it has a TPM.
    pub(crate) challenge: Option<Arc<Challenge>>,
}

/// What a device's credential is verified for.
#[derive(Clone, Copy)]
pub(crate) enum Call<'a> {
    #[cfg(feature = "mqtt")]
    Connect,
    Register,
    Poll {
        operation_id: &'a str,
    },
    Lookup,
}

/// Whether an expired credential is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    Checked,
    Ignored,
}

impl Service {
    pub(crate) fn authenticate(&mut self, now: Now, caller: &Caller<'_>, call: Call<'_>) -> Result<Admission, Problem> {
        self.verify_device(now, caller, call).map_err(|reason| {
            self.refusals.note(now, caller.registration_id, reason);
            match caller.presented() {
                Some(_) => Problem::invalid_certificate(reason),
                None => Problem::unauthorized(caller.protocol, reason),
            }
        })
    }

    /// Checks a device's CONNECT over MQTT: a certificate completely, and by default only whether a token is for this
    /// device and has not expired; its signature and the enrollment are checked when it registers, as the service does.
    /// Returns whether the credential was verified, or the CONNACK code of a refusal and its reason.
    #[cfg(feature = "mqtt")]
    pub(crate) fn check_connect(&mut self, now: Now, caller: &Caller<'_>) -> Result<bool, (u8, RefusalReason)> {
        const BAD_CREDENTIALS: u8 = 4;
        const NOT_AUTHORIZED: u8 = 5;
        let complete = match caller.presented() {
            Some(_) => !self.options.certificates_at_register,
            None => self.options.strict_at_connect,
        };
        let refused = if complete {
            self.verify_device(now, caller, Call::Connect).err()
        } else if caller.presented().is_none() {
            self.verify_shape(now, caller).err()
        } else {
            None
        };
        let Some(reason) = refused else { return Ok(complete) };
        self.refusals.note(now, caller.registration_id, reason);
        let no_token = matches!(reason, RefusalReason::NoToken | RefusalReason::Malformed);
        let malformed = no_token && caller.presented().is_none();
        Err((if malformed { BAD_CREDENTIALS } else { NOT_AUTHORIZED }, reason))
    }

    #[cfg(feature = "mqtt")]
    fn verify_shape(&self, now: Now, caller: &Caller<'_>) -> Result<(), RefusalReason> {
        let token = caller.token.ok_or(RefusalReason::NoToken)?;
        let token = Token::parse(token).ok_or(RefusalReason::Malformed)?;
        if !token.is_for_registration(caller.id_scope, caller.registration_id) {
            return Err(RefusalReason::WrongResource);
        }
        match token.expired_for_ms(now, self.options.clock_skew_ms) {
            Some(for_ms) => Err(RefusalReason::Expired { for_ms }),
            None => Ok(()),
        }
    }

    /// Whether an expired credential is refused in this call.
    fn expiry(&self, call: Call<'_>) -> Expiry {
        match call {
            Call::Poll { .. } if !self.options.check_expiry_on_poll => Expiry::Ignored,
            _ => Expiry::Checked,
        }
    }

    fn verify_device(&self, now: Now, caller: &Caller<'_>, call: Call<'_>) -> Result<Admission, RefusalReason> {
        match caller.presented() {
            Some(certificates) => self.verify_certificates(now, caller, certificates, self.expiry(call)),
            None => self.verify_token(now, caller, call),
        }
    }

    fn verify_token(&self, now: Now, caller: &Caller<'_>, call: Call<'_>) -> Result<Admission, RefusalReason> {
        let text = caller.token.ok_or(RefusalReason::NoToken)?;
        let token = Token::parse(text).ok_or(RefusalReason::Malformed)?;
        if !caller.id_scope.eq_ignore_ascii_case(&self.options.id_scope) {
            return Err(RefusalReason::WrongIdScope);
        }
        if !token.is_for_registration(caller.id_scope, caller.registration_id) {
            return Err(RefusalReason::WrongResource);
        }
        if !["", DEVICE_KEY_NAME].contains(&token.key_name()) {
            return Err(RefusalReason::WrongKeyName);
        }
        let individual = self.individuals.get(caller.registration_id);
        let admission = match individual.and_then(|individual| individual.settings.attestation.tpm.as_ref()) {
            Some(tpm) => self.verify_challenge(now, caller, tpm, &token, call)?,
            None => {
                let found = self.find_enrollment(caller.registration_id, &token);
                let source = found.map_err(|reason| self.specific(reason, caller.registration_id, &token))?;
                Admission { source, shown: Shown::SymmetricKey, challenge: None }
            }
        };
        match token.expired_for_ms(now, self.options.clock_skew_ms) {
            Some(for_ms) if self.expiry(call) == Expiry::Checked => Err(RefusalReason::Expired { for_ms }),
            _ => Ok(admission),
        }
    }

    /// An individual enrollment takes precedence over groups, as at the service. Enabled groups are tried before
    /// disabled ones, so that a disabled group does not hide another one with the same key.
    fn find_enrollment(&self, registration_id: &str, token: &Token) -> Result<Source, RefusalReason> {
        if let Some(individual) = self.individuals.get(registration_id) {
            if individual.settings.attestation.x509.is_some() {
                return Err(RefusalReason::OtherAttestation);
            }
            let known = individual.settings.attestation.keys().any(|key| token.signed_by(key));
            return known.then_some(Source::Individual).ok_or(RefusalReason::BadSignature);
        }
        let spellings = self.spellings(registration_id);
        let derives = |group: &&EnrollmentGroup| {
            let keys = group.settings.attestation.keys();
            keys.flat_map(|key| spellings.iter().map(|id| key.derive(id))).any(|key| token.signed_by(&key))
        };
        let (enabled, disabled): (Vec<_>, Vec<_>) = self.groups.iter().partition(|group| group.settings.is_enabled());
        if let Some(group) = enabled.iter().chain(&disabled).copied().find(derives) {
            return Ok(Source::Group(group.enrollment_group_id.clone()));
        }
        let mut group_keys = self.groups.iter().flat_map(|group| group.settings.attestation.keys());
        if group_keys.any(|key| token.signed_by(key)) {
            return Err(RefusalReason::GroupKeyUsed);
        }
        let no_group = self.groups.iter().next().is_none();
        Err(if no_group { RefusalReason::UnknownRegistration } else { RefusalReason::BadSignature })
    }

    /// A signature that no key of the device has made may be that of another device.
    fn specific(&self, reason: RefusalReason, registration_id: &str, token: &Token) -> RefusalReason {
        let is_of_another = |signed_by| matches!(signed_by, SignedBy::OtherDevice { .. });
        match reason {
            RefusalReason::BadSignature if is_of_another(self.signed_by(registration_id, token)) => {
                RefusalReason::OtherDeviceKey
            }
            reason => reason,
        }
    }

    /// The spellings that a key may be derived from: as received, in lower case, and as first registered.
    pub(crate) fn spellings(&self, registration_id: &str) -> Vec<String> {
        if self.options.derive_as_sent {
            return vec![registration_id.to_owned()];
        }
        let folded = FoldedId::new(registration_id);
        let first = self.records.get(&folded).map(|record| record.registration_id.clone());
        let mut spellings = vec![registration_id.to_owned(), folded.as_str().to_owned()];
        spellings.extend(first);
        spellings.dedup();
        spellings
    }

    /// How a device's hub entry authenticates it: by the same certificate, or by two keys.
    pub(crate) fn device_authentication(&self, source: &Source, spelled: &str) -> Option<HubAuthentication> {
        let (attestation, derived_for) = match source {
            Source::Individual => (&self.individuals.get(spelled)?.settings.attestation, None),
            Source::Group(id) => (&self.groups.get(id)?.settings.attestation, Some(spelled)),
        };
        if let Some(x509) = &attestation.x509 {
            return Some(self.hub_authentication(x509));
        }
        let key = |key: &SymmetricKey| derived_for.map_or_else(|| key.clone(), |id| key.derive(id));
        let keys = [key(attestation.primary.as_ref()?), key(attestation.secondary.as_ref()?)];
        Some(HubAuthentication::SymmetricKeys(keys))
    }

    /// Verifies an owner's token: signed with the policy key, for this host or a path below it. A session is verified already.
    pub(crate) fn authorize_owner(
        &mut self,
        now: Now,
        owner: Owner,
        token: Option<&str>,
        path: &str,
    ) -> Result<(), Problem> {
        if owner == Owner::BySession {
            return Ok(());
        }
        self.verify_owner(now, token, path).map_err(|reason| {
            self.refusals.note(now, "", reason);
            Problem::unauthorized(Protocol::Http, reason)
        })
    }

    fn verify_owner(&self, now: Now, token: Option<&str>, path: &str) -> Result<(), RefusalReason> {
        let token = Token::parse(token.ok_or(RefusalReason::NoToken)?).ok_or(RefusalReason::Malformed)?;
        if token.key_name() != POLICY_NAME {
            return Err(RefusalReason::WrongKeyName);
        }
        if !self.is_prefix(token.resource(), path) {
            return Err(RefusalReason::WrongResource);
        }
        if !token.signed_by(&self.policy_key) {
            return Err(RefusalReason::BadSignature);
        }
        match token.expired_for_ms(now, self.options.clock_skew_ms) {
            Some(for_ms) => Err(RefusalReason::Expired { for_ms }),
            None => Ok(()),
        }
    }

    /// Whether the resource is one of the service's hosts, or a path on it that contains `path`, segment by segment.
    fn is_prefix(&self, resource: &str, path: &str) -> bool {
        let (host, below) = resource.split_once('/').unwrap_or((resource, ""));
        let ours =
            self.options.host_names.iter().any(|name| without_port(name).eq_ignore_ascii_case(without_port(host)));
        let mut segments = path.trim_matches('/').split('/');
        ours && below
            .split('/')
            .filter(|part| !part.is_empty())
            .all(|part| segments.next().is_some_and(|segment| segment.eq_ignore_ascii_case(part)))
    }
}

/// The host without its port: tokens may name it either way.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

/// How many calls on one connection may be refused with 4xx before it is closed, if none was accepted.
#[cfg(feature = "mqtt")]
const REFUSED_MAX: u8 = 10;

/// What is known of a connection's client: whether a credential was verified, and how many calls were refused.
#[cfg(feature = "mqtt")]
#[derive(Debug, Default)]
pub(crate) struct ConnectionAuth {
    verified: bool,
    refused: u8,
}

#[cfg(feature = "mqtt")]
impl ConnectionAuth {
    /// Counts a call by the status of its reply, 0 for no reply. 409, 429 and 5xx ask the client to try again; they are
    /// sent after the credential was verified, or by a planned fault.
    pub(crate) fn record_reply(&mut self, status: u16) {
        match status {
            0 => {}
            400..=499 if status != 409 && status != 429 => self.refused = self.refused.saturating_add(1),
            _ => self.verified = true,
        }
    }

    /// Records that the credential was verified.
    pub(crate) fn mark_verified(&mut self) {
        self.verified = true;
    }

    /// Whether a credential was verified.
    pub(crate) fn is_verified(&self) -> bool {
        self.verified
    }

    /// Whether only refused calls arrived, and too many of them.
    pub(crate) fn has_too_many_refusals(&self) -> bool {
        !self.verified && self.refused >= REFUSED_MAX
    }
}
