//! [pure but for reading the module] The name of a build: a hash of everything that decides its result.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Hashes the module's files (sorted by name), the compiler's version and the build's flags.
pub(super) fn of(module: &Path, compiler: &str, flags: &str) -> Result<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(module).with_context(|| format!("cannot read {}", module.display()))? {
        let entry = entry?;
        let contents = fs::read(entry.path()).with_context(|| format!("cannot read {}", entry.path().display()))?;
        files.push((entry.file_name().to_string_lossy().into_owned(), contents));
    }
    files.sort();
    Ok(hash(&files, compiler, flags))
}

fn hash(files: &[(String, Vec<u8>)], compiler: &str, flags: &str) -> String {
    let mut hash = Sha256::new();
    // Every part goes in with its length, so that no two different inputs read the same.
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(compiler.as_bytes());
    part(flags.as_bytes());
    for (name, contents) in files {
        part(name.as_bytes());
        part(contents);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The version `go_mod` requires of `module`.
pub(super) fn version_in<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let mut words = line.trim().trim_start_matches("require ").split_whitespace();
        if words.next()? == module { words.next().filter(|word| word.starts_with('v')) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_decides_the_key() {
        let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
        let base = hash(&[file("go.mod", "a"), file("main.go", "b")], "go1", "");
        assert_eq!(base, hash(&[file("go.mod", "a"), file("main.go", "b")], "go1", ""));
        let others = [
            hash(&[file("go.mod", "ax"), file("main.go", "b")], "go1", ""),
            hash(&[file("go.mod", "a"), file("ain.go", "mb")], "go1", ""),
            hash(&[file("go.mod", "a"), file("main.go", "b")], "go2", ""),
            hash(&[file("go.mod", "a"), file("main.go", "b")], "go1", "-tags=x"),
        ];
        assert!(others.iter().all(|other| *other != base));
    }

    #[test]
    fn versions_are_read_from_both_forms_of_require() {
        let go_mod = "module m\n\nrequire a/b v1.2.3\n\nrequire (\n\tc/d v0.1.0 // indirect\n)\ntool c/d\n";
        assert_eq!(version_in(go_mod, "a/b"), Some("v1.2.3"));
        assert_eq!(version_in(go_mod, "c/d"), Some("v0.1.0"));
        assert_eq!(version_in(go_mod, "e/f"), None);
    }
}
