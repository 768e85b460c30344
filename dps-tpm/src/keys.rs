//! The keys of the device in its TPM: the endorsement key and the storage root key, and the keys that the service sends.

use std::sync::PoisonError;

use zeroize::Zeroizing;

use crate::challenge::Challenge;
use crate::code::{Code, Meaning, alg, handle};
use crate::command::{Auth, Command, Response, parameters};
use crate::error::{Error, ErrorKind, Refusal};
use crate::password::{Entity, refused_by};
use crate::template::{self, PublicArea};
use crate::tpm::{Tpm, unreadable};
use crate::wire::{Malformed, Writer};

/// The inner wrapper of the keys that the service sends: AES-128.
const WRAPPING_KEY_SIZE: usize = 16;
/// What is signed to try a key.
const TRIAL: &[u8] = b"dps-tpm";
/// No more can be signed at once, in bytes (`TPM2B_MAX_BUFFER`, at least).
const DATA_MAX: usize = 1024;

/// The public areas of the keys by which the service knows a TPM: `TPM2B_PUBLIC` each.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublicKeys {
    /// The endorsement key.
    pub endorsement: Vec<u8>,
    /// The storage root key.
    pub storage_root: Vec<u8>,
}

/// A key that the service sent, for this TPM only: it is encrypted by the storage root key, and loaded when it is used.
#[derive(Clone)]
pub struct ImportedKey {
    private: Zeroizing<Vec<u8>>,
    public: Vec<u8>,
}

impl std::fmt::Debug for ImportedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ImportedKey(..)")
    }
}

/// One of the two keys that are made by a template.
#[derive(Clone, Copy)]
struct Primary {
    name: &'static str,
    handle: u32,
    hierarchy: Entity,
    template: fn() -> Result<Vec<u8>, Malformed>,
    is_usable: fn(&PublicArea<'_>) -> bool,
}

const ENDORSEMENT: Primary = Primary {
    name: "endorsement key",
    handle: handle::ENDORSEMENT_KEY,
    hierarchy: Entity::Endorsement,
    template: template::endorsement_key,
    is_usable: |area| area.is_endorsement_key(),
};

const STORAGE_ROOT: Primary = Primary {
    name: "storage root key",
    handle: handle::STORAGE_ROOT_KEY,
    hierarchy: Entity::Owner,
    template: template::storage_root_key,
    is_usable: |area| area.is_storage_root_key(),
};

impl Tpm {
    /// Reads the endorsement key, without changing the TPM. One that is not at its handle is made, which can take a minute,
    /// and flushed: the same each time.
    ///
    /// # Errors
    /// [`Error`].
    pub fn endorsement_key(&mut self) -> Result<Vec<u8>, Error> {
        match self.existing(ENDORSEMENT)? {
            Some(public) => Ok(public),
            None => self.made(ENDORSEMENT, |_, _| Ok(())),
        }
    }

    /// Reads the endorsement key and the storage root key, and checks that a registration can succeed: the passwords, and the
    /// slot of the device's key. A key that is missing is made and kept at its handle, also if a later step fails: it is the
    /// same each time.
    ///
    /// # Errors
    /// [`Error`].
    pub fn prepare(&mut self) -> Result<PublicKeys, Error> {
        // The session does nothing but to check the password.
        for hierarchy in [Entity::Endorsement, Entity::Owner] {
            self.with_policy(hierarchy, |_, _| Ok(()))?;
        }
        let occupied = self.device_key()?.is_some();
        let endorsement = self.kept(ENDORSEMENT)?;
        let storage_root = self.kept(STORAGE_ROOT)?;
        if !occupied && self.free_persistent_slots()? == Some(0) {
            let words =
                format!("its storage for persistent objects is full; {:#010x} is empty", self.access.key_handle);
            return Err(Error::new(ErrorKind::NoSlot, words));
        }
        Ok(PublicKeys { endorsement, storage_root })
    }

