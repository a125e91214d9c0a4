//! What is sent: events with their data, or with the way to it.
//!
//! Data that is kept apart is read at the last moment, and only where it has to be in memory as a whole. What cannot be read is a matter
//! of that one event: all others go their way.

use super::Core;
use crate::{
    machine::Dispatch,
    outcome::{Outcome, Refusal},
    payload::Payload,
    port::{Delivery, Parcel},
    run::Run,
    subscription::SubscriptionSpec,
    topic::Position,
};
use motet_store::{BlobError, Store};
use std::sync::Arc;

/// The events of a dispatch. Data that is kept apart is still there.
pub(super) fn parcels(store: &Store, dispatch: Dispatch) -> impl Iterator<Item = Parcel> {
    dispatch.letters.into_iter().map(move |letter| Parcel {
        payload: letter.entry.payload.map(|blob| Payload::new(store, blob)),
        event: letter.entry.event,
        position: letter.place.map(Position),
        redriven: letter.id.position().is_none(),
        attempt: letter.attempt,
        token: letter.token.to_string(),
        published_at: letter.entry.published_at,
    })
}

/// Delivers, and says what became of each parcel.
pub(super) async fn deliver(core: &Core, spec: Arc<SubscriptionSpec>, run: Run, parcels: Vec<Parcel>) -> Vec<Outcome> {
    if parcels.iter().all(|parcel| parcel.payload.is_none()) {
        return core.deliver.deliver(Delivery { subscription: spec, run, parcels }).await;
    }
    let streams = core.deliver.streams(&spec);
    let mut outcomes = Vec::with_capacity(parcels.len());
    let mut sent = Vec::with_capacity(parcels.len());
    let mut payloads = Vec::with_capacity(parcels.len());
    for parcel in parcels {
        let payload = parcel.payload.clone();
        let (parcel, error) = if streams { (parcel, None) } else { whole(parcel).await };
        outcomes.push(match error {
            Some(error) => Some(unread(core, &spec, in_topic(&parcel), &error).await),
            None => {
                sent.push(parcel);
                payloads.push(payload);
                None
            }
        });
    }
    let mut answers = Vec::new();
    if !sent.is_empty() {
        let positions: Vec<_> = sent.iter().map(in_topic).collect();
        let delivery = Delivery { subscription: Arc::clone(&spec), run, parcels: sent };
        answers = core.deliver.deliver(delivery).await;
        answers.resize(positions.len(), Outcome::retry("the answer did not say what became of it"));
        for ((answer, payload), position) in answers.iter_mut().zip(&payloads).zip(positions) {
            // Found while it was streamed: whatever was answered, it had not all of it.
            if let Some(error) = payload.as_ref().and_then(Payload::trouble) {
                *answer = unread(core, &spec, position, error).await;
            }
        }
    }
    let mut answers = answers.into_iter();
    let or_answer = |outcome: Option<Outcome>| outcome.or_else(|| answers.next());
    outcomes.into_iter().filter_map(or_answer).collect()
}

/// Where the topic has it. One that was redriven is kept beside the topic, wherever it stood before.
pub(super) fn in_topic(parcel: &Parcel) -> Option<Position> {
    parcel.position.filter(|_| !parcel.redriven)
}

/// The parcel with its data in the event; or without, and why.
pub(super) async fn whole(mut parcel: Parcel) -> (Parcel, Option<BlobError>) {
    let Some(payload) = parcel.payload.take() else { return (parcel, None) };
    match payload.load().await {
        Ok(data) => {
            parcel.event = parcel.event.with_data(Some(data));
            (parcel, None)
        }
        Err(error) => (parcel, Some(error)),
    }
}

/// What it means for an event that its data cannot be read.
pub(super) async fn unread(
    core: &Core,
    spec: &SubscriptionSpec,
    position: Option<Position>,
    error: &BlobError,
) -> Outcome {
    let text = format!("the event's data could not be read ({}): {error}", error.code());
    if error.is_temporary() {
        tracing::warn!(subscription = %spec.name, %error, "the data of an event cannot be read now; tried again");
        return Outcome::retry(text);
    }
    if matches!(error, BlobError::Missing(_))
        && let Some(position) = position
        && let Ok(ends) = core.transport.ends(&spec.topic).await
        && position < ends.first
    {
        return Outcome::Gone;
    }
    tracing::error!(subscription = %spec.name, %error, code = %error.code(), "the data of an event is lost");
    Outcome::Permanent(Refusal::of(text))
}
