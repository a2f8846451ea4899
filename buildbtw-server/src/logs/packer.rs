//! Compressing closed logs, one after the other, on a thread of its own: it is work for the disk
//! and the processor, and nobody waits for it.

use std::io;
use std::sync::Weak;
use std::sync::mpsc::Receiver;

use buildbtw_api::RunId;

use super::store::Store;

/// Starts the thread. It ends with the store.
pub(super) fn start(store: Weak<Store>, closed: Receiver<RunId>) -> io::Result<()> {
    let work = move || {
        while let Ok(run) = closed.recv() {
            let Some(store) = store.upgrade() else { return };
            if let Err(error) = store.pack(run) {
                // It stays readable as it is, and the next start of the server tries again.
                tracing::warn!(%run, %error, "a log cannot be compressed");
            }
        }
    };
    std::thread::Builder::new()
        .name("log-packer".to_owned())
        .spawn(work)
        .map(drop)
}
