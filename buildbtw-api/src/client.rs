//! The typed client: one method an endpoint, one error type.

mod address;
mod changing;
mod events;
mod iterations;
mod modes;
mod worker;

use std::collections::BTreeMap;
use std::time::Duration;

use buildbtw_graph::{Architecture, Plan, Why};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::namespaces::{
    CreateNamespace, NamesakeQuery, Namespace, NamespaceDetails, NamespaceQuery, PlanRequest,
    Retried, RetryRequest, UnwaiveRequest, Unwaived, WaiveRequest, WhyRequest,
};
use crate::page::Page;
use crate::runs::RunDetails;
use crate::sources::{Health, SourceQuery, SourceRepository};
use crate::workers::Worker;
use crate::{NamespaceName, Problem, ProblemType, RunId};

pub use worker::UploadError;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may be silent in the middle of an answer. Event streams and log streams
/// send a sign of life more often than that; a long poll is answered sooner.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a request brought no answer of the expected kind.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address of the server is not a URL of http or https.
    #[error(
        "`{text}` is not the address of a server: {reason}\n  hint: write it like http://127.0.0.1:8080"
    )]
    Address {
        /// The text as given.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// The server could not be reached.
    #[error(
        "cannot reach the server at {url}: {reason}\n  hint: {}",
        unreachable_hint(reason)
    )]
    Unreachable {
        /// The server's address.
        url: Url,
        /// What the network said.
        reason: String,
    },
    /// The connection broke while the answer came.
    #[error("the connection to {url} broke: {reason}")]
    Broken {
        /// The server's address.
        url: Url,
        /// What the network said.
        reason: String,
    },
    /// The server answered with a problem.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The answer is not what a buildbtw server sends.
    #[error(
        "{url} answered with {status}, but not as a buildbtw server does: {reason}\n  hint: is this the right address?"
    )]
    NotOurs {
        /// The address that was asked.
        url: Url,
        /// The HTTP status.
        status: StatusCode,
        /// What does not fit.
        reason: String,
    },
}

impl ClientError {
    /// The problem, if the server sent one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether the same request may succeed later without anything being changed.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::NotOurs { status, .. } => status.is_server_error(),
            Self::Problem(problem) => matches!(
                problem.kind,
                ProblemType::Internal | ProblemType::Unavailable | ProblemType::StorageFull
            ),
            Self::Address { .. } => false,
        }
    }
}

/// The innermost cause of a network error, which is the part that helps people.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Why a server cannot be reached, in words that help.
fn unreachable(error: &reqwest::Error) -> String {
    let reason = innermost(error);
    let is_https = error.url().is_some_and(|url| url.scheme() == "https");
    // So rustls calls an answer that is no TLS at all.
    match is_https && reason.contains("InvalidContentType") {
        true => NO_TLS.to_owned(),
        false => reason,
    }
}

/// The reason where https was asked of a server of http.
const NO_TLS: &str = "what answers there does not speak TLS";

/// What to do about a server that cannot be reached.
fn unreachable_hint(reason: &str) -> &'static str {
    match reason {
        NO_TLS => "write http:// instead of https://",
        _ => "is it running? --server-url or SERVER_URL names another one",
    }
}

/// Talks to one server.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// For large bodies. The other one's limit on silence counts from the request's first byte, so
    /// it would break every upload that takes longer; here the sender of the body watches over it.
    uploads: reqwest::Client,
    base: Url,
    token: Option<String>,
}

impl Client {
    /// A client of the server at that address. `token` is the workers' token; people need none.
    ///
    /// # Errors
    ///
    /// When the address is not a URL of http or https, or TLS cannot be set up.
    pub fn new(address: &str, token: Option<String>) -> Result<Self, ClientError> {
        let mut base = address::read(address)?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("buildbtw/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
        };
        let failed = |error| ClientError::Unreachable {
            url: base.clone(),
            reason: innermost(&error),
        };
        let http = builder()
            .read_timeout(READ_TIMEOUT)
            .build()
            .map_err(failed)?;
        let uploads = builder().build().map_err(failed)?;
        Ok(Self {
            http,
            uploads,
            base,
            token,
        })
    }

