//! What a state folder keeps, file by file: `ca.json` and `ca.pem`, `policy.json`, `enrollments.json`.
//!
//! A file that is there and cannot be understood stops the start: nothing is replaced that an owner may want back.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::certificate::Authority;
use super::error::{StartError, StateError};
use super::files::Folder;
use crate::keys::SymmetricKey;
use crate::options::POLICY_NAME;
use crate::service::Snapshot;

const AUTHORITY: &str = "ca.json";
const AUTHORITY_PEM: &str = "ca.pem";
const POLICY: &str = "policy.json";
const ENROLLMENTS: &str = "enrollments.json";
const FORMAT: u32 = 1;

pub(super) struct State(Folder);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Policy {
    key_name: String,
    primary_key: SymmetricKey,
}

#[derive(Serialize, Deserialize)]
struct Enrollments {
    format: u32,
    #[serde(flatten)]
    snapshot: Snapshot,
}

impl State {
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        Folder::open(path).map(Self)
    }

    /// The CA that is kept, or a new one when there is none yet or its time is nearly over.
    pub(super) fn authority(&self, now_s: u64, suffix: [u8; 4]) -> Result<Authority, StartError> {
        let kept: Option<Authority> = self.read(AUTHORITY)?;
        if let Some(kept) = &kept {
            kept.check().map_err(|what| self.damaged(AUTHORITY, what))?;
        }
        let authority = match kept.filter(|kept| kept.is_fresh(now_s)) {
            Some(kept) => kept,
            None => {
                let made = Authority::generate(now_s, suffix)?;
                self.write(AUTHORITY, &made)?;
                made
            }
        };
        self.0.write(AUTHORITY_PEM, authority.pem().as_bytes())?;
        Ok(authority)
    }

    pub(super) fn policy_key(&self) -> Result<Option<SymmetricKey>, StateError> {
        match self.read::<Policy>(POLICY)? {
            Some(policy) if policy.key_name != POLICY_NAME => {
                Err(self.damaged(POLICY, format!("keyName is not {POLICY_NAME}")))
            }
            policy => Ok(policy.map(|policy| policy.primary_key)),
        }
    }

    pub(super) fn keep_policy_key(&self, key: &SymmetricKey) -> Result<(), StateError> {
        self.write(POLICY, &Policy { key_name: POLICY_NAME.into(), primary_key: key.clone() })
    }

    pub(super) fn enrollments(&self) -> Result<Option<Snapshot>, StateError> {
        match self.read::<Enrollments>(ENROLLMENTS)? {
            Some(kept) if kept.format != FORMAT => {
                Err(self.damaged(ENROLLMENTS, format!("format {} instead of {FORMAT}", kept.format)))
            }
            kept => Ok(kept.map(|kept| kept.snapshot)),
        }
    }

    pub(super) fn enrollments_path(&self) -> PathBuf {
        self.0.path(ENROLLMENTS)
    }

    /// For an enrollment that reads as JSON and still cannot be used.
    pub(super) fn bad_enrollments(&self, what: impl Into<String>) -> StateError {
        self.damaged(ENROLLMENTS, what.into())
    }

    pub(super) fn keep_enrollments(&self, snapshot: Snapshot) -> Result<(), StateError> {
        self.write(ENROLLMENTS, &Enrollments { format: FORMAT, snapshot })
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let Some(content) = self.0.read(name)? else { return Ok(None) };
        let parsed: Result<T, _> = crate::wire::parse_object(&content);
        parsed.map(Some).map_err(|problem| self.damaged(name, problem.message))
    }

    fn write(&self, name: &str, content: &impl Serialize) -> Result<(), StateError> {
        self.0.write(name, &Zeroizing::new(crate::wire::to_json(content)))
    }

    fn damaged(&self, name: &str, what: impl Into<String>) -> StateError {
        StateError::Damaged { path: self.0.path(name), what: what.into() }
    }
}
