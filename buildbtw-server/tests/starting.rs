//! What keeps a server from starting.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use buildbtw_server::start;
use stage::Stage;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_second_server_is_refused_on_the_same_folder_and_on_the_same_database() {
    let stage = Stage::start(&[]).await;
    let refusal = async |config| match start(config, CancellationToken::new()).await {
        Ok(_) => panic!("a second server started"),
        Err(error) => error.to_string(),
    };
    let folder = refusal(stage.config.clone()).await;
    assert!(folder.contains("choose another DATA_DIR"), "{folder}");

    // By another name, and from another folder.
    let link = stage.folder.path().join("link.db");
    std::os::unix::fs::symlink(stage.config.data_dir.join("buildbtw.db"), &link).unwrap();
    let mut other = stage.config.clone();
    other.data_dir = stage.folder.path().join("other");
    other.database_url = Some(format!("sqlite://{}", link.display()));
    let database = refusal(other).await;
    assert!(
        database.contains("choose another DATABASE_URL"),
        "{database}"
    );
    stage.stop().await;
}
