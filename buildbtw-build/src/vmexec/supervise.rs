//! Runs the machine, in the supervisor: it ends when the worker does.

use std::fs;
use std::path::Path;

use nix::unistd::{User, geteuid};

use super::machine::{self, Part};
use crate::devtools::{Folders, collect, prepare, run};
use crate::report::OutcomeClass;
use crate::request::{BuildRequest, RootMode};
use crate::sandbox::{
    End, News, SANDBOX, Settings, SetupError, Wire, compare, installed_in, makepkg, trying,
};

/// Carries the build out and says how it ended. The packages are in the sandbox's folder for packages
/// afterwards.
pub(crate) fn supervise(
    wire: &mut Wire,
    request: &BuildRequest,
    settings: &Settings,
) -> Result<(), SetupError> {
    let end = build(wire, request, settings)?;
    wire.send(&News::Ended(end))
        .map_err(trying("report to the worker"))
}

fn build(wire: &mut Wire, request: &BuildRequest, settings: &Settings) -> Result<End, SetupError> {
    let what = || trying("get the machine's folder ready");
    let top = std::env::current_dir().map_err(what())?.join(SANDBOX);
    let folders = Folders::below(&top);
    // The steps before makepkg's are one to the host, which sees only the machine's log.
    wire.send(&News::Step {
        name: "dependencies".to_owned(),
        watched: true,
    })
    .map_err(trying("report to the worker"))?;
    if let Err(error) = prepare(request, &folders, None) {
        return error.end();
    }
    // The machine has the folder elsewhere.
    let conf = fs::read_to_string(folders.pacman_conf()).map_err(what())?;
    let conf = conf.replace(&top.display().to_string(), machine::PLACE);
    fs::write(folders.pacman_conf(), conf).map_err(what())?;
    let script = machine::script(request, settings.jobs);
    fs::write(top.join(machine::SCRIPT), script).map_err(what())?;
    if let Some(expected) = &request.expected {
        let mut lines: Vec<String> = expected
            .iter()
            .map(|package| format!("{} {}\n", package.pkgname, package.version))
            .collect();
        // By bytes, as `LC_ALL=C sort` does in the machine.
        lines.sort();
        fs::write(top.join(machine::EXPECTED), lines.concat()).map_err(what())?;
    }
    let user = User::from_uid(geteuid()).map_err(trying("find this user's home folder"))?;
    let home = user.map_or_else(|| "/root".into(), |user| user.dir);
    let command = machine::command(request, &top, &home);
    let Some(status) = run(wire, &command, None)? else {
        return Ok(End::of(OutcomeClass::Cancelled, "stopped"));
    };
    let results = fs::read_to_string(top.join(machine::RESULTS)).unwrap_or_default();
    let last = machine::last_result(&results);
    if last.is_some_and(|(part, _)| !matches!(part, Part::Tools)) {
        tell_installed(wire, &top)?;
    }
    match last {
        Some((Part::Packages, 0)) if status.success() => Ok(End {
            exit_code: Some(0),
            packages: collect(&folders)?,
            ..End::of(OutcomeClass::Success, "")
        }),
        Some((part, code)) if code != 0 => Ok(failure(request, &top, part, code)),
        _ => Ok(End::of(
            OutcomeClass::Infrastructure,
            format!(
                "the virtual machine ended before its work was done: vmexec ended with {status}"
            ),
        )),
    }
}

fn tell_installed(wire: &mut Wire, top: &Path) -> Result<(), SetupError> {
    let installed = installed_in(&top.join(machine::INSTALLED))
        .map_err(trying("read which packages are installed"))?;
    wire.send(&News::Installed(installed))
        .map_err(trying("report to the worker"))
}

/// How a build ends of which a part failed.
fn failure(request: &BuildRequest, top: &Path, part: Part, code: i32) -> End {
    let (class, message) = match part {
        Part::Tools | Part::Packages => (
            OutcomeClass::Infrastructure,
            "the virtual machine could not be set up: the log says why".to_owned(),
        ),
        Part::Dependencies => (
            OutcomeClass::Dependencies,
            format!("installing ended with {code}: the log says why"),
        ),
        Part::Comparison => {
            let installed = installed_in(&top.join(machine::INSTALLED)).unwrap_or_default();
            (
                OutcomeClass::Dependencies,
                compare(request, &installed).join("\n"),
            )
        }
        Part::Sources => (
            makepkg::class_of(code, makepkg::Purpose::Sources, RootMode::Packages),
            format!(
                "makepkg ended with {code}: {}",
                makepkg::meaning(code, makepkg::Purpose::Sources)
            ),
        ),
        // makechrootpkg ends with the same code whatever failed.
        Part::Build => (
            OutcomeClass::Package,
            format!("makechrootpkg ended with {code}: the log says why"),
        ),
    };
    End {
        exit_code: Some(code),
        ..End::of(class, message)
    }
}
