//! What people do: make namespaces, commit, call off, resume, try again, leave out, and turn modes.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use buildbtw_api::namespaces::{
    IterationReason, NamespaceOptions, RetryRequest, UnwaiveRequest, WaiveRequest,
};
use buildbtw_api::{NamespaceName, NamespaceStatus, ServerMode, WorkerId, WorkerMode};
use buildbtw_server::db::{iterations, namespaces, plans, workers};
use buildbtw_server::{Server, api, dispatch, planner};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::packages::Distribution;
use super::world::{Disk, Event, Violation, World};

impl World {
    /// Somebody does something.
    pub async fn person(&mut self) -> Result<(), Violation> {
        if !self.trouble {
            return Ok(());
        }
        let names: Vec<NamespaceName> = self.namespaces.keys().cloned().collect();
        let Some(name) = self.rng.choice(&names).cloned() else {
            return Ok(());
        };
        match self.rng.u8(0..10) {
            0..3 => self.commit(&name).await?,
            3 => self.ask(&name, "cancel", None::<()>).await?,
            4 => self.ask(&name, "pause", None::<()>).await?,
            5 => self.ask(&name, "resume", None::<()>).await?,
            6 | 7 => {
                self.ask(&name, "retry", Some(RetryRequest::default()))
                    .await?
            }
            8 => {
                let count = self.namespaces[&name].revisions.len();
                let number = self.rng.usize(0..count);
                let pkgbases = vec![format!("p{number}").parse().unwrap()];
                if self.rng.u8(0..3) == 0 {
                    let request = UnwaiveRequest { pkgbases };
                    self.ask(&name, "unwaive", Some(request)).await?;
                } else {
                    let request = WaiveRequest {
                        pkgbases,
                        reason: "it is not needed".to_owned(),
                    };
                    self.ask(&name, "waive", Some(request)).await?;
                }
            }
            _ => self.turn_a_mode().await?,
        }
        // Who called something off may take it back.
        if self.rng.bool() {
            let wait = Duration::from_secs(self.rng.u64(1..400));
            self.after(wait, Event::Person);
        }
        Ok(())
    }

    /// Sends a request as `bbtw` does. A refusal is an answer; a failure of the server is not.
    async fn ask(
        &mut self,
        name: &NamespaceName,
        what: &str,
        body: Option<impl serde::Serialize>,
    ) -> Result<(), Violation> {
        let body = body.map_or(Vec::new(), |body| serde_json::to_vec(&body).unwrap());
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/api/v1/namespaces/{name}/{what}"))
            .header(header::HOST, "127.0.0.1")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .unwrap();
        let answer = self
            .on_server(async |server| {
                let answer = api::router(server).oneshot(request).await;
                let answer = answer.map_err(Violation::of)?;
                let status = answer.status();
                let bytes = answer.into_body().collect().await.map_err(Violation::of)?;
                match status {
                    StatusCode::INTERNAL_SERVER_ERROR | StatusCode::INSUFFICIENT_STORAGE => {
                        Err(Violation::of(String::from_utf8_lossy(&bytes.to_bytes())))
                    }
                    status => Ok(status),
                }
            })
            .await?;
        self.tell(format_args!("somebody asks to {what} {name}: {answer:?}"));
        Ok(())
    }

    pub async fn new_namespace(&mut self) -> Result<(), Violation> {
        let name: NamespaceName = format!("n{}", self.namespaces.len()).parse().unwrap();
        let distribution = Distribution::new(&mut self.rng);
        self.tell(format_args!("namespace {name}: {distribution:?}"));
        self.namespaces.insert(name.clone(), distribution);
        let options = NamespaceOptions {
            reuse: self.rng.u8(0..10) > 0,
            ..NamespaceOptions::default()
        };
        let made = self
            .on_server(async |server| {
                let mut tx = server.db.write().await.map_err(Violation::of)?;
                namespaces::insert(&mut tx, &name, &options, &[])
                    .await
                    .map_err(Violation::of)?;
                tx.commit().await.map_err(Violation::of)
            })
            .await?;
        match made {
            Some(()) => self.iterate(&name, IterationReason::Created).await,
            None => Ok(()),
        }
    }

    /// Somebody commits to some packages, and an iteration follows.
    async fn commit(&mut self, name: &NamespaceName) -> Result<(), Violation> {
        if let Some(distribution) = self.namespaces.get_mut(name) {
            distribution.commit(&mut self.rng);
            let revisions = distribution.revisions.clone();
            self.tell(format_args!("commits to {name}: {revisions:?}"));
        }
        self.iterate(name, IterationReason::NewCommit { moves: Vec::new() })
            .await
    }

