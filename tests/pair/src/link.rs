//! The HTTP connection between the two: the core's HTTP codec on the device's side, `httparse` and the emulator on the other,
//! only bytes between them. Latency, loss and the emulator's transport faults are simulated here.

use std::rc::Rc;

use dps_core::codec::http::{DEFAULT_API_VERSION, wire};
use dps_core::{Link, LinkError, Reply, Request};
use dps_emulator::{ClientCertificates, Flood, HttpReply, HttpRequest, TransportFault};

use crate::weather::Weather;
use crate::world::{SERVICE_EPOCH, Sent, SharedService, World};

/// A link over the wire to a service in the same world.
pub struct PairLink {
    /// The clock.
    pub world: World,
    /// The other side.
    pub service: SharedService,
    /// The latency in one direction, in milliseconds.
    pub latency: u64,
    /// The faults of the network, exchange by exchange; none after the last.
    pub weather: Vec<Weather>,
    /// The wall clock of the service at the world's zero, in milliseconds since 1970.
    pub service_epoch: u64,
    /// The API version of the requests.
    pub api_version: &'static str,
    /// What the device presents in TLS, which is not modelled otherwise.
    pub certificates: ClientCertificates,
    /// The requests that were sent, as method and target, without headers, which contain tokens.
    pub sent: Vec<Sent>,
    /// Whether a connection is open.
    pub connected: bool,
    /// How many connections were made.
    pub connections: u32,
}

impl PairLink {
    /// A link with 20 ms latency and fair weather.
    #[must_use]
    pub fn new(world: &World, service: &SharedService) -> Self {
        Self {
            world: world.clone(),
            service: Rc::clone(service),
            latency: 20,
            weather: Vec::new(),
            service_epoch: SERVICE_EPOCH,
            api_version: DEFAULT_API_VERSION,
            certificates: ClientCertificates::none(),
            sent: Vec::new(),
            connected: false,
            connections: 0,
        }
    }

    /// Sets the faults of the network, exchange by exchange.
    #[must_use]
    pub fn weather(mut self, weather: &[Weather]) -> Self {
        self.weather = weather.to_vec();
        self
    }

    async fn carry(&mut self, bytes: &[u8], weather: Weather) -> Result<Vec<u8>, LinkError> {
        weather.before(&self.world).await?;
        self.world.wait(self.latency).await;
        if weather == Weather::RequestLost {
            return Err(LinkError::Cut);
        }
        let reply = self.serve(bytes);
        match reply.fault {
            Some(TransportFault::DropBefore | TransportFault::DropAfter) => return Err(LinkError::Cut),
            Some(TransportFault::Silent) => self.world.for_ever().await,
            Some(TransportFault::Delay { ms }) => self.world.wait(ms).await,
            Some(TransportFault::SlowBytes) => self.world.trickle(reply_bytes(&reply).len()).await,
            Some(TransportFault::Flood { of, .. }) => return Err(self.flooded(of).await),
            _ => {}
        }
        self.world.wait(self.latency).await;
        match (weather, reply.fault) {
            (Weather::ReplyLost, _) => Err(LinkError::Cut),
            (_, Some(TransportFault::Noise)) => Ok(b"\x16\x03\x01 no HTTP\r\n\r\n".to_vec()),
            _ => Ok(reply_bytes(&reply)),
        }
    }

    /// Reads an endless reply as over sockets: interim responses are skipped indefinitely, a head or a body that is too large
    /// is refused.
    async fn flooded(&self, of: Flood) -> LinkError {
        match of {
            Flood::HeaderLines => LinkError::InvalidReply,
            Flood::Chunks => LinkError::ReplyTooLarge { needed: None },
            _ => {
                self.world.for_ever().await;
                LinkError::Cut
            }
        }
    }

    /// The service's side: parses the bytes as any server would and asks the service.
    fn serve(&mut self, bytes: &[u8]) -> HttpReply {
        let now = self.world.now_at(self.service_epoch);
        let parsed = Parsed::read(bytes);
        let headers: Vec<(&str, &str)> = parsed.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let request = HttpRequest {
            method: &parsed.method,
            path_and_query: &parsed.target,
            headers: &headers,
            body: &bytes[parsed.body_start..],
        };
        self.service.borrow_mut().handle_with_certificates(now, &request, &self.certificates)
    }
}

impl Link for PairLink {
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        let length = wire::write_request(request, self.api_version, "pair", buffer)
            .map_err(|short| LinkError::RequestTooLarge { needed: short.needed })?;
        let bytes = buffer[..length].to_vec();
        self.sent.push(sent(self.world.millis(), &bytes));
        let weather = Weather::next(&mut self.weather);
        // As links must: the connection counts as closed until the reply has arrived.
        self.connections += u32::from(!std::mem::take(&mut self.connected));
        let received = self.carry(&bytes, weather).await?;
        if received.len() > buffer.len() {
            return Err(LinkError::ReplyTooLarge { needed: Some(received.len()) });
        }
        let capacity = buffer.len();
        let filled = &mut buffer[..received.len()];
        filled.copy_from_slice(&received);
        let layout = wire::scan(filled, capacity, true)?.ok_or(LinkError::Cut)?;
        self.connected = !layout.close;
        layout.read(filled)
    }

    async fn close(&mut self) {
        self.connected = false;
    }
}

/// A request as a server parses it.
struct Parsed {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body_start: usize,
}

impl Parsed {
    fn read(bytes: &[u8]) -> Self {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Request::new(&mut headers);
        let status = parsed.parse(bytes).expect("the codec writes HTTP");
        let httparse::Status::Complete(body_start) = status else { panic!("the codec writes whole heads") };
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).expect("headers are text");
        let found = Self {
            method: parsed.method.unwrap_or_default().to_owned(),
            target: parsed.path.unwrap_or_default().to_owned(),
            headers: parsed.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect(),
            body_start,
        };
        let length: usize = found.header("content-length").parse().unwrap_or_default();
        assert_eq!(bytes.len() - body_start, length, "the body is as long as the head says");
        found
    }

    fn header(&self, wanted: &str) -> &str {
        let found = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map_or("", |(_, value)| value)
    }
}

fn sent(at: u64, bytes: &[u8]) -> Sent {
    let request = Parsed::read(bytes);
    let token = request.header("authorization").to_owned();
    Sent { at, line: format!("{} {}", request.method, request.target), token }
}

/// Writes a reply: chunked if the status is even, by length otherwise, so that both are tested.
fn reply_bytes(reply: &HttpReply) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {} -\r\n", reply.status).into_bytes();
    for (name, value) in &reply.headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if reply.status.is_multiple_of(2) && !reply.body.is_empty() {
        bytes.extend_from_slice(format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", reply.body.len()).as_bytes());
        bytes.extend_from_slice(&reply.body);
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
    } else {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", reply.body.len()).as_bytes());
        bytes.extend_from_slice(&reply.body);
    }
    bytes
}
