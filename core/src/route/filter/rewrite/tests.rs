use super::*;

fn apply(rewrite: &Rewrite, path: &str, matched: Matched) -> Result<String, BadRewrite> {
    rewrite.apply(path, matched)
}

#[test]
fn what_was_matched_is_replaced() {
    use Matched::{Prefix, Whole};
    let rows = [
        // A matched prefix is replaced, and the rest stays.
        ("/api/v1/items", Prefix(4), "/inner", "/inner/v1/items"),
        ("/api", Prefix(4), "/inner", "/inner"),
        ("/api1", Prefix(4), "/inner", "/inner1"),
        // A prefix may end inside a segment.
        ("/api/v1", Prefix(6), "/r", "/r1"),
        // An exact or regular match is the whole path.
        ("/api/v1/items", Whole, "/inner", "/inner"),
        // No slash is lost or doubled.
        ("/api/v1", Prefix(5), "/inner", "/inner/v1"),
        ("/api/v1", Prefix(5), "/inner/", "/inner/v1"),
        ("/api/v1", Prefix(4), "/", "/v1"),
        ("/api", Prefix(4), "/", "/"),
        ("/a/b", Prefix(1), "/v2", "/v2/a/b"),
        ("/", Prefix(1), "/v2", "/v2"),
        // The result is in normal form.
        ("/api.", Prefix(4), "/a/", "/a/"),
        ("/api./x", Prefix(4), "/a/.", "/x"),
        ("/a%3Bb", Prefix(2), "/c", "/c%3Bb"),
        // The server itself has no path, and neither has a tunnel.
        ("*", Whole, "/x", "*"),
        ("", Prefix(1), "/x", ""),
    ];
    for (path, matched, replacement, expected) in rows {
        let rewrite = Rewrite::Path(replacement.into());
        assert_eq!(apply(&rewrite, path, matched).as_deref(), Ok(expected), "{path} {matched:?} {replacement}");
    }
}

#[test]
fn a_pattern_is_replaced_wherever_it_fits() {
    let rows = [
        ("^/service/([^/]+)(/.*)$", "\\2/instance/\\1", "/service/foo/v1/api", "/v1/api/instance/foo"),
        ("one", "two", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/two/zzz"),
        ("^(.*?)one(.*)$", "\\1two\\2", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/one/zzz"),
        ("(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb", "/aaa/yyy/bbb"),
        ("(a)|b", "<\\1>", "/b", "/%3C%3E"),
        ("b", "[\\0]", "/b", "/%5Bb%5D"),
        ("nowhere", "x", "/a", "/a"),
        ("/a", "/../", "/a/b", "/b"),
    ];
    for (pattern, replacement, path, expected) in rows {
        let rewrite = Rewrite::Regex(RegexRewrite::new(pattern, replacement).unwrap());
        assert_eq!(apply(&rewrite, path, Matched::Whole).as_deref(), Ok(expected), "{pattern} {replacement} {path}");
    }
}

#[test]
fn what_gives_no_path_is_not_forwarded() {
    let rows = [
        ("^/", "", "/a", BadRewrite::Path(BadPath::NotAbsolute)),
        ("3B", "zz", "/a%3Bb", BadRewrite::Path(BadPath::BadEscape)),
        ("^/(.)(.)", "/%\\1\\2", "/2f", BadRewrite::Path(BadPath::EncodedSeparator)),
    ];
    for (pattern, replacement, path, expected) in rows {
        let rewrite = Rewrite::Regex(RegexRewrite::new(pattern, replacement).unwrap());
        assert_eq!(apply(&rewrite, path, Matched::Whole), Err(expected), "{pattern} {replacement} {path}");
    }
}

#[test]
fn a_result_is_bounded() {
    let rewrite = Rewrite::Regex(RegexRewrite::new("", &"x".repeat(1024)).unwrap());
    let path = format!("/{}", "a".repeat(32 * 1024));
    assert_eq!(apply(&rewrite, &path, Matched::Whole), Err(BadRewrite::TooLong));
    assert_eq!(apply(&Rewrite::Path(path.as_str().into()), &path, Matched::Prefix(1)), Err(BadRewrite::TooLong));
}

#[test]
fn replacements_with_a_mistake() {
    let rows = [
        ("(", "x", "is not a regular expression: unclosed group"),
        ("(a)", "\\2", "uses \\2, and the pattern has no such group"),
        ("a", "\\n", "has a backslash that is not followed by the number of a group; a path has no backslash"),
        ("a", "\\", "has a backslash that is not followed by the number of a group; a path has no backslash"),
        ("a", "/x?y=1", "has a '?' or '#'; only the path is rewritten, and the query stays"),
    ];
    for (pattern, replacement, sentence) in rows {
        assert_eq!(
            RegexRewrite::new(pattern, replacement).unwrap_err().to_string(),
            sentence,
            "{pattern} {replacement}"
        );
    }
}
