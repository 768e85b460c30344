//! The little ASN.1 that keys in tokens require (ITU-T X.690): what a token returns as plain numbers is DER elsewhere.

/// A SEQUENCE of non-negative INTEGERs, which are big-endian: an ECDSA signature (RFC 3279, section 2.2.3), or an RSA public
/// key (RFC 8017, appendix A.1.1).
pub(super) fn integers(numbers: &[&[u8]]) -> Vec<u8> {
    let mut content = Vec::new();
    for number in numbers {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let digits = &number[zeros..];
        // A first bit that is set would be a sign; zero has one byte.
        let pad = digits.first().is_none_or(|first| *first >= 0x80);
        content.push(INTEGER);
        push_length(&mut content, digits.len() + usize::from(pad));
        content.extend(pad.then_some(0));
        content.extend(digits);
    }
    let mut sequence = vec![SEQUENCE];
    push_length(&mut sequence, content.len());
    sequence.extend(content);
    sequence
}

/// The content of an OCTET STRING that is all of `der`.
pub(super) fn octet_string(der: &[u8]) -> Option<&[u8]> {
    let content = match der {
        [OCTET_STRING, length @ 0..=0x7f, content @ ..] if content.len() == usize::from(*length) => content,
        [OCTET_STRING, 0x81, length, content @ ..] if content.len() == usize::from(*length) => content,
        _ => return None,
    };
    Some(content)
}

const INTEGER: u8 = 2;
const OCTET_STRING: u8 = 4;
const SEQUENCE: u8 = 0x30;

fn push_length(out: &mut Vec<u8>, length: usize) {
    let bytes = length.to_be_bytes();
    let digits: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    match digits.as_slice() {
        [] => out.push(0),
        [short @ 0..=0x7f] => out.push(*short),
        long => {
            // A usize has at most 8 bytes.
            out.push(0x80 | u8::try_from(long.len()).unwrap_or_default());
            out.extend(long);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_without_leading_zeros_and_never_negative() {
        assert_eq!(integers(&[&[0, 0, 1], &[0x80]]), [0x30, 7, 2, 1, 1, 2, 2, 0, 0x80]);
        assert_eq!(integers(&[&[0, 0], &[]]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
    }

    #[test]
    fn long_numbers_have_long_lengths() {
        let modulus = [0xff; 256];
        let der = integers(&[&modulus, &[1, 0, 1]]);
        assert_eq!(der[..8], [0x30, 0x82, 1, 10, 2, 0x82, 1, 1]);
        assert_eq!((der[8], der[9], der.len()), (0, 0xff, 4 + 4 + 257 + 5));
        let middle = integers(&[&[0x7f; 130]]);
        assert_eq!(middle[..6], [0x30, 0x81, 133, 2, 0x81, 130]);
    }

    #[test]
    fn octet_string_is_unwrapped_when_it_is_whole() {
        assert_eq!(octet_string(&[4, 2, 4, 5]), Some([4, 5].as_slice()));
        assert_eq!(octet_string(&[4, 0x81, 1, 9]), Some([9].as_slice()));
        assert_eq!(octet_string(&[4, 3, 4, 5]), None);
        // An uncompressed point begins with the same byte.
        assert_eq!(octet_string(&[4, 0x41, 5]), None);
        assert_eq!(octet_string(&[]), None);
    }
}
