//! A TCP relay that adds latency to a loopback connection, and counts its bytes and round trips.
//!
//! Because of the latency, a client that does not wait for an answer has sent its next bytes before the answer arrives. So
//! each change of direction, from bytes of the client to bytes for it, is an answer that the client waited for.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The traffic of a relay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// TCP connections.
    pub connections: u32,
    /// Answers that the client waited for, including those of the TLS handshake.
    pub answers: u32,
    /// The total time of these waits, from the last byte of each request to the first byte of its answer.
    pub waited: Duration,
    /// Bytes from the client, including TLS.
    pub up: usize,
    /// Bytes for the client.
    pub down: usize,
}

impl Traffic {
    /// The number of round trips: one for each connection, and one for each answer.
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
                // Without a server the client's connection is closed.
                _ = TcpStream::connect(to).and_then(|server| join(client, server, latency, turn));
            }
        });
        Ok(relay)
    }

    /// Returns its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the traffic until now.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        *locked(&self.traffic)
    }
}

/// The direction of one connection.
#[derive(Clone)]
struct Turn {
    traffic: Arc<Mutex<Traffic>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// When the client last sent a request that is not answered yet.
    asked: Option<Instant>,
    /// The client has closed the connection, and does not wait for later bytes.
    over: bool,
}

impl Turn {
    /// Records bytes from the client; 0 is the end.
    fn add_from_client(&self, bytes: usize) {
        let mut state = locked(&self.state);
        state.over |= bytes == 0;
        state.asked = Some(Instant::now());
        locked(&self.traffic).up += bytes;
    }

    /// Records bytes for the client.
    fn add_from_server(&self, bytes: usize) {
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
    carry(client.try_clone()?, server.try_clone()?, latency, move |bytes| up.add_from_client(bytes), |_| {});
    carry(server, client, latency, |_| {}, move |bytes| down.add_from_server(bytes));
    Ok(())
}

/// Transports bytes in one direction on two threads: one reads them, and one writes them after the latency.
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
