//! Sections of PEM (RFC 7468), decoded into memory that is wiped: a file may hold a private key.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

/// Padding is optional, as some tools leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How many characters of base64 a line has (RFC 7468, section 2).
const LINE: usize = 64;

/// Appends a section to a text, which must have room for it where it is a secret: see [`section_size`].
pub(crate) fn write_section(text: &mut Vec<u8>, label: &str, der: &[u8]) {
    let mut body = Zeroizing::new(vec![0; der.len().div_ceil(3) * 4]);
    // The buffer holds exactly the base64 of it.
    let length = BASE64_STANDARD.encode_slice(der, &mut body).unwrap_or_default();
    text.extend_from_slice(format!("-----BEGIN {label}-----\n").as_bytes());
    for line in body[..length].chunks(LINE) {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.extend_from_slice(format!("-----END {label}-----\n").as_bytes());
}

/// How many bytes [`write_section`] appends.
pub(crate) fn section_size(label: &str, der: &[u8]) -> usize {
    let body = der.len().div_ceil(3) * 4;
    "-----BEGIN -----\n-----END -----\n".len() + 2 * label.len() + body + body.div_ceil(LINE)
}

/// What is between `-----BEGIN X-----` and `-----END X-----`.
pub(crate) struct Section<'t> {
    /// The X, such as `CERTIFICATE`.
    pub(crate) label: &'t str,
    body: &'t [u8],
}

impl Section<'_> {
    /// Returns whether the body begins with headers (RFC 1421), as keys do that OpenSSL encrypted in its old format.
    pub(super) fn has_headers(&self) -> bool {
        self.body.contains(&b':')
    }

    /// Decodes the body, or returns `None` when it is not base64.
    pub(crate) fn decode(&self) -> Option<Zeroizing<Vec<u8>>> {
        // Both are allocated whole: a vector that grew would leave copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(self.body.len()));
        text.extend(self.body.iter().filter(|byte| !byte.is_ascii_whitespace()));
        let mut der = Zeroizing::new(vec![0; text.len() / 4 * 3 + 3]);
        let length = BASE64.decode_slice(text.as_slice(), &mut der).ok()?;
        der.truncate(length);
        Some(der)
    }
}

/// Returns the sections of a text, which may have other text around them; none where it is not PEM. `Err` is the label of
/// a section without an end.
pub(crate) fn sections(text: &[u8]) -> Result<Vec<Section<'_>>, &str> {
    let mut sections = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let (start, end) = (at, at + line.len());
        at = end;
        let line = line.trim_ascii();
        if let Some(label) = marked(line, b"-----BEGIN ") {
            if let Some((unended, _)) = open {
                return Err(unended);
            }
            open = Some((label, end));
        } else if let Some(label) = marked(line, b"-----END ")
            && let Some((opened, body)) = open.take()
        {
            if opened != label {
                return Err(opened);
            }
            sections.push(Section { label, body: text.get(body..start).unwrap_or_default() });
        }
    }
    open.map_or(Ok(sections), |(unended, _)| Err(unended))
}

/// The label of a line that begins with `mark`.
fn marked<'t>(line: &'t [u8], mark: &[u8]) -> Option<&'t str> {
    std::str::from_utf8(line.strip_prefix(mark)?.strip_suffix(b"-----")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_found_between_other_text() {
        let text = b"subject: \xff\r\n-----BEGIN A-----\r\nAQI\r\nD\r\n-----END A-----\r\nBag\n-----BEGIN B C-----\n!\n-----END B C-----";
        let found = sections(text).unwrap();
        assert_eq!(found.iter().map(|section| section.label).collect::<Vec<_>>(), ["A", "B C"]);
        assert_eq!(found[0].decode().unwrap().as_slice(), [1, 2, 3]);
        assert!(found[1].decode().is_none());
        assert!(sections(b"no PEM").unwrap().is_empty());
    }

    #[test]
    fn written_sections_are_read_again_and_have_the_announced_size() {
        for length in [0, 1, 47, 48, 49, 500] {
            let der = vec![7; length];
            let mut text = Vec::new();
            write_section(&mut text, "A KEY", &der);
            assert_eq!(text.len(), section_size("A KEY", &der), "{length}");
            assert_eq!(sections(&text).unwrap()[0].decode().unwrap().as_slice(), der);
            assert!(text.split(|byte| *byte == b'\n').all(|line| line.len() <= LINE));
        }
    }

    #[test]
    fn section_without_end_is_an_error() {
        assert_eq!(sections(b"-----BEGIN A-----\nAQID\n").err(), Some("A"));
        assert_eq!(sections(b"-----BEGIN A-----\n-----BEGIN B-----\n-----END B-----\n").err(), Some("A"));
        assert_eq!(sections(b"-----BEGIN A-----\n-----END B-----\n").err(), Some("A"));
    }
}
