//! Patterns of paths: `*` is any text without a slash, `**` any text, `?` one character.

use regex::Regex;

use crate::error::{Error, Result};

/// A pattern, compiled.
pub(super) struct Pattern(Regex);

impl Pattern {
    pub fn new(text: &str) -> Result<Self> {
        let mut regex = String::from("^");
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '*' if letters.next_if_eq(&'*').is_some() => {
                    // `**/` is any folders, also none.
                    regex.push_str(if letters.next_if_eq(&'/').is_some() { "(?:.*/)?" } else { ".*" });
                }
                '*' => regex.push_str("[^/]*"),
                '?' => regex.push_str("[^/]"),
                letter => regex.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4]))),
            }
        }
        let compiled = Regex::new(&format!("{regex}$"));
        compiled.map(Self).map_err(|error| Error::internal(format!("pattern \"{text}\": {error}")))
    }

    pub fn matches(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
}

#[cfg(test)]
mod tests;
