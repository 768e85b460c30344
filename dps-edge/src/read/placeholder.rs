//! What templates and documentation write where a value belongs.

/// Base64 of words, which the template has for every key.
const KEYS: [&str; 2] = [
    "YXppb3QtaWRlbnRpdHktc2VydmljZXxhemlvdC1pZGU=",
    "YXppb3QtaWRlbnRpdHktc2VydmljZXxhemlvdC1pZGVudGl0eS1zZXJ2aWNlfGF6aW90LWlkZW50aXR5LXNlcg==",
];

/// Whether the value of this key is still that of a template or an article.
pub(super) fn is_placeholder(name: &str, text: &str) -> bool {
    is_stub(text) || is_of_the_template(name, text)
}

/// A text that can be nothing else, whatever its key.
fn is_stub(text: &str) -> bool {
    let in_marks = |open, close| text.starts_with(open) && text.ends_with(close);
    let capital = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    in_marks('<', '>')
        || in_marks('{', '}')
        || text.starts_with("PASTE_YOUR_")
        || capital && (text.ends_with("_HERE") || text.starts_with("PASTE_") || text.starts_with("REQUIRED_"))
}

/// The values of the template that daemons 1.2 and later are installed with. A host may well be called `my-device`; a device
/// of the service hardly is.
fn is_of_the_template(name: &str, text: &str) -> bool {
    match name {
        "id_scope" | "scope_id" => text == "0ab1234C5D6",
        "registration_id" | "device_id" => text == "my-device",
        "iothub_hostname" => text == "example.azure-devices.net" || text.contains(['<', '{']),
        "value" | "symmetric_key" => KEYS.iter().any(|key| key.trim_end_matches('=') == text.trim_end_matches('=')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_the_documentation_are_known() {
        for text in [
            "PASTE_YOUR_PRIMARY_KEY_OR_DERIVED_KEY_HERE",
            "PASTE_YOUR_SCOPE_ID_HERE",
            "SCOPE_ID_HERE",
            "REQUIRED_IOTHUB_HOSTNAME",
            "REQUIRED_DEVICE_ID_PROVISIONED_IN_IOTHUB",
            "{scope_id}",
            "<ADD DEVICE CONNECTION STRING HERE>",
        ] {
            assert!(is_placeholder("hostname", text), "{text}");
        }
        for text in ["0ne00A1B2C3", "dev-01", "", "SOMEWHERE", "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="] {
            assert!(!is_placeholder("hostname", text), "{text}");
        }
    }

    #[test]
    fn placeholders_of_the_template_are_known_by_their_key() {
        for (name, text) in [
            ("id_scope", "0ab1234C5D6"),
            ("registration_id", "my-device"),
            ("device_id", "my-device"),
            ("iothub_hostname", "example.azure-devices.net"),
            ("iothub_hostname", "<your hub>.azure-devices.net"),
            ("value", KEYS[0]),
            ("value", KEYS[1]),
        ] {
            assert!(is_placeholder(name, text), "{text}");
            assert!(!is_placeholder("hostname", text), "{text}");
        }
    }
}
