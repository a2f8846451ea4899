//! Another's client, to see that the fake is like a GitLab and not merely like ours.

use std::process::Stdio;

use tokio::process::Command;

use crate::world::*;

#[tokio::test]
async fn python_gitlab_gets_along_with_it() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let there = Command::new(&python)
        .args(["-c", "import gitlab"])
        .stderr(Stdio::null())
        .status()
        .await
        .is_ok_and(|status| status.success());
    if !there {
        eprintln!(
            "python-gitlab is not installed here, so nothing was tried with it (`pip install python-gitlab`; PYTHON names another python)"
        );
        return;
    }
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        world.project(name);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake/client.py");
    let output = Command::new(python)
        .args([script, &world.fake.url(), GROUP])
        .output()
        .await
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "ok");
}