    fn existing(&mut self, primary: Primary) -> Result<Option<Vec<u8>>, Error> {
        let Some(public) = self.read_public(primary.handle)? else { return Ok(None) };
        let area = PublicArea::read(&public).map_err(|Malformed| unreadable(Code::ReadPublic))?;
        if (primary.is_usable)(&area) {
            return Ok(Some(public));
        }
        let words = format!("the object at the handle {:#010x} cannot be used as the {}", primary.handle, primary.name);
        Err(Error::new(ErrorKind::Failed, words))
    }

    fn kept(&mut self, primary: Primary) -> Result<Vec<u8>, Error> {
        match self.existing(primary)? {
            Some(public) => Ok(public),
            None => self.made(primary, |tpm, made| tpm.evict_control(made, primary.handle)),
        }
    }

    fn made(
        &mut self,
        primary: Primary,
        work: impl FnOnce(&mut Self, u32) -> Result<(), Error>,
    ) -> Result<Vec<u8>, Error> {
        let template = (primary.template)().map_err(|Malformed| unreadable(Code::CreatePrimary))?;
        let command = |auth: Auth<'_>| {
            Command::new(
                Code::CreatePrimary,
                &[primary.hierarchy.handle()],
                &[auth],
                parameters::create_primary(&template),
            )
        };
        let made = self.send_with_password(primary.hierarchy, command, true)?;
        self.flushed(made.handle, |tpm| {
            let public = made.reader().with_size().map_err(|Malformed| unreadable(Code::CreatePrimary))?;
            work(tpm, made.handle)?;
            Ok(public.to_vec())
        })
    }

    /// Activates what the service sent and imports the key in it. Needs the keys that [`Tpm::prepare`] makes.
    ///
    /// # Errors
    /// [`ErrorKind::MalformedChallenge`], [`ErrorKind::ForeignChallenge`]; otherwise as for any use.
    pub fn import(&mut self, challenge: &[u8]) -> Result<ImportedKey, Error> {
        let challenge = Challenge::read(challenge)?;
        let wrapping_key = self.activate(&challenge)?;
        let parameters = Writer::new().sized(&wrapping_key).bytes(challenge.public).bytes(challenge.duplicate);
        let parameters = parameters.bytes(challenge.seed).u16(alg::AES).u16(128).u16(alg::CFB);
        let import = Command::new(Code::Import, &[handle::STORAGE_ROOT_KEY], &[Auth::EMPTY], parameters);
        let imported = self.send(&import, false).map_err(foreign)?;
        let private = imported.reader().with_size().map_err(|Malformed| unreadable(Code::Import))?;
        Ok(ImportedKey { private: Zeroizing::new(private.to_vec()), public: challenge.public.to_vec() })
    }

    /// The key that encrypts the one in the challenge.
    fn activate(&mut self, challenge: &Challenge<'_>) -> Result<Zeroizing<Vec<u8>>, Error> {
        let parameters = Writer::new().bytes(challenge.credential).bytes(challenge.secret);
        let activated = self.with_policy(Entity::Endorsement, |tpm, session| {
            let handles = [handle::STORAGE_ROOT_KEY, handle::ENDORSEMENT_KEY];
            let auths = [Auth::EMPTY, Auth::Policy(session)];
            let activate = Command::new(Code::ActivateCredential, &handles, &auths, parameters);
            tpm.send(&activate, false).map_err(foreign)
        })?;
        let mut reader = activated.reader();
        let key = reader.sized().map_err(|Malformed| unreadable(Code::ActivateCredential))?;
        if key.len() != WRAPPING_KEY_SIZE {
            let words = format!("its key has {} bytes, not {WRAPPING_KEY_SIZE}", key.len());
            return Err(Error::new(ErrorKind::MalformedChallenge, words));
        }
        Ok(Zeroizing::new(key.to_vec()))
    }

    /// Signs with a key that the service sent, by HMAC-SHA256: at most 1024 bytes. The key is loaded for it, and flushed.
    ///
    /// # Errors
    /// [`Error`].
    pub fn sign_with(&mut self, key: &ImportedKey, data: &[u8]) -> Result<Zeroizing<[u8; 32]>, Error> {
        self.loaded(key, |tpm, loaded| tpm.hmac(loaded, data))
    }

