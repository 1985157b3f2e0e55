//! [pure] Compares what back ends saw with what was judged.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::back_ends::{BackEnd, Quirk};
use super::client::{self, Part};
use super::plot::{Run, STRICT, To, Version};
use super::seen::{Seen, mark};
use super::vectors::{Vector, Verdict};

/// Of valid vectors, one of so many may be refused.
const REFUSED_MAX: usize = 100;

/// Everything that is known.
pub(super) struct Bench<'a> {
    one: &'a [Vector],
    two: &'a [Vector],
    runs: &'a [Run],
    seen: BTreeMap<(char, usize), Vec<Seen>>,
    /// Requests that the log of the server's sidecar calls carried.
    logged: BTreeMap<(char, usize), usize>,
    /// Vectors of HTTP/1 that the log calls bytes in the run to the strict reader: what does not begin as HTTP passes as such, where the
    /// rules for bytes let it, and no rule looks for requests in it.
    bytes: BTreeSet<usize>,
    strangers: Vec<Seen>,
}

/// Of a run.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) faults: Vec<String>,
    /// Requests that it saw.
    pub(super) seen: usize,
    /// Requests that were judged good and that it refused itself.
    pub(super) declined: usize,
    /// Vectors that passed as bytes.
    pub(super) bytes: usize,
}

impl<'a> Bench<'a> {
    pub(super) fn new(one: &'a [Vector], two: &'a [Vector], runs: &'a [Run], all: Vec<Seen>, log: &[Value]) -> Self {
        let (mut seen, mut logged, mut strangers) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new(), Vec::new());
        for request in all {
            match request.mark() {
                Some((number, run)) => seen.entry((run, number)).or_default().push(request),
                None => strangers.push(request),
            }
        }
        let port = |line: &Value, name: &str| line[name].as_str()?.rsplit(':').next()?.parse().ok();
        let bytes = log.iter().filter(|line| line["protocol"] == "TCP");
        let ports: BTreeSet<(u16, u16)> =
            bytes.filter_map(|line| Some((port(line, "caller")?, port(line, "endpoint")?))).collect();
        let strict = runs.iter().find(|run| run.to == To::Strict).map_or(&[][..], |run| &run.answers);
        let bytes =
            (0..).zip(strict).filter(|(_, answers)| ports.contains(&answers.ports)).map(|(number, _)| number).collect();
        for line in log.iter().filter(|line| line["code"].is_null()) {
            let text = |name: &str| line[name].as_str().and_then(mark);
            let named = text("path").or_else(|| text("authority"));
            if let Some((number, run)) = named.filter(|_| line["method"] != "CONNECT") {
                *logged.entry((run, number)).or_default() += 1;
            }
        }
        Self { one, two, runs, seen, logged, bytes, strangers }
    }

    /// Requests that belong to no vector.
    pub(super) fn strangers(&self) -> Vec<String> {
        self.strangers.iter().map(|request| format!("a back end saw a request that nobody sent: {request:?}")).collect()
    }

    /// What strict readers could not read and the mesh did not pass as bytes.
    pub(super) fn nonsense(&self, nonsense: Vec<String>) -> Vec<String> {
        let passed = |text: &String| {
            mark(text).is_some_and(|(number, letter)| {
                self.runs.iter().any(|run| run.letter == letter && self.is_bytes(run, number))
            })
        };
        nonsense.into_iter().filter(|text| !passed(text)).collect()
    }

    fn is_bytes(&self, run: &Run, number: usize) -> bool {
        run.version == Version::One && self.bytes.contains(&number)
    }

    fn seen(&self, run: char, number: usize) -> &[Seen] {
        self.seen.get(&(run, number)).map_or(&[], Vec::as_slice)
    }

    fn vectors(&self, version: Version) -> &'a [Vector] {
        if version == Version::One { self.one } else { self.two }
    }

    /// Looks at every vector of a run.
    pub(super) fn judge(&self, run: &Run) -> Findings {
        let strict = self.runs.iter().find(|run| run.to == To::Strict).map_or(' ', |run| run.letter);
        let mut findings = Findings::default();
        for (number, vector) in self.vectors(run.version).iter().enumerate() {
            let seen = self.seen(run.letter, number);
            let judged = match run.version {
                Version::One => self.seen(strict, number).to_vec(),
                Version::Two => vec![stated(&vector.bytes(number, run.letter))],
            };
            let answers = &run.answers[number];
            if self.is_bytes(run, number) {
                findings.bytes += 1;
                if matches!(vector.verdict, Verdict::Carried(_)) {
                    findings.faults.push(format!("{}: it passed as bytes", vector.name));
                }
                continue;
            }
            findings.seen += seen.len();
            findings.declined += judged.len().saturating_sub(seen.len());
            let fault = [
                self.sequence(run, number, seen, &judged),
                verdict(run, number, vector.verdict, seen, answers),
                answered(run, number, seen, &judged, answers),
                self.told(run, number, seen),
            ];
            findings.faults.extend(fault.into_iter().flatten().map(|fault| {
                let bytes = vector.bytes(number, run.letter);
                format!("{}: {fault}\n    sent {}\n    got {answers:?}\n    seen {seen:?}", vector.name, short(&bytes))
            }));
        }
        findings
    }

    /// What is seen is judged, in that order, each once.
    fn sequence(&self, run: &Run, number: usize, seen: &[Seen], judged: &[Seen]) -> Option<String> {
        let mut open = judged.iter();
        for request in seen {
            if judged.first().is_some_and(|first| first.method == "CONNECT") && request.method != "CONNECT" {
                return None; // a back end that agreed to a tunnel reads bytes in it
            }
            let mut why = "it was not judged".to_owned();
            let found = open.any(|one| match differs(request, one, run.back_end(number)) {
                None => true,
                Some(difference) => {
                    why = difference;
                    false
                }
            });
            if !found {
                return Some(format!("{} {}: {why}", request.method, request.target));
            }
        }
        None
    }

    /// The log of the sidecar tells of as many requests as the strict reader sees to their end.
    fn told(&self, run: &Run, number: usize, seen: &[Seen]) -> Option<String> {
        // The log says no path of CONNECT.
        let whole = seen.iter().filter(|request| !request.cut && request.method != "CONNECT").count();
        let logged = self.logged.get(&(run.letter, number)).copied().unwrap_or(0);
        (run.to == To::Strict && whole != logged)
            .then(|| format!("{whole} requests were seen, and the log tells of {logged}"))
    }

    /// More valid vectors than may be that the mesh refused.
    pub(super) fn wrongly_refused(&self) -> Vec<String> {
        let mut refused = Vec::new();
        let mut valid = 0;
        for version in [Version::One, Version::Two] {
            let letters: Vec<char> =
                self.runs.iter().filter(|run| run.version == version).map(|run| run.letter).collect();
            for (number, vector) in self.vectors(version).iter().enumerate() {
                let Verdict::Carried(count) = vector.verdict else { continue };
                valid += 1;
                let most = letters.iter().map(|letter| self.seen(*letter, number).len()).max();
                if most.unwrap_or(0) < count {
                    refused.push(format!("{} is valid, and was refused", vector.name));
                }
            }
        }
        if refused.len() * REFUSED_MAX > valid { refused } else { Vec::new() }
    }
}

