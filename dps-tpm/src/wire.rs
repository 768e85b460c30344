//! Reading and writing the structures of a TPM: big-endian numbers, and byte strings with their size (TPM 2.0 Library,
//! Part 2, 4.2 and 10.4).

use zeroize::Zeroizing;

/// No command or response is longer, in bytes.
pub(crate) const MESSAGE_MAX: usize = 4096;

/// What was read ends too early, or does not end where it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Bytes that may contain a password or a key. They are wiped, and never move: what is written past the size of a message is
/// dropped, and noticed when the message is sent.
pub(crate) struct Writer {
    bytes: Zeroizing<Vec<u8>>,
    overflow: bool,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { bytes: Zeroizing::new(Vec::with_capacity(MESSAGE_MAX)), overflow: false }
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        if bytes.len() <= MESSAGE_MAX - self.bytes.len() {
            self.bytes.extend_from_slice(bytes);
        } else {
            self.overflow = true;
        }
        self
    }

    pub(crate) fn u8(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Bytes after their size (`TPM2B`).
    pub(crate) fn sized(mut self, bytes: &[u8]) -> Self {
        match u16::try_from(bytes.len()) {
            Ok(size) => self.u16(size).bytes(bytes),
            Err(_) => {
                self.overflow = true;
                self
            }
        }
    }

    /// What was written, unless it was too much.
    pub(crate) fn finish(self) -> Result<Zeroizing<Vec<u8>>, Malformed> {
        if self.overflow { Err(Malformed) } else { Ok(self.bytes) }
    }
}

/// Reads what a TPM or a service sent. Each read checks that the bytes are there.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.bytes(N)?.try_into().map_err(|_| Malformed)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Bytes after their size (`TPM2B`), without it.
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], Malformed> {
        let size = self.u16()?;
        self.bytes(size.into())
    }

    /// Bytes after their size (`TPM2B`), with it.
    pub(crate) fn with_size(&mut self) -> Result<&'a [u8], Malformed> {
        let mut ahead = *self;
        let size = ahead.u16()?;
        self.bytes(usize::from(size) + 2)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// What was not read yet.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Everything was read.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        let mut reader = Reader::new(&[0, 2, 7, 8, 0, 3, 1]);
        assert_eq!(reader.with_size(), Ok([0, 2, 7, 8].as_slice()));
        assert_eq!(reader.sized(), Err(Malformed));
        assert_eq!(Reader::new(&[0, 0]).sized(), Ok([].as_slice()));
        assert_eq!(Reader::new(&[0]).u16(), Err(Malformed));
        assert_eq!(Reader::new(&[0]).end(), Err(Malformed));
    }

    #[test]
    fn message_that_is_too_long_is_not_sent() {
        let written = || Writer::new().bytes(&[1; MESSAGE_MAX]);
        assert_eq!(written().finish().unwrap().len(), MESSAGE_MAX);
        assert!(written().u8(1).finish().is_err());
        assert!(Writer::new().sized(&[0; 70_000]).finish().is_err());
        assert_eq!(
            Writer::new().u8(1).u16(2).u32(3).sized(b"x").finish().unwrap().as_slice(),
            [1, 0, 2, 0, 0, 0, 3, 0, 1, b'x']
        );
    }
}
