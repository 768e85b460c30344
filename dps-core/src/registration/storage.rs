//! The caller's memory: operation id, token, and the texts of the outcome, one after the other.
//!
//! Wiped when the registration is dropped; the token as soon as it is of no more use.

use zeroize::Zeroize;

use crate::credentials::Resource;
use crate::ids::Identity;
use crate::text::ByteStr;

/// The longest operation id that is kept, in bytes. The service's have about 55.
pub const OPERATION_ID_MAX: usize = 128;
/// The part of every storage that is for the texts of the outcome, in bytes.
const TEXT_LEAST: usize = 256;

/// The least storage, in bytes, for a registration under these names. More lets longer hub names and error messages
/// be kept; 1,024 bytes are plenty.
#[must_use]
pub fn storage_size(identity: &Identity<'_>) -> usize {
    token_max(identity).saturating_add(OPERATION_ID_MAX).saturating_add(TEXT_LEAST)
}

fn token_max(identity: &Identity<'_>) -> usize {
    Resource::registration(identity.id_scope, identity.registration_id).token_max()
}

/// The storage: the operation id, from [`OPERATION_ID_MAX`] on the token, then texts.
pub(super) struct Storage<'m> {
    operation_len: u8,
    token_len: u16,
    texts_start: u16,
    texts_end: u16,
    bytes: &'m mut [u8],
}

/// The place of a string in the storage; empty where it is missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    start: u16,
    end: u16,
}

impl Place {
    pub(super) const NONE: Self = Self { start: 0, end: 0 };
}

impl<'m> Storage<'m> {
    /// Wipes the storage, which must have [`storage_size`] bytes; more than 65,535 are not used.
    pub(super) fn new(bytes: &'m mut [u8], identity: &Identity<'_>) -> Self {
        bytes.zeroize();
        let used = bytes.len().min(usize::from(u16::MAX));
        let bytes = bytes.get_mut(..used).unwrap_or_default();
        let texts_start = OPERATION_ID_MAX.saturating_add(token_max(identity)) as u16;
        Self { operation_len: 0, token_len: 0, texts_start, texts_end: texts_start, bytes }
    }

    fn slice(&self, start: usize, len: usize) -> ByteStr<'_> {
        ByteStr::new(self.bytes.get(start..start.saturating_add(len)).unwrap_or_default())
    }

    /// The operation id; empty where there is no operation.
    pub(super) fn operation(&self) -> ByteStr<'_> {
        self.slice(0, usize::from(self.operation_len))
    }

    /// Keeps another operation id; `false`, and nothing changed, when it does not fit.
    pub(super) fn set_operation(&mut self, id: ByteStr<'_>) -> bool {
        let fits = id.len() <= OPERATION_ID_MAX;
        if fits {
            self.operation_len = copy(self.bytes, id.as_bytes()) as u8;
        }
        fits
    }

    pub(super) fn forget_operation(&mut self) {
        self.operation_len = 0;
    }

    /// The token, or what is to be signed for it.
    pub(super) fn token(&self) -> ByteStr<'_> {
        self.slice(OPERATION_ID_MAX, usize::from(self.token_len))
    }

    /// Where a token is made; [`Storage::set_token_len`] says afterwards how much of it counts.
    pub(super) fn token_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(OPERATION_ID_MAX..usize::from(self.texts_start)).unwrap_or_default()
    }

    pub(super) fn set_token_len(&mut self, len: usize) {
        self.token_len = len as u16;
    }

    pub(super) fn wipe_token(&mut self) {
        self.token_mut().zeroize();
        self.token_len = 0;
    }

    pub(super) fn text(&self, place: Place) -> ByteStr<'_> {
        self.slice(usize::from(place.start), usize::from(place.end.saturating_sub(place.start)))
    }

    /// Adds as much of a text as fits, cut between characters.
    pub(super) fn push_text(&mut self, text: ByteStr<'_>) -> Place {
        let start = self.texts_end;
        let free = self.bytes.get_mut(usize::from(start)..).unwrap_or_default();
        self.texts_end = start.saturating_add(copy(free, text.as_bytes()) as u16);
        Place { start, end: self.texts_end }
    }

    /// How many bytes of text can be kept.
    pub(super) fn text_max(&self) -> usize {
        self.bytes.len().saturating_sub(usize::from(self.texts_start))
    }

    pub(super) fn wipe_texts(&mut self) {
        self.bytes.get_mut(usize::from(self.texts_start)..).unwrap_or_default().zeroize();
        self.texts_end = self.texts_start;
    }
}

/// Copies what fits, cut between characters, and returns its length.
fn copy(to: &mut [u8], from: &[u8]) -> usize {
    let mut len = from.len().min(to.len());
    // Not before a continuation byte of UTF-8.
    while from.get(len).is_some_and(|byte| byte & 0xC0 == 0x80) {
        len = len.saturating_sub(1);
    }
    for (to, from) in to.iter_mut().zip(from).take(len) {
        *to = *from;
    }
    len
}

impl Drop for Storage<'_> {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Action, Config, Endpoint, IdScope, Instant, Registration, RegistrationId, Signature, UnixSeconds, WallAnchor,
    };

    #[test]
    fn token_is_wiped_when_registration_ends() {
        let identity = Identity {
            endpoint: Endpoint::GLOBAL,
            id_scope: IdScope::new("0ne00A1B2C3").unwrap(),
            registration_id: RegistrationId::new("dev-01").unwrap(),
        };
        let now = Instant::from_millis(0);
        let config = Config::new().wall_anchor(WallAnchor { at: now, unix: UnixSeconds::new(1_767_225_600) });
        let mut memory = [0; 1024];
        let mut machine = Registration::new(identity, config, &mut memory).unwrap();
        let Action::Sign { id, .. } = machine.poll(now) else { panic!() };
        machine.handle_signature(now, id, &Signature::new([7; 32])).unwrap();
        assert!(machine.storage.token_mut().starts_with(b"SharedAccessSignature sr="));
        machine.cancel();
        assert!(machine.storage.token().is_empty() && machine.storage.token_mut().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn text_is_cut_at_a_character_boundary() {
        let mut bytes = [0; 4];
        assert_eq!(copy(&mut bytes, "aéé".as_bytes()), 3);
        assert_eq!(copy(&mut bytes[..1], "é".as_bytes()), 0, "half of it would fit");
        assert_eq!(copy(&mut bytes, "".as_bytes()), 0);
        assert_eq!(bytes[..3], *"aé".as_bytes());
    }
}
