//! The HTTP API: one file a resource. Handlers check, call a room and answer; what is decided is
//! decided elsewhere.

mod builds;
pub mod changing;
mod events;
pub mod extract;
pub mod failures;
mod guard;
mod health;
mod hooks;
mod mode;
pub mod namespaces;
pub use namespaces::shown as namespace_as_shown;
mod openapi;
pub mod plans;
mod priority;
mod runs;
mod sources;
pub mod workers;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use buildbtw_api::ProblemType;

use crate::Server;
use crate::problems::HttpProblem;

/// The largest JSON body, in bytes.
const JSON_LIMIT: usize = 4 << 20;

/// The largest part of a log in one request, in bytes.
const LOG_PART_LIMIT: usize = 8 << 20;

/// Everything that the server answers.
pub fn router(server: Server) -> Router {
    let for_workers = Router::new()
        .route("/workers", post(workers::register))
        .route("/workers/{id}/claim", post(workers::claim))
        .route("/workers/{id}/heartbeat", post(workers::heartbeat))
        .route("/workers/{id}/leave", post(workers::leave))
        .route("/runs/{id}/claim", post(runs::claim))
        .route("/runs/{id}/source", get(runs::source))
        .route("/runs/{id}/steps", put(runs::steps))
        .route("/runs/{id}/finish", post(runs::finish))
        .route(
            "/runs/{id}/log",
            put(runs::append_log).layer(DefaultBodyLimit::max(LOG_PART_LIMIT)),
        )
        .route(
            "/runs/{id}/packages/{file}",
            put(runs::upload).layer(DefaultBodyLimit::disable()),
        )
        .route_layer(middleware::from_fn_with_state(
            server.clone(),
            guard::workers_only,
        ));
    let for_all = Router::new()
        .route("/health", get(health::get))
        .route("/mode", get(mode::get).put(mode::set))
        .route("/plans", post(plans::create))
        .route("/plans/why", post(plans::why))
        .route(
            "/namespaces",
            get(namespaces::list).post(namespaces::create),
        )
        .route("/namespaces/{name}", get(namespaces::get))
        .route("/namespaces/{name}/cancel", post(namespaces::cancel))
        .route("/namespaces/{name}/pause", post(namespaces::pause))
        .route("/namespaces/{name}/resume", post(namespaces::resume))
        .route("/namespaces/{name}/add", post(changing::add))
        .route("/namespaces/{name}/remove", post(changing::remove))
        .route("/namespaces/{name}/update", post(changing::update))
        .route("/namespaces/{name}/rebuild", post(changing::rebuild))
        .route("/namespaces/{name}/retry", post(failures::retry))
        .route("/namespaces/{name}/waive", post(failures::waive))
        .route("/namespaces/{name}/unwaive", post(failures::unwaive))
        .route("/namespaces/{name}/archive", post(namespaces::archive))
        .route("/namespaces/{name}/priority", put(priority::set))
        .route(
            "/namespaces/{name}/iterations/{number}/plan",
            get(plans::get),
        )
        .route(
            "/namespaces/{name}/iterations/{number}/difference",
            get(plans::difference),
        )
        .route(
            "/namespaces/{name}/iterations/{number}/builds",
            get(builds::list),
        )
        .route(
            "/namespaces/{name}/iterations/{number}/builds/{architecture}/{pkgbase}/{pass}",
            get(builds::get),
        )
        .route(
            "/namespaces/{name}/iterations/{number}/builds/{architecture}/{pkgbase}/{pass}/explanation",
            get(builds::explanation),
        )
        .route("/runs/{id}", get(runs::get))
        .route("/runs/{id}/log", get(runs::log))
        .route("/workers", get(workers::list))
        .route("/workers/{id}/mode", put(workers::set_mode))
        .route("/sources", get(sources::list))
        .route("/gitlab/hooks", post(hooks::take))
        .route("/events", get(events::stream));
    Router::new()
        .nest("/api/v1", for_all.merge(for_workers))
        .route("/api/openapi.json", get(openapi::get))
        .merge(crate::artifacts::router())
        .merge(crate::bases::router())
        .merge(crate::web::router())
        .fallback(nothing_here)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(
            server.clone(),
            guard::own_pages_only,
        ))
        .layer(DefaultBodyLimit::max(JSON_LIMIT))
        .layer(tower_http::trace::TraceLayer::new_for_http())
        .with_state(server)
}

async fn nothing_here(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if crate::web::wants_page(&headers, &uri)
        && let Some(page) = crate::web::without_slash(&method, &uri)
    {
        return page;
    }
    let detail = format!("there is nothing at {}", uri.path());
    told(
        HttpProblem::new(ProblemType::NotFound, detail),
        &headers,
        &uri,
    )
}

async fn method_not_allowed(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let detail = format!("{method} is not possible on {}", uri.path());
    told(
        HttpProblem::new(ProblemType::MethodNotAllowed, detail),
        &headers,
        &uri,
    )
}

/// A problem for whoever asked: who looks with a browser gets a page, programs what they can read.
fn told(problem: HttpProblem, headers: &HeaderMap, uri: &Uri) -> Response {
    if crate::web::wants_page(headers, uri) {
        return crate::web::problem_page(problem, uri);
    }
    problem
        .hint("the API is described at /api/openapi.json")
        .into_response()
}
