//! Commands and responses (TPM 2.0 Library, Part 1, 18, and Part 3, 5): the header, the handles, the authorizations and the
//! parameters.

use zeroize::Zeroizing;

use crate::code::{Code, Rc, alg, handle};
use crate::error::{Error, ErrorKind};
use crate::wire::{Malformed, Reader, Writer};

/// The tags of messages without and with authorizations.
const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
/// The session is kept, so that it is always flushed in one way.
const CONTINUE_SESSION: u8 = 1;

/// By what the use of a handle is authorized.
#[derive(Clone, Copy)]
pub(crate) enum Auth<'a> {
    Password(&'a [u8]),
    /// A policy session without an HMAC.
    Policy(u32),
}

impl Auth<'_> {
    /// Of keys that have no password.
    pub(crate) const EMPTY: Self = Self::Password(&[]);

    fn write(self, writer: Writer) -> Writer {
        let (session, password): (u32, &[u8]) = match self {
            Self::Password(password) => (handle::PASSWORD, password),
            Self::Policy(session) => (session, &[]),
        };
        // In between is the nonce, which is for HMACs.
        writer.u32(session).sized(&[]).u8(CONTINUE_SESSION).sized(password)
    }
}

/// A command, put together.
pub(crate) struct Command {
    pub(crate) code: Code,
    bytes: Result<Zeroizing<Vec<u8>>, Malformed>,
}

impl Command {
    pub(crate) fn new(code: Code, handles: &[u32], auths: &[Auth<'_>], parameters: Writer) -> Self {
        Self { code, bytes: Self::message(code, handles, auths, parameters) }
    }

    fn message(
        code: Code,
        handles: &[u32],
        auths: &[Auth<'_>],
        parameters: Writer,
    ) -> Result<Zeroizing<Vec<u8>>, Malformed> {
        let mut body = Writer::new();
        for handle in handles {
            body = body.u32(*handle);
        }
        if !auths.is_empty() {
            let area = auths.iter().fold(Writer::new(), |writer, auth| auth.write(writer)).finish()?;
            body = body.u32(u32::try_from(area.len()).map_err(|_| Malformed)?).bytes(&area);
        }
        let body = body.bytes(&parameters.finish()?).finish()?;
        let size = u32::try_from(crate::connection::HEADER + body.len()).map_err(|_| Malformed)?;
        let tag = if auths.is_empty() { NO_SESSIONS } else { SESSIONS };
        Writer::new().u16(tag).u32(size).u32(code as u32).bytes(&body).finish()
    }

    pub(crate) fn bytes(&self) -> Result<&[u8], Error> {
        let too_long = |_: &Malformed| Error::new(ErrorKind::Failed, format!("{} would be too long", self.code));
        self.bytes.as_ref().map(|bytes| bytes.as_slice()).map_err(too_long)
    }
}

/// The handle and the parameters of a response without an error.
pub(crate) struct Response {
    pub(crate) handle: u32,
    parameters: Zeroizing<Vec<u8>>,
}

impl Response {
    /// Reads a response to a command whose response has a handle or not. The outer error is a response that is not one, the
    /// inner one a response code.
    pub(crate) fn read(bytes: &[u8], has_handle: bool) -> Result<Result<Self, Rc>, Malformed> {
        let mut reader = Reader::new(bytes);
        let tag = reader.u16()?;
        reader.u32()?;
        let rc = reader.u32()?;
        if rc != 0 {
            return Ok(Err(Rc(rc)));
        }
        let handle = if has_handle { reader.u32()? } else { 0 };
        let parameters = match tag {
            SESSIONS => {
                let size = reader.u32()?;
                let parameters = reader.bytes(usize::try_from(size).map_err(|_| Malformed)?)?;
                while !reader.is_empty() {
                    reader.sized()?;
                    reader.u8()?;
                    reader.sized()?;
                }
                parameters
            }
            NO_SESSIONS => reader.rest(),
            _ => return Err(Malformed),
        };
        Ok(Ok(Self { handle, parameters: Zeroizing::new(parameters.to_vec()) }))
    }

    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader::new(&self.parameters)
    }
}

/// The parameters of commands that have some.
pub(crate) mod parameters {
    use super::{Writer, alg};

    /// A policy session. No HMAC is computed, so that its nonce, of the least size, protects nothing.
    pub(crate) fn policy_session() -> Writer {
        const POLICY: u8 = 1;
        Writer::new().sized(&[0; 16]).sized(&[]).u8(POLICY).u16(alg::NULL).u16(alg::SHA256)
    }

    /// `TPM2_PolicySecret` without a nonce, a command, a policy reference and an end.
    pub(crate) fn policy_secret() -> Writer {
        Writer::new().sized(&[]).sized(&[]).sized(&[]).u32(0)
    }

    /// A primary key without a password, by its template.
    pub(crate) fn create_primary(template: &[u8]) -> Writer {
        let no_secret = [0; 4];
        Writer::new().sized(&no_secret).sized(template).sized(&[]).u32(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_has_its_parts_in_order() {
        let command = Command::new(Code::EvictControl, &[1, 2], &[Auth::Password(b"pw")], Writer::new().u32(3));
        let expected = [
            &[0x80, 0x02, 0, 0, 0, 0x25, 0, 0, 0x01, 0x20][..],
            &[0, 0, 0, 1, 0, 0, 0, 2],
            &[0, 0, 0, 11, 0x40, 0, 0, 9, 0, 0, 1, 0, 2, b'p', b'w'],
            &[0, 0, 0, 3],
        ];
        assert_eq!(command.bytes().unwrap(), expected.concat());
        let long = Command::new(Code::Hmac, &[1], &[], Writer::new().sized(&[0; 4096]));
        assert!(long.bytes().unwrap_err().to_string().contains("TPM2_HMAC would be too long"));
    }

    #[test]
    fn response_is_read_to_its_end() {
        let plain = [0x80, 0x01, 0, 0, 0, 14, 0, 0, 0, 0, 1, 2, 3, 4];
        let response = Response::read(&plain, false).unwrap().ok().unwrap();
        assert_eq!(response.reader().u32(), Ok(0x0102_0304));
        assert_eq!(Response::read(&plain, true).unwrap().ok().unwrap().handle, 0x0102_0304);

        let with_session = [0x80, 0x02, 0, 0, 0, 21, 0, 0, 0, 0, 0, 0, 0, 2, 7, 8, 0, 0, 1, 0, 0];
        let response = Response::read(&with_session, false).unwrap().ok().unwrap();
        assert_eq!(response.reader().u16(), Ok(0x0708));
        for end in 0..with_session.len() {
            // Ends before the session, as a response without one may.
            assert_eq!(Response::read(&with_session[..end], false).is_err(), end != 16, "{end}");
        }
        assert!(Response::read(&[&with_session[..], &[0]].concat(), false).is_err(), "trailing byte");
        let refused = [0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x09, 0x21];
        assert_eq!(Response::read(&refused, true).unwrap().err().map(|rc| rc.0), Some(0x921));
    }
}
