//! The program is called as the Runner calls it, and judged by what the Runner sees.

use std::process::{Command, Output};

fn call(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_buildbtw-gitlab-executor"))
        .args(arguments)
        .env("SYSTEM_FAILURE_EXIT_CODE", "42")
        .env("BUILD_FAILURE_EXIT_CODE", "43")
        .output()
        .expect("cargo has built the program")
}

#[test]
fn what_is_not_there_yet_fails_as_a_fault_of_the_system() {
    for arguments in [
        &["config"][..],
        &["prepare"],
        &["run", "/tmp/script", "build_script"],
    ] {
        let output = call(arguments);
        assert_eq!(output.status.code(), Some(42), "{arguments:?}");
        // The Runner reads stdout of `config` as JSON: a message there would be a second error.
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(
            message.contains("cannot") && message.contains("hint:"),
            "{message}"
        );
    }
}

#[test]
fn a_wrong_call_is_a_fault_of_the_system_too() {
    for arguments in [&[][..], &["bake"], &["run"], &["run", "/tmp/script"]] {
        assert_eq!(call(arguments).status.code(), Some(42), "{arguments:?}");
    }
}

#[test]
fn cleanup_may_be_called_at_any_time() {
    assert_eq!(call(&["cleanup"]).status.code(), Some(0));
}

#[test]
fn help_says_that_it_does_nothing_yet() {
    let output = call(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("CARRIES OUT NOTHING YET")
    );
}
