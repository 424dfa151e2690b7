//! Configuration, in layers: the defaults (`config/silo.toml`, compiled in), a file, the environment, flags.
//!
//! No other file reads the environment.

mod layers;
mod rules;
mod sections;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use layers::ConfigLayer;
use serde::{Deserialize, Serialize};

pub use sections::{
    AdminSettings, AuthSettings, DatabaseSettings, EventSettings, HookSettings, HttpSettings, LogFormat, LogSettings,
    RunNetwork, RunSettings, ScanSettings, SearchSettings,
};

const DEFAULTS: &str = include_str!("../config/silo.toml");

/// The place of values that are defaults begins with it.
const DEFAULTS_NAME: &str = "config/silo.toml";

/// Short names of variables that are older than the general rule, and the options they set. Later ones override earlier
/// ones.
const SHORT_NAMES: [(&str, &str); 8] = [
    ("SILO_DATA", "data"),
    ("SILO_LISTEN", "listen"),
    ("DATABASE_URL", "database.url"),
    ("SILO_LITE_PATH", "database.sqlite_path"),
    ("SILO_ADMIN", "admin.username"),
    ("SILO_ADMIN_PASSWORD", "admin.password"),
    ("RUST_LOG", "log.filter"),
    ("SILO_LOG", "log.filter"),
];

/// All options. The fields are those of `config/silo.toml`, which documents them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSettings {
    pub data: PathBuf,
    pub listen: SocketAddr,
    pub database: DatabaseSettings,
    pub admin: AdminSettings,
    pub auth: AuthSettings,
    pub http: HttpSettings,
    pub scan: ScanSettings,
    pub hooks: HookSettings,
    pub events: EventSettings,
    pub runs: RunSettings,
    pub search: SearchSettings,
    pub log: LogSettings,
    #[serde(skip)]
    pub engine_variables: EngineVariables,
    /// Where each option's value is from, by option: `FILE:LINE`, or the name of a variable or flag.
    #[serde(skip)]
    places: BTreeMap<String, String>,
}

/// An option with its value, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredOption {
    /// Such as `scan.workers`.
    pub option: String,
    /// As TOML; a secret that is set is masked.
    pub value: String,
    /// The file and line, variable or flag that set it; `None` for the default.
    pub source: Option<String>,
}

/// What the variables of Docker and Podman say of the container engine, as they are.
#[derive(Clone, Debug, Default)]
pub struct EngineVariables {
    pub docker_host: Option<String>,
    pub docker_context: Option<String>,
    pub docker_tls_verify: Option<String>,
    pub docker_cert_path: Option<PathBuf>,
    pub container_host: Option<String>,
    /// Docker's folder: `DOCKER_CONFIG`, or `.docker` in the user's home.
    pub docker_folder: Option<PathBuf>,
}

impl EngineVariables {
    fn of(environment: &HashMap<String, String>) -> Self {
        let given = |name: &str| environment.get(name).filter(|text| !text.is_empty()).cloned();
        let own = || given("HOME").map(|home| Path::new(&home).join(".docker"));
        Self {
            docker_host: given("DOCKER_HOST"),
            docker_context: given("DOCKER_CONTEXT"),
            docker_tls_verify: given("DOCKER_TLS_VERIFY"),
            docker_cert_path: given("DOCKER_CERT_PATH").map(PathBuf::from),
            container_host: given("CONTAINER_HOST"),
            docker_folder: given("DOCKER_CONFIG").map(PathBuf::from).or_else(own),
        }
    }
}

/// Options set on the command line.
#[derive(Clone, Debug, Default)]
pub struct ConfigFlags {
    pub config: Option<PathBuf>,
    pub data: Option<PathBuf>,
    pub listen: Option<String>,
}

/// Invalid configuration; the text names the option, the reason and the place.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used:\n{0}\nEvery option, its default and its meaning: `silo config --defaults`.")]
pub struct Error(String);

/// The home folder of the user.
#[expect(clippy::disallowed_methods, reason = "the environment is read in this room")]
pub fn home_folder() -> Option<PathBuf> {
    std::env::home_dir()
}

/// The folder of a user's own files for the command line: `$XDG_CONFIG_HOME/silo`, or `~/.config/silo`.
#[expect(clippy::disallowed_methods, reason = "the environment is read in this room")]
pub fn user_folder() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = given.or_else(|| Some(home_folder().filter(|home| home.is_absolute())?.join(".config")))?;
    Some(folder.join("silo"))
}

