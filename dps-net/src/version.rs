//! The service's API versions, as every transport spells them.

/// Whether a text is an API version: `YYYY-MM-DD`, or the same with `-preview` (Azure IoT DPS REST reference).
///
/// ```
/// assert!(dps_net::is_api_version("2021-06-01") && dps_net::is_api_version("2025-07-01-preview"));
/// assert!(!dps_net::is_api_version("latest"));
/// ```
#[must_use]
pub fn is_api_version(text: &str) -> bool {
    let date = text.strip_suffix("-preview").unwrap_or(text);
    let shaped = date.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    shaped && date.len() == 10
}
