//! The latest events, bounded in number and memory: the oldest are dropped.

use std::collections::VecDeque;
use std::sync::Arc;

use super::waits::Waits;
use super::{Connection, Event, EventKind, Transport, bounded};
use crate::time::Now;

/// How much memory the kept events use at most, in bytes. Anybody can send large requests.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// How many packets an event has at most; later ones are not recorded.
#[cfg(feature = "mqtt")]
const PACKETS_MAX: usize = 200;

pub(crate) struct Recorder {
    kept: VecDeque<Arc<Event>>,
    bytes: usize,
    /// How many events are kept at most; 0 records nothing.
    most: usize,
    last_seq: u64,
    #[cfg(feature = "server")]
    connections: u64,
    /// The connection that the current call arrives on.
    pub(super) current: Option<Arc<Connection>>,
    pub(super) waits: Waits,
}

impl Recorder {
    pub(crate) fn new(most: usize) -> Self {
        let (kept, waits) = (VecDeque::new(), Waits::default());
        Self {
            kept,
            bytes: 0,
            most,
            last_seq: 0,
            #[cfg(feature = "server")]
            connections: 0,
            current: None,
            waits,
        }
    }

    /// Whether events are recorded at all.
    pub(crate) fn is_on(&self) -> bool {
        self.most > 0
    }

    /// Records what happened on the connection of the current call.
    pub(crate) fn record(&mut self, now: Now, transport: Transport, registration_id: Option<&str>, kind: EventKind) {
        if self.most == 0 {
            return;
        }
        self.last_seq += 1;
        let connection = self.current.clone();
        let event = Event {
            seq: self.last_seq,
            unix_ms: now.unix_ms,
            monotonic_ms: now.monotonic_ms,
            transport: connection.as_ref().map_or(transport, |connection| connection.transport),
            connection,
            registration_id: registration_id.filter(|id| !id.is_empty()).map(bounded),
            kind,
        };
        self.bytes += event.size();
        self.kept.push_back(Arc::new(event));
        self.bound();
    }

    fn bound(&mut self) {
        while self.kept.len() > self.most || (self.bytes > BYTES_MAX && self.kept.len() > 1) {
            if let Some(oldest) = self.kept.pop_front() {
                self.bytes -= oldest.size();
            }
        }
    }

    /// The number of the next connection.
    #[cfg(feature = "server")]
    pub(crate) fn next_connection(&mut self) -> u64 {
        self.connections += 1;
        self.connections
    }

    /// The number of the latest event; 0 before the first.
    pub(crate) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The kept events after number `seq`, oldest first.
    pub(crate) fn after(&self, seq: u64) -> impl Iterator<Item = &Arc<Event>> {
        self.kept.range(self.index_after(seq)..)
    }

    /// How many events after number `seq` were dropped.
    pub(crate) fn dropped_after(&self, seq: u64) -> u64 {
        let first = self.kept.front().map_or(self.last_seq + 1, |event| event.seq);
        (first - 1).saturating_sub(seq)
    }

    fn index_after(&self, seq: u64) -> usize {
        let dropped = self.last_seq - self.kept.len() as u64;
        usize::try_from(seq.saturating_sub(dropped)).map_or(self.kept.len(), |index| index.min(self.kept.len()))
    }

    /// Adds packets to the latest event after number `seq` that can have some, and removes them from the list; also where the
    /// packets had a key of the device. Does nothing if no event can.
    #[cfg(feature = "mqtt")]
    pub(crate) fn add_packets(&mut self, seq: u64, packets: &mut Vec<super::MqttPacket>, mask: &mut super::Mask) {
        let from = self.index_after(seq);
        let Some(latest) = self.kept.range(from..).rposition(|event| event.can_have_packets()) else { return };
        let event = Arc::make_mut(&mut self.kept[from + latest]);
        let before = event.size();
        if let EventKind::Exchange(exchange) = &mut event.kind {
            exchange.exposed.extend(mask.exposed());
        }
        if let Some(own) = event.packets_mut() {
            let room = PACKETS_MAX.saturating_sub(own.len());
            own.extend(packets.drain(..).take(room));
        }
        self.bytes = self.bytes - before + event.size();
        self.bound();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Exchange, Handshake};

    fn record(recorder: &mut Recorder, times: usize) {
        for _ in 0..times {
            let kind = EventKind::Connection(Handshake::default());
            recorder.record(Now::default(), Transport::Https, None, kind);
        }
    }

    fn seqs(recorder: &Recorder, after: u64) -> Vec<u64> {
        recorder.after(after).map(|event| event.seq).collect()
    }

    #[test]
    fn oldest_events_are_dropped_and_the_gap_is_visible() {
        let mut recorder = Recorder::new(3);
        assert_eq!((seqs(&recorder, 0), recorder.dropped_after(0)), (vec![], 0));
        record(&mut recorder, 2);
        assert_eq!((seqs(&recorder, 0), recorder.dropped_after(0)), (vec![1, 2], 0));
        record(&mut recorder, 3);
        assert_eq!((seqs(&recorder, 0), recorder.dropped_after(0)), (vec![3, 4, 5], 2));
        assert_eq!((seqs(&recorder, 4), recorder.dropped_after(4)), (vec![5], 0));
        assert_eq!((seqs(&recorder, 5), recorder.dropped_after(5)), (vec![], 0));
        assert_eq!((seqs(&recorder, 99), recorder.dropped_after(99)), (vec![], 0));
    }

    #[test]
    fn nothing_is_recorded_when_no_event_is_kept() {
        let mut recorder = Recorder::new(0);
        record(&mut recorder, 2);
        assert_eq!((recorder.last_seq(), seqs(&recorder, 0)), (0, vec![]));
    }

    #[test]
    fn large_requests_use_bounded_memory() {
        let mut recorder = Recorder::new(1_000_000);
        let large = Exchange { message: Some("x".repeat(1024 * 1024)), ..Exchange::default() };
        for _ in 0..100 {
            recorder.record(Now::default(), Transport::Https, None, EventKind::Exchange(Box::new(large.clone())));
        }
        assert!(recorder.bytes <= BYTES_MAX && recorder.kept.len() < 33, "{}", recorder.bytes);
        assert_eq!(recorder.bytes, recorder.kept.iter().map(|event| event.size()).sum::<usize>());
        assert_eq!(recorder.dropped_after(0), 100 - recorder.kept.len() as u64);
    }

    #[test]
    fn every_string_that_a_client_sends_counts() {
        let long = || Some("x".repeat(1000));
        let exchange = Exchange {
            call: "x".repeat(1000),
            client_id: long(),
            user_agent: long(),
            api_version: long(),
            operation_id: long(),
            ..Exchange::default()
        };
        let mut recorder = Recorder::new(1);
        let kind = EventKind::Exchange(Box::new(exchange));
        recorder.record(Now::default(), Transport::Https, Some(&"x".repeat(100)), kind);
        assert!(recorder.bytes > 5100, "{}", recorder.bytes);
    }
}
