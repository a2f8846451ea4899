//! The CI configuration that is handed to operators.

use buildbtw_fake_gitlab::ci;
use serde_json::{Value, json};

use crate::runners::template;

fn read(inputs: Value) -> Result<ci::Template, String> {
    ci::read(&template(), inputs.as_object().unwrap())
}

const RUN: &str = "0197f3a0-0000-7000-8000-000000000001";

#[test]
fn it_makes_one_job_that_carries_the_run_and_the_server() {
    let made = read(json!({"run": RUN, "server": "https://buildbtw.example.org"})).unwrap();
    assert_eq!(made.name, Some(format!("buildbtw {RUN}")));
    assert_eq!(made.jobs.len(), 1);
    let job = &made.jobs[0];
    assert_eq!(job.tags, ["buildbtw"]);
    assert!(job.interruptible);
    let variable = |name: &str| {
        let mut variables = job.variables.iter();
        variables
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(variable("GIT_STRATEGY"), Some("none"));
    assert_eq!(variable("BUILDBTW_RUN"), Some(RUN));
    assert_eq!(
        variable("BUILDBTW_SERVER"),
        Some("https://buildbtw.example.org")
    );
    // No input stands in a script: a shell would read it.
    assert!(job.script.iter().all(|line| !line.contains(RUN)));
}

#[test]
fn tags_may_be_others() {
    let inputs = json!({"run": RUN, "server": "http://127.0.0.1:8080", "tags": ["a", "x86_64"]});
    assert_eq!(read(inputs).unwrap().jobs[0].tags, ["a", "x86_64"]);
}

#[test]
fn other_inputs_are_refused() {
    let server = "https://buildbtw.example.org";
    for (inputs, expected) in [
        (json!({"server": server}), "`run` input: required"),
        (json!({"run": RUN}), "`server` input: required"),
        (json!({"run": "$(id)", "server": server}), "does not match"),
        (json!({"run": RUN, "server": "ftp://x"}), "does not match"),
        (
            json!({"run": RUN, "server": "http://x\" y"}),
            "does not match",
        ),
        (
            json!({"run": RUN, "server": server, "tags": "a"}),
            "is not a array",
        ),
        (
            json!({"run": RUN, "server": server, "token": "t"}),
            "unknown input arguments: token",
        ),
    ] {
        let error = read(inputs).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
