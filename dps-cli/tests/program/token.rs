//! `dps token`.

use std::time::{SystemTime, UNIX_EPOCH};

use super::run::{DEVICE_ID, DEVICE_KEY, GROUP_KEY, Run, dps, dps_line};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn token_has_the_service_format_and_the_requested_expiry() {
    let before = now();
    let line = ["token", "--id-scope", "0ne00A1B2C3", "--registration-id", DEVICE_ID, "--ttl", "90s", "--json"];
    let done = dps(line).env("DPS_KEY", DEVICE_KEY).run().code(0);
    let result = done.json();
    let token = result["token"].as_str().unwrap();
    let expires = result["expiresAtUnix"].as_u64().unwrap();
    assert!(token.starts_with(&format!("SharedAccessSignature sr=0ne00A1B2C3%2Fregistrations%2F{DEVICE_ID}&sig=")));
    assert!(token.ends_with(&format!("&se={expires}&skn=registration")), "{token}");
    assert!((before + 90..=now() + 90).contains(&expires));
}

#[test]
fn token_of_a_group_key_equals_the_device_token() {
    // Two runs may fall into two seconds: compare tokens that expire in the same one.
    let token = |name: &str, key: &str| {
        let line = dps_line("token --scope 0ne1 --ttl 1d --json --rid", &[DEVICE_ID]).env(name, key).run().code(0);
        (line.json()["expiresAtUnix"].as_u64().unwrap(), line.json()["token"].as_str().unwrap().to_owned())
    };
    let pair = (0..10)
        .map(|_| (token("DPS_KEY", DEVICE_KEY), token("DPS_GROUP_KEY", GROUP_KEY)))
        .find(|(device, group)| device.0 == group.0)
        .expect("the clock ran past every pair");
    assert_eq!(pair.0, pair.1);
}

#[test]
fn token_checks_names_before_the_key() {
    let error = dps_line("token --scope a/b --rid x --key-file /nowhere --json", &[]).run().code(3).error();
    assert_eq!(error["name"], "invalid-id-scope");
    dps_line("token --scope 0ne1 --rid x --key-file /nowhere --ttl 90", &[]).run().code(2);
}

#[test]
fn token_for_a_hub_is_for_the_device_there() {
    let line = "token --hub contoso.azure-devices.net --ttl 90s --json --rid dev-01 --device-id";
    let result = dps_line(line, &["Dev#1"]).env("DPS_KEY", DEVICE_KEY).run().code(0).json();
    let token = result["token"].as_str().unwrap();
    assert!(
        token.starts_with("SharedAccessSignature sr=contoso.azure-devices.net%2Fdevices%2FDev%231&sig="),
        "{token}"
    );
    assert!(!token.contains("skn="), "{token}");
    assert_eq!((&result["hub"], &result["deviceId"]), (&"contoso.azure-devices.net".into(), &"Dev#1".into()));
    assert!(result.get("idScope").is_none() && result["expiresAtUnix"].is_u64());
    let named = |words: &[&str]| dps_line("token --json", words).env("DPS_KEY", DEVICE_KEY).run();
    assert_eq!(named(&["--hub", "h.test", "--rid", "dev-01"]).code(0).json()["deviceId"], "dev-01");
    named(&["--hub", "h.test"]).code(2);
    named(&["--hub", "h.test", "--scope", "0ne1", "--rid", "a"]).code(2);
    named(&["--scope", "0ne1", "--rid", "a", "--device-id", "b"]).code(2);
    assert_eq!(named(&["--hub", "https://h.test", "--rid", "a"]).code(3).error()["name"], "invalid-option");
    assert_eq!(
        named(&["--hub", "h.test", "--rid", "a", "--device-id", "a b"]).code(3).error()["name"],
        "invalid-option"
    );
}
