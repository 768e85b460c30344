//! A resume token, as in the file of `dps register --resume`: a token that is accepted is also accepted by the core's
//! reader, and can be written and read back.
#![no_main]

use dps_client::ResumeToken;
use dps_core::Operation;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(token) = text.parse::<ResumeToken>() else { return };
    let line = token.to_string();
    assert!(!line.contains(char::is_control), "{line:?} is more than a line");
    let operation = Operation::parse(&line).unwrap();
    let mut written = vec![0; line.len() + 16];
    assert_eq!(Operation::parse(operation.write(&mut written).unwrap()), Ok(operation));
    assert_eq!(line.parse(), Ok(token));
});
