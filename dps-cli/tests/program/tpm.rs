//! Devices with a TPM: the options, and with swtpm every command that uses one.

use std::os::unix::net::UnixListener;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::Value;

use super::raw;
use super::run::{CLOSED, Finished, Folder, Run, dps, dps_line, finish, send};
use super::service::Service;
use super::swtpm::Swtpm;

const HUB: &str = "hub-a.test";

#[test]
fn options_of_a_tpm_exclude_other_credentials_and_require_tpm() {
    let folder = Folder::new();
    let file = folder.write("file", "x");
    let refused = |line: &str, words: &[&str]| dps_line(line, words).run().code(2).stderr;
    for words in [
        &["--tpm", "--key-file", &file][..],
        &["--tpm", "--group-key-file", &file],
        &["--tpm", "--pkcs11-uri", "pkcs11:object=a"],
        &["--tpm", "--pkcs11-pin-file", &file],
        &["--tpm", "--cert-key-file", &file],
        &["--tpm", "--cert-file", &file, "--cert-key-file", &file],
    ] {
        refused(&format!("register --scope 0ne1 --rid dev-01 --endpoint {CLOSED}"), words);
    }
    for words in [
        ["--tpm-tcti", "device"],
        ["--tpm-endorsement-password-file", &file],
        ["--tpm-owner-password-file", &file],
        ["--tpm-auth-key-index", "0x100"],
    ] {
        for line in ["register", "lookup", "check", "token"] {
            let said = refused(&format!("{line} --scope 0ne1 --rid dev-01 --key-file {file}"), &words);
            assert!(said.contains(&format!("{} requires --tpm", words[0])), "{said}");
        }
    }
    let said = refused(&format!("register --scope 0ne1 --endpoint {CLOSED}"), &["--tpm-tcti", "device"]);
    assert!(said.contains("--tpm-tcti requires --tpm"), "{said}");
    refused("register --scope 0ne1 --tpm --tpm-auth-key-index x", &[]);
    let both = ["--tpm-endorsement-password-file", "-", "--tpm-owner-password-file", "-"];
    refused("register --scope 0ne1 --rid dev-01 --tpm", &both);
}

#[test]
fn what_can_never_work_with_a_tpm_is_refused_before_the_tpm_is_used() {
    let error = |line: &str| dps_line(&format!("{line} --json"), &[]).run().code(3).error();
    for (line, name) in [
        ("register --scope 0ne1 --tpm --tpm-tcti tabrmd", "invalid-tcti"),
        ("register --scope 0ne1 --tpm --tpm-auth-key-index 0x10001", "invalid-option"),
        ("register --scope 0ne1 --tpm --transport mqtt", "unsupported-by-transport"),
        ("lookup --scope 0ne1 --rid dev-01 --tpm --transport mqtt-ws", "unsupported-by-transport"),
        ("check --scope 0ne1 --tpm --transport mqtt", "unsupported-by-transport"),
        ("tpm identity --tpm-tcti mssim:port=2321", "invalid-tcti"),
        ("token --scope 0ne1 --rid dev-01 --tpm", "invalid-option"),
    ] {
        assert_eq!(error(line)["name"], name, "{line}");
    }
    let message = error("register --scope 0ne1 --tpm --transport mqtt")["message"].clone();
    assert!(message.as_str().unwrap().contains("over HTTPS only"), "{message}");
    let message = error("token --scope 0ne1 --rid dev-01 --tpm")["message"].clone();
    assert!(message.as_str().unwrap().contains("with --hub HOST"), "{message}");
}

/// A service with a hub, and a TPM that nothing has used.
fn scene() -> (Service, Swtpm) {
    (Service::with(|options| options.assign_at_once(true)), Swtpm::start())
}

fn tcti(swtpm: &Swtpm) -> String {
    swtpm.tpm().to_string()
}

/// What `dps tpm identity` prints.
fn identity(swtpm: &Swtpm) -> Value {
    dps(["tpm", "identity", "--json", "--tpm-tcti", &tcti(swtpm)]).run().code(0).json()
}

fn enroll(service: &Service, registration_id: &str, endorsement_key: &str) {
    let words = ["--rid", registration_id, "--endorsement-key", endorsement_key];
    service.as_owner("enrollment create --replace", &words).run().code(0);
}

/// The same scene with the TPM enrolled as `dev-01`.
fn enrolled() -> (Service, Swtpm) {
    let (service, swtpm) = scene();
    enroll(&service, "dev-01", identity(&swtpm)["endorsementKey"].as_str().unwrap());
    (service, swtpm)
}

/// A command line of `dev-01` with its TPM.
fn device(service: &Service, swtpm: &Swtpm, line: &str, words: &[&str]) -> Command {
    let mut command = service.as_device(line, "dev-01", words);
    command.args(["--tpm", "--tpm-tcti", &tcti(swtpm)]);
    command
}