impl ServiceSettings {
    /// Reads all layers, including the environment of this process.
    ///
    /// # Errors
    /// An unreadable file, an unknown option, a value of the wrong type or out of range.
    #[expect(clippy::disallowed_methods, reason = "the environment is read in this room")]
    pub fn load(flags: &ConfigFlags) -> Result<Self, Error> {
        Self::from_layers(flags, &std::env::vars().collect())
    }

    /// As [`ServiceSettings::load`], with the environment given.
    ///
    /// # Errors
    /// As [`ServiceSettings::load`].
    pub fn from_layers(flags: &ConfigFlags, environment: &HashMap<String, String>) -> Result<Self, Error> {
        let file = flags.config.clone().or_else(|| environment.get("SILO_CONFIG").map(PathBuf::from));
        let mut flagged = ConfigLayer::default();
        let data = flags.data.as_ref().map(|path| path.to_string_lossy().into_owned());
        for (option, flag, value) in [("data", "--data", data), ("listen", "--listen", flags.listen.clone())] {
            if let Some(value) = value {
                flagged.give(option, value.into(), flag.to_owned());
            }
        }
        let layers = [
            ConfigLayer::defaults(),
            file.map(|path| ConfigLayer::of_file(&path)).unwrap_or_default(),
            ConfigLayer::of_environment(environment),
            ConfigLayer::of_short_names(environment),
            flagged,
        ];
        let (merged, places) = layers::merge(layers.into()).map_err(Error)?;
        let mut settings: Self = merged.try_into().map_err(|why: toml::de::Error| Error(why.message().to_owned()))?;
        settings.database.read_password().map_err(Error)?;
        settings.runs.check_roots().map_err(Error)?;
        settings.engine_variables = EngineVariables::of(environment);
        settings.places = places;
        Ok(settings)
    }

