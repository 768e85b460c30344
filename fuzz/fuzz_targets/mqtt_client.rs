//! What a broker sends to the MQTT link, from CONNACK to the end of the connection, in any chunks: the outcome is the same,
//! in bounded time, and there is a reply only if a subscription was granted.
#![no_main]

use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use dps_core::{Call, Endpoint, IdScope, Identity, Instant, LinkError, RegistrationId, Request, RequestId};
use dps_mqtt::{MqttOptions, exchange_and_idle};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};

/// Larger than any reply in the corpus, smaller than what a run may send.
const PACKET_CAP: usize = 2048;
const BUFFER: usize = 1024;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_time().build().unwrap());

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    piece: u8,
    pipelined: bool,
    sent: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let whole = end(input.sent, usize::MAX, input.pipelined);
    assert_eq!(end(input.sent, usize::from(input.piece).max(1), input.pipelined), whole);
    if whole.is_ok() {
        // The MQTT library does not check the flags of these packets.
        let is = |byte: &u8, kind: u8| byte >> 4 == kind;
        assert!(input.sent.first().is_some_and(|byte| is(byte, 2)), "no reply without CONNACK");
        assert!(input.sent.iter().any(|byte| is(byte, 9)), "no reply without SUBACK");
    }
});

/// The reply's status and body, and why the connection ended after it; or why no reply came.
fn end(sent: &[u8], piece: usize, pipelined: bool) -> Result<(u16, Vec<u8>, LinkError), LinkError> {
    let identity = Identity {
        endpoint: Endpoint::new("dps.test").unwrap(),
        id_scope: IdScope::new("0ne00A1B2C3").unwrap(),
        registration_id: RegistrationId::new("dev-01").unwrap(),
    };
    let call = Call::register(None);
    let request = Request::new(RequestId::new(1), call, identity, None, Instant::from_millis(0));
    let options = MqttOptions::default().packet_cap(PACKET_CAP).pipelined(pipelined);
    let broker = Broker { sent: sent.to_vec(), at: 0, piece };
    let mut buffer = [0; BUFFER];
    let ended = RUNTIME.block_on(exchange_and_idle(broker, &options, &request, &mut buffer));
    ended.map(|(reply, after)| (reply.status, format!("{:?}", reply.body).into_bytes(), after))
}

/// Sends its bytes, then closes; ignores whatever it receives.
struct Broker {
    sent: Vec<u8>,
    at: usize,
    piece: usize,
}

impl AsyncRead for Broker {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let end = self.sent.len().min(self.at.saturating_add(self.piece.min(buf.remaining())));
        buf.put_slice(&self.sent[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Broker {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
