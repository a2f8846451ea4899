//! Web pages: rendered by the server, useful without JavaScript, live with it. The only room with
//! HTML.

mod actions;
mod ansi;
mod archive;
mod assets;
mod build;
mod errors;
mod excerpt;
mod extract;
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
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
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
        .route(
            "/namespaces",
            // The home page lists them.
            get(async || Redirect::to("/")).post(actions::create),
        )
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
            "/namespaces/{name}/{number}/{architecture}/{pkgbase}",
            get(build::first_pass),
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
        .layer(middleware::from_fn(errors::as_pages))
        .layer(CompressionLayer::new())
}

/// Whether somebody looks with a browser, and not at the API.
pub fn wants_page(headers: &HeaderMap, uri: &Uri) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    accepted.is_some_and(|kinds| kinds.contains("text/html")) && !uri.path().starts_with("/api/")
}

/// A problem as a page, for who asked for that address.
pub fn problem_page(problem: HttpProblem, uri: &Uri) -> Response {
    page::PageError::from(problem).shown(uri.path())
}

/// The same address without a slash at its end, which no page has.
pub fn without_slash(method: &Method, uri: &Uri) -> Option<Response> {
    let path = uri.path();
    let page = matches!(*method, Method::GET | Method::HEAD) && path.ends_with('/');
    // A path that begins with two slashes, or one that a browser takes for such, would lead to another host.
    let elsewhere = path.starts_with("//") || path.contains('\\');
    let trimmed = path.trim_end_matches('/');
    if !page || elsewhere || trimmed.is_empty() {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}"));
    let address = format!("{trimmed}{}", query.unwrap_or_default());
    Some(Redirect::permanent(&address).into_response())
}
