//! The directory with a device's issued identity.
//!
//! `identity.pem` is the truth: key and chain in one file, which is written whole or not at all. `key.pem` and `chain.pem` are copies
//! for programs that read them separately, written after it; whoever opens the directory next repairs them.

use std::io;
use std::path::{Path, PathBuf};

use dps_core::ErrorCode;
use dps_files::{FileError, LockedFile, Ownership, PrivateFile};
use zeroize::Zeroizing;

use super::IssuedIdentity;
use super::document::{Document, StoredKey, chain_file, hash_of, identity_file, key_file};
use super::key::OperationalKey;
use crate::error::DpsError;
use crate::names::RegistrationId;
#[cfg(feature = "pkcs11")]
use crate::pkcs11::Pkcs11Key;

const IDENTITY: &str = "identity.pem";
const KEY: &str = "key.pem";
const CHAIN: &str = "chain.pem";
/// No file of an identity is longer, in bytes: 32 certificates and a key.
const FILE_MAX: u64 = 256 * 1024;

/// The directory that keeps one device's issued identity over restarts.
///
/// | file | content | mode |
/// |---|---|---|
/// | `identity.pem` | the key, or where it is, and the chain | 0600 |
/// | `key.pem` | a copy of the key, if it is not in a token | 0600 |
/// | `chain.pem` | a copy of the chain, the device's certificate first | 0644 |
///
/// A program that requires key and chain to fit at every moment reads `identity.pem`, as PEM; between the copies is a moment while
/// they are replaced. Each file is replaced in one step and never through a link. See [`IssuedIdentity`] for an example.
#[derive(Clone, Debug)]
pub struct IdentityStore {
    folder: PathBuf,
    registration_id: Option<RegistrationId>,
    #[cfg(feature = "pkcs11")]
    token_key: Option<Pkcs11Key>,
}

/// What [`LockedIdentityStore::load`] found.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadedIdentity {
    /// Nothing was stored.
    Nothing,
    /// An identity, which may have expired.
    Found(Box<IssuedIdentity>),
    /// A file that contains no identity, or a key and a chain that do not fit. It was renamed, so that a new one can be stored and
    /// this one examined.
    SetAside {
        /// Where it is now.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl LoadedIdentity {
    /// Returns the identity, if one was found.
    #[must_use]
    pub fn found(self) -> Option<IssuedIdentity> {
        match self {
            Self::Found(identity) => Some(*identity),
            _ => None,
        }
    }
}

impl IdentityStore {
    /// A store in this directory, which must exist; [`dps_files::create_private_folder`] creates one.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            registration_id: None,
            #[cfg(feature = "pkcs11")]
            token_key: None,
        }
    }

    /// Sets whose identity it is: that of another device is refused instead of used or replaced. Default: any.
    #[must_use]
    pub fn registration_id(mut self, registration_id: &RegistrationId) -> Self {
        self.registration_id = Some(registration_id.clone());
        self
    }

    /// Sets the key in a token, with its module and PIN, which are not stored. An identity whose key is in a token cannot be loaded
    /// without it.
    #[cfg(feature = "pkcs11")]
    #[must_use]
    pub fn pkcs11_key(mut self, key: &Pkcs11Key) -> Self {
        self.token_key = Some(key.clone());
        self
    }

    /// Locks the store for this process. The lock is a file in the directory, which stays.
    ///
    /// # Errors
    /// `file` when another process holds the lock, or it cannot be created.
    pub fn lock(&self) -> Result<LockedIdentityStore, DpsError> {
        Ok(LockedIdentityStore { store: self.clone(), file: self.identity_file().lock()? })
    }

    /// Reads the stored identity, if there is one, without the lock and without changing anything: for programs that only look at
    /// it, while another one may renew it. With a key in a token, it opens the token as [`LockedIdentityStore::load`] does.
    ///
    /// # Errors
    /// As [`LockedIdentityStore::load`]; also `file` for a file that contains no identity, or a key and a chain that do not fit.
    pub fn read(&self) -> Result<Option<IssuedIdentity>, DpsError> {
        let file = self.identity_file();
        match self.examine(file.read(FILE_MAX))? {
            Content::Nothing => Ok(None),
            Content::Identity(identity) => Ok(Some(*identity)),
            Content::Damaged(problem) => {
                Err(DpsError::file(file.path(), "contains no identity", io::Error::other(problem)))
            }
        }
    }

    fn identity_file(&self) -> PrivateFile {
        PrivateFile::new(self.folder.join(IDENTITY))
    }

    /// Checks what the file of the identity contains.
    fn examine(&self, read: Result<Option<Zeroizing<Vec<u8>>>, FileError>) -> Result<Content, DpsError> {
        let document = match read {
            Ok(None) => return Ok(Content::Nothing),
            Ok(Some(text)) => match Document::parse(&text) {
                Ok(document) => document,
                Err(problem) => return Ok(Content::Damaged(problem)),
            },
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Ok(Content::Damaged(format!("it is longer than {FILE_MAX} bytes")));
            }
            Err(error) => return Err(error.into()),
        };
        let key = match document.key {
            StoredKey::Here(key) => key,
            StoredKey::Token { uri, hash } => self.token_key(&uri, &hash)?,
        };
        let id = match key.with_chain(document.chain.clone()).registration_id() {
            Ok(id) => id,
            Err(error) => return Ok(Content::Damaged(error.to_string())),
        };
        self.refuse_other(&id)?;
        Ok(match IssuedIdentity::accept(key, document.chain, &id, None) {
            Ok(identity) => Content::Identity(Box::new(identity)),
            Err(error) => Content::Damaged(error.to_string()),
        })
    }

    fn refuse_other(&self, id: &RegistrationId) -> Result<(), DpsError> {
        let expected = self.registration_id.as_ref();
        let Some(expected) = expected.filter(|expected| !expected.as_str().eq_ignore_ascii_case(id.as_str())) else {
            return Ok(());
        };
        let folder = self.folder.display();
        let message = format!("{folder} is for the identity of {:?}, not of {:?}", expected.as_str(), id.as_str());
        Err(DpsError::config(ErrorCode::CommonNameMismatch, message))
    }

    #[cfg(feature = "pkcs11")]
    fn token_key(&self, uri: &str, hash: &str) -> Result<OperationalKey, DpsError> {
        let Some(key) = &self.token_key else { return Err(token_needed(uri)) };
        let key = OperationalKey::from_pkcs11(key)?;
        if hash_of(&key.public_key()?) != hash {
            let code = ErrorCode::ClientKeyMismatch;
            let message = format!("{}: the token has another key than the stored identity, {uri}", code.text());
            return Err(DpsError::config(code, message));
        }
        Ok(key)
    }

    #[cfg(not(feature = "pkcs11"))]
    fn token_key(&self, uri: &str, hash: &str) -> Result<OperationalKey, DpsError> {
        let _ = (hash, hash_of);
        Err(token_needed(uri))
    }
}

