//! The connection with a TPM: one command at a time, its bytes in and the response's bytes out, until a deadline.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::tcti::{Tcti, Way};
use crate::wire::MESSAGE_MAX;

/// The tag, the size and the code of a message.
pub(crate) const HEADER: usize = 10;
/// With a resource manager of the kernel's, which lets several programs use the TPM.
const MANAGED_DEVICE: &str = "/dev/tpmrm0";
const RAW_DEVICE: &str = "/dev/tpm0";

enum Stream {
    Device(File),
    Tcp(TcpStream),
    #[cfg(unix)]
    Socket(UnixStream),
    #[cfg(fuzzing)]
    Fuzzed(crate::fuzzed::Responses),
}

/// A connection that was made.
pub(crate) struct Connection {
    /// `None` after a failure, which leaves a command half sent or a response unread.
    stream: Option<Stream>,
}

impl Connection {
    /// Connects with the TPM until `deadline`.
    pub(crate) fn open(tcti: &Tcti, deadline: Instant) -> Result<Self, Error> {
        let stream = match &tcti.0 {
            Way::DefaultDevice => default_device(),
            Way::Device(path) => device(path),
            Way::Tcp { host, port } => tcp(host, *port, deadline),
            Way::Socket(path) => socket(path),
        };
        let stream = stream.map_err(|error| unavailable(tcti, &error))?;
        Ok(Self { stream: Some(stream) })
    }

    #[cfg(fuzzing)]
    pub(crate) fn fuzzed(responses: crate::fuzzed::Responses) -> Self {
        Self { stream: Some(Stream::Fuzzed(responses)) }
    }

    /// Sends a command and reads its response.
    pub(crate) fn exchange(&mut self, command: &[u8], deadline: Instant) -> Result<Zeroizing<Vec<u8>>, Error> {
        left(deadline).map_err(|error| lost(&error))?;
        let gone = || Error::new(ErrorKind::Lost, "the connection with the TPM has ended");
        let mut stream = self.stream.take().ok_or_else(gone)?;
        let answer = match &mut stream {
            Stream::Device(file) => ask_device(file, command),
            Stream::Tcp(socket) => ask_socket(socket, command, deadline, |socket, limit| {
                socket.set_read_timeout(Some(limit))?;
                socket.set_write_timeout(Some(limit))
            }),
            #[cfg(unix)]
            Stream::Socket(socket) => ask_socket(socket, command, deadline, |socket, limit| {
                socket.set_read_timeout(Some(limit))?;
                socket.set_write_timeout(Some(limit))
            }),
            #[cfg(fuzzing)]
            Stream::Fuzzed(responses) => ask_socket(responses, command, deadline, |_, _| Ok(())),
        };
        let answer = answer.map_err(|error| lost(&error))?;
        self.stream = Some(stream);
        Ok(answer)
    }
}

fn default_device() -> io::Result<Stream> {
    match device(Path::new(MANAGED_DEVICE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => device(Path::new(RAW_DEVICE)),
        opened => opened,
    }
}

fn device(path: &Path) -> io::Result<Stream> {
    // Opening a FIFO waits for a writer; reading a regular file returns what was written.
    if std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a regular file, not a device"));
    }
    File::options().read(true).write(true).open(path).map(Stream::Device)
}

fn tcp(host: &str, port: u16, deadline: Instant) -> io::Result<Stream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(Stream::Tcp(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(unix)]
fn socket(path: &Path) -> io::Result<Stream> {
    UnixStream::connect(path).map(Stream::Socket)
}

#[cfg(not(unix))]
fn socket(_: &Path) -> io::Result<Stream> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no such sockets; use swtpm:host=HOST,port=PORT"))
}

/// The time that is left.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A device takes a command in one write, and hands out its response in one read. The kernel limits how long that takes.
fn ask_device(file: &mut File, command: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    if file.write(command)? != command.len() {
        return Err(io::Error::new(io::ErrorKind::WriteZero, "it did not accept the command"));
    }
    let mut response = Zeroizing::new(vec![0; MESSAGE_MAX]);
    let length = file.read(&mut response)?;
    if length < HEADER || size_of_message(&response)? != length {
        return Err(not_a_response());
    }
    response.truncate(length);
    Ok(response)
}

/// Over a socket, the size in its header tells where a response ends.
fn ask_socket<S: Read + Write>(
    socket: &mut S,
    command: &[u8],
    deadline: Instant,
    limit: impl Fn(&S, Duration) -> io::Result<()>,
) -> io::Result<Zeroizing<Vec<u8>>> {
    limit(socket, left(deadline)?)?;
    socket.write_all(command)?;
    let mut response = Zeroizing::new(vec![0; MESSAGE_MAX]);
    let (mut filled, mut length) = (0, HEADER);
    while filled < length {
        limit(socket, left(deadline)?)?;
        match socket.read(&mut response[filled..length]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if filled == HEADER {
            length = size_of_message(&response)?;
        }
    }
    response.truncate(length);
    Ok(response)
}

/// The size in the header of a response.
fn size_of_message(response: &[u8]) -> io::Result<usize> {
    let size = response.get(2..6).and_then(|size| size.try_into().ok()).map_or(0, u32::from_be_bytes);
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if (HEADER..=MESSAGE_MAX).contains(&size) { Ok(size) } else { Err(not_a_response()) }
}

fn not_a_response() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what it sent is not a response of a TPM")
}

fn unavailable(tcti: &Tcti, error: &io::Error) -> Error {
    let cause = match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "this user has no access to it (on Linux, the group tss usually has)".to_owned()
        }
        io::ErrorKind::ResourceBusy => format!("another program uses it; use {MANAGED_DEVICE} instead"),
        _ => error.to_string(),
    };
    Error::new(ErrorKind::Unavailable, format!("{}: {cause}", tcti.to_string().escape_debug()))
}

fn lost(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Error::new(ErrorKind::Timeout, "the TPM did not answer in time")
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            Error::new(ErrorKind::Lost, "the TPM closed the connection before it answered")
        }
        _ => Error::new(ErrorKind::Lost, format!("the TPM cannot be read or written: {error}")),
    }
}