    /// The compiled-in file with all options.
    pub fn defaults() -> &'static str {
        DEFAULTS
    }

    /// The merged configuration as TOML, with secrets masked.
    pub fn show(&self) -> String {
        toml::to_string_pretty(self).expect("settings are plain tables, texts and numbers")
    }

    /// Every option with its value and where that is from, secrets masked; options without a section first.
    pub fn options(&self) -> Vec<ConfiguredOption> {
        let table = toml::Table::try_from(self).expect("settings are plain tables, texts and numbers");
        let (sections, plain): (Vec<_>, Vec<_>) = table.into_iter().partition(|(_, value)| value.is_table());
        let inner = sections.into_iter().flat_map(|(section, keys)| {
            let keys = match keys {
                toml::Value::Table(keys) => keys,
                _ => toml::Table::new(),
            };
            keys.into_iter().map(move |(key, value)| (format!("{section}.{key}"), value))
        });
        let source = |option: &str| {
            let place = self.places.get(option)?;
            let is_default = place.strip_prefix(DEFAULTS_NAME).is_some_and(|rest| rest.starts_with(':'));
            (!is_default).then(|| place.clone())
        };
        plain
            .into_iter()
            .chain(inner)
            .map(|(option, value)| ConfiguredOption { source: source(&option), value: value.to_string(), option })
            .collect()
    }

    /// Path of the SQLite file.
    pub fn sqlite_path(&self) -> PathBuf {
        if self.database.sqlite_path.as_os_str().is_empty() {
            self.data.join("silo.db")
        } else {
            self.database.sqlite_path.clone()
        }
    }

    /// Path of a file or folder in the data directory.
    pub fn in_data(&self, name: impl AsRef<Path>) -> PathBuf {
        self.data.join(name)
    }

    /// Folder of the runs; absolute, because container engines require it.
    pub fn runs_folder(&self) -> PathBuf {
        let folder = &self.runs.folder;
        let folder = if folder.as_os_str().is_empty() { self.in_data("runs") } else { folder.clone() };
        std::path::absolute(&folder).unwrap_or(folder)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn load(environment: &[(&str, &str)]) -> Result<ServiceSettings, Error> {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        ServiceSettings::from_layers(&ConfigFlags::default(), &environment)
    }

    #[test]
    fn the_default_file_holds_every_option() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.listen.port(), 9000);
        assert_eq!(settings.sqlite_path(), Path::new("silo-data/silo.db"));
        assert_eq!((settings.runs.network, settings.runs.default_memory_mib), (RunNetwork::None, 2048));
    }

    #[test]
    fn the_environment_overrides_by_short_and_by_general_names() {
        let settings = load(&[
            ("SILO_DATA", "/tmp/x"),
            ("DATABASE_URL", "postgis://u:geheim@h/db?sslmode=disable"),
            ("SILO__SCAN__CONCURRENCY", "3"),
            ("SILO__SCAN__INCLUDE", "*,other/*"),
            ("SILO_ADMIN_PASSWORD", "12345678"),
        ])
        .unwrap();
        assert_eq!(settings.data, Path::new("/tmp/x"));
        assert_eq!(settings.scan.concurrency, 3);
        assert_eq!(settings.scan.include, ["*", "other/*"]);
        assert_eq!(settings.admin.password.expose_secret(), "12345678", "a password of digits stays a text");
        let shown = settings.show();
        assert!(!shown.contains("geheim") && !shown.contains("12345678"), "{shown}");
    }

    #[test]
    fn a_file_overrides_the_defaults_and_flags_override_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("silo.toml");
        std::fs::write(&path, "data = 'from-file'\n[scan]\nworkers = 7\n").unwrap();
        let flags = ConfigFlags { config: Some(path), data: None, listen: Some("127.0.0.1:1".into()) };
        let settings = ServiceSettings::from_layers(&flags, &HashMap::new()).unwrap();
        assert_eq!(
            (settings.data.to_str().unwrap(), settings.scan.workers, settings.listen.port()),
            ("from-file", 7, 1)
        );
    }

    #[test]
    fn the_password_of_a_file_gets_into_the_address_of_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "a/b@c d\n").unwrap();
        let with = |url| load(&[("DATABASE_URL", url), ("SILO__DATABASE__PASSWORD_FILE", file.to_str().unwrap())]);
        let settings = with("postgis://silo@db:5432/silo").unwrap();
        assert_eq!(settings.database.url.expose_secret(), "postgis://silo:a%2Fb%40c%20d@db:5432/silo");
        let error = with("").map(drop).unwrap_err().to_string();
        assert!(error.contains("database.password_file") && error.contains("DATABASE_URL"), "{error}");
        std::fs::remove_file(&file).unwrap();
        let error = with("postgres://silo@db/silo").map(drop).unwrap_err().to_string();
        assert!(error.contains("database.password_file") && error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn each_option_tells_where_its_value_is_from_and_no_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("silo.toml");
        std::fs::write(&file, "[scan]\nworkers = 3\n\n[http]\nstreams = 7\n").expect("the file is written");
        let environment = [("SILO_ADMIN_PASSWORD", "tell-nobody"), ("SILO__SCAN__WORKERS", "5")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let listen = Some("127.0.0.1:1".to_owned());
        let flags = ConfigFlags { config: Some(file.clone()), listen, ..ConfigFlags::default() };
        let options = ServiceSettings::from_layers(&flags, &environment).expect("usable settings").options();
        let told = |option: &str| {
            let found = options.iter().find(|one| one.option == option).expect("every option is told");
            (found.value.as_str(), found.source.clone())
        };
        let text = |source: &str| Some(source.to_owned());
        assert_eq!(told("scan.workers"), ("5", text("SILO__SCAN__WORKERS")));
        assert_eq!(told("http.streams"), ("7", Some(format!("{}:5", file.display()))));
        assert_eq!(told("listen"), ("\"127.0.0.1:1\"", text("--listen")));
        assert_eq!(told("admin.password"), ("\"********\"", text("SILO_ADMIN_PASSWORD")));
        assert_eq!(told("auth.seal_key"), ("\"\"", None));
        assert_eq!(options.len(), rules::OPTIONS.len());
        assert!(!format!("{options:?}").contains("tell-nobody"));
    }

    #[test]
    fn lists_are_written_with_commas_or_in_brackets() {
        let roots = |text: &str| load(&[("SILO__SCAN__INCLUDE", text)]).map(|settings| settings.scan.include);
        for (text, list) in [
            ("a, b", &["a", "b"][..]),
            ("", &[]),
            (r#"["a"]"#, &["a"]),
            (r#" ["a", 'b,c'] "#, &["a", "b,c"]),
            ("[]", &[]),
            ("[::1]:9000,b", &["[::1]:9000", "b"]),
        ] {
            assert_eq!(roots(text).unwrap(), list, "{text}");
        }
        for text in [r#"["a""#, "[a]", r#"["a"] b"#, "[1]", r#"["a"]\nx = 1"#] {
            let error = roots(text).unwrap_err().to_string();
            assert!(error.contains("SILO__SCAN__INCLUDE: scan.include "), "{text}: {error}");
        }
        assert!(roots("[a]").unwrap_err().to_string().contains(r#"a list of texts, as in ["a", "b"]"#));
    }

    #[test]
    fn variables_with_too_few_underscores_are_told() {
        for (name, meant) in [
            ("SILO_SCAN_WORKERS", "SILO__SCAN__WORKERS"),
            ("SILO_SCAN__REQUEST_TIMEOUT_SECONDS", "SILO__SCAN__REQUEST_TIMEOUT_SECONDS"),
            ("SILO_DATABASE_URL", "SILO__DATABASE__URL"),
            ("SILO_ADMIN_USERNAME", "SILO__ADMIN__USERNAME"),
        ] {
            let error = load(&[(name, "1")]).map(drop).unwrap_err().to_string();
            let expected = format!("{name}: this variable is not used; write {meant}, with two underscores");
            assert!(error.contains(&expected), "{error}");
        }
        let error = load(&[("SILO__SCAN_WORKERS", "1")]).map(drop).unwrap_err().to_string();
        assert!(error.contains("did you mean SILO__SCAN__WORKERS?"), "{error}");
        // What others read, or set for their own ends.
        let others = [("SILO_URL", "x"), ("SILO_TOKEN", "x"), ("SILO_PORT", "tcp://10.0.0.1:9000"), ("SILO_CA", "x")];
        load(&others).map(drop).unwrap();
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (key, value, expected) in [
            ("SILO__SCAN__WORKERS", "0", "scan.workers"),
            ("SILO__SCAN__NONSENSE", "1", "nonsense"),
            ("SILO__SCAN__PULL_RESERVE", "101", "scan.pull_reserve"),
            ("SILO__AUTH__SEAL_KEY", "abcd", "auth.seal_key"),
            ("DATABASE_URL", "mysql://x", "DATABASE_URL"),
            ("SILO_LISTEN", "9000", "listen"),
            ("SILO__RUNS__MOUNT_ROOTS", "/srv/a/b,/srv/a", "runs.mount_roots has /srv/a/b"),
        ] {
            let error = load(&[(key, value)]).unwrap_err().to_string();
            assert!(error.to_lowercase().contains(&expected.to_lowercase()), "{key}: {error}");
        }
    }

    /// A file with the option on line 3.
    fn in_file(option: &str, value: &str) -> Result<ServiceSettings, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("silo.toml");
        let text = match option.split_once('.') {
            Some((section, key)) => format!("# of ours\n[{section}]\n{key} = {value}\n"),
            None => format!("# of ours\n\n{option} = {value}\n"),
        };
        std::fs::write(&path, text).unwrap();
        ServiceSettings::from_layers(&ConfigFlags { config: Some(path), ..ConfigFlags::default() }, &HashMap::new())
    }

    /// Values, as TOML, that are invalid for the option or for the type of its default.
    fn wrong_values(option: &str, default: &toml::Value) -> Vec<&'static str> {
        let of_type: &[&str] = match default {
            toml::Value::Integer(_) => {
                &["-1", "1000000000000000000", "1.5", "true", "'many'", "''", "[1]", "{ a = 1 }"]
            }
            toml::Value::Float(_) => &["-0.5", "nan", "inf", "1e9", "'many'", "true", "[1.0]"],
            toml::Value::Boolean(_) => &["1", "'yes'", "[true]", "''"],
            toml::Value::Array(_) => &["1", "'a'", "[1]", "[['a']]", "{ a = 1 }", "[\"a\\u0000\"]"],
            _ => &["1", "true", "1979-05-27", "['a']", "{ a = 1 }", "\"a\\u0000\"", "\"a\\nb\""],
        };
        let own: &[&str] = match option {
            "data" => &["''", "' '"],
            "listen" => &["'9000'", "'localhost'", "'127.0.0.1:70000'", "':9000'", "'http://127.0.0.1:9000'"],
            "database.url" => &["'mysql://h/db'", "'h:5432/db'", "'postgres://h:port/db'", "'postgres:db'"],
            "admin.username" => &["''", "' admin'"],
            "auth.token_key" | "auth.seal_key" => &["'abcd'", "'not hexadecimal'"],
            "http.public_url" => {
                &["'silo.example'", "'ftp://silo.example'", "'https://silo.example/?a=b'", "'https://'"]
            }
            "http.cors_origins" => &["['ui.example']", "['https://ui.example/']", "['https://ui.example:443']", "['']"],
            "scan.schedule" => &["'never'", "'* * *'", "'61 * * * *'", "'0 0 0 1 1 1'", "'0 25 * * *'", "'@daily'"],
            "scan.include" | "scan.exclude" => &["['[a']", "['{a']", "['']"],
            "scan.layout_roots" | "runs.input_roots" | "runs.mount_roots" => &["['']"],
            "scan.private_hosts" | "runs.private_hosts" => {
                &["['http://minio']", "['minio:9000']", "['10.0.0.0/33']", "['']"]
            }
            "runs.engine" => &["'ssh://host'", "'docker.sock'", "'unix://'", "'tcp://'", "'tcp://h:port'"],
            "runs.network" => &["'bridged'", "''", "'None'"],
            "log.format" => &["'xml'", "''"],
            "log.filter" => &["'info,silo=loud'", "'inof'", "'warning'"],
            "scan.lease_seconds" => &["4"],
            "scan.workers" | "scan.concurrency" | "scan.tries" | "runs.tries" | "auth.token_hours" => &["0"],
            "scan.pull_reserve" | "scan.hold_percent" => &["101"],
            _ => &[],
        };
        [of_type, own].concat()
    }

    #[test]
    fn a_wrong_value_of_any_option_is_refused_with_its_place() {
        let defaults: toml::Table = DEFAULTS.parse().unwrap();
        let options = rules::OPTIONS.keys().map(|option| match option.split_once('.') {
            Some((section, key)) => (option, &defaults[section][key]),
            None => (option, &defaults[option]),
        });
        for (option, default) in options {
            for wrong in wrong_values(option, default) {
                let refused = in_file(option, wrong).map(drop);
                let error = refused.expect_err(&format!("{option} = {wrong} is taken")).to_string();
                assert!(error.contains(&format!("silo.toml:3: {option} ")), "{option} = {wrong}: {error}");
                assert!(error.contains("must be") || error.contains("its entries must"), "{option} = {wrong}: {error}");
                let text = wrong.trim_matches(['[', ']']).trim_matches('\'');
                if wrong.starts_with('\'') && !default.is_array() && !(text.is_empty() && default.is_str()) {
                    let variable = format!("SILO__{}", option.replace('.', "__").to_uppercase());
                    let refused = load(&[(&variable, text)]).map(drop);
                    let error = refused.expect_err(&format!("{variable}={text} is taken")).to_string();
                    assert!(error.contains(&format!("{variable}: {option} ")), "{variable}={text}: {error}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_option_is_refused_with_its_place_and_the_one_that_was_meant() {
        for (option, meant) in [
            ("scan.worker", "scan.workers"),
            ("scans.workers", "scan.workers"),
            ("runs.schedule", "scan.schedule"),
            ("schedule", "scan.schedule"),
            ("scan.Schedule", "scan.schedule"),
            ("lsten", "listen"),
        ] {
            let error = in_file(option, "1").map(drop).unwrap_err().to_string();
            let expected = format!("silo.toml:3: {option}: there is no such option; did you mean {meant}?");
            assert!(error.contains(&expected), "{error}");
        }
        let error = in_file("scan.nonsense", "1").map(drop).unwrap_err().to_string();
        assert!(error.contains("silo.toml:3: scan.nonsense: there is no such option\n"), "{error}");
        let error = in_file("nonsense", "{}").map(drop).unwrap_err().to_string();
        assert!(error.contains("silo.toml:3: nonsense: there is no such option\n"), "{error}");
        let error = load(&[("SILO__SCAN__SHEDULE", "off")]).map(drop).unwrap_err().to_string();
        let expected = "SILO__SCAN__SHEDULE: there is no such option; did you mean SILO__SCAN__SCHEDULE?";
        assert!(error.contains(expected), "{error}");
        let error = in_file("scan", "1").map(drop).unwrap_err().to_string();
        assert!(error.contains("silo.toml:3: scan is a section"), "{error}");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_and_no_secret_with_it() {
        let wrong =
            [("SILO__DATABASE__URL", "mysql://u:geheim@h"), ("SILO__AUTH__SEAL_KEY", "geheim"), ("SILO_LISTEN", "x")];
        let error = load(&wrong).map(drop).unwrap_err().to_string();
        assert!(
            ["database.url", "auth.seal_key", "SILO_LISTEN: listen is 'x'"].iter().all(|word| error.contains(word)),
            "{error}"
        );
        assert!(!error.contains("geheim"), "{error}");
        let error = in_file("admin.password", "'geheim").map(drop).unwrap_err().to_string();
        assert!(error.contains("silo.toml:3: this is not valid TOML") && !error.contains("geheim"), "{error}");
        let error = in_file("admin.password", "1234567890").map(drop).unwrap_err().to_string();
        assert!(
            error.contains("silo.toml:3: admin.password must be a text") && !error.contains("1234567890"),
            "{error}"
        );
    }
}
