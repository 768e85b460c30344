//! An MQTT server that does exactly what the test says, packet by packet, over real TLS and over WebSocket. It makes
//! and reads packets by hand, so that no mistake of the client's library is shared.

use std::time::Duration;

use dps_core::{Authorization, Call, Endpoint, IdScope, Identity, Instant, RegistrationId, Request, RequestId};
use dps_emulator::test_servers::SelfSigned;
use dps_mqtt::{Framing, MqttLink, MqttOptions};
use dps_net::{Dialer, Roots, TlsOptions};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request as Upgrade, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

pub(crate) const CONNECT: u8 = 1;
pub(crate) const PUBLISH: u8 = 3;
pub(crate) const PUBACK: u8 = 4;
pub(crate) const SUBSCRIBE: u8 = 8;
pub(crate) const PINGREQ: u8 = 12;
pub(crate) const DISCONNECT: u8 = 14;

pub(crate) const ASSIGNING: &str = r#"{"operationId":"5.0","status":"assigning"}"#;
pub(crate) const ASSIGNED: &str =
    r#"{"operationId":"5.0","status":"assigned","registrationState":{"assignedHub":"hub-a.test","deviceId":"dev-01"}}"#;

/// How much of a flood is sent at once, in bytes.
const FLOOD_BYTES: usize = 4096;

/// What the server does next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Waits for a packet of this type.
    Receive(u8),
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Answers the last PUBLISH; `{rid}` in the topic stands for its request id.
    Reply(&'static str, &'static str),
    /// Closes the connection.
    Close,
    /// Sends these bytes again and again until the client closes.
    Flood(Vec<u8>),
    /// Sends WebSocket pings until the client closes.
    FloodPings,
}

/// What the server saw, with the number of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A packet: its type and its body.
    Packet(usize, u8, Vec<u8>),
    /// The end; whether TLS was closed with close_notify.
    End(usize, bool),
}

pub(crate) struct Server {
    pub(crate) endpoint: String,
    ca: String,
    pub(crate) seen: mpsc::UnboundedReceiver<Seen>,
    framing: Framing,
    /// How many connections are open.
    open: watch::Receiver<usize>,
}

/// The beginning of a regular session.
pub(crate) fn welcome() -> Vec<Step> {
    vec![Step::Receive(CONNECT), Step::Send(connack(0)), Step::Receive(SUBSCRIBE), Step::Send(suback(1))]
}

pub(crate) fn connack(code: u8) -> Vec<u8> {
    vec![0x20, 2, 0, code]
}

/// SUBACK for packet id 1.
pub(crate) fn suback(code: u8) -> Vec<u8> {
    vec![0x90, 3, 0, 1, code]
}

pub(crate) fn publish(topic: &str, payload: &str) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    body.extend_from_slice(&[0, 9]);
    body.extend_from_slice(payload.as_bytes());
    let mut packet = vec![0x32];
    let mut left = body.len();
    while left > 127 {
        packet.push((left % 128) as u8 | 0x80);
        left /= 128;
    }
    packet.push(left as u8);
    packet.extend_from_slice(&body);
    packet
}

/// One script for each connection; later ones are not accepted.
pub(crate) async fn server(framing: Framing, scripts: Vec<Vec<Step>>) -> Server {
    server_valid_in(1975, 4096, framing, scripts).await
}

/// The same, with a certificate that is valid from the first day of the one year to the first day of the other.
pub(crate) async fn server_valid_in(from: i32, to: i32, framing: Framing, scripts: Vec<Vec<Step>>) -> Server {
    let tls = SelfSigned::valid_in(from, to);
    let ca = tls.pem().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("localhost:{}", listener.local_addr().unwrap().port());
    let (tell, seen) = mpsc::unbounded_channel();
    let (opened, open) = watch::channel(0);
    tokio::spawn(async move {
        for (index, script) in scripts.into_iter().enumerate() {
            let Ok((tcp, _)) = listener.accept().await else { return };
            opened.send_modify(|open| *open += 1);
            let (served, closed) = (serve(tls.clone(), tcp, framing, index + 1, script, tell.clone()), opened.clone());
            tokio::spawn(async move {
                served.await;
                closed.send_modify(|open| *open -= 1);
            });
        }
    });
    Server { endpoint, ca, seen, framing, open }
}

