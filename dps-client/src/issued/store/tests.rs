//! A process that is killed while it saves an identity leaves one that is usable.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::*;
use crate::issued::KeyAlgorithm;
use crate::x509::CertificateChain;

const POINTS: [SavePoint; 4] = [SavePoint::Begun, SavePoint::Identity, SavePoint::Key, SavePoint::Chain];
const FOLDER: &str = "DPS_TEST_IDENTITY_FOLDER";
const POINT: &str = "DPS_TEST_IDENTITY_POINT";

/// An identity of `dev-01` with a new key.
fn identity() -> IssuedIdentity {
    let id: RegistrationId = "dev-01".parse().unwrap();
    let key = OperationalKey::generate(KeyAlgorithm::EcP256).unwrap();
    let request = key.certificate_request(&id).unwrap();
    let mut request = rcgen::CertificateSigningRequestParams::from_der(&request.into()).unwrap();
    let now = SystemTime::now();
    request.params.not_before = (now - Duration::from_secs(60)).into();
    request.params.not_after = (now + Duration::from_secs(86_400)).into();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::Issuer::new(params, rcgen::KeyPair::generate().unwrap());
    let chain = CertificateChain::from_der([request.signed_by(&issuer).unwrap().der().to_vec()]).unwrap();
    IssuedIdentity::accept(key, chain, &id, Some(now)).unwrap()
}

fn leaf(identity: &IssuedIdentity) -> Vec<u8> {
    identity.chain().iter().next().unwrap().to_vec()
}

fn load(folder: &Path) -> LoadedIdentity {
    IdentityStore::new(folder).lock().unwrap().load().unwrap()
}

/// Runs in a process of its own, for [`kill_saver_at`]: saves a new identity and stops at a point.
#[test]
#[expect(clippy::print_stderr, reason = "the other process reads it")]
fn saver_that_stops_at_a_point() {
    let (Ok(folder), Ok(point)) = (std::env::var(FOLDER), std::env::var(POINT)) else { return };
    let store = IdentityStore::new(folder).lock().unwrap();
    store
        .save_watched(&identity(), &mut |reached| {
            if format!("{reached:?}") == point {
                eprintln!("reached");
                loop {
                    std::thread::park();
                }
            }
        })
        .unwrap();
}

fn kill_saver_at(point: SavePoint, folder: &Path) {
    let mut saver = Command::new(std::env::current_exe().unwrap());
    saver.args(["--exact", "--nocapture", "issued::store::tests::saver_that_stops_at_a_point"]);
    let saver = saver.env(FOLDER, folder).env(POINT, format!("{point:?}")).stdout(Stdio::null());
    let mut saver = saver.stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(saver.stderr.take().unwrap()).lines();
    let reached = lines.map(Result::unwrap).any(|line| line.contains("reached"));
    saver.kill().unwrap();
    saver.wait().unwrap();
    assert!(reached, "{point:?}");
}

#[test]
fn identity_is_read_while_another_process_holds_the_lock_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let store = IdentityStore::new(folder.path());
    assert!(store.read().unwrap().is_none());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no lock");
    let (saved, lock) = (identity(), store.lock().unwrap());
    lock.save(&saved).unwrap();
    fs::remove_file(folder.path().join(CHAIN)).unwrap();
    assert_eq!(leaf(&store.read().unwrap().unwrap()), leaf(&saved));
    assert!(!folder.path().join(CHAIN).exists(), "a copy is not repaired");
    let other = store.registration_id(&"dev-02".parse().unwrap());
    assert_eq!(other.read().unwrap_err().code(), ErrorCode::CommonNameMismatch);
    fs::write(folder.path().join(IDENTITY), "-----BEGIN").unwrap();
    let damaged = IdentityStore::new(folder.path()).read().unwrap_err();
    assert_eq!(damaged.code(), ErrorCode::File);
    assert!(damaged.to_string().contains("identity.pem contains no identity"), "{damaged}");
    assert!(folder.path().join(IDENTITY).exists(), "it is not renamed");
}

