//! `silo registry`.

use std::path::{Path, absolute};

use anyhow::{Context as _, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::account::{PasswordSource, read_password};
use super::args::server_client::{RegistryServer, ServerOptions, items, moment, text};
use super::consent::ConsentOption;
use super::output::table::{copied, name, table, whole, words};
use super::print;
use super::suggest::nearest;
use crate::catalog::RegistryKind;
use crate::client::Client;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Add a registry, after a check that it answers
    Add(Box<AddOptions>),
    /// Change a registry, after a check that it answers; what is not given stays, and '' takes away
    Set(Box<SetOptions>),
    /// List the registries
    #[command(alias = "ls")]
    List {
        /// As JSON, as the server answers
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Make an address that the registry's notifications go to, so that what is pushed is found at once
    Hook {
        /// Its name or id
        registry: String,
        /// Only take notifications that are signed with a secret, as GitHub does; it is asked for, or read from standard
        /// input
        #[arg(long, conflicts_with = "remove")]
        secret: bool,
        /// Take the address away
        #[arg(long)]
        remove: bool,
        /// As JSON, as the server answers
        #[arg(long, conflicts_with = "remove")]
        json: bool,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Delete a registry and its images from the catalogue; the registry itself is not touched
    #[command(aliases = ["remove", "delete"])]
    Rm {
        /// Its name or id
        registry: String,
        #[command(flatten)]
        consent: ConsentOption,
        #[command(flatten)]
        server: ServerOptions,
    },
}

#[derive(Args)]
pub(super) struct AddOptions {
    /// A name of your own for it
    name: String,
    /// http(s)://HOST[:PORT], or the server's path of an OCI image layout or a .tar of docker save, in a folder that the server's
    /// scan.layout_roots names
    #[allow(rustdoc::broken_intra_doc_links, reason = "the comment is help text")]
    url: String,
    /// Which kind of registry it is, such as harbor; found out where it is not said
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(RegistryKind::ALL.iter().map(|kind| kind.as_str())))]
    kind: Option<String>,
    /// Only repositories below this first part of their path
    #[arg(long, default_value = "")]
    org: String,
    /// Log in to it with this name; the password is asked for, or read from standard input
    #[arg(short, long, alias = "user", default_value = "")]
    username: String,
    #[command(flatten)]
    password: PasswordSource,
    /// Repositories to scan: a pattern, may be given more than once [default: *-seed]
    #[arg(long)]
    include: Vec<String>,
    /// Repositories to pass over: a pattern, may be given more than once
    #[arg(long)]
    exclude: Vec<String>,
    /// Scan just this repository, for registries that do not list them; may be given more than once
    #[arg(long = "repository", value_name = "NAME")]
    repositories: Vec<String>,
    /// When to scan it: five cron fields in UTC, or off [default: the server's]
    #[arg(long, default_value = "")]
    schedule: String,
    /// Vouch for all of it: it represents jobs that other registries have too, and ranks first in searches
    #[arg(long)]
    verified: bool,
    /// Vouch for this namespace of it: what stands before the last slash of repositories, / for nothing; may be given more
    /// than once
    #[arg(long = "verified-namespace", value_name = "NAMESPACE")]
    verified_namespaces: Vec<String>,
    #[command(flatten)]
    tls: TlsFiles,
    /// As JSON, as the server answers
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: RegistryServer,
}

#[derive(Args)]
pub(super) struct SetOptions {
    /// Its name or id
    registry: String,
    /// Its new address; needs the password again, if it has one
    #[arg(long)]
    url: Option<String>,
    /// Only repositories below this first part of their path
    #[arg(long)]
    org: Option<String>,
    /// Log in to it with this name
    #[arg(short, long, alias = "user")]
    username: Option<String>,
    #[command(flatten)]
    password: PasswordSource,
    /// Repositories to scan: a pattern, may be given more than once
    #[arg(long)]
    include: Option<Vec<String>>,
    /// Repositories to pass over: a pattern, may be given more than once
    #[arg(long)]
    exclude: Option<Vec<String>>,
    /// Scan just this repository, for registries that do not list them; may be given more than once
    #[arg(long = "repository", value_name = "NAME")]
    repositories: Option<Vec<String>>,
    /// When to scan it: five cron fields in UTC, or off
    #[arg(long)]
    schedule: Option<String>,
    /// Vouch for all of it, or not: it represents jobs that other registries have too, and ranks first in searches
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    verified: Option<bool>,
    /// Vouch for this namespace of it: what stands before the last slash of repositories, / for nothing; may be given more
    /// than once
    #[arg(long = "verified-namespace", value_name = "NAMESPACE")]
    verified_namespaces: Option<Vec<String>>,
    #[command(flatten)]
    tls: TlsFiles,
    /// As JSON, as the server answers
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: RegistryServer,
}

