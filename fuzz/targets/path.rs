//! Paths: a normal form is a fixed point, has nothing that readers disagree about, and is borrowed where nothing changed.
#![no_main]

use std::borrow::Cow;

use tulle_core::path::{decoded, normalize};

libfuzzer_sys::fuzz_target!(|input: &str| {
    let Ok(normal) = normalize(input) else { return };
    assert_eq!(normalize(&normal).as_deref(), Ok(&*normal), "the normal form of {input:?} is no fixed point");
    assert_eq!(matches!(normal, Cow::Borrowed(_)), normal == input, "{input:?} was copied in vain, or not and should");
    if normal == "*" {
        return;
    }
    assert!(normal.starts_with('/'), "{normal:?}");
    assert!(!normal.contains("//"), "{normal:?}");
    assert!(normal.split('/').all(|segment| !matches!(segment, "." | "..")), "{normal:?} has a dot segment");
    assert!(normal.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'?' | b'#')), "{normal:?}");
    // Undoing the escapes that are left must not bring a separator to light.
    if let Some(second) = decoded(&normal) {
        assert_eq!(second.matches('/').count(), normal.matches('/').count(), "{normal:?} hides a slash");
        assert!(!second.contains(['\\', '\0']), "{normal:?} hides {second:?}");
    }
});
