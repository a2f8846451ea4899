//! Who may ask: workers by their token, and browsers only from our own pages.

use axum::extract::{Request, State};
use axum::http::{Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use buildbtw_api::ProblemType;
use sha2::{Digest, Sha256};

use crate::Server;
use crate::problems::HttpProblem;

/// Lets through who shows the workers' token.
pub async fn workers_only(State(server): State<Server>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    // Digests are compared, so that the time it takes says nothing about the token.
    let fits =
        given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(&server.worker_token));
    if fits {
        return next.run(request).await;
    }
    HttpProblem::new(
        ProblemType::Unauthorized,
        "this is for workers, and the token is missing or wrong",
    )
    .hint("WORKER_TOKEN_FILE must hold the token that lies in the server's data folder")
    .into_response()
}

/// Refuses requests that a foreign page makes a browser send: those whose Host is not one of ours
/// (a name that was made to point here), and those that change something and come from elsewhere.
pub async fn own_pages_only(
    State(server): State<Server>,
    request: Request,
    next: Next,
) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok());
    if !host.is_some_and(|host| is_ours(&server, host)) {
        let detail = format!("the server is not known as {}", host.unwrap_or("nothing"));
        return HttpProblem::new(ProblemType::ForeignOrigin, detail)
            .hint("BASE_URL names the address under which the server is reached")
            .into_response();
    }
    let changes = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let origin = request
        .headers()
        .get(header::ORIGIN)
        .and_then(|value| value.to_str().ok());
    if let (true, Some(origin)) = (changes, origin) {
        let authority = origin
            .parse::<Uri>()
            .ok()
            .and_then(|uri| uri.authority().map(ToString::to_string));
        if authority.as_deref() != host {
            return HttpProblem::new(
                ProblemType::ForeignOrigin,
                format!("the request came from {origin}"),
            )
            .into_response();
        }
    }
    next.run(request).await
}

/// Whether a Host header names this server: by an address, as localhost, or by BASE_URL.
fn is_ours(server: &Server, host: &str) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else {
        return false;
    };
    let name = authority.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    url::Url::parse(&server.base_url).is_ok_and(|base| base.host_str() == Some(name))
}
