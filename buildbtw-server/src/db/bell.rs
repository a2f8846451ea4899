//! Says that statements are done.
//!
//! The driver hands each row, and the end of each statement, to whoever waits for it as soon as it is there, and every one
//! of them wakes a thread: that costs more than most of the statements. So nobody waits for what comes; behind the last
//! statement stands one more, which rings a bell, and only then is everything taken. The bell is a collation, since SQLite
//! calls that in the thread that carries statements out.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering as Memory};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use tokio::sync::oneshot;

/// Rings the bell whose number is bound, and says nothing.
pub(super) const RING: &str = "SELECT 1 WHERE ? <> '' COLLATE bell";

/// After so long it is looked whether anything came: the bell does not ring behind a statement that failed, nor
/// where the driver's thread is gone.
const LOOK: Duration = Duration::from_millis(20);

/// How many rows and ends of statements may lie there before anybody takes them: beyond that the driver's thread waits, and
/// the bell with it.
const LYING: usize = 1 << 20;

static NUMBERS: AtomicU64 = AtomicU64::new(0);
static HANGING: LazyLock<Mutex<HashMap<String, oneshot::Sender<()>>>> =
    LazyLock::new(Mutex::default);

fn hanging() -> MutexGuard<'static, HashMap<String, oneshot::Sender<()>>> {
    HANGING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connections that can ring.
pub(super) fn with_bells(options: SqliteConnectOptions) -> SqliteConnectOptions {
    let options = options.row_buffer_size(LYING);
    options.collation("bell", |left, right| {
        // SQLite may ask in either order.
        let rung = {
            let mut hanging = hanging();
            hanging.remove(left).or_else(|| hanging.remove(right))
        };
        if let Some(bell) = rung {
            let _ = bell.send(());
        }
        Ordering::Equal
    })
}

/// A bell that rings once.
#[derive(Debug)]
pub(super) struct Bell {
    number: String,
    rung: oneshot::Receiver<()>,
}

impl Bell {
    /// Hangs one up.
    pub fn hang() -> Self {
        let number = NUMBERS.fetch_add(1, Memory::Relaxed).to_string();
        let (bell, rung) = oneshot::channel();
        hanging().insert(number.clone(), bell);
        Self { number, rung }
    }

    /// What is bound for it.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// Waits until it has rung, or until it is time to look.
    pub async fn ring(&mut self) {
        if self.rung.is_terminated() {
            return tokio::time::sleep(LOOK).await;
        }
        let _ = tokio::time::timeout(LOOK, &mut self.rung).await;
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        hanging().remove(&self.number);
    }
}
