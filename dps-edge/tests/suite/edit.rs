//! One value changed in place: in unusual files of both generations exactly one line differs, and only in its value.

use dps_edge::{EdgeVersion, EditError, Format, Problem, set};

const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
const OTHER_KEY: &str = "O+H9VTcdJP0Tqkl7bh4nVG0OJNrAataMpuWB54D0VEc=";

const TOML: &str = "# a gateway\n\nauto_reprovisioning_mode = \"Dynamic\"   # as the template says\n\n[provisioning]\n\
                    source = \"dps\"\nglobal_endpoint = \"https://global.azure-devices-provisioning.net\"\n\
                    id_scope = \"0ne00A1B2C3\"\n\n[provisioning.attestation]\nmethod = \"symmetric_key\"\n\
                    registration_id = \"dev-01\"\nsymmetric_key = { value = \"KEY\" }\n";
const YAML: &str = "# a gateway\nprovisioning:\n  source: \"dps\"\n  \
                    global_endpoint: \"https://global.azure-devices-provisioning.net\"\n  \
                    scope_id: \"0ne00A1B2C3\"   # ours\n  attestation:\n    method: \"symmetric_key\"\n    \
                    registration_id: \"dev-01\"\n    symmetric_key: \"KEY\"\n  dynamic_reprovisioning: false\n";

/// A file that differs from the usual one in one respect, and the one line that is expected to differ.
struct Odd {
    format: Format,
    text: String,
    key: &'static str,
    value: &'static str,
    line: &'static str,
}

fn toml(odd: (&str, &str), key: &'static str, value: &'static str, line: &'static str) -> Odd {
    let text = TOML.replace("KEY", KEY);
    let odd = (odd.0.replace("KEY", KEY), odd.1.replace("KEY", KEY));
    assert!(odd.0.is_empty() || text.contains(&odd.0), "{}", odd.0);
    Odd { format: Format::Toml, text: text.replacen(&odd.0, &odd.1, 1), key, value, line }
}

fn yaml(odd: (&str, &str), key: &'static str, value: &'static str, line: &'static str) -> Odd {
    let text = YAML.replace("KEY", KEY);
    assert!(odd.0.is_empty() || text.contains(odd.0), "{}", odd.0);
    Odd { format: Format::Yaml, text: text.replacen(odd.0, odd.1, 1), key, value, line }
}

