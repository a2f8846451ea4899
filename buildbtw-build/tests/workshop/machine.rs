//! What goes on on this machine.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn all() -> Vec<(i32, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(number) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let read = |file: &str| {
            let bytes = fs::read(entry.path().join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let link = |file: &str| {
            let link = fs::read_link(entry.path().join(file)).unwrap_or_default();
            link.to_string_lossy().into_owned()
        };
        let words = [read("cmdline"), read("environ"), link("cwd"), link("exe")];
        found.push((number, words.join(" ")));
    }
    found
}

/// Processes, other than this one, that have a word in their command line, environment, program or
/// working folder.
pub fn processes_of(marker: &str) -> Vec<String> {
    all()
        .into_iter()
        .filter(|(number, words)| *number != std::process::id() as i32 && words.contains(marker))
        .map(|(number, words)| format!("{number}: {words}"))
        .collect()
}

/// Kills the processes of which `which` says so by their words, all at the same moment as far as that
/// is possible; they have the marker, too.
pub fn forget_processes(marker: &str, which: impl Fn(&str) -> bool) -> usize {
    let doomed: Vec<_> = all()
        .into_iter()
        .filter(|(number, words)| {
            *number != std::process::id() as i32 && words.contains(marker) && which(words)
        })
        .collect();
    for (number, _) in &doomed {
        kill(Pid::from_raw(*number), Signal::SIGKILL).unwrap();
    }
    doomed.len()
}
