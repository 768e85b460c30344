//! What the header takes from `dps-core` rather than from the binding's source.

use std::fmt::Write as _;

use dps_core::ErrorCode;
use dps_core::codec::mqtt;

/// The numbers of the catalogue.
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

/// The words of MQTT.
pub(crate) fn mqtt() -> String {
    format!(
        "\n/** What to subscribe to before the first request. */\n#define DPS_MQTT_SUBSCRIBE_FILTER \"{}\"\n",
        mqtt::SUBSCRIBE_FILTER
    )
}
