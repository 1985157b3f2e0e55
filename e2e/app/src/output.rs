//! What the program says: JSON lines on standard output for machines, sentences on standard error for people.

use std::io::{self, Write};

use serde::Serialize;

/// Writes `value` as one line of JSON on standard output.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    io::stdout().lock().write_all(line.as_bytes())?;
    Ok(())
}

/// Writes one line on standard error. Nobody listening is no reason to fail.
pub(crate) fn complain(sentence: &str) {
    let _ = writeln!(io::stderr().lock(), "{sentence}");
}
