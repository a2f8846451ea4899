//! Web pages: rendered by the server, useful without JavaScript. The only room with HTML.

mod assets;
mod build;
mod home;
mod namespace;
mod page;

use axum::Router;
use axum::routing::get;

use crate::Server;

/// The pages and what they load.
pub fn router() -> Router<Server> {
    Router::new()
        .route("/", get(home::show))
        .route("/namespaces/{name}", get(namespace::show))
        .route(
            "/namespaces/{name}/{number}",
            get(namespace::show_iteration),
        )
        .route(
            "/namespaces/{name}/{number}/{architecture}/{pkgbase}/{pass}",
            get(build::show),
        )
        .route("/assets/{file}", get(assets::get))
}
