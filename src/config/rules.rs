//! The valid values of each option. Every option of `config/silo.toml` has a rule here; a test compares both.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;

use globset::Glob;
use ipnet::IpNet;
use toml::{Table, Value};

use super::DEFAULTS;

/// The most bytes of one text.
const MAX_TEXT: usize = 4096;

/// The type of an option's values, with their limits.
#[derive(Clone, Copy)]
pub(super) enum OptionRule {
    /// An integer, with its bounds.
    Whole(i64, i64),
    Decimal(f64, f64),
    Switch,
    Text(TextCheck),
    /// A text that is never shown.
    Secret(TextCheck),
    Texts(TextCheck),
}

/// Checks a text; the error says what it must be.
type TextCheck = fn(&str) -> Result<(), String>;

use OptionRule::{Decimal, Secret, Switch, Text, Texts, Whole};

const DAY: i64 = 86_400;
/// A century in days; ten years in hours.
const MAX_DAYS: i64 = 36_500;
const MAX_HOURS: i64 = 87_600;
/// A pebibyte.
const MAX_MIB: i64 = 1 << 30;
const MILLION: i64 = 1_000_000;

const RULES: &[(&str, OptionRule)] = &[
    ("data", Text(path)),
    ("listen", Text(socket_address)),
    ("database.url", Secret(database_url)),
    ("database.password_file", Text(any)),
    ("database.sqlite_path", Text(any)),
    ("admin.username", Text(name)),
    ("admin.password", Secret(any)),
    ("auth.token_hours", Whole(1, MAX_HOURS)),
    ("auth.token_key", Secret(key)),
    ("auth.seal_key", Secret(key)),
    ("auth.free_failures_per_account", Whole(0, MILLION)),
    ("auth.free_failures_per_address", Whole(0, MILLION)),
    ("auth.longest_wait_seconds", Whole(0, 7 * DAY)),
    ("auth.open_user_list", Switch),
    ("auth.open_remote_images", Switch),
    ("auth.remote_images_per_minute", Whole(1, MILLION)),
    ("http.public_url", Text(public_url)),
    ("http.request_timeout_seconds", Whole(1, DAY)),
    ("http.cors_origins", Texts(origin)),
    ("http.trust_forwarded_for", Switch),
    ("http.shutdown_seconds", Whole(0, 3600)),
    ("http.connections", Whole(8, MILLION)),
    ("http.connections_per_address", Whole(0, MILLION)),
    ("http.idle_seconds", Whole(1, 3600)),
    ("http.stalled_seconds", Whole(1, 3600)),
    ("http.body_mib", Whole(64, MILLION)),
    ("http.streams", Whole(0, MILLION)),
    ("http.streams_per_client", Whole(1, MILLION)),
    ("http.heartbeat_seconds", Whole(1, 3600)),
    ("scan.schedule", Text(schedule)),
    ("scan.jitter_minutes", Whole(0, 10_080)),
    ("scan.include", Texts(glob)),
    ("scan.exclude", Texts(glob)),
    ("scan.workers", Whole(1, 1000)),
    ("scan.concurrency", Whole(1, 1000)),
    ("scan.connect_timeout_seconds", Whole(1, 3600)),
    ("scan.request_timeout_seconds", Whole(1, DAY)),
    ("scan.tries", Whole(1, 100)),
    ("scan.longest_wait_seconds", Whole(0, DAY)),
    ("scan.pages", Whole(1, 100 * MILLION)),
    ("scan.pull_reserve", Whole(0, 100)),
    ("scan.longest_hours", Whole(1, MAX_HOURS)),
    ("scan.hold_percent", Whole(0, 100)),
    ("scan.step_seconds", Whole(0, 3600)),
    ("scan.relist_hours", Whole(0, MAX_HOURS)),
    ("scan.wait_seconds", Whole(0, 3600)),
    // With a shorter lease a busy worker would lose its scans.
    ("scan.lease_seconds", Whole(5, DAY)),
    ("scan.layout_roots", Texts(path)),
    ("scan.allow_private", Switch),
    ("scan.private_hosts", Texts(host)),
    ("scan.keep", Whole(1, MILLION)),
    ("hooks.per_minute", Whole(1, MILLION)),
    ("events.keep", Whole(0, 1000 * MILLION)),
    ("events.keep_days", Whole(0, MAX_DAYS)),
    ("runs.workers", Whole(0, 1000)),
    ("runs.engine", Text(engine)),
    ("runs.engine_context", Text(any)),
    ("runs.engine_certificates", Text(any)),
    ("runs.folder", Text(any)),
    ("runs.local_images", Switch),
    ("runs.input_roots", Texts(path)),
    ("runs.mount_roots", Texts(path)),
    ("runs.network", Text(network)),
    ("runs.bridge_registries", Texts(any)),
    ("runs.per_user_running", Whole(1, MILLION)),
    ("runs.per_user_active", Whole(1, MILLION)),
    ("runs.tries", Whole(1, 100)),
    ("runs.retry_seconds", Whole(0, DAY)),
    ("runs.longest_hours", Whole(1, MAX_HOURS)),
    ("runs.grace_seconds", Whole(0, 3600)),
    ("runs.default_cpus", Decimal(0.0, 10_000.0)),
    ("runs.default_memory_mib", Whole(0, MAX_MIB)),
    ("runs.most_cpus", Decimal(0.0, 10_000.0)),
    ("runs.most_memory_mib", Whole(0, MAX_MIB)),
    ("runs.most_gpus", Whole(0, 1000)),
    ("runs.processes", Whole(0, 4_194_304)),
    ("runs.log_mib", Whole(1, MAX_MIB)),
    ("runs.output_mib", Whole(0, MAX_MIB)),
    ("runs.capture_minutes", Whole(1, 60 * MAX_HOURS)),
    ("runs.fetch_seconds", Whole(1, 7 * DAY)),
    ("runs.reserve_mib", Whole(0, MAX_MIB)),
    ("runs.purge_after_hours", Whole(0, MAX_HOURS)),
    ("runs.upload_mib", Whole(1, MAX_MIB)),
    ("runs.uploads_per_user_mib", Whole(0, MAX_MIB)),
    ("runs.private_hosts", Texts(host)),
    ("runs.keep_files_days", Whole(0, MAX_DAYS)),
    ("runs.keep_days", Whole(0, MAX_DAYS)),
    ("runs.keep_uploads_days", Whole(0, MAX_DAYS)),
    ("search.synonyms", Text(any)),
    ("log.format", Text(log_format)),
    ("log.filter", Text(log_filter)),
];

