//! A fake with a group, and requests to it.

use buildbtw_fake_gitlab::FakeGitLab;
use buildbtw_fake_gitlab::access::{Role, Scope};
use buildbtw_fake_gitlab::repository::NewFile;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

pub const GROUP: &str = "archlinux/packaging/packages";

pub const TOKEN: &str = "glpat-maintainer";

pub const CI: &str = "spec:\n  inputs:\n    run:\n---\nworkflow:\n  name: run $[[ inputs.run ]]\nstages: [prepare, build]\nready:\n  stage: prepare\n  tags: [buildbtw]\n  script: [ready]\nbuild:\n  stage: build\n  tags: [buildbtw]\n  script: [build $[[ inputs.run ]]]\n";

pub struct World {
    pub fake: FakeGitLab,
    pub http: reqwest::Client,
}

impl World {
    pub async fn new() -> Self {
        let fake = FakeGitLab::start().await.unwrap();
        fake.group(GROUP);
        fake.token(TOKEN, &[Scope::Api], Role::Maintainer);
        fake.token("glpat-reader", &[Scope::ReadApi], Role::Reporter);
        fake.token("glpat-admin", &[Scope::Api], Role::Admin);
        Self {
            fake,
            http: reqwest::Client::new(),
        }
    }

    /// A project with one commit.
    pub fn project(&self, name: &str) -> u64 {
        let id = self.fake.project(GROUP, name, name).unwrap();
        self.push(id, "main", "1");
        id
    }

    pub fn push(&self, project: u64, branch: &str, version: &str) -> String {
        let files = [
            (".SRCINFO", NewFile::Text(format!("pkgver = {version}\n"))),
            ("PKGBUILD", NewFile::Text(format!("pkgver={version}\n"))),
            (".gitlab-ci.yml", NewFile::Text(CI.to_owned())),
        ];
        self.fake.push(project, branch, "upgpkg", &files).unwrap()
    }

    pub async fn rest(&self, token: &str, method: Method, path: &str, body: Value) -> Response {
        let mut request = self
            .http
            .request(method, format!("{}/api/v4/{path}", self.fake.url()))
            .header("PRIVATE-TOKEN", token);
        if !body.is_null() {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.rest(TOKEN, Method::GET, path, Value::Null).await).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.rest(TOKEN, Method::POST, path, body).await).await
    }

    pub async fn put(&self, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.rest(TOKEN, Method::PUT, path, body).await).await
    }

    pub async fn graphql(&self, query: &str, variables: Value) -> Value {
        let request = self
            .http
            .post(format!("{}/api/graphql", self.fake.url()))
            .bearer_auth(TOKEN)
            .json(&json!({"query": query, "variables": variables}));
        request.send().await.unwrap().json().await.unwrap()
    }
}

pub async fn answer(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}
