//! Removes what a build left, whatever it did to its folders.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Removes a folder with all that is in it. It is no error if it is not there.
///
/// Links are removed, never followed.
///
/// # Errors
///
/// The first thing that cannot be removed.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(_) => remove_awkward_tree(path),
    }
}

/// The same for trees that resist: folders whose owner took the rights away from itself, as Go does
/// with its modules, and folders nested so deeply that no path leads there. Each folder is moved to
/// the top before its content is looked at, so that every path stays short.
fn remove_awkward_tree(top: &Path) -> io::Result<()> {
    let mut waiting = vec![top.to_owned()];
    let mut number = 0u64;
    while let Some(folder) = waiting.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let path = entry.path();
            if !entry.file_type()?.is_dir() {
                fs::remove_file(&path)?;
            } else if folder == top {
                waiting.push(path);
            } else {
                // Moving a folder rewrites its `..`, for which it must be writable.
                fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
                let higher = loop {
                    let candidate = top.join(format!("moved-{number}"));
                    number += 1;
                    if !candidate.try_exists()? {
                        break candidate;
                    }
                };
                fs::rename(&path, &higher)?;
                waiting.push(higher);
            }
        }
        if folder != top {
            fs::remove_dir(&folder)?;
        }
    }
    fs::remove_dir(top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_without_rights_are_removed_and_links_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let kept = scratch.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "").unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::create_dir_all(tree.join("moved-0/b")).unwrap();
        std::os::unix::fs::symlink(&kept, tree.join("a/b/link")).unwrap();
        for folder in ["a/b", "a"] {
            fs::set_permissions(tree.join(folder), fs::Permissions::from_mode(0o0)).unwrap();
        }
        remove_awkward_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(kept.join("file").exists());
        remove_tree(&tree).unwrap();
    }

    #[test]
    fn folders_nested_too_deeply_for_any_path_are_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let tree = scratch.path().join("tree");
        // Built from the inside to the outside, since no path leads to the innermost one.
        let name = "n".repeat(200);
        fs::create_dir(scratch.path().join("inner")).unwrap();
        for _ in 0..100 {
            let outer = scratch.path().join("outer");
            fs::create_dir(&outer).unwrap();
            fs::rename(scratch.path().join("inner"), outer.join(&name)).unwrap();
            fs::rename(&outer, scratch.path().join("inner")).unwrap();
        }
        fs::rename(scratch.path().join("inner"), &tree).unwrap();
        remove_awkward_tree(&tree).unwrap();
        assert!(!tree.exists());
    }
}
