//! What is with subscribers: pushed and not answered yet, or leased.

use super::item::{Id, Item};
use crate::{port::Entry, time::Time};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    str::FromStr,
};

/// By this a subscriber acknowledges later. It names a flight of this run of the broker; the random part keeps tokens of other runs, and
/// invented ones, from fitting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    flight: u64,
    index: u32,
    secret: u64,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:016x}", self.flight, self.index, self.secret)
    }
}

impl FromStr for Token {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('-');
        let mut part = || u64::from_str_radix(parts.next().unwrap_or_default(), 16).map_err(|_| ());
        let (flight, index, secret) = (part()?, part()?, part()?);
        let token = Self { flight, index: u32::try_from(index).map_err(|_| ())?, secret };
        if parts.next().is_some() { Err(()) } else { Ok(token) }
    }
}

/// What is sent in one go.
#[derive(Debug)]
pub(crate) struct Dispatch {
    /// To be given back with the outcome.
    pub flight: u64,
    /// The events, in order.
    pub letters: Vec<Letter>,
}

/// One event of a [`Dispatch`].
#[derive(Debug)]
pub(crate) struct Letter {
    /// Which.
    pub id: Id,
    /// Where it stands in the topic, or stood before it was redriven.
    pub place: Option<u64>,
    /// What.
    pub entry: Entry,
    /// 1 for the first.
    pub attempt: u32,
    /// For a later acknowledgement.
    pub token: Token,
}

#[derive(Debug)]
struct Flight {
    /// Nothing where one is done with already.
    items: Vec<Option<Item>>,
    /// When the lease is over; nothing while a push is not answered.
    due: Option<Time>,
    secret: u64,
    /// The subscription was moved meanwhile: what becomes of it is not recorded.
    stale: bool,
}

/// What comes back from a flight.
pub(super) struct Landed {
    pub(super) item: Item,
    pub(super) stale: bool,
}

#[derive(Debug, Default)]
pub(super) struct Flights {
    next: u64,
    flights: HashMap<u64, Flight>,
    due: BTreeSet<(Time, u64)>,
}

impl Flights {
    /// Sends items off: leased until `due`, or with a push that will be answered.
    pub(super) fn launch(&mut self, items: Vec<Item>, due: Option<Time>, random: &mut fastrand::Rng) -> Dispatch {
        self.next += 1;
        let (flight, secret) = (self.next, random.u64(..));
        let letters = items.iter().zip(0..).filter_map(|(item, index)| {
            Some(Letter {
                id: item.id,
                place: item.place(),
                entry: item.entry.clone()?,
                attempt: item.attempts.made + 1,
                token: Token { flight, index, secret },
            })
        });
        let dispatch = Dispatch { flight, letters: letters.collect() };
        self.due.extend(due.map(|due| (due, flight)));
        let items = items.into_iter().map(Some).collect();
        self.flights.insert(flight, Flight { items, due, secret, stale: false });
        dispatch
    }

    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }

    pub(super) fn events(&self) -> usize {
        self.flights.values().map(|flight| flight.items.iter().flatten().count()).sum()
    }

    pub(super) fn first_due(&self) -> Option<Time> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.flights.values().flat_map(|flight| flight.items.iter().flatten())
    }

    /// A push was answered: everything lands but what `stays` says, which is leased until `due` from now on.
    pub(super) fn answered(&mut self, flight: u64, stays: impl Fn(usize) -> bool, due: Time) -> Vec<(usize, Landed)> {
        let Some(mut found) = self.flights.remove(&flight) else { return Vec::new() };
        let stale = found.stale;
        let mut landed = Vec::with_capacity(found.items.len());
        for (index, slot) in found.items.iter_mut().enumerate() {
            if !stays(index)
                && let Some(item) = slot.take()
            {
                landed.push((index, Landed { item, stale }));
            }
        }
        if found.items.iter().any(Option::is_some) {
            found.due = Some(due);
            self.due.insert((due, flight));
            self.flights.insert(flight, found);
        }
        landed
    }

    /// The event that a token stands for lands.
    pub(super) fn take(&mut self, token: Token) -> Option<Landed> {
        let flight = self.flights.get_mut(&token.flight).filter(|flight| flight.secret == token.secret)?;
        let item = flight.items.get_mut(token.index as usize)?.take()?;
        let stale = flight.stale;
        if flight.items.iter().all(Option::is_none) {
            let due = flight.due;
            self.flights.remove(&token.flight);
            self.due.remove(&(due.unwrap_or_default(), token.flight));
        }
        Some(Landed { item, stale })
    }

    /// Moves the end of a lease. False if there is none by that token.
    pub(super) fn extend(&mut self, token: Token, until: Time) -> bool {
        let Some(flight) = self.flights.get_mut(&token.flight).filter(|flight| flight.secret == token.secret) else {
            return false;
        };
        let held = flight.items.get(token.index as usize).is_some_and(Option::is_some);
        if let (true, Some(due)) = (held, flight.due) {
            self.due.remove(&(due, token.flight));
            self.due.insert((until, token.flight));
            flight.due = Some(until);
        }
        held
    }

    /// What is left of a flight whose lease is over.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<Vec<Landed>> {
        let (due, flight) = *self.due.first()?;
        if due > now {
            return None;
        }
        self.due.pop_first();
        let Flight { items, stale, .. } = self.flights.remove(&flight)?;
        Some(items.into_iter().flatten().map(|item| Landed { item, stale }).collect())
    }

    /// What stands in the topic and is in flight is not recorded when it lands. Redriven events are not touched.
    pub(super) fn make_stale(&mut self) {
        for flight in self.flights.values_mut() {
            flight.stale |= flight.items.iter().flatten().all(|item| item.id.position().is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_it_was_and_garbage_is_none() {
        let token = Token { flight: 300, index: 2, secret: 77 };
        assert_eq!(token.to_string().parse(), Ok(token));
        for bad in ["", "1-2", "1-2-3-4", "x-1-1", "1-fffffffff-1"] {
            assert_eq!(bad.parse::<Token>(), Err(()), "{bad}");
        }
    }
}
