//! Style and script of the pages, embedded in the program.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The files by name.
const FILES: [(&str, &str); 13] = [
    ("style.css", include_str!("assets/style.css")),
    ("live.js", include_str!("assets/live.js")),
    ("morph.js", include_str!("assets/morph.js")),
    ("stream.js", include_str!("assets/stream.js")),
    ("map.js", include_str!("assets/map.js")),
    ("graph.js", include_str!("assets/graph.js")),
    ("log.js", include_str!("assets/log.js")),
    ("ansi.js", include_str!("assets/ansi.js")),
    ("fold.js", include_str!("assets/fold.js")),
    ("icon.svg", include_str!("assets/icon.svg")),
    ("icon-good.svg", include_str!("assets/icon-good.svg")),
    ("icon-bad.svg", include_str!("assets/icon-bad.svg")),
    ("icon-busy.svg", include_str!("assets/icon-busy.svg")),
];

/// The script of all pages; it asks for the other ones.
const SCRIPT: &str = "live.js";

/// The scripts that [`SCRIPT`] asks for, so that a page can have them fetched before it does.
pub fn modules() -> impl Iterator<Item = &'static str> {
    let names = FILES.iter().map(|(name, _)| *name);
    names.filter(|name| name.ends_with(".js") && *name != SCRIPT)
}

/// What a file is, by the end of its name.
fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        _ => "image/svg+xml",
    }
}

/// One of the files.
pub async fn get(Path(file): Path<String>) -> Response {
    match FILES.iter().find(|(name, _)| *name == file) {
        Some((name, content)) => {
            let headers = [
                (header::CONTENT_TYPE, kind(name)),
                (header::CACHE_CONTROL, "max-age=300"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, *content).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