fn token(swtpm: &Swtpm) -> Finished {
    let words = ["--hub", HUB, "--device-id", "dev-01", "--tpm", "--tpm-tcti", &tcti(swtpm), "--json"];
    dps_line("token", &words).run()
}

/// Whether the hub accepts the device with this output of `dps token`.
fn hub_accepts(service: &Service, token: &Value) -> bool {
    let now = service.emulator().now();
    let token = token["token"].as_str().unwrap();
    service.set(|service| service.hub_device(HUB, "dev-01").unwrap().accepts_token(now, token))
}

#[test]
#[ignore = "needs swtpm: cargo xtask tpm"]
fn tpm_registers_looks_up_and_signs_in_to_its_hub_with_a_new_key_each_time() {
    let (service, swtpm) = enrolled();
    assert_eq!(token(&swtpm).code(7).error()["name"], "tpm-key-missing");
    let unregistered = device(&service, &swtpm, "lookup --json", &[]).run().code(4).error();
    assert_eq!((&unregistered["name"], &unregistered["errorCode"]), (&"not-found".into(), &404_201.into()));

    let registered = device(&service, &swtpm, "register --json", &[]).run().code(0).json();
    assert_eq!((&registered["deviceId"], &registered["assignedHub"]), (&"dev-01".into(), &HUB.into()));
    let first = token(&swtpm).code(0).json();
    assert_eq!((&first["hub"], &first["deviceId"]), (&HUB.into(), &"dev-01".into()));
    assert!(hub_accepts(&service, &first));

    device(&service, &swtpm, "lookup", &[]).run().code(0);
    assert!(hub_accepts(&service, &token(&swtpm).code(0).json()), "a lookup leaves the key");

    device(&service, &swtpm, "register", &[]).run().code(0);
    assert!(!hub_accepts(&service, &first), "the key is a new one");
    assert!(hub_accepts(&service, &token(&swtpm).code(0).json()));
    let handles = swtpm.handles();
    assert_eq!(handles.persistent, [0x8100_0001, 0x8100_0100, 0x8101_0001]);
    assert!(handles.transient.is_empty() && handles.sessions.is_empty());

    let none = device(&service, &swtpm, "register --connection-string --json", &[]).run().code(3).error();
    assert!(none["message"].as_str().unwrap().contains("no connection string"), "{none}");
}

#[test]
#[ignore = "needs swtpm: cargo xtask tpm"]
fn identity_is_what_the_enrollment_needs_and_the_registration_id_is_optional() {
    let (service, swtpm) = scene();
    let identity = identity(&swtpm);
    let (id, key) = (identity["registrationId"].as_str().unwrap(), identity["endorsementKey"].as_str().unwrap());
    assert_eq!((id.len(), STANDARD.decode(key).unwrap()[..4].to_vec()), (52, vec![0x01, 0x3A, 0, 1]));
    assert!(swtpm.handles().persistent.is_empty(), "nothing is stored");
    let shown = dps(["tpm", "identity", "--tpm-tcti", &tcti(&swtpm)]).run().code(0).stdout;
    assert_eq!(shown, format!("registration id  {id}\nendorsement key  {key}\n"));
    enroll(&service, id, key);
    let mut register = dps(["register", "--json", "--tpm", "--tpm-tcti", &tcti(&swtpm)]);
    register.args(["--id-scope", service.emulator().id_scope(), "--endpoint", &service.emulator().endpoint()]);
    register.args(["--ca-file", &service.folder.file("ca.pem"), "--tpm-auth-key-index", "0x1234"]);
    assert_eq!(register.run().code(0).json()["registrationId"], id);
    assert!(swtpm.handles().persistent.contains(&0x8100_1234));
}

