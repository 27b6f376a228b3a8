//! `to_char` and `to_number` for numbers, with PostgreSQL's templates (`FM999,990.00`).

use crate::engine::functions::cast::parse;
use crate::engine::functions::cast::print;
use crate::engine::functions::kind::Kind as K;
use crate::engine::functions::scalar::{Arguments, Function, Overload};
use crate::engine::functions::value::{Value, rescale};
use crate::error::{Error, ErrorKind, Result};

pub(super) const FUNCTIONS: &[Function] =
    &[Function::immutable("to_number", &[Overload::new(&[K::Text, K::Text], K::Template, to_number)])];

/// What a template asks for.
#[derive(Debug, Default)]
struct Template {
    /// The places before the point, with separators: `9`, `0`, `,`, `G`, or a literal.
    whole: Vec<char>,
    /// The places after the point.
    fraction: Vec<char>,
    point: bool,
    /// No blanks and no zeros that nobody asked for.
    compact: bool,
    /// `MI`, `PL`, `S`, `SG`, `PR`, and whether it stands at the end.
    sign: Option<(&'static str, bool)>,
    currency: bool,
    percent: bool,
    exponent: bool,
    roman: bool,
    ordinal: Option<bool>,
    /// `V`: digits to shift by.
    shift: u32,
}

fn parse_template(template: &str) -> Template {
    let mut parsed = Template::default();
    let mut rest = template;
    let mut after_v = false;
    while let Some(letter) = rest.chars().next() {
        let started = !parsed.whole.is_empty() || parsed.point;
        let word = ["EEEE", "FM", "MI", "PL", "SG", "PR", "RN", "TH", "th"].into_iter().find(|word| {
            rest.get(..word.len()).is_some_and(|head| {
                head == *word || (word.len() > 1 && *word != "th" && *word != "TH" && head.eq_ignore_ascii_case(word))
            })
        });
        match (word, letter) {
            (Some("EEEE"), _) => parsed.exponent = true,
            (Some("FM"), _) => parsed.compact = true,
            (Some("RN"), _) => parsed.roman = true,
            (Some("TH"), _) => parsed.ordinal = Some(true),
            (Some("th"), _) => parsed.ordinal = Some(false),
            (Some(sign), _) => parsed.sign = Some((sign, started)),
            (None, 'S' | 's') => parsed.sign = Some(("S", started)),
            (None, '.' | 'D' | 'd') => parsed.point = true,
            (None, 'V' | 'v') => after_v = true,
            (None, 'L' | 'l' | '$') => parsed.currency = true,
            (None, '%') => parsed.percent = true,
            (None, '9' | '0') if parsed.point => parsed.fraction.push(letter),
            (None, '9' | '0') => {
                parsed.whole.push(letter);
                parsed.shift += u32::from(after_v);
            }
            (None, 'G' | 'g') => parsed.whole.push(','),
            (None, other) if !parsed.point => parsed.whole.push(other),
            (None, _) => {}
        }
        rest = &rest[word.map_or(letter.len_utf8(), str::len)..];
    }
    parsed
}

/// `to_char(number, template)`.
pub(super) fn number_to_char(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let (before, number, after) = without_quoted(arguments.text(1)?)?;
    match formatted(arguments, number)? {
        Value::Text(text) => Ok(Value::text(before + &text + &after)),
        other => Ok(other),
    }
}

/// A template's text in quotes before and after what stands for the number.
fn without_quoted(template: &str) -> Result<(String, &str, String)> {
    let mut before = String::new();
    let mut rest = template;
    while let Some((text, others)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        before.push_str(text);
        rest = others;
    }
    let Some((number, _)) = rest.split_once('"') else { return Ok((before, rest, String::new())) };
    let number = number.trim_end();
    // Every other part stands in quotes.
    let parts: Vec<&str> = rest[number.len()..].split('"').collect();
    if parts.iter().step_by(2).any(|part| part.contains(['9', '0'])) {
        return Err(Error::unsupported("quoted text between the digits of a to_char template is not supported")
            .hint("Put the parts together with ||."));
    }
    Ok((before, number, parts.concat()))
}

fn formatted(arguments: &Arguments<'_>, template: &str) -> Result<Value<'static>> {
    let template = parse_template(template);
    let (digits, scale) = match &arguments.values[0] {
        Value::Int(number) => (i128::from(*number), 0),
        Value::Decimal(digits, scale) => (*digits, *scale),
        Value::Float(number) if number.is_finite() => parse::decimal(&print::float8(*number))?,
        Value::Float(number) => return Ok(Value::text(print::float8(*number))),
        other => return Err(Error::internal(format!("number expected, not {other:?}"))),
    };
    if template.roman {
        return Ok(Value::text(roman(digits, scale, template.compact)));
    }
    if template.exponent {
        return Ok(Value::text(scientific(digits, scale, template.fraction.len())));
    }
    let places = i8::try_from(template.fraction.len()).unwrap_or(38);
    let shifted = digits.checked_mul(10i128.pow(template.shift.min(30)));
    match shifted.and_then(|digits| rescale(digits, scale, places)) {
        Some(rounded) => Ok(Value::text(render(&template, rounded, places))),
        None => Err(Error::new(ErrorKind::NumericValueOutOfRange, "number is too large for to_char")),
    }
}

fn render(template: &Template, rounded: i128, places: i8) -> String {
    let negative = rounded < 0;
    let text = print::decimal(rounded.abs(), places);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let slots = template.whole.iter().filter(|c| matches!(c, '9' | '0')).count();
    let digits = if whole == "0" && slots > 0 && !template.fraction.is_empty() { "" } else { whole };
    let overflow = digits.len() > slots && whole != "0";
    let body = match overflow {
        true => template
            .whole
            .iter()
            .chain(['.'].iter().filter(|_| template.point))
            .chain(&template.fraction)
            .map(|c| if matches!(c, '9' | '0') { '#' } else { *c })
            .collect(),
        false => {
            let mut body = place_whole(template, digits, slots);
            if template.point {
                body.push('.');
                body.push_str(&place_fraction(template, fraction));
            }
            body
        }
    };
    with_sign(template, body, negative)
}

/// The digits in their slots: blanks before the first, unless a `0` asks for zeros.
fn place_whole(template: &Template, digits: &str, slots: usize) -> String {
    let first_zero = template.whole.iter().filter(|c| matches!(c, '9' | '0')).position(|c| *c == '0').unwrap_or(slots);
    let blank_slots = slots - digits.len().min(slots);
    let mut out = String::new();
    let (mut slot, mut shown) = (0, false);
    let mut letters = digits.chars();
    for place in &template.whole {
        match place {
            '9' | '0' => {
                let digit = if slot < blank_slots { (slot >= first_zero).then_some('0') } else { letters.next() };
                shown |= digit.is_some();
                match digit {
                    Some(digit) => out.push(digit),
                    None if !template.compact => out.push(' '),
                    None => {}
                }
                slot += 1;
            }
            ',' if shown => out.push(','),
            ',' if !template.compact => out.push(' '),
            ',' => {}
            literal => out.push(*literal),
        }
    }
    // `9` alone shows a zero: only a fraction makes the zero before the point optional.
    if !shown && !template.point && slots > 0 {
        let at = out.rfind(' ').unwrap_or(out.len());
        out.replace_range(at..(at + 1).min(out.len()), "0");
    }
    out
}

fn place_fraction(template: &Template, fraction: &str) -> String {
    if !template.compact {
        return fraction.to_owned();
    }
    let least = template.fraction.iter().rposition(|c| *c == '0').map_or(0, |at| at + 1);
    let trimmed = fraction.trim_end_matches('0').len().max(least);
    fraction.get(..trimmed).unwrap_or(fraction).to_owned()
}

fn with_sign(template: &Template, body: String, negative: bool) -> String {
    let blank = if template.compact { "" } else { " " };
    // The sign stands right before the first digit.
    let before_digits = |sign: &str, body: &str| {
        let at = body.len() - body.trim_start().len();
        match sign.trim().is_empty() {
            true => format!("{sign}{body}"),
            false => format!("{}{sign}{}", &body[..at], &body[at..]),
        }
    };
    let currency = if template.currency { "$" } else { "" };
    let body = if template.currency { before_digits(currency, &body) } else { body };
    let mut text = match template.sign {
        Some(("MI", true)) => format!("{body}{}", if negative { "-" } else { blank }),
        Some(("MI", false)) => format!("{}{body}", if negative { "-" } else { blank }),
        Some(("S" | "SG", true)) => format!("{body}{}", if negative { "-" } else { "+" }),
        Some(("S", false)) => before_digits(if negative { "-" } else { "+" }, &body),
        Some(("SG", false)) => format!("{}{body}", if negative { "-" } else { "+" }),
        Some(("PL", end)) => {
            let plus = if negative { blank } else { "+" };
            let signed = before_digits(if negative { "-" } else { blank }, &body);
            if end { format!("{signed}{plus}") } else { format!("{plus}{signed}") }
        }
        Some(("PR", _)) if negative => {
            let at = body.len() - body.trim_start().len();
            format!("{}<{}>", &body[..at], &body[at..])
        }
        Some(("PR", _)) => format!("{blank}{body}{blank}"),
        _ => before_digits(if negative { "-" } else { blank }, &body),
    };
    if let Some(upper) = template.ordinal
        && !negative
    {
        let number: i64 = text.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
        let suffix = match (number % 100, number % 10) {
            (11..=13, _) => "th",
            (_, 1) => "st",
            (_, 2) => "nd",
            (_, 3) => "rd",
            _ => "th",
        };
        text.push_str(&if upper { suffix.to_ascii_uppercase() } else { suffix.to_owned() });
    }
    text + if template.percent { "%" } else { "" }
}

fn scientific(digits: i128, scale: i8, places: usize) -> String {
    let number: f64 = print::decimal(digits, scale).parse().unwrap_or(0.0);
    let text = format!("{number:.places$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let blank = if number < 0.0 { "" } else { " " };
    format!("{blank}{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
}

fn roman(digits: i128, scale: i8, compact: bool) -> String {
    const NUMERALS: [(i128, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut number = rescale(digits, scale, 0).unwrap_or(0);
    if !(1..4000).contains(&number) {
        return "#".repeat(15);
    }
    let mut out = String::new();
    for (value, numeral) in NUMERALS {
        while number >= value {
            out.push_str(numeral);
            number -= value;
        }
    }
    if compact { out } else { format!("{out:>15}") }
}

/// The digits, sign and point of a text; what else stands there is passed over as the template says.
fn to_number(arguments: &Arguments<'_>) -> Result<Value<'static>> {
    let (text, template) = (arguments.text(0)?, arguments.text(1)?);
    let negative = text.contains('-') || text.trim_start().starts_with('<');
    let kept: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    if kept.is_empty() {
        // As PostgreSQL, which has only the place of the sign left.
        return Err(parse::invalid("numeric", " "));
    }
    let (digits, scale) = parse::decimal(&kept)?;
    let places = i8::try_from(parse_template(template).fraction.len()).unwrap_or(0);
    let digits = rescale(digits, scale, places.min(scale)).unwrap_or(digits);
    Ok(Value::Decimal(if negative { -digits } else { digits }, places.min(scale)))
}
