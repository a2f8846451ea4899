//! What is still there of work that is over: files, mounts, processes.

use std::path::{Path, PathBuf};

/// Everything below some folders of a place, and whatever is mounted or works in the place, in words.
///
/// # Panics
///
/// When /proc cannot be read.
pub fn of(place: &Path, folders: &[&str]) -> Vec<String> {
    let mut left = Vec::new();
    for folder in folders {
        let files = below(&place.join(folder)).into_iter();
        left.extend(files.map(|file| format!("file {}", file.display())));
    }
    let name = place.display().to_string();
    // Whatever else is mounted on this machine may have any name.
    let mounts = std::fs::read("/proc/self/mounts").expect("the mounts can be read");
    let mounts = String::from_utf8_lossy(&mounts).into_owned();
    let mounts = mounts.lines().filter(|line| line.contains(&name));
    left.extend(mounts.map(|line| format!("mount {line}")));
    left.extend(processes(place));
    left
}

/// Everything below a folder, as far as it can be read.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        found.push(entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(below(&entry.path()));
        }
    }
    found
}

/// Processes that work in a folder, or name it: what they are, and what they are doing.
fn processes(folder: &Path) -> Vec<String> {
    let numbers = std::fs::read_dir("/proc").expect("processes can be listed");
    let numbers = numbers.flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let name = folder.display().to_string();
    numbers
        .filter_map(|number| {
            let line = std::fs::read(format!("/proc/{number}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let cwd = std::fs::read_link(format!("/proc/{number}/cwd")).ok();
            let works_there = cwd.as_ref().is_some_and(|cwd| cwd.starts_with(folder));
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat"));
            (works_there || line.contains(&name))
                .then(|| format!("process {number}: {line:?} in {cwd:?}, {stat:?}"))
        })
        .collect()
}
