//! The parts of the header that come from `dps-core` instead of the binding's source.

use std::fmt::Write as _;

use dps_core::ErrorCode;
use dps_core::codec::{self, mqtt};

/// Returns the numbers of the catalogue.
pub(crate) fn results() -> String {
    let mut text = String::from("enum {\n    /** It worked. */\n    DPS_OK = 0,\n");
    for code in ErrorCode::ALL {
        let name = code.name().to_uppercase().replace('-', "_");
        let _ = write!(text, "    /** {}. */\n    DPS_ERROR_{name} = {},\n", sentence(code.text()), code.number());
    }
    text.push_str("};\n");
    text
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Returns the version, which is that of the workspace.
pub(crate) fn versions() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("\n/** The version of this header. */\n#define DPS_VERSION \"{version}\"\n");
    for (name, number) in ["MAJOR", "MINOR", "PATCH"].into_iter().zip(version.split('.')) {
        let _ = writeln!(text, "#define DPS_VERSION_{name} {number}");
    }
    text
}

/// Returns the constants of MQTT.
pub(crate) fn mqtt() -> String {
    format!(
        "\n/** What to subscribe to before the first request. */\n#define DPS_MQTT_SUBSCRIBE_FILTER \"{}\"\n",
        mqtt::SUBSCRIBE_FILTER
    )
}

/// Returns the API versions that a caller can ask for.
pub(crate) fn api_versions() -> String {
    format!(
        "\n/** The API version for a registration with a certificate request. */\n\
         #define DPS_API_VERSION_ISSUANCE \"{}\"\n\
         /** The API version by which the service reports the hub's protocol, a preview. */\n\
         #define DPS_API_VERSION_PROFILE \"{}\"\n",
        codec::ISSUANCE_API_VERSION,
        codec::PROFILE_API_VERSION
    )
}
