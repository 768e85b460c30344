//! Ctrl-C ends a registration at once.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;

use dps_emulator::IndividualEnrollment;
use rustix::process::Signal;

use super::run::{GROUP_KEY, Run, dps, finish, mode_of, send};
use super::service::Service;

#[test]
fn interruption_closes_the_connection() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = server.local_addr().unwrap().to_string();
    let line = ["register", "--scope", "0ne1", "--rid", "a", "--endpoint", &endpoint, "--timeout", "1h", "--json"];
    let child = dps(line).env("DPS_KEY", GROUP_KEY).start();
    let (mut connection, _) = server.accept().unwrap();
    send(&child, Signal::INT);
    let error = finish(child).code(130).error();
    assert_eq!((&error["name"], &error["family"]), (&"cancelled".into(), &"local".into()));
    // Returns only when the other side is closed.
    _ = connection.read_to_end(&mut Vec::new());
}

#[test]
fn interruption_keeps_the_operation_for_the_next_run() {
    let service = Service::with(|options| options.default_retry_after_s(3600));
    let key = service.enroll(IndividualEnrollment::new("dev-01"));
    let resume = service.folder.file("operation");
    let files = ["--key-file", &key, "--resume", &resume, "--timeout", "3h"];
    let mut child = service.as_device("register -vv", "dev-01", &files).start();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("operation was stored")), "nothing was kept");
    send(&child, Signal::TERM);
    let done = log.map(|line| line.unwrap()).last();
    assert_eq!(done.as_deref(), Some("error: interrupted"));
    finish(child).code(130);
    assert_eq!(mode_of(&resume), 0o600);
    assert_eq!(service.set(|service| service.counters().registers), 1);
}

#[test]
fn interruption_ends_while_a_key_is_awaited() {
    let service = Service::start();
    let fifo = service.folder.file("key.fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let child = service.as_device("register", "dev-01", &["--key-file", &fifo]).start();
    // Opening the FIFO returns once the program has opened its end.
    let _writer = std::fs::OpenOptions::new().write(true).open(&fifo).unwrap();
    send(&child, Signal::INT);
    finish(child).code(130);
}
