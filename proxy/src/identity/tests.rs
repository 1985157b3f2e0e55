//! The real exchange against a small issuer: real sockets, real TLS, real certificates; only the judgement of tokens is scripted.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::CertificateSigningRequestParams;
use time::Duration as Span;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tulle_core::issuance;

use super::*;
use crate::config::HostPort;
use crate::tls::MeshProtocol;
use crate::tls::testing::{Leaf, TRUST_DOMAIN, TestCa, private};

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
const OPERATOR: &str = "spiffe://cluster.local/ns/tulle-system/sa/tulle-operator";
/// Longest wait of a test for a change.
const DEADLINE: Duration = Duration::from_secs(20);

/// What the issuer does with one request, in order; the last is repeated.
#[derive(Clone)]
enum Act {
    Issue(Leaf),
    Refuse(u16, &'static str, &'static str),
    Garbage,
}

/// What was asked: the `Authorization` header and the public key.
type Asked = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

struct TestIssuer {
    issuer: Issuer,
    asked: Asked,
    _token: TokenFile,
}

/// A token file that is removed with the test.
struct TokenFile(std::path::PathBuf);

impl TokenFile {
    fn new() -> TokenFile {
        let path = std::env::temp_dir().join(format!("tulle-test-token-{}-{}", std::process::id(), fastrand::u64(..)));
        std::fs::File::create_new(&path).unwrap().write_all(b"a.b.c\n").unwrap();
        TokenFile(path)
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Starts an issuer that signs with `ca` and shows a certificate of `name` for itself.
async fn start(ca: Arc<TestCa>, name: &str, acts: Vec<Act>) -> TestIssuer {
    let key = KeyPair::generate().unwrap();
    let chain = ca.sign(&Leaf::of(name), &key);
    let chain =
        rustls_pki_types::pem::PemObject::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
    let config = rustls::ServerConfig::builder_with_provider(crate::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, private(&key))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Asked::default();
    let acts = Arc::new(Mutex::new(VecDeque::from(acts)));
    let seen = asked.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = service_fn(|request| answer(Arc::clone(&ca), Arc::clone(&acts), seen.clone(), request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    });
    let token = TokenFile::new();
    let issuer = Issuer {
        address: HostPort { host: "127.0.0.1".into(), port },
        identity: OPERATOR.parse().unwrap(),
        token_file: token.0.clone(),
    };
    TestIssuer { issuer, asked, _token: token }
}

async fn answer(
    ca: Arc<TestCa>,
    acts: Arc<Mutex<VecDeque<Act>>>,
    asked: Asked,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", issuance::PATH));
    let token = request.headers()["authorization"].to_str().unwrap().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let csr = serde_json::from_slice::<issuance::Request>(&body).unwrap().csr_pem;
    let csr = CertificateSigningRequestParams::from_pem(&csr).unwrap();
    asked.lock().unwrap().push((token, rcgen::PublicKeyData::der_bytes(&csr.public_key).to_vec()));
    let act = {
        let mut acts = acts.lock().unwrap();
        if acts.len() > 1 { acts.pop_front() } else { acts.front().cloned() }
    };
    let (status, body) = match act.expect("a script has an act") {
        Act::Issue(leaf) => {
            let chain_pem = ca.sign(&leaf, &csr.public_key);
            (200, serde_json::to_vec(&issuance::Response { chain_pem, not_before: 0, not_after: 0 }).unwrap())
        }
        Act::Refuse(status, code, message) => {
            (status, serde_json::to_vec(&issuance::Refusal { code: code.into(), message: message.into() }).unwrap())
        }
        Act::Garbage => (502, b"<html>".to_vec()),
    };
    Ok(Response::builder().status(status).body(Full::new(body.into())).unwrap())
}

fn short(seconds: i64) -> Act {
    Act::Issue(Leaf { starts_in: Span::ZERO, ends_in: Span::seconds(seconds), ..Leaf::of(WEB) })
}

struct Running {
    tls: Arc<TlsContext>,
    state: watch::Receiver<IdentityState>,
    bundle: watch::Sender<BundlePem>,
    _stop: tokio_util::sync::DropGuard,
}

fn run_against(issuer: &Issuer, bundle: Option<&str>) -> Running {
    let tls = TlsContext::new(TRUST_DOMAIN.parse().unwrap());
    let (bundle, bundle_rx) = watch::channel(bundle.map(|pem| Arc::from(pem.as_bytes())));
    let (state_tx, state) = watch::channel(IdentityState::default());
    let stop = CancellationToken::new();
    tokio::spawn(run(issuer.clone(), WEB.parse().unwrap(), Arc::clone(&tls), bundle_rx, state_tx, stop.clone()));
    Running { tls, state, bundle, _stop: stop.drop_guard() }
}

impl Running {
    async fn wait(&mut self, what: &str, condition: impl FnMut(&IdentityState) -> bool) -> IdentityState {
        let seen = timeout(DEADLINE, self.state.wait_for(condition)).await;
        seen.unwrap_or_else(|_| panic!("not reached in time: {what}")).unwrap().clone()
    }
}

/// Everything logged by this thread while it lives.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> (Log, tracing::subscriber::DefaultGuard) {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn short_certificates_are_renewed_in_time_each_with_a_new_key() {
    let ca = Arc::new(TestCa::new("root"));
    let issuer = start(Arc::clone(&ca), OPERATOR, vec![short(2)]).await;
    let mut running = run_against(&issuer.issuer, Some(ca.pem()));
    let mut keys = Vec::new();
    for round in 1..=4 {
        running.wait("valid", |state| matches!(state, IdentityState::Valid { .. })).await;
        let facts = running.tls.facts().unwrap();
        assert_eq!(facts.leaf.identity.to_string(), WEB);
        assert!(now().as_secs() <= facts.leaf.not_after, "renewed before its end");
        keys.push(facts.leaf.key_hash.clone());
        assert!(running.tls.client(MeshProtocol::H2).is_some() && running.tls.server().is_some(), "round {round}");
        running.wait("due", |state| matches!(state, IdentityState::Renewing { failure: None, .. })).await;
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4, "each certificate has a key of its own");
    let asked = issuer.asked.lock().unwrap();
    assert!(asked.iter().all(|(token, _)| token == "Bearer a.b.c"), "the token is read from its file and trimmed");
}

#[tokio::test]
async fn refusals_are_logged_with_the_issuers_sentence_and_tried_again() {
    let (log, _guard) = Log::start();
    let ca = Arc::new(TestCa::new("root"));
    let acts = vec![
        Act::Refuse(401, "TUL6002", "the token has audience \"x\",\nexpected \"tulle-issuer\""),
        Act::Garbage,
        Act::Issue(Leaf::of("spiffe://cluster.local/ns/shop/sa/cart")),
        short(-5),
        short(3600),
    ];
    let issuer = start(Arc::clone(&ca), OPERATOR, acts).await;
    let mut running = run_against(&issuer.issuer, Some(ca.pem()));
    let refused =
        running.wait("refused", |state| matches!(state, IdentityState::Requesting { failure: Some(_) })).await;
    assert!(format!("{refused:?}").contains("TUL6002: the token has audience"), "{refused:?}");
    running.wait("valid", IdentityState::is_usable).await;
    let text = log.text();
    for words in [
        "TUL6002: the token has audience \"x\", expected \"tulle-issuer\"", // the line break is gone
        "status 502",
        "names spiffe://cluster.local/ns/shop/sa/cart, but this pod is spiffe://cluster.local/ns/shop/sa/web",
        "do the clocks",
        "certificate installed",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    assert!(!text.contains("a.b.c"), "the token is never logged");
    let keys: Vec<_> = issuer.asked.lock().unwrap().iter().map(|(_, key)| key.clone()).collect();
    assert_eq!(keys.len(), 5);
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "a failed attempt's key is not used again");
}

#[tokio::test]
async fn a_certificate_outlives_the_issuer_until_its_end() {
    let ca = Arc::new(TestCa::new("root"));
    let acts = vec![short(2), Act::Refuse(503, "TUL6008", "the CA is not ready")];
    let issuer = start(Arc::clone(&ca), OPERATOR, acts).await;
    let mut running = run_against(&issuer.issuer, Some(ca.pem()));
    let late = running.wait("failing", |state| matches!(state, IdentityState::Renewing { failure: Some(_), .. })).await;
    assert!(late.is_usable(), "{late:?}");
    let expired = running.wait("expired", |state| matches!(state, IdentityState::Expired { .. })).await;
    assert!(!expired.is_usable() && format!("{expired:?}").contains("the CA is not ready"), "{expired:?}");
}

#[tokio::test]
async fn only_the_operator_under_a_trusted_root_gets_the_token() {
    let (ours, theirs) = (Arc::new(TestCa::new("ours")), Arc::new(TestCa::new("theirs")));
    let table = [
        ("another root", start(Arc::clone(&theirs), OPERATOR, vec![short(60)]).await, "UnknownIssuer"),
        (
            "another workload",
            start(Arc::clone(&ours), WEB, vec![short(60)]).await,
            "expected spiffe://cluster.local/ns/tulle-system",
        ),
    ];
    for (case, issuer, word) in table {
        let mut running = run_against(&issuer.issuer, Some(ours.pem()));
        let state = running.wait(case, |state| matches!(state, IdentityState::Requesting { failure: Some(_) })).await;
        assert!(format!("{state:?}").contains(word), "{case}: {state:?}");
        assert!(issuer.asked.lock().unwrap().is_empty(), "{case}: the token was shown to a stranger");
    }
}

#[tokio::test]
async fn nothing_is_asked_before_a_bundle_and_a_broken_bundle_changes_nothing() {
    let (log, _guard) = Log::start();
    let ca = Arc::new(TestCa::new("root"));
    let issuer = start(Arc::clone(&ca), OPERATOR, vec![short(3600)]).await;
    let mut running = run_against(&issuer.issuer, None);
    running.bundle.send_replace(Some(Arc::from(&b"broken"[..])));
    let complaint = async {
        while !log.text().contains("no certificate") {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, complaint).await.expect("a broken bundle is reported");
    assert!(issuer.asked.lock().unwrap().is_empty());
    running.bundle.send_replace(Some(Arc::from(ca.pem().as_bytes())));
    running.wait("valid", IdentityState::is_usable).await;
    let before = running.tls.facts().unwrap();

    let both = format!("{}{}", ca.pem(), TestCa::new("next").pem());
    running.bundle.send_replace(Some(Arc::from(both.as_bytes())));
    let applied = async {
        while running.tls.facts().unwrap().roots != 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, applied).await.expect("a new bundle is applied without a new certificate");
    let after = running.tls.facts().unwrap();
    assert_eq!(before.leaf, after.leaf);
    assert_ne!(before.bundle_hash, after.bundle_hash);
}
