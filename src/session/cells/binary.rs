//! Cells in PostgreSQL's binary form.

use arrow::datatypes::i256;

use crate::error::{Error, ErrorKind, Result};
use crate::session::cells::text::span;
use crate::session::cells::{Cells, Kind};
use crate::session::text::bytes::read_uuid;
use crate::session::text::datetime::{POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS};

impl Cells<'_> {
    /// Appends a cell that is not NULL in binary. Fails for what binary cannot say, such as a ragged array.
    #[inline]
    pub fn write_binary(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        match &self.kind {
            Kind::Int4(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Kind::Int8(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Kind::Int2(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Kind::Float8(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Kind::Float4(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Kind::Text(strings) | Kind::Json(strings) => out.extend_from_slice(strings.value(row).as_bytes()),
            Kind::Date(array) => out.extend_from_slice(&postgres_days(array.value(row)).to_be_bytes()),
            Kind::Timestamp(array) | Kind::Timestamptz(array, _) => {
                out.extend_from_slice(&postgres_micros(array.value(row)).to_be_bytes());
            }
            Kind::Bool(array) => out.push(u8::from(array.value(row))),
            Kind::Numeric(array, scale) => write_numeric(out, array.value(row), *scale),
            _ => return self.write_rare_binary(row, out),
        }
        Ok(())
    }

    fn write_rare_binary(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        match &self.kind {
            Kind::Oid(array) | Kind::Reg(array, ..) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Kind::WideNumeric(array, scale) => write_wide_numeric(out, array.value(row), *scale),
            Kind::Uuid(strings) => out.extend_from_slice(&read_uuid(strings.value(row))?),
            Kind::Jsonb(strings) => {
                out.push(1);
                out.extend_from_slice(strings.value(row).as_bytes());
            }
            Kind::Bytes(blobs) => out.extend_from_slice(blobs.value(row)),
            Kind::Time(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Kind::Interval(array) => {
                let span = span(array.value(row));
                out.extend_from_slice(&span.micros.to_be_bytes());
                out.extend_from_slice(&span.days.to_be_bytes());
                out.extend_from_slice(&span.months.to_be_bytes());
            }
            Kind::List { .. } => self.write_array(row, out)?,
            Kind::Struct(_) | Kind::Map { .. } => {
                out.push(1);
                self.write_json(row, out);
            }
            _ => {}
        }
        Ok(())
    }

    fn write_array(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let mut lengths = Vec::new();
        self.dimensions(row, 0, &mut lengths)?;
        let (leaf_oid, mut has_null) = (self.leaf_oid(), false);
        // An array without elements has no dimensions.
        let empty = lengths.contains(&0);
        let shown: &[usize] = if empty { &[] } else { &lengths };
        out.extend_from_slice(&(shown.len() as i32).to_be_bytes());
        let flag = out.len();
        out.extend_from_slice(&0_i32.to_be_bytes());
        out.extend_from_slice(&leaf_oid.to_be_bytes());
        for length in shown {
            out.extend_from_slice(&(*length as i32).to_be_bytes());
            out.extend_from_slice(&1_i32.to_be_bytes());
        }
        if !empty {
            self.write_leaves(row, out, &mut has_null)?;
        }
        out[flag + 3] = u8::from(has_null);
        Ok(())
    }

    fn leaf_oid(&self) -> u32 {
        match &self.kind {
            Kind::List { elements, element_oid, .. } => match &elements.kind {
                Kind::List { .. } => elements.leaf_oid(),
                _ => *element_oid,
            },
            _ => 0,
        }
    }

    fn dimensions(&self, row: usize, depth: usize, lengths: &mut Vec<usize>) -> Result<()> {
        let Kind::List { list, elements, .. } = &self.kind else { return Ok(()) };
        let length = super::text::list_len(list, row);
        match lengths.get(depth) {
            None => lengths.push(length),
            Some(known) if *known == length => {}
            Some(_) => return Err(ragged()),
        }
        if matches!(elements.kind, Kind::List { .. }) {
            let start = list.value_offsets()[row] as usize;
            for at in start..start + length {
                if elements.is_null(at) {
                    return Err(ragged());
                }
                elements.dimensions(at, depth + 1, lengths)?;
            }
        }
        Ok(())
    }

    fn write_leaves(&self, row: usize, out: &mut Vec<u8>, has_null: &mut bool) -> Result<()> {
        let Kind::List { list, elements, .. } = &self.kind else { return Ok(()) };
        let offsets = list.value_offsets();
        for at in offsets[row] as usize..offsets[row + 1] as usize {
            if matches!(elements.kind, Kind::List { .. }) {
                elements.write_leaves(at, out, has_null)?;
            } else {
                *has_null |= elements.is_null(at);
                elements.write_sized_binary(at, out)?;
            }
        }
        Ok(())
    }

    /// Appends a cell as its length and its binary form; NULL has the length -1.
    pub fn write_sized_binary(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        if self.is_null(row) {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            return Ok(());
        }
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        self.write_binary(row, out)?;
        patch_length(out, start)
    }

    /// Appends a cell as its length and its text; NULL has the length -1.
    pub fn write_sized_text(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        if self.is_null(row) {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            return Ok(());
        }
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        self.write_text(row, out);
        patch_length(out, start)
    }
}

fn patch_length(out: &mut [u8], start: usize) -> Result<()> {
    let length = i32::try_from(out.len() - start - 4).map_err(|_| {
        Error::new(ErrorKind::ProgramLimitExceeded, "a value is larger than 2 GiB").hint("Select a part of it.")
    })?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn ragged() -> Error {
    Error::unsupported("an array whose parts differ in length has no binary form").hint("Cast it to text or jsonb.")
}

fn postgres_days(days: i32) -> i32 {
    match days {
        i32::MAX | i32::MIN => days,
        days => days.saturating_sub(POSTGRES_EPOCH_DAYS),
    }
}

fn postgres_micros(micros: i64) -> i64 {
    match micros {
        i64::MAX | i64::MIN => micros,
        micros => micros.saturating_sub(POSTGRES_EPOCH_MICROS),
    }
}

/// `ndigits, weight, sign, dscale`, then the digits in base 10000.
fn write_numeric(out: &mut Vec<u8>, value: i128, scale: i8) {
    let magnitude = value.unsigned_abs();
    let (Ok(small), 0..=16) = (u64::try_from(magnitude), scale) else {
        return write_wide_numeric(out, i256::from_i128(value), scale);
    };
    let places = scale as u32;
    let power = 10_u64.pow(places);
    let (mut whole, fraction) = (small / power, small % power);
    let mut fraction = fraction * 10_u64.pow((4 - places % 4) % 4);
    let fraction_groups = places.div_ceil(4) as usize;
    let mut groups = [0_u16; 9];
    for group in groups[5..5 + fraction_groups].iter_mut().rev() {
        *group = (fraction % 10_000) as u16;
        fraction /= 10_000;
    }
    let mut first = 5;
    while whole > 0 {
        first -= 1;
        groups[first] = (whole % 10_000) as u16;
        whole /= 10_000;
    }
    write_groups(out, &groups[first..5 + fraction_groups], 5 - first as i16 - 1, value < 0, scale as u16);
}

fn write_wide_numeric(out: &mut Vec<u8>, value: i256, scale: i8) {
    let text = value.to_string();
    let negative = text.starts_with('-');
    let mut digits: Vec<u8> = text.trim_start_matches('-').bytes().map(|byte| byte - b'0').collect();
    digits.extend(std::iter::repeat_n(0, usize::from(scale.min(0).unsigned_abs())));
    let places = scale.max(0) as usize;
    let whole = digits.len().saturating_sub(places);
    // Both sides of the point are filled up to whole groups of four.
    let lead = if digits.len() < places { places - digits.len() } else { 0 };
    let mut padded = vec![0; (4 - whole % 4) % 4 + lead];
    padded.extend_from_slice(&digits);
    padded.extend(std::iter::repeat_n(0, (4 - places % 4) % 4));
    let groups: Vec<u16> =
        padded.chunks(4).map(|four| four.iter().fold(0, |sum, digit| sum * 10 + u16::from(*digit))).collect();
    write_groups(out, &groups, whole.div_ceil(4) as i16 - 1, negative, places as u16);
}

fn write_groups(out: &mut Vec<u8>, groups: &[u16], weight: i16, negative: bool, dscale: u16) {
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let groups = &groups[leading..];
    let trailing = groups.iter().rev().take_while(|group| **group == 0).count();
    let groups = &groups[..groups.len() - trailing];
    let weight = if groups.is_empty() { 0 } else { weight - leading as i16 };
    out.extend_from_slice(&(groups.len() as u16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(if negative && !groups.is_empty() { &[0x40, 0] } else { &[0, 0] });
    out.extend_from_slice(&dscale.to_be_bytes());
    for group in groups {
        out.extend_from_slice(&group.to_be_bytes());
    }
}
