//! What goes wrong on request: refusals, throttling, broken answers, cut connections.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::watch;

use crate::Shared;
use crate::connection::Line;

/// The largest request that is taken, in bytes.
const LARGEST_REQUEST: usize = 8 << 20;

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The token is not known.
    Unauthorized,
    /// The token is known, and it is not allowed.
    Forbidden,
    /// What is asked for is not there.
    NotFound,
    /// Too many requests, with the seconds to wait if they are told.
    TooManyRequests {
        /// Seconds, as text: what a server sends is not always a number.
        retry_after: Option<String>,
    },
    /// A proxy's page.
    ServerError(StatusCode),
    /// An answer that breaks off in the middle, and says that it is whole.
    Truncated,
    /// An answer that stops coming in the middle, and never ends.
    Stalled,
    /// The connection is reset before an answer.
    Reset,
    /// The connection is reset after it was carried out: the answer alone is lost.
    LostAnswer,
    /// The connection is reset in the middle of the answer.
    ResetInBody,
    /// Every second node is one that may not be seen.
    NullNodes,
    /// Every status is one that nobody has heard of.
    FutureStatus,
    /// Every node comes twice.
    DuplicateNodes,
    /// An answer that is JSON, and nothing that was asked for.
    WrongShape,
    /// GraphQL says that something went wrong, with no data.
    GraphQlError(String),
    /// GraphQL ran out of its time.
    GraphQlTimeout,
}