/// All options of the compiled-in file, with their rules.
pub(super) static OPTIONS: LazyLock<BTreeMap<String, OptionRule>> = LazyLock::new(|| {
    let table: Table = DEFAULTS.parse().expect("config/silo.toml is TOML");
    let mut options = BTreeMap::new();
    for (key, value) in &table {
        match value {
            Value::Table(section) => {
                options.extend(section.iter().map(|(name, value)| with_rule(format!("{key}.{name}"), value)))
            }
            value => options.extend([with_rule(key.clone(), value)]),
        }
    }
    options
});

/// An option with its rule; without a rule, any value of the default's type is valid.
fn with_rule(option: String, default: &Value) -> (String, OptionRule) {
    let rule = RULES.iter().find(|(name, _)| *name == option).map(|(_, rule)| *rule);
    let of_this_type = match default {
        Value::Integer(_) => Whole(0, i64::from(u32::MAX)),
        Value::Float(_) => Decimal(0.0, f64::MAX),
        Value::Boolean(_) => Switch,
        Value::Array(_) => Texts(any),
        _ => Text(any),
    };
    (option, rule.unwrap_or(of_this_type))
}

impl OptionRule {
    /// Parses a value of the environment. One that is not of this type stays a text, which the check then rejects.
    pub(super) fn parse(self, text: &str) -> Value {
        let value = match self {
            Whole(..) => text.parse().ok().map(Value::Integer),
            Decimal(..) => text.parse().ok().map(Value::Float),
            Switch => text.parse().ok().map(Value::Boolean),
            Text(_) | Secret(_) => None,
            Texts(_) => texts(text),
        };
        value.unwrap_or_else(|| Value::String(text.to_owned()))
    }

