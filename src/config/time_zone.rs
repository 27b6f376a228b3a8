//! The names of time zones that `SET TIME ZONE` takes.

use chrono_tz::Tz;

/// The name that SHOW prints: IANA's spelling; offsets in whole hours as PostgreSQL prints them.
pub fn canonical(text: &str) -> Option<String> {
    let zone = find(text)?;
    Some(match offset_hours(text) {
        Some(0) => "UTC".to_owned(),
        Some(hours) => format!("<{hours:+03}>{:+03}", -hours),
        None => zone.name().to_owned(),
    })
}

/// The zone of a name in any case, of `Z`, or of an offset in whole hours such as `+02`.
pub fn find(text: &str) -> Option<Tz> {
    let text = text.trim();
    if ["z", "zulu", "utc", "gmt"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return Some(Tz::UTC);
    }
    if let Some(hours) = offset_hours(text) {
        // The names of these zones count hours west of Greenwich.
        return if hours == 0 { Some(Tz::UTC) } else { format!("Etc/GMT{:+}", -hours).parse().ok() };
    }
    posix(text)
        .or_else(|| text.parse().ok())
        .or_else(|| chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text)).copied())
}

/// `GMT-02:00`, `UTC+3`: after a name, POSIX counts the hours west of Greenwich. JDBC sends such names.
fn posix(text: &str) -> Option<Tz> {
    let offset = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let name = &text[..text.len() - offset.len()];
    if name.len() < 3 || !offset.starts_with(['+', '-']) {
        return None;
    }
    match -offset_hours(offset)? {
        0 => Some(Tz::UTC),
        east => format!("Etc/GMT{:+}", -east).parse().ok(),
    }
}

/// Hours east of Greenwich: `+2`, `-08`, `-08:00`, `2`, or the form that SHOW prints (`<+02>-02`).
fn offset_hours(text: &str) -> Option<i32> {
    let text = match text.strip_prefix('<') {
        Some(rest) => rest.split_once('>')?.0,
        None => text,
    };
    let hours = match text.split_once(':') {
        Some((hours, "00")) => hours,
        Some(_) => return None,
        None => text,
    };
    let digits = hours.trim_start_matches(['+', '-']);
    let plausible = (1..=2).contains(&digits.len()) && hours.len() - digits.len() <= 1;
    if !plausible || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    hours.parse().ok().filter(|hours| (-12..=14).contains(hours))
}
