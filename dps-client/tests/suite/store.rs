//! The assignment store: whole or not at all, nobody else's business, and never lost to a damaged file.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use dps_client::{AssignmentStore, Loaded, StoredAssignment};
use dps_core::ErrorCode;

fn assignment(hub: &str) -> StoredAssignment {
    StoredAssignment::new("0ne00A1B2C3".parse().unwrap(), "dev-01".parse().unwrap(), hub, "dev-01")
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn saved_assignment_is_loaded_and_private() {
    let folder = tempfile::tempdir().unwrap();
    let store = AssignmentStore::new(folder.path().join("a.json")).lock().unwrap();
    for hub in ["hub-a.test", "hub-b.test"] {
        store.save(&assignment(hub)).unwrap();
        assert_eq!(store.load().unwrap(), Loaded::Found(assignment(hub)));
    }
    let mode = fs::metadata(folder.path().join("a.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(names(folder.path()), ["a.json", "a.json.lock"], "nothing is left behind");
    store.clear().unwrap();
    store.clear().unwrap();
    assert_eq!(store.load().unwrap(), Loaded::Nothing);
}

#[test]
fn damaged_file_is_set_aside_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let store = AssignmentStore::new(&path).lock().unwrap();
    let good = serde_json::json!({ "version": 2, "idScope": "s", "registrationId": "r", "hub": "h", "deviceId": "d" });
    let named = |hub: &str, device: &str| {
        serde_json::json!({ "version": 1, "idScope": "s", "registrationId": "r", "hub": hub, "deviceId": device })
            .to_string()
    };
    let foreign =
        [named("a;HostName=evil.test", "d"), named("h\r\n", "d"), named("h", "../d"), named("h", &"d".repeat(129))];
    let damaged = [String::new(), "{".into(), "[]".into(), good.to_string(), "x".repeat(20_000)];
    for damaged in damaged.into_iter().chain(foreign) {
        fs::write(&path, &damaged).unwrap();
        let Loaded::SetAside { path: aside, problem } = store.load().unwrap() else { panic!("{damaged:.20}") };
        assert!(!problem.is_empty());
        assert_eq!(fs::read_to_string(&aside).unwrap(), damaged, "nothing is lost");
        assert_eq!(store.load().unwrap(), Loaded::Nothing);
        store.save(&assignment("hub-a.test")).unwrap();
    }
}

#[test]
fn links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, target) = (folder.path().join("a.json"), folder.path().join("target"));
    fs::write(&target, "precious").unwrap();
    symlink(&target, &path).unwrap();
    let store = AssignmentStore::new(&path).lock().unwrap();
    assert_eq!(store.load().unwrap_err().code(), ErrorCode::File);
    assert_eq!(store.save(&assignment("hub-a.test")).unwrap_err().code(), ErrorCode::File);
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn second_lock_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = AssignmentStore::new(folder.path().join("a.json"));
    let lock = store.lock().unwrap();
    let error = store.lock().unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    drop(lock);
    store.lock().unwrap();
}

#[test]
fn missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = AssignmentStore::new(folder.path().join("gone/a.json"));
    let error = store.lock().unwrap_err();
    assert_eq!(error.code(), ErrorCode::File);
    assert!(error.to_string().contains("gone"), "{error}");
}
