//! The challenges that devices with a TPM were given, and what the devices prove by them.
//!
//! A device shows the keys of its TPM and is given an HMAC key that only this TPM can import. What that key has signed
//! proves that the device has the TPM.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::attestation::{TpmAttestation, read_device_keys};
use super::key_blob::KeyBlob;
use super::public_key::{TpmKeyError, TpmPublicKey};
use crate::auth::{Admission, Call, Caller};
use crate::credentials::{SymmetricKey, Token};
use crate::events::RefusalReason;
use crate::ids::FoldedId;
use crate::registrations::{Shown, Source};
use crate::service::Service;
use crate::time::Now;
use crate::wire::{NOT_FOUND, Problem, Protocol};

/// More devices than can register within the life of a challenge; beyond it the oldest are forgotten.
const CHALLENGES_MAX: usize = 10_000;

/// The two keys of a device's TPM.
#[derive(Debug, Clone)]
pub(crate) struct TpmKeys {
    pub(crate) endorsement_key: TpmPublicKey,
    pub(crate) storage_root_key: TpmPublicKey,
}

/// A challenge that a device was given.
#[derive(Debug)]
pub(crate) struct Challenge {
    pub(crate) keys: TpmKeys,
    key: SymmetricKey,
    /// What the device was sent.
    text: String,
    expires_ms: u64,
}

/// The latest challenge of each device.
#[derive(Default)]
pub(crate) struct Challenges(BTreeMap<FoldedId, Arc<Challenge>>);

impl Challenges {
    /// The challenge that a device can answer: its latest, unless that has expired.
    fn valid(&self, now: Now, id: &FoldedId) -> Option<&Arc<Challenge>> {
        self.0.get(id).filter(|challenge| now.monotonic_ms < challenge.expires_ms)
    }

    /// What a device was sent last, even if it has expired.
    pub(crate) fn latest(&self, id: &FoldedId) -> Option<&str> {
        self.0.get(id).map(|challenge| challenge.text.as_str())
    }

    fn put(&mut self, now: Now, id: FoldedId, challenge: Challenge) {
        if self.0.len() >= CHALLENGES_MAX && !self.0.contains_key(&id) {
            self.0.retain(|_, known| now.monotonic_ms < known.expires_ms);
            if self.0.len() >= CHALLENGES_MAX {
                let oldest = self.0.iter().min_by_key(|(_, known)| known.expires_ms).map(|(id, _)| id.clone());
                oldest.and_then(|oldest| self.0.remove(&oldest));
            }
        }
        self.0.insert(id, Arc::new(challenge));
    }
}

/// The member `tpm` of a registration's state: the key for the hub, which only the device's TPM can import.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TpmState {
    pub(crate) authentication_key: String,
}

impl Service {
    /// Makes a challenge for a device that has sent the keys of its TPM, and returns it.
    pub(crate) fn challenge(&mut self, now: Now, caller: &Caller<'_>, tpm: &Value) -> Result<String, Problem> {
        let keys = self.enrolled_keys(now, caller, tpm)?;
        let blob = self
            .key_blob(&keys, caller.registration_id)
            .map_err(|error| Problem::bad_request(format!("The keys of the TPM cannot be used: {error}.")))?;
        let expires_ms = now.monotonic_ms.saturating_add(self.options.challenge_life_ms);
        let challenge = Challenge { keys, key: blob.key, text: blob.text.clone(), expires_ms };
        self.challenges.put(now, FoldedId::new(caller.registration_id), challenge);
        Ok(blob.text)
    }

    /// Makes a key that only the TPM with these keys can import.
    pub(crate) fn key_blob(&mut self, keys: &TpmKeys, registration_id: &str) -> Result<KeyBlob, TpmKeyError> {
        let user_data = format!("{}/registrations/{registration_id}", self.options.id_scope);
        KeyBlob::generate(keys, &user_data, &mut self.random)
    }

    /// The keys that the device has sent, if its enrollment has this endorsement key.
    fn enrolled_keys(&mut self, now: Now, caller: &Caller<'_>, tpm: &Value) -> Result<TpmKeys, Problem> {
        let (endorsement_key, storage_root_key) = read_member(tpm)?;
        let enrolled = self.known_tpm(now, caller, &endorsement_key)?;
        let storage_root_key = storage_root_key.or(enrolled.storage_root_key).ok_or_else(|| {
            Problem::bad_request("'tpm.storageRootKey' is missing, and the enrollment has no such key either.")
        })?;
        Ok(TpmKeys { endorsement_key, storage_root_key })
    }

    /// The TPM of the enrollment, if it has this endorsement key.
    fn known_tpm(&mut self, now: Now, caller: &Caller<'_>, key: &TpmPublicKey) -> Result<TpmAttestation, Problem> {
        let found = self.find_tpm(caller, key).cloned();
        found.map_err(|reason| {
            self.refusals.note(now, caller.registration_id, reason);
            // The same for every reason, as the service answers it.
            Problem::new(NOT_FOUND, "No enrollment has this registration id and endorsement key.").because(reason)
        })
    }

