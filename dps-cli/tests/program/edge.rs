//! `dps edge`: an IoT Edge gateway's configuration, from the files of Microsoft's article to an assigned hub.

use std::path::Path;

use dps_emulator::{AllocationPolicy, EnrollmentGroup, IndividualEnrollment};
use serde_json::Value;

use super::run::{CLOSED, DEVICE_ID, DEVICE_KEY, Finished, Folder, GROUP_KEY, Run, dps, dps_line, mode_of, set_mode};
use super::service::Service;

/// The file of the article for 1.2, as printed.
const TOML: &str = r#"# DPS provisioning with symmetric key
[provisioning]
source = "dps"
global_endpoint = "https://global.azure-devices-provisioning.net"
id_scope = "PASTE_YOUR_SCOPE_ID_HERE"

[provisioning.attestation]
method = "symmetric_key"
registration_id = "PASTE_YOUR_REGISTRATION_ID_HERE"

symmetric_key = "PASTE_YOUR_PRIMARY_KEY_OR_DERIVED_KEY_HERE"
"#;
/// The file of the article for 1.1, as printed.
const YAML: &str = r#"# DPS TPM provisioning configuration
provisioning:
  source: "dps"
  global_endpoint: "https://global.azure-devices-provisioning.net"
  scope_id: "PASTE_YOUR_SCOPE_ID_HERE"
  attestation:
    method: "symmetric_key"
    registration_id: "PASTE_YOUR_REGISTRATION_ID_HERE"
    symmetric_key: "PASTE_YOUR_PRIMARY_KEY_OR_DERIVED_KEY_HERE"
#  always_reprovision_on_startup: true
#  dynamic_reprovisioning: false
"#;

fn filled_in(article: &str, scope: &str, key: &str) -> String {
    article
        .replace("PASTE_YOUR_SCOPE_ID_HERE", scope)
        .replace("PASTE_YOUR_REGISTRATION_ID_HERE", DEVICE_ID)
        .replace("PASTE_YOUR_PRIMARY_KEY_OR_DERIVED_KEY_HERE", key)
}

/// A gateway of a service: its configuration and its backup.
struct Gateway<'s> {
    service: &'s Service,
    config: String,
    state: String,
}

impl<'s> Gateway<'s> {
    fn new(service: &'s Service, name: &str, config: &str) -> Self {
        let config = service.folder.write(name, config);
        Self { service, config, state: service.folder.file(&format!("{name}.state")) }
    }

    fn provision(&self, words: &[&str]) -> Finished {
        self.provision_at(&self.service.emulator().endpoint(), words)
    }

    fn provision_at(&self, endpoint: &str, words: &[&str]) -> Finished {
        let mut command = dps(["edge", "provision", "--json", "--config", &self.config, "--endpoint", endpoint]);
        command.args(["--ca-file", &self.service.folder.file("ca.pem")]).args(words);
        if !words.contains(&"--daemon-dir") {
            command.args(["--state-dir", &self.state]);
        }
        command.run()
    }
}

fn key(text: &str) -> dps_emulator::SymmetricKey {
    dps_emulator::SymmetricKey::from_base64(text).unwrap()
}

#[test]
fn edge_provision_with_documented_files_assigns_the_gateway() {
    for (name, article) in [("config.toml", TOML), ("config.yaml", YAML)] {
        // An individual enrollment's own key, then one derived from a group's.
        let service = Service::with(|options| options.assign_at_once(true));
        let scope = service.emulator().id_scope().to_owned();
        service.enroll(IndividualEnrollment::new(DEVICE_ID).device_id("gateway-7").iot_edge(true));
        let own = service.folder.read("device.key");
        let gateway = Gateway::new(&service, name, &filled_in(article, &scope, &own));
        let done = gateway.provision(&[]).code(0).json();
        assert_eq!((&done["origin"], &done["deviceId"]), (&"new".into(), &"gateway-7".into()));
        let shown = service.as_owner("enrollment show --json --registration-id", &[DEVICE_ID]).run().code(0).json();
        let state = &shown["enrollment"]["registrationState"];
        assert_eq!((&state["status"], &state["deviceId"]), (&"assigned".into(), &"gateway-7".into()), "{shown}");

        let service = Service::with(|options| options.assign_at_once(true));
        service.enroll_group(EnrollmentGroup::new("line-1").primary_key(key(GROUP_KEY)).iot_edge(true));
        let gateway = Gateway::new(&service, name, &filled_in(article, &scope, DEVICE_KEY));
        let done = gateway.provision(&[]).code(0).json();
        assert_eq!((&done["origin"], &done["assignedHub"]), (&"new".into(), &"hub-a.test".into()));
        let shown = service.as_owner("enrollment-group show --json --group-id line-1", &[]).run().code(0).json();
        assert_eq!(shown["registrations"][0]["deviceId"], DEVICE_ID, "{shown}");
        assert_eq!(shown["registrations"][0]["status"], "assigned");
    }
}

