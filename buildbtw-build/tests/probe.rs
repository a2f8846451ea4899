//! What the worker is told about this machine before it builds.

// A test that cannot go on should say where.
#![allow(clippy::unwrap_used)]

mod workshop;

use std::process::Output;

use buildbtw_build::{Builder, BuilderKind, Capabilities, RootMode};
use workshop::{Who, Workshop, everybody};

fn probe(workshop: &Workshop, builder: &Builder) -> Output {
    let settings = workshop.path("builder.json");
    std::fs::write(&settings, serde_json::to_vec(builder).unwrap()).unwrap();
    let mut command = workshop.command();
    command
        .arg("--builder")
        .arg(settings)
        .arg("probe")
        .arg(workshop.builds());
    let output = command.output().unwrap();
    workshop.assert_nothing_left(".");
    output
}

#[test]
fn sandboxes_can_be_set_up_here() {
    for who in everybody() {
        let workshop = Workshop::new(who);
        let output = probe(&workshop, &Builder::default());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let found: Capabilities = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found.root_modes, [RootMode::Packages, RootMode::Host]);
        let memory = found
            .remarks
            .iter()
            .find(|remark| remark.contains("memory"))
            .unwrap();
        if who == Who::Ordinary {
            assert!(
                memory.contains("each process") || memory.contains("as a whole"),
                "{memory}"
            );
        }
    }
}

#[test]
fn a_program_that_others_may_not_execute_is_named_as_the_reason() {
    let Some(who) = everybody().into_iter().find(|who| *who == Who::Root) else {
        return;
    };
    let workshop = Workshop::new(who);
    let program = workshop.path("buildbtw-build");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(program, private).unwrap();
    let output = probe(&workshop, &Builder::default());
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.contains("hint: ") && message.contains("chmod 755"),
        "{message}"
    );
}

#[test]
fn what_devtools_lacks_is_named() {
    let workshop = Workshop::new(everybody()[0]);
    let output = probe(&workshop, &Builder::new(BuilderKind::Devtools));
    let message = String::from_utf8_lossy(&output.stderr);
    let is_there = std::path::Path::new("/usr/bin/makechrootpkg").exists();
    assert_eq!(output.status.success(), is_there, "{message}");
    assert!(
        is_there || message.contains("makechrootpkg") && message.contains("hint: "),
        "{message}"
    );
}