#[test]
#[ignore = "needs swtpm: cargo xtask tpm"]
fn failures_of_a_tpm_are_named_and_a_wrong_password_is_not_printed() {
    let (service, mut swtpm) = enrolled();
    let register = |swtpm: &Swtpm, words: &[&str]| device(&service, swtpm, "register --json", words).run();
    let absent = ["--tpm", "--tpm-tcti", "swtpm:path=/nonexistent"];
    let missing = service.as_device("register --json", "dev-01", &absent).run().code(7).error();
    assert_eq!(missing["name"], "tpm-unavailable");
    assert_eq!(missing["hints"].as_array().unwrap().len(), 1, "{missing}");

    swtpm.send(&raw::change_password(raw::ENDORSEMENT, "", "right-4711"));
    let wrong = service.folder.write("wrong", "wrong-0815\n");
    for words in [&[][..], &["--tpm-endorsement-password-file", &wrong]] {
        let before = swtpm.handles();
        let refused = register(&swtpm, words).code(7);
        assert_eq!(refused.error()["name"], "tpm-wrong-password");
        assert!(!refused.stdout.contains("0815") && !refused.stderr.contains("0815"));
        assert_eq!(swtpm.handles(), before);
    }
    let right = service.folder.write("right", "right-4711\n");
    register(&swtpm, &["--tpm-endorsement-password-file", &right]).code(0);
    let mut from_stdin = device(&service, &swtpm, "register", &["--tpm-endorsement-password-file", "-"]);
    from_stdin.run_with_input(b"right-4711\n").code(0);

    // Another TPM, of which the service knows nothing.
    swtpm = Swtpm::start();
    let unknown = register(&swtpm, &[]).code(4).error();
    assert_eq!((&unknown["name"], &unknown["errorCode"]), (&"not-found".into(), &404_201.into()));
    assert_eq!(unknown["hints"][1], "compare-endorsement-key");
}

fn found<'r>(report: &'r Value, id: &str) -> &'r Value {
    report["checks"].as_array().unwrap().iter().find(|check| check["id"] == id).unwrap()
}

#[test]
#[ignore = "needs swtpm: cargo xtask tpm"]
fn check_reports_the_tpm_and_what_the_service_replies_to_it() {
    let (service, swtpm) = enrolled();
    let check = |words: &[&str]| device(&service, &swtpm, "check --json", words).run();
    let before = check(&[]).code(0).json();
    assert!(found(&before, "registration")["summary"].as_str().unwrap().contains("has not registered yet"));
    let tpm = found(&before, "tpm");
    assert_eq!(tpm["facts"]["status"]["inLockout"], false);
    assert_eq!(tpm["facts"]["identity"], identity(&swtpm));
    let evidence = tpm["evidence"].to_string();
    for words in [
        "reached by swtpm:path=",
        "0 of 3 failed authorizations",
        "has no certificate",
        "derived from its endorsement key is",
    ] {
        assert!(evidence.contains(words), "{words}: {evidence}");
    }
    device(&service, &swtpm, "register", &[]).run().code(0);
    let key = swtpm.public(0x8100_0100);
    let after = check(&[]).code(0).json();
    assert!(found(&after, "registration")["summary"].as_str().unwrap().contains("assigned to hub-a.test as dev-01"));
    assert!(found(&after, "authentication")["summary"].as_str().unwrap().contains("activated the challenge"));
    assert_eq!(swtpm.public(0x8100_0100), key);
    assert!(after["checks"].as_array().unwrap().iter().all(|check| check["id"] != "key"));
}

#[test]
#[ignore = "needs swtpm: cargo xtask tpm"]
fn check_names_what_is_wrong_with_a_tpm_in_its_first_line() {
    let (service, swtpm) = enrolled();
    let first_line = |done: Finished| done.code(10).stdout.lines().next().unwrap().to_owned();
    let absent = ["--tpm", "--tpm-tcti", "swtpm:path=/nonexistent"];
    let said = first_line(service.as_device("check", "dev-01", &absent).run());
    assert!(said.contains("the TPM cannot be reached") && said.contains("/nonexistent"), "{said}");

    let said = first_line(device(&service, &swtpm, "check --clock-offset=-7200", &[]).run());
    assert!(said.contains("this device's clock is"), "{said}");

    let other = Swtpm::start();
    let unknown = device(&service, &other, "check", &[]).run().code(10).stdout;
    assert!(unknown.starts_with("cause: no enrollment of the id scope has this registration id"), "{unknown}");
    assert!(unknown.contains("  1. create an individual enrollment with what dps tpm identity prints"), "{unknown}");

    // A storage root key whose failed authorizations count, unlike that of a registration.
    let locked = Swtpm::start();
    enroll(&service, "dev-01", identity(&locked)["endorsementKey"].as_str().unwrap());
    let storage_key = locked.send(&raw::create_storage_key());
    let transient = u32::from_be_bytes(storage_key.body[..4].try_into().unwrap());
    assert_eq!(locked.send(&raw::evict_control(transient, 0x8100_0001)).code, 0);
    assert_eq!(locked.send(&raw::command(0x165, &[], None, &raw::words(&[transient]))).code, 0);
    assert_eq!(locked.send(&raw::lock_out_after(1)).code, 0);
    // The first use of such a key is answered by TPM_RC_RETRY.
    for _ in 0..2 {
        assert_ne!(locked.send(&raw::wrong_password(0x8100_0001)).code, 0);
    }
    let report = device(&service, &locked, "check --json", &[]).run().code(10).json();
    assert_eq!(found(&report, "tpm")["facts"]["status"]["inLockout"], true);
    assert_eq!(report["cause"], "tpm");
    assert!(report["headline"].as_str().unwrap().contains("in lockout"), "{report}");

    swtpm.send(&raw::change_password(raw::ENDORSEMENT, "", "right-4711"));
    let said = first_line(device(&service, &swtpm, "check", &[]).run());
    assert!(said.contains("the TPM refused the password"), "{said}");
}

