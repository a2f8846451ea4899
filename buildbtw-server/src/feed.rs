//! The feed of events: wakes whoever follows them when a transaction recorded some.
//!
//! The events themselves are read from the database, so that a follower resumes anywhere and
//! nothing is lost between two reads.

use tokio::sync::watch;

/// Wakes followers.
#[derive(Debug, Clone)]
pub struct Feed {
    sender: watch::Sender<u64>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            sender: watch::Sender::new(0),
        }
    }
}

impl Feed {
    /// Something was recorded and committed.
    pub fn wake(&self) {
        self.sender
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A follower: `changed()` returns when something was recorded since it was last asked.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.sender.subscribe()
    }
}
