//! The token is to be seen by GitLab alone: not in logs, not in errors, not in `Debug`.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use buildbtw_fake_gitlab::faults::{Call, Fault};
use buildbtw_server::gitlab::{Order, Settings, Token};
use tracing_subscriber::fmt::MakeWriter;

use crate::world::*;

/// Everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

// One thread: the log is this thread's.
#[tokio::test(flavor = "current_thread")]
async fn the_token_is_never_shown() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let world =
        World::with(|settings| settings.timeout = std::time::Duration::from_millis(300)).await;
    let id = world.project("gtk4");
    let mut said = format!("{:?}", world.gitlab);
    let settings = Settings::new(
        world.fake.url().parse().unwrap(),
        Token::new(TOKEN).unwrap(),
    );
    said.push_str(&format!("{settings:?}"));
    for fault in [
        Fault::Unauthorized,
        Fault::Forbidden,
        Fault::NotFound,
        Fault::TooManyRequests {
            retry_after: Some("1".to_owned()),
        },
        Fault::ServerError(StatusCode::BAD_GATEWAY),
        Fault::Truncated,
        Fault::Stalled,
        Fault::Reset,
        Fault::ResetInBody,
        Fault::WrongShape,
        // A GitLab that repeats what it was sent.
        Fault::GraphQlError(format!("Bearer {TOKEN} is not known")),
    ] {
        world.fake.faults().always(Call::Any, fault.clone());
        let graphql = world
            .gitlab
            .projects(GROUP, None, 100, Order::Stable, None, true)
            .await;
        let rest = world.gitlab.ci_config_path(id).await;
        world.fake.faults().mend();
        let graphql = graphql.unwrap_err();
        said.push_str(&format!("{graphql} {graphql:?} "));
        if let Err(rest) = rest {
            said.push_str(&format!("{rest} {rest:?} "));
        }
        said.push_str(&format!("{:?}", world.gitlab.reach()));
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    // The client's own words are in there, or the test looks in the wrong place.
    assert!(log.contains("tried again"), "{log}");
    assert!(
        log.contains("POST") || log.contains("connecting"),
        "the HTTP client's too"
    );
    for (name, text) in [("log", &log), ("errors", &said)] {
        for part in [TOKEN, &TOKEN[6..]] {
            assert!(!text.contains(part), "the token is in the {name}");
        }
    }
    assert!(said.contains("[token] is not known"), "{said}");
}
