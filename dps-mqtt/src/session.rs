//! A session with the service over one connection: CONNECT, SUBSCRIBE, then a publish and its reply for each request. It is
//! opened with one token; a new token requires a new session.

use std::collections::VecDeque;

use dps_core::codec::mqtt::{self, SUBSCRIBE_FILTER, Topic};
use dps_core::{LinkError, Reply, Request, Text};
use dps_net::{CertificateUse, Dialer, NetError};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, ConnectReturnCode, Packet, Publish, Subscribe, SubscribeReasonCode};
use tracing::debug;
use zeroize::Zeroize as _;

use crate::connection::Connection;
use crate::error::explain_early_close;
use crate::options::{Framing, MqttOptions};
use crate::stream::{Answering, Io, Stream};

/// A connection that is subscribed to the service's replies.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    /// The generation of the token that it was opened with.
    pub(crate) generation: Option<u32>,
    /// The reply to the first request, when it came before the subscription was granted.
    early: Option<Publish>,
}

impl Session {
    /// Connects, signs in and subscribes. When pipelined, `request` has been sent when this returns.
    /// `certificate` is the dialer's.
    pub(crate) async fn open(
        dialer: &Dialer,
        options: &MqttOptions,
        request: &Request<'_>,
        certificate: &CertificateUse,
    ) -> Result<Self, NetError> {
        let endpoint = request.identity.endpoint;
        let tls = dialer.dial(endpoint.host(), endpoint.port_or(options.framing.default_port())).await?;
        Self::start(Box::new(Answering(tls)), options, request, certificate).await
    }

    /// The same over a connection that is open already.
    pub(crate) async fn start(
        io: Box<dyn Io>,
        options: &MqttOptions,
        request: &Request<'_>,
        certificate: &CertificateUse,
    ) -> Result<Self, NetError> {
        let authority = written(|text| request.identity.endpoint.write(text))?;
        let stream = Stream::open(options.framing, io, &authority, options.packet_cap).await?;
        if options.framing == Framing::WebSocket {
            certificate.answered();
        }
        let connection = Connection::new(stream, options.packet_cap, options.keep_alive);
        let mut session = Self { connection, generation: generation(request), early: None };
        session.queue_connect(options, request)?;
        let mut subscribe = Subscribe::new(SUBSCRIBE_FILTER, QoS::AtLeastOnce);
        subscribe.pkid = session.connection.next_packet_id();
        let subscribe = Packet::Subscribe(subscribe);
        if options.pipelined {
            session.connection.queue(&subscribe)?;
            session.queue_request(request)?;
        }
        session.connection.flush().await?;
        connected(&mut session.connection, certificate).await?;
        if !options.pipelined {
            session.connection.queue(&subscribe)?;
        }
        let asked = options.pipelined.then_some(request);
        let is_reply = |publish: &Publish| asked.is_some_and(|request| answers(publish, request));
        session.early = subscribed(&mut session.connection, is_reply).await?.pop_front();
        Ok(session)
    }

    /// Queues the first packet, whose password is the token.
    fn queue_connect(&mut self, options: &MqttOptions, request: &Request<'_>) -> Result<(), NetError> {
        let mut connect = Packet::Connect(connect(options, request)?);
        let queued = self.connection.queue(&connect);
        // The library does not wipe the password.
        if let Packet::Connect(Connect { login: Some(login), .. }) = &mut connect {
            login.password.zeroize();
        }
        queued
    }

    /// Queues the request.
    pub(crate) fn queue_request(&mut self, request: &Request<'_>) -> Result<(), NetError> {
        let topic = written(|text| mqtt::write_topic(text, request))?;
        let payload = written(|text| mqtt::write_payload(text, request))?;
        self.connection.queue_publish(Publish::new(topic, QoS::AtLeastOnce, payload))
    }

    /// Waits for the reply to the request. Others are ignored.
    pub(crate) async fn reply<'b>(
        &mut self,
        request: &Request<'_>,
        buffer: &'b mut [u8],
    ) -> Result<Reply<'b>, NetError> {
        let publish = match self.early.take() {
            Some(publish) => publish,
            None => self.publish_for(request).await?,
        };
        // The acknowledgement of the reply.
        self.connection.flush().await?;
        let topic = mqtt::parse_topic(&publish.topic);
        let topic =
            topic.ok_or_else(|| NetError::new(LinkError::InvalidReply, "the topic of the reply cannot be read"))?;
        read(&topic, &publish.payload, buffer)
    }

    async fn publish_for(&mut self, request: &Request<'_>) -> Result<Publish, NetError> {
        loop {
            match self.connection.next().await? {
                Packet::Publish(publish) if answers(&publish, request) => return Ok(publish),
                other => {
                    if let Packet::Publish(publish) = other {
                        debug!(topic = publish.topic, "ignored an unexpected publish");
                    }
                    self.connection.ignore()?;
                }
            }
        }
    }

    /// Keeps the connection alive until it breaks, too many unexpected packets arrive, or this is dropped.
    pub(crate) async fn idle(&mut self) -> NetError {
        self.connection.begin_idling();
        loop {
            let ignored = match self.connection.next().await {
                Ok(_) => self.connection.ignore(),
                Err(broken) => Err(broken),
            };
            if let Err(broken) = ignored {
                return broken;
            }
        }
    }
}

