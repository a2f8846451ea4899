//! A proxy before the server that breaks connections, or answers itself, when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// Passes bytes on, until it cuts.
pub struct Proxy {
    port: u16,
    cuts: broadcast::Sender<()>,
    alone: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy before the server at that address.
    pub async fn start(server: &str) -> Self {
        let behind = server.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cuts = broadcast::Sender::new(1);
        let alone = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn({
            let (cuts, alone) = (cuts.clone(), Arc::clone(&alone));
            async move {
                while let Ok((mut before, _)) = listener.accept().await {
                    if alone.load(Ordering::Relaxed) {
                        tokio::spawn(refuse(before));
                        continue;
                    }
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
        Self {
            port,
            cuts,
            alone,
            task,
        }
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

impl Proxy {
    /// Answers 502 to everybody, as a proxy does whose server is away, or passes on again.
    pub fn stand_alone(&self, alone: bool) {
        self.alone.store(alone, Ordering::Relaxed);
        self.cut();
    }
}

async fn refuse(mut connection: TcpStream) {
    let mut request = [0; 4096];
    // Whoever asks need not hear the answer to the end.
    let _ = connection.read(&mut request).await;
    let _ = connection
        .write_all(
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\nConnection: close\r\n\r\naway",
        )
        .await;
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