    /// Checks a value; the error continues a sentence that begins with the option's name.
    pub(super) fn check(self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Whole(least, most), Value::Integer(number)) if (least..=most).contains(number) => Ok(()),
            (Decimal(least, most), Value::Float(number)) if (least..=most).contains(number) => Ok(()),
            (Decimal(least, most), Value::Integer(number)) if (least..=most).contains(&(*number as f64)) => Ok(()),
            (Switch, Value::Boolean(_)) => Ok(()),
            (Secret(check), Value::String(text)) => {
                check_text(check, text).map_err(|expected| format!("cannot be used; it must be {expected}"))
            }
            (Text(check), Value::String(text)) => {
                check_text(check, text).map_err(|expected| format!("is {}; it must be {expected}", shown(value)))
            }
            (Texts(check), Value::Array(items)) => items.iter().try_for_each(|item| match item {
                Value::String(text) => check_text(check, text)
                    .map_err(|expected| format!("holds {}; each of its entries must be {expected}", shown(item))),
                _ => Err(format!("holds {}; its entries must be texts in quotes", shown(item))),
            }),
            (Secret(_), _) => Err(format!("must be {}", self.expected())),
            _ => Err(format!("is {}; it must be {}", shown(value), self.expected())),
        }
    }

    fn expected(self) -> String {
        match self {
            Whole(least, most) => format!("a whole number from {least} to {most}"),
            Decimal(least, most) => format!("a number from {least} to {most}"),
            Switch => "true or false".to_owned(),
            Text(_) | Secret(_) => "a text in quotes".to_owned(),
            Texts(_) => "a list of texts, as in [\"a\", \"b\"]".to_owned(),
        }
    }
}

/// Parses a list in the environment: entries separated by commas, or a list in brackets, as in TOML and JSON. `None` if a list in
/// brackets is not valid.
fn texts(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Some(inside) = text.strip_prefix('[') {
        // An address such as [::1]:9000 is an entry.
        let is_address = inside.split_once(']').is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok());
        if !is_address {
            return format!("list = {text}").parse::<Table>().ok()?.remove("list").filter(Value::is_array);
        }
    }
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() > 100 => {
            format!("'{}…'", text.chars().take(100).collect::<String>().escape_debug())
        }
        Value::String(text) => format!("'{}'", text.escape_debug()),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a section".to_owned(),
        plain => plain.to_string(),
    }
}

fn check_text(check: TextCheck, text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(format!("a text of {MAX_TEXT} bytes at most, without control characters"));
    }
    check(text)
}

// --- texts

/// The same error for all faults of a text.
fn must_be(is_so: bool, expected: &str) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(expected.to_owned()) }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside those that refuse")]
fn any(_: &str) -> Result<(), String> {
    Ok(())
}

fn path(text: &str) -> Result<(), String> {
    must_be(!text.trim().is_empty(), "a path")
}

fn name(text: &str) -> Result<(), String> {
    must_be(!text.is_empty() && text.trim() == text, "a name, without surrounding spaces")
}

fn socket_address(text: &str) -> Result<(), String> {
    must_be(
        text.parse::<SocketAddr>().is_ok(),
        "an address of this machine with a port, as in 127.0.0.1:9000 or [::]:9000",
    )
}

fn database_url(text: &str) -> Result<(), String> {
    let schemes = ["postgres", "postgresql", "postgis"];
    let is_database = url::Url::parse(text).is_ok_and(|url| schemes.contains(&url.scheme()) && !url.cannot_be_a_base());
    must_be(
        text.is_empty() || is_database,
        "postgres://, postgresql:// or postgis:// with USER:PASSWORD@HOST:PORT/DATABASE (what is not a letter or a digit in a \
         password as %XX); leave it empty for SQLite",
    )
}

fn key(text: &str) -> Result<(), String> {
    let is_key = hex::decode(text).is_ok_and(|bytes| bytes.len() == 32);
    must_be(text.is_empty() || is_key, "64 hexadecimal digits (32 bytes), or empty")
}

fn is_http(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none() && url.has_host()
    })
}

fn public_url(text: &str) -> Result<(), String> {
    must_be(text.is_empty() || is_http(text), "http(s)://HOST[:PORT][/PATH], or empty")
}

/// In the exact form that browsers send, else it would never match.
fn origin(text: &str) -> Result<(), String> {
    let is_origin =
        url::Url::parse(text).is_ok_and(|url| url.origin().is_tuple() && url.origin().ascii_serialization() == text);
    must_be(
        matches!(text, "*" | "null") || is_origin,
        "an origin as browsers send it, such as https://ui.example.org (no path, no slash at the end, no default \
         port), or *",
    )
}

