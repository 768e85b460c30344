//! What a TPM sends, byte by byte, from a TPM that the test plays. `cargo xtask tpm` tests the client with swtpm.
#![cfg(unix)]

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use dps_tpm::{Access, Error, ErrorKind, Tcti};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(20);

/// A TPM that answers each command with the next of these responses, in pieces of so many bytes, and then ends the connection.
fn tpm(responses: Vec<Vec<u8>>, piece: usize) -> (TempDir, Access) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("tpm.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let mut client = listener.accept().unwrap().0;
        for response in responses {
            let mut command = [0; 10];
            client.read_exact(&mut command).unwrap();
            let size = u32::from_be_bytes(command[2..6].try_into().unwrap());
            client.read_exact(&mut vec![0; usize::try_from(size).unwrap() - 10]).unwrap();
            response.chunks(piece).for_each(|piece| client.write_all(piece).unwrap());
        }
    });
    let tcti: Tcti = format!("swtpm:path={}", socket.display()).parse().unwrap();
    (folder, Access::new(tcti))
}

fn response(code: u32, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(10 + body.len()).unwrap();
    [&[0x80, 1][..], &size.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

/// The response to `TPM2_GetCapability` for one property.
fn property(property: u32, value: u32) -> Vec<u8> {
    let numbers = [6, 1, property, value].map(u32::to_be_bytes).concat();
    response(0, &[&[0][..], &numbers].concat())
}

fn status(access: &Access, limit: Duration) -> Result<dps_tpm::Status, Error> {
    access.connect(Instant::now() + limit)?.status()
}

/// The handle does not exist.
const MISSING: u32 = 0x18B;

#[test]
fn response_that_comes_in_pieces_is_read_whole() {
    let responses = || {
        let properties = [(0x105, 0x4946_581B), (0x200, 1 << 9), (0x20E, 3), (0x20F, 32), (0x210, 0), (0x211, 7)];
        let properties = properties.into_iter().map(|(name, value)| property(name, value));
        // The endorsement key, the storage root key, the device's key, and the certificate.
        properties.chain((0..4).map(|_| response(MISSING, &[]))).collect()
    };
    for piece in [1, 3, 4096] {
        let (_folder, access) = tpm(responses(), piece);
        let status = status(&access, LIMIT).unwrap();
        assert_eq!(status.manufacturer, "IFX", "a control character is left out");
        assert!(status.in_lockout && !status.has_endorsement_key && !status.has_endorsement_certificate);
        assert_eq!((status.failures, status.failures_max, status.lockout_recovery), (3, 32, 7));
    }
}

#[test]
fn property_that_a_tpm_does_not_have_counts_as_zero() {
    let properties = (0..6).map(|_| property(0x300, 5));
    let (_folder, access) = tpm(properties.chain((0..4).map(|_| response(MISSING, &[]))).collect(), 4096);
    let status = status(&access, LIMIT).unwrap();
    assert_eq!((status.failures, status.in_lockout, status.manufacturer.as_str()), (0, false, ""));
}

#[test]
fn what_is_not_a_response_is_refused() {
    let kind = |bytes: Vec<u8>| {
        let (_folder, access) = tpm(vec![bytes], 4096);
        status(&access, LIMIT).unwrap_err().kind()
    };
    let with_size = |size: u32| [&[0x80, 1][..], &size.to_be_bytes(), &[0; 4]].concat();
    for size in [0, 9, 4097, u32::MAX] {
        assert_eq!(kind(with_size(size)), ErrorKind::Lost, "{size}");
    }
    // It ends before its size says so, or at once.
    assert_eq!(kind(with_size(100)), ErrorKind::Lost);
    assert_eq!(kind(Vec::new()), ErrorKind::Lost);
    let mut tag = property(0x105, 0);
    tag[1] = 9;
    let cut = response(0, &[0, 0, 0, 0, 6, 0, 0, 0, 1]);
    for bytes in [tag, cut, response(0, &[])] {
        assert_eq!(kind(bytes), ErrorKind::Failed);
    }
    assert_eq!(kind(response(0x921, &[])), ErrorKind::Lockout);
}

#[test]
fn tpm_that_does_not_answer_or_stays_busy_ends_at_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("tpm.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let silent = Access::new(format!("swtpm:path={}", socket.display()).parse().unwrap());
    let (_folder, busy) = tpm(vec![response(0x922, &[]); 10_000], 4096);
    for access in [silent, busy] {
        let started = Instant::now();
        let failed = status(&access, Duration::from_millis(300)).unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Timeout);
        assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
    }
}

#[test]
fn file_that_is_not_a_device_is_not_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let access = Access::new(format!("device:{}", file.path().display()).parse().unwrap());
    let failed = status(&access, LIMIT).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    assert!(failed.to_string().contains("a regular file"), "{failed}");
    assert_eq!(file.as_file().metadata().unwrap().len(), 0);
}

#[test]
fn offset_of_a_key_is_an_offset_to_the_persistent_handles_of_the_owner() {
    let access = || Access::new(Tcti::default());
    assert!(access().key_offset(0).is_some() && access().key_offset(0x7F_FFFF).is_some());
    for refused in [0x1, 0x1_0001, 0x80_0000, 0x8100_0100, u32::MAX] {
        assert!(access().key_offset(refused).is_none(), "{refused:#x}");
    }
}
