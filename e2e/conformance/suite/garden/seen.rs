//! A request as a back end saw it, and where it says so.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// See the module. Text is bytes: each character stands for the byte of its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) host: String,
    /// Names in lower case.
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Whether its body did not come to its end.
    pub(super) cut: bool,
}

impl Seen {
    /// The value of a field, its lines joined as RFC 9110 §5.3 and, of cookies, RFC 9113 §8.2.3 join them; blanks around members and
    /// empty members do not count (RFC 9110 §5.6.1).
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let values: Vec<_> =
            self.fields.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect();
        let (by, with) = if name == "cookie" { (';', "; ") } else { (',', ", ") };
        let members: Vec<_> = values
            .iter()
            .flat_map(|value| value.split(by))
            .map(|part| part.trim_matches([' ', '\t']))
            .filter(|part| !part.is_empty())
            .collect();
        (!values.is_empty()).then(|| members.join(with))
    }

    /// The vector and the run it belongs to: the number that its target or its host says, or any of its fields.
    pub(super) fn mark(&self) -> Option<(usize, char)> {
        let texts = [&self.target, &self.host].into_iter().chain(self.fields.iter().map(|(_, value)| value));
        texts.filter_map(|text| mark(text)).next()
    }

    fn of(line: &Value) -> Option<Self> {
        let text = |name: &str| Some(line[name].as_str().unwrap_or_default().to_owned());
        let field = |pair: &Value| Some((pair[0].as_str()?.to_ascii_lowercase(), pair[1].as_str()?.to_owned()));
        let hex = line["body"].as_str()?.as_bytes().chunks(2);
        let body = hex.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        Some(Self {
            method: text("method")?,
            target: text("target")?,
            host: text("host")?,
            fields: line["fields"].as_array()?.iter().map(field).collect::<Option<_>>()?,
            body: body.collect::<Option<_>>()?,
            cut: line["cut"].as_bool()?,
        })
    }
}

/// `v12345a` or `s12345a` in a text.
pub(super) fn mark(text: &str) -> Option<(usize, char)> {
    let bytes = text.as_bytes();
    bytes.windows(7).find_map(|window| {
        let [b'v' | b's' | b'V' | b'S', digits @ .., run] = window else { return None };
        let number = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        run.is_ascii_alphabetic().then_some((number?.parse().ok()?, char::from(*run)))
    })
}

/// What a program wrote into its file, in order.
pub(super) fn read(file: &Path) -> Result<Vec<Seen>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let line = |line: &str| Seen::of(&serde_json::from_str(line).ok()?);
    text.lines().map(|text| line(text).with_context(|| format!("{} says {text}", file.display()))).collect()
}