/// What must be refused is, and nothing is seen of it.
fn verdict(run: &Run, number: usize, verdict: Verdict, seen: &[Seen], answers: &client::Answers) -> Option<String> {
    let mends = run.back_end(number).is_some_and(|back_end| back_end.has(Quirk::MendsBodies));
    if answers.late {
        return Some("no end came".to_owned());
    }
    let whole = whole(seen);
    match verdict {
        Verdict::Refused(count) if whole > count && !mends => Some("it was not refused".to_owned()),
        Verdict::Refused(count) if run.version == Version::One && run.to == To::Strict => {
            let refusal = answers.statuses.get(count..).unwrap_or_default();
            let as_it_should = matches!(refusal, [400..=499]) && answers.ours;
            (!as_it_should).then(|| "the answer is no refusal of the mesh".to_owned())
        }
        Verdict::Refused(count) if run.version == Version::One => {
            let good = answers.statuses.iter().filter(|status| **status == 200).count();
            (good > count).then(|| "it got a good answer".to_owned())
        }
        Verdict::Refused(_) => (answers.statuses.first() == Some(&200)).then(|| "it got an answer".to_owned()),
        Verdict::Carried(count) if run.to == To::Strict && whole > count => Some("there are too many".to_owned()),
        Verdict::Carried(_) | Verdict::Either => None,
    }
}

/// No answer stands for a request that was not seen. Proxies may answer themselves, and so does Go where the server as a whole is asked;
/// what follows an agreement to a tunnel is not looked at.
fn answered(run: &Run, number: usize, seen: &[Seen], judged: &[Seen], answers: &client::Answers) -> Option<String> {
    let good = answers.statuses.iter().filter(|status| **status == 200).count();
    let exempt = run.back_end(number).is_some_and(|back_end| back_end.proxy)
        || judged.first().is_some_and(|first| first.method == "CONNECT" || first.target == "*");
    (good > whole(seen) && !exempt).then(|| format!("{good} good answers to {} requests", whole(seen)))
}

/// Requests that came to their end.
fn whole(seen: &[Seen]) -> usize {
    seen.iter().filter(|request| !request.cut).count()
}

