//! How much room the disk of the server's data has.

use std::io;
use std::path::Path;

use buildbtw_api::sources::DiskSpace;

/// Below a hundredth of the disk an operator should be told: what is uploaded next may not fit.
const NEARLY_FULL: u64 = 100;

/// The room on the disk of a folder, as statvfs(3) tells it to those who are not root.
///
/// # Errors
///
/// When the folder's file system cannot be asked.
pub fn space(folder: &Path) -> io::Result<DiskSpace> {
    let disk = nix::sys::statvfs::statvfs(folder)?;
    let unit = disk.fragment_size();
    Ok(DiskSpace {
        free: disk.blocks_available() * unit,
        total: disk.blocks() * unit,
    })
}

/// Whether so little is free that an operator should make room.
pub fn is_nearly_full(space: &DiskSpace) -> bool {
    space.free < space.total / NEARLY_FULL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hundredth_is_too_little() {
        let space = |free| DiskSpace { free, total: 1000 };
        assert!(is_nearly_full(&space(9)));
        assert!(!is_nearly_full(&space(10)));
    }

    #[test]
    fn a_folder_that_is_not_there_cannot_be_asked() {
        assert!(space(Path::new("/nowhere/at/all")).is_err());
        assert!(space(Path::new("/")).unwrap().total > 0);
    }
}
