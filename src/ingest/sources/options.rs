//! The options of WITH: which there are, what they take, and what they are where nobody says.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::catalog::definition::{ConnectorKind, Secret, SourceDef, SourceEncoding, SourceFormat};
use crate::config::Kind;
use crate::dialect::{Choice, Options};
#[cfg(any(feature = "kafka", feature = "nats"))]
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::CsvLayout;

/// What a dead letter keeps of a record that is too large.
const OVERSIZE_KEPT_BYTES: usize = 1024;

/// What names of variables begin with that hold secrets of sources.
#[cfg(any(feature = "kafka", feature = "nats"))]
const SECRET_PREFIX: &str = "HEADWATER_SECRET_";

/// An option of a connector, or of all.
struct Known {
    name: &'static str,
    kind: Kind,
    /// What it is where nobody says; empty for none.
    default: &'static str,
    use_of: Use,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Required,
    Optional,
    /// Stored, and never shown.
    Secret,
}

const fn known(name: &'static str, kind: Kind, default: &'static str) -> Known {
    Known { name, kind, default, use_of: Use::Optional }
}

const fn required(name: &'static str, kind: Kind) -> Known {
    Known { name, kind, default: "", use_of: Use::Required }
}

const fn secret(name: &'static str) -> Known {
    Known { name, kind: Kind::Text, default: "", use_of: Use::Secret }
}

/// What every connector takes.
const SHARED: [Known; 7] = [
    // A batch is what one change of the log adds; it is as large as what waits, up to these.
    known("batch_rows", Kind::Integer { min: 1, max: 10_000_000 }, "100000"),
    known("batch_bytes", Kind::Bytes, "8MiB"),
    // A record that is larger is refused without being looked at.
    known("record_bytes_max", Kind::Bytes, "64MiB"),
    // The source pauses itself when more than this share of so many records is refused.
    known("poison_limit", Kind::Real, "0.5"),
    known("poison_window", Kind::Integer { min: 1, max: 1_000_000_000 }, "1000"),
    // The longest pause between two attempts.
    known("retry_pause_max", Kind::Milliseconds, "30s"),
    // So many failures one after the other open the breaker: from then on it tries only every `retry_pause_max`.
    known("breaker_failures", Kind::Integer { min: 1, max: 1000 }, "10"),
];

const FILES: [Known; 6] = [
    // A folder, or a prefix in a bucket.
    required("path", Kind::Location),
    // Only files whose path below it matches; `*` is any text without a slash, `**` any text.
    known("pattern", Kind::Text, "**"),
    known("poll_interval", Kind::Milliseconds, "5s"),
    // A file is left alone until it has not been written to for so long.
    known("settle_time", Kind::Milliseconds, "1s"),
    // Of CSV.
    known("header", Kind::Bool, "on"),
    known("delimiter", Kind::Text, ","),
];

