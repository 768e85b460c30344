//! The file of `dps register --resume`: what is read is an operation of the core's reader, and reads back as it was written.
#![no_main]

use dps_core::Operation;
use libfuzzer_sys::fuzz_target;

// The program is no library.
#[path = "../../dps-cli/src/commands/resume/text.rs"]
mod text;

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = text::parse(bytes) else { return };
    assert!(bytes.len() as u64 <= text::MOST);
    let Some(token) = read else {
        assert!(std::str::from_utf8(bytes).unwrap().trim().is_empty());
        return;
    };
    let line = token.to_string();
    assert!(!line.contains(char::is_control), "{line:?} is more than a line");
    let operation = Operation::parse(&line).unwrap();
    let mut written = vec![0; line.len() + 16];
    assert_eq!(Operation::parse(operation.write(&mut written).unwrap()), Ok(operation));
    assert_eq!(text::parse(format!("{token}\n").as_bytes()), Ok(Some(token)));
});
