//! Limits on memory and processes that hold for a build as a whole, through control groups where
//! there are some that this user may use.
//!
//! cgroups(7) version 2 is taken where it has the memory controller, else version 1.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::mounts::{SetupError, trying};

/// Every group's name begins like this, so that a group that was left over is known as ours.
pub const PREFIX: &str = "buildbtw-";

/// How long the kernel is given to end killed processes.
const ENDING: Duration = Duration::from_secs(10);

/// Where groups can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Version 2: one folder for all controllers.
    Unified(PathBuf),
    /// Version 1: a folder a controller.
    Split {
        memory: Option<PathBuf>,
        pids: Option<PathBuf>,
    },
}

/// The groups of one build. They are removed with [`Groups::remove`].
#[derive(Debug)]
pub struct Groups {
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
    unified: bool,
}

/// The path of this process in a hierarchy, from `/proc/self/cgroup`: `""` is the unified one.
fn own_path<'a>(membership: &'a str, controller: &str) -> Option<&'a str> {
    membership.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let number = fields.next()?;
        let controllers = fields.next()?;
        let path = fields.next()?;
        let found = match controller {
            "" => number == "0" && controllers.is_empty(),
            name => controllers.split(',').any(|other| other == name),
        };
        found.then_some(path)
    })
}

/// Where a hierarchy is mounted, and which part of it, from `/proc/self/mountinfo`.
fn mount_point<'a>(mounts: &'a str, controller: &str) -> Option<(&'a str, &'a str)> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let part = before.next()?;
        let point = before.next()?;
        let mut after = after.split(' ');
        let kind = after.next()?;
        let options = after.nth(1)?;
        let found = match controller {
            "" => kind == "cgroup2",
            name => kind == "cgroup" && options.split(',').any(|option| option == name),
        };
        found.then_some((part, point))
    })
}

/// The folder of this process's own group in a hierarchy.
fn own_folder(membership: &str, mounts: &str, controller: &str) -> Option<PathBuf> {
    let path = own_path(membership, controller)?;
    let (part, point) = mount_point(mounts, controller)?;
    let below = path
        .strip_prefix(part.trim_end_matches('/'))
        .unwrap_or(path);
    Some(Path::new(point).join(below.trim_start_matches('/')))
}

fn find() -> Option<Place> {
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    if let Some(own) = own_folder(&membership, &mounts, "") {
        // A group that has processes cannot hand controllers on to groups inside it, so the new
        // group stands beside our own; only the topmost group may have both.
        let is_top = !own.join("cgroup.type").exists();
        let parent = if is_top {
            Some(own.as_path())
        } else {
            own.parent()
        };
        if let Some(parent) = parent
            && has_memory_controller(parent)
        {
            return Some(Place::Unified(parent.to_owned()));
        }
    }
    let memory = own_folder(&membership, &mounts, "memory");
    let pids = own_folder(&membership, &mounts, "pids");
    (memory.is_some() || pids.is_some()).then_some(Place::Split { memory, pids })
}

fn has_memory_controller(folder: &Path) -> bool {
    fs::read_to_string(folder.join("cgroup.controllers"))
        .is_ok_and(|list| list.split_ascii_whitespace().any(|name| name == "memory"))
}

fn write(folder: &Path, file: &str, value: &str) -> io::Result<()> {
    // Not `fs::write`: a control file must not be created where the controller is missing.
    let mut file = fs::OpenOptions::new().write(true).open(folder.join(file))?;
    io::Write::write_all(&mut file, value.as_bytes())
}

impl Groups {
    /// Makes the groups of a build and sets their limits. The second value says, for people, what
    /// could not be had.
    ///
    /// # Errors
    ///
    /// When a group was made, but does not take its limits: it would then be believed to hold.
    pub fn make(
        name: &str,
        memory: Option<u64>,
        processes: u64,
    ) -> Result<(Self, Vec<String>), SetupError> {
        Self::make_in(find().as_ref(), name, memory, processes)
    }

