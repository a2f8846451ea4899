//! Web pages: rendered by the server, useful without JavaScript, live with it. The only room with
//! HTML.

mod actions;
mod ansi;
mod archive;
mod assets;
mod build;
mod feed;
mod findings;
mod graph;
mod home;
mod log;
mod log_search;
mod made;
mod map;
mod namespace;
mod package;
mod page;
mod plan;
mod search;
mod sources;
mod workers;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;

use crate::Server;
use crate::problems::HttpProblem;

/// The pages and what they load.
pub fn router() -> Router<Server> {
    Router::new()
        .route("/", get(home::show))
        .route("/archive", get(archive::show))
        .route("/plan", get(plan::show))
        .route("/namespaces", post(actions::create))
        .route("/namespaces/{name}", get(namespace::show))
        .route(
            "/namespaces/{name}/{number}",
            get(namespace::show_iteration).post(actions::act),
        )
        .route(
            "/namespaces/{name}/{number}/map.json",
            get(namespace::map_names),
        )
        .route("/namespaces/{name}/{number}/findings", get(findings::show))
        .route(
            "/namespaces/{name}/{number}/difference",
            get(findings::difference),
        )
        .route(
            "/namespaces/{name}/{number}/{architecture}/{pkgbase}/{pass}",
            get(build::show),
        )
        .route("/runs/{id}/log", get(log::show))
        .route("/runs/{id}/log/first-error", get(log_search::first_error))
        .route("/runs/{id}/log/find", get(log_search::search))
        .route("/packages/{pkgbase}", get(package::show))
        .route("/workers", get(workers::show))
        .route("/workers/{id}/mode", post(workers::change))
        .route("/sources", get(sources::show))
        .route("/search", get(search::show))
        .route("/failures.atom", get(feed::failures))
        .route("/assets/{file}", get(assets::get))
        .layer(CompressionLayer::new())
}

/// A problem as a page.
pub fn problem_page(problem: HttpProblem) -> Response {
    page::PageError::from(problem).into_response()
}
