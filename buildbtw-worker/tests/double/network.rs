//! A proxy that can be cut: what is behind it goes on, nobody reaches it.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// The proxy.
pub struct Proxy {
    address: SocketAddr,
    target: SocketAddr,
    open: Option<Open>,
}

struct Open {
    close: oneshot::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Opens a proxy before an address, on a free port.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut proxy = Self {
            address,
            target,
            open: None,
        };
        proxy.accept(listener);
        proxy
    }

    /// Its own address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&mut self, listener: TcpListener) {
        let target = self.target;
        let (close, mut closed) = oneshot::channel();
        let accepting = tokio::spawn(async move {
            // Dropped with the listener when the proxy closes: every connection breaks.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    _ = &mut closed => return,
                    accepted = listener.accept() => {
                        let (mut near, _) = accepted.unwrap();
                        connections.spawn(async move {
                            if let Ok(mut far) = TcpStream::connect(target).await {
                                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                            }
                        });
                    }
                }
            }
        });
        self.open = Some(Open { close, accepting });
    }

    /// Breaks all connections and takes no new ones.
    pub async fn close(&mut self) {
        if let Some(open) = self.open.take() {
            let _ = open.close.send(());
            open.accepting.await.unwrap();
        }
    }

    /// Takes connections again.
    pub async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.accept(listener);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            open.accepting.abort();
        }
    }
}