/// TLS certificates and keys, as PEM files.
#[derive(Args)]
pub(super) struct TlsFiles {
    /// Certificates of authorities to trust for it, beside the server's own
    #[arg(long, value_name = "FILE")]
    ca: Option<String>,
    /// A client certificate to show to it, with those between it and its authority
    #[arg(long, value_name = "FILE")]
    client_cert: Option<String>,
    /// The client certificate's key
    #[arg(long, value_name = "FILE")]
    client_key: Option<String>,
}

impl TlsFiles {
    /// Adds the content of the files to a form; an empty file name gives an empty text.
    fn read_into(&self, form: &mut Value) -> anyhow::Result<()> {
        for (key, file) in [("ca", &self.ca), ("clientCertificate", &self.client_cert), ("clientKey", &self.client_key)]
        {
            match file {
                None => {}
                Some(none) if none.is_empty() => form[key] = Value::Null,
                Some(file) => {
                    let text = std::fs::read_to_string(file);
                    form[key] = text.with_context(|| format!("cannot read {file}"))?.into();
                }
            }
        }
        Ok(())
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
            stderrln!("{registry} has no hook any more.");
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
    use secrecy::ExposeSecret as _;
    let here = Path::new(&options.url);
    if here.is_relative() && here.exists() {
        bail!(
            "{0} is a path here; give the whole path, as the server sees it: {1}",
            options.url,
            absolute(here)?.display()
        );
    }
    let password = match options.username.as_str() {
        "" => secrecy::SecretString::from(""),
        name => options.password.read(&format!("Password of {name} at {}: ", options.url))?,
    };
    let mut form = json!({
        "name": options.name, "url": options.url, "org": options.org, "username": options.username,
        "password": password.expose_secret(), "include": options.include, "exclude": options.exclude,
        "repositories": options.repositories, "schedule": options.schedule, "kind": options.kind,
        "verified": options.verified, "verifiedNamespaces": options.verified_namespaces,
    });
    options.tls.read_into(&mut form)?;
    let reply = options.server.client()?.ask(Method::POST, "/api/v1/registries", &[], Some(&form)).await?;
    if options.json {
        print(format_args!("{reply}\n"))?;
    } else {
        stderrln!(
            "Added {} as registry {}. Scan it with: silo scan {} --wait",
            options.name,
            reply["id"],
            options.name
        );
    }
    tell_notes(&reply);
    Ok(())
}

/// Prints the server's notes for the registry's administrator.
fn tell_notes(reply: &Value) {
    for note in items(&reply["notes"]) {
        stderrln!("Mind: {}", text(note));
    }
}

async fn set(options: SetOptions) -> anyhow::Result<()> {
    use secrecy::ExposeSecret as _;
    let client = options.server.client()?;
    let id = find(&client, &options.registry).await?;
    let mut form = json!({});
    let texts =
        [("url", options.url), ("org", options.org), ("username", options.username), ("schedule", options.schedule)];
    for (key, value) in texts {
        if let Some(value) = value {
            form[key] = value.into();
        }
    }
    let lists = [
        ("include", options.include),
        ("exclude", options.exclude),
        ("repositories", options.repositories),
        ("verifiedNamespaces", options.verified_namespaces),
    ];
    for (key, value) in lists {
        if let Some(mut value) = value {
            value.retain(|pattern| !pattern.is_empty());
            form[key] = value.into();
        }
    }
    if let Some(verified) = options.verified {
        form["verified"] = verified.into();
    }
    options.tls.read_into(&mut form)?;
    if options.password.is_given() {
        let password = options.password.read(&format!("New password at {}: ", options.registry))?;
        form["password"] = password.expose_secret().into();
    }
    if form == json!({}) {
        bail!("nothing to change was given; see: silo registry set --help");
    }
    let reply = client.ask(Method::PATCH, &format!("/api/v1/registries/{id}"), &[], Some(&form)).await?;
    if options.json {
        print(format_args!("{reply}\n"))?;
    } else {
        // A change of marks only does not contact the registry.
        let is_asked = form.as_object().is_some_and(|form| form.keys().any(|key| !key.starts_with("verified")));
        stderrln!("Changed {}{}.", options.registry, if is_asked { "; it answers" } else { "" });
    }
    tell_notes(&reply);
    Ok(())
}

async fn hook(registry: &str, secret: bool, json: bool, server: &ServerOptions) -> anyhow::Result<()> {
    use secrecy::ExposeSecret as _;
    let client = server.client()?;
    let id = find(&client, registry).await?;
    let secret = if secret { read_password("Secret that notifications are signed with: ")? } else { "".into() };
    let form = json!({"secret": secret.expose_secret()});
    let reply = client.ask(Method::POST, &format!("/api/v1/registries/{id}/hook"), &[], Some(&form)).await?;
    if json {
        return print(format_args!("{reply}\n"));
    }
    let lines = |key: &str| -> String {
        let all = reply[key].as_str().unwrap_or_default().lines();
        all.map(|line| format!("{}\n", text(&line.into()))).collect()
    };
    print(lines("url"))?;
    stderr!(
        "\nThis address is shown once; whoever knows it can make SILO look into {registry}.\n\n{}",
        lines("advice")
    );
    Ok(())
}

/// What is verified in a registry: `all`, or namespaces.
fn verified(row: &Value) -> String {
    if row["verified"] == true {
        return "all".to_owned();
    }
    let named = items(&row["verifiedNamespaces"]).iter().map(text);
    named.map(|name| if name.is_empty() { "/".to_owned() } else { name }).collect::<Vec<_>>().join(" ")
}

/// State or result of a registry's last scan, in a word or two.
fn last_scan(scan: &Value) -> String {
    match (text(&scan["state"]).as_str(), scan["held"].as_u64()) {
        ("", _) => "never".to_owned(),
        ("held", Some(tags)) => format!("held: {tags} tags vanished"),
        (state, _) => state.to_owned(),
    }
}

async fn list(json: bool, server: &ServerOptions) -> anyhow::Result<()> {
    let reply = server.client()?.ask(Method::GET, "/api/v1/registries", &[], None).await?;
    if json {
        print(format_args!("{reply}\n"))?;
        return Ok(());
    }
    let rows = items(&reply).iter().map(|row| {
        [
            text(&row["id"]),
            text(&row["name"]),
            text(&row["kind"]),
            text(&row["url"]),
            text(&row["org"]),
            verified(row),
            last_scan(&row["lastScan"]),
            moment(&row["nextScanAt"]),
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
    for row in items(&reply).iter().filter(|row| row["lastScan"]["state"] == "held") {
        let name = text(&row["name"]);
        stderrln!("{name}: what has vanished stays until an admin agrees that it is gone: silo scan {name} --confirm");
    }
    Ok(())
}

/// Id of a registry given by name or id; names take precedence.
pub(super) async fn find(client: &Client, wanted: &str) -> anyhow::Result<i64> {
    let reply = client.ask(Method::GET, "/api/v1/registries", &[], None).await?;
    let by = |matches: &dyn Fn(&Value) -> bool| {
        items(&reply).iter().find(|row| matches(row)).and_then(|row| row["id"].as_i64())
    };
    let by_id = || wanted.parse::<i64>().ok().and_then(|id| by(&|row| row["id"] == id));
    if let Some(id) = by(&|row| row["name"] == wanted).or_else(by_id) {
        return Ok(id);
    }
    let names = items(&reply).iter().filter_map(|row| row["name"].as_str());
    let advice = match nearest(wanted, names).first() {
        Some(meant) => format!("did you mean {}?", text(&(*meant).into())),
        None => "list them with: silo registry list".to_owned(),
    };
    bail!("there is no registry '{wanted}'; {advice}")
}
