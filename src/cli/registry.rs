//! `silo registry`.

use std::path::{Path, absolute};

use anyhow::{Context as _, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use http::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::account::{PasswordSource, read_password};
use super::args::server_client::{RegistryServer, ServerOptions, moment, text};
use super::consent::ConsentOption;
use super::output::table::{copied, name, table, whole, words};
use super::print;
use super::suggest::nearest;
use crate::api::registries::{HookForm, HookReply, LastScanReply, RegistryAddForm, RegistryChangeForm, RegistryReply};
use crate::catalog::{RegistryKind, RegistryVisibility, ScanState};
use crate::client::{Client, Error};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Add a registry, after checking that it answers
    Add(Box<AddOptions>),
    /// Change a registry, after checking that it answers; omitted options keep their value, '' clears one
    Set(Box<SetOptions>),
    /// List the registries
    #[command(alias = "ls")]
    List {
        /// The server's reply as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Create a webhook address for the registry's notifications, so that pushed images are found at once
    Hook {
        /// The registry's name or id
        registry: String,
        /// Accept only notifications signed with a secret, as GitHub sends them; the secret is asked for, or read from
        /// standard input
        #[arg(long, conflicts_with = "remove")]
        secret: bool,
        /// Remove the webhook address
        #[arg(long)]
        remove: bool,
        /// The server's reply as JSON
        #[arg(long, conflicts_with = "remove")]
        json: bool,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Delete a registry and its images from the catalogue; the registry itself is not touched
    #[command(aliases = ["remove", "delete"])]
    Rm {
        /// The registry's name or id
        registry: String,
        #[command(flatten)]
        consent: ConsentOption,
        #[command(flatten)]
        server: ServerOptions,
    },
}

#[derive(Args)]
pub(super) struct AddOptions {
    /// Name for the registry
    name: String,
    /// http(s)://HOST[:PORT]; or the path on the server of an OCI image layout or a .tar of docker save, below a folder
    /// of scan.layout_roots
    #[allow(rustdoc::broken_intra_doc_links, reason = "the comment is help text")]
    url: String,
    /// Kind of the registry, such as harbor [default: detected]
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(RegistryKind::ALL.iter().map(|kind| kind.as_str())))]
    kind: Option<String>,
    /// Only repositories whose path begins with this organisation
    #[arg(long, default_value = "")]
    org: String,
    /// User name to log in with; the password is asked for, or read from standard input
    #[arg(short, long, alias = "user", default_value = "")]
    username: String,
    #[command(flatten)]
    password: PasswordSource,
    /// Pattern of repositories to scan; repeatable [default: *-seed]
    #[arg(long)]
    include: Vec<String>,
    /// Pattern of repositories to skip; repeatable
    #[arg(long)]
    exclude: Vec<String>,
    /// Scan only this repository, for registries that do not list repositories; repeatable
    #[arg(long = "repository", value_name = "NAME")]
    repositories: Vec<String>,
    /// Scan schedule: five cron fields in UTC, or off [default: the server's]
    #[arg(long, default_value = "")]
    schedule: String,
    /// Mark the whole registry as verified: it represents jobs that are in several registries, and ranks first in
    /// searches
    #[arg(long)]
    verified: bool,
    /// Mark this namespace as verified: the part of repository names before the last slash, or / for none; repeatable
    #[arg(long = "verified-namespace", value_name = "NAMESPACE")]
    verified_namespaces: Vec<String>,
    /// Who sees the registry and its images: everybody, users who are logged in, or its members
    #[arg(long, value_parser = visibilities(), default_value = "public")]
    visibility: String,
    /// User who sees the registry if it is private; repeatable
    #[arg(long = "member", value_name = "USER")]
    members: Vec<String>,
    /// Group whose users see the registry if it is private; repeatable
    #[arg(long = "member-group", value_name = "GROUP")]
    member_groups: Vec<String>,
    /// User who may scan and change the registry, and sees it; repeatable
    #[arg(long = "maintainer", value_name = "USER")]
    maintainers: Vec<String>,
    #[command(flatten)]
    tls: TlsFiles,
    /// The server's reply as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: RegistryServer,
}

