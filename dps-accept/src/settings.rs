//! What a device is told: environment variables, and placeholders in its command. Keys are only ever in files.

use std::path::PathBuf;

use crate::error::AcceptError;
use crate::scenario::Transport;

/// Where the service is, and who the device is.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Without brackets and port.
    pub(crate) host: String,
    pub(crate) https_port: u16,
    pub(crate) mqtt_port: u16,
    pub(crate) wss_port: u16,
    pub(crate) ca_file: PathBuf,
    pub(crate) id_scope: String,
    pub(crate) registration_id: String,
    pub(crate) transport: Transport,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) cert_key_file: Option<PathBuf>,
}

/// Each setting: the environment variable, the placeholder, and what it is.
pub(crate) const NAMES: [(&str, &str, &str); 12] = [
    ("DPS_ENDPOINT", "endpoint", "host and port for the transport under test"),
    ("DPS_HOST", "host", "the host alone"),
    ("DPS_HTTPS_PORT", "httpsPort", "the port of HTTPS"),
    ("DPS_MQTT_PORT", "mqttPort", "the port of MQTT over TLS"),
    ("DPS_WSS_PORT", "wssPort", "the port of MQTT over WebSocket"),
    ("DPS_CA_FILE", "caFile", "the certificate authority to trust, in PEM"),
    ("DPS_ID_SCOPE", "idScope", "the id scope"),
    ("DPS_REGISTRATION_ID", "registrationId", "the registration id"),
    ("DPS_TRANSPORT", "transport", "https, mqtt or mqtt-ws"),
    ("DPS_KEY_FILE", "keyFile", "the device's key in base64; empty with a certificate"),
    ("DPS_CERT_FILE", "certFile", "the device's certificates in PEM; empty with a key"),
    ("DPS_CERT_KEY_FILE", "certKeyFile", "the private key of the certificate in PEM; empty with a key"),
];

impl Settings {
    /// `host:port`, with brackets around an IPv6 address.
    pub(crate) fn endpoint(&self) -> String {
        let port = match self.transport {
            Transport::Https => self.https_port,
            Transport::Mqtt => self.mqtt_port,
            Transport::MqttWs => self.wss_port,
        };
        if self.host.contains(':') { format!("[{}]:{port}", self.host) } else { format!("{}:{port}", self.host) }
    }

    /// The values, in the order of [`NAMES`].
    fn values(&self) -> [String; 12] {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        [
            self.endpoint(),
            self.host.clone(),
            self.https_port.to_string(),
            self.mqtt_port.to_string(),
            self.wss_port.to_string(),
            self.ca_file.display().to_string(),
            self.id_scope.clone(),
            self.registration_id.clone(),
            self.transport.name().to_owned(),
            path(&self.key_file),
            path(&self.cert_file),
            path(&self.cert_key_file),
        ]
    }

    /// The environment variables.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&'static str, String)> {
        NAMES.into_iter().map(|(variable, ..)| variable).zip(self.values())
    }

    /// The words of the command with the values in place of `{endpoint}` and so on.
    pub(crate) fn expand(&self, words: &[String]) -> Result<Vec<String>, AcceptError> {
        let values = self.values();
        let value = |name: &str| NAMES.iter().zip(&values).find(|((_, known, _), _)| *known == name);
        words.iter().map(|word| expand(word, |name| value(name).map(|(_, value)| value.as_str()))).collect()
    }
}

/// Refuses unknown placeholders before anything runs.
pub(crate) fn check(words: &[String]) -> Result<(), AcceptError> {
    let is_known = |name: &str| NAMES.iter().any(|(_, known, _)| *known == name);
    words.iter().try_for_each(|word| expand(word, |name| is_known(name).then_some("")).map(drop))
}

/// Replaces `{name}` by its value. Other braces, as in JSON or in a shell, stay.
fn expand<'a>(word: &str, value: impl Fn(&str) -> Option<&'a str>) -> Result<String, AcceptError> {
    let (mut done, mut rest) = (String::with_capacity(word.len()), word);
    while let Some((before, after)) = rest.split_once('{') {
        done.push_str(before);
        let name = after.split_once('}').map(|(name, _)| name);
        match name.filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic())) {
            // A variable of a shell is written ${NAME}.
            Some(name) if !before.ends_with('$') => {
                let known = || NAMES.map(|(_, name, _)| name).join(", ");
                done.push_str(value(name).ok_or_else(|| AcceptError::Placeholder(name.to_owned(), known()))?);
                rest = &after[name.len() + 1..];
            }
            _ => {
                done.push('{');
                rest = after;
            }
        }
    }
    done.push_str(rest);
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            host: "::1".into(),
            https_port: 1,
            mqtt_port: 2,
            wss_port: 3,
            ca_file: "ca.pem".into(),
            id_scope: "0ne1".into(),
            registration_id: "dev-01".into(),
            transport: Transport::Mqtt,
            key_file: Some("key".into()),
            cert_file: None,
            cert_key_file: None,
        }
    }

    #[test]
    fn placeholders_are_replaced_and_other_braces_stay() {
        let words = ["--at={endpoint}", "{\"a\": 1}", "${HOME}", "{", "{}", "x{keyFile}{certFile}y"].map(str::to_owned);
        let expected = ["--at=[::1]:2", "{\"a\": 1}", "${HOME}", "{", "{}", "xkeyy"];
        assert_eq!(settings().expand(&words).unwrap(), expected);
    }

    #[test]
    fn unknown_placeholder_is_refused_with_the_known_ones() {
        let error = check(&["{endpont}".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("{endpont}") && error.contains("endpoint, host"), "{error}");
    }

    #[test]
    fn environment_has_every_setting() {
        let environment: Vec<_> = settings().environment().collect();
        assert_eq!(environment.len(), NAMES.len());
        assert!(environment.contains(&("DPS_ENDPOINT", "[::1]:2".to_owned())));
        assert!(environment.contains(&("DPS_CERT_FILE", String::new())));
    }
}
