//! Sends a run's log to the server, in batches, while the build writes it.

use std::time::Duration;

use buildbtw_api::runs::LogLength;
use tokio::time::Instant;

use crate::Workplace;
use crate::held::Hold;
use crate::retry::{Backoff, Undelivered, deliver};
use crate::spool::SpoolReader;

/// The least time between two parts, unless much is waiting: a line is seen at once after a
/// silence, and a flood does not become a flood of requests.
const BATCH: Duration = Duration::from_millis(100);

/// So much waiting is sent without waiting for more, in bytes.
const PLENTY: u64 = 64 << 10;

/// The largest part, in bytes, when a server that was away has to catch up.
const LARGEST_PART: u64 = 512 << 10;

/// Sends the log until it is closed and the server has all of it.
///
/// # Errors
///
/// When the run is lost, the server refuses the log, or it cannot be read from the disk.
pub async fn send(
    place: &Workplace,
    hold: &Hold,
    mut spool: SpoolReader,
) -> Result<(), Undelivered> {
    let mut sent = 0;
    let mut open = true;
    let mut next = Instant::now();
    let mut standstill = Backoff::default();
    loop {
        while open && spool.length() <= sent {
            open = spool.grows().await;
        }
        if spool.length() <= sent {
            return Ok(());
        }
        while open && spool.length() - sent < PLENTY {
            tokio::select! {
                () = tokio::time::sleep_until(next) => break,
                grows = spool.grows() => open = grows,
            }
        }
        let part = spool
            .read(sent, LARGEST_PART)
            .await
            .map_err(Undelivered::Disk)?;
        let answer = deliver("a part of a log", &hold.lost, &place.reach, || {
            place
                .client
                .append_log(hold.run, hold.fence, sent, part.clone())
        })
        .await;
        let length = match answer {
            Ok(LogLength { length }) => length,
            // The server lost the end of what it had: it gets that again.
            Err(Undelivered::Gap { length }) => {
                tracing::info!(run = %hold.run, sent, length, "sending a part of a log again");
                length
            }
            Err(error) => return Err(error),
        };
        let before = std::mem::replace(&mut sent, length.min(spool.length()));
        if sent == before {
            // An answer that asks for the very same again would make this loop spin.
            tokio::time::sleep(standstill.wait()).await;
        } else {
            standstill = Backoff::default();
        }
        next = Instant::now() + BATCH;
    }
}
