//! The state directory: what is restored after a restart, its permissions, and damaged files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::client::{Client, Site};
use dps_emulator::{Emulator, EmulatorOptions, IndividualEnrollment, StartError, StateError};

fn options(path: &Path) -> EmulatorOptions {
    EmulatorOptions::new().state_dir(path).assign_at_once(true)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn state_directory_keeps_enrollments_ca_and_policy_key() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a/state");
    let site = Site::start(options(&path)).await;
    let key = site.enroll("dev-01").await;
    let (ca, policy) = (site.emulator.ca_pem().to_owned(), policy_key(&site.emulator));
    assert_eq!(site.register("dev-01", &key).await.unwrap().status, 200);
    // Without a shutdown: what an admin call changed is on disk when it is answered.
    drop(site);

    assert_eq!(mode(&path), 0o700);
    for name in ["ca.json", "ca.pem", "policy.json", "enrollments.json"] {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    assert_eq!(fs::read_to_string(path.join("ca.pem")).unwrap(), ca);

    let emulator = restart(&path).await;
    assert_eq!((emulator.ca_pem(), policy_key(&emulator)), (ca.as_str(), policy));
    let site = Site { client: Client::for_emulator(&emulator), emulator };
    assert!(site.emulator.with_service(|service| service.record("dev-01").is_none()));
    assert_eq!(site.register("dev-01", &key).await.unwrap().status, 200);
    assert_eq!(site.admin("DELETE", "/enrollments/dev-01", "").await.status, 204);
    site.emulator.shutdown().await;
    let emulator = restart(&path).await;
    assert!(emulator.with_service(|service| service.enrollment("dev-01").is_none()));
}

#[tokio::test]
async fn unfinished_file_of_a_killed_process_is_removed_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let left = folder.path().join(".dps-a1b2c3.unfinished");
    fs::write(&left, "a key").unwrap();
    Emulator::start(options(folder.path())).await.unwrap().shutdown().await;
    assert!(!left.exists());
}

#[tokio::test]
async fn state_file_that_is_a_fifo_or_link_is_refused() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let folder = tempfile::tempdir().unwrap();
    Emulator::start(options(folder.path())).await.unwrap().shutdown().await;
    let (path, kept) = (folder.path().join("policy.json"), folder.path().join("kept"));
    fs::rename(&path, &kept).unwrap();
    std::os::unix::fs::symlink(&kept, &path).unwrap();
    assert!(matches!(Emulator::start(options(folder.path())).await, Err(StartError::State(StateError::File(_)))));
    fs::remove_file(&path).unwrap();
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert!(matches!(Emulator::start(options(folder.path())).await, Err(StartError::State(StateError::File(_)))));
}

fn policy_key(emulator: &Emulator) -> String {
    emulator.connection_string().expose().rsplit_once("SharedAccessKey=").unwrap().1.to_owned()
}

