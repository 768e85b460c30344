//! The credentials of a client: their order, and the one that the service accepted last.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dps_core::{ErrorCode, Hint, KeyEvidence};

use crate::carrier::Carrier;
use crate::clock::Clock;
use crate::error::DpsError;
use crate::names::RegistrationId;
use crate::signer::Credential;

/// What kind of credential a device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialKind {
    /// A symmetric key in memory: the device's own, or derived from the group's.
    SymmetricKey,
    /// A custom signer.
    Signer,
    /// A symmetric key in a PKCS#11 token.
    Pkcs11Key,
    /// A TPM.
    Tpm,
    /// A certificate, wherever its key is.
    X509,
    /// The certificate that the service has issued.
    Issued,
}

impl CredentialKind {
    /// Returns the word for it in JSON: `symmetricKey`, `signer`, `pkcs11Key`, `tpm`, `x509` or `issued`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SymmetricKey => "symmetricKey",
            Self::Signer => "signer",
            Self::Pkcs11Key => "pkcs11Key",
            Self::Tpm => "tpm",
            Self::X509 => "x509",
            Self::Issued => "issued",
        }
    }

    /// Whether it is presented in TLS.
    pub(crate) const fn is_certificate(self) -> bool {
        matches!(self, Self::X509 | Self::Issued)
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SymmetricKey => "symmetric key",
            Self::Signer => "signer",
            Self::Pkcs11Key => "PKCS#11 key",
            Self::Tpm => "TPM",
            Self::X509 => "certificate",
            Self::Issued => "issued certificate",
        })
    }
}

/// Which of a client's credentials it is. Shown as `credential 2 (symmetric key)`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CredentialPlace {
    index: usize,
    kind: CredentialKind,
}

impl CredentialPlace {
    pub(crate) fn new(index: usize, kind: CredentialKind) -> Self {
        Self { index, kind }
    }

    /// Returns its index in the order in which the builder of the client was called, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        self.index
    }

    /// Returns what kind of credential it is.
    #[must_use]
    pub fn kind(self) -> CredentialKind {
        self.kind
    }
}

impl fmt::Display for CredentialPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "credential {} ({})", self.index + 1, self.kind)
    }
}

/// One credential, and how requests reach the service with it.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) place: CredentialPlace,
    pub(crate) credential: Credential,
    pub(crate) carrier: Carrier,
    /// What is known of its key without being secret.
    pub(crate) evidence: KeyEvidence,
    /// What a check of the certificate found that may be a cause of its refusal.
    pub(crate) doubts: Vec<Hint>,
}

impl Entry {
    /// `carrier` is the client's, without a certificate.
    pub(crate) fn new(
        place: CredentialPlace,
        credential: Credential,
        evidence: KeyEvidence,
        carrier: &Carrier,
    ) -> Self {
        let carrier = carrier.clone().with_credential(&credential);
        Self { place, credential, carrier, evidence, doubts: Vec::new() }
    }

    /// The same once what can be known on the device was checked. `clock` is not known where the validity of a certificate does not
    /// matter yet, since a client works without it.
    ///
    /// # Errors
    /// What cannot work.
    pub(crate) fn judged(mut self, id: &RegistrationId, clock: &Clock) -> Result<Self, DpsError> {
        self.doubts = self.credential.judge(id, clock)?;
        Ok(self)
    }

    /// Whether it can be tried now, which only a certificate cannot be.
    fn is_usable(&self, id: &RegistrationId, clock: &Clock) -> bool {
        !self.place.kind.is_certificate() || self.credential.judge_again(id, clock).is_ok()
    }
}

/// The credentials of a client, at least one. An issued certificate may be replaced while calls are going on.
pub(crate) struct Credentials(Mutex<List>);

struct List {
    slots: Vec<Slot>,
    /// The index of the one that the service accepted last.
    accepted: Option<usize>,
    /// Counts the certificates that were issued.
    generation: u32,
}

