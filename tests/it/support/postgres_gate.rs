//! A proxy in front of PostgreSQL: passes connections through, holds back every byte like a frozen server, or refuses
//! connections like a stopped one.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::postgres::TestDatabase;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Frozen,
    Shut,
}

/// A database behind a gate. Ends with the test's runtime.
pub(crate) struct GatedDatabase {
    database: TestDatabase,
    port: u16,
    state: watch::Sender<Gate>,
}

impl GatedDatabase {
    pub(crate) async fn new() -> Self {
        let database = super::postgres::database().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a port").port();
        let (state, gate) = watch::channel(Gate::Open);
        let options = database.options();
        let server = (options.get_host().to_owned(), options.get_port());
        tokio::spawn(keep(listener, port, server, gate));
        Self { database, port, state }
    }

    /// The gate's address, as a database URL.
    pub(crate) fn url(&self) -> String {
        let options = self.database.options();
        let (host, port) = (options.get_host(), options.get_port());
        self.database.url().replace(&format!("{host}:{port}"), &format!("127.0.0.1:{}", self.port))
    }

    pub(crate) fn set(&self, state: Gate) {
        self.state.send_replace(state);
    }
}

async fn keep(mut listener: TcpListener, port: u16, server: (String, u16), mut gate: watch::Receiver<Gate>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted.expect("a connection");
                tokio::spawn(pass(client, server.clone(), gate.clone()));
            }
            state = wait_for(&mut gate, |state| state == Gate::Shut) => {
                if state.is_none() {
                    return;
                }
                drop(listener);
                if wait_for(&mut gate, |state| state != Gate::Shut).await.is_none() {
                    return;
                }
                listener = loop {
                    match TcpListener::bind(("127.0.0.1", port)).await {
                        Ok(listener) => break listener,
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await, // because the port is not free yet
                    }
                };
            }
        }
    }
}

/// `None` if the test is over.
async fn wait_for(gate: &mut watch::Receiver<Gate>, is_so: impl Fn(Gate) -> bool) -> Option<()> {
    gate.wait_for(|state| is_so(*state)).await.ok().map(drop)
}

async fn pass(client: TcpStream, server: (String, u16), mut gate: watch::Receiver<Gate>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (there, back) = (carry(from_client, to_server, gate.clone()), carry(from_server, to_client, gate.clone()));
    tokio::select! {
        () = there => {}
        () = back => {}
        _ = wait_for(&mut gate, |state| state == Gate::Shut) => {}
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut gate: watch::Receiver<Gate>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if wait_for(&mut gate, |state| state == Gate::Open).await.is_none()
            || to.write_all(&buffer[..length]).await.is_err()
        {
            return;
        }
    }
}