    /// The server's address, ending in a slash.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The address of something on the server; `segments` are percent-encoded as needed.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    fn api(&self, method: Method, segments: &[&str]) -> RequestBuilder {
        self.api_through(&self.http, method, segments)
    }

    fn api_through(
        &self,
        http: &reqwest::Client,
        method: Method,
        segments: &[&str],
    ) -> RequestBuilder {
        let path: Vec<&str> = ["api", "v1"].iter().chain(segments).copied().collect();
        let request = http.request(method, self.url(&path));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request and hands back the answer if it is one of success.
    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| {
            if error.is_connect() || error.is_timeout() || error.is_request() {
                ClientError::Unreachable {
                    url: self.base.clone(),
                    reason: unreachable(&error),
                }
            } else {
                ClientError::Broken {
                    url: self.base.clone(),
                    reason: innermost(&error),
                }
            }
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (url, status) = (response.url().clone(), response.status());
        let body = response.bytes().await.unwrap_or_default();
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
            Err(_) => Err(ClientError::NotOurs {
                url,
                status,
                reason: "there is no problem document in the answer".to_owned(),
            }),
        }
    }

    /// Sends a request and reads the answer as JSON.
    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        let (url, status) = (response.url().clone(), response.status());
        let body = response
            .bytes()
            .await
            .map_err(|error| ClientError::Broken {
                url: self.base.clone(),
                reason: innermost(&error),
            })?;
        serde_json::from_slice(&body).map_err(|error| ClientError::NotOurs {
            url,
            status,
            reason: error.to_string(),
        })
    }

    async fn get<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.json(self.api(Method::GET, segments).query(query))
            .await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.json(self.api(Method::POST, segments).json(body)).await
    }

    /// How the server is.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.get(&["health"], &()).await
    }

    /// Plans without starting anything.
    pub async fn plan(&self, request: &PlanRequest) -> Result<Plan, ClientError> {
        self.post(&["plans"], request).await
    }

    /// Says why a package source would be rebuilt or not, on each architecture.
    pub async fn why(
        &self,
        request: &WhyRequest,
    ) -> Result<BTreeMap<Architecture, Why>, ClientError> {
        self.post(&["plans", "why"], request).await
    }

    /// Makes a namespace.
    pub async fn create_namespace(
        &self,
        request: &CreateNamespace,
    ) -> Result<Namespace, ClientError> {
        self.post(&["namespaces"], request).await
    }

    /// One page of the namespaces, newest first.
    pub async fn namespaces(&self, query: &NamespaceQuery) -> Result<Page<Namespace>, ClientError> {
        self.get(&["namespaces"], query).await
    }

    /// A namespace with its iterations.
    pub async fn namespace(&self, name: &NamespaceName) -> Result<NamespaceDetails, ClientError> {
        self.namespace_with(name, None).await
    }

    /// The namespace of that name that has an iteration: names are taken again once they are archived,
    /// and iterations of one name go on counting.
    pub async fn namespace_with(
        &self,
        name: &NamespaceName,
        iteration: Option<u32>,
    ) -> Result<NamespaceDetails, ClientError> {
        let query = NamesakeQuery { iteration };
        self.get(&["namespaces", name.as_str()], &query).await
    }

    /// Calls a namespace off.
    pub async fn cancel(&self, name: &NamespaceName) -> Result<Namespace, ClientError> {
        self.post(&["namespaces", name.as_str(), "cancel"], &())
            .await
    }

    /// Goes on with a namespace that was cancelled or paused.
    pub async fn resume(&self, name: &NamespaceName) -> Result<Namespace, ClientError> {
        self.post(&["namespaces", name.as_str(), "resume"], &())
            .await
    }

    /// Stops handing out builds of a namespace for a while.
    pub async fn pause(&self, name: &NamespaceName) -> Result<Namespace, ClientError> {
        self.post(&["namespaces", name.as_str(), "pause"], &())
            .await
    }

    /// Runs failures again.
    pub async fn retry(
        &self,
        name: &NamespaceName,
        request: &RetryRequest,
    ) -> Result<Retried, ClientError> {
        self.post(&["namespaces", name.as_str(), "retry"], request)
            .await
    }

    /// Leaves builds out.
    pub async fn waive(
        &self,
        name: &NamespaceName,
        request: &WaiveRequest,
    ) -> Result<Retried, ClientError> {
        self.post(&["namespaces", name.as_str(), "waive"], request)
            .await
    }

    /// Takes back that builds are left out.
    pub async fn unwaive(
        &self,
        name: &NamespaceName,
        request: &UnwaiveRequest,
    ) -> Result<Unwaived, ClientError> {
        self.post(&["namespaces", name.as_str(), "unwaive"], request)
            .await
    }

    /// Puts a namespace away; its name is free again.
    pub async fn archive(&self, name: &NamespaceName) -> Result<Namespace, ClientError> {
        self.post(&["namespaces", name.as_str(), "archive"], &())
            .await
    }

    /// One run.
    pub async fn run(&self, run: RunId) -> Result<RunDetails, ClientError> {
        self.get(&["runs", &run.to_string()], &()).await
    }

    /// The log of a run from a byte on. With `follow`, the stream ends when the run is over.
    pub async fn log(
        &self,
        run: RunId,
        offset: u64,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        let request = self
            .api(Method::GET, &["runs", &run.to_string(), "log"])
            .query(&[
                ("offset", offset.to_string()),
                ("follow", follow.to_string()),
            ]);
        let response = self.send(request).await?;
        let url = self.base.clone();
        Ok(response
            .bytes_stream()
            .map_err(move |error| ClientError::Broken {
                url: url.clone(),
                reason: innermost(&error),
            }))
    }

    /// One page of the source repositories, by name.
    pub async fn sources(
        &self,
        query: &SourceQuery,
    ) -> Result<Page<SourceRepository>, ClientError> {
        self.get(&["sources"], query).await
    }

    async fn put<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.json(self.api(Method::PUT, segments).json(body)).await
    }

    /// All workers.
    pub async fn workers(&self) -> Result<Vec<Worker>, ClientError> {
        self.get(&["workers"], &()).await
    }

    /// A file of the server by its path, such as a package of a repository.
    pub async fn file(
        &self,
        path: &str,
    ) -> Result<
        (
            Option<u64>,
            impl Stream<Item = Result<Bytes, ClientError>> + use<>,
        ),
        ClientError,
    > {
        let response = self.send(self.of_path(path)).await?;
        let length = response.content_length();
        Ok((length, self.bytes_of(response)))
    }

    /// The same from a byte on, with the byte at which the answer really begins: not every server, nor proxy, sends
    /// parts of files.
    pub async fn file_from(
        &self,
        path: &str,
        from: u64,
    ) -> Result<(u64, impl Stream<Item = Result<Bytes, ClientError>> + use<>), ClientError> {
        let request = match from {
            0 => self.of_path(path),
            from => self
                .of_path(path)
                .header(reqwest::header::RANGE, format!("bytes={from}-")),
        };
        let response = self.send(request).await?;
        let begin = match response.status() {
            StatusCode::PARTIAL_CONTENT => from,
            _ => 0,
        };
        Ok((begin, self.bytes_of(response)))
    }

    /// A request for something by its path.
    fn of_path(&self, path: &str) -> RequestBuilder {
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let request = self.http.get(self.url(&segments));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn bytes_of(
        &self,
        response: Response,
    ) -> impl Stream<Item = Result<Bytes, ClientError>> + use<> {
        let url = self.base.clone();
        response
            .bytes_stream()
            .map_err(move |error| ClientError::Broken {
                url: url.clone(),
                reason: innermost(&error),
            })
    }
}
