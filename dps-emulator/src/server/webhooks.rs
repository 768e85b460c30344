//! Makes the webhook calls that the service asks for, and passes their outcomes back to it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, JoinSet};

use super::shared::Shared;
use super::webhook_client::WebhookClient;
use crate::webhook::WebhookCall;

/// Where the calls are passed to. The service bounds how many are unanswered.
pub(super) type Calls = UnboundedSender<WebhookCall>;

/// Starts the task that makes the calls. It ends with the service.
pub(super) fn start(shared: &Arc<Shared>, client: WebhookClient) -> JoinHandle<()> {
    let (sender, calls) = unbounded_channel();
    shared.set_webhooks(sender);
    tokio::spawn(run(calls, client, Arc::downgrade(shared)))
}

async fn run(mut calls: UnboundedReceiver<WebhookCall>, client: WebhookClient, shared: Weak<Shared>) {
    // Dropped with this future, which ends the calls in progress.
    let mut running = JoinSet::new();
    while let Some(call) = calls.recv().await {
        let (client, shared) = (client.clone(), Weak::clone(&shared));
        running.spawn(async move {
            let outcome = client.post(&call.url, call.body, Duration::from_millis(call.limit_ms)).await;
            if let Some(shared) = shared.upgrade() {
                shared.ask(None, |service, now| service.answer_webhook(now, call.id, outcome));
            }
        });
        while running.try_join_next().is_some() {}
    }
}
