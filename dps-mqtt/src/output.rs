//! The bytes that wait to be sent. They may contain a token, so they are wiped wherever they were stored.

use bytes::{Buf, Bytes, BytesMut};
use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v4::Packet;
use zeroize::{Zeroize as _, Zeroizing};

/// Packets that wait to be sent, in the order in which they were put. Bytes are wiped when they are removed, moved to a
/// larger buffer, or dropped.
#[derive(Default)]
pub(crate) struct Output(BytesMut);

impl Output {
    /// Adds a packet.
    ///
    /// # Errors
    /// When it has more than `cap` bytes.
    pub(crate) fn put(&mut self, packet: &Packet, cap: usize) -> Result<(), Error> {
        self.reserve(packet.size());
        packet.write(&mut self.0, cap).map(drop)
    }

    /// The bytes that wait.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Removes the first `count` bytes.
    pub(crate) fn remove(&mut self, count: usize) {
        if let Some(sent) = self.0.get_mut(..count) {
            sent.zeroize();
            self.0.advance(count);
        }
    }

    /// Removes everything. What is returned is wiped with the last reference to it.
    pub(crate) fn take(&mut self) -> Bytes {
        let taken = Zeroizing::new(self.0.to_vec());
        self.remove(taken.len());
        Bytes::from_owner(taken)
    }

    /// Enlarges the buffer where that is needed, and wipes the old one: `BytesMut` would leave it as it was.
    fn reserve(&mut self, more: usize) {
        let needed = self.0.len() + more;
        if self.0.capacity() < needed {
            let mut larger = BytesMut::with_capacity(needed);
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = larger;
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
