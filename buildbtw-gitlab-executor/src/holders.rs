//! Who has a file open: so a process is found without a number that might be another's by now.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The processes, other than this one, that have a file open. Those of other users cannot be seen.
pub fn of(file: &Path) -> Vec<Pid> {
    let (Ok(wanted), Ok(processes)) = (fs::metadata(file), fs::read_dir("/proc")) else {
        return Vec::new();
    };
    let wanted = (wanted.dev(), wanted.ino());
    let numbers = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter(|number| u32::try_from(*number) != Ok(std::process::id()))
        .filter(|number| {
            let open = fs::read_dir(format!("/proc/{number}/fd"));
            open.is_ok_and(|open| {
                open.flatten().any(|entry| {
                    fs::metadata(entry.path())
                        .is_ok_and(|found| (found.dev(), found.ino()) == wanted)
                })
            })
        })
        .map(Pid::from_raw)
        .collect()
}

/// Sends all of them a signal.
pub fn signal(file: &Path, signal: Signal) {
    for process in of(file) {
        // It may have ended since.
        let _ = kill(process, signal);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_with_the_file_open_is_found_and_no_other() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(of(file.path()), []);
        let mut holder = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::from(file.reopen().unwrap()))
            .spawn()
            .unwrap();
        let number = Pid::from_raw(holder.id().cast_signed());
        assert_eq!(of(file.path()), [number]);
        signal(file.path(), Signal::SIGKILL);
        holder.wait().unwrap();
        assert_eq!(of(file.path()), []);
    }
}