#[derive(Args)]
pub(super) struct SetOptions {
    /// The registry's name or id
    registry: String,
    /// New address; the password must be given again, if there is one
    #[arg(long)]
    url: Option<String>,
    /// Only repositories whose path begins with this organisation
    #[arg(long)]
    org: Option<String>,
    /// User name to log in with
    #[arg(short, long, alias = "user")]
    username: Option<String>,
    #[command(flatten)]
    password: PasswordSource,
    /// Pattern of repositories to scan; repeatable
    #[arg(long)]
    include: Option<Vec<String>>,
    /// Pattern of repositories to skip; repeatable
    #[arg(long)]
    exclude: Option<Vec<String>>,
    /// Scan only this repository, for registries that do not list repositories; repeatable
    #[arg(long = "repository", value_name = "NAME")]
    repositories: Option<Vec<String>>,
    /// Scan schedule: five cron fields in UTC, or off
    #[arg(long)]
    schedule: Option<String>,
    /// Whether the whole registry is verified: it represents jobs that are in several registries, and ranks first in
    /// searches
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    verified: Option<bool>,
    /// Mark this namespace as verified: the part of repository names before the last slash, or / for none; repeatable
    #[arg(long = "verified-namespace", value_name = "NAMESPACE")]
    verified_namespaces: Option<Vec<String>>,
    /// Who sees the registry and its images: everybody, users who are logged in, or its members
    #[arg(long, value_parser = visibilities())]
    visibility: Option<String>,
    /// User who sees the registry if it is private; repeatable
    #[arg(long = "member", value_name = "USER")]
    members: Option<Vec<String>>,
    /// Group whose users see the registry if it is private; repeatable
    #[arg(long = "member-group", value_name = "GROUP")]
    member_groups: Option<Vec<String>>,
    /// User who may scan and change the registry, and sees it; repeatable
    #[arg(long = "maintainer", value_name = "USER")]
    maintainers: Option<Vec<String>>,
    #[command(flatten)]
    tls: TlsFiles,
    /// The server's reply as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: RegistryServer,
}

fn visibilities() -> PossibleValuesParser {
    PossibleValuesParser::new(RegistryVisibility::ALL.map(RegistryVisibility::as_str))
}

/// TLS certificates and keys, as PEM files.
#[derive(Args)]
pub(super) struct TlsFiles {
    /// CA certificates to trust for this registry, in addition to the server's
    #[arg(long, value_name = "FILE")]
    ca: Option<String>,
    /// Client certificate for this registry, with its intermediate certificates
    #[arg(long, value_name = "FILE")]
    client_cert: Option<String>,
    /// The client certificate's key
    #[arg(long, value_name = "FILE")]
    client_key: Option<String>,
}

impl TlsFiles {
    /// Reads the files: certificates of authorities, a client certificate and its key. An empty file name gives an
    /// empty text.
    fn read(&self) -> anyhow::Result<[Option<String>; 3]> {
        let read = |file: &Option<String>| match file.as_deref() {
            None => Ok(None),
            Some("") => Ok(Some(String::new())),
            Some(file) => std::fs::read_to_string(file).map(Some).with_context(|| format!("cannot read {file}")),
        };
        Ok([read(&self.ca)?, read(&self.client_cert)?, read(&self.client_key)?])
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Add(options) => add(*options).await,
        Command::Set(options) => set(*options).await,
        Command::List { json, server } => list(json, &server).await,
        Command::Hook { registry, remove: true, server, .. } => {
            let client = server.client()?;
            let id = find(&client, &registry).await?;
            client.ask(Method::DELETE, &format!("/api/v1/registries/{id}/hook"), &[], None).await?;
            stderrln!("Removed the hook of {registry}.");
            Ok(())
        }
        Command::Hook { registry, secret, json, server, .. } => hook(&registry, secret, json, &server).await,
        Command::Rm { registry, consent, server } => {
            let client = server.client()?;
            let id = find(&client, &registry).await?;
            consent.to(&format!("Delete {registry} and its images from the catalogue?"))?;
            client.ask(Method::DELETE, &format!("/api/v1/registries/{id}"), &[], None).await?;
            stderrln!("Deleted {registry} and its images from the catalogue.");
            Ok(())
        }
    }
}

