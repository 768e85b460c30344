//! TOML as it is written: a text in quotes.

use zeroize::Zeroizing;

/// A basic string (TOML 1.0, "String").
pub(crate) fn quoted(text: &str) -> Zeroizing<String> {
    // Room for the worst case: a string that grew would leave copies behind.
    let mut quoted = Zeroizing::new(String::with_capacity(text.len() * 6 + 2));
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
