//! A service with existing data, on its own threads and its own port.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use silo::app::App;
use silo::clock::Clock;
use silo::config::{ConfigFlags, ServiceSettings};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

pub(crate) struct Server {
    /// `address:port`
    pub host: String,
    stop: CancellationToken,
    runtime: Runtime,
}

impl Server {
    /// Serves with this many threads for requests.
    pub(crate) fn start(app: App, threads: usize) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let host = listener.local_addr().expect("a bound socket has an address").to_string();
        let stop = CancellationToken::new();
        let limits = silo::http::ListenerLimits::new(&app);
        let router = silo::http::routes(app).into_router();
        runtime.spawn(silo::http::serve(router, listener, limits, stop.clone(), Duration::from_secs(1)));
        Self { host, stop, runtime }
    }

    pub(crate) fn stop(self) {
        self.stop.cancel();
        self.runtime.shutdown_timeout(Duration::from_secs(2));
    }
}

/// The default settings, with all data below a folder.
pub(crate) fn settings(folder: &Path) -> ServiceSettings {
    let flags = ConfigFlags { data: Some(folder.join("data")), ..ConfigFlags::default() };
    let mut settings = ServiceSettings::from_layers(&flags, &HashMap::new()).expect("the defaults are fine");
    settings.admin.password = SecretString::from("for benchmarks only");
    // No scans run: their results are stored directly.
    settings.scan.workers = 0;
    settings
}

pub(crate) async fn open(folder: &Path) -> App {
    App::start(settings(folder), Clock::system()).await.expect("the service starts").0
}

/// A query percent-encoded for a URL.
pub(crate) fn encoded(query: &str) -> String {
    percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC).to_string()
}
