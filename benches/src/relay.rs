//! A TCP relay that makes a loopback connection as slow as a long line, and counts what goes over it.
//!
//! With a line between them a client that does not wait for an answer has sent its next bytes before the answer is
//! there. So each turn, from bytes of the client to bytes for it, is an answer that was waited for.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What went over a relay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// TCP connections.
    pub connections: u32,
    /// Answers that were waited for, those of the TLS handshake included.
    pub answers: u32,
    /// How long they were waited for in all, from the last byte of each question to the first of its answer.
    pub waited: Duration,
    /// Bytes from the client, TLS included.
    pub up: usize,
    /// Bytes for the client.
    pub down: usize,
}

impl Traffic {
    /// Times that the line was gone there and back: for each connection, for each answer.
    #[must_use]
    pub fn round_trips(&self) -> u32 {
        self.connections + self.answers
    }
}

/// A relay that runs until the process ends.
pub struct Relay {
    address: SocketAddr,
    traffic: Arc<Mutex<Traffic>>,
}

impl Relay {
    /// Listens at `at` and connects to `to`; bytes take `latency` for each way.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(at: SocketAddr, to: SocketAddr, latency: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(at)?;
        let relay = Self { address: listener.local_addr()?, traffic: Arc::default() };
        let traffic = Arc::clone(&relay.traffic);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                locked(&traffic).connections += 1;
                let turn = Turn { traffic: Arc::clone(&traffic), state: Arc::default() };
                // Without a server the client sees its connection end.
                _ = TcpStream::connect(to).and_then(|server| join(client, server, latency, turn));
            }
        });
        Ok(relay)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What went over it until now.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        *locked(&self.traffic)
    }
}

/// Whose turn it is on one connection.
#[derive(Clone)]
struct Turn {
    traffic: Arc<Mutex<Traffic>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// When the client last sent something that is not answered yet.
    asked: Option<Instant>,
    /// The client is gone; what comes now it does not wait for.
    over: bool,
}

impl Turn {
    /// The client has sent so many bytes; none is the end.
    fn of_client(&self, bytes: usize) {
        let mut state = locked(&self.state);
        state.over |= bytes == 0;
        state.asked = Some(Instant::now());
        locked(&self.traffic).up += bytes;
    }

    /// The client is about to be given so many bytes.
    fn of_server(&self, bytes: usize) {
        let mut state = locked(&self.state);
        let mut traffic = locked(&self.traffic);
        traffic.down += bytes;
        if let Some(asked) = state.asked.take()
            && !state.over
        {
            traffic.answers += 1;
            traffic.waited += asked.elapsed();
        }
    }
}

fn join(client: TcpStream, server: TcpStream, latency: Duration, turn: Turn) -> io::Result<()> {
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (up, down) = (turn.clone(), turn);
    carry(client.try_clone()?, server.try_clone()?, latency, move |bytes| up.of_client(bytes), |_| {});
    carry(server, client, latency, |_| {}, move |bytes| down.of_server(bytes));
    Ok(())
}

/// Carries bytes one way on two threads, one that reads them and one that holds them back until they are due.
fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    latency: Duration,
    read: impl Fn(usize) + Send + 'static,
    due: impl Fn(usize) + Send + 'static,
) {
    let (sender, receiver) = channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        loop {
            let count = from.read(&mut buffer).unwrap_or(0);
            read(count);
            if count == 0 || sender.send((Instant::now() + latency, buffer[..count].to_vec())).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (at, bytes) in receiver {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            due(bytes.len());
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        _ = to.shutdown(Shutdown::Write);
    });
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