#[test]
fn edge_provision_follows_each_mode_with_and_without_the_service() {
    for (name, article, mode, asks) in [
        ("config.toml", TOML, "", false),
        ("config.toml", TOML, "auto_reprovisioning_mode = \"AlwaysOnStartup\"\n", true),
        ("config.toml", TOML, "auto_reprovisioning_mode = \"OnErrorOnly\"\n", false),
        ("config.yaml", YAML, "", true),
        ("config.yaml", YAML, "  always_reprovision_on_startup: false\n", false),
    ] {
        let service = Service::with(|options| options.assign_at_once(true).hub("hub-a.test", 1).hub("hub-b.test", 1));
        let pinned = |hub| {
            let enrollment = IndividualEnrollment::new(DEVICE_ID).primary_key(key(DEVICE_KEY));
            service.enroll(enrollment.allocation(AllocationPolicy::Static, [hub]))
        };
        pinned("hub-a.test");
        let text = filled_in(article, service.emulator().id_scope(), DEVICE_KEY);
        let text = if name == "config.toml" { mode.to_owned() + &text } else { text + mode };
        let gateway = Gateway::new(&service, name, &text);
        let calls = || service.set(|service| service.counters().registers);

        let would = gateway.provision(&["--dry-run"]).code(0).json();
        assert!(would["would"].as_str().unwrap().starts_with("register"), "{would}");
        assert!((calls(), Path::new(&gateway.state).exists()) == (0, false), "a dry run did something");
        let error = gateway.provision_at(CLOSED, &["--timeout", "1s"]).code(5).error();
        let message = error["message"].as_str().unwrap();
        assert!(
            error["name"] == "connect" && message.contains("no usable backup") && message.contains("service"),
            "{error}"
        );

        let first = gateway.provision(&[]).code(0).json();
        assert_eq!((&first["origin"], calls()), (&"new".into(), 1), "{first}");
        let again = gateway.provision(&[]).code(0).json();
        assert_eq!(again["origin"], if asks { "unchanged" } else { "backup" }, "{mode}");
        assert_eq!(calls(), if asks { 2 } else { 1 });

        let offline = gateway.provision_at(CLOSED, &["--timeout", "1s"]).code(0).json();
        assert_eq!((&offline["origin"], &offline["assignedHub"]), (&"backup".into(), &"hub-a.test".into()));
        assert_eq!(offline["notes"].as_array().unwrap().is_empty(), !asks, "{offline}");

        pinned("hub-b.test");
        let moved = gateway.provision(&[]).code(0).json();
        assert_eq!(moved["assignedHub"], if asks { "hub-b.test" } else { "hub-a.test" });
        assert_eq!((&moved["hubChanged"], &moved["deviceIdChanged"]), (&asks.into(), &false.into()));
        assert_eq!(moved["previousHub"], "hub-a.test");
        assert!(!moved["next"].as_array().unwrap().is_empty());
    }
}

#[test]
fn edge_provision_uses_daemon_dir_only_on_request() {
    let service = Service::with(|options| options.assign_at_once(true));
    service.enroll(IndividualEnrollment::new(DEVICE_ID).primary_key(key(DEVICE_KEY)));
    let text = filled_in(TOML, service.emulator().id_scope(), DEVICE_KEY);
    let gateway = Gateway::new(&service, "config.toml", &text);
    let home = service.folder.file("identityd");
    std::fs::create_dir(&home).unwrap();
    gateway.provision(&["--daemon-dir", &home]).code(0);
    let written = std::fs::read_to_string(Path::new(&home).join("device_info")).unwrap();
    assert!(written.starts_with("hub_name = \"hub-a.test\"\n"), "{written}");
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 1);
    assert!(!Path::new(&gateway.state).exists());
    let people = dps(["edge", "provision", "--config", &gateway.config, "--daemon-dir", &home]).run().code(0);
    assert!(people.stdout.contains("restored from the backup") && people.stdout.contains("sudo iotedge config apply"));
    assert!(people.stderr.contains("the daemons would reject"), "{}", people.stderr);
}

