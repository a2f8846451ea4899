//! Who got nothing a moment ago, and would get nothing again. Each event wakes all workers that wait,
//! and mostly there is something for a few of them: the others are not to cost a look at the database.
//!
//! What is left to faster workers by one is left by all that are as slow or slower.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use buildbtw_api::WorkerId;
use buildbtw_api::workers::WorkerOffer;

use crate::db::keys::BuildKey;
use crate::db::to_json;
use crate::scheduler::{Idle, Speed};

/// What was found for those who offer the same.
#[derive(Debug, Clone, Copy)]
struct Nothing {
    /// As of which news.
    news: u64,
    /// Something may be ready from this time on, in stored form.
    until: Option<i64>,
    /// For workers that are no faster than this; `None` for all.
    speed: Option<Speed>,
}

#[derive(Debug, Default)]
struct State {
    offers: HashMap<WorkerId, (String, Speed)>,
    nothing: HashMap<String, Nothing>,
}

/// What is known of those who got nothing.
#[derive(Debug, Default)]
pub struct Quiet {
    news: AtomicU64,
    state: Mutex<State>,
}

impl Quiet {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened that may matter to those who wait.
    pub fn stir(&self) {
        self.news.fetch_add(1, Ordering::SeqCst);
    }

    /// A worker offers something else than before, or turned out to be faster or slower, or gets runs where it got none.
    pub fn forget(&self, worker: WorkerId) {
        self.state().offers.remove(&worker);
        self.stir();
    }

    /// The mode of some worker changed: who gets nothing by its mode is looked up for each time it asks.
    pub fn forget_all(&self) {
        // In this order: whoever notes what it found before is either wiped out here, or too late.
        self.stir();
        self.state().offers.clear();
    }

    /// How much happened so far.
    pub fn news(&self) -> u64 {
        self.news.load(Ordering::SeqCst)
    }

    /// Whether there is nothing for a worker, as far as is known: until when, if it is.
    pub fn nothing_for(&self, worker: WorkerId, now: i64) -> Option<Option<i64>> {
        let state = self.state();
        let (offer, speed) = state.offers.get(&worker)?;
        let nothing = state.nothing.get(offer)?;
        let holds = nothing.news == self.news()
            && nothing.until.is_none_or(|until| now < until)
            && nothing.speed.is_none_or(|slower| *speed <= slower);
        holds.then_some(nothing.until)
    }

    /// Notes that there was nothing for a worker as of some news. Only what holds for all that offer
    /// the same is noted: not what is left to others, and not what its own mode keeps from it.
    pub fn note(
        &self,
        who: &Offering<'_>,
        found: &Result<Vec<BuildKey>, Idle>,
        news: u64,
        until: Option<i64>,
    ) {
        let speed = match found {
            Err(Idle::NothingReady | Idle::NothingFits(_)) => None,
            Err(Idle::LeftToFaster(_)) => Some(who.speed),
            _ => return,
        };
        let offer = to_json(who.offer);
        let mut state = self.state();
        if news != self.news() {
            return;
        }
        state.offers.insert(who.worker, (offer.clone(), who.speed));
        state.nothing.insert(offer, Nothing { news, until, speed });
    }
}

/// Who got nothing.
#[derive(Debug, Clone, Copy)]
pub struct Offering<'a> {
    /// The worker.
    pub worker: WorkerId,
    /// What it offers.
    pub offer: &'a WorkerOffer,
    /// How fast it is.
    pub speed: Speed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::Left;

    #[test]
    fn who_turned_out_to_be_faster_is_looked_up_again() {
        let quiet = Quiet::default();
        let offer = r#"{"architectures": [], "slots": 1, "builder": "played", "root_modes": []}"#;
        let offer: WorkerOffer = serde_json::from_str(offer).unwrap();
        let (slow, learns) = (WorkerId::generate(), WorkerId::generate());
        let asks = |worker| Offering {
            worker,
            offer: &offer,
            speed: Speed::default(),
        };
        quiet.note(&asks(learns), &Err(Idle::NothingReady), quiet.news(), None);
        quiet.stir();
        quiet.forget(learns);
        let left = Left {
            to: "the one that learns".to_owned(),
            again_ms: 10_000,
        };
        let left = Err(Idle::LeftToFaster(left));
        quiet.note(&asks(slow), &left, quiet.news(), Some(10));
        assert_eq!(quiet.nothing_for(slow, 9), Some(Some(10)));
        assert_eq!(quiet.nothing_for(slow, 10), None, "time passed");
        assert_eq!(quiet.nothing_for(learns, 9), None);
    }
}