    fn make_in(
        place: Option<&Place>,
        name: &str,
        memory: Option<u64>,
        processes: u64,
    ) -> Result<(Self, Vec<String>), SetupError> {
        let name = format!("{PREFIX}{name}");
        let mut remarks = Vec::new();
        let mut groups = Self {
            memory: None,
            pids: None,
            unified: false,
        };
        match place {
            Some(Place::Unified(parent)) => {
                // Often they are handed on already; where they cannot be, the limits below say so.
                let _ = write(parent, "cgroup.subtree_control", "+memory +pids");
                let folder = parent.join(&name);
                match fs::create_dir(&folder) {
                    Ok(()) if folder.join("memory.max").exists() => {
                        groups.unified = true;
                        groups.pids = folder.join("pids.max").exists().then(|| folder.clone());
                        groups.memory = Some(folder);
                    }
                    Ok(()) => {
                        let _ = fs::remove_dir(&folder);
                    }
                    Err(_) => {}
                }
            }
            Some(Place::Split { memory, pids }) => {
                let made = |parent: &Option<PathBuf>| {
                    let folder = parent.as_ref()?.join(&name);
                    fs::create_dir(&folder).ok().map(|()| folder)
                };
                groups.memory = made(memory);
                groups.pids = made(pids);
            }
            None => {}
        }
        let limited = groups.set_limits(memory, processes);
        if let Err(error) = limited {
            groups.remove();
            return Err(error);
        }
        match &groups.memory {
            Some(_) if groups.unified => remarks.push(
                "memory and processes are limited for a build as a whole (cgroup version 2)".into(),
            ),
            Some(_) => remarks.push(
                "memory and processes are limited for a build as a whole (cgroup version 1)".into(),
            ),
            None => remarks.push(
                "there is no control group that this user may use, so the memory limit holds for \
                 each process of a build alone; run the worker as a service with Delegate=yes and \
                 DelegateSubgroup=worker, or as root, to have it hold for the build as a whole"
                    .into(),
            ),
        }
        Ok((groups, remarks))
    }

    fn set_limits(&self, memory: Option<u64>, processes: u64) -> Result<(), SetupError> {
        let set = |folder: &Path, file: &str, value: u64| {
            let path = folder.join(file);
            write(folder, file, &value.to_string())
                .map_err(trying(format!("write {value} to {}", path.display())))
        };
        if let (Some(folder), Some(memory)) = (&self.memory, memory) {
            if self.unified {
                set(folder, "memory.max", memory)?;
                // Without this a build over its limit makes the whole machine slow by swapping.
                if folder.join("memory.swap.max").exists() {
                    set(folder, "memory.swap.max", 0)?;
                }
            } else {
                set(folder, "memory.limit_in_bytes", memory)?;
                // The same: memory and swap together.
                if folder.join("memory.memsw.limit_in_bytes").exists() {
                    set(folder, "memory.memsw.limit_in_bytes", memory)?;
                }
            }
        }
        if let Some(folder) = &self.pids {
            set(folder, "pids.max", processes)?;
        }
        Ok(())
    }

    /// Whether memory is limited and watched for the build as a whole.
    pub fn has_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// Whether processes are limited for the build as a whole.
    pub fn has_pids(&self) -> bool {
        self.pids.is_some()
    }

    /// The folders of the groups.
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<_> = self.memory.iter().chain(&self.pids).cloned().collect();
        folders.dedup();
        folders
    }

    /// Puts a process into the groups; its children follow by themselves.
    pub fn take_in(&self, process: u32) -> Result<(), SetupError> {
        for folder in self.folders() {
            write(&folder, "cgroup.procs", &process.to_string())
                .map_err(trying(format!("put a process into {}", folder.display())))?;
        }
        Ok(())
    }

    /// How many processes the kernel killed in the group because memory ran out.
    pub fn out_of_memory(&self) -> u64 {
        let file = if self.unified {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        let text = self
            .memory
            .as_ref()
            .and_then(|folder| fs::read_to_string(folder.join(file)).ok());
        text.iter()
            .flat_map(|text| text.lines())
            .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Whether the build wanted more processes than it may have.
    pub fn is_over_process_limit(&self) -> bool {
        self.pids
            .as_ref()
            .and_then(|folder| fs::read_to_string(folder.join("pids.events")).ok())
            .is_some_and(|text| {
                text.lines()
                    .filter_map(|line| line.strip_prefix("max "))
                    .any(|count| count.trim() != "0")
            })
    }

    /// Removes the groups. They are empty once every process of the build is gone.
    pub fn remove(&self) {
        for folder in self.folders() {
            if let Err(error) = remove_group(&folder) {
                eprintln!("buildbtw: cannot remove {}: {error}", folder.display());
            }
        }
    }
}

/// Removes a group. The kernel refuses as long as there are processes in it, and those of a namespace
/// whose first process was killed end one after another; it tells nobody when it is through.
pub fn remove_group(folder: &Path) -> io::Result<()> {
    let until = Instant::now() + ENDING;
    loop {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            result => return result,
        }
    }
}

