//! From a bearer token to the pod that sent it: the API server is asked, and its answer alone is believed.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use tulle_core::codes::Code;
use tulle_core::sidecar::IDENTITY_AUDIENCE;

use super::refusal::Refusal;

/// Extra user information that says which pod a token was made for (KEP-1205 bound ServiceAccount tokens).
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
/// Its uid: a pod of the same name that came later is another one.
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// A token review and a pod read take milliseconds; a proxy gives up after ten seconds and asks another replica.
const API_TIMEOUT: Duration = Duration::from_secs(5);

/// A pod the API server vouched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its ServiceAccount.
    pub(super) service_account: String,
    /// Its name.
    pub(super) pod: String,
    /// Its uid.
    pub(super) uid: String,
}

/// Asks the API server who sent `token`, and whether that pod still lives.
///
/// # Errors
/// A refusal that says which check failed; the token is never part of it.
pub(super) async fn caller(client: &Client, token: &str) -> Result<Caller, Refusal> {
    audience_is_plausible(token)?;
    let review = TokenReview {
        spec: TokenReviewSpec { token: token.to_owned(), audiences: Some(vec![IDENTITY_AUDIENCE.to_owned()]) },
        ..TokenReview::default()
    };
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let answer = in_time("TokenReview", reviews.create(&PostParams::default(), &review)).await?;
    let caller = vouched(&answer.status.unwrap_or_default())?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &caller.namespace);
    let pod = in_time("read the pod", pods.get_opt(&caller.pod)).await?;
    lives(&caller, pod.as_ref())?;
    Ok(caller)
}

/// Reads the answer of a TokenReview: authenticated, for our audience, a ServiceAccount, bound to a pod.
fn vouched(status: &TokenReviewStatus) -> Result<Caller, Refusal> {
    if status.authenticated != Some(true) {
        let why = status.error.as_deref().unwrap_or("the API server does not accept it");
        return Err(Refusal::new(Code::TokenRefused, format!("token refused: {}", redacted(why))));
    }
    if !status.audiences.iter().flatten().any(|audience| audience == IDENTITY_AUDIENCE) {
        return Err(wrong_audience(&format!("{:?}", status.audiences.clone().unwrap_or_default())));
    }
    let user = status.user.clone().unwrap_or_default();
    let username = user.username.unwrap_or_default();
    let Some((namespace, service_account)) =
        username.strip_prefix("system:serviceaccount:").and_then(|name| name.split_once(':'))
    else {
        return Err(Refusal::new(Code::TokenRefused, format!("token refused: {username:?} is no ServiceAccount")));
    };
    let extra = user.extra.unwrap_or_default();
    let (Some(pod), Some(uid)) = (single(&extra, POD_NAME), single(&extra, POD_UID)) else {
        let message =
            format!("token of {namespace}/{service_account} is not bound to a pod; mount it as a projected volume");
        return Err(Refusal::new(Code::TokenNotPodBound, message));
    };
    Ok(Caller { namespace: namespace.to_owned(), service_account: service_account.to_owned(), pod, uid })
}

/// Whether the pod the token is bound to is the one that runs now. The API server checks the uid itself when it reviews
/// the token; this holds should its cache be behind.
fn lives(caller: &Caller, pod: Option<&Pod>) -> Result<(), Refusal> {
    let gone = |what: &str| {
        let message = format!("token refused: pod {}/{} {what}", caller.namespace, caller.pod);
        Err(Refusal::new(Code::PodNotLive, message))
    };
    let Some(pod) = pod else {
        return gone("does not exist any more");
    };
    if pod.metadata.uid.as_deref() != Some(caller.uid.as_str()) {
        return gone("was replaced by another of the same name");
    }
    let spec = pod.spec.as_ref();
    // The API server sets the field on every pod; `default` is its own default.
    let service_account = spec.and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    if service_account != caller.service_account {
        return gone("runs as another ServiceAccount");
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return gone("has ended");
    }
    Ok(())
}

/// Refuses a token whose own words exclude it, with the sentence that helps, before the API server is asked. What the
/// words promise is not believed.
fn audience_is_plausible(token: &str) -> Result<(), Refusal> {
    let claims = token
        .split('.')
        .nth(1)
        .and_then(|payload| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok())
        .and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
    let Some(claims) = claims else {
        return Err(Refusal::new(Code::TokenRefused, "token refused: it is no ServiceAccount token (JWT)".to_owned()));
    };
    let audience = &claims["aud"];
    let ours = audience == IDENTITY_AUDIENCE
        || audience.as_array().is_some_and(|list| list.iter().any(|entry| entry == IDENTITY_AUDIENCE));
    if ours { Ok(()) } else { Err(wrong_audience(&audience.to_string())) }
}

fn wrong_audience(found: &str) -> Refusal {
    let found: String = found.chars().take(200).collect();
    let message =
        format!("token audience is {found}, expected {IDENTITY_AUDIENCE:?}; is the sidecar from an older release?");
    Refusal::new(Code::TokenWrongAudience, message)
}

fn single(extra: &BTreeMap<String, Vec<String>>, key: &str) -> Option<String> {
    match extra.get(key)?.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

/// The API server quotes no token in its errors today; should it ever, nothing that looks like one goes further.
fn redacted(text: &str) -> String {
    let word = |word: &str| if word.len() > 100 { "[redacted]".to_owned() } else { word.to_owned() };
    text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

async fn in_time<T>(what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Refusal> {
    let unable = |why: String| {
        Refusal::new(Code::IssuerUnavailable, format!("cannot ask the API server now: {what}: {why}; retry"))
    };
    match tokio::time::timeout(API_TIMEOUT, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(unable(redacted(&error.to_string()))),
        Err(_) => Err(unable(format!("no answer in {API_TIMEOUT:?}"))),
    }
}

#[cfg(test)]
mod tests;