    fn find_tpm(&self, caller: &Caller<'_>, key: &TpmPublicKey) -> Result<&TpmAttestation, RefusalReason> {
        if !caller.id_scope.eq_ignore_ascii_case(&self.options.id_scope) {
            return Err(RefusalReason::WrongIdScope);
        }
        let individual = self.individuals.get(caller.registration_id);
        let enrolled = individual.and_then(|individual| individual.settings.attestation.tpm.as_ref());
        let enrolled = enrolled.ok_or(RefusalReason::NoTpmEnrollment)?;
        if enrolled.endorsement_key == *key { Ok(enrolled) } else { Err(RefusalReason::WrongEndorsementKey) }
    }

    /// Verifies a token of a device whose enrollment has this TPM: with the key of the challenge that the device was given
    /// last, or of the one by which the operation began that it polls.
    pub(crate) fn verify_challenge(
        &self,
        now: Now,
        caller: &Caller<'_>,
        enrolled: &TpmAttestation,
        token: &Token,
        call: Call<'_>,
    ) -> Result<Admission, RefusalReason> {
        if caller.protocol == Protocol::Mqtt {
            return Err(RefusalReason::TpmOverMqtt);
        }
        let id = FoldedId::new(caller.registration_id);
        let of_operation = match call {
            Call::Poll { operation_id } => self.operations.challenge(operation_id, &id),
            _ => None,
        };
        let mut known = self.challenges.valid(now, &id).into_iter().chain(of_operation).peekable();
        known.peek().ok_or(RefusalReason::NoChallenge)?;
        let challenge = known
            .filter(|challenge| challenge.keys.endorsement_key == enrolled.endorsement_key)
            .find(|challenge| token.signed_by(&challenge.key))
            .ok_or(RefusalReason::ChallengeSignature)?;
        let challenge = Some(Arc::clone(challenge));
        Ok(Admission { source: Source::Individual, shown: Shown::Tpm(None), challenge })
    }

    /// Checks the keys in the body of an accepted call, which may be left out there.
    pub(crate) fn check_keys(&mut self, now: Now, caller: &Caller<'_>, tpm: &Value) -> Result<(), Problem> {
        let (endorsement_key, _) = read_member(tpm)?;
        self.known_tpm(now, caller, &endorsement_key).map(drop)
    }

    /// A key that the service does not accept, for the TPM of the device or for another one; `None` if the device was
    /// never given a challenge.
    pub(crate) fn unaccepted_key(&mut self, id: &FoldedId, for_another: bool) -> Option<String> {
        let mut keys = self.challenges.0.get(id)?.keys.clone();
        if for_another {
            keys = TpmKeys {
                endorsement_key: keys.endorsement_key.altered(),
                storage_root_key: keys.storage_root_key.altered(),
            };
        }
        self.key_blob(&keys, id.as_str()).ok().map(|blob| blob.text)
    }
}

fn read_member(tpm: &Value) -> Result<(TpmPublicKey, Option<TpmPublicKey>), Problem> {
    let members = tpm.as_object().ok_or_else(|| Problem::bad_request("'tpm' must be an object."))?;
    read_device_keys(members).map_err(|error| Problem::bad_request(format!("{error}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(expires_ms: u64) -> Challenge {
        let key = TpmPublicKey { bytes: Vec::new() };
        Challenge {
            keys: TpmKeys { endorsement_key: key.clone(), storage_root_key: key },
            key: SymmetricKey::from_bytes(&[0; 32]),
            text: String::new(),
            expires_ms,
        }
    }

    fn at(monotonic_ms: u64) -> Now {
        Now { monotonic_ms, unix_ms: 0 }
    }

    #[test]
    fn number_of_challenges_is_bounded_and_the_oldest_are_forgotten() {
        let id = |number: u64| FoldedId::new(&format!("dev-{number}"));
        let (mut challenges, most) = (Challenges::default(), CHALLENGES_MAX as u64);
        for number in 0..most + 2 {
            challenges.put(at(0), id(number), challenge(1000 + number));
        }
        assert_eq!(challenges.0.len(), CHALLENGES_MAX);
        assert!(challenges.valid(at(0), &id(1)).is_none());
        assert!(challenges.valid(at(0), &id(2)).is_some());
        // A device that asks again takes no other device's place.
        challenges.put(at(0), id(2), challenge(5000));
        assert!(challenges.valid(at(0), &id(3)).is_some());
        // Those that have expired are forgotten first.
        challenges.put(at(1000 + most), id(most + 2), challenge(50_000));
        assert_eq!(challenges.0.len(), 2);
    }
}