/// What two readings of a request differ in, one of a back end and one that was judged.
fn differs(seen: &Seen, judged: &Seen, back_end: Option<&BackEnd>) -> Option<String> {
    let has = |quirk| back_end.is_some_and(|back_end| back_end.has(quirk));
    if seen.method != judged.method {
        return Some(format!("the method was {}", judged.method));
    }
    if seen.method == "CONNECT" {
        return None; // its target is read as a host, a path or nothing; what follows is a tunnel or refused
    }
    let target = |request: &Seen| {
        let target = unmarked(&request.target);
        let target = if has(Quirk::NoEmptyQuery) { target.trim_end_matches('?') } else { &target };
        if has(Quirk::OneSlash) { format!("/{}", target.trim_start_matches('/')) } else { target.to_owned() }
    };
    if target(seen) != target(judged) && !has(Quirk::OwnPaths) {
        return Some(format!("the target was {}", judged.target));
    }
    // Who names no host gets the address that was dialled, and an absent port, 80 and a dot at the end are defaults.
    let host = |request: &Seen| {
        let host = unmarked(&request.host).to_ascii_lowercase();
        host.trim_end_matches(":80").trim_end_matches(':').trim_end_matches('.').to_owned()
    };
    let unnamed = judged.host.is_empty() || judged.host.ends_with(&format!(":{STRICT}"));
    if host(seen) != host(judged) && !unnamed {
        return Some(format!("the host was {}", judged.host));
    }
    differing_body(seen, judged, &has).or_else(|| differing_field(seen, judged, &has))
}

fn differing_body(seen: &Seen, judged: &Seen, has: &dyn Fn(Quirk) -> bool) -> Option<String> {
    if judged.cut && !seen.cut && !has(Quirk::MendsBodies) {
        return Some("its end never came".to_owned());
    }
    let (one, other) = (unmark(&seen.body), unmark(&judged.body));
    // How much of a body arrives before its connection ends is a matter of time.
    let cut = (seen.cut || judged.cut) && (other.starts_with(&one) || one.starts_with(&other));
    let dropped = has(Quirk::NoBodyOfGet) && matches!(seen.method.as_str(), "GET" | "HEAD") && one.is_empty();
    (one != other && !cut && !dropped).then(|| format!("the body was {}", judged.body.escape_ascii()))
}

fn differing_field(seen: &Seen, judged: &Seen, has: &dyn Fn(Quirk) -> bool) -> Option<String> {
    let dashed = |request: &Seen| {
        let mut request = request.clone();
        if has(Quirk::DashedNames) {
            request.fields.iter_mut().for_each(|(name, _)| *name = name.replace('_', "-"));
        }
        request
    };
    let [seen, judged] = [seen, judged].map(dashed);
    let names = [&seen, &judged].into_iter().flat_map(|request| &request.fields).map(|(name, _)| name);
    names.filter(|name| counts(name)).find_map(|name| {
        // Blanks are blanks, and an empty value is none to some.
        let value =
            |request: &Seen| request.value(name).map(|value| unmarked(&value).replace('\t', " ")).unwrap_or_default();
        let odd = !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let dropped = odd && seen.value(name).is_none();
        let (one, other) = (value(&seen), value(&judged));
        (one != other && !dropped).then(|| format!("{name} was {other:?} and is {one:?}"))
    })
}

/// Fields that nobody on the way adds or changes.
fn counts(name: &str) -> bool {
    // H2O merges trailers into the head: those of the vectors' own are not looked at, others must not lead it (RFC 9110 §6.5.1).
    name.starts_with("x-g") && !matches!(name, "x-gt" | "x-gu")
        || matches!(name, "cookie" | "authorization" | "content-type")
}

/// Without the letter of the run.
fn unmarked(text: &str) -> String {
    let bytes: Vec<u8> = text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect();
    unmark(&bytes).into_iter().map(char::from).collect()
}

fn unmark(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for at in 0..out.len().saturating_sub(6) {
        let window = &out[at..at + 7];
        if matches!(window[0], b'v' | b's' | b'V')
            && window[1..6].iter().all(u8::is_ascii_digit)
            && window[6].is_ascii_alphabetic()
        {
            out[at + 6] = b'_';
        }
    }
    out
}

/// The request that a vector of HTTP/2 states.
fn stated(lines: &[u8]) -> Seen {
    let text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    let (mut fields, mut body) = (Vec::new(), Vec::new());
    for (index, part) in client::parts(lines).into_iter().enumerate() {
        match part {
            Part::Data(data) => body.extend(data),
            Part::Fields(own) if index == 0 => fields.extend(own.iter().map(|(name, value)| (text(name), text(value)))),
            Part::Fields(_) => {}
        }
    }
    let of = |name: &str| fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
    let method = of(":method").unwrap_or_default();
    // A fragment has no place there, and is dropped.
    let target = of(":path").unwrap_or_default().split('#').next().unwrap_or_default().to_owned();
    let host = of(":authority").or_else(|| of("host")).unwrap_or_default();
    Seen { method, target, host, fields: fields.clone(), body, cut: false }
}

/// Bytes for people.
fn short(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.len() <= 600 { text } else { format!("{}… ({} bytes)", &text[..600], bytes.len()) }
}
