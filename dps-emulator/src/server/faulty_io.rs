//! A connection whose outgoing bytes can be spoilt: slowed to a trickle, or turned into noise.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// One byte in this time.
pub(super) const BYTE_INTERVAL: Duration = Duration::from_millis(20);

/// How outgoing bytes are treated; set by the exchange, read by the connection.
#[derive(Clone, Default)]
pub(super) struct Spoiler(Arc<AtomicU8>);

const CLEAN: u8 = 0;
const SLOW: u8 = 1;
const NOISE: u8 = 2;

impl Spoiler {
    pub(super) fn clean(&self) {
        self.0.store(CLEAN, Ordering::Relaxed);
    }

    pub(super) fn slow(&self) {
        self.0.store(SLOW, Ordering::Relaxed);
    }

    pub(super) fn noise(&self) {
        self.0.store(NOISE, Ordering::Relaxed);
    }
}

pub(super) struct FaultyIo<T> {
    inner: T,
    spoiler: Spoiler,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<T> FaultyIo<T> {
    pub(super) fn new(inner: T, spoiler: Spoiler) -> Self {
        Self { inner, spoiler, pause: None }
    }
}

impl<T: AsyncWrite + Unpin> FaultyIo<T> {
    /// One byte, on the wire at once, then a pause before the next.
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
}

impl<T: AsyncRead + Unpin> AsyncRead for FaultyIo<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for FaultyIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.spoiler.0.load(Ordering::Relaxed) {
            SLOW => self.trickle(cx, bytes),
            NOISE => {
                // The high bit set: nothing in it can be read as a status line.
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