fn schedule(text: &str) -> Result<(), String> {
    let expected = "five cron fields in UTC (minute, hour, day, month, weekday), as in '0 */6 * * *', or off";
    let cron = text.parse::<croner::Cron>();
    let is_schedule = text == "off" || text.split_whitespace().count() == 5 && cron.is_ok();
    match cron {
        Err(why) if !is_schedule && !text.is_empty() => Err(format!("{expected} ({why})")),
        _ => must_be(is_schedule || text.is_empty(), expected),
    }
}

fn glob(text: &str) -> Result<(), String> {
    let expected = "a pattern of repository names, as in *-seed or team/*";
    match Glob::new(text) {
        Err(why) => Err(format!("{expected} ({})", why.kind())),
        Ok(_) => must_be(!text.is_empty(), expected),
    }
}

fn host(text: &str) -> Result<(), String> {
    let is_address = text.parse::<IpNet>().is_ok() || text.parse::<IpAddr>().is_ok();
    let is_name = !text.is_empty() && !text.contains(['/', ':', '@', ' ']) && Glob::new(text).is_ok();
    must_be(
        is_address || is_name,
        "a name such as minio.example.org or *.example.org, an address, or a network such as 10.1.0.0/16: without scheme, \
         port and path",
    )
}

fn engine(text: &str) -> Result<(), String> {
    let is_socket = text.strip_prefix("unix://").unwrap_or(text).starts_with('/');
    let is_host = url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "tcp" | "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty())
    });
    must_be(
        text.is_empty() || is_socket || is_host,
        "unix:///PATH/docker.sock or tcp://HOST:PORT, or empty for the usual sockets",
    )
}

fn network(text: &str) -> Result<(), String> {
    must_be(matches!(text, "none" | "bridge" | "host"), "none, bridge or host")
}

fn log_format(text: &str) -> Result<(), String> {
    must_be(matches!(text, "text" | "json"), "text or json")
}

/// A misspelled `info` would be taken for the name of a module, and nothing else would be logged.
fn log_filter(text: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let expected = "a level (off, error, warn, info, debug, trace) or directives such as info,silo::registry=debug";
    if let Err(why) = tracing_subscriber::EnvFilter::try_new(text) {
        return Err(format!("{expected} ({why})"));
    }
    let is_misspelled = |word: &str| {
        let word = word.trim().to_lowercase();
        let is_like = |level: &&str| word.starts_with(*level) || strsim::osa_distance(&word, level) <= 2;
        !LEVELS.contains(&word.as_str()) && !word.contains('=') && LEVELS.iter().any(is_like)
    };
    must_be(!text.split(',').any(is_misspelled), expected)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::layers::ConfigLayer;

    #[test]
    fn every_option_has_a_rule_and_a_default_that_keeps_it() {
        let options: BTreeSet<&str> = OPTIONS.keys().map(String::as_str).collect();
        let rules: BTreeSet<&str> = RULES.iter().map(|(option, _)| *option).collect();
        assert_eq!(options, rules, "an option has no rule in config/rules.rs, or a rule no option");
        assert_eq!(ConfigLayer::defaults().problems, Vec::<String>::new());
    }

    #[test]
    fn what_people_rightly_give_is_taken() {
        for (option, value) in [
            ("scan.schedule", "off"),
            ("scan.schedule", "*/10 2-4 * * MON-FRI"),
            ("database.url", "postgresql://u:p%40@[::1]:5432/db?sslmode=disable"),
            ("database.url", "postgres:///silo?host=/run/postgresql"),
            ("runs.engine", "/run/docker.sock"),
            ("runs.engine", "tcp://10.0.0.1:2375"),
            ("http.cors_origins", "https://ui.example:8443"),
            ("scan.private_hosts", "minio, 10.0.0.0/8, fd00::1, *.svc"),
            ("log.filter", "silo=trace"),
            ("log.filter", "warn,silo::registry=debug,sqlx=off"),
            ("listen", "[::]:0"),
            ("runs.default_cpus", "2"),
        ] {
            let rule = OPTIONS[option];
            assert_eq!(rule.check(&rule.parse(value)), Ok(()), "{option} = {value}");
        }
    }
}
