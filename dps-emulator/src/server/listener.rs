//! Accepts connections, no more at a time than a bound, and winds them down when told to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::connection::{self, Front};
use super::places::Places;

/// How long requests that are being answered get to end.
const GRACE: Duration = Duration::from_secs(2);
/// After a failed accept, which mostly means that descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn run(
    listener: TcpListener,
    tls: TlsAcceptor,
    front: Front,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut stopped = stop.clone();
    tokio::select! {
        _ = stopped.wait_for(|stop| *stop) => {}
        () = accept(&listener, &tls, front, &shared, &stop, &mut connections) => {}
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    tls: &TlsAcceptor,
    front: Front,
    shared: &Arc<Shared>,
    stop: &watch::Receiver<bool>,
    connections: &mut JoinSet<()>,
) {
    let places = Arc::new(Places::default());
    loop {
        let tcp = match listener.accept().await {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // While no place is free, later connections wait in the listen queue.
        let place = places.take().await;
        let served = connection::serve(tcp, tls.clone(), front, Arc::clone(shared), place.proof(), stop.clone());
        connections.spawn(place.hold(served));
        while connections.try_join_next().is_some() {}
    }
}