async fn serve(
    tls: SelfSigned,
    tcp: TcpStream,
    framing: Framing,
    number: usize,
    script: Vec<Step>,
    tell: mpsc::UnboundedSender<Seen>,
) {
    let clean = match tls.accept(tcp).await {
        Ok(tls) => match Wire::open(tls, framing).await {
            Some(wire) => converse(wire, number, script, &tell).await,
            None => false,
        },
        Err(_) => false,
    };
    let _ = tell.send(Seen::End(number, clean));
}

/// Goes through the script, then reads until the client closes; whether it did so in good order.
async fn converse(mut wire: Wire, number: usize, script: Vec<Step>, tell: &mpsc::UnboundedSender<Seen>) -> bool {
    let mut request_id = String::new();
    for step in script {
        match step {
            Step::Receive(wanted) => loop {
                let Some((kind, body)) = wire.packet().await else { return wire.clean };
                let _ = tell.send(Seen::Packet(number, kind, body.clone()));
                if kind == PUBLISH {
                    let text = String::from_utf8_lossy(&body).into_owned();
                    let rid = text.split("$rid=").nth(1).unwrap();
                    request_id = rid.chars().take_while(char::is_ascii_digit).collect();
                }
                if kind == wanted {
                    break;
                }
                // Acknowledgements and pings come when they come.
                assert!([PUBACK, PINGREQ].contains(&kind), "packet {kind} where {wanted} was expected");
            },
            Step::Send(bytes) => drop(wire.send(&bytes).await),
            Step::Reply(topic, payload) => {
                let _ = wire.send(&publish(&topic.replace("{rid}", &request_id), payload)).await;
            }
            Step::Close => {
                wire.close().await;
                return false;
            }
            Step::Flood(bytes) => {
                let many = bytes.repeat(FLOOD_BYTES / bytes.len());
                while wire.send(&many).await.is_some() {}
                return false;
            }
            Step::FloodPings => {
                while wire.ping().await.is_some() {}
                return false;
            }
        }
    }
    while let Some((kind, body)) = wire.packet().await {
        let _ = tell.send(Seen::Packet(number, kind, body));
    }
    wire.clean
}

enum Carrier {
    Tcp(Box<TlsStream<TcpStream>>),
    WebSocket(Box<WebSocketStream<TlsStream<TcpStream>>>),
}

struct Wire {
    carrier: Carrier,
    received: Vec<u8>,
    clean: bool,
}

impl Wire {
    async fn open(tls: TlsStream<TcpStream>, framing: Framing) -> Option<Self> {
        let carrier = match framing {
            Framing::Tcp => Carrier::Tcp(Box::new(tls)),
            Framing::WebSocket => {
                #[allow(clippy::result_large_err, reason = "the library's callback has this type")]
                let check = |upgrade: &Upgrade, mut response: Response| {
                    assert_eq!(upgrade.uri().path(), "/$iothub/websocket");
                    let asked = upgrade.headers().get("sec-websocket-protocol").cloned().unwrap();
                    response.headers_mut().insert("sec-websocket-protocol", asked);
                    Ok(response)
                };
                Carrier::WebSocket(Box::new(accept_hdr_async(tls, check).await.ok()?))
            }
        };
        Some(Self { carrier, received: Vec::new(), clean: false })
    }

