//! Source repositories and their problems.

use askama::Template;
use axum::extract::State;
use buildbtw_api::sources::{GitLabState, SourceQuery, SourceRepository};

use super::extract::Query;
use super::page::{PageResult, When, render};
use crate::Server;

/// How many repositories one page shows.
const SOURCES: u32 = 200;

#[derive(Template)]
#[template(path = "sources.html")]
struct SourcesPage {
    items: Vec<SourceRepository>,
    next: Option<String>,
    problems: bool,
    total: usize,
    bad: usize,
    in_sync: bool,
    gitlab: Option<GitLabView>,
}

/// How far the sources on GitLab are, and whether it answers.
pub struct GitLabView {
    pub state: GitLabState,
    pub away_since: Option<When>,
}

/// The same, where they come from there.
pub fn gitlab(server: &Server) -> Option<GitLabView> {
    let state = server.sources.gitlab()?.state();
    Some(GitLabView {
        away_since: state.away_since.as_ref().map(When::new),
        state,
    })
}

/// The source repositories.
pub async fn show(
    State(server): State<Server>,
    Query(mut query): Query<SourceQuery>,
) -> PageResult {
    query.limit = Some(SOURCES);
    let page = server.sources.list(&query);
    let (total, bad) = server.sources.counts();
    render(&SourcesPage {
        items: page.items,
        next: page.next,
        problems: query.problems,
        total,
        bad,
        in_sync: *server.sources.in_sync().borrow(),
        gitlab: gitlab(&server),
    })
}