/// How many processes the kernel killed on this machine because memory ran out, since it started.
pub fn killed_on_this_machine() -> Option<u64> {
    let text = fs::read_to_string("/proc/vmstat").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1_MEMBERSHIP: &str = "12:pids:/user\n5:memory:/a/b\n1:name=systemd:/\n0::/\n";
    const V1_MOUNTS: &str = "\
        30 24 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
31 24 0:27 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
32 24 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn own_groups_are_found() {
        let find = |controller| own_folder(V1_MEMBERSHIP, V1_MOUNTS, controller);
        assert_eq!(find("memory"), Some("/sys/fs/cgroup/memory/a/b".into()));
        assert_eq!(find("pids"), Some("/sys/fs/cgroup/pids/user".into()));
        assert_eq!(find(""), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(find("cpu"), None);
        // In a container a part of the hierarchy is mounted, and the path is counted from its top.
        let mounts = "1 2 0:3 /docker/c /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let own = own_folder("0::/docker/c/worker\n", mounts, "");
        assert_eq!(own, Some("/sys/fs/cgroup/worker".into()));
    }

    /// A folder that looks like a group of version 2 with what the kernel puts there.
    fn unified(parent: &Path) -> Groups {
        let folder = parent.join("buildbtw-1");
        fs::create_dir(&folder).unwrap();
        for file in ["memory.max", "memory.swap.max", "pids.max", "cgroup.procs"] {
            fs::write(folder.join(file), "").unwrap();
        }
        fs::write(folder.join("memory.events"), "low 0\noom 3\noom_kill 2\n").unwrap();
        fs::write(folder.join("pids.events"), "max 0\n").unwrap();
        Groups {
            memory: Some(folder.clone()),
            pids: Some(folder),
            unified: true,
        }
    }

    #[test]
    fn limits_are_written_and_events_read() {
        let scratch = tempfile::tempdir().unwrap();
        let groups = unified(scratch.path());
        groups.set_limits(Some(1 << 30), 500).unwrap();
        groups.take_in(42).unwrap();
        let read =
            |file: &str| fs::read_to_string(scratch.path().join("buildbtw-1").join(file)).unwrap();
        assert_eq!(read("memory.max"), "1073741824");
        assert_eq!(read("memory.swap.max"), "0");
        assert_eq!(read("pids.max"), "500");
        assert_eq!(read("cgroup.procs"), "42");
        assert_eq!(groups.folders().len(), 1);
        assert_eq!(groups.out_of_memory(), 2);
        assert!(!groups.is_over_process_limit());
        fs::write(scratch.path().join("buildbtw-1/pids.events"), "max 7\n").unwrap();
        assert!(groups.is_over_process_limit());
    }

    #[test]
    fn without_groups_it_is_said_what_that_means() {
        let (groups, remarks) = Groups::make_in(None, "1", Some(1), 1).unwrap();
        assert!(!groups.has_memory() && !groups.has_pids());
        assert!(remarks[0].contains("each process"));
        // A folder without the controller's files is no group, and is not left behind.
        let scratch = tempfile::tempdir().unwrap();
        let place = Place::Unified(scratch.path().to_owned());
        let (groups, _) = Groups::make_in(Some(&place), "1", None, 1).unwrap();
        assert!(!groups.has_memory());
        assert!(fs::read_dir(scratch.path()).unwrap().next().is_none());
    }
}
