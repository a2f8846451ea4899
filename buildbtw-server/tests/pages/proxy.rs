//! A proxy before the server that breaks connections when it is told to.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// Passes bytes on, until it cuts.
pub struct Proxy {
    port: u16,
    cuts: broadcast::Sender<()>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy before the server at that address.
    pub async fn start(server: &str) -> Self {
        let behind = server.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cuts = broadcast::Sender::new(1);
        let task = tokio::spawn({
            let cuts = cuts.clone();
            async move {
                while let Ok((mut before, _)) = listener.accept().await {
                    let Ok(mut behind) = TcpStream::connect(&behind).await else {
                        continue;
                    };
                    let mut cut = cuts.subscribe();
                    tokio::spawn(async move {
                        tokio::select! {
                            _ = copy_bidirectional(&mut before, &mut behind) => {}
                            _ = cut.recv() => {}
                        }
                    });
                }
            }
        });
        Self { port, cuts, task }
    }

    /// Its own address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Breaks all connections that there are; new ones are passed on again.
    pub fn cut(&self) {
        // Nobody may be connected just now.
        let _ = self.cuts.send(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
