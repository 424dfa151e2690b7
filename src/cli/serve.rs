//! `silo serve`.

use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{keep_files_private, print};
use crate::app::{App, FirstAdmin, PASSWORD_FILE};
use crate::clock::Clock;
use crate::config::{ConfigFlags, ServiceSettings};
use crate::{http, tasks, telemetry};

#[derive(Args, Clone)]
pub(super) struct Options {
    /// The address to listen on [env: SILO_LISTEN] [default: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Also add and scan the built-in registry of example images
    #[arg(long)]
    demo: bool,
}

impl Options {
    /// Whether any of these options was given.
    pub(super) fn is_asked_for(&self) -> bool {
        self.demo || self.listen.is_some()
    }

    /// Merged with the options given before the command's name.
    pub(super) fn or(self, before: Self) -> Self {
        Self { listen: self.listen.or(before.listen), demo: self.demo || before.demo }
    }
}

pub(super) async fn run(flags: ConfigFlags, options: Options) -> anyhow::Result<()> {
    keep_files_private();
    let settings = ServiceSettings::load(&ConfigFlags { listen: options.listen, ..flags })?;
    let _log = telemetry::start_logs(&settings.log)?;
    telemetry::metrics();
    let grace = Duration::from_secs(u64::from(settings.http.shutdown_seconds));
    let listener = TcpListener::bind(settings.listen).await.with_context(|| {
        format!("cannot listen on {}; give another address with --listen or SILO_LISTEN", settings.listen)
    })?;
    let address = listener.local_addr()?;
    let (app, admin) = App::start(settings, Clock::system()).await?;
    let stop = CancellationToken::new();
    // Signal handlers are installed before the service is announced.
    tokio::spawn(stop_on_signal(stop.clone())?);
    let mut tasks = tasks::start(&app, &stop).await?;
    let upkeep = tokio::spawn(telemetry::metrics_upkeep());
    if options.demo {
        app.demo_start().await?;
    }
    let welcome = welcome(&app, &admin, address, options.demo, std::io::stdout().is_terminal());
    // A closed or blocked standard output must not stop the service.
    tokio::task::spawn_blocking(move || _ = print(welcome));
    let limits = http::ListenerLimits::new(&app);
    http::serve(http::routes(app.clone()).into_router(), listener, limits, stop, grace).await;
    upkeep.abort();
    // Together with the requests, shutdown takes at most twice `grace`.
    if tokio::time::timeout(grace * 3 / 4, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!("some background work did not end in time; it resumes at the next start");
    }
    if tokio::time::timeout(grace / 4, app.close()).await.is_err() {
        tracing::warn!("the database did not close in time");
    }
    tracing::info!("stopped");
    Ok(())
}

/// SIGTERM and Ctrl-C shut down gracefully; a second one exits at once.
fn stop_on_signal(stop: CancellationToken) -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping: waiting for running requests");
        stop.cancel();
        next().await;
        std::process::exit(1);
    })
}

/// An address that clients on this machine can connect to: the unspecified address becomes loopback.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Quotes a text as one word of a shell command.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The welcome for a new user: address, password, first commands. The password is only printed to a terminal: elsewhere
/// it would end up in a log.
fn welcome(app: &App, admin: &FirstAdmin, listen: SocketAddr, demo: bool, is_terminal: bool) -> String {
    let address = reachable(listen);
    let settings = app.settings();
    let data = settings.data.display();
    let database = if settings.database.url.expose_secret().is_empty() { "SQLite" } else { "PostgreSQL" };
    let user = &settings.admin.username;
    let file = settings.in_data(PASSWORD_FILE);
    let kept = format!(" <{}", shell_word(&file.display().to_string()));
    let (about_admin, password) = match admin {
        FirstAdmin::Made { password, .. } if is_terminal => {
            (format!("{user}, password {password} (kept in {})", file.display()), kept)
        }
        _ if file.exists() => (format!("{user}, first password in {}", file.display()), kept),
        FirstAdmin::Given => (format!("{user}, with the password that you gave"), String::new()),
        FirstAdmin::Made { .. } | FirstAdmin::NotNeeded => ("see: silo user list".to_owned(), String::new()),
    };
    let user = shell_word(user);
    let add = if demo { "" } else { "  silo registry add mine http://127.0.0.1:5000\n  silo scan mine --wait\n" };
    let steps = if demo { "Log in, and search" } else { "Log in, add a registry, scan and search" };
    let about_demo = if demo { "\nDemo:    a registry of example images is being scanned\n" } else { "" };
    let word = if demo { "ndvi" } else { "WORDS" };
    format!(
        "SILO listens on http://{listen}
Data:    {data} ({database})
Admin:   {about_admin}
{about_demo}
{steps}:
  export SILO_URL=http://{address}
  silo login {user}{password}
{add}  silo search {word}
"
    )
}