/// Waits for the answer to CONNECT. `certificate` is the dialer's.
pub(crate) async fn connected(connection: &mut Connection, certificate: &CertificateUse) -> Result<(), NetError> {
    let first = connection.next().await.map_err(|broken| explain_early_close(broken, "CONNECT"))?;
    certificate.answered();
    let Packet::ConnAck(ack) = first else {
        return Err(NetError::new(LinkError::InvalidReply, "the server's first packet is not CONNACK"));
    };
    let code = match ack.code {
        ConnectReturnCode::Success => return Ok(()),
        ConnectReturnCode::RefusedProtocolVersion => 1,
        ConnectReturnCode::BadClientId => 2,
        ConnectReturnCode::ServiceUnavailable => 3,
        ConnectReturnCode::BadUserNamePassword => 4,
        ConnectReturnCode::NotAuthorized => 5,
    };
    Err(NetError::new(LinkError::MqttRefused { code }, format!("CONNACK {code}")))
}

/// Waits until the subscription is granted. The server may publish before SUBACK (MQTT 3.1.1, section 3.8.4): the publishes that
/// are replies are returned, in order. They count as unexpected packets, which bounds them.
pub(crate) async fn subscribed(
    connection: &mut Connection,
    is_reply: impl Fn(&Publish) -> bool,
) -> Result<VecDeque<Publish>, NetError> {
    let mut early = VecDeque::new();
    loop {
        match connection.next().await? {
            Packet::SubAck(ack) => {
                let granted = !ack.return_codes.is_empty()
                    && ack.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_)));
                let refused = || NetError::new(LinkError::SubscribeRefused, "SUBACK refuses the filter of the replies");
                return granted.then_some(early).ok_or_else(refused);
            }
            packet => {
                connection.ignore()?;
                if let Packet::Publish(publish) = packet
                    && is_reply(&publish)
                {
                    early.push_back(publish);
                }
            }
        }
    }
}

/// Makes one request over `io` and waits for what follows; returns the reply, and why the connection ended after it. Only
/// in builds for fuzzing.
///
/// # Errors
/// What ends the exchange.
#[cfg(fuzzing)]
pub async fn exchange_and_idle<'b>(
    io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Sync + Unpin + 'static,
    options: &MqttOptions,
    request: &Request<'_>,
    buffer: &'b mut [u8],
) -> Result<(Reply<'b>, LinkError), LinkError> {
    let error = |failure: NetError| failure.kind();
    let mut session =
        Session::start(Box::new(io), options, request, &CertificateUse::default()).await.map_err(error)?;
    if !options.pipelined {
        session.queue_request(request).map_err(error)?;
        session.connection.flush().await.map_err(error)?;
    }
    let reply = session.reply(request, buffer).await.map_err(error)?;
    let ended = session.idle().await.kind();
    Ok((reply, ended))
}

/// Whether a publish is the reply to this request.
fn answers(publish: &Publish, request: &Request<'_>) -> bool {
    mqtt::parse_topic(&publish.topic).is_some_and(|topic| topic.answers(request.id))
}

/// The generation of a request's token.
pub(crate) fn generation(request: &Request<'_>) -> Option<u32> {
    request.authorization.map(|authorization| authorization.generation)
}

fn connect(options: &MqttOptions, request: &Request<'_>) -> Result<Connect, NetError> {
    let identity = request.identity;
    let user = written(|text| mqtt::write_user_name(text, &identity, &options.api_version, &options.user_agent))?;
    let mut connect = Connect::new(identity.registration_id.as_str());
    connect.keep_alive = u16::try_from(options.keep_alive.as_secs()).unwrap_or(u16::MAX);
    connect.set_login(user, request.authorization.map_or("", |authorization| authorization.token.as_str()));
    Ok(connect)
}

fn read<'b>(topic: &Topic, payload: &[u8], buffer: &'b mut [u8]) -> Result<Reply<'b>, NetError> {
    let needed = Some(payload.len());
    let too_large =
        || NetError::new(LinkError::ReplyTooLarge { needed }, format!("a reply of {} bytes", payload.len()));
    let space = buffer.get_mut(..payload.len()).ok_or_else(too_large)?;
    space.copy_from_slice(payload);
    let detail = || format!("a reply with status {} whose payload is not a JSON object", topic.status);
    mqtt::read_reply(topic, space).map_err(|error| NetError::new(error, detail()))
}

/// Writes twice: once for the size, once for the text.
fn written(write: impl Fn(&mut Text<'_>)) -> Result<String, NetError> {
    let mut measure = Text::new(&mut []);
    write(&mut measure);
    let mut bytes = vec![0; measure.len()];
    let mut text = Text::new(&mut bytes);
    write(&mut text);
    let too_small = |short: dps_core::TooSmall| {
        NetError::new(LinkError::RequestTooLarge { needed: short.needed }, "the request does not fit")
    };
    text.finish().map(str::to_owned).map_err(too_small)
}