#[test]
fn lint_of_a_directory_reports_stray_files() {
    let folder = Folder::new();
    let etc = folder.path().join("aziot");
    for (name, text) in [
        ("config.toml", "[provisioning]\nsource = \"none\"\n"),
        ("identityd/config.d/00-super.toml", ""),
        ("identityd/config.d/my-principals.toml", ""),
        ("keyd/config.toml", ""),
        ("keyd/config.d/readme.txt", ""),
    ] {
        let file = etc.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let etc = etc.to_str().unwrap();
    let done = dps(["edge", "lint", etc]).run().code(10);
    let places: Vec<&str> = done.stdout.lines().filter_map(|line| line.split("]: ").next()).collect();
    let expected = [
        format!("{etc}/config.toml:2:10: warning[not-handled"),
        format!("{etc}/identityd/config.d/my-principals.toml:1:1: warning[stray-file"),
        format!("{etc}/keyd/config.toml:1:1: warning[stray-file"),
    ];
    assert_eq!(places, expected, "{}", done.stdout);
    let json = dps(["edge", "lint", etc, "--json"]).run().code(10).json();
    assert_eq!(json["findings"][2]["file"], format!("{etc}/keyd/config.toml"));

    let empty = dps(["edge", "lint", folder.path().to_str().unwrap()]).run().code(7);
    assert!(empty.stderr.contains("neither config.toml nor config.yaml"), "{}", empty.stderr);
}

#[test]
fn lint_lists_what_an_upgrade_changes() {
    let folder = Folder::new();
    let file = folder.write(
        "config.toml",
        "local_gateway_hostname = \"parent.example\"\ncloud_timeout_sec = 30\nhostname = 1\n[provisioning]\nsource = \"none\"\n",
    );
    let of = |words: &[&str]| {
        let done = dps(["edge", "lint", &file].into_iter().chain(words.iter().copied())).run().code(10);
        let ids = done.stdout.lines().map(|line| line.split(['[', ']']).nth(1).unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(of(&["--from", "1.4.8", "--edge-version", "1.6"]), ["now-read", "cloud-timeout"]);
    assert_eq!(of(&["--from", "1.6", "--edge-version", "1.4.8"]), ["too-new-key", "now-accepted"]);
    assert_eq!(dps(["edge", "lint", &file, "--from", "1.5"]).run().code(0).stdout, "");
    let other = dps(["edge", "lint", &file, "--from", "1.1"]).run().code(2);
    assert!(other.stderr.contains("IoT Edge 1.1 reads config.yaml"), "{}", other.stderr);
}

#[test]
fn lint_reports_file_line_and_column() {
    let folder = Folder::new();
    let file = folder.write("config.toml", TOML);
    let done = dps(["edge", "lint", &file]).run().code(10);
    let ids: Vec<&str> = done.stdout.lines().filter_map(|line| line.split(['[', ']']).nth(1)).collect();
    assert_eq!(ids, ["placeholder", "placeholder", "bare-symmetric-key", "placeholder"]);
    assert!(done.stdout.starts_with(&format!("{file}:5:12: error[placeholder]: ")), "{}", done.stdout);
    let json = dps(["edge", "lint", &file, "--json"]).run().code(10).json();
    assert_eq!((&json["form"], &json["edgeVersion"]), (&"config.toml".into(), &"1.6".into()));
    assert_eq!(json["findings"][2]["id"], "bare-symmetric-key");
    assert_eq!((&json["findings"][2]["line"], &json["findings"][2]["column"]), (&11.into(), &17.into()));

    let good = filled_in(TOML, "0ne00A1B2C3", DEVICE_KEY).replace(
        &format!("symmetric_key = \"{DEVICE_KEY}\""),
        &format!("symmetric_key = {{ value = \"{DEVICE_KEY}\" }}"),
    );
    let file = folder.write("config.toml", format!("cloud_timeout_sec = 10\n{good}"));
    assert!(dps(["edge", "lint", &file]).run().code(10).stdout.contains("[cloud-timeout]"));
    let by_1_3 = dps(["edge", "lint", &file, "--edge-version", "1.3"]).run().code(0).stdout;
    assert!(by_1_3.lines().count() == 1 && by_1_3.contains("note[out-of-service]"), "{by_1_3}");
    assert!(dps(["edge", "lint", &file, "--edge-version", "1.2.1"]).run().code(10).stdout.contains("[too-new-key]"));
    dps(["edge", "lint", &file, "--edge-version", "9"]).run().code(2);
    dps(["edge", "lint", &folder.file("gone")]).run().code(7);

    let key_file = folder.write("device.key", DEVICE_KEY);
    set_mode(Path::new(&key_file), 0o644);
    let of_file = good.replace(&format!("value = \"{DEVICE_KEY}\""), &format!("uri = \"file://{key_file}\""));
    let found = dps(["edge", "lint", &folder.write("config.toml", of_file)]).run().code(10).stdout;
    assert!(found.contains("[base64-key-file]") && found.contains("[key-file-mode]"), "{found}");
}

#[test]
fn convert_writes_a_private_file_and_reports_changes() {
    let folder = Folder::new();
    let file = folder.write("config.yaml", filled_in(YAML, "0ne00A1B2C3", DEVICE_KEY));
    let out = folder.file("config.toml");
    let done = dps(["edge", "convert", &file, "--out", &out]).run().code(10);
    assert!(done.stdout.contains(":2:1: warning[old-default]: "), "{}", done.stdout);
    assert_eq!(mode_of(&out), 0o600);
    assert!(dps(["edge", "convert", &file, "--out", &out]).run().code(7).stderr.contains("already"));
    assert!(dps(["edge", "lint", &out]).run().code(0).stdout.is_empty());
    assert!(dps(["edge", "convert", &out, "--out", &file, "--force"]).run().code(3).stderr.contains("already"));
    let shown = dps(["edge", "show", &out, "--json"]).run().code(0).json();
    assert_eq!((&shown["source"], &shown["reprovisioning"]["mode"]), (&"dps".into(), &"OnErrorOnly".into()));
    let windows = dps(["edge", "windows", &out]).run().code(0).stdout;
    assert!(windows.contains("Provision-EflowVm") && windows.contains("Initialize-IoTEdge"), "{windows}");
}

#[test]
fn convert_of_refused_file_names_the_position_and_writes_nothing() {
    let folder = Folder::new();
    let out = folder.file("config.toml");
    let good = filled_in(YAML, "0ne00A1B2C3", DEVICE_KEY);
    let id = format!("\"{DEVICE_ID}\"");
    for (text, place) in [
        (good.replace(&id, "0012345"), ":8:22: error[wrong-type]: `registration_id`"),
        (format!("parent_hostname: \"parent-1\"\n{good}"), ":1:18: error[dps-behind-parent]: `parent_hostname`"),
        ("provisioning:\n  source: \"external\"\n  endpoint: \"http://x.test\"\n".to_owned(), "external"),
    ] {
        let file = folder.write("config.yaml", text);
        let stderr = dps(["edge", "convert", &file, "--out", &out]).run().code(3).stderr;
        let named = if place.starts_with(':') { format!("{file}{place}") } else { place.to_owned() };
        assert!(stderr.contains(&named), "{stderr}");
        assert!(!Path::new(&out).exists());
    }
}

#[test]
fn set_changes_one_line_and_keeps_the_mode() {
    let folder = Folder::new();
    let before = filled_in(TOML, "0ne00A1B2C3", DEVICE_KEY).replace('\n', "\r\n");
    let file = folder.write("config.toml", &before);
    set_mode(Path::new(&file), 0o640);
    dps(["edge", "set", &file, "provisioning.id_scope", "0ne00D4E5F6"]).run().code(0);
    let after = folder.read("config.toml");
    let different: Vec<_> = before.lines().zip(after.lines()).filter(|(old, new)| old != new).collect();
    assert_eq!(different, [("id_scope = \"0ne00A1B2C3\"", "id_scope = \"0ne00D4E5F6\"")]);
    assert_eq!((after.len(), mode_of(&file)), (before.len(), 0o640));

    // A key is read from a file or stdin, and written as the table that the daemons read.
    let name = "provisioning.attestation.symmetric_key";
    let refused = dps(["edge", "set", &file, name, GROUP_KEY]).run().code(2);
    assert!(refused.stderr.contains("--value-file") && !refused.stderr.contains(GROUP_KEY));
    dps(["edge", "set", &file, name, "-"]).run_with_input(GROUP_KEY.as_bytes()).code(0);
    assert!(folder.read("config.toml").contains(&format!("symmetric_key = {{ value = \"{GROUP_KEY}\" }}\r\n")));
    assert!(dps(["edge", "lint", &file]).run().code(0).stdout.is_empty());

    let error = dps(["edge", "set", &file, "provisioning.id_scop", "x", "--json"]).run().code(3).error();
    assert!(error["message"].as_str().unwrap().contains("did you mean `id_scope`"), "{error}");
    let link = folder.file("link.toml");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    dps(["edge", "set", &link, "provisioning.id_scope", "0ne1"]).run().code(7);
    assert!(!folder.read("config.toml").contains("0ne1"));
}

#[test]
fn lint_without_version_warns_about_refusals_of_the_previous_version() {
    let folder = Folder::new();
    let text = format!(
        "[provisioning]\nsource = \"dps\"\nglobal_endpoint = \"https://global.azure-devices-provisioning.net\"\n\
         id_scope = \"0ne00A1B2C3\"\n\n[provisioning.attestation]\nmethod = \"symmetric_key\"\n\
         registration_id = \"dev-01\"\nsymmetric_key = {{\n  value = \"{DEVICE_KEY}\",\n}}\n"
    );
    let file = folder.write("config.toml", &text);
    let warned = dps(["edge", "lint", &file]).run().code(10).stdout;
    assert!(warned.contains(":9:17: warning[refused-before]: ") && warned.contains("IoT Edge 1.5 "), "{warned}");
    assert!(dps(["edge", "lint", &file, "--edge-version", "1.6"]).run().code(0).stdout.is_empty());
    let refused = dps(["edge", "lint", &file, "--edge-version", "1.5"]).run().code(10).stdout;
    assert!(refused.contains(":9:17: error[syntax]: "), "{refused}");
}

#[test]
fn edge_commands_never_print_keys() {
    let folder = Folder::new();
    let good = filled_in(TOML, "0ne00A1B2C3", DEVICE_KEY);
    let files = [
        ("config.toml", good.clone()),
        ("config.toml", good.replace("symmetric_key = \"", "symmetric_key = ")),
        ("config.toml", good.replace(DEVICE_ID, DEVICE_KEY)),
        ("config.toml", good.replace("id_scope = \"0ne00A1B2C3\"", DEVICE_KEY)),
        ("config.toml", good.replace("\"dps\"", &format!("\"{DEVICE_KEY}"))),
        ("config.toml", good.replace(DEVICE_KEY, &format!("HostName=h.test;SharedAccessKey={DEVICE_KEY}"))),
        ("config.yaml", filled_in(YAML, "0ne00A1B2C3", DEVICE_KEY)),
        ("config.yaml", filled_in(YAML, "0ne00A1B2C3", DEVICE_KEY).replace("symmetric_key: \"", "symmetric_key: '")),
        ("config.yaml", filled_in(YAML, DEVICE_KEY, DEVICE_KEY).replace("  scope_id", "\tscope_id")),
    ];
    for (name, text) in files {
        let file = folder.write(name, text);
        let out = folder.file("out.toml");
        for line in ["lint", "show", "windows", "convert --out OUT --force", "set FILE provisioning.source dpss"] {
            let set = line.contains("FILE");
            let line = format!("edge {}", line.replace("OUT", &out).replace(" FILE", &format!(" {file}")));
            for words in [&[][..], &["--json"], &["-vvv"]] {
                let mut command = dps_line(&line, words);
                let done = if set { command.run() } else { command.arg(&file).run() };
                let shown = done.stdout + &done.stderr;
                assert!(!shown.contains(&DEVICE_KEY[..12]) && !shown.contains(&DEVICE_KEY[24..40]), "{line}: {shown}");
            }
        }
    }
    let file = folder.write("config.toml", good);
    let shown = dps(["edge", "show", "--show-keys", "--json", &file]).run().code(0).json();
    assert_eq!(shown["dps"]["attestation"]["key"]["value"], Value::from(DEVICE_KEY));
}