    /// The next packet: its type and its body.
    async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(packet) = self.take() {
                return Some(packet);
            }
            match &mut self.carrier {
                Carrier::Tcp(stream) => {
                    let mut bytes = [0; 1024];
                    match stream.read(&mut bytes).await {
                        Ok(0) => {
                            self.clean = true;
                            return None;
                        }
                        Ok(read) => self.received.extend_from_slice(&bytes[..read]),
                        Err(_) => return None,
                    }
                }
                Carrier::WebSocket(stream) => match stream.next().await {
                    Some(Ok(Message::Binary(bytes))) => self.received.extend_from_slice(&bytes),
                    Some(Ok(Message::Close(_))) => self.clean = true,
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                },
            }
        }
    }

    fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let (mut length, mut at, mut shift) = (0, 1, 0);
        loop {
            let byte = *self.received.get(at)?;
            length |= usize::from(byte & 0x7f) << shift;
            at += 1;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        if self.received.len() < at + length {
            return None;
        }
        let packet: Vec<u8> = self.received.drain(..at + length).collect();
        Some((packet[0] >> 4, packet[at..].to_vec()))
    }

    /// Over WebSocket in messages of three bytes, so that packets and messages never line up. `None` when the client is
    /// gone.
    async fn send(&mut self, bytes: &[u8]) -> Option<()> {
        match &mut self.carrier {
            Carrier::Tcp(stream) => stream.write_all(bytes).await.ok(),
            Carrier::WebSocket(stream) => {
                for piece in bytes.chunks(3) {
                    stream.send(Message::Binary(piece.to_vec().into())).await.ok()?;
                }
                Some(())
            }
        }
    }

    async fn ping(&mut self) -> Option<()> {
        match &mut self.carrier {
            Carrier::Tcp(_) => None,
            Carrier::WebSocket(stream) => stream.send(Message::Ping("flood".into())).await.ok(),
        }
    }

    async fn close(&mut self) {
        match &mut self.carrier {
            Carrier::Tcp(stream) => drop(stream.shutdown().await),
            Carrier::WebSocket(stream) => drop((**stream).close(None).await),
        }
    }
}

impl Server {
    pub(crate) fn options(&self) -> MqttOptions {
        MqttOptions::default().framing(self.framing).user_agent("test/1")
    }

    pub(crate) fn link(&self, options: MqttOptions) -> MqttLink {
        self.link_with(self.tls(), options)
    }

    pub(crate) fn tls(&self) -> TlsOptions {
        TlsOptions::new(Roots::replace_pem(self.ca.as_bytes()).unwrap())
    }

    pub(crate) fn link_with(&self, tls: TlsOptions, options: MqttOptions) -> MqttLink {
        MqttLink::new(Dialer::new(tls.client_config().unwrap(), None), options).unwrap()
    }

    pub(crate) fn request<'a>(&'a self, id: u32, generation: u32, call: Call<'a>) -> Request<'a> {
        let identity = Identity {
            endpoint: Endpoint::new(&self.endpoint).unwrap(),
            id_scope: IdScope::new("0ne00A1B2C3").unwrap(),
            registration_id: RegistrationId::new("dev-01").unwrap(),
        };
        let token = Some(Authorization::new("SharedAccessSignature sr=x", generation));
        Request::new(RequestId::new(id), call, identity, token, Instant::from_millis(30_000))
    }

    pub(crate) fn register(&self, id: u32) -> Request<'_> {
        self.request(id, 1, Call::register(None))
    }

    pub(crate) fn status(&self, id: u32) -> Request<'_> {
        self.request(id, 1, Call::Status { operation_id: "5.0".into() })
    }

    /// The next thing that the server saw, within ten seconds.
    pub(crate) async fn saw(&mut self) -> Seen {
        tokio::time::timeout(Duration::from_secs(10), self.seen.recv()).await.expect("something happens").unwrap()
    }

    /// Waits until every connection is closed, ten seconds at most.
    pub(crate) async fn all_closed(&mut self) {
        let closed = tokio::time::timeout(Duration::from_secs(10), self.open.wait_for(|open| *open == 0)).await;
        closed.expect("a connection stays open").unwrap();
    }

    /// The types of all packets until the end of the first connection that ends, and whether it ended in good order.
    pub(crate) async fn until_end(&mut self) -> (Vec<u8>, bool) {
        let mut kinds = Vec::new();
        loop {
            match self.saw().await {
                Seen::Packet(_, kind, _) => kinds.push(kind),
                Seen::End(_, clean) => return (kinds, clean),
            }
        }
    }
}