/// A place, which an issued certificate may have left empty.
struct Slot {
    place: CredentialPlace,
    entry: Option<Arc<Entry>>,
}

/// The credentials of one call, in the order in which they are tried.
pub(crate) struct Order {
    pub(crate) entries: Vec<Arc<Entry>>,
    generation: u32,
}

impl Credentials {
    pub(crate) fn new(entries: Vec<(CredentialPlace, Option<Entry>)>) -> Self {
        let slots = entries.into_iter().map(|(place, entry)| Slot { place, entry: entry.map(Arc::new) }).collect();
        Self(Mutex::new(List { slots, accepted: None, generation: 0 }))
    }

    /// Begins with the one that has this index, as if the service had accepted it.
    pub(crate) fn first(self, index: Option<usize>) -> Result<Self, DpsError> {
        let mut list = self.list();
        if let Some(index) = index.filter(|index| *index >= list.slots.len()) {
            let message =
                format!("the first credential has the index {index}, but the client has {}", list.slots.len());
            return Err(DpsError::config(ErrorCode::InvalidOption, message));
        }
        list.accepted = index;
        drop(list);
        Ok(self)
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns those that can be tried now: first the one that was accepted last, then the others as they were set. A certificate
    /// that is not valid is left out, unless there is nothing else.
    pub(crate) fn in_order(&self, id: &RegistrationId, clock: &Clock) -> Order {
        let (mut entries, generation) = {
            let list = self.list();
            let mut slots: Vec<&Slot> = list.slots.iter().collect();
            slots.sort_by_key(|slot| list.accepted != Some(slot.place.index));
            let entries: Vec<_> = slots.into_iter().filter_map(|slot| slot.entry.clone()).collect();
            (entries, list.generation)
        };
        // The clock is the application's: it is not read while the list is locked.
        let usable: Vec<_> = entries.iter().filter(|entry| entry.is_usable(id, clock)).cloned().collect();
        if !usable.is_empty() {
            entries = usable;
        }
        Order { entries, generation }
    }

    /// Remembers that the service accepted one, unless a certificate was issued since the call began.
    pub(crate) fn accept(&self, order: &Order, place: CredentialPlace) {
        let mut list = self.list();
        if list.generation == order.generation {
            list.accepted = Some(place.index);
        }
    }

    /// Remembers that the service refused one.
    pub(crate) fn refuse(&self, place: CredentialPlace) {
        let mut list = self.list();
        list.accepted = list.accepted.filter(|index| *index != place.index);
    }

    /// Returns the credential with this index in the order in which they were set.
    fn at(&self, index: usize) -> Option<Arc<Entry>> {
        self.list().slots.get(index)?.entry.clone()
    }

    /// Returns what the device signs in to its hub with: the issued certificate while it is valid, otherwise the credential with this
    /// index.
    pub(crate) fn for_hub(&self, index: usize, id: &RegistrationId, clock: &Clock) -> Option<Arc<Entry>> {
        let issued = {
            let list = self.list();
            let slot = list.slots.iter().find(|slot| slot.place.kind == CredentialKind::Issued);
            slot.and_then(|slot| slot.entry.clone())
        };
        issued.filter(|issued| issued.is_usable(id, clock)).or_else(|| self.at(index))
    }

    /// Returns the place for an issued certificate.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    pub(crate) fn place_of_issued(&self) -> Option<CredentialPlace> {
        self.list().slots.iter().map(|slot| slot.place).find(|place| place.kind == CredentialKind::Issued)
    }

    /// Replaces the issued certificate. The order is that in which the credentials were set again.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    pub(crate) fn replace(&self, entry: Entry) {
        let mut list = self.list();
        if let Some(slot) = list.slots.get_mut(entry.place.index) {
            slot.entry = Some(Arc::new(entry));
        }
        list.accepted = None;
        list.generation = list.generation.wrapping_add(1);
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.list();
        f.debug_list().entries(list.slots.iter().map(|slot| slot.place.kind)).finish()
    }
}