async fn add(options: AddOptions) -> anyhow::Result<()> {
    let here = Path::new(&options.url);
    if here.is_relative() && here.exists() {
        bail!(
            "{0} is a relative path; give the absolute path on the server: {1}",
            options.url,
            absolute(here)?.display()
        );
    }
    let password = match options.username.as_str() {
        "" => SecretString::from(""),
        name => options.password.read(&format!("Password of {name} at {}: ", options.url))?,
    };
    let [ca, client_certificate, client_key] = options.tls.read()?.map(Option::unwrap_or_default);
    let form = RegistryAddForm {
        name: options.name.clone(),
        url: options.url,
        kind: options.kind,
        org: options.org,
        username: options.username,
        password,
        ca,
        client_certificate,
        client_key: client_key.into(),
        include: options.include,
        exclude: options.exclude,
        repositories: options.repositories,
        schedule: options.schedule,
        verified: options.verified,
        verified_namespaces: options.verified_namespaces,
        visibility: (options.visibility != RegistryVisibility::Public.as_str()).then_some(options.visibility),
        members: options.members,
        member_groups: options.member_groups,
        maintainers: options.maintainers,
    };
    let form = serde_json::to_value(form)?;
    let reply = options.server.client()?.ask(Method::POST, "/api/v1/registries", &[], Some(&form)).await?;
    if options.json {
        print(format_args!("{reply}\n"))?;
    }
    let registry: RegistryReply = reply.read()?;
    if !options.json {
        let name = options.name;
        stderrln!("Added {name} as registry {}. Scan it with: silo scan {name} --wait", registry.id);
    }
    tell_notes(&registry);
    Ok(())
}

/// Prints the server's notes for the registry's administrator.
fn tell_notes(registry: &RegistryReply) {
    for note in &registry.notes {
        stderrln!("note: {}", text(note));
    }
}

async fn set(options: SetOptions) -> anyhow::Result<()> {
    let client = options.server.client()?;
    let id = find(&client, &options.registry).await?;
    let patterns = |list: Option<Vec<String>>| {
        list.map(|list| list.into_iter().filter(|pattern| !pattern.is_empty()).collect::<Vec<_>>())
    };
    let [ca, client_certificate, client_key] = options.tls.read()?;
    let password = match options.password.is_given() {
        true => Some(options.password.read(&format!("New password at {}: ", options.registry))?),
        false => None,
    };
    let form = RegistryChangeForm {
        url: options.url,
        org: options.org,
        username: options.username,
        password,
        ca,
        client_certificate,
        client_key: client_key.map(SecretString::from),
        include: patterns(options.include),
        exclude: patterns(options.exclude),
        repositories: patterns(options.repositories),
        schedule: options.schedule,
        verified: options.verified,
        verified_namespaces: patterns(options.verified_namespaces),
        visibility: options.visibility,
        members: patterns(options.members),
        member_groups: patterns(options.member_groups),
        maintainers: patterns(options.maintainers),
    };
    let form = serde_json::to_value(form)?;
    if form == json!({}) {
        bail!("give at least one option to change; see: silo registry set --help");
    }
    let reply = client.ask(Method::PATCH, &format!("/api/v1/registries/{id}"), &[], Some(&form)).await?;
    if options.json {
        print(format_args!("{reply}\n"))?;
    } else {
        // A change of marks and members only does not contact the registry.
        const LOCAL: [&str; 6] =
            ["verified", "verifiedNamespaces", "visibility", "members", "memberGroups", "maintainers"];
        let is_asked = form.as_object().is_some_and(|form| form.keys().any(|key| !LOCAL.contains(&key.as_str())));
        stderrln!("Changed {}{}.", options.registry, if is_asked { "; it answers" } else { "" });
    }
    tell_notes(&reply.read()?);
    Ok(())
}

