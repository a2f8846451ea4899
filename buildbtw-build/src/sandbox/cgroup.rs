//! Limits on memory and processes that hold for a build as a whole, through control groups where
//! there are some that this user may use.
//!
//! cgroups(7) version 2 is taken where it has the memory controller, else version 1.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::mounts::{SetupError, trying};

/// Every group's name begins like this, so that a group that was left over is known as ours.
pub const PREFIX: &str = "buildbtw-";

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
            if let Err(error) = fs::remove_dir(&folder) {
                eprintln!("buildbtw: cannot remove {}: {error}", folder.display());
            }
        }
    }
}

/// How many processes the kernel killed on this machine because memory ran out, since it started.
pub fn killed_on_this_machine() -> Option<u64> {
    let text = fs::read_to_string("/proc/vmstat").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}