/// What the file of an identity contains.
enum Content {
    Nothing,
    Identity(Box<IssuedIdentity>),
    /// What is wrong with it.
    Damaged(String),
}

/// An [`IdentityStore`] that this process has locked, until it is dropped.
#[derive(Debug)]
pub struct LockedIdentityStore {
    store: IdentityStore,
    file: LockedFile,
}

/// The moments of a save after which a process may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SavePoint {
    Begun,
    Identity,
    Key,
    Chain,
}

impl LockedIdentityStore {
    /// Reads the stored identity, and repairs the copies; a copy that cannot be repaired is logged. With a key in a token, it opens
    /// the token, and blocks this thread meanwhile.
    ///
    /// # Errors
    /// `file` when the file cannot be read, or is a link; `common-name-mismatch` when it is another device's; `invalid-option` when
    /// the key is in a token that was not set, `client-key-mismatch` when the token has another key, and that of the token.
    pub fn load(&self) -> Result<LoadedIdentity, DpsError> {
        Ok(match self.store.examine(self.file.read(FILE_MAX))? {
            Content::Nothing => LoadedIdentity::Nothing,
            Content::Identity(identity) => {
                if let Err(error) = self.write_copies(&identity, &mut |_| {}) {
                    tracing::warn!(error = %error.report(), "a copy of the identity cannot be repaired");
                }
                LoadedIdentity::Found(identity)
            }
            Content::Damaged(problem) => {
                let path = self.file.set_aside()?;
                tracing::warn!(path = %path.display(), problem, "a stored identity cannot be used and was set aside");
                LoadedIdentity::SetAside { path, problem }
            }
        })
    }

    /// Stores an identity: the old one or the new one is there afterwards, whatever happens. The copies follow.
    ///
    /// # Errors
    /// `file` when a file cannot be written; the identity itself may be stored already, and [`load`](Self::load) returns which one
    /// is. `common-name-mismatch` when it is another device's.
    pub fn save(&self, identity: &IssuedIdentity) -> Result<(), DpsError> {
        self.save_watched(identity, &mut |_| {})
    }

    fn save_watched(&self, identity: &IssuedIdentity, watch: &mut dyn FnMut(SavePoint)) -> Result<(), DpsError> {
        self.store.refuse_other(identity.registration_id())?;
        let text = identity_file(identity.key(), identity.chain())?;
        watch(SavePoint::Begun);
        self.file.replace(&text, Ownership::Private)?;
        watch(SavePoint::Identity);
        self.write_copies(identity, watch)
    }

    /// Removes the identity and its copies, if there are any.
    ///
    /// # Errors
    /// `file` when a file cannot be removed.
    pub fn clear(&self) -> Result<(), DpsError> {
        self.file.remove()?;
        self.beside(KEY).remove()?;
        Ok(self.beside(CHAIN).remove()?)
    }

    /// Returns the directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.store.folder
    }

    fn beside(&self, name: &str) -> PrivateFile {
        PrivateFile::new(self.store.folder.join(name))
    }

    fn write_copies(&self, identity: &IssuedIdentity, watch: &mut dyn FnMut(SavePoint)) -> Result<(), DpsError> {
        let key = self.beside(KEY);
        match key_file(identity.key()) {
            Some(text) => write_where_different(&key, &text, Ownership::Private)?,
            None => key.remove()?,
        }
        watch(SavePoint::Key);
        write_where_different(&self.beside(CHAIN), &chain_file(identity.chain()), Ownership::Public)?;
        watch(SavePoint::Chain);
        Ok(())
    }
}

fn token_needed(uri: &str) -> DpsError {
    // A file can contain anything.
    let uri: String = uri.chars().filter(|c| !c.is_control()).take(200).collect();
    let message =
        format!("the key of the stored identity is in a PKCS#11 token: set the key {uri}, with its module and PIN");
    DpsError::config(ErrorCode::InvalidOption, message)
}

/// Leaves a file as it is that has this content already.
fn write_where_different(file: &PrivateFile, content: &[u8], ownership: Ownership) -> Result<(), DpsError> {
    let there: Option<Zeroizing<Vec<u8>>> = match file.read(FILE_MAX) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => None,
        Err(error) => return Err(error.into()),
    };
    match there {
        Some(there) if there.as_slice() == content => Ok(()),
        _ => Ok(file.replace(content, ownership)?),
    }
}

#[cfg(test)]
mod tests;
