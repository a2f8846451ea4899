//! What `doctor` finds, and says how to mend.

use std::process::Output;

use crate::double::TOKEN;
use crate::world::World;

fn doctor(world: &World) -> (Option<i32>, String) {
    let examine = || -> Output { world.call(&["doctor"], &[]) };
    let output = tokio::task::block_in_place(examine);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains(TOKEN), "{said}");
    (output.status.code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_ready_is_called_so() {
    let world = World::new("{}").await;
    world.write_host("sandbox", "");
    let (code, said) = doctor(&world);
    assert_eq!(code, Some(0), "{said}");
    for words in [
        "takes the token",
        "the clock is right",
        "the sandbox builder works here",
        "GiB are free",
        "ready for jobs",
    ] {
        assert!(said.contains(words), "{words:?} is missing:\n{said}");
    }
    assert!(!said.contains("ill  "), "{said}");
    world.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ill_is_named_with_a_hint() {
    let mut world = World::new("{}").await;
    let ill = |world: &World, words: &[&str]| {
        let (code, said) = doctor(world);
        assert_eq!(code, Some(2), "{said}");
        for words in words {
            assert!(said.contains(words), "{words:?} is missing:\n{said}");
        }
        assert!(said.contains("hint: "), "{said}");
    };
    world.write_token(TOKEN, 0o644);
    ill(&world, &["chmod 600"]);
    world.write_token("another-token-that-is-long", 0o600);
    ill(&world, &["does not take the token", "worker-token"]);
    world.write_token(TOKEN, 0o600);
    world.write_host("fake", "root_modes = [\"packages\"]\nlimit = 7");
    ill(&world, &["limit"]);
    world.write_host("devtools", "");
    if !std::path::Path::new("/usr/bin/makechrootpkg").exists() {
        ill(&world, &["makechrootpkg", "pacman -S"]);
    }
    world.write_host("fake", "");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(world.path("executor.toml"), mode).unwrap();
    ill(&world, &["chmod go-w"]);
    world.write_host("fake", "");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(world.path("executor.toml"), mode).unwrap();
    let (code, said) = doctor(&world);
    assert_eq!(code, Some(0), "{said}");
    world.server.go_away().await;
    ill(&world, &["cannot be reached"]);
    std::fs::remove_file(world.path("executor.toml")).unwrap();
    ill(&world, &["executor.toml"]);
}
