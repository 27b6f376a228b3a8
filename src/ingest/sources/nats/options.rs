//! What the options of a NATS source mean, and what does not go together.

use chrono::{DateTime, Utc};
use url::Url;

use crate::catalog::definition::SourceFormat;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::sources::options::Checked;

/// Where a source begins that has read nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    Earliest,
    Latest,
    /// This sequence.
    Sequence(u64),
    /// What came then or later.
    Moment(DateTime<Utc>),
}

impl Start {
    pub fn read(text: &str) -> Result<Self> {
        match text {
            "earliest" => return Ok(Self::Earliest),
            "latest" => return Ok(Self::Latest),
            _ => {}
        }
        if let Ok(sequence) = text.parse() {
            return Ok(Self::Sequence(sequence));
        }
        let moment = DateTime::parse_from_rfc3339(text).map(|moment| Self::Moment(moment.to_utc()));
        moment.map_err(|_| {
            invalid(format!("invalid value for option \"start\": \"{text}\""))
                .hint("It takes earliest, latest, a sequence, or a time such as 2026-01-31T12:00:00Z.")
        })
    }
}

/// The addresses of the servers.
pub(super) fn addresses(servers: &str) -> Result<Vec<async_nats::ServerAddr>> {
    servers.split(',').map(|server| address(server.trim())).collect()
}

fn address(server: &str) -> Result<async_nats::ServerAddr> {
    let text = if server.contains("://") { server.to_owned() } else { format!("nats://{server}") };
    let wrong = || {
        invalid("option \"servers\" takes addresses such as nats://host:4222 or tls://host:4222, several with commas")
    };
    let url = Url::parse(&text).map_err(|_| wrong())?;
    if !url.username().is_empty() || url.password().is_some() {
        // The option is shown.
        return Err(invalid("option \"servers\" takes no login").hint("Give username and password, or token."));
    }
    if !["nats", "tls"].contains(&url.scheme()) || url.host().is_none() {
        return Err(wrong());
    }
    async_nats::ServerAddr::from_url(url).map_err(|_| wrong())
}

/// Where in a subject the part begins that the filter leaves open; all of it where that is no part.
pub(super) fn key_at(filter: &str) -> usize {
    let is_open = |part: &&str| ["*", ">"].contains(part);
    let fixed = filter.split('.').take_while(|part| !is_open(part)).map(|part| part.len() + 1).sum();
    if filter.split('.').any(|part| is_open(&part)) { fixed } else { 0 }
}

/// What does not fit is said when the source is made, and an option that would do nothing is an error.
pub(in crate::ingest::sources) fn check(format: SourceFormat, checked: &Checked) -> Result<()> {
    let text = |name: &str| checked.options.get(name).map_or("", String::as_str);
    addresses(text("servers"))?;
    if let Some(start) = checked.options.get("start") {
        Start::read(start)?;
    }
    for (one, other) in [("username", "password"), ("certificate_pem", "key_pem")] {
        if checked.has(one) != checked.has(other) {
            return Err(invalid(format!("options \"{one}\" and \"{other}\" need each other")));
        }
    }
    if checked.has("token") && checked.has("username") {
        return Err(invalid("a login is by token or by username and password, not by both"));
    }
    let is_odd = |character: char| character.is_whitespace() || character.is_control();
    if text("subject").contains(is_odd) || text("subject").split('.').any(str::is_empty) && checked.has("subject") {
        return Err(invalid("option \"subject\" takes parts with dots between; * is any one part, > all that follow"));
    }
    let header = text("key_header");
    if checked.has("key_header") && format != SourceFormat::Upsert {
        return Err(invalid("option \"key_header\" is for FORMAT UPSERT only"));
    }
    if header.contains(|character: char| !character.is_ascii_graphic() || character == ':') {
        return Err(invalid("option \"key_header\" takes the name of a header"));
    }
    Ok(())
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidParameterValue, message)
}

#[cfg(test)]
mod tests;
