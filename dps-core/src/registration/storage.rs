//! The caller's memory, cut into what the machine has to remember: operation id, token, and the outcome's texts.
//!
//! Wiped when the machine is dropped; the token as soon as it is of no more use.

use zeroize::Zeroize;

use crate::credentials::Resource;
use crate::ids::Identity;
use crate::text::{ByteStr, TooSmall};

/// Room for an operation id, in bytes. The service's have about 55.
pub const OPERATION_ID_MAX: usize = 128;
/// Room for the outcome's texts that every storage has, in bytes.
const TEXT_LEAST: usize = 256;

/// The least storage, in bytes, for a registration under these names. More lets longer hub names and error messages
/// be kept; 1,024 bytes are plenty.
#[must_use]
pub fn storage_size(identity: &Identity<'_>) -> usize {
    Resource::Registration(*identity).token_max().saturating_add(OPERATION_ID_MAX).saturating_add(TEXT_LEAST)
}

/// The storage, cut into its slots.
pub(super) struct Storage<'m> {
    pub(super) operation: Slot<'m>,
    pub(super) token: Slot<'m>,
    pub(super) texts: Slot<'m>,
}

impl<'m> Storage<'m> {
    pub(super) fn new(memory: &'m mut [u8], identity: &Identity<'_>) -> Result<Self, TooSmall> {
        let needed = storage_size(identity);
        let too_small = TooSmall { needed };
        if memory.len() < needed {
            return Err(too_small);
        }
        memory.zeroize();
        let token_max = Resource::Registration(*identity).token_max();
        let (operation, rest) = memory.split_at_mut_checked(OPERATION_ID_MAX).ok_or(too_small)?;
        let (token, texts) = rest.split_at_mut_checked(token_max).ok_or(too_small)?;
        Ok(Self { operation: Slot::new(operation), token: Slot::new(token), texts: Slot::new(texts) })
    }
}

/// A bounded place for text.
pub(super) struct Slot<'m> {
    bytes: &'m mut [u8],
    len: usize,
}

/// Where a text stands in its slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    start: u16,
    end: u16,
}

impl<'m> Slot<'m> {
    fn new(bytes: &'m mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The whole slot, to write into; [`Slot::set_len`] says afterwards how much of it counts.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.len = len;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All that was written.
    pub(super) fn text(&self) -> ByteStr<'_> {
        self.slice(0, self.len)
    }

    /// The text at a place that [`Slot::push`] gave.
    pub(super) fn at(&self, place: Place) -> ByteStr<'_> {
        self.slice(usize::from(place.start), usize::from(place.end))
    }

    fn slice(&self, start: usize, end: usize) -> ByteStr<'_> {
        ByteStr::new(self.bytes.get(start..end).unwrap_or_default())
    }

    /// Replaces what was written by `text`; `false`, and nothing changed, when it does not fit.
    pub(super) fn replace(&mut self, text: ByteStr<'_>) -> bool {
        if text.len() > self.size() {
            return false;
        }
        self.wipe();
        self.push(text).is_some()
    }

    /// Adds a text; `None` when it does not fit.
    pub(super) fn push(&mut self, text: ByteStr<'_>) -> Option<Place> {
        let end = self.len.checked_add(text.len())?;
        let place = Place { start: u16::try_from(self.len).ok()?, end: u16::try_from(end).ok()? };
        let room = self.bytes.get_mut(self.len..end)?;
        for (to, from) in room.iter_mut().zip(text.as_bytes()) {
            *to = *from;
        }
        self.len = end;
        Some(place)
    }

    /// Adds as much of a text as fits, cut between characters; `None` when nothing does.
    pub(super) fn push_cut(&mut self, text: ByteStr<'_>) -> Option<Place> {
        let mut end = text.len().min(self.size().saturating_sub(self.len));
        let bytes = text.as_bytes();
        // Not before a continuation byte of UTF-8.
        while bytes.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
            end = end.saturating_sub(1);
        }
        self.push(ByteStr::new(bytes.get(..end)?)).filter(|_| end > 0)
    }

    /// Forgets what was written and wipes it.
    pub(super) fn wipe(&mut self) {
        self.bytes.zeroize();
        self.len = 0;
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.wipe();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_to_the_room_that_is_left_and_told_when_nothing_is() {
        let mut bytes = [0; 4];
        let mut slot = Slot::new(&mut bytes);
        let kept = slot.push_cut("aéé".into()).map(|place| slot.at(place) == "aé");
        assert_eq!(kept, Some(true));
        assert!(slot.push_cut("é".into()).is_none(), "half of it would fit");
        assert!(slot.push_cut("".into()).is_none());
        assert_eq!(slot.text(), "aé");
    }
}
