//! The process that enters the root of a build, gives up every right, and becomes the program that
//! is to run there.

use std::ffi::CString;
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{
    Gid, Uid, chdir, dup2_stdin, execve, pivot_root, setgroups, setresgid, setresuid,
};
use serde::{Deserialize, Serialize};

use super::ids::{BUILD_UID, Users};
use super::mounts::{SetupError, keep_to_ourselves, trying};
use super::{close_what_was_left_open, loopback};

/// What is to run in the root of the build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Payload {
    /// The root, as the first process inside sees it.
    pub root: String,
    /// The program, the working folder and the arguments, as seen from the root.
    pub program: String,
    /// The working folder.
    pub folder: String,
    /// The arguments, without the program's name.
    pub arguments: Vec<String>,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// Whether it may use the network.
    pub network: bool,
    /// Who the users are.
    pub users: Users,
    /// Bytes of memory for each process, where they cannot be limited together.
    pub memory_each: Option<u64>,
    /// The most processes of the user, where they cannot be limited together.
    pub processes_each: Option<u64>,
}

/// Does the work of this process. Its standard input is a pipe to the first process inside: what is
/// written there says why the program did not run; when it closes without a word, the program runs.
pub fn main(arguments: &[String]) -> i32 {
    let Some(Ok(payload)) = arguments.first().map(|text| serde_json::from_str(text)) else {
        return 1;
    };
    let Ok(report) = io::stdin().as_fd().try_clone_to_owned() else {
        return 1;
    };
    let mut report = fs::File::from(report);
    let error = match become_it(&payload, report.as_raw_fd()) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    let _ = report.write_all(error.to_string().as_bytes());
    1
}

fn become_it(payload: &Payload, report: i32) -> Result<std::convert::Infallible, SetupError> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(trying("make a mount namespace"))?;
    keep_to_ourselves()?;
    if !payload.network {
        unshare(CloneFlags::CLONE_NEWNET).map_err(trying("cut the network off"))?;
        loopback::bring_up().map_err(trying("bring up the loopback interface"))?;
    }
    chdir(payload.root.as_str()).map_err(trying("go to the root of the build"))?;
    // The old root comes to lie on top of the new one and is taken off: no folder is needed for it,
    // and the root can be read-only. chroot(2) would forbid new user namespaces.
    pivot_root(".", ".").map_err(trying("enter the root of the build"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(trying("leave the old root"))?;
    chdir("/").map_err(trying("go to the root of the build"))?;
    limit(payload)?;
    become_build_user(payload.users)?;
    prctl::set_no_new_privs().map_err(trying("give up new rights"))?;
    chdir(Path::new(&payload.folder)).map_err(trying(format!("go to {}", payload.folder)))?;
    run(payload, report)
}

fn limit(payload: &Payload) -> Result<(), SetupError> {
    let set = |what: &str, resource, value: u64| {
        let (_, hardest) =
            getrlimit(resource).map_err(trying(format!("read the limit on {what}")))?;
        let value = value.min(hardest);
        setrlimit(resource, value, value).map_err(trying(format!("limit {what}")))
    };
    // A core file would fill the disk and be of no use to anybody.
    set("core files", Resource::RLIMIT_CORE, 0)?;
    if let Some(memory) = payload.memory_each {
        // Not the address space: some programs reserve much of it and use little.
        set("memory", Resource::RLIMIT_DATA, memory)?;
    }
    if let Some(processes) = payload.processes_each {
        set("processes", Resource::RLIMIT_NPROC, processes)?;
    }
    Ok(())
}

fn become_build_user(users: Users) -> Result<(), SetupError> {
    let user = Uid::from_raw(BUILD_UID);
    let group = Gid::from_raw(BUILD_UID);
    if users.has_build_user() {
        setgroups(&[]).map_err(trying("give up groups"))?;
        setresgid(group, group, group).map_err(trying("become the build's group"))?;
        return setresuid(user, user, user).map_err(trying("become the build's user"));
    }
    unshare(CloneFlags::CLONE_NEWUSER).map_err(trying("make a user namespace for the build"))?;
    let map = format!("{BUILD_UID} 0 1\n");
    for file in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/self/{file}"), &map)
            .map_err(trying(format!("map the build's user in {file}")))?;
    }
    Ok(())
}

fn run(payload: &Payload, report: i32) -> Result<std::convert::Infallible, SetupError> {
    let text = |text: String| {
        CString::new(text)
            .map_err(|_| trying("run the build")(io::Error::other("an argument holds a zero byte")))
    };
    let program = text(payload.program.clone())?;
    let mut arguments = vec![program.clone()];
    for argument in &payload.arguments {
        arguments.push(text(argument.clone())?);
    }
    let environment = payload
        .environment
        .iter()
        .map(|(name, value)| text(format!("{name}={value}")))
        .collect::<Result<Vec<_>, _>>()?;
    let null = fs::File::open("/dev/null").map_err(trying("open /dev/null"))?;
    dup2_stdin(null).map_err(trying("close the standard input"))?;
    close_what_was_left_open(Some(report)).map_err(trying("close open files"))?;
    execve(&program, &arguments, &environment).map_err(trying(format!(
        "run {} in the root of the build",
        payload.program
    )))
}
