use proptest::prelude::*;

use super::*;

#[test]
fn normal_forms() {
    let rows = [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("//", "/"),
        ("//a///b//", "/a/b/"),
        ("/./a", "/a"),
        ("/a/./b", "/a/b"),
        ("/a/.", "/a/"),
        ("/a/../b", "/b"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/..", "/"),
        ("/../../etc", "/etc"),
        ("/a//../b", "/b"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
        ("/a.b/..c", "/a.b/..c"),
        ("/%61dmin", "/admin"),
        ("/%41", "/A"),
        ("/%7euser", "/~user"),
        ("/%2e%2e/a", "/a"),
        ("/a/%2E/b", "/a/b"),
        ("/a/.%2e/b", "/b"),
        ("/a%3bb", "/a%3Bb"),
        ("/a;b=c", "/a;b=c"),
        ("/a%252fb", "/a%252fb"),
        ("/a%252e%252e/b", "/a%252e%252e/b"),
        ("/a b", "/a%20b"),
        ("/a{b}", "/a%7Bb%7D"),
        ("/a%7bb%7d", "/a%7Bb%7D"),
        ("/é", "/%C3%A9"),
        ("/%c3%a9", "/%C3%A9"),
        ("/%c0%af", "/%C0%AF"),
        ("/a:b@c!$&'()*+,;=", "/a:b@c!$&'()*+,;="),
        ("*", "*"),
    ];
    for (path, want) in rows {
        let normal = normalize(path);
        assert_eq!(normal.as_deref(), Ok(want), "{path}");
        let borrowed = matches!(normal, Ok(Cow::Borrowed(_)));
        assert_eq!(borrowed, path == want, "{path}: only a change costs an allocation");
    }
}

#[test]
fn paths_that_mean_two_things() {
    let rows = [
        ("", BadPath::NotAbsolute),
        ("a", BadPath::NotAbsolute),
        ("http://x/", BadPath::NotAbsolute),
        ("**", BadPath::NotAbsolute),
        ("/%", BadPath::BadEscape),
        ("/%2", BadPath::BadEscape),
        ("/%zz", BadPath::BadEscape),
        ("/%+1", BadPath::BadEscape),
        ("/a%u0041", BadPath::BadEscape),
        ("/a%2fb", BadPath::EncodedSeparator),
        ("/a%2Fb", BadPath::EncodedSeparator),
        ("/a%5cb", BadPath::EncodedSeparator),
        ("/..%5c..%5c", BadPath::EncodedSeparator),
        ("/a\\b", BadPath::Backslash),
        ("/a%00", BadPath::Forbidden),
        ("/a%0d%0aX: y", BadPath::Forbidden),
        ("/a\tb", BadPath::Forbidden),
        ("/a%7f", BadPath::Forbidden),
        ("/a#b", BadPath::Forbidden),
        ("/a?b", BadPath::Forbidden),
        ("/..;/admin", BadPath::DotParameters),
        ("/a/.;x/b", BadPath::DotParameters),
        ("/%2e%2e;x/b", BadPath::DotParameters),
    ];
    for (path, want) in rows {
        assert_eq!(normalize(path), Err(want), "{path:?}");
    }
}

#[test]
fn the_second_reading_exists_only_for_escapes() {
    assert_eq!(decoded("/a/b;c"), None);
    assert_eq!(decoded("/a%3Bb%25"), Some("/a;b%".to_string()));
}

proptest! {
    #[test]
    fn normal_forms_are_fixed_points(path in "/([a-c/.;%25EeFf{é ~]|%[0-9a-f]{2}){0,24}") {
        if let Ok(normal) = normalize(&path) {
            let again = normalize(&normal);
            prop_assert_eq!(again.as_deref(), Ok(normal.as_ref()));
            prop_assert!(normal.starts_with('/'));
            prop_assert!(!normal.contains("//"));
            prop_assert!(normal.split('/').all(|segment| segment != "." && segment != ".."));
            prop_assert!(normal.bytes().all(|byte| is_kept(byte) || byte == b'%'));
        }
    }

    #[test]
    fn any_text_is_answered(path in "\\PC{0,40}") {
        let _ = normalize(&path);
    }
}
