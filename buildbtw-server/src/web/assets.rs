//! Style and script of the pages, embedded in the program.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The files by name.
const FILES: [(&str, &str, &str); 9] = [
    (
        "style.css",
        "text/css; charset=utf-8",
        include_str!("assets/style.css"),
    ),
    (
        "live.js",
        "text/javascript; charset=utf-8",
        include_str!("assets/live.js"),
    ),
    (
        "log.js",
        "text/javascript; charset=utf-8",
        include_str!("assets/log.js"),
    ),
    (
        "map.js",
        "text/javascript; charset=utf-8",
        include_str!("assets/map.js"),
    ),
    (
        "stream.js",
        "text/javascript; charset=utf-8",
        include_str!("assets/stream.js"),
    ),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
    (
        "icon-good.svg",
        "image/svg+xml",
        include_str!("assets/icon-good.svg"),
    ),
    (
        "icon-bad.svg",
        "image/svg+xml",
        include_str!("assets/icon-bad.svg"),
    ),
    (
        "icon-busy.svg",
        "image/svg+xml",
        include_str!("assets/icon-busy.svg"),
    ),
];

/// One of the files.
pub async fn get(Path(file): Path<String>) -> Response {
    match FILES.iter().find(|(name, ..)| *name == file) {
        Some((_, kind, content)) => {
            let headers = [
                (header::CONTENT_TYPE, *kind),
                (header::CACHE_CONTROL, "max-age=300"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, *content).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
