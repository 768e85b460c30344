//! A connection with a TPM and what every use of it has in common: commands that are repeated while it is busy, passwords that
//! are tried once, objects and sessions that are flushed.

use std::fmt;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::code::{Code, Meaning, handle};
use crate::command::{Auth, Command, Response, parameters};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Refusal};
use crate::password::{Entity, Password, refused_by};
use crate::tcti::Tcti;
use crate::wire::{Malformed, Writer};

/// The pauses before a command is sent to a busy TPM again.
const FIRST_PAUSE: Duration = Duration::from_millis(if cfg!(fuzzing) { 0 } else { 10 });
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long an object may take to be flushed after the deadline.
const FLUSH_TIME: Duration = Duration::from_secs(2);
/// The handle of the device's key, unless another is set: what the C SDK and IoT Edge use.
const KEY_OFFSET: u32 = 0x00_0100;
/// The largest offset of a key of the owner (TPM 2.0 Library, Part 3, `TPM2_EvictControl`).
const KEY_OFFSET_MAX: u32 = 0x7F_FFFF;

/// How to reach a TPM, the passwords of its hierarchies, and where it keeps the device's key.
#[derive(Clone, Debug)]
pub struct Access {
    pub(crate) tcti: Tcti,
    pub(crate) endorsement: Password,
    pub(crate) owner: Password,
    pub(crate) key_handle: u32,
}

impl Access {
    /// Without passwords, and with the handle of the device's key that the C SDK and IoT Edge use.
    #[must_use]
    pub fn new(tcti: Tcti) -> Self {
        Self {
            tcti,
            endorsement: Password::default(),
            owner: Password::default(),
            key_handle: handle::PERSISTENT + KEY_OFFSET,
        }
    }

    /// Sets the password of the endorsement hierarchy. It is copied into memory that is wiped.
    #[must_use]
    pub fn endorsement_password(mut self, password: &[u8]) -> Self {
        self.endorsement = Password::new(password);
        self
    }

    /// Sets the password of the owner hierarchy, which is also called the storage hierarchy.
    #[must_use]
    pub fn owner_password(mut self, password: &[u8]) -> Self {
        self.owner = Password::new(password);
        self
    }

    /// Sets where the TPM keeps the device's key: an offset to 0x81000000, as IoT Edge's `auth_key_index`. Default: 0x100.
    /// `None` for an offset above 0x7FFFFF, or that of the storage root key or the endorsement key.
    #[must_use]
    pub fn key_offset(mut self, offset: u32) -> Option<Self> {
        self.key_handle = handle::PERSISTENT + Some(offset).filter(|offset| *offset <= KEY_OFFSET_MAX)?;
        let taken = [handle::STORAGE_ROOT_KEY, handle::ENDORSEMENT_KEY].contains(&self.key_handle);
        (!taken).then_some(self)
    }

    /// Returns how the TPM is reached.
    #[must_use]
    pub fn tcti(&self) -> &Tcti {
        &self.tcti
    }

    /// Connects with the TPM. Everything that is done with the connection ends by `deadline`, but for a device file, where the
    /// kernel limits how long a command takes.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`].
    pub fn connect(&self, deadline: Instant) -> Result<Tpm, Error> {
        let connection = Connection::open(&self.tcti, deadline)?;
        Ok(Tpm { access: self.clone(), connection, deadline })
    }
}

/// A TPM 2.0 that was connected with. Nothing is left in it but what is persistent: each use flushes its objects and sessions.
pub struct Tpm {
    pub(crate) access: Access,
    connection: Connection,
    deadline: Instant,
}

impl Tpm {
    #[cfg(fuzzing)]
    pub(crate) fn on(access: Access, connection: Connection, deadline: Instant) -> Self {
        Self { access, connection, deadline }
    }

    /// Sends a command, again while the TPM is busy.
    pub(crate) fn send(&mut self, command: &Command, has_handle: bool) -> Result<Response, Refusal> {
        self.send_until(self.deadline, command, has_handle)
    }