#[test]
#[ignore = "needs swtpm: cargo xtask tpm"]
fn edge_provision_registers_with_the_tpm_of_the_configuration() {
    let (service, swtpm) = enrolled();
    swtpm.send(&raw::change_password(raw::ENDORSEMENT, "", "right-4711"));
    let config = |password: &str| {
        let text = format!(
            "auto_reprovisioning_mode = \"AlwaysOnStartup\"\n[provisioning]\nsource = \"dps\"\nid_scope = \"{}\"\n\
             [provisioning.attestation]\nmethod = \"tpm\"\nregistration_id = \"dev-01\"\n\
             [tpm]\ntcti = \"{}\"\nauth_key_index = 0x200\n\
             [tpm.hierarchy_authorization]\nendorsement = \"{password}\"\n",
            service.emulator().id_scope(),
            tcti(&swtpm)
        );
        service.folder.write("config.toml", text)
    };
    let provision = |config: &str| {
        let mut command = dps(["edge", "provision", "--json", "--config", config]);
        command.args(["--endpoint", &service.emulator().endpoint(), "--state-dir", &service.folder.file("state")]);
        command.args(["--ca-file", &service.folder.file("ca.pem")]);
        command.run()
    };
    let refused = provision(&config("wrong-0815"));
    assert_eq!(refused.error()["name"], "tpm-wrong-password");
    assert!(!refused.stdout.contains("0815") && !refused.stderr.contains("0815"));

    let config = config("right-4711");
    assert_eq!(provision(&config).code(0).json()["origin"], "new");
    let key = swtpm.public(0x8100_0200);
    assert_eq!(provision(&config).code(0).json()["origin"], "unchanged");
    assert_ne!(swtpm.public(0x8100_0200), key, "each registration has a new key for the hub");
    let words = ["--tpm-auth-key-index", "512", "--hub", HUB, "--device-id", "dev-01", "--json"];
    let signed = dps_line(&format!("token --tpm --tpm-tcti {}", tcti(&swtpm)), &words).run().code(0).json();
    assert!(hub_accepts(&service, &signed));
    // Linting and showing use no TPM, and show no password.
    drop(swtpm);
    let shown = dps(["edge", "show", &config]).run().code(0);
    assert!(!shown.stdout.contains("4711"));
    dps(["edge", "lint", &config]).run();
}

#[test]
fn tpm_that_hangs_delays_neither_the_deadline_nor_an_interruption() {
    let service = Service::start();
    // Connections wait for a program that accepts them.
    let socket = service.folder.file("tpm.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let tcti = format!("swtpm:path={socket}");
    let command = |line: &str| service.as_device(line, "dev-01", &["--tpm", "--tpm-tcti", &tcti]);
    let late = command("register --timeout 1s --json").run().code(7).error();
    assert_eq!(late["name"], "signer-timeout", "{late}");
    listener.accept().unwrap();
    for line in ["register --timeout 1h --json", "lookup --timeout 1h --json", "check --timeout 1h --json"] {
        let child = command(line).start();
        let _connection = listener.accept().unwrap();
        send(&child, Signal::INT);
        assert_eq!(finish(child).code(130).error()["name"], "cancelled");
    }
    let child = dps(["tpm", "identity", "--json", "--timeout", "1h", "--tpm-tcti", &tcti]).start();
    let _connection = listener.accept().unwrap();
    send(&child, Signal::INT);
    finish(child).code(130);
}

#[test]
#[ignore = "needs swtpm: cargo xtask tpm"]
fn edge_configuration_of_1_1_uses_the_system_s_tpm() {
    let (service, _swtpm) = scene();
    let text = "provisioning:\n  source: \"dps\"\n  global_endpoint: \"https://dps.test\"\n  scope_id: \"0ne00A1B2C3\"\n  \
                attestation:\n    method: \"tpm\"\n    registration_id: \"dev-01\"\n";
    let config = service.folder.write("config.yaml", text);
    let words = ["--state-dir", &service.folder.file("state"), "--endpoint", &service.emulator().endpoint()];
    let mut command = dps_line("edge provision --json --config", &[&config]);
    let error = command.args(words).args(["--ca-file", &service.folder.file("ca.pem")]).run().error();
    // This machine may have one, which is not enrolled.
    let named = ["tpm-unavailable", "tpm-lost", "not-found"].iter().any(|name| error["name"] == *name);
    assert!(named, "{error}");
}