    async fn iterate(
        &mut self,
        name: &NamespaceName,
        reason: IterationReason,
    ) -> Result<(), Violation> {
        let calculation = self.namespaces[name].calculation();
        self.on_server(async |server| {
            let mut tx = server.db.write().await.map_err(Violation::of)?;
            let namespace = namespaces::by_name(&mut tx, name)
                .await
                .map_err(Violation::of)?;
            let Some(namespace) = namespace.filter(|namespace| {
                matches!(
                    namespace.status,
                    NamespaceStatus::Active | NamespaceStatus::Finished
                )
            }) else {
                return Ok(());
            };
            let iteration = planner::new_iteration(&mut tx, namespace.key, &reason, &[])
                .await
                .map_err(Violation::of)?;
            namespaces::settle(&mut tx, namespace.key)
                .await
                .map_err(Violation::of)?;
            tx.commit().await.map_err(Violation::of)?;
            planner::store(&server, &iteration, calculation)
                .await
                .map_err(Violation::of)
        })
        .await?;
        Ok(())
    }

    /// After a start: iterations whose planning was cut short are planned again.
    pub async fn plan_interrupted(&mut self) -> Result<(), Violation> {
        let calculations: Vec<_> = self
            .namespaces
            .iter()
            .map(|(name, distribution)| (name.clone(), distribution.calculation()))
            .collect();
        self.on_server(async |server| {
            for (name, calculation) in calculations {
                plan_one(&server, &name, calculation).await?;
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn turn_a_mode(&mut self) -> Result<(), Violation> {
        let number = self.rng.usize(0..self.workers.len());
        let id = self.workers[number].id;
        let (of_server, mode) = (self.rng.bool(), self.rng.usize(0..4));
        self.on_server(async |server| {
            if of_server {
                let mode = ServerMode::ALL[mode % 3];
                dispatch::modes::set_server(&server, mode, Some("a try"))
                    .await
                    .map_err(Violation::of)?;
            } else if let Some(id) = id {
                let mode = WorkerMode::ALL[mode % 3];
                turn_worker(&server, id, mode).await?;
            }
            Ok(())
        })
        .await?;
        self.tell("somebody turns a mode");
        Ok(())
    }

    /// Nothing goes wrong any more: everything is up, and handed out again.
    pub async fn calm_down(&mut self) -> Result<(), Violation> {
        self.trouble = false;
        self.stirred = true;
        self.tell("all is well from here on");
        self.turn_disk(Disk::Fine).await?;
        if self.server.is_none() {
            self.start_server().await?;
        }
        for number in 0..self.workers.len() {
            if !self.workers[number].up {
                self.soon(Event::WorkerStarts(number));
            }
        }
        let known: Vec<WorkerId> = self.workers.iter().filter_map(|worker| worker.id).collect();
        self.on_server(async |server| {
            dispatch::modes::set_server(&server, ServerMode::Run, None)
                .await
                .map_err(Violation::of)?;
            for id in known {
                turn_worker(&server, id, WorkerMode::Active).await?;
            }
            Ok(())
        })
        .await?;
        for name in self.namespaces.keys().cloned().collect::<Vec<_>>() {
            self.ask(&name, "resume", None::<()>).await?;
        }
        Ok(())
    }
}

async fn turn_worker(server: &Server, id: WorkerId, mode: WorkerMode) -> Result<(), Violation> {
    let known = {
        let mut tx = server.db.read().await.map_err(Violation::of)?;
        workers::by_id(&mut tx, id).await.map_err(Violation::of)?
    };
    if let Some(worker) = known {
        dispatch::modes::set_worker(server, &worker, mode, Some("a try"))
            .await
            .map_err(Violation::of)?;
    }
    Ok(())
}

async fn plan_one(
    server: &Server,
    name: &NamespaceName,
    calculation: planner::Calculation,
) -> Result<(), Violation> {
    let interrupted = {
        let mut tx = server.db.write().await.map_err(Violation::of)?;
        let namespace = namespaces::by_name(&mut tx, name)
            .await
            .map_err(Violation::of)?;
        let Some(namespace) = namespace else {
            return Ok(());
        };
        let interrupted = iterations::being_planned(&mut tx)
            .await
            .map_err(Violation::of)?;
        let newest = interrupted
            .into_iter()
            .filter(|iteration| iteration.namespace == namespace.key);
        let newest: Vec<_> = newest.collect();
        for iteration in &newest {
            plans::discard(&mut tx, iteration.key)
                .await
                .map_err(Violation::of)?;
        }
        tx.commit().await.map_err(Violation::of)?;
        newest
    };
    let mut calculation = Some(calculation);
    for iteration in interrupted {
        if let Some(calculation) = calculation.take() {
            planner::store(server, &iteration, calculation)
                .await
                .map_err(Violation::of)?;
        }
    }
    Ok(())
}
