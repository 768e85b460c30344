//! A proxy's answer to CONNECT, in any chunks: the status is the same, and no byte after the answer is read, since those
//! belong to the tunnel.
#![no_main]

use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::{Builder, Runtime};

const END: &[u8] = b"\r\n\r\n";
/// The largest head, in bytes.
const HEAD_MAX: usize = 8 * 1024;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().unwrap());

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    piece: u8,
    sent: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let (status, read) = answer(input.sent, usize::MAX);
    assert_eq!(answer(input.sent, usize::from(input.piece).max(1)), (status, read));
    let end = input.sent.windows(END.len()).position(|bytes| bytes == END).map(|at| at + END.len());
    assert_eq!(read, end.unwrap_or(usize::MAX).min(HEAD_MAX).min(input.sent.len()));
    if let Some(status) = status {
        assert!(end.is_some(), "no status without the end of the head");
        let head = String::from_utf8_lossy(&input.sent[..read]);
        assert!(head.trim_start().starts_with("HTTP/1."), "{head}");
        assert!(head.contains(&format!(" {status:03}")), "{status}: {head}");
    }
});

/// The status, if there is one, and how many bytes were read.
fn answer(sent: &[u8], piece: usize) -> (Option<u16>, usize) {
    let mut proxy = Proxy { sent, at: 0, piece };
    let status = RUNTIME.block_on(dps_net::proxy_status(&mut proxy)).ok().flatten();
    (status, proxy.at)
}

/// Sends its bytes, then closes.
struct Proxy<'a> {
    sent: &'a [u8],
    at: usize,
    piece: usize,
}

impl AsyncRead for Proxy<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let end = self.sent.len().min(self.at.saturating_add(self.piece.min(buf.remaining())));
        buf.put_slice(&self.sent[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}