const KAFKA: [Known; 14] = [
    // `host:port`, several with commas.
    required("brokers", Kind::Text),
    required("topic", Kind::Text),
    // Where a partition begins that was never read.
    known("start", Kind::Choice(&["earliest", "latest"]), "earliest"),
    // How long a batch waits for more records.
    known("batch_interval", Kind::Milliseconds, "20ms"),
    // How often new partitions are looked for.
    known("partitions_interval", Kind::Milliseconds, "10s"),
    known("security", Kind::Choice(&["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]), "plaintext"),
    known("sasl_mechanism", Kind::Choice(&["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]), ""),
    known("username", Kind::Text, ""),
    secret("password"),
    // Certificates and keys as text.
    known("ca_pem", Kind::Text, ""),
    known("certificate_pem", Kind::Text, ""),
    secret("key_pem"),
    // Of CSV.
    known("header", Kind::Bool, "off"),
    known("delimiter", Kind::Text, ","),
];

const NATS: [Known; 14] = [
    // `nats://host:port` or `tls://host:port`, several with commas.
    required("servers", Kind::Text),
    required("stream", Kind::Text),
    // Only messages whose subject matches; `*` is any one part of it, `>` all that follow.
    known("subject", Kind::Text, ""),
    // Where the stream begins that was never read: `earliest`, `latest`, a sequence or a time.
    known("start", Kind::Text, "earliest"),
    // How long a batch waits for more messages.
    known("batch_interval", Kind::Milliseconds, "20ms"),
    // The header with the key of a message without a body; without it the key is in the subject.
    known("key_header", Kind::Text, ""),
    known("username", Kind::Text, ""),
    secret("password"),
    secret("token"),
    // Certificates and keys as text.
    known("ca_pem", Kind::Text, ""),
    known("certificate_pem", Kind::Text, ""),
    secret("key_pem"),
    // Of CSV.
    known("header", Kind::Bool, "off"),
    known("delimiter", Kind::Text, ","),
];

/// The options of a source as they are stored.
pub struct Checked {
    pub connector: ConnectorKind,
    pub options: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, Secret>,
}

impl Checked {
    /// True where an option was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.contains_key(name) || self.secrets.contains_key(name)
    }
}

/// Checks the options of CREATE SOURCE.
pub fn check(format: SourceFormat, encoding: SourceEncoding, given: &Options) -> Result<Checked> {
    let connector = connector(given)?;
    let known: Vec<&Known> = known_to(connector).collect();
    let mut names: Vec<&str> = known.iter().map(|known| known.name).collect();
    names.insert(0, "connector");
    given.require_known(connector.name(), &names)?;
    let mut checked = Checked { connector, options: BTreeMap::new(), secrets: BTreeMap::new() };
    for known in known {
        let Some(choice) = given.get(known.name) else {
            if known.use_of == Use::Required {
                let message = format!("connector \"{}\" needs the option \"{}\"", connector.name(), known.name);
                return Err(Error::new(ErrorKind::InvalidParameterValue, message));
            }
            continue;
        };
        let value = value(known, choice)?;
        match known.use_of {
            Use::Secret => drop(checked.secrets.insert(known.name.to_owned(), Secret(value))),
            _ => drop(checked.options.insert(known.name.to_owned(), value)),
        }
    }
    refuse_odd(connector, format, encoding)?;
    match connector {
        ConnectorKind::Files => {}
        ConnectorKind::Kafka => refuse_unused(&checked)?,
        #[cfg(feature = "nats")]
        ConnectorKind::Nats => crate::ingest::sources::nats::check(format, &checked)?,
        #[cfg(not(feature = "nats"))]
        ConnectorKind::Nats => {}
    }
    Ok(checked)
}

fn connector(given: &Options) -> Result<ConnectorKind> {
    let names: Vec<&str> = ConnectorKind::ALL.map(ConnectorKind::name).to_vec();
    let Some(choice) = given.get("connector") else {
        return Err(Error::new(ErrorKind::InvalidParameterValue, "a source needs the option \"connector\"")
            .hint(format!("It takes {}.", names.join(", "))));
    };
    let name = choice.word(&names)?;
    let connector = ConnectorKind::ALL.into_iter().find(|kind| kind.name() == name);
    match connector {
        Some(kind) if is_built(kind) => Ok(kind),
        _ => Err(Error::unsupported(format!("connector \"{name}\" is not in this build of the server"))
            .hint("Build it with `--features full`.")
            .at(choice.position)),
    }
}

/// What takes long to build is in some builds only.
fn is_built(connector: ConnectorKind) -> bool {
    match connector {
        ConnectorKind::Files => true,
        ConnectorKind::Kafka => cfg!(feature = "kafka"),
        ConnectorKind::Nats => cfg!(feature = "nats"),
    }
}

fn known_to(connector: ConnectorKind) -> impl Iterator<Item = &'static Known> {
    let own: &'static [Known] = match connector {
        ConnectorKind::Files => &FILES,
        ConnectorKind::Kafka => &KAFKA,
        ConnectorKind::Nats => &NATS,
    };
    own.iter().chain(&SHARED)
}

/// The value in its one spelling. That of a secret is in no error.
fn value(known: &Known, choice: &Choice) -> Result<String> {
    let text = match choice.text() {
        Err(_) => {
            return Err(Error::new(ErrorKind::SyntaxError, format!("option \"{}\" needs a value", known.name))
                .at(choice.position));
        }
        Ok(text) if known.use_of == Use::Secret => return Ok(text.to_owned()),
        Ok(text) => known.kind.canonical(known.name, text.trim()).map_err(|error| error.at(choice.position))?,
    };
    let is_fraction = |text: &str| text.parse::<f64>().is_ok_and(|share| share > 0.0 && share <= 1.0);
    match known.name {
        "poison_limit" if !is_fraction(&text) => Err(choice.invalid("it takes a share above 0 and up to 1")),
        "path" | "batch_bytes" | "record_bytes_max" if matches!(text.as_str(), "" | "0") => {
            Err(choice.invalid("it must not be empty or 0"))
        }
        _ => Ok(text),
    }
}

/// An option that would do nothing is an error.
fn refuse_unused(checked: &Checked) -> Result<()> {
    let security = checked.options.get("security").map_or("plaintext", String::as_str);
    let given = |name: &&str| checked.has(name);
    let login = ["sasl_mechanism", "username", "password"];
    let certificates = ["ca_pem", "certificate_pem", "key_pem"];
    let unused = |names: [&'static str; 3], word: &str| match security.contains(word) {
        true => None,
        false => names.into_iter().find(given),
    };
    match (unused(login, "sasl"), unused(certificates, "ssl")) {
        (None, None) if security.contains("sasl") && !login.iter().all(given) => Err(Error::new(
            ErrorKind::InvalidParameterValue,
            format!("security \"{security}\" needs sasl_mechanism, username and password"),
        )),
        (None, None) => Ok(()),
        (Some(name), _) | (None, Some(name)) => {
            let message = format!("option \"{name}\" means nothing with security \"{security}\"");
            Err(Error::new(ErrorKind::InvalidParameterValue, message)
                .hint("Set security to ssl, sasl_plaintext or sasl_ssl."))
        }
    }
}

/// What does not go together is said at once.
fn refuse_odd(connector: ConnectorKind, format: SourceFormat, encoding: SourceEncoding) -> Result<()> {
    match (connector, format, encoding) {
        (_, SourceFormat::Debezium, SourceEncoding::Csv | SourceEncoding::Parquet) => {
            Err(Error::unsupported("FORMAT DEBEZIUM is for ENCODE JSON only").hint("Leave ENCODE out."))
        }
        (ConnectorKind::Nats | ConnectorKind::Kafka, _, SourceEncoding::Parquet) => {
            Err(Error::unsupported("ENCODE PARQUET is for files only").hint("Use ENCODE JSON or CSV."))
        }
        _ => Ok(()),
    }
}

/// How large a batch and a record may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub bytes: usize,
    pub rows: u64,
    pub record_bytes: usize,
}

impl Limits {
    /// What a dead letter keeps of a record that is too large.
    pub fn oversize_kept_bytes(self) -> usize {
        OVERSIZE_KEPT_BYTES.min(self.record_bytes)
    }

    /// Why it is one.
    pub fn oversize_reason(self) -> String {
        format!("54000: the record has more than record_bytes_max, {} bytes", self.record_bytes)
    }
}

/// The options of a source that runs.
pub(super) struct Chosen<'a>(pub &'a SourceDef);

impl Chosen<'_> {
    /// The value of an option; empty for one that is not given and has no default.
    pub fn text(&self, name: &str) -> &str {
        let default = || known_to(self.0.connector).find(|known| known.name == name).map_or("", |known| known.default);
        self.0.options.get(name).map_or_else(default, String::as_str)
    }

    pub fn number(&self, name: &str) -> u64 {
        let text = self.text(name);
        // Stored options are canonical, but defaults are written for people.
        let canonical = known_to(self.0.connector)
            .find(|known| known.name == name)
            .and_then(|known| known.kind.canonical(name, text).ok());
        canonical.unwrap_or_default().parse().unwrap_or_default()
    }

    pub fn limits(&self) -> Limits {
        let bytes = |name: &str| usize::try_from(self.number(name)).unwrap_or(usize::MAX);
        let (batch, record) = (bytes("batch_bytes"), bytes("record_bytes_max"));
        Limits { bytes: batch, rows: self.number("batch_rows"), record_bytes: record }
    }

    pub fn csv_layout(&self) -> CsvLayout {
        let delimiter = self.text("delimiter").bytes().next().unwrap_or(b',');
        CsvLayout { delimiter, has_header: self.text("header") == "on" }
    }

    pub fn share(&self, name: &str) -> f64 {
        self.text(name).parse().unwrap_or(1.0)
    }

    pub fn duration(&self, name: &str) -> Duration {
        Duration::from_millis(self.number(name))
    }

    /// A secret: as it was given, or from where it says it is (`env:NAME`, `file:PATH`).
    #[cfg(any(feature = "kafka", feature = "nats"))]
    pub fn secret(&self, name: &str, engine: &Engine) -> Result<Option<String>> {
        let Some(Secret(given)) = self.0.secrets.get(name) else { return Ok(None) };
        let found = match given.split_once(':') {
            Some(("env", variable)) => of_environment(variable),
            Some(("file", path)) => of_file(engine, path),
            _ => return Ok(Some(given.clone())),
        };
        found.map(Some).map_err(|error| error.within(format!("option \"{name}\"")))
    }

    /// All options as a user wrote them, secrets masked.
    pub fn shown(&self) -> String {
        let plain = self.0.options.iter().map(|(name, value)| (name.clone(), value.clone()));
        let secret = self.0.secrets.keys().map(|name| (name.clone(), "***".to_owned()));
        let all: serde_json::Map<_, _> = plain.chain(secret).map(|(name, value)| (name, value.into())).collect();
        serde_json::Value::from(all).to_string()
    }
}

/// Who may make sources is not to learn everything that the server was started with.
#[cfg(any(feature = "kafka", feature = "nats"))]
fn of_environment(variable: &str) -> Result<String> {
    let wrong = |why: String| Error::new(ErrorKind::InvalidParameterValue, why);
    if !variable.starts_with(SECRET_PREFIX) {
        return Err(wrong(format!("a variable of the environment must begin with {SECRET_PREFIX}")));
    }
    std::env::var(variable).map_err(|_| wrong(format!("the environment has no variable {variable}")))
}

/// The text of a file in one of the server's file locations.
#[cfg(any(feature = "kafka", feature = "nats"))]
fn of_file(engine: &Engine, path: &str) -> Result<String> {
    let file = engine.allowed_location(path)?.to_file_path();
    let file =
        file.map_err(|()| Error::new(ErrorKind::InvalidParameterValue, "a secret is in a file of the server"))?;
    Ok(std::fs::read_to_string(file)?.trim_end().to_owned())
}