async fn hook(registry: &str, secret: bool, json: bool, server: &ServerOptions) -> anyhow::Result<()> {
    let client = server.client()?;
    let id = find(&client, registry).await?;
    let secret = if secret { read_password("Secret that notifications are signed with: ")? } else { "".into() };
    let form = serde_json::to_value(HookForm { secret })?;
    let reply = client.ask(Method::POST, &format!("/api/v1/registries/{id}/hook"), &[], Some(&form)).await?;
    if json {
        return print(format_args!("{reply}\n"));
    }
    let HookReply { url, advice } = reply.read()?;
    let lines =
        |secret: &SecretString| -> String { secret.expose_secret().lines().map(|line| text(line) + "\n").collect() };
    print(lines(&url))?;
    stderr!(
        "\nThis address is shown only once. Keep it secret: a request to it makes SILO scan {registry}.\n\n{}",
        lines(&advice)
    );
    Ok(())
}

/// What is verified in a registry: `all`, or namespaces.
fn verified(registry: &RegistryReply) -> String {
    if registry.verified {
        return "all".to_owned();
    }
    let named =
        registry.verified_namespaces.iter().map(|name| if name.is_empty() { "/".to_owned() } else { text(name) });
    named.collect::<Vec<_>>().join(" ")
}

/// State or result of a registry's last scan, in a word or two.
fn last_scan(scan: Option<&LastScanReply>) -> String {
    match scan {
        None => "never".to_owned(),
        Some(scan) if is_held(scan) => format!("held: {} tags vanished", scan.held),
        Some(scan) => text(&scan.state),
    }
}

fn is_held(scan: &LastScanReply) -> bool {
    ScanState::parse(&scan.state) == Some(ScanState::Held)
}

async fn list(json: bool, server: &ServerOptions) -> anyhow::Result<()> {
    let reply = server.client()?.ask(Method::GET, "/api/v1/registries", &[], None).await?;
    if json {
        print(format_args!("{reply}\n"))?;
        return Ok(());
    }
    let registries: Vec<RegistryReply> = reply.read()?;
    let rows = registries.iter().map(|registry| {
        [
            registry.id.to_string(),
            text(&registry.name),
            text(&registry.kind),
            text(&registry.url),
            text(&registry.org),
            verified(registry),
            last_scan(registry.last_scan.as_ref()),
            registry.next_scan_at.map(moment).unwrap_or_default(),
        ]
    });
    let columns = [
        whole("ID"),
        name("NAME"),
        whole("KIND"),
        copied("URL"),
        words("ORG"),
        whole("VERIFIED"),
        whole("LAST SCAN"),
        whole("NEXT SCAN"),
    ];
    print(format_args!("{}\n", table(columns, rows)))?;
    for registry in registries.iter().filter(|registry| registry.last_scan.as_ref().is_some_and(is_held)) {
        let name = text(&registry.name);
        stderrln!(
            "{name}: the vanished tags stay in the catalogue until an admin confirms the scan: silo scan {name} --confirm"
        );
    }
    Ok(())
}

/// All registries of a server.
pub(super) async fn all(client: &Client) -> Result<Vec<RegistryReply>, Error> {
    client.ask(Method::GET, "/api/v1/registries", &[], None).await?.read()
}

/// Id of a registry given by name or id; names take precedence.
pub(super) async fn find(client: &Client, wanted: &str) -> anyhow::Result<i64> {
    let known = all(client).await?;
    let by_name = known.iter().find(|registry| registry.name == wanted);
    let by_id = || wanted.parse().ok().and_then(|id: i64| known.iter().find(|registry| registry.id == id));
    if let Some(registry) = by_name.or_else(by_id) {
        return Ok(registry.id);
    }
    let advice = match nearest(wanted, known.iter().map(|registry| registry.name.as_str())).first() {
        Some(meant) => format!("did you mean {}?", text(meant)),
        None => "list them with: silo registry list".to_owned(),
    };
    bail!("there is no registry '{wanted}'; {advice}")
}
