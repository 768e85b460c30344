//! Streams around a connection: `FaultyIo`, whose outgoing bytes a fault slows down, garbles or replaces by a flood,
//! and `PrefixedStream`, which returns bytes once more that were read already.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::fault::Flood;

/// The time between two bytes of a slow reply.
pub(super) const BYTE_INTERVAL: Duration = Duration::from_millis(20);

/// How long a flood lasts at most: longer than any request of a client that gives up.
pub(super) const FLOOD_TIME: Duration = Duration::from_secs(60);
/// How many bytes a flood has at most.
pub(super) const FLOOD_BYTES: u64 = 4 << 30;
/// How many bytes of a flood are sent at once.
pub(super) const FLOOD_PIECE: usize = 4096;

/// What happens to outgoing bytes; set by the exchange, read by the connection.
#[derive(Clone, Default)]
pub(super) struct WriteFault(Arc<Mutex<Treatment>>);

#[derive(Clone, Copy, Default)]
enum Treatment {
    #[default]
    Clean,
    Slow,
    Noise,
    Flood(Flood),
}

impl WriteFault {
    pub(super) fn clean(&self) {
        self.set(Treatment::Clean);
    }

    pub(super) fn slow(&self) {
        self.set(Treatment::Slow);
    }

    pub(super) fn noise(&self) {
        self.set(Treatment::Noise);
    }

    pub(super) fn flood(&self, of: Flood) {
        self.set(Treatment::Flood(of));
    }

    fn set(&self, treatment: Treatment) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = treatment;
    }

    fn treatment(&self) -> Treatment {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A flood in progress.
struct Flooding {
    end: Pin<Box<Sleep>>,
    /// A beginning that is sent once, and what is repeated after it.
    bytes: Vec<u8>,
    beginning: usize,
    at: usize,
    left: u64,
}

impl Flooding {
    fn new(beginning: &[u8], again: &[u8]) -> Self {
        let bytes = [beginning, &again.repeat(FLOOD_PIECE / again.len())].concat();
        Self { end: Box::pin(sleep(FLOOD_TIME)), bytes, beginning: beginning.len(), at: 0, left: FLOOD_BYTES }
    }

    /// Sends until a bound is reached or the connection is closed; both are errors.
    fn poll(&mut self, cx: &mut Context<'_>, mut to: impl AsyncWrite + Unpin) -> Poll<io::Error> {
        while self.left > 0 && self.end.as_mut().poll(cx).is_pending() {
            let written = match ready!(Pin::new(&mut to).poll_write(cx, &self.bytes[self.at..])) {
                Ok(0) => return Poll::Ready(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(error) => return Poll::Ready(error),
            };
            self.left = self.left.saturating_sub(written as u64);
            self.at += written;
            if self.at == self.bytes.len() {
                self.at = self.beginning;
            }
        }
        Poll::Ready(io::ErrorKind::ConnectionAborted.into())
    }
}

pub(super) struct FaultyIo<T> {
    inner: T,
    write_fault: WriteFault,
    pause: Option<Pin<Box<Sleep>>>,
    flooding: Option<Flooding>,
}

impl<T> FaultyIo<T> {
    pub(super) fn new(inner: T, write_fault: WriteFault) -> Self {
        Self { inner, write_fault, pause: None, flooding: None }
    }
}

impl<T: AsyncWrite + Unpin> FaultyIo<T> {
    /// Sends one byte at once, then pauses before the next.
    fn trickle(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &bytes[..bytes.len().min(1)]))?;
        if let Poll::Ready(Err(error)) = Pin::new(&mut self.inner).poll_flush(cx) {
            return Poll::Ready(Err(error));
        }
        self.pause = Some(Box::pin(sleep(BYTE_INTERVAL)));
        Poll::Ready(Ok(written))
    }

    /// Sends the flood instead of what should be written; ends with the connection.
    fn flood(&mut self, cx: &mut Context<'_>, of: Flood) -> Poll<io::Result<usize>> {
        let (beginning, again) = of.http().unwrap_or_default();
        let flooding = self.flooding.get_or_insert_with(|| Flooding::new(beginning, again));
        flooding.poll(cx, &mut self.inner).map(Err)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for FaultyIo<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for FaultyIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.write_fault.treatment() {
            Treatment::Slow => self.trickle(cx, bytes),
            Treatment::Flood(of) if of.is_http() => self.flood(cx, of),
            Treatment::Noise => {
                // The high bit is set, so that nothing in it can be read as a status line.
                let noise: Vec<u8> = bytes.iter().map(|byte| byte ^ 0xa5 | 0x80).collect();
                Pin::new(&mut self.inner).poll_write(cx, &noise)
            }
            _ => Pin::new(&mut self.inner).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

pub(super) struct PrefixedStream<T> {
    prefix: Vec<u8>,
    /// How many bytes of the prefix were returned.
    at: usize,
    inner: T,
}

impl<T> PrefixedStream<T> {
    pub(super) fn new(prefix: Vec<u8>, inner: T) -> Self {
        Self { prefix, at: 0, inner }
    }

    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for PrefixedStream<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = &self.prefix[self.at..];
        if left.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let count = left.len().min(buf.remaining());
        buf.put_slice(&left[..count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for PrefixedStream<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