fn odd_files() -> Vec<Odd> {
    const SCOPE: &str = "provisioning.id_scope";
    const ID: &str = "provisioning.attestation.registration_id";
    const TABLE: &str = "symmetric_key = { value = \"Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=\" }";
    const OTHER_TABLE: &str = "symmetric_key = { value = \"O+H9VTcdJP0Tqkl7bh4nVG0OJNrAataMpuWB54D0VEc=\" }";
    const SYMMETRIC_KEY: &str = "provisioning.attestation.symmetric_key";
    let crlf = |mut odd: Odd| {
        odd.text = odd.text.replace('\n', "\r\n");
        odd
    };
    let begins_with = |start: &str, mut odd: Odd| {
        odd.text.insert_str(0, start);
        odd
    };
    let ends_without_line_end = |mut odd: Odd| {
        odd.text.truncate(odd.text.trim_end().len());
        odd
    };
    vec![
        toml(("", ""), SCOPE, "0ne0", "id_scope = \"0ne0\""),
        crlf(toml(("", ""), SCOPE, "0ne0", "id_scope = \"0ne0\"")),
        begins_with("\u{feff}", toml(("", ""), ID, "dev-02", "registration_id = \"dev-02\"")),
        begins_with("\u{feff}", crlf(toml(("", ""), ID, "dev-02", "registration_id = \"dev-02\""))),
        ends_without_line_end(toml(
            ("", ""),
            SYMMETRIC_KEY,
            OTHER_KEY,
            "symmetric_key = { value = \"O+H9VTcdJP0Tqkl7bh4nVG0OJNrAataMpuWB54D0VEc=\" }",
        )),
        // The form that an article printed: it becomes the table.
        toml(
            (TABLE, "symmetric_key = 'bare'  # key"),
            SYMMETRIC_KEY,
            "file:///var/secrets/device.key",
            "symmetric_key = { uri = \"file:///var/secrets/device.key\" }  # key",
        ),
        toml(
            ("auto_reprovisioning_mode = \"Dynamic\"", "auto_reprovisioning_mode = Dynamic"),
            "auto_reprovisioning_mode",
            "OnErrorOnly",
            "auto_reprovisioning_mode = \"OnErrorOnly\"   # as the template says",
        ),
        // Words without quotes that start as a number or a boolean would.
        toml(("\"0ne00A1B2C3\"", "0ne00A1B2C3 # ours"), SCOPE, "0ne0", "id_scope = \"0ne0\" # ours"),
        toml(("\"dev-01\"", "true-north"), ID, "dev-02", "registration_id = \"dev-02\""),
        toml(("= { value = \"KEY\" }", "= { value = KEY }"), SYMMETRIC_KEY, OTHER_KEY, OTHER_TABLE),
        toml(
            ("# a gateway", "trust_bundle_cert = \"C:\\certs\\ca.pem\" # x"),
            "trust_bundle_cert",
            "file:///etc/ca.pem",
            "trust_bundle_cert = \"file:///etc/ca.pem\" # x",
        ),
        toml(
            ("# a gateway", "allow_elevated_docker_permissions = True"),
            "allow_elevated_docker_permissions",
            "false",
            "allow_elevated_docker_permissions = false",
        ),
        toml(
            ("id_scope = \"0ne00A1B2C3\"", "\t\"id_scope\"='0ne1'# no blanks"),
            SCOPE,
            "0ne0",
            "\t\"id_scope\"='0ne0'# no blanks",
        ),
        toml(("[provisioning]\n", "[ provisioning ]# ü → 🔑\n"), SCOPE, "0ne0", "id_scope = \"0ne0\""),
        toml(("# a gateway", "cloud_timeout_sec = 0x5A"), "cloud_timeout_sec", "120", "cloud_timeout_sec = 120"),
        toml(
            (
                "\n[provisioning.attestation]\nmethod = \"symmetric_key\"\nregistration_id",
                "attestation.method = \"symmetric_key\"\nattestation.registration_id",
            ),
            ID,
            "dev-02",
            "attestation.registration_id = \"dev-02\"",
        ),
        toml(
            (
                TABLE,
                "\n[provisioning.attestation.symmetric_key]\nvalue = 'Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc='",
            ),
            SYMMETRIC_KEY,
            OTHER_KEY,
            "value = 'O+H9VTcdJP0Tqkl7bh4nVG0OJNrAataMpuWB54D0VEc='",
        ),
        toml(("# a gateway", "hostname = \"id_scope = 0ne00A1B2C3\""), SCOPE, "0ne0", "id_scope = \"0ne0\""),
        toml(("# a gateway", "# [provisioning]\n# id_scope = \"0ne00A1B2C3\""), SCOPE, "0ne0", "id_scope = \"0ne0\""),
        yaml(("", ""), "provisioning.scope_id", "0ne0", "  scope_id: \"0ne0\"   # ours"),
        crlf(yaml(("", ""), "provisioning.scope_id", "0ne0", "  scope_id: \"0ne0\"   # ours")),
        begins_with("\u{feff}", crlf(yaml(("", ""), ID, "dev-02", "    registration_id: \"dev-02\""))),
        yaml(("\"dev-01\"", "dev-01   # plain"), ID, "dev-02", "    registration_id: \"dev-02\"   # plain"),
        yaml(("\"dev-01\"", "'dev-01' # \"x\""), ID, "dev-02", "    registration_id: 'dev-02' # \"x\""),
        yaml(("\"dev-01\"", "\"dev\\u002d01\" # escaped"), ID, "dev-02", "    registration_id: \"dev-02\" # escaped"),
        yaml(("", ""), "provisioning.dynamic_reprovisioning", "true", "  dynamic_reprovisioning: true"),
        // What 1.1 reads as a number, a boolean or null becomes a string, and a string becomes a boolean.
        yaml(("\"dev-01\"", "00123 # plain"), ID, "00124", "    registration_id: \"00124\" # plain"),
        yaml(("\"dev-01\"", "12e3"), ID, "dev-02", "    registration_id: \"dev-02\""),
        yaml(("\"dev-01\"", "true"), ID, "true", "    registration_id: \"true\""),
        yaml(("\"dev-01\"", "~"), ID, "dev-02", "    registration_id: \"dev-02\""),
        yaml(
            ("dynamic_reprovisioning: false", "dynamic_reprovisioning: 'false'"),
            "provisioning.dynamic_reprovisioning",
            "true",
            "  dynamic_reprovisioning: true",
        ),
        // The last of several is used.
        yaml(
            ("    registration_id", "    registration_id: \"dev-00\"\n    registration_id"),
            ID,
            "dev-02",
            "    registration_id: \"dev-02\"",
        ),
        yaml(("", ""), SYMMETRIC_KEY, OTHER_KEY, "    symmetric_key: \"O+H9VTcdJP0Tqkl7bh4nVG0OJNrAataMpuWB54D0VEc=\""),
        yaml(("# a gateway", "# ü 🔑\n---"), "provisioning.scope_id", "0ne0", "  scope_id: \"0ne0\"   # ours"),
        yaml(
            ("  scope_id: \"0ne00A1B2C3\"", "  ? scope_id\n  : \"0ne00A1B2C3\""),
            "provisioning.scope_id",
            "0ne0",
            "  : \"0ne0\"   # ours",
        ),
        ends_without_line_end(yaml(
            ("", ""),
            "provisioning.dynamic_reprovisioning",
            "true",
            "  dynamic_reprovisioning: true",
        )),
    ]
}

