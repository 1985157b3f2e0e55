//! The catalogue of codes, `TUL` and four digits, and the closed list of reasons the data path answers with.
//!
//! Admission, status, logs, the `tulle-error` header and the documentation speak these. A code is never given a second meaning.
//! First digit: 1 install, 2 data plane, 3 configuration, 4 policy, 5 delivery, 6 identity, 7 capacity.

use std::fmt;

/// Declares [`Code`] as one table: a code without title or remedy does not compile.
macro_rules! catalogue {
    ($($variant:ident = $number:literal, $title:literal, $remedy:literal;)*) => {
        /// What went wrong, and how it is looked up.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The four digits.
            pub fn number(self) -> u16 {
                match self { $(Code::$variant => $number,)* }
            }

            /// `TUL` and the four digits.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => concat!("TUL", $number),)* }
            }

            /// What happened, without the particulars; no full stop.
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title,)* }
            }

            /// What to do: a clause that can follow `; `.
            pub fn remedy(self) -> &'static str {
                match self { $(Code::$variant => $remedy,)* }
            }
        }
    };
}

catalogue! {
    CaptureNotProgrammed = 1001, "traffic capture is not programmed in this pod",
        "see the log of the init container tulle-redirect; it needs NET_ADMIN and a kernel with nf_tables";
    InjectWindows = 1101, "pod runs on Windows",
        "label the pod tulle.dev/inject=disabled";
    InjectHostNetwork = 1102, "pod uses the node's network",
        "remove hostNetwork, or label the pod tulle.dev/inject=disabled";
    InjectPodSecurity = 1103, "Pod Security of the namespace forbids the redirect init container",
        "set pod-security.kubernetes.io/enforce=privileged on the namespace, or label the pod tulle.dev/inject=disabled";
    InjectReservedName = 1104, "pod uses a name the sidecar needs",
        "rename it";
    InjectProxyUser = 1105, "a container runs as the proxy's user or group, so its traffic would bypass the mesh",
        "choose another runAsUser or runAsGroup";
    InjectOwnPort = 1106, "a container uses a port of the sidecar",
        "move the application to another port";
    InjectAnnotation = 1107, "an annotation of the pod cannot be used",
        "correct or remove the annotation";

    NoRoute = 2001, "no rule of the VirtualServices matches the request",
        "add a rule without match as the last one, or call a path that a rule covers";
    NoEndpoints = 2002, "no ready endpoint for the destination",
        "check that pods are ready: kubectl get endpointslices";
    ConnectFailed = 2003, "the destination could not be connected to",
        "check that the destination listens on its port, and that no NetworkPolicy blocks it";
    Timeout = 2004, "no answer within the time allowed",
        "raise the timeout of the rule, or find out why the destination is slow";
    Overloaded = 2005, "the proxy is at a limit of connections, streams or pending requests",
        "add replicas of the destination or of the caller, or raise proxy.tulle.dev/connections-max";
    BadRequest = 2006, "the request is ambiguous or malformed and was not forwarded",
        "correct the client: the proxy's log names what it refused";
    UpstreamReset = 2007, "the destination ended the exchange early",
        "see the log of the destination";
    DiscoveryUnavailable = 2008, "the address is not known yet and the API server does not answer",
        "restore the API server; addresses already in use keep working";
    PeerIdentityMismatch = 2009, "the peer's identity is not one that may answer for the destination",
        "check the ServiceAccounts of the pods behind it: kubectl get meshservice -o yaml";
    HeadTooLarge = 2011, "the head of the request is longer than the proxy accepts",
        "send fewer or shorter headers: 128 lines of together 64 KiB are accepted";
    HeadTimeout = 2012, "the head of the request did not arrive in time",
        "send the whole head at once; find out what delays the client";
    BadResponse = 2013, "the answer of the destination is ambiguous or malformed and was not passed on",
        "correct the server: the proxy's log names what it refused";
    CallerGone = 2014, "the caller went away before its answer was whole",
        "compare the caller's own timeout with the duration in the access log; the mesh did nothing";
    HandshakeFailed = 2015, "the mutual TLS handshake failed",
        "compare certificate, trust bundle and clock of both proxies: GET /config on port 15000";
    NoCertificate = 2016, "this proxy has no certificate yet",
        "see its log for the issuer's answer, and whether the operator runs";
    Misdirected = 2017, "the connection is not for this pod's application",
        "dial the application's own address and port; a redirect other than the mesh's may be in the way";
    PortNotInService = 2018, "the Service has no port of the number dialled",
        "call a port of the Service: kubectl get service";
    FaultInjected = 2019, "a rule of a VirtualService made the request fail on purpose",
        "remove fault.abort from the rule, or lower its percentage";
    RuleUnreadable = 2020, "the rule of a VirtualService that takes the request cannot be read",
        "see the status of the VirtualService, and correct the rule";

    InvalidValue = 3001, "a value cannot be used",
        "correct the value";
    UnsupportedField = 3002, "a field is not supported by this release",
        "remove the field";
    MissingField = 3003, "a required field is absent or empty",
        "add the field";
    DuplicateEntry = 3004, "an entry is listed twice",
        "keep one of the two";
    ReferenceNotFound = 3005, "a referenced object does not exist",
        "create it, or correct the name";
    ReferenceNotPermitted = 3006, "a reference reaches into another namespace",
        "refer to services of the object's own namespace";
    PortNotFound = 3007, "the Service has no such port",
        "use a port of the Service";
    Conflicting = 3008, "an older object already claims the same",
        "merge the two, or remove one";
    NothingToChoose = 3009, "all weights are 0",
        "give at least one entry a weight above 0";
    WeightOutOfRange = 3011, "a weight is outside its range",
        "use a whole number from 0 to 1000000";
    InvalidPattern = 3012, "a pattern cannot be compiled or can never fit",
        "correct the pattern";
    InvalidHost = 3013, "a host names no Service of this cluster",
        "use name, name.namespace or the full DNS name of a Service";
    SubsetNotFound = 3014, "a destination names a subset that is not defined",
        "add it to spec.subsets, or correct the name";
    AliasedService = 3015, "the Service is an alias (ExternalName), without an address and endpoints of its own",
        "name the Service that it stands for; what is outside the cluster can only be called";

    DeniedByPolicy = 4001, "a DENY rule fits the call",
        "see the proxy's log for policy and rule; change the policy or the call";
    PlaintextRefused = 4002, "the workload accepts only mutual TLS and the call came in plaintext",
        "give the caller a sidecar, or set mtls.mode to PERMISSIVE";
    NoRuleAllows = 4003, "ALLOW policies select the workload and none of their rules fits the call",
        "add a rule that fits, or remove the ALLOW policies";
    PolicyUnreadable = 4004, "a policy that selects the workload cannot be read, so the workload is closed",
        "see the status of the policy, and correct it";

    TokenMissing = 6001, "the certificate request carries no token",
        "use the proxy of this release";
    TokenRefused = 6002, "the API server does not accept the token",
        "restart the pod, if its token expired; see the operator's log";
    TokenWrongAudience = 6003, "the token is for another audience",
        "restart the pod, so that it is injected by this release";
    TokenNotPodBound = 6004, "the token is not bound to a pod",
        "use the projected token of the sidecar";
    PodNotLive = 6005, "the pod of the token no longer exists",
        "nothing, if the pod was deleted";
    CsrMalformed = 6006, "the certificate request cannot be read or its signature is wrong",
        "use the proxy of this release";
    CsrKeyUnsupported = 6007, "the key of the certificate request is not supported",
        "use an ECDSA P-256 key";
    IssuanceRateLimited = 6008, "too many certificate requests",
        "wait; the proxy retries by itself";
    CaNotReady = 6009, "the certificate authority is not loaded yet",
        "wait; see the operator's log if it lasts";
    IssuerUnavailable = 6010, "the issuer cannot decide now",
        "wait; see the operator's log if it lasts";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Declares [`Reason`] as one table: word, HTTP status, gRPC status, code.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $status:literal, $grpc:literal, $code:ident;)*) => {
        /// Why the mesh itself answered or closed: the first word of `tulle-error`, and a label of metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// Every reason; its place is its number.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $word,)* }
            }

            /// HTTP status of the answer (RFC 9110 §15, RFC 6585 §5; 499 is never sent).
            pub fn status(self) -> u16 {
                match self { $(Reason::$variant => $status,)* }
            }

            /// Status of the answer to a gRPC call (gRPC "HTTP to gRPC Status Code Mapping", and what is closer where it knows no better).
            pub fn grpc_status(self) -> u32 {
                match self { $(Reason::$variant => $grpc,)* }
            }

            /// The catalogue code, where nothing finer is known.
            pub fn code(self) -> Code {
                match self { $(Reason::$variant => Code::$code,)* }
            }
        }
    };
}

