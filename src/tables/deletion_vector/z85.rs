//! Base 85 as ZeroMQ spells it (RFC 32): five characters for four bytes.

const DIGITS: &[u8; 85] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// The bytes, or nothing where the text is not base 85.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let chunks = text.as_bytes().chunks(5);
    let mut bytes = Vec::with_capacity(text.len() / 5 * 4);
    for chunk in chunks {
        let chunk: &[u8; 5] = chunk.try_into().ok()?;
        let mut value = 0_u32;
        for character in chunk {
            let digit = DIGITS.iter().position(|digit| digit == character)?;
            value = value.checked_mul(85)?.checked_add(u32::try_from(digit).ok()?)?;
        }
        bytes.extend(value.to_be_bytes());
    }
    Some(bytes)
}

/// The text of whole groups of four bytes.
#[cfg(test)]
pub(super) fn encode(bytes: &[u8]) -> String {
    let group = |chunk: &[u8]| {
        let mut value = u32::from_be_bytes(chunk.try_into().unwrap());
        let mut text = [0_u8; 5];
        for place in text.iter_mut().rev() {
            *place = DIGITS[usize::try_from(value % 85).unwrap()];
            value /= 85;
        }
        text.map(char::from)
    };
    bytes.chunks(4).flat_map(group).collect()
}