/// Which requests something goes wrong with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// All.
    Any,
    /// GraphQL operations of this name.
    Operation(&'static str),
    /// REST requests whose path contains this.
    Path(Method, &'static str),
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct SeenRequest {
    /// How.
    pub method: Method,
    /// Where to, without the query.
    pub path: String,
    /// The GraphQL operation.
    pub operation: Option<String>,
    /// The GraphQL variables.
    pub variables: Value,
    /// The status that was answered; none if the connection was cut.
    pub status: Option<StatusCode>,
}

/// Where a request goes, as it was sent.
#[derive(Debug, Clone)]
pub struct Asked(pub Uri);

/// What goes wrong, with what, and how often.
#[derive(Debug)]
struct Plan {
    call: Call,
    fault: Fault,
    skip: usize,
    times: usize,
}

/// The faults to come, and the requests that came.
#[derive(Debug)]
pub struct Faults {
    plans: Mutex<VecDeque<Plan>>,
    seen: Mutex<Vec<SeenRequest>>,
    /// How many requests came.
    pub count: watch::Sender<usize>,
    limits: Mutex<Option<u64>>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            plans: Mutex::default(),
            seen: Mutex::default(),
            count: watch::Sender::new(0),
            limits: Mutex::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faults {
    /// Lets the next so many of these requests go wrong.
    pub fn next(&self, times: usize, call: Call, fault: Fault) {
        self.later(0, times, call, fault);
    }

    /// Lets so many of these requests pass, and the next ones go wrong.
    pub fn later(&self, skip: usize, times: usize, call: Call, fault: Fault) {
        lock(&self.plans).push_back(Plan {
            call,
            fault,
            skip,
            times,
        });
    }

    /// Waits until so many requests came in all.
    pub async fn until(&self, count: usize) {
        let mut seen = self.count.subscribe();
        // The sender lives as long as the fake does.
        let _ = seen.wait_for(|seen| *seen >= count).await;
    }

    /// Lets all of these requests go wrong from now on.
    pub fn always(&self, call: Call, fault: Fault) {
        self.next(usize::MAX, call, fault);
    }

    /// Lets nothing go wrong any more.
    pub fn mend(&self) {
        lock(&self.plans).clear();
    }

    /// Answers say that so many requests are left of a limit of 7200 an hour; none does without.
    pub fn rate_limit(&self, remaining: Option<u64>) {
        *lock(&self.limits) = remaining;
    }

    /// The requests that came.
    pub fn seen(&self) -> Vec<SeenRequest> {
        lock(&self.seen).clone()
    }

    /// Forgets the requests that came.
    pub fn forget(&self) {
        lock(&self.seen).clear();
    }

    fn take(&self, method: &Method, path: &str, operation: Option<&str>) -> Option<Fault> {
        let mut plans = lock(&self.plans);
        let at = plans.iter().position(|plan| match &plan.call {
            Call::Any => true,
            Call::Operation(name) => operation == Some(name),
            Call::Path(wanted, part) => {
                wanted == method && operation.is_none() && path.contains(part)
            }
        })?;
        let plan = &mut plans[at];
        if plan.skip > 0 {
            plan.skip -= 1;
            return None;
        }
        let fault = plan.fault.clone();
        plan.times = plan.times.saturating_sub(1);
        if plan.times == 0 {
            plans.remove(at);
        }
        Some(fault)
    }
}

/// Notes a request, and lets go wrong what is to go wrong.
pub async fn apply(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LARGEST_REQUEST).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let (operation, variables) = if path == "/api/graphql" {
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let name = body["operationName"].as_str().unwrap_or_default();
        (Some(name.to_owned()), body["variables"].clone())
    } else {
        (None, Value::Null)
    };
    let fault = shared.faults.take(&method, &path, operation.as_deref());
    let mut seen = SeenRequest {
        method,
        path,
        operation,
        variables,
        status: None,
    };
    let graphql = seen.operation.is_some();
    let mut request = Request::from_parts(parts, Body::from(body));
    let whole = Asked(request.uri().clone());
    request.extensions_mut().insert(whole);
    let answer = match fault {
        None => Some(next.run(request).await),
        Some(Fault::Reset) => None,
        Some(Fault::LostAnswer) => {
            next.run(request).await;
            None
        }
        Some(fault) => match refusal(&fault, graphql) {
            Some(answer) => Some(answer),
            None => Some(spoil(next.run(request).await, &fault, &line).await),
        },
    };
    let answer = answer.map(|mut answer| {
        if let Some(remaining) = *lock(&shared.faults.limits) {
            limits(&mut answer, remaining, shared.clock.now().as_second());
        }
        answer
    });
    seen.status = answer.as_ref().map(Response::status);
    lock(&shared.faults.seen).push(seen);
    shared.faults.count.send_modify(|count| *count += 1);
    answer.unwrap_or_else(|| {
        line.cut();
        StatusCode::NO_CONTENT.into_response()
    })
}

/// What GitLab says of its limits, in every answer of a limited endpoint.
fn limits(answer: &mut Response, remaining: u64, now: i64) {
    let headers = answer.headers_mut();
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    put("ratelimit-limit", "7200".to_owned());
    put("ratelimit-name", "throttle_authenticated_api".to_owned());
    put(
        "ratelimit-observed",
        7200_u64.saturating_sub(remaining).to_string(),
    );
    put("ratelimit-remaining", remaining.to_string());
    // What is said of times goes by this clock.
    let date = jiff::Timestamp::from_second(now)
        .map(|now| now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    put("date", date.unwrap_or_default());
    put("ratelimit-reset", (now + 60).to_string());
}

/// The answer where nothing is carried out.
fn refusal(fault: &Fault, graphql: bool) -> Option<Response> {
    let json = |status: StatusCode, body: Value| (status, axum::Json(body)).into_response();
    let message = |status: StatusCode, text: &str| {
        let body = if graphql {
            serde_json::json!({"errors": [{"message": text}]})
        } else {
            serde_json::json!({"message": text})
        };
        json(status, body)
    };
    Some(match fault {
        Fault::Unauthorized if graphql => message(StatusCode::UNAUTHORIZED, "Invalid token"),
        Fault::Unauthorized => message(StatusCode::UNAUTHORIZED, "401 Unauthorized"),
        Fault::Forbidden => message(StatusCode::FORBIDDEN, "403 Forbidden"),
        Fault::NotFound => message(StatusCode::NOT_FOUND, "404 Project Not Found"),
        Fault::TooManyRequests { retry_after } => {
            let mut answer = (StatusCode::TOO_MANY_REQUESTS, "Retry later\n").into_response();
            let value = retry_after
                .as_deref()
                .and_then(|value| HeaderValue::from_str(value).ok());
            if let Some(value) = value {
                answer.headers_mut().insert(header::RETRY_AFTER, value);
            }
            answer
        }
        Fault::ServerError(status) => {
            let page = "<!DOCTYPE html>\n<html><head><title>We're sorry, but something went wrong on our end</title></head></html>\n";
            (*status, [(header::CONTENT_TYPE, "text/html")], page).into_response()
        }
        Fault::GraphQlError(text) => json(
            StatusCode::OK,
            serde_json::json!({"errors": [{"message": text}]}),
        ),
        Fault::GraphQlTimeout => json(
            StatusCode::OK,
            serde_json::json!({"data": null, "errors": [{"message": "Timeout on Query.group"}]}),
        ),
        Fault::WrongShape => json(StatusCode::OK, serde_json::json!({"data": [1, 2, 3]})),
        _ => return None,
    })
}

/// The true answer, damaged.
async fn spoil(answer: Response, fault: &Fault, line: &Line) -> Response {
    let (mut parts, body) = answer.into_parts();
    let bytes = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(_) => Bytes::new(),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    let half = bytes.slice(..bytes.len() / 2);
    let body = match fault {
        Fault::Truncated => Body::from(half),
        Fault::Stalled => {
            let beginning = stream::iter([Ok::<_, std::io::Error>(half)]);
            Body::from_stream(beginning.chain(stream::pending()))
        }
        Fault::ResetInBody => {
            let line = line.clone();
            let beginning = stream::iter([Ok::<_, std::io::Error>(half)]);
            let end = stream::once(async move {
                // What was written so far goes out while this waits.
                tokio::task::yield_now().await;
                line.cut();
                Err(std::io::ErrorKind::ConnectionReset.into())
            });
            Body::from_stream(beginning.chain(end))
        }
        _ => {
            let mut value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            rewrite(&mut value, fault);
            Body::from(value.to_string())
        }
    };
    Response::from_parts(parts, body)
}

/// Changes what an answer says.
fn rewrite(value: &mut Value, fault: &Fault) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), fault, &mut *field) {
                    ("nodes", Fault::NullNodes, Value::Array(nodes)) => {
                        for node in nodes.iter_mut().skip(1).step_by(2) {
                            *node = Value::Null;
                        }
                    }
                    ("nodes", Fault::DuplicateNodes, Value::Array(nodes)) => {
                        let twice: Vec<Value> = nodes
                            .iter()
                            .flat_map(|node| [node.clone(), node.clone()])
                            .collect();
                        *nodes = twice;
                    }
                    ("status", Fault::FutureStatus, Value::String(status)) => {
                        *status = if status.chars().all(|c| !c.is_ascii_uppercase()) {
                            "hibernating".to_owned()
                        } else {
                            "HIBERNATING".to_owned()
                        };
                    }
                    _ => {}
                }
                rewrite(field, fault);
            }
        }
        Value::Array(items) => {
            for item in items {
                rewrite(item, fault);
            }
        }
        _ => {}
    }
}
