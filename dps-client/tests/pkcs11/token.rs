//! A token of a test, in a folder of its own, with the module that injects faults.

#![allow(unreachable_pub, reason = "used by the other files")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use dps_client::{Pkcs11Key, SecretString};
use tempfile::TempDir;

/// Names the module that was built from `tests/pkcs11/module.c`.
const MODULE: &str = "DPS_TEST_PKCS11_MODULE";
pub const PIN: &str = "right-pin-4711";

/// A token with the label `dps`. It is removed with this.
pub struct Token(TempDir);

impl Token {
    pub fn new() -> Self {
        let built = std::env::var_os(MODULE).expect("cargo xtask pkcs11 sets it");
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let tokens = folder.path().join("tokens");
        fs::create_dir(&tokens).unwrap();
        let configuration = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
        fs::write(folder.path().join("softhsm2.conf"), configuration).unwrap();
        fs::copy(built, folder.path().join("module.so")).unwrap();
        let token = Self(folder);
        token.add_token("dps");
        token
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn module(&self) -> PathBuf {
        self.folder().join("module.so")
    }

    /// Adds another token to the module.
    pub fn add_token(&self, label: &str) {
        self.softhsm(&["--init-token", "--free", "--label", label, "--so-pin", "so-pin-4711", "--pin", PIN]);
    }

    /// Imports a private key in PKCS#8, with its public key beside it.
    pub fn add_pair(&self, pem: &str, label: &str, id: &str) {
        let file = self.folder().join("import.pem");
        fs::write(&file, pem).unwrap();
        let path = file.to_str().unwrap();
        self.softhsm(&["--import", path, "--token", "dps", "--label", label, "--id", id, "--pin", PIN]);
        fs::remove_file(file).unwrap();
    }

    fn softhsm(&self, arguments: &[&str]) {
        let mut util = Command::new("softhsm2-util");
        let output = util.args(arguments).env("SOFTHSM2_CONF", self.folder().join("softhsm2.conf")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Adds a symmetric key that cannot leave the token.
    pub fn add_secret(&self, label: &str, key: &[u8]) {
        self.add_secret_with(label, key, &[]);
    }

    pub fn add_secret_with(&self, label: &str, key: &[u8], others: &[Attribute]) {
        self.with_session(|session| {
            let mut template = vec![
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::KeyType(KeyType::GENERIC_SECRET),
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Label(label.into()),
                Attribute::Value(key.to_vec()),
            ];
            if others.is_empty() {
                template.push(Attribute::Sign(true));
            }
            template.extend(others.iter().cloned());
            session.create_object(&template).unwrap();
        });
    }

    /// Makes a key on P-256 that requires a login for each signature.
    pub fn make_pair_with_login_for_each_signature(&self, label: &str) {
        const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
        let label = || Attribute::Label(label.into());
        let public = [Attribute::Token(true), Attribute::EcParams(P256.to_vec()), label()];
        let private = [Attribute::Token(true), Attribute::Private(true), Attribute::AlwaysAuthenticate(true), label()];
        self.with_session(|session| {
            session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
        });
    }

    /// Removes the public keys, as many tokens have none.
    pub fn remove_public_keys(&self) {
        self.with_session(|session| {
            for key in session.find_objects(&[Attribute::Class(ObjectClass::PUBLIC_KEY)]).unwrap() {
                session.destroy_object(key).unwrap();
            }
        });
    }

    /// Works with a session that is logged in. Leaves no trace, before the token is used otherwise.
    fn with_session(&self, work: impl FnOnce(&Session)) {
        let module = self.initialized();
        let slot = module.get_slots_with_initialized_token().unwrap().remove(0);
        let session = module.open_rw_session(slot).unwrap();
        session.login(UserType::User, Some(&PIN.into())).unwrap();
        work(&session);
        drop(session);
        module.finalize().unwrap();
        ["logins", "finalized"].into_iter().for_each(|count| self.clear(count));
    }

    /// The module as another part of the application initializes it.
    pub fn initialized(&self) -> Pkcs11 {
        let module = Pkcs11::new(self.module()).unwrap();
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        module
    }

    /// The key of a URI, with the right PIN.
    pub fn key(&self, uri: &str) -> Pkcs11Key {
        self.key_with_pin(uri, PIN)
    }

    pub fn key_with_pin(&self, uri: &str, pin: &str) -> Pkcs11Key {
        Pkcs11Key::from_uri(uri).unwrap().module(self.module()).pin(SecretString::from(pin))
    }

    pub fn inject(&self, fault: &str) {
        fs::write(self.folder().join(fault), "").unwrap();
    }

    pub fn clear(&self, fault: &str) {
        fs::remove_file(self.folder().join(fault)).unwrap();
    }

    /// How often something was counted.
    pub fn count(&self, what: &str) -> usize {
        fs::read(self.folder().join(what)).map_or(0, |counted| counted.len())
    }
}
