//! Commands of a TPM that the client does not use, byte by byte, to bring a TPM into a state.

use std::io::{Read, Write};

/// A response: its code, and what comes after.
pub(crate) struct Answer {
    pub(crate) code: u32,
    pub(crate) body: Vec<u8>,
}

pub(crate) const OWNER: u32 = 0x4000_0001;
pub(crate) const LOCKOUT: u32 = 0x4000_000A;
pub(crate) const ENDORSEMENT: u32 = 0x4000_000B;

pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

pub(crate) fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A command whose first handle is authorized with a password, or with nothing.
pub(crate) fn command(code: u32, handles: &[u32], password: Option<&str>, parameters: &[u8]) -> Vec<u8> {
    let auth = password.map(|password| {
        let auth = [&words(&[0x4000_0009])[..], &[0, 0, 1], &sized(password.as_bytes())].concat();
        [words(&[u32::try_from(auth.len()).unwrap()]), auth].concat()
    });
    let tag: u16 = if auth.is_some() { 0x8002 } else { 0x8001 };
    let body = [words(handles), auth.unwrap_or_default(), parameters.to_vec()].concat();
    let size = u32::try_from(body.len() + 10).unwrap();
    [&tag.to_be_bytes()[..], &words(&[size, code]), &body].concat()
}

/// Reads a command or a response; `None` at the end of the connection.
pub(crate) fn read(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut message = vec![0; 10];
    stream.read_exact(&mut message).ok()?;
    let size = u32::from_be_bytes(message[2..6].try_into().unwrap());
    message.resize(usize::try_from(size).unwrap(), 0);
    stream.read_exact(&mut message[10..]).ok()?;
    Some(message)
}

pub(crate) fn send(stream: &mut (impl Read + Write), command: &[u8]) -> Answer {
    stream.write_all(command).unwrap();
    let response = read(stream).expect("swtpm answers");
    Answer { code: u32::from_be_bytes(response[6..10].try_into().unwrap()), body: response[10..].to_vec() }
}

/// `TPM2_HierarchyChangeAuth`.
pub(crate) fn change_password(hierarchy: u32, old: &str, new: &str) -> Vec<u8> {
    command(0x129, &[hierarchy], Some(old), &sized(new.as_bytes()))
}

/// `TPM2_EvictControl`.
pub(crate) fn evict_control(object: u32, persistent: u32) -> Vec<u8> {
    command(0x120, &[OWNER, object], Some(""), &words(&[persistent]))
}

/// `TPM2_CreatePrimary` of a storage key in the owner hierarchy, as `tpm2_createprimary` makes it: subject to lockout.
pub(crate) fn create_storage_key() -> Vec<u8> {
    let attributes = 0x0003_0072_u32.to_be_bytes();
    let area = [&[0, 1, 0, 11][..], &attributes, &[0, 0, 0, 6, 0, 128, 0, 0x43, 0, 0x10, 8, 0], &[0; 6]].concat();
    command(0x131, &[OWNER], Some(""), &[&sized(&[0; 4])[..], &sized(&area), &[0, 0], &words(&[0])].concat())
}

/// `TPM2_DictionaryAttackParameters`: lockout after so many failures.
pub(crate) fn lock_out_after(failures: u32) -> Vec<u8> {
    command(0x13A, &[LOCKOUT], Some(""), &words(&[failures, 1000, 1000]))
}

/// A command with a wrong password for the key at a handle.
pub(crate) fn wrong_password(handle: u32) -> Vec<u8> {
    command(0x157, &[handle], Some("wrong"), &[0; 4])
}