    fn loaded<T>(
        &mut self,
        key: &ImportedKey,
        work: impl FnOnce(&mut Self, u32) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let parameters = Writer::new().bytes(&key.private).bytes(&key.public);
        let load = Command::new(Code::Load, &[handle::STORAGE_ROOT_KEY], &[Auth::EMPTY], parameters);
        let loaded = self.send(&load, true)?.handle;
        self.flushed(loaded, |tpm| work(tpm, loaded))
    }

    /// Keeps a key that the service sent, for the hub, instead of the one before. It is loaded and tried first. Then the old one
    /// is removed and the new one made persistent: two commands. What stops in between leaves no key, which
    /// [`Tpm::sign`] reports as [`ErrorKind::KeyMissing`].
    ///
    /// # Errors
    /// [`ErrorKind::NoSlot`]; otherwise as for any use.
    pub fn keep(&mut self, key: &ImportedKey) -> Result<(), Error> {
        let slot = self.access.key_handle;
        self.loaded(key, |tpm, loaded| {
            tpm.hmac(loaded, TRIAL)?;
            if tpm.device_key()?.is_some() {
                tpm.evict_control(slot, slot)?;
            }
            tpm.evict_control(loaded, slot)
        })?;
        // What is known of the old one does not hold for it.
        refused_by(&self.access.tcti, Entity::Key(slot)).lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    /// Signs with the key that [`Tpm::keep`] kept, by HMAC-SHA256: at most 1024 bytes.
    ///
    /// # Errors
    /// [`ErrorKind::KeyMissing`]; otherwise as for any use.
    pub fn sign(&mut self, data: &[u8]) -> Result<Zeroizing<[u8; 32]>, Error> {
        let slot = self.access.key_handle;
        let missing = |why: &str| Error::new(ErrorKind::KeyMissing, format!("the handle {slot:#010x} {why}"));
        let public = self.read_public(slot)?.ok_or_else(|| missing("is empty"))?;
        if !PublicArea::read(&public).is_ok_and(|area| area.is_hmac_key()) {
            return Err(missing("holds an object that is not a key of a device"));
        }
        digest(&self.send_with_password(Entity::Key(slot), hmac(slot, data)?, false)?)
    }

    fn hmac(&mut self, key: u32, data: &[u8]) -> Result<Zeroizing<[u8; 32]>, Error> {
        let command = hmac(key, data)?;
        digest(&self.send(&command(Auth::EMPTY), false)?)
    }

    /// The public area at the handle of the device's key.
    pub(crate) fn device_key(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let slot = self.access.key_handle;
        let Some(public) = self.read_public(slot)? else { return Ok(None) };
        let area = PublicArea::read(&public).map_err(|Malformed| unreadable(Code::ReadPublic))?;
        if area.is_hmac_key() {
            return Ok(Some(public));
        }
        let words =
            format!("the handle {slot:#010x} holds an object that is not a key of a device; it is left as it is");
        Err(Error::new(ErrorKind::NoSlot, words))
    }
}

/// The command that signs with the key at a handle, once it is known what authorizes that.
fn hmac<'d>(key: u32, data: &'d [u8]) -> Result<impl FnOnce(Auth<'_>) -> Command + use<'d>, Error> {
    if data.len() > DATA_MAX {
        let words = format!("{} bytes are to be signed; at most {DATA_MAX} can be", data.len());
        return Err(Error::new(ErrorKind::Failed, words));
    }
    Ok(move |auth: Auth<'_>| Command::new(Code::Hmac, &[key], &[auth], Writer::new().sized(data).u16(alg::SHA256)))
}

fn digest(response: &Response) -> Result<Zeroizing<[u8; 32]>, Error> {
    let digest = response.reader().sized().ok().and_then(|digest| <[u8; 32]>::try_from(digest).ok());
    digest.map(Zeroizing::new).ok_or_else(|| unreadable(Code::Hmac))
}

/// What the TPM objects to in a challenge. One that was encrypted for another key is an invalid parameter, or, in swtpm, a
/// failure: a TPM that fails as a whole would have done so at the command before.
fn foreign(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Code(code, rc) if rc.is_about_parameter() || rc.meaning() == Meaning::Failure => {
            Error::new(ErrorKind::ForeignChallenge, format!("{code} returned {rc}"))
        }
        refusal => refusal.into(),
    }
}
