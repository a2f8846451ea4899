//! What a worker says when it cannot work.

mod double;
mod home;

use std::process::Stdio;

use buildbtw_api::ProblemType;

use double::Double;
use home::Home;

#[tokio::test]
async fn a_token_file_that_others_can_read_is_refused() {
    let server = Double::start().await;
    let home = Home::new();
    home.write_token(0o644);
    let mut worker = home.start(&server.url(), "{}");
    assert_eq!(worker.ended().await.code(), Some(1));
    let said = home.stderr();
    assert!(said.contains("chmod 600"), "{said}");
    assert!(!said.contains(double::TOKEN), "{said}");
    assert!(server.kept().registrations.is_empty());
}

#[tokio::test]
async fn a_token_file_that_is_not_there_is_named() {
    let home = Home::new();
    std::fs::remove_file(home.path().join("token")).unwrap();
    let mut worker = home.start("http://127.0.0.1:1", "{}");
    assert_eq!(worker.ended().await.code(), Some(1));
    let said = home.stderr();
    assert!(said.contains("WORKER_TOKEN_FILE"), "{said}");
}

#[tokio::test]
async fn a_wrong_token_ends_the_worker_with_the_servers_words() {
    let server = Double::start().await;
    let home = Home::new();
    std::fs::write(home.path().join("token"), "another").unwrap();
    let mut worker = home.start(&server.url(), "{}");
    assert_eq!(worker.ended().await.code(), Some(1));
    assert!(home.stderr().contains("the token is missing or wrong"));
    assert!(server.kept().unauthorized > 0);
}

#[tokio::test]
async fn a_server_that_speaks_another_version_ends_the_worker() {
    let server = Double::start().await;
    server.kept().refuse_workers = Some(ProblemType::ProtocolVersion);
    let home = Home::new();
    let mut worker = home.start(&server.url(), "{}");
    assert_eq!(worker.ended().await.code(), Some(1));
    assert!(home.stderr().contains("refused for a test"));
}

#[tokio::test]
async fn a_folder_has_one_worker() {
    let server = Double::start().await;
    let home = Home::new();
    let _first = home.start(&server.url(), "{}");
    server.until("the first worker", |kept| kept.worker).await;
    let mut second = home.start(&server.url(), "{}");
    assert_eq!(second.ended().await.code(), Some(1));
    let said = home.stderr();
    assert!(said.contains("another worker already works in"), "{said}");
}

#[tokio::test]
async fn rules_that_are_none_are_refused() {
    let home = Home::new();
    let mut worker = home.start("http://127.0.0.1:1", r#"{"a": {"colour": "red"}}"#);
    assert_eq!(worker.ended().await.code(), Some(1));
    let said = home.stderr();
    assert!(
        said.contains("rules.json") && said.contains("colour"),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_no_address_is_refused() {
    let home = Home::new();
    let mut worker = home.start("localhost:8080", "{}");
    assert_eq!(worker.ended().await.code(), Some(1));
    assert!(home.stderr().contains("is not the address of a server"));
}

#[tokio::test]
async fn help_teaches() {
    let home = Home::new();
    let help = home
        .command("http://127.0.0.1:1", "{}")
        .arg("--help")
        .stdout(Stdio::piped())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    for word in [
        "WORKER_TOKEN_FILE",
        "BUILD_TIMEOUT",
        "SIGTERM",
        "Examples:",
        ".env.example",
    ] {
        assert!(text.contains(word), "{word} is not in the help");
    }
}
