//! Server-sent events (the `text/event-stream` format of the HTML standard), as far as our
//! server uses them: `id`, `data` and comments.

use futures_util::stream::{self, Stream, StreamExt};
use reqwest::Method;

use super::{Client, ClientError};
use crate::events::{Event, EventQuery};

/// The longest line of an event stream that is read, in bytes.
const LINE_MAX: usize = 1 << 20;

impl Client {
    /// What happens, from the query's place in the sequence on. The stream ends when the server
    /// shuts down or the connection breaks; ask again with the last `seq` as `after`.
    pub async fn events(
        &self,
        query: &EventQuery,
    ) -> Result<impl Stream<Item = Result<Event, ClientError>> + use<>, ClientError> {
        let response = self
            .send(self.api(Method::GET, &["events"]).query(query))
            .await?;
        let (url, status) = (response.url().clone(), response.status());
        let bytes = response.bytes_stream().boxed();
        let state = (bytes, Vec::<u8>::new());
        Ok(stream::try_unfold(state, move |(mut bytes, mut buffer)| {
            let url = url.clone();
            async move {
                loop {
                    while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                        let line: Vec<u8> = buffer.drain(..=end).collect();
                        let Some(data) = line.strip_prefix(b"data:") else {
                            continue;
                        };
                        let event = serde_json::from_slice::<Event>(data).map_err(|error| {
                            ClientError::NotOurs {
                                url: url.clone(),
                                status,
                                reason: error.to_string(),
                            }
                        })?;
                        return Ok(Some((event, (bytes, buffer))));
                    }
                    if buffer.len() > LINE_MAX {
                        let reason = "a line of the event stream is too long".to_owned();
                        return Err(ClientError::NotOurs {
                            url,
                            status,
                            reason,
                        });
                    }
                    match bytes.next().await {
                        Some(Ok(part)) => buffer.extend_from_slice(&part),
                        Some(Err(error)) => {
                            return Err(ClientError::Broken {
                                url,
                                reason: super::innermost(&error),
                            });
                        }
                        None => return Ok(None),
                    }
                }
            }
        }))
    }
}