    fn send_until(&mut self, until: Instant, command: &Command, has_handle: bool) -> Result<Response, Refusal> {
        let mut pause = FIRST_PAUSE;
        loop {
            let bytes = self.connection.exchange(command.bytes()?, until)?;
            match Response::read(&bytes, has_handle).map_err(|Malformed| unreadable(command.code))? {
                Ok(response) => return Ok(response),
                Err(rc) if rc.is_busy() => {
                    std::thread::sleep(pause.min(until.saturating_duration_since(Instant::now())));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(rc) => return Err(Refusal::Code(command.code, rc)),
            }
        }
    }

    /// Sends a command that a password authorizes, unless the TPM has refused the same password before. It must not be the first
    /// one of a connection: swtpm serves one connection after another, and who waits for that would keep others from the
    /// password.
    pub(crate) fn send_with_password(
        &mut self,
        entity: Entity,
        command: impl FnOnce(Auth<'_>) -> Command,
        has_handle: bool,
    ) -> Result<Response, Refusal> {
        let password = match entity {
            Entity::Endorsement => self.access.endorsement.clone(),
            Entity::Owner => self.access.owner.clone(),
            Entity::Key(_) => Password::default(),
        };
        let refused = refused_by(&self.access.tcti, entity);
        let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = password.fingerprint();
        let wrong = |words: &str| match entity {
            Entity::Key(_) => {
                Error::new(ErrorKind::Failed, format!("{entity} requires a password, which no key of a device has"))
            }
            _ => Error::new(ErrorKind::WrongPassword, format!("the password of {entity} {words}")),
        };
        if refused.contains(&tried) {
            return Err(wrong("was refused before, so that it was not tried again").into());
        }
        match self.send(&command(Auth::Password(password.expose())), has_handle) {
            Ok(response) => {
                refused.clear();
                Ok(response)
            }
            Err(Refusal::Code(_, rc)) if matches!(rc.meaning(), Meaning::AuthFail | Meaning::BadAuth) => {
                refused.insert(tried);
                Err(wrong(if password.expose().is_empty() { "is missing" } else { "is wrong" }).into())
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Works with an object or a session, and flushes it whatever happens.
    pub(crate) fn flushed<T>(
        &mut self,
        loaded: u32,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let done = work(self);
        let flush = Command::new(Code::FlushContext, &[], &[], Writer::new().u32(loaded));
        let until = self.deadline.max(Instant::now() + FLUSH_TIME);
        // A TPM that cannot flush fails with the next command, or is gone.
        let _ = self.send_until(until, &flush, false);
        done
    }

    /// Works with a policy session that has the authorization of a hierarchy.
    pub(crate) fn with_policy<T>(
        &mut self,
        entity: Entity,
        work: impl FnOnce(&mut Self, u32) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let start =
            Command::new(Code::StartAuthSession, &[handle::NULL, handle::NULL], &[], parameters::policy_session());
        let session = self.send(&start, true)?.handle;
        self.flushed(session, |tpm| {
            let secret = |auth: Auth<'_>| {
                Command::new(Code::PolicySecret, &[entity.handle(), session], &[auth], parameters::policy_secret())
            };
            tpm.send_with_password(entity, secret, false)?;
            work(tpm, session)
        })
    }

    /// The public area at a handle, with its size; `None` where nothing is.
    pub(crate) fn read_public(&mut self, handle: u32) -> Result<Option<Vec<u8>>, Error> {
        match self.send(&Command::new(Code::ReadPublic, &[handle], &[], Writer::new()), false) {
            Ok(response) => {
                let public = response.reader().with_size().map_err(|Malformed| unreadable(Code::ReadPublic))?;
                Ok(Some(public.to_vec()))
            }
            Err(Refusal::Code(_, rc)) if rc.meaning() == Meaning::Handle => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Makes an object persistent, or removes the persistent object when both handles are the same.
    pub(crate) fn evict_control(&mut self, object: u32, persistent: u32) -> Result<(), Error> {
        let command = |auth: Auth<'_>| {
            Command::new(Code::EvictControl, &[handle::OWNER, object], &[auth], Writer::new().u32(persistent))
        };
        match self.send_with_password(Entity::Owner, command, false) {
            Ok(_) => Ok(()),
            Err(Refusal::Code(code, rc)) if rc.meaning() == Meaning::NvSpace => {
                Err(Error::new(ErrorKind::NoSlot, format!("{code} returned {rc} for the handle {persistent:#010x}")))
            }
            Err(refusal) => Err(refusal.into()),
        }
    }
}

pub(crate) fn unreadable(code: Code) -> Error {
    Error::new(ErrorKind::Failed, format!("the response to {code} cannot be read"))
}

/// What a response code means where the command says nothing more.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Error(error) => error,
            Refusal::Code(code, rc) => {
                let kind = if rc.meaning() == Meaning::Lockout { ErrorKind::Lockout } else { ErrorKind::Failed };
                Self::new(kind, format!("{code} returned {rc}"))
            }
        }
    }
}

impl fmt::Debug for Tpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tpm").field("tcti", &self.access.tcti).finish_non_exhaustive()
    }
}
