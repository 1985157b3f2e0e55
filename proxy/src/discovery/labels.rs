//! The pod's own labels, from the downward API's file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Reads the labels.
///
/// # Errors
/// The file cannot be read, or is not what the kubelet writes.
pub(crate) fn read(path: &Path) -> io::Result<BTreeMap<String, String>> {
    // A few hundred bytes in memory (tmpfs): blocking is shorter than handing the read to another thread.
    parse(&std::fs::read_to_string(path)?)
        .map_err(|line| io::Error::new(io::ErrorKind::InvalidData, format!("not a label: {line}")))
}

/// One `key="value"` a line. Label values are letters, digits, `-`, `_` and `.`, so the kubelet's quoting escapes nothing.
fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let label = |line: &str| {
        let (key, value) = line.split_once('=')?;
        Some((key.to_owned(), value.strip_prefix('"')?.strip_suffix('"')?.to_owned()))
    };
    text.lines().filter(|line| !line.is_empty()).map(|line| label(line).ok_or_else(|| line.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_the_kubelet_writes_them() {
        type Row = (&'static str, Result<&'static [(&'static str, &'static str)], &'static str>);
        let rows: [Row; 4] = [
            ("", Ok(&[])),
            ("app=\"web\"\ntulle.dev/inject=\"enabled\"\n", Ok(&[("app", "web"), ("tulle.dev/inject", "enabled")])),
            ("empty=\"\"", Ok(&[("empty", "")])),
            ("app=web", Err("app=web")),
        ];
        for (text, want) in rows {
            let want = want
                .map(|labels| labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
                .map_err(str::to_owned);
            assert_eq!(parse(text), want, "{text}");
        }
    }
}