#[test]
fn set_changes_exactly_one_line() {
    let files = odd_files();
    assert!(files.len() >= 20);
    for odd in files {
        let (text, version) = (&odd.text, odd.format.newest_version());
        let changed =
            set(text, odd.format, version, odd.key, odd.value).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let (old, new): (Vec<&str>, Vec<&str>) = (text.split('\n').collect(), changed.expose().split('\n').collect());
        assert_eq!(old.len(), new.len(), "{text}");
        let different: Vec<&str> = old.iter().zip(&new).filter(|(old, new)| old != new).map(|(_, new)| *new).collect();
        assert_eq!(different.len(), 1, "{text}\n{}", changed.expose());
        assert_eq!(different[0].trim_start_matches('\u{feff}').trim_end_matches('\r'), odd.line);
        assert_eq!(text.starts_with('\u{feff}'), changed.expose().starts_with('\u{feff}'));
    }
}

#[test]
fn set_refuses_values_that_it_cannot_change_alone() {
    let toml = |odd: (&str, &str)| TOML.replace("KEY", KEY).replacen(odd.0, odd.1, 1);
    let yaml = |odd: (&str, &str)| YAML.replace("KEY", KEY).replacen(odd.0, odd.1, 1);
    let on_toml =
        |text: &str, key: &str, value: &str| set(text, Format::Toml, EdgeVersion::V1_6, key, value).unwrap_err();
    let on_yaml =
        |text: &str, key: &str, value: &str| set(text, Format::Yaml, EdgeVersion::V1_1, key, value).unwrap_err();
    let scope = "provisioning.scope_id";

    assert_eq!(
        on_toml(&toml(("", "")), "provisioning.id_scop", "x"),
        EditError::NoSuchKey { nearest: Some("id_scope") }
    );
    assert_eq!(on_toml(&toml(("", "")), "hostname", "x"), EditError::NoSuchKey { nearest: None });
    assert_eq!(on_toml(&toml(("", "")), "provisioning.attestation", "x"), EditError::NotAScalar);
    assert_eq!(on_toml(&toml(("\"0ne00A1B2C3\"", "\"0ne")), "provisioning.id_scope", "x"), EditError::Broken);
    let several = toml(("\"0ne00A1B2C3\"", "\"\"\"\n0ne00A1B2C3\"\"\""));
    assert_eq!(on_toml(&several, "provisioning.id_scope", "0ne0"), EditError::Entangled);
    for (odd, name) in
        [("&a \"0ne00A1B2C3\"", "anchor"), ("!!str \"0ne00A1B2C3\"", "tag"), ("|\n    0ne00A1B2C3", "block")]
    {
        assert_eq!(on_yaml(&yaml(("\"0ne00A1B2C3\"", odd)), scope, "0ne0"), EditError::Entangled, "{name}");
    }
    let alias = yaml(("# a gateway\n", "x: &a \"0ne00A1B2C3\"\n")).replace("scope_id: \"0ne00A1B2C3\"", "scope_id: *a");
    assert_eq!(on_yaml(&alias, scope, "0ne0"), EditError::Entangled);
    let wanted = "true or false";
    assert_eq!(on_yaml(&yaml(("", "")), "provisioning.dynamic_reprovisioning", "yes"), EditError::WrongType { wanted });
}

#[test]
fn set_refuses_values_that_the_daemons_refuse() {
    let text = TOML.replace("KEY", KEY);
    let refused = |key: &str, value: &str| match set(&text, Format::Toml, EdgeVersion::V1_6, key, value) {
        Err(EditError::Refused(problem)) => problem,
        other => panic!("{other:?}"),
    };
    let mode = refused("auto_reprovisioning_mode", "onErrorOnly");
    assert!(matches!(mode, Problem::UnknownWord { nearest: Some("OnErrorOnly"), .. }), "{mode:?}");
    assert!(matches!(refused("provisioning.id_scope", "PASTE_YOUR_SCOPE_ID_HERE"), Problem::Placeholder));
    assert!(matches!(refused("provisioning.attestation.symmetric_key", "short"), Problem::NotAKey(_)));
    assert!(matches!(refused("provisioning.attestation.registration_id", "dev 01"), Problem::BadValue(_)));
    // The content of a value cannot escape from it.
    assert!(matches!(refused("provisioning.id_scope", "a\"\nsource = \"none"), Problem::BadValue(_)));
}
