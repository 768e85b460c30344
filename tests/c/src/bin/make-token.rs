//! Makes a PKCS#11 token for the tests of C and Python: `make-token MODULE FOLDER`. The folder gets `module.so`, a copy of the
//! module that `cargo xtask pkcs11` builds around SoftHSM, and `pin`, a file with the PIN.
//!
//! The token `dps` has the symmetric key `device-key`, that of the device of `c-service`, and the key pair `device-tls`, that of
//! the certificate of `dev-01`.
#![allow(clippy::print_stderr, reason = "a program for the terminal")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::UserType;

const PIN: &str = "right-pin-4711";
/// `Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=`
const DEVICE_KEY: [u8; 32] = [
    0x26, 0xc9, 0xb4, 0x97, 0x21, 0xa9, 0x8d, 0xa5, 0x58, 0x54, 0xfd, 0xa0, 0xdc, 0x59, 0xe6, 0x9e, 0x61, 0xbd, 0x74,
    0x8f, 0xfd, 0xa9, 0x4d, 0xb8, 0xc0, 0xda, 0x32, 0x91, 0x49, 0x9e, 0xae, 0x67,
];
const TLS_KEY: &str = include_str!("../../../../dps-client/tests/data/x509/ec-pkcs8.pem");

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("make-token: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [module, folder] = arguments.as_slice() else { return Err("usage: make-token MODULE FOLDER".into()) };
    let tokens = folder.join("tokens");
    std::fs::create_dir_all(&tokens)?;
    let configuration = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
    std::fs::write(folder.join("softhsm2.conf"), configuration)?;
    std::fs::write(folder.join("pin"), format!("{PIN}\n"))?;
    std::fs::copy(module, folder.join("module.so"))?;
    softhsm(folder, &["--init-token", "--free", "--label", "dps", "--so-pin", "so-pin-4711", "--pin", PIN])?;
    let pem = folder.join("import.pem");
    std::fs::write(&pem, TLS_KEY)?;
    let import = ["--token", "dps", "--label", "device-tls", "--id", "01", "--pin", PIN, "--import"];
    softhsm(folder, &[&import[..], &[pem.to_str().ok_or("the folder's name is not text")?]].concat())?;
    std::fs::remove_file(pem)?;
    add_device_key(&folder.join("module.so"))
}

fn softhsm(folder: &Path, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut util = Command::new("softhsm2-util");
    let output = util.args(arguments).env("SOFTHSM2_CONF", folder.join("softhsm2.conf")).output()?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
}

/// Adds a symmetric key that cannot leave the token.
fn add_device_key(module: &Path) -> Result<(), Box<dyn Error>> {
    let module = Pkcs11::new(module)?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let slot = module.get_slots_with_initialized_token()?.into_iter().next().ok_or("there is no token")?;
    let session = module.open_rw_session(slot)?;
    session.login(UserType::User, Some(&PIN.into()))?;
    session.create_object(&[
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Label("device-key".into()),
        Attribute::Value(DEVICE_KEY.to_vec()),
    ])?;
    Ok(())
}