#[test]
fn identity_survives_a_kill_at_each_point_of_a_save() {
    for point in POINTS {
        let folder = tempfile::tempdir().unwrap();
        let old = identity();
        IdentityStore::new(folder.path()).lock().unwrap().save(&old).unwrap();
        kill_saver_at(point, folder.path());
        let found = load(folder.path()).found().unwrap();
        assert_eq!(leaf(&found) == leaf(&old), point == SavePoint::Begun, "{point:?}");
        assert!(found.state_at(SystemTime::now()).is_valid());
        // Loading has repaired the copies, and they fit each other.
        let copies = crate::X509::from_files(folder.path().join(CHAIN), folder.path().join(KEY)).unwrap();
        assert!(crate::ChainCheck::new().device(&copies).is_empty(), "{point:?}");
        assert_eq!(copies.chain(), found.chain(), "{point:?}");
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort_unstable();
        assert_eq!(names, [CHAIN, IDENTITY, "identity.pem.lock", KEY], "{point:?}");
    }
}

#[test]
fn first_save_that_is_killed_leaves_nothing_or_the_identity() {
    for point in POINTS {
        let folder = tempfile::tempdir().unwrap();
        kill_saver_at(point, folder.path());
        match load(folder.path()) {
            LoadedIdentity::Nothing => assert_eq!(point, SavePoint::Begun),
            LoadedIdentity::Found(_) => assert_ne!(point, SavePoint::Begun),
            LoadedIdentity::SetAside { problem, .. } => panic!("{point:?}: {problem}"),
        }
    }
}

#[test]
#[cfg(unix)]
fn key_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    IdentityStore::new(folder.path()).lock().unwrap().save(&identity()).unwrap();
    for (name, mode) in [(IDENTITY, 0o600), (KEY, 0o600), (CHAIN, 0o644)] {
        let there = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(there & 0o777, mode, "{name}");
    }
}

#[test]
fn damaged_copies_are_repaired_and_a_damaged_identity_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    IdentityStore::new(folder.path()).lock().unwrap().save(&identity()).unwrap();
    let (key, chain) = (fs::read(path(KEY)).unwrap(), fs::read(path(CHAIN)).unwrap());
    fs::write(path(KEY), b"another key").unwrap();
    fs::remove_file(path(CHAIN)).unwrap();
    assert!(load(folder.path()).found().is_some());
    assert_eq!((fs::read(path(KEY)).unwrap(), fs::read(path(CHAIN)).unwrap()), (key, chain.clone()));
    // A chain of another key does not fit.
    let other = key_file(&OperationalKey::generate(KeyAlgorithm::EcP256).unwrap()).unwrap();
    // Nor is a certificate without a name a device's.
    let pair = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let nameless = pair.serialize_pem() + &params.self_signed(&pair).unwrap().pem();
    let foreign = [&other[..], &fs::read(path(CHAIN)).unwrap()].concat();
    for damaged in [chain, foreign, nameless.into_bytes(), b"-----BEGIN X-----".to_vec()] {
        fs::write(path(IDENTITY), &damaged).unwrap();
        let LoadedIdentity::SetAside { path: aside, problem } = load(folder.path()) else { panic!("it was used") };
        assert_eq!(fs::read(aside).unwrap(), damaged, "{problem}");
        assert!(matches!(load(folder.path()), LoadedIdentity::Nothing));
    }
}

#[test]
fn identity_of_another_device_is_neither_used_nor_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let ours = identity();
    IdentityStore::new(folder.path()).lock().unwrap().save(&ours).unwrap();
    let other = IdentityStore::new(folder.path()).registration_id(&"dev-02".parse().unwrap()).lock().unwrap();
    assert_eq!(other.load().unwrap_err().code(), ErrorCode::CommonNameMismatch);
    assert_eq!(other.save(&ours).unwrap_err().code(), ErrorCode::CommonNameMismatch);
    drop(other);
    assert_eq!(leaf(&load(folder.path()).found().unwrap()), leaf(&ours));
}

#[test]
fn second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = IdentityStore::new(folder.path());
    let _locked = store.lock().unwrap();
    assert_eq!(store.lock().unwrap_err().code(), ErrorCode::File);
}
