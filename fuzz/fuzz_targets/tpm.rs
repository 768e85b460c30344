//! What a TPM answers, and a challenge of the service for it: the same bytes in other pieces have the same outcome, and what
//! went wrong is printable.
#![no_main]

use dps_tpm::use_tpm;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(([piece, length @ ..], rest)) = input.split_first_chunk::<3>() else { return };
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let (challenge, responses) = rest.split_at(length);
    let whole = use_tpm(responses, usize::MAX, challenge);
    let in_pieces = use_tpm(responses, usize::from(*piece).max(1), challenge);
    for (whole, in_pieces) in whole.into_iter().zip(in_pieces) {
        let [whole, in_pieces] = [whole, in_pieces].map(|outcome| outcome.map_err(|error| error.to_string()));
        assert_eq!(whole, in_pieces);
        assert!(whole.map_or_else(|error| !error.contains(char::is_control), |_| true));
    }
});