/// The lock of a dropped emulator is released when its tasks end, which may take a moment.
async fn restart(path: &Path) -> Emulator {
    let start = async {
        loop {
            match Emulator::start(options(path)).await {
                Err(StartError::State(StateError::InUse(_))) => tokio::task::yield_now().await,
                other => return other.unwrap(),
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), start).await.unwrap()
}

#[tokio::test]
async fn changes_by_code_are_saved() {
    let folder = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(options(folder.path())).await.unwrap();
    let now = emulator.now();
    for n in 0..50 {
        let enrollment = IndividualEnrollment::new(format!("dev-{n}"));
        emulator.with_service(|service| service.put_enrollment(now, enrollment)).unwrap();
    }
    emulator.flush().await.unwrap();
    let kept = fs::read_to_string(folder.path().join("enrollments.json")).unwrap();
    assert_eq!(kept.matches("registrationId").count(), 50);
    emulator.with_service(|service| service.delete_enrollment("dev-0"));
    emulator.shutdown().await;
    let kept = fs::read_to_string(folder.path().join("enrollments.json")).unwrap();
    assert_eq!(kept.matches("registrationId").count(), 49);
}

#[tokio::test]
async fn state_directory_is_locked_by_one_emulator() {
    let folder = tempfile::tempdir().unwrap();
    let first = Emulator::start(options(folder.path())).await.unwrap();
    let error = Emulator::start(options(folder.path())).await.unwrap_err();
    assert!(matches!(error, StartError::State(StateError::InUse(_))), "{error}");
    first.shutdown().await;
    Emulator::start(options(folder.path())).await.unwrap();
}

#[tokio::test]
async fn damaged_state_file_is_named_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(options(folder.path())).await;
    let key = site.enroll("dev-01").await;
    site.emulator.shutdown().await;
    let other = tempfile::tempdir().unwrap();
    Emulator::start(options(other.path())).await.unwrap().shutdown().await;

    let read = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let ca = read(folder.path(), "ca.json");
    let foreign: serde_json::Value = serde_json::from_str(&read(other.path(), "ca.json")).unwrap();
    let mut mixed: serde_json::Value = serde_json::from_str(&ca).unwrap();
    mixed["keyPem"] = foreign["keyPem"].clone();
    let enrollments = read(folder.path(), "enrollments.json");
    for (name, damaged) in [
        ("ca.json", "{".to_owned()),
        ("ca.json", ca.replace("BEGIN CERTIFICATE", "BEGIN NOTHING")),
        ("ca.json", ca.replace("BEGIN PRIVATE KEY", "BEGIN")),
        ("ca.json", mixed.to_string()),
        ("policy.json", String::new()),
        ("policy.json", r#"{"keyName":"other","primaryKey":"AAAAAAAAAAAAAAAAAAAAAA=="}"#.into()),
        ("policy.json", r#"{"keyName":"provisioningserviceowner","primaryKey":"AA=="}"#.into()),
        ("enrollments.json", enrollments[..enrollments.len() / 2].to_owned()),
        ("enrollments.json", enrollments.replace("\"format\":1", "\"format\":2")),
        ("enrollments.json", enrollments.replace("dev-01", "dev 01")),
        ("enrollments.json", enrollments.replace(&key, "")),
    ] {
        let path = folder.path().join(name);
        let good = fs::read(&path).unwrap();
        fs::write(&path, &damaged).unwrap();
        let error = Emulator::start(options(folder.path())).await.unwrap_err();
        assert!(matches!(error, StartError::State(StateError::Damaged { .. })), "{name}: {error}");
        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()) && text.contains("move it away"), "{text}");
        assert!(!text.contains(&key), "{text}");
        assert_eq!(fs::read_to_string(&path).unwrap(), damaged, "left as it was");
        fs::write(&path, good).unwrap();
    }
    Emulator::start(options(folder.path())).await.unwrap();
}

#[tokio::test]
async fn expiring_ca_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let first = Emulator::start(options(folder.path())).await.unwrap();
    let ca = first.ca_pem().to_owned();
    first.shutdown().await;
    let path = folder.path().join("ca.json");
    let mut kept: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    kept["notAfterUnixS"] = 1_767_225_600_u64.into();
    fs::write(&path, kept.to_string()).unwrap();
    let site = Site::start(options(folder.path())).await;
    assert_ne!(site.emulator.ca_pem(), ca);
    assert!(site.client.tls("localhost").await.is_ok());
}

#[tokio::test]
async fn unusable_state_directories_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = Emulator::start(options(folder.path())).await.unwrap_err();
    assert!(matches!(error, StartError::State(StateError::Exposed(_))), "{error}");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();

    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Emulator::start(options(&file)).await.unwrap_err();
    assert!(matches!(error, StartError::State(StateError::Directory { .. })), "{error}");
}

#[tokio::test]
async fn change_that_cannot_be_saved_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(options(folder.path())).await;
    site.enroll("dev-01").await;
    // A directory in the place of the file: no write can succeed, whatever the user.
    let path = folder.path().join("enrollments.json");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let body = r#"{"registrationId":"dev-02","attestation":{"type":"symmetricKey"}}"#;
    let answer = site.admin("PUT", "/enrollments/dev-02", body).await;
    assert_eq!((answer.status, &answer.json()["errorCode"]), (500, &500_000.into()));
    assert!(answer.json()["message"].as_str().unwrap().contains("enrollments.json"));
    fs::remove_dir(&path).unwrap();
    site.emulator.flush().await.unwrap();
    site.emulator.shutdown().await;
    let emulator = restart(folder.path()).await;
    assert!(emulator.with_service(|service| service.enrollment("dev-02").is_some()));
}