reasons! {
    /// VirtualServices exist for the host and none of their rules matches.
    NoRoute = "no-route", 404, 12, NoRoute;
    /// No ready endpoint.
    NoEndpoints = "no-endpoints", 503, 14, NoEndpoints;
    /// TCP connection failed, or ended before anything was sent.
    ConnectFailed = "connect-failed", 503, 14, ConnectFailed;
    /// Out of time.
    Timeout = "timeout", 504, 4, Timeout;
    /// Refused by policy.
    Denied = "denied", 403, 7, DeniedByPolicy;
    /// At a limit.
    Overloaded = "overloaded", 503, 14, Overloaded;
    /// Ambiguous or malformed.
    BadRequest = "bad-request", 400, 13, BadRequest;
    /// Ended early by the destination.
    UpstreamReset = "upstream-reset", 502, 14, UpstreamReset;
    /// Address unknown, API server away.
    DiscoveryUnavailable = "discovery-unavailable", 503, 14, DiscoveryUnavailable;
    /// The peer is somebody else.
    PeerIdentity = "peer-identity", 503, 14, PeerIdentityMismatch;
    /// A head of too many bytes or lines.
    HeadTooLarge = "head-too-large", 431, 8, HeadTooLarge;
    /// A head that was begun and not finished.
    HeadTimeout = "head-timeout", 408, 14, HeadTimeout;
    /// An answer nobody should have to interpret.
    BadResponse = "bad-response", 502, 13, BadResponse;
    /// Nobody is left to be answered. Counted and logged, never told.
    CallerGone = "caller-gone", 499, 1, CallerGone;
    /// Mutual TLS failed.
    HandshakeFailed = "handshake-failed", 503, 14, HandshakeFailed;
    /// This proxy cannot prove who it is.
    NoCertificate = "no-certificate", 503, 14, NoCertificate;
    /// Not for this pod's application.
    Misdirected = "misdirected", 421, 14, Misdirected;
    /// On purpose. The rule says with which status; these stand for the row.
    Fault = "fault", 503, 14, FaultInjected;
    /// The rule that takes the request cannot be read (Gateway API: HTTPRoute, "MUST receive a 500 status code").
    InvalidRule = "invalid-rule", 500, 13, RuleUnreadable;
}

#[cfg(test)]
mod tests;
