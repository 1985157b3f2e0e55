//! Copies of requests for mirrors.

use tokio::net::TcpListener;
use tulle_core::route::Mirror;

use super::*;
use crate::testing::http::soon;

/// Bytes that are kept of a request, and so copied.
const KEPT_BYTES: usize = 64 * 1024;
/// Copies at once.
const COPIES_MAX: u64 = 64;

/// A rule that forwards to the first application and copies to the second.
fn mirroring(percent: f64) -> Vec<Rule<usize>> {
    let mirrors = vec![Mirror { destination: 1, share: Percent::new(percent).unwrap() }];
    vec![rule("/", Action::to(0), Filters { mirrors, ..Filters::default() })]
}

/// Copies that were sent, that failed, and that were dropped.
fn counts(mesh: &Mesh) -> [u64; 3] {
    let mut sums = [0; 3];
    for (labels, cells) in &mesh.caller.metrics.lock().mirrored {
        assert_eq!((&*labels.route, &*labels.backend), ("test", "app-1"));
        sums.iter_mut().zip(cells.counts()).for_each(|(sum, count)| *sum += count);
    }
    sums
}

async fn counted(mesh: &Mesh, expected: [u64; 3]) {
    let arrives = async {
        while counts(mesh) != expected {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(20), arrives).await.is_ok(),
        "{:?}, not {expected:?}",
        counts(mesh)
    );
}

#[tokio::test]
async fn a_mirror_gets_the_request_as_it_was_forwarded() {
    for speaks in BOTH {
        let mut apps = [Application::start("app", &[]).await, Application::start("dark", &[]).await];
        let mesh = Mesh::routed(&apps.each_ref().map(|app| app.address), mirroring(100.0));
        let mut caller = Caller::new(&mesh, speaks).await;
        let bodies = [vec![], b"hello".to_vec(), (0..60_000).map(|at| (at % 251) as u8).collect()];
        for (number, body) in bodies.iter().enumerate() {
            let answer = caller.send(Method::POST, "/a?b=c", &[("x-a", "b")], body).await;
            assert_eq!(answer.body(), "app", "{speaks:?}");
            let original = apps[0].asked().await;
            let copy = apps[1].asked().await;
            assert_eq!(authority(&copy), "web.shop-shadow", "{speaks:?}");
            assert_eq!(authority(&original), "web.shop", "{speaks:?}");
            assert!(copy.body() == body && original.body() == body, "{speaks:?} {number}");
            assert_eq!((copy.method(), copy.uri().query()), (&Method::POST, Some("b=c")), "{speaks:?}");
            assert_eq!(values(copy.headers(), "x-a"), ["b"], "{speaks:?}");
            counted(&mesh, [number as u64 + 1, 0, 0]).await;
        }
    }
}

#[tokio::test]
async fn a_mirror_gets_its_share() {
    for (percent, bounds) in [(0.0, 0..=0), (50.0, 60..=140), (100.0, 200..=200)] {
        let apps = [Application::start("app", &[]).await, Application::start("dark", &[]).await];
        let mesh = Mesh::routed(&apps.each_ref().map(|app| app.address), mirroring(percent));
        let mut caller = Caller::new(&mesh, Speaks::Http2).await;
        for _ in 0..200 {
            caller.get("/").await;
        }
        let copies = || counts(&mesh).iter().sum::<u64>();
        let arrive = async {
            while copies() < *bounds.start() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        soon(arrive).await;
        // 5.6 standard deviations for the half.
        assert!(bounds.contains(&copies()), "{percent} %: {}", copies());
    }
}

#[tokio::test]
async fn a_mirror_that_stalls_is_not_noticed() {
    for speaks in BOTH {
        let app = Application::start("app", &[]).await;
        let stalls = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mesh = Mesh::routed(&[app.address, stalls.local_addr().unwrap()], mirroring(100.0));
        let mut caller = Caller::new(&mesh, speaks).await;
        for _ in 0..COPIES_MAX + 6 {
            assert_eq!(caller.send(Method::POST, "/", &[], b"x").await.body(), "app", "{speaks:?}");
        }
        counted(&mesh, [0, 0, 6]).await;
    }
}

#[tokio::test]
async fn a_mirror_that_is_away_is_not_noticed() {
    for speaks in BOTH {
        let app = Application::start("app", &[]).await;
        let nobody = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
        let mesh = Mesh::routed(&[app.address, nobody], mirroring(100.0));
        let mut caller = Caller::new(&mesh, speaks).await;
        for _ in 0..3 {
            let answer = caller.get("/").await;
            assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::OK, &b"app"[..]), "{speaks:?}");
        }
        counted(&mesh, [0, 3, 0]).await;
    }
}

#[tokio::test]
async fn what_is_too_long_is_not_copied() {
    for speaks in BOTH {
        let mut apps = [Application::start("app", &[]).await, Application::start("dark", &[]).await];
        let mesh = Mesh::routed(&apps.each_ref().map(|app| app.address), mirroring(100.0));
        let mut caller = Caller::new(&mesh, speaks).await;
        for bytes in [KEPT_BYTES + 1, 40 * KEPT_BYTES] {
            caller.send(Method::POST, "/", &[], &vec![7; bytes]).await;
            assert_eq!(apps[0].asked().await.body().len(), bytes, "{speaks:?}");
        }
        counted(&mesh, [0, 0, 2]).await;
        assert!(apps[1].was_not_asked(), "{speaks:?}");
    }
}

#[tokio::test]
async fn what_a_rule_answers_is_not_copied() {
    for speaks in BOTH {
        let mut apps = [Application::start("app", &[]).await, Application::start("dark", &[]).await];
        let mut rules = mirroring(100.0);
        rules[0].filters.fault = Some(Fault { delay: None, abort: Some((Abort::Http(418), Percent::ALL)) });
        let mesh = Mesh::routed(&apps.each_ref().map(|app| app.address), rules);
        let mut caller = Caller::new(&mesh, speaks).await;
        assert_eq!(caller.get("/").await.status().as_u16(), 418, "{speaks:?}");
        assert!(apps[1].was_not_asked() && counts(&mesh) == [0, 0, 0], "{speaks:?}");
    }
}
