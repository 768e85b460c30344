//! The key of one device; invalid keys and ids.

use super::run::{DEVICE_ID, DEVICE_KEY, Folder, GROUP_KEY, Run, dps, dps_line, mode_of, vectors};

#[test]
fn derive_key_prints_only_the_documented_key() {
    let folder = Folder::new();
    for content in [GROUP_KEY.to_owned(), format!("{GROUP_KEY}\n"), format!("\u{feff}{GROUP_KEY}\r\n")] {
        let key = folder.write("group.key", content);
        let done = dps(["derive-key", "--group-key-file", &key, "--registration-id", DEVICE_ID]).run().code(0);
        assert_eq!(done.stdout, format!("{DEVICE_KEY}\n"));
        assert_eq!(done.stderr, "");
    }
}

#[test]
fn derive_key_matches_all_vectors() {
    for vector in vectors("keys.json")["positive"].as_array().unwrap() {
        if vector["layer"] != "key" {
            continue;
        }
        let id = vector["registrationId"].as_str().unwrap();
        let done =
            dps(["derive-key", "--rid", id]).env("DPS_GROUP_KEY", vector["groupKey"].as_str().unwrap()).run().code(0);
        assert_eq!(done.stdout.trim_end(), vector["deviceKey"].as_str().unwrap(), "{}", vector["name"]);
    }
}

#[test]
fn invalid_keys_are_refused_with_the_reason() {
    let folder = Folder::new();
    let refused = vectors("refused.json");
    for case in refused["keys"].as_array().unwrap() {
        let key = folder.write("key", case["text"].as_str().unwrap());
        let line = ["derive-key", "--group-key-file", &key, "--rid", DEVICE_ID, "--json"];
        let error = dps(line).run().code(3).error();
        let message = error["message"].as_str().unwrap();
        let word = match case["problem"].as_str().unwrap() {
            "empty" => "empty",
            "length" => "bytes; a symmetric key has 16 to 64",
            "pem" => "PEM",
            "connection-string" => "connection string",
            "hex" => "hex",
            "not-base64" => "offset",
            "truncated" => "cut off",
            other => panic!("{other}"),
        };
        assert!(message.contains(word), "{}: {message}", case["name"]);
        assert!(message.contains(&key), "the file is not named: {message}");
        assert_eq!((error["name"].as_str(), error["family"].as_str()), (Some("invalid-key"), Some("configuration")));
    }
}

#[test]
fn invalid_id_is_refused_before_the_key_is_read() {
    let refused = vectors("refused.json");
    for case in refused["registrationIds"].as_array().unwrap() {
        let id = format!("--registration-id={}", case["text"].as_str().unwrap());
        let line = ["derive-key", "--group-key-file", "/nowhere/group.key", &id, "--json"];
        let error = dps(line).run().code(3).error();
        assert_eq!(error["name"], "invalid-registration-id", "{}", case["name"]);
    }
}

#[test]
fn missing_key_file_is_a_local_failure() {
    let line = ["derive-key", "--group-key-file", "/nowhere/group.key", "--rid", "a", "--json"];
    let error = dps(line).run().code(7).error();
    assert_eq!(error["name"], "file");
    assert!(error["message"].as_str().unwrap().contains("/nowhere/group.key"));
}

#[test]
fn raw_key_is_written_to_a_private_file_without_overwriting() {
    let folder = Folder::new();
    let key = folder.write("group.key", GROUP_KEY);
    let out = folder.file("device.bin");
    let line = ["derive-key", "--group-key-file", &key, "--rid", DEVICE_ID, "--raw", "--out", &out];
    let done = dps(line).run().code(0);
    assert_eq!(done.stdout, "");
    let raw = std::fs::read(&out).unwrap();
    assert_eq!((raw.len(), raw[0], mode_of(&out)), (32, 0x26, 0o600));

    let again = dps(line).run().code(7);
    assert!(again.stderr.contains("--force"), "{}", again.stderr);
    dps(line).arg("--force").run().code(0);
    assert_eq!(std::fs::read(&out).unwrap(), raw);

    dps_line("derive-key --raw --rid a", &["--group-key-file", &key]).run().code(2);
}

#[test]
fn upper_case_id_prints_a_warning_and_lowercase_converts_it() {
    let upper = DEVICE_ID.to_ascii_uppercase();
    let derive =
        |words: &[&str]| dps(["derive-key", "--rid", &upper]).args(words).env("DPS_GROUP_KEY", GROUP_KEY).run().code(0);
    let as_is = derive(&[]);
    assert!(as_is.stderr.contains("upper-case"), "{}", as_is.stderr);
    assert_ne!(as_is.stdout.trim_end(), DEVICE_KEY);
    let lowered = derive(&["--lowercase"]);
    assert_eq!((lowered.stdout.trim_end(), lowered.stderr.as_str()), (DEVICE_KEY, ""));
}

#[test]
fn derive_key_json_has_id_and_key() {
    let done = dps(["derive-key", "--rid", DEVICE_ID, "--json"]).env("DPS_GROUP_KEY", GROUP_KEY).run().code(0);
    let expected = serde_json::json!({ "registrationId": DEVICE_ID, "deviceKey": DEVICE_KEY });
    assert_eq!(done.json(), expected);
}
